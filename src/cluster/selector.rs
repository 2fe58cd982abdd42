//! A selector of labels, in the words of kubectl: which objects an operator watches.

use kube::core::{Expression, Selector};

/// Reads a selector such as `team=a,tier in (one,two),!retired`.
///
/// # Errors
///
/// Names the part that is none, and how one is written.
pub fn selector(text: &str) -> Result<Selector, String> {
    let parts = parts(text);
    if parts.iter().all(|part| part.is_empty()) {
        return Err("a selector names a label; leave it out to watch every object".into());
    }
    let mut requirements = parts.into_iter().map(requirement).collect::<Result<Vec<_>, _>>()?;
    // The same selection has one spelling, by which a Lease can be named.
    requirements.sort_by_key(ToString::to_string);
    requirements.dedup();
    Ok(requirements.into_iter().collect())
}

/// Between the commas that stand outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let is_end = |char: char| {
        depth += i32::from(char == '(') - i32::from(char == ')');
        char == ',' && depth == 0
    };
    text.split(is_end).map(str::trim).collect()
}

fn requirement(text: &str) -> Result<Expression, String> {
    if let Some(key) = text.strip_prefix('!') {
        return Ok(Expression::DoesNotExist(label(key.trim(), text)?));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(label(key.trim(), text)?, value_of(value.trim(), text)?));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(label(key.trim(), text)?, value_of(value.trim(), text)?));
    }
    let Some((head, values)) = text.split_once('(') else {
        return Ok(Expression::Exists(label(text, text)?));
    };
    let values = values.strip_suffix(')').ok_or_else(|| refused(text))?;
    let values = values.split(',').map(|value| value_of(value.trim(), text)).collect::<Result<_, _>>()?;
    match head.split_whitespace().collect::<Vec<_>>()[..] {
        [key, "in"] => Ok(Expression::In(label(key, text)?, values)),
        [key, "notin"] => Ok(Expression::NotIn(label(key, text)?, values)),
        _ => Err(refused(text)),
    }
}

/// The key of a label: a name, and a domain before it if it has one.
fn label(key: &str, of: &str) -> Result<String, String> {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let is_domain = |domain: &str| {
        domain.len() <= 253 && domain.split('.').all(|part| is_word(part, |c| c == '-') && is_lower(part))
    };
    let is_key = domain.is_none_or(is_domain) && name.len() <= 63 && is_word(name, is_mark);
    if is_key { Ok(key.to_owned()) } else { Err(refused(of)) }
}

fn value_of(value: &str, of: &str) -> Result<String, String> {
    let is_value = value.is_empty() || (value.len() <= 63 && is_word(value, is_mark));
    if is_value { Ok(value.to_owned()) } else { Err(refused(of)) }
}

const fn is_mark(char: char) -> bool {
    matches!(char, '-' | '_' | '.')
}

fn is_lower(text: &str) -> bool {
    !text.contains(|char: char| char.is_ascii_uppercase())
}

/// Letters and digits, and marks between them.
fn is_word(text: &str, is_mark: impl Fn(char) -> bool) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric();
    text.starts_with(is_plain)
        && text.ends_with(is_plain)
        && text.chars().all(|char| is_plain(char) || is_mark(char))
}

fn refused(part: &str) -> String {
    format!(
        "{part:?} selects no label: write key=value, key!=value, key in (a,b), key notin (a,b), key or !key"
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::value("sharding.whatsapp-operator.dev/key=shard1", "sharding.whatsapp-operator.dev/key=shard1")]
    #[case::value_written_twice("tier == a", "tier=a")]
    #[case::not_that_value(" tier!=a ", "tier!=a")]
    #[case::no_value("tier=", "tier=")]
    #[case::one_of("tier in (b, a),team", "team,tier in (a,b)")]
    #[case::none_of("tier notin (a),!retired", "!retired,tier notin (a)")]
    #[case::twice("tier=a, tier==a", "tier=a")]
    fn what_kubectl_takes_is_taken(#[case] text: &str, #[case] sent: &str) {
        assert_eq!(selector(text).map(|selector| selector.to_string()), Ok(sent.to_owned()));
    }

    #[rstest]
    #[case::nothing("")]
    #[case::blanks(" , ")]
    #[case::half("tier=a,")]
    #[case::no_key("=a")]
    #[case::two_values("tier=a=b")]
    #[case::blank_in_the_key("my tier=a")]
    #[case::an_unknown_word("tier within (a,b)")]
    #[case::open("tier in (a,b")]
    #[case::closed_too_often("tier in (a))")]
    #[case::no_word("tier (a)")]
    #[case::capitals_in_the_domain("Acme.example/tier=a")]
    #[case::no_domain("/tier=a")]
    #[case::mark_at_the_end("tier=a-")]
    #[case::not_ascii("stufe=größe")]
    fn what_selects_nothing_is_refused_in_words(#[case] text: &str) {
        let refused = selector(text).expect_err(text);
        assert!(refused.contains("key=value") || refused.contains("leave it out"), "{refused}");
    }

    #[test]
    fn a_key_and_a_value_have_a_length() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        assert!(selector(&format!("{long}={long}")).is_ok());
        assert!(selector(&format!("{longer}=a")).is_err() && selector(&format!("a={longer}")).is_err());
    }
}
