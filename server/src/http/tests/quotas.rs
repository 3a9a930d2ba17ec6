//! A user at the edge of its quotas.

use super::site::{Answer, RULES, Site};
use serde_json::{Value, json};

fn site(limits: &str) -> Site {
    Site::open(&format!("{RULES}\n[limits]\n{limits}"))
}

fn note(sequence: u64) -> Value {
    json!([{"type": "note", "x": "1"}, {"id": format!("1 10:a:t {sequence}")}])
}

async fn push(site: &Site, actions: &[Value]) -> Answer {
    site.post("10:a", "/v1/log", &json!({ "actions": actions })).await
}

#[tokio::test]
async fn a_push_over_the_rate_is_refused_as_a_whole_and_may_come_again() {
    let site = site("actions_per_second = 1\nactions_burst = 3");
    assert_eq!(push(&site, &[note(1), note(2)]).await.status, 200);
    let refused = push(&site, &[note(3), note(4)]).await;
    refused.problem(429, "too-many-actions");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(push(&site, &[note(3)]).await.status, 200, "one fits, and nothing was remembered");
    assert_eq!(site.pull("10:b", "").await.actions.len(), 3);
    let sync = site.post("10:a", "/v1/sync", &json!({"actions": [note(4)]})).await;
    sync.problem(429, "too-many-actions");
    let many: Vec<_> = (0..4).map(note).collect();
    push(&site, &many).await.problem(413, "too-large");
    let other = json!({"actions": [[{"type": "note"}, {}]]});
    assert_eq!(site.post("11:a", "/v1/log", &other).await.status, 200, "another user");
}

#[tokio::test]
async fn a_push_over_the_bytes_that_are_kept_is_refused_until_something_is_cleaned() {
    let bytes = crate::log::bytes_of_json(note(1)[0].to_string().as_bytes());
    let limit = format!("kept_bytes_per_user = {}", 3 * bytes);
    let mut site = site(&limit);
    assert_eq!(push(&site, &[note(1), note(2)]).await.status, 200);
    let two = [note(3), note(4)];
    let refused = push(&site, &two).await;
    refused.problem(429, "over-quota");
    assert_eq!(refused.header("retry-after"), "3600");
    assert_eq!(push(&site, &two[..1]).await.status, 200, "the edge");
    push(&site, &two[1..]).await.problem(429, "over-quota");
    site = site.restart().await;
    push(&site, &two[1..]).await.problem(429, "over-quota");
    assert_eq!(push(&site, &[note(1), note(3)]).await.status, 200, "kept already");
    let unkept = [json!([{"type": "unheard"}, {"id": "1 10:a:t 9"}])];
    assert_eq!(push(&site, &unkept).await.status, 200, "and this is never kept");
    let clean = [json!([{"type": "0/clean", "id": "1 10:a:t 1"}, {"id": "1 10:a:t 10"}])];
    assert_eq!(push(&site, &clean).await.status, 200);
    assert_eq!(push(&site, &two[1..]).await.status, 200);
    push(&site, &[note(5)]).await.problem(429, "over-quota");
}
