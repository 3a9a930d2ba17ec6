//! What a device has had, and what it has not: by the ways that it can come.

use super::double::Double;
use super::world::{Keys, World};
use crate::log::Channel;
use crate::session::{NodeState, Remembered};
use serde_json::{Value, json};
use tidelog_protocol::NodeId;

const POSTS: &str = r#"
    [[action]]
    type = "note"
    [[action]]
    type = "post"
    channels = ["posts/1"]
    [[channel]]
    pattern = "posts/:id"
"#;

async fn registered(world: &World) -> Double {
    let service = Double::start().await;
    let mut body = Keys::make().registering(&format!("{}/a", service.url));
    body["channels"] = json!(["posts/1"]);
    world.register("10:a", &body).await;
    service
}

/// A session ends that has acknowledged everything of its user's log and of `channels`.
fn leave(world: &World, channels: &[(&str, bool)]) {
    let head = world.app.log.head();
    let remembered = |(name, acked): &(&str, bool)| Remembered {
        channel: Channel::new(name).unwrap(),
        filter: String::new(),
        through: head,
        acked: *acked,
        brought: Vec::new(),
        pending: Vec::new(),
        state_ms: 0,
        live: true,
    };
    let subscriptions = channels.iter().map(remembered).collect();
    let state = NodeState { acked: head, subscriptions, ..NodeState::default() };
    let now = crate::clock::now_ms();
    world.app.leave_node(&NodeId::new("10:a:tab").unwrap(), state, now);
}

#[tokio::test]
async fn who_left_is_woken_for_channels_that_it_had_not_subscribed_to() {
    let world = World::open(POSTS, "");
    let mut service = registered(&world).await;
    for channels in [&[] as &[_], &[("posts/2", true)], &[("posts/1", false)]] {
        // The service takes it at the second attempt, so that it waits when the session ends.
        service.answer(429, Some("1"), "");
        world.act("11:b", &json!({"type": "post"})).await;
        service.next().await;
        leave(&world, channels);
        assert_eq!(service.next().await.path, "/a", "{channels:?}");
        world.until(|world| world.app.wakes.waiting() == 0).await;
    }
    service.answer(429, Some("3600"), "");
    world.act("11:b", &json!({"type": "post"})).await;
    service.next().await;
    leave(&world, &[("posts/2", true), ("posts/1", true)]);
    world.until(|world| world.app.wakes.waiting() == 0).await;
    assert!(service.is_quiet());
}

/// Pulls as `10:a` with this query; the cursor.
async fn pull(world: &World, query: &str) -> String {
    let path = format!("/v1/log?channel=posts/1{query}");
    let page = world.call("GET", "10:a", &path, &Value::Null).await;
    page["cursor"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_pulled_before_the_follower_came_is_not_woken() {
    let mut world = World::open(POSTS, "");
    let mut service = registered(&world).await;
    world.stop_following().await;
    for who in ["10:b", "11:b"] {
        world.act(who, &json!({"type": if who == "10:b" { "note" } else { "post" }})).await;
    }
    pull(&world, "").await;
    world.follow_again();
    world.followed().await;
    assert_eq!((world.app.wakes.waiting(), service.is_quiet()), (0, true));
    // And for what came after that, it is.
    world.act("11:b", &json!({"type": "post"})).await;
    assert_eq!(service.next().await.path, "/a");
}

/// The socket may be dead that the answer goes to: what counts is the cursor that comes back.
#[tokio::test]
async fn an_answer_to_who_waits_counts_when_its_cursor_comes_back() {
    let mut world = World::open(POSTS, "");
    let mut service = registered(&world).await;
    world.stop_following().await;
    world.act("11:b", &json!({"type": "post"})).await;
    pull(&world, "&wait=60").await;
    world.follow_again();
    assert_eq!(service.next().await.path, "/a");
    world.until(|world| world.app.wakes.waiting() == 0).await;
    world.stop_following().await;
    world.act("11:b", &json!({"type": "post"})).await;
    let cursor = pull(&world, "&wait=60").await;
    // It waits again, and nothing more comes.
    pull(&world, &format!("&wait=1&since={cursor}")).await;
    world.follow_again();
    world.followed().await;
    assert_eq!((world.app.wakes.waiting(), service.is_quiet()), (0, true));
}

#[tokio::test]
async fn a_page_of_a_stream_that_nobody_took_does_not_count() {
    let mut world = World::open(POSTS, "");
    let mut service = registered(&world).await;
    world.stop_following().await;
    world.act("11:b", &json!({"type": "post"})).await;
    let events = world.stream("10:a", "/v1/log?channel=posts/1").await;
    assert!(events.contains("\"type\":\"post\""), "{events}");
    world.follow_again();
    assert_eq!(service.next().await.path, "/a");
}
