//! How to reach Meta: the address, the version, and what is wrong with them.

use std::{fmt, net::IpAddr, sync::Arc};

use url::{Host, Url};

use crate::engine::limits::Limits;

/// Where the Graph API is, unless a flag says otherwise.
pub const DEFAULT_URL: &str = "https://graph.facebook.com";
/// The version that everything here was written against (Graph API, "Versions"); usable until July 2028.
pub const DEFAULT_VERSION: &str = "v25.0";

/// How to reach Meta.
#[derive(Clone, Debug)]
pub struct Settings {
    pub base_url: Url,
    /// With the `v`.
    pub version: String,
    pub limits: Limits,
    /// Asked right before each request of a write.
    pub may_write: MayWrite,
}

/// Whether a write may leave at this moment. Whoever builds the client knows; the client only asks.
#[derive(Clone)]
pub struct MayWrite(Arc<dyn Fn() -> bool + Send + Sync>);

impl MayWrite {
    /// For whoever is alone.
    pub fn always() -> Self {
        Self::when(|| true)
    }

    /// As this says.
    pub fn when(says: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(says))
    }

    /// Whether it holds at this moment.
    pub(super) fn holds(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for MayWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayWrite").field(&self.holds()).finish()
    }
}

impl Settings {
    /// Meta's own address and the version that we know.
    ///
    /// # Errors
    ///
    /// When the built-in address cannot be parsed.
    pub fn new(limits: Limits) -> Result<Self, BadSettings> {
        let base_url = Url::parse(DEFAULT_URL).map_err(|_| BadSettings::Address)?;
        Ok(Self { base_url, version: DEFAULT_VERSION.to_owned(), limits, may_write: MayWrite::always() })
    }
}

/// Why no client can be built.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    #[error(
        "--graph-url must begin with https://; plain http:// is for loopback addresses such as 127.0.0.1 only"
    )]
    NotHttps,
    #[error("--graph-url must be an address without user, password, query and fragment")]
    Address,
    #[error("--graph-version must look like v25.0")]
    Version,
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
}

/// Checks address and version; whether the address is on this machine.
pub(super) fn check(url: &Url, version: &str) -> Result<bool, BadSettings> {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err(BadSettings::Address),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        _ => return Err(BadSettings::NotHttps),
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(BadSettings::Address);
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match version.strip_prefix('v').and_then(|rest| rest.split_once('.')) {
        Some((major, minor)) if is_number(major) && is_number(minor) => Ok(is_loopback),
        _ => Err(BadSettings::Version),
    }
}
