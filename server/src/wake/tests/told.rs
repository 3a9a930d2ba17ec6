//! A process that is killed while a device waits: what the others were told, and when, stays known.

use super::apns;
use super::double::apns::{Account, device};
use super::double::{Double, Reply};
use super::world::{Keys, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn note() -> Value {
    json!({"type": "note"})
}

/// The paths of the next requests.
async fn paths<const N: usize>(service: &mut Double) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for _ in 0..N {
        all.insert(service.next().await.path);
    }
    all
}

/// Waits until it is on disk that these devices of user 10 were told.
async fn kept(world: &World, ids: &[String]) {
    let is_kept = |world: &World, id: &String| world.device("10", id).unwrap().told.ms > 0;
    world.until(|world| ids.iter().all(|id| is_kept(world, id))).await;
}

#[tokio::test]
async fn a_restart_while_one_waits_tells_that_one_and_nobody_twice() {
    let world = World::open("", "");
    let (mut service, keys) = (Double::start().await, Keys::make());
    let body = |name: &str| keys.registering(&format!("{}/{name}", service.url));
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(world.register(&format!("10:{name}"), &body(name)).await);
    }
    world.register("10:w", &body("waits")).await;
    let mut changed = body("a");
    changed["language"] = json!("de");
    service.say("/waits", Reply::new(429, &"").with("retry-after", &"600"));
    world.act("10:d", &note()).await;
    let all = BTreeSet::from(["/a", "/b", "/c", "/waits"].map(str::to_owned));
    assert_eq!(paths::<4>(&mut service).await, all);
    kept(&world, &ids).await;
    // Who registers anew is the same.
    world.register("10:a", &changed).await;
    let world = world.kill().await;
    assert_eq!(service.next().await.path, "/waits");
    world.until(|world| world.app.wakes.waiting() == 0).await;
    assert!(service.is_quiet());
    // Of what is new, all are told.
    world.act("10:d", &note()).await;
    assert_eq!(paths::<4>(&mut service).await, all);
}

#[tokio::test]
async fn a_phone_that_was_told_in_silence_is_not_told_so_sooner_after_a_restart() {
    const MESSAGES: &str = "[[push]]\ntype = \"chat\"\nhow = \"message\"\ntitle = \"Hi\"\n\
                            [[push]]\ntype = \"*\"\nhow = \"silent\"\n";
    let account = Account::make();
    // Apple would ask who starts twice for patience: this one takes any token.
    let mut apple = Double::judging(|_| Box::new(|_, _| Ok(Reply::new(200, &"")))).await;
    let often = apns::settings(&apple.url);
    let seldom = often.replace("silent_interval = \"1ms\"", "silent_interval = \"1h\"");
    assert_ne!(seldom, often);
    let settings = format!("concurrency = 1\n{seldom}{MESSAGES}");
    let world = World::with_files(&[("key.p8", &account.pem)], &settings);
    let (first, second) = (device("aa"), device("bb"));
    let path = |token: &str| format!("/3/device/{token}");
    let id = world.register("10:a", &json!({"kind": "apns", "token": first})).await;
    world.act("10:d", &note()).await;
    assert_eq!(apple.next().await.path, path(&first));
    kept(&world, &[id]).await;
    let world = world.kill().await;
    world.register("10:b", &json!({"kind": "apns", "token": second})).await;
    world.act("10:d", &note()).await;
    // One at a time, the first before the second: it would have come by now.
    assert_eq!(apple.next().await.path, path(&second));
    assert!(apple.is_quiet());
    world.until(|world| world.app.wakes.waiting() == 1).await;
    // A message needs not wait.
    world.act("10:d", &json!({"type": "chat"})).await;
    let both = BTreeSet::from([path(&first), path(&second)]);
    assert_eq!(paths::<2>(&mut apple).await, both);
    world.until(|world| world.app.wakes.waiting() == 0).await;
}

#[tokio::test]
async fn a_device_that_went_does_not_come_back_for_what_it_was_told() {
    let world = World::open("", "");
    let (mut service, keys) = (Double::start().await, Keys::make());
    let id = world.register("10:a", &keys.registering(&format!("{}/a", service.url))).await;
    world.act("10:d", &note()).await;
    service.next().await;
    world.until(|world| world.app.wakes.waiting() == 0).await;
    world.call("DELETE", "10:a", &format!("/v1/push/devices/{id}"), &Value::Null).await;
    world.app.wakes.keep_told().await;
    assert!(!world.is_registered("10", &id));
}
