//! What a node finds when it comes back.

use super::super::*;
use super::world::*;
use crate::epochs::Epoch;
use tidelog_protocol::{ActionId, builtin};

#[test]
fn a_subscription_named_again_by_its_node_goes_on_where_it_was() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.reconnect(page);
    world.start(&mut page);
    assert_eq!(page.kinds(), Vec::<&str>::new(), "nothing of it before it is named");
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.kinds(), ["posts/add", builtin::PROCESSED]);
    assert_eq!(page.got[0].id.ms, 2);
}

#[test]
fn what_was_received_and_not_acknowledged_does_not_come_again() {
    // The connection broke after the frame, and before its `synced`: the number in `connect` tells.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    page.acknowledges = false;
    let entry = world.add("11:b:t", r#"{"type":"posts/add"}"#);
    world.publish(&entry, &mut page);
    assert_eq!(page.count("posts/add"), 1);
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 0);
}

#[test]
fn what_was_sent_and_not_received_comes_again() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    let number = page.number;
    page.acknowledges = false;
    let entry = world.add("11:b:t", r#"{"type":"posts/add"}"#);
    world.publish(&entry, &mut page);
    page.number = number;
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 1);
}

#[test]
fn another_node_goes_on_from_the_id_of_an_answer_that_this_server_minted() {
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    let answer = page.got.last().unwrap().id.clone();
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let resubscribe = |id: &str| {
        format!(
            r#"{{"type":"logux/subscribe","channel":"posts","since":{{"id":"{id}","time":1}}}}"#
        )
    };
    for (id, expected) in [
        (answer.to_string(), 1),
        (answer.to_string().replace("server:", "serves:"), 2),
        (format!("{} {} 0", answer.ms, answer.node), 2),
    ] {
        let mut tab = world.open("10:a:u");
        world.send(&mut tab, &resubscribe(&id));
        assert_eq!(tab.count("posts/add"), expected, "{id}");
    }
}

#[test]
fn what_is_remembered_of_another_history_is_forgotten() {
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.send(&mut page, SUBSCRIBE);
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    let mut page = world.reconnect(page);
    world.send(&mut page, SUBSCRIBE);
    let state = page.session.end();
    let epoch = Epoch { first: Position::ZERO.plus(1), id: 100, started_ms: 0 };
    world.shared.epochs = Epochs::new(vec![epoch]);
    let mut page = world.connect("10:a:t", 0, state);
    world.send(&mut page, SUBSCRIBE);
    assert_eq!(page.count("posts/add"), 1, "the whole channel");
}

/// A subscription to `channel` by a page that last had the answer called `id`.
fn since(channel: &str, id: &ActionId) -> String {
    format!(
        r#"{{"type":"logux/subscribe","channel":"{channel}","since":{{"id":"{id}","time":1}}}}"#
    )
}

#[test]
fn the_id_of_an_answer_to_something_else_is_no_since() {
    // Any id of an answer without an entry was taken for that of a subscription.
    let mut world = World::new();
    let mut page = world.open("10:a:t");
    world.add("11:b:t", r#"{"type":"posts/add"}"#);
    world.send(&mut page, r#"{"type":"logux/unsubscribe","channel":"posts"}"#);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"nowhere"}"#);
    world.send(&mut page, r#"{"type":"logux/subscribe","channel":"tasks"}"#);
    assert_eq!(page.kinds(), [builtin::PROCESSED, builtin::UNDO, builtin::PROCESSED]);
    for answer in page.got.iter().map(|got| got.id.clone()) {
        let mut tab = world.open("10:a:u");
        world.send(&mut tab, &since("posts", &answer));
        assert_eq!(tab.count("posts/add"), 1, "{answer} is no answer to a subscription to posts");
    }
}

#[test]
fn what_is_remembered_of_a_node_does_not_grow_with_each_connection() {
    // Each connection within a minute added its own subscriptions to those of the one before.
    let mut world = World::new();
    world.add("11:b:t", r#"{"type":"posts/add","n":0}"#);
    let mut page = world.open("10:a:t");
    let most = world.shared.limits.subscriptions;
    let subscribe = |n: usize| {
        format!(r#"{{"type":"logux/subscribe","channel":"posts","filter":{{"n":{n}}}}}"#)
    };
    for n in 0..5 * most {
        if n % most == 0 {
            page = world.reconnect(page);
        }
        world.send(&mut page, &subscribe(n));
    }
    assert_eq!(page.count(builtin::UNDO), 0);
    let state = page.session.end();
    assert_eq!(state.subscriptions.len(), most);
    let mut page = world.connect("10:a:t", page.number, state);
    world.send(&mut page, &subscribe(0));
    assert_eq!(page.count("posts/add"), 1, "what was forgotten is loaded in full");
}
