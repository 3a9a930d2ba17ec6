//! FCM: a token that an assertion buys, and messages as HTTP v1 has them.

use super::double::Double;
use super::world::World;
use crate::wake::outcome::Outcome;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::time::Duration;

struct Google {
    service: Double,
    public: Vec<u8>,
}

async fn world() -> (World, Google) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let pem = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
    let service = Double::start().await;
    let account = json!({
        "type": "service_account",
        "project_id": "example-app",
        "private_key_id": "key-1",
        "private_key": pem,
        "client_email": "push@example-app.iam.gserviceaccount.com",
        "token_uri": format!("{}/token", service.url),
    });
    let rules = "[[push]]\ntype = \"chat\"\nhow = \"message\"\ntitle = \"Hi\"\nbody = \"you\"\n\
                 [[push]]\ntype = \"*\"\nhow = \"silent\"";
    let settings = format!(
        "[wake.fcm]\nservice_account_file = \"account.json\"\nurl = \"{}\"\n{rules}",
        service.url
    );
    let world = World::with_files(&[("account.json", &account.to_string())], &settings);
    (world, Google { service, public: pair.public_key().as_ref().to_vec() })
}

impl Google {
    /// The claims of an assertion, if Google would take it.
    fn proven(&self, assertion: &str) -> Option<Value> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public);
        key.verify(signed.as_bytes(), &signature).ok()?;
        let claims = signed.split_once('.')?.1;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// Sells a token.
    async fn sell(&mut self) {
        let came = self.service.next().await;
        assert_eq!((came.method.as_str(), came.path.as_str()), ("POST", "/token"));
        assert_eq!(came.header("content-type"), "application/x-www-form-urlencoded");
        let form = std::str::from_utf8(&came.body).unwrap();
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        let assertion = form.strip_prefix(grant).unwrap();
        let claims = self.proven(assertion).unwrap();
        assert_eq!(claims["iss"], "push@example-app.iam.gserviceaccount.com");
        assert_eq!(claims["scope"], "https://www.googleapis.com/auth/firebase.messaging");
        assert_eq!(claims["aud"], format!("{}/token", self.service.url));
        let (issued, expires) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        let now = crate::clock::now_ms() / 1000;
        assert!(issued <= now && expires > now && expires - issued <= 3600);
        let (rest, signature) = assertion.rsplit_once('.').unwrap();
        let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
        assert_eq!(self.proven(&format!("{rest}.{flipped}{}", &signature[1..])), None);
    }

    fn answer_token(&self, token: &str) {
        let sold = json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"});
        self.service.answer(200, None, &sold.to_string());
    }
}

fn error(status: &str, code: &str) -> String {
    let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
    json!({"error": {"status": status, "details": [{"@type": kind, "errorCode": code}]}})
        .to_string()
}

#[tokio::test]
async fn a_device_is_told_with_a_token_that_is_bought_once() {
    let (world, mut google) = world().await;
    world.register("10:phone", &json!({"kind": "fcm", "token": "device:1"})).await;
    google.answer_token("bought");
    world.act("10:b", &json!({"type": "note"})).await;
    google.sell().await;
    let came = google.service.next().await;
    assert_eq!(came.path, "/v1/projects/example-app/messages:send");
    assert_eq!(came.header("authorization"), "Bearer bought");
    let message = serde_json::from_slice::<Value>(&came.body).unwrap()["message"].clone();
    assert_eq!(message["token"], "device:1");
    assert_eq!(message["data"], json!({"tidelog": r#"{"tidelog":1,"head":1}"#}));
    let android = json!({"collapse_key": "tidelog", "priority": "normal", "ttl": "86400s"});
    assert_eq!((&message["android"], &message["notification"]), (&android, &Value::Null));
    assert_eq!(message["apns"]["headers"]["apns-push-type"], "background");
    world.act("10:b", &json!({"type": "chat"})).await;
    let came = google.service.next().await;
    let message = serde_json::from_slice::<Value>(&came.body).unwrap()["message"].clone();
    assert_eq!(message["notification"], json!({"title": "Hi", "body": "you"}));
    assert_eq!(message["android"]["priority"], "high");
}

#[tokio::test]
async fn each_answer_of_google_has_its_consequence() {
    let (world, mut google) = world().await;
    google.answer_token("first");
    let body = json!({"kind": "fcm", "token": "t"});
    for (n, (status, said, code)) in
        [(404, "NOT_FOUND", "UNREGISTERED"), (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")]
            .into_iter()
            .enumerate()
    {
        let id = world.register("10:phone", &body).await;
        google.service.answer(status, None, &error(said, code));
        world.act("10:b", &json!({"type": "note"})).await;
        if n == 0 {
            google.sell().await;
        }
        google.service.next().await;
        world.until(|world| !world.is_registered("10", &id)).await;
    }
    let id = world.register("10:phone", &body).await;
    google.service.answer(429, Some("0"), &error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"));
    // The token is not taken any more: another is bought.
    google.service.answer(401, None, &error("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"));
    google.answer_token("second");
    google.service.answer(200, None, "{}");
    google.service.answer(400, None, &error("INVALID_ARGUMENT", "INVALID_ARGUMENT"));
    world.act("10:b", &json!({"type": "note"})).await;
    for token in ["Bearer first", "Bearer first"] {
        assert_eq!(google.service.next().await.header("authorization"), token);
    }
    google.sell().await;
    assert_eq!(google.service.next().await.header("authorization"), "Bearer second");
    world.until(|world| world.app.wakes.waiting() == 0).await;
    // A push that is refused is not sent again, and the device stays.
    world.act("10:b", &json!({"type": "note"})).await;
    google.service.next().await;
    world.until(|world| world.app.wakes.waiting() == 0).await;
    assert!(world.is_registered("10", &id) && google.service.is_quiet());
}

#[tokio::test]
async fn a_token_is_bought_anew_before_it_expires() {
    let (world, mut google) = world().await;
    let fcm = world.app.wakes.fcm.as_ref().unwrap();
    let start = crate::clock::now_ms();
    for (seconds, token, is_new) in
        [(0, "first", true), (3_298, "first", false), (3_299, "second", true)]
    {
        if is_new {
            google.answer_token(token);
        }
        assert_eq!(fcm.token(start + seconds * 1000).await, Ok(token.to_owned()), "{seconds}");
        if is_new {
            assert_eq!(google.service.next().await.path, "/token");
        }
        assert!(google.service.is_quiet(), "{seconds}");
    }
}

#[tokio::test]
async fn who_waits_for_a_token_fails_with_who_buys_it() {
    let (world, mut google) = world().await;
    let fcm = world.app.wakes.fcm.as_ref().unwrap();
    google.service.answer(503, Some("7"), "");
    let now = crate::clock::now_ms();
    let (first, second, third) = tokio::join!(fcm.token(now), fcm.token(now), fcm.token(now));
    let Err(Outcome::Later { after, all: true, .. }) = &first else { panic!("{first:?}") };
    assert_eq!(*after, Some(Duration::from_secs(7)));
    assert_eq!((&second, &third), (&first, &first));
    google.service.next().await;
    assert!(google.service.is_quiet(), "only one has asked");
    // Who comes later asks again.
    google.answer_token("bought");
    assert_eq!(fcm.token(now).await, Ok("bought".to_owned()));
}
