//! Values of Meta's JSON, read leniently: text where a number is documented, a number where a text is.
//!
//! Knows nothing of what the values mean.

use serde_json::Value;

/// Most values of one answer. A page of a hundred numbers has some 10,000, a token for 5,000 accounts 20,000; in memory a
/// value may take a hundred times as much as in a text.
pub const MOST_VALUES: usize = 100_000;

/// An answer as it came. `None`: it is no JSON.
///
/// # Errors
///
/// When it may have more values than [`MOST_VALUES`].
pub fn parse(body: &[u8]) -> Result<Option<Value>, String> {
    // Each value but the first of its kind stands behind one of these; those in texts count too.
    let values = body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > MOST_VALUES {
        return Err(format!("the answer has more than {MOST_VALUES} values"));
    }
    Ok(serde_json::from_slice(body).ok())
}

/// About as many bytes as a value has in memory, its texts above all.
pub fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(entries) => entries.iter().map(weight).sum(),
            Value::Object(members) => members.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        }
}

/// How long all texts in a value are together: what is made of it holds no more of them.
pub fn texts(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(entries) => entries.iter().map(texts).sum(),
        Value::Object(members) => members.values().map(texts).sum(),
    }
}

/// A text, also when it comes as a number or a boolean.
pub fn text(object: &Value, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// A whole number, also when it comes as text.
pub fn integer(object: &Value, key: &str) -> Option<i64> {
    match object.get(key)? {
        Value::Number(number) => number.as_i64().or_else(|| float_to_integer(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Meta's percentages and codes are small; whatever is not is not ours.
#[allow(clippy::cast_possible_truncation)]
fn float_to_integer(number: f64) -> Option<i64> {
    (number.abs() < 1e15).then_some(number as i64)
}

/// A boolean, also when it comes as text or as 0 or 1.
pub fn truth(object: &Value, key: &str) -> Option<bool> {
    match object.get(key)? {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        _ => None,
    }
}
