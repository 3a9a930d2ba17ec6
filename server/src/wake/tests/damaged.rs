//! What is not right is refused by the push services, and comes right with another attempt.

use super::double::web::proven;
use super::double::{Came, Double, apns, flip_signature, flipped};
use super::world::{Keys, World};
use serde_json::{Value, json};

/// The next requests, by how they were answered.
async fn answered<const N: usize>(service: &mut Double) -> [u16; N] {
    let mut all = [0; N];
    for status in &mut all {
        *status = service.next().await.answered;
    }
    all
}

async fn is_told(world: &World, denied: u64) {
    world.until(|world| world.app.wakes.waiting() == 0).await;
    assert_eq!((world.pushes("denied"), world.pushes("accepted")), (denied, 1));
}

#[tokio::test]
async fn web_push_refuses_a_flipped_bit_and_an_expired_token_and_is_asked_again() {
    let world = World::open("", "");
    let mut service = Double::start().await;
    world.register("10:a", &Keys::make().registering(&format!("{}/a", service.url))).await;
    service.damage(flip_signature);
    // Its clock is set right as soon as it was wrong once.
    service.be_ahead(13 * 3600);
    world.act("10:b", &json!({"type": "note"})).await;
    assert_eq!(answered(&mut service).await, [403, 403]);
    service.be_ahead(0);
    assert_eq!(answered(&mut service).await, [201]);
    is_told(&world, 2).await;
}

#[tokio::test]
async fn apple_refuses_a_flipped_bit_and_is_asked_again() {
    let (world, mut apple, _) = super::apns::world("").await;
    let body = json!({"kind": "apns", "token": apns::device("ab")});
    world.register("10:a", &body).await;
    apple.damage(flip_signature);
    world.act("10:b", &json!({"type": "note"})).await;
    assert_eq!(answered(&mut apple).await, [403, 200]);
    is_told(&world, 1).await;
}

fn flip_form(came: &mut Came) {
    let form = std::str::from_utf8(&came.body).unwrap();
    let (start, signature) = form.rsplit_once('.').unwrap();
    came.body = format!("{start}.{}", flipped(signature)).into();
}

fn flip_bearer(came: &mut Came) {
    let token = came.header("authorization").strip_prefix("Bearer ").unwrap();
    let value = format!("Bearer {}", token.replace('1', "0"));
    came.headers.insert("authorization", value.parse().unwrap());
}

/// The assertion first, and then the token that it bought.
#[tokio::test]
async fn google_refuses_a_flipped_bit_and_is_asked_again() {
    let (world, mut google) = super::fcm::world("").await;
    world.register("10:a", &json!({"kind": "fcm", "token": "a"})).await;
    google.damage(flip_form);
    google.damage(|_| {});
    google.damage(flip_bearer);
    world.act("10:b", &json!({"type": "note"})).await;
    assert_eq!(answered(&mut google).await, [400, 200, 401, 200, 200]);
    is_told(&world, 2).await;
}

#[tokio::test]
async fn google_sells_nothing_for_an_assertion_that_has_expired() {
    let (world, mut google) = super::fcm::world("").await;
    world.register("10:a", &json!({"kind": "fcm", "token": "a"})).await;
    google.be_ahead(2 * 3600);
    world.act("10:b", &json!({"type": "note"})).await;
    assert_eq!(answered(&mut google).await, [400]);
    google.be_ahead(0);
    assert_eq!(answered(&mut google).await, [200, 200]);
    is_told(&world, 1).await;
}

/// The doubles themselves: what they took is refused with any bit of its signature flipped.
#[tokio::test]
async fn no_bit_of_a_signature_can_be_flipped() {
    let world = World::open("", "");
    let mut service = Double::start().await;
    world.register("10:a", &Keys::make().registering(&format!("{}/a", service.url))).await;
    world.act("10:b", &json!({"type": "note"})).await;
    let came = service.next().await;
    let value = came.header("authorization").strip_prefix("vapid t=").unwrap();
    let (token, public) = value.split_once(", k=").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let good: Option<Value> = proven(token, public);
    assert!(good.is_some());
    assert_eq!(proven(&format!("{signed}.{}", flipped(signature)), public), None);
}
