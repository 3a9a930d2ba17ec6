//! FCM: what a device is told, and the token that an assertion buys.

use super::double::fcm::{account, judge};
use super::double::{Double, Reply};
use super::world::World;
use crate::wake::outcome::Outcome;
use serde_json::{Value, json};
use std::time::Duration;

/// A server that wakes by Firebase, and Google's services.
pub(super) async fn world(rules: &str) -> (World, Double) {
    let service = Double::judging(judge).await;
    let settings = format!(
        "[wake.fcm]\nservice_account_file = \"account.json\"\nurl = \"{}\"\n{rules}",
        service.url
    );
    (World::with_files(&[("account.json", &account(&service.url))], &settings), service)
}

#[tokio::test]
async fn a_device_is_told_with_a_token_that_is_bought_once() {
    let rules = "[[push]]\ntype = \"chat\"\nhow = \"message\"\ntitle = \"Hi\"\nbody = \"you\"\n\
                 [[push]]\ntype = \"*\"\nhow = \"silent\"";
    let (world, mut google) = world(rules).await;
    world.register("10:phone", &json!({"kind": "fcm", "token": "device:1"})).await;
    world.act("10:b", &json!({"type": "note"})).await;
    let came = google.next().await;
    assert_eq!((came.path.as_str(), came.answered), ("/token", 200));
    let came = google.next().await;
    assert_eq!(came.path, "/v1/projects/example-app/messages:send");
    assert_eq!((came.header("authorization"), came.answered), ("Bearer ya29.1", 200));
    let message = serde_json::from_slice::<Value>(&came.body).unwrap()["message"].clone();
    assert_eq!(message["token"], "device:1");
    assert_eq!(message["data"], json!({"tidelog": r#"{"tidelog":1,"head":1}"#}));
    let android = json!({"collapse_key": "tidelog", "priority": "normal", "ttl": "86400s"});
    assert_eq!((&message["android"], &message["notification"]), (&android, &Value::Null));
    assert_eq!(message["apns"]["headers"]["apns-push-type"], "background");
    let until_s: u64 =
        message["apns"]["headers"]["apns-expiration"].as_str().unwrap().parse().unwrap();
    let expected_s = crate::clock::now_ms() / 1000 + 86_400;
    assert!((expected_s - 60..=expected_s).contains(&until_s), "{until_s}");
    assert_eq!(message["webpush"]["headers"], json!({"TTL": "86400", "Urgency": "normal"}));
    world.act("10:b", &json!({"type": "chat"})).await;
    let came = google.next().await;
    assert_eq!((came.header("authorization"), came.answered), ("Bearer ya29.1", 200));
    let message = serde_json::from_slice::<Value>(&came.body).unwrap()["message"].clone();
    assert_eq!(message["notification"], json!({"title": "Hi", "body": "you"}));
    assert_eq!(message["android"]["priority"], "high");
}

#[tokio::test]
async fn a_token_is_bought_anew_before_it_expires() {
    let (world, mut google) = world("").await;
    let fcm = world.app.wakes.fcm.as_ref().unwrap();
    let start = crate::clock::now_ms();
    for (seconds, token, is_new) in
        [(0, "ya29.1", true), (3_298, "ya29.1", false), (3_299, "ya29.2", true)]
    {
        google.be_ahead(seconds);
        assert_eq!(fcm.token(start + seconds * 1000).await, Ok(token.to_owned()), "{seconds}");
        if is_new {
            assert_eq!(google.next().await.path, "/token");
        }
        assert!(google.is_quiet(), "{seconds}");
    }
}

#[tokio::test]
async fn who_waits_for_a_token_fails_with_who_buys_it() {
    let (world, mut google) = world("").await;
    let fcm = world.app.wakes.fcm.as_ref().unwrap();
    google.say("/token", Reply::new(503, &"").with("retry-after", &7));
    let now = crate::clock::now_ms();
    let (first, second, third) = tokio::join!(fcm.token(now), fcm.token(now), fcm.token(now));
    let Err(Outcome::Later { after, all: true, ours: false, .. }) = &first else {
        panic!("{first:?}")
    };
    assert_eq!(*after, Some(Duration::from_secs(7)));
    assert_eq!((&second, &third), (&first, &first));
    google.next().await;
    assert!(google.is_quiet(), "only one has asked");
    // Who comes later asks again.
    assert!(fcm.token(now).await.is_ok());
}
