//! The way out to Meta in a network that has a proxy and an authority of its own: what the chart's `extraEnv` and `caBundle`
//! put around the process is what it goes by.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};

use serde_json::json;

use crate::cli::{stderr, stdout};
use crate::plan::{Desk, TOKEN, run};
use crate::rig::BUSINESS;

/// Known to nobody but the proxy.
pub const HOST: &str = "graph.acme.example";

/// A proxy that leads every connection to one TLS server, whatever its name, and takes down what it was asked.
pub struct Network {
    pub proxy: String,
    asked: Arc<Mutex<Vec<String>>>,
    pub authority: String,
}

impl Network {
    /// In front of a plain server at this address.
    pub async fn before(server: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("its key");
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("they fit");
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let proxy = format!("http://{}", listener.local_addr().expect("a bound port"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, server, told) = (tls.clone(), server.clone(), told.clone());
                // Whoever does not trust it hangs up.
                tokio::spawn(async move { lead(stream, &tls, &server, &told).await });
            }
        });
        Self { proxy, asked, authority: made.cert.pem() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

async fn lead(
    mut stream: TcpStream,
    tls: &TlsAcceptor,
    server: &str,
    told: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    told.lock().expect("nobody panicked").push(line);
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let (mut inner, mut outer) = (TcpStream::connect(server).await?, tls.accept(stream).await?);
    copy_bidirectional(&mut outer, &mut inner).await.map(drop)
}

/// A folder as the kubelet mounts a ConfigMap.
pub fn mounted(folder: &Path, text: &str) {
    fs::create_dir_all(folder.join("..2026_01_01")).expect("a folder");
    fs::write(folder.join("..2026_01_01/ca.crt"), text).expect("a file");
    symlink("..2026_01_01", folder.join("..data")).expect("a link");
    symlink("..data/ca.crt", folder.join("ca.crt")).expect("a link");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_meta_go_by_the_proxy_and_trust_the_bundle_of_the_chart() {
    let desk = Desk::new().await;
    let network = Network::before(desk.url.trim_start_matches("http://").to_owned()).await;
    let token = format!("acme={}", desk.file("token", TOKEN));
    let url = format!("https://{HOST}");
    let args = ["import", "--business", BUSINESS, "--token-file", &token, "--graph-url", &url];
    let folder = tempfile::tempdir().expect("a folder");
    mounted(folder.path(), &network.authority);
    // As the chart's Deployment has it, in a place of this test.
    let trusted = format!("/etc/ssl/certs:{}", folder.path().display());

    let proxied = [("HTTPS_PROXY", network.proxy.as_str()), ("SSL_CERT_DIR", &trusted)];
    let output = run(&args, &proxied, "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("kind: WhatsAppPortfolio"), "{}", stdout(&output));
    let asked = network.asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| line == &format!("CONNECT {HOST}:443 HTTP/1.1")),
        "{asked:?}"
    );

    let output = run(&args, &proxied[..1], "");
    assert_ne!(output.status.code(), Some(0), "an authority that nobody gave is not trusted");
    assert!(stderr(&output).contains("invalid peer certificate"), "{}", stderr(&output));

    let before = network.asked().len();
    let output = run(&args, &[&proxied[..], &[("NO_PROXY", HOST)]].concat(), "");
    assert_ne!(output.status.code(), Some(0), "nobody else knows the name");
    assert_eq!(network.asked().len(), before, "it is left out");
}

/// Where the chart has the process look for authorities: in the image's folder, and in that of the chart's bundle.
pub fn trusted_folders() -> Vec<String> {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/whatsapp-operator/templates/deployment.yaml");
    let template = fs::read_to_string(template).expect("it is there");
    let (_, value) = template.split_once("- name: SSL_CERT_DIR\n").expect("it is set");
    let value = value.lines().next().expect("a value").trim().strip_prefix("value: ").expect("a value");
    let folders: Vec<String> = value.split(':').map(str::to_owned).collect();
    assert!(folders.len() == 2 && folders[0] == "/etc/ssl/certs", "that of the image comes first: {value}");
    assert!(template.contains(&format!("mountPath: {}\n", folders[1])), "the bundle is mounted there");
    folders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_of_the_chart_is_trusted_beside_that_of_the_image() {
    let desk = Desk::new().await;
    let server = desk.url.trim_start_matches("http://").to_owned();
    let (of_image, of_chart) = (Network::before(server.clone()).await, Network::before(server).await);
    let token = format!("acme={}", desk.file("token", TOKEN));
    let url = format!("https://{HOST}");
    let args = ["import", "--business", BUSINESS, "--token-file", &token, "--graph-url", &url];
    let root = tempfile::tempdir().expect("a folder");
    let folders = trusted_folders();
    let at = |folder: &String| root.path().join(folder.trim_start_matches('/'));
    fs::create_dir_all(at(&folders[0])).expect("a folder");
    fs::write(at(&folders[0]).join("ca-certificates.crt"), &of_image.authority).expect("a file");
    mounted(&at(&folders[1]), &of_chart.authority);
    let both = folders.iter().map(|folder| at(folder).display().to_string()).collect::<Vec<_>>();
    for (network, trusted, is_trusted) in [
        (&of_image, both.join(":"), true),
        (&of_chart, both.join(":"), true),
        (&of_image, both[0].clone(), true),
        (&of_chart, both[0].clone(), false),
    ] {
        let output = run(&args, &[("HTTPS_PROXY", network.proxy.as_str()), ("SSL_CERT_DIR", &trusted)], "");
        assert_eq!(output.status.code() == Some(0), is_trusted, "{trusted}: {}", stderr(&output));
    }
}

/// A pod calls its API server directly. A person with a kubeconfig may have to go by a proxy, as with kubectl.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_reaches_a_cluster_by_the_proxy_as_kubectl_does() {
    let desk = Desk::new().await;
    let network = Network::before(desk.url.trim_start_matches("http://").to_owned()).await;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": format!("https://{HOST}")}}],
        "users": [{"name": "it", "user": {"token": "made-up"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    let kubeconfig = desk.file("kubeconfig", &kubeconfig.to_string());
    let environment =
        [("KUBECONFIG", kubeconfig.as_str()), ("HTTPS_PROXY", &network.proxy), ("NO_PROXY", HOST)];
    for (environment, is_asked) in [(&environment[..2], true), (&environment[..], false)] {
        let before = network.asked().len();
        let output = run(&["status", "support"], environment, "");
        assert_ne!(output.status.code(), Some(0), "there is no such cluster");
        assert_eq!(network.asked().len() > before, is_asked, "{}", stderr(&output));
    }
    assert!(network.asked()[0].starts_with(&format!("CONNECT {HOST}:443 ")), "{:?}", network.asked());
}
