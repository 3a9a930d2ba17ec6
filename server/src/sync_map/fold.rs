//! What the actions of a SyncMap channel add up to: per item and field, the last write.

use super::{Body, rendered_meta};
use crate::log::Entry;
use crate::rules::{Fields, SyncMapOp};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_crdt::{LwwRegister, Position, Stamp};
use tidelog_protocol::{Action, Meta};

/// The items of one map, by id. Feed it the channel's entries in any order.
pub struct Fold {
    name: String,
    items: BTreeMap<String, Item>,
}

/// What a new subscriber must be sent.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Actions in rounds: each has at most one action of an item.
    pub rounds: Vec<Vec<Shown>>,
    /// The items that are gone.
    pub gone: Vec<String>,
}

/// One action of a load.
#[derive(Debug)]
pub struct Shown {
    /// The item it is about.
    pub item: String,
    /// It tells that the item is gone.
    pub gone: bool,
    /// The action as the subscriber sees it.
    pub action: Action,
    /// Its meta.
    pub meta: Meta,
}

#[derive(Default)]
struct Item {
    fields: BTreeMap<String, LwwRegister<Field>>,
    /// The last creation and the last deletion decide whether the item is there.
    created: Option<Stamp>,
    deleted: Option<(Stamp, Arc<Entry>)>,
}

#[derive(Clone, PartialEq, Eq)]
struct Field {
    json: Bytes,
    /// The entry that wrote it.
    entry: Arc<Entry>,
}

impl Fold {
    /// No items yet of the map called `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), items: BTreeMap::new() }
    }

    /// Takes one entry in; what is no action of this map has no effect.
    pub fn add(&mut self, entry: &Arc<Entry>) {
        let Some(operation) = SyncMapOp::of(entry.action.kind(), &self.name) else { return };
        let Ok(body) = entry.action.body::<Body<'_>>() else { return };
        let stamp = Meta { id: entry.id.clone(), time: entry.time, subprotocol: None }.stamp();
        let item = self.items.entry(body.id).or_default();
        match operation {
            SyncMapOp::Delete => item.delete(stamp, entry),
            SyncMapOp::Create => {
                item.created = item.created.take().max(Some(stamp.clone()));
                item.write(&body.fields, &stamp, entry);
            }
            SyncMapOp::Change => item.write(&body.fields, &stamp, entry),
        }
    }

    /// What a new subscriber must be sent: for each item that is there and `matches`, a `changed`
    /// for each action that still holds a field of it; with `tombstones` also a `deleted` for each
    /// item that is gone, because the subscriber may still show it.
    pub fn load(&self, matches: impl Fn(&Fields<'_>) -> bool, tombstones: bool) -> Loaded {
        let mut loaded = Loaded::default();
        for (id, item) in &self.items {
            let shown = match item.deletion() {
                Some(entry) => {
                    loaded.gone.push(id.clone());
                    if tombstones { vec![self.deleted(id, entry)] } else { Vec::new() }
                }
                None if matches(&item.values()) => self.changed(id, item),
                None => Vec::new(),
            };
            for (round, shown) in shown.into_iter().enumerate() {
                if loaded.rounds.len() <= round {
                    loaded.rounds.push(Vec::new());
                }
                if let Some(round) = loaded.rounds.get_mut(round) {
                    round.push(shown);
                }
            }
        }
        loaded
    }

    fn deleted(&self, id: &str, entry: &Entry) -> Shown {
        let kind = format!("{}/deleted", self.name);
        let json = serde_json::json!({ "id": id, "type": kind }).to_string();
        Shown {
            item: id.to_owned(),
            gone: true,
            action: Action::from_parts(Bytes::from(json), &kind),
            meta: rendered_meta(entry),
        }
    }

    fn changed(&self, id: &str, item: &Item) -> Vec<Shown> {
        let mut writes: BTreeMap<Position, (&Arc<Entry>, BTreeMap<&str, &RawValue>)> =
            BTreeMap::new();
        for (name, register) in &item.fields {
            let Some(field) = register.value() else { continue };
            let Ok(value) = serde_json::from_slice(&field.json) else { continue };
            let write = writes.entry(field.entry.position);
            write.or_insert_with(|| (&field.entry, BTreeMap::new())).1.insert(name, value);
        }
        let kind = format!("{}/changed", self.name);
        let rendered = writes.into_values().map(|(entry, fields)| {
            let json =
                serde_json::to_vec(&Changed { fields, id, r#type: &kind }).unwrap_or_default();
            let action = Action::from_parts(Bytes::from(json), &kind);
            Shown { item: id.to_owned(), gone: false, action, meta: rendered_meta(entry) }
        });
        rendered.collect()
    }
}

#[derive(serde::Serialize)]
struct Changed<'a> {
    fields: BTreeMap<&'a str, &'a RawValue>,
    id: &'a str,
    r#type: &'a str,
}

impl Item {
    fn write(&mut self, fields: &BTreeMap<String, &RawValue>, stamp: &Stamp, entry: &Arc<Entry>) {
        for (name, value) in fields {
            let json = Bytes::copy_from_slice(value.get().as_bytes());
            let field = Field { json, entry: entry.clone() };
            self.fields.entry(name.clone()).or_default().write(field, stamp.clone());
        }
    }

    fn delete(&mut self, stamp: Stamp, entry: &Arc<Entry>) {
        if self.deleted.as_ref().is_none_or(|(earlier, _)| *earlier < stamp) {
            self.deleted = Some((stamp, entry.clone()));
        }
    }

    /// The deletion that holds: a later creation revives the item, a later change does not,
    /// because a client that shows it again would show an item of one field.
    fn deletion(&self) -> Option<&Arc<Entry>> {
        let (stamp, entry) = self.deleted.as_ref()?;
        (self.created.as_ref() <= Some(stamp)).then_some(entry)
    }

    fn values(&self) -> Fields<'_> {
        let fields = self.fields.iter().filter_map(|(name, register)| {
            let value = serde_json::from_slice(&register.value()?.json).ok()?;
            Some((name.as_str().into(), value))
        });
        fields.collect()
    }
}
