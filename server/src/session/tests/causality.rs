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
