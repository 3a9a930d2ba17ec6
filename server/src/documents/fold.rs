//! The documents of one log, folded up to a position.

use super::is_state;
use crate::log::{Base, Bases, Entry, Incarnations, Page};
use crate::rules::Rules;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use tidelog_crdt::{Applied, Document, DocumentName, Position};
use tidelog_protocol::{Action, Meta};

/// A clock may be so far ahead of the server's: two days, so that a wrong time zone and a wrong date are within.
const CLOCK_AHEAD_MS_MAX: u64 = 48 * 3_600_000;

/// The documents of one log.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    generation: u64,
    through: Position,
    documents: BTreeMap<DocumentName, Folded>,
    /// Those that remember something for what may still come.
    waiting: BTreeSet<DocumentName>,
    bytes: usize,
    unsaved: usize,
    /// The log has entries, whether they are of documents or not.
    any: bool,
}

/// One document, with the last entry that is in it.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) document: Document,
    pub(super) changed: Position,
    /// How many entries are in it.
    pub(super) entries: u64,
    /// When the latest of them was made.
    pub(super) latest_ms: u64,
    /// The last entry that it may stand for in a user's log; or the base that stands for some already.
    pub(super) spared: Position,
    /// The first entry that is in a channel, too, whose readers get more of the document there.
    pub(super) elsewhere: Position,
    /// What is not above is in it, or was not of it when it was compacted.
    pub(super) compacted: Position,
    /// It as an action, once somebody has asked for that, and whether it is empty.
    pub(super) rendered: OnceLock<(bool, Action)>,
}

impl Fold {
    /// What was saved.
    pub(super) fn restored(
        through: Position,
        documents: BTreeMap<DocumentName, Folded>,
        bytes: usize,
    ) -> Self {
        let waiting = documents.iter().filter(|(_, folded)| folded.document.remembers());
        let waiting = waiting.map(|(name, _)| name.clone()).collect();
        Self { through, documents, waiting, bytes, any: true, ..Self::default() }
    }

    /// What compaction has left of a log.
    pub(super) fn of_bases(bases: Bases) -> Self {
        let (mut documents, mut bytes) = (BTreeMap::new(), 0);
        // In order of position: of a document the last one counts.
        for Base { name, position, document, entries, latest_ms, shown, .. } in bases.bases {
            bytes += document.encode().len();
            let rendered = OnceLock::new();
            let changed = position;
            let (spared, elsewhere) =
                if shown { (position, Position::ZERO) } else { (Position::ZERO, position) };
            let compacted = position;
            let folded = Folded {
                document,
                changed,
                entries,
                latest_ms,
                spared,
                elsewhere,
                compacted,
                rendered,
            };
            documents.insert(name, folded);
        }
        Self::restored(bases.through, documents, bytes)
    }

    /// The same, said to be of this generation of the feed.
    pub(super) fn of_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// The generation of the feed that it was begun with.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The document called `name`, if any entry is of it.
    pub(crate) fn document(&self, name: &DocumentName) -> Option<&Document> {
        self.documents.get(name).map(|folded| &folded.document)
    }

    /// The last entry that is in the document called `name`.
    pub(crate) fn changed(&self, name: &DocumentName) -> Position {
        self.documents.get(name).map(|folded| folded.changed).unwrap_or_default()
    }

    /// How many entries are in the document called `name`.
    pub(crate) fn entries(&self, name: &DocumentName) -> u64 {
        self.documents.get(name).map(|folded| folded.entries).unwrap_or_default()
    }

    /// The position up to which the log was folded.
    pub(crate) fn through(&self) -> Position {
        self.through
    }

    pub(super) fn documents(&self) -> &BTreeMap<DocumentName, Folded> {
        &self.documents
    }

    /// About how much memory it takes: the bytes of the actions in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there was anything in the log.
    pub(super) fn has_any(&self) -> bool {
        self.any
    }

    /// Entries folded since it was saved.
    pub(super) fn unsaved(&self) -> usize {
        self.unsaved
    }

    /// It is saved as it is.
    pub(super) fn is_saved(&mut self) {
        self.unsaved = 0;
    }

    /// Folds the page that follows. Folding an entry twice changes nothing, so that a page of which
    /// a part was folded can come again.
    pub(crate) fn take(&mut self, page: &Page, lives: &Incarnations, rules: &Rules) {
        self.any |= !page.entries.is_empty();
        for entry in &page.entries {
            self.add(entry, lives, rules);
        }
        self.through = page.through;
        // The others remember nothing that could be forgotten now, and there may be very many.
        let documents = &mut self.documents;
        self.waiting.retain(|name| {
            documents.get_mut(name).is_some_and(|folded| {
                lives.settle(&mut folded.document, page.through);
                folded.document.remembers()
            })
        });
    }

    fn add(&mut self, entry: &Entry, lives: &Incarnations, rules: &Rules) {
        let mut any = false;
        if is_state(entry) {
            return;
        }
        for (name, part) in parts_of(entry, rules) {
            let folded = self.documents.entry(name.clone()).or_default();
            if entry.position <= folded.compacted {
                continue;
            }
            // So that what the author had seen is known to be settled, and nothing is kept for it.
            lives.settle(&mut folded.document, before(entry.position));
            // Without aliases nothing must be folded again.
            if folded.document.apply(&part) == Applied::Folded {
                any = true;
                folded.has(entry, may_be_state(entry, rules));
                self.waiting.insert(name);
            }
        }
        self.bytes += if any { entry.action.json().len() } else { 0 };
        self.unsaved += usize::from(any);
    }
}

/// Whether a document may stand for `entry` in users' logs. What is in a channel, too, is told there, with
/// what others did.
pub(crate) fn may_be_state(entry: &Entry, rules: &Rules) -> bool {
    // Who has had what was undone is to hear of it.
    !entry.is_undo()
        && entry.addresses.channels.is_empty()
        && rules.may_be_state(entry.action.kind())
}

/// What an entry is to the documents of its logs.
pub(crate) fn parts_of(entry: &Entry, rules: &Rules) -> Vec<(DocumentName, tidelog_crdt::Entry)> {
    let meta =
        Meta { id: entry.id.clone(), time: entry.time, subprotocol: Some(entry.subprotocol) };
    let part = |changes| tidelog_crdt::Entry {
        dot: entry.dot,
        aliases: entry.aliases.clone(),
        context: entry.causes.context().into_owned(),
        stamp: meta.stamp(),
        changes,
    };
    if entry.is_undo() {
        // It does nothing to them, but they are other ones without what is undone.
        return entry.undoes_in().into_iter().map(|name| (name, part(Vec::new()))).collect();
    }
    let all = rules.operations(&entry.action, &meta, &entry.addresses.channels);
    all.into_iter().map(|(name, changes)| (name, part(changes))).collect()
}

impl Folded {
    /// `entry` is in it now.
    fn has(&mut self, entry: &Entry, may_stand_for: bool) {
        if may_stand_for {
            self.spared = self.spared.max(entry.position);
        }
        if !entry.addresses.channels.is_empty() && self.elsewhere == Position::ZERO {
            self.elsewhere = entry.position;
        }
        self.changed = self.changed.max(entry.position);
        self.entries += 1;
        self.rendered.take();
        self.latest_ms = self.latest_ms.max(made_ms(entry));
    }
}

/// When `entry` was made, as the times of states count it.
///
/// A state lies just above the latest action in it, whatever clock that was made by: a store that goes by
/// time counts what lies above the state once more. But while a document has an action from the future, all
/// that comes is older than its state, and is followed by the document anew. So there is an end to what is
/// believed.
pub(crate) fn made_ms(entry: &Entry) -> u64 {
    entry.time.min(entry.accepted_ms.saturating_add(CLOCK_AHEAD_MS_MAX))
}

fn before(position: Position) -> Position {
    Position::new(position.get().saturating_sub(1)).unwrap_or_default()
}
