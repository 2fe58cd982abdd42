//! Downloads one file from the public Internet, at an address that whoever writes manifests has chosen.
//!
//! So it must not reach what only the operator reaches. Every address that a name leads to is checked, the connection goes
//! to one of those, and so it is after each redirect. No proxy is used: it would look names up by itself. What is said of a
//! failure names the host alone, since path and query may hold a signature.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client, ClientBuilder, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::{Attempt, Policy},
};
use url::{Host, Url};

/// Redirects that are followed.
const REDIRECTS: usize = 3;
/// All of it, redirects included.
const DEADLINE: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// Room is taken by so many bytes at least, and by a quarter of what there is.
const STEP: usize = 64 * 1024;

/// Why nothing was downloaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The address is none that may be used.
    #[error("{0}")]
    Address(String),
    #[error("the file is too large")]
    TooLarge,
    #[error("{host} answered with HTTP status {status}")]
    Status { host: String, status: u16 },
    /// Not now.
    #[error("{0}")]
    Unreachable(String),
    /// Whoever asked has no room for more of it now.
    #[error("there is no room for the file now")]
    NoRoom,
}

/// Which addresses may be connected to.
type May = fn(IpAddr) -> bool;

/// Downloads what is at an https address, up to so many bytes. It asks for room for more of them as they come.
///
/// # Errors
///
/// Says why there is nothing, without path and query of the address.
pub async fn fetch(
    address: &str,
    most: usize,
    has_room: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, Refused> {
    get(address, (most, has_room), is_public, Client::builder()).await
}

/// Whether an address may be used, as far as it is written. Where its name leads is not looked up.
///
/// # Errors
///
/// Says why not.
pub fn written(address: &str) -> Result<(), Refused> {
    check(&parsed(address)?, is_public)
}

fn parsed(address: &str) -> Result<Url, Refused> {
    Url::parse(address).map_err(|_| Refused::Address("it is not a full https:// address".into()))
}

async fn get(
    address: &str,
    bounds: (usize, impl FnMut(usize) -> bool),
    may: May,
    builder: ClientBuilder,
) -> Result<Vec<u8>, Refused> {
    let url =
        Url::parse(address).map_err(|_| Refused::Address("it is not a full https:// address".into()))?;
    check(&url, may)?;
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = builder
        .user_agent(concat!("whatsapp-operator/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        .no_proxy()
        .no_gzip()
        .referer(false)
        .timeout(DEADLINE)
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(Checked(may)))
        .redirect(Policy::custom(move |attempt| follow(attempt, may)))
        .build()
        .map_err(|error| {
            Refused::Unreachable(format!("no client for the download: {}", innermost(&error)))
        })?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let response = client.get(url).send().await.map_err(|error| failed(&host, &error))?;
    read(response, bounds).await
}

async fn read(
    mut response: Response,
    (most, mut has_room): (usize, impl FnMut(usize) -> bool),
) -> Result<Vec<u8>, Refused> {
    let host = response.url().host_str().unwrap_or_default().to_owned();
    let status = response.status();
    if !status.is_success() {
        return Err(Refused::Status { host, status: status.as_u16() });
    }
    let (mut bytes, mut room) = (Vec::new(), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(&host, &error))? {
        let length = bytes.len() + chunk.len();
        if length > most {
            return Err(Refused::TooLarge);
        }
        if length > room {
            let next = length.max(room + STEP.max(room / 4)).min(most);
            if !has_room(next - room) {
                return Err(Refused::NoRoom);
            }
            room = next;
            bytes.reserve_exact(room - bytes.len());
        }
        bytes.extend_from_slice(&chunk);
    }
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// An address as it is written: https, no user, and no number of a host inside.
fn check(url: &Url, may: May) -> Result<(), Refused> {
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Address("only an https:// address without user and password is used".into()));
    }
    let number: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        Some(Host::Domain(_)) => None,
        None => return Err(Refused::Address("the address has no host".into())),
    };
    match number {
        Some(ip) if !may(ip) => Err(not_public(url.host_str().unwrap_or_default())),
        _ => Ok(()),
    }
}

fn not_public(host: &str) -> Refused {
    Refused::Address(format!("{host} is not on the public Internet; put the picture at a public address"))
}

fn follow(attempt: Attempt, may: May) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(Refused::Address(format!("it leads on more than {REDIRECTS} times")));
    }
    match check(attempt.url(), may) {
        Ok(()) => attempt.follow(),
        Err(Refused::Address(why)) => {
            attempt.error(Refused::Address(format!("it leads elsewhere, and {why}")))
        }
        Err(refused) => attempt.error(refused),
    }
}

/// Looks a name up, and gives its addresses only where all of them may be used.
struct Checked(May);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let may = self.0;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if found.is_empty() {
                return Err(Refused::Unreachable(format!("{host} has no address")).into());
            }
            if !found.iter().all(|address| may(address.ip())) {
                return Err(not_public(&host).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// What we refused ourselves is for good, anything else for now.
fn failed(host: &str, error: &reqwest::Error) -> Refused {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(one) = cause {
        if let Some(refused) = one.downcast_ref::<Refused>() {
            return refused.clone();
        }
        cause = one.source();
    }
    let why = match error {
        _ if error.is_timeout() => "it did not answer in time".into(),
        _ => innermost(error),
    };
    Refused::Unreachable(format!("{host}: {why}"))
}

/// The innermost reason, which names no address.
fn innermost(error: &reqwest::Error) -> String {
    let mut reason: Option<&(dyn Error + 'static)> = error.source();
    let mut text = "no reason given".to_owned();
    while let Some(one) = reason {
        text = one.to_string();
        reason = one.source();
    }
    text
}

/// Whether an address is one of the public Internet, and none that clouds keep for their own machines.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    // IANA's registry of special addresses; the last is where Azure answers its machines.
    let is_special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || ip == Ipv4Addr::new(168, 63, 129, 16);
    !is_special
}

/// Addresses that hold one of IPv4 are as public as that.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let all = ip.segments();
    let (a, b, zeros) = (all[0], all[1], &all[2..6]);
    let v4 = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        (0, 0) if *zeros == [0, 0, 0, 0xffff] => v4(all[6], all[7]),
        (0x64, 0xff9b) if *zeros == [0; 4] => v4(all[6], all[7]),
        (0x2002, _) => v4(b, all[2]),
        // Teredo and other protocols, and documentation.
        (0x2001, 0..0x200 | 0xdb8) => false,
        (0x3fff, 0..0x1000) => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests;
