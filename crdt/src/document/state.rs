//! A document for those who go on from it: values with what a client must know to merge what comes.

use super::{Document, Slot};
use crate::cell::Cell;
use crate::cell::live::Ranked;
use crate::{Dot, Element, Json, Kind, Stamp};
use serde_json::{Map, Value, json};

/// The type of the action that carries a state to a client.
const STATE: &str = "crdt/state";

impl Document {
    /// The action `crdt/state` for the document called `name`: what a server sends instead of history.
    ///
    /// Its `state` is one place: `kind` and `value` as readers see them, and besides
    ///
    /// - a map: `keys`, an object of places;
    /// - a register and each field of a record: `id` and `time` of the write that holds, so that a
    ///   client can rank a write that comes later;
    /// - a list: `items`, each with its `value`, the name of its `element`, and that of its `place`
    ///   where it was moved; operations name places;
    /// - a text: `passages` as `[id, first number, characters]`.
    ///
    /// A value is left out where `keys`, `items` or `passages` say it.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use tidelog_crdt::{Context, Document, DocumentAction, DocumentName, Dot, Entry, Incarnation, Position, Stamp};
    /// # let action = json!({ "type": "crdt/text/insert", "doc": "note", "path": ["title"], "text": "Hi" });
    /// # let entry = Entry {
    /// #     dot: Dot { incarnation: Incarnation(1), position: Position::new(1).unwrap() },
    /// #     aliases: vec![], context: Context::default(),
    /// #     stamp: Stamp { time: 1001, node: "10:a:b".into(), sequence: 0, created: 1000 },
    /// #     changes: DocumentAction::parse(&action).unwrap().changes,
    /// # };
    /// # let mut document = Document::default();
    /// # document.apply(&entry);
    /// assert_eq!(document.to_action(&DocumentName::new("note")?), json!({
    ///     "type": "crdt/state",
    ///     "doc": "note",
    ///     "state": { "kind": "map", "keys": {
    ///         "title": { "kind": "text", "passages": [["1000 10:a:b 0", 0, "Hi"]] },
    ///     } },
    /// }));
    /// # Ok::<(), tidelog_crdt::Malformed>(())
    /// ```
    pub fn to_action(&self, name: &crate::DocumentName) -> Value {
        let state = self.root.state().unwrap_or(Value::Null);
        json!({ "type": STATE, "doc": name.as_str(), "state": state })
    }
}

impl Slot {
    /// The place as a client gets it; none if there is nothing to see.
    fn state(&self) -> Option<Value> {
        let keys: Map<String, Value> = self
            .children
            .iter()
            .filter_map(|(key, child)| Some((key.to_string(), child.state()?)))
            .collect();
        if keys.is_empty() {
            self.cells.iter().find_map(|(kind, cell)| cell.state(*kind))
        } else {
            Some(json!({ "kind": Kind::Map.name(), "keys": keys }))
        }
    }
}

impl Cell {
    fn state(&self, kind: Kind) -> Option<Value> {
        let value = self.value(kind)?;
        let mut state = Map::from_iter([("kind".to_owned(), Value::from(kind.name()))]);
        let (name, rest) = match self {
            Self::List(list) => ("items", list.items().map(|item| item.to_value()).collect()),
            Self::Text(text) => {
                let passages = text.passages().map(|passage| {
                    json!([passage.first.action_id(), passage.first.number, passage.text])
                });
                ("passages", passages.collect())
            }
            Self::Record(record) => {
                let fields = record
                    .fields()
                    .map(|field| (field.name.to_owned(), written(field.value, field.stamp)));
                ("fields", Value::Object(fields.collect()))
            }
            Self::Writes(writes) if kind == Kind::Register => {
                let last: Option<(Dot, &Ranked<Json>)> = writes.last();
                let (_, write) = last?;
                let written = written(&write.value, &write.stamp);
                state.extend(written.as_object().cloned().unwrap_or_default());
                return Some(state.into());
            }
            _ => ("value", value),
        };
        state.insert(name.to_owned(), rest);
        Some(state.into())
    }
}

impl crate::Item<'_> {
    fn to_value(&self) -> Value {
        let mut item =
            json!({ "value": self.value.to_value(), "element": self.element.to_value() });
        if self.place != self.element
            && let Some(item) = item.as_object_mut()
        {
            item.insert("place".to_owned(), self.place.to_value());
        }
        item
    }
}

fn written(value: &Json, stamp: &Stamp) -> Value {
    let id = Element::of(stamp, 0).action_id();
    json!({ "value": value.to_value(), "id": id, "time": stamp.time })
}
