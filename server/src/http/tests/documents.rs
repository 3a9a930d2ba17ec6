//! Documents over HTTP.

use super::site::{Answer, Site, get};
use axum::body::Body;
use serde_json::json;

const RULES: &str = r#"
    [[action]]
    type = "crdt/counter/*"
    channels = ["posts/1"]
    [[channel]]
    pattern = "posts/:id"
    allow = "user.id != '13'"
    [[channel]]
    pattern = "news"
    load = "none"
"#;

#[tokio::test]
async fn a_document_of_the_own_log_comes_with_a_cursor_above_which_the_log_goes_on() {
    let site = Site::open(RULES);
    site.push("10:a", &[json!({ "type": "crdt/set/add", "doc": "my/cart", "value": "pears" })])
        .await;
    let answer = site.get("10:b", "/v1/docs/my%2Fcart").await;
    let body = answer.json();
    assert_eq!((answer.status, &body["value"]), (200, &json!(["pears"])));
    assert_eq!(site.get("11:c", "/v1/docs/my%2Fcart").await.json()["value"], json!(null));
    site.push("10:a", &[json!({ "type": "crdt/set/add", "doc": "my/cart", "value": "figs" })])
        .await;
    let rest = site.pull("10:b", &format!("since={}", body["cursor"].as_str().unwrap())).await;
    assert_eq!(rest.actions.len(), 1);
    assert_eq!(rest.actions[0][0]["value"], "figs");
}

#[tokio::test]
async fn who_may_read_a_channel_may_read_its_documents() {
    let site = Site::open(RULES);
    let like = json!({ "type": "crdt/counter/add", "doc": "likes" });
    site.push("10:a", std::slice::from_ref(&like)).await;
    site.push("11:b", &[like]).await;
    let likes = site.get("12:c", "/v1/docs/likes?channel=posts%2F1").await;
    assert_eq!(likes.json()["value"], 2);
    site.get("13:d", "/v1/docs/likes?channel=posts%2F1").await.problem(403, "channel-denied");
    site.get("12:c", "/v1/docs/likes?channel=news").await.problem(403, "channel-denied");
    site.get("12:c", "/v1/docs/likes?channel=other").await.problem(404, "unknown-channel");
    site.get("12:c", "/v1/docs/likes?wait=1").await.problem(400, "malformed-query");
    let long = "x".repeat(257);
    site.get("12:c", &format!("/v1/docs/{long}")).await.problem(400, "malformed-query");
}

#[tokio::test]
async fn a_document_that_did_not_change_is_not_sent_again() {
    let site = Site::open(RULES);
    let first = again(&site, "").await;
    let tag = first.header("etag").to_owned();
    site.push("10:a", &[json!({ "type": "crdt/set/add", "doc": "other", "value": 1 })]).await;
    assert_eq!(again(&site, &tag).await.status, 304);
    site.push("10:a", &[json!({ "type": "crdt/set/add", "doc": "my/cart", "value": 1 })]).await;
    assert_eq!(again(&site, &tag).await.status, 200);
}

#[tokio::test]
async fn a_malformed_operation_is_undone() {
    let site = Site::open(RULES);
    let bad = json!({ "type": "crdt/counter/add", "doc": "likes", "by": "2" });
    let answer = site.post("10:a", "/v1/log", &json!({ "actions": [[bad, {}]] })).await;
    assert_eq!(answer.json()["results"][0]["status"], "undone");
}

async fn again(site: &Site, tag: &str) -> Answer {
    let request = get("10:a", "/v1/docs/my%2Fcart").header("if-none-match", tag);
    site.send(request.body(Body::empty()).unwrap()).await
}
