//! Every answer that the push services document, and what follows from it.

use super::double::{Double, apns, fcm};
use super::world::{Keys, World};
use crate::wake::table::Done;
use serde_json::json;

/// What follows.
#[derive(Debug, PartialEq)]
enum Then {
    Told,
    /// The device is taken out of the book.
    Forgotten,
    /// It is not sent again, and the operator is told why.
    Dropped,
    /// It is sent to this device again, after so many seconds at least.
    Again(u64),
    /// The same, and all others of this service wait as well.
    AllAgain(u64),
    /// It is sent again, and the operator is told that something is wrong here.
    Mend,
    AllMend,
}

impl World {
    /// Sends a push to the device; what follows.
    async fn then(&self, id: &str) -> Then {
        const RESULTS: [&str; 5] = ["accepted", "gone", "refused", "failed", "denied"];
        let before = RESULTS.map(|result| self.pushes(result));
        let done = self.tell("10", id).await;
        let mut rose = RESULTS.iter().zip(before).filter(|(it, before)| self.pushes(it) > *before);
        let result = rose.next().map(|(result, _)| *result);
        assert!(rose.next().is_none(), "it is counted once");
        match (done, result, self.is_registered("10", id)) {
            (Done::Told, Some("accepted"), true) => Then::Told,
            (Done::Dropped, Some("gone"), false) => Then::Forgotten,
            (Done::Dropped, Some("refused"), true) => Then::Dropped,
            (Done::Failed { after, all }, Some("failed"), true) => {
                let seconds = after.map_or(0, |after| after.as_secs());
                if all { Then::AllAgain(seconds) } else { Then::Again(seconds) }
            }
            (Done::Failed { after: None, all: true }, Some("denied"), true) => Then::AllMend,
            (Done::Failed { after: None, all: false }, Some("denied"), true) => Then::Mend,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_follows_from_each_answer_of_web_push() {
    let world = World::open("", "");
    let service = Double::start().await;
    let register = async |path: &str| {
        let body = Keys::make().registering(&format!("{}/{path}", service.url));
        world.register("10:a", &body).await
    };
    for (path, then) in [("a", Then::Told), ("unknown", Then::Forgotten), ("gone", Then::Forgotten)]
    {
        assert_eq!(world.then(&register(path).await).await, then, "{path}");
    }
    let id = register("a").await;
    for (status, after, then) in [
        (400, None, Then::Dropped),
        (401, None, Then::Mend),
        (403, None, Then::Mend),
        (413, None, Then::Dropped),
        (429, None, Then::Again(0)),
        (429, Some("120"), Then::Again(120)),
        (500, None, Then::AllAgain(0)),
        (503, Some("30"), Then::AllAgain(30)),
        (503, Some("Fri, 31 Dec 9999 23:59:59 GMT"), Then::AllAgain(86_400)),
        (307, None, Then::Dropped),
        (202, None, Then::Told),
    ] {
        service.answer(status, after, "");
        assert_eq!(world.then(&id).await, then, "{status}");
    }
    for (status, path) in [(404, "b"), (410, "c")] {
        let id = register(path).await;
        service.answer(status, None, "");
        assert_eq!(world.then(&id).await, Then::Forgotten, "{status}");
    }
}

#[tokio::test]
async fn what_follows_from_each_answer_of_apple() {
    let (world, apple, _) = super::apns::world("").await;
    let register = async |sort: &str| {
        world.register("10:a", &json!({"kind": "apns", "token": apns::device(sort)})).await
    };
    for (sort, then) in [
        ("ab", Then::Told),
        (apns::UNREGISTERED, Then::Forgotten),
        (apns::OF_ANOTHER_APP, Then::Forgotten),
        // As one of an app in development that was registered as one of the store's.
        (apns::IN_DEVELOPMENT, Then::Forgotten),
    ] {
        assert_eq!(world.then(&register(sort).await).await, then, "{sort}");
    }
    for (status, reason) in
        [(400, "BadDeviceToken"), (400, "DeviceTokenNotForTopic"), (410, "ExpiredToken")]
    {
        let id = register("ab").await;
        apple.say("", apns::refusal(status, reason));
        assert_eq!(world.then(&id).await, Then::Forgotten, "{reason}");
    }
    let id = register("ab").await;
    for (status, reason, then) in [
        (400, "BadCollapseId", Then::Dropped),
        (400, "BadExpirationDate", Then::Dropped),
        (400, "BadMessageId", Then::Dropped),
        (400, "BadPriority", Then::Dropped),
        (400, "DuplicateHeaders", Then::Dropped),
        (400, "IdleTimeout", Then::Again(0)),
        (400, "InvalidPushType", Then::Dropped),
        (400, "MissingDeviceToken", Then::Dropped),
        (400, "PayloadEmpty", Then::Dropped),
        (400, "BadTopic", Then::AllMend),
        (400, "MissingTopic", Then::AllMend),
        (400, "TopicDisallowed", Then::AllMend),
        (403, "BadCertificate", Then::AllMend),
        (403, "Forbidden", Then::AllMend),
        (403, "InvalidProviderToken", Then::AllMend),
        (403, "MissingProviderToken", Then::AllMend),
        (404, "BadPath", Then::Dropped),
        (405, "MethodNotAllowed", Then::Dropped),
        (413, "PayloadTooLarge", Then::Dropped),
        (429, "TooManyProviderTokenUpdates", Then::AllAgain(0)),
        (429, "TooManyRequests", Then::Again(0)),
        (500, "InternalServerError", Then::AllAgain(0)),
        (503, "ServiceUnavailable", Then::AllAgain(0)),
        (503, "Shutdown", Then::AllAgain(0)),
    ] {
        apple.say("", apns::refusal(status, reason));
        assert_eq!(world.then(&id).await, then, "{reason}");
    }
    apple.say("", apns::refusal(503, "ServiceUnavailable").with("retry-after", &9));
    assert_eq!(world.then(&id).await, Then::AllAgain(9));
}

#[tokio::test]
async fn apples_word_on_a_token_renews_it_if_that_can_help() {
    for (reason, minutes, then, renewed) in [
        ("ExpiredProviderToken", 39, Then::AllAgain(0), true),
        ("ExpiredProviderToken", 19, Then::AllMend, false),
        ("InvalidProviderToken", 39, Then::AllMend, false),
        ("MissingProviderToken", 39, Then::AllMend, false),
    ] {
        let (world, mut apple, _) = super::apns::world("").await;
        let body = json!({"kind": "apns", "token": apns::device("ab")});
        let id = world.register("10:a", &body).await;
        let signed_ms = crate::clock::now_ms() - minutes * 60_000;
        world.app.wakes.apns.as_ref().unwrap().token(signed_ms).unwrap();
        apple.say("", apns::refusal(403, reason));
        assert_eq!(world.then(&id).await, then, "{reason} {minutes}");
        assert_eq!(world.then(&id).await, Then::Told);
        let (first, second) = (apple.next().await, apple.next().await);
        let is_new = first.header("authorization") != second.header("authorization");
        assert_eq!(is_new, renewed, "{reason} {minutes}");
    }
}

#[tokio::test]
async fn what_follows_from_each_answer_of_google() {
    let (world, google) = super::fcm::world("").await;
    let register = async |sort: &str| {
        world.register("10:a", &json!({"kind": "fcm", "token": format!("{sort}1")})).await
    };
    for (sort, then) in [
        ("good:", Then::Told),
        (fcm::UNREGISTERED, Then::Forgotten),
        (fcm::OF_ANOTHER_SENDER, Then::Forgotten),
        (fcm::INVALID, Then::Dropped),
    ] {
        assert_eq!(world.then(&register(sort).await).await, then, "{sort}");
    }
    let id = register("good:").await;
    for (code, status, reason, then) in [
        (400, "INVALID_ARGUMENT", Some("INVALID_ARGUMENT"), Then::Dropped),
        (401, "UNAUTHENTICATED", Some("THIRD_PARTY_AUTH_ERROR"), Then::Mend),
        (403, "PERMISSION_DENIED", None, Then::AllMend),
        (404, "NOT_FOUND", None, Then::Dropped),
        (429, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"), Then::AllAgain(60)),
        (500, "INTERNAL", Some("INTERNAL"), Then::AllAgain(0)),
        (503, "UNAVAILABLE", Some("UNAVAILABLE"), Then::AllAgain(0)),
    ] {
        google.say(":send", fcm::error(code, status, reason));
        assert_eq!(world.then(&id).await, then, "{code} {reason:?}");
    }
    for code in [429, 503] {
        let reply = fcm::error(code, "RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"));
        google.say(":send", reply.with("retry-after", &7));
        assert_eq!(world.then(&id).await, Then::AllAgain(7), "{code}");
    }
}

#[tokio::test]
async fn a_token_that_google_does_not_take_is_bought_anew() {
    for (seconds, then) in [(120, Then::AllAgain(0)), (0, Then::AllMend)] {
        let (world, mut google) = super::fcm::world("").await;
        let id = world.register("10:a", &json!({"kind": "fcm", "token": "a"})).await;
        let bought_ms = crate::clock::now_ms() - seconds * 1000;
        world.app.wakes.fcm.as_ref().unwrap().token(bought_ms).await.unwrap();
        google.say(":send", fcm::error(401, "UNAUTHENTICATED", None));
        assert_eq!(world.then(&id).await, then, "{seconds}");
        assert_eq!(world.then(&id).await, Then::Told);
        let mut came = Vec::new();
        for _ in 0..4 {
            let request = google.next().await;
            came.push((request.path.rsplit('/').next().unwrap().to_owned(), request.answered));
        }
        let sent = |status| ("messages:send".to_owned(), status);
        let bought = || ("token".to_owned(), 200);
        assert_eq!(came, [bought(), sent(401), bought(), sent(200)]);
    }
}

#[tokio::test]
async fn what_follows_from_each_answer_of_who_sells_tokens() {
    let (world, google) = super::fcm::world("").await;
    let id = world.register("10:a", &json!({"kind": "fcm", "token": "a"})).await;
    for (status, error, then) in [
        (400, "invalid_grant", Then::AllMend),
        (400, "invalid_request", Then::AllMend),
        (400, "invalid_scope", Then::AllMend),
        (400, "unsupported_grant_type", Then::AllMend),
        (401, "invalid_client", Then::AllMend),
        (401, "unauthorized_client", Then::AllMend),
        (403, "access_denied", Then::AllMend),
        (429, "rate_limit_exceeded", Then::AllAgain(0)),
        (500, "internal_failure", Then::AllAgain(0)),
        (503, "temporarily_unavailable", Then::AllAgain(0)),
        (200, "what is no token", Then::AllMend),
    ] {
        google.say("/token", fcm::unsold(status, error, "why"));
        assert_eq!(world.then(&id).await, then, "{status} {error}");
    }
    assert_eq!(world.then(&id).await, Then::Told);
}
