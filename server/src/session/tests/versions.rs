//! Pages of other protocol versions.

use super::super::*;
use super::world::*;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{Form, builtin};

const SEVENS: [(Version, Form); 2] = [(Version::V7, Form::Text), (Version::V7, Form::Binary)];

#[test]
fn ready_is_said_once_after_all_of_history_and_only_to_those_who_wait_for_it() {
    for version in Version::ALL {
        let mut world = World::new();
        world.spoken.0 = version;
        for _ in 0..5 {
            world.add("10:b:t", r#"{"type":"note"}"#);
        }
        let mut page = world.open("10:a:t");
        let said = if version == Version::V7 { &["ready"][..] } else { &[] };
        assert_eq!(page.frames, [&["sync"; 3][..], said].concat());
        let entry = world.add("10:b:t", r#"{"type":"note"}"#);
        world.publish(&entry, &mut page);
        assert_eq!(page.frames, [&["sync"; 3][..], said, &["sync"]].concat());
    }
}

#[test]
fn ready_waits_for_the_acknowledgement_of_a_long_history() {
    let mut world = World::new();
    world.spoken.0 = Version::V7;
    for _ in 0..9 {
        world.add("10:b:t", r#"{"type":"note"}"#);
    }
    let mut page = world.connect("10:a:t", 0, NodeState::default());
    page.acknowledges = false;
    world.start(&mut page);
    assert_eq!(page.frames, ["sync"; 3]);
    let synced = page.client.synced(page.number, world.now);
    page.session.on_frame(&synced, world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.frames, ["sync", "sync", "sync", "sync"]);
    let synced = page.client.synced(page.number, world.now);
    page.session.on_frame(&synced, world.at()).unwrap();
    world.settle(&mut page);
    assert_eq!(page.frames.last(), Some(&"ready"));
}

#[test]
fn a_page_that_is_ready_waits_for_nothing() {
    for spoken in SEVENS {
        let mut world = World::new();
        world.spoken = spoken;
        world.add("10:b:t", r#"{"type":"note"}"#);
        let mut page = world.connect("10:a:t", 0, NodeState::default());
        let ready = page.client.ready(0, world.now).unwrap();
        page.session.on_frame(&ready, world.at()).unwrap();
        world.settle(&mut page);
        assert_eq!(page.frames, ["sync", "ready"]);
        assert_eq!(page.client.ready(0, world.now), None, "it is said once");
    }
}

#[test]
fn what_a_ready_page_had_made_is_answered_before_history() {
    for spoken in SEVENS {
        let mut world = World::new();
        world.spoken = spoken;
        world.add("10:b:t", r#"{"type":"note"}"#);
        let mut page = world.connect("10:a:t", 0, NodeState::default());
        let id = world.say(&mut page, r#"{"type":"note"}"#);
        let ready = page.client.ready(page.sequence, world.now).unwrap();
        page.session.on_frame(&ready, world.at()).unwrap();
        world.settle(&mut page);
        assert_eq!(page.kinds(), [builtin::PROCESSED, "note"]);
        assert_eq!(page.got[0].answers, Some(id.to_string()));
        assert_eq!(page.frames, ["sync", "sync", "synced", "ready"]);
    }
}

#[test]
fn a_subscription_resumes_from_a_since_that_names_a_late_answer() {
    // The answers of a server that has answered thousands have sequences that fit no name of
    // protocol 7 but the longer one, which has to come back as what it was.
    for spoken in SEVENS {
        let mut world = World::new();
        world.spoken = spoken;
        for _ in 0..3 {
            world.add("11:b:t", r#"{"type":"posts/add"}"#);
        }
        for _ in 0..2100 {
            AnswerId::unplaced(HERE, Position::ZERO, 0);
        }
        let mut page = world.open("10:a:t");
        world.send(&mut page, r#"{"type":"logux/subscribe","channel":"posts"}"#);
        let answer = page.got.iter().find(|got| got.kind == builtin::PROCESSED).unwrap();
        assert!(answer.id.sequence > 2048, "{}", answer.id);
        let again = format!(
            r#"{{"type":"logux/subscribe","channel":"posts","since":{{"id":"{}","time":{}}}}}"#,
            answer.id, answer.time
        );
        world.add("11:b:t", r#"{"type":"posts/add"}"#);
        let mut other = world.open("10:other:t");
        world.send(&mut other, &again);
        assert_eq!(other.count("posts/add"), 1);
    }
}
