//! Recorded editing ends with exactly the text that was recorded, on every replica.
//!
//! Each author is a replica with a server of its own. An edit becomes an action as a client dispatches
//! it, is rendered and parsed, and reaches the other replica when the recording says that its author
//! had it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod trace;

use std::collections::BTreeSet;
use tidelog_crdt::{
    Applied, Change, Document, DocumentAction, DocumentName, Dot, Entry, Incarnation, Operation,
    Path, Position, Stamp, Text, TextOp,
};
use trace::{Patch, Trace};

struct Author {
    document: Document,
    /// The transactions that the document holds.
    has: BTreeSet<usize>,
}

struct World {
    authors: Vec<Author>,
    /// The entries of each transaction.
    entries: Vec<Vec<Entry>>,
    /// The last position of each author's server.
    positions: Vec<u64>,
}

impl World {
    fn new(trace: &Trace) -> Self {
        let nobody = || Author { document: Document::default(), has: BTreeSet::new() };
        let authors = (0..trace.authors).map(|_| nobody()).collect();
        Self { authors, entries: Vec::new(), positions: vec![0; trace.authors] }
    }

    fn play(&mut self, trace: &Trace) {
        for (number, transaction) in trace.transactions.iter().enumerate() {
            let missing =
                trace.missing(&transaction.parents, &self.authors[transaction.author].has);
            for earlier in missing {
                self.deliver(earlier, transaction.author);
            }
            self.entries.push(Vec::new());
            for patch in &transaction.patches {
                self.edit(number, transaction.author, patch);
            }
            self.authors[transaction.author].has.insert(number);
        }
    }

    fn deliver(&mut self, transaction: usize, to: usize) {
        let author = &mut self.authors[to];
        if author.has.insert(transaction) {
            for entry in &self.entries[transaction] {
                assert_eq!(author.document.apply(entry), Applied::Folded);
            }
        }
    }

    fn edit(&mut self, transaction: usize, author: usize, patch: &Patch) {
        let end = patch.position + patch.deleted;
        let delete = self.on_text(author, |text| text.delete(patch.position..end));
        self.act(transaction, author, delete);
        let insert = self.on_text(author, |text| text.insert(patch.position, &patch.inserted));
        self.act(transaction, author, insert);
    }

    fn on_text<T>(&self, author: usize, edit: impl FnOnce(&Text) -> T) -> T {
        match self.authors[author].document.text(&Path::default()) {
            Some(text) => edit(text),
            None => edit(&Text::default()),
        }
    }

    fn act(&mut self, transaction: usize, author: usize, operation: Option<TextOp>) {
        let Some(operation) = operation else { return };
        self.positions[author] += 1;
        let position = self.positions[author];
        let change = Change { path: Path::default(), operation: Operation::Text(operation) };
        let document = DocumentName::new("text").unwrap();
        let action = DocumentAction { document, changes: vec![change] }.to_value();
        let entry = Entry {
            dot: Dot {
                incarnation: Incarnation(author as u64 + 1),
                position: Position::new(position).unwrap(),
            },
            aliases: Vec::new(),
            context: self.authors[author].document.folded().clone(),
            stamp: Stamp {
                time: 1_700_000_000_000 + transaction as u64 * 50,
                node: format!("10:client{author}:tab").into(),
                sequence: position,
                created: 1_700_000_000_000 + transaction as u64 * 50,
            },
            changes: DocumentAction::parse(&action).unwrap().changes,
        };
        assert_eq!(self.authors[author].document.apply(&entry), Applied::Folded);
        self.entries[transaction].push(entry);
    }
}

fn ends_as_recorded(name: &str, trace: &Trace) {
    let mut world = World::new(trace);
    world.play(trace);
    let before = world.authors[0].document.clone();
    for author in 0..trace.authors {
        for transaction in 0..trace.transactions.len() {
            world.deliver(transaction, author);
        }
        let document = &world.authors[author].document;
        assert_eq!(document.value(), trace.end, "{name}: author {author}");
        assert_eq!(&Document::decode(&document.encode()).unwrap(), document, "{name}");
    }
    // What the first author lacked comes as a state.
    let mut merged = before;
    let _ = merged.merge(&world.authors[trace.authors - 1].document);
    assert_eq!(merged, world.authors[0].document, "{name}");
}

#[test]
fn two_friends_begin_to_type_at_the_same_time() {
    ends_as_recorded("friends", &Trace::read(&Trace::ours("friendsforever-400")));
}

#[test]
fn two_clowns_begin_to_type_at_the_same_time() {
    ends_as_recorded("clowns", &Trace::read(&Trace::ours("clownschool-400")));
}

#[test]
fn two_friends_write_a_whole_text() {
    ends_as_recorded("friends", &Trace::read(&Trace::ours("friendsforever")));
}

#[test]
fn one_author_writes_a_whole_program() {
    ends_as_recorded("program", &Trace::read(&Trace::ours("sveltecomponent")));
}

#[test]
#[ignore = "EDITING_TRACES is to name a folder with all recordings: see tests/data/editing-traces/README.md"]
fn all_recordings_end_as_recorded() {
    let folder = std::env::var_os("EDITING_TRACES").expect("EDITING_TRACES names a folder");
    for name in ["friendsforever", "clownschool", "sveltecomponent", "automerge-paper"] {
        let file = std::path::Path::new(&folder).join(format!("{name}.json.gz"));
        ends_as_recorded(name, &Trace::read(&file));
    }
}
