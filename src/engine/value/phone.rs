//! Phone numbers, as a spec writes them.

use std::{fmt, sync::Arc};

use crate::engine::value::spelling::{Canonical, digits};

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

    /// Reads what Meta shows, in the spelling in which it is shown.
    ///
    /// ```
    /// use whatsapp_operator::engine::phone::E164;
    /// assert_eq!(E164::shown("\u{200e}+55 31 8765-4321"), E164::parse("+553187654321").ok());
    /// assert_eq!(E164::shown("+55 31 8***-4321"), None);
    /// ```
    pub fn shown(text: &str) -> Option<Self> {
        Canonical::shown(text).and_then(|_| Self::parse(&format!("+{}", digits(text))).ok())
    }

    /// With the plus.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the plus.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// What numbers are compared by: their digits in whichever spelling.
    ///
    /// ```
    /// use whatsapp_operator::engine::{phone::E164, spelling::Canonical};
    /// let number = E164::parse("+5531987654321")?;
    /// assert_eq!((number.as_str(), number.digits()), ("+5531987654321", "5531987654321"));
    /// assert_eq!(number.canonical(), Canonical::of("+55 31 8765-4321"));
    /// # Ok::<(), whatsapp_operator::engine::phone::NotE164>(())
    /// ```
    pub fn canonical(&self) -> Canonical {
        Canonical::of(self.digits())
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Country calling codes of one and two digits (ITU-T E.164, annex "List of assigned country codes"); every other
/// code has three, assigned or not.
const SHORT_CODES: &[&str] = &[
    "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47",
    "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66",
    "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];

/// Country calling code and national number, as Meta's add call takes them. Right for every number, also for ones
/// that no numbering plan holds. Both in the spelling of the user: what Meta makes of it shows in the list.
///
/// ```
/// use whatsapp_operator::engine::phone::{split, E164};
/// assert_eq!(split(&E164::parse("+5511912345678").unwrap()), ("55", "11912345678"));
/// assert_eq!(split(&E164::parse("+351912345678").unwrap()), ("351", "912345678"));
/// ```
pub fn split(number: &E164) -> (&str, &str) {
    let digits = number.digits();
    let short = SHORT_CODES.iter().find(|code| digits.starts_with(**code)).map(|code| code.len());
    digits.split_at(short.unwrap_or(3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rstest::rstest;

    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[rstest]
    #[case("+15550100100", "1", "5550100100")]
    #[case("+12425550100", "1", "2425550100")]
    #[case("+77011234567", "7", "7011234567")]
    #[case("+5511912345678", "55", "11912345678")]
    #[case("+4915112345678", "49", "15112345678")]
    #[case("+390612345678", "39", "0612345678")]
    #[case("+2250712345678", "225", "0712345678")]
    #[case("+351912345678", "351", "912345678")]
    #[case("+420601123456", "420", "601123456")]
    #[case("+85291234567", "852", "91234567")]
    #[case("+971501234567", "971", "501234567")]
    #[case("+599912345678", "599", "912345678")]
    #[case("+80012345678", "800", "12345678")]
    #[case("+883510012345678", "883", "510012345678")]
    #[case("+21012345678", "210", "12345678")]
    #[case("+99912345678", "999", "12345678")]
    #[case("+12345678", "1", "2345678")]
    fn a_number_is_split_at_its_country_code(#[case] e164: &str, #[case] code: &str, #[case] national: &str) {
        assert_eq!(split(&number(e164)), (code, national));
    }

    #[test]
    fn no_short_code_begins_another() {
        for a in SHORT_CODES {
            assert!(SHORT_CODES.iter().all(|b| a == b || !b.starts_with(a)), "{a}");
        }
    }

    #[test]
    fn the_numbering_plans_agree_with_the_list_of_codes() {
        for code in 1_u16..=999 {
            let known = phonenumber::metadata::DATABASE.by_code(&code).is_some();
            let digits = number(&format!("+{code}12345678"));
            assert!(!known || split(&digits).0 == code.to_string(), "{code}");
        }
    }

    #[rstest]
    #[case("5511912345678", NotE164::NoPlus)]
    #[case("+55 11912345678", NotE164::NotDigits)]
    #[case("+05511912345", NotE164::LeadingZero)]
    #[case("+1064", NotE164::Length)]
    #[case("+1234567890123456", NotE164::Length)]
    fn a_text_that_is_no_number_is_told_which_rule_it_breaks(#[case] text: &str, #[case] rule: NotE164) {
        assert_eq!(E164::parse(text), Err(rule));
    }
}
