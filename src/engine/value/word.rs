//! Closed lists of words that are stored or shown.
//!
//! A word is written once, where its enum is declared. Its text, the list of all words and the way back from a text
//! come from there. It must not know what any word means.

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
