//! The profile picture: where it comes from, and what is known of it.

use jiff::Timestamp;

use crate::engine::value::{desired::SecretKey, word::words};

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PictureSource {
    /// A key in `binaryData` of a ConfigMap of the channel's namespace.
    ConfigMap(SecretKey),
    /// A key in a Secret of the channel's namespace.
    Secret(SecretKey),
    /// An https address.
    Url(String),
}

impl PictureSource {
    /// The field that names it.
    pub fn field(&self) -> &'static str {
        match self {
            Self::ConfigMap(_) => "spec.profile.pictureRef.configMapKeyRef",
            Self::Secret(_) => "spec.profile.pictureRef.secretKeyRef",
            Self::Url(_) => "spec.profile.pictureRef.url",
        }
    }

    /// All of it, to be compared. An address may hold a signature, so this is never shown.
    pub(in crate::engine) fn whole(&self) -> String {
        match self {
            Self::ConfigMap(of) => format!("configmap {} {}", of.name, of.key),
            Self::Secret(of) => format!("secret {} {}", of.name, of.key),
            Self::Url(url) => format!("url {url}"),
        }
    }
}

words! {
    /// What a picture is, by its content.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum PictureKind { Jpeg = "image/jpeg", Png = "image/png" }
}

/// What a read of a source brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PictureFact {
    /// A picture that Meta should take, by the SHA-256 of its bytes.
    Usable { sum: String },
    /// It is not there, or is none that may be uploaded: why, and what to do.
    Unusable(String),
    /// It could not be read now, and why.
    Unreadable(String),
}

/// A read of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureRead {
    pub source: PictureSource,
    pub at: Timestamp,
    pub fact: PictureFact,
}

/// What this process knows of the picture. Status holds none of it: a look alone writes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PictureFacts {
    pub read: Option<PictureRead>,
    /// When Meta was last asked whether the number has a picture, and what it said.
    pub shown: Option<(Timestamp, bool)>,
}
