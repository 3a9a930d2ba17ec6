//! Who may try, how, and how often.

use super::*;

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
        assert!(authenticator.sign_in(&http(Some(&token), None), NOW).is_err(), "{user}");
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
    assert_eq!(sign_in(Some(&client("10:phone"))).unwrap().user.as_str(), "10");
    assert_eq!(sign_in(Some(&client("phone"))).unwrap().user.as_str(), "10");
    assert_eq!(sign_in(Some(&client("20:phone"))).unwrap_err(), Refusal::Credentials);
    assert_eq!(authenticator.sign_in(&http(None, None), NOW).unwrap_err(), Refusal::Credentials);
}

#[test]
fn a_cookie_counts_when_there_is_no_token() {
    let keys = Keys::new();
    let authenticator =
        keys.authenticator(&format!("[auth]\ncookie = \"session\"\n{SECRET}")).unwrap();
    let token = keys.sign("secret", &json!({ "sub": "10" }));
    let cookies = format!("token=x; session={token}");
    let node = NodeId::new("10:a:b").unwrap();
    let by_cookie = Attempt { cookies: Some(&cookies), ..attempt(&node, None) };
    assert!(authenticator.sign_in(&by_cookie, NOW).is_ok());
    let with_bad_token = Attempt { token: Some("bad"), ..by_cookie };
    assert!(authenticator.sign_in(&with_bad_token, NOW).is_err(), "the token counts");
    let foreign = Attempt { origin: Some("https://evil.example"), host: Some("h"), ..by_cookie };
    assert!(authenticator.sign_in(&foreign, NOW).is_err());
    let off = keys.authenticator(&format!("[auth]\ncookie = \"\"\n{SECRET}")).unwrap();
    assert!(off.sign_in(&by_cookie, NOW).is_err());
}

#[test]
fn an_anonymous_user_needs_no_token_and_has_no_log() {
    let keys = Keys::new();
    let authenticator =
        keys.authenticator(&format!("[auth]\nanonymous = [\"guest\"]\n{SECRET}")).unwrap();
    let node = NodeId::new("guest:a:b").unwrap();
    let identity = authenticator.sign_in(&attempt(&node, None), NOW).unwrap();
    assert!(identity.anonymous && identity.user.as_str() == "guest" && identity.claims.is_empty());
    let client = ClientId::new("guest:phone").unwrap();
    assert!(authenticator.sign_in(&http(None, Some(&client)), NOW).unwrap().anonymous);
    assert!(authenticator.sign_in(&http(None, None), NOW).is_err(), "one has to say so");
    let token = keys.sign("secret", &json!({ "sub": "guest" }));
    assert!(authenticator.sign_in(&http(Some(&token), None), NOW).unwrap().anonymous);
}

#[test]
fn in_development_one_is_who_one_says() {
    let keys = Keys::new();
    let text = "[server]\ndev = true\n[[auth.jwt]]\nkeys_file = \"missing\"";
    let authenticator = keys.authenticator(text).expect("it reads no keys");
    assert_eq!(sign_in(&authenticator, "10:a:b", "anything").unwrap().user.as_str(), "10");
    let node = NodeId::new("10:a:b").unwrap();
    assert!(authenticator.sign_in(&attempt(&node, None), NOW).is_ok());
    assert_eq!(authenticator.sign_in(&http(Some("20"), None), NOW).unwrap().user.as_str(), "20");
    for node in ["server:a:b", "bare"] {
        assert_eq!(sign_in(&authenticator, node, "x").unwrap_err(), Refusal::Credentials, "{node}");
    }
    for token in [None, Some("server"), Some("a:b"), Some("")] {
        assert!(authenticator.sign_in(&http(token, None), NOW).is_err(), "{token:?}");
    }
}

#[test]
fn a_user_who_failed_too_often_has_to_wait_and_nobody_else() {
    let keys = Keys::new();
    let authenticator = keys.authenticator(SECRET).unwrap();
    let good = keys.sign("secret", &json!({ "sub": "10" }));
    let other = keys.sign("secret", &json!({ "sub": "20" }));
    let node = NodeId::new("10:a:b").unwrap();
    let at = |token, ms| authenticator.sign_in(&attempt(&node, Some(token)), NOW + ms).map(drop);
    let refusals = [0, 100, 200, 300].map(|ms| at("bad", ms).unwrap_err());
    assert_eq!(refusals[..3], [Refusal::Credentials; 3]);
    assert_eq!(refusals[3], Refusal::TooManyFailures);
    assert_eq!(at(&good, 400), Err(Refusal::TooManyFailures), "even with a good token");
    assert!(sign_in(&authenticator, "20:a:b", &other).is_ok(), "not the neighbour");
    let elsewhere = Attempt { address: [10, 0, 0, 9].into(), ..attempt(&node, Some(&good)) };
    assert!(authenticator.sign_in(&elsewhere, NOW + 400).is_ok(), "nor the same user elsewhere");
    let over_http = authenticator.sign_in(&http(Some(&good), None), NOW + 400);
    assert_eq!(over_http.unwrap_err(), Refusal::TooManyFailures, "by whatever route");
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
    assert!(authenticator.delay(HERE.into(), NOW) > wait, "the next one waits longer");
    assert!(sign_in(&authenticator, "me:a:b", &good).is_ok());
    assert_eq!(authenticator.delay([10, 0, 0, 9].into(), NOW), Duration::ZERO);
}
