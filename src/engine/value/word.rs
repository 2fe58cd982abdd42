//! Words of ours that are stored in a status, where a newer version may have written more of them.
//!
//! An operator that is rolled back reads what the newer one wrote. A word that this version does not know is kept as
//! it came and never acted on. It is not an error, because a status that cannot be read would stop the whole channel.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The words of one kind that this version knows.
pub trait Vocabulary: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The word as it is stored and as users see it.
    fn as_str(self) -> &'static str;
}

/// Words that decisions are made of.
pub trait Cautious: Vocabulary {
    /// What a word of a newer version is taken for: the known one that allows least.
    const CAUTIOUS: Self;
}

/// Names every variant of an enum once. A variant that is left out does not compile.
macro_rules! vocabulary {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl $name {
            /// The word as it is stored and as users see it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }
        }

        impl $crate::engine::word::Vocabulary for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn as_str(self) -> &'static str {
                self.as_str()
            }
        }
    };
}
pub(crate) use vocabulary;

/// A stored word.
///
/// ```
/// use whatsapp_operator::engine::{step::StepKind, word::Word};
/// let known: Word<StepKind> = Word::new("Register");
/// assert_eq!(known.known(), Some(StepKind::Register));
/// let newer: Word<StepKind> = Word::new("TransferNumber");
/// assert_eq!((newer.known(), newer.as_str()), (None, "TransferNumber"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word<T> {
    /// One that this version knows.
    Known(T),
    /// One of a newer version, as it came.
    Other(Arc<str>),
}

impl<T: Vocabulary> Word<T> {
    /// Reads a word.
    pub fn new(word: &str) -> Self {
        match T::ALL.iter().find(|known| known.as_str() == word) {
            Some(known) => Self::Known(*known),
            None => Self::Other(word.into()),
        }
    }

    /// What this version knows it as.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Other(_) => None,
        }
    }

    /// What decisions take it for.
    pub fn cautious(&self) -> T
    where
        T: Cautious,
    {
        self.known().unwrap_or(T::CAUTIOUS)
    }

    /// The word as it is stored.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(known) => known.as_str(),
            Self::Other(word) => word,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(known: T) -> Self {
        Self::Known(known)
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(known) if known == other)
    }
}

impl<T: Vocabulary> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|word| Self::new(&word))
    }
}
