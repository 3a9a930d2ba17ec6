//! Documents against what the papers say of them, on random histories.

#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "what a test indexes is there, or the test fails"
)]

mod acting;
mod history;
mod meaning;
mod order;
mod shared;

use history::{play, steps};
use meaning::{Event, Name};
use proptest::prelude::*;
use serde_json::json;
use tidelog_crdt::{
    Applied, Context, Document, DocumentAction, Dot, Entry, Incarnation, Position, Ranges, Seen,
    Stamp,
};

/// The event as the crate takes it. The context says in prefixes and ranges what the event says
/// name by name.
fn entry(event: &Event, highest: u64) -> Entry {
    let mut names = event.names.iter().map(|name| dot(*name));
    let mut context = Context::default();
    for server in event.seen.iter().map(|name| name.0) {
        let seen = |position: &u64| event.seen.contains(&(server, *position));
        let prefix = (1..=highest).take_while(seen).last().unwrap_or_default();
        let own: Ranges = (prefix + 1..=highest).filter(seen).map(position).collect();
        context.insert(Incarnation(server), Seen { prefix: position(prefix), own });
    }
    let (time, node, sequence, created) = &event.stamp;
    Entry {
        dot: names.next().expect("it was accepted"),
        aliases: names.collect(),
        context,
        stamp: Stamp {
            time: *time,
            node: node.as_str().into(),
            sequence: *sequence,
            created: *created,
        },
        changes: DocumentAction::parse(&event.action).expect("it is well formed").changes,
    }
}

fn position(number: u64) -> Position {
    Position::new(number).expect("it is small")
}

fn dot((server, at): Name) -> Dot {
    Dot { incarnation: Incarnation(server), position: position(at) }
}

fn folded(entries: &[Entry]) -> Document {
    let mut document = Document::default();
    for entry in entries {
        assert_eq!(document.apply(entry), Applied::Folded);
    }
    document
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_document_is_what_its_events_mean(
        steps in steps(),
        shuffled in any::<u64>(),
        cuts in any::<[prop::sample::Index; 2]>(),
    ) {
        let events = play(&steps);
        let meant = meaning::value(&events);
        let highest = events.len() as u64 + 1;
        let mut entries: Vec<Entry> = events.iter().map(|event| entry(event, highest)).collect();
        // Any order: each entry's key is hashed with the seed.
        entries.sort_by_key(|entry| {
            (entry.dot.position.get() + 31 * entry.dot.incarnation.0 + 1).wrapping_mul(shuffled | 1)
        });
        let whole = folded(&entries);
        prop_assert_eq!(&whole.value(), &meant, "{:#?}", events);

        // Two replicas that both have some of it.
        let [first, second] = cuts.map(|cut| cut.index(entries.len() + 1));
        let (overlap, end) = (first.min(second), first.max(second));
        let (mut one, other) = (folded(&entries[..end]), folded(&entries[overlap..]));
        prop_assert_ne!(one.merge(&other), Applied::FoldAgain);
        prop_assert_eq!(&one.value(), &meant, "merged: {:#?}", events);

        // A snapshot, and a tail that overlaps it.
        let mut snapshot = Document::decode(&folded(&entries[..end]).encode()).expect("ours");
        for entry in &entries[overlap..] {
            prop_assert_ne!(snapshot.apply(entry), Applied::FoldAgain);
        }
        prop_assert_eq!(&snapshot.value(), &meant, "snapshot and tail: {:#?}", events);
        prop_assert_eq!(snapshot.encode(), whole.encode());
    }
}

/// RR-7687's witness that no order of the operations explains: both elements stay.
#[test]
fn what_both_add_and_the_other_removes_stays() {
    let action = |adds: &str, removes: &str| {
        json!({ "type": "crdt/batch", "doc": "d", "changes": [
            { "op": "set/add", "value": adds },
            { "op": "set/remove", "value": removes },
        ] })
    };
    let event = |server: u64, action| Event {
        names: [(server, 1)].into(),
        seen: [].into(),
        stamp: (1000, format!("{server}:c:t"), 0, 1000),
        action,
    };
    let events = [event(0, action("a", "b")), event(1, action("b", "a"))];
    let entries = events.each_ref().map(|event| entry(event, 1));
    assert_eq!(folded(&entries).value(), json!(["a", "b"]));
    assert_eq!(meaning::value(&events), json!(["a", "b"]));
}
