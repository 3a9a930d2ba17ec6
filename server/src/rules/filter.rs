//! The filter of a subscription: equality on fields.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use tidelog_protocol::{Action, builtin};

use super::SyncMapOp;

/// Why a `filter` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// It is no object.
    #[error("the filter of a subscription is an object: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Which entries of a channel a subscription wants. Two are equal when they name the same fields
/// with the same values, in whatever order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    fields: Map<String, Value>,
}

/// The fields of an object, unread.
pub type Fields<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

impl Filter {
    /// The `filter` of a `logux/subscribe` or `logux/unsubscribe`; none without one, or with one
    /// that is empty or null.
    pub fn of(subscribe: &Action) -> Result<Option<Self>, FilterError> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            filter: Option<Map<String, Value>>,
        }
        let filter = subscribe.body::<Body>()?.filter;
        Ok(filter.filter(|fields| !fields.is_empty()).map(|fields| Self { fields }))
    }

    /// The filter as JSON, the same text for equal filters; empty when it filters nothing.
    pub fn text(&self) -> String {
        if self.fields.is_empty() {
            return String::new();
        }
        serde_json::to_string(&self.fields).unwrap_or_default()
    }

    /// Whether the filter wants a value of the field called `name`.
    pub fn names(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Whether everything is wanted.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Which of these fields have another value than is wanted.
    pub fn differing<'a>(&'a self, fields: &'a Fields<'_>) -> impl Iterator<Item = &'a str> {
        let differs = |(name, value): &(&String, &Value)| {
            fields.get(name.as_str()).is_some_and(|it| !is(it, value))
        };
        self.fields.iter().filter(differs).map(|(name, _)| name.as_str())
    }

    /// Whether an item that has these fields is wanted.
    pub fn matches_item(&self, fields: &Fields<'_>) -> bool {
        self.all(fields)
    }

    /// Whether the subscription wants `action`.
    ///
    /// In a channel of the map that `sync_map` names, a `create` must have every field of the
    /// filter with its value; a `change` passes unless it has one with another value, because
    /// what it does not name stays as it was; a `delete` always passes. In any other channel every
    /// field of the filter must be a field of the action itself, with that value.
    pub fn passes(&self, action: &Action, sync_map: Option<&str>) -> bool {
        match sync_map.and_then(|name| SyncMapOp::of(action.kind(), name)) {
            Some(SyncMapOp::Delete) => true,
            Some(SyncMapOp::Create) => item_fields(action).is_some_and(|it| self.all(&it)),
            Some(SyncMapOp::Change) => item_fields(action).is_some_and(|it| self.none_differs(&it)),
            // Whoever may have had what is undone has to hear of it.
            None if action.kind() == builtin::UNDO => true,
            None => action.body::<Fields<'_>>().is_ok_and(|it| self.all(&it)),
        }
    }

    fn all(&self, given: &Fields<'_>) -> bool {
        let mut wanted = self.fields.iter();
        wanted.all(|(name, value)| given.get(name.as_str()).is_some_and(|it| is(it, value)))
    }

    fn none_differs(&self, given: &Fields<'_>) -> bool {
        let mut wanted = self.fields.iter();
        wanted.all(|(name, value)| given.get(name.as_str()).is_none_or(|it| is(it, value)))
    }
}

fn item_fields(action: &Action) -> Option<Fields<'_>> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow)]
        fields: Fields<'a>,
    }
    action.body::<Item<'_>>().ok().map(|item| item.fields)
}

fn is(given: &RawValue, value: &Value) -> bool {
    serde_json::from_str::<Value>(given.get()).is_ok_and(|given| same(&given, value))
}

/// Equality as JavaScript has it: 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn action(json: &str) -> Action {
        Action::new(Bytes::copy_from_slice(json.as_bytes())).unwrap()
    }

    fn filter(json: &str) -> Filter {
        let json = format!(r#"{{"type":"logux/subscribe","channel":"t","filter":{json}}}"#);
        Filter::of(&action(&json)).unwrap().unwrap()
    }

    #[test]
    fn a_filter_is_an_object_or_none() {
        let of = |json| Filter::of(&action(json));
        assert!(of(r#"{"type":"logux/subscribe"}"#).unwrap().is_none());
        assert!(of(r#"{"type":"logux/subscribe","filter":{}}"#).unwrap().is_none());
        assert!(of(r#"{"type":"logux/subscribe","filter":null}"#).unwrap().is_none());
        assert!(of(r#"{"type":"logux/subscribe","filter":[1]}"#).is_err());
        assert!(of(r#"{"type":"logux/subscribe","filter":"a"}"#).is_err());
        assert_eq!(filter(r#"{"a":1,"b":2}"#), filter(r#"{"b":2,"a":1}"#));
    }

    #[test]
    fn in_a_map_a_creation_must_match_and_a_change_must_not_contradict() {
        let filter = filter(r#"{"list":"1","done":false}"#);
        for (json, passes) in [
            (r#"{"type":"t/create","id":"1","fields":{"list":"1","done":false,"x":1}}"#, true),
            (r#"{"type":"t/create","id":"1","fields":{"list":"1"}}"#, false),
            (r#"{"type":"t/create","id":"1","fields":{"list":"1","done":true}}"#, false),
            (r#"{"type":"t/create","id":"1","list":"1","done":false,"fields":{}}"#, false),
            (r#"{"type":"t/change","id":"1","fields":{"text":"a"}}"#, true),
            (r#"{"type":"t/change","id":"1","fields":{"done":false}}"#, true),
            (r#"{"type":"t/change","id":"1","fields":{"done":true}}"#, false),
            (r#"{"type":"t/change","id":"1","fields":{"done":null}}"#, false),
            (r#"{"type":"t/delete","id":"1"}"#, true),
            (r#"{"type":"t/create","id":"1"}"#, false),
        ] {
            assert_eq!(filter.passes(&action(json), Some("t")), passes, "{json}");
        }
    }

    #[test]
    fn elsewhere_the_action_itself_must_match() {
        let filter = filter(r#"{"list":1,"tags":["a",{"b":2}]}"#);
        for (json, passes) in [
            (r#"{"type":"t/create","list":1.0,"tags":["a",{"b":2.0}],"x":0}"#, true),
            (r#"{"type":"t/create","list":1,"tags":["a"]}"#, false),
            (r#"{"type":"t/create","list":"1","tags":["a",{"b":2}]}"#, false),
            (r#"{"type":"t/create","fields":{"list":1,"tags":["a",{"b":2}]}}"#, false),
        ] {
            assert_eq!(filter.passes(&action(json), None), passes, "{json}");
            assert_eq!(filter.passes(&action(json), Some("other")), passes, "{json}");
        }
    }

    #[test]
    fn a_name_with_escapes_is_the_name_it_stands_for() {
        let filter = filter(r#"{"é":1}"#);
        assert!(filter.passes(&action(r#"{"type":"a","\u00e9":1}"#), None));
    }
}
