//! What the entries of one log add up to that go.

use super::plan::home;
use crate::documents::{is_state, made_ms, parts_of};
use crate::log::{Base, Bases, Entry, Incarnations, Log, LogName, PageLimit, Positions, ReadError};
use crate::rules::Rules;
use std::collections::BTreeMap;
use tidelog_crdt::{Applied, Document, DocumentName, Position};

/// How much of a log is read at once.
const PAGE: PageLimit = PageLimit { entries: 1000, bytes: 1 << 20 };

/// The documents of the log called `name`, of all that has gone from it up to `through` once those that are
/// `going` have. What stays is in none of them.
pub(super) fn of(
    (log, rules): (&Log, &Rules),
    name: &LogName,
    through: Position,
    going: &Positions,
) -> Result<Bases, ReadError> {
    let old = log.bases(name)?.unwrap_or_default();
    let mut above = old.through;
    let mut folding = Folding::new(log.incarnations(), old.bases);
    let mut stays: Option<Position> = None;
    while above < through {
        let page = log.read(name, above, through, PAGE)?;
        for entry in &page.entries {
            if going.contains(entry.position) {
                let is_home = home(&entry.addresses).as_ref() == Some(name);
                for (document, part) in parts_of(entry, rules) {
                    folding.add((entry, is_home), document, &part);
                }
            } else if !is_state(entry) {
                stays = stays.or(Some(entry.position));
            }
        }
        above = page.through;
    }
    Ok(Bases { through: stays.map_or(through, before), bases: folding.finish() })
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
    fn new(lives: Incarnations, old: Vec<Base>) -> Self {
        let (mut bases, mut shown) = (BTreeMap::new(), Vec::new());
        for base in old {
            let earlier = bases.insert(base.name.clone(), base);
            shown.extend(earlier.filter(|earlier: &Base| earlier.shown));
        }
        Self { lives, bases, shown }
    }

    /// An entry goes, and readers get it by this log or do not.
    fn add(
        &mut self,
        (entry, is_home): (&Entry, bool),
        name: DocumentName,
        part: &tidelog_crdt::Entry,
    ) {
        let base = self.bases.entry(name.clone()).or_insert_with(|| Base {
            name,
            position: Position::ZERO,
            accepted_ms: 0,
            latest_ms: 0,
            entries: 0,
            shown: is_home,
            document: Document::default(),
        });
        // Readers were shown what is here, and get the rest elsewhere from now on.
        if base.shown && !is_home {
            let mut shown = base.clone();
            self.lives.settle(&mut shown.document, shown.position);
            self.shown.push(shown);
        }
        // What the author had seen of it is settled, so that nothing is remembered for it.
        self.lives.settle(&mut base.document, before(entry.position));
        if base.document.apply(part) == Applied::Folded {
            base.entries += 1;
            base.latest_ms = base.latest_ms.max(made_ms(entry));
        }
        base.position = entry.position;
        base.accepted_ms = entry.accepted_ms;
        base.shown = is_home;
    }

    fn finish(self) -> Vec<Base> {
        let mut all = self.shown;
        for mut base in self.bases.into_values() {
            self.lives.settle(&mut base.document, base.position);
            all.push(base);
        }
        all.sort_by_key(|base| base.position);
        all
    }
}

fn before(position: Position) -> Position {
    Position::new(position.get().saturating_sub(1)).unwrap_or_default()
}
