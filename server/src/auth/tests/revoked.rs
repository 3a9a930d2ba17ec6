//! Who is shut out, for how long, and whose sessions end.

use super::*;
use crate::auth::revoked::RevokedError;
use crate::hub::Inbox;

fn revocation(target: Target, issued_until_ms: u64, expires_ms: Option<u64>) -> Revocation {
    Revocation { target, terms: Terms { issued_until_ms, expires_ms } }
}

fn user(name: &str) -> Target {
    Target::User(name.to_owned())
}

#[test]
fn a_revoked_token_is_refused_and_that_is_no_failure() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let of = |jti: &str| keys.sign("secret", &json!({ "sub": "10", "jti": jti, "iat": NOW_S }));
    let (stolen, other) = (of("stolen"), of("other"));
    let target = Target::Token("stolen".to_owned());
    authenticator.revoked().add(&revocation(target.clone(), NOW, None));
    for _ in 0..10 {
        let refused = sign_in(&authenticator, "10:a:b", &stolen).unwrap_err();
        assert_eq!(refused, Refusal::Revoked);
    }
    let over_http = authenticator.sign_in(&http(Some(&stolen), None), NOW);
    assert_eq!(over_http.unwrap_err(), Refusal::Revoked);
    assert!(sign_in(&authenticator, "10:a:b", &other).is_ok());
    assert!(authenticator.revoked().remove(&target));
    assert!(sign_in(&authenticator, "10:a:b", &stolen).is_ok());
    assert!(!authenticator.revoked().remove(&target), "it was let in already");
}

#[test]
fn of_a_user_the_tokens_up_to_that_moment_are_refused() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    authenticator.revoked().add(&revocation(user("10"), NOW + 500, None));
    let signs_in = |sub: &str, iat: serde_json::Value| {
        let mut claims = json!({ "sub": sub });
        if !iat.is_null() {
            claims["iat"] = iat;
        }
        sign_in(&authenticator, &format!("{sub}:a:b"), &keys.sign("secret", &claims)).is_ok()
    };
    assert!(!signs_in("10", json!(NOW_S - 60)));
    assert!(!signs_in("10", json!(NOW_S)), "in the same second");
    assert!(signs_in("10", json!(NOW_S + 1)), "signed in anew");
    assert!(signs_in("10", json!(1_700_000_000.6)), "whoever tells parts of a second");
    assert!(!signs_in("10", json!(null)), "it does not say when");
    assert!(signs_in("20", json!(NOW_S - 60)));
}

#[test]
fn a_client_is_shut_out_by_its_node_its_name_and_its_token() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    authenticator.revoked().add(&revocation(Target::Client("10:phone".to_owned()), NOW, None));
    let free = keys.sign("secret", &json!({ "sub": "10", "iat": NOW_S }));
    let bound = keys.sign("secret", &json!({ "sub": "10", "iat": NOW_S, "client": "phone" }));
    assert!(sign_in(&authenticator, "10:phone:tab", &free).is_err());
    assert!(sign_in(&authenticator, "10:tablet:tab", &free).is_ok());
    assert!(sign_in(&authenticator, "10:tablet:tab", &bound).is_err());
    let phone = ClientId::new("10:phone").unwrap();
    assert!(authenticator.sign_in(&http(Some(&free), Some(&phone)), NOW).is_err());
    assert!(authenticator.sign_in(&http(Some(&free), None), NOW).is_ok());
    assert!(authenticator.sign_in(&http(Some(&bound), None), NOW).is_err());
}

#[test]
fn who_needs_no_token_can_be_shut_out_too() {
    let keys = Keys::new();
    let guests = keys.authenticator("[auth]\nanonymous = [\"guest\"]").unwrap();
    let dev = keys.authenticator("[server]\ndev = true").unwrap();
    for (authenticator, name) in [(guests, "guest"), (dev, "10")] {
        let node = NodeId::new(&format!("{name}:a:b")).unwrap();
        assert!(authenticator.sign_in(&attempt(&node, None), NOW).is_ok());
        authenticator.revoked().add(&revocation(user(name), NOW, None));
        assert!(authenticator.sign_in(&attempt(&node, None), NOW).is_err());
    }
}

#[test]
fn a_revocation_is_forgotten_when_its_tokens_have_expired() {
    let keys = Keys::new();
    for (settings, expires_ms, last) in [
        ("", None, None),
        ("", Some(NOW + 1_000), Some(NOW + 31_000)),
        ("token_age = \"1h\"", None, Some(NOW + 3_600_000 + 60_000)),
        ("token_age = \"1h\"", Some(NOW + 1_000), Some(NOW + 31_000)),
    ] {
        let authenticator = keys.authenticator(&format!("[auth]\n{settings}\n{SECRET}")).unwrap();
        let revoked = authenticator.revoked();
        revoked.add(&revocation(user("10"), NOW, expires_ms));
        let Some(last) = last else {
            assert_eq!(revoked.forget(u64::MAX), []);
            continue;
        };
        assert_eq!(revoked.list(last - 1).len(), 1, "{settings}");
        assert_eq!(revoked.list(last - 1)[0].terms.expires_ms, Some(last));
        assert_eq!(revoked.list(last), []);
        assert_eq!(revoked.forget(last - 1), []);
        assert_eq!(revoked.forget(last), [user("10")]);
    }
}

#[test]
fn with_a_token_age_a_token_lasts_no_longer_than_that() {
    let keys = Keys::new();
    let text = format!("[auth]\ntoken_age = \"1h\"\n{SECRET}");
    let authenticator = keys.authenticator(&text).unwrap();
    let ends = |claims: serde_json::Value| {
        let token = keys.sign("secret", &claims);
        sign_in(&authenticator, "10:a:b", &token).ok().map(|identity| identity.expires_ms)
    };
    let hour = 3_600_000;
    assert_eq!(ends(json!({ "sub": "10", "iat": NOW_S })), Some(Some(NOW + hour)));
    let soon = json!({ "sub": "10", "iat": NOW_S, "exp": NOW_S + 60 });
    assert_eq!(ends(soon), Some(Some(NOW + 60_000)));
    let late = json!({ "sub": "10", "iat": NOW_S, "exp": NOW_S + 36_000 });
    assert_eq!(ends(late), Some(Some(NOW + hour)));
    assert_eq!(ends(json!({ "sub": "10", "iat": NOW_S - 3_700, "exp": NOW_S + 60 })), None);
    assert_eq!(ends(json!({ "sub": "10", "exp": NOW_S + 60 })), None, "it does not say when");
}

#[test]
fn who_is_here_has_to_go_and_nobody_else() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let here = |node: &str, claims: serde_json::Value| {
        let node = NodeId::new(node).unwrap();
        let token = keys.sign("secret", &claims);
        let identity = authenticator.sign_in(&attempt(&node, Some(&token)), NOW).unwrap();
        let inbox = Inbox::behind();
        let presence = authenticator.enter(&identity, Some(&node.client()), &inbox, NOW);
        (inbox, presence)
    };
    let of =
        |user: &str, jti: &str| json!({ "sub": user, "jti": jti, "iat": NOW_S, "exp": NOW_S + 60 });
    let guests = [
        here("10:phone:t", of("10", "a")),
        here("10:tablet:t", of("10", "b")),
        here("20:phone:t", of("20", "c")),
        here("30:phone:t", json!({ "sub": "30", "iat": NOW_S + 10 })),
    ];
    let gone = |guests: &[(Arc<Inbox>, Presence)]| {
        guests.iter().map(|(inbox, _)| inbox.has_ended()).collect::<Vec<_>>()
    };
    let revoked = authenticator.revoked();
    assert_eq!(revoked.expiry_of("c"), Some(NOW + 60_000));
    assert_eq!(revoked.add(&revocation(Target::Token("c".to_owned()), NOW, None)), 1);
    assert_eq!(gone(&guests), [false, false, true, false]);
    assert_eq!(revoked.add(&revocation(Target::Client("10:tablet".to_owned()), NOW, None)), 1);
    assert_eq!(gone(&guests), [false, true, true, false]);
    assert_eq!(revoked.add(&revocation(user("30"), NOW, None)), 0, "it came with a newer token");
    let [first, ..] = guests;
    drop(first);
    assert_eq!(revoked.add(&revocation(user("10"), NOW, None)), 1, "the first has left");
}

#[test]
fn who_was_revoked_while_signing_in_does_not_stay() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let node = NodeId::new("10:a:b").unwrap();
    let token = keys.sign("secret", &json!({ "sub": "10", "iat": NOW_S }));
    let identity = authenticator.sign_in(&attempt(&node, Some(&token)), NOW).unwrap();
    authenticator.revoked().add(&revocation(user("10"), NOW, None));
    let inbox = Inbox::behind();
    let presence = authenticator.enter(&identity, None, &inbox, NOW);
    assert!(inbox.has_ended());
    drop(presence);
}

#[test]
fn what_cannot_be_is_not_revoked() {
    let token = "eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
    for (target, reason) in [
        (user("a:b"), "colon"),
        (Target::Client("10".to_owned()), "user:client"),
        (Target::Client("10:a:b".to_owned()), "user:client"),
        (Target::Client(":a".to_owned()), "user:client"),
        (Target::Token(String::new()), "1 to 512 bytes"),
        (Target::Token("x".repeat(513)), "1 to 512 bytes"),
        (Target::Token(token.to_owned()), "--token-file"),
    ] {
        let error = target.check().unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains(token), "{error}");
    }
    assert!(matches!(user("").check(), Err(RevokedError::Id(..))));
}
