//! The error envelope of an answer: read in every shape, then classified, redacted and bounded.
//!
//! What a code means is the table's business. Here is what the envelope itself says: its texts, the field that it
//! names, and until when it asks to wait.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    engine::{failure::Refusal, time::later},
    meta::{
        edge::Edge,
        error::{HOUR, MINUTE, Text, WRONG_PROOF, is_throttle, sentence, verdict},
        json,
        redact::{hide, redact},
    },
};

/// Meta takes no code: this one, or none for a time.
const CODE_REFUSED: i64 = 136_025;

/// Meta's error envelope as it came.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Envelope {
    pub code: i64,
    pub subcode: Option<i64>,
    pub message: String,
    pub title: Option<String>,
    pub user_message: Option<String>,
    pub details: Option<String>,
    pub trace_id: Option<String>,
    pub is_transient: bool,
}

/// A field that Meta says the node does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonexisting {
    pub field: String,
    /// What kind of object the id belongs to. Meta leaves it out at times, for example on lists.
    pub node_type: Option<String>,
}

impl Envelope {
    /// Reads the envelope of an answer: `{"error": {...}}` in every shape.
    ///
    /// `Ok(None)` when there is none; `Err` with what it says when it has no code, which is
    /// then no answer that anything may be concluded from.
    pub fn of(answer: &Value) -> Result<Option<Self>, String> {
        match answer.get("error") {
            // The only shape in which an upload is refused; it has no code.
            None | Some(Value::Null) => match answer.get("debug_info") {
                Some(info) => Err(json::text(info, "message").unwrap_or_default()),
                None => Ok(None),
            },
            Some(error) => Self::from_error(error).map(Some),
        }
    }

    /// Reads the object under `error`, also where it stands inside `debug_token`'s data.
    pub fn from_error(error: &Value) -> Result<Self, String> {
        if let Value::String(text) = error {
            return Err(text.clone());
        }
        let data = error.get("error_data").map(|data| match data {
            Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| data.clone()),
            other => other.clone(),
        });
        let details = match &data {
            Some(Value::String(text)) => Some(text.clone()),
            Some(data) => json::text(data, "details"),
            None => None,
        };
        let message = json::text(error, "message").unwrap_or_default();
        let subcode = json::integer(error, "error_subcode").or_else(|| json::integer(error, "subcode"));
        let Some(code) = json::integer(error, "code").or(subcode) else {
            return Err(message);
        };
        Ok(Self {
            code,
            subcode: subcode.filter(|subcode| *subcode != 0 && *subcode != code),
            message,
            title: json::text(error, "error_user_title"),
            user_message: json::text(error, "error_user_msg"),
            details,
            trace_id: json::text(error, "fbtrace_id"),
            is_transient: json::truth(error, "is_transient") == Some(true),
        })
    }

    /// Takes a secret of ours out of every text.
    pub fn hide(&mut self, secret: &str) {
        let texts = [
            Some(&mut self.message),
            self.title.as_mut(),
            self.user_message.as_mut(),
            self.details.as_mut(),
            self.trace_id.as_mut(),
        ];
        texts.into_iter().flatten().for_each(|text| hide(text, secret));
    }

    /// The field that the node does not have, when that is what the message says.
    ///
    /// Read from the message, since Meta names the field nowhere else.
    pub fn nonexisting_field(&self) -> Option<Nonexisting> {
        if self.code != 100 {
            return None;
        }
        let at = find_ignoring_case(&self.message, "nonexisting field")?;
        let (field, rest) = in_brackets(&self.message[at..])?;
        let node_type = find_ignoring_case(rest, "on node type").and_then(|at| in_brackets(&rest[at..]));
        Some(Nonexisting { field: field.to_owned(), node_type: node_type.map(|(name, _)| name.to_owned()) })
    }

    /// Classifies, redacts and bounds it. `until` is what the headers of the answer said: they speak of the calls of
    /// an app or an account, and so end a throttle, and never a lock of a number.
    pub fn refusal(self, edge: Edge, http: u16, until: Option<Timestamp>, now: Timestamp) -> Refusal {
        let mut verdict = verdict(edge, self.code, self.subcode, self.is_transient, http);
        // A wrong proof comes as a plain 100, and the message is all that tells it apart.
        if self.code == 100 && find_ignoring_case(&self.message, "appsecret_proof").is_some() {
            verdict = WRONG_PROOF;
        }
        let sentence = sentence(self.code, self.subcode, |text| match text {
            Text::ForDevelopers => Some(self.message.clone()),
            Text::ForPeople => self.user_message.clone(),
        });
        if let Some(sentence) = sentence {
            verdict = sentence.verdict(edge, verdict);
        }
        let texts = [self.details.as_deref(), self.user_message.as_deref()];
        let again = texts.into_iter().flatten().find_map(until_again);
        // One wrong code is a person's matter. After too many the number takes none for a time, and then the words name it.
        if again.is_some() && [Some(self.code), self.subcode].contains(&Some(CODE_REFUSED)) {
            verdict = verdict.until_then();
        }
        let told = again.or_else(|| self.details.as_deref().and_then(wait_in));
        let named = until
            .filter(|_| is_throttle(self.code, self.subcode))
            .or_else(|| told.map(|wait| later(now, wait)));
        let until = (verdict.class.is_pause())
            .then(|| named.or_else(|| verdict.wait.map(|wait| later(now, wait))))
            .flatten();
        let known = [Some(self.code), self.subcode];
        let known: Vec<i64> = known.into_iter().flatten().collect();
        let best = [self.user_message, self.details, Some(self.message)];
        let best = best.into_iter().flatten().find(|text| !text.trim().is_empty()).unwrap_or_default();
        Refusal {
            code: self.code,
            subcode: self.subcode,
            title: self.title.filter(|title| !title.trim().is_empty()).map(|title| redact(&title, &known)),
            message: redact(&best, &known),
            said: sentence.map(|sentence| sentence.said),
            trace_id: self.trace_id.map(|id| id.chars().filter(char::is_ascii_graphic).take(64).collect()),
            class: verdict.class,
            scope: verdict.scope,
            until,
        }
    }
}

/// The first text in brackets, and what follows it.
fn in_brackets(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once('(')?;
    let (inside, rest) = rest.split_once(')')?;
    Some((inside.trim(), rest)).filter(|(inside, _)| !inside.is_empty())
}

fn find_ignoring_case(text: &str, what: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(what)
}

/// The wait that a sentence names after which something may be tried again. Other times stand in such sentences too, such as how
/// long a code is valid.
fn until_again(sentence: &str) -> Option<Duration> {
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let is_again =
        |word: &&str| word.trim_matches(|c: char| !c.is_alphabetic()).eq_ignore_ascii_case("again");
    let at = words.iter().position(is_again)?;
    wait_in(&words[at..].join(" "))
}

/// The first wait that a sentence names in English: "after 30 minutes", "in 12 hours".
fn wait_in(details: &str) -> Option<Duration> {
    let words: Vec<&str> = details.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let count: u64 = pair[0].parse().ok()?;
        let unit = pair[1].trim_matches(|c: char| !c.is_alphabetic()).to_ascii_lowercase();
        let seconds = match unit.as_str() {
            "second" | "seconds" => 1,
            "minute" | "minutes" => MINUTE,
            "hour" | "hours" => HOUR,
            "day" | "days" => 24 * HOUR,
            _ => return None,
        };
        // More than a week is no wait that we would believe.
        count.checked_mul(seconds).filter(|s| (1..=7 * 24 * HOUR).contains(s)).map(Duration::from_secs)
    })
}

#[cfg(test)]
mod tests;
