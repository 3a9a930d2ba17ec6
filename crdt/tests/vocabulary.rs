//! Actions as clients send them: what is read, and what is refused with the place of the fault.

use serde_json::{Value, json};
use tidelog_crdt::DocumentAction;

/// One of each, as they are rendered.
fn well_formed() -> Vec<Value> {
    let mut actions = vec![
        json!({ "type": "crdt/map/remove", "path": ["a", "b"] }),
        json!({ "type": "crdt/record/create", "fields": { "a": 1, "b": null } }),
        json!({ "type": "crdt/record/change", "fields": {} }),
        json!({ "type": "crdt/record/delete" }),
        json!({ "type": "crdt/list/insert", "values": [1, [2]], "after": "1 n 0", "before": ["1 n 0", 4] }),
        json!({ "type": "crdt/list/delete", "elements": ["1 n 0", ["1 n 0", 2], ["1 n 0", 4, 9]] }),
        json!({ "type": "crdt/list/move", "element": "1 n 0", "before": "2 n 0" }),
        json!({ "type": "crdt/text/insert", "text": "a" }),
        json!({ "type": "crdt/text/delete", "elements": [["1 n 0", 0, 2]] }),
        json!({ "type": "crdt/grow-set/add", "values": [1] }),
        json!({ "type": "crdt/multi-register/set", "value": {} }),
        json!({ "type": "crdt/register/set", "value": null }),
        json!({ "type": "crdt/counter/add", "by": -5 }),
        json!({ "type": "crdt/grow-counter/add", "by": 0 }),
        json!({ "type": "crdt/batch", "changes": [
            { "op": "counter/add", "by": 1, "path": ["n"] }, { "op": "set/add", "values": ["x"] },
        ] }),
    ];
    for set in ["set", "two-phase-set", "lww-set"] {
        for verb in ["add", "remove"] {
            actions.push(json!({ "type": format!("crdt/{set}/{verb}"), "values": ["a", 1] }));
        }
    }
    for flag in ["enable-wins-flag", "disable-wins-flag"] {
        for verb in ["enable", "disable"] {
            actions.push(json!({ "type": format!("crdt/{flag}/{verb}") }));
        }
    }
    for action in &mut actions {
        action["doc"] = "d".into();
    }
    actions
}

#[test]
fn every_operation_is_rendered_as_it_is_read() {
    for action in well_formed() {
        let parsed = DocumentAction::parse(&action).expect("it is well formed");
        assert_eq!(parsed.to_value(), action);
    }
}

#[test]
fn short_forms_mean_the_long_ones() {
    let parse = |action: Value| DocumentAction::parse(&action).expect("it is well formed");
    for (short, long) in [
        (
            json!({ "type": "crdt/set/add", "value": 1 }),
            json!({ "type": "crdt/set/add", "values": [1.0] }),
        ),
        (json!({ "type": "crdt/counter/add" }), json!({ "type": "crdt/counter/add", "by": 1 })),
        (
            json!({ "type": "crdt/counter/add", "by": 2e3 }),
            json!({ "type": "crdt/counter/add", "by": 2000, "path": [] }),
        ),
        (
            json!({ "type": "crdt/list/delete", "element": "1 n 0" }),
            json!({ "type": "crdt/list/delete", "elements": [["1 n 0", 0, 1]] }),
        ),
        (
            json!({ "type": "crdt/list/insert", "value": 1, "after": null }),
            json!({ "type": "crdt/list/insert", "values": [1] }),
        ),
        (
            json!({ "type": "crdt/record/create" }),
            json!({ "type": "crdt/record/create", "fields": {} }),
        ),
    ] {
        let with_name = |mut action: Value| {
            action["doc"] = "d".into();
            parse(action)
        };
        assert_eq!(with_name(short), with_name(long));
    }
}

/// What is refused, with the fault.
fn malformed() -> Vec<(Value, &'static str)> {
    vec![
        (json!([]), "action: an object is needed"),
        (json!({ "type": "crdt/counter/add" }), "doc: the name of a document is needed"),
        (
            json!({ "type": "crdt/counter/add", "doc": "" }),
            "doc: a document's name has 1 to 256 bytes",
        ),
        (
            json!({ "type": "counter/add", "doc": "d" }),
            "type: a CRDT action's type starts with `crdt/`",
        ),
        (
            json!({ "type": "crdt/counter/sub", "doc": "d" }),
            "type: there is no operation `counter/sub`",
        ),
        (json!({ "type": "crdt/state", "doc": "d" }), "type: there is no operation `state`"),
        (
            json!({ "type": "crdt/grow-set/remove", "doc": "d", "value": 1 }),
            "type: there is no operation `grow-set/remove`",
        ),
        (
            json!({ "type": "crdt/counter/add", "doc": "d", "path": "a" }),
            "path: a path is an array of keys",
        ),
        (
            json!({ "type": "crdt/counter/add", "doc": "d", "path": ["a", 1] }),
            "path[1]: a key is a string",
        ),
        (
            json!({ "type": "crdt/counter/add", "doc": "d", "by": "1" }),
            "by: a whole number from -2^53 to 2^53 is needed",
        ),
        (
            json!({ "type": "crdt/counter/add", "doc": "d", "by": 1.5 }),
            "by: a whole number from -2^53 to 2^53 is needed",
        ),
        (
            json!({ "type": "crdt/counter/add", "doc": "d", "by": 9_007_199_254_740_993_i64 }),
            "by: a whole number from -2^53 to 2^53 is needed",
        ),
        (
            json!({ "type": "crdt/grow-counter/add", "doc": "d", "by": -1 }),
            "by: a whole number from 0 to 2^53 is needed",
        ),
        (json!({ "type": "crdt/register/set", "doc": "d" }), "value: a value is needed"),
        (
            json!({ "type": "crdt/set/add", "doc": "d" }),
            "value: a value is needed, or several as `values`",
        ),
        (
            json!({ "type": "crdt/set/add", "doc": "d", "values": [] }),
            "values: an array with at least one value is needed",
        ),
        (
            json!({ "type": "crdt/set/add", "doc": "d", "value": 1, "values": [1] }),
            "values: either `value` or `values`, not both",
        ),
        (
            json!({ "type": "crdt/record/change", "doc": "d", "fields": [] }),
            "fields: an object is needed",
        ),
        (
            json!({ "type": "crdt/text/insert", "doc": "d", "text": "" }),
            "text: a string with at least one character is needed",
        ),
        (
            json!({ "type": "crdt/text/insert", "doc": "d", "text": ["a"] }),
            "text: a string with at least one character is needed",
        ),
        (json!({ "type": "crdt/list/move", "doc": "d" }), "element: an element is needed"),
        (
            json!({ "type": "crdt/list/delete", "doc": "d", "elements": [] }),
            "elements: an array with at least one element is needed",
        ),
        (json!({ "type": "crdt/batch", "doc": "d" }), "changes: an array of changes is needed"),
        (
            json!({ "type": "crdt/batch", "doc": "d", "changes": [] }),
            "changes: a batch has 1 to 1000 changes",
        ),
        (
            json!({ "type": "crdt/batch", "doc": "d", "changes": [{ "op": "set/add", "value": 1 }, { "op": "x" }] }),
            "changes[1].op: there is no operation `x`",
        ),
        (
            json!({ "type": "crdt/batch", "doc": "d", "changes": [1] }),
            "changes[0].op: the name of an operation is needed",
        ),
    ]
}

#[test]
fn what_is_malformed_is_refused_with_the_place_of_the_fault() {
    for (action, fault) in malformed() {
        let found = DocumentAction::parse(&action).map_err(|fault| fault.to_string());
        assert_eq!(found, Err(fault.to_owned()), "{action}");
    }
    for (field, place) in [("after", "after"), ("before", "before")] {
        let action =
            json!({ "type": "crdt/list/insert", "doc": "d", "value": 1, (field): "nonsense" });
        let fault = DocumentAction::parse(&action).expect_err("no element");
        assert_eq!(fault.place, place);
    }
}

/// The npm package reads actions by the same table.
#[test]
fn pages_have_the_same_table() {
    // As a page has it, this number is in range.
    let told = |action: &Value| action["by"] != 9_007_199_254_740_993_i64;
    let refused = malformed().into_iter().filter(|(action, _)| told(action));
    let refused = refused.map(|(action, fault)| json!({ "action": action, "fault": fault }));
    let read = well_formed().into_iter().map(|action| json!({ "action": action, "fault": null }));
    let table: Vec<Value> = read.chain(refused).collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/actions.json");
    let text = serde_json::to_string_pretty(&table).expect("JSON") + "\n";
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        std::fs::write(file, &text).expect("the table can be written");
    }
    let found = std::fs::read_to_string(file).expect("the table is there");
    assert_eq!(found, text, "{file} has drifted: run this test with TIDELOG_BLESS=1");
}
