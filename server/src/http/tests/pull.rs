//! A device pulls its user's log.

use super::site::{Pulled, RULES, Site, post_to};
use crate::metrics::Format;
use serde_json::json;

#[tokio::test]
async fn a_fresh_device_gets_everything_in_order_its_own_actions_too() {
    let site = Site::open(RULES);
    site.notes("10:a", &["1", "2"]).await;
    site.notes("10:b", &["3"]).await;
    site.notes("11:c", &["of another user"]).await;
    let first = site.pull("10:a", "limit=2").await;
    assert_eq!((first.texts(), first.more), (vec!["1", "2"], true));
    let second = site.pull("10:a", &format!("since={}", first.cursor)).await;
    assert_eq!((second.texts(), second.more), (vec!["3"], false));
}

#[tokio::test]
async fn own_actions_come_on_every_page_of_a_start_and_not_later() {
    let site = Site::open(RULES);
    site.notes("10:a", &["1", "2", "3"]).await;
    let first = site.pull("10:a", "limit=1").await;
    site.notes("10:a", &["4"]).await;
    site.notes("10:b", &["5"]).await;
    let rest = site.pull_all("10:a", "limit=1", first.cursor).await;
    assert_eq!(rest.texts(), ["2", "3", "5"], "4 was made after the start");
    site.notes("10:a", &["6"]).await;
    let nothing = site.pull("10:a", &format!("since={}", rest.cursor)).await;
    assert_eq!((nothing.texts(), nothing.more), (vec![], false));
    let nameless = site.pull("10", &format!("since={}", rest.cursor)).await;
    assert_eq!(nameless.texts(), ["6"], "nobody says whose they are");
}

#[tokio::test]
async fn meta_says_what_a_client_needs_to_know() {
    let site = Site::open(RULES);
    let meta =
        json!({"id": "1795222838711 10:a:tab 4", "time": 1_795_222_838_700_u64, "subprotocol": 3});
    let push = json!({"actions": [[{"type": "note", "x": "1"}, meta], [post_to("1", "2"), meta]]});
    site.post("10:a", "/v1/log", &push).await;
    let pulled = site.pull("10:b", "").await;
    assert_eq!(
        pulled.actions,
        [json!([
            {"type": "note", "x": "1"},
            {"id": "1795222838711 10:a:tab 4", "time": 1_795_222_838_700_u64, "added": 1, "subprotocol": 3}
        ])]
    );
    site.push("10:a", &[post_to("1", "2")]).await;
    let followed = site.pull("12:c", "channel=posts%2F1").await;
    assert_eq!(followed.actions[0][1]["channels"], json!(["posts/1"]));
    assert_eq!(followed.actions[0][1]["added"], 2);
}

#[tokio::test]
async fn the_cursor_moves_on_visible_entries_only() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let first = site.pull("10:a", "").await;
    site.notes("11:c", &["of another user"]).await;
    site.notes("10:a", &["own"]).await;
    let second = site.pull("10:a", &format!("since={}", first.cursor)).await;
    assert_eq!((second.cursor.as_str(), second.more), (first.cursor.as_str(), false));
}

#[tokio::test]
async fn a_long_stretch_of_own_actions_is_not_read_again_and_again() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let first = site.pull("10:a", "").await;
    let own = vec!["own"; 300];
    site.notes("10:a", &own).await;
    let moved = site.pull("10:a", &format!("limit=10&since={}", first.cursor)).await;
    assert_eq!(moved.texts(), Vec::<&str>::new());
    assert_ne!(moved.cursor, first.cursor, "more than a read of nothing visible");
    site.notes("10:b", &["2"]).await;
    assert_eq!(site.pull("10:a", &format!("since={}", moved.cursor)).await.texts(), ["2"]);
}

/// A read of a hundred entries that begins with a visible one: the mark stays at that, or an unchanged
/// cursor would not mean that nothing happened.
#[tokio::test]
async fn a_read_in_which_something_was_visible_moves_the_cursor_to_that_and_no_further() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let first = site.pull("10:a", "").await.cursor;
    site.notes("10:b", &["2"]).await;
    let second = site.pull("10:a", &format!("since={first}")).await;
    site.notes("10:a", &["own"; 150]).await;
    let again = site.pull("10:a", &format!("limit=10&since={first}")).await;
    assert_eq!((again.texts(), again.more), (vec!["2"], false));
    assert_eq!(again.cursor, second.cursor);
}

#[tokio::test]
async fn a_page_ends_where_its_bytes_end_but_has_at_least_one_action() {
    let site = Site::open(&format!("{RULES}\n[limits]\npage_bytes = 60"));
    let long = "x".repeat(100);
    site.notes("10:b", &[&long, "1", "2", "3"]).await;
    let first = site.pull("10:a", "").await;
    assert_eq!((first.texts(), first.more), (vec![long.as_str()], true));
    let second = site.pull("10:a", &format!("since={}", first.cursor)).await;
    assert_eq!((second.texts(), second.more), (vec!["1", "2"], true));
}

#[tokio::test]
async fn more_is_false_when_the_limit_is_exactly_met() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1", "2"]).await;
    site.notes("10:a", &["own"]).await;
    site.notes("11:c", &["other"]).await;
    let first = site.pull("10:b", "limit=2").await;
    assert!(first.more);
    let second = site.pull("10:b", &format!("limit=1&since={}", first.cursor)).await;
    assert_eq!((second.texts(), second.more), (vec!["own"], false));
}

#[tokio::test]
async fn after_a_restart_the_cursor_goes_on() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let first = site.pull("10:a", "").await;
    let site = site.restart().await;
    site.notes("10:b", &["2"]).await;
    assert_eq!(site.pull("10:a", &format!("since={}", first.cursor)).await.texts(), ["2"]);
}

#[tokio::test]
async fn a_cursor_of_another_user_or_server_is_answered_with_one_that_starts_here() {
    let (site, edge) = (Site::open(RULES), Site::open(RULES));
    site.notes("10:b", &["1"]).await;
    site.notes("11:b", &["not yours"]).await;
    edge.notes("10:b", &["at the edge"]).await;
    let at_edge = edge.pull("10:a", "").await;
    let gone = site.get("10:a", &format!("/v1/log?since={}", at_edge.cursor)).await;
    let fresh = gone.problem(410, "foreign-cursor")["cursor"].as_str().unwrap().to_owned();
    let here = site.pull("10:a", &format!("since={fresh}")).await;
    assert_eq!(here.texts(), ["1"]);
    edge.notes("10:b", &["at the edge, later"]).await;
    let back = edge.pull("10:a", &format!("since={}", here.cursor)).await;
    assert_eq!(back.texts(), ["at the edge, later"], "the place at the edge was kept");

    let other = site.get("11:a", &format!("/v1/log?since={}", here.cursor)).await;
    let fresh = other.problem(410, "foreign-cursor")["cursor"].as_str().unwrap().to_owned();
    assert_eq!(site.pull("11:a", &format!("since={fresh}")).await.texts(), ["not yours"]);
    assert!(site.app.metrics.text(Format::Text).contains("cursor_claims_failed_total 2"));
}

#[tokio::test]
async fn a_number_serves_a_websocket_and_one_of_a_websocket_serves_a_pull() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1", "2"]).await;
    let number = site.get("10:a", "/v1/log?limit=1").await.json()["number"].as_u64().unwrap();
    let claimed = site.app.log.epochs().claim("10", number, site.app.log.head());
    assert_eq!(claimed.map(tidelog_crdt::Position::get), Some(1));
    let rest = site.pull("10:a", &format!("since={number}")).await;
    assert_eq!(rest.texts(), ["2"]);
    let forged = site.get("10:a", &format!("/v1/log?since={}", number ^ 1)).await;
    let fresh = forged.problem(410, "foreign-cursor")["cursor"].as_str().unwrap().to_owned();
    assert_eq!(site.pull("10:a", &format!("since={fresh}")).await.texts(), ["1", "2"]);
    let answer = site.post("10:a", "/v1/sync", &json!({"since": number.to_string()})).await;
    assert_eq!(answer.json()["actions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_asks_for_no_action_is_told_the_time_and_whether_its_cursor_is_known() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let first = site.pull("10:a", "").await;
    site.notes("10:b", &["2"]).await;
    for (since, left) in
        [(String::new(), vec!["1", "2"]), (format!("&since={}", first.cursor), vec!["2"])]
    {
        let answer = site.get("10:a", &format!("/v1/log?limit=0&wait=50{since}")).await;
        assert_eq!((answer.status, answer.header("etag")), (200, ""), "each has another time");
        let page = answer.json();
        assert!(page["time"][0].is_u64() && page["more"] == true, "{page}");
        let page = Pulled::of(&page);
        assert!(page.actions.is_empty());
        assert_eq!(site.pull("10:a", &format!("since={}", page.cursor)).await.texts(), left);
    }
    let of_another = site.pull("11:x", "").await.cursor;
    let refused = site.get("10:a", &format!("/v1/log?limit=0&since={of_another}")).await;
    refused.problem(410, "foreign-cursor");
}

#[tokio::test]
async fn a_cursor_that_is_none_and_a_limit_that_is_no_number_are_refused() {
    let site = Site::open(RULES);
    site.get("10:a", "/v1/log?since=0").await.problem(400, "malformed-cursor");
    site.get("10:a", "/v1/log?since=").await.problem(400, "malformed-cursor");
    site.get("10:a", "/v1/log?limit=x").await.problem(400, "malformed-query");
    site.get("10:a", "/v1/log?chanel=a").await.problem(400, "malformed-query");
}

#[tokio::test]
async fn an_action_goes_out_byte_for_byte_as_it_came_in() {
    let site = Site::open(RULES);
    let odd = r#"{ "type":"note",  "n":1.50, "s":"\u0041" , "x":"1"}"#;
    let body = format!(r#"{{"actions":[[{odd},{{}}]]}}"#);
    let request = super::site::post("10:b", "/v1/log").body(body.into()).unwrap();
    assert_eq!(site.send(request).await.status, 200);
    let answer = site.get("10:a", "/v1/log").await;
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(text.starts_with(&format!(r#"{{"actions":[[{odd},{{"id":"#)), "{text}");
}
