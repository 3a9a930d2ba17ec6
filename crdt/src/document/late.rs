//! Entries that had seen more than has been folded.

use crate::entry::{Aliases, Sight};
use crate::{Context, Dot, Entry};
use std::collections::BTreeMap;

/// Entries whose contexts reach beyond the prefixes of what was folded: what they had seen may still
/// come, and is retired then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late {
    entries: BTreeMap<Dot, Entry>,
    /// All that they had seen, or more. Most entries of a feed come after what was seen of it, and
    /// then none of them needs to be asked.
    reach: Context,
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Late {
    /// Remembers an entry, if it takes the place of anything and saw more than `folded` has.
    pub(crate) fn remember(&mut self, entry: &Entry, folded: &Context) {
        let retires = entry.changes.iter().any(|change| change.operation.retires());
        if retires && !entry.context.is_within_prefixes_of(folded) {
            self.insert(entry.clone());
        }
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        self.reach.union(&entry.context);
        self.entries.insert(entry.dot, entry);
    }

    /// Forgets entries of which all that they had seen is folded.
    pub(crate) fn forget_settled(&mut self, folded: &Context) {
        self.entries.retain(|_, entry| !entry.context.is_within_prefixes_of(folded));
        if self.entries.is_empty() {
            self.reach = Context::default();
        }
    }

    /// Those that had seen `entry`, which has just come.
    pub(crate) fn who_saw<'a>(
        &'a self,
        entry: &'a Entry,
        aliases: &'a Aliases,
    ) -> impl Iterator<Item = (&'a Entry, Sight<'a>)> {
        let mut names = entry.aliases.iter().chain([&entry.dot]);
        let is_in_reach = names.any(|name| self.reach.covers(*name));
        let late = is_in_reach.then(|| self.entries.values()).into_iter().flatten();
        let sights = late.map(move |late| (late, Sight::new(late, aliases)));
        sights.filter(|(_, sight)| sight.saw(entry.dot))
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.values()
    }
}
