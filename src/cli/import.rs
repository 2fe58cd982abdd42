//! `import`: manifests for what exists at Meta. Applying them changes nothing there.
//!
//! Whether a channel would write is asked of the engine, as `plan` asks it: a number for which a step would be due is
//! only observed.

mod args;
mod draft;
mod page;
mod sample;
mod seen;
mod sort;
mod target;
mod yaml;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::engine::{limits::Limits, memory::Memory, observed::Claim, status::Facts};
use crate::meta::{
    client::Meta,
    port::SystemClock,
    settings::{MayWrite, Settings},
};

use super::{
    exit::{Ending, Problem},
    plan::{
        input,
        portfolio::{Found, Known, Portfolios},
        survey::Planner,
    },
    render, source,
};
pub use args::ImportArgs;
use draft::{Draft, Place};
use page::Page;
use seen::{About, Seen};
use sort::{Left, sort};
use target::Target;

/// Longer than any run.
const RUN: Duration = Duration::from_secs(60 * 60);

/// Prints manifests.
///
/// # Errors
///
/// When there are no credentials, or they reach nothing. When a part could not be read, the rest is printed before.
pub async fn import(args: &ImportArgs) -> Ending {
    // What is read once serves for every number, however long the run takes.
    let limits = Limits { fresh_list: RUN, fresh_after_write: RUN, fresh_for_add: RUN, ..Limits::default() };
    let mut settings = Settings {
        base_url: args.graph_url.clone(),
        version: args.graph_version.clone(),
        limits: limits.clone(),
        may_write: MayWrite::always(),
    };
    let Target { desired, manifest, is_there, channels, origin } = Target::find(args, &mut settings).await?;
    let meta = Meta::new(settings, Arc::new(SystemClock))
        .map_err(|error| Problem::new(format!("cannot reach Meta: {error}")))?;
    let portfolios = Portfolios { meta, origin, limits, clock: SystemClock };
    let known = portfolios.judge(&desired).await?;
    let planner = Planner { portfolios, started: Timestamp::now() };
    let seen = Seen::read(&args.accounts, &known, planner.started).await?;
    let place = Place { portfolio: &desired.name, namespace: args.cluster.namespace.as_deref() };
    let (kept, mut left) = sort(seen.entries.clone());
    let mut drafts = Vec::new();
    for kept in kept {
        let there = channels.get(&kept.canonical);
        match Draft::new(kept, &place) {
            Ok(draft) => match there.filter(|there| **there != draft.name) {
                Some(there) => left
                    .push(Left::new(&draft.kept.entry, format!("WhatsAppChannel {there} is for it already"))),
                None => drafts.push(draft),
            },
            Err(why) => left.push(why),
        }
    }
    left.sort();
    settle(&mut drafts, &planner, &known, &place, &desired.namespace).await?;
    let accounts = drafts.iter().map(|draft| draft.kept.entry.account.clone()).collect();
    let about = About::read(accounts, &known, planner.started).await;
    let name = known.observed.business.known().and_then(|facts| facts.name.as_deref());
    let page =
        Page { desired: &desired, manifest: &manifest, is_there, name, place, drafts, left, seen, about };
    render::out(&page.text())?;
    page.ending()
}

/// Plans every channel as `plan` does. Those for which a step is due are only observed.
async fn settle(
    drafts: &mut [Draft],
    planner: &Planner,
    known: &Known,
    place: &Place<'_>,
    namespace: &str,
) -> Result<(), Problem> {
    let mut managed: Vec<&mut Draft> =
        drafts.iter_mut().filter(|draft| draft.only_observed.is_none()).collect();
    if managed.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = managed.iter().map(|draft| draft.yaml(place).join("\n")).collect();
    let input = input::of(&source::parse("import", &texts.join("\n---\n")), Some(namespace))?;
    for (draft, manifest) in managed.iter_mut().zip(&input.channels) {
        let claim = Claim::Ours { act_from: None };
        let (memory, facts, found) = (Memory::default(), Facts::default(), Found::Known(known));
        let (_, plan) = planner.channel(&manifest.desired, claim, &found, memory, &facts).await;
        draft.only_observed = plan.step.map(|planned| {
            format!(
                "the operator would write to it: {}. Remove managementPolicy to have that done",
                planned.why
            )
        });
    }
    Ok(())
}
