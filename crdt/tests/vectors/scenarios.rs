//! What the vectors are made of: one document for each thing that has bytes of its own.

use serde_json::{Value, json};

const HERE: &str = "00000000000000a1";
const THERE: &str = "00000000000000b2";

/// An entry of this server: its position, what was seen of it, and the action.
fn at(position: u64, seen: u64, action: Value) -> Value {
    entry(HERE, position, &json!({ HERE: [seen, []] }), action)
}

fn entry(server: &str, position: u64, seen: &Value, action: Value) -> Value {
    let time = 1000 + position;
    let node = if server == HERE { "10:a:b" } else { "11:c:d" };
    let mut action = action;
    action["doc"] = "d".into();
    json!({
        "dot": [server, position], "seen": seen, "time": time,
        "id": format!("{} {node} 0", time - 1), "action": action,
    })
}

fn crdt(name: &str, fields: Value) -> Value {
    let mut action = fields;
    action["type"] = format!("crdt/{name}").into();
    action
}

fn id(position: u64) -> String {
    format!("{} 10:a:b 0", 999 + position)
}

/// The documents by name.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    let mut all = vec![("nothing", json!([]))];
    all.extend(numbers_and_registers());
    all.extend(sets_and_flags());
    all.extend(records_and_maps());
    all.extend(sequences());
    all.extend(causality());
    all
}

fn numbers_and_registers() -> Vec<(&'static str, Value)> {
    let write = |name: &str, value: Value| crdt(name, json!({ "value": value }));
    vec![
        (
            "counter",
            json!([
                at(1, 0, crdt("counter/add", json!({ "by": -3 }))),
                at(200, 0, crdt("counter/add", json!({}))),
            ]),
        ),
        (
            "grow-counter",
            json!([at(1, 0, crdt("grow-counter/add", json!({ "by": 9_007_199_254_740_992_u64 })))]),
        ),
        (
            "register",
            json!([
                at(2, 0, write("register/set", json!("late"))),
                at(1, 0, write("register/set", json!("early"))),
            ]),
        ),
        (
            "multi-register",
            json!([
                at(1, 0, write("multi-register/set", json!(1))),
                at(2, 0, write("multi-register/set", json!({ "a": "ä" }))),
            ]),
        ),
    ]
}

fn sets_and_flags() -> Vec<(&'static str, Value)> {
    let removal = |name: &'static str| {
        let add = crdt(&format!("{name}/add"), json!({ "values": ["a", "b"] }));
        let remove = crdt(&format!("{name}/remove"), json!({ "value": "a" }));
        (name, json!([at(1, 0, add), at(2, 1, remove)]))
    };
    let flag = |name: &'static str| {
        let switch = |verb: &str| crdt(&format!("{name}/{verb}"), json!({}));
        (name, json!([at(1, 0, switch("enable")), at(2, 0, switch("disable"))]))
    };
    let values = json!({ "values": ["b", 1, { "k": [1.5, null] }] });
    let grown = json!([
        at(1, 0, crdt("grow-set/add", values)),
        at(2, 1, crdt("grow-set/add", json!({ "value": "b" }))),
    ]);
    vec![
        ("grow-set", grown),
        removal("two-phase-set"),
        removal("lww-set"),
        removal("set"),
        flag("enable-wins-flag"),
        flag("disable-wins-flag"),
    ]
}

fn records_and_maps() -> Vec<(&'static str, Value)> {
    let record = |verb: &str, body: Value| crdt(&format!("record/{verb}"), body);
    let batch = json!({ "changes": [
        { "op": "counter/add", "path": ["a", "b"], "by": 2 },
        { "op": "register/set", "path": ["a", "c"], "value": true },
        { "op": "counter/add", "path": ["a"], "by": 1 },
    ] });
    let first = json!({ "path": ["r"], "fields": { "title": "a", "done": false } });
    vec![
        (
            "record",
            json!([
                at(1, 0, record("create", first)),
                at(2, 1, record("change", json!({ "path": ["r"], "fields": { "title": "b" } }))),
                at(3, 0, record("delete", json!({ "path": ["gone"] }))),
            ]),
        ),
        (
            "map",
            json!([
                at(1, 0, crdt("batch", batch)),
                at(2, 1, crdt("map/remove", json!({ "path": ["a", "c"] }))),
            ]),
        ),
    ]
}

fn sequences() -> Vec<(&'static str, Value)> {
    let (one, two) = (id(1), id(2));
    vec![
        (
            "text",
            json!([
                at(1, 0, crdt("text/insert", json!({ "text": "Tide" }))),
                at(2, 1, crdt("text/insert", json!({ "text": "log 🌊", "after": [one, 3] }))),
                at(
                    3,
                    2,
                    crdt("text/insert", json!({ "text": "-", "after": [one, 3], "before": two }))
                ),
                at(4, 3, crdt("text/delete", json!({ "elements": [[two, 3, 2]] }))),
            ]),
        ),
        (
            "list",
            json!([
                at(1, 0, crdt("list/insert", json!({ "values": ["a", "b", "c"] }))),
                at(
                    2,
                    1,
                    crdt(
                        "list/insert",
                        json!({ "value": { "x": 1 }, "after": one, "before": [one, 1] })
                    )
                ),
                at(3, 2, crdt("list/move", json!({ "element": one, "after": [one, 2] }))),
                at(4, 3, crdt("list/delete", json!({ "element": [one, 1] }))),
            ]),
        ),
        (
            "list-that-was-removed",
            json!([
                at(1, 0, crdt("list/insert", json!({ "path": ["l"], "values": [1, 2] }))),
                at(2, 1, crdt("map/remove", json!({ "path": ["l"] }))),
                at(
                    3,
                    1,
                    crdt("list/insert", json!({ "path": ["l"], "value": 3, "after": [one, 1] }))
                ),
            ]),
        ),
        (
            "text-that-waits",
            json!([
                at(3, 0, crdt("text/insert", json!({ "text": "!", "after": one }))),
                at(4, 0, crdt("text/delete", json!({ "elements": [["1 nobody 7", 2, 3]] }))),
            ]),
        ),
    ]
}

fn causality() -> Vec<(&'static str, Value)> {
    let add = |value: u32| crdt("set/add", json!({ "value": value }));
    let remove = |value: u32| crdt("set/remove", json!({ "value": value }));
    vec![
        (
            "gaps",
            json!([
                at(1, 0, add(1)),
                at(2, 0, add(2)),
                at(4, 0, add(4)),
                entry(HERE, 9, &json!({ HERE: [1, [[3, 3], [5, 8]]] }), remove(4)),
            ]),
        ),
        (
            "late",
            json!([
                entry(THERE, 4, &json!({ HERE: [7, []], THERE: [0, [[2, 2]]] }), remove(1)),
                at(6, 0, add(1)),
                at(8, 0, add(1)),
            ]),
        ),
        ("alias", {
            let mut named_twice = at(1, 0, add(1));
            named_twice["aliases"] = json!([[THERE, 5]]);
            json!([
                named_twice,
                entry(THERE, 6, &json!({ THERE: [5, []] }), remove(1)),
                at(2, 0, add(2))
            ])
        }),
    ]
}
