//! Where pictures come from: one key of one ConfigMap or Secret, by name, or an address.

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::Client;

use crate::{
    api::lower::USE_LABEL,
    engine::desired::{PictureSource, SecretKey},
    fetch::{Refused, fetch},
    run::picture::{MOST_BYTES, PictureBytes, Room, too_large},
};

use super::{
    call::{Failed, bounded},
    read::{MOST_LARGE, Objects, Readable, Stored, Wanted, Why},
};

/// Value of [`USE_LABEL`] for pictures, which become public.
const USE_PICTURE: &str = "picture";
/// While an object is read it is there as it came, and then also as what it means.
const OBJECT: usize = 2 * MOST_LARGE;

/// Reads a picture, live, if there is room for one more.
pub(super) async fn picture(
    client: &Client,
    namespace: &str,
    source: &PictureSource,
    room: &Room,
) -> PictureBytes {
    let Some(mut place) = room.place(namespace).await else { return PictureBytes::NoRoom };
    if !matches!(source, PictureSource::Url(_)) && !place.wait_for(OBJECT).await {
        return PictureBytes::NoRoom;
    }
    let read = match source {
        PictureSource::ConfigMap(of) => match object::<ConfigMap>(client, namespace, "ConfigMap", of).await {
            Ok(mut map) => in_config_map(&mut map, of),
            Err(read) => read,
        },
        PictureSource::Secret(of) => match object::<Secret>(client, namespace, "Secret", of).await {
            Ok(secret) => in_secret(secret, of),
            Err(read) => read,
        },
        PictureSource::Url(url) => downloaded(fetch(url, MOST_BYTES, |more| place.take(more)).await),
    };
    read.in_place(place)
}

/// Without room for what it has no use for.
fn found(bytes: Vec<u8>) -> PictureBytes {
    PictureBytes::Found(bytes.into_boxed_slice().into())
}

async fn object<K: Readable>(
    client: &Client,
    namespace: &str,
    kind: &str,
    of: &SecretKey,
) -> Result<K, PictureBytes> {
    let objects = Objects::<K>::new(client, Some(namespace));
    let name = &of.name;
    Err(match bounded(objects.get(name, Wanted::Large(&of.key))).await {
        Ok(Stored(Ok(object))) => return Ok(object),
        Ok(Stored(Err(unusable))) => match unusable.why {
            Why::TooLarge => {
                PictureBytes::Unusable(format!("{kind} {name} is too large; make the picture smaller"))
            }
            Why::Unparsed(why) => PictureBytes::Failed(why),
        },
        Err(Failed::Gone(_)) => PictureBytes::Unusable(format!(
            "{kind} {name} does not exist; create it with the picture under key {}",
            of.key
        )),
        Err(Failed::Forbidden(why)) => PictureBytes::Unusable(format!(
            "the operator may not read {kind} {name} ({why}); allow its service account to get it"
        )),
        Err(error) => PictureBytes::Failed(error.to_string()),
    })
}

/// What is in it becomes public, so without the label nothing of the content is used or told, not even whether the key is
/// there.
fn in_secret(secret: Secret, of: &SecretKey) -> PictureBytes {
    let labels = secret.metadata.labels.unwrap_or_default();
    if labels.get(USE_LABEL).is_none_or(|label| label != USE_PICTURE) {
        return PictureBytes::Unlabelled(of.name.clone());
    }
    match secret.data.unwrap_or_default().remove(&of.key) {
        Some(ByteString(bytes)) => found(bytes),
        None => no_key("Secret", of),
    }
}

fn in_config_map(map: &mut ConfigMap, of: &SecretKey) -> PictureBytes {
    let bytes = map.binary_data.as_mut().and_then(|data| data.remove(&of.key));
    let is_text = map.data.as_ref().is_some_and(|data| data.contains_key(&of.key));
    match bytes {
        Some(ByteString(bytes)) => found(bytes),
        None if is_text => PictureBytes::Unusable(format!(
            "key {} of ConfigMap {} is text; put the picture in binaryData, as kubectl create configmap --from-file does",
            of.key, of.name
        )),
        None => no_key("ConfigMap", of),
    }
}

fn no_key(kind: &str, of: &SecretKey) -> PictureBytes {
    PictureBytes::Unusable(format!("{kind} {} has no key {}; put the picture there", of.name, of.key))
}

fn downloaded(got: Result<Vec<u8>, Refused>) -> PictureBytes {
    match got {
        Ok(bytes) => found(bytes),
        Err(Refused::NoRoom) => PictureBytes::NoRoom,
        Err(Refused::TooLarge) => PictureBytes::Unusable(too_large()),
        Err(refused @ Refused::Address(_)) => PictureBytes::Unusable(refused.to_string()),
        Err(Refused::Status { host, status: status @ 400..500 }) if !matches!(status, 408 | 429) => {
            PictureBytes::Unusable(format!(
                "{host} answered with HTTP status {status}; put the picture where anybody may download it"
            ))
        }
        Err(refused) => PictureBytes::Failed(refused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, convert::Infallible};

    use axum::{body::Body, http};
    use futures::future::join_all;
    use kube::api::ObjectMeta;
    use serde_json::json;

    use super::*;

    fn said(read: PictureBytes) -> String {
        match read {
            PictureBytes::Found(bytes) => format!("{} bytes", bytes.len()),
            PictureBytes::Unlabelled(secret) => format!("unlabelled: {secret}"),
            PictureBytes::Unusable(why) => format!("unusable: {why}"),
            PictureBytes::Failed(why) => format!("failed: {why}"),
            PictureBytes::NoRoom => "no room".to_owned(),
        }
    }

    #[test]
    fn a_picture_of_a_config_map_stands_in_its_binary_data() {
        let of = SecretKey { name: "acme-logo".into(), key: "logo.png".into() };
        let data = || Some(BTreeMap::from([("logo.png".to_owned(), "iVBORw0KGgo=".to_owned())]));
        let binary = || Some(BTreeMap::from([("logo.png".to_owned(), ByteString(vec![1, 2, 3]))]));
        let map = |data, binary_data| ConfigMap { data, binary_data, ..ConfigMap::default() };
        assert_eq!(said(in_config_map(&mut map(None, binary()), &of)), "3 bytes");
        let text = said(in_config_map(&mut map(data(), None), &of));
        assert!(text.contains("is text; put the picture in binaryData"), "{text}");
        let none = said(in_config_map(&mut map(None, None), &of));
        assert!(none.contains("ConfigMap acme-logo has no key logo.png"), "{none}");
    }

    /// Of ConfigMaps and Secrets alike, from an API server that has them all.
    #[tokio::test(start_paused = true)]
    async fn many_pictures_at_once_hold_no_more_than_their_room_and_one_that_waited_is_read_later() {
        const SIZE: usize = 1_000_000;
        let server = tower::service_fn(|request: http::Request<kube::client::Body>| async move {
            let is_secret = request.uri().path().contains("/secrets/");
            let (kind, data) = if is_secret { ("Secret", "data") } else { ("ConfigMap", "binaryData") };
            let object = json!({
                "apiVersion": "v1", "kind": kind, "metadata": {"name": "logo", "labels": {USE_LABEL: USE_PICTURE}},
                data: {"logo.png": ByteString(vec![7; SIZE])},
            });
            Ok::<_, Infallible>(http::Response::new(Body::from(object.to_string())))
        });
        let (client, most) = (Client::new(server, "shop"), 3 * OBJECT);
        let room = Room::new(most, 100, 4);
        let read = async |n: usize| {
            let of = SecretKey { name: "logo".into(), key: "logo.png".into() };
            let sources = [PictureSource::ConfigMap, PictureSource::Secret];
            picture(&client, &format!("shop-{}", n / 6), &sources[n % 2](of), &room).await
        };
        let reads = join_all((0..30).map(read)).await;
        let size = |read: &PictureBytes| match read {
            PictureBytes::Found(bytes) => bytes.len(),
            PictureBytes::NoRoom => 0,
            other => panic!("{other:?}"),
        };
        let sizes: Vec<usize> = reads.iter().map(size).collect();
        let held: usize = sizes.iter().sum();
        assert!(held > 3 * SIZE && held <= most, "{sizes:?}");
        assert_eq!(room.left().0, most - held);
        let waited = sizes.iter().position(|size| *size == 0).expect("not all find room");
        drop(reads);
        assert_eq!((room.left().0, size(&read(waited).await)), (most, SIZE));
    }

    #[test]
    fn without_its_label_nothing_is_said_about_a_secret_with_a_picture() {
        let of = SecretKey { name: "acme-logo".into(), key: "logo.png".into() };
        let secret = |key: &str, label: Option<&str>| Secret {
            metadata: ObjectMeta {
                labels: label.map(|label| BTreeMap::from([(USE_LABEL.to_owned(), label.to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(key.to_owned(), ByteString(vec![1, 2, 3]))])),
            ..Secret::default()
        };
        for label in [None, Some("verify-token"), Some("Picture"), Some("")] {
            for key in ["logo.png", "other"] {
                assert_eq!(said(in_secret(secret(key, label), &of)), "unlabelled: acme-logo", "{label:?}");
            }
        }
        assert_eq!(said(in_secret(secret("logo.png", Some("picture")), &of)), "3 bytes");
        let none = said(in_secret(secret("other", Some("picture")), &of));
        assert!(none.contains("Secret acme-logo has no key logo.png"), "{none}");
    }

    #[test]
    fn what_a_person_has_to_mend_is_told_apart_from_what_passes() {
        let status = |status| Err(Refused::Status { host: "acme.example".into(), status });
        for (got, begins) in [
            (Ok(vec![0; 3]), "3 bytes"),
            (Err(Refused::TooLarge), "unusable: it has more than 5 MB"),
            (Err(Refused::Address("10.0.0.1 is not public".into())), "unusable: 10.0.0.1"),
            (status(404), "unusable: acme.example answered with HTTP status 404"),
            (status(429), "failed: acme.example"),
            (status(503), "failed: acme.example"),
            (Err(Refused::NoRoom), "no room"),
            (Err(Refused::Unreachable("acme.example: no answer".into())), "failed: acme.example"),
        ] {
            let text = said(downloaded(got));
            assert!(text.starts_with(begins), "{text}");
        }
    }
}
