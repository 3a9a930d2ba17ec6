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
    add(&mut world, 1);
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
