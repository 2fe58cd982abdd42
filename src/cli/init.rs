//! `init`: asks what Meta's own wizard asks, and writes the manifests of a portfolio and a channel. It asks for no secret.

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    connect::quoted,
    exit::{Ending, Exit, Problem},
    lint,
    render::{self, Text, Tone, Words, paint},
    source, word,
};
use crate::{
    engine::{phone::E164, timezone},
    escape,
};

/// Asks what Meta's wizard asks, writes the manifests of a portfolio and a channel, and prints the commands for their
/// Secrets. Nothing is sent anywhere.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The folder for the manifests; files that are there stay as they are.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// The namespace of both.
    #[arg(short, long, default_value = "default", value_name = "NAMESPACE", value_parser = super::run::namespace)]
    pub namespace: String,
}

/// What is asked, what an empty answer means, and what is a right one.
struct Question {
    text: &'static str,
    default: &'static str,
    check: fn(&str) -> Result<(), String>,
}

const PORTFOLIO: Question = Question {
    text: "How is the portfolio to be called in the cluster? A short name, as in acme",
    default: "",
    check: |text| name_of(text).map(|_| ()),
};
const BUSINESS: Question = Question {
    text: "Id of the business portfolio? In Business settings, Business info",
    default: "",
    check: |text| match (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err("an id of Meta's is 1 to 32 digits".to_owned()),
    },
};
const BUSINESS_NAME: Question = Question {
    text: "Name of the portfolio at Meta, exactly? Empty: it is not compared",
    default: "",
    check: |_| Ok(()),
};
const COUNTRY: Question = Question {
    text: "Country of its accounts? Two capital letters, as in BR. Empty: it is not compared",
    default: "",
    check: |text| match text.is_empty()
        || text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
    {
        true => Ok(()),
        false => Err("a country is two capital letters of ISO 3166-1".to_owned()),
    },
};
const ACCOUNT: Question = Question {
    text: "Id of the WhatsApp Business account? Empty for the only one that the token reaches",
    default: "",
    check: |text| match text.is_empty() {
        true => Ok(()),
        false => (BUSINESS.check)(text),
    },
};
const SECRET: Question = Question {
    text: "Does the app want a proof by its app secret with every call: yes or no?",
    default: "no",
    check: |text| one_of(text, &["yes", "no"]),
};
const CHANNEL: Question = Question {
    text: "How is the channel to be called in the cluster? A short name, as in support-br",
    default: "",
    check: |text| name_of(text).map(|_| ()),
};
const NUMBER: Question = Question {
    text: "The phone number? With + and the country code, as in +5511912345678",
    default: "",
    check: |text| E164::parse(text).map(|_| ()).map_err(|why| why.to_string()),
};
const NAME: Question = Question {
    text: "The name that people see? Meta reviews it; it has to show the business",
    default: "",
    check: |text| match text.is_empty() {
        true => Err("a number has a name".to_owned()),
        false => Ok(()),
    },
};
const TIME_ZONE: Question = Question {
    text: "Time zone of the account, as in America/Sao_Paulo? Empty: it is not compared",
    default: "",
    check: |text| match text.is_empty() || timezone::id(text).is_some() {
        true => Ok(()),
        false => Err("it is not in the table of Meta's time zones".to_owned()),
    },
};
const METHOD: Question = Question {
    text: "How is the code to come: Sms, Voice, or Auto, which calls fixed lines only?",
    default: "Auto",
    check: |text| one_of(text, &["Auto", "Sms", "Voice"]),
};
const APP: Question = Question {
    text: "Is the number in the WhatsApp Business app, and is it to stay there too: yes or no?",
    default: "no",
    check: |text| one_of(text, &["yes", "no"]),
};

const PIN: Question = Question {
    text: "Has the number a two-step PIN already, from where it was before: yes or no?",
    default: "no",
    check: |text| one_of(text, &["yes", "no"]),
};

fn name_of(text: &str) -> Result<String, String> {
    let is_end =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    let is_inside = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let is_name =
        bytes.len() <= 50 && bytes.iter().all(is_inside) && is_end(bytes.first()) && is_end(bytes.last());
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| "a name here is 1 to 50 of a to z, 0 to 9 and -, with no - at its ends".to_owned())
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    match words.contains(&text) {
        true => Ok(()),
        false => Err(format!("it is one of {}", words.join(", "))),
    }
}

/// Asks and writes.
///
/// # Errors
///
/// When there is no answer, or a file cannot be written.
pub fn init(args: &InitArgs) -> Ending {
    let ask = |question: &Question| ask(question);
    let (portfolio, business) = (ask(&PORTFOLIO)?, ask(&BUSINESS)?);
    let expected = [("name", ask(&BUSINESS_NAME)?), ("country", ask(&COUNTRY)?)];
    let (account, secret) = (ask(&ACCOUNT)?, ask(&SECRET)? == "yes");
    let (channel, number, name, zone) = (ask(&CHANNEL)?, ask(&NUMBER)?, ask(&NAME)?, ask(&TIME_ZONE)?);
    let (method, app, pin) = (ask(&METHOD)?, ask(&APP)?, ask(&PIN)? == "yes");
    let namespace = &args.namespace;
    let files = [
        (
            format!("portfolio-{portfolio}.yaml"),
            portfolio_of(namespace, &portfolio, &business, &expected, secret),
        ),
        (
            format!("channel-{channel}.yaml"),
            channel_of(namespace, &channel, &[&portfolio, &account, &number, &name, &zone, &method, &app]),
        ),
    ];
    for (file, text) in &files {
        let report = lint::source(&source::parse(file, text));
        if report.has_errors() {
            let found = report.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return Err(Problem::new(found).next("run it again with other answers"));
        }
    }
    let mut text = Text::new();
    for (file, manifest) in &files {
        let path = args.folder.join(file);
        write(&path, manifest)?;
        text.line(paint(Tone::Good, "written") + ": " + path.display().to_string());
    }
    let (title, more) = match secret {
        true => ("The token of the system user and the app secret", " --from-file=appSecret=./appSecret"),
        false => ("The token of the system user", ""),
    };
    text.section(&format!("{title}, from files that you delete afterwards"));
    let of = |name: &str, from: &str| {
        format!("kubectl create secret generic {name} -n {namespace} --from-file={from}")
    };
    text.indent(2, of(&format!("{portfolio}-meta"), "token=./token") + more);
    if pin {
        text.section("The PIN of the number, in the same way");
        text.indent(2, of(&format!("{channel}-pin"), "pin=./pin"));
    }
    text.section("Then");
    // By their names: what else is in the folder is not theirs.
    let named = |(file, _): &(String, String)| {
        format!(" -f {}", quoted(&args.folder.join(file).display().to_string()))
    };
    let named: String = files.iter().map(named).collect();
    for command in ["kubectl whatsapp doctor", "kubectl whatsapp plan", "kubectl apply"] {
        text.indent(2, format!("{command}{named}"));
    }
    text.indent(2, format!("kubectl whatsapp status {channel} -n {namespace} --watch"));
    render::out(&text)?;
    Ok(Exit::Done)
}

/// Asks until the answer is a right one.
fn ask(question: &Question) -> Result<String, Problem> {
    loop {
        let mut text = Text::new();
        let default = match question.default {
            "" => String::new(),
            default => format!(" [{default}]"),
        };
        text.line(Words::from(question.text) + paint(Tone::Faint, default));
        render::complain(&text);
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let count = read.map_err(|error| Problem::new(format!("cannot read the answer: {error}")))?;
        if count == 0 {
            return Err(Problem::new(format!("there is no answer to: {}", question.text))
                .next("run it on a terminal, or give an answer on each line of standard input"));
        }
        let typed = line.trim();
        let answer = if typed.is_empty() { question.default } else { typed };
        match (question.check)(answer) {
            Ok(()) => return Ok(answer.to_owned()),
            Err(why) => {
                let mut text = Text::new();
                text.indent(2, paint(Tone::Bad, format!("{}: {why}", word::shown(answer))));
                render::complain(&text);
            }
        }
    }
}

fn portfolio_of(
    namespace: &str,
    name: &str,
    business: &str,
    expected: &[(&str, String); 2],
    secret: bool,
) -> String {
    let mut text = format!(
        "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppPortfolio\nmetadata:\n  name: {}\n  namespace: {}\nspec:\n  \
         businessId: {}\n  credentials:\n    accessTokenSecretRef:\n      name: {}\n      key: token\n",
        escape::yaml(name),
        escape::yaml(namespace),
        escape::yaml(business),
        escape::yaml(&format!("{name}-meta")),
    );
    if secret {
        let name = escape::yaml(&format!("{name}-meta"));
        text += &format!("    appSecretRef:\n      name: {name}\n      key: appSecret\n");
    }
    let expected: String = expected
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(field, value)| format!("    {field}: {}\n", escape::yaml(value)))
        .collect();
    if !expected.is_empty() {
        text += &format!("  expect:\n{expected}");
    }
    text
}

fn channel_of(namespace: &str, channel: &str, answers: &[&str; 7]) -> String {
    let [portfolio, account, number, name, zone, method, app] = answers;
    let mut text = format!(
        "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata:\n  name: {}\n  namespace: {}\nspec:\n  \
         portfolioRef:\n    name: {}\n  phoneNumber: {}\n  displayName: {}\n",
        escape::yaml(channel),
        escape::yaml(namespace),
        escape::yaml(portfolio),
        escape::yaml(number),
        escape::yaml(name),
    );
    if !account.is_empty() {
        text += &format!("  accountId: {}\n", escape::yaml(account));
    }
    if !zone.is_empty() {
        text += &format!("  timeZone: {}\n", escape::yaml(zone));
    }
    match *app {
        "yes" => text += "  connection: Coexistence\n",
        _ if *method != METHOD.default => text += &format!("  verification:\n    method: {method}\n"),
        _ => {}
    }
    text
}

fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        Problem::new(format!("cannot write {}: {error}", path.display()))
            .next("name another folder with --folder; a file that is there is not written over")
    })
}
