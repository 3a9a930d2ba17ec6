//! A server in miniature: for those who use the library without Tidelog's server.

use crate::{
    Applied, Document, DocumentAction, Dot, Entry, Incarnation, Malformed, Position, Stamp,
};
use serde_json::Value;

/// One document on one server: names what is done here, and takes in what was done elsewhere.
///
/// Whoever acts here has seen what is here. Entries may reach other replicas in any order and
/// however often; replicas with the same entries have equal documents.
///
/// ```
/// use serde_json::json;
/// use tidelog_crdt::Replica;
///
/// let (mut ship, mut shore) = (Replica::new(1), Replica::new(2));
/// let add = json!({ "type": "crdt/set/add", "doc": "cart", "value": "apples" });
/// let remove = json!({ "type": "crdt/set/remove", "doc": "cart", "value": "apples" });
///
/// let first = ship.act("10:a:b", 1000, &add)?;
/// shore.receive(&first);
/// // Neither knows of the other: one removes what it saw, the other adds it again.
/// let removed = shore.act("11:c:d", 2000, &remove)?;
/// let again = ship.act("10:a:b", 1500, &add)?;
/// ship.receive(&removed);
/// shore.receive(&again);
/// assert_eq!(ship.document().value(), json!(["apples"]));
/// assert_eq!(ship.document(), shore.document());
/// # Ok::<(), tidelog_crdt::Malformed>(())
/// ```
#[derive(Clone, Debug)]
pub struct Replica {
    incarnation: Incarnation,
    position: Position,
    document: Document,
}

impl Replica {
    /// A replica with an empty document. Its `incarnation` must be its own: 64 random bits are.
    pub fn new(incarnation: u64) -> Self {
        let incarnation = Incarnation(incarnation);
        Self { incarnation, position: Position::ZERO, document: Document::default() }
    }

    /// A CRDT action that `node` makes here, `time` ms after the epoch. Returns the entry for the
    /// other replicas.
    pub fn act(&mut self, node: &str, time: u64, action: &Value) -> Result<Entry, Malformed> {
        let changes = DocumentAction::parse(action)?.changes;
        self.position = self.position.plus(1);
        let entry = Entry {
            dot: Dot { incarnation: self.incarnation, position: self.position },
            aliases: Vec::new(),
            context: self.document.folded().clone(),
            stamp: Stamp { time, node: node.into(), sequence: self.position.get(), created: time },
            changes,
        };
        // It has a new name, so it cannot be known.
        let _ = self.document.apply(&entry);
        Ok(entry)
    }

    /// An entry that another replica made.
    pub fn receive(&mut self, entry: &Entry) -> Applied {
        self.document.apply(entry)
    }

    /// What all of it adds up to.
    pub fn document(&self) -> &Document {
        &self.document
    }
}
