//! Documents over HTTP.

use super::site::{Answer, Pulled, Site, get};
use axum::body::Body;
use serde_json::json;

const RULES: &str = r#"
    [[action]]
    type = "crdt/counter/*"
    channels = ["posts/1"]
    [[action]]
    type = "cart/*"
    [[action]]
    type = "shared/*"
    channels = ["shared/{action.at}"]
    [[channel]]
    pattern = "posts/:id"
    allow = "user.id != '13'"
    [[channel]]
    pattern = "shared/:id"
    load = "state"
    [[sync_map]]
    name = "tasks"
    [[merge]]
    type = "cart/add"
    document = "my/cart"
    operation = "set/add"
    value = "action.sku"
    [[merge]]
    type = "shared/*"
    document = "{action.doc}"
    path = ["sum"]
    operation = "counter/add"
    by = "action.by"
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
    let result = &answer.json()["results"][0];
    assert_eq!(result["status"], "undone");
    assert_eq!(result["reason"], "error: by: a whole number from -2^53 to 2^53 is needed");
}

async fn again(site: &Site, tag: &str) -> Answer {
    let request = get("10:a", "/v1/docs/my%2Fcart").header("if-none-match", tag);
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn actions_of_an_application_merge_by_rules() {
    let site = Site::open(RULES);
    let add = |sku: &str| json!({ "type": "cart/add", "sku": sku });
    site.push("10:a", &[add("pears"), add("figs"), add("pears")]).await;
    assert_eq!(
        site.get("10:b", "/v1/docs/my%2Fcart").await.json()["value"],
        json!(["figs", "pears"])
    );
    let bad = json!({ "type": "cart/add" });
    let answer = site.post("10:a", "/v1/log", &json!({ "actions": [[bad, {}]] })).await;
    assert_eq!(answer.json()["results"][0]["reason"], "error: value: a field is missing");
}

#[tokio::test]
async fn a_sync_map_is_a_document_of_records() {
    let site = Site::open(RULES);
    let task = |op: &str, id: &str, fields: serde_json::Value| json!({ "type": format!("tasks/{op}"), "id": id, "fields": fields });
    site.push(
        "10:a",
        &[
            task("create", "1", json!({ "text": "a", "done": false })),
            task("change", "1", json!({ "text": "b" })),
            task("create", "2", json!({ "text": "c" })),
            task("delete", "2", json!({})),
        ],
    )
    .await;
    let one = json!({ "1": { "text": "b", "done": false } });
    let read = site.get("11:b", "/v1/docs/tasks?channel=tasks").await;
    assert_eq!(read.json()["value"], one);
    let read = site.get("11:b", "/v1/docs/tasks?channel=tasks%2F1").await;
    assert_eq!(read.json()["value"], one);
}

#[tokio::test]
async fn what_is_cleaned_leaves_its_document_and_its_tag() {
    let site = Site::open(RULES);
    let add = |sku: &str| json!({ "type": "cart/add", "sku": sku });
    let ids = site.push("10:a", &[add("pears"), add("figs")]).await;
    let tag = again(&site, "").await.header("etag").to_owned();
    site.push("10:a", &[json!({ "type": "0/clean", "id": ids[0] })]).await;
    let read = again(&site, &tag).await;
    assert_eq!((read.status, &read.json()["value"]), (200, &json!(["figs"])));
}

fn shared(at: &str, doc: &str, by: i64) -> serde_json::Value {
    json!({ "type": "shared/add", "at": at, "doc": doc, "by": by })
}

#[tokio::test]
async fn a_first_pull_of_a_channel_brings_its_state_and_then_what_comes() {
    let site = Site::open(RULES);
    let all: Vec<_> = (0..20).map(|n| shared("1", if n % 2 == 0 { "a" } else { "b" }, n)).collect();
    site.push("11:b", &all).await;
    site.push("11:b", &[shared("1", "c", 1), shared("1", "c", -1), shared("2", "a", 7)]).await;
    let load = site.pull("10:a", "channel=shared%2F1").await;
    let sum =
        |at: usize| (&load.actions[at][0]["doc"], &load.actions[at][0]["state"]["keys"]["sum"]);
    assert_eq!(load.kinds(), ["crdt/state", "crdt/state", "crdt/state"]);
    assert_eq!(sum(0), (&json!("a"), &json!({ "kind": "counter", "value": 90 })));
    assert_eq!(sum(1), (&json!("b"), &json!({ "kind": "counter", "value": 100 })));
    let pages = site.pull_all("10:a", "channel=shared%2F1&limit=1", String::new()).await;
    assert_eq!((pages.ids(), pages.actions.len()), (load.ids(), 3), "page by page the same");
    let site = site.restart().await;
    site.push("11:b", &[shared("1", "a", 5)]).await;
    let live = site.pull("10:a", &format!("channel=shared%2F1&since={}", load.cursor)).await;
    assert_eq!(live.kinds(), ["shared/add"], "once, and nothing of what it had");
    let later = site.pull("10:a", "channel=shared%2F1").await;
    assert_eq!(later.actions[2][0]["state"]["keys"]["sum"]["value"], 95);
    assert!(!load.ids().contains(&later.ids()[2]), "another state is another action");
    let latest = |pulled: &Pulled| pulled.actions.iter().map(|it| it[1]["time"].as_u64()).max();
    assert!(latest(&live) < latest(&later), "it lies over what is in it");
}
