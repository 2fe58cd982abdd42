//! Entries of lists → numbers that a channel can be for, each once, and entries that it cannot be for, each with the reason.

use std::{collections::BTreeMap, sync::Arc};

use crate::engine::{
    id::{AccountId, NumberStatus},
    observed::Number,
    phone::E164,
    spelling::Canonical,
};

/// An entry of an account's list.
#[derive(Clone, Debug)]
pub struct Entry {
    pub account: AccountId,
    /// Whether the portfolio owns the account.
    pub is_owned: bool,
    pub number: Arc<Number>,
}

/// The entry that a channel is for.
#[derive(Clone, Debug)]
pub struct Kept {
    pub entry: Entry,
    pub phone: E164,
    pub canonical: Canonical,
}

/// An entry that no channel is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    pub account: AccountId,
    /// Its id, and the number as Meta shows it.
    pub what: String,
    pub why: String,
}

impl Left {
    /// An entry with the reason.
    pub fn new(entry: &Entry, why: impl Into<String>) -> Self {
        let Number { id, display_phone_number, .. } = &*entry.number;
        Self {
            account: entry.account.clone(),
            what: format!("{display_phone_number} (id {id})"),
            why: why.into(),
        }
    }
}

/// Sorts entries, whatever their order: by number, and what is left by account.
pub fn sort(mut entries: Vec<Entry>) -> (Vec<Kept>, Vec<Left>) {
    entries.sort_by(|a, b| (&a.account, &a.number.id).cmp(&(&b.account, &b.number.id)));
    let mut groups: BTreeMap<Canonical, Vec<(Entry, E164)>> = BTreeMap::new();
    let mut left = Vec::new();
    for entry in entries {
        let shown = &entry.number.display_phone_number;
        let canonical = Canonical::shown(shown);
        if let Some(why) = gone(&entry.number) {
            left.push(Left::new(&entry, why));
        } else if let (Some(canonical), Some(phone)) = (canonical, E164::shown(shown)) {
            groups.entry(canonical).or_default().push((entry, phone));
        } else {
            left.push(Left::new(&entry, "Meta shows no whole phone number; a channel needs one"));
        }
    }
    let mut kept = Vec::new();
    for (canonical, mut group) in groups {
        let mut of_accounts: Vec<(Entry, E164)> = Vec::new();
        group.sort_by_key(|(entry, _)| !entry.number.is_registered());
        for (entry, phone) in group {
            // Of several in one account the operator takes one that is registered, else the first by id.
            match of_accounts.iter().find(|(first, _)| first.account == entry.account) {
                Some((first, _)) => left.push(second(&entry, first)),
                None => of_accounts.push((entry, phone)),
            }
        }
        of_accounts.sort_by_key(|(entry, _)| {
            (!entry.number.is_registered(), !entry.is_owned, entry.account.clone())
        });
        let mut of_accounts = of_accounts.into_iter();
        let Some((entry, phone)) = of_accounts.next() else { continue };
        left.extend(of_accounts.map(|(other, _)| second(&other, &entry)));
        kept.push(Kept { entry, phone, canonical });
    }
    left.sort();
    (kept, left)
}

/// Why the account does not have the number any more.
fn gone(number: &Number) -> Option<&'static str> {
    match number.status.value()? {
        NumberStatus::Migrated => {
            Some("it was migrated to another account; import the account that has it now")
        }
        NumberStatus::Deleted => Some("it was deleted from the account"),
        _ => None,
    }
}

fn second(entry: &Entry, first: &Entry) -> Left {
    Left::new(
        entry,
        format!(
            "the same number has the channel below for its entry in account {}, id {}; one channel manages a number",
            first.account, first.number.id
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::{Field, PlatformType};

    fn entry(account: &str, id: &str, shown: &str, change: impl FnOnce(&mut Number)) -> Entry {
        let mut number = Number::bare(id.into(), shown);
        change(&mut number);
        Entry { account: account.into(), is_owned: true, number: Arc::new(number) }
    }

    fn registered(number: &mut Number) {
        number.platform = Field::Is(PlatformType::CloudApi);
    }

    fn status(word: NumberStatus) -> impl FnOnce(&mut Number) {
        |number| number.status = Field::Is(word)
    }

    fn told(entries: Vec<Entry>) -> (Vec<String>, Vec<String>) {
        let (kept, left) = sort(entries);
        let kept = kept.iter().map(|kept| format!("{} {}", kept.phone, kept.entry.number.id)).collect();
        (kept, left.into_iter().map(|left| format!("{}: {}", left.what, left.why)).collect())
    }

    #[test]
    fn each_number_is_kept_once_whatever_the_order() {
        let entries = vec![
            entry("31", "12", "+55 31 8765-4321", registered),
            entry("30", "11", "+55 31 98765-4321", |_| {}),
            entry("30", "10", "+1 205-555-0100", |_| {}),
            entry("30", "13", "+1 (205) 555-0100", registered),
            entry("32", "14", "+44 20 7946 0000", registered),
        ];
        let expected = told(entries.clone());
        assert_eq!(
            expected.0,
            ["+12055550100 13", "+442079460000 14", "+553187654321 12"],
            "registered before not, within one account as well, as the operator takes it"
        );
        assert_eq!(expected.1.len(), 2, "{:?}", expected.1);
        let mut turned = entries;
        turned.reverse();
        assert_eq!(told(turned), expected);
    }

    #[test]
    fn a_shared_account_goes_behind_one_that_is_owned() {
        let mut shared = entry("30", "11", "+1 205-555-0100", registered);
        shared.is_owned = false;
        let (kept, left) = told(vec![shared, entry("31", "12", "+1 205-555-0100", registered)]);
        assert_eq!(kept, ["+12055550100 12"]);
        assert!(left[0].starts_with("+1 205-555-0100 (id 11)"), "{left:?}");
    }

    #[test]
    fn what_is_gone_or_no_number_is_left() {
        let (kept, left) = told(vec![
            entry("30", "11", "+1 205-555-0100", status(NumberStatus::Deleted)),
            entry("30", "12", "+1 205-555-0100", registered),
            entry("30", "13", "+1 205-555-0101", status(NumberStatus::Migrated)),
            entry("30", "14", "+1 205-555-0102", status(NumberStatus::Banned)),
            entry("30", "15", "none", registered),
            entry("30", "16", "+1064", registered),
            entry("30", "17", "+1 205-***-0103", registered),
        ]);
        assert_eq!(kept, ["+12055550100 12", "+12055550102 14"]);
        let words = ["deleted", "migrated", "no whole", "no whole", "no whole"];
        assert_eq!(left.len(), words.len(), "{left:?}");
        for word in words {
            assert!(left.iter().any(|left| left.contains(word)), "{word}: {left:?}");
        }
    }
}
