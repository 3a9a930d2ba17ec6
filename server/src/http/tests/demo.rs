//! The demo is there for development, and nowhere else.

use super::site::{Site, get};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

const FILES: [(&str, &str); 4] = [
    ("/", "text/html; charset=utf-8"),
    ("/demo/style.css", "text/css; charset=utf-8"),
    ("/demo/app.js", "text/javascript; charset=utf-8"),
    ("/demo/service-worker.js", "text/javascript; charset=utf-8"),
];
const WHY: &str = "/demo/why?channel=demo%2Fa&document=demo%2Fa&path=%5B%22n%22%5D";

async fn answer(site: &Site, who: &str, path: &str) -> Response<Body> {
    site.begin(get(who, path).body(Body::empty()).unwrap()).await
}

async fn text(answer: Response<Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn the_page_comes_out_of_the_binary_and_may_load_nothing_else() {
    let site = Site::open("");
    for (path, media_type) in FILES {
        let answer = answer(&site, "", path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), media_type);
        assert!(
            header("content-security-policy").starts_with("default-src 'none'; script-src 'self'")
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        let body = text(answer).await;
        assert!(!body.is_empty());
        if path == "/" {
            let own: Vec<_> = body.split(['"']).filter(|it| it.starts_with("/demo/")).collect();
            assert!(own.iter().all(|it| FILES.iter().any(|file| file.0 == *it)), "{own:?}");
            assert!(
                !body.contains("<script>") && !body.contains(" style="),
                "the policy forbids it"
            );
        }
    }
}

#[tokio::test]
async fn it_is_not_there_without_dev() {
    let site =
        Site::open_in(tempfile::tempdir().unwrap(), "[auth]\nanonymous = [\"guest\"]", false);
    for path in FILES.iter().map(|file| file.0).chain([WHY]) {
        let answer = answer(&site, "", path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn why_says_who_made_a_value_to_those_who_may_read_it() {
    let site = Site::open("");
    let add =
        |by: i64| json!({ "type": "crdt/counter/add", "doc": "demo/a", "path": ["n"], "by": by });
    let ids = [site.push("ann:a", &[add(2)]).await, site.push("bob:b", &[add(3)]).await].concat();
    let why: Value = serde_json::from_str(&text(answer(&site, "bob", WHY).await).await).unwrap();
    assert_eq!((&why["value"], &why["shown"]), (&json!(5), &json!("counter")));
    let sources: Vec<_> =
        why["parts"].as_array().unwrap().iter().map(|it| &it["entry"]["id"]).collect();
    assert_eq!(sources, [&json!(ids[0]), &json!(ids[1])]);

    for (who, path, status) in [
        ("", WHY, 401),
        ("bob", "/demo/why?channel=other&document=d&path=%5B%5D", 404),
        ("bob", "/demo/why?channel=demo%2Fa&document=d&path=x", 400),
        ("bob", "/demo/why?channel=demo%2Fa&document=d", 400),
    ] {
        assert_eq!(answer(&site, who, path).await.status(), status, "{path}");
    }
}

#[tokio::test]
async fn its_boards_are_shared_and_everything_else_stays_as_it_is_without_rules() {
    let site = Site::open("");
    let set = |doc: &str| json!({ "type": "crdt/register/set", "doc": doc, "value": 1 });
    site.push("ann:a", &[set("demo/a"), set("own"), json!({ "type": "note" })]).await;
    assert_eq!(site.pull("bob:b", "channel=demo%2Fa").await.actions.len(), 1);
    assert_eq!(site.pull("ann:c", "channel=demo%2Fa").await.actions.len(), 3);
    site.get("bob", "/v1/log?channel=own").await.problem(404, "unknown-channel");
}

#[tokio::test]
async fn rules_that_are_written_are_all_there_are() {
    let site = Site::open("[[action]]\ntype = \"crdt/*\"");
    site.push("ann:a", &[json!({ "type": "crdt/register/set", "doc": "demo/a", "value": 1 })])
        .await;
    site.get("bob", "/v1/log?channel=demo%2Fa").await.problem(404, "unknown-channel");
}
