//! What one does to a document who sees what others did.

use crate::meaning::{Event, deeds_of};
use crate::order;
use serde_json::{Value, json};

/// What one can do.
pub(crate) const NAMES: [&str; 27] = [
    "map/remove",
    "set/add",
    "set/remove",
    "set/add",
    "two-phase-set/add",
    "two-phase-set/remove",
    "lww-set/add",
    "lww-set/remove",
    "grow-set/add",
    "multi-register/set",
    "register/set",
    "enable-wins-flag/enable",
    "enable-wins-flag/disable",
    "disable-wins-flag/enable",
    "disable-wins-flag/disable",
    "counter/add",
    "grow-counter/add",
    "record/create",
    "record/change",
    "record/delete",
    "list/insert",
    "list/delete",
    "list/move",
    // More often, because one alone says little.
    "list/insert",
    "text/insert",
    "text/insert",
    "text/delete",
];

/// An action of one who sees `view`.
pub(crate) fn action(what: &[u16], view: &[Event]) -> Value {
    let mut draw = what.iter().copied().cycle();
    let mut pick = |of: usize| usize::from(draw.next().unwrap()) % of;
    if pick(5) > 0 {
        let (name, mut fields) = change(&mut pick, view);
        fields["type"] = format!("crdt/{name}").into();
        fields["doc"] = "d".into();
        return fields;
    }
    let changes = (0..2).map(|_| {
        let (name, mut fields) = change(&mut pick, view);
        fields["op"] = name.into();
        fields
    });
    json!({ "type": "crdt/batch", "doc": "d", "changes": changes.collect::<Vec<_>>() })
}

fn change(pick: &mut impl FnMut(usize) -> usize, view: &[Event]) -> (&'static str, Value) {
    const PATHS: [&[&str]; 4] = [&[], &["a"], &["a", "b"], &["b"]];
    let name = NAMES[pick(NAMES.len())];
    let path = PATHS[pick(PATHS.len())];
    let mut fields = json!({ "path": path });
    let value = |number: usize| if number == 0 { json!({ "k": 1 }) } else { json!(number) };
    match name.split_once('/').unwrap() {
        ("set" | "two-phase-set" | "lww-set" | "grow-set", _) if pick(3) == 0 => {
            fields["values"] = json!([value(pick(2)), 2]);
        }
        ("set" | "two-phase-set" | "lww-set" | "grow-set" | "multi-register" | "register", _) => {
            fields["value"] = value(pick(3));
        }
        ("counter", _) => fields["by"] = json!([-3, -1, 0, 1, 2][pick(5)]),
        ("grow-counter", _) => fields["by"] = json!(pick(4)),
        ("record", "create" | "change") => {
            fields["fields"] = json!({ ["x", "y"][pick(2)]: value(pick(3)), "z": pick(2) });
        }
        (kind @ ("list" | "text"), verb) => {
            sequence_change((kind, verb), path, pick, view, &mut fields);
        }
        _ => {}
    }
    (name, fields)
}

/// What one does to a list or text that it sees: mostly sensible, now and then nonsense.
fn sequence_change(
    (kind, verb): (&str, &str),
    path: &[&str],
    pick: &mut impl FnMut(usize) -> usize,
    view: &[Event],
    fields: &mut Value,
) {
    let deeds: Vec<_> = view.iter().flat_map(deeds_of).collect();
    let here: Vec<_> = deeds.iter().filter(|deed| deed.kind == kind && deed.path == path).collect();
    let places = order::places(&here);
    let name = |at: usize| places.get(at).map(|place| json!([place.name.0, place.name.1]));
    let any = name(pick(places.len().max(1))).unwrap_or_else(|| json!("1 nobody 0"));
    if verb == "delete" {
        fields["element"] = any;
        return;
    }
    if verb == "move" {
        fields["element"] = any;
    } else if kind == "text" {
        fields["text"] = ["ab", "ä", "😀cd"][pick(3)].into();
    } else if pick(2) == 0 {
        fields["values"] = json!([pick(9), pick(9)]);
    } else {
        fields["value"] = json!(pick(9));
    }
    let gap = pick(places.len() + 1);
    fields["after"] = gap.checked_sub(1).and_then(name).into();
    let beyond = if pick(6) == 0 { gap + pick(3) } else { gap };
    fields["before"] = name(beyond).into();
}
