//! The control API: what happens at Meta and on the phone, on order.
//!
//! It has no authentication and shows codes, PINs and tokens, all of which are made
//! up. A process that serves it must listen on this machine only.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Response};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::plain;
use super::clock::Pace;
use super::fault::Fault;
use super::number::{Number, Verdict};
use super::simulation::Sandbox;
use super::switch::{EndpointAnswer, Switches};
use super::world::{Account, App, Portfolio, Token};

/// A request on the control API that cannot be done, with its HTTP status.
struct Refused(u16, String);

type Answer = Result<Value, Refused>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Time {
    #[serde(default)]
    advance_seconds: u64,
    pace: Option<Pace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    verdict: Verdict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Aim {
    target: String,
    until: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    target: String,
    field: String,
    value: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneUse {
    digits: String,
    #[serde(default)]
    released: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenOrder {
    value: String,
    token: Option<Token>,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    revoke: bool,
    #[serde(default)]
    expire: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Callback {
    url: String,
    answer: EndpointAnswer,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Faults {
    One(Box<Fault>),
    Many(Vec<Fault>),
}

/// Answers one request.
pub(super) fn handle(sandbox: &Sandbox, request: &Request<Bytes>) -> Response<Bytes> {
    let path: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).skip(1).collect();
    let (status, body) = match answer(sandbox, request.method().as_str(), &path, request.body()) {
        Ok(body) => (200, body),
        Err(Refused(status, message)) => (status, json!({"error": message})),
    };
    plain(status, "application/json", body.to_string().into())
}

fn answer(sandbox: &Sandbox, method: &str, path: &[&str], body: &[u8]) -> Answer {
    let done = json!({"success": true});
    match (method, path) {
        ("GET", ["state"]) => Ok(sandbox.snapshot()),
        ("GET", ["effects"]) => show(&sandbox.effects()),
        ("GET", ["calls"]) => {
            Ok(json!({"calls": show(&sandbox.calls())?, "counters": show(&sandbox.counters())?}))
        }
        ("GET", ["time"]) => Ok(json!({"now": sandbox.now().to_string()})),
        ("POST", ["time"]) => {
            let time: Time = read(body)?;
            if let Some(pace) = time.pace {
                sandbox.set_pace(pace);
            }
            sandbox.advance(Duration::from_secs(time.advance_seconds));
            Ok(json!({"now": sandbox.now().to_string()}))
        }
        ("POST", ["lag"]) => {
            sandbox.set_lag(read(body)?);
            Ok(done)
        }
        ("POST", ["portfolios"]) => {
            sandbox.add_portfolio(read::<Portfolio>(body)?);
            Ok(done)
        }
        ("POST", ["accounts"]) => {
            sandbox.add_account(read::<Account>(body)?);
            Ok(done)
        }
        ("POST", ["numbers"]) => Ok(json!({"id": sandbox.add_number(read::<Number>(body)?)})),
        ("POST", ["apps"]) => {
            sandbox.add_app(read::<App>(body)?);
            Ok(done)
        }
        ("POST", ["tokens"]) => order_token(sandbox, read(body)?),
        ("GET", ["numbers", digits, "code"]) => {
            let code = sandbox
                .delivered_code(digits)
                .ok_or_else(|| Refused(404, format!("no code was delivered to {digits}")))?;
            Ok(json!({"code": code}))
        }
        ("POST", ["numbers", digits, "name"]) => {
            let decision: Decision = read(body)?;
            found(sandbox.decide_name(digits, decision.verdict), digits)
        }
        ("POST", ["numbers", digits, "rival"]) => found(sandbox.set_rival(digits, Some(read(body)?)), digits),
        ("DELETE", ["numbers", digits, "rival"]) => found(sandbox.set_rival(digits, None), digits),
        ("POST", ["numbers", digits, "delete"]) => found(sandbox.delete_number(digits), digits),
        ("POST", ["numbers", digits, "deregister"]) => {
            found(sandbox.deregister_number(digits), &format!("registered number {digits}"))
        }
        ("POST", ["numbers", digits, "disable-pin"]) => found(sandbox.disable_pin(digits), digits),
        ("POST", ["phones"]) => {
            let phone: PhoneUse = read(body)?;
            if phone.released {
                sandbox.release_phone(&phone.digits);
            } else {
                sandbox.put_on_phone(&phone.digits);
            }
            Ok(done)
        }
        ("POST", ["ban"]) => {
            let aim: Aim = read(body)?;
            found(sandbox.ban(&aim.target), &aim.target)
        }
        ("POST", ["restrict"]) => {
            let aim: Aim = read(body)?;
            found(sandbox.restrict(&aim.target, aim.until), &aim.target)
        }
        ("POST", ["fields"]) => {
            let raw: RawField = read(body)?;
            found(sandbox.set_field(&raw.target, &raw.field, raw.value.unwrap_or(Value::Null)), &raw.target)
        }
        ("DELETE", ["fields"]) => {
            let raw: RawField = read(body)?;
            found(sandbox.clear_field(&raw.target, &raw.field), &raw.target)
        }
        ("POST", ["review"]) => {
            sandbox.set_review(read(body)?);
            Ok(done)
        }
        ("GET", ["switches"]) => show(&sandbox.switches()),
        ("POST", ["switches"]) => {
            let mut switches = show(&sandbox.switches())?;
            let change: serde_json::Map<String, Value> = read(body)?;
            if let Some(all) = switches.as_object_mut() {
                all.extend(change);
            }
            let switches: Switches =
                serde_json::from_value(switches).map_err(|error| Refused(400, error.to_string()))?;
            sandbox.set_switches(switches);
            Ok(done)
        }
        ("POST", ["webhooks"]) => {
            let callback: Callback = read(body)?;
            sandbox.set_webhook_endpoint(&callback.url, callback.answer);
            Ok(done)
        }
        ("GET", ["faults"]) => Ok(sandbox.faults()),
        ("POST", ["faults"]) => {
            match read(body)? {
                Faults::One(fault) => sandbox.inject(*fault),
                Faults::Many(faults) => faults.into_iter().for_each(|fault| sandbox.inject(fault)),
            }
            Ok(done)
        }
        ("DELETE", ["faults"]) => {
            sandbox.clear_faults();
            Ok(done)
        }
        _ => Err(Refused(404, format!("there is no {method} /control/{}", path.join("/")))),
    }
}

fn order_token(sandbox: &Sandbox, order: TokenOrder) -> Answer {
    if let Some(token) = order.token {
        sandbox.add_token(&order.value, token);
    }
    let mut known = true;
    if let Some(scopes) = order.scopes {
        known &= sandbox.set_scopes(&order.value, scopes);
    }
    if order.expire {
        known &= sandbox.expire_token(&order.value);
    }
    if order.revoke {
        known &= sandbox.revoke_token(&order.value);
    }
    if known { Ok(json!({"success": true})) } else { Err(Refused(404, "there is no such token".to_owned())) }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused(400, error.to_string()))
}

fn show<T: Serialize>(value: &T) -> Answer {
    serde_json::to_value(value).map_err(|error| Refused(500, error.to_string()))
}

fn found(found: bool, target: &str) -> Answer {
    if found { Ok(json!({"success": true})) } else { Err(Refused(404, format!("there is no {target}"))) }
}
