//! Secrets, one by name. Never a list or a watch, which would mean reading them all;
//! never a patch or a delete, since the content is not ours.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use super::{Failed, MANAGER, bounded};

/// Label that permits sending a Secret's content to a user's own URL.
pub const USE_LABEL: &str = "whatsapp-operator.dev/use";
/// Value of [`USE_LABEL`] for webhook verify tokens.
pub const USE_VERIFY_TOKEN: &str = "verify-token";

/// One key of one Secret.
#[derive(Debug)]
pub struct Value {
    pub uid: String,
    pub resource_version: String,
    /// `None` when the key is missing or is not text.
    pub value: Option<SecretString>,
    pub is_verify_token: bool,
}

/// Reads one key of one Secret, live.
///
/// # Errors
///
/// [`Failed::Gone`] is a 404, a fact of its own.
pub async fn read(client: &Client, namespace: &str, name: &str, key: &str) -> Result<Value, Failed> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut secret = bounded(api.get(name)).await?;
    let value = secret
        .data
        .as_mut()
        .and_then(|data| data.remove(key))
        .and_then(|ByteString(bytes)| String::from_utf8(bytes).ok())
        .map(SecretString::from);
    let labels = secret.metadata.labels.unwrap_or_default();
    Ok(Value {
        uid: secret.metadata.uid.unwrap_or_default(),
        resource_version: secret.metadata.resource_version.unwrap_or_default(),
        value,
        is_verify_token: labels.get(USE_LABEL).is_some_and(|label| label == USE_VERIFY_TOKEN),
    })
}

/// Creates a Secret with a random PIN. One that exists already is left as it is and is no error: it will be read.
///
/// Without an owner, so that it outlives the channel: a number whose PIN is lost cannot be registered again.
///
/// # Errors
///
/// When it could not be created.
pub async fn create_pin(client: &Client, namespace: &str, name: &str, key: &str) -> Result<(), Failed> {
    let pin = random_pin().ok_or_else(|| Failed::Refused("no randomness to be had".into()))?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(key.to_owned(), ByteString(pin.expose_secret().as_bytes().to_vec()))])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    match bounded(api.create(&params, &secret)).await {
        Ok(_) | Err(Failed::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

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
    fn a_pin_has_six_digits() {
        for _ in 0..1_000 {
            let pin = random_pin().unwrap();
            assert_eq!(pin.expose_secret().len(), 6);
            assert!(pin.expose_secret().bytes().all(|b| b.is_ascii_digit()));
        }
    }
}
