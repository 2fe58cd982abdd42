//! Words of ours that are stored or shown.
//!
//! A word is written once, where its enum is declared. Its text, the list of all words and the way back from a text
//! come from there. Where a newer version may have stored more words in a status, [`Word`] keeps one that this version
//! does not know as it came, and it is never acted on: a status that cannot be read would stop the whole channel after
//! a roll-back. Nothing here knows what any word means.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The words of one kind that this version knows.
pub trait Vocabulary: Copy + 'static {
    /// All of them, in the order of the enum.
    const ALL: &'static [Self];

    /// The word as it is stored and as users see it.
    fn as_str(self) -> &'static str;

    /// Reads a word.
    ///
    /// ```
    /// use whatsapp_operator::engine::{status::Stage, word::Vocabulary};
    /// assert_eq!(Stage::from_word("NameReview"), Some(Stage::NameReview));
    /// assert_eq!(Stage::from_word("SomethingElse"), None);
    /// ```
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|known| known.as_str() == word).copied()
    }
}

/// Words that decisions are made of.
pub trait Cautious: Vocabulary {
    /// What a word of a newer version is taken for: the known one that allows least.
    const CAUTIOUS: Self;
}

/// Declares an enum of words. A word is the name of its variant, or the text behind it.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$of:meta])* $word:ident $(= $text:literal)?),+ $(,)? }) => {
        $(#[$meta])*
        pub enum $name { $($(#[$of])* $word,)+ }

        impl $name {
            /// The word as it is stored and as users see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => [$($text,)? stringify!($word)][0],)+ }
            }
        }

        impl $crate::engine::word::Vocabulary for $name {
            const ALL: &'static [Self] = &[$(Self::$word),+];

            fn as_str(self) -> &'static str {
                self.as_str()
            }
        }
    };
}
pub(crate) use words;

/// A stored word.
///
/// ```
/// use whatsapp_operator::engine::{step::StepKind, word::Word};
/// let known: Word<StepKind> = Word::new("Register");
/// assert_eq!(known.known(), Some(StepKind::Register));
/// let newer: Word<StepKind> = Word::new("TransferNumber");
/// assert_eq!((newer.known(), newer.as_str()), (None, "TransferNumber"));
///
/// // Decisions take a word that they do not know for the one that allows least.
/// use whatsapp_operator::engine::failure::Class;
/// assert_eq!(Word::<Class>::new("SomethingElse").cautious(), Class::Person);
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
        T::from_word(word).map_or_else(|| Self::Other(word.into()), Self::Known)
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
