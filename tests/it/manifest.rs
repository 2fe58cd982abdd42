//! Good and bad manifests: `lint` and a real API server give the same verdict on each.
//!
//! `manifest/good` are taken. `manifest/bad` are refused, with the words of their first line in what lint says.
//! `manifest/update/<case>` are pairs; the second replaces the first, and is refused where it has such a line.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use whatsapp_operator::api;
use whatsapp_operator::cli::finding::{Finding, Severity};
use whatsapp_operator::cli::lint;
use whatsapp_operator::cli::source::{self, Document};

use crate::control_plane::ControlPlane;

const EXPECT: &str = "# expect: ";

fn folder(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/manifest").join(part)
}

fn entries(part: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder(part))
        .expect("the table is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

fn expected(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix(EXPECT)
}

fn errors(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|f| f.severity == Severity::Error).collect()
}

fn lint_errors(text: &str) -> Vec<Finding> {
    errors(lint::source(&source::parse("m.yaml", text)).findings)
}

fn document(text: &str) -> Document {
    source::parse("m.yaml", text).documents.into_iter().next().expect("a document")
}

fn says(findings: &[Finding], words: &str) -> bool {
    findings.iter().any(|finding| finding.to_string().contains(words))
}

/// The pairs: case, first text, second text.
fn updates() -> Vec<(String, String, String)> {
    entries("update")
        .into_iter()
        .map(|case| {
            let read = |file| fs::read_to_string(case.join(file)).expect("both halves are there");
            (name(&case), read("before.yaml"), read("after.yaml"))
        })
        .collect()
}

#[test]
fn lint_takes_every_good_manifest() {
    for path in entries("good") {
        let text = fs::read_to_string(&path).expect("readable");
        assert_eq!(lint_errors(&text), [], "{}", name(&path));
    }
}

#[test]
fn lint_refuses_every_bad_manifest_with_the_field_the_problem_and_the_remedy() {
    let mut wrong = Vec::new();
    for path in entries("bad") {
        let text = fs::read_to_string(&path).expect("readable");
        let words = expected(&text).expect("a bad manifest says what to expect");
        let found = lint_errors(&text);
        if !says(&found, words) {
            wrong.push(format!("{}: wanted {words:?}, got {found:#?}", name(&path)));
        }
        for finding in &found {
            assert!(finding.line > 0 && finding.column > 0 && !finding.remedy.is_empty(), "{finding}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lint_judges_every_update() {
    for (case, before, after) in updates() {
        let found = errors(lint::update(&document(&before), &document(&after)));
        match expected(&after) {
            Some(words) => assert!(says(&found, words), "{case}: {found:#?}"),
            None => assert_eq!(found, [], "{case}"),
        }
    }
}

/// One truth: what the schema takes, the operator can work with, and what it cannot, the schema refuses. A channel that
/// is taken and then stalls leaves its author without a word at the time of writing.
#[test]
fn what_is_taken_does_not_stall_the_operator() {
    let lowers = |text: &str| {
        let document = document(text).without("status");
        match document.kind() {
            "WhatsAppChannel" => document.parse().is_ok_and(|object| api::lower::channel(&object).is_ok()),
            _ => document.parse().is_ok_and(|object| api::lower::portfolio(&object).is_ok()),
        }
    };
    for path in entries("good") {
        assert!(lowers(&fs::read_to_string(&path).expect("readable")), "{}", name(&path));
    }
    let channel = |name: &str, more: &str| {
        format!(
            "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {{name: a}}\nspec:\n  \
             portfolioRef: {{name: acme}}\n  phoneNumber: \"+5511912345678\"\n  displayName: \"{name}\"\n{more}"
        )
    };
    // Written as YAML escapes, so that every blank can be seen.
    let names = [
        "Acme",
        " Acme",
        "Acme ",
        "Acme\\t",
        "\\nAcme",
        "Ac\\nme",
        "Ac\\rme",
        "\\u00a0Acme",
        "Acme\\u3000",
        "\\u2028Acme",
        "Acme\\u0085",
        "\\u000bAcme",
        "Ac",
        "\\u00a0\\u00a0\\u00a0",
        "   ",
    ];
    let hosts = [
        "a.example",
        "a",
        "1.2.3.4",
        "999.999.999.999",
        "a.1",
        "xn--a",
        "a..b",
        "-a",
        "a-",
        "a.",
        "a_b",
        "ä.example",
        "[::1]",
        "u@a",
        "u:p@a",
        "",
        "a:",
        "a:0",
        "a:00080",
        "a:1",
        "a:9999",
        "a:19999",
        "a:59999",
        "a:60000",
        "a:64999",
        "a:65499",
        "a:65529",
        "a:65535",
        "a:65536",
        "a:65540",
        "a:65600",
        "a:66000",
        "a:70000",
        "a:99999",
        "a:100000",
        "a:b",
    ];
    let tails = ["", "/", "/x", "?a=b", "/x y", "/x#y", "/x\\ty", "x", "/ä", "//"];
    let urls = hosts
        .iter()
        .map(|host| format!("https://{host}/wa"))
        .chain(tails.iter().map(|tail| format!("https://a.example{tail}")));
    let others = ["http://a.example", "HTTPS://a.example", "https:/a", " https://a"].map(str::to_owned);
    let places = [
        "",
        "{name: a-pin, key: pin}",
        "{name: a-code, key: code}",
        "{name: s, key: v}",
        "{name: a-pin, key: v}",
    ];
    let mut manifests: Vec<String> = names.iter().map(|name| channel(name, "")).collect();
    manifests.extend(urls.chain(others).map(|url| {
        channel(
            "Acme",
            &format!("  webhook: {{callbackUrl: \"{url}\", verifyTokenSecretRef: {{name: b, key: v}}}}\n"),
        )
    }));
    for code in places {
        for pin in places {
            let part = |part: &str, key: &str, place: &str| match place {
                "" => String::new(),
                place => format!("  {part}: {{{key}: {place}}}\n"),
            };
            let (code, pin) =
                (part("verification", "codeSecretRef", code), part("registration", "pinSecretRef", pin));
            manifests.push(channel("Acme", &format!("{code}{pin}")));
        }
    }
    let (mut taken, mut refused) = (0, 0);
    for text in &manifests {
        let found = lint_errors(text);
        assert_eq!(found.is_empty(), lowers(text), "{text}\n{found:#?}");
        if found.is_empty() { taken += 1 } else { refused += 1 }
    }
    assert!(taken > 30 && refused > 30, "{taken} taken, {refused} refused");
}

/// Meta takes such a name for one with blanks around it; Kubernetes does not.
#[test]
fn a_name_with_unusual_blanks_around_it_is_warned_about() {
    let text =
        fs::read_to_string(folder("good").join("name-with-unusual-blanks-around.yaml")).expect("readable");
    let found = lint::source(&source::parse("m.yaml", &text)).findings;
    let told = found.iter().find(|finding| finding.path == "spec.displayName").expect("a finding");
    assert_eq!(told.severity, Severity::Warning, "{told}");
    assert!(told.message.contains("begins or ends with a space"), "{told}");
}

#[test]
fn an_error_points_at_the_value() {
    let text = "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {name: a}\nspec:\n  \
                portfolioRef: {name: acme}\n  phoneNumber: +5511912345678\n  displayName: Acme\n";
    let found = lint_errors(text);
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["m.yaml:6:16: error: spec.phoneNumber: is a number; put it in quotes: \"+5511912345678\""]
    );
}

#[test]
fn a_name_that_the_server_gives_is_told_and_no_error() {
    let text = fs::read_to_string(folder("good").join("generate-name.yaml")).expect("readable");
    let found = lint::source(&source::parse("m.yaml", &text)).findings;
    assert_eq!(
        found.iter().map(|f| (f.severity, f.path.as_str())).collect::<Vec<_>>(),
        [(Severity::Warning, "metadata.generateName")]
    );
    assert!(found[0].remedy.contains("kubectl create"), "{}", found[0]);
}

#[test]
fn every_example_is_clean_and_says_what_it_shows() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let report = lint::lint(std::slice::from_ref(&examples));
    assert!(!report.has_errors(), "{report:#?}");
    assert!(report.checked >= 9, "{report:#?}");
    for entry in fs::read_dir(examples).expect("examples are there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "yaml") {
            assert!(fs::read_to_string(&path).expect("readable").starts_with("# "), "{}", path.display());
        }
    }
}

// ---- the same table through a real API server ----

/// Applies the CRDs and waits until they are served.
async fn install(client: &Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply("manifest-test").force();
    for crd in [api::channel_crd(), api::portfolio_crd()] {
        let name = crd.metadata.name.clone().expect("a name");
        crds.patch(&name, &params, &Patch::Apply(&crd)).await.expect("the API server takes the CRD");
        await_condition(crds.clone(), &name, is_crd_established()).await.expect("the CRD is served");
    }
}

/// Sends a manifest as it is written, so that the server reads the YAML itself; `Err` holds what it said.
async fn send(client: &Client, method: &str, namespace: &str, text: &str, dry: bool) -> Result<(), String> {
    let document = source::parse("m.yaml", text).documents.into_iter().next();
    let kind = document.as_ref().map(|d| d.kind().to_owned()).unwrap_or_default();
    let version = document.as_ref().map(|d| d.api_version().to_owned()).unwrap_or_default();
    let plural = if kind == "WhatsAppPortfolio" { "whatsappportfolios" } else { "whatsappchannels" };
    // What cannot be read here is sent to where a channel belongs; the server has to refuse it as well.
    let version = if version.is_empty() { "whatsapp-operator.dev/v1alpha1".to_owned() } else { version };
    let object = match (method, document.as_ref().and_then(Document::name)) {
        ("PUT", Some(name)) => format!("/{name}"),
        _ => String::new(),
    };
    let dry = if dry { "&dryRun=All" } else { "" };
    let uri = format!("/apis/{version}/namespaces/{namespace}/{plural}{object}?fieldValidation=Strict{dry}");
    let request = axum::http::Request::builder()
        .method(method)
        .uri(uri)
        .header("content-type", "application/yaml")
        .body(text.as_bytes().to_vec())
        .expect("a request");
    client.request_text(request).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_api_server_gives_the_verdict_of_lint() {
    let plane = ControlPlane::shared().await;
    let client = plane.admin_client();
    install(&client).await;
    let namespace = plane.namespace("manifest").await;
    let mut wrong = Vec::new();
    // Created for good, each where nobody else's name is in the way: a dry run skips some of the checks.
    for path in entries("good") {
        let text = fs::read_to_string(&path).expect("readable");
        let own = plane.namespace("manifest").await;
        if let Err(error) = send(&client, "POST", &own, &text, false).await {
            wrong.push(format!("good {} is refused: {error}", name(&path)));
        }
    }
    for path in entries("bad") {
        let text = fs::read_to_string(&path).expect("readable");
        if send(&client, "POST", &namespace, &text, false).await.is_ok() {
            wrong.push(format!("bad {} is taken", name(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Too large for a file of the table.
#[tokio::test]
async fn annotations_have_the_same_room_for_both() {
    let plane = ControlPlane::shared().await;
    let client = plane.admin_client();
    install(&client).await;
    let namespace = plane.namespace("annotations").await;
    let least = fs::read_to_string(folder("good").join("least.yaml")).expect("readable");
    for (bytes, fits) in [(262_143, true), (262_144, false)] {
        let annotation = format!("metadata: {{annotations: {{a: {}}}, ", "x".repeat(bytes));
        let text = least.replacen("metadata: {", &annotation, 1);
        assert_eq!(lint_errors(&text).is_empty(), fits, "{bytes}");
        assert_eq!(send(&client, "POST", &namespace, &text, true).await.is_ok(), fits, "{bytes}");
    }
}

/// `generateName` with what people use for it.
#[tokio::test]
async fn kubectl_creates_an_object_that_lint_takes_without_a_name() {
    let plane = ControlPlane::shared().await;
    install(&plane.admin_client()).await;
    let namespace = plane.namespace("generated").await;
    let text = fs::read_to_string(folder("good").join("generate-name.yaml")).expect("readable");
    assert_eq!(lint_errors(&text), []);
    let args = |verb| [verb, "--namespace", &namespace, "--filename", "-"];
    let created = plane.kubectl_with_input(args("create"), &text).await;
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let applied = plane.kubectl_with_input(args("apply"), &text).await;
    assert!(!applied.status.success(), "the warning says that apply refuses it");
}

/// A user who applies the manifest without lint sees the message of a rule.
#[tokio::test]
async fn the_api_server_says_what_the_rules_say() {
    let plane = ControlPlane::shared().await;
    let client = plane.admin_client();
    install(&client).await;
    let namespace = plane.namespace("messages").await;
    let mut seen = 0;
    for path in entries("bad") {
        let text = fs::read_to_string(&path).expect("readable");
        let found = lint_errors(&text);
        // Findings of rules name their field in the message, findings of the schema do not.
        let Some(rule) = found.iter().find(|f| f.message.contains(" must ") && !f.path.is_empty()) else {
            continue;
        };
        if found.len() > 1 {
            continue;
        }
        let said = send(&client, "POST", &namespace, &text, true).await.expect_err("refused");
        // Quotes are escaped in the server's text.
        let plain = |text: &str| text.replace(['"', '\\'], "");
        assert!(plain(&said).contains(&plain(&rule.message)), "{}: {said}", name(&path));
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} rules were seen");
}

#[tokio::test]
async fn the_api_server_refuses_the_same_updates() {
    let plane = ControlPlane::shared().await;
    let client = plane.admin_client();
    install(&client).await;
    let mut wrong = Vec::new();
    for (case, before, after) in updates() {
        let namespace = plane.namespace("update").await;
        send(&client, "POST", &namespace, &before, false).await.expect("the first half is taken");
        let current = document(&before);
        let resource_version = resource_version(&client, &namespace, &current).await;
        // An update carries the version that it was computed from.
        let after_text = after.replacen(
            "metadata: {",
            &format!("metadata: {{resourceVersion: \"{resource_version}\", "),
            1,
        );
        let said = send(&client, "PUT", &namespace, &after_text, true).await;
        match (expected(&after), said) {
            (Some(_), Ok(())) => wrong.push(format!("{case} is taken")),
            (None, Err(error)) => wrong.push(format!("{case} is refused: {error}")),
            (Some(words), Err(error)) if !words.contains("is missing") && !error.contains(words) => {
                wrong.push(format!("{case} says {error}"));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn resource_version(client: &Client, namespace: &str, document: &Document) -> String {
    use kube::ResourceExt;
    use whatsapp_operator::api::v1alpha1::{WhatsAppChannel, WhatsAppPortfolio};
    let name = document.name().expect("a name");
    if document.kind() == "WhatsAppPortfolio" {
        let api: Api<WhatsAppPortfolio> = Api::namespaced(client.clone(), namespace);
        api.get(name).await.expect("there").resource_version().expect("a version")
    } else {
        let api: Api<WhatsAppChannel> = Api::namespaced(client.clone(), namespace);
        api.get(name).await.expect("there").resource_version().expect("a version")
    }
}
