//! Rules that random histories rarely reach, each by the smallest history that shows it.

#![expect(clippy::indexing_slicing, reason = "an action of a test is an object")]

use serde_json::{Value, json};
use tidelog_crdt::{
    Context, Document, DocumentAction, Dot, Entry, Incarnation, Position, Seen, Stamp,
};

/// An entry of `node` at `time`, who had seen the positions up to `seen`.
fn entry(position: u64, seen: u64, node: &str, time: u64, action: Value) -> Entry {
    let mut action = action;
    action["doc"] = "d".into();
    let at = |number: u64| Position::new(number).expect("it is small");
    Entry {
        dot: Dot { incarnation: Incarnation(1), position: at(position) },
        aliases: Vec::new(),
        context: Context::of(Incarnation(1), Seen { prefix: at(seen), ..Seen::default() }),
        stamp: Stamp { time, node: node.into(), sequence: 0, created: time },
        changes: DocumentAction::parse(&action).expect("it is well formed").changes,
    }
}

/// The value, which must be the same in this order and in the reverse.
fn value(entries: &[Entry]) -> Value {
    let fold = |entries: &mut dyn Iterator<Item = &Entry>| {
        let mut document = Document::default();
        for entry in entries {
            let _ = document.apply(entry);
        }
        document.value()
    };
    let forth = fold(&mut entries.iter());
    assert_eq!(forth, fold(&mut entries.iter().rev()));
    forth
}

fn insert(value: &str, [after, before]: [Option<&str>; 2]) -> Value {
    json!({ "type": "crdt/list/insert", "value": value, "after": after, "before": before })
}

#[test]
fn of_two_insertions_into_one_gap_the_later_one_stands_first() {
    let entries = [
        entry(1, 0, "1:a:t", 100, insert("first", [None, None])),
        entry(2, 1, "1:a:t", 200, insert("early", [Some("100 1:a:t 0"), None])),
        entry(3, 1, "2:b:t", 300, insert("late", [Some("100 1:a:t 0"), None])),
    ];
    assert_eq!(value(&entries), json!(["first", "late", "early"]));
}

#[test]
fn what_was_put_before_something_stays_beside_it_when_another_had_not_seen_that() {
    // One had not seen the last element, and appends to the first; the other inserts between them.
    let entries = [
        entry(1, 0, "1:a:t", 100, insert("first", [None, None])),
        entry(2, 1, "1:a:t", 200, insert("last", [None, None])),
        entry(3, 1, "2:b:t", 300, insert("appended", [Some("100 1:a:t 0"), None])),
        entry(4, 2, "1:a:t", 400, insert("between", [Some("100 1:a:t 0"), Some("200 1:a:t 0")])),
    ];
    assert_eq!(value(&entries), json!(["first", "appended", "between", "last"]));
}

#[test]
fn a_record_comes_back_with_the_first_creation_after_its_deletion() {
    let record = |verb: &str, fields: Value| json!({ "type": format!("crdt/record/{verb}"), "fields": fields });
    let entries = [
        entry(1, 0, "1:a:t", 100, record("create", json!({ "old": 1 }))),
        entry(2, 1, "1:a:t", 200, record("delete", json!({}))),
        entry(3, 2, "1:a:t", 300, record("create", json!({ "new": 1 }))),
        entry(4, 0, "2:b:t", 400, record("create", json!({ "newer": 1 }))),
    ];
    assert_eq!(value(&entries), json!({ "new": 1, "newer": 1 }));
}

#[test]
fn who_saw_an_entry_under_its_further_name_saw_it() {
    let mut added = entry(1, 0, "1:a:t", 100, json!({ "type": "crdt/set/add", "value": "a" }));
    let elsewhere = Incarnation(2);
    let prefix = Position::new(7).expect("it is small");
    added.aliases = vec![Dot { incarnation: elsewhere, position: prefix }];
    let mut removed = entry(2, 0, "2:b:t", 200, json!({ "type": "crdt/set/remove", "value": "a" }));
    removed.context = Context::of(elsewhere, Seen { prefix, ..Seen::default() });
    assert_eq!(value(&[added, removed]), Value::Null);
}
