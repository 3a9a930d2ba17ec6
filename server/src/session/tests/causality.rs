//! What authors had seen when they acted.

use super::super::*;
use super::world::*;
use crate::hub::Delivery as Mail;
use tidelog_crdt::{Context, Dot};
use tidelog_protocol::{ActionId, NodeId};

const NOTE: &str = r#"{"type":"note"}"#;

fn sees(context: &Context, position: u64) -> bool {
    context.covers(Dot { incarnation: HERE, position: Position::new(position).unwrap() })
}

fn made_at(ms: u64) -> ActionId {
    ActionId { node: NodeId::new("10:a:t").unwrap(), ms, sequence: 0 }
}

#[test]
fn what_is_acknowledged_while_an_action_waits_to_be_judged_was_not_seen_by_its_author() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let first = world.add("10:b:t", NOTE);
    world.publish(&first, &mut page);
    world.say(&mut page, NOTE);
    let judging = page.session.effects();
    world.say(&mut page, NOTE);
    // Sent before the page acted, but taken, and acknowledged, only after that.
    let second = world.add("10:b:t", NOTE);
    let mail = vec![Mail { entry: second, live: false }];
    page.session.on_mail(mail, false, &crate::sync_map::Fates::default(), world.at());
    for effect in page.session.effects().into_iter().chain(judging) {
        world.do_effect(effect, &mut page);
    }
    world.settle(&mut page);
    let [_, waited] = &world.contexts[..] else { panic!("{:?}", world.contexts) };
    assert!(sees(waited, 1), "it had acknowledged the first");
    assert!(!sees(waited, 2), "it had not the second");
    assert!(sees(waited, 3), "it had its own");
}

#[test]
fn an_author_has_seen_its_own_actions_whatever_it_has_acknowledged_since() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    let first = world.add("10:b:t", NOTE);
    world.publish(&first, &mut page);
    world.say(&mut page, NOTE);
    let made = world.now + 1;
    world.now += 10;
    // Its own is answered, and that is acknowledged.
    world.settle(&mut page);
    let third = world.add("10:b:t", NOTE);
    world.publish(&third, &mut page);
    // Made before that answer was sent, and slow to come.
    world.send_as(&mut page, NOTE, &made_at(made));
    let context = world.contexts.last().unwrap();
    assert!(sees(context, 1) && sees(context, 2) && !sees(context, 3), "{context:?}");
}

/// The cursor of a page moves on what it follows. What came in a channel before the page subscribed to
/// it was not covered, so a page that removed what it was shown removed nothing.
#[test]
fn an_author_has_seen_what_was_loaded_and_acknowledged() {
    for (kind, channel) in [("posts/add", "posts"), ("crdt/counter/add", "shelf")] {
        for acknowledges in [true, false] {
            let mut world = World::new();
            let mut page = world.open("10:a:t");
            world.add("11:b:t", &format!(r#"{{"type":"{kind}","doc":"a"}}"#));
            page.acknowledges = acknowledges;
            world
                .send(&mut page, &format!(r#"{{"type":"logux/subscribe","channel":"{channel}"}}"#));
            let loaded_at = world.now;
            world.now += 10;
            world.add("11:b:t", &format!(r#"{{"type":"{kind}","doc":"a"}}"#));
            world.send(&mut page, NOTE);
            let context = world.contexts.last().unwrap();
            assert_eq!(sees(context, 1), acknowledges, "{channel}");
            assert!(!sees(context, 2), "it came later");
            world.send_as(&mut page, NOTE, &made_at(loaded_at - 1));
            assert!(!sees(world.contexts.last().unwrap(), 1), "made before the load was sent");
        }
    }
}

const POST: &str = r#"{"type":"posts/add"}"#;
const UNSUBSCRIBE: &str = r#"{"type":"logux/unsubscribe","channel":"posts"}"#;

/// What somebody else did in the channel is at 1; the context of a post that the page makes then.
fn posted(world: &mut World, page: &mut super::page::Page) -> Context {
    world.now += 10;
    world.send(page, POST);
    world.contexts.last().unwrap().clone()
}

#[test]
fn of_a_channel_that_is_not_followed_the_author_has_seen_its_own_and_no_more() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.add("11:b:t", POST);
    // Its own log is acknowledged beyond that.
    let note = world.add("10:b:t", NOTE);
    world.publish(&note, &mut page);
    let first = posted(&mut world, &mut page);
    assert!(!sees(&first, 1) && !sees(&first, 2), "{first:?}");
    world.add("11:b:t", POST);
    let second = posted(&mut world, &mut page);
    assert!(sees(&second, 3) && !sees(&second, 4), "its own: {second:?}");
    world.now += 10;
    world.send(&mut page, NOTE);
    assert!(sees(world.contexts.last().unwrap(), 2), "in its own log alone it counts");
}

#[test]
fn a_channel_counts_while_it_is_followed_and_not_when_it_is_filtered() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.add("11:b:t", POST);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"posts","filter":{"a":1}}"#);
    assert!(!sees(&posted(&mut world, &mut page), 1), "filtered");
    world.send(&mut page, SUBSCRIBE);
    assert!(sees(&posted(&mut world, &mut page), 1));
    let entry = world.add("11:b:t", POST);
    assert!(!sees(&posted(&mut world, &mut page), entry.position.get()), "on its way");
    world.publish(&entry, &mut page);
    assert!(sees(&posted(&mut world, &mut page), entry.position.get()));
    world.send(&mut page, UNSUBSCRIBE);
    let context = posted(&mut world, &mut page);
    assert!(!sees(&context, 1) && sees(&context, 2), "{context:?}");
}

/// Stock clients send what they made offline before they name their subscriptions again.
#[test]
fn who_acts_offline_has_seen_what_its_earlier_connection_had_brought() {
    for (acknowledges, since) in [(true, 0), (false, 0), (true, 1)] {
        let mut world = World::new();
        let mut page = world.open("10:a:t");
        world.add("11:b:t", POST);
        page.acknowledges = acknowledges;
        world.send(&mut page, SUBSCRIBE);
        let made = world.now + 5;
        world.now += 10;
        // What comes while it is away it has not seen.
        world.add("11:b:t", POST);
        let state = NodeState::from_bytes(&page.session.end().to_bytes());
        let number = if since == 0 { page.number } else { 0 };
        let mut page = world.connect("10:a:t", number, state);
        world.send_as(&mut page, POST, &made_at(made));
        let context = world.contexts.last().unwrap();
        assert_eq!(sees(context, 1), acknowledges && number > 0, "{context:?}");
        assert!(!sees(context, 2));
        // An action of the node itself counts wherever it is.
        world.send_as(&mut page, POST, &made_at(made + 1));
        assert!(sees(world.contexts.last().unwrap(), 3));
    }
}

#[test]
fn an_author_has_seen_nothing_of_the_log_of_another_user_or_of_a_channel_that_shows_no_past() {
    let rules = r#"
        [[action]]
        type = "mail"
        users = ["11"]
        [[action]]
        type = "news"
        channels = ["news"]
        [[channel]]
        pattern = "news"
        load = "none"
    "#;
    let mut world = World::with_rules(rules);
    let mut page = world.open("10:a:t");
    let first = world.add("10:b:t", r#"{"type":"news"}"#);
    world.publish(&first, &mut page);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"news"}"#);
    for kind in ["mail", "news"] {
        world.now += 10;
        world.send(&mut page, &format!(r#"{{"type":"{kind}"}}"#));
        assert!(!sees(world.contexts.last().unwrap(), 1), "{kind}");
    }
    assert!(sees(world.contexts.last().unwrap(), 2), "its own");
}

#[test]
fn while_documents_come_anew_a_channel_counts_as_far_as_before() {
    let mut world = World::new();
    let add = r#"{"type":"crdt/counter/add","doc":"a"}"#;
    let mut page = world.open("10:a:t");
    world.add("11:b:t", add);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"shelf"}"#);
    world.now += 1_000;
    page.acknowledges = false;
    let late = world.add_made("11:b:t", add, 1);
    world.publish(&late, &mut page);
    world.now += 10;
    world.send(&mut page, add);
    let context = world.contexts.last().unwrap();
    assert!(sees(context, 1) && !sees(context, 2), "{context:?}");
    world.acknowledge(&mut page);
    world.now += 10;
    world.send(&mut page, add);
    assert!(sees(world.contexts.last().unwrap(), 2));
}

/// Who follows a map follows all of its items, and who follows an item knows all that is said of it.
#[test]
fn of_an_item_an_author_has_seen_what_it_followed_of_it_or_of_its_map() {
    let change = r#"{"type":"tasks/change","id":"1","fields":{"n":1}}"#;
    for (channel, counts) in [("tasks", true), ("tasks/1", true), ("tasks/2", false)] {
        let mut world = World::new();
        let mut page = world.open("10:a:t");
        world.add("11:b:t", r#"{"type":"tasks/create","id":"1","fields":{"n":0}}"#);
        world.send(&mut page, &format!(r#"{{"type":"logux/subscribe","channel":"{channel}"}}"#));
        world.now += 10;
        world.send(&mut page, change);
        assert_eq!(sees(world.contexts.last().unwrap(), 1), counts, "{channel}");
    }
}
