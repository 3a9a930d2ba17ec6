use super::super::{Fold, Standing};
use super::*;
use crate::log::{Addresses, Causes, Channel};
use proptest::prelude::*;
use tidelog_crdt::{Dot, Incarnation, Position};
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
        aliases: Vec::new(),
        causes: Causes::default(),
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

fn spent<'a>(
    entries: &(impl Iterator<Item = &'a Arc<Entry>> + Clone),
    bytes_max: usize,
) -> Positions {
    let mut holdings = Holdings::new(bytes_max);
    loop {
        entries.clone().for_each(|entry| assert!(holdings.take("tasks", entry)));
        if !holdings.goes_on() {
            return holdings.spent().next().map(|(_, spent)| spent).unwrap_or_default();
        }
    }
}

fn spent_with_little<'a>(entries: &(impl Iterator<Item = &'a Arc<Entry>> + Clone)) -> Positions {
    spent(entries, 3 * OVERHEAD_BYTES)
}

#[test]
fn no_more_items_are_kept_than_memory_is_for() {
    let entries: Vec<_> = (1..=2000).map(|at| entry(at, (5, at % 500, at % 3, at))).collect();
    let bytes_max = 20_000;
    let mut holdings = Holdings::new(bytes_max);
    let (mut passes, mut largest) = (1, 0);
    loop {
        for entry in &entries {
            assert!(holdings.take("tasks", entry));
            largest = largest.max(holdings.bytes());
            let counted = |map: &Holding| {
                let items = map.items.iter().map(|(id, item)| id.len() + item.bytes());
                items.chain(map.names.iter().map(|name| bytes_of(name))).sum::<usize>()
            };
            assert_eq!(holdings.bytes(), holdings.maps.values().map(counted).sum::<usize>());
        }
        if !holdings.goes_on() {
            break;
        }
        passes += 1;
    }
    assert!(largest <= bytes_max && largest > bytes_max / 4, "{largest}");
    assert!((4..100).contains(&passes), "{passes}");
    let (_, few) = holdings.spent().next().unwrap();
    let all = spent(&entries.iter(), usize::MAX);
    let differs =
        |entry: &&Arc<Entry>| few.contains(entry.position) != all.contains(entry.position);
    assert!(all.count() > 0 && entries.iter().find(differs).is_none());
}

proptest! {
    #[test]
    fn whoever_folds_what_is_left_sees_no_difference_now_and_later(
        history in prop::collection::vec((0..8_u64, 0..3_u64, 0..3_u64, 0..30_u64), 1..60),
        taken in 0..60_usize,
    ) {
        let entries: Vec<_> = (1..).zip(history).map(|(at, done)| entry(at, done)).collect();
        let taken = taken.min(entries.len());
        let spent = spent(&entries.iter().take(taken), usize::MAX);
        // In as many passes as there are items, nearly.
        let little = spent_with_little(&entries.iter().take(taken));
        for entry in &entries {
            prop_assert_eq!(little.contains(entry.position), spent.contains(entry.position));
        }
        let left = || entries.iter().filter(|entry| !spent.contains(entry.position));
        for until in taken..=entries.len() {
            let here = |entry: &&Arc<Entry>| entry.position.get() <= until as u64;
            prop_assert_eq!(told(left().filter(here)), told(entries.iter().filter(here)));
        }
    }
}

/// Each entry has a field of its own that the next one does not write over: names that nobody has any more
/// are not kept.
#[test]
fn names_of_fields_take_no_more_than_memory_is_for() {
    let (bytes_max, mut largest) = (20_000, 0);
    let mut holdings = Holdings::new(bytes_max);
    for at in 1..=2_000 {
        // Each item is deleted after its field was written.
        let what = if at % 2 == 0 { 0 } else { 5 };
        assert!(holdings.take("tasks", &entry(at, (what, at / 2 % 50, at, at))));
        largest = largest.max(holdings.bytes());
    }
    assert!(largest <= bytes_max && holdings.share.bits <= 1, "{largest}: {:?}", holdings.share);
}

/// An item that is created and written again and again, with deletions that come late: each entry is looked
/// at once when it comes and once when it goes.
#[test]
fn an_item_of_very_many_entries_is_looked_at_in_little_time() {
    let mut holdings = Holdings::new(usize::MAX);
    let late = 1_000_000;
    for at in 1..=30_000 {
        // Creations that hold, each with a field of its own, and deletions before all of them.
        let done = if at % 2 == 0 { (1, 1, at, late + at) } else { (0, 1, 0, at) };
        assert!(holdings.take("tasks", &entry(at, done)));
    }
    let (_, spent) = holdings.spent().next().unwrap();
    assert_eq!(spent.count(), 15_000 - 1, "all deletions but the last");
}

#[test]
fn what_holds_nothing_is_spent_and_what_is_elsewhere_too_is_not_taken() {
    let mut holdings = Holdings::new(usize::MAX);
    for (position, done) in (1..).zip([(1, 1, 0, 1), (5, 1, 0, 2), (5, 1, 0, 3), (5, 1, 1, 4)]) {
        assert!(holdings.take("tasks", &entry(position, done)));
    }
    let mut elsewhere = Entry::clone(&entry(5, (5, 1, 0, 9)));
    elsewhere.addresses.channels.push(Channel::new("more").unwrap());
    assert!(!holdings.take("tasks", &elsewhere));
    let (_, spent) = holdings.spent().next().unwrap();
    let left: Vec<_> = (1..=5).filter(|at| !spent.contains(Position::new(*at).unwrap())).collect();
    assert_eq!(
        left,
        [1, 3, 4, 5],
        "the creation may count once more; the second change is written over"
    );
}
