//! Whoever runs the server asks how it is.

use super::site::{RULES, Site, get};
use crate::log::NodeRecord;
use crate::metrics::Format;
use axum::body::Body;
use serde_json::json;
use tidelog_protocol::NodeId;

async fn plain(site: &Site, method: &str, path: &str) -> super::site::Answer {
    let request = axum::http::Request::builder().method(method).uri(path);
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_server_is_well_and_ready_until_it_stops() {
    let site = Site::open(RULES);
    assert_eq!(plain(&site, "GET", "/health").await.status, 200);
    assert_eq!(plain(&site, "GET", "/ready").await.status, 200);
    site.stop.send(true).unwrap();
    assert_eq!(plain(&site, "GET", "/health").await.status, 200);
    plain(&site, "GET", "/ready").await.problem(503, "stopping");
}

#[tokio::test]
async fn a_server_that_lets_in_no_further_socket_is_not_ready_for_newcomers() {
    let site = Site::open(&format!("{RULES}\n[admission]\nsessions = 1"));
    let session = site.app.door.session();
    plain(&site, "GET", "/ready").await.problem(503, "busy");
    drop(session);
    assert_eq!(plain(&site, "GET", "/ready").await.status, 200);
}

#[tokio::test]
async fn metrics_count_requests_by_path_and_status() {
    let site = Site::open(RULES);
    site.get("10:a", "/v1/log").await;
    plain(&site, "GET", "/v1/log").await;
    plain(&site, "GET", "/some/path").await;
    plain(&site, "GET", "/another/path").await;
    plain(&site, "BREW", "/v1/log").await;
    let answer = plain(&site, "GET", "/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = std::str::from_utf8(&answer.body).unwrap();
    for line in [
        r#"tidelog_http_requests_total{path="/v1/log",method="GET",status="200"} 1"#,
        r#"tidelog_http_requests_total{path="/v1/log",method="GET",status="401"} 1"#,
        r#"tidelog_http_requests_total{path="/v1/log",method="other",status="405"} 1"#,
        r#"tidelog_http_requests_total{path="other",method="GET",status="404"} 2"#,
        r#"tidelog_sign_ins_total{result="accepted"} 1"#,
        r#"tidelog_sign_ins_total{result="wrong_credentials"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn metrics_count_what_found_no_room() {
    let site = Site::open(RULES);
    site.app.metrics.live_dropped(3);
    let record = NodeRecord { seen_ms: 1, bytes: vec![0; 300 << 10] };
    site.app.log.save_node(NodeId::new("10:a:t").unwrap(), record);
    let answer = plain(&site, "GET", "/metrics").await;
    let text = std::str::from_utf8(&answer.body).unwrap();
    for line in ["tidelog_live_dropped_total 3\n", "tidelog_node_records_dropped_total 1\n"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let site = Site::open(RULES);
    // What Prometheus 2.45 and 3.5 send, and some others.
    for (accept, open) in [
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
            true,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4,*/*;q=0.1",
            true,
        ),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", false),
        ("application/openmetrics-text;q=0", false),
        ("*/*", false),
    ] {
        let request = axum::http::Request::builder().uri("/metrics").header("accept", accept);
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        let text = std::str::from_utf8(&answer.body).unwrap();
        let named = answer.header("content-type").starts_with("application/openmetrics-text;");
        assert_eq!((named, text.ends_with("# EOF\n")), (open, open), "{accept}");
        assert_eq!(answer.header("vary"), "accept", "{accept}");
    }
}

#[tokio::test]
async fn actions_are_counted_by_what_became_of_them() {
    let site = Site::open(RULES);
    let id = site.notes("10:a", &["1"]).await.remove(0);
    let again = json!({"actions": [[{"type": "note"}, {"id": id}]]});
    site.post("10:a", "/v1/log", &again).await;
    let others = [("nobody/knows", 1), ("logux/subscribe", 1), ("note", 140_000)];
    let others = others.map(|(kind, bytes)| json!([{"type": kind, "x": "x".repeat(bytes)}, {}]));
    site.post("10:a", "/v1/log", &json!({ "actions": others })).await;
    let text = site.app.metrics.text(Format::Text);
    for line in [
        "tidelog_actions_accepted_total 1",
        "tidelog_actions_repeated_total 1",
        r#"tidelog_actions_undone_total{reason="unknownType"} 1"#,
        r#"tidelog_actions_undone_total{reason="useChannelParameter"} 1"#,
        r#"tidelog_actions_undone_total{reason="tooLarge"} 1"#,
        r#"tidelog_actions_undone_total{reason="denied"} 0"#,
        "tidelog_commit_actions_count 1",
        "tidelog_fsync_seconds_count 1",
        "tidelog_append_seconds_count 2",
        "tidelog_head_position 1",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn a_wrong_path_or_method_is_a_problem_that_says_what_there_is() {
    let site = Site::open(RULES);
    for path in ["/v2", "/v1", "/v1/log/"] {
        plain(&site, "GET", path).await.problem(404, "not-found");
    }
    let answer = plain(&site, "DELETE", "/v1/log").await;
    answer.problem(405, "method-not-allowed");
    assert!(answer.header("allow").contains("POST"), "{answer:?}");
    plain(&site, "GET", "/v1/sync").await.problem(405, "method-not-allowed");
    let head = site.send(get("10:a", "/v1/log").method("HEAD").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
