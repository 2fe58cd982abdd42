//! The spec of a channel → [`Desired`].

use std::time::Duration;

use kube::{ResourceExt, api::ObjectMeta};

use super::{
    consent::consents,
    key::{SKIP_CLEANUP, SKIPPED},
    spec::{SpecInvalid, meta_id, secret_key},
};
use crate::api::v1alpha1::{self as v1, WhatsAppChannel, WhatsAppChannelSpec};
use crate::engine::{
    desired::{
        AppData, CodeRequest, Connection, Deletion, DeletionPolicy, Desired, DesiredProfile, DriftPolicy,
        Management, OfficialApplication, PictureSource, PinPolicy, PortfolioRef, ReadyWhen, Registration,
        SecretKey, Username, Verification, VerificationMethod, Webhook, WhileNameInReview,
    },
    id::AccountId,
    phone::E164,
};

/// Language of codes when the spec names none.
const DEFAULT_LANGUAGE: &str = "en_US";

/// Reads what a channel asks for.
///
/// # Errors
///
/// Names the first field that cannot be understood.
pub fn channel(object: &WhatsAppChannel) -> Result<Desired, SpecInvalid> {
    let spec = &object.spec;
    let name = object.name_any();
    let namespace = object.namespace().unwrap_or_default();
    let number = E164::parse(&spec.phone_number).map_err(|why| SpecInvalid {
        field: "spec.phoneNumber",
        problem: why.to_string(),
        remedy: "re-create the channel with the number in the form \"+5511912345678\"",
    })?;
    display_name(&spec.display_name)?;
    let account = match &spec.account_id {
        Some(id) => Some(AccountId::new(meta_id("spec.accountId", id)?)),
        None => None,
    };
    let verification = spec.verification.clone().unwrap_or_default();
    let registration = spec.registration.clone().unwrap_or_default();
    let webhook = match &spec.webhook {
        Some(webhook) => Some(Webhook {
            callback_url: https(&webhook.callback_url)?,
            verify_token: secret_key(&webhook.verify_token_secret_ref),
        }),
        None => None,
    };
    let picture = match spec.profile.as_ref().and_then(|profile| profile.picture_ref.as_ref()) {
        Some(reference) => Some(picture(reference)?),
        None => None,
    };
    let code_secret = verification
        .code_secret_ref
        .as_ref()
        .map_or_else(|| SecretKey { name: format!("{name}-code"), key: "code".into() }, secret_key);
    let pin_secret = registration
        .pin_secret_ref
        .as_ref()
        .map_or_else(|| SecretKey { name: format!("{name}-pin"), key: "pin".into() }, secret_key);
    if code_secret == pin_secret {
        return Err(SpecInvalid {
            field: "spec.verification.codeSecretRef",
            problem: format!(
                "and spec.registration.pinSecretRef are both the key {} of the Secret {}, one of them perhaps as its default",
                code_secret.key, code_secret.name
            ),
            remedy: "keep the code and the PIN apart",
        });
    }
    Ok(Desired {
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        portfolio: PortfolioRef {
            namespace: spec.portfolio_ref.namespace.as_ref().unwrap_or(&namespace).as_str().into(),
            name: spec.portfolio_ref.name.as_str().into(),
        },
        account,
        number,
        display_name: spec.display_name.clone(),
        connection: match spec.connection {
            None | Some(v1::Connection::CloudApi) => Connection::CloudApi,
            Some(v1::Connection::Coexistence) => Connection::Coexistence,
        },
        syncs: spec.coexistence.map(syncs).unwrap_or_default(),
        verification: Verification {
            method: match verification.method {
                None | Some(v1::VerificationMethod::Auto) => VerificationMethod::Auto,
                Some(v1::VerificationMethod::Sms) => VerificationMethod::Sms,
                Some(v1::VerificationMethod::Voice) => VerificationMethod::Voice,
            },
            language: verification.language.unwrap_or_else(|| DEFAULT_LANGUAGE.into()),
            request: match verification.request {
                None | Some(v1::CodeRequest::OnDemand) => CodeRequest::OnDemand,
                Some(v1::CodeRequest::Automatic) => CodeRequest::Automatic,
            },
            code_secret,
        },
        registration: Registration {
            pin_secret,
            is_pin_named: registration.pin_secret_ref.is_some(),
            storage_region: registration.storage_region.and_then(region),
            may_move: spec.acknowledge.contains(&v1::Acknowledgement::ReregisterForStorageRegion),
            pin_policy: match registration.pin_policy {
                None | Some(v1::PinPolicy::Keep) => PinPolicy::Keep,
                Some(v1::PinPolicy::Overwrite) => PinPolicy::Overwrite,
            },
            while_name_in_review: match registration.while_name_in_review {
                None | Some(v1::WhileNameInReview::TryOnce) => WhileNameInReview::TryOnce,
                Some(v1::WhileNameInReview::Wait) => WhileNameInReview::Wait,
            },
        },
        profile: spec.profile.as_ref().map(profile).unwrap_or_default(),
        picture,
        time_zone: spec.time_zone.clone(),
        webhook,
        username: spec.username.as_ref().map(|name| Username {
            name: name.to_ascii_lowercase(),
            may_transfer: spec.acknowledge.contains(&v1::Acknowledgement::TransferUsername),
        }),
        official: spec.official_business_account.as_ref().map(official),
        ready_when: match spec.ready_when {
            None | Some(v1::ReadyWhen::Registered) => ReadyWhen::Registered,
            Some(v1::ReadyWhen::Operational) => ReadyWhen::Operational,
            Some(v1::ReadyWhen::NameApproved) => ReadyWhen::NameApproved,
            Some(v1::ReadyWhen::FullyVerified) => ReadyWhen::FullyVerified,
        },
        management: match spec.management_policy {
            None | Some(v1::ManagementPolicy::Full) => Management::Full,
            Some(v1::ManagementPolicy::ObserveOnly) => Management::ObserveOnly,
        },
        drift: match spec.drift_policy {
            None | Some(v1::DriftPolicy::Enforce) => DriftPolicy::Enforce,
            Some(v1::DriftPolicy::Report) => DriftPolicy::Report,
        },
        interval: spec.interval.as_deref().map(interval).transpose()?,
        suspend: spec.suspend.unwrap_or(false),
        deletion: deletion(object),
        consents: consents(&object.metadata),
        name,
        namespace,
    })
}

fn syncs(wanted: v1::Coexistence) -> Vec<AppData> {
    let all = [(AppData::Contacts, wanted.sync_contacts), (AppData::History, wanted.sync_history)];
    all.into_iter().filter(|(_, is_wanted)| *is_wanted == Some(true)).map(|(sync, _)| sync).collect()
}

/// As the rule `interval` of the schema has it.
fn interval(text: &str) -> Result<Duration, SpecInvalid> {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok());
    parsed.filter(|time| (Duration::from_secs(1)..=LONGEST).contains(time)).ok_or_else(|| SpecInvalid {
        field: "spec.interval",
        problem: format!("is {text}, and not a time of 1s to 24h"),
        remedy: "write it as in 30m, 6h or 1h30m, or leave it out",
    })
}

/// Meta's word.
fn region(region: v1::StorageRegion) -> Option<String> {
    Some(serde_json::to_value(region).ok()?.as_str()?.to_owned())
}

fn deletion(object: &WhatsAppChannel) -> Deletion {
    let (spec, meta) = (&object.spec, &object.metadata);
    Deletion {
        policy: match spec.deletion_policy {
            None | Some(v1::DeletionPolicy::Retain) => DeletionPolicy::Retain,
            Some(v1::DeletionPolicy::Unroute) => DeletionPolicy::Unroute,
            Some(v1::DeletionPolicy::Deregister) => DeletionPolicy::Deregister,
        },
        timeout: Duration::from_secs(deletion_seconds(spec).into()),
        may_deregister_shared: spec.acknowledge.contains(&v1::Acknowledgement::DeregisterSharedNumber),
        since: meta.deletion_timestamp.as_ref().map(|at| at.0),
        is_skipped: is_cleanup_skipped(meta),
    }
}

/// How long a deletion tries, in seconds.
pub fn deletion_seconds(spec: &WhatsAppChannelSpec) -> u32 {
    const DEFAULT: u32 = 600;
    spec.deletion_timeout_seconds.unwrap_or(DEFAULT)
}

/// Whether somebody wants an object to go as it is, should it be deleted.
pub fn is_cleanup_skipped(meta: &ObjectMeta) -> bool {
    let annotations = meta.annotations.as_ref();
    annotations.and_then(|all| all.get(SKIP_CLEANUP)).is_some_and(|value| value == SKIPPED)
}

/// As the rule `trimmed` of the schema has it: what it takes must not stall here.
fn display_name(name: &str) -> Result<(), SpecInvalid> {
    let length = name.chars().count();
    let invalid = |problem: String, remedy| Err(SpecInvalid { field: "spec.displayName", problem, remedy });
    if !(3..=75).contains(&length) {
        return invalid(format!("has {length} characters"), "choose a name of 3 to 75 characters");
    }
    if name.contains(['\r', '\n']) || name.starts_with([' ', '\t']) || name.ends_with([' ', '\t']) {
        return invalid("has blanks at its ends, or a line break".into(), "remove them");
    }
    Ok(())
}

/// As the rule `callback_url` of the schema has it: what it takes must not stall here.
fn https(url: &str) -> Result<String, SpecInvalid> {
    if url.strip_prefix("https://").is_some_and(is_full_address) {
        return Ok(url.to_owned());
    }
    Err(SpecInvalid {
        field: "spec.webhook.callbackUrl",
        problem:
            "is not a full https:// address without user, password and '#', with a port of at most 65535"
                .into(),
        remedy: "write it as in https://bot.acme.example/wa",
    })
}

/// As the rules `one_picture` and `picture_url` of the schema have it.
fn picture(of: &v1::PictureRef) -> Result<PictureSource, SpecInvalid> {
    match (&of.config_map_key_ref, &of.secret_key_ref, &of.url) {
        (Some(at), None, None) => {
            Ok(PictureSource::ConfigMap(SecretKey { name: at.name.clone(), key: at.key.clone() }))
        }
        (None, Some(at), None) => Ok(PictureSource::Secret(secret_key(at))),
        (None, None, Some(url)) if url.strip_prefix("https://").is_some_and(is_full_address) => {
            Ok(PictureSource::Url(url.clone()))
        }
        (None, None, Some(_)) => Err(SpecInvalid {
            field: "spec.profile.pictureRef.url",
            problem: "is not a full https:// address without user, password and '#'".into(),
            remedy: "write it as in https://acme.example/logo.png",
        }),
        _ => Err(SpecInvalid {
            field: "spec.profile.pictureRef",
            problem: "has none or several of configMapKeyRef, secretKeyRef and url".into(),
            remedy: "name one of them",
        }),
    }
}

/// What follows the scheme: a host, perhaps a port, and a path or a query.
fn is_full_address(rest: &str) -> bool {
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let is_host = edge(host.as_bytes().first()) && edge(host.as_bytes().last()) && host.bytes().all(of_host);
    let is_port = |port: &str| {
        (1..=5).contains(&port.len())
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok()
    };
    is_host && port.is_none_or(is_port) && !tail.contains([' ', '#', '\t', '\r', '\n'])
}

fn official(account: &v1::OfficialBusinessAccount) -> OfficialApplication {
    OfficialApplication {
        website: account.business_website_url.clone(),
        country: account.primary_country_of_operation.clone(),
        language: account.primary_language.clone(),
        parent: account.parent_business_or_brand.clone(),
        links: account.supporting_links.clone(),
        information: account.additional_supporting_information.clone(),
    }
}

fn profile(profile: &v1::Profile) -> DesiredProfile {
    DesiredProfile {
        about: profile.about.clone(),
        address: profile.address.clone(),
        description: profile.description.clone(),
        email: profile.email.clone(),
        websites: profile.websites.clone(),
        vertical: profile.vertical.map(|v| v.as_str().to_owned()),
    }
}
