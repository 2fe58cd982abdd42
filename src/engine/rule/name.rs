//! Display-name lint: what can be said of a name before it is sent for review.
//!
//! The rules are those of Meta's Help Center page on display names, as far as a program can check them. Formatting
//! rules do not apply to a business that really writes itself that way, so most findings only warn.

use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};
use unicode_segmentation::UnicodeSegmentation;

use crate::engine::value::{limits::Limits, word::words};

words! {
    /// Whether a finding refuses the name here, or only tells.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Severity {
        /// Meta would decline it for certain.
        Error,
        /// Meta may decline it.
        Warning,
    }
}

/// One rule that a name breaks or may break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A constant in CamelCase: `TooShort`, `AllCapitals`.
    pub rule: &'static str,
    pub severity: Severity,
    /// What is wrong, then what to do.
    pub message: String,
}

/// Every finding about a name, errors first.
///
/// ```
/// use whatsapp_operator::engine::{limits::Limits, name};
/// assert!(name::lint("Acme Suporte", &Limits::default()).is_empty());
/// assert_eq!(name::lint("Acme 🎉", &Limits::default())[0].rule, "SymbolOrEmoji");
/// ```
pub fn lint(name: &str, limits: &Limits) -> Vec<Finding> {
    let mut findings: Vec<Finding> = [
        length(name, limits),
        symbols(name),
        meta_brand(name),
        outer_space(name),
        inner_space(name),
        spaced_letters(name),
        capitals(name),
        mixed_case(name),
        punctuation(name),
        address(name),
        generic(name),
        place(name),
        verification(name),
        slogan(name),
        unseen(name),
        scripts(name),
    ]
    .into_iter()
    .flatten()
    .collect();
    findings.sort_by_key(|f| f.severity);
    findings
}

/// Whether a name would be refused here.
///
/// ```
/// use whatsapp_operator::engine::{limits::Limits, name};
/// assert!(name::is_refused("X", &Limits::default()));
/// assert!(!name::is_refused("Acme Suporte", &Limits::default()));
/// assert_eq!(name::lint("X", &Limits::default())[0].severity.as_str(), "Error");
/// ```
pub fn is_refused(name: &str, limits: &Limits) -> bool {
    lint(name, limits).iter().any(|f| f.severity == Severity::Error)
}

fn error(rule: &'static str, message: impl Into<String>) -> Option<Finding> {
    Some(Finding { rule, severity: Severity::Error, message: message.into() })
}

fn warning(rule: &'static str, message: impl Into<String>) -> Option<Finding> {
    Some(Finding { rule, severity: Severity::Warning, message: message.into() })
}

fn length(name: &str, limits: &Limits) -> Option<Finding> {
    let count = name.trim().graphemes(true).count();
    if count < limits.name_min {
        return error("TooShort", format!("has {count} characters; use at least {}", limits.name_min));
    }
    // What Meta counts is not published: bytes are too strict, graphemes too lax for its 75.
    let scalars = name.trim().chars().count();
    if scalars > limits.name_max {
        return error("TooLong", format!("has {scalars} characters; use at most {}", limits.name_max));
    }
    if scalars > limits.name_warn {
        return warning(
            "Long",
            format!("has {scalars} characters; above {} it is cut in many places", limits.name_warn),
        );
    }
    None
}

fn symbols(name: &str) -> Option<Finding> {
    let bad = name.chars().find(|c| is_symbol(*c))?;
    error("SymbolOrEmoji", format!("holds {}; leave symbols and emoji out", show(bad)))
}

fn is_symbol(c: char) -> bool {
    let emoji = !c.is_ascii() && c.is_emoji_char() && !c.is_alphanumeric();
    let category = matches!(
        c.general_category(),
        GeneralCategory::OtherSymbol | GeneralCategory::ModifierSymbol | GeneralCategory::Control
    );
    emoji || category
}

fn show(c: char) -> String {
    if c.is_control() { format!("U+{:04X}", c as u32) } else { format!("{c:?}") }
}

fn words(name: &str) -> Vec<String> {
    name.unicode_words().map(str::to_lowercase).collect()
}

fn meta_brand(name: &str) -> Option<Finding> {
    const BRANDS: &[&str] = &["whatsapp", "facebook", "messenger", "instagram", "meta"];
    let words = words(name);
    let found = BRANDS.iter().find(|brand| words.iter().any(|w| w == *brand))?;
    error("MetaBrand", format!("holds the Meta brand \"{found}\"; leave it out"))
}

fn outer_space(name: &str) -> Option<Finding> {
    if name.trim() == name {
        return None;
    }
    error("OuterSpace", "begins or ends with a space; remove it")
}

fn inner_space(name: &str) -> Option<Finding> {
    let mut last = false;
    let doubled =
        name.trim().chars().any(|c| std::mem::replace(&mut last, c.is_whitespace()) && c.is_whitespace());
    let odd = name.trim().chars().any(|c| c.is_whitespace() && c != ' ');
    if doubled {
        return error("DoubleSpace", "holds two spaces in a row; use one");
    }
    if odd {
        return warning("OddSpace", "holds a space of an unusual kind; use a plain one");
    }
    None
}

fn spaced_letters(name: &str) -> Option<Finding> {
    let mut run = 0;
    for word in name.split_whitespace() {
        let single = word.graphemes(true).count() == 1 && word.chars().all(is_cased);
        run = if single { run + 1 } else { 0 };
        if run >= 3 {
            return warning("SpacedLetters", "has its letters set apart; write words");
        }
    }
    None
}

fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase()
}

fn capitals(name: &str) -> Option<Finding> {
    let cased: Vec<char> = name.chars().filter(|c| is_cased(*c)).collect();
    if cased.len() < 4 || cased.iter().any(|c| c.is_lowercase()) {
        return None;
    }
    warning("AllCapitals", "is all capitals; write it as in a sentence, unless the brand is written so")
}

fn mixed_case(name: &str) -> Option<Finding> {
    let odd = name.unicode_words().find(|w| rises(w) > 1)?;
    warning(
        "MixedCase",
        format!("mixes cases within \"{odd}\"; write it as in a sentence, unless the brand is written so"),
    )
}

/// How often a word goes from lower to upper case: `eBay` and `McDonald` once, `wInD` twice.
fn rises(word: &str) -> usize {
    let upper: Vec<bool> = word.chars().filter(|c| is_cased(*c)).map(char::is_uppercase).collect();
    upper.windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn punctuation(name: &str) -> Option<Finding> {
    let trimmed = name.trim();
    let outer = |c: char| is_punctuation(c) && !matches!(c, '.' | '\'' | '’' | ')' | '(' | '&' | '!' | '?');
    let edge = trimmed.chars().next().is_some_and(outer) || trimmed.chars().last().is_some_and(outer);
    let chars: Vec<char> = trimmed.chars().collect();
    let repeated = chars.windows(2).any(|pair| pair[0] == pair[1] && is_punctuation(pair[0]));
    let starred = trimmed.contains(['*', '_', '~', '#', '|']);
    (edge || repeated || starred)
        .then(|| warning("Punctuation", "has punctuation that is not needed; leave it out"))
        .flatten()
}

fn is_punctuation(c: char) -> bool {
    use GeneralCategory::{
        ClosePunctuation, ConnectorPunctuation, DashPunctuation, FinalPunctuation, InitialPunctuation,
        OpenPunctuation, OtherPunctuation,
    };
    matches!(
        c.general_category(),
        ClosePunctuation
            | ConnectorPunctuation
            | DashPunctuation
            | FinalPunctuation
            | InitialPunctuation
            | OpenPunctuation
            | OtherPunctuation
    )
}

fn address(name: &str) -> Option<Finding> {
    const DOMAINS: &[&str] =
        &[".com", ".net", ".org", ".io", ".co", ".shop", ".store", ".app", ".info", ".biz"];
    let lower = name.to_lowercase();
    let url = lower.contains("http") || lower.contains("www.") || lower.contains("://");
    let domain = lower
        .split_whitespace()
        .any(|w| DOMAINS.iter().any(|d| w.ends_with(d) || w.contains(&format!("{d}."))));
    (url || domain)
        .then(|| warning("Address", "looks like a web address; use the plain name, unless it is the brand"))
        .flatten()
}

fn generic(name: &str) -> Option<Finding> {
    const TERMS: &[&str] = &[
        "fashion",
        "bakery",
        "customer support",
        "support",
        "customer service",
        "service",
        "shop",
        "store",
        "sales",
        "help",
        "helpdesk",
        "info",
        "contact",
        "business",
        "company",
        "restaurant",
        "pharmacy",
        "delivery",
        "suporte",
        "atendimento",
        "vendas",
        "loja",
        "soporte",
        "ventas",
        "tienda",
        "kundendienst",
        "verkauf",
    ];
    is_one_of(name, TERMS)
        .then(|| warning("Generic", "says what, but not who; put the business's name into it"))
        .flatten()
}

fn place(name: &str) -> Option<Finding> {
    const PLACES: &[&str] = &[
        "new york",
        "london",
        "paris",
        "berlin",
        "madrid",
        "rome",
        "lisbon",
        "tokyo",
        "singapore",
        "dubai",
        "mumbai",
        "delhi",
        "jakarta",
        "lagos",
        "nairobi",
        "cairo",
        "istanbul",
        "mexico",
        "brazil",
        "brasil",
        "india",
        "germany",
        "spain",
        "france",
        "italy",
        "portugal",
        "são paulo",
        "rio de janeiro",
        "buenos aires",
        "bogotá",
        "lima",
    ];
    is_one_of(name, PLACES)
        .then(|| warning("Place", "is only a place; put the business's name into it"))
        .flatten()
}

fn is_one_of(name: &str, list: &[&str]) -> bool {
    let lower = name.trim().to_lowercase();
    list.contains(&lower.as_str())
}

fn verification(name: &str) -> Option<Finding> {
    const WORDS: &[&str] =
        &["official", "verified", "oficial", "verificado", "verificada", "offiziell", "officiel"];
    let words = words(name);
    let found = WORDS.iter().find(|w| words.iter().any(|x| x == *w))?;
    warning(
        "SuggestsVerification",
        format!("holds \"{found}\", which suggests that Meta vouches for it; leave it out"),
    )
}

fn slogan(name: &str) -> Option<Finding> {
    let count = name.unicode_words().count();
    (count > 6)
        .then(|| warning("Slogan", format!("has {count} words; use the name, not a description")))
        .flatten()
}

fn unseen(name: &str) -> Option<Finding> {
    let before = name
        .chars()
        .map(|c| c.script())
        .scan(Script::Common, |last, next| Some(std::mem::replace(last, next)));
    let (bad, _) = name
        .chars()
        .zip(before)
        .find(|(c, before)| is_ignorable(*c) && !(is_of_spelling(*c) && is_joined(*before)))?;
    warning("Unseen", format!("holds U+{:04X}, which nobody sees; leave it out", bad as u32))
}

/// Whether nothing is shown of a character: formats, and the others of Unicode's Default_Ignorable_Code_Point.
fn is_ignorable(c: char) -> bool {
    c.general_category() == GeneralCategory::Format
        || matches!(
            c,
            '\u{34f}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fff8}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Joiners, and what chooses among the forms of one letter, as in Japanese names.
fn is_of_spelling(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180d}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether those belong to the spelling of a script, as in Persian and Hindi.
fn is_joined(script: Script) -> bool {
    !matches!(script, Script::Common | Script::Inherited | Script::Latin | Script::Greek | Script::Cyrillic)
}

/// Scripts that are written together: the languages of East Asia with each other and with Latin, and any other one with
/// Latin, unless its letters look like Latin ones.
fn scripts(name: &str) -> Option<Finding> {
    let mut scripts: Vec<Script> = Vec::new();
    for script in name.chars().filter(|c| c.is_alphabetic()).map(|c| c.script()) {
        if !matches!(script, Script::Common | Script::Inherited | Script::Unknown)
            && !scripts.contains(&script)
        {
            scripts.push(script);
        }
    }
    let is_of_east_asia = |script: &Script| {
        matches!(
            script,
            Script::Han | Script::Hiragana | Script::Katakana | Script::Bopomofo | Script::Hangul
        )
    };
    let looks_latin = |script: &Script| {
        matches!(script, Script::Cyrillic | Script::Greek | Script::Cherokee | Script::Coptic | Script::Lisu)
    };
    let has_latin = scripts.contains(&Script::Latin);
    let mut others = scripts.iter().filter(|script| **script != Script::Latin);
    let is_usual = others.clone().all(is_of_east_asia)
        || others.clone().count() == 1 && !(has_latin && others.any(looks_latin));
    if is_usual {
        return None;
    }
    let names: Vec<&str> = scripts.iter().map(|script| script.full_name()).collect();
    warning(
        "MixedScripts",
        format!("mixes letters that may look alike, of {}; write it in one script", names.join(" and ")),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rules(name: &str) -> Vec<(&'static str, Severity)> {
        lint(name, &Limits::default()).into_iter().map(|f| (f.rule, f.severity)).collect()
    }

    #[rstest]
    #[case("Acme Suporte")]
    #[case("eBay")]
    #[case("McDonald's")]
    #[case("iPhone Repair Berlin")]
    #[case("São João & Filhos")]
    #[case("株式会社アクメ")]
    #[case("أكمي للتجارة")]
    #[case("アクメ商 Tokyo")]
    #[case("아크메 Seoul 商")]
    #[case("Acme ไทย")]
    #[case("Акме Магазин")]
    #[case("Ακμή Αθήνα")]
    #[case("کتاب\u{200c}ها")]
    #[case("अक्\u{200d}ष सेवा")]
    #[case("葛\u{e0100}飾商店")]
    #[case("Acme by Example Ltd.")]
    #[case("Yahoo!")]
    #[case("1-2-3 Acme")]
    #[case("7-Eleven")]
    #[case("NASA Shop Test")]
    #[case("C&A")]
    #[case("Metalworks Acme")]
    fn a_name_that_a_business_would_carry_passes(#[case] name: &str) {
        assert_eq!(rules(name), []);
    }

    #[rstest]
    #[case("Ab", "TooShort")]
    #[case("  A  ", "TooShort")]
    #[case("Acme™", "SymbolOrEmoji")]
    #[case("Acme ★", "SymbolOrEmoji")]
    #[case("Acme 🎉", "SymbolOrEmoji")]
    #[case("Acme 👩‍👩‍👧", "SymbolOrEmoji")]
    #[case("Acme\tShop", "SymbolOrEmoji")]
    #[case("Acme WhatsApp", "MetaBrand")]
    #[case("acme on INSTAGRAM", "MetaBrand")]
    #[case(" Acme", "OuterSpace")]
    #[case("Acme  Shop", "DoubleSpace")]
    fn what_meta_declines_for_certain_is_an_error(#[case] name: &str, #[case] rule: &str) {
        assert!(rules(name).contains(&(rule, Severity::Error)), "{:?}", rules(name));
        assert!(is_refused(name, &Limits::default()));
    }

    #[rstest]
    #[case("ACME SHOP", "AllCapitals")]
    #[case("AcMe wInD", "MixedCase")]
    #[case("*Acme*", "Punctuation")]
    #[case("Acme -- Shop", "Punctuation")]
    #[case("Acme!!", "Punctuation")]
    #[case("A c m e", "SpacedLetters")]
    #[case("www.acme.example", "Address")]
    #[case("acme.com", "Address")]
    #[case("Customer Support", "Generic")]
    #[case("New York", "Place")]
    #[case("Acme Official", "SuggestsVerification")]
    #[case("The best cheap shoes in the whole town", "Slogan")]
    #[case("Acme\u{202e}Shop", "Unseen")]
    #[case("Acme\u{200b}Shop", "Unseen")]
    #[case("\u{2066}Acme Shop", "Unseen")]
    #[case("Ac\u{200d}me Shop", "Unseen")]
    #[case("Ac\u{ad}me Shop", "Unseen")]
    #[case("Acme\u{3164}Shop", "Unseen")]
    #[case("Acme\u{115f}Shop", "Unseen")]
    #[case("Acme\u{fe0f} Shop", "Unseen")]
    #[case("Acme\u{e0041} Shop", "Unseen")]
    #[case("Acme\u{e0100} Shop", "Unseen")]
    #[case("\u{410}cme Shop", "MixedScripts")]
    #[case("\u{391}cme Shop", "MixedScripts")]
    #[case("Acme ไทย Магазин", "MixedScripts")]
    #[case("東京 Акме", "MixedScripts")]
    fn what_meta_may_decline_is_a_warning(#[case] name: &str, #[case] rule: &str) {
        assert!(rules(name).contains(&(rule, Severity::Warning)), "{:?}", rules(name));
        assert!(!is_refused(name, &Limits::default()));
    }

    #[test]
    fn lengths_are_those_of_the_policy() {
        assert!(rules(&"a".repeat(64)).is_empty());
        assert_eq!(rules(&"a".repeat(65)), [("Long", Severity::Warning)]);
        assert_eq!(rules(&"a".repeat(75)), [("Long", Severity::Warning)]);
        assert_eq!(rules(&"a".repeat(76)), [("TooLong", Severity::Error)]);
    }

    #[test]
    fn errors_come_before_warnings() {
        let severities: Vec<_> = rules("WWW.ACME 🎉").into_iter().map(|(_, s)| s).collect();
        assert!(severities.is_sorted());
        assert!(severities.len() > 1);
    }

    #[test]
    fn three_characters_are_counted_as_a_person_counts_them() {
        assert!(!is_refused("é́clat", &Limits::default()));
        assert!(is_refused("e\u{301}a", &Limits::default()));
    }
}
