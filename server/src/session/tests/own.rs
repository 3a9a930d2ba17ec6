//! A user's own log whose documents come instead of actions.

use super::super::NodeState;
use super::page::Page;
use super::world::*;
use tidelog_protocol::builtin;

const RULES: &str = r#"
    [user_log]
    state = ["crdt/*"]
    squash = 3
    [[action]]
    type = "note"
    [[action]]
    type = "crdt/register/*"
    channels = ["shelf"]
    [[channel]]
    pattern = "shelf"
"#;
const ADD: &str = "crdt/counter/add";
const STATE: &str = "crdt/state";
const NOTE: &str = r#"{"type":"note"}"#;

fn world() -> World {
    World::with_rules(RULES)
}

fn add(world: &mut World, doc: &str) {
    world.add("10:b:t", &format!(r#"{{"type":"{ADD}","doc":"{doc}"}}"#));
}

fn publish_last(world: &mut World, page: &mut Page) {
    let entry = world.entries.last().unwrap().clone();
    world.publish(&entry, page);
}

/// Documents that came as states, in order.
fn states(page: &Page) -> Vec<&str> {
    let states = page.got.iter().filter(|got| got.kind == STATE);
    states.map(|got| got.doc.as_deref().unwrap()).collect()
}

#[test]
fn a_first_connect_gets_the_rest_then_the_documents_then_what_comes() {
    let mut world = world();
    for n in 0..12 {
        add(&mut world, if n % 2 == 0 { "a" } else { "b" });
        if n % 4 == 0 {
            world.add("10:b:t", NOTE);
        }
    }
    let page = &mut world.open("10:a:t");
    assert_eq!(page.kinds(), ["note", "note", "note", STATE, STATE]);
    assert_eq!(states(page), ["a", "b"]);
    let latest = world.entries.iter().map(|entry| entry.time).max().unwrap();
    assert_eq!(page.got.last().unwrap().time, latest + 1, "it lies over what is in it");
    assert!(page.live);
    add(&mut world, "a");
    publish_last(&mut world, page);
    assert_eq!(page.kinds()[5..], [ADD]);
}

#[test]
fn who_comes_back_after_that_gets_nothing_twice() {
    let mut world = world();
    (0..6).for_each(|_| add(&mut world, "a"));
    let page = world.open("10:a:t");
    assert_eq!(page.kinds(), [STATE]);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.got, []);
    world.add("10:b:t", NOTE);
    publish_last(&mut world, &mut page);
    assert_eq!(page.kinds(), ["note"]);
}

/// Numbers say nothing of what came until the documents are there, too.
#[test]
fn a_page_that_is_cut_while_it_loads_begins_again() {
    for acknowledged in 0..6 {
        let mut world = world();
        for n in 0..8 {
            add(&mut world, &format!("d{n}"));
            world.add("10:b:t", NOTE);
        }
        let mut page = world.connect("10:a:t", 0, NodeState::default());
        page.acknowledges = false;
        world.start(&mut page);
        for _ in 0..acknowledged {
            let synced = page.client.synced(page.number, world.now);
            page.session.on_frame(&synced, world.at()).unwrap();
            world.settle(&mut page);
        }
        let (mut had, all) = (page.got.clone(), 16);
        let whole = had.len() == all;
        assert_eq!(page.number == 0, !whole, "{acknowledged}");
        let mut page = world.reconnect(page);
        world.start(&mut page);
        assert_eq!(page.got.len(), if whole { 0 } else { all });
        had.extend(page.got);
        let kinds = |kind| had.iter().filter(|got| got.kind == kind).count();
        assert!(kinds("note") >= 8 && kinds(STATE) >= 8, "{acknowledged}");
    }
}

#[test]
fn who_missed_many_gets_the_documents_that_changed() {
    for (missed, expected) in [(3, vec![ADD; 3]), (4, vec![STATE])] {
        let mut world = world();
        (0..4).for_each(|_| add(&mut world, "a"));
        add(&mut world, "b");
        let page = world.open("10:a:t");
        assert_eq!(states(&page), ["a", "b"]);
        let json = format!(r#"{{"type":"{ADD}","doc":"a"}}"#);
        (0..missed).for_each(|_| drop(world.add_made("10:b:t", &json, 600_000)));
        let mut page = world.reconnect(page);
        world.start(&mut page);
        assert_eq!(page.kinds(), expected);
        let mut page = world.reconnect(page);
        world.start(&mut page);
        assert_eq!(page.got, [], "its number says that it has had it");
    }
}

#[test]
fn what_is_in_a_channel_too_comes_as_it_was() {
    let mut world = world();
    let set = r#"{"type":"crdt/register/set","doc":"a","value":1}"#;
    world.add("10:b:t", set);
    add(&mut world, "a");
    add(&mut world, "b");
    let page = world.open("10:a:t");
    assert_eq!(page.kinds(), ["crdt/register/set", ADD, STATE]);
    assert_eq!(states(&page), ["b"], "the channel may have more of a");
}

#[test]
fn a_document_comes_anew_when_an_action_is_older_than_its_state() {
    let mut world = world();
    (0..4).for_each(|n| add(&mut world, if n == 0 { "b" } else { "a" }));
    let mut page = world.open("10:a:t");
    world.now += 1_000;
    let late = format!(r#"{{"type":"{ADD}","doc":"a"}}"#);
    world.add_made("10:b:t", &late, 1_000);
    publish_last(&mut world, &mut page);
    assert_eq!(states(&page), ["b", "a", "a"]);
    assert!(page.live);
    // Once more, but not at once: in a lively log actions overtake each other all the time.
    world.add_made("10:b:t", &late, 1_000);
    publish_last(&mut world, &mut page);
    assert_eq!(states(&page).len(), 3);
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.session.deadline(), world.now + 1_000);
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(states(&page)[3..], ["a"]);
    add(&mut world, "a");
    publish_last(&mut world, &mut page);
    assert_eq!(page.got.last().unwrap().kind, ADD, "what is new comes by itself");
    assert_eq!(page.count(ADD), 3, "each once");
}

#[test]
fn who_removes_what_a_state_had_has_seen_it() {
    let mut world = world();
    (0..3).for_each(|_| add(&mut world, "a"));
    let mut page = world.open("10:a:t");
    world.now += 10;
    world.send(&mut page, r#"{"type":"crdt/map/remove","doc":"m","path":["k"]}"#);
    let seen = world.contexts.last().unwrap();
    assert!(world.entries[..3].iter().all(|entry| seen.covers(entry.dot)));
    assert_eq!(page.count(builtin::PROCESSED), 1);
}

/// A page that takes actions as they come has laid the state over its own.
#[test]
fn a_document_comes_anew_when_the_page_has_changed_it_before_it_had_its_state() {
    let mut world = world();
    (0..3).for_each(|_| add(&mut world, "a"));
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    page.acknowledges = false;
    world.start(&mut page);
    assert_eq!(states(&page), ["a"]);
    world.now += 10;
    let mine = format!(r#"{{"type":"{ADD}","doc":"a"}}"#);
    world.send(&mut page, &mine);
    world.acknowledge(&mut page);
    assert_eq!(states(&page).len(), 1, "not at once");
    world.now += 1_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(states(&page), ["a", "a"]);
    world.send(&mut page, &mine);
    world.now += 2_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(states(&page).len(), 2, "it has had that");
}

#[test]
fn a_page_whose_log_was_empty_is_not_told_what_it_did_itself() {
    let mut world = world();
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    let mine = format!(r#"{{"type":"{ADD}","doc":"a"}}"#);
    world.send(&mut page, &mine);
    world.start(&mut page);
    assert_eq!((states(&page), page.live), (vec![], true));
}

/// The page has the state still, and its new connection knows of that.
#[test]
fn a_document_comes_anew_when_an_older_action_came_while_the_page_was_away() {
    let mut world = world();
    (0..4).for_each(|n| add(&mut world, if n == 0 { "b" } else { "a" }));
    let mut page = world.open("10:a:t");
    for _ in 0..2 {
        world.now += 1_000;
        let state = NodeState::from_bytes(&page.session.end().to_bytes());
        world.add_made("10:b:t", &format!(r#"{{"type":"{ADD}","doc":"a"}}"#), 1_000);
        let number = page.number;
        page = world.connect("10:a:t", number, state);
        world.start(&mut page);
        assert_eq!((page.count(ADD), states(&page)), (1, vec!["a"]));
        assert_eq!(page.got.last().unwrap().kind, STATE, "after it");
    }
    // A page that begins anew has had no state that could hide it.
    let mut fresh = world.open("10:a:t");
    assert_eq!(states(&fresh), ["b", "a"]);
    add(&mut world, "a");
    publish_last(&mut world, &mut fresh);
    assert_eq!(fresh.got.last().unwrap().kind, ADD);
}

/// The action was acknowledged, so it does not come again, and nothing else says that it counts.
#[test]
fn a_document_that_was_to_come_anew_comes_by_the_next_connection() {
    let mut world = world();
    (0..4).for_each(|n| add(&mut world, if n == 0 { "b" } else { "a" }));
    let mut page = world.open("10:a:t");
    world.now += 1_000;
    let late = format!(r#"{{"type":"{ADD}","doc":"a"}}"#);
    for _ in 0..2 {
        world.add_made("10:b:t", &late, 1_000);
        publish_last(&mut world, &mut page);
    }
    assert_eq!(states(&page), ["b", "a", "a"], "the last one is not yet due");
    for expected in [&["a"][..], &[]] {
        page = world.reconnect(page);
        world.start(&mut page);
        world.now += 1_000;
        page.session.on_tick(world.at()).unwrap();
        world.settle(&mut page);
        assert_eq!(states(&page), expected);
    }
}
