//! The parameter `fields`: names, arguments and nested lists.

use super::envelope::Refusal;

/// One requested field, such as `phone_numbers.limit(100){id,status}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) args: Vec<(String, String)>,
    pub(super) sub: Option<Vec<Field>>,
}

impl Field {
    pub(super) fn arg(&self, name: &str) -> Option<String> {
        self.args.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

/// Reads a list of fields.
pub(super) fn parse(text: &str) -> Result<Vec<Field>, Refusal> {
    let mut rest = text;
    let fields = list(&mut rest, 0)?;
    if rest.is_empty() { Ok(fields) } else { Err(syntax(rest)) }
}

fn list(rest: &mut &str, depth: usize) -> Result<Vec<Field>, Refusal> {
    if depth > 4 {
        return Err(syntax(rest));
    }
    let mut fields = Vec::new();
    loop {
        let name = take(rest, |c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        let mut field = Field { name, args: Vec::new(), sub: None };
        while let Some(after) = rest.strip_prefix('.') {
            *rest = after;
            let key = take(rest, |c| c.is_ascii_alphanumeric() || c == '_').to_owned();
            let inner = rest.strip_prefix('(').ok_or_else(|| syntax(rest))?;
            let (value, after) = inner.split_once(')').ok_or_else(|| syntax(rest))?;
            field.args.push((key, value.to_owned()));
            *rest = after;
        }
        if let Some(after) = rest.strip_prefix('{') {
            *rest = after;
            field.sub = Some(list(rest, depth + 1)?);
            *rest = rest.strip_prefix('}').ok_or_else(|| syntax(rest))?;
        }
        if !field.name.is_empty() {
            fields.push(field);
        }
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Ok(fields),
        }
    }
}

fn take<'a>(rest: &mut &'a str, keep: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    *rest = tail;
    head
}

fn syntax(rest: &str) -> Refusal {
    Refusal::invalid(format!(
        "the field list cannot be read at `{}`",
        rest.chars().take(20).collect::<String>()
    ))
}
