//! Tokens and key sets as strangers write them.

use super::super::jwt::{Issuer, Proof, Token};
use super::super::keys;
use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

/// What a token takes in memory, in lengths of its text: most for small objects among its claims.
const TIMES: usize = 160;
const BESIDE: usize = 16 << 10;

fn issuer(keys: &Keys) -> Issuer {
    let text =
        "[auth]\ntoken_age = \"30d\"\n[[auth.jwt]]\nsecret_file = \"secret\"\naudience = [\"us\"]";
    let source = Source::new(&keys.folder.path().join("t.toml"), text);
    let auth = Config::parse(source.clone()).unwrap().auth;
    Issuer::new(&auth.jwt[0], &auth, &source, keys.folder.path()).unwrap()
}

/// Nobody is let in by what was not signed, and no number in it breaks anything.
fn look_at(issuer: &Issuer, text: &str, signed: &[String]) {
    let Some(token) = within(text.len() * TIMES + BESIDE, || Token::parse(text)) else { return };
    for now_ms in [0, NOW, u64::MAX] {
        let _ = issuer.fits(&token.claims, now_ms);
    }
    drop(issuer.user(&token.claims));
    // The last digit of a signature may say the same in two ways.
    let message = |text: &str| text.rsplit_once('.').map(|(message, _)| message.to_owned());
    let known = signed.iter().any(|it| message(it) == message(text));
    assert!(known || issuer.proof(&token, NOW) == Proof::Forged, "a forged token");
}

fn claims() -> [serde_json::Value; 3] {
    [
        json!({"sub": "10", "exp": NOW_S + 60, "iat": NOW_S, "aud": "us", "client": "phone"}),
        json!({"sub": 10, "exp": 1e300, "nbf": -0.5, "iat": u64::MAX, "aud": ["us", 1]}),
        json!({"jti": "a", "iss": {"a": []}, "iat": "1"}),
    ]
}

#[test]
fn tokens() {
    let keys = Keys::new();
    let (issuer, signed) = (issuer(&keys), claims().map(|claims| keys.sign("secret", &claims)));
    assert_eq!(issuer.proof(&Token::parse(&signed[0]).unwrap(), NOW), Proof::Signed);
    run(check!(), &Feed::of(&signed), |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            look_at(&issuer, text, &signed);
        }
    });
}

#[test]
fn claims_of_tokens() {
    let keys = Keys::new();
    let (issuer, signed) = (issuer(&keys), claims().map(|claims| keys.sign("secret", &claims)));
    let feed = Feed::of(claims().map(|claims| claims.to_string())).inputs(5_000);
    run(check!(), &feed, |bytes| {
        let [header, body] =
            [&br#"{"alg":"HS256"}"#[..], bytes].map(|it| URL_SAFE_NO_PAD.encode(it));
        look_at(&issuer, &format!("{header}.{body}.AAAA"), &signed);
    });
}

#[test]
fn key_sets() {
    let feed = Feed::of([
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
        r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#,
        r#"{"keys":[{"kty":"RSA","use":"sig","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AAAA"}]}"#,
    ]);
    run(check!(), &feed, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(found) = within(text.len() * TIMES + BESIDE, || keys::from_set(text, &[])) else {
            return;
        };
        for key in found {
            assert!(!key.verifies("message", "AAAA"), "a signature of nothing");
        }
    });
}
