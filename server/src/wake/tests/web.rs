//! Web Push, as a browser's service and the browser see it.

use super::double::Double;
use super::double::web::proven;
use super::world::{Keys, World};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What a browser makes of a body, with HMAC alone, as RFC 8291 3.4 writes it out.
pub(super) fn decrypt(keys: &Keys, body: &[u8]) -> Value {
    let mac = |key: &[u8], parts: &[&[u8]]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, &parts.concat()).as_ref().to_vec()
    };
    let (salt, rest) = body.split_at(16);
    let (record_bytes, rest) = rest.split_at(4);
    assert_eq!(record_bytes, 4096_u32.to_be_bytes());
    assert_eq!(rest[0], 65);
    let (theirs, sealed) = rest[1..].split_at(65);
    let public = UnparsedPublicKey::new(&ECDH_P256, theirs);
    let shared: Vec<u8> = agree(&keys.private, public, (), |shared| Ok(shared.to_vec())).unwrap();
    let secret = mac(&keys.auth, &[&shared]);
    let input = mac(&secret, &[b"WebPush: info\0", &keys.public(), theirs, &[1]]);
    let secret = mac(salt, &[&input]);
    let key = mac(&secret, &[b"Content-Encoding: aes128gcm\0\x01"]);
    let nonce = mac(&secret, &[b"Content-Encoding: nonce\0\x01"]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).unwrap();
    let mut sealed = sealed.to_vec();
    let text = key.open_in_place(nonce, Aad::empty(), &mut sealed).unwrap();
    assert_eq!(text.last(), Some(&2));
    serde_json::from_slice(&text[..text.len() - 1]).unwrap()
}

/// RFC 8292, section 2.4: its token is taken, and with any bit of it flipped it is not.
#[test]
fn the_example_of_the_standard_verifies_and_no_flipped_bit_does() {
    let token = concat!(
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleH",
        "AiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_",
        "HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
    );
    let public =
        "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
    let claims = proven(token, public).unwrap();
    assert_eq!(claims["sub"], "mailto:push@example.com");
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(flipped));
        assert_eq!(proven(&token, public), None, "{bit}");
    }
}

#[tokio::test]
async fn a_browser_is_told_of_what_others_did_and_reads_it() {
    let world = World::open("", "contact = \"mailto:push@example.com\"");
    let (mut service, keys) = (Double::start().await, Keys::make());
    let endpoint = format!("{}/push/secret", service.url);
    world.register("10:a", &keys.registering(&endpoint)).await;
    // It is told nothing of what it did itself, and nothing of others' logs.
    world.act("10:a", &json!({"type": "note"})).await;
    world.act("11:b", &json!({"type": "note"})).await;
    world.followed().await;
    assert_eq!(world.app.wakes.waiting(), 0);
    world.act("10:b", &json!({"type": "note", "text": "private"})).await;
    let came = service.next().await;
    assert_eq!((came.method.as_str(), came.path.as_str()), ("POST", "/push/secret"));
    assert_eq!(decrypt(&keys, &came.body), json!({"tidelog": 1, "head": 3}));
    for (name, value) in [("ttl", "86400"), ("urgency", "normal")] {
        assert_eq!(came.header(name), value, "{name}");
    }
    // The service has looked at the token and all headers; the key is the one that pages are told.
    assert_eq!(came.answered, 201);
    let (token, public) = came.header("authorization").split_once(", k=").unwrap();
    assert_eq!(world.call("GET", "10:a", "/v1/push/key", &Value::Null).await["publicKey"], public);
    let claims = proven(token.strip_prefix("vapid t=").unwrap(), public).unwrap();
    assert_eq!(claims["sub"], "mailto:push@example.com");
}

#[tokio::test]
async fn a_rule_shows_a_message_in_the_language_of_the_device() {
    let rules = r#"
        [[push]]
        type = "chat/*"
        when = "action.loud"
        how = "message"
        title = "From {action.name}"
        body = "{action.text}"
        url = "/chat/{action.room}"
        [[push.language]]
        tag = "de"
        title = "Von {action.name}"
        [[push]]
        type = "chat/*"
        how = "silent"
    "#;
    let world = World::open(rules, "");
    let (mut service, keys) = (Double::start().await, Keys::make());
    let mut body = keys.registering(&format!("{}/a", service.url));
    body["language"] = json!("de-AT");
    world.register("10:a", &body).await;
    world.act("10:b", &json!({"type": "typing"})).await;
    world.followed().await;
    assert_eq!(world.app.wakes.waiting(), 0, "no rule is for it");
    let chat = json!({"type": "chat/say", "loud": true, "name": "Ann", "text": "Hi", "room": "7"});
    world.act("10:b", &chat).await;
    let came = service.next().await;
    let message = json!({"title": "Von Ann", "url": "/chat/7"});
    assert_eq!(decrypt(&keys, &came.body), json!({"tidelog": 1, "head": 2, "message": message}));
    assert_eq!(came.header("urgency"), "high");
    body["language"] = json!("fr");
    world.register("10:a", &body).await;
    world.act("10:b", &chat).await;
    let message = json!({"title": "From Ann", "body": "Hi", "url": "/chat/7"});
    assert_eq!(decrypt(&keys, &service.next().await.body)["message"], message);
    // A message that cannot be made is a poke all the same.
    world.act("10:b", &json!({"type": "chat/say", "loud": true})).await;
    assert_eq!(decrypt(&keys, &service.next().await.body), json!({"tidelog": 1, "head": 4}));
}

#[tokio::test]
async fn a_browser_that_is_gone_is_forgotten_and_others_are_tried_again() {
    let world = World::open("", "");
    let mut service = Double::start().await;
    for sort in ["unknown", "gone"] {
        let keys = Keys::make();
        let body = keys.registering(&format!("{}/{sort}", service.url));
        let id = world.register(&format!("10:{sort}"), &body).await;
        world.act("10:b", &json!({"type": "note"})).await;
        assert_eq!(service.next().await.path, format!("/{sort}"));
        world.until(|world| !world.is_registered("10", &id)).await;
    }
    let id = world.register("10:a", &Keys::make().registering(&format!("{}/a", service.url))).await;
    for (status, after) in [(429, Some("1")), (503, Some("0")), (500, None)] {
        service.answer(status, after, "");
    }
    world.act("10:b", &json!({"type": "note"})).await;
    for _ in 0..4 {
        assert_eq!(service.next().await.path, "/a");
    }
    // It is accepted, and another that is refused is not sent again.
    world.until(|world| world.app.wakes.waiting() == 0).await;
    service.answer(400, None, "");
    world.act("10:b", &json!({"type": "note"})).await;
    assert_eq!(service.next().await.path, "/a");
    world.until(|world| world.app.wakes.waiting() == 0).await;
    assert!(world.is_registered("10", &id) && service.is_quiet());
    assert_eq!(world.app.wakes.book.devices(), 1);
}
