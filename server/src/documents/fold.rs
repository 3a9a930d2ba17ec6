//! The documents of one log, folded up to a position.

use crate::log::{Base, Bases, Entry, Page};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_crdt::{
    Applied, Change, Document, DocumentAction, DocumentName, Incarnation, Position,
};
use tidelog_protocol::Meta;

/// The documents of one log.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    generation: u64,
    through: Position,
    documents: BTreeMap<DocumentName, Folded>,
    bytes: usize,
    unsaved: usize,
}

/// One document, with the last entry that is in it.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) document: Document,
    pub(super) changed: Position,
}

impl Fold {
    /// What was saved.
    pub(super) fn restored(
        through: Position,
        documents: BTreeMap<DocumentName, Folded>,
        bytes: usize,
    ) -> Self {
        Self { through, documents, bytes, ..Self::default() }
    }

    /// What compaction has left of a log.
    pub(super) fn of_bases(bases: Bases) -> Self {
        let (mut documents, mut bytes) = (BTreeMap::new(), 0);
        // In order of position: of a document the last one counts.
        for Base { name, position, document, .. } in bases.bases {
            bytes += document.encode().len();
            documents.insert(name, Folded { document, changed: position });
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
    pub(super) fn take(&mut self, page: &Page, incarnation: Incarnation) {
        for entry in &page.entries {
            self.add(entry);
        }
        self.through = page.through;
        for folded in self.documents.values_mut() {
            folded.document.settle(incarnation, page.through);
        }
    }

    fn add(&mut self, entry: &Arc<Entry>) {
        let Some((name, part)) = part_of(entry) else { return };
        let folded = self.documents.entry(name).or_default();
        let applied = folded.document.apply(&part);
        // Without aliases nothing must be folded again.
        if applied == Applied::Folded {
            folded.changed = folded.changed.max(entry.position);
            self.bytes += entry.action.json().len();
            self.unsaved += 1;
        }
    }
}

/// What an entry is to which document, if it is of one.
pub(crate) fn part_of(entry: &Entry) -> Option<(DocumentName, tidelog_crdt::Entry)> {
    let (name, changes) = changes(entry)?;
    let part = tidelog_crdt::Entry {
        dot: entry.dot,
        aliases: Vec::new(),
        context: entry.context.clone(),
        stamp: Meta { id: entry.id.clone(), time: entry.time, subprotocol: None }.stamp(),
        changes,
    };
    Some((name, part))
}

/// What an entry does to which document, if anything.
fn changes(entry: &Entry) -> Option<(DocumentName, Vec<Change>)> {
    if !DocumentAction::is_one(entry.action.kind()) {
        return None;
    }
    let action = entry.action.body().ok()?;
    let DocumentAction { document, changes } = DocumentAction::parse(&action).ok()?;
    Some((document, changes))
}
