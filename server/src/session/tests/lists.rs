//! Lists of maps: what they bring along, and what they are told of their items.

use super::super::*;
use super::page::Page;
use super::world::*;
use crate::sync_map::Fates;
use tidelog_protocol::builtin;

#[test]
fn a_list_brings_its_items_along_and_an_item_that_leaves_it_is_still_told_of() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"tasks/create","id":"1","fields":{"done":false,"n":1}}"#);
    world.add("11:b:t", r#"{"type":"tasks/create","id":"2","fields":{"done":true}}"#);
    let mut page = world.open("10:a:t");
    world
        .send(&mut page, r#"{"type":"logux/subscribe","channel":"tasks","filter":{"done":false}}"#);
    assert_eq!(page.kinds(), [builtin::SUBSCRIBED, "tasks/changed", builtin::PROCESSED]);
    let leaves = world.add("11:b:t", r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#);
    world.publish(&leaves, &mut page);
    assert_eq!(page.kinds().last(), Some(&"tasks/changed"));
    let comes = world.add("11:b:t", r#"{"type":"tasks/create","id":"3","fields":{"done":false}}"#);
    world.publish(&comes, &mut page);
    assert_eq!(page.kinds()[4..], [builtin::SUBSCRIBED, "tasks/created"]);
}

const OPEN_TASKS: &str = r#"{"type":"logux/subscribe","channel":"tasks","filter":{"done":false}}"#;

/// A list of open tasks, with 1 and 2 in it; 3 was never open.
fn open_tasks(world: &mut World) -> Page {
    for (id, done) in [("1", false), ("2", false), ("3", true)] {
        let fields = format!(r#"{{"done":{done},"n":1}}"#);
        world.add("11:b:t", &format!(r#"{{"type":"tasks/create","id":"{id}","fields":{fields}}}"#));
    }
    let mut page = world.open("10:a:t");
    world.send(&mut page, OPEN_TASKS);
    assert_eq!(page.count("tasks/changed"), 2);
    page
}

fn again_since(id: &str) -> String {
    let since = format!(r#""since":{{"id":"{id}","time":1}},"filter""#);
    OPEN_TASKS.replace(r#""filter""#, &since)
}

#[test]
fn a_list_that_is_not_known_any_more_is_told_what_has_left_its_filter() {
    // What the list had brought along was not known, so nobody told of item 1.
    let mut world = World::new();
    let page = open_tasks(&mut world);
    let (number, answer) = (page.number, page.got.last().unwrap().id.to_string());
    world.add("11:b:t", r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#);
    for since in [answer, "1 server:elsewhere:1 2".to_owned()] {
        let mut page = world.connect("10:a:t", number, NodeState::default());
        world.start(&mut page);
        world.send(&mut page, &again_since(&since));
        let told: Vec<_> = page.got.iter().filter(|got| got.kind == "tasks/changed").collect();
        let of: Vec<_> = told.iter().map(|got| got.id.ms).collect();
        assert_eq!(of, [2, 4], "2 is in it, 4 takes 1 out of it, and 3 was never in it");
    }
}

#[test]
fn a_page_that_has_nothing_is_told_only_of_what_is_in_its_list() {
    let mut world = World::new();
    drop(open_tasks(&mut world));
    world.add("11:b:t", r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#);
    world.add("11:b:t", r#"{"type":"tasks/delete","id":"2"}"#);
    let mut page = world.open("10:a:u");
    world.send(&mut page, OPEN_TASKS);
    assert_eq!(page.kinds(), [builtin::PROCESSED]);
}

#[test]
fn a_map_is_loaded_part_by_part_and_what_changes_meanwhile_is_not_missed() {
    let mut world = World::new();
    for n in 0..20 {
        let json = format!(r#"{{"type":"tasks/create","id":"{n}","fields":{{"done":false}}}}"#);
        world.add("11:b:t", &json);
    }
    let mut page = world.open("10:a:t");
    page.acknowledges = false;
    world.send(&mut page, OPEN_TASKS);
    let first = page.count("tasks/changed");
    assert!((2..=8).contains(&first), "{first}: the window, and a part that waits");
    // One that was sent leaves the filter, one is deleted, one that was not sent changes.
    world.add("11:b:t", r#"{"type":"tasks/change","id":"0","fields":{"done":true}}"#);
    world.add("11:b:t", r#"{"type":"tasks/delete","id":"1"}"#);
    world.add("11:b:t", r#"{"type":"tasks/change","id":"19","fields":{"done":false}}"#);
    world.acknowledge(&mut page);
    let last_of = |ms: u64| page.got.iter().rfind(|got| got.id.ms == ms);
    assert_eq!(last_of(21).unwrap().kind, "tasks/changed", "0 has left");
    assert_eq!(last_of(22).unwrap().kind, "tasks/deleted", "1 is gone");
    assert_eq!(last_of(23).unwrap().kind, "tasks/changed", "19 has changed");
    for ms in 3..=19 {
        assert_eq!(last_of(ms).map(|got| got.kind.as_str()), Some("tasks/changed"), "{ms}");
    }
    assert_eq!(page.count(builtin::PROCESSED), 1);
}

#[test]
fn a_deletion_that_comes_late_does_not_hide_an_item_that_was_created_anew_after_it() {
    // The list took it for gone, and its changes were not shown any more.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"tasks"}"#);
    let tell = |world: &mut World, page: &mut Page, json: &str, time: u64| {
        let entry = world.add_made("11:b:t", json, time);
        world.publish(&entry, page);
        page.kinds().last().map(|kind| (*kind).to_owned())
    };
    let create = r#"{"type":"tasks/create","id":"1","fields":{"n":1}}"#;
    let delete = r#"{"type":"tasks/delete","id":"1"}"#;
    let change = r#"{"type":"tasks/change","id":"1","fields":{"n":2}}"#;
    assert_eq!(tell(&mut world, &mut page, create, 10).as_deref(), Some("tasks/created"));
    assert_eq!(tell(&mut world, &mut page, delete, 5).as_deref(), Some("tasks/changed"));
    assert_eq!(tell(&mut world, &mut page, change, 20).as_deref(), Some("tasks/changed"));
    assert_eq!(page.got.last().unwrap().id.ms, 3);
    // One that holds ends it, and a change made before it is not shown.
    assert_eq!(tell(&mut world, &mut page, delete, 30).as_deref(), Some("tasks/deleted"));
    let before = page.got.len();
    tell(&mut world, &mut page, change, 25);
    assert_eq!(page.got.len(), before);
    assert_eq!(tell(&mut world, &mut page, create, 40).as_deref(), Some("tasks/created"));
}

#[test]
fn a_change_to_an_item_that_is_gone_is_not_shown_after_a_restart_either() {
    // Which items were gone was known only to the process that had seen them go.
    let mut world = World::new();
    let mut page = open_tasks(&mut world);
    let gone = world.add("11:b:t", r#"{"type":"tasks/delete","id":"1"}"#);
    world.publish(&gone, &mut page);
    let state = NodeState::from_bytes(&page.session.end().to_bytes());
    world.add_made("11:b:t", r#"{"type":"tasks/change","id":"1","fields":{"n":7}}"#, 500_001);
    let mut page = world.connect("10:a:t", page.number, state);
    world.send(&mut page, &again_since("1 server:elsewhere:1 2"));
    assert_eq!(page.kinds(), [builtin::PROCESSED]);
}

#[test]
fn the_second_action_of_an_item_is_in_a_frame_of_its_own() {
    // A list takes an item up with its first action, and misses what comes in the same frame.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, OPEN_TASKS);
    page.session.on_mail(Vec::new(), true, &Fates::default(), world.at());
    world.add("11:b:t", r#"{"type":"tasks/create","id":"1","fields":{"done":false}}"#);
    world.add("11:b:t", r#"{"type":"tasks/change","id":"1","fields":{"n":1}}"#);
    let before = page.frames.len();
    world.settle(&mut page);
    assert_eq!(page.kinds()[1..], [builtin::SUBSCRIBED, "tasks/created", "tasks/changed"]);
    assert_eq!(page.frames[before..], ["sync", "sync"]);
}
