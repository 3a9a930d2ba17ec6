//! Loads: apart from the order of positions, and nothing lost where the two meet.

use super::super::*;
use super::world::*;
use std::collections::VecDeque;
use tidelog_protocol::builtin;

#[test]
fn a_subscription_loads_and_is_answered_after_the_last_frame_of_the_load() {
    let mut world = World::new();
    for _ in 0..5 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    let mut expected = vec!["posts/add"; 5];
    expected.push(builtin::PROCESSED);
    assert_eq!(page.kinds(), expected);
    assert_eq!(page.frames, ["sync", "sync", "sync", "sync", "synced"]);
    let entry = world.add("11:b:t", r#"{"type":"posts/add"}"#);
    world.publish(&entry, &mut page);
    assert_eq!(page.count("posts/add"), 6);
}

#[test]
fn a_load_that_was_cut_starts_again() {
    let mut world = World::new();
    for _ in 0..12 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    page.acknowledges = false;
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 6, "the window");
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 12);
}

#[test]
fn what_comes_between_the_load_of_a_channel_and_a_page_of_history_is_not_skipped() {
    // The page of history was asked for while the channel was loading, so it left the channel out;
    // it moved the cursor past an entry of the channel, and nobody read that one.
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    for _ in 0..3 {
        world.add("10:b:t", r#"{"type":"note"}"#);
    }
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    world.now += 50;
    page.session.on_tick(world.at()).unwrap();
    world.say(&mut page, SUBSCRIBE);
    let own = LogName::User(page.node.user().unwrap());
    let mut histories = 0;
    let mut waiting: VecDeque<_> = page.session.effects().into();
    while let Some(effect) = waiting.pop_front() {
        if matches!(&effect, Effect::Read(ReadOrder::Stretch { logs, .. }) if logs.contains(&own)) {
            histories += 1;
            if histories == 2 {
                world.add("11:b:t", r#"{"type":"posts/add"}"#);
            }
        }
        world.do_effect(effect, &mut page);
        waiting.extend(page.session.effects());
    }
    assert_eq!(page.count("note"), 3);
    assert_eq!(page.count("posts/add"), 2);
}

#[test]
fn a_page_read_for_a_subscription_that_ended_is_not_used_for_the_next_one() {
    let mut world = World::new();
    for _ in 0..4 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    world.say(&mut page, SUBSCRIBE);
    let first = page.session.effects();
    world.say(&mut page, r#"{"type":"logux/unsubscribe","channel":"posts"}"#);
    world.say(&mut page, SUBSCRIBE);
    // Only now the first read is carried out, with a head that would skip the whole channel.
    let read = first.iter().any(|effect| matches!(effect, Effect::Read(_)));
    assert!(read, "the first load was being read");
    let late = crate::log::Page { entries: Vec::new(), through: world.head(), more: false };
    page.session.on_page(&late, world.at());
    world.settle(&mut page);
    assert_eq!(page.count("posts/add"), 4);
}

#[test]
fn a_subscription_that_was_acknowledged_before_its_load_was_over_is_answered_on_the_next_connection()
 {
    // The client had its `synced`, so it never sent the subscription again, and waited for ever.
    let mut world = World::new();
    for _ in 0..12 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    page.acknowledges = false;
    let id = world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.frames, ["sync", "sync", "sync"], "the window");
    world.now += 51_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert!(page.frames.contains(&"synced"), "stock clients give up at 70 s");
    let state = NodeState::from_bytes(&page.session.end().to_bytes());
    let mut page = world.connect("10:a:t", page.number, state);
    world.start(&mut page);
    assert_eq!(page.count("posts/add"), 12);
    let answer = page.got.last().unwrap();
    assert_eq!(
        (answer.kind.as_str(), answer.answers.clone()),
        (builtin::PROCESSED, Some(id.to_string()))
    );
}
