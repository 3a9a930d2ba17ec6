//! A device waits for news.

use super::site::{RULES, Site, post_to};
use crate::auth::{Identity, Target};
use crate::http::following::{Following, Woken};
use crate::log::LogName;
use crate::revocations::{self, Order};
use std::sync::Arc;
use tidelog_protocol::{ClientId, UserId};

/// Waits until a long poll or a stream waits.
async fn somebody_waits(site: &Site) {
    while site.app.metrics.waiting.get() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_wait_ends_when_something_visible_comes() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let cursor = site.pull("10:a", "").await.cursor;
    let mut query = format!("wait=50&channel=posts%2F1&since={cursor}");
    for by_channel in [false, true] {
        let news = async {
            somebody_waits(&site).await;
            site.notes("10:a", &["own"]).await;
            site.notes("11:c", &["of another user"]).await;
            if by_channel {
                site.push("11:c", &[post_to("1", "2")]).await;
            } else {
                site.notes("10:b", &["2"]).await;
            }
        };
        let (pulled, ()) = tokio::join!(site.pull("10:a", &query), news);
        assert_eq!(pulled.texts(), ["2"]);
        query = format!("wait=50&channel=posts%2F1&since={}", pulled.cursor);
    }
    assert_eq!(site.app.metrics.waiting.get(), 0);
}

fn identity(expires_ms: Option<u64>) -> Identity {
    let user = UserId::new("10").unwrap();
    Identity { user, claims: Arc::default(), expires_ms, anonymous: false }
}

#[tokio::test]
async fn more_news_than_an_inbox_holds_still_ends_the_wait_and_the_next_one() {
    let site = Site::open(RULES);
    let who = identity(None);
    let logs = vec![LogName::User(who.user.clone())];
    let mut following = Following::new(&site.app, logs, (&who, None));
    for _ in 0..3 {
        site.notes("10:b", &["x"; 200]).await;
        assert_eq!(following.wait(u64::MAX).await, Woken::News);
    }
}

#[tokio::test]
async fn a_wait_that_is_over_is_answered_with_nothing_new_or_304() {
    let site = Site::open(&format!("{RULES}\n[limits]\nwait = \"5ms\""));
    site.notes("10:b", &["1"]).await;
    let first = site.get("10:a", "/v1/log").await;
    let since = first.json()["cursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/log?wait=3600&since={since}");
    let answer = site.get("10:a", &path).await;
    assert_eq!(answer.json()["actions"], serde_json::json!([]));
    assert_eq!(answer.json()["cursor"], since);
    let request = super::site::get("10:a", &path).header("if-none-match", answer.header("etag"));
    assert_eq!(site.send(request.body(axum::body::Body::empty()).unwrap()).await.status, 304);
}

#[tokio::test]
async fn a_wait_ends_when_the_server_stops() {
    let site = Site::open(RULES);
    let stop = async {
        somebody_waits(&site).await;
        site.stop.send(true).unwrap();
    };
    let (pulled, ()) = tokio::join!(site.pull("10:a", "wait=50"), stop);
    assert_eq!(pulled.texts(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_wait_ends_with_the_token() {
    let site = Site::open(RULES);
    let soon = crate::clock::now_ms() + 5;
    let mut following = Following::new(&site.app, Vec::new(), (&identity(Some(soon)), None));
    assert_eq!(following.wait(u64::MAX).await, Woken::End);
    assert!(crate::clock::now_ms() >= soon);
    assert_eq!(following.wait(0).await, Woken::End);
}

#[tokio::test]
async fn who_waits_no_longer_is_not_followed_by_the_hub() {
    let site = Site::open(RULES);
    let waiting = site.get("10:a", "/v1/log?wait=50");
    tokio::select! {
        _ = waiting => panic!("nothing came"),
        () = somebody_waits(&site) => {}
    }
    assert_eq!(site.app.metrics.waiting.get(), 0);
}

#[tokio::test]
async fn a_wait_ends_when_the_user_is_revoked_and_the_next_request_is_refused() {
    let site = Site::open(RULES);
    let revoke = async {
        somebody_waits(&site).await;
        let target = Target::User("10".to_owned());
        let order = Order::Revoke { target, expires_ms: None };
        let answer = revocations::answer(&site.app, order).await.unwrap();
        assert!(answer.contains("\"ended\":1"), "{answer}");
    };
    let (pulled, ()) = tokio::join!(site.pull("10:a", "wait=50"), revoke);
    assert_eq!(pulled.texts(), Vec::<&str>::new());
    site.get("10:a", "/v1/log").await.problem(401, "not-signed-in");
    assert_eq!(site.get("11:a", "/v1/log").await.status, 200);
}

#[tokio::test]
async fn what_is_revoked_between_signing_in_and_waiting_ends_the_wait() {
    let site = Site::open(RULES);
    let target = Target::Client("10:a".to_owned());
    let order = Order::Revoke { target, expires_ms: None };
    revocations::answer(&site.app, order).await.unwrap();
    let client = ClientId::new("10:a").unwrap();
    let mut following = Following::new(&site.app, Vec::new(), (&identity(None), Some(&client)));
    assert_eq!(following.wait(0).await, Woken::End);
}
