//! Manifests → validated channels and portfolios.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::engine::desired::{Desired, DesiredPortfolio, PortfolioRef};
use crate::{
    api::{
        lower::{self, GROUP, SpecInvalid},
        v1alpha1::{WhatsAppChannel, WhatsAppPortfolio},
    },
    cli::{
        check,
        exit::Problem,
        lint::{self, NO_ACCOUNT, REGISTERED, SANDBOX},
        source::{self, Document, Source},
    },
};

use super::unread::Unread;

/// Namespace of a manifest that names none, and of a plan that was given none.
const DEFAULT: &str = "default";

/// A channel with where it was written.
#[derive(Debug)]
pub struct Manifest {
    /// File and line; `None` of one that was read from a cluster.
    pub place: Option<(String, usize)>,
    pub object: WhatsAppChannel,
    pub desired: Desired,
}

impl Manifest {
    /// Whether a sandbox shall have its number already.
    pub fn is_registered(&self) -> bool {
        is_marked(self.object.metadata.annotations.as_ref(), REGISTERED)
    }
}

fn is_marked(annotations: Option<&BTreeMap<String, String>>, word: &str) -> bool {
    annotations.and_then(|all| all.get(SANDBOX)).is_some_and(|value| value == word)
}

/// Everything to be planned.
#[derive(Debug, Default)]
pub struct Input {
    pub channels: Vec<Manifest>,
    pub portfolios: Vec<DesiredPortfolio>,
    /// Those that shall have no account in a sandbox.
    pub without_account: BTreeSet<PortfolioRef>,
    /// Portfolios that channels name and that whoever plans may not read in the cluster.
    pub unreadable: BTreeMap<PortfolioRef, Unread>,
    /// What a reader of the plan should know about where it comes from.
    pub notes: Vec<String>,
}

impl Input {
    /// Channels of a cluster, the oldest first: of two with one number it is the one that manages it. What cannot be
    /// understood comes back, with the reason.
    pub fn of_objects(mut objects: Vec<WhatsAppChannel>) -> (Self, Vec<(WhatsAppChannel, SpecInvalid)>) {
        let age = |object: &WhatsAppChannel| object.metadata.creation_timestamp.as_ref().map(|time| time.0);
        objects.sort_by(|a, b| {
            (age(a), &a.metadata.namespace, &a.metadata.name).cmp(&(
                age(b),
                &b.metadata.namespace,
                &b.metadata.name,
            ))
        });
        let (mut input, mut invalid) = (Self::default(), Vec::new());
        for object in objects {
            match lower::channel(&object) {
                Ok(desired) => input.channels.push(Manifest { place: None, object, desired }),
                Err(why) => invalid.push((object, why)),
            }
        }
        (input, invalid)
    }

    /// The portfolios that channels refer to and that no manifest describes.
    pub fn missing_portfolios(&self) -> Vec<PortfolioRef> {
        let mut missing: Vec<PortfolioRef> = self
            .channels
            .iter()
            .map(|manifest| &manifest.desired.portfolio)
            .filter(|of| !self.portfolios.iter().any(|p| p.reference() == **of))
            .cloned()
            .collect();
        missing.sort();
        missing.dedup();
        missing
    }
}

/// Reads and checks manifests.
///
/// # Errors
///
/// When the API server would refuse one, or there is nothing to plan.
pub fn read(paths: &[PathBuf], namespace: Option<&str>) -> Result<Input, Problem> {
    // Once: standard input gives its text to the first who asks.
    of(&source::read(paths), namespace)
}

/// Checks manifests that were read.
///
/// # Errors
///
/// When the API server would refuse one, or there is nothing to plan.
pub fn of(source: &Source, namespace: Option<&str>) -> Result<Input, Problem> {
    let found = lint::source(source);
    if found.has_errors() {
        return Err(check::refuse(&found));
    }
    let mut input = Input::default();
    for document in source.documents.iter().filter(|document| document.group() == GROUP) {
        take(document, namespace.unwrap_or(DEFAULT), &mut input)?;
    }
    if input.channels.is_empty() && input.portfolios.is_empty() {
        return Err(Problem::new("there is no WhatsAppChannel and no WhatsAppPortfolio in these files")
            .next("name a file or a folder with manifests: whatsapp-operator plan -f examples --sandbox"));
    }
    Ok(input)
}

fn take(document: &Document, namespace: &str, input: &mut Input) -> Result<(), Problem> {
    let unreadable = |error: source::SourceError| Problem::new(error.to_string());
    let invalid = |why: SpecInvalid| {
        let at = document.position(why.field);
        Problem::new(format!("{}:{}:{}: {why}", document.file, at.line, at.column))
    };
    match document.kind() {
        "WhatsAppChannel" => {
            // Status is no part of a manifest; what one says there would be taken for the past.
            let mut object: WhatsAppChannel = document.without("status").parse().map_err(unreadable)?;
            object.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
            let mut desired = lower::channel(&object).map_err(invalid)?;
            // Unless it is there already, it is created from this.
            lower::come_with_the_object(&mut desired.consents);
            let line = document.root.at.line;
            let place = Some((document.file.clone(), line));
            input.channels.push(Manifest { place, object, desired });
        }
        "WhatsAppPortfolio" => {
            let mut object: WhatsAppPortfolio = document.without("status").parse().map_err(unreadable)?;
            object.metadata.namespace.get_or_insert_with(|| namespace.to_owned());
            let desired = lower::portfolio(&object).map_err(invalid)?;
            if is_marked(object.metadata.annotations.as_ref(), NO_ACCOUNT) {
                input.without_account.insert(desired.reference());
            }
            input.portfolios.push(desired);
        }
        _ => {}
    }
    Ok(())
}
