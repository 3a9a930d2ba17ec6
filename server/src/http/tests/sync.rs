//! A push and a pull in one request.

use super::site::{Pulled, RULES, Site, post_to};
use serde_json::json;
use tidelog_crdt::Position;

#[tokio::test]
async fn a_sync_pulls_what_it_pushed_unless_the_device_has_it() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let body = json!({"actions": [[{"type": "note", "x": "2"}, {}]]});
    let answer = site.post("10:a", "/v1/sync", &body).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let first = answer.json();
    assert_eq!(first["results"][0]["status"], "processed");
    assert_eq!(Pulled::of(&first).texts(), ["1"], "what it has, it need not be told");
    let nameless = site.post("10", "/v1/sync", &body).await.json();
    assert_eq!(Pulled::of(&nameless).texts(), ["1", "2", "2"]);
    let [received, sent] = [0, 1].map(|n| first["time"][n].as_u64().unwrap());
    assert!(received <= sent);
}

#[tokio::test]
async fn a_sync_goes_on_from_its_cursor_in_its_channels() {
    let site = Site::open(RULES);
    site.push("11:b", &[post_to("1", "1"), post_to("1", "2")]).await;
    let body = json!({"channels": ["posts/1"], "limit": 1});
    let first = Pulled::of(&site.post("10:a", "/v1/sync", &body).await.json());
    assert_eq!((first.texts(), first.more), (vec!["1"], true));
    let body = json!({"channels": ["posts/1"], "since": first.cursor, "seen": first.cursor});
    let second = Pulled::of(&site.post("10:a", "/v1/sync", &body).await.json());
    assert_eq!((second.texts(), second.more), (vec!["2"], false));
}

#[tokio::test]
async fn what_is_wrong_with_the_pull_is_said_before_anything_is_pushed() {
    let site = Site::open(RULES);
    let foreign = Site::open(RULES).pull("10:a", "").await.cursor;
    let actions = json!([[{"type": "note", "x": "1"}, {}]]);
    for (rest, status) in [
        (json!({"since": "x"}), 400),
        (json!({"since": foreign}), 410),
        (json!({"channels": ["secret"]}), 403),
        (json!({"limit": 0}), 400),
        (json!({"seen": "x"}), 400),
        (json!({"chanels": []}), 400),
    ] {
        let mut body = rest.clone();
        body["actions"] = actions.clone();
        assert_eq!(site.post("10:a", "/v1/sync", &body).await.status, status, "{rest}");
    }
    assert_eq!(site.app.log.head(), Position::ZERO);
}
