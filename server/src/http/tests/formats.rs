//! The same in `MessagePack`, compressed, and from other origins.

use super::site::{RULES, Site, get, post};
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};

const PACKED: &str = "application/msgpack";

#[tokio::test]
async fn a_device_can_speak_messagepack_both_ways() {
    let site = Site::open(RULES);
    let body = json!({"actions": [[{"type": "note", "x": "ä", "n": [1, -2, 0.5, null]}, {"id": "1 10:b:t 0"}]]});
    let packed = rmp_serde::to_vec_named(&body).unwrap();
    let request = post("10:b", "/v1/log").header("content-type", PACKED);
    let mut request = request.body(Body::from(packed)).unwrap();
    request.headers_mut().insert("content-type", PACKED.parse().unwrap());
    let answer = site.send(request).await;
    assert_eq!(answer.header("content-type"), PACKED, "as it was asked");
    let results: Value = rmp_serde::from_slice(&answer.body).unwrap();
    assert_eq!(
        results["results"],
        json!([{"id": "1 10:b:t 0", "status": "processed", "added": 1}])
    );

    let request = get("10:a", "/v1/log").header("accept", PACKED).body(Body::empty()).unwrap();
    let answer = site.send(request).await;
    let pulled: Value = rmp_serde::from_slice(&answer.body).unwrap();
    assert_eq!(pulled["actions"][0][0], body["actions"][0][0]);
    assert_eq!(pulled["actions"][0][1]["id"], "1 10:b:t 0");
    assert_eq!(site.pull("10:a", "").await.actions[0][0], body["actions"][0][0], "and as JSON");
}

#[tokio::test]
async fn what_json_alone_can_hold_is_near_enough_in_messagepack_and_untouched_in_json() {
    let site = Site::open(RULES);
    let odd = r#"{"type":"note","text":"Hi \ud83d","n":1e999}"#;
    let body = format!(r#"{{"actions":[[{odd},{{}}],[{{"type":"note","text":"next"}},{{}}]]}}"#);
    let pushed = site.send(post("10:b", "/v1/log").body(Body::from(body)).unwrap()).await.json();
    assert_eq!(pushed["results"][0]["status"], "processed", "{pushed}");
    let request = get("10:a", "/v1/log").header("accept", PACKED).body(Body::empty()).unwrap();
    let answer = site.send(request).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, PACKED));
    let page: Value = rmp_serde::from_slice(&answer.body).unwrap();
    let near = json!({"type": "note", "text": "Hi \u{fffd}", "n": f64::MAX});
    assert_eq!((&page["actions"][0][0], &page["actions"][1][0]["text"]), (&near, &json!("next")));
    // This test's own reader of JSON would refuse it as well.
    let plain = site.begin(get("10:a", "/v1/log").body(Body::empty()).unwrap()).await;
    let plain = plain.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&plain).contains(odd), "{plain:?}");
}

#[tokio::test]
async fn what_json_cannot_hold_is_refused_with_its_place() {
    let site = Site::open(RULES);
    let push = |value: &[u8]| {
        let start = [
            &[0x81, 0xa7][..],
            b"actions",
            &[0x91, 0x92, 0x82, 0xa4],
            b"type",
            &[0xa4],
            b"note",
            &[0xa1],
            b"x",
        ];
        let bytes = [&start.concat()[..], value, &[0x80]].concat();
        let mut request = post("10:b", "/v1/log").body(Body::from(bytes)).unwrap();
        request.headers_mut().insert("content-type", PACKED.parse().unwrap());
        request
    };
    assert_eq!(site.send(push(&[1])).await.status, 200);
    let nan = [&[0xcb][..], &f64::NAN.to_be_bytes()].concat();
    for value in [&[0xc4, 1, 0][..], &[0xd4, 1, 0], &[0x81, 1, 1], &nan] {
        let problem = site.send(push(value)).await.problem(400, "malformed-body");
        let path = problem["path"].as_str().unwrap();
        assert!(path.starts_with("actions[0][0]"), "{problem}");
    }
    assert_eq!(site.app.log.head().get(), 1);
}

#[tokio::test]
async fn a_body_of_another_type_or_compressed_is_refused() {
    let site = Site::open(RULES);
    let mut request = post("10:a", "/v1/log").body(Body::from(r#"{"actions":[]}"#)).unwrap();
    request.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    site.send(request).await.problem(415, "unsupported-media-type");
    let request = post("10:a", "/v1/log").header("content-encoding", "gzip");
    site.send(request.body(Body::from("x")).unwrap()).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn answers_are_compressed_as_the_client_can_read_them() {
    let site = Site::open(RULES);
    site.notes("10:b", &["a long text, again and again"; 50]).await;
    let plain = site.get("10:a", "/v1/log").await;
    for (coding, magic) in
        [("gzip", &[0x1f, 0x8b][..]), ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]), ("br", &[])]
    {
        let request = get("10:a", "/v1/log").header("accept-encoding", coding);
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding));
        assert!(answer.body.starts_with(magic) && answer.body.len() * 4 < plain.body.len());
        assert_eq!(answer.header("etag"), plain.header("etag"));
    }
}

#[tokio::test]
async fn pages_of_named_origins_may_call_and_others_not() {
    let cors = "[cors]\norigins = [\"https://app.example\"]\ncredentials = true";
    let site = Site::open(&format!("{RULES}\n{cors}"));
    let preflight = |origin: &str| {
        let request = get("10", "/v1/log").method("OPTIONS").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let asked = "content-type,tidelog-client,idempotency-key";
        request.header("access-control-request-headers", asked).body(Body::empty()).unwrap()
    };
    let allowed = site.send(preflight("https://app.example")).await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    assert!(allowed.header("access-control-allow-headers").contains("tidelog-client"));
    let foreign = site.send(preflight("https://evil.example")).await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    let problem = get("10", "/v1/log?limit=x").header("origin", "https://app.example");
    let problem = site.send(problem.body(Body::empty()).unwrap()).await;
    assert_eq!(problem.header("access-control-allow-origin"), "https://app.example");
    problem.problem(400, "malformed-query");
    let closed = Site::open(RULES).send(preflight("https://app.example")).await;
    assert_eq!(closed.header("access-control-allow-origin"), "");
}
