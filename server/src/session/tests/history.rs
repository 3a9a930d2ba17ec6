//! History and live entries: in order, once, in chunks.

use super::super::*;
use super::world::*;
use crate::hub::Delivery as Mail;
use crate::log::Entry;
use crate::sync_map::Fates;
use tidelog_protocol::{Action, builtin};

#[test]
fn a_fresh_page_gets_history_in_order_with_its_own_actions_and_then_lives() {
    let mut world = World::new();
    for n in 0..5 {
        world.add(if n == 2 { "10:a:old" } else { "10:b:t" }, r#"{"type":"note"}"#);
    }
    world.add("11:c:t", r#"{"type":"note"}"#);
    let mut page = world.open("10:a:t");
    let ms: Vec<_> = page.got.iter().map(|got| got.id.ms).collect();
    assert_eq!(ms, [1, 2, 3, 4, 5]);
    assert!(page.live);
    let entry = world.add("10:b:t", r#"{"type":"note"}"#);
    world.publish(&entry, &mut page);
    assert_eq!(page.got.last().unwrap().id.ms, 7);
}

#[test]
fn a_page_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.open("10:a:t");
    world.send(&mut page, r#"{"type":"note"}"#);
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.got.iter().map(|got| got.id.ms).collect::<Vec<_>>(), [3]);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.got, []);
}

#[test]
fn the_first_frame_is_answered_before_history() {
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(page.kinds(), [builtin::PROCESSED, "note"]);
    assert_eq!(page.frames, ["sync", "sync", "synced"]);
}

#[test]
fn a_number_of_another_user_starts_from_the_beginning() {
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    world.add("11:b:t", r#"{"type":"note"}"#);
    let page = world.open("10:a:t");
    let mut other = world.connect("11:a:t", page.number, NodeState::default());
    world.start(&mut other);
    assert_eq!(other.count("note"), 1);
}

#[test]
fn the_next_chunk_waits_for_an_acknowledgement() {
    let mut world = World::new();
    for _ in 0..20 {
        world.add("10:b:t", r#"{"type":"note"}"#);
    }
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    page.acknowledges = false;
    world.start(&mut page);
    assert_eq!(page.frames.len(), 3, "three frames of two are the window");
    let synced = page.client.synced(page.number, world.now);
    page.session.on_frame(&synced, world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.frames.len(), 4);
}

#[test]
fn an_inbox_that_overflowed_does_not_move_the_cursor_past_what_it_dropped() {
    // A live-only action was left in the inbox; its position was taken for the cursor.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let dropped: Vec<_> = (0..3).map(|_| world.add("10:b:t", r#"{"type":"note"}"#)).collect();
    let mut live = Entry::clone(dropped.last().unwrap());
    live.kept = false;
    live.id.sequence += 1;
    live.action = Action::from_parts(r#"{"type":"cursor"}"#.into(), "cursor");
    let mail = Mail { entry: Arc::new(live), live: true };
    page.session.on_mail(vec![mail], true, &Fates::default(), world.at());
    world.settle(&mut page);
    assert_eq!((page.count("note"), page.count("cursor")), (3, 1));
}

#[test]
fn a_slow_link_is_read_from_while_nothing_more_is_put_on_its_way() {
    // Nothing was read while the link had much to carry, its acknowledgements neither, so that a
    // slow one was cut after 70 s.
    let mut world = World::new();
    for _ in 0..20 {
        world.add("10:b:t", r#"{"type":"note"}"#);
    }
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    page.acknowledges = false;
    world.start(&mut page);
    page.session.set_room(0);
    for _ in 0..2 {
        let synced = page.client.synced(page.number, world.now);
        page.session.on_frame(&synced, world.at()).unwrap();
    }
    let ping = page.client.ping(0, world.now);
    page.session.on_frame(&ping, world.at()).unwrap();
    world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(world.entries.len(), 21, "it is stored");
    assert_eq!(page.frames, ["sync", "sync", "sync"], "and waits with everything else");
    assert_eq!(page.session.delivery.acked(), Position::new(4).unwrap());
    page.session.set_room(1);
    page.session.on_room(world.at());
    world.settle(&mut page);
    assert_eq!(page.frames[3..], ["other"], "a pong; no more fits");
    page.session.set_room(usize::MAX);
    page.session.on_room(world.at());
    world.settle(&mut page);
    assert_eq!(page.frames[4..], ["sync", "synced", "sync"]);
    assert_eq!(page.got[6].kind, builtin::PROCESSED);
}
