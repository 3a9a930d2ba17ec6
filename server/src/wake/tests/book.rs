//! What devices may be in the book: one place for several who want it at the same time, and many places for one.

use super::world::{Keys, World};
use crate::wake::{Limits, NotKept};
use serde_json::Value;
use tidelog_protocol::UserId;

async fn count(world: &World) -> usize {
    let mut count = 0;
    for user in ["10", "11", "12"] {
        let list = world.call("GET", &format!("{user}:a"), "/v1/push/devices", &Value::Null).await;
        count += list["devices"].as_array().unwrap().len();
    }
    count
}

#[tokio::test]
async fn a_place_that_changes_hands_while_it_is_forgotten_is_counted_once_and_found() {
    const PATH: &str = "/v1/push/devices/d";
    let world = World::open("", "");
    let body = Keys::make().registering("https://push.example.com/p");
    for round in 0..10 {
        world.call("PUT", "10:a", PATH, &body).await;
        tokio::join!(
            world.call("PUT", "11:a", PATH, &body),
            world.call("DELETE", "10:a", PATH, &Value::Null),
        );
        assert_eq!((count(&world).await, world.app.wakes.book.devices()), (1, 1), "{round}");
        // It leads to whose it is now, who loses it to the next.
        world.call("PUT", "12:a", PATH, &body).await;
        assert!(!world.is_registered("11", "d"), "{round}");
        world.call("DELETE", "12:a", PATH, &Value::Null).await;
        assert_eq!((count(&world).await, world.app.wakes.book.devices()), (0, 0), "{round}");
    }
}

#[tokio::test]
async fn a_user_names_few_push_services_a_day_however_often_devices_go() {
    const DAY_MS: u64 = 86_400_000;
    let world = World::open("", "origins_per_user = 2");
    let keys = Keys::make();
    let put = async |user: &str, id: &str, endpoint: &str| {
        let path = format!("/v1/push/devices/{id}");
        world.status("PUT", &format!("{user}:a"), &path, &keys.registering(endpoint)).await
    };
    // As often as it likes at one, by several devices, and at those of the makers of browsers.
    for (id, endpoint, status) in [
        ("d", "https://one.example.com/1", 200),
        ("d", "https://one.example.com/2", 200),
        ("e", "https://one.example.com/3", 200),
        ("d", "https://two.example.com:8443/1", 200),
        ("f", "https://fcm.googleapis.com/fcm/send/1", 200),
        ("g", "https://wns2-par02p.notify.windows.com/1", 200),
        ("d", "https://two.example.com/1", 409),
        ("d", "https://three.example.com/1", 409),
    ] {
        assert_eq!(put("10", id, endpoint).await, status, "{endpoint}");
    }
    // A device that goes leaves no room for another host, but for other users there is.
    for id in ["d", "e"] {
        world.call("DELETE", "10:a", &format!("/v1/push/devices/{id}"), &Value::Null).await;
    }
    assert_eq!(put("10", "d", "https://three.example.com/1").await, 409);
    assert_eq!(put("11", "d", "https://three.example.com/1").await, 200);
    assert_eq!(put("10", "d", "https://two.example.com:8443/9").await, 200);
    // A day later there is: for the one of which no device is left.
    let book = &world.app.wakes.book;
    let limits = Limits { devices: 20, origins: 2 };
    let mut later = world.device("10", "d").unwrap();
    later.refreshed_ms += DAY_MS;
    let named = async |id: &str, endpoint: &str| {
        let mut device = later.clone();
        device.id = crate::wake::DeviceId::new(id).unwrap();
        let crate::wake::Target::Web { endpoint: at, .. } = &mut device.target else { panic!() };
        endpoint.clone_into(at);
        book.keep(device, limits, |_| false).await
    };
    named("x", "https://three.example.com/5").await.unwrap();
    let refused = named("y", "https://four.example.com/5").await.unwrap_err();
    assert!(matches!(refused, NotKept::Origins(2)), "{refused}");
    // Erasing the user leaves nothing of that.
    book.forget_user(&UserId::new("10").unwrap()).await.unwrap();
    assert_eq!(world.app.log.note("wake/origins/10").unwrap(), None);
    named("y", "https://four.example.com/5").await.unwrap();
}
