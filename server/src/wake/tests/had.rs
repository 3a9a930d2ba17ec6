//! What a device has had, and what it has not: by the ways that it can come.

use super::double::Double;
use super::world::{Keys, World};
use crate::auth::{Identity, Presence};
use crate::hub::Inbox;
use crate::log::{Channel, LogName};
use crate::session::{NodeState, Remembered};
use crate::wake::deliver::deliver;
use crate::wake::table::{Done, Missed};
use serde_json::{Value, json};
use std::sync::Arc;
use tidelog_protocol::{ClientId, NodeId, UserId};

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

fn user() -> UserId {
    UserId::new("10").unwrap()
}

/// `10:a` is connected.
fn enter(world: &World) -> Presence {
    let claims = Arc::default();
    let identity = Identity { user: user(), claims, expires_ms: None, anonymous: false };
    let client = ClientId::new("10:a").unwrap();
    world.app.auth.enter(&identity, Some(&client), &Inbox::behind(), crate::clock::now_ms())
}

/// A session ends that has acknowledged everything of its user's log and of `channels`.
fn leave(world: &World, presence: Presence, channels: &[(&str, bool)]) {
    let head = world.app.log.head();
    let remembered = |(name, acked): &(&str, bool)| Remembered {
        channel: Channel::new(name).unwrap(),
        filter: String::new(),
        through: head,
        acked: *acked,
        brought: Vec::new(),
        pending: Vec::new(),
        state_ms: 0,
        late: None,
        untold: None,
        live: true,
    };
    let subscriptions = channels.iter().map(remembered).collect();
    let state = NodeState { acked: head, subscriptions, ..NodeState::default() };
    let now = crate::clock::now_ms();
    world.app.leave_node(&NodeId::new("10:a:tab").unwrap(), state, presence, now);
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
        leave(&world, enter(&world), channels);
        assert_eq!(service.next().await.path, "/a", "{channels:?}");
        world.until(|world| world.app.wakes.waiting() == 0).await;
    }
    service.answer(429, Some("3600"), "");
    world.act("11:b", &json!({"type": "post"})).await;
    service.next().await;
    leave(&world, enter(&world), &[("posts/2", true), ("posts/1", true)]);
    world.until(|world| world.app.wakes.waiting() == 0).await;
    assert!(service.is_quiet());
}

/// Who is about to tell the device waits while a session of its client is here, and tells nothing of what that has
/// had once it is gone: at no moment between is the client neither here nor known to have had it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_is_not_woken_for_what_it_had_on_its_way_out() {
    let mut world = World::open(POSTS, "");
    let mut service = registered(&world).await;
    world.stop_following().await;
    let id = world.app.wakes.book.of_user(&user()).unwrap().remove(0).id;
    let key = (ClientId::new("10:a").unwrap(), id);
    for round in 0..50 {
        let presence = enter(&world);
        world.act("10:b", &json!({"type": "note"})).await;
        // It was taken from the table before the session ended.
        let missed = Missed::new((LogName::User(user()), world.app.log.head()), None, 0);
        assert_eq!(deliver(&world.app, &key, &missed).await, Done::Connected, "{round}");
        let (app, key) = (world.app.clone(), key.clone());
        let telling = tokio::spawn(async move {
            loop {
                match deliver(&app, &key, &missed).await {
                    Done::Connected => tokio::task::yield_now().await,
                    done => return done,
                }
            }
        });
        leave(&world, presence, &[]);
        assert_eq!(telling.await.unwrap(), Done::Dropped, "{round}");
    }
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
