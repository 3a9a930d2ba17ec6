//! Who has a lane, and what a panic costs.

use super::*;
use crate::wake::tests::world::World;
use std::sync::atomic::{AtomicUsize, Ordering};
use tidelog_protocol::UserId;

#[test]
fn the_makers_of_browsers_have_a_place_whoever_else_is_there() {
    let strangers: Vec<_> = (0..ORIGINS_MAX).map(|n| format!("https://{n}.example.com")).collect();
    let few = strangers.iter().take(ORIGINS_MAX - 1);
    assert!(has_place(few, "https://push.example.org"));
    let pretending = [
        "https://push.example.org",
        "https://fcm.googleapis.com:8443",
        "https://fcm.googleapis.com.example.org",
        "https://web.push.apple.com:1",
        "https://evilnotify.windows.com",
    ];
    for id in pretending {
        assert!(!has_place(strangers.iter(), id), "{id}");
    }
    let own = ["https://web.push.apple.com", "https://wns2-par02p.notify.windows.com"];
    for id in MAKERS.into_iter().chain(own).chain(["apns", "fcm", SHARED]) {
        assert!(has_place(strangers.iter(), id), "{id}");
    }
    let names = |n| format!("https://{n}.notify.windows.com");
    let hosts: Vec<_> = (0..MAKERS_HOSTS_MAX).map(names).collect();
    assert!(!has_place(hosts.iter(), "https://more.push.apple.com"));
    assert!(has_place(hosts.iter(), "https://web.push.apple.com"));
}

#[tokio::test]
async fn a_panic_is_a_failure_and_what_it_was_about_is_told_again() {
    let world = World::open("", "");
    let lanes = Lanes::new(&world.app.wakes.settings);
    let lane = Lane::new("x".to_owned(), lanes.terms("x"), (Arc::default(), Arc::default()));
    let key = (ClientId::new("10:a").unwrap(), crate::wake::DeviceId::new("d").unwrap());
    let log = LogName::User(UserId::new("10").unwrap());
    let at = (log, Position::new(1).unwrap());
    lane.state().table.add(&key, at, None, &LastTold::default(), clock::now_ms());
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let telling = tell(&world.app, &lane, |_, _, _| {
        let tries = counted.clone();
        async move {
            let first = tries.fetch_add(1, Ordering::Relaxed) == 0;
            assert!(!first, "this one fails");
            Done::Told
        }
    });
    let told = world.until(|_| lane.state().table.waiting() == 0);
    tokio::select! {
        () = telling => unreachable!("it watches whether the device comes"),
        () = told => {}
    }
    assert_eq!(tries.load(Ordering::Relaxed), 2);
}
