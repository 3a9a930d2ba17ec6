//! Which entries go.

use super::logs::Logs;
use super::prefixes::Prefixes;
use super::receipt::Receipt;
use super::{Terms, bases};
use crate::documents::parts_of;
use crate::log::{
    Addresses, Compacting, CompactionStep, Entry, Log, LogName, PageLimit, Positions, ReadError,
    RewriteError,
};
use crate::rules::Rules;
use crate::sync_map::Holdings;
use std::collections::BTreeMap;
use tidelog_crdt::{DocumentName, Position};

/// What an entry does to one document.
type Part = (DocumentName, tidelog_crdt::Entry);

/// How much of the feed is read at once.
const PAGE: PageLimit = PageLimit { entries: 1000, bytes: 1 << 20 };

/// What is known of maps while they are looked at; what does not fit is looked at in further passes.
const MAP_BYTES_MAX: usize = 64 << 20;
/// Names of logs that are kept at a time; the same.
const LOG_BYTES_MAX: usize = 64 << 20;

/// What was found in the feed.
pub(super) struct Plan<'a> {
    log: &'a Log,
    rules: &'a Rules,
    /// Everything up to here was looked at.
    through: Position,
    entries: u64,
    /// Entries of documents that go.
    going: Positions,
    /// The logs that they are in.
    logs: Logs,
    types: BTreeMap<String, u64>,
    maps: Holdings,
    prefixes: Prefixes,
}

/// The log by which readers get an entry's document, if that is clear: the one channel that it went to, or
/// else the one user's.
pub(super) fn home(to: &Addresses) -> Option<LogName> {
    match (&to.users[..], &to.channels[..]) {
        (_, [channel]) => Some(LogName::Channel(channel.clone())),
        ([user], []) => Some(LogName::User(user.clone())),
        _ => None,
    }
}

impl<'a> Plan<'a> {
    /// Looks at all that was accepted up to a moment.
    pub(super) fn read(
        log: &'a Log,
        rules: &'a Rules,
        (terms, cutoff_ms): (&Terms, u64),
        told: &mut dyn FnMut(CompactionStep),
    ) -> Result<Self, ReadError> {
        let mut plan = Self {
            log,
            rules,
            through: Position::ZERO,
            entries: 0,
            going: Positions::default(),
            logs: Logs::new(LOG_BYTES_MAX),
            types: BTreeMap::new(),
            maps: Holdings::new(MAP_BYTES_MAX),
            prefixes: Prefixes::new(log)?,
        };
        let head = log.head();
        // What may still be undone cannot go: it could not be taken out of what stands for it.
        let last = if terms.has_upstream { log.settled()? } else { head };
        let mut above = Position::ZERO;
        while above < head {
            let page = log.feed(above, PAGE)?;
            // Times of acceptance never fall.
            let old = page
                .entries
                .iter()
                .take_while(|entry| entry.accepted_ms <= cutoff_ms && entry.position <= last);
            let mut count = 0;
            for entry in old {
                count += 1;
                plan.look_at(entry, terms);
            }
            above = page.through;
            told(CompactionStep::Reading(above.min(head), head));
            if count < page.entries.len() {
                break;
            }
        }
        while plan.maps.goes_on() {
            plan.look_at_maps_again(terms, told)?;
        }
        plan.prefixes = Prefixes::default();
        Ok(plan)
    }

    /// Looks at the maps once more, for items that did not fit.
    fn look_at_maps_again(
        &mut self,
        terms: &Terms,
        told: &mut dyn FnMut(CompactionStep),
    ) -> Result<(), ReadError> {
        let look = |plan: &mut Self, entry: &Entry| {
            if terms.let_go(entry.action.kind()) {
                plan.is_of_map(entry, &parts_of(entry, plan.rules));
            }
        };
        self.read_again(look, told)
    }

    fn read_again(
        &mut self,
        look: impl Fn(&mut Self, &Entry),
        told: &mut dyn FnMut(CompactionStep),
    ) -> Result<(), ReadError> {
        let (mut above, through) = (Position::ZERO, self.through);
        while above < through {
            let page = self.log.feed(above, PAGE)?;
            let old = page.entries.iter().take_while(|entry| entry.position <= through);
            old.for_each(|entry| look(self, entry));
            above = page.through;
            told(CompactionStep::Reading(above.min(through), through));
        }
        Ok(())
    }

    /// Whether a map says all that `entry` does.
    fn is_of_map(&mut self, entry: &Entry, parts: &[Part]) -> bool {
        let changes: usize = parts.iter().map(|(_, part)| part.changes.len()).sum();
        // What does something else too, by a rule of its own, is not spent when its item has moved on.
        let map = self.rules.sync_map(entry.action.kind()).filter(|_| changes <= 1);
        map.is_some_and(|(map, _)| self.maps.take(map, entry))
    }

    fn look_at(&mut self, entry: &Entry, terms: &Terms) {
        self.through = entry.position;
        self.entries += 1;
        if entry.is_undo() {
            return;
        }
        let (kind, parts) = (entry.action.kind(), parts_of(entry, self.rules));
        // What a map holds stays in its documents, also when it goes: what came later says it all.
        if terms.let_go(kind)
            && !self.is_of_map(entry, &parts)
            && let [(name, _)] = &parts[..]
            && self.prefixes.goes(entry, name)
        {
            self.going.insert(entry.position);
            entry.addresses.logs().for_each(|log| self.logs.add(log));
            *self.types.entry(kind.to_owned()).or_default() += 1;
        } else {
            for (name, _) in &parts {
                self.prefixes.stays(entry, name);
            }
        }
    }

    /// Puts what the entries add up to where they were; which go, if that is worth it.
    pub(super) fn carry_out(
        mut self,
        compacting: &mut Compacting<'_>,
        (receipt, terms): (&mut Receipt, &Terms),
        told: &mut dyn FnMut(CompactionStep),
    ) -> Result<Option<(Position, Positions)>, RewriteError> {
        let mut spent = Vec::new();
        let maps = std::mem::replace(&mut self.maps, Holdings::new(0));
        for (name, positions) in maps.spent() {
            receipt.maps.insert(name, positions.count());
            spent.push(positions);
        }
        let of_maps: u64 = spent.iter().map(Positions::count).sum();
        let count = self.going.count() + of_maps;
        let least = terms.one_of.map_or(1, |one_of| self.entries.div_ceil(one_of).max(1));
        receipt.through = self.through;
        if count < least {
            return Ok(None);
        }
        self.fold_logs(compacting, receipt, told)?;
        receipt.types = self.types;
        receipt.entries = self.going.count() + of_maps;
        for positions in spent {
            self.going.add(positions);
        }
        Ok(Some((self.through, self.going)))
    }

    /// Puts what goes of each log in its place, as many logs at a time as memory is for.
    fn fold_logs(
        &mut self,
        compacting: &mut Compacting<'_>,
        receipt: &mut Receipt,
        told: &mut dyn FnMut(CompactionStep),
    ) -> Result<(), RewriteError> {
        loop {
            let (names, again) = self.logs.take();
            let all = receipt.logs + names.len() as u64;
            for name in &names {
                let bases = bases::of((self.log, self.rules), name, self.through, &self.going)?;
                receipt.documents += bases.bases.len() as u64;
                compacting.put(name, &bases)?;
                receipt.logs += 1;
                told(CompactionStep::Folding(receipt.logs, all));
            }
            if !again {
                return Ok(());
            }
            let look = |plan: &mut Self, entry: &Entry| {
                if plan.going.contains(entry.position) {
                    entry.addresses.logs().for_each(|log| plan.logs.add(log));
                }
            };
            self.read_again(look, told)?;
        }
    }
}
