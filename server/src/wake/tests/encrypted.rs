//! The same over TLS, with an authority that only the operator knows.

use super::double::apns::{Account, device};
use super::double::{Double, web};
use super::tls::Authority;
use super::world::{Keys, World};
use serde_json::json;

const MINUTE: u64 = 60_000;

/// Apple's clock is ahead, so that it takes our token for older than an hour.
#[tokio::test]
async fn apple_is_spoken_to_by_http2_over_tls_and_its_no_renews_the_token_once() {
    let (authority, account) = (Authority::make(), Account::make());
    let mut apple = Double::with_tls(authority.certify(&[b"h2"]), |_| account.judge()).await;
    let settings = format!("ca_file = \"ca.pem\"\n{}", super::apns::settings(&apple.url));
    let files = [("key.p8", account.pem.as_str()), ("ca.pem", authority.pem())];
    let world = World::with_files(&files, &settings);
    world.register("10:phone", &json!({"kind": "apns", "token": device("ab")})).await;
    let signed_ms = crate::clock::now_ms() - 39 * MINUTE;
    let old = world.app.wakes.apns.as_ref().unwrap().token(signed_ms).unwrap();
    apple.be_ahead(25 * 60);
    world.act("10:b", &json!({"type": "note"})).await;
    let refused = apple.next().await;
    assert_eq!(
        (refused.answered, refused.header("authorization")),
        (403, &*format!("bearer {old}"))
    );
    let taken = apple.next().await;
    assert_eq!(taken.answered, 200);
    let new = taken.header("authorization");
    assert_ne!(new, format!("bearer {old}"));
    world.until(|world| world.app.wakes.waiting() == 0).await;
    world.act("10:b", &json!({"type": "note"})).await;
    let next = apple.next().await;
    assert_eq!((next.answered, next.header("authorization")), (200, new));
    assert_eq!(world.pushes("denied"), 0);
}

#[tokio::test]
async fn browsers_are_reached_over_tls_and_only_where_the_authority_is_known() {
    let (authority, stranger) = (Authority::make(), Authority::make());
    let protocols: [&[&[u8]]; 2] = [&[b"h2", b"http/1.1"], &[b"http/1.1"]];
    for protocols in protocols {
        let mut known = Double::with_tls(authority.certify(protocols), web::judge).await;
        let mut unknown = Double::with_tls(stranger.certify(protocols), web::judge).await;
        let world = World::with_files(&[("ca.pem", authority.pem())], "ca_file = \"ca.pem\"");
        let keys = Keys::make();
        world.register("10:a", &keys.registering(&format!("{}/a", known.url))).await;
        let id = world.register("10:b", &keys.registering(&format!("{}/b", unknown.url))).await;
        world.act("10:c", &json!({"type": "note"})).await;
        let came = known.next().await;
        assert_eq!((came.path.as_str(), came.answered), ("/a", 201));
        world.until(|world| world.pushes("failed") > 0).await;
        assert!(unknown.is_quiet() && world.is_registered("10", &id));
    }
}
