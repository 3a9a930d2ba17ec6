//! Answers: before acknowledgements, once a connection, and alike on the next one.

use super::super::*;
use super::world::*;
use bytes::Bytes;
use tidelog_protocol::{Action, ActionId, Meta, builtin};

#[test]
fn an_action_is_answered_before_its_sync_is_acknowledged() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let id = world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(page.frames, ["sync", "synced"]);
    assert_eq!(page.got[0].kind, builtin::PROCESSED);
    assert_eq!(page.got[0].answers.as_deref(), Some(id.to_string().as_str()));
    assert_eq!(page.got[0].id.to_string(), format!("{} server:{HERE}:1 0", world.now));
}

#[test]
fn the_first_answer_tells_a_number_so_that_a_page_is_not_sent_its_own_action() {
    // A page that had nothing but its own action came back with 0, and got the action again.
    let mut world = World::new();
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(page.frames, ["sync", "synced"]);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.got, []);
}

#[test]
fn a_page_that_lost_its_first_answer_sends_the_action_again_and_does_not_get_it() {
    // The answer was cut off, so the page came back with 0 and got its own action from history.
    let mut world = World::new();
    world.add("10:b:t", r#"{"type":"note"}"#);
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    let id = world.send(&mut page, r#"{"type":"note"}"#);
    page.number = 0;
    let mut page = world.reconnect(page);
    world.send_as(&mut page, r#"{"type":"note"}"#, &id);
    assert_eq!(page.kinds(), [builtin::PROCESSED, "note"]);
    assert_eq!(page.got[1].id.node.as_str(), "10:b:t");
}

#[test]
fn a_duplicate_is_acknowledged_here_and_answered_alike_on_another_connection() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let note = r#"{"type":"note"}"#;
    let id = world.send(&mut page, note);
    world.send_as(&mut page, note, &id);
    assert_eq!(page.frames, ["sync", "synced", "synced"]);
    let first = page.got[0].clone();
    let mut page = world.reconnect(page);
    world.send_as(&mut page, note, &id);
    assert_eq!(page.got, [first]);
    assert_eq!(world.entries.len(), 1);
}

#[test]
fn an_unsubscribe_is_answered_once_by_its_id() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let unsubscribe = r#"{"type":"logux/unsubscribe","channel":"posts"}"#;
    let id = world.send(&mut page, unsubscribe);
    let mut page = world.reconnect(page);
    world.send_as(&mut page, unsubscribe, &id);
    assert_eq!(page.frames, ["synced"], "a second `processed` would cancel another subscription");
    world.send(&mut page, unsubscribe);
    assert_eq!(page.count(builtin::PROCESSED), 1);
}

#[test]
fn an_undo_is_never_earlier_than_its_action() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let action = Action::new(Bytes::from_static(br#"{"type":"unheard"}"#)).unwrap();
    let ahead = world.now + 60_000;
    let id = ActionId { node: page.node.clone(), ms: ahead, sequence: 0 };
    let meta = Meta { id, time: ahead, subprotocol: None };
    let frame = page.client.sync(1, [(&action, &meta)], 0, world.now);
    page.session.on_frame(&frame, world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.got[0].kind, builtin::UNDO);
    assert!(page.got[0].time >= ahead);
}

#[test]
fn a_channel_that_may_not_be_read_or_does_not_exist_is_undone() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"secret"}"#);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"nowhere"}"#);
    assert_eq!(page.kinds(), [builtin::UNDO, builtin::UNDO]);
}

#[test]
fn hundreds_of_frames_later_a_duplicate_is_still_acknowledged_and_no_more() {
    // The last 128 ids were known as answered; a duplicate of the one before was answered again.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let note = r#"{"type":"note"}"#;
    let first = world.send(&mut page, note);
    for _ in 0..300 {
        world.add("10:b:t", note);
        world.send(&mut page, note);
    }
    let answers = page.count(builtin::PROCESSED);
    world.send_as(&mut page, note, &first);
    assert_eq!(page.count(builtin::PROCESSED), answers);
    assert_eq!(page.frames.last(), Some(&"synced"));
}

#[test]
fn a_rejected_action_that_comes_again_is_acknowledged_and_no_more() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let secret = r#"{"type":"logux/subscribe","channel":"secret"}"#;
    let first = world.send(&mut page, secret);
    for _ in 0..300 {
        world.send(&mut page, r#"{"type":"logux/unsubscribe","channel":"posts"}"#);
    }
    world.send_as(&mut page, secret, &first);
    assert_eq!(page.count(builtin::UNDO), 1);
    let mut page = world.reconnect(page);
    world.send_as(&mut page, secret, &first);
    assert_eq!(page.count(builtin::UNDO), 1, "on another connection it is told again");
}

#[test]
fn a_subscription_that_comes_twice_is_answered_once() {
    // A second `processed` would count as a second subscription at the client.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let id = world.send(&mut page, SUBSCRIBE);
    world.send_as(&mut page, SUBSCRIBE, &id);
    assert_eq!(page.frames, ["sync", "synced", "synced"]);
    // The same while it is still being loaded.
    let filtered = r#"{"type":"logux/subscribe","channel":"posts","filter":{"x":1}}"#;
    let id = world.say(&mut page, filtered);
    world.send_as(&mut page, filtered, &id);
    assert_eq!(page.frames[3..], ["sync", "synced", "synced"]);
}

#[test]
fn a_client_is_read_from_only_as_long_as_little_of_it_waits_to_be_judged() {
    let mut world = World::new();
    world.shared.limits.window_bytes = 100_000;
    let mut page = world.open("10:a:t");
    let note = format!(r#"{{"type":"note","text":"{}"}}"#, "x".repeat(10_000));
    for n in 0..11 {
        assert!(page.session.wants_frames(), "after {n} actions");
        world.say(&mut page, &note);
    }
    assert!(!page.session.wants_frames(), "the first is being judged, and ten wait");
    world.settle(&mut page);
    assert!(page.session.wants_frames());
}
