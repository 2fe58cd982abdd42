//! Rules and small schemas of the kinds.
//!
//! Formats are rules of the Common Expression Language and not bare patterns, because a rule can say what
//! is wrong and what to do. Only functions that exist both in the API server and offline are used:
//! `matches`, `has`, `all`, `size` of ASCII text, `duration`, joined texts, choices and comparisons.

use kube::core::{Message, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Names that Kubernetes accepts for most objects.
const DNS_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// Names of namespaces.
const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A full address of the web.
const ADDRESS: &str = r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:(0?[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?([/?#][^ \\t\\r\\n]*)?$";
/// Meta's ids: decimal, without a leading zero.
const ID: &str = "^[1-9][0-9]{4,31}$";

fn matches(pattern: &str) -> String {
    format!("self.matches('{pattern}')")
}

/// The object's own name, which becomes part of names of Secrets and of labels.
pub fn object_name() -> Rule {
    Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name has more than 63 characters; choose a shorter name")
}

/// An optional field that stays once it was there.
pub fn not_removed(field: &str) -> Rule {
    Rule::new(format!("!has(oldSelf.{field}) || has(self.{field})")).message(Message::Message(format!(
        "{field} cannot be removed once set; put the old value back, or delete and re-create the object"
    )))
}

/// A field that does not change.
pub fn unchanged(field: &str, how: &str) -> Rule {
    Rule::new("self == oldSelf").message(Message::Message(format!(
        "{field} {how}; put the old value back, or create another object for the other value"
    )))
}

/// A code that lands where the PIN is kept would be taken for it. Asked at the root, since both places have defaults
/// that are made of the object's name. No name of a Secret holds a slash.
pub fn code_and_pin_apart() -> Rule {
    let place = |part: &str, key: &str, default: &str| {
        let (part, of) = (format!("self.spec.{part}"), format!("self.spec.{part}.{key}"));
        format!(
            "(has({part}) && has({of}) ? {of}.name + '/' + {of}.key : self.metadata.name + '-{default}/{default}')"
        )
    };
    let code = place("verification", "codeSecretRef", "code");
    let pin = place("registration", "pinSecretRef", "pin");
    Rule::new(format!("{code} != {pin}")).message(
        "verification.codeSecretRef (left out: <channel>-code, key code) and registration.pinSecretRef (left out: \
         <channel>-pin, key pin) are the same key of the same Secret; keep the code and the PIN apart",
    )
}

/// No call deregisters a number of the app.
pub fn coexistence_stays() -> Rule {
    Rule::new(
        "!(has(self.spec.connection) && self.spec.connection == 'Coexistence' && has(self.spec.deletionPolicy) && \
         self.spec.deletionPolicy == 'Deregister')",
    )
    .message(
        "deletionPolicy Deregister is not possible with connection Coexistence; set it to Unroute, and disconnect the \
         number in the WhatsApp Business app",
    )
}

/// A number of the app is registered by nobody here, so nothing can be set before that.
pub fn storage_of_cloud_api() -> Rule {
    Rule::new(
        "!(has(self.spec.connection) && self.spec.connection == 'Coexistence' && has(self.spec.registration) && \
         has(self.spec.registration.storageRegion))",
    )
    .message(
        "registration.storageRegion is not possible with connection Coexistence: no call registers such a number; \
         remove the field",
    )
}

/// A number that is in no app has nothing to send.
pub fn syncs_of_the_app() -> Rule {
    Rule::new(
        "!has(self.spec.coexistence) || (has(self.spec.connection) && self.spec.connection == 'Coexistence')",
    )
    .message("coexistence is possible only with connection Coexistence; set that, or remove coexistence")
}

/// Seconds, from a moment to a day.
pub fn deletion_timeout() -> Rule {
    Rule::new("self >= 10 && self <= 86400")
        .message("deletionTimeoutSeconds must be 10 to 86400; write 600 for ten minutes")
}

/// A duration as Go and Flux write it, in hours, minutes and seconds.
pub fn interval() -> Rule {
    let form = matches("^([0-9]{1,2}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$");
    Rule::new(format!("{form} && duration(self) >= duration('1s') && duration(self) <= duration('24h')")).message(
        "interval must be a time of 1s to 24h in hours, minutes and seconds; write it as in 30m, 6h or 1h30m, or leave it out",
    )
}

/// The call that sets it is the app's, and not the system user's.
pub fn app_webhook_needs_secret() -> Rule {
    Rule::new("!has(self.appWebhook) || has(self.credentials.appSecretRef)").message(
        "appWebhook is set and credentials.appSecretRef is not; set it to the Secret with the app secret, or leave appWebhook out",
    )
}

/// Names of webhook fields. Meta adds new ones, so the list is open.
pub fn webhook_fields() -> Rule {
    Rule::new("self.all(f, f.matches('^[a-z][a-z0-9_]*$'))").message(
        "appWebhook.fields must hold names of Meta's webhook fields in small letters; write them as in messages",
    )
}

/// Two different secrets are not one key.
pub fn token_and_app_secret_apart() -> Rule {
    Rule::new(
        "!has(self.appSecretRef) || self.appSecretRef.name != self.accessTokenSecretRef.name || \
         self.appSecretRef.key != self.accessTokenSecretRef.key",
    )
    .message(
        "credentials.appSecretRef and credentials.accessTokenSecretRef are the same key of the same Secret; \
         the app secret and the token are two different values",
    )
}

/// The mistake behind most wrong ids.
pub fn not_a_phone_number(field: &str, of: &str) -> Rule {
    Rule::new("!self.matches('^[+]')").message(Message::Message(format!(
        "{field} is the id of {of}, not a phone number; copy the id from Meta's business settings"
    )))
}

/// Meta's ids are digits.
pub fn digits(field: &str, of: &str) -> Rule {
    Rule::new(format!("self.matches('^[+]') || {}", matches(ID))).message(Message::Message(format!(
        "{field} must be the id of {of}, 5 to 32 digits and nothing else; copy it from Meta's business settings"
    )))
}

/// The number begins with a plus.
pub fn phone_plus() -> Rule {
    Rule::new(matches("^[+]"))
        .message("phoneNumber must start with + and the country code; write it as in \"+5511912345678\"")
}

/// Behind the plus stand digits.
pub fn phone_digits() -> Rule {
    Rule::new("!self.matches('^[+]') || self.matches('^[+][0-9]*$')").message(
        "phoneNumber must hold nothing but digits after the +; remove spaces, hyphens, brackets and letters",
    )
}

/// No country code begins with a zero.
pub fn phone_leading_zero() -> Rule {
    Rule::new("!self.matches('^[+]0')").message(
        "phoneNumber must not start with 0 after the +; write the country code without a dialling prefix",
    )
}

/// Country and area code included, a number has 8 to 15 digits.
pub fn phone_length() -> Rule {
    Rule::new("!self.matches('^[+][0-9]*$') || self.matches('^[+][0-9]{8,15}$')").message(
        "phoneNumber must have 8 to 15 digits; write it with country and area code (short codes cannot be used)",
    )
}

/// One line without blanks around it.
pub fn trimmed(field: &str) -> Rule {
    Rule::new(r"self.matches('^[^ \\t\\r\\n]([^\\r\\n]*[^ \\t\\r\\n])?$')").message(Message::Message(
        format!("{field} must be one line without blanks at its ends; remove them, and any line break"),
    ))
}

/// The name of an object.
pub fn dns_name(field: &str, of: &str) -> Rule {
    Rule::new(matches(DNS_NAME)).message(Message::Message(format!(
        "{field} must be the name {of}; use lower-case letters, digits, '-' and '.', with a letter or digit at both ends"
    )))
}

/// The name of a namespace.
pub fn dns_label(field: &str) -> Rule {
    Rule::new(matches(DNS_LABEL)).message(Message::Message(format!(
        "{field} must be the name of a namespace; use lower-case letters, digits and '-', with a letter or digit at both ends"
    )))
}

/// A key of a Secret.
pub fn secret_key() -> Rule {
    Rule::new(matches("^[-._a-zA-Z0-9]+$"))
        .message("key must be a key of the Secret's data; use letters, digits, '-', '_' and '.'")
}

/// A key of a ConfigMap.
pub fn config_map_key() -> Rule {
    Rule::new(matches("^[-._a-zA-Z0-9]+$"))
        .message("key must be a key of the ConfigMap's binaryData; use letters, digits, '-', '_' and '.'")
}

/// One source and no other.
pub fn one_picture() -> Rule {
    let has = |field: &str| format!("(has(self.{field}) ? 1 : 0)");
    let all = ["configMapKeyRef", "secretKeyRef", "url"].map(has);
    Rule::new(format!("{} == 1", all.join(" + "))).message(
        "profile.pictureRef must have one of configMapKeyRef, secretKeyRef and url; leave the others out",
    )
}

/// Where a picture is downloaded from.
pub fn picture_url() -> Rule {
    Rule::new(matches(
        r"^https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:(0?[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?([/?][^ #\t\r\n]*)?$",
    ))
    .message(
        "profile.pictureRef.url must be a full https:// address without user, password and '#', with a port of at most \
         65535; write it as in https://acme.example/logo.png",
    )
}

/// Meta's form of a language.
pub fn language() -> Rule {
    Rule::new(matches("^[a-z]{2}_[A-Z]{2}$")).message(
        "verification.language must be a language and a country in Meta's form; write it as in pt_BR or en_US",
    )
}

/// The form of an IANA name.
pub fn time_zone() -> Rule {
    Rule::new(matches("^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"))
        .message("timeZone must be an IANA name; write it as in America/Sao_Paulo, not as an offset")
}

/// A plausible mail address.
pub fn email() -> Rule {
    Rule::new(matches(
        "^[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$",
    ))
    .message("profile.email must be a mail address; write it as in help@acme.example")
}

/// Sites with their scheme.
pub fn websites() -> Rule {
    Rule::new(format!("self.all(w, w.matches('{ADDRESS}'))"))
        .message("profile.websites must each be a full address that starts with http:// or https://, with a port of at most 65535; write it as in https://acme.example")
}

/// Meta's characters, in capitals or not.
pub fn username_characters() -> Rule {
    Rule::new(matches("^[A-Za-z0-9._]+$"))
        .message("username must hold nothing but a to z, 0 to 9, '.' and '_'; leave other characters out")
}

/// A letter, and periods only between other characters.
pub fn username_shape() -> Rule {
    Rule::new(
        "self.matches('[A-Za-z]') && !self.matches('^[.]|[.]$|[.][.]') && !self.matches('^[Ww][Ww][Ww]')",
    )
    .message(
        "username must have a letter, no period at an end, no two periods in a row, and no www at the beginning; write it as in acme.suporte",
    )
}

/// A web site with its scheme.
pub fn web_address(field: &str) -> Rule {
    Rule::new(matches(ADDRESS)).message(Message::Message(format!(
        "{field} must be a full address that starts with http:// or https://; write it as in https://acme.example"
    )))
}

/// Sites with their scheme.
pub fn supporting_links() -> Rule {
    Rule::new(format!("self.all(w, w.matches('{ADDRESS}'))")).message(
        "officialBusinessAccount.supportingLinks must each be a full address that starts with http:// or https://; write it as in https://news.example/acme",
    )
}

/// What Meta calls back.
pub fn callback_url(of: &str) -> Rule {
    Rule::new(matches(
        r"^https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:(0?[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?([/?][^ #\\t\\r\\n]*)?$",
    ))
    .message(Message::Message(format!(
        "{of}.callbackUrl must be a full https:// address without user, password and '#', with a port of at most 65535; \
         write it as in https://bot.acme.example/wa"
    )))
}

/// Two capital letters.
pub fn country() -> Rule {
    Rule::new(matches("^[A-Z]{2}$"))
        .message("expect.country must be a country in two capital letters; write it as in BR (ISO 3166-1)")
}

/// Names of namespaces, or everyone.
pub fn namespaces() -> Rule {
    Rule::new(format!("self.all(n, n == '*' || n.matches('{DNS_LABEL}'))"))
        .message("access.namespaces must each be the name of a namespace, or \"*\" for every namespace; list them one by one instead of patterns such as shop-*")
}

/// Ids of accounts.
pub fn account_ids() -> Rule {
    Rule::new(format!("self.all(a, a.matches('{ID}'))")).message(
        "access.accounts must each be the id of a WhatsApp Business Account, 5 to 32 digits; copy them from Meta's business settings",
    )
}

/// A point in time.
pub fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 40})
}

/// Points in time, by name.
pub fn times(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "format": "date-time", "maxLength": 40}
    })
}

/// Points in time.
pub fn list_of_times(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 16,
        "items": {"type": "string", "format": "date-time", "maxLength": 40}
    })
}

/// A constant in CamelCase.
pub fn word(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 64})
}

/// How many.
pub fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}
