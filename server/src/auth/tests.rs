use super::*;
use crate::config::Source;
use serde_json::json;
use std::path::{Path, PathBuf};

const NOW: u64 = 1_700_000_000_000;
const NOW_S: u64 = NOW / 1000;
const HERE: [u8; 4] = [10, 0, 0, 1];

/// A folder with a secret and the keys of `tests/data`.
struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("secret"),
            "0123456789abcdef0123456789abcdef\n",
        )
        .unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        let data = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(name);
        if data.exists() {
            data
        } else {
            self.folder.path().join(name)
        }
    }

    fn authenticator(&self, text: &str) -> Result<Authenticator, ConfigError> {
        let text = text.replace("DATA", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
        let source = Source::new(&self.folder.path().join("t.toml"), text);
        Authenticator::new(&Config::parse(source)?)
    }

    fn sign(&self, key: &str, claims: &serde_json::Value) -> String {
        let serde_json::Value::Object(claims) = claims else {
            unreachable!()
        };
        SigningKey::read(&self.file(key))
            .unwrap()
            .sign(claims)
            .unwrap()
    }
}

const SECRET: &str = "[[auth.jwt]]\nsecret_file = \"secret\"";

fn attempt<'a>(node: &'a NodeId, token: Option<&'a str>) -> Attempt<'a> {
    Attempt {
        claim: Claim::Node(node),
        token,
        cookies: None,
        origin: None,
        host: None,
        address: HERE.into(),
    }
}

fn sign_in(authenticator: &Authenticator, node: &str, token: &str) -> Result<Identity, Refusal> {
    authenticator.sign_in(&attempt(&NodeId::new(node).unwrap(), Some(token)), NOW)
}

fn http<'a>(token: Option<&'a str>, client: Option<&'a ClientId>) -> Attempt<'a> {
    Attempt {
        claim: Claim::Http(client),
        token,
        cookies: None,
        origin: None,
        host: None,
        address: HERE.into(),
    }
}

#[test]
fn each_algorithm_signs_in_with_its_key() {
    let keys = Keys::new();
    for (private, public) in [
        ("secret", "secret_file = \"secret\""),
        ("rsa.private.pem", "keys_file = \"DATA/rsa.public.pem\""),
        (
            "rsa.private.pem",
            "keys_file = \"DATA/rsa.pkcs1.public.pem\"",
        ),
        ("ec.private.pem", "keys_file = \"DATA/ec.public.pem\""),
        ("ed.private.pem", "keys_file = \"DATA/ed.public.pem\""),
    ] {
        let authenticator = keys
            .authenticator(&format!("[[auth.jwt]]\n{public}"))
            .unwrap();
        let token = keys.sign(
            private,
            &json!({ "sub": "10", "exp": NOW_S + 60, "role": "a" }),
        );
        let identity = sign_in(&authenticator, "10:phone:tab", &token).expect(public);
        assert_eq!(identity.user.as_str(), "10");
        assert_eq!(identity.claims["role"], "a");
        assert_eq!(
            identity.expires_ms,
            Some(NOW + 60_000 + 30_000),
            "with the leeway"
        );
        assert!(!identity.anonymous);
        let (body, signature) = token.rsplit_once('.').unwrap();
        let tampered = format!("{body}.{}", signature.chars().rev().collect::<String>());
        assert_eq!(
            sign_in(&authenticator, "10:phone:tab", &tampered).unwrap_err(),
            Refusal::Credentials
        );
    }
}

#[test]
fn the_key_of_another_algorithm_or_owner_does_not_sign_in() {
    let keys = Keys::new();
    let all = [
        "secret",
        "rsa.private.pem",
        "rsa2.pkcs1.private.pem",
        "ec.private.pem",
        "ed.private.pem",
    ];
    for (own, settings) in [
        ("secret", "secret_file = \"secret\""),
        ("rsa.private.pem", "keys_file = \"DATA/rsa.public.pem\""),
        ("ec.private.pem", "keys_file = \"DATA/ec.public.pem\""),
        ("ed.private.pem", "keys_file = \"DATA/ed.public.pem\""),
    ] {
        let authenticator = keys
            .authenticator(&format!("[[auth.jwt]]\n{settings}"))
            .unwrap();
        for (user, key) in all.iter().enumerate() {
            let token = keys.sign(key, &json!({ "sub": user.to_string() }));
            let result = sign_in(&authenticator, &format!("{user}:a:b"), &token);
            assert_eq!(result.is_ok(), *key == own, "{key} for {settings}");
        }
    }
}

/// The classic attack: a token that says HS256, signed with the public key as if it were a secret.
#[test]
fn a_public_key_does_not_pass_for_a_secret() {
    let keys = Keys::new();
    let authenticator = keys
        .authenticator("[[auth.jwt]]\nkeys_file = \"DATA/rsa.public.pem\"")
        .unwrap();
    let public = std::fs::read(keys.file("rsa.public.pem")).unwrap();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    for secret in [public.as_slice(), public.trim_ascii_end()] {
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&header, &json!({ "sub": "10" }), &key).unwrap();
        assert_eq!(
            sign_in(&authenticator, "10:a:b", &token).unwrap_err(),
            Refusal::Credentials
        );
    }
}

/// `header.claims.` with the signature of the secret, whatever the header says.
fn forge(keys: &Keys, header: &serde_json::Value, claims: &serde_json::Value) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let secret = keys::secret(&crate::config::KeySource::Secret(keys.file("secret"))).unwrap();
    let key = jsonwebtoken::EncodingKey::from_secret(&secret);
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn a_header_that_we_do_not_mean_is_refused() {
    let keys = Keys::new();
    let claims = json!({ "sub": "10" });
    let try_with = |header: &serde_json::Value| {
        let authenticator = keys.authenticator(SECRET).unwrap();
        sign_in(&authenticator, "10:a:b", &forge(&keys, header, &claims)).is_ok()
    };
    assert!(
        try_with(&json!({ "alg": "HS256" })) && try_with(&json!({ "alg": "HS256", "kid": "x" }))
    );
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "hs256" }),
        json!({ "alg": "HS512" }),
        json!({ "alg": "RS256" }),
        json!({ "typ": "JWT" }),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!([]),
    ] {
        assert!(!try_with(&header), "{header}");
    }
    let authenticator = keys.authenticator(SECRET).unwrap();
    for token in [
        "",
        "a",
        "a.b",
        "a.b.c",
        "..",
        "a.b.c.d",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMCJ9.",
    ] {
        assert!(sign_in(&authenticator, "10:a:b", token).is_err(), "{token}");
    }
}

#[test]
fn claims_have_to_fit() {
    let keys = Keys::new();
    let fits = |settings: &str, claims: serde_json::Value| {
        let authenticator = keys
            .authenticator(&format!("{SECRET}\n{settings}"))
            .unwrap();
        sign_in(&authenticator, "10:a:b", &keys.sign("secret", &claims)).is_ok()
    };
    let both = "issuer = \"https://id.example\"\naudience = [\"tide\", \"pool\"]";
    for (settings, claims, good) in [
        ("", json!({ "sub": "10" }), true),
        ("", json!({ "sub": "20" }), false),
        ("", json!({ "sub": 10 }), true),
        ("", json!({ "sub": 10.0 }), false),
        ("", json!({ "sub": null }), false),
        ("", json!({}), false),
        ("", json!({ "sub": "10", "exp": NOW_S - 29 }), true),
        ("", json!({ "sub": "10", "exp": NOW_S - 30 }), false),
        ("", json!({ "sub": "10", "exp": 1_700_000_000.5 }), true),
        ("", json!({ "sub": "10", "exp": 0 }), false),
        ("", json!({ "sub": "10", "exp": "tomorrow" }), false),
        ("", json!({ "sub": "10", "exp": -1 }), false),
        ("", json!({ "sub": "10", "exp": 1e300 }), false),
        ("", json!({ "sub": "10", "nbf": NOW_S + 30 }), true),
        ("", json!({ "sub": "10", "nbf": NOW_S + 31 }), false),
        ("", json!({ "sub": "10", "aud": "other" }), false),
        (
            "user_claim = \"uid\"",
            json!({ "sub": "20", "uid": "10" }),
            true,
        ),
        ("user_claim = \"uid\"", json!({ "sub": "10" }), false),
        (
            both,
            json!({ "sub": "10", "iss": "https://id.example", "aud": "tide" }),
            true,
        ),
        (
            both,
            json!({ "sub": "10", "iss": "https://id.example", "aud": ["x", "pool"] }),
            true,
        ),
        (
            both,
            json!({ "sub": "10", "iss": "https://id.example", "aud": ["x"] }),
            false,
        ),
        (
            both,
            json!({ "sub": "10", "iss": "https://id.example" }),
            false,
        ),
        (
            both,
            json!({ "sub": "10", "iss": "https://id.example/", "aud": "tide" }),
            false,
        ),
        (
            both,
            json!({ "sub": "10", "iss": ["https://id.example"], "aud": "tide" }),
            false,
        ),
        (both, json!({ "sub": "10", "aud": "tide" }), false),
    ] {
        assert_eq!(fits(settings, claims.clone()), good, "{settings} {claims}");
    }
}

#[test]
fn a_user_that_cannot_be_is_refused() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    for (node, user) in [("server:a:b", "server"), ("bare", "bare"), (":a:b", "")] {
        let token = keys.sign("secret", &json!({ "sub": user }));
        assert_eq!(
            sign_in(&authenticator, node, &token).unwrap_err(),
            Refusal::Credentials,
            "{node}"
        );
    }
    for user in ["server", "", "a:b", "a b"] {
        let token = keys.sign("secret", &json!({ "sub": user }));
        assert!(
            authenticator
                .sign_in(&http(Some(&token), None), NOW)
                .is_err(),
            "{user}"
        );
    }
}

#[test]
fn issuers_are_tried_in_order() {
    let keys = Keys::new();
    let text = format!(
        "{SECRET}\nissuer = \"a\"\n[[auth.jwt]]\nkeys_file = \"DATA/ec.public.pem\"\nissuer = \"b\""
    );
    let authenticator = keys.authenticator(&text).unwrap();
    for (key, issuer, good) in [
        ("secret", "a", true),
        ("ec.private.pem", "b", true),
        ("secret", "b", false),
        ("ec.private.pem", "a", false),
    ] {
        let user = format!("{key}-{issuer}");
        let token = keys.sign(key, &json!({ "sub": user, "iss": issuer }));
        assert_eq!(
            sign_in(&authenticator, &format!("{user}:a:b"), &token).is_ok(),
            good,
            "{user}"
        );
    }
}

#[test]
fn over_http_the_token_tells_the_user() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let token = keys.sign("secret", &json!({ "sub": "10" }));
    let client = |text: &str| ClientId::new(text).unwrap();
    let sign_in =
        |client: Option<&ClientId>| authenticator.sign_in(&http(Some(&token), client), NOW);
    assert_eq!(sign_in(None).unwrap().user.as_str(), "10");
    assert_eq!(
        sign_in(Some(&client("10:phone"))).unwrap().user.as_str(),
        "10"
    );
    assert_eq!(sign_in(Some(&client("phone"))).unwrap().user.as_str(), "10");
    assert_eq!(
        sign_in(Some(&client("20:phone"))).unwrap_err(),
        Refusal::Credentials
    );
    assert_eq!(
        authenticator.sign_in(&http(None, None), NOW).unwrap_err(),
        Refusal::Credentials
    );
}

#[test]
fn a_cookie_counts_when_there_is_no_token() {
    let keys = Keys::new();
    let authenticator = keys
        .authenticator(&format!("[auth]\ncookie = \"session\"\n{SECRET}"))
        .unwrap();
    let token = keys.sign("secret", &json!({ "sub": "10" }));
    let cookies = format!("token=x; session={token}");
    let node = NodeId::new("10:a:b").unwrap();
    let by_cookie = Attempt {
        cookies: Some(&cookies),
        ..attempt(&node, None)
    };
    assert!(authenticator.sign_in(&by_cookie, NOW).is_ok());
    let with_bad_token = Attempt {
        token: Some("bad"),
        ..by_cookie
    };
    assert!(
        authenticator.sign_in(&with_bad_token, NOW).is_err(),
        "the token counts"
    );
    let foreign = Attempt {
        origin: Some("https://evil.example"),
        host: Some("h"),
        ..by_cookie
    };
    assert!(authenticator.sign_in(&foreign, NOW).is_err());
    let off = keys
        .authenticator(&format!("[auth]\ncookie = \"\"\n{SECRET}"))
        .unwrap();
    assert!(off.sign_in(&by_cookie, NOW).is_err());
}

#[test]
fn an_anonymous_user_needs_no_token_and_has_no_log() {
    let keys = Keys::new();
    let authenticator = keys
        .authenticator(&format!("[auth]\nanonymous = [\"guest\"]\n{SECRET}"))
        .unwrap();
    let node = NodeId::new("guest:a:b").unwrap();
    let identity = authenticator.sign_in(&attempt(&node, None), NOW).unwrap();
    assert!(identity.anonymous && identity.user.as_str() == "guest" && identity.claims.is_empty());
    let client = ClientId::new("guest:phone").unwrap();
    assert!(
        authenticator
            .sign_in(&http(None, Some(&client)), NOW)
            .unwrap()
            .anonymous
    );
    assert!(
        authenticator.sign_in(&http(None, None), NOW).is_err(),
        "one has to say so"
    );
    let token = keys.sign("secret", &json!({ "sub": "guest" }));
    assert!(
        authenticator
            .sign_in(&http(Some(&token), None), NOW)
            .unwrap()
            .anonymous
    );
}

#[test]
fn in_development_one_is_who_one_says() {
    let keys = Keys::new();
    let text = "[server]\ndev = true\n[[auth.jwt]]\nkeys_file = \"missing\"";
    let authenticator = keys.authenticator(text).expect("it reads no keys");
    assert_eq!(
        sign_in(&authenticator, "10:a:b", "anything")
            .unwrap()
            .user
            .as_str(),
        "10"
    );
    let node = NodeId::new("10:a:b").unwrap();
    assert!(authenticator.sign_in(&attempt(&node, None), NOW).is_ok());
    assert_eq!(
        authenticator
            .sign_in(&http(Some("20"), None), NOW)
            .unwrap()
            .user
            .as_str(),
        "20"
    );
    for node in ["server:a:b", "bare"] {
        assert_eq!(
            sign_in(&authenticator, node, "x").unwrap_err(),
            Refusal::Credentials,
            "{node}"
        );
    }
    for token in [None, Some("server"), Some("a:b"), Some("")] {
        assert!(
            authenticator.sign_in(&http(token, None), NOW).is_err(),
            "{token:?}"
        );
    }
}

#[test]
fn a_user_who_failed_too_often_has_to_wait_and_nobody_else() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let good = keys.sign("secret", &json!({ "sub": "10" }));
    let other = keys.sign("secret", &json!({ "sub": "20" }));
    let node = NodeId::new("10:a:b").unwrap();
    let at = |token, ms| {
        authenticator
            .sign_in(&attempt(&node, Some(token)), NOW + ms)
            .map(drop)
    };
    let refusals = [0, 100, 200, 300].map(|ms| at("bad", ms).unwrap_err());
    assert_eq!(refusals[..3], [Refusal::Credentials; 3]);
    assert_eq!(refusals[3], Refusal::TooManyFailures);
    assert_eq!(
        at(&good, 400),
        Err(Refusal::TooManyFailures),
        "even with a good token"
    );
    assert!(
        sign_in(&authenticator, "20:a:b", &other).is_ok(),
        "not the neighbour"
    );
    let elsewhere = Attempt {
        address: [10, 0, 0, 9].into(),
        ..attempt(&node, Some(&good))
    };
    assert!(
        authenticator.sign_in(&elsewhere, NOW + 400).is_ok(),
        "nor the same user elsewhere"
    );
    let over_http = authenticator.sign_in(&http(Some(&good), None), NOW + 400);
    assert_eq!(
        over_http.unwrap_err(),
        Refusal::TooManyFailures,
        "by whatever route"
    );
    assert_eq!(at(&good, 3_400), Ok(()), "after the window");
}

#[test]
fn a_good_token_is_accepted_from_an_address_where_others_fail() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    for user in 0..5_000 {
        assert!(sign_in(&authenticator, &format!("{user}:a:b"), "a.b.c").is_err());
    }
    let good = keys.sign("secret", &json!({ "sub": "me" }));
    let wait = authenticator.delay(HERE.into(), NOW);
    assert!(wait < Duration::from_secs(1), "first in line");
    assert!(
        authenticator.delay(HERE.into(), NOW) > wait,
        "the next one waits longer"
    );
    assert!(sign_in(&authenticator, "me:a:b", &good).is_ok());
    assert_eq!(
        authenticator.delay([10, 0, 0, 9].into(), NOW),
        Duration::ZERO
    );
}

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
        assert_eq!(
            sign_in(&authenticator, &format!("{user}:a:b"), &token).is_ok(),
            good,
            "{key}"
        );
    }
    let narrowed = keys
        .authenticator(&format!("{text}\nalgorithms = [\"EdDSA\"]"))
        .unwrap();
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
    keys.write(
        "rsa.json",
        json!({ "keys": [with(rsa, "alg", "RS512")] }).to_string(),
    );
    assert!(
        keys.authenticator("[[auth.jwt]]\nkeys_file = \"rsa.json\"")
            .is_err()
    );
}

#[test]
fn a_file_of_pem_can_hold_several_keys() {
    let keys = Keys::new();
    let read = |name: &str| std::fs::read_to_string(keys.file(name)).unwrap();
    keys.write(
        "two.pem",
        format!(
            "old\n{}\nnew\n{}",
            read("rsa.public.pem"),
            read("ed.public.pem")
        ),
    );
    let authenticator = keys
        .authenticator("[[auth.jwt]]\nkeys_file = \"two.pem\"")
        .unwrap();
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
    keys.write(
        "cert.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    keys.write(
        "bad.pem",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    );
    for (settings, reason) in [
        ("secret_file = \"missing\"", "cannot be read"),
        ("secret_file = \"short\"", "openssl rand"),
        ("secret_file = \"DATA/rsa.public.pem\"", "keys_file"),
        (
            "secret_env = \"TIDELOG_TEST_NO_SUCH_VARIABLE\"",
            "is not set",
        ),
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
        let error = keys
            .authenticator(&format!("\n[[auth.jwt]]\n{settings}"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("t.toml:2: ") && error.contains(reason),
            "{settings}: {error}"
        );
        assert!(
            !error.contains("hush") && !error.contains("0123456789"),
            "{error}"
        );
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
