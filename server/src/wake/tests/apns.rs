//! APNs: what a phone is told, and with which token.

use super::double::Double;
use super::double::apns::{Account, IN_DEVELOPMENT, KEY_ID, TEAM_ID, TOPIC, device};
use super::world::World;
use crate::wake::outcome::{Answer, Outcome};
use serde_json::{Value, json};

/// Settings for the service at `url`, with the account's key in `key.p8`.
pub(super) fn settings(url: &str) -> String {
    format!(
        "[wake.apns]\nkey_file = \"key.p8\"\nkey_id = \"{KEY_ID}\"\nteam_id = \"{TEAM_ID}\"\n\
         topic = \"{TOPIC}\"\nsilent_interval = \"1ms\"\nurl = \"{url}\"\n\
         development_url = \"{url}/sandbox\"\n"
    )
}

/// A server that wakes phones, Apple's service, and the account that they have in common.
pub(super) async fn world(rules: &str) -> (World, Double, Account) {
    let account = Account::make();
    let service = Double::judging(|_| account.judge()).await;
    let settings = format!("{}{rules}", settings(&service.url));
    (World::with_files(&[("key.p8", &account.pem)], &settings), service, account)
}

#[tokio::test]
async fn a_phone_is_told_in_silence_or_with_a_message() {
    let rules = r#"
        [[push]]
        type = "chat"
        how = "message"
        title = "{action.text}"
        collapse = "chat"
        [[push]]
        type = "*"
        how = "silent"
    "#;
    let (world, mut apple, _) = world(rules).await;
    let token = device("AB12");
    world.register("10:phone", &json!({"kind": "apns", "token": token})).await;
    world.act("10:b", &json!({"type": "note"})).await;
    let came = apple.next().await;
    assert_eq!((came.path, came.answered), (format!("/3/device/{}", device("ab12")), 200));
    let at = |name: &str| came.headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        ["apns-push-type", "apns-priority", "apns-collapse-id"].map(at),
        ["background", "5", "tidelog"]
    );
    let expires: u64 = at("apns-expiration").parse().unwrap();
    let now = crate::clock::now_ms() / 1000;
    assert!((now + 86_000..=now + 86_400).contains(&expires));
    let body: Value = serde_json::from_slice(&came.body).unwrap();
    let told = json!({"tidelog": 1, "head": 1});
    assert_eq!(body, json!({"aps": {"content-available": 1}, "tidelog": told}));
    world.act("10:b", &json!({"type": "chat", "text": "Hi"})).await;
    let came = apple.next().await;
    assert_eq!(came.answered, 200);
    for (name, value) in
        [("apns-push-type", "alert"), ("apns-priority", "10"), ("apns-collapse-id", "chat")]
    {
        assert_eq!(came.header(name), value);
    }
    let body: Value = serde_json::from_slice(&came.body).unwrap();
    assert_eq!(body["aps"]["alert"]["title"], "Hi");
    assert_eq!(body["tidelog"], json!({"tidelog": 1, "head": 2, "message": {"title": "Hi"}}));
}

#[tokio::test]
async fn an_app_in_development_is_reached_at_another_place() {
    let (world, mut apple, _) = world("").await;
    let token = device(IN_DEVELOPMENT);
    let body = json!({"kind": "apns", "token": token, "environment": "development"});
    world.register("10:phone", &body).await;
    world.act("10:b", &json!({"type": "note"})).await;
    let came = apple.next().await;
    assert_eq!((came.path, came.answered), (format!("/sandbox/3/device/{token}"), 200));
}

#[tokio::test]
async fn a_token_is_signed_anew_when_it_is_old_and_no_oftener_than_apple_takes_it() {
    const MINUTE: u64 = 60_000;
    let (world, _apple, account) = world("").await;
    let apns = world.app.wakes.apns.as_ref().unwrap();
    let start = 1_700_000_000_000;
    let at = |minutes: u64| apns.token(start + minutes * MINUTE).unwrap();
    let first = at(0);
    assert_eq!(account.proven(&first).unwrap()["iat"], start / 1000);
    assert_eq!(at(39), first);
    let second = at(40);
    assert_eq!(account.proven(&second).unwrap()["iat"], (start + 40 * MINUTE) / 1000);
    // Apple says that it has expired: of one that is young that cannot be, and another is not taken yet.
    let expired = |token: &str, minutes: u64| {
        let body = json!({"reason": "ExpiredProviderToken"}).to_string();
        let answer = Answer { status: 403, after: None, body };
        match apns.judge(&answer, token, start + minutes * MINUTE) {
            Outcome::Later { all: true, ours, .. } => ours,
            other => panic!("{other:?}"),
        }
    };
    assert!(expired(&second, 59), "the clock must be wrong");
    assert_eq!(at(59), second);
    assert!(!expired(&second, 60));
    let third = at(60);
    assert_eq!(account.proven(&third).unwrap()["iat"], (start + 60 * MINUTE) / 1000);
    // The same was said of others that were sent with the second.
    assert!(!expired(&second, 61));
    assert_eq!(at(61), third);
    // The clock was an hour ahead, and is set right.
    assert_ne!(at(0), third);
}
