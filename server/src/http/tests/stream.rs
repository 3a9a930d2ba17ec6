//! A device listens to a stream of events.

use super::site::{Pulled, RULES, Site, get};
use crate::auth::Target;
use crate::revocations::{self, Order};
use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;

/// An open stream; each chunk is an event or a comment.
struct Events(BodyDataStream);

impl Events {
    async fn open(site: &Site, who: &str, query: &str, last: Option<&str>) -> Self {
        let request = get(who, &format!("/v1/log?{query}")).header("accept", "text/event-stream");
        let request = match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        };
        let response = site.begin(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"));
        Self(response.into_body().into_data_stream())
    }

    async fn chunk(&mut self) -> Option<String> {
        let chunk = self.0.next().await?.unwrap();
        Some(String::from_utf8(chunk.to_vec()).unwrap())
    }

    async fn page(&mut self) -> Pulled {
        loop {
            let chunk = self.chunk().await.expect("an event");
            if chunk == ":\n\n" {
                continue;
            }
            let (id, data) = chunk.strip_prefix("id: ").unwrap().split_once("\ndata: ").unwrap();
            let page = Pulled::of(&serde_json::from_str(data).unwrap());
            assert_eq!(page.cursor, id);
            return page;
        }
    }
}

#[tokio::test]
async fn a_stream_brings_what_is_there_and_then_what_comes() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let mut events = Events::open(&site, "10:a", "", None).await;
    assert_eq!(events.page().await.texts(), ["1"]);
    site.notes("11:c", &["of another user"]).await;
    site.notes("10:b", &["2"]).await;
    let second = events.page().await;
    assert_eq!(second.texts(), ["2"]);
    drop(events);
    site.notes("10:b", &["3"]).await;
    let mut events = Events::open(&site, "10:a", "since=wins-nothing", Some(&second.cursor)).await;
    assert_eq!(events.page().await.texts(), ["3"]);
    assert_eq!(site.app.metrics.waiting.get(), 1);
}

#[tokio::test]
async fn the_first_event_comes_at_once_with_a_cursor() {
    let site = Site::open(RULES);
    let mut events = Events::open(&site, "10:a", "channel=news", None).await;
    let first = events.page().await;
    assert_eq!(first.texts(), Vec::<&str>::new());
    site.push("11:b", &[serde_json::json!({"type": "news", "x": "1"})]).await;
    let mut again = Events::open(&site, "10:a", "channel=news", Some(&first.cursor)).await;
    assert_eq!(again.page().await.texts(), ["1"]);
}

#[tokio::test]
async fn a_backlog_comes_in_small_pages_that_are_read_one_by_one() {
    let site = Site::open(RULES);
    site.notes("10:b", &["x"; 250]).await;
    let mut events = Events::open(&site, "10:a", "", None).await;
    let mut counts = Vec::new();
    for _ in 0..3 {
        let page = events.page().await;
        counts.push((page.actions.len(), page.more));
    }
    assert_eq!(counts, [(100, true), (100, true), (50, false)]);
}

#[tokio::test]
async fn silence_is_broken_by_a_comment() {
    let site = Site::open(&format!("{RULES}\n[limits]\nping = \"5ms\""));
    let mut events = Events::open(&site, "10:a", "", None).await;
    events.page().await;
    assert_eq!(events.chunk().await.as_deref(), Some(":\n\n"));
    site.notes("10:b", &["1"]).await;
    assert_eq!(events.page().await.texts(), ["1"]);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let site = Site::open(RULES);
    let mut events = Events::open(&site, "10:a", "", None).await;
    events.page().await;
    site.stop.send(true).unwrap();
    assert_eq!(events.chunk().await, None);
}

#[tokio::test]
async fn a_stream_that_may_not_begin_is_refused_as_a_pull_is() {
    let site = Site::open(RULES);
    for (query, status) in [("channel=secret", 403), ("channel=nowhere", 404), ("since=x", 400)] {
        let request = get("10:a", &format!("/v1/log?{query}"));
        let request = request.header("accept", "text/event-stream").body(Body::empty()).unwrap();
        assert_eq!(site.send(request).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_client_is_revoked() {
    let site = Site::open(RULES);
    let mut events = Events::open(&site, "10:a", "", None).await;
    let mut other = Events::open(&site, "10:b", "", None).await;
    events.page().await;
    other.page().await;
    let order = Order::Revoke { target: Target::Client("10:a".to_owned()), expires_ms: None };
    revocations::answer(&site.app, order).await.unwrap();
    assert_eq!(events.chunk().await, None);
    site.notes("10:c", &["1"]).await;
    assert_eq!(other.page().await.texts(), ["1"], "not that of the user's other client");
}
