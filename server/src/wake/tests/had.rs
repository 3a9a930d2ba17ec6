//! What a device has had, and what it has not: by the ways that it can come.

use super::double::Double;
use super::world::{Keys, World};
use crate::log::Channel;
use crate::session::{NodeState, Remembered};
use serde_json::json;
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
