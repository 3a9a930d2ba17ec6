//! Channels that are loaded as documents: what a state has does not come as an entry, and the other
//! way round.

use super::super::NodeState;
use super::page::Page;
use super::world::*;
use tidelog_protocol::builtin;

const SHELF: &str = r#"{"type":"logux/subscribe","channel":"shelf"}"#;
const ADD: &str = "crdt/counter/add";

fn add(world: &mut World, doc: usize) {
    let json = format!(r#"{{"type":"{ADD}","doc":"d{doc}"}}"#);
    world.add("11:b:t", &json);
}

/// What the page got of a document, without the answers.
fn of<'a>(page: &'a Page, doc: &str) -> Vec<&'a str> {
    let of = page.got.iter().filter(|got| got.doc.as_deref() == Some(doc));
    of.map(|got| got.kind.as_str()).collect()
}

#[test]
fn a_subscriber_gets_a_state_for_each_document_and_then_what_comes() {
    let mut world = World::new();
    for n in 0..10 {
        add(&mut world, n % 3);
    }
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    world.say(&mut page, SHELF);
    world.settle(&mut page);
    assert_eq!(page.got, [], "the user's own log comes first");
    world.start(&mut page);
    let states = ["crdt/state"; 3];
    assert_eq!(page.kinds(), [&["note"], &states[..], &[builtin::PROCESSED]].concat());
    let latest = world.entries.iter().take(10).map(|entry| entry.time).max().unwrap();
    let got = |doc| page.got.iter().find(|got| got.doc.as_deref() == Some(doc)).unwrap();
    assert_eq!(got("d0").time, latest + 1, "it lies over what is in it");
    add(&mut world, 0);
    let entry = world.entries.last().unwrap().clone();
    world.publish(&entry, &mut page);
    assert_eq!(of(&page, "d0"), ["crdt/state", ADD]);
    // The page lives on, and its connection does not.
    world.add_made("11:b:t", &format!(r#"{{"type":"{ADD}","doc":"d1"}}"#), 600_000);
    let mut page = world.reconnect(page);
    world.send(&mut page, SHELF);
    world.start(&mut page);
    assert_eq!(page.count("crdt/state"), 0);
    assert_eq!(of(&page, "d1"), [ADD]);
}

#[test]
fn what_comes_while_states_are_sent_comes_in_a_state_or_by_itself() {
    for (doc, expected) in [("d0", &["crdt/state", "crdt/state"][..]), ("d9", &["crdt/state"])] {
        let mut world = World::new();
        (0..10).for_each(|n| add(&mut world, n));
        let mut page = world.open("10:a:t");
        page.acknowledges = false;
        world.send(&mut page, SHELF);
        assert_eq!(page.count("crdt/state"), 6, "the window");
        add(&mut world, doc[1..].parse().unwrap());
        let entry = world.entries.last().unwrap().clone();
        world.publish(&entry, &mut page);
        world.acknowledge(&mut page);
        assert_eq!(of(&page, doc), expected);
        add(&mut world, 0);
        let entry = world.entries.last().unwrap().clone();
        world.publish(&entry, &mut page);
        assert_eq!(page.count(ADD), 1);
    }
}

/// Made offline long ago: a store that goes by time puts it under the state, where nobody sees it.
#[test]
fn a_document_comes_anew_when_an_entry_is_older_than_its_state() {
    let mut world = World::new();
    (0..4).for_each(|n| add(&mut world, n));
    let mut page = world.open("10:a:t");
    world.send(&mut page, SHELF);
    let first = page.got.iter().find(|got| got.doc.as_deref() == Some("d1")).unwrap().clone();
    world.now += 1_000;
    let late = |world: &mut World, page: &mut Page| {
        let json = format!(r#"{{"type":"{ADD}","doc":"d1"}}"#);
        let entry = world.add_made("11:b:t", &json, 1_000);
        world.publish(&entry, page);
    };
    late(&mut world, &mut page);
    assert_eq!(of(&page, "d1"), ["crdt/state", ADD, "crdt/state"]);
    let anew = page.got.last().unwrap();
    assert!(anew.time == first.time && anew.id.node.as_str() > first.id.node.as_str());
    assert_eq!(page.count("crdt/state"), 5, "the others did not change");
    // Once more, but not at once: in a lively channel actions overtake each other all the time.
    late(&mut world, &mut page);
    assert_eq!(of(&page, "d1").len(), 4);
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.session.deadline(), world.now + 1_000);
    late(&mut world, &mut page);
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(of(&page, "d1")[3..], [ADD, ADD, "crdt/state"]);
    add(&mut world, 1);
    let entry = world.entries.last().unwrap().clone();
    world.publish(&entry, &mut page);
    assert_eq!(of(&page, "d1")[6..], [ADD], "what is new comes by itself");
    assert_eq!(page.count(ADD), 4, "each once");
}

#[test]
fn who_missed_many_actions_gets_what_they_add_up_to() {
    for (missed, kinds) in [(3, vec![ADD; 3]), (4, vec!["crdt/state"])] {
        let mut world = World::new();
        (0..4).for_each(|n| add(&mut world, n));
        let mut page = world.open("10:a:t");
        world.send(&mut page, SHELF);
        (0..missed).for_each(|_| add(&mut world, 2));
        let mut page = world.reconnect(page);
        world.send(&mut page, SHELF);
        world.start(&mut page);
        assert_eq!(of(&page, "d2"), kinds);
        assert_eq!(page.got.iter().filter(|got| got.doc.is_some()).count(), kinds.len());
        add(&mut world, 2);
        let entry = world.entries.last().unwrap().clone();
        world.publish(&entry, &mut page);
        assert_eq!(page.got.last().unwrap().kind, ADD);
    }
}

#[test]
fn who_missed_many_changes_of_a_map_gets_one_for_each_item_or_that_it_is_gone() {
    let mut world = World::new();
    let task = |world: &mut World, op: &str, id: u8, n: u8| {
        let json = format!(r#"{{"type":"tasks/{op}","id":"{id}","fields":{{"n":{n}}}}}"#);
        world.add("11:b:t", &json);
    };
    (0..3).for_each(|id| task(&mut world, "create", id, 0));
    let subscribe = r#"{"type":"logux/subscribe","channel":"tasks"}"#;
    let mut page = world.open("10:a:t");
    world.send(&mut page, subscribe);
    (0..10).for_each(|n| task(&mut world, "change", 1, n));
    task(&mut world, "delete", 2, 0);
    let last = world.entries[world.entries.len() - 2].time;
    let mut page = world.reconnect(page);
    // A page that is alive says what it last had.
    world.send(
        &mut page,
        r#"{"type":"logux/subscribe","channel":"tasks","since":{"id":"","time":0}}"#,
    );
    world.start(&mut page);
    assert_eq!((page.count("tasks/changed"), page.count("tasks/deleted")), (1, 1));
    let changed = page.got.iter().find(|got| got.kind == "tasks/changed").unwrap();
    assert_eq!(changed.time, last, "with its own time");
}

#[test]
fn a_document_has_no_filter_so_its_log_is_loaded() {
    let mut world = World::new();
    (0..4).for_each(|n| add(&mut world, n));
    let mut page = world.open("10:a:t");
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"shelf","filter":{"doc":"d1"}}"#);
    assert_eq!(page.count("crdt/state"), 0);
    assert_eq!(of(&page, "d1"), [ADD]);
    assert_eq!(page.count(ADD), 1);
}

/// The page has the state still, and its new connection knows of that.
#[test]
fn a_document_comes_anew_when_an_older_entry_came_while_the_page_was_away() {
    let mut world = World::new();
    (0..4).for_each(|n| add(&mut world, n));
    let mut page = world.open("10:a:t");
    world.send(&mut page, SHELF);
    let late = format!(r#"{{"type":"{ADD}","doc":"d1"}}"#);
    for _ in 0..2 {
        world.now += 1_000;
        let state = NodeState::from_bytes(&page.session.end().to_bytes());
        world.add_made("11:b:t", &late, 1_000);
        let number = page.number;
        page = world.connect("10:a:t", number, state);
        world.send(&mut page, SHELF);
        world.start(&mut page);
        assert_eq!(of(&page, "d1"), [ADD], "with it");
        world.now += 1_000;
        page.session.on_tick(world.at()).unwrap();
        world.settle(&mut page);
        assert_eq!(of(&page, "d1"), [ADD, "crdt/state"], "after it");
        assert_eq!(page.count("crdt/state"), 1, "the others did not change");
    }
    // And while it lives on.
    world.now += 1_000;
    let entry = world.add_made("11:b:t", &late, 1_000);
    world.publish(&entry, &mut page);
    assert_eq!(of(&page, "d1")[2..], [ADD, "crdt/state"]);
}

/// A page mends its clock at each connection, to within a round trip: what it has by an earlier one may stand
/// higher than its time.
#[test]
fn for_a_page_that_has_something_states_lie_well_above_what_is_in_them() {
    let mut world = World::new();
    (0..4).for_each(|n| add(&mut world, n));
    let mut page = world.open("10:a:t");
    world.send(&mut page, SHELF);
    let first = page.got.iter().find(|got| got.doc.as_deref() == Some("d2")).unwrap().time;
    let latest = 600_000;
    let json = format!(r#"{{"type":"{ADD}","doc":"d2"}}"#);
    (0..4).for_each(|_| drop(world.add_made("11:b:t", &json, latest)));
    let mut page = world.reconnect(page);
    world.send(&mut page, SHELF);
    world.start(&mut page);
    let second = page.got.iter().find(|got| got.doc.as_deref() == Some("d2")).unwrap().time;
    assert_eq!((first, second), (500_004, latest + 1_001));
    // An older one comes: the document lies above what the page has, on its next connection, too.
    let late = world.add_made("11:b:t", &json, 1_000);
    let mut page = world.reconnect(page);
    world.send(&mut page, SHELF);
    world.start(&mut page);
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    let third = page.got.iter().find(|got| got.kind == "crdt/state").unwrap().time;
    assert!(third > second && late.time < first, "{third}");
}

/// Out of a state nobody can take an action: the document comes anew without it.
#[test]
fn a_document_comes_anew_when_an_entry_in_its_state_is_undone() {
    let mut world = World::new();
    (0..4).for_each(|n| add(&mut world, n));
    let mut page = world.open("10:a:t");
    world.send(&mut page, SHELF);
    assert_eq!(of(&page, "d2"), ["crdt/state"]);
    let undone = world.entries[2].id.clone();
    let doc = tidelog_crdt::DocumentName::new("d2").unwrap();
    let undo = crate::log::undo(&undone, "denied", ADD, &[doc]);
    let of_server = tidelog_protocol::NodeId::new("server:0000000000000001:3").unwrap();
    let position = world.head().plus(1);
    let told = crate::log::Entry {
        position,
        id: tidelog_protocol::ActionId { node: of_server, ms: 1, sequence: 1 },
        dot: tidelog_crdt::Dot { position, ..world.entries[2].dot },
        time: 600_000,
        action: undo,
        ..crate::log::Entry::clone(&world.entries[2])
    };
    let told = std::sync::Arc::new(told);
    world.entries.push(told.clone());
    world.publish(&told, &mut page);
    assert_eq!(page.count(builtin::UNDO), 1);
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(of(&page, "d2"), ["crdt/state", "crdt/state"]);
    assert_eq!(of(&page, "d1"), ["crdt/state"]);
}

/// Adds to d1 long ago; it reaches the page now.
fn add_late(world: &mut World, page: &mut Page) {
    let json = format!(r#"{{"type":"{ADD}","doc":"d1"}}"#);
    let entry = world.add_made("11:b:t", &json, 1_000);
    world.publish(&entry, page);
}

/// A page that follows the shelf, and came back: it has heard of d1 for the last time when this was so long ago.
fn comes_back(world: &mut World, page: Page, subscribe: &str) -> Page {
    let mut page = world.reconnect(page);
    world.send(&mut page, subscribe);
    world.start(&mut page);
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    page
}

/// The action was acknowledged, so it does not come again, and nothing else says that it counts.
#[test]
fn a_document_that_was_to_come_anew_comes_by_the_next_connection() {
    let mut world = World::new();
    (0..4).for_each(|n| add(&mut world, n));
    let mut page = world.open("10:a:t");
    world.send(&mut page, SHELF);
    world.now += 1_000;
    add_late(&mut world, &mut page);
    add_late(&mut world, &mut page);
    assert_eq!(
        of(&page, "d1"),
        ["crdt/state", ADD, "crdt/state", ADD],
        "the last one is not yet due"
    );
    let page = comes_back(&mut world, page, SHELF);
    assert_eq!(of(&page, "d1"), ["crdt/state"]);
    let page = comes_back(&mut world, page, SHELF);
    assert_eq!(of(&page, "d1"), [""; 0], "once");
}

#[test]
fn a_document_that_came_anew_and_was_not_received_comes_once_more_and_above_the_first() {
    for since in [false, true] {
        let mut world = World::new();
        (0..4).for_each(|n| add(&mut world, n));
        let mut page = world.open("10:a:t");
        world.send(&mut page, SHELF);
        let answer = page.got.iter().find(|got| got.kind == builtin::PROCESSED).unwrap();
        let since = since.then(|| format!(r#","since":{{"id":"{}","time":0}}"#, answer.id));
        world.now += 1_000;
        page.acknowledges = false;
        add_late(&mut world, &mut page);
        let told = page.got.last().unwrap().clone();
        assert_eq!(told.kind, "crdt/state");
        let subscribe = SHELF.replace('}', &format!("{}}}", since.unwrap_or_default()));
        let page = comes_back(&mut world, page, &subscribe);
        let last = page.got.iter().rfind(|got| got.doc.as_deref() == Some("d1")).unwrap();
        assert_eq!(last.kind, "crdt/state", "{subscribe}: {:?}", of(&page, "d1"));
        assert!(last.time >= told.time, "{subscribe}: it lies under what the page has");
    }
}
