//! The handshake with a callback.
//!
//! Only this machine is ever called. Any other address answers what the table or the
//! switch says, so that nothing leaves the machine.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::envelope::Refusal;
use super::switch::EndpointAnswer;

/// How long a callback may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than this is no challenge.
const MAX_ANSWER: u64 = 64 * 1024;

/// The URL points to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Asks a callback to repeat the challenge. `answer` is what a callback that is not
/// called for real says.
pub(super) async fn handshake(
    url: &str,
    verify_token: &str,
    challenge: u32,
    answer: Option<EndpointAnswer>,
) -> Result<(), Refusal> {
    let challenge = challenge.to_string();
    let answered = match (answer, Url::parse(url)) {
        (Some(EndpointAnswer::Echo), _) => Some((200, challenge.clone())),
        (Some(EndpointAnswer::WrongChallenge), _) => Some((200, "ok".to_owned())),
        (Some(EndpointAnswer::Refuse), _) => Some((403, String::new())),
        (None, Ok(mut url)) if is_loopback(&url) => {
            url.query_pairs_mut()
                .append_pair("hub.mode", "subscribe")
                .append_pair("hub.challenge", &challenge)
                .append_pair("hub.verify_token", verify_token);
            timeout(PATIENCE, get(&url)).await.ok().flatten()
        }
        _ => None,
    };
    match answered {
        Some((200, body)) if body == challenge => Ok(()),
        Some((200, _)) => Err(Refusal::new(2201, "The callback did not answer with the challenge")),
        _ => Err(Refusal::new(2200, "Callback verification failed")),
    }
}

/// A GET by HTTP/1.0, so that the answer ends where the connection does.
async fn get(url: &Url) -> Option<(u16, String)> {
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    if url.scheme() != "http" {
        return None;
    }
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.ok()?;
    let path = url.path();
    let query = url.query().unwrap_or_default();
    let request = format!(
        "GET {path}?{query} HTTP/1.0\r\nHost: {host}:{port}\r\nUser-Agent: facebookplatform/1.0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
