//! Counters: what was added, by entry.

use super::Sight;
use super::live::Both;
use crate::{Dot, Incarnation, Position};
use std::collections::BTreeMap;

/// The amounts of a counter, each under the dot of the entry that added it.
///
/// The counters of RR-7506 (specifications 5 to 7) keep a sum per replica. That cannot be taken apart
/// again, and under a key that was removed only what the remover had seen must go; so the amounts
/// stay apart, sixteen bytes each in memory and about three in the serialised form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    by_server: BTreeMap<Incarnation, Vec<(Position, i64)>>,
    total: i128,
}

impl Amounts {
    /// Adds an amount; an entry that adds twice adds both.
    pub(crate) fn add(&mut self, dot: Dot, amount: i64) {
        self.total += i128::from(amount);
        let amounts = self.by_server.entry(dot.incarnation).or_default();
        let at = amounts.partition_point(|(position, _)| *position < dot.position);
        match amounts.get_mut(at).filter(|(position, _)| *position == dot.position) {
            Some((_, known)) => *known = known.saturating_add(amount),
            None => amounts.insert(at, (dot.position, amount)),
        }
    }

    /// Takes away what was seen.
    pub(crate) fn erase(&mut self, sight: &Sight<'_>) {
        self.retain(|dot| !sight.saw(dot));
    }

    fn retain(&mut self, keep: impl Fn(Dot) -> bool) {
        let mut total = 0;
        self.by_server.retain(|incarnation, amounts| {
            let incarnation = *incarnation;
            amounts.retain(|(position, _)| keep(Dot { incarnation, position: *position }));
            total += amounts.iter().map(|(_, amount)| i128::from(*amount)).sum::<i128>();
            !amounts.is_empty()
        });
        self.total = total;
    }

    /// What one side lacks although it folded the entry was erased there.
    pub(crate) fn merge(&mut self, other: &Self, both: Both<'_>) {
        self.retain(|dot| other.has(dot) || !both.theirs.covers(dot));
        for (dot, amount) in other.iter() {
            if !both.mine.covers(dot) {
                self.add(dot, amount);
            }
        }
    }

    fn has(&self, dot: Dot) -> bool {
        let amounts = self.by_server.get(&dot.incarnation);
        amounts.is_some_and(|amounts| {
            amounts.binary_search_by_key(&dot.position, |(position, _)| *position).is_ok()
        })
    }

    /// The sum.
    pub(crate) fn total(&self) -> i128 {
        self.total
    }

    /// The amounts by dot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Dot, i64)> {
        self.by_server.iter().flat_map(|(incarnation, amounts)| {
            let incarnation = *incarnation;
            amounts
                .iter()
                .map(move |(position, amount)| (Dot { incarnation, position: *position }, *amount))
        })
    }

    /// The amounts by server and position.
    pub(crate) fn by_server(&self) -> &BTreeMap<Incarnation, Vec<(Position, i64)>> {
        &self.by_server
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_server.is_empty()
    }
}
