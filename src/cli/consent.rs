//! `send-code`, `retry`, `request-official-account` and `reconcile`: a consent is an annotation with a value that was never there before.
//!
//! The operator answers each value once: it uses it for one step, or says why not. These
//! commands set it, and follow the answer when asked to. The value is the time at which it is set, in the form of RFC 3339,
//! since a consent is good for a while only.

mod answer;
mod many;

pub use answer::{Answer, Wanted, cannot};
pub use many::Answers;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use answer::{Consent, FollowArgs, ask};

use crate::{
    api::lower,
    cli::{
        channel::{Channel, fresh},
        exit::{Ending, Exit, Problem},
        list::WhichArgs,
        named::Named,
        portfolio::Portfolio,
        render::{self, Printed, Text},
    },
};

/// Which channels, and whether to follow.
#[derive(Clone, Debug, Args)]
pub struct ConsentArgs {
    /// Name of the channel.
    #[arg(
        value_name = "NAME",
        required_unless_present = "selector",
        conflicts_with_all = ["selector", "all_namespaces"]
    )]
    pub name: Option<String>,
    #[command(flatten)]
    pub which: WhichArgs,
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// One channel, and whether to follow.
#[derive(Clone, Debug, Args)]
pub struct OfficialArgs {
    /// Name of the channel.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub follow: FollowArgs,
}

/// A look at Meta that was asked for of a portfolio.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    /// Name of the portfolio.
    portfolio: String,
    /// Its namespace.
    namespace: String,
    /// The value that the annotation was given.
    value: String,
}

impl Printed for Looked {
    const KIND: &'static str = "PortfolioReconcile";
}

/// Gives a consent to one channel, and follows it with `--wait`.
async fn give(consent: Consent, name: &str, follow: &FollowArgs) -> Ending {
    let channel = Channel::open(name, &follow.cluster).await?;
    let object = channel.read().await?;
    if let Some(why) = cannot(&channel, &object, consent.wanted()) {
        return Err(why);
    }
    let answer = ask(consent, &channel, &object, follow).await?;
    render::print(follow.output.output, &answer, |answer| answer::text(consent, answer))?;
    Ok(answer.exit())
}

async fn give_to(consent: Consent, args: &ConsentArgs) -> Ending {
    match &args.name {
        Some(name) => give(consent, name, &args.follow).await,
        None => many::give(consent, &args.which, &args.follow).await,
    }
}

/// Asks Meta to send a code to the phone.
///
/// # Errors
///
/// When a channel cannot be written, or nobody answers in time.
pub async fn send_code(args: &ConsentArgs) -> Result<Exit, Problem> {
    give_to(Consent::SendCode, args).await
}

/// Allows one more attempt of what waits for a person.
///
/// # Errors
///
/// See [`send_code`].
pub async fn retry(args: &ConsentArgs) -> Result<Exit, Problem> {
    give_to(Consent::Retry, args).await
}

/// Has the operator look at Meta now.
///
/// # Errors
///
/// See [`send_code`].
pub async fn reconcile(args: &ConsentArgs) -> Result<Exit, Problem> {
    if let Some(Named::Portfolio(name)) = args.name.as_deref().map(Named::parse).transpose()? {
        if args.follow.wait {
            return Err(Problem::new(
                "--wait is for channels: the status of a portfolio does not tell which look it comes from",
            )
            .next(format!(
                "run it without --wait, then see the status: kubectl whatsapp status portfolio/{name} --watch"
            )));
        }
        let portfolio = Portfolio::open(&name, &args.follow.cluster).await?;
        let value = fresh();
        portfolio.annotate(lower::RECONCILE, &value).await?;
        let given = Looked { portfolio: name, namespace: portfolio.namespace, value };
        render::print(args.follow.output.output, &given, |given| {
            Text::of(&format!("portfolio {}: {}", given.portfolio, Consent::Reconcile.asked()))
        })?;
        return Ok(Exit::Done);
    }
    give_to(Consent::Reconcile, args).await
}

/// Has an official business account requested, once.
///
/// # Errors
///
/// See [`send_code`].
pub async fn request_official(args: &OfficialArgs) -> Result<Exit, Problem> {
    give(Consent::Official, &args.name, &args.follow).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        consent: ConsentArgs,
    }

    #[test]
    fn it_takes_a_name_or_labels_and_not_both() {
        for (line, is_right) in [
            (&["x", "support"][..], true),
            (&["x", "-l", "wave=3"], true),
            (&["x", "-A", "-l", "wave=3"], true),
            (&["x"], false),
            (&["x", "-A"], false),
            (&["x", "support", "-l", "wave=3"], false),
            (&["x", "support", "-A"], false),
        ] {
            assert_eq!(Line::try_parse_from(line).is_ok(), is_right, "{line:?}");
        }
    }
}
