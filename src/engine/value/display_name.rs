//! Names of businesses and numbers: which two are the same name, and how one is written.
//!
//! One name has several encodings: `é` is one character or two, depending on the keyboard, and a name that was copied
//! from a web page holds blanks of other kinds. Nobody sees the difference, so it makes no other name.

use unicode_normalization::UnicodeNormalization;

/// A name as it is sent to Meta: in Unicode's composed form (NFC), without blanks at its ends, with one plain blank between
/// words.
///
/// ```
/// use whatsapp_operator::engine::display_name::written;
/// assert_eq!(written(" Cafe\u{301}\u{a0} Central "), "Café Central");
/// ```
pub fn written(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").nfc().collect()
}

/// Whether two names are the same name. Capitals count: Meta shows them, and a person may want to change them.
///
/// ```
/// use whatsapp_operator::engine::display_name::is_same;
/// assert!(is_same("Café Central", "Cafe\u{301}  Central"));
/// assert!(!is_same("Café Central", "Cafe Central"));
/// assert!(!is_same("Café Central", "CAFÉ CENTRAL"));
/// ```
pub fn is_same(a: &str, b: &str) -> bool {
    a == b || written(a) == written(b)
}
