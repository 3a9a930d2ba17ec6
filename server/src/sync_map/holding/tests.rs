use super::super::{Fold, Standing};
use super::*;
use crate::log::{Addresses, Channel};
use proptest::prelude::*;
use tidelog_crdt::{Context, Dot, Incarnation};
use tidelog_protocol::{Action, ActionId, NodeId};

/// What is done to which item, with which field, made when.
type Done = (u64, u64, u64, u64);

fn entry(position: u64, (what, item, field, time): Done) -> Arc<Entry> {
    let json = match what {
        0 => serde_json::json!({ "type": "tasks/delete", "id": item.to_string() }),
        _ => serde_json::json!({
            "type": if what < 3 { "tasks/create" } else { "tasks/change" },
            "id": item.to_string(),
            "fields": { format!("f{field}"): position, "all": position % 3 },
        }),
    };
    let name = |text: String| Channel::new(&text).unwrap();
    let position = Position::new(position).unwrap();
    Arc::new(Entry {
        position,
        id: ActionId { node: NodeId::new("1:c:t").unwrap(), ms: position.get(), sequence: 0 },
        time,
        accepted_ms: 1000,
        subprotocol: 1,
        addresses: Addresses {
            channels: vec![name("tasks".to_owned()), name(format!("tasks/{item}"))],
            ..Addresses::default()
        },
        dot: Dot { incarnation: Incarnation(1), position },
        context: Context::default(),
        action: Action::new(json.to_string().into()).unwrap(),
        kept: true,
        cleaned: false,
    })
}

/// What subscribers are told of each item.
fn told<'a>(
    entries: impl Iterator<Item = &'a Arc<Entry>>,
) -> Vec<(Box<str>, Position, Vec<String>)> {
    let mut fold = Fold::new("tasks");
    entries.for_each(|entry| fold.add(entry));
    let line = |item: &Standing| {
        let shown = item.told().map(|it| format!("{} {:?} {:?}", it.position, it.action, it.meta));
        (item.item.clone(), item.touched, shown.collect())
    };
    let mut items: Vec<_> = fold.standing().iter().map(line).collect();
    items.sort();
    items
}

proptest! {
    #[test]
    fn whoever_folds_what_is_left_sees_no_difference_now_and_later(
        history in prop::collection::vec((0..8_u64, 0..3_u64, 0..3_u64, 0..30_u64), 1..60),
        taken in 0..60_usize,
    ) {
        let entries: Vec<_> = (1..).zip(history).map(|(at, done)| entry(at, done)).collect();
        let taken = taken.min(entries.len());
        let mut holding = Holding::new("tasks");
        entries.iter().take(taken).for_each(|entry| assert!(holding.take(entry)));
        let spent = holding.spent();
        let left = || entries.iter().filter(|entry| !spent.contains(entry.position));
        for until in taken..=entries.len() {
            let here = |entry: &&Arc<Entry>| entry.position.get() <= until as u64;
            prop_assert_eq!(told(left().filter(here)), told(entries.iter().filter(here)));
        }
    }
}

#[test]
fn what_holds_nothing_is_spent_and_what_is_elsewhere_too_is_not_taken() {
    let mut holding = Holding::new("tasks");
    for (position, done) in (1..).zip([(1, 1, 0, 1), (5, 1, 0, 2), (5, 1, 0, 3), (5, 1, 1, 4)]) {
        assert!(holding.take(&entry(position, done)));
    }
    let mut elsewhere = Entry::clone(&entry(5, (5, 1, 0, 9)));
    elsewhere.addresses.channels.push(Channel::new("more").unwrap());
    assert!(!holding.take(&elsewhere));
    let spent = holding.spent();
    let left: Vec<_> = (1..=5).filter(|at| !spent.contains(Position::new(*at).unwrap())).collect();
    assert_eq!(
        left,
        [1, 3, 4, 5],
        "the creation may count once more; the second change is written over"
    );
}
