//! Spellings: which digits are one number.
//!
//! Meta does not always show a number as it was added (public reports of live answers, 2024 to 2026): Brazilian mobiles of
//! many areas lose their ninth digit, Mexican numbers keep an old `1`, Argentine ones have a `9`, and numbers of
//! Côte d'Ivoire were seen in their old eight digits. So digits are compared in a form that all spellings of one number
//! have in common. It is nothing but a key: it is never shown, and never sent to Meta.

use std::sync::Arc;

/// What every recorded spelling of one number has in common, and no two numbers of a national plan share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical(Arc<str>);

impl Canonical {
    /// Reads digits with whatever stands between them: blanks, hyphens, brackets, invisible marks of the direction of
    /// writing, a second plus.
    ///
    /// ```
    /// use whatsapp_operator::engine::spelling::Canonical;
    /// let brazil = Canonical::of("+5531987654321");
    /// assert_eq!(brazil, Canonical::of("+55 31 8765-4321"));
    /// assert_eq!(brazil, Canonical::of("\u{202a}++55 (31)\u{a0}98765\u{2011}4321\u{202c}"));
    /// assert_eq!(Canonical::of("+52 1 612 000 0000"), Canonical::of("+526120000000"));
    /// assert_eq!(Canonical::of("+54 9 11 2345 6789"), Canonical::of("+541123456789"));
    /// // A fixed line has eight digits, and the mobile with a 9 before them is another number.
    /// assert_ne!(Canonical::of("+55 11 3234-5678"), Canonical::of("+55 11 93234-5678"));
    /// ```
    pub fn of(text: &str) -> Self {
        let digits = digits(text);
        let other = brazil(&digits)
            .or_else(|| mexico(&digits))
            .or_else(|| argentina(&digits))
            .or_else(|| ivory_coast(&digits));
        Self(other.unwrap_or(digits).into())
    }

    /// Reads what Meta shows. `None` where that tells no number, or hides a part of it: a letter, a star, a digit of a
    /// script that is not known here.
    ///
    /// ```
    /// use whatsapp_operator::engine::spelling::Canonical;
    /// let shown = Canonical::shown("\u{200f}+\u{0669}\u{0667}\u{0662} 54-000-0000");
    /// assert_eq!(shown, Some(Canonical::of("+972540000000")));
    /// assert_eq!(Canonical::shown("+972 54-***-0000"), None);
    /// assert_eq!(Canonical::shown("none"), None);
    /// ```
    pub fn shown(text: &str) -> Option<Self> {
        let is_riddle = |c: char| digit(c).is_none() && (c.is_alphanumeric() || c == '*');
        let canonical = Self::of(text);
        (!text.contains(is_riddle) && !canonical.digits().is_empty()).then_some(canonical)
    }

    /// Digits alone.
    ///
    /// ```
    /// use whatsapp_operator::engine::spelling::Canonical;
    /// assert_eq!(Canonical::of("+55 31 8765-4321").digits(), "5531987654321");
    /// ```
    pub fn digits(&self) -> &str {
        &self.0
    }
}

/// The zeros of the scripts in which numbers are written; nine more digits follow each (Unicode, general category Nd).
const ZEROS: [char; 20] = [
    '0', '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{17e0}', '\u{1810}',
    '\u{ff10}',
];

/// The digits of a text, as Meta's calls take them.
pub(in crate::engine) fn digits(text: &str) -> String {
    text.chars().filter_map(digit).collect()
}

/// A digit of any of these scripts as the one that Meta's calls take.
fn digit(c: char) -> Option<char> {
    let value = ZEROS.iter().find_map(|zero| u32::from(c).checked_sub(u32::from(*zero)).filter(|v| *v < 10));
    value.and_then(|value| char::from_digit(value, 10))
}

/// Mobiles got a 9 before their eight digits, area by area until November 2016 (Anatel, resolution 553 of 2010).
/// WhatsApp leaves it out for many numbers that are older, and no rule by area tells for which: 31 and 91 were seen
/// without it, 92 with it. Of eight digits, those that begin with 2 to 5 are a fixed line, a number of its own. The rest
/// are mobiles: radio numbers that began with 7 stayed at eight digits, but their network was closed in March 2018.
fn brazil(digits: &str) -> Option<String> {
    let is_mobile = digits.as_bytes().get(4).is_some_and(|first| matches!(first, b'6'..=b'9'));
    with_nine(digits).filter(|_| is_mobile && digits.starts_with("55"))
}

/// Until August 2019 a 1 after the country code marked a mobile; the plan has had ten digits for every number since, the
/// first of them 2 to 9 (IFT, Plan Técnico Fundamental de Numeración, 2018). Meta goes on showing the 1.
fn mexico(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("521")?;
    let is_whole = national.len() == 10 && national.starts_with(|first| ('2'..='9').contains(&first));
    is_whole.then(|| format!("52{national}"))
}

/// A 9 after the country code marks a call to a mobile. It is no part of the number: area and subscriber number have ten
/// digits, and fixed lines and mobiles share one range (Argentina's plan "Plan Fundamental de Numeración Nacional").
fn argentina(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("549")?;
    let is_whole = national.len() == 10 && national.starts_with(['1', '2', '3']);
    is_whole.then(|| format!("54{national}"))
}

/// In January 2021 mobiles got two more digits before their eight: 01 for Moov, 05 for MTN, 07 for Orange (ARTCI). The
/// second of the old digits tells the operator. Fixed lines, which began with 2 or 3, are not recorded in two spellings.
fn ivory_coast(digits: &str) -> Option<String> {
    let national = digits.strip_prefix("225").filter(|national| national.len() == 8)?;
    let operator = match national.as_bytes() {
        [b'1' | b'2' | b'3', ..] => return None,
        [_, b'0'..=b'3', ..] => "01",
        [_, b'4'..=b'6', ..] => "05",
        _ => "07",
    };
    Some(format!("225{operator}{national}"))
}

/// The mobile that a number of Brazil or Argentina would be with a 9: after the area there, before it here.
pub(in crate::engine) fn with_nine(digits: &str) -> Option<String> {
    if digits.len() != 12 {
        return None;
    }
    let has_area = !digits.as_bytes().iter().skip(2).take(2).any(|digit| *digit == b'0');
    let at = match digits.get(..3)? {
        brazil if brazil.starts_with("55") && has_area => 4,
        "541" | "542" | "543" => 2,
        _ => return None,
    };
    let (head, tail) = digits.split_at(at);
    Some(format!("{head}9{tail}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn canonical(text: &str) -> Canonical {
        Canonical::of(text)
    }

    #[rstest]
    #[case::shown_with_the_nine("+5511912345678", "+55 11 91234-5678")]
    #[case::shown_without("+5531987654321", "+55 31 8765-4321")]
    #[case::added_and_shown_with_eight("+558591234567", "+55 85 9123-4567")]
    #[case::written_with_shown_without("+5585991234567", "+55 85 9123-4567")]
    #[case::the_old_radio_series("+5531977654321", "+55 31 7765-4321")]
    #[case::a_fixed_line("+552130000000", "+55 21 3000-0000")]
    #[case::mexico("+526120000000", "+52 1 612 000 0000")]
    #[case::mexico_as_shown("+5216120000000", "+52 1 612 000 0000")]
    #[case::argentina("+541123456789", "+54 9 11 2345 6789")]
    #[case::argentina_as_shown("+5491123456789", "+54 9 11 2345 6789")]
    #[case::orange("+2250707123456", "+225 07 12 34 56")]
    #[case::mtn("+2250545123456", "+225 45 12 34 56")]
    #[case::moov("+2250141123456", "+225 41 12 34 56")]
    #[case::the_united_states("+12055550100", "+1 205-555-0100")]
    #[case::israel("+972540000000", "+972 54-000-0000")]
    fn a_number_as_it_is_written_is_the_one_that_meta_shows(#[case] written: &str, #[case] shown: &str) {
        assert_eq!(canonical(written), canonical(shown));
    }

    #[rstest]
    #[case::a_fixed_line_and_a_mobile("+551132345678", "+5511932345678")]
    #[case::another_area("+553187654321", "+5532987654321")]
    #[case::a_service_number("+558001234567", "+5580901234567")]
    #[case::another_digit("+5216120000000", "+526120000001")]
    #[case::ten_digits_that_begin_with_one("+521612000000", "+52612000000")]
    #[case::a_toll_free_line("+5498001234567", "+548001234567")]
    #[case::two_operators("+2250745123456", "+2250545123456")]
    #[case::another_operator_than_the_old_digits_tell("+22545123456", "+2250745123456")]
    #[case::a_fixed_line_of_old("+22520123456", "+2250120123456")]
    fn two_numbers_stay_two(#[case] one: &str, #[case] other: &str) {
        assert_ne!(canonical(one), canonical(other));
    }

    #[rstest]
    #[case::plus_twice("++55 11 91234-5678")]
    #[case::plus_twice_with_a_blank("+ +5511912345678")]
    #[case::embedded_left_to_right("\u{202a}+55 11 91234-5678\u{202c}")]
    #[case::isolated("\u{2066}+55\u{a0}11\u{a0}91234-5678\u{2069}")]
    #[case::marks_between_digits("+55\u{200e}11\u{200f}9\u{200b}1234\u{2060}5678\u{feff}")]
    #[case::other_hyphens("+55 11 91234\u{2011}5678")]
    #[case::no_plus("5511912345678")]
    fn what_stands_between_the_digits_does_not_matter(#[case] shown: &str) {
        assert_eq!(canonical(shown).digits(), "5511912345678");
    }

    #[rstest]
    #[case::arabic(
        "+\u{665}\u{665} \u{661}\u{661} \u{669}\u{661}\u{662}\u{663}\u{664}-\u{665}\u{666}\u{667}\u{668}"
    )]
    #[case::persian(
        "\u{200f}+\u{6f5}\u{6f5}\u{6f1}\u{6f1}\u{6f9}\u{6f1}\u{6f2}\u{6f3}\u{6f4}\u{6f5}\u{6f6}\u{6f7}\u{6f8}"
    )]
    #[case::devanagari("+\u{96b}\u{96b} \u{967}\u{967} \u{96f}1234-5678")]
    #[case::full_width(
        "\u{ff0b}\u{ff15}\u{ff15} \u{ff11}\u{ff11} \u{ff19}\u{ff11}\u{ff12}\u{ff13}\u{ff14} 5678"
    )]
    #[case::as_usual("+55 11 91234-5678")]
    fn digits_of_other_scripts_are_read(#[case] shown: &str) {
        assert_eq!(Canonical::shown(shown).unwrap().digits(), "5511912345678");
    }

    #[rstest]
    #[case::nothing("")]
    #[case::marks_alone("\u{200f}+ -")]
    #[case::no_number("none")]
    #[case::a_part_is_hidden("+55 11 9****-5678")]
    #[case::a_part_is_hidden_by_letters("+55 11 9XXXX-5678")]
    #[case::digits_of_no_number("+55 11 9\u{b2}234-5678")]
    #[case::a_script_that_is_not_known("+55 11 9\u{1d7d0}234-5678")]
    fn what_tells_no_number_is_none(#[case] shown: &str) {
        assert_eq!(Canonical::shown(shown), None);
    }

    #[test]
    fn no_digits_and_too_many_are_read_too() {
        assert_eq!(canonical("").digits(), "");
        assert_eq!(canonical(&"9".repeat(40)).digits().len(), 40);
    }

    /// A number as its national plan has it today; numbers of other countries have no rule here.
    fn is_in_plan(digits: &str) -> bool {
        let is =
            |national: &str, length, first: &[char]| national.len() == length && national.starts_with(first);
        if let Some(national) = digits.strip_prefix("225") {
            return is(national, 10, &['0', '2']);
        }
        match digits.split_at_checked(2) {
            Some(("55", national)) => {
                let Some((area, subscriber)) = national.split_at_checked(2) else { return false };
                !area.contains('0') && (is(subscriber, 9, &['9']) || is(subscriber, 8, &['2', '3', '4', '5']))
            }
            Some(("52", national)) => national.len() == 10 && !national.starts_with(['0', '1']),
            Some(("54", national)) => is(national, 10, &['1', '2', '3', '6', '8']),
            _ => true,
        }
    }

    /// One digit is put in, left out or changed.
    fn edited(digits: &str, at: usize, with: char, how: u8) -> String {
        let at = at % digits.len();
        let (head, tail) = digits.split_at(at);
        match how {
            0 => format!("{head}{with}{tail}"),
            1 => format!("{head}{}", &tail[1..]),
            _ => format!("{head}{with}{}", &tail[1..]),
        }
    }

    fn spelled() -> impl Strategy<Value = String> {
        prop_oneof![
            "55[1-9]{2}[0-9]{8,9}",
            "55[1-9]{2}9[0-9]{8}",
            "521?[1-9][0-9]{9}",
            "549?[1-3][0-9]{9}",
            "225[0-9]{8}",
            "2250[157][0-9]{8}",
            "[1-9][0-9]{6,14}",
        ]
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_its_own(digits in spelled()) {
            let once = canonical(&digits);
            prop_assert_eq!(&canonical(once.digits()), &once);
        }

        #[test]
        fn two_numbers_of_a_plan_are_never_joined(
            digits in spelled(),
            edits in prop::collection::vec((2_usize..7, "[0-9]", 0_u8..3), 1..3),
        ) {
            let other = edits.iter().fold(digits.clone(), |text, (at, with, how)| {
                edited(&text, *at, with.chars().next().unwrap(), *how)
            });
            if digits != other && is_in_plan(&digits) && is_in_plan(&other) {
                prop_assert_ne!(canonical(&digits), canonical(&other), "{} and {}", digits, other);
            }
        }

        #[test]
        fn a_brazilian_mobile_is_one_with_and_without_its_nine(area in "[1-9]{2}", rest in "[6-9][0-9]{7}") {
            prop_assert_eq!(canonical(&format!("55{area}{rest}")), canonical(&format!("55{area}9{rest}")));
        }

        #[test]
        fn a_fixed_line_of_brazil_is_not_the_mobile_with_a_nine(area in "[1-9]{2}", rest in "[2-5][0-9]{7}") {
            prop_assert_ne!(canonical(&format!("55{area}{rest}")), canonical(&format!("55{area}9{rest}")));
        }

        #[test]
        fn a_mexican_number_is_one_with_and_without_its_one(national in "[2-9][0-9]{9}") {
            prop_assert_eq!(canonical(&format!("52{national}")), canonical(&format!("521{national}")));
        }

        #[test]
        fn an_argentine_number_is_one_with_and_without_its_nine(national in "[1-3][0-9]{9}") {
            prop_assert_eq!(canonical(&format!("54{national}")), canonical(&format!("549{national}")));
        }

        #[test]
        fn marks_change_nothing(digits in spelled(), marks in "[ ().\u{200b}\u{200e}\u{202a}\u{202c}\u{2066}+-]{0,4}") {
            let shown: String = digits.chars().map(|digit| format!("{marks}{digit}")).collect();
            prop_assert_eq!(canonical(&shown), canonical(&digits));
        }

        /// The numbering plans that are built in call nothing a fixed line that is joined with a mobile here.
        #[test]
        fn no_fixed_line_of_brazil_gets_a_nine(national in "[1-9]{2}[2-9][0-9]{7}") {
            let digits = format!("55{national}");
            let parsed = phonenumber::parse(None, format!("+{digits}")).unwrap();
            let database = &phonenumber::metadata::DATABASE;
            if parsed.number_type(database) == phonenumber::Type::FixedLine {
                prop_assert_eq!(canonical(&digits), Canonical(digits.into()));
            }
        }
    }
}
