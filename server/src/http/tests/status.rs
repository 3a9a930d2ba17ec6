//! Whoever runs the server asks how it is.

use super::site::{RULES, Site, get};
use crate::log::NodeRecord;
use axum::body::Body;
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
async fn metrics_count_requests_by_path_and_status() {
    let site = Site::open(RULES);
    site.get("10:a", "/v1/log").await;
    plain(&site, "GET", "/v1/log").await;
    plain(&site, "GET", "/some/path").await;
    plain(&site, "GET", "/another/path").await;
    let answer = plain(&site, "GET", "/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let text = std::str::from_utf8(&answer.body).unwrap();
    for line in [
        r#"tidelog_requests_total{path="/v1/log",status="2xx"} 1"#,
        r#"tidelog_requests_total{path="/v1/log",status="4xx"} 1"#,
        r#"tidelog_requests_total{path="other",status="4xx"} 2"#,
        "# EOF",
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
async fn a_wrong_path_or_method_is_a_problem_that_says_what_there_is() {
    let site = Site::open(RULES);
    for path in ["/", "/v1", "/v1/docs/x", "/openapi.json", "/v1/log/"] {
        plain(&site, "GET", path).await.problem(404, "not-found");
    }
    let answer = plain(&site, "DELETE", "/v1/log").await;
    answer.problem(405, "method-not-allowed");
    assert!(answer.header("allow").contains("POST"), "{answer:?}");
    plain(&site, "GET", "/v1/sync").await.problem(405, "method-not-allowed");
    let head = site.send(get("10:a", "/v1/log").method("HEAD").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}
