//! Which tokens are good.

use super::*;

#[test]
fn each_algorithm_signs_in_with_its_key() {
    let keys = Keys::new();
    for (private, public) in [
        ("secret", "secret_file = \"secret\""),
        ("rsa.private.pem", "keys_file = \"DATA/rsa.public.pem\""),
        ("rsa.private.pem", "keys_file = \"DATA/rsa.pkcs1.public.pem\""),
        ("ec.private.pem", "keys_file = \"DATA/ec.public.pem\""),
        ("ed.private.pem", "keys_file = \"DATA/ed.public.pem\""),
    ] {
        let authenticator = keys.authenticator(&format!("[[auth.jwt]]\n{public}")).unwrap();
        let token = keys.sign(private, &json!({ "sub": "10", "exp": NOW_S + 60, "role": "a" }));
        let identity = sign_in(&authenticator, "10:phone:tab", &token).expect(public);
        assert_eq!(identity.user.as_str(), "10");
        assert_eq!(identity.claims["role"], "a");
        assert_eq!(identity.expires_ms, Some(NOW + 60_000), "without the leeway");
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
    let all =
        ["secret", "rsa.private.pem", "rsa2.pkcs1.private.pem", "ec.private.pem", "ed.private.pem"];
    for (own, settings) in [
        ("secret", "secret_file = \"secret\""),
        ("rsa.private.pem", "keys_file = \"DATA/rsa.public.pem\""),
        ("ec.private.pem", "keys_file = \"DATA/ec.public.pem\""),
        ("ed.private.pem", "keys_file = \"DATA/ed.public.pem\""),
    ] {
        let authenticator = keys.authenticator(&format!("[[auth.jwt]]\n{settings}")).unwrap();
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
    let authenticator =
        keys.authenticator("[[auth.jwt]]\nkeys_file = \"DATA/rsa.public.pem\"").unwrap();
    let public = std::fs::read(keys.file("rsa.public.pem")).unwrap();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    for secret in [public.as_slice(), public.trim_ascii_end()] {
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&header, &json!({ "sub": "10" }), &key).unwrap();
        assert_eq!(sign_in(&authenticator, "10:a:b", &token).unwrap_err(), Refusal::Credentials);
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
    for token in ["", "a", "a.b", "a.b.c", "..", "a.b.c.d", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMCJ9."]
    {
        assert!(sign_in(&authenticator, "10:a:b", token).is_err(), "{token}");
    }
}

#[test]
fn claims_have_to_fit() {
    let keys = Keys::new();
    let fits = |settings: &str, claims: serde_json::Value| {
        let authenticator = keys.authenticator(&format!("{SECRET}\n{settings}")).unwrap();
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
        ("user_claim = \"uid\"", json!({ "sub": "20", "uid": "10" }), true),
        ("user_claim = \"uid\"", json!({ "sub": "10" }), false),
        (both, json!({ "sub": "10", "iss": "https://id.example", "aud": "tide" }), true),
        (both, json!({ "sub": "10", "iss": "https://id.example", "aud": ["x", "pool"] }), true),
        (both, json!({ "sub": "10", "iss": "https://id.example", "aud": ["x"] }), false),
        (both, json!({ "sub": "10", "iss": "https://id.example" }), false),
        (both, json!({ "sub": "10", "iss": "https://id.example/", "aud": "tide" }), false),
        (both, json!({ "sub": "10", "iss": ["https://id.example"], "aud": "tide" }), false),
        (both, json!({ "sub": "10", "aud": "tide" }), false),
    ] {
        assert_eq!(fits(settings, claims.clone()), good, "{settings} {claims}");
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
        assert_eq!(sign_in(&authenticator, &format!("{user}:a:b"), &token).is_ok(), good, "{user}");
    }
}

#[test]
fn the_leeway_lets_in_but_makes_no_token_last_longer() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let ends = |exp: serde_json::Value| {
        let token = keys.sign("secret", &json!({ "sub": "10", "exp": exp }));
        sign_in(&authenticator, "10:a:b", &token).unwrap().expires_ms
    };
    assert_eq!(ends(json!(NOW_S + 1)), Some(NOW + 1_000));
    assert_eq!(ends(json!(NOW_S)), Some(NOW + 30_000), "and not at once, or it would come again");
    assert_eq!(ends(json!(NOW_S - 10)), Some(NOW + 20_000));
}

/// What is known of a token that was verified is who signed it, and no more.
#[test]
fn a_token_that_has_signed_in_is_looked_at_each_time() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let token = keys.sign("secret", &json!({ "sub": "10", "exp": NOW_S + 60 }));
    let (mine, other) = (NodeId::new("10:a:b").unwrap(), NodeId::new("11:a:b").unwrap());
    let mut address = 0;
    let mut signs_in = |node: &NodeId, text: &str, now: u64| {
        // From elsewhere each time, so that failures lock nobody.
        address += 1;
        let attempt = Attempt { address: [10, 2, 0, address].into(), ..attempt(node, Some(text)) };
        authenticator.sign_in(&attempt, now).map(|identity| identity.expires_ms)
    };
    for _ in 0..2 {
        assert_eq!(signs_in(&mine, &token, NOW), Ok(Some(NOW + 60_000)));
        assert_eq!(signs_in(&other, &token, NOW), Err(Refusal::Credentials));
        let forged = format!("{}A", &token[..token.len() - 1]);
        if forged != token {
            assert_eq!(signs_in(&mine, &forged, NOW), Err(Refusal::Credentials));
        }
    }
    assert_eq!(signs_in(&mine, &token, NOW + 3_600_000), Err(Refusal::Credentials), "it is over");
}

/// Who is meant is for each issuer to say, whoever was asked first.
#[test]
fn issuers_that_share_a_key_each_judge_a_token_that_is_known() {
    let keys = Keys::new();
    let issuer = "[[auth.jwt]]\nsecret_file = \"secret\"";
    let authenticator =
        keys.authenticator(&format!("{issuer}\n{issuer}\nuser_claim = \"login\"")).unwrap();
    let token = keys.sign("secret", &json!({ "sub": "10", "login": "11" }));
    for node in ["10:a:b", "11:a:b", "10:a:b"] {
        assert!(sign_in(&authenticator, node, &token).is_ok(), "{node}");
    }
    assert!(sign_in(&authenticator, "12:a:b", &token).is_err());
}
