//! Step + Graph → Outcome. Carries out, makes no choices.
//!
//! What a step would still have to ask belongs in `observe` or in the plan. A step that
//! may not be sent any more, or whose Secret was not read, is not sent, and the outcome says so.

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::engine::{
    failure::Failure,
    memory::Intent,
    outcome::{Accepted, Outcome},
    step::Step,
};
use crate::meta::port::{Clock, Graph};

use super::{
    may_work::MayWork,
    secret::{Materials, Secrets},
};

/// Carries out one step, once.
///
/// Looks right before sending, since any time may have passed. After `sendBefore` of the intent another process may
/// already decide about it, and once this one may not work another does: nothing is sent then. Never retries.
pub async fn act<G: Graph, S: Secrets, C: Clock>(
    step: &Step,
    graph: Option<&G>,
    materials: &Materials,
    secrets: &S,
    intent: Option<&Intent>,
    (clock, may_work): (&C, &watch::Receiver<MayWork>),
) -> Outcome {
    let result = match intent {
        Some(intent) if clock.now() >= intent.send_before => {
            Err(Failure::NotSent("its time to be sent had passed".into()))
        }
        _ if !may_work.borrow().holds() => {
            Err(Failure::NotSent("this process may not work any more, and another may".into()))
        }
        _ => send(step, graph, materials, secrets).await,
    };
    let at: Timestamp = clock.now();
    Outcome { intent: intent.map(|i| i.id.clone()), step: step.kind(), at, result }
}

async fn send<G: Graph, S: Secrets>(
    step: &Step,
    graph: Option<&G>,
    materials: &Materials,
    secrets: &S,
) -> Result<Accepted, Failure> {
    if let Step::CreatePin { secret } = step {
        return secrets.create_pin(secret).await.map(|()| Accepted::default()).map_err(Failure::NotSent);
    }
    let graph =
        graph.ok_or_else(|| Failure::NotSent("no credential of the portfolio is known to work".into()))?;
    match step {
        Step::AddNumber { account, number, name } => graph.add_number(account, number, name).await,
        Step::RequestCode { account, number, method, language, .. } => {
            graph.request_code(account, number, *method, language).await
        }
        Step::VerifyCode { account, number, .. } => {
            graph.verify_code(account, number, held(materials.code.as_ref(), "code")?).await
        }
        Step::SubmitName { account, number, name } => graph.submit_name(account, number, name).await,
        Step::SetPin { account, number, .. } => {
            graph.set_pin(account, number, held(materials.pin.as_ref(), "PIN")?).await
        }
        Step::Register { account, number, .. } => {
            graph.register(account, number, held(materials.pin.as_ref(), "PIN")?).await
        }
        Step::SubscribeApp { account } => graph.subscribe(account).await,
        Step::RouteWebhook { account, number, url, .. } => {
            let token = held(materials.verify_token.as_ref(), "verify token")?;
            graph.route_webhook(account, number, url, token).await
        }
        Step::WriteProfile { account, number, fields } => graph.write_profile(account, number, fields).await,
        Step::WritePicture { account, number, sum } => {
            let read = materials.picture.as_ref().filter(|picture| picture.sum == *sum);
            let picture =
                read.ok_or_else(|| Failure::NotSent("the picture was not read in this pass".into()))?;
            graph.write_picture(account, number, &picture.bytes, picture.kind).await
        }
        Step::UnrouteWebhook { account, number } => graph.unroute_webhook(account, number).await,
        Step::SetStorage { account, number, region } => graph.set_storage(account, number, region).await,
        Step::StartSync { account, number, sync, .. } => graph.start_sync(account, number, *sync).await,
        Step::Deregister { account, number, .. } => graph.deregister(account, number).await,
        Step::ClaimUsername { account, number, username, transfer } => {
            graph.claim_username(account, number, username, *transfer).await
        }
        Step::RequestOfficial { account, number, application } => {
            graph.request_official(account, number, application).await
        }
        Step::CreatePin { .. } => Ok(Accepted::default()),
    }
}

fn held<'a>(value: Option<&'a SecretString>, what: &str) -> Result<&'a SecretString, Failure> {
    value.ok_or_else(|| Failure::NotSent(format!("the {what} was not read in this pass")))
}
