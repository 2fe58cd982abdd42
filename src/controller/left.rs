//! What is left of an object that cannot be used: a channel keeps its claim, and a portfolio what it grants.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{
        lower,
        v1alpha1::{self as v1, WhatsAppChannel, WhatsAppChannelSpec, WhatsAppChannelStatus},
    },
    cluster::read::{Unusable, Why},
    engine::desired::Access,
};

#[derive(Deserialize)]
struct Spec<T> {
    spec: T,
}

#[derive(Deserialize)]
struct Status<T> {
    status: Option<T>,
}

/// What a channel claims.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    phone_number: Value,
    portfolio_ref: Value,
    #[serde(default)]
    management_policy: Value,
    #[serde(default)]
    suspend: Value,
}

#[derive(Deserialize)]
struct Grants {
    access: Option<Vec<v1::Access>>,
}

/// A channel with the number and the portfolio of one that cannot be used, for the index of claims alone.
pub fn channel(unusable: &Unusable) -> Option<WhatsAppChannel> {
    let Spec { spec: claims } = unusable.left::<Spec<Claims>>()?;
    let mut spec: WhatsAppChannelSpec = serde_json::from_value(json!({
        "phoneNumber": claims.phone_number, "portfolioRef": claims.portfolio_ref, "displayName": "",
    }))
    .ok()?;
    spec.management_policy = serde_json::from_value(claims.management_policy).ok().flatten();
    spec.suspend = claims.suspend.as_bool();
    let mut channel = WhatsAppChannel::new("", spec);
    channel.metadata = unusable.metadata.clone();
    channel.status = unusable.left::<Status<WhatsAppChannelStatus>>().and_then(|left| left.status);
    Some(channel)
}

/// What a portfolio that cannot be used grants; `None` where that is not known: of what is too large it may be left out.
pub fn access(unusable: &Unusable) -> Option<Arc<[Access]>> {
    let Spec { spec: grants } = unusable.left::<Spec<Grants>>()?;
    match grants.access {
        Some(access) => lower::access(&access).ok(),
        None => (unusable.why != Why::TooLarge).then(Arc::default),
    }
}
