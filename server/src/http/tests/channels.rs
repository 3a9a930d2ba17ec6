//! A device pulls channels beside its user's log.

use super::site::{RULES, Site, post_to};
use serde_json::json;

#[tokio::test]
async fn a_channel_that_may_not_be_read_or_does_not_exist_is_named() {
    let site = Site::open(RULES);
    let denied = site.get("10:a", "/v1/log?channel=posts%2F1&channel=secret").await;
    assert_eq!(denied.problem(403, "channel-denied")["channel"], "secret");
    let unknown = site.get("10:a", "/v1/log?channel=nowhere").await;
    assert_eq!(unknown.problem(404, "unknown-channel")["channel"], "nowhere");
}

#[tokio::test]
async fn a_channel_new_to_the_cursor_brings_its_past_page_by_page_and_then_goes_on() {
    let site = Site::open(RULES);
    for text in ["1", "2", "3"] {
        site.push("11:b", &[post_to("1", text)]).await;
    }
    site.notes("10:b", &["own"]).await;
    let own = site.pull("10:a", "").await;
    assert_eq!(own.texts(), ["own"]);
    let first = site.pull("10:a", &format!("since={}&channel=posts%2F1&limit=2", own.cursor)).await;
    assert_eq!((first.texts(), first.more), (vec!["1", "2"], true));
    site.notes("10:b", &["later"]).await;
    site.push("11:b", &[post_to("1", "4")]).await;
    let rest = site.pull_all("10:a", "channel=posts%2F1&limit=2", first.cursor).await;
    assert_eq!(rest.texts(), ["3", "later", "4"]);
}

#[tokio::test]
async fn a_channel_that_loads_nothing_starts_now() {
    let site = Site::open(RULES);
    site.push("11:b", &[json!({"type": "news", "x": "old"})]).await;
    site.notes("10:b", &["own"]).await;
    let first = site.pull("10:a", "channel=news").await;
    assert_eq!(first.texts(), ["own"]);
    site.push("11:b", &[json!({"type": "news", "x": "new"})]).await;
    let second = site.pull("10:a", &format!("channel=news&since={}", first.cursor)).await;
    assert_eq!(second.texts(), ["new"]);
}

#[tokio::test]
async fn an_action_comes_once_though_it_is_in_several_logs_and_by_the_own_log_first() {
    let site = Site::open(RULES);
    site.push("10:b", &[json!({"type": "both", "x": "mine"})]).await;
    site.push("11:b", &[json!({"type": "both", "x": "theirs"})]).await;
    let channels = "channel=posts%2F1&channel=posts%2F2";
    let pulled = site.pull("10:a", channels).await;
    assert_eq!(pulled.texts(), ["mine", "theirs"]);
    assert_eq!(pulled.actions[0][1].get("channels"), None);
    assert_eq!(pulled.actions[1][1]["channels"], json!(["posts/1", "posts/2"]));
    let one = site.pull("10:a", "channel=posts%2F1").await;
    let more = site.pull("10:a", &format!("{channels}&since={}", one.cursor)).await;
    assert_eq!(more.texts(), Vec::<&str>::new(), "the other channel had brought both");
}

#[tokio::test]
async fn a_channel_no_longer_asked_for_is_forgotten() {
    let site = Site::open(RULES);
    site.push("11:b", &[post_to("1", "1")]).await;
    let first = site.pull("10:a", "channel=posts%2F1").await;
    let without = site.pull("10:a", &format!("since={}", first.cursor)).await;
    assert_ne!(first.cursor, without.cursor);
    let again = site.pull("10:a", &format!("channel=posts%2F1&since={}", without.cursor)).await;
    assert_eq!(again.texts(), ["1"]);
}

#[tokio::test]
async fn a_channel_that_is_loaded_in_full_has_the_devices_own_actions() {
    let site = Site::open(RULES);
    let start = site.pull("guest:a", "").await;
    site.push("guest:a", &[post_to("1", "own")]).await;
    site.push("11:b", &[post_to("1", "other")]).await;
    let load = site.pull("guest:a", &format!("channel=posts%2F1&since={}", start.cursor)).await;
    assert_eq!(load.texts(), ["own", "other"]);
    site.push("guest:a", &[post_to("1", "own again")]).await;
    let after = site.pull("guest:a", &format!("channel=posts%2F1&since={}", load.cursor)).await;
    assert_eq!(after.texts(), Vec::<&str>::new());
}

#[tokio::test]
async fn anonymous_users_have_channels_and_no_log() {
    let site = Site::open(RULES);
    site.push("11:b", &[post_to("1", "1")]).await;
    site.push("guest:x", &[post_to("1", "2")]).await;
    assert_eq!(site.pull("guest:y", "").await.texts(), Vec::<&str>::new());
    let pulled = site.pull("guest:y", "channel=posts%2F1").await;
    assert_eq!(pulled.texts(), ["1", "2"]);
    let nothing = site.pull("guest:y", &format!("channel=posts%2F1&since={}", pulled.cursor)).await;
    assert_eq!((nothing.texts(), &nothing.cursor), (vec![], &pulled.cursor));
}
