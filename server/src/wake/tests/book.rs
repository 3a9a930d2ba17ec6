//! One place, and several who want it at the same time.

use super::world::{Keys, World};
use serde_json::Value;

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
