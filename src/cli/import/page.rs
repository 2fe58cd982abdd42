//! What is printed: manifests with comments. No secret is in it.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use crate::cli::{
    check::many,
    exit::{Ending, Exit, Problem},
    plan::unread::Unread,
    render::Text,
};
use crate::engine::desired::DesiredPortfolio;

use super::{
    draft::{Draft, Place},
    seen::{About, Seen},
    sort::Left,
    yaml,
};

/// Everything that is printed.
pub struct Page<'a> {
    pub desired: &'a DesiredPortfolio,
    pub manifest: &'a Value,
    /// The portfolio is in the cluster already, and so are its Secrets.
    pub is_there: bool,
    /// Its name at Meta, where that was read.
    pub name: Option<&'a str>,
    pub place: Place<'a>,
    pub drafts: Vec<Draft>,
    pub left: Vec<Left>,
    pub seen: Seen,
    /// Of each account with a number here.
    pub about: Vec<About>,
}

impl Page<'_> {
    /// The manifests, by number.
    pub fn text(&self) -> Text {
        let mut text = Text::new();
        for line in self.head() {
            text.line(format!("# {line}"));
        }
        for line in yaml::lines(self.manifest) {
            text.line(line);
        }
        for draft in &self.drafts {
            text.line("---");
            for line in draft.comments(&self.place) {
                text.line(format!("# {line}"));
            }
            for line in draft.yaml(&self.place) {
                text.line(line);
            }
        }
        for line in self.foot() {
            text.line(format!("# {line}"));
        }
        text
    }

    fn head(&self) -> Vec<String> {
        let observed = self.drafts.iter().filter(|draft| draft.only_observed.is_some()).count();
        let name = self.name.map(|name| format!(" {name:?}")).unwrap_or_default();
        let mut lines = vec![
            format!(
                "Portfolio {}{name}: {} in {}; {} managed, {observed} only observed, {} left out.",
                self.desired.business,
                many(self.seen.entries.len(), "number"),
                many(self.seen.accounts.len(), "account"),
                self.drafts.len() - observed,
                self.left.len()
            ),
            "Applying this changes nothing at Meta.".to_owned(),
        ];
        lines.extend(self.unread().map(|unread| {
            format!("Not read, so what is there is missing here: {}: {}", unread.what, unread.why)
        }));
        lines.extend(self.about.iter().flat_map(About::comments));
        if !self.is_there {
            lines.push("Its credentials are not in here. Make their Secret first, with each text in a file of its own:".to_owned());
            let keys = [Some(&self.desired.access_token), self.desired.app_secret.as_ref()];
            let files: String = keys.into_iter().flatten().fold(String::new(), |files, key| {
                format!("{files} --from-file={key}=./{key}", key = key.key)
            });
            lines.push(format!(
                "  kubectl create secret generic {}{files}{}",
                self.desired.access_token.name,
                self.place.flag()
            ));
        }
        lines
    }

    /// Whatever is missing here because it was not read.
    fn unread(&self) -> impl Iterator<Item = Cow<'_, Unread>> {
        let of_accounts = self.about.iter().flat_map(|about| &about.unread);
        let without = self.drafts.iter().filter(|draft| draft.has_gap()).count();
        let profiles = (without > 0).then(|| {
            let what = format!("the {} of {}", if without == 1 { "profile" } else { "profiles" }, many(without, "number"));
            Unread::new(what, "not shown in the list of numbers, so not managed; the comments above the channels tell of which")
        });
        self.seen.unread.iter().chain(of_accounts).map(Cow::Borrowed).chain(profiles.map(Cow::Owned))
    }

    fn foot(&self) -> Vec<String> {
        let mut by_account: BTreeMap<&str, Vec<&Left>> = BTreeMap::new();
        for left in &self.left {
            by_account.entry(left.account.as_str()).or_default().push(left);
        }
        let mut lines = Vec::new();
        for (account, left) in by_account {
            lines.push(format!("Left out of account {account}:"));
            lines.extend(left.iter().map(|left| format!("  {}: {}", left.what, left.why)));
        }
        lines
    }

    /// How the command ends.
    ///
    /// # Errors
    ///
    /// When something could not be read.
    pub fn ending(&self) -> Ending {
        let what: Vec<_> = self.unread().map(|unread| format!("{}: {}", unread.what, unread.why)).collect();
        if what.is_empty() {
            return Ok(Exit::Done);
        }
        Err(Problem::new(format!("the import is not whole; not read: {}", what.join("; ")))
            .next("mend what Meta says about each, then import again: the names stay the same"))
    }
}
