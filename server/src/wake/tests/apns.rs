//! APNs: HTTP/2, with a token that the developer's key has signed.

use super::double::{Came, Double};
use super::world::World;
use crate::wake::outcome::{Answer, Outcome};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Version;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

struct Apple {
    service: Double,
    public: Vec<u8>,
}

const RULES: &str = r#"
    [[push]]
    type = "chat"
    how = "message"
    title = "{action.text}"
    collapse = "chat"
    [[push]]
    type = "*"
    how = "silent"
"#;

async fn world() -> (World, Apple) {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let made = made.unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref()).unwrap();
    let pem = STANDARD.encode(made.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
    let service = Double::start().await;
    let settings = format!(
        "[wake.apns]\nkey_file = \"key.p8\"\nkey_id = \"KEYKEYKEY1\"\nteam_id = \"TEAMTEAM01\"\n\
         topic = \"com.example.app\"\nsilent_interval = \"1ms\"\nurl = \"{0}/live\"\n\
         development_url = \"{0}/sandbox\"\n{RULES}",
        service.url
    );
    let world = World::with_files(&[("key.p8", &pem)], &settings);
    (world, Apple { service, public: pair.public_key().as_ref().to_vec() })
}

impl Apple {
    /// The claims of the token that came with a push, if Apple would take it.
    fn proven(&self, token: &str) -> Option<Value> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::ES256, Some("KEYKEYKEY1")));
        let mut rules = Validation::new(Algorithm::ES256);
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        let key = DecodingKey::from_ec_der(&self.public);
        jsonwebtoken::decode::<Value>(token, &key, &rules).ok().map(|token| token.claims)
    }

    fn check(&self, came: &Came) {
        assert_eq!((came.method.as_str(), came.version), ("POST", Version::HTTP_2));
        assert_eq!(came.header("apns-topic"), "com.example.app");
        let now = crate::clock::now_ms() / 1000;
        let expires: u64 = came.header("apns-expiration").parse().unwrap();
        assert!((now + 86_000..=now + 86_400).contains(&expires));
        let token = came.header("authorization").strip_prefix("bearer ").unwrap();
        let claims = self.proven(token).unwrap();
        assert_eq!(claims["iss"], "TEAMTEAM01");
        let issued = claims["iat"].as_u64().unwrap();
        assert!((now - 3600..=now).contains(&issued));
        // A signature with one bit flipped.
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
        assert_eq!(self.proven(&format!("{rest}.{flipped}{}", &signature[1..])), None);
    }
}

#[tokio::test]
async fn a_phone_is_told_in_silence_or_with_a_message() {
    let (world, mut apple) = world().await;
    world.register("10:phone", &json!({"kind": "apns", "token": "AB12"})).await;
    world.act("10:b", &json!({"type": "note"})).await;
    let came = apple.service.next().await;
    apple.check(&came);
    assert_eq!(came.path, "/live/3/device/ab12");
    for (name, value) in
        [("apns-push-type", "background"), ("apns-priority", "5"), ("apns-collapse-id", "tidelog")]
    {
        assert_eq!(came.header(name), value);
    }
    let body: Value = serde_json::from_slice(&came.body).unwrap();
    assert_eq!(
        body,
        json!({"aps": {"content-available": 1}, "tidelog": {"tidelog": 1, "head": 1}})
    );
    world.act("10:b", &json!({"type": "chat", "text": "Hi"})).await;
    let came = apple.service.next().await;
    apple.check(&came);
    for (name, value) in
        [("apns-push-type", "alert"), ("apns-priority", "10"), ("apns-collapse-id", "chat")]
    {
        assert_eq!(came.header(name), value);
    }
    let body: Value = serde_json::from_slice(&came.body).unwrap();
    assert_eq!(body["aps"]["alert"]["title"], "Hi");
    assert_eq!(body["tidelog"], json!({"tidelog": 1, "head": 2, "message": {"title": "Hi"}}));
}

#[tokio::test]
async fn each_answer_of_apple_has_its_consequence() {
    let (world, mut apple) = world().await;
    let body = json!({"kind": "apns", "token": "ab", "environment": "development"});
    for (status, reason) in
        [(410, "Unregistered"), (400, "BadDeviceToken"), (400, "DeviceTokenNotForTopic")]
    {
        let id = world.register("10:phone", &body).await;
        apple.service.answer(status, None, &json!({ "reason": reason }).to_string());
        world.act("10:b", &json!({"type": "note"})).await;
        assert_eq!(apple.service.next().await.path, "/sandbox/3/device/ab");
        world.until(|world| !world.is_registered("10", &id)).await;
    }
    let id = world.register("10:phone", &body).await;
    // What is sent once more: each doubles the wait, but for what is first.
    for (status, reason) in [(429, "TooManyRequests"), (503, "ServiceUnavailable")] {
        apple.service.answer(status, Some("0"), &json!({ "reason": reason }).to_string());
    }
    world.act("10:b", &json!({"type": "note"})).await;
    for _ in 0..3 {
        apple.service.next().await;
    }
    world.until(|world| world.app.wakes.waiting() == 0).await;
    // And what is not, because it would be the same again.
    for (status, reason) in [(400, "BadTopic"), (413, "PayloadTooLarge"), (404, "BadPath")] {
        apple.service.answer(status, None, &json!({ "reason": reason }).to_string());
        world.act("10:b", &json!({"type": "note"})).await;
        apple.service.next().await;
        world.until(|world| world.app.wakes.waiting() == 0).await;
    }
    assert!(world.is_registered("10", &id) && apple.service.is_quiet());
}

#[tokio::test]
async fn a_token_is_signed_anew_when_it_is_old_and_no_oftener_than_apple_takes_it() {
    const MINUTE: u64 = 60_000;
    let (world, apple) = world().await;
    let apns = world.app.wakes.apns.as_ref().unwrap();
    let start = 1_700_000_000_000;
    let at = |minutes: u64| apns.token(start + minutes * MINUTE).unwrap();
    let first = at(0);
    assert_eq!(apple.proven(&first).unwrap()["iat"], start / 1000);
    assert_eq!(at(39), first);
    let second = at(40);
    assert_eq!(apple.proven(&second).unwrap()["iat"], (start + 40 * MINUTE) / 1000);
    // Apple says that it has expired: of one that is young that cannot be, and another is not taken yet.
    let expired = |minutes: u64| {
        let body = json!({"reason": "ExpiredProviderToken"}).to_string();
        let answer = Answer { status: 403, after: None, body };
        let outcome = apns.judge(&answer, start + minutes * MINUTE);
        assert!(matches!(outcome, Outcome::Later { all: true, .. }), "{outcome:?}");
    };
    expired(59);
    assert_eq!(at(59), second);
    expired(60);
    let third = at(60);
    assert_eq!(apple.proven(&third).unwrap()["iat"], (start + 60 * MINUTE) / 1000);
    assert_eq!(at(61), third);
}
