//! Checks manifests offline, with the verdict of the API server.
//!
//! An error is what the API server (or kubectl in front of it) refuses, and nothing else. What Meta and not
//! Kubernetes may refuse, such as a display name against its guidelines, is a warning, however certain it is.

use std::{collections::BTreeMap, path::PathBuf, sync::LazyLock};

use super::{
    finding::{Finding, Report, Severity},
    parallel,
    schema::{self, Kind},
    source::{self, Content, Document, Node, Source},
    word::{closest, shown},
};
use crate::api::{
    channel_crd,
    lower::{self, GROUP},
    portfolio_crd,
};
use crate::engine::{limits::Limits, line, name, phone::E164, spelling::Canonical, timezone, username};
use crate::fetch;

/// Annotation by which a manifest says how `plan --sandbox` begins for it; nobody else reads it.
pub const SANDBOX: &str = "whatsapp-operator.dev/sandbox";
/// On a channel: its number is registered already.
pub const REGISTERED: &str = "registered";
/// On a portfolio: it has no account yet.
pub const NO_ACCOUNT: &str = "no-account";

/// Checks files, folders and standard input.
pub fn lint(paths: &[PathBuf]) -> Report {
    source(&source::read(paths))
}

/// Checks what was read.
pub fn source(source: &Source) -> Report {
    let errors = source.errors.iter().cloned().map(Finding::from);
    let notes = source.notes.iter().cloned().map(Finding::from);
    let notes = notes.map(|note| Finding { severity: Severity::Note, ..note });
    let mut report = Report { findings: errors.chain(notes).collect(), checked: 0 };
    let checked = parallel::each(&source.documents, |document| {
        let kind = kind_of(document)?;
        let refused = schema::check(kind, document);
        let mut findings = advice(document, &refused);
        findings.extend(refused);
        Ok(findings)
    });
    let mut seen = Seen::default();
    for (document, checked) in source.documents.iter().zip(checked) {
        match checked {
            Ok(findings) => {
                report.checked += 1;
                report.findings.extend(findings);
                report.findings.extend(seen.add(document));
            }
            Err(finding) => report.findings.extend::<Option<Finding>>(finding),
        }
    }
    report
}

/// Checks one document as if it replaced another.
pub fn update(old: &Document, new: &Document) -> Vec<Finding> {
    match kind_of(new) {
        Ok(kind) => schema::check_update(kind, old, new),
        Err(finding) => finding.into_iter().collect(),
    }
}

/// The kinds that are checked. It takes a moment to make them, and each manifest needs one.
static KINDS: LazyLock<[Kind; 2]> = LazyLock::new(|| [channel_crd(), portfolio_crd()].map(Kind::of));

/// The kind of a document; else why there is none, which for a kind of somebody else's is a note.
fn kind_of(document: &Document) -> Result<&'static Kind, Option<Finding>> {
    let root = &document.root;
    if !matches!(root.content, Content::Map(_)) {
        return Err(Some(Finding::new(
            document,
            Severity::Error,
            "",
            root.at,
            "is not a Kubernetes object",
            "write a map with apiVersion, kind, metadata and spec",
        )));
    }
    for field in ["apiVersion", "kind"] {
        if root.get(field).and_then(Node::as_str).is_none_or(str::is_empty) {
            return Err(Some(Finding::new(
                document,
                Severity::Error,
                field,
                document.position(field),
                "is missing, or not a text",
                format!(
                    "add it, as in {}",
                    if field == "kind" {
                        "kind: WhatsAppChannel".to_owned()
                    } else {
                        format!("apiVersion: {GROUP}/v1alpha1")
                    }
                ),
            )));
        }
    }
    let kinds = KINDS.each_ref().map(|kind| kind.crd.spec.names.kind.clone());
    if document.group() == GROUP {
        if let Some(kind) = KINDS.iter().find(|kind| kind.crd.spec.names.kind == document.kind()) {
            return Ok(kind);
        }
        let remedy = closest(document.kind(), kinds.iter().map(String::as_str))
            .map_or_else(|| format!("write {}", kinds.join(" or ")), |near| format!("did you mean {near}?"));
        return Err(Some(Finding::new(
            document,
            Severity::Error,
            "kind",
            document.position("kind"),
            format!("{GROUP} has no kind {}", shown(document.kind())),
            remedy,
        )));
    }
    if kinds.iter().any(|kind| kind == document.kind()) {
        return Err(Some(Finding::new(
            document,
            Severity::Error,
            "apiVersion",
            document.position("apiVersion"),
            format!("is {}, which has no {}", shown(document.api_version()), document.kind()),
            format!("write {GROUP}/v1alpha1"),
        )));
    }
    Err(Some(Finding::new(
        document,
        Severity::Note,
        "",
        root.at,
        format!("{} is not a kind of {GROUP}", document.kind()),
        "it is skipped here; check it with kubectl apply --dry-run=server",
    )))
}

/// Advice that never refuses: what Meta is likely to do with this name and this number.
fn advice(document: &Document, refused: &[Finding]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_refused =
        |path: &str| refused.iter().any(|found| found.severity == Severity::Error && found.path == path);
    let annotations = document.root.get("metadata").and_then(|m| m.get("annotations"));
    let word = if document.kind() == "WhatsAppChannel" { REGISTERED } else { NO_ACCOUNT };
    if let Some(value) = annotations.and_then(|all| all.get(SANDBOX))
        && value.as_str().is_some_and(|value| value != word)
    {
        findings.push(Finding::new(
            document,
            Severity::Warning,
            &format!("metadata.annotations.{SANDBOX}"),
            value.at,
            "is no beginning that plan --sandbox knows for this kind",
            format!("write {word}, or remove it"),
        ));
    }
    let Some(spec) = document.root.get("spec") else { return findings };
    if document.kind() != "WhatsAppChannel" {
        return findings;
    }
    if let Some(node) = spec.get("displayName")
        && let Some(name) = node.as_str()
    {
        // What the schema refuses already is not said twice.
        for finding in name::lint(name, &Limits::default()) {
            if matches!(finding.rule, "TooShort" | "TooLong" | "OuterSpace") && is_refused("spec.displayName")
            {
                continue;
            }
            let (message, remedy) = halves(&finding.message, "choose another name, or let Meta decide");
            findings.push(Finding::new(
                document,
                Severity::Warning,
                "spec.displayName",
                node.at,
                message,
                remedy,
            ));
        }
    }
    if let Some(node) = spec.get("username")
        && let Some(problem) = node.as_str().and_then(username::problem)
        && !is_refused("spec.username")
    {
        let (message, remedy) = problem.split_once("; ").unwrap_or((problem, "choose another one"));
        findings.push(Finding::new(document, Severity::Warning, "spec.username", node.at, message, remedy));
    }
    if let Some(node) = spec.get("phoneNumber")
        && let Some(Ok(number)) = node.as_str().map(E164::parse)
        && let Some(warning) = line::advice(&number).warning
    {
        let (message, remedy) = halves(&warning, "check the number, or use another one");
        findings.push(Finding::new(
            document,
            Severity::Warning,
            "spec.phoneNumber",
            node.at,
            message,
            remedy,
        ));
    }
    let picture = spec.get("profile").and_then(|profile| profile.get("pictureRef"));
    if let Some(node) = picture.and_then(|picture| picture.get("url"))
        && !is_refused("spec.profile.pictureRef.url")
        && let Some(Err(why)) = node.as_str().map(fetch::written)
    {
        findings.push(Finding::new(
            document,
            Severity::Warning,
            "spec.profile.pictureRef.url",
            node.at,
            format!("leads nowhere that a picture is downloaded from: {why}"),
            "use an address of the public Internet, or a ConfigMap",
        ));
    }
    if let Some(node) = spec.get("timeZone")
        && let Some(zone) = node.as_str()
        && timezone::id(zone).is_none()
    {
        findings.push(Finding::new(
            document,
            Severity::Warning,
            "spec.timeZone",
            node.at,
            "is not in the table of Meta's time zones, so it cannot be compared with the account's",
            "check its spelling, as in America/Sao_Paulo",
        ));
    }
    for key in lower::CONSENTS {
        if let Some(entry) = annotations.and_then(|a| a.entry(key)) {
            findings.push(Finding::new(
                document,
                Severity::Warning,
                &format!("metadata.annotations.{key}"),
                entry.at,
                "is a consent: one act, soon after it is set, and none where it comes with a new object",
                "remove it, and give the consent with kubectl annotate when it is needed",
            ));
        }
    }
    idle(document, spec, &mut findings);
    if let Some(reference) = spec.get("portfolioRef").and_then(|r| r.get("namespace"))
        && reference.as_str().is_some()
        && reference.as_str() == document.namespace()
    {
        findings.push(Finding::new(
            document,
            Severity::Note,
            "spec.portfolioRef.namespace",
            reference.at,
            "is the channel's own namespace",
            "it may be left out",
        ));
    }
    findings
}

/// What a spec asks for and another field of it makes idle.
fn idle(document: &Document, spec: &Node, findings: &mut Vec<Finding>) {
    let mut warn = |path: &str, node: &Node, message: String, remedy: String| {
        findings.push(Finding::new(document, Severity::Warning, path, node.at, message, remedy));
    };
    let text = |key: &str| spec.get(key).and_then(Node::as_str);
    let policy = text("deletionPolicy");
    let has_region = spec.get("registration").is_some_and(|group| group.get("storageRegion").is_some());
    if let Some(Content::List(consents)) = spec.get("acknowledge").map(|node| &node.content) {
        for node in consents {
            let (is_used, subject) = match node.as_str() {
                Some("DeregisterSharedNumber") => {
                    (policy == Some("Deregister"), "deletionPolicy: Deregister")
                }
                Some("ReregisterForStorageRegion") => (has_region, "registration.storageRegion"),
                Some("TransferUsername") => (spec.get("username").is_some(), "username"),
                _ => continue,
            };
            if !is_used {
                let message = format!("consents to what the spec does not ask for: it has no {subject}");
                let remedy = format!("set {subject}, or remove the consent");
                warn("spec.acknowledge", node, message, remedy);
            }
        }
    }
    if let Some(node) = spec.get("deletionPolicy")
        && text("managementPolicy") == Some("ObserveOnly")
        && policy.is_some_and(|policy| policy != "Retain")
    {
        let message = "takes nothing back with managementPolicy ObserveOnly, which writes nothing".to_owned();
        warn(
            "spec.deletionPolicy",
            node,
            message,
            "set managementPolicy Full before the deletion".to_owned(),
        );
    }
    if text("connection") == Some("Coexistence") {
        for key in ["verification", "registration"] {
            if let Some(entry) = spec.entry(key) {
                let message = "does nothing with connection Coexistence: the number is verified and registered in the WhatsApp Business app";
                warn(&format!("spec.{key}"), &entry.value, message.to_owned(), "remove it".to_owned());
            }
        }
    }
}

/// Splits a text of the engine into what is wrong and what to do.
fn halves(text: &str, otherwise: &str) -> (String, String) {
    match text.split_once("; ") {
        Some((message, remedy)) => (message.to_owned(), remedy.to_owned()),
        None => (text.to_owned(), otherwise.to_owned()),
    }
}

/// Objects and numbers across all manifests.
#[derive(Default)]
struct Seen {
    objects: BTreeMap<(String, String, String), (String, usize)>,
    numbers: BTreeMap<Canonical, (String, usize)>,
    usernames: BTreeMap<String, (String, usize)>,
    /// By namespace, Secret and key.
    codes: BTreeMap<[String; 3], (String, usize)>,
}

impl Seen {
    fn add(&mut self, document: &Document) -> Vec<Finding> {
        let mut findings = Vec::new();
        let here = (document.file.clone(), document.root.at.line);
        let Some(name) = document.name() else { return findings };
        let key = (
            document.kind().to_owned(),
            document.namespace().unwrap_or_default().to_owned(),
            name.to_owned(),
        );
        if let Some((file, line)) = self.objects.insert(key, here.clone()) {
            findings.push(Finding::new(
                document,
                Severity::Warning,
                "metadata.name",
                document.position("metadata.name"),
                format!("{} {name} is also in {file}:{line}; the last one applied wins", document.kind()),
                "keep one of them",
            ));
            return findings;
        }
        let number = document.root.get("spec").and_then(|s| s.get("phoneNumber"));
        if let Some(number) = number
            && let Some(Ok(parsed)) = number.as_str().map(E164::parse)
            && let Some((file, line)) = self.numbers.insert(parsed.canonical(), here.clone())
        {
            findings.push(Finding::new(
                document,
                Severity::Warning,
                "spec.phoneNumber",
                number.at,
                format!("is also the number of the channel in {file}:{line}; only one of them manages it"),
                "keep one of them",
            ));
        }
        let username = document.root.get("spec").and_then(|s| s.get("username"));
        if let Some(node) = username
            && let Some(wanted) = node.as_str().map(str::to_ascii_lowercase)
            && let Some((file, line)) = self.usernames.insert(wanted, here.clone())
        {
            findings.push(Finding::new(
                document,
                Severity::Warning,
                "spec.username",
                node.at,
                format!("is also the username of the channel in {file}:{line}; Meta gives it to one number"),
                "keep it in one of them",
            ));
        }
        findings.extend(self.add_code(document, name, here));
        findings
    }

    /// A code is for one number. Wherever two channels find it, one of them spends an attempt on it.
    fn add_code(&mut self, document: &Document, name: &str, here: (String, usize)) -> Option<Finding> {
        if document.kind() != "WhatsAppChannel" {
            return None;
        }
        let verification = document.root.get("spec").and_then(|spec| spec.get("verification"));
        let place = verification.and_then(|verification| verification.get("codeSecretRef"));
        let text = |field| place.and_then(|place| place.get(field)).and_then(Node::as_str);
        let secret = text("name").map_or_else(|| format!("{name}-code"), str::to_owned);
        let key = text("key").unwrap_or("code").to_owned();
        let namespace = document.namespace().unwrap_or_default().to_owned();
        let (file, line) = self.codes.insert([namespace, secret.clone(), key.clone()], here)?;
        let path = if place.is_some() { "spec.verification.codeSecretRef" } else { "metadata.name" };
        Some(Finding::new(
            document,
            Severity::Warning,
            path,
            document.position(path),
            format!("takes its code from key {key} of Secret {secret}, as does the channel in {file}:{line}"),
            "give each channel a Secret of its own; leave codeSecretRef out for one that is named after the channel",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str, number: &str, display: &str) -> String {
        format!(
            "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {{name: {name}}}\n\
             spec:\n  portfolioRef: {{name: acme}}\n  phoneNumber: \"{number}\"\n  displayName: {display}\n---\n"
        )
    }

    fn check(text: &str) -> Report {
        source(&source::parse("m.yaml", text))
    }

    #[test]
    fn a_name_that_meta_would_decline_is_a_warning() {
        let report = check(&channel("a", "+5511912345678", "WhatsApp Support"));
        assert!(!report.has_errors(), "{report:#?}");
        let finding = &report.findings[0];
        assert_eq!((finding.severity, finding.path.as_str()), (Severity::Warning, "spec.displayName"));
        assert_eq!((finding.line, finding.column), (7, 16));
        assert!(finding.remedy.starts_with("leave it out"), "{finding}");
    }

    #[test]
    fn a_name_that_looks_like_another_is_a_warning() {
        for (name, says) in [
            (r#""Acme \u202EShop""#, "holds U+202E"),
            (r#""Acme\u200BShop""#, "holds U+200B"),
            ("Acme \u{2066}Shop", "holds U+2066"),
            ("\u{410}cme Shop", "of Cyrillic and Latin"),
        ] {
            let report = check(&channel("a", "+5511912345678", name));
            assert!(!report.has_errors(), "{report:#?}");
            let found: Vec<_> = report.findings.iter().filter(|found| found.message.contains(says)).collect();
            assert_eq!(found.len(), 1, "{says}: {report:#?}");
            let found = (found[0].severity, found[0].path.as_str(), found[0].line, found[0].column);
            assert_eq!(found, (Severity::Warning, "spec.displayName", 7, 16));
        }
        assert!(check(&channel("a", "+5511912345678", "アクメ商 Tokyo")).findings.is_empty());
    }

    #[test]
    fn each_consent_in_a_manifest_is_a_warning() {
        for key in ["send-code", "retry", "request-official-account", "reconcile"] {
            let path = format!("metadata.annotations.whatsapp-operator.dev/{key}");
            let name = format!("a, annotations: {{whatsapp-operator.dev/{key}: now}}");
            let report = check(&channel(&name, "+5511912345678", "Acme Suporte"));
            let found: Vec<_> = report.findings.iter().map(|f| (f.severity, f.path.as_str())).collect();
            assert_eq!(found, [(Severity::Warning, path.as_str())]);
        }
    }

    #[test]
    fn what_another_field_makes_idle_is_a_warning() {
        let region = "registration: {storageRegion: BR}";
        for (more, paths) in [
            ("acknowledge: [DeregisterSharedNumber]", &["spec.acknowledge"][..]),
            ("acknowledge: [DeregisterSharedNumber]\n  deletionPolicy: Unroute", &["spec.acknowledge"]),
            ("acknowledge: [DeregisterSharedNumber]\n  deletionPolicy: Deregister", &[]),
            ("acknowledge: [ReregisterForStorageRegion]", &["spec.acknowledge"]),
            (&format!("acknowledge: [ReregisterForStorageRegion]\n  {region}"), &[]),
            ("acknowledge: [TransferUsername]", &["spec.acknowledge"]),
            ("acknowledge: [TransferUsername]\n  username: acme.br", &[]),
            ("managementPolicy: ObserveOnly\n  deletionPolicy: Unroute", &["spec.deletionPolicy"]),
            ("managementPolicy: ObserveOnly\n  deletionPolicy: Retain", &[]),
            ("managementPolicy: Full\n  deletionPolicy: Unroute", &[]),
            ("connection: Coexistence\n  registration: {pinPolicy: Keep}", &["spec.registration"]),
            ("connection: Coexistence\n  verification: {method: Sms}", &["spec.verification"]),
            ("connection: CloudApi\n  verification: {method: Sms}", &[]),
        ] {
            let text = channel("a", "+5511912345678", "Acme Suporte");
            let report = check(&text.replace("---\n", &format!("  {more}\n---\n")));
            let found: Vec<_> = report.findings.iter().map(|found| found.path.as_str()).collect();
            assert_eq!((report.has_errors(), found), (false, paths.to_vec()), "{more}: {report:#?}");
        }
    }

    #[test]
    fn a_number_in_no_plan_is_a_warning() {
        let report = check(&channel("a", "+99912345678", "Acme Suporte"));
        assert_eq!(report.findings.len(), 1, "{report:#?}");
        assert_eq!(report.findings[0].path, "spec.phoneNumber");
    }

    #[test]
    fn a_picture_at_an_address_inside_is_a_warning() {
        let with = |url: &str| {
            let profile = format!("  profile: {{pictureRef: {{url: \"{url}\"}}}}\n---\n");
            check(&channel("a", "+5511912345678", "Acme Suporte").replace("---\n", &profile))
        };
        for url in ["https://169.254.169.254/logo.png", "https://10.0.0.1/", "https://2130706433/x"] {
            let report = with(url);
            let found: Vec<_> = report.findings.iter().map(|found| found.path.as_str()).collect();
            assert_eq!((report.has_errors(), found), (false, vec!["spec.profile.pictureRef.url"]), "{url}");
        }
        assert_eq!(with("https://acme.example/logo.png").findings, []);
        assert!(with("http://acme.example/logo.png").has_errors());
    }

    #[test]
    fn one_number_in_two_channels_is_a_warning() {
        let text = channel("a", "+5511912345678", "Acme Um") + &channel("b", "+5511912345678", "Acme Dois");
        let report = check(&text);
        assert!(report.findings[0].message.contains("m.yaml:1; only one of them"), "{report:#?}");
    }

    #[test]
    fn one_username_in_two_channels_is_a_warning() {
        let with = |name, number, username: &str| {
            channel(name, number, "Acme Um").replace("---\n", &format!("  username: {username}\n---\n"))
        };
        let (one, two) = ("+5511912345678", "+5511912345679");
        let both = check(&(with("a", one, "acme.br") + &with("b", two, "Acme.BR")));
        let found: Vec<_> = both.findings.iter().map(|found| (found.path.as_str(), found.severity)).collect();
        assert_eq!(found, [("spec.username", Severity::Warning)], "{both:#?}");
        assert!(both.findings[0].message.contains("in m.yaml:1; Meta gives it to one number"), "{both:#?}");
        assert_eq!(check(&(with("a", one, "acme.br") + &with("b", two, "acme.rj"))).findings, []);
    }

    #[test]
    fn a_username_that_meta_does_not_take_is_a_warning_at_its_place() {
        let with = |username: &str| {
            let line = format!("  username: {username}\n---\n");
            check(&channel("a", "+5511912345678", "Acme Um").replace("---\n", &line))
        };
        let report = with("acme.com");
        let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["m.yaml:8:13: warning: spec.username: ends like a web address; leave the ending out"]
        );
        assert!(!report.has_errors());
        assert_eq!(with("acme.comercial").findings, []);
    }

    #[test]
    fn one_code_secret_in_two_channels_is_a_warning() {
        let with = |name, number, code: &str| {
            let place = format!("  verification: {{codeSecretRef: {{name: {code}, key: code}}}}\n---\n");
            channel(name, number, "Acme Um").replace("---\n", &place)
        };
        let (one, two) = ("+5511912345678", "+5511912345679");
        let shared = check(&(with("a", one, "shared") + &with("b", two, "shared")));
        assert!(shared.findings[0].message.contains("Secret shared, as does the channel"), "{shared:#?}");
        let of_another = check(&(with("a", one, "b-code") + &channel("b", two, "Acme Dois")));
        assert!(of_another.findings[0].message.contains("Secret b-code"), "{of_another:#?}");
        assert_eq!(check(&(with("a", one, "c") + &channel("b", two, "Acme Dois"))).findings, []);
    }

    #[test]
    fn one_object_twice_is_a_warning() {
        let text = channel("a", "+5511912345678", "Acme Um") + &channel("a", "+5511912345679", "Acme Dois");
        assert!(check(&text).findings[0].message.contains("the last one applied wins"));
    }

    #[test]
    fn one_number_in_two_spellings_is_a_warning() {
        let text = channel("one", "+5531987654321", "Acme") + &channel("two", "+553187654321", "Acme");
        let report = check(&text);
        assert!(
            report.findings[0].message.contains("is also the number of the channel in m.yaml:1"),
            "{report:#?}"
        );
        let text = channel("one", "+5531987654321", "Acme") + &channel("two", "+5531987654322", "Acme");
        assert!(check(&text).findings.is_empty());
    }

    #[test]
    fn another_kind_is_skipped_with_a_note() {
        let report =
            check("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {token: hunter2}\n");
        assert_eq!((report.checked, report.has_errors()), (0, false));
        assert_eq!(report.findings[0].severity, Severity::Note);
        assert!(!report.findings[0].to_string().contains("hunter2"));
    }

    #[test]
    fn a_beginning_that_no_plan_knows_is_a_warning() {
        let text = channel("{NAME}", "+5511912345678", "Acme Suporte");
        for (word, findings) in [(REGISTERED, 0), (NO_ACCOUNT, 1)] {
            let metadata = format!("a, annotations: {{{SANDBOX}: {word}}}");
            let report = check(&text.replace("{NAME}", &metadata));
            assert!(!report.has_errors() && report.findings.len() == findings, "{report:#?}");
        }
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let report = lint(&[PathBuf::from("there/is/no/such.yaml")]);
        assert!(report.has_errors());
        assert!(
            report.findings[0].to_string().starts_with("there/is/no/such.yaml:1:1: error: cannot be read")
        );
    }
}
