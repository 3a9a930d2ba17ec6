//! The document at `/openapi.json` is true: every answer that any test of the routes gets is held
//! against it, and every answer that it names can be had.

use super::devices;
use super::site::{Answer, RULES, Site, post, request};
use crate::http::problem::Kind;
use crate::http::status::OPENAPI;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use bytes::Bytes;
use futures_util::future::join_all;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

/// What clients of another version may find more in is closed here, so that nothing is answered that
/// is not documented.
const CLOSED: [&str; 10] = [
    "Device",
    "Devices",
    "Document",
    "Page",
    "Problem",
    "PulledMeta",
    "PushKey",
    "Result",
    "Results",
    "Synced",
];

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value = serde_json::from_str(OPENAPI).unwrap();
    for name in CLOSED {
        document["components"]["schemas"][name]["additionalProperties"] = json!(false);
    }
    document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    document
});

/// By the place of the schema: making one takes longer than most tests.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);

/// Answers so far: path, method, status.
static SEEN: Mutex<BTreeSet<[String; 3]>> = Mutex::new(BTreeSet::new());

/// Holds the answer to a request against the document.
pub(super) fn check(method: &Method, path: &str, answer: &Answer) {
    let status = answer.status.to_string();
    let path = match path {
        path if path.starts_with("/v1/docs/") => "/v1/docs/{name}",
        path if path.starts_with("/v1/push/devices/") => "/v1/push/devices/{id}",
        path => path,
    };
    let Some(operations) = DOCUMENT["paths"].get(path) else {
        answer.problem(404, "not-found");
        return fits("/components/schemas/Problem", &answer.json(), path);
    };
    let name = if method == Method::HEAD { "get".into() } else { method.as_str().to_lowercase() };
    if operations.get(&name).is_none() {
        if *method != Method::OPTIONS {
            answer.problem(405, "method-not-allowed");
            fits("/components/schemas/Problem", &answer.json(), path);
        }
        return;
    }
    let operation = format!("/paths/{}/{name}", escape(path));
    let response = resolve(&format!("{operation}/responses/{status}"));
    SEEN.lock().unwrap().insert([path.to_owned(), name, status]);
    check_headers(&response, answer);
    // What is compressed, or not sent at all, is the same as what other tests see.
    if *method != Method::HEAD && answer.header("content-encoding").is_empty() {
        check_body(&response, answer);
    }
}

fn check_headers(response: &str, answer: &Answer) {
    let headers = at(response)["headers"].as_object().cloned().unwrap_or_default();
    for name in headers.keys() {
        let header = resolve(&format!("{response}/headers/{}", escape(name)));
        let value = answer.header(name.as_str());
        if value.is_empty() {
            assert_ne!(at(&header)["required"], true, "{name} is missing: {answer:?}");
            continue;
        }
        let number = at(&header)["schema"]["type"] == "integer";
        let value = if number { value.parse::<u64>().unwrap().into() } else { json!(value) };
        fits(&format!("{header}/schema"), &value, name);
    }
}

fn check_body(response: &str, answer: &Answer) {
    let content = answer.header("content-type").split(';').next().unwrap_or_default();
    if at(response).get("content").is_none() {
        assert_eq!((content, answer.body.len()), ("", 0), "{answer:?}");
        return;
    }
    let documented = format!("{response}/content/{}", escape(content));
    assert!(DOCUMENT.pointer(&documented).is_some(), "{content} is not in the document");
    let body = match content {
        "text/event-stream" => return,
        "application/msgpack" => rmp_serde::from_slice(&answer.body).unwrap(),
        name if name.ends_with("json") => answer.json(),
        _ => json!(std::str::from_utf8(&answer.body).unwrap()),
    };
    fits(&format!("{documented}/schema"), &body, content);
}

fn fits(schema: &str, value: &Value, what: &str) {
    let mut validators = VALIDATORS.lock().unwrap();
    let validator = validators.entry(schema.to_owned()).or_insert_with(|| {
        let mut document = DOCUMENT.clone();
        let fragment = schema.replace('{', "%7B").replace('}', "%7D");
        document["$ref"] = json!(format!("#{fragment}"));
        jsonschema::validator_for(&document).unwrap()
    });
    let faults: Vec<_> = validator.iter_errors(value).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{what} does not fit {schema}: {faults:?}\n{value}");
}

fn at(pointer: &str) -> &'static Value {
    DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in the document"))
}

/// The place itself, or the one that it refers to.
fn resolve(pointer: &str) -> String {
    let reference = at(pointer).get("$ref").and_then(Value::as_str);
    reference.map_or(pointer, |reference| reference.trim_start_matches('#')).to_owned()
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The operations that sign somebody in.
const OPERATIONS: [(&str, &str); 4] =
    [("GET", "/v1/log"), ("GET", "/v1/docs/cart"), ("POST", "/v1/log"), ("POST", "/v1/sync")];

/// What is asked about devices.
const DEVICES: [(&str, &str); 4] = [
    ("GET", "/v1/push/devices"),
    ("DELETE", "/v1/push/devices/a"),
    ("POST", "/v1/push/devices"),
    ("PUT", "/v1/push/devices/a"),
];

fn all_operations() -> impl Iterator<Item = (&'static str, &'static str)> {
    OPERATIONS.into_iter().chain(DEVICES)
}

/// A request as `who`, with something to push if the operation pushes.
fn ask(who: &str, (method, path): (&str, &str), query: &str, body: &Value) -> Request<Body> {
    if method == "GET" {
        return request(who, &format!("{path}?{query}")).body(Body::empty()).unwrap();
    }
    post(who, path).method(method).body(Body::from(body.to_string())).unwrap()
}

fn plain(operation: (&str, &str)) -> Request<Body> {
    if DEVICES.contains(&operation) {
        return ask("10:a", operation, "", &devices::browser("https://push.example.com/a"));
    }
    ask("10:a", operation, "", &json!({"actions": [[{"type": "note"}, {}]]}))
}

#[tokio::test]
async fn every_answer_in_the_document_can_be_had() {
    let site = Site::open(RULES);
    for path in ["/health", "/ready", "/metrics", "/openapi.json", "/v1/push/key", "/v1/held"] {
        assert_eq!(site.get("10", path).await.status, 200);
    }
    for operation in OPERATIONS {
        assert_eq!(site.send(plain(operation)).await.status, 200, "{operation:?}");
    }
    conditional(&site).await;
    refusals(&site).await;
    devices::refusals(RULES).await;
    bodies().await;
    signing_in().await;
    stopping().await;
    unreadable().await;
    let documented =
        DOCUMENT["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
            operations.as_object().unwrap().iter().flat_map(move |(name, operation)| {
                let statuses = operation["responses"].as_object().unwrap().keys();
                statuses.map(move |status| [path.clone(), name.clone(), status.clone()])
            })
        });
    let seen = SEEN.lock().unwrap().clone();
    // 431 is the HTTP library's, before there is a route.
    let missing = documented.filter(|answer| !seen.contains(answer) && answer[2] != "431");
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "documented, and never answered: {missing:?}");
}

async fn conditional(site: &Site) {
    for (_, path) in &OPERATIONS[..2] {
        let tag = site.get("10:a", path).await.header("etag").to_owned();
        let again = request("10:a", path).header("if-none-match", tag).body(Body::empty());
        assert_eq!(site.send(again.unwrap()).await.status, 304);
    }
}

async fn refusals(site: &Site) {
    let foreign = site.pull("11:x", "").await.cursor;
    for operation in &OPERATIONS[..2] {
        let zero = ask("10", *operation, "limit=x", &Value::Null);
        site.send(zero).await.problem(400, "malformed-query");
    }
    site.send(ask("10", OPERATIONS[2], "", &json!({"action": []})))
        .await
        .problem(400, "malformed-body");
    site.send(ask("10", OPERATIONS[3], "", &json!({"limit": 0})))
        .await
        .problem(400, "malformed-query");
    for operation in [OPERATIONS[0], OPERATIONS[1], OPERATIONS[3]] {
        let about = |channel: &str| {
            ask("10", operation, &format!("channel={channel}"), &json!({"channels": [channel]}))
        };
        site.send(about("secret")).await.problem(403, "channel-denied");
        site.send(about("nowhere")).await.problem(404, "unknown-channel");
        let since = ask("10", operation, &format!("since={foreign}"), &json!({"since": foreign}));
        site.send(since).await.problem(410, "foreign-cursor");
    }
    for operation in all_operations() {
        let mut nobody = plain(operation);
        nobody.headers_mut().remove("authorization");
        nobody.headers_mut().remove("tidelog-client");
        site.send(nobody).await.problem(401, "not-signed-in");
        let mut odd = plain(operation);
        odd.headers_mut().insert("tidelog-client", HeaderValue::from_static(""));
        site.send(odd).await.problem(400, "malformed-header");
    }
}

async fn bodies() {
    let limits = "[limits]\nping = \"10ms\"\ntimeout = \"20ms\"\nbody_bytes = 100";
    let site = Site::open(&format!("{RULES}\n{limits}"));
    for operation in OPERATIONS[2..].iter().chain(&DEVICES[2..]) {
        let long = json!({"actions": [[{"type": "note", "text": "x".repeat(100)}, {}]]});
        site.send(ask("10", *operation, "", &long)).await.problem(413, "too-large");
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let never = post("10", operation.1).method(operation.0).body(Body::from_stream(never));
        let never = never.unwrap();
        site.send(never).await.problem(408, "body-timeout");
        let mut text = plain(*operation);
        text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        site.send(text).await.problem(415, "unsupported-media-type");
    }
}

async fn signing_in() {
    let issuer = "[[auth.jwt]]\nsecret_file = \"key\"\n[limits]\nsign_in_failures = 1";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "a secret of thirty-two bytes or more").unwrap();
    let site = Site::open_in(dir, &format!("{RULES}\n{issuer}"), false);
    let key = crate::auth::SigningKey::read(&site.file("key")).unwrap();
    let claims =
        json!({"sub": "10", "client": "phone", "exp": crate::clock::now_ms() / 1000 + 3600});
    let token = format!("Bearer {}", key.sign(claims.as_object().unwrap()).unwrap());
    for operation in all_operations() {
        let mut other = plain(operation);
        other.headers_mut().insert("authorization", token.parse().unwrap());
        site.send(other).await.problem(403, "wrong-client");
    }
    site.send(plain(OPERATIONS[0])).await.problem(401, "not-signed-in");
    for operation in all_operations() {
        site.send(plain(operation)).await.problem(429, "too-many-failures");
    }
}

async fn stopping() {
    let issuer = "[[auth.jwt]]\nsecret_file = \"key\"\n[limits]\nsign_in_failures_per_address = 1";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "a secret of thirty-two bytes or more").unwrap();
    let site = Site::open_in(dir, &format!("{RULES}\n{issuer}"), false);
    site.stop.send(true).unwrap();
    site.get("10", "/ready").await.problem(503, "stopping");
    for operation in all_operations() {
        // Over the ceiling of the address, all but the first have to wait, and the server stops.
        let crowd = (0..9).map(|_| site.send(plain(operation)));
        let answers = join_all(crowd).await;
        answers.iter().find(|answer| answer.status == 503).unwrap().problem(503, "stopping");
    }
}

/// What is on the disk is not what was written.
async fn unreadable() {
    let site = Site::open(&format!("{RULES}\n[log]\ntail_bytes = 1"));
    for text in ["1", "2", "3"] {
        site.notes("10:a", &[text]).await;
    }
    let site = site.restart().await;
    destroy(&site.file("data/index"));
    for operation in OPERATIONS {
        site.send(plain(operation)).await.problem(500, "log-unreadable");
    }
}

/// Overwrites the runs of the index.
fn destroy(dir: &Path) {
    for file in std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if file.is_dir() {
            destroy(&file);
        } else if name.contains("run") {
            let bytes = std::fs::metadata(&file).unwrap().len();
            let noise = vec![0xa5; usize::try_from(bytes).unwrap()];
            std::fs::File::options()
                .write(true)
                .open(&file)
                .unwrap()
                .write_all_at(&noise, 0)
                .unwrap();
        }
    }
}

#[test]
fn every_problem_is_in_the_document_and_no_other() {
    let mut documented = BTreeSet::new();
    let responses = DOCUMENT["paths"].as_object().unwrap().values();
    let responses = responses.flat_map(|operations| operations.as_object().unwrap().values());
    let responses = responses.flat_map(|it| it["responses"].as_object().unwrap().values());
    for response in
        responses.chain(DOCUMENT["components"]["responses"].as_object().unwrap().values())
    {
        let schema = &response["content"]["application/problem+json"]["schema"]["properties"];
        for name in schema["type"]["enum"].as_array().into_iter().flatten() {
            let status = schema["status"]["const"].as_u64().unwrap();
            documented.insert((name.as_str().unwrap().to_owned(), status));
        }
    }
    // What no operation answers, but the paths and methods that are none.
    let elsewhere = [Kind::NotFound, Kind::MethodNotAllowed];
    let kinds = Kind::ALL.into_iter().filter(|kind| !elsewhere.contains(kind));
    let expected: BTreeSet<_> = kinds.map(|kind| (kind.urn(), u64::from(kind.status()))).collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_document_is_of_this_version_and_names_every_route() {
    assert_eq!(DOCUMENT["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths: BTreeSet<_> = DOCUMENT["paths"].as_object().unwrap().keys().cloned().collect();
    let source = include_str!("../../http.rs");
    let routes = source.split(".route(\"").skip(1).filter_map(|it| it.split('"').next());
    assert_eq!(paths, routes.map(str::to_owned).collect());
    jsonschema::meta::validate(&DOCUMENT["components"]["schemas"]).unwrap();
}
