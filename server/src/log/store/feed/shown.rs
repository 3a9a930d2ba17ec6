//! What readers are shown of bases, kept for the next of them: to make it takes as long as the document is large.
//!
//! A base never changes while its feed lasts, and a feed that takes its place has a table of its own.

use super::super::super::entry::Entry;
use super::super::super::prefix::Prefix;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_crdt::Position;

/// All together, in bytes of JSON; the one that was used longest ago goes first.
const BYTES_MAX: usize = 16 << 20;

/// The entries that stand for bases.
#[derive(Default)]
pub(in super::super::super) struct Shown(Mutex<Table>);

#[derive(Default)]
struct Table {
    kept: HashMap<(Prefix, Position), (Entry, u64)>,
    bytes: usize,
    uses: u64,
}

impl Shown {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown at a place, if somebody was shown it lately.
    pub(in super::super::super) fn get(&self, place: (Prefix, Position)) -> Option<Entry> {
        let mut table = self.table();
        table.uses += 1;
        let now = table.uses;
        let (entry, used) = table.kept.get_mut(&place)?;
        *used = now;
        Some(entry.clone())
    }

    /// Keeps what is shown at a place.
    pub(in super::super::super) fn keep(&self, place: (Prefix, Position), entry: &Entry) {
        let bytes = entry.action.json().len();
        if bytes > BYTES_MAX {
            return;
        }
        let mut table = self.table();
        table.remove(place);
        while table.bytes + bytes > BYTES_MAX {
            let oldest = table.kept.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(place, _)| *place) else { break };
            table.remove(oldest);
        }
        table.uses += 1;
        let now = table.uses;
        table.kept.insert(place, (entry.clone(), now));
        table.bytes += bytes;
    }
}

impl Table {
    fn remove(&mut self, place: (Prefix, Position)) {
        let removed = self.kept.remove(&place);
        self.bytes -= removed.map_or(0, |(entry, _)| entry.action.json().len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Addresses, Causes};
    use tidelog_crdt::{Dot, Incarnation};
    use tidelog_protocol::{Action, ActionId, NodeId};

    fn entry(bytes: usize) -> Entry {
        let position = Position::new(1).unwrap();
        Entry {
            position,
            id: ActionId { node: NodeId::new("server:1:1").unwrap(), ms: 1, sequence: 4 },
            time: 1,
            accepted_ms: 1,
            subprotocol: 0,
            addresses: Addresses::default(),
            dot: Dot { incarnation: Incarnation(1), position },
            aliases: Vec::new(),
            causes: Causes::default(),
            action: Action::from_parts(vec![b' '; bytes].into(), "crdt/state"),
            kept: true,
            cleaned: false,
        }
    }

    #[test]
    fn memory_is_bounded_and_what_was_used_longest_ago_goes_first() {
        let shown = Shown::default();
        let place = |n| (Prefix(n, n), Position::ZERO);
        let found = |n| shown.get(place(n)).is_some();
        (0..3).for_each(|n| shown.keep(place(n), &entry(BYTES_MAX / 3)));
        assert!((0..3).all(found) && found(0));
        shown.keep(place(3), &entry(BYTES_MAX / 3));
        assert_eq!([0, 1, 2, 3].map(found), [true, false, true, true]);
        shown.keep(place(4), &entry(BYTES_MAX + 1));
        shown.keep(place(3), &entry(10));
        assert_eq!([0, 2, 3, 4].map(found), [true, true, true, false]);
        assert_eq!(shown.table().bytes, 2 * (BYTES_MAX / 3) + 10);
    }
}
