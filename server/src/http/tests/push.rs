//! A device pushes.

use super::site::{Answer, RULES, Site, post};
use crate::ingest::{Known, Submission};
use crate::rules::Subject;
use axum::body::Body;
use serde_json::{Value, json};
use tidelog_crdt::{Dot, Position};
use tidelog_protocol::{Action, Meta, NodeId, Pair, UserId};

fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["results"].as_array().unwrap().clone()
}

fn note(id: &str, text: &str) -> Value {
    json!([{"type": "note", "x": text}, {"id": id}])
}

async fn push(site: &Site, who: &str, actions: &[Value]) -> Vec<Value> {
    results(&site.post(who, "/v1/log", &json!({ "actions": actions })).await)
}

#[tokio::test]
async fn verdicts_come_in_the_order_of_the_actions_and_a_repeat_is_stored_once() {
    let site = Site::open(RULES);
    let actions = [
        note("1 10:a:t 0", "1"),
        json!([{"type": "unheard"}, {"id": "2 10:a:t 0"}]),
        note("3 10:a:t 0", "2"),
        note("1 10:a:t 0", "again"),
    ];
    let expected = [
        json!({"id": "1 10:a:t 0", "status": "processed", "added": 1}),
        json!({"id": "2 10:a:t 0", "status": "undone", "reason": "unknownType"}),
        json!({"id": "3 10:a:t 0", "status": "processed", "added": 2}),
        json!({"id": "1 10:a:t 0", "status": "processed", "added": 1}),
    ];
    for _ in 0..2 {
        assert_eq!(push(&site, "10:a", &actions).await, expected);
    }
    assert_eq!(site.pull("10:b", "").await.texts(), ["1", "2"]);
}

#[tokio::test]
async fn an_action_that_came_by_websocket_is_not_stored_again() {
    let site = Site::open(RULES);
    let id: tidelog_protocol::ActionId = "1 10:a:t 0".parse().unwrap();
    let identity = crate::auth::Identity {
        user: UserId::new("10").unwrap(),
        claims: std::sync::Arc::default(),
        expires_ms: None,
        anonymous: false,
    };
    let subject = Subject::new(&identity, NodeId::new("10:a:t").unwrap(), 0);
    let action = Action::new(bytes::Bytes::from_static(br#"{"type":"note","x":"1"}"#)).unwrap();
    let pair = Pair { action, meta: Meta { id, time: 1, subprotocol: None }, extra_keys: false };
    let submission = Submission { pair, known: Known::default() };
    site.app.ingest.take(&std::sync::Arc::new(subject), vec![submission], 1).await.unwrap();
    let result = &push(&site, "10:a", &[note("1 10:a:t 0", "1")]).await[0];
    assert_eq!(result["status"], "processed");
    assert_eq!(site.pull("10:b", "").await.texts(), ["1"]);
}

#[tokio::test]
async fn an_action_without_time_has_that_of_its_id_and_without_id_now() {
    let site = Site::open(RULES);
    let before = crate::clock::now_ms();
    push(&site, "10:a", &[note("77 10:a:t 0", "1"), json!([{"type": "note", "x": "2"}, {}])]).await;
    let pulled = site.pull("10:b", "").await;
    assert_eq!(pulled.actions[0][1]["time"], 77);
    assert!(pulled.actions[1][1]["time"].as_u64().unwrap() >= before);
    let id = pulled.ids()[1];
    assert!(id.contains(" 10:a:http-"), "{id}");
}

#[tokio::test]
async fn a_caller_with_a_name_pushes_for_that_device_and_one_without_for_any_of_its_user() {
    let site = Site::open(RULES);
    let actions = [
        note("1 10:a:t 0", "1"),
        note("2 10:b:t 0", "2"),
        note("3 11:a:t 0", "of another user"),
        note("4 10:a:t 0", "4"),
    ];
    let verdicts = |results: Vec<Value>| -> Vec<String> {
        let status = |result: &Value| result["status"].as_str().unwrap().to_owned();
        results.iter().map(status).collect()
    };
    let named = verdicts(push(&site, "10:a", &actions).await);
    assert_eq!(named, ["processed", "undone", "undone", "processed"]);
    let nameless = push(&site, "10", &actions).await;
    assert_eq!(nameless[2]["reason"], "denied");
    assert_eq!(verdicts(nameless), ["processed", "processed", "undone", "processed"]);
    assert_eq!(site.pull("10:c", "").await.texts(), ["1", "4", "2"]);
}

#[tokio::test]
async fn a_push_with_a_key_has_the_same_names_again_even_after_a_restart() {
    let mut site = Site::open(RULES);
    let keyed = |key: &str, text: &str| {
        let body = json!({"actions": [[{"type": "note", "x": text}, {}], [{"type": "note", "x": "same"}, {}]]});
        let request = post("10:a", "/v1/log").header("idempotency-key", key);
        request.body(Body::from(body.to_string())).unwrap()
    };
    let first = results(&site.send(keyed("k", "1")).await);
    assert_eq!(results(&site.send(keyed("k", "1")).await), first);
    site = site.restart().await;
    assert_eq!(results(&site.send(keyed("k", "1")).await), first);
    assert_eq!(site.pull("10:b", "").await.texts(), ["1", "same"]);
    results(&site.send(keyed("k", "2")).await);
    results(&site.send(keyed("l", "1")).await);
    let texts = site.pull("10:b", "").await;
    assert_eq!(texts.texts(), ["1", "same", "2", "same", "1", "same"], "other pushes");
    let long = "k".repeat(256);
    site.send(keyed(&long, "1")).await.problem(400, "malformed-header");
}

#[tokio::test]
async fn what_is_too_large_too_deep_or_a_subscription_is_undone_and_the_rest_is_stored() {
    let site = Site::open(RULES);
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let actions = [
        json!([{"type": "note", "x": "x".repeat(130 << 10)}, {}]),
        json!([{"type": "note", "x": deep}, {}]),
        json!([{"type": "n".repeat(300)}, {}]),
        json!([{"type": "logux/subscribe", "channel": "posts/1"}, {}]),
        json!([{"type": "logux/unsubscribe", "channel": "posts/1"}, {}]),
        json!([{"type": "logux/undo", "id": "1 10:a:t 0"}, {}]),
        note("1 10:a:t 0", "kept"),
    ];
    let results = push(&site, "10:a", &actions).await;
    let reasons: Vec<_> = results.iter().map(|result| result["reason"].as_str()).collect();
    let expected =
        ["tooLarge", "error", "error", "useChannelParameter", "useChannelParameter", "denied"];
    assert_eq!(reasons[..6], expected.map(Some));
    assert_eq!(reasons[6], None);
    assert_eq!(site.pull("10:b", "").await.texts(), ["kept"]);
}

#[tokio::test]
async fn what_the_author_had_seen_is_recorded_with_its_own_actions() {
    let site = Site::open(RULES);
    site.notes("10:b", &["1"]).await;
    let pulled = site.pull("10:a", "").await;
    site.notes("10:b", &["2"]).await;
    site.notes("10:a", &["3"]).await;
    let body = json!({"actions": [note("9 10:a:t 0", "4")], "seen": pulled.cursor});
    results(&site.post("10:a", "/v1/log", &body).await);
    let entry = site.app.log.entry(Position::new(4).unwrap()).unwrap().unwrap();
    let context = entry.causes.context();
    let (incarnation, seen) = context.iter().next().unwrap();
    assert_eq!(incarnation, site.app.log.incarnation());
    assert_eq!(seen.prefix.get(), 1);
    let own: Vec<_> = seen.own.iter().map(|(first, last)| (first.get(), last.get())).collect();
    assert_eq!(own, [(3, 3)]);

    // Actions that go to a channel, too: of one that is not in the cursor the author has had nothing.
    let post = |id: &str| json!([{"type": "posts/add", "post": "1", "x": "5"}, {"id": id}]);
    let follows = site.pull("10:a", "channel=posts/1").await.cursor;
    for (nth, seen, expected) in [(1, &pulled.cursor, 0), (2, &follows, 4)] {
        let body = json!({"actions": [post(&format!("{nth} 10:a:t 0"))], "seen": seen});
        results(&site.post("10:a", "/v1/log", &body).await);
        let entry = site.app.log.entry(site.app.log.head()).unwrap().unwrap();
        let context = entry.causes.context();
        let (_, seen) = context.iter().next().unwrap();
        assert_eq!(seen.prefix.get(), expected);
        assert!(seen.own.contains(Position::new(3).unwrap()) || expected > 3, "its own: {seen:?}");
    }

    let foreign = Site::open(RULES).pull("10:a", "").await.cursor;
    for (seen, status) in [(foreign.as_str(), 200), ("no cursor", 400)] {
        let body = json!({"actions": [note("10 10:a:t 0", "5")], "seen": seen});
        assert_eq!(site.post("10:a", "/v1/log", &body).await.status, status, "{seen}");
    }
}

#[tokio::test]
async fn a_malformed_body_is_refused_with_the_place_and_nothing_is_stored() {
    let site = Site::open(RULES);
    for (body, path) in [
        (r#"{"actions":[[{"type":"note"},{}],[{"kind":"note"},{}]]}"#, "actions[1][0]"),
        (r#"{"actions":[[{"type":"note"},{"id":"1 10:a:t"}]]}"#, "actions[0][1].id"),
        (r#"{"actions":[[{"type":"note"},{"reasons":[]}]]}"#, "actions[0][1].reasons"),
        (r#"{"actions":[[{"type":"note"}]]}"#, "actions[0]"),
        (r#"{"actions":[],"sen":1}"#, "sen"),
        (r#"{"actions":[[{"type":"note"},{}]]"#, ""),
        ("[]", ""),
        ("", ""),
    ] {
        let request = post("10:a", "/v1/log").body(Body::from(body)).unwrap();
        let problem = site.send(request).await.problem(400, "malformed-body");
        assert_eq!(problem["path"].as_str().unwrap_or_default(), path, "{body}: {problem}");
        assert!(problem["line"].is_u64() && problem["column"].is_u64(), "{body}");
    }
    let not_text =
        post("10:a", "/v1/log").body(Body::from(&b"{\"actions\":\"\xff\"}"[..])).unwrap();
    site.send(not_text).await.problem(400, "malformed-body");
    assert_eq!(site.app.log.head(), Position::ZERO);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_or_not_it_says_so() {
    let site = Site::open(&format!("{RULES}\n[limits]\nbody_bytes = \"1 KiB\""));
    let body = json!({"actions": [note("1 10:a:t 0", &"x".repeat(2000))]}).to_string();
    let declared = post("10:a", "/v1/log").header("content-length", body.len());
    site.send(declared.body(Body::from(body.clone())).unwrap()).await.problem(413, "too-large");
    let chunked = Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
        bytes::Bytes::from(body),
    )]));
    let undeclared = post("10:a", "/v1/log").body(chunked).unwrap();
    site.send(undeclared).await.problem(413, "too-large");
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let limits = "[limits]\nping = \"10ms\"\ntimeout = \"20ms\"";
    let site = Site::open(&format!("{RULES}\n{limits}"));
    let never =
        Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = post("10:a", "/v1/log").body(never).unwrap();
    site.send(request).await.problem(408, "body-timeout");
}

#[tokio::test]
async fn too_many_actions_or_devices_are_refused_as_a_whole() {
    let site = Site::open(RULES);
    let many = vec![json!([{"type": "note"}, {}]); tidelog_protocol::http::ACTIONS_MAX + 1];
    site.post("10:a", "/v1/log", &json!({ "actions": many })).await.problem(413, "too-large");
    let devices: Vec<_> = (0..17).map(|n| note(&format!("1 10:d{n}:t 0"), "x")).collect();
    site.post("10", "/v1/log", &json!({ "actions": devices })).await.problem(400, "too-many");
    assert_eq!(site.app.log.head(), Position::ZERO);
}

#[tokio::test]
async fn a_log_that_is_stopped_takes_nothing_and_says_come_again() {
    let site = Site::open(RULES);
    site.app.log.close().await.unwrap();
    let body = json!({"actions": [note("1 10:a:t 0", "1")]});
    let answer = site.post("10:a", "/v1/log", &body).await;
    answer.problem(503, "stopping");
    assert_eq!(answer.header("retry-after"), "1");
}

/// What it did in other logs than its user's is found by its names.
#[tokio::test]
async fn a_device_has_seen_its_own_actions_in_other_logs_after_a_restart() {
    let mut site = Site::open(RULES);
    let change =
        |id: &str| json!([{"type": "tasks/change", "id": "1", "fields": {"a": 1}}, {"id": id}]);
    push(&site, "10:a", &[change("1 10:a:t 0"), note("2 10:a:t 0", "x")]).await;
    push(&site, "11:b", &[change("1 11:b:t 0")]).await;
    site = site.restart().await;
    for nth in [3, 4] {
        push(&site, "10:a", &[change(&format!("{nth} 10:a:t 0"))]).await;
        let entry = site.app.log.entry(site.app.log.head()).unwrap().unwrap();
        let context = entry.causes.context();
        let sees = |position| {
            let incarnation = site.app.log.incarnation();
            context.covers(Dot { incarnation, position: Position::new(position).unwrap() })
        };
        assert!(sees(1) && sees(2) && !sees(3), "{context:?}");
    }
}
