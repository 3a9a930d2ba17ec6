//! Loads: apart from the order of positions, and nothing lost where the two meet.

use super::super::*;
use super::page::Page;
use super::world::*;
use crate::sync_map::Fates;
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
    page.session.on_page(&late, &Fates::default(), world.at());
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

/// A page that is behind and takes nothing more, with a subscription to the posts that have x.
fn behind(world: &mut World) -> Page {
    let mut page = world.open("10:a:t");
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"posts","filter":{"x":1}}"#);
    page.acknowledges = false;
    for _ in 0..3 {
        let note = world.add("10:b:t", r#"{"type":"note"}"#);
        world.publish(&note, &mut page);
    }
    world.add("11:b:t", r#"{"type":"posts/add","x":1,"y":1}"#);
    page.session.on_mail(Vec::new(), true, &Fates::default(), world.at());
    world.settle(&mut page);
    assert_eq!(page.count("posts/add"), 0, "the window is full");
    page
}

#[test]
fn what_another_subscription_was_to_bring_is_not_lost_when_that_one_ends() {
    // The load left it to the other one, which was live, and its turn never came.
    let mut world = World::new();
    let mut page = behind(&mut world);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"posts","filter":{"y":1}}"#);
    world.send(&mut page, r#"{"type":"logux/unsubscribe","channel":"posts","filter":{"x":1}}"#);
    world.acknowledge(&mut page);
    assert_eq!(page.count("posts/add"), 1);
}

#[test]
fn what_another_subscription_was_to_bring_is_loaded_when_that_one_ends_before_the_load() {
    let mut world = World::new();
    let mut page = behind(&mut world);
    for _ in 0..6 {
        world.add("11:b:t", r#"{"type":"posts/add","y":1}"#);
    }
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"posts","filter":{"y":1}}"#);
    assert_eq!(page.frames.last(), Some(&"sync"), "the load waits for the window");
    world.send(&mut page, r#"{"type":"logux/unsubscribe","channel":"posts","filter":{"x":1}}"#);
    world.acknowledge(&mut page);
    let mut posts: Vec<_> = page.got.iter().filter(|got| got.kind == "posts/add").collect();
    posts.sort_by_key(|got| got.id.ms);
    assert_eq!(posts.len(), 7);
    posts.dedup_by_key(|got| got.id.ms);
    assert_eq!(posts.len(), 7);
}

#[test]
fn what_another_subscription_was_to_bring_is_remembered_as_missing() {
    let mut world = World::new();
    let mut page = behind(&mut world);
    let by_y = r#"{"type":"logux/subscribe","channel":"posts","filter":{"y":1}}"#;
    world.send(&mut page, by_y);
    // All that was sent is acknowledged, and the connection breaks before the rest is.
    let state = {
        let frames = page.frames.iter().filter(|frame| **frame == "sync").count();
        for _ in 0..frames {
            let synced = page.client.synced(page.number, world.now);
            page.session.on_frame(&synced, world.at()).unwrap();
        }
        page.session.end()
    };
    let mut page = world.connect("10:a:t", page.number, state);
    world.send(&mut page, by_y);
    assert_eq!(page.count("posts/add"), 1);
}

#[test]
fn a_load_that_takes_longer_than_a_client_waits_is_acknowledged_early_and_answered_later() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"tasks/create","id":"1","fields":{"n":1}}"#);
    let mut page = world.open("10:a:t");
    let id = world.say(&mut page, r#"{"type":"logux/subscribe","channel":"tasks"}"#);
    let reading: Vec<_> = page.session.effects();
    assert!(reading.iter().any(|effect| matches!(effect, Effect::Read(_))), "it is being read");
    world.send(&mut page, r#"{"type":"note"}"#);
    assert_eq!(page.frames, ["sync"], "answered; acknowledgements keep the order of frames");
    world.now += 50_000;
    page.session.on_tick(world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.frames.iter().filter(|frame| **frame == "synced").count(), 2);
    for effect in reading {
        world.do_effect(effect, &mut page);
    }
    world.settle(&mut page);
    assert_eq!(page.count("tasks/changed"), 1);
    let answer = page.got.last().unwrap();
    assert_eq!(answer.answers, Some(id.to_string()));
}

#[test]
fn a_client_that_asks_for_one_load_again_and_again_is_refused_beyond_a_few() {
    let mut world = World::new();
    for _ in 0..12 {
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
    }
    let mut page = world.open("10:a:t");
    page.acknowledges = false;
    for _ in 0..200 {
        world.send(&mut page, SUBSCRIBE);
    }
    assert_eq!(page.count(builtin::UNDO), 200 - 64);
    world.acknowledge(&mut page);
    assert_eq!(page.count(builtin::PROCESSED), 64);
}
