//! One number in two spellings, and which of them Meta shows.
//!
//! As recorded from live accounts by public projects from 2024 to 2026.

use super::switch::NumberSpelling;

/// Short and long spellings of one number. `d` is any digit; the other letters are in [`among`].
const PAIRS: &[(&str, &str)] = &[
    // Brazilian mobiles, with and without the ninth digit.
    ("55aamddddddd", "55aa9mddddddd"),
    // Mexico, with and without the 1 of mobiles.
    ("52tddddddddd", "521tddddddddd"),
    // Argentina, with and without the 9 of mobiles.
    ("54rddddddddd", "549rddddddddd"),
    // Mobiles of Côte d'Ivoire, in eight and in ten digits.
    ("225oxdddddd", "22501oxdddddd"),
    ("225oydddddd", "22505oydddddd"),
    ("225ozdddddd", "22507ozdddddd"),
];

/// Area codes of Brazil whose mobiles were seen without the ninth digit.
const WITHOUT_NINE: [&str; 5] = ["31", "44", "64", "85", "91"];
/// Area codes of Brazil whose mobiles were seen with it.
const WITH_NINE: [&str; 5] = ["11", "15", "16", "17", "92"];

/// The digits that a letter of a pattern stands for.
fn among(letter: char) -> &'static str {
    match letter {
        'a' => "123456789",
        'm' => "6789",
        'o' => "0456789",
        'r' => "123",
        't' => "23456789",
        'x' => "0123",
        'y' => "456",
        'z' => "789",
        _ => "0123456789",
    }
}

/// What the letters of a pattern stand for, if the digits are of its form.
fn bound(pattern: &str, digits: &str) -> Option<Vec<char>> {
    if pattern.len() != digits.len() {
        return None;
    }
    let mut letters = Vec::new();
    for (wanted, digit) in pattern.chars().zip(digits.chars()) {
        if wanted.is_ascii_digit() {
            if wanted != digit {
                return None;
            }
        } else if among(wanted).contains(digit) {
            letters.push(digit);
        } else {
            return None;
        }
    }
    Some(letters)
}

fn filled(pattern: &str, letters: Vec<char>) -> String {
    let mut letters = letters.into_iter();
    pattern.chars().map(|c| if c.is_ascii_digit() { c } else { letters.next().unwrap_or(c) }).collect()
}

fn longer(digits: &str) -> Option<String> {
    PAIRS.iter().find_map(|(short, long)| Some(filled(long, bound(short, digits)?)))
}

fn shorter(digits: &str) -> Option<String> {
    PAIRS.iter().find_map(|(short, long)| Some(filled(short, bound(long, digits)?)))
}

/// Every spelling of one number.
pub(super) struct Spellings<'a> {
    written: &'a str,
    other: Option<String>,
}

impl<'a> Spellings<'a> {
    /// Of a number in any of its spellings.
    pub(super) fn of(digits: &'a str) -> Self {
        Self { written: digits, other: longer(digits).or_else(|| shorter(digits)) }
    }

    /// These digits are the number too.
    pub(super) fn has(&self, digits: &str) -> bool {
        self.written == digits || self.other.as_deref() == Some(digits)
    }
}

/// The country code at the start of a number, by the length that the ITU gives it.
pub(super) fn dial_code(digits: &str) -> &str {
    const TWO: &[&str] = &[
        "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48",
        "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81",
        "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
    ];
    let length = match digits.get(..2) {
        _ if digits.starts_with(['1', '7']) => 1,
        Some(two) if TWO.contains(&two) => 2,
        _ => 3,
    };
    digits.get(..length).unwrap_or(digits)
}

/// The number as it is shown.
pub(super) fn display(digits: &str, spelling: NumberSpelling) -> String {
    match spelling {
        NumberSpelling::Live => live(digits),
        NumberSpelling::Plain => plain(digits),
    }
}

/// In the spelling and the groups that were recorded; others as they were added.
fn live(digits: &str) -> String {
    let digits = match (digits.get(..2), digits.get(2..4)) {
        (Some("55"), Some(area)) if WITHOUT_NINE.contains(&area) => shorter(digits),
        (Some("55"), Some(area)) if WITH_NINE.contains(&area) => longer(digits),
        (Some("52" | "54"), _) => longer(digits),
        _ => None,
    }
    .unwrap_or_else(|| digits.to_owned());
    let grouped = match (digits.get(..2), digits.len()) {
        (Some("55"), 12) => grouped(&digits, "dd dd dddd-dddd"),
        (Some("55"), 13) => grouped(&digits, "dd dd ddddd-dddd"),
        (Some("52"), 13) => grouped(&digits, "dd d ddd ddd dddd"),
        (Some("54"), 13) => grouped(&digits, "dd d dd dddd dddd"),
        _ => return plain(&digits),
    };
    format!("+{grouped}")
}

fn grouped(digits: &str, groups: &str) -> String {
    let mut digits = digits.chars();
    groups.chars().map(|c| if c == 'd' { digits.next().unwrap_or(c) } else { c }).collect()
}

/// As it was added: the country code, and a hyphen before the last four digits.
fn plain(digits: &str) -> String {
    let code = dial_code(digits);
    let national = digits.get(code.len()..).unwrap_or_default();
    match national.len() {
        ..=4 => format!("+{code} {national}"),
        length => {
            let (head, tail) = national.split_at(length - 4);
            format!("+{code} {head}-{tail}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_either_spelling_and_by_no_other() {
        for (short, long) in [
            ("553187654321", "5531987654321"),
            ("526120000000", "5216120000000"),
            ("541123456789", "5491123456789"),
            ("22541123456", "2250141123456"),
            ("22545123456", "2250545123456"),
            ("22507123456", "2250707123456"),
        ] {
            assert!(Spellings::of(short).has(long) && Spellings::of(long).has(short), "{short} {long}");
            assert!(Spellings::of(short).has(short) && Spellings::of(long).has(long), "{short} {long}");
            assert!(!Spellings::of(short).has("5531987654322"), "{short}");
        }
        assert!(!Spellings::of("551132345678").has("5511932345678"), "a fixed line and a mobile");
        assert!(!Spellings::of("12055550100").has("120555501000"), "no rule");
    }

    #[test]
    fn numbers_are_shown_as_they_were_recorded() {
        for (added, shown) in [
            ("5511912345678", "+55 11 91234-5678"),
            ("551187654321", "+55 11 98765-4321"),
            ("5592912345678", "+55 92 91234-5678"),
            ("5531987654321", "+55 31 8765-4321"),
            ("558591234567", "+55 85 9123-4567"),
            ("5585991234567", "+55 85 9123-4567"),
            ("5541987654321", "+55 41 98765-4321"),
            ("554187654321", "+55 41 8765-4321"),
            ("552130000000", "+55 21 3000-0000"),
            ("553130000000", "+55 31 3000-0000"),
            ("526120000000", "+52 1 612 000 0000"),
            ("5216120000000", "+52 1 612 000 0000"),
            ("541123456789", "+54 9 11 2345 6789"),
            ("5491123456789", "+54 9 11 2345 6789"),
            ("12055550100", "+1 205555-0100"),
        ] {
            assert_eq!(display(added, NumberSpelling::Live), shown, "{added}");
        }
        assert_eq!(display("5531987654321", NumberSpelling::Plain), "+55 3198765-4321");
        assert_eq!(display("526120000000", NumberSpelling::Plain), "+52 612000-0000");
    }
}
