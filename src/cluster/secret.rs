//! Secrets, one by name, and where pictures come from. Never a list or a watch, which would mean reading them all;
//! never a patch or a delete, since the content is not ours.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use crate::engine::{
    desired::{PictureSource, SecretKey},
    secret::{ENDING, SecretVersion},
};
use crate::run::{
    picture::{PictureBytes, Room},
    secret::{SecretRead, Secrets},
};

use super::{
    call::{Failed, MANAGER, bounded},
    picture::picture,
    read::{Objects, Stored, Unusable, Wanted, Why},
};

/// Label that permits sending a Secret's content to a user's own URL.
pub const USE_LABEL: &str = "whatsapp-operator.dev/use";
/// Value of [`USE_LABEL`] for webhook verify tokens.
pub const USE_VERIFY_TOKEN: &str = "verify-token";

/// The Secrets of one namespace.
pub struct NamespaceSecrets {
    client: Client,
    namespace: String,
}

impl NamespaceSecrets {
    /// Reads nothing yet.
    pub fn new(client: &Client, namespace: &str) -> Self {
        Self { client: client.clone(), namespace: namespace.to_owned() }
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

impl Secrets for NamespaceSecrets {
    /// Reads one key of one Secret, live.
    async fn read(&self, key: &SecretKey) -> SecretRead {
        let objects = Objects::<Secret>::new(&self.client, Some(&self.namespace));
        match bounded(objects.get(&key.name, Wanted::Data(&key.key))).await {
            Ok(Stored(Ok(secret))) => found(secret, &key.key),
            Ok(Stored(Err(Unusable { metadata, why: Why::TooLarge, .. }))) => SecretRead::TooLarge {
                is_verify_token: is_verify_token(&metadata),
                version: version(metadata),
            },
            Ok(Stored(Err(unusable))) => SecretRead::Failed(unusable.why.to_string()),
            Err(Failed::Gone(_)) => SecretRead::Missing,
            Err(Failed::Forbidden(why)) => SecretRead::Forbidden(why),
            Err(error) => SecretRead::Failed(error.to_string()),
        }
    }

    async fn picture(&self, source: &PictureSource) -> PictureBytes {
        picture(&self.client, &self.namespace, source, Room::of_process()).await
    }

    async fn create_pin(&self, key: &SecretKey) -> Result<(), String> {
        create_pin(&self.api(), key).await
    }
}

/// What there is under a key; a value that is no text counts as none.
fn found(mut secret: Secret, key: &str) -> SecretRead {
    let value = secret
        .data
        .as_mut()
        .and_then(|data| data.remove(key))
        .and_then(|ByteString(bytes)| String::from_utf8(bytes).ok())
        .map(SecretString::from);
    let is_verify_token = is_verify_token(&secret.metadata);
    SecretRead::Found { version: version(secret.metadata), value, is_verify_token }
}

fn version(metadata: ObjectMeta) -> SecretVersion {
    SecretVersion {
        uid: metadata.uid.unwrap_or_default(),
        resource_version: metadata.resource_version.unwrap_or_default(),
    }
}

fn is_verify_token(metadata: &ObjectMeta) -> bool {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(USE_LABEL));
    label.is_some_and(|label| label == USE_VERIFY_TOKEN)
}

/// Creates a Secret with a random PIN. One that exists already is left as it is and is no error: it will be read.
///
/// Without an owner, so that it outlives the channel: a number whose PIN is lost cannot be registered again.
async fn create_pin(api: &Api<Secret>, key: &SecretKey) -> Result<(), String> {
    let pin = random_pin().ok_or("no randomness to be had")?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(key.key.clone(), ByteString(pin.expose_secret().as_bytes().to_vec()))])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match bounded(api.create(&params, &secret)).await {
        Ok(_) | Err(Failed::Conflict(_)) => Ok(()),
        Err(Failed::Gone(why)) => Err(format!("{ENDING}: {}", without(&pin, &why))),
        Err(Failed::Forbidden(why) | Failed::Refused(why)) => Err(without(&pin, &why)),
        Err(error) => Err(without(&pin, &error.to_string())),
    }
}

/// Who refuses an object may show what is in it, and the API server shows data in base64.
fn without(pin: &SecretString, why: &str) -> String {
    let pin = pin.expose_secret();
    let encoded = serde_json::to_value(ByteString(pin.as_bytes().to_vec())).ok();
    let encoded = encoded.as_ref().and_then(|value| value.as_str()).unwrap_or(pin);
    why.replace(pin, HIDDEN).replace(encoded, HIDDEN)
}

/// Stands where a PIN stood.
const HIDDEN: &str = "[redacted]";

/// Six digits, each equally likely: a draw beyond the last whole million is thrown away.
fn random_pin() -> Option<SecretString> {
    const PINS: u32 = 1_000_000;
    const FAIR: u32 = u32::MAX - u32::MAX % PINS;
    let random = SystemRandom::new();
    loop {
        let mut bytes = [0; 4];
        random.fill(&mut bytes).ok()?;
        let draw = u32::from_le_bytes(bytes);
        if draw < FAIR {
            return Some(format!("{:06}", draw % PINS).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_shows_of_a_pin_is_not_passed_on() {
        let pin = SecretString::from("012345".to_owned());
        let said = r#"denied: {"data":{"pin":"MDEyMzQ1"}} with "012345" in rule 7"#;
        assert_eq!(
            without(&pin, said),
            r#"denied: {"data":{"pin":"[redacted]"}} with "[redacted]" in rule 7"#
        );
    }

    #[test]
    fn a_pin_has_six_digits() {
        for _ in 0..1_000 {
            let pin = random_pin().unwrap();
            assert_eq!(pin.expose_secret().len(), 6);
            assert!(pin.expose_secret().bytes().all(|b| b.is_ascii_digit()));
        }
    }
}
