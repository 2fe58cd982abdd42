//! Phone numbers: identity by digits, and advice that may warn but never refuse.

use std::{fmt, sync::Arc};

/// A phone number in E.164 form: `+`, then 8 to 15 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164(Arc<str>);

/// Why a text is not a phone number that Meta can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotE164 {
    #[error("must start with + and the country code")]
    NoPlus,
    #[error("must hold nothing but digits after the +")]
    NotDigits,
    #[error("must not start with 0 after the +")]
    LeadingZero,
    #[error("must have 8 to 15 digits, country and area code included; short codes cannot be used")]
    Length,
}

impl E164 {
    /// Checks the shape.
    ///
    /// ```
    /// use whatsapp_operator::engine::phone::E164;
    /// assert_eq!(E164::parse("+5511912345678").unwrap().digits(), "5511912345678");
    /// assert!(E164::parse("1064").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NotE164> {
        let digits = text.strip_prefix('+').ok_or(NotE164::NoPlus)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotE164::NotDigits);
        }
        if digits.starts_with('0') {
            return Err(NotE164::LeadingZero);
        }
        if !(8..=15).contains(&digits.len()) {
            return Err(NotE164::Length);
        }
        Ok(Self(text.into()))
    }

    /// With the plus.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the plus: what numbers are compared by.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// Whether Meta's display form (`+1 555-123-4567`) is this number.
    pub fn matches(&self, display: &str) -> bool {
        display.bytes().filter(u8::is_ascii_digit).eq(self.digits().bytes())
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Country codes of one and of two digits (ITU-T E.164, list of assigned codes); every other has three.
const SHORT_COUNTRY_CODES: &[&str] = &[
    "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47",
    "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66",
    "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];

/// Country code and national number.
pub fn split(number: &E164) -> (String, String) {
    let digits = number.digits();
    let length =
        SHORT_COUNTRY_CODES.iter().find(|code| digits.starts_with(**code)).map_or(3, |code| code.len());
    (digits[..length].to_owned(), digits[length..].to_owned())
}
