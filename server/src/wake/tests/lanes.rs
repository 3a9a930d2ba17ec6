//! Services that are down, devices that come by themselves, and a process that is killed.

use super::double::Double;
use super::web::decrypt;
use super::world::{Keys, World};
use crate::wake::Order;
use serde_json::{Value, json};
use std::collections::HashSet;

fn note() -> Value {
    json!({"type": "note"})
}

#[tokio::test]
async fn a_service_that_is_down_delays_nobody_else() {
    let world = World::open("", "concurrency = 1\nqueue = 1");
    let (mut down, mut up) = (Double::start().await, Double::start().await);
    for n in 0..4 {
        let body = Keys::make().registering(&format!("{}/{n}", down.url));
        world.register(&format!("10:d{n}"), &body).await;
    }
    world.register("10:a", &Keys::make().registering(&format!("{}/up", up.url))).await;
    down.keep_silent();
    world.act("10:b", &note()).await;
    down.next().await;
    for _ in 0..3 {
        up.next().await;
        world.act("10:b", &note()).await;
    }
    assert!(down.is_quiet());
}

/// A queue of one is full at the second device: the rest are found in the log.
#[tokio::test]
async fn who_finds_no_room_is_told_later() {
    let world = World::open("", "queue = 1");
    let mut service = Double::start().await;
    for n in 0..5 {
        let body = Keys::make().registering(&format!("{}/{n}", service.url));
        world.register(&format!("10:d{n}"), &body).await;
    }
    world.act("10:b", &note()).await;
    let mut told = Vec::new();
    while told.len() < 5 {
        let path = service.next().await.path;
        if !told.contains(&path) {
            told.push(path);
        }
    }
    world.until(|world| world.app.wakes.waiting() == 0).await;
}

#[tokio::test]
async fn who_has_pulled_is_not_told_and_who_pulls_then_is_counted() {
    let world = World::open("", "");
    let (mut service, keys) = (Double::start().await, Keys::make());
    world.register("10:a", &keys.registering(&format!("{}/a", service.url))).await;
    // The service is busy with the first, so that the second waits.
    service.answer(429, Some("1"), "");
    world.act("10:b", &note()).await;
    service.next().await;
    assert_eq!(world.count("10"), 1);
    world.until(|world| world.app.wakes.waiting() == 1).await;
    let page = world.call("GET", "10:a", "/v1/log", &Value::Null).await;
    assert_eq!(page["actions"].as_array().unwrap().len(), 1);
    world.until(|world| world.app.wakes.waiting() == 0).await;
    world.act("10:b", &note()).await;
    assert_eq!(decrypt(&keys, &service.next().await.body)["head"], 2);
    world.until(|world| world.app.wakes.waiting() == 0).await;
    let pulled = |world: &World| {
        let text = world.app.metrics.text(crate::metrics::Format::Text);
        let line = text.lines().find(|line| line.starts_with("tidelog_push_pulled_seconds_count"));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(pulled(&world), "0");
    world.call("GET", "10:a", "/v1/log", &Value::Null).await;
    assert_eq!(pulled(&world), "1");
    let status = crate::wake::answer(&world.app, Order::Status {}).await.unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    let web = json!({"accepted": 1, "denied": 0, "failed": 1, "gone": 0, "refused": 0});
    assert_eq!((&status["pushes"]["web"], &status["pulled"]), (&web, &json!(1)), "{status}");
}

#[tokio::test]
async fn a_kill_between_commit_and_push_loses_no_wake_up_and_repeats_at_most_one() {
    let world = World::open("", "");
    let (mut service, keys) = (Double::start().await, Keys::make());
    world.register("10:a", &keys.registering(&format!("{}/a", service.url))).await;
    service.keep_silent();
    for _ in 0..3 {
        world.act("10:b", &note()).await;
    }
    service.next().await;
    // It was sent, and nobody knows whether it came.
    let world = world.kill().await;
    assert_eq!(decrypt(&keys, &service.next().await.body)["head"], 3);
    world.until(|world| world.app.wakes.waiting() == 0).await;
    assert!(service.is_quiet());
    // Between the commit and the follower.
    let mut world = world;
    world.stop_following().await;
    world.act("10:b", &note()).await;
    let _world = world.kill().await;
    assert_eq!(decrypt(&keys, &service.next().await.body)["head"], 4);
}

/// Ten users fill all lanes that strangers' services get. Who comes then shares one, and neither waits for
/// another there, nor fails with it.
#[tokio::test]
async fn services_that_fail_leave_the_others_their_way() {
    let world = World::open("", "origins_per_user = 20");
    let keys = Keys::make();
    for (user, n) in (20..30).flat_map(|user| (0..20).map(move |n| (user, n))) {
        let endpoint = format!("http://127.{user}.{n}.1:9/x");
        world.register(&format!("{user}:d{n}"), &keys.registering(&endpoint)).await;
    }
    for user in 20..30 {
        world.act(&format!("{user}:b"), &note()).await;
    }
    world.until(|world| world.app.wakes.waiting() == 200).await;
    let (mut down, mut up) = (Double::start().await, Double::start().await);
    world.register("30:a", &keys.registering(&format!("{}/a", down.url))).await;
    world.register("31:a", &keys.registering(&format!("{}/a", up.url))).await;
    down.answer(503, Some("3600"), "");
    world.act("30:b", &note()).await;
    down.next().await;
    for _ in 0..3 {
        world.act("31:b", &note()).await;
        up.next().await;
    }
    assert!(down.is_quiet());
}

/// More than are read of a channel at once, with room for them, and without.
#[tokio::test]
async fn each_of_very_many_devices_of_a_channel_is_told_of_all_that_came() {
    const RULES: &str = "[[action]]\ntype = \"post\"\nchannels = [\"news\"]\n\
                         [[channel]]\npattern = \"news\"\n";
    let mut told = Vec::new();
    for queue in [1000, 40] {
        let mut world = World::open(RULES, &format!("queue = {queue}"));
        let (mut service, keys) = (Double::start().await, Keys::make());
        for (user, n) in (20..34).flat_map(|user| (0..20).map(move |n| (user, n))) {
            let mut body = keys.registering(&format!("{}/{user}/{n}", service.url));
            body["channels"] = json!(["news"]);
            world.register(&format!("{user}:d{n}"), &body).await;
        }
        world.stop_following().await;
        for _ in 0..3 {
            world.act("10:b", &json!({"type": "post"})).await;
        }
        world.follow_again();
        let mut heads: HashSet<String> = HashSet::new();
        while heads.len() < 280 {
            let came = service.next().await;
            if decrypt(&keys, &came.body)["head"] == 3 {
                heads.insert(came.path);
            }
        }
        told.push(heads.len());
    }
    assert_eq!(told, [280, 280]);
}
