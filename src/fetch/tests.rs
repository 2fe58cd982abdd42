#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use reqwest::Certificate;
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

use super::*;

/// A server on this machine, and how to trust it.
struct Server {
    port: u16,
    certificate: Certificate,
}

impl Server {
    /// Answers each path with what `answer` makes of it: a status line, perhaps headers, an empty line and a body.
    fn start(answer: fn(&str) -> Vec<u8>) -> Self {
        Self::start_at("127.0.0.1", answer)
    }

    fn start_at(ip: &str, answer: fn(&str) -> Vec<u8>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), ip.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(tls, stream));
                let mut line = String::new();
                if stream.read_line(&mut line).is_err() {
                    continue;
                }
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {}
                let stream = stream.get_mut();
                let _ = stream.write_all(&answer(&path));
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { port, certificate: Certificate::from_der(made.cert.der()).unwrap() }
    }

    /// As if this machine were the Internet.
    async fn get(&self, path: &str) -> Result<Vec<u8>, Refused> {
        let builder = Client::builder().tls_certs_only([self.certificate.clone()]);
        get(&self.at(path), (1_000, |_| true), |ip| ip.is_loopback(), builder).await
    }

    fn at(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }
}

const MUCH: usize = 1_000_000;

fn answer(path: &str) -> Vec<u8> {
    let to =
        |location: &str| format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let text = match path {
        "/small" => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(1_000)),
        "/large" => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(1_001)),
        "/liar" => format!("HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n{}", "x".repeat(5_000)),
        "/much" => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(MUCH)),
        "/on" => to("/small"),
        "/plain" => to("http://localhost/small"),
        "/inside" => to("https://10.0.0.1/latest/meta-data?secret=1"),
        "/metadata" => to("https://169.254.169.254/latest/meta-data"),
        "/name" => to("https://localhost/small?secret=1"),
        "/user" => to("https://a:b@localhost/small"),
        "/round" => to("/round"),
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    text.into_bytes()
}

#[tokio::test]
async fn a_file_is_downloaded_up_to_its_bound_and_through_a_few_redirects() {
    let server = Server::start(answer);
    for path in ["/small", "/on"] {
        assert_eq!(server.get(path).await.map(|bytes| bytes.len()), Ok(1_000), "{path}");
    }
    for path in ["/large", "/liar"] {
        assert_eq!(server.get(path).await, Err(Refused::TooLarge), "{path}");
    }
    let missing = Refused::Status { host: "localhost".into(), status: 404 };
    assert_eq!(server.get("/none?token=abc").await, Err(missing));
}

#[tokio::test]
async fn room_is_asked_for_as_the_bytes_come_and_without_it_nothing_more_is_read() {
    let server = Server::start(answer);
    let trusted = || Client::builder().tls_certs_only([server.certificate.clone()]);
    let mut asked = Vec::new();
    let bounds = (2 * MUCH, |more| {
        asked.push(more);
        true
    });
    let got = get(&server.at("/much"), bounds, |ip| ip.is_loopback(), trusted()).await.unwrap();
    let all: usize = asked.iter().sum();
    assert_eq!((got.len(), got.capacity()), (MUCH, MUCH));
    assert!((MUCH..=MUCH * 5 / 4).contains(&all) && asked[0] <= 2 * STEP && asked.len() > 5, "{asked:?}");
    let mut left = MUCH / 2;
    let bounds = (2 * MUCH, |more| {
        let has_room = more <= left;
        left -= if has_room { more } else { 0 };
        has_room
    });
    let got = get(&server.at("/much"), bounds, |ip| ip.is_loopback(), trusted()).await;
    assert_eq!(got, Err(Refused::NoRoom));
}

#[tokio::test]
async fn a_redirect_leads_neither_inside_nor_away_from_https_nor_on_and_on() {
    let server = Server::start(answer);
    for (path, says) in [
        ("/plain", "only an https:// address"),
        ("/inside", "10.0.0.1 is not on the public Internet"),
        ("/metadata", "169.254.169.254 is not on the public Internet"),
        ("/user", "without user and password"),
        ("/round", "more than 3 times"),
    ] {
        let Err(Refused::Address(why)) = server.get(path).await else { panic!("{path}") };
        assert!(why.contains(says) && !why.contains("secret"), "{path}: {why}");
    }
}

/// The first address is as good as any. The second one is a name, and only where that leads says that it is inside.
#[tokio::test]
async fn a_redirect_to_a_name_that_leads_inside_is_not_followed() {
    const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let server = Server::start_at("127.0.0.2", answer);
    let get = async |path: &str| {
        let builder = Client::builder().tls_certs_only([server.certificate.clone()]);
        let address = format!("https://{OUTSIDE}:{}{path}", server.port);
        get(&address, (1_000, |_| true), |ip| ip == OUTSIDE, builder).await
    };
    assert_eq!(get("/small").await.map(|bytes| bytes.len()), Ok(1_000));
    let got = get("/name").await;
    let Err(Refused::Address(why)) = got else { panic!("{got:?}") };
    assert!(why.contains("localhost is not on the public Internet") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn what_the_operator_is_given_reaches_nothing_inside_however_it_is_written() {
    let server = Server::start(answer);
    let port = server.port;
    for host in [
        "localhost",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.96.0.1",
    ] {
        let got = fetch(&format!("https://{host}:{port}/small?token=abc"), 1_000, |_| true).await;
        let Err(Refused::Address(why)) = got else { panic!("{host}: {got:?}") };
        assert!(why.contains("is not on the public Internet") && !why.contains("token"), "{why}");
    }
    for address in
        ["http://acme.example/logo.png", "ftp://acme.example/", "file:///etc/passwd", "logo.png", ""]
    {
        assert!(matches!(fetch(address, 1_000, |_| true).await, Err(Refused::Address(_))), "{address}");
    }
}

#[test]
fn only_addresses_of_the_public_internet_are_public() {
    let is = |text: &str| is_public(text.parse().unwrap());
    for public in ["8.8.8.8", "93.184.216.34", "100.63.0.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111"] {
        assert!(is(public), "{public}");
    }
    assert!(is("::ffff:8.8.8.8") && is("64:ff9b::8.8.8.8") && is("2002:808:808::1"));
    for inside in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ] {
        assert!(!is(inside), "{inside}");
    }
}
