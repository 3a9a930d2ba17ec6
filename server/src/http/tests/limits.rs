//! The limits of requests, at their edges: what is just within passes, one more is answered as it is
//! documented.

use super::site::{Pulled, RULES, Site, post};
use crate::admission::{Class, Who};
use crate::ws::Owner;
use axum::body::Body;
use bytes::Bytes;
use serde_json::json;
use std::time::Duration;
use tidelog_protocol::UserId;

fn site(limits: &str) -> Site {
    Site::open(&format!("{RULES}\n[limits]\n{limits}"))
}

/// A push of one action, so many bytes long.
fn push(bytes: usize) -> String {
    let body = |text: &str| json!({"actions": [[{"type": "note", "x": text}, {}]]}).to_string();
    let body = body(&"x".repeat(bytes - body("").len()));
    assert_eq!(body.len(), bytes);
    body
}

#[tokio::test]
async fn a_body_has_so_many_bytes_and_not_one_more() {
    let site = site("body_bytes = 300");
    let declared = |body: &str| {
        let request = post("10:a", "/v1/log").header("content-length", body.len());
        request.body(Body::from(body.to_owned())).unwrap()
    };
    let in_pieces = |body: &str| {
        let pieces: Vec<_> = body.as_bytes().chunks(7).map(Bytes::copy_from_slice).collect();
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        post("10:a", "/v1/log").body(Body::from_stream(futures_util::stream::iter(pieces))).unwrap()
    };
    assert_eq!(site.send(declared(&push(300))).await.status, 200);
    assert_eq!(site.send(in_pieces(&push(300))).await.status, 200);
    site.send(declared(&push(301))).await.problem(413, "too-large");
    site.send(in_pieces(&push(301))).await.problem(413, "too-large");
    assert_eq!(site.pull("10:b", "").await.actions.len(), 2);
}

#[tokio::test]
async fn a_page_has_so_many_actions_and_the_rest_is_in_the_next() {
    let site = site("page_actions = 3");
    site.notes("10:b", &["1", "2", "3"]).await;
    let whole = site.pull("10:a", "").await;
    assert_eq!((whole.texts(), whole.more), (vec!["1", "2", "3"], false));
    site.notes("10:b", &["4"]).await;
    for query in ["", "limit=1000"] {
        let page = site.pull("10:a", query).await;
        assert_eq!((page.texts(), page.more), (vec!["1", "2", "3"], true), "{query}");
        let rest = site.pull("10:a", &format!("since={}", page.cursor)).await;
        assert_eq!((rest.texts(), rest.more), (vec!["4"], false));
    }
}

#[tokio::test]
async fn a_page_has_so_many_bytes_of_actions_and_at_least_one() {
    let note = |text: &str| json!({"type": "note", "x": text}).to_string().len();
    let pulled = |page_bytes: usize| async move {
        let site = site(&format!("page_bytes = {page_bytes}"));
        site.notes("10:b", &["1", "2", "3"]).await;
        let Pulled { actions, more, .. } = site.pull("10:a", "").await;
        (actions.len(), more)
    };
    assert_eq!(pulled(3 * note("1")).await, (3, false));
    assert_eq!(pulled(3 * note("1") - 1).await, (2, true));
    assert_eq!(pulled(2 * note("1")).await, (2, true));
    assert_eq!(pulled(2 * note("1") - 1).await, (1, true));
    assert_eq!(pulled(1).await, (1, true));
}

#[tokio::test]
async fn an_action_has_so_many_bytes_types_and_levels() {
    let site = site("action_bytes = 100\ntype_bytes = 8\njson_depth = 4");
    let note = |bytes: usize| {
        let note = |text: &str| json!({"type": "note", "x": text});
        note(&"x".repeat(bytes - note("").to_string().len()))
    };
    let typed =
        |length: usize| json!({"type": format!("posts/{}", "x".repeat(length - 6)), "post": "1"});
    let actions = [
        (note(100), None),
        (note(101), Some("tooLarge")),
        (typed(8), None),
        (typed(9), Some("error")),
        (json!({"type": "note", "x": [[[1]]]}), None),
        (json!({"type": "note", "x": [[[[]]]]}), Some("error")),
    ];
    let pairs: Vec<_> = actions.iter().map(|(action, _)| json!([action, {}])).collect();
    let answer = site.post("10:a", "/v1/log", &json!({ "actions": pairs })).await;
    let answer = answer.json();
    for ((action, reason), result) in actions.iter().zip(answer["results"].as_array().unwrap()) {
        assert_eq!(result["reason"].as_str(), *reason, "{action}");
    }
}

#[tokio::test]
async fn a_wait_is_cut_to_the_longest_there_is() {
    let site = site("wait = \"50ms\"");
    let since = site.pull("10:a", "").await.cursor;
    let path = format!("/v1/log?wait=3600&since={since}");
    let waited = tokio::time::timeout(Duration::from_secs(60), site.get("10:a", &path));
    assert_eq!(waited.await.expect("an answer before the hour is over").status, 200);
}

#[tokio::test]
async fn a_request_names_so_many_channels() {
    let site = site("");
    let query = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("channel=posts%2F{n}")).collect();
        names.join("&")
    };
    assert_eq!(site.get("10:a", &format!("/v1/log?{}", query(100))).await.status, 200);
    site.get("10:a", &format!("/v1/log?{}", query(101))).await.problem(400, "too-many");
}

#[tokio::test]
async fn a_push_has_so_many_actions_of_so_many_devices() {
    let site = site("");
    // Undone, so that nothing but the count is tried.
    let many = |count: usize| json!({"actions": vec![json!([{"type": "unheard"}, {}]); count]});
    assert_eq!(site.post("10:a", "/v1/log", &many(10_000)).await.status, 200);
    site.post("10:a", "/v1/log", &many(10_001)).await.problem(413, "too-large");
    let devices = |count: usize| {
        let note = |n: usize| json!([{"type": "note"}, {"id": format!("1 10:d{n}:t 0")}]);
        json!({"actions": (0..count).map(note).collect::<Vec<_>>()})
    };
    assert_eq!(site.post("10", "/v1/log", &devices(16)).await.status, 200);
    site.post("10", "/v1/log", &devices(17)).await.problem(400, "too-many");
}

#[tokio::test]
async fn who_comes_when_there_is_too_much_to_do_is_told_when_to_come_again() {
    let admission = "[admission]\nheavy = 1\nheavy_floor = 1\nrequest = \"10ms\"";
    let site = Site::open(&format!("{RULES}\n{admission}"));
    let who = Who { owner: Owner::User(UserId::new("11").unwrap()), name: None };
    let inside = site.app.door.enter(who, Class::Heavy).await.ok().unwrap();
    for path in ["/v1/log", "/v1/log?wait=1", "/v1/log?limit=3&channel=news"] {
        let answer = site.get("10:a", path).await;
        answer.problem(503, "busy");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!((1..=300).contains(&answer.header("retry-after").parse().unwrap()), "{answer:?}");
    }
    assert_eq!(site.get("10:a", "/v1/docs/a").await.status, 200, "it asks for little");
    drop(inside);
    let cursor = site.pull("10:a", "").await.cursor;
    // Who waits for news lets others in.
    let path = format!("/v1/log?wait=50&since={cursor}");
    let waits = site.get("10:a", &path);
    let other = async {
        let inside = || site.app.door.look().classes.map(|it| it.inside);
        while site.app.metrics.waiting.get() == 0 || inside() != [0, 0] {
            tokio::task::yield_now().await;
        }
        site.notes("10:b", &["news"]).await;
    };
    let (answer, ()) = tokio::join!(waits, other);
    assert_eq!(Pulled::of(&answer.json()).texts(), ["news"]);
}
