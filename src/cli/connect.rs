//! The way to the cluster: kubectl's own flags, in one place for every command, and a deadline around each call.

use std::{collections::HashMap, io::ErrorKind, path::PathBuf, sync::OnceLock, time::Duration};

use clap::Args;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use secrecy::SecretString;

use super::exit::Problem;
use crate::cluster::{DEADLINE, causes, client};

/// How long an answer is waited for, where --request-timeout says it.
static ANSWER_WITHIN: OnceLock<Duration> = OnceLock::new();

/// Where the help shows these flags, apart from those of a command.
const HEADING: &str = "Connection, as of kubectl";

/// Which cluster, as whom, and which namespace. Names and meaning are kubectl's.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// The namespace; else the one of the context.
    #[arg(help_heading = HEADING, short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The context of the kubeconfig; else the current one.
    #[arg(help_heading = HEADING, long, value_name = "CONTEXT")]
    context: Option<String>,
    /// The kubeconfig; else KUBECONFIG, else ~/.kube/config.
    #[arg(help_heading = HEADING, long, value_name = "FILE", hide_short_help = true)]
    kubeconfig: Option<PathBuf>,
    /// The cluster of the kubeconfig; else that of the context.
    #[arg(help_heading = HEADING, long, value_name = "CLUSTER", hide_short_help = true)]
    cluster: Option<String>,
    /// The user of the kubeconfig; else that of the context.
    #[arg(help_heading = HEADING, long, value_name = "USER", hide_short_help = true)]
    user: Option<String>,
    /// Address of the API server.
    #[arg(help_heading = HEADING, short, long, value_name = "URL", hide_short_help = true)]
    server: Option<String>,
    /// Bearer token for the API server.
    #[arg(help_heading = HEADING, long, value_name = "TOKEN", value_parser = secret, hide_short_help = true)]
    token: Option<SecretString>,
    /// Acts as this user, or as this ServiceAccount: system:serviceaccount:NAMESPACE:NAME.
    #[arg(help_heading = HEADING, long = "as", value_name = "USER", hide_short_help = true)]
    as_user: Option<String>,
    /// Acts as a member of this group; may be given again.
    #[arg(help_heading = HEADING, long = "as-group", value_name = "GROUP", requires = "as_user", hide_short_help = true)]
    as_groups: Vec<String>,
    /// Acts with this uid.
    #[arg(help_heading = HEADING, long, value_name = "UID", requires = "as_user", hide_short_help = true)]
    as_uid: Option<String>,
    /// Acts with more about the user, as in scopes=view; may be given again.
    #[arg(help_heading = HEADING, long = "as-user-extra", value_name = "KEY=VALUE", requires = "as_user", value_parser = extra, hide_short_help = true)]
    as_extras: Vec<(String, String)>,
    /// Name for a proxy that asks for one.
    #[arg(help_heading = HEADING, long, value_name = "USERNAME", requires = "password", hide_short_help = true)]
    username: Option<String>,
    /// Password for that name.
    #[arg(help_heading = HEADING, long, value_name = "PASSWORD", requires = "username", conflicts_with = "token", value_parser = secret, hide_short_help = true)]
    password: Option<SecretString>,
    /// Certificates of the authorities that the API server is checked against.
    #[arg(help_heading = HEADING, long, value_name = "FILE", hide_short_help = true)]
    certificate_authority: Option<PathBuf>,
    /// Certificate of the user.
    #[arg(help_heading = HEADING, long, value_name = "FILE", hide_short_help = true)]
    client_certificate: Option<String>,
    /// Key of that certificate.
    #[arg(help_heading = HEADING, long, value_name = "FILE", hide_short_help = true)]
    client_key: Option<String>,
    /// Does not check the certificate of the API server. Whoever is in between can read everything, codes too.
    #[arg(help_heading = HEADING, long, conflicts_with = "certificate_authority", hide_short_help = true)]
    insecure_skip_tls_verify: bool,
    /// The name that the certificate of the API server has to have; else that of its address.
    #[arg(help_heading = HEADING, long, value_name = "NAME", hide_short_help = true)]
    tls_server_name: Option<String>,
    /// How long to wait for one answer of the API server, as in 30s or 2m; 0 waits without end, none is 10s.
    #[arg(help_heading = HEADING, long, value_name = "TIME", value_parser = within, hide_short_help = true)]
    request_timeout: Option<Duration>,
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

/// More about a user, as kubectl takes it.
fn extra(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE, as in scopes=view".to_owned()),
    }
}

/// A time as kubectl takes it: with a unit, or in seconds; 0 is no end, for which a year does.
fn within(text: &str) -> Result<Duration, String> {
    let endless = Duration::from_secs(8_760 * 3_600);
    if let Ok(seconds) = text.parse() {
        let time = Duration::from_secs(seconds);
        return Ok(if time.is_zero() || time > endless { endless } else { time });
    }
    super::run::duration(text)
}

impl ClusterArgs {
    /// What there is to reach the cluster with.
    async fn config(&self) -> Result<Config, String> {
        let mut config = self.found(&usual()).await?;
        if let Some(server) = &self.server {
            config.cluster_url =
                server.parse().map_err(|error| format!("--server {server} is no address: {error}"))?;
        }
        if let Some(path) = &self.certificate_authority {
            let unread =
                |why: String| format!("cannot read --certificate-authority {}: {why}", path.display());
            let found = CertificateDer::pem_file_iter(path).map_err(|error| unread(error.to_string()))?;
            let found: Result<Vec<_>, _> = found.map(|one| one.map(|one| one.to_vec())).collect();
            let found = found.map_err(|error| unread(error.to_string()))?;
            if found.is_empty() {
                return Err(unread("there is no certificate in it".to_owned()));
            }
            (config.root_cert, config.root_cert_file) = (Some(found), None);
            config.accept_invalid_certs = false;
        }
        if self.insecure_skip_tls_verify {
            (config.root_cert, config.root_cert_file) = (None, None);
            config.accept_invalid_certs = true;
        }
        if self.tls_server_name.is_some() {
            config.tls_server_name = self.tls_server_name.clone();
        }
        let who = &mut config.auth_info;
        if let Some(token) = &self.token {
            who.token = Some(token.clone());
            (who.token_file, who.username, who.password) = (None, None, None);
            (who.exec, who.auth_provider) = (None, None);
        }
        if let (Some(name), Some(password)) = (&self.username, &self.password) {
            (who.username, who.password) = (Some(name.clone()), Some(password.clone()));
            (who.token, who.token_file, who.exec, who.auth_provider) = (None, None, None, None);
        }
        if self.client_certificate.is_some() {
            (who.client_certificate, who.client_certificate_data) = (self.client_certificate.clone(), None);
        }
        if self.client_key.is_some() {
            (who.client_key, who.client_key_data) = (self.client_key.clone(), None);
        }
        if self.as_user.is_some() {
            who.impersonate = self.as_user.clone();
            who.impersonate_groups = (!self.as_groups.is_empty()).then(|| self.as_groups.clone());
            who.impersonate_uid = self.as_uid.clone();
            let mut extras: HashMap<String, Vec<String>> = HashMap::new();
            for (key, value) in &self.as_extras {
                extras.entry(key.clone()).or_default().push(value.clone());
            }
            who.impersonate_user_extra = (!extras.is_empty()).then_some(extras);
        }
        Ok(config)
    }

    /// Of the kubeconfig, of the pod, or of --server alone. `usual` is where the kubeconfig is when no flag says it.
    async fn found(&self, usual: &[PathBuf]) -> Result<Config, String> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
        };
        let is_chosen = [&self.context, &self.cluster, &self.user].into_iter().any(Option::is_some);
        let (files, file) = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
                (std::slice::from_ref(path), Some(file))
            }
            None => (usual, read(usual)?),
        };
        if let Some(file) = file {
            // Else it would be somebody without a name who asks.
            if let Some(user) =
                self.user_of(&file).filter(|user| !file.auth_infos.iter().any(|one| one.name == *user))
            {
                return Err(format!("the kubeconfig {} has no user {user}", places(files)));
            }
            match (Config::from_custom_kubeconfig(file, &options).await, &self.server) {
                // One that chooses no cluster says nothing of this one.
                (Err(KubeconfigError::CurrentContextNotSet), Some(_)) if !is_chosen => {}
                (config, _) => return config.map_err(|error| broken(files, &error)),
            }
        } else if is_chosen {
            return Err(format!("there is no kubeconfig at {}", places(usual)));
        } else if let Ok(config) = Config::incluster() {
            return Ok(config);
        }
        match &self.server {
            Some(server) => {
                let url = server.parse();
                url.map(Config::new).map_err(|error| format!("--server {server} is no address: {error}"))
            }
            None => Err(format!("there is no kubeconfig at {}, and this is no pod", places(usual))),
        }
    }

    /// Who asks, by the flags and a kubeconfig.
    fn user_of(&self, file: &Kubeconfig) -> Option<String> {
        let chosen = self.context.as_ref().or(file.current_context.as_ref());
        let context = file.contexts.iter().find(|context| Some(&context.name) == chosen);
        let of_context = || context?.context.as_ref()?.user.clone();
        self.user.clone().or_else(of_context)
    }

    /// The flags that name the cluster and the namespace again, for a command that is told to a person.
    pub fn again(&self, namespace: &str) -> String {
        let quoted = |flag: &str, value: &str| format!(" {flag} {}", quoted(value));
        let file = self.kubeconfig.as_ref().map(|file| file.display().to_string());
        let once = [
            ("--context", &self.context),
            ("--kubeconfig", &file),
            ("--cluster", &self.cluster),
            ("--user", &self.user),
            ("--server", &self.server),
            ("--as", &self.as_user),
        ];
        let once = once.into_iter().filter_map(|(flag, value)| Some(quoted(flag, value.as_deref()?)));
        let groups = self.as_groups.iter().map(|group| quoted("--as-group", group));
        let extras =
            self.as_extras.iter().map(|(key, value)| quoted("--as-user-extra", &format!("{key}={value}")));
        once.chain(groups).chain(extras).fold(format!("-n {namespace}"), |told, flag| told + &flag)
    }
}

/// The files of KUBECONFIG, else the one in the home directory.
fn usual() -> Vec<PathBuf> {
    let of_variable = std::env::var_os("KUBECONFIG").map(|files| {
        std::env::split_paths(&files).filter(|path| !path.as_os_str().is_empty()).collect::<Vec<_>>()
    });
    let of_home = || std::env::home_dir().map(|home| home.join(".kube").join("config"));
    of_variable.filter(|files| !files.is_empty()).unwrap_or_else(|| of_home().into_iter().collect())
}

/// What stands in those of the files that exist, if any does.
fn read(files: &[PathBuf]) -> Result<Option<Kubeconfig>, String> {
    let mut whole: Option<Kubeconfig> = None;
    for path in files {
        let one = match Kubeconfig::read_from(path) {
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => continue,
            one => one.and_then(|one| whole.take().unwrap_or_default().merge(one)),
        };
        whole = Some(one.map_err(|error| broken(std::slice::from_ref(path), &error))?);
    }
    Ok(whole)
}

fn broken(files: &[PathBuf], error: &KubeconfigError) -> String {
    format!("cannot use the kubeconfig {}: {error}", places(files))
}

fn places(files: &[PathBuf]) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A word as a shell takes it for one.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A client and the namespace to work in.
///
/// # Errors
///
/// When there is no kubeconfig, or it makes no client.
pub async fn connect(args: &ClusterArgs) -> Result<(Client, String), Problem> {
    if let Some(time) = args.request_timeout {
        ANSWER_WITHIN.get_or_init(|| time);
    }
    let config = args.config().await.map_err(|error| {
        Problem::new(format!("no cluster: {error}"))
            .next("point KUBECONFIG at a kubeconfig, or choose one with --kubeconfig and --context")
    })?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    let client = client(config).map_err(|error| {
        let problem = Problem::new(format!("no cluster: {}", causes(&error)));
        match plugin {
            Some(command) => problem.next(format!(
                "see that the program of this user in the kubeconfig is installed and can log in: {command}"
            )),
            None => problem.next("see what the kubeconfig says of this user: kubectl config view --minify"),
        }
    })?;
    Ok((client, namespace))
}

/// Puts a deadline around a call and words around its failure.
///
/// # Errors
///
/// When the call fails or takes too long; `what` says what was tried.
pub async fn call<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Problem> {
    let limit = *ANSWER_WITHIN.get().unwrap_or(&DEADLINE);
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(refused(what, &status)),
        Ok(Err(error)) => Err(unreachable(what, &causes(&error))),
        Err(_) => Err(unreachable(what, &format!("no answer within {} s", limit.as_secs()))),
    }
}

fn unreachable(what: &str, why: &str) -> Problem {
    let next = match why.contains("certificate") {
        true => {
            "name the authority of the API server with --certificate-authority, or the name in its certificate with --tls-server-name"
        }
        false => "check that the cluster can be reached: kubectl version",
    };
    Problem::new(format!("cannot {what}: {why}")).passing().next(next)
}

fn refused(what: &str, status: &kube::core::Status) -> Problem {
    // What stands before the API server may answer with a number and no word.
    let why = match status.message.is_empty() {
        true => format!("HTTP status {} without a reason", status.code),
        false => status.message.clone(),
    };
    let problem = Problem::new(format!("cannot {what}: {why}"));
    match status.code {
        401 => problem.next("log in to the cluster again"),
        403 if status.message.contains("at the cluster scope") => problem.forbidden().next(
            "look in one namespace with -n instead of -A, or ask for the role view in all namespaces, by a ClusterRoleBinding",
        ),
        403 => problem.forbidden().next("ask for the role edit in that namespace"),
        404 if status.message.contains("the server could not find the requested resource") => {
            Problem::new(format!("cannot {what}: this cluster does not know the kind"))
                .next("install the CRDs: kubectl whatsapp crd | kubectl apply --server-side --force-conflicts -f -")
        }
        404 => problem.next("see which there are: kubectl get whatsapp --all-namespaces"),
        429 | 500.. => problem.passing(),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        cluster: ClusterArgs,
    }

    fn args(line: &[&str]) -> ClusterArgs {
        Line::try_parse_from([&["x"], line].concat()).unwrap_or_else(|error| panic!("{error}")).cluster
    }

    fn kubeconfig(folder: &tempfile::TempDir) -> String {
        let path = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
            clusters:\n- {name: a, cluster: {server: 'https://a.example'}}\n- {name: b, cluster: {server: 'https://b.example'}}\n\
            users:\n- {name: ana, user: {token: of-ana}}\n- {name: bea, user: {token: of-bea}}\n\
            contexts:\n- {name: one, context: {cluster: a, user: ana, namespace: shop}}\n\
            - {name: two, context: {cluster: b, user: bea}}\n";
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    #[tokio::test]
    async fn the_flags_of_kubectl_mean_what_they_mean_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = kubeconfig(&folder);
        for (more, url, token, namespace) in [
            (&[][..], "https://a.example/", "of-ana", "shop"),
            (&["--context", "two"], "https://b.example/", "of-bea", "default"),
            (&["--cluster", "b"], "https://b.example/", "of-ana", "shop"),
            (&["--user", "bea"], "https://a.example/", "of-bea", "shop"),
            (&["-s", "https://c.example"], "https://c.example/", "of-ana", "shop"),
            (&["--token", "given"], "https://a.example/", "given", "shop"),
        ] {
            let config =
                args(&[&["--kubeconfig", file.as_str()], more].concat()).config().await.expect("one");
            let said = config.auth_info.token.as_ref().map(|token| token.expose_secret().to_owned());
            assert_eq!(config.cluster_url.to_string(), url, "{more:?}");
            assert_eq!(said.as_deref(), Some(token), "{more:?}");
            assert_eq!(config.default_namespace, namespace, "{more:?}");
        }
        let more = [
            "--kubeconfig",
            &file,
            "--as",
            "help-desk",
            "--as-group",
            "g",
            "--as-group",
            "h",
            "--as-uid",
            "u",
        ];
        let who = args(&more).config().await.expect("one").auth_info;
        assert_eq!(who.impersonate.as_deref(), Some("help-desk"));
        assert_eq!(who.impersonate_groups, Some(vec!["g".to_owned(), "h".to_owned()]));
        assert_eq!(who.impersonate_uid.as_deref(), Some("u"));
        let more =
            ["--kubeconfig", &file, "--as", "ana", "--as-user-extra", "a=1", "--as-user-extra", "a=2=3"];
        let who = args(&more).config().await.expect("one").auth_info;
        let extras = HashMap::from([("a".to_owned(), vec!["1".to_owned(), "2=3".to_owned()])]);
        assert_eq!((who.impersonate_groups, who.impersonate_user_extra), (None, Some(extras)));
        let more = ["--kubeconfig", &file, "--username", "ana", "--password", "canary"];
        let who = args(&more).config().await.expect("one").auth_info;
        assert_eq!((who.username.as_deref(), who.token.is_none()), (Some("ana"), true));
        let more = ["--kubeconfig", &file, "--insecure-skip-tls-verify", "--tls-server-name", "other"];
        let config = args(&more).config().await.expect("one");
        assert!(config.accept_invalid_certs && config.root_cert.is_none());
        assert_eq!(config.tls_server_name.as_deref(), Some("other"));
    }

    #[tokio::test]
    async fn a_flag_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = kubeconfig(&folder);
        for (more, said) in [
            (["--context", "three"], "three"),
            (["--certificate-authority", file.as_str()], "--certificate-authority"),
            (["--server", "not an address"], "--server"),
        ] {
            let more = [&["--kubeconfig", file.as_str()], &more[..]].concat();
            let refused = args(&more).config().await.expect_err("refused");
            assert!(refused.contains(said), "{more:?}: {refused}");
        }
        let more = ["--kubeconfig", "/nowhere/config"];
        assert!(args(&more).config().await.expect_err("refused").contains("/nowhere/config"));
        let none = args(&["--kubeconfig", &file, "--user", "nobody"]).config().await.expect_err("refused");
        assert!(none.contains(&file) && none.contains("has no user nobody"), "{none}");
    }

    #[tokio::test]
    async fn a_certificate_authority_ends_what_the_kubeconfig_does_not_check() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, authority) = (folder.path().join("config"), folder.path().join("ca.pem"));
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
            clusters:\n- {name: a, cluster: {server: 'https://a.example', insecure-skip-tls-verify: true}}\n\
            users:\n- {name: ana, user: {token: of-ana}}\n\
            contexts:\n- {name: one, context: {cluster: a, user: ana}}\n";
        std::fs::write(&path, text).expect("written");
        std::fs::write(&authority, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .expect("written");
        let (path, authority) = (path.display().to_string(), authority.display().to_string());
        let file = ["--kubeconfig", &path];
        assert!(args(&file).config().await.expect("one").accept_invalid_certs, "as the kubeconfig says");
        let more = [&file[..], &["--certificate-authority", &authority]].concat();
        let config = args(&more).config().await.expect("one");
        assert!(!config.accept_invalid_certs && config.root_cert.is_some());
    }

    #[tokio::test]
    async fn with_an_address_a_missing_kubeconfig_is_ignored_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        let (missing, broken, empty) = (place("missing"), place("broken"), place("empty"));
        std::fs::write(&broken, "clusters: {").expect("written");
        std::fs::write(&empty, "apiVersion: v1\nkind: Config\n").expect("written");
        let good = PathBuf::from(kubeconfig(&folder));
        let plain = args(&[]);
        let config =
            plain.found(&[missing.clone(), kubeconfig(&folder).into()]).await.expect("one of two is there");
        assert_eq!(config.default_namespace, "shop");
        let refused = plain.found(std::slice::from_ref(&missing)).await.expect_err("none is there");
        assert!(refused.contains("there is no kubeconfig at") && refused.contains("missing"), "{refused}");
        let args = args(&["--server", "https://c.example"]);
        for ignored in [vec![missing.clone()], vec![empty], vec![]] {
            let config = args.found(&ignored).await.expect("the address is enough");
            assert!(config.auth_info.token.is_none(), "{ignored:?}");
        }
        let config = args.found(&[missing, good.clone()]).await.expect("one of two");
        assert_eq!(config.default_namespace, "shop");
        let refused = args.found(&[good, broken.clone()]).await.expect_err("broken");
        assert!(refused.contains(&broken.display().to_string()), "{refused}");
    }

    /// As kubectl does: what one file lacks, another has.
    #[tokio::test]
    async fn a_kubeconfig_may_be_spread_over_files_of_which_some_are_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("apiVersion: v1\nkind: Config\n{text}\n")).expect("written");
            path
        };
        let files = [
            part(
                "one",
                "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u, namespace: shop}}]",
            ),
            folder.path().join("missing"),
            part("two", "clusters: [{name: c, cluster: {server: 'https://c.example'}}]"),
            part("three", "users: [{name: u, user: {token: of-u}}]"),
        ];
        for more in [&[][..], &["--context", "x"]] {
            let config = args(more).found(&files).await.expect("one of all");
            assert_eq!(config.cluster_url.to_string(), "https://c.example/", "{more:?}");
            assert_eq!(config.default_namespace, "shop", "{more:?}");
            assert!(config.auth_info.token.is_some(), "{more:?}");
        }
        let none = args(&["--context", "x"]).found(&files[1..2]).await.expect_err("no file");
        assert!(none.contains("missing"), "{none}");
    }

    #[test]
    fn what_cannot_be_reached_is_told_down_to_its_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("client error (Connect)")]
        struct Outer(#[source] std::io::Error);
        let refused = Outer(std::io::Error::other("Connection refused"));
        assert_eq!(causes(&refused), "client error (Connect): Connection refused");
        let next = |why: &str| unreachable("read it", why).remedy().map(str::to_owned).unwrap_or_default();
        assert!(next("Connection refused").contains("kubectl version"));
        assert!(next("invalid peer certificate: UnknownIssuer").contains("--certificate-authority"));
    }

    #[test]
    fn who_may_not_look_everywhere_is_told_to_look_in_one_namespace() {
        let refused = |message: &str| {
            let status = kube::core::Status {
                code: 403,
                message: message.to_owned(),
                ..kube::core::Status::default()
            };
            super::refused("list", &status).remedy().map(str::to_owned).unwrap_or_default()
        };
        assert!(refused("cannot list resource \"x\" at the cluster scope").contains("with -n instead of -A"));
        assert!(refused("cannot list resource \"x\" in the namespace \"shop\"").contains("role edit"));
    }

    #[test]
    fn a_token_is_not_shown() {
        for line in [&["--token", "canary"][..], &["--username", "ana", "--password", "canary"]] {
            assert!(!format!("{:?}", args(line)).contains("canary"));
        }
    }

    #[test]
    fn a_time_is_written_as_for_kubectl() {
        let second = Duration::from_secs(1);
        for (text, time) in [("30s", 30 * second), ("2m", 120 * second), ("5", 5 * second)] {
            assert_eq!(within(text), Ok(time), "{text}");
        }
        assert!(within("0").expect("no end") > 8_000 * 3_600 * second);
        assert!(within("soon").is_err());
    }

    #[test]
    fn a_command_that_is_told_reaches_the_same_cluster() {
        assert_eq!(args(&[]).again("shop"), "-n shop");
        let told = args(&["--context", "my cluster", "--kubeconfig", "./k"]).again("shop");
        assert_eq!(told, "-n shop --context 'my cluster' --kubeconfig ./k");
        let who = ["--as", "help desk", "--as-group", "g", "--as-group", "h", "--token", "canary"];
        let told = args(&who).again("shop");
        assert_eq!(told, "-n shop --as 'help desk' --as-group g --as-group h", "never what is secret");
        let place = ["--server", "https://c.example", "--user", "bea", "--cluster", "b", "--client-key", "k"];
        let told = args(&place).again("shop");
        assert_eq!(told, "-n shop --cluster b --user bea --server https://c.example");
    }
}
