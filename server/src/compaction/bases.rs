//! What the entries of one log add up to that go.

use super::plan::home;
use crate::documents::{made_ms, parts_of};
use crate::log::{Base, Bases, Entry, Incarnations, Log, LogName, PageLimit, Positions, ReadError};
use crate::rules::Rules;
use std::collections::{BTreeMap, BTreeSet};
use tidelog_crdt::{Applied, Document, DocumentName, Position};

/// How much of a log is read at once.
const PAGE: PageLimit = PageLimit { entries: 1000, bytes: 1 << 20 };

/// The last entry of a document that goes.
#[derive(Clone, Copy, Default)]
struct Last {
    position: Position,
    accepted_ms: u64,
}

/// What goes of one document.
#[derive(Default)]
struct Ends {
    /// Of what readers get by this log.
    own: Option<Last>,
    /// Of what they get by another, which has it all.
    other: Option<Last>,
    /// Whether readers are shown what went before, if anything did.
    was_shown: Option<bool>,
}

/// The documents of the log called `name`, each up to the last of its entries that goes, and entries that
/// have to stay after all.
///
/// Entries that stay, and are in a document up to there, are in it too. So whoever folds the log goes on above
/// what all documents have.
pub(super) fn of(
    (log, rules): (&Log, &Rules),
    name: &LogName,
    through: Position,
    going: &Positions,
) -> Result<(Bases, Vec<Position>), ReadError> {
    let old = log.bases(name)?.unwrap_or_default();
    let stretch = Stretch { log, rules, name, above: old.through, through };
    let mut ends: BTreeMap<DocumentName, Ends> = BTreeMap::new();
    stretch.each(|entry| {
        if going.contains(entry.position)
            && let [(document, _)] = &parts_of(entry, rules)[..]
        {
            ends.entry(document.clone()).or_default().note(entry, name);
        }
    })?;
    old.bases.iter().for_each(|base| {
        if let Some(ends) = ends.get_mut(&base.name) {
            ends.was_shown = Some(base.shown);
        }
    });
    let kept = stretch.mixed(&ends, going)?;
    let mut folding = Folding::new(log.incarnations(), old.bases, &ends);
    let mut left: Option<Position> = None;
    stretch.each(|entry| {
        for (document, part) in parts_of(entry, rules) {
            match ends.get(&document).and_then(Ends::last) {
                Some(last) if entry.position <= last.position => {
                    folding.add(entry, document, &part);
                }
                _ if folding.has(&document, entry.position) => {}
                _ => left = left.or(Some(entry.position)),
            }
        }
    })?;
    let through = left.map_or(through, before);
    Ok((Bases { through, bases: folding.finish(&ends) }, kept))
}

impl Ends {
    fn note(&mut self, entry: &Entry, log: &LogName) {
        let is_own = home(&entry.addresses).as_ref() == Some(log);
        let end = if is_own { &mut self.own } else { &mut self.other };
        *end = Some(Last { position: entry.position, accepted_ms: entry.accepted_ms });
    }

    /// A document of which readers get a part by this log and a part by another: one place cannot show
    /// both, so the part of this log stays.
    fn is_mixed(&self) -> bool {
        self.own.is_some() && (self.other.is_some() || self.was_shown == Some(false))
    }

    fn last(&self) -> Option<Last> {
        if self.is_mixed() { self.other } else { self.other.or(self.own) }
    }

    /// Readers were shown what is here, and get the rest elsewhere from now on.
    fn ends_showing(&self) -> bool {
        self.other.is_some() && self.was_shown == Some(true)
    }
}

/// A part of a log.
struct Stretch<'a> {
    log: &'a Log,
    rules: &'a Rules,
    name: &'a LogName,
    above: Position,
    through: Position,
}

impl Stretch<'_> {
    fn each(&self, mut look: impl FnMut(&Entry)) -> Result<(), ReadError> {
        let mut above = self.above;
        while above < self.through {
            let page = self.log.read(self.name, above, self.through, PAGE)?;
            page.entries.iter().for_each(|entry| look(entry));
            above = page.through;
        }
        Ok(())
    }

    /// Entries of mixed documents that stay.
    fn mixed(
        &self,
        ends: &BTreeMap<DocumentName, Ends>,
        going: &Positions,
    ) -> Result<Vec<Position>, ReadError> {
        let mixed: BTreeSet<_> =
            ends.iter().filter(|(_, ends)| ends.is_mixed()).map(|(name, _)| name).collect();
        let mut kept = Vec::new();
        if !mixed.is_empty() {
            self.each(|entry| {
                let is_own = home(&entry.addresses).as_ref() == Some(self.name);
                let is_mixed = |document| mixed.contains(document);
                if is_own
                    && going.contains(entry.position)
                    && parts_of(entry, self.rules).iter().any(|(document, _)| is_mixed(document))
                {
                    kept.push(entry.position);
                }
            })?;
        }
        Ok(kept)
    }
}

/// Documents in the making.
struct Folding {
    lives: Incarnations,
    /// By name, the newest of each.
    bases: BTreeMap<DocumentName, Base>,
    /// Older ones that readers are still shown.
    shown: Vec<Base>,
}

impl Folding {
    /// From what compaction made of the log before.
    fn new(lives: Incarnations, old: Vec<Base>, ends: &BTreeMap<DocumentName, Ends>) -> Self {
        let (mut bases, mut shown) = (BTreeMap::new(), Vec::new());
        for base in old {
            if base.shown && ends.get(&base.name).is_some_and(Ends::ends_showing) {
                shown.push(base.clone());
            }
            let earlier = bases.insert(base.name.clone(), base);
            shown.extend(earlier.filter(|earlier: &Base| earlier.shown));
        }
        Self { lives, bases, shown }
    }

    fn has(&self, name: &DocumentName, position: Position) -> bool {
        self.bases.get(name).is_some_and(|base| position <= base.position)
    }

    fn add(&mut self, entry: &Entry, name: DocumentName, part: &tidelog_crdt::Entry) {
        let base = self.bases.entry(name.clone()).or_insert_with(|| Base {
            name,
            position: Position::ZERO,
            accepted_ms: 0,
            latest_ms: 0,
            entries: 0,
            shown: false,
            document: Document::default(),
        });
        // What the author had seen of it is settled, so that nothing is remembered for it.
        self.lives.settle(&mut base.document, before(entry.position));
        if base.document.apply(part) == Applied::Folded {
            base.entries += 1;
            base.latest_ms = base.latest_ms.max(made_ms(entry));
        }
    }

    fn finish(mut self, ends: &BTreeMap<DocumentName, Ends>) -> Vec<Base> {
        for base in self.bases.values_mut() {
            let Some(ends) = ends.get(&base.name) else { continue };
            // Of a type that may go only since lately an entry can be in what was kept before.
            let Some(last) = ends.last().filter(|last| last.position > base.position) else {
                continue;
            };
            self.lives.settle(&mut base.document, last.position);
            base.position = last.position;
            base.accepted_ms = last.accepted_ms;
            base.shown = ends.other.is_none();
        }
        let mut all = self.shown;
        all.extend(self.bases.into_values());
        all.sort_by_key(|base| base.position);
        all
    }
}

fn before(position: Position) -> Position {
    Position::new(position.get().saturating_sub(1)).unwrap_or_default()
}
