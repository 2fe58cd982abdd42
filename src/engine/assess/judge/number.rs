//! Judgement of the number: whether it is in the account, verified and registered.

use crate::engine::{
    assess::scene::{Judged, Place, Scene},
    value::{
        condition_type::ConditionType,
        desired::Connection,
        id::{AccountId, CodeStatus, NumberStatus, PlatformType},
        observed::Number,
        reason::Reason,
        step::StepKind,
    },
};

pub(super) fn claimed(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("the channel {name} manages this number; delete one of the two"),
        None => "a channel of another namespace manages this number; delete this one, or ask whoever runs the operator".into(),
    }
}

pub(super) fn added(scene: &Scene<'_>) -> Judged {
    let account = scene.account.as_ref().map_or("", AccountId::as_str);
    match scene.place {
        Place::Here(number) => {
            Judged::True(Reason::InAccount, format!("number {} is in account {account}", number.id))
        }
        Place::Left(number) => {
            let moved = number.status.value() == Some(&NumberStatus::Migrated);
            let (reason, text) = if moved {
                (Reason::NumberMigrated, "was moved to another account")
            } else {
                (Reason::NumberDeleted, "was deleted in WhatsApp Manager")
            };
            Judged::False(reason, format!("number {} of account {account} {text}", number.id))
        }
        Place::Absent => Judged::Open(format!("{} is not in account {account} yet", scene.desired.number)),
        Place::Unknown => Judged::Keep,
    }
}

pub(super) fn verified(scene: &Scene<'_>, number: &Number) -> Judged {
    if number.is_registered() {
        return Judged::True(
            Reason::NotNeededWhenRegistered,
            "the number is registered; no code is needed".into(),
        );
    }
    if scene.was_true(ConditionType::NumberVerified) && scene.is_platform_doubted() {
        return Judged::Keep;
    }
    match number.code.value() {
        Some(CodeStatus::Verified) if scene.memory.marks.needs_new_proof() => {
            Judged::Open("Meta requires that the number is verified again before it is registered".into())
        }
        Some(CodeStatus::Verified) => {
            Judged::True(Reason::CodeVerified, "ownership is proven by a code".into())
        }
        Some(CodeStatus::NotVerified | CodeStatus::Unverified | CodeStatus::Expired) => {
            let late = scene.is_settling_now(StepKind::VerifyCode);
            // A registered number needs no code, and whether it is registered may not be known now.
            let is_told = number.platform.value().is_some_and(PlatformType::is_known);
            if scene.was_true(ConditionType::NumberVerified) && (late || !is_told) {
                return Judged::Keep;
            }
            let word = number.code.value().map_or("", CodeStatus::as_str);
            Judged::Open(format!("ownership is not proven by a code (code status {word})"))
        }
        Some(CodeStatus::Other(_)) | None => Judged::Keep,
    }
}

pub(super) fn registered(scene: &Scene<'_>, number: &Number) -> Judged {
    if scene.was_true(ConditionType::Registered) && scene.is_platform_doubted() {
        return Judged::Keep;
    }
    match number.platform.value() {
        Some(PlatformType::CloudApi) if number.is_on_biz_app.value() == Some(&true) => Judged::True(
            Reason::RegisteredWithCloudApi,
            "the number is connected from the WhatsApp Business app; have the app opened on the phone every 13 days: Meta disconnects it after about 14 without, and no read tells how many are left".into(),
        ),
        Some(PlatformType::CloudApi) => {
            Judged::True(Reason::RegisteredWithCloudApi, "the number is registered with Cloud API".into())
        }
        Some(PlatformType::OnPremise) if scene.desired.connection == Connection::Coexistence => {
            not_connected()
        }
        Some(PlatformType::OnPremise) => Judged::False(
            Reason::NumberOnPremises,
            "Meta shows the platform ON_PREMISE, which today means a number of the WhatsApp Business app"
                .into(),
        ),
        Some(PlatformType::NotApplicable) => {
            let late = scene.is_settling_now(StepKind::Register);
            if scene.was_true(ConditionType::Registered) && late {
                return Judged::Keep;
            }
            if scene.desired.connection == Connection::Coexistence {
                return not_connected();
            }
            Judged::Open("the number is not registered yet".into())
        }
        Some(PlatformType::Other(_)) | None => Judged::Keep,
    }
}

fn not_connected() -> Judged {
    Judged::Open("the number is not connected from the WhatsApp Business app".into())
}
