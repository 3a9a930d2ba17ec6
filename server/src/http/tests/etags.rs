//! A device asks whether there is anything new.

use super::site::{Answer, RULES, Site, get};
use axum::body::Body;

async fn ask(site: &Site, who: &str, query: &str, tag: &str) -> Answer {
    let request = get(who, &format!("/v1/log?{query}")).header("if-none-match", tag);
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_page_that_is_known_is_answered_with_304_until_something_visible_comes() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let page = site.get("10:a", "/v1/log").await;
    let tag = page.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(page.header("cache-control"), "private, no-cache");
    for varies in ["authorization", "cookie", "accept", "accept-encoding", "tidelog-client"] {
        assert!(page.header("vary").contains(varies), "{varies}");
    }
    site.notes("11:c", &["of another user"]).await;
    let same = ask(&site, "10:a", "", &format!("\"x\", {tag}")).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(
        (same.header("etag"), same.header("cache-control")),
        (tag.as_str(), "private, no-cache")
    );
    site.notes("10:b", &["2"]).await;
    assert_eq!(ask(&site, "10:a", "", &tag).await.status, 200);
    assert_eq!(ask(&site, "10:a", "", "*").await.status, 304);
}

#[tokio::test]
async fn the_tag_depends_on_what_the_page_depends_on() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1", "2"]).await;
    let tag = site.get("10:a", "/v1/log").await.header("etag").to_owned();
    assert_eq!(ask(&site, "10:a", "", &tag).await.status, 304);
    assert_eq!(ask(&site, "10:c", "", &tag).await.status, 200, "another device");
    assert_eq!(ask(&site, "10:a", "channel=posts%2F1", &tag).await.status, 200, "a channel more");
    assert_eq!(ask(&site, "10:a", "limit=1", &tag).await.status, 200, "another page");
    let packed = get("10:a", "/v1/log").header("if-none-match", &tag);
    let packed = packed.header("accept", "application/msgpack").body(Body::empty()).unwrap();
    assert_eq!(site.send(packed).await.status, 200, "another format");
}

#[tokio::test]
async fn a_page_that_is_no_longer_the_last_is_another_page() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let tag = site.get("10:a", "/v1/log?limit=1").await.header("etag").to_owned();
    site.notes("10:b", &["2"]).await;
    let page = ask(&site, "10:a", "limit=1", &tag).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.json()["more"], true);
}

/// Nothing but `more` tells the two pages apart: they have the same entry and the same cursor.
#[tokio::test]
async fn a_page_after_a_cursor_that_is_no_longer_the_last_is_another_page() {
    let site = Site::open(RULES);
    site.notes("10:b", &["0"]).await;
    let query = format!("limit=1&since={}", site.pull("10:a", "").await.cursor);
    site.notes("10:b", &["1"]).await;
    let last = site.get("10:a", &format!("/v1/log?{query}")).await;
    let tag = last.header("etag").to_owned();
    assert_eq!(ask(&site, "10:a", &query, &tag).await.status, 304);
    site.notes("10:b", &["2"]).await;
    let page = ask(&site, "10:a", &query, &tag).await;
    assert_eq!(page.status, 200);
    assert_eq!((&last.json()["more"], &page.json()["more"]), (&false.into(), &true.into()));
    assert_eq!(last.json()["cursor"], page.json()["cursor"]);
}
