//! Devices register, refresh and forget themselves.

use super::site::{Answer, RULES, Site, post, request};
use crate::wake::{Device, DeviceId};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tidelog_protocol::UserId;

/// The receiver of the example in RFC 8291.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

/// A browser that is woken at `endpoint`.
pub(super) fn browser(endpoint: &str) -> Value {
    let keys = json!({"p256dh": P256DH, "auth": AUTH});
    let subscription = json!({"endpoint": endpoint, "expirationTime": null, "keys": keys});
    json!({"kind": "web", "subscription": subscription})
}

fn at(endpoint: &str, with: &Value) -> Value {
    let mut body = browser(&format!("https://push.example.com/{endpoint}"));
    body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    body
}

async fn put(site: &Site, who: &str, id: &str, body: &Value) -> Answer {
    let request = post(who, &format!("/v1/push/devices/{id}")).method("PUT");
    site.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn delete(site: &Site, who: &str, id: &str) -> Answer {
    let request = request(who, &format!("/v1/push/devices/{id}")).method("DELETE");
    site.send(request.body(Body::empty()).unwrap()).await
}

async fn ids(site: &Site, who: &str) -> Vec<String> {
    let list = site.get(who, "/v1/push/devices").await.json();
    let devices = list["devices"].as_array().unwrap().iter();
    devices.map(|device| device["id"].as_str().unwrap().to_owned()).collect()
}

fn kept(site: &Site, user: &str, id: &str) -> Option<Device> {
    let (user, id) = (UserId::new(user).unwrap(), DeviceId::new(id).unwrap());
    site.app.wakes.book.get(&user, &id).unwrap()
}

/// Has each refusal that only these routes know.
pub(super) async fn refusals(rules: &str) {
    let site = Site::open(&format!("{rules}\n[wake]\ndevices_per_user = 1"));
    for (method, path) in [("POST", "/v1/push/devices"), ("PUT", "/v1/push/devices/b")] {
        let ask = |who: &str, body: Value| {
            let request: Request<Body> =
                post(who, path).method(method).body(Body::from(body.to_string())).unwrap();
            site.send(request)
        };
        ask("10:a", json!({"kind": "web"})).await.problem(400, "malformed-body");
        ask("10", at("a", &json!({}))).await.problem(400, "malformed-header");
        let many: Vec<_> = (0..21).map(|n| format!("posts/{n}")).collect();
        ask("10:a", at("a", &json!({ "channels": many }))).await.problem(400, "too-many");
        let secret = at("a", &json!({"channels": ["secret"]}));
        ask("10:a", secret).await.problem(403, "channel-denied");
        let nowhere = at("a", &json!({"channels": ["nowhere"]}));
        ask("10:a", nowhere).await.problem(404, "unknown-channel");
        let apns = json!({"kind": "apns", "token": "ab"});
        ask("10:a", apns).await.problem(404, "push-not-configured");
        let inside = browser("https://169.254.169.254/latest");
        ask("10:a", inside).await.problem(422, "push-endpoint-refused");
        assert_eq!(put(&site, "10:a", "first", &at("first", &json!({}))).await.status, 200);
        ask("10:a", at("second", &json!({}))).await.problem(409, "too-many-devices");
        ask("10:a", at(&"x".repeat(2048), &json!({}))).await.problem(422, "push-endpoint-refused");
    }
    assert_eq!(ids(&site, "10").await, ["first"]);
    let again = post("10:a", "/v1/push/devices").body(Body::from(at("z", &json!({})).to_string()));
    assert_eq!(delete(&site, "10:a", "first").await.status, 204);
    assert_eq!(site.send(again.unwrap()).await.status, 200);
    delete(&site, "10:a", "a.b").await.problem(400, "malformed-query");
    put(&site, "10:a", "a.b", &at("a", &json!({}))).await.problem(400, "malformed-query");
    assert_eq!(delete(&site, "10:a", "first").await.status, 204);
    assert_eq!(delete(&site, "10:a", "first").await.status, 204);
}

#[tokio::test]
async fn a_device_registers_refreshes_and_goes() {
    let site = Site::open(RULES);
    site.notes("10:b", &["before"]).await;
    let with = json!({"channels": ["posts/2", "posts/1", "posts/2"], "language": "de-AT"});
    let first = site.post("10:a", "/v1/push/devices", &at("a", &with)).await.json();
    assert_eq!(first["channels"], json!(["posts/1", "posts/2"]));
    assert_eq!((&first["kind"], &first["client"]), (&json!("web"), &json!("10:a")));
    let id = first["id"].as_str().unwrap();
    let device = kept(&site, "10", id).unwrap();
    assert_eq!((device.since.get(), device.language.as_deref()), (1, Some("de-at")));
    site.notes("10:b", &["after"]).await;
    // The same again is the same device, and is woken for what came meanwhile.
    let again = site.post("10:a", "/v1/push/devices", &at("a", &with)).await.json();
    assert_eq!(again, first);
    let other = site.post("10:a", "/v1/push/devices", &at("a", &json!({}))).await.json();
    assert_eq!((&other["id"], &other["channels"]), (&first["id"], &json!([])));
    assert_eq!(kept(&site, "10", id).unwrap().since.get(), 1);
    assert_eq!(put(&site, "10:b", "phone", &at("b", &json!({}))).await.status, 200);
    let mut all = ids(&site, "10").await;
    all.sort_unstable();
    let mut expected = vec![id.to_owned(), "phone".to_owned()];
    expected.sort_unstable();
    assert_eq!(all, expected);
    // It is nobody else's.
    assert_eq!(delete(&site, "11:a", "phone").await.status, 204);
    assert_eq!(ids(&site, "11").await, Vec::<String>::new());
    let site = site.restart().await;
    assert!(kept(&site, "10", "phone").is_some());
    assert_eq!(delete(&site, "10:b", "phone").await.status, 204);
    assert_eq!(ids(&site, "10").await, [id]);
    let list = site.get("10", "/v1/push/devices").await;
    let text = String::from_utf8(list.body.to_vec()).unwrap();
    assert!(!text.contains("push.example.com") && !text.contains(AUTH), "{text}");
}

#[tokio::test]
async fn what_is_no_device_is_told_where() {
    let site = Site::open(RULES);
    let web = |keys: Value| {
        let subscription = json!({"endpoint": "https://push.example.com/a", "keys": keys});
        json!({"kind": "web", "subscription": subscription})
    };
    for (body, path) in [
        (json!({"kind": "web"}), "subscription"),
        (json!({"kind": "web", "token": "ab"}), "token"),
        (web(json!({"p256dh": "AAAA", "auth": AUTH})), "subscription.keys.p256dh"),
        (web(json!({"p256dh": "A".repeat(87), "auth": AUTH})), "subscription.keys.p256dh"),
        (web(json!({"p256dh": P256DH, "auth": "AAAA"})), "subscription.keys.auth"),
        (json!({"kind": "apns", "token": "no hex"}), "token"),
        (json!({"kind": "apns"}), "token"),
        (json!({"kind": "fcm", "token": ""}), "token"),
        (json!({"kind": "fcm", "token": "x", "environment": "production"}), "environment"),
        (at("a", &json!({"language": "not a tag"})), "language"),
    ] {
        let problem = site.post("10:a", "/v1/push/devices", &body).await;
        assert_eq!(problem.problem(400, "malformed-body")["path"], path, "{body}");
    }
    let padded = web(json!({"p256dh": format!("{P256DH}="), "auth": format!("{AUTH}==")}));
    assert_eq!(site.post("10:a", "/v1/push/devices", &padded).await.status, 200);
    let guest = post("guest:a", "/v1/push/devices");
    let guest = guest.body(Body::from(at("g", &json!({})).to_string())).unwrap();
    site.send(guest).await.problem(401, "not-signed-in");
}

#[tokio::test]
async fn a_browser_is_woken_for_who_signed_in_there_last() {
    let site = Site::open(RULES);
    let channels = json!({"channels": ["posts/1"]});
    assert_eq!(put(&site, "10:a", "browser", &at("a", &channels)).await.status, 200);
    assert_eq!(put(&site, "11:a", "mine", &at("a", &channels)).await.status, 200);
    assert_eq!(ids(&site, "10").await, Vec::<String>::new());
    assert_eq!(ids(&site, "11").await, ["mine"]);
    // And under another name of the same user it is not there twice.
    assert_eq!(put(&site, "11:a", "renamed", &at("a", &channels)).await.status, 200);
    assert_eq!(ids(&site, "11").await, ["renamed"]);
    let log = crate::log::LogName::Channel(crate::log::Channel::new("posts/1").unwrap());
    let (woken, more) = site.app.wakes.book.of_log(&log, "", 10).unwrap();
    assert_eq!((woken.len(), more), (1, None));
    assert_eq!(woken[0].id.as_str(), "renamed");
    // It has moved on to another endpoint: who has the first one now keeps it.
    assert_eq!(put(&site, "11:a", "renamed", &at("b", &json!({}))).await.status, 200);
    assert_eq!(put(&site, "10:a", "browser", &at("a", &channels)).await.status, 200);
    assert_eq!(ids(&site, "11").await, ["renamed"]);
    assert_eq!(site.app.wakes.book.devices(), 2);
}

#[tokio::test]
async fn who_is_erased_has_no_devices_left() {
    let site = Site::open(RULES);
    for user in ["10", "1"] {
        let (who, endpoint) = (format!("{user}:a"), format!("of-{user}"));
        let body = at(&endpoint, &json!({"channels": ["posts/1"]}));
        assert_eq!(put(&site, &who, "browser", &body).await.status, 200);
    }
    let mut export = Vec::new();
    crate::users::export_live(&site.app, "10", &mut export).await.unwrap();
    let export = String::from_utf8(export).unwrap();
    assert!(export.contains("https://push.example.com/of-10"), "{export}");
    let mut receipt = Vec::new();
    crate::users::erase_live(&site.app, "10", &mut receipt).await.unwrap();
    let receipt = String::from_utf8(receipt).unwrap();
    let last: Value = serde_json::from_str(receipt.lines().last().unwrap()).unwrap();
    assert_eq!(last["devices"], 1);
    assert_eq!(ids(&site, "10").await, Vec::<String>::new());
    assert_eq!(ids(&site, "1").await, ["browser"]);
    let notes = site.app.log.notes("").unwrap();
    let left = |(name, note): &(String, bytes::Bytes)| {
        name.contains(" of-10") || String::from_utf8_lossy(note).contains("of-10")
    };
    assert!(!notes.iter().any(left) && notes.len() == 5, "{notes:?}");
}
