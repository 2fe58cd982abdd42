//! The profile picture, as far as it is known.

use jiff::Timestamp;

use crate::engine::value::{desired::PictureSource, failure::Failure, word::words};

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
    /// It is in this Secret, which does not have the label that permits its use.
    Unlabelled(String),
    /// It is not there, or is none that may be uploaded: why, and what to do.
    Unusable(String),
    /// It could not be read now, and why.
    Unreadable(String),
    /// It was not read: too many others were in memory.
    NoRoom,
}

impl PictureFact {
    /// Whether nothing is known of it now, and that passes.
    pub(in crate::engine) fn is_unread(&self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::NoRoom)
    }
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
    pub shown: Option<(Timestamp, Shown)>,
}

/// What Meta said when it was asked whether the number has a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Picture,
    NoPicture,
    /// It gave no answer, or refused to tell.
    Unknown(Failure),
}

impl Shown {
    /// Whether the same question would be refused again, until somebody changes something.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Unknown(failure) if failure.is_answer())
    }
}
