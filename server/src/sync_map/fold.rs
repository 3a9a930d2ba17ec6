//! What the actions of a SyncMap channel add up to: per item and field, the last write.

use super::{Body, Life, rendered_meta};
use crate::log::Entry;
use crate::rules::{Fields, Filter, SyncMapOp};
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
    /// It tells all of the item.
    pub whole: bool,
    /// The position of the entry that it renders.
    pub position: Position,
    /// The action as the subscriber sees it.
    pub action: Action,
    /// Its meta.
    pub meta: Meta,
}

/// One item as it is.
#[derive(Debug)]
pub struct Standing {
    /// The position of the last entry that touched it, whether or not it changed anything.
    pub touched: Position,
    /// What tells a reader of it: that it was deleted, if it ever was; then what holds.
    pub shown: Vec<Shown>,
}

#[derive(Default)]
struct Item {
    touched: Position,
    fields: BTreeMap<String, LwwRegister<Field>>,
    life: Life,
    /// The last deletion.
    deleted: Option<Arc<Entry>>,
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
        item.touched = item.touched.max(entry.position);
        let fields = body.fields.unwrap_or_default();
        match operation {
            SyncMapOp::Delete => item.delete(stamp, entry),
            SyncMapOp::Create => {
                item.life.create(stamp.clone());
                item.write(&fields, &stamp, entry);
            }
            SyncMapOp::Change => item.write(&fields, &stamp, entry),
        }
    }

    /// What a new subscriber must be sent: for each item that is there and that `filter` wants, a `changed`
    /// for each action that still holds a field of it; with `tombstones` also a `deleted` for each
    /// item that is gone, because the subscriber may still show it.
    pub fn load(&self, filter: &Filter, tombstones: bool) -> Loaded {
        let mut loaded = Loaded::default();
        for (id, item) in &self.items {
            let shown = match item.deletion() {
                Some(entry) => {
                    loaded.gone.push(id.clone());
                    if tombstones { vec![self.deleted(id, entry)] } else { Vec::new() }
                }
                None if filter.matches_item(&item.values()) => self.changed(id, item, filter),
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

    /// All items, those that are gone among them, by the last entry that touched them.
    pub fn standing(&self) -> Vec<Standing> {
        let all = Filter::default();
        let items = self.items.iter().map(|(id, item)| {
            let deleted = item.deleted.iter().map(|entry| self.deleted(id, entry));
            let changed =
                if item.life.is_over() { Vec::new() } else { self.changed(id, item, &all) };
            Standing { touched: item.touched, shown: deleted.chain(changed).collect() }
        });
        let mut items: Vec<_> = items.collect();
        items.sort_unstable_by_key(|item| item.touched);
        items
    }

    fn deleted(&self, id: &str, entry: &Entry) -> Shown {
        let kind = format!("{}/deleted", self.name);
        let json = serde_json::json!({ "id": id, "type": kind }).to_string();
        Shown {
            item: id.to_owned(),
            gone: true,
            whole: false,
            position: entry.position,
            action: Action::from_parts(Bytes::from(json), &kind),
            meta: rendered_meta(entry),
        }
    }

    fn changed(&self, id: &str, item: &Item, filter: &Filter) -> Vec<Shown> {
        let mut writes: BTreeMap<Position, (&Arc<Entry>, BTreeMap<&str, &RawValue>)> =
            BTreeMap::new();
        for (name, field) in item.writes() {
            let Ok(value) = serde_json::from_slice(&field.json) else { continue };
            let write = writes.entry(field.entry.position);
            write.or_insert_with(|| (&field.entry, BTreeMap::new())).1.insert(name, value);
        }
        let kind = format!("{}/changed", self.name);
        let whole = writes.len() == 1;
        let mut writes: Vec<_> = writes.into_values().collect();
        // A list takes an item up when it hears of a field that its filter names.
        writes.sort_by_key(|(_, fields)| !fields.keys().any(|name| filter.names(name)));
        let rendered = writes.into_iter().map(|(entry, fields)| {
            let json =
                serde_json::to_vec(&Changed { fields, id, r#type: &kind }).unwrap_or_default();
            let action = Action::from_parts(Bytes::from(json), &kind);
            Shown {
                item: id.to_owned(),
                gone: false,
                whole,
                position: entry.position,
                action,
                meta: rendered_meta(entry),
            }
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
        if self.life.delete(stamp) {
            self.deleted = Some(entry.clone());
        }
    }

    /// The deletion that holds.
    fn deletion(&self) -> Option<&Arc<Entry>> {
        self.deleted.as_ref().filter(|_| self.life.is_over())
    }

    /// The fields that hold, each with the write that made it.
    fn writes(&self) -> impl Iterator<Item = (&str, &Field)> {
        let revival = self.life.revival();
        self.fields.iter().filter_map(move |(name, register)| {
            let alive = register.stamp() >= revival;
            alive.then_some((name.as_str(), register.value()?))
        })
    }

    fn values(&self) -> Fields<'_> {
        let fields = self.writes().filter_map(|(name, field)| {
            Some((name.into(), serde_json::from_slice(&field.json).ok()?))
        });
        fields.collect()
    }
}
