//! A request, read once.
//!
//! Parameters come from the query, a form or a JSON body, as Meta takes them; later
//! code does not ask from where.

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::envelope::Refusal;
use super::field::{self, Field};

/// How the id of an upload begins.
pub(super) const UPLOAD: &str = "upload:";
/// The newest version that there is.
const NEWEST: u32 = 26;
/// Versions and the last second of their use.
const ENDS: &[(u32, &str)] = &[
    (20, "2026-09-24T00:00:00Z"),
    (21, "2027-01-21T00:00:00Z"),
    (22, "2027-05-20T00:00:00Z"),
    (23, "2027-10-08T00:00:00Z"),
    (24, "2028-02-18T00:00:00Z"),
    (25, "2028-07-29T00:00:00Z"),
];

/// A call on the graph.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) method: String,
    /// The version in the path, if there is one.
    pub(super) asked_version: Option<u32>,
    pub(super) path: Vec<String>,
    pub(super) params: Map<String, Value>,
    /// The body is neither a form nor JSON.
    unreadable: bool,
    token: Option<String>,
    /// `appsecret_proof`, which counts in the query only.
    #[serde(default)]
    pub(super) proof: Option<String>,
    pub(super) host: String,
    pub(super) if_none_match: Option<String>,
    /// A part of a file.
    #[serde(default)]
    pub(super) part: Option<Part>,
}

/// A part of a file that is uploaded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    /// How much of the file came before, as the client says.
    pub(super) offset: Option<usize>,
}

impl Call {
    pub(super) fn read(request: &Request<Bytes>) -> Self {
        let text = |name: header::HeaderName| header_text(request.headers(), &name);
        let mut path: Vec<String> =
            request.uri().path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let asked_version = path.first().and_then(|part| version(part));
        if asked_version.is_some() {
            path.remove(0);
        }
        let mut params = Map::new();
        let mut add = |encoded: &[u8]| {
            for (key, value) in form_urlencoded::parse(encoded) {
                params.insert(key.into_owned(), Value::String(value.into_owned()));
            }
        };
        let query = request.uri().query().unwrap_or_default().as_bytes();
        add(query);
        let proof = form_urlencoded::parse(query).find(|(key, _)| key == "appsecret_proof");
        let body = request.body();
        let mut unreadable = false;
        let content_type = text(header::CONTENT_TYPE).unwrap_or_default();
        let is_upload = path.first().is_some_and(|part| part.starts_with(UPLOAD));
        let offset = || request.headers().get("file_offset")?.to_str().ok()?.parse().ok();
        let part = (is_upload && request.method() == "POST")
            .then(|| Part { bytes: body.to_vec(), offset: offset() });
        if is_upload {
            // The body is the file.
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            add(body);
        } else if !body.is_empty() {
            match serde_json::from_slice(body) {
                Ok(Value::Object(object)) => params.extend(object),
                _ => unreadable = true,
            }
        }
        // An upload wants another word before the token.
        let scheme = if is_upload { "OAuth " } else { "Bearer " };
        let bearer =
            text(header::AUTHORIZATION).and_then(|value| value.strip_prefix(scheme).map(str::to_owned));
        let token = bearer.or_else(|| params.get("access_token").and_then(Value::as_str).map(str::to_owned));
        Self {
            method: request.method().as_str().to_owned(),
            asked_version,
            path,
            params,
            unreadable,
            token,
            proof: proof.map(|(_, proof)| proof.into_owned()),
            host: text(header::HOST).unwrap_or_else(|| "graph.facebook.com".to_owned()),
            if_none_match: text(header::IF_NONE_MATCH),
            part,
        }
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The parameters can be read.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.unreadable {
            return Err(Refusal::invalid("the body is neither JSON nor a form"));
        }
        // Meta switched these off on every version on 27 October 2026; what the refusal says is not documented.
        if self.params.contains_key("date_format") {
            return Err(Refusal::invalid("the parameter date_format is not supported"));
        }
        if self.path.is_empty() && self.params.contains_key("ids") {
            return Err(Refusal::invalid("several ids in one call are not supported"));
        }
        Ok(())
    }

    /// A parameter as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.params.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// A parameter as text, which must be there.
    pub(super) fn required(&self, name: &str) -> Result<String, Refusal> {
        self.text(name).ok_or_else(|| Refusal::invalid(format!("the parameter {name} is required")))
    }

    /// A nested parameter: an object or list, or JSON text of one.
    pub(super) fn nested(&self, name: &str) -> Option<Value> {
        match self.params.get(name)? {
            Value::String(text) => {
                Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())))
            }
            other => Some(other.clone()),
        }
    }

    /// A switch that is on.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text == "true" || text == "1")
    }

    /// The requested fields, if any were named.
    pub(super) fn fields(&self) -> Result<Option<Vec<Field>>, Refusal> {
        self.text("fields").map(|text| field::parse(&text)).transpose()
    }

    /// The version that answers: the oldest usable one where the asked one is over, or
    /// none was asked for. None when there is no such version.
    pub(super) fn version(&self, now: Timestamp) -> Option<u32> {
        let over = |end: &str| end.parse::<Timestamp>().is_ok_and(|end| end <= now);
        let oldest = ENDS.iter().find(|(_, end)| !over(end)).map_or(NEWEST, |(version, _)| *version);
        match self.asked_version {
            Some(asked) if asked > NEWEST => None,
            asked => Some(asked.unwrap_or(oldest).max(oldest)),
        }
    }

    /// The query of `next`: what was asked for, without place, and without credentials unless it shall hold them.
    pub(super) fn next_query(&self, with_token: bool) -> String {
        let hidden = ["access_token", "appsecret_proof", "appsecret_time", "limit", "after", "before"];
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in &self.params {
            if let Some(value) = value.as_str().filter(|_| !hidden.contains(&key.as_str())) {
                query.append_pair(key, value);
            }
        }
        if let Some(token) = self.token().filter(|_| with_token) {
            query.append_pair("access_token", token);
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("{query}&") }
    }
}

/// Reads `v25.0`.
fn version(part: &str) -> Option<u32> {
    part.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()
}

fn header_text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
