//! Documents and actions from bytes that nobody has checked.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use serde_json::{Value, json};
use tidelog_crdt::{
    Context, Document, DocumentAction, Dot, Entry, Incarnation, Path, Position, Stamp,
};
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

/// What a document takes in memory, in lengths of its bytes: most of what is small stands in trees.
const TIMES: usize = 512;
const BESIDE: usize = 64 << 10;

fn actions() -> Vec<Value> {
    let element = json!("1 10:a:b 0");
    vec![
        json!({"type": "crdt/set/add", "doc": "d", "path": ["s"], "values": ["a", 1, null]}),
        json!({"type": "crdt/counter/add", "doc": "d", "path": ["c", "e"], "by": -2}),
        json!({"type": "crdt/list/insert", "doc": "d", "path": ["l"], "values": [1, 2, 3]}),
        json!({"type": "crdt/list/delete", "doc": "d", "path": ["l"], "element": element}),
        json!({"type": "crdt/list/move", "doc": "d", "path": ["l"], "element": element, "after": null}),
        json!({"type": "crdt/text/insert", "doc": "d", "path": ["t"], "text": "héllo"}),
        json!({"type": "crdt/record/create", "doc": "d", "path": ["r"], "fields": {"a": 1.5}}),
        json!({"type": "crdt/batch", "doc": "d", "changes": [
            {"op": "register/set", "path": ["x"], "value": {"a": []}},
            {"op": "enable-wins-flag/enable", "path": ["f"]},
            {"op": "map/remove", "path": ["s"]},
        ]}),
    ]
}

fn entry(position: u64, action: &Value) -> Option<Entry> {
    let position = Position::new(position)?;
    let seen = (position.get() % 2 == 0).then_some(position);
    let mut context = Context::default();
    if let Some(seen) = seen {
        context.insert_dot(Dot { incarnation: Incarnation(1), position: seen });
    }
    Some(Entry {
        dot: Dot { incarnation: Incarnation(1), position },
        aliases: Vec::new(),
        context,
        stamp: Stamp { time: 5, node: "10:a:b".into(), sequence: position.get(), created: 1 },
        changes: DocumentAction::parse(action).ok()?.changes,
    })
}

fn document(actions: &[Value]) -> Document {
    let mut document = Document::default();
    for (position, action) in (1..).zip(actions) {
        let _ = document.apply(&entry(position, action).unwrap());
    }
    document
}

#[test]
fn documents() {
    let all = actions();
    let seeds = (0..=all.len()).map(|count| document(&all[..count]).encode());
    let each = all.iter().map(|action| document(std::slice::from_ref(action)).encode());
    let feed = Feed::of(seeds.chain(each)).inputs(5_000);
    let late: Vec<Entry> =
        (100..).zip(&all).filter_map(|(position, action)| entry(position, action)).collect();
    run(check!(), &feed, |bytes| {
        let read = within(bytes.len() * TIMES + BESIDE, || Document::decode(bytes));
        let Ok(mut document) = read else { return };
        let written = document.encode();
        let again = Document::decode(&written).expect("it was just written");
        assert_eq!(again, document);
        assert_eq!(again.encode(), written);
        // It goes on like any other.
        within(bytes.len() * TIMES + BESIDE, || drop(document.value()));
        for entry in &late {
            let _ = document.apply(entry);
        }
        let _ = document.merge(&again);
        assert_eq!(Document::decode(&document.encode()), Ok(document));
    });
}

#[test]
fn actions_of_documents() {
    let feed = Feed::of(actions().iter().map(Value::to_string)).inputs(5_000);
    run(check!(), &feed, |bytes| {
        let Ok(action) = serde_json::from_slice::<Value>(bytes) else { return };
        let parsed = within(bytes.len() * TIMES + BESIDE, || DocumentAction::parse(&action));
        let Ok(parsed) = parsed else { return };
        let again = DocumentAction::parse(&parsed.to_value()).expect("it was just written");
        assert_eq!(again, parsed);
        let mut document = Document::default();
        let _ = document.apply(&entry(1, &action).unwrap());
        let _ = document.value_at(&Path::default());
        assert_eq!(Document::decode(&document.encode()), Ok(document));
    });
}
