//! What the memory of a channel holds of the past: attempts that count, the step in flight, answers to consents, and marks.
//!
//! A newer version may have written it, with words and members that this one does not know. Both are kept: a [`Word`]
//! is open, and every object has room for members of a [`Newer`] version.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::newer::Newer;
use crate::api::rule;
use crate::engine::{
    failure::{Class, Said, Scope},
    memory::EntryOutcome,
    step::StepKind,
    word::{Cautious, Word, words},
};

/// An error of Meta's.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Meta's code.
    pub code: i64,
    /// Meta's subcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcode: Option<i64>,
    /// Meta's title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub title: Option<String>,
    /// Meta's best sentence about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// What its sentences say, where no code says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::word")]
    pub said: Option<Word<Said>>,
    /// The trace id to quote to Meta's support; the first that was seen with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub trace_id: Option<String>,
    /// What the error asks for.
    #[schemars(schema_with = "rule::word")]
    pub class: Word<Class>,
    /// How far it reaches.
    #[schemars(schema_with = "rule::word")]
    pub scope: Word<Scope>,
    /// When calls are welcome again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub until: Option<Timestamp>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// A version of a Secret; never anything of its content.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SecretVersion {
    /// Uid of the Secret.
    #[schemars(length(max = 128))]
    pub uid: String,
    /// Its resourceVersion.
    #[schemars(length(max = 128))]
    pub resource_version: String,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// Attempts that count, newest last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Registrations; Meta allows ten in 72 hours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub registrations: Vec<Entry>,
    /// Requests for a code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub codes: Vec<Entry>,
    /// Codes that were entered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub verifications: Vec<Entry>,
    /// Display names that were submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub names: Vec<Entry>,
    /// Attempts to add the number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub adds: Vec<Entry>,
    /// PINs that were set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub pins: Vec<Entry>,
    /// Deregistrations; Meta allows ten in 72 hours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub deregistrations: Vec<Entry>,
    /// Pictures that were uploaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub pictures: Vec<Entry>,
    /// What the WhatsApp Business app was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub syncs: Vec<Entry>,
    /// Usernames that were claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub usernames: Vec<Entry>,
    /// Requests for an official business account; Meta takes one in 30 days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub officials: Vec<Entry>,
    /// Pace of the steps that may be repeated, by step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Pace>", extend("maxProperties" = 32))]
    pub repeatable: BTreeMap<Word<StepKind>, Pace>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

impl Ledger {
    /// The attempts of a step; repeatable steps have none.
    pub fn of(&self, step: StepKind) -> &[Entry] {
        match step {
            StepKind::AddNumber => &self.adds,
            StepKind::RequestCode => &self.codes,
            StepKind::VerifyCode => &self.verifications,
            StepKind::SubmitName => &self.names,
            StepKind::SetPin => &self.pins,
            StepKind::Register => &self.registrations,
            StepKind::Deregister => &self.deregistrations,
            StepKind::WritePicture => &self.pictures,
            StepKind::StartSync => &self.syncs,
            StepKind::ClaimUsername => &self.usernames,
            StepKind::RequestOfficial => &self.officials,
            StepKind::CreatePin
            | StepKind::SubscribeApp
            | StepKind::RouteWebhook
            | StepKind::WriteProfile
            | StepKind::UnrouteWebhook
            | StepKind::SetStorage => &[],
        }
    }

    /// The same, to be filled.
    pub(in crate::api) fn of_mut(&mut self, step: StepKind) -> Option<&mut Vec<Entry>> {
        match step {
            StepKind::AddNumber => Some(&mut self.adds),
            StepKind::RequestCode => Some(&mut self.codes),
            StepKind::VerifyCode => Some(&mut self.verifications),
            StepKind::SubmitName => Some(&mut self.names),
            StepKind::SetPin => Some(&mut self.pins),
            StepKind::Register => Some(&mut self.registrations),
            StepKind::Deregister => Some(&mut self.deregistrations),
            StepKind::WritePicture => Some(&mut self.pictures),
            StepKind::StartSync => Some(&mut self.syncs),
            StepKind::ClaimUsername => Some(&mut self.usernames),
            StepKind::RequestOfficial => Some(&mut self.officials),
            StepKind::CreatePin
            | StepKind::SubscribeApp
            | StepKind::RouteWebhook
            | StepKind::WriteProfile
            | StepKind::UnrouteWebhook
            | StepKind::SetStorage => None,
        }
    }
}

/// One attempt.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Id of the intent that was written before the attempt.
    #[schemars(length(max = 128))]
    pub id: String,
    /// When it was begun.
    #[schemars(schema_with = "rule::time")]
    pub at: Timestamp,
    /// Started, Accepted, Refused, NoAnswer or NotSent.
    #[schemars(schema_with = "rule::word")]
    pub outcome: Word<EntryOutcome>,
    /// What allowed it: Automatic, SendCode, Retry, Secret or Official.
    #[schemars(schema_with = "rule::word")]
    pub cause: Word<Cause>,
    /// The value of the consent that allowed it; of an attempt of an object before its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub consent: Option<String>,
    /// The name, the version of the Secret, or the SHA-256 of the picture that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub subject: Option<String>,
    /// Until when its effect may still be invisible at Meta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub settle_until: Option<Timestamp>,
    /// Version of the code Secret when the code was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_before: Option<SecretVersion>,
    /// Meta's trace id of the answer that accepted it, to quote to its support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub trace_id: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

words! {
    /// What allowed an attempt.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Cause {
        Automatic,
        SendCode,
        Retry,
        Secret,
        Official,
    }
}

/// The only one that every limit counts.
impl Cautious for Cause {
    const CAUTIOUS: Self = Self::SendCode;
}

/// Pace of a step that may be repeated.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// The generation it speaks of.
    pub generation: i64,
    /// The Secret version it was tried with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVersion>,
    /// Tries in a row that were refused or had no effect.
    #[schemars(schema_with = "rule::count")]
    pub failed: u32,
    /// Tries that were accepted in this generation without visible effect.
    #[schemars(schema_with = "rule::count")]
    pub accepted: u32,
    /// The last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub last: Option<Timestamp>,
    /// Until when its effect may still be invisible at Meta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub settle_until: Option<Timestamp>,
    /// The last try was never sent, and is made again from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub held_until: Option<Timestamp>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// A step that cannot be repeated, written down before it is done.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// Unique for each intent.
    #[schemars(length(max = 128))]
    pub id: String,
    /// The step.
    #[schemars(schema_with = "rule::word")]
    pub step: Word<StepKind>,
    /// Why it is taken, for people.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// When it was written down.
    #[schemars(schema_with = "rule::time")]
    pub started_at: Timestamp,
    /// The call is not sent after this.
    #[schemars(schema_with = "rule::time")]
    pub send_before: Timestamp,
    /// Until when its effect may still be invisible at Meta.
    #[schemars(schema_with = "rule::time")]
    pub settle_until: Timestamp,
    /// The generation that asked for it.
    pub generation: i64,
    /// The name, the version of the Secret, or the SHA-256 of the picture that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub subject: Option<String>,
    /// Of an add: whether every list was complete and without the number before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_before: Option<bool>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// The last answer to each consent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Consents {
    /// To whatsapp-operator.dev/send-code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_code: Option<ConsentAnswer>,
    /// To whatsapp-operator.dev/retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<ConsentAnswer>,
    /// To whatsapp-operator.dev/request-official-account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub official: Option<ConsentAnswer>,
    /// To whatsapp-operator.dev/reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<ConsentAnswer>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// How a consent was answered; a value is answered once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConsentAnswer {
    /// The annotation's value; of one with more than 256 characters a digest.
    #[schemars(length(max = 256))]
    pub value: String,
    /// When it was answered.
    #[schemars(schema_with = "rule::time")]
    pub at: Timestamp,
    /// The step that it was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::word")]
    pub used_for: Option<Word<StepKind>>,
    /// Why it was refused, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub refused: Option<String>,
    /// When the value was seen to be set again, and refused for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub again: Option<Timestamp>,
    /// The values that were answered before, oldest first; the oldest of more than 32 are forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub earlier: Vec<EarlierAnswer>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// The answer to a value of a consent before the last one, in short. Without a step it was refused.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EarlierAnswer {
    /// The annotation's value; of one with more than 64 characters a digest.
    #[schemars(length(max = 64))]
    pub value: String,
    /// When it was answered.
    #[schemars(schema_with = "rule::time")]
    pub at: Timestamp,
    /// The step that it was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::word")]
    pub used_for: Option<Word<StepKind>>,
    /// When the value was seen to be set again, and refused for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub again: Option<Timestamp>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// Facts about the past, each with its time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    /// This object added the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub added: Option<Timestamp>,
    /// This object found the number in the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub adopted: Option<Timestamp>,
    /// The one automatic code was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub automatic_code_used: Option<Timestamp>,
    /// Ownership has to be proven anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub reverify_required: Option<Timestamp>,
    /// When Meta first showed, after that, that the number is not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub proof_lapsed: Option<Timestamp>,
    /// The PIN was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub pin_set: Option<Timestamp>,
    /// The version of the PIN's Secret that Meta was last given, or that was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub pin: Option<String>,
    /// Where Meta stores the number's messages, as this object set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub storage: Option<String>,
    /// The region for which the number was deregistered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub moved_to: Option<String>,
    /// When it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub moved_since: Option<Timestamp>,
    /// It has to be registered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<bool>,
    /// This object registered the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub registered: Option<Timestamp>,
    /// When the number was first seen registered, by whomever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub seen_registered: Option<Timestamp>,
    /// Since when a number that was found is absent from its account's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub missing_since: Option<Timestamp>,
    /// When a number that is not registered first read CONNECTED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub connected_since: Option<Timestamp>,
    /// Since when a registered number reads as not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub fell_back_since: Option<Timestamp>,
    /// Names with which a registration was tried while they were in review.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rule::times", extend("maxProperties" = 64))]
    pub tried_in_review: BTreeMap<String, Timestamp>,
    /// Names that Meta declined.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "rule::times", extend("maxProperties" = 64))]
    pub declined: BTreeMap<String, Timestamp>,
    /// Meta said that the number is still in use in the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub on_phone: Option<Timestamp>,
    /// The desired name, while Meta has approved it and another one is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub approved_name: Option<String>,
    /// When it was first seen approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub approved_since: Option<Timestamp>,
    /// Of each managed field: a sum of the desired value that Meta was last seen to have. 0 is an edit since. A small number is
    /// a generation, which an earlier version kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub in_sync: BTreeMap<String, i64>,
    /// SHA-256 of the picture that Meta took last, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub picture_sha256: Option<String>,
    /// When Meta took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub picture_uploaded: Option<Timestamp>,
    /// The number was found, and the picture that it shows, if any, counts as that of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_found: Option<bool>,
    /// Since when Meta shows no picture any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub picture_lost_since: Option<Timestamp>,
    /// The number was seen to become connected from the WhatsApp Business app, at `seenRegistered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_onboarding: Option<bool>,
    /// Of each managed field that somebody else changed: what was done about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub repairs: BTreeMap<String, Repairs>,
    /// Webhook addresses that this object gave the number, the last 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 200)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub routed: Vec<String>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}

/// Writes that brought back what somebody else had changed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Repairs {
    /// The last of them, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "rule::list_of_times")]
    pub at: Vec<Timestamp>,
    /// Meta was not seen to have the value since the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// What somebody else wrote again and again. It stays until a person asks for `retry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub contended_by: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rule::time")]
    pub contended_since: Option<Timestamp>,
    /// Members of a newer version.
    #[serde(flatten)]
    pub newer: Newer,
}
