//! What a document means, as the papers and the crate's README say it: a value as a function of a
//! set of events, of who saw whom, and of the total order. Nothing is kept from one event to the
//! next, nothing is fast, and nothing comes from the crate.
//!
//! Shapiro, Preguiça, Baquero, Zawirski 2011 (RR-7506) for the types; Almeida, Shoker, Baquero 2018
//! for sets of dots.

use crate::order::{self, Place};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// (server, position).
pub(crate) type Name = (u64, u64);

/// (time, node, sequence, created).
pub(crate) type Stamp = (u64, String, u64, u64);

/// An action that somebody dispatched, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// What servers call it.
    pub(crate) names: BTreeSet<Name>,
    /// The names of all that its author had seen.
    pub(crate) seen: BTreeSet<Name>,
    /// Where it stands in the total order.
    pub(crate) stamp: Stamp,
    /// The action as it was dispatched.
    pub(crate) action: Value,
}

impl Event {
    /// Whether this event's author had seen `other`.
    pub(crate) fn saw(&self, other: &Self) -> bool {
        self.names != other.names && other.names.iter().any(|name| self.seen.contains(name))
    }

    /// The id of the action, as elements of lists are named by it.
    pub(crate) fn id(&self) -> String {
        let (_, node, sequence, created) = &self.stamp;
        format!("{created} {node} {sequence}")
    }
}

/// One thing that an event does: an action that adds two values does two things.
#[derive(Clone, Debug)]
pub(crate) struct Deed<'a> {
    pub(crate) event: &'a Event,
    pub(crate) path: Vec<String>,
    /// `set`, `counter`, …
    pub(crate) kind: String,
    /// `add`, `remove`, …
    pub(crate) verb: String,
    /// The one value, or the field's name and value.
    pub(crate) about: Value,
    pub(crate) value: Value,
    /// The operation as it came.
    pub(crate) raw: Map<String, Value>,
    /// Its number among the changes of the event.
    pub(crate) number: usize,
}

/// What readers of a document see after `events`; null when there is nothing.
pub(crate) fn value(events: &[Event]) -> Value {
    let deeds: Vec<Deed<'_>> = events.iter().flat_map(deeds_of).collect();
    at(&[], &deeds).unwrap_or(Value::Null)
}

/// Of several kinds at one path readers see the first.
const ORDER: [&str; 13] = [
    "record",
    "list",
    "text",
    "set",
    "two-phase-set",
    "lww-set",
    "grow-set",
    "multi-register",
    "register",
    "enable-wins-flag",
    "disable-wins-flag",
    "counter",
    "grow-counter",
];

/// What readers see at `path`.
fn at(path: &[String], deeds: &[Deed<'_>]) -> Option<Value> {
    let keys: BTreeSet<&String> = deeds
        .iter()
        .filter(|deed| deed.path.len() > path.len() && deed.path.starts_with(path))
        .map(|deed| &deed.path[path.len()])
        .collect();
    let children = keys.into_iter().filter_map(|key| {
        let below: Vec<String> = path.iter().chain([key]).cloned().collect();
        Some((key.clone(), at(&below, deeds)?))
    });
    let children: Map<String, Value> = children.collect();
    if !children.is_empty() {
        return Some(children.into());
    }
    ORDER.into_iter().find_map(|kind| of_kind(kind, path, deeds))
}

fn of_kind(kind: &str, path: &[String], deeds: &[Deed<'_>]) -> Option<Value> {
    let here: Vec<&Deed<'_>> =
        deeds.iter().filter(|deed| deed.path == path && deed.kind == kind).collect();
    let live: Vec<&Deed<'_>> = here.iter().copied().filter(|deed| is_live(deed, deeds)).collect();
    if kind == "list" || kind == "text" {
        return sequence(kind, &here, &live);
    }
    if live.is_empty() {
        return None;
    }
    match kind {
        "counter" | "grow-counter" => {
            Some(live.iter().map(|deed| deed.about.as_i64().unwrap()).sum::<i64>().into())
        }
        "register" => Some(live.iter().max_by_key(|deed| rank(deed)).unwrap().value.clone()),
        "multi-register" => Some(multi(&live)),
        // What is off is not there.
        "enable-wins-flag" => live.iter().any(|deed| deed.verb == "enable").then_some(true.into()),
        "disable-wins-flag" => Some(live.iter().all(|deed| deed.verb == "enable").into()),
        "set" | "grow-set" | "two-phase-set" | "lww-set" => elements(kind, &live),
        "record" => record(&live),
        _ => unreachable!("{kind}"),
    }
}

/// An operation is live when nothing that saw it took its place.
fn is_live(deed: &Deed<'_>, deeds: &[Deed<'_>]) -> bool {
    !deeds.iter().any(|later| later.event.saw(deed.event) && retires(later, deed))
}

fn retires(later: &Deed<'_>, deed: &Deed<'_>) -> bool {
    if later.kind == "map" {
        return deed.path.starts_with(&later.path);
    }
    if later.path != deed.path || later.kind != deed.kind {
        return false;
    }
    let about_the_same = later.about == deed.about;
    let is_after = later.event.stamp > deed.event.stamp;
    match later.kind.as_str() {
        "register" => is_after,
        "multi-register" | "disable-wins-flag" | "enable-wins-flag" => true,
        "grow-set" | "set" => about_the_same,
        "two-phase-set" => about_the_same && later.verb == deed.verb,
        "lww-set" => about_the_same && is_after,
        "record" => match later.verb.as_str() {
            "write" => deed.verb == "write" && about_the_same && is_after,
            "delete" => is_after,
            _ => false,
        },
        _ => false,
    }
}

fn rank<'a>(deed: &'a Deed<'_>) -> (&'a Stamp, String) {
    (&deed.event.stamp, deed.value.to_string())
}

/// The different values, each where it was last written.
fn multi(live: &[&Deed<'_>]) -> Value {
    let mut last: BTreeMap<String, (&Stamp, &Value)> = BTreeMap::new();
    for deed in live {
        let seat = last.entry(deed.value.to_string()).or_insert((&deed.event.stamp, &deed.value));
        seat.0 = seat.0.max(&deed.event.stamp);
    }
    let mut values: Vec<_> =
        last.into_iter().map(|(text, (stamp, value))| (stamp, text, value)).collect();
    values.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    values.into_iter().map(|(_, _, value)| value.clone()).collect()
}

fn elements(kind: &str, live: &[&Deed<'_>]) -> Option<Value> {
    let by_text: BTreeMap<String, &Value> =
        live.iter().map(|deed| (deed.about.to_string(), &deed.about)).collect();
    let is_in = |text: &String| {
        let about: Vec<_> = live.iter().filter(|deed| deed.about == *by_text[text]).collect();
        match kind {
            "set" => about.iter().any(|deed| deed.verb == "add"),
            "grow-set" => true,
            "two-phase-set" => about.iter().all(|deed| deed.verb == "add"),
            "lww-set" => {
                let last = about.iter().map(|deed| (&deed.event.stamp, deed.verb == "add")).max();
                last.is_some_and(|(_, adds)| adds)
            }
            _ => unreachable!("{kind}"),
        }
    };
    let values: Vec<Value> =
        by_text.iter().filter(|(text, _)| is_in(text)).map(|(_, value)| (*value).clone()).collect();
    (!values.is_empty()).then(|| values.into())
}

fn record(live: &[&Deed<'_>]) -> Option<Value> {
    let stamps = |verb: &'static str| {
        live.iter().filter(move |deed| deed.verb == verb).map(|deed| &deed.event.stamp)
    };
    let deleted = stamps("delete").max();
    let since = match deleted {
        None => None,
        Some(deleted) => Some(stamps("create").filter(|stamp| *stamp > deleted).min()?),
    };
    let names: BTreeSet<&str> = live
        .iter()
        .filter(|deed| deed.verb == "write")
        .map(|deed| deed.about.as_str().unwrap())
        .collect();
    let fields = names.into_iter().filter_map(|name| {
        let writes = live.iter().filter(|deed| deed.verb == "write" && deed.about == *name);
        let last = writes.max_by_key(|deed| rank(deed)).unwrap();
        let holds = since.is_none_or(|since| &last.event.stamp >= since);
        holds.then(|| (name.to_owned(), last.value.clone()))
    });
    Some(Value::Object(fields.collect()))
}

/// The elements that are there, in the order of their places.
fn sequence(kind: &str, here: &[&Deed<'_>], live: &[&Deed<'_>]) -> Option<Value> {
    let is_live = |place: &Place<'_>| live.iter().any(|deed| std::ptr::eq(*deed, place.deed));
    let places = order::places(here);
    let deleted: BTreeSet<(String, u64)> = here
        .iter()
        .filter(|deed| deed.verb == "delete")
        .flat_map(|deed| order::named(&deed.about))
        .collect();
    let origin = |place: &Place<'_>| order::origin(place, &places);
    let mut shown = Vec::new();
    for place in &places {
        let Some(element) = origin(place) else { continue };
        let first = places.iter().find(|place| place.name == element).unwrap();
        let its_places: Vec<_> =
            places.iter().filter(|place| origin(place).as_ref() == Some(&element)).collect();
        let is_deleted = its_places.iter().any(|place| deleted.contains(&place.name));
        let holder = its_places
            .iter()
            .filter(|place| is_live(place))
            .max_by_key(|place| (&place.deed.event.stamp, place.name.1));
        let holds = holder.is_some_and(|holder| holder.name == place.name);
        if is_live(first) && !is_deleted && holds {
            shown.push(first.deed.value.clone());
        }
    }
    match kind {
        _ if shown.is_empty() => None,
        "text" => Some(shown.iter().filter_map(Value::as_str).collect::<String>().into()),
        _ => Some(shown.into()),
    }
}

/// What one event does, one deed a value.
pub(crate) fn deeds_of(event: &Event) -> Vec<Deed<'_>> {
    let action = event.action.as_object().unwrap();
    let kind = action["type"].as_str().unwrap().strip_prefix("crdt/").unwrap();
    let changes: Vec<(String, Map<String, Value>)> = if kind == "batch" {
        let changes = action["changes"].as_array().unwrap().iter();
        changes
            .map(|change| {
                (change["op"].as_str().unwrap().to_owned(), change.as_object().unwrap().clone())
            })
            .collect()
    } else {
        vec![(kind.to_owned(), action.clone())]
    };
    let each = changes.into_iter().enumerate();
    each.flat_map(|(number, (name, raw))| deeds_of_change(event, number, &name, &raw)).collect()
}

fn deeds_of_change<'a>(
    event: &'a Event,
    number: usize,
    name: &str,
    raw: &Map<String, Value>,
) -> Vec<Deed<'a>> {
    let (kind, verb) = name.split_once('/').unwrap();
    let path = raw.get("path").and_then(Value::as_array).into_iter().flatten();
    let path: Vec<String> = path.map(|key| key.as_str().unwrap().to_owned()).collect();
    let deed = |verb: &str, about: Value, value: Value| Deed {
        event,
        path: path.clone(),
        kind: kind.to_owned(),
        verb: verb.to_owned(),
        about,
        value,
        raw: raw.clone(),
        number,
    };
    let plain = |name: &str| raw.get(name).cloned().unwrap_or(Value::Null);
    let one_or_more = |one: &str, more: &str| match raw.get(more) {
        Some(values) => values.as_array().unwrap().clone(),
        None => vec![plain(one)],
    };
    match (kind, verb) {
        ("set" | "two-phase-set" | "lww-set" | "grow-set", _) => one_or_more("value", "values")
            .into_iter()
            .map(|value| deed(verb, value, Value::Null))
            .collect(),
        ("counter" | "grow-counter", _) => {
            vec![deed(verb, raw.get("by").cloned().unwrap_or(1.into()), Value::Null)]
        }
        ("record", "delete") => vec![deed(verb, Value::Null, Value::Null)],
        ("record", _) => {
            let fields = raw.get("fields").and_then(Value::as_object).into_iter().flatten();
            let writes =
                fields.map(|(name, value)| deed("write", name.as_str().into(), value.clone()));
            let created = (verb == "create").then(|| deed("create", Value::Null, Value::Null));
            writes.chain(created).collect()
        }
        ("list" | "text", "delete") => one_or_more("element", "elements")
            .into_iter()
            .map(|element| deed(verb, element, Value::Null))
            .collect(),
        ("list", "insert") => one_or_more("value", "values")
            .into_iter()
            .map(|value| deed(verb, Value::Null, value))
            .collect(),
        ("text", "insert") => {
            let characters = raw["text"].as_str().unwrap().chars();
            characters.map(|one| deed(verb, Value::Null, one.to_string().into())).collect()
        }
        ("list", "move") => vec![deed(verb, plain("element"), Value::Null)],
        _ => vec![deed(verb, Value::Null, plain("value"))],
    }
}
