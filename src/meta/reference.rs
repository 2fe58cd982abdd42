//! `docs/errors.md`: the calls, and the table of codes, for people.

use std::fmt::Write;

use super::{
    edge::Edge,
    error::{HOUR, MINUTE, SENTENCES, TABLE},
};

/// The reference of errors: `docs/errors.md`.
pub fn errors() -> String {
    let mut out = String::from(
        "<!-- Generated from the tables in src/meta/edge.rs and src/meta/error.rs: make gen -->\n\n\
         # Errors of Meta's\n\n\
         What the operator makes of every code and subcode. The most exact row wins: a code with its subcode, then a \
         number that may come as code or as subcode, then the code, then the family; a row for a call beats one for \
         all calls.\n\n\
         The **class** says what an error asks for: *retry* says nothing about the request and is tried again later; \
         *wait* has a known end; *person* needs somebody to act; *spec* needs another value; *credentials* needs another \
         token, permission or app secret; *done* means that what was asked for already holds. The **scope** says how far \
         it reaches. An error marked `is_transient` is a *retry*, unless its class is *wait*, *credentials* or *done*. A code \
         that is not listed is a *retry* with HTTP 5xx, *credentials* with 401 or 403, and else a matter for a *person*.\n\n\
         The source is the Meta page that names the code; waits in brackets hold when the answer names no time.\n\n\
         The calls:\n\n",
    );
    for edge in Edge::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "- {}: `{} {}`", edge.as_str(), edge.method(), edge.path());
    }
    out.push_str(
        "\n| Code / subcode | Calls | Class | Scope | Meaning | Source |\n|---|---|---|---|---|---|\n",
    );
    for entry in TABLE {
        let calls = entry.calls.names().unwrap_or_else(|| "all".to_owned());
        let wait = match entry.wait {
            None => String::new(),
            Some(seconds) if seconds % HOUR == 0 => format!(" ({} h)", seconds / HOUR),
            Some(seconds) => format!(" ({} min)", seconds / MINUTE),
        };
        let _ = writeln!(
            out,
            "| {} | {calls} | {}{wait} | {} | {} | {} |",
            entry.key.text(),
            entry.class.in_reference(),
            entry.scope.in_reference(),
            entry.meaning,
            entry.source
        );
    }
    out.push_str(
        "\nSome errors say only in a sentence what they mean. These are the known ones; every other sentence is shown, and \
         nothing is concluded from it.\n\n",
    );
    for sentence in SENTENCES {
        let subcode = sentence.subcode.map(|subcode| format!(" / {subcode}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "- {}{subcode}, `{}` with \"{}\": {} ({})",
            sentence.code,
            sentence.text.name(),
            sentence.part,
            sentence.meaning,
            sentence.source
        );
    }
    out
}
