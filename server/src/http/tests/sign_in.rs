//! Who calls, and who may.

use super::site::{Answer, RULES, Site, post};
use crate::auth::SigningKey;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

const JWT: &str = r#"
    [[auth.jwt]]
    algorithms = ["HS256"]
    secret_file = "secret.key"
    [limits]
    sign_in_failures = 2
    sign_in_window = "30s"
"#;

/// A server with tokens that are signed.
fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret.key"), "a secret of thirty-two bytes or more").unwrap();
    Site::open_in(dir, &format!("{RULES}\n{JWT}"), false)
}

fn token(site: &Site, claims: &Value) -> String {
    let key = SigningKey::read(&site.file("secret.key")).unwrap();
    key.sign(claims.as_object().unwrap()).unwrap()
}

fn in_an_hour() -> u64 {
    crate::clock::now_ms() / 1000 + 3600
}

async fn pull(site: &Site, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().uri("/v1/log");
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    site.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_token_signs_in_and_nothing_else_does() {
    let site = site();
    let token = token(&site, &json!({"sub": "10", "exp": in_an_hour()}));
    let bearer = format!("Bearer {token}");
    assert_eq!(pull(&site, &[("authorization", &bearer)]).await.status, 200);
    assert_eq!(pull(&site, &[("authorization", &format!("bearer {token}"))]).await.status, 200);
    let none = pull(&site, &[]).await;
    none.problem(401, "not-signed-in");
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    pull(&site, &[("authorization", "Basic MTA6eA==")]).await.problem(401, "not-signed-in");
}

#[tokio::test]
async fn a_token_of_one_user_is_not_one_of_another_device() {
    let site = site();
    let token = token(&site, &json!({"sub": "10", "client": "phone", "exp": in_an_hour()}));
    let bearer = format!("Bearer {token}");
    let as_client = |client: &'static str| {
        [("authorization", bearer.clone()), ("tidelog-client", client.to_owned())]
    };
    for (client, expected) in [("phone", 200), ("10:phone", 200), ("tablet", 403), ("a b", 400)] {
        let headers = as_client(client);
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(pull(&site, &headers).await.status, expected, "{client}");
    }
    let headers = as_client("11:phone");
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    pull(&site, &headers).await.problem(401, "not-signed-in");
}

#[tokio::test]
async fn too_many_failures_of_a_user_are_told_when_to_come_again() {
    let site = site();
    let forged = [("authorization", "Bearer x.y.z"), ("tidelog-client", "10:a")];
    for _ in 0..2 {
        pull(&site, &forged).await.problem(401, "not-signed-in");
    }
    let refused = pull(&site, &forged).await;
    refused.problem(429, "too-many-failures");
    assert_eq!(refused.header("retry-after"), "30");
    let other = token(&site, &json!({"sub": "11", "exp": in_an_hour()}));
    assert_eq!(pull(&site, &[("authorization", &format!("Bearer {other}"))]).await.status, 200);
}

#[tokio::test]
async fn a_cookie_signs_in_but_a_page_of_another_site_cannot_use_it() {
    let site = site();
    let token = token(&site, &json!({"sub": "10", "exp": in_an_hour()}));
    let cookie = format!("token={token}");
    assert_eq!(pull(&site, &[("cookie", &cookie)]).await.status, 200);
    let evil =
        [("cookie", cookie.as_str()), ("origin", "https://evil.example"), ("host", "tide.example")];
    pull(&site, &evil).await.problem(401, "not-signed-in");
    let own =
        [("cookie", cookie.as_str()), ("origin", "https://tide.example"), ("host", "tide.example")];
    assert_eq!(pull(&site, &own).await.status, 200);
    // A form of another site sends the cookie without asking, but not as JSON.
    let form = Request::builder().method("POST").uri("/v1/log").header("cookie", &cookie);
    let form = form.header("content-type", "text/plain").body(Body::from(r#"{"actions":[]}"#));
    site.send(form.unwrap()).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn who_is_not_signed_in_is_told_so_before_the_body_is_read() {
    let site = site();
    let never = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let mut request = post("10", "/v1/log").body(Body::from_stream(never)).unwrap();
    request.headers_mut().remove("authorization");
    site.send(request).await.problem(401, "not-signed-in");
}
