//! Key files.

use super::*;

#[test]
fn a_key_set_has_keys_by_id_and_for_other_uses() {
    let keys = Keys::new();
    let jwk = |private: &str, algorithm| {
        let pem = std::fs::read(keys.file(private)).unwrap();
        let key = match algorithm {
            jsonwebtoken::Algorithm::RS256 => jsonwebtoken::EncodingKey::from_rsa_pem(&pem),
            jsonwebtoken::Algorithm::ES256 => jsonwebtoken::EncodingKey::from_ec_pem(&pem),
            _ => jsonwebtoken::EncodingKey::from_ed_pem(&pem),
        };
        let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key.unwrap(), algorithm).unwrap();
        serde_json::to_value(jwk).unwrap()
    };
    let with = |mut jwk: serde_json::Value, name: &str, value: &str| {
        jwk[name] = value.into();
        jwk
    };
    let rsa = jwk("rsa.private.pem", jsonwebtoken::Algorithm::RS256);
    let ec = jwk("ec.private.pem", jsonwebtoken::Algorithm::ES256);
    let ed = jwk("ed.private.pem", jsonwebtoken::Algorithm::EdDSA);
    let set = json!({ "keys": [
        { "kty": "oct", "k": "AAAA" },
        { "kty": "unheard-of" },
        with(rsa.clone(), "use", "enc"),
        with(ec, "kid", "2026"),
        with(with(ed, "use", "sig"), "kid", "other"),
    ]});
    keys.write("set.json", set.to_string());
    let text = "[[auth.jwt]]\nkeys_file = \"set.json\"";
    for (user, key, good) in [
        ("1", "ec.private.pem", true),
        ("2", "ed.private.pem", true),
        ("3", "rsa.private.pem", false),
    ] {
        let authenticator = keys.authenticator(text).unwrap();
        let token = keys.sign(key, &json!({ "sub": user }));
        assert_eq!(sign_in(&authenticator, &format!("{user}:a:b"), &token).is_ok(), good, "{key}");
    }
    let narrowed = keys.authenticator(&format!("{text}\nalgorithms = [\"EdDSA\"]")).unwrap();
    let token = keys.sign("ec.private.pem", &json!({ "sub": "1" }));
    assert!(sign_in(&narrowed, "1:a:b", &token).is_err());
    let named = |id: &str| {
        let authenticator = keys.authenticator(text).unwrap();
        let header = jsonwebtoken::Header {
            kid: Some(id.to_owned()),
            ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256)
        };
        let pem = std::fs::read(keys.file("ec.private.pem")).unwrap();
        let key = jsonwebtoken::EncodingKey::from_ec_pem(&pem).unwrap();
        let token = jsonwebtoken::encode(&header, &json!({ "sub": "1" }), &key).unwrap();
        sign_in(&authenticator, "1:a:b", &token).is_ok()
    };
    assert!(named("2026") && !named("2025"));
    for unusable in [with(rsa.clone(), "alg", "RS512"), with(rsa, "n", &"AQAB".repeat(42))] {
        keys.write("rsa.json", json!({ "keys": [unusable] }).to_string());
        assert!(keys.authenticator("[[auth.jwt]]\nkeys_file = \"rsa.json\"").is_err());
    }
}

#[test]
fn a_file_of_pem_can_hold_several_keys() {
    let keys = Keys::new();
    let read = |name: &str| std::fs::read_to_string(keys.file(name)).unwrap();
    keys.write(
        "two.pem",
        format!("old\n{}\nnew\n{}", read("rsa.public.pem"), read("ed.public.pem")),
    );
    let authenticator = keys.authenticator("[[auth.jwt]]\nkeys_file = \"two.pem\"").unwrap();
    for key in ["rsa.private.pem", "ed.private.pem"] {
        let token = keys.sign(key, &json!({ "sub": "1" }));
        assert!(sign_in(&authenticator, "1:a:b", &token).is_ok(), "{key}");
    }
}

/// Each key that cannot be used, and a word of the reason.
#[test]
fn a_key_that_cannot_be_used_stops_the_start_and_is_not_shown() {
    let keys = Keys::new();
    keys.write("short", "hush-hush");
    keys.write("empty", "");
    keys.write("binary", [0xff, 0xfe]);
    keys.write("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    keys.write("bad.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    for (settings, reason) in [
        ("secret_file = \"missing\"", "cannot be read"),
        ("secret_file = \"short\"", "openssl rand"),
        ("secret_file = \"DATA/rsa.public.pem\"", "keys_file"),
        ("secret_env = \"TIDELOG_TEST_NO_SUCH_VARIABLE\"", "is not set"),
        ("keys_file = \"missing\"", "cannot be read"),
        ("keys_file = \"empty\"", "no public key"),
        ("keys_file = \"binary\"", "neither"),
        ("keys_file = \"secret\"", "no public key"),
        ("keys_file = \"cert.pem\"", "openssl x509"),
        ("keys_file = \"bad.pem\"", "cannot be read"),
        ("keys_file = \"DATA/ed.private.pem\"", "openssl pkey"),
        ("keys_file = \"DATA/rsa1024.public.pem\"", "2048"),
        ("keys_file = \"DATA/ec384.public.pem\"", "P-256"),
        (
            "keys_file = \"DATA/ec.public.pem\"\nalgorithms = [\"ES256\", \"RS256\"]",
            "no key for RS256",
        ),
    ] {
        let error =
            keys.authenticator(&format!("\n[[auth.jwt]]\n{settings}")).unwrap_err().to_string();
        assert!(error.contains("t.toml:2: ") && error.contains(reason), "{settings}: {error}");
        assert!(!error.contains("hush") && !error.contains("0123456789"), "{error}");
    }
}

#[test]
fn nothing_shows_a_secret() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let key = SigningKey::read(&keys.file("secret")).unwrap();
    let shown = format!("{authenticator:?} {key:?}");
    let bytes = format!("{:?}", b"0123456789abcdef");
    assert!(
        !shown.contains("0123456789") && !shown.contains("48, 49, 50") && !shown.contains(&bytes)
    );
}
