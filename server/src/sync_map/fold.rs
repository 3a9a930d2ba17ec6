//! What the actions of a SyncMap channel add up to: per item and field, the last write.
//!
//! A map can have a hundred thousand items, so an item has no more here than it takes: which write
//! holds which field. The values are in the actions of those writes.

use super::standing::{Shown, Standing};
use super::{Body, Life, rendered, stamp};
use crate::log::Entry;
use crate::rules::SyncMapOp;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tidelog_crdt::{Position, Stamp};
use tidelog_protocol::{Action, ActionId, Meta};

/// The items of one map, by id. Feed it the channel's entries in any order.
pub struct Fold {
    name: String,
    /// Of entries up to here some may be gone, which held nothing any more.
    compacted: Position,
    items: HashMap<Box<str>, Item>,
    /// Names of fields: most items have the same.
    names: HashSet<Arc<str>>,
}

#[derive(Default)]
struct Item {
    touched: Position,
    fields: Vec<Field>,
    life: Life,
    /// The last deletion.
    deleted: Option<Arc<Write>>,
}

/// A field with the write that holds it.
struct Field {
    name: Arc<str>,
    write: Arc<Write>,
    /// It was written more than once: it had another value, or may have had.
    again: bool,
}

/// What is needed of an entry.
struct Write {
    position: Position,
    id: ActionId,
    time: u64,
    subprotocol: u32,
    action: Action,
}

impl Write {
    fn of(entry: &Entry) -> Arc<Self> {
        Arc::new(Self {
            position: entry.position,
            id: entry.id.clone(),
            time: entry.time,
            subprotocol: entry.subprotocol,
            action: entry.action.clone(),
        })
    }

    fn stamp(&self) -> Stamp {
        Meta { id: self.id.clone(), time: self.time, subprotocol: None }.stamp()
    }

    fn meta(&self) -> Meta {
        rendered(&self.id, self.position, (self.time, self.subprotocol))
    }
}

impl Fold {
    /// No items yet of the map called `name`.
    pub fn new(name: &str) -> Self {
        let compacted = Position::ZERO;
        Self { name: name.to_owned(), compacted, items: HashMap::new(), names: HashSet::new() }
    }

    /// The same of a log that may be compacted up to `through`.
    #[must_use]
    pub fn compacted(self, through: Position) -> Self {
        Self { compacted: through, ..self }
    }

    /// Takes one entry in; what is no action of this map has no effect.
    pub fn add(&mut self, entry: &Arc<Entry>) {
        let Some(operation) = SyncMapOp::of(entry.action.kind(), &self.name) else { return };
        let Ok(body) = entry.action.body::<Body<'_>>() else { return };
        let (stamp, write) = (stamp(entry), Write::of(entry));
        let item = self.items.entry(body.id.into()).or_default();
        item.touched = item.touched.max(entry.position);
        if operation == SyncMapOp::Delete {
            if item.life.delete(stamp) {
                item.deleted = Some(write);
            }
            return;
        }
        for name in body.fields.unwrap_or_default().into_keys() {
            let name = match self.names.get(name.as_str()) {
                Some(known) => known.clone(),
                None => Arc::from(name),
            };
            self.names.insert(name.clone());
            item.write(name, &stamp, &write, self.compacted);
        }
        if operation == SyncMapOp::Create {
            item.life.create(stamp);
        }
    }

    /// All items, those that are gone among them, by the last entry that touched them.
    pub fn standing(self) -> Vec<Standing> {
        let name = self.name;
        let items = self.items.into_iter().map(|(id, item)| item.standing(&name, id));
        let mut items: Vec<_> = items.collect();
        items.sort_unstable_by_key(|item| item.touched);
        items
    }
}

impl Item {
    fn write(&mut self, name: Arc<str>, stamp: &Stamp, write: &Arc<Write>, compacted: Position) {
        let known = self.fields.iter_mut().find(|field| field.name == name);
        let Some(field) = known else {
            let again = write.position <= compacted;
            return self.fields.push(Field { name, write: write.clone(), again });
        };
        field.again = true;
        if *stamp > field.write.stamp() {
            field.write = write.clone();
        }
    }

    fn standing(self, map: &str, item: Box<str>) -> Standing {
        let gone = self.life.is_over();
        let again = self.fields.iter().filter(|field| field.again);
        Standing {
            touched: self.touched,
            gone,
            deleted: self.deleted.as_ref().map(|write| deleted(map, &item, write)),
            changed: if gone { Vec::new() } else { self.changed(map, &item) },
            rewritten: again.map(|field| field.name.clone()).collect(),
            item,
        }
    }

    /// A `changed` for each action that still holds a field.
    fn changed(&self, map: &str, id: &str) -> Vec<Shown> {
        let revival = self.life.revival();
        let holds = |field: &&Field| revival.is_none_or(|from| field.write.stamp() >= *from);
        let mut writes: BTreeMap<Position, (&Write, Vec<&str>)> = BTreeMap::new();
        for field in self.fields.iter().filter(holds) {
            let write = writes.entry(field.write.position);
            write.or_insert_with(|| (&field.write, Vec::new())).1.push(&field.name);
        }
        let kind = format!("{map}/changed");
        writes.into_values().map(|(write, names)| changed(&kind, id, write, &names)).collect()
    }
}

fn deleted(map: &str, id: &str, write: &Write) -> Shown {
    let kind = format!("{map}/deleted");
    let json = serde_json::json!({ "id": id, "type": kind }).to_string();
    Shown {
        gone: true,
        position: write.position,
        action: Action::from_parts(Bytes::from(json), &kind),
        meta: write.meta(),
    }
}

/// What `write` still holds: the fields called `names`.
fn changed(kind: &str, id: &str, write: &Write, names: &[&str]) -> Shown {
    #[derive(serde::Serialize)]
    struct Changed<'a> {
        fields: BTreeMap<&'a str, &'a RawValue>,
        id: &'a str,
        r#type: &'a str,
    }
    let body = write.action.body::<Body<'_>>().ok().and_then(|body| body.fields);
    let body = body.unwrap_or_default();
    let fields = names.iter().filter_map(|name| Some((*name, *body.get(*name)?))).collect();
    let json = serde_json::to_vec(&Changed { fields, id, r#type: kind }).unwrap_or_default();
    Shown {
        gone: false,
        position: write.position,
        action: Action::from_parts(Bytes::from(json), kind),
        meta: write.meta(),
    }
}
