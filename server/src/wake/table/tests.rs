//! Who waits, how long, and what ends it.

use super::*;
use crate::log::Channel;
use tidelog_protocol::UserId;

const TERMS: Terms = Terms {
    most: 3,
    at_once: 2,
    interval_ms: 10_000,
    silent_interval_ms: 1_200_000,
    patience_ms: 9_000_000,
    jitter_percent: 0,
};

fn key(client: &str) -> Key {
    (ClientId::new(client).unwrap(), DeviceId::new("d").unwrap())
}

fn own() -> LogName {
    LogName::User(UserId::new("10").unwrap())
}

fn channel() -> Channel {
    Channel::new("c").unwrap()
}

fn at(position: u64) -> Position {
    Position::new(position).unwrap()
}

/// What who has had so much of its user's log has had.
fn own_through(position: u64) -> Had {
    Had { own: at(position), channels: Vec::new() }
}

fn shown(title: &str) -> Message {
    Message { title: title.to_owned(), ..Message::default() }
}

fn add(table: &mut Table, client: &str, position: u64, now: u64) -> Added {
    table.add(&key(client), (own(), at(position)), None, &LastTold::default(), now)
}

/// What is taken at `now`: who, and up to where.
fn take(table: &mut Table, now: u64) -> Vec<(String, u64)> {
    let taken = table.take(now).into_iter();
    taken.map(|((client, _), missed)| (client.to_string(), missed.head().get())).collect()
}

fn woken(client: &str, head: u64) -> (String, u64) {
    (client.to_owned(), head)
}

#[test]
fn a_burst_is_told_at_once_and_what_follows_waits_for_its_turn() {
    let mut table = Table::new(TERMS);
    for position in 1..=5 {
        assert_eq!(add(&mut table, "10:a", position, 1000), Added::Yes);
    }
    assert_eq!((table.next_ms(), take(&mut table, 1000)), (Some(1250), vec![]));
    assert_eq!(take(&mut table, 1250), [woken("10:a", 5)]);
    // What comes while it is told is not in it.
    add(&mut table, "10:a", 6, 1260);
    assert_eq!(table.first(), Some(at(1)));
    table.done(&key("10:a"), Done::Told, 1300);
    assert_eq!((table.first(), table.waiting()), (Some(at(6)), 1));
    assert_eq!((table.next_ms(), take(&mut table, 1_201_299)), (Some(1_201_300), vec![]));
    // A message comes sooner than a silent push.
    table.add(&key("10:a"), (own(), at(7)), Some(shown("Hi")), &LastTold::default(), 2000);
    assert_eq!(table.next_ms(), Some(11_300));
    let taken = table.take(11_300);
    assert_eq!(taken[0].1.push(), Push { head: at(7), message: Some(shown("Hi")) });
    table.done(&key("10:a"), Done::Told, 11_400);
    // It has been told of all that; and is forgotten after a while.
    assert_eq!(add(&mut table, "10:a", 7, 11_500), Added::Yes);
    assert_eq!((table.waiting(), table.first()), (0, None));
    assert_eq!((take(&mut table, 1_211_399), table.is_empty()), (vec![], false));
    assert_eq!((take(&mut table, 1_211_400), table.is_empty()), (vec![], true));
}

#[test]
fn the_newest_message_is_shown_and_a_silent_poke_takes_none_away() {
    let mut table = Table::new(TERMS);
    for message in [Some(shown("1")), Some(shown("2")), None] {
        let position = at(table.waiting() as u64 + 1);
        table.add(&key("10:a"), (own(), position), message, &LastTold::default(), 0);
    }
    assert_eq!(table.take(250)[0].1.push().message, Some(shown("2")));
}

#[test]
fn who_has_had_it_by_itself_is_not_told() {
    let mut table = Table::new(TERMS);
    add(&mut table, "10:a", 5, 0);
    table.add(&key("10:a"), (LogName::Channel(channel()), at(6)), None, &LastTold::default(), 0);
    let client = ClientId::new("10:a").unwrap();
    let mut had = |own, of_channel| {
        let channels = vec![(channel(), at(of_channel))];
        table.had(&client, &Had { own: at(own), channels }, 100)
    };
    assert!(had(9, 5).is_empty());
    assert!(had(4, 9).is_empty());
    // Nothing of its own log is left, so nothing is.
    assert_eq!(table.waiting(), 0);
    assert_eq!((take(&mut table, 9999), table.is_empty()), (vec![], true));
    // Neighbours by name are others.
    add(&mut table, "10:ab", 7, 0);
    assert!(table.had(&client, &own_through(9), 100).is_empty());
    assert_eq!(take(&mut table, 250), [woken("10:ab", 7)]);
    // Who has had it while it was told came before it was, and is counted when it comes again.
    table.done(&key("10:ab"), Done::Told, 300);
    let client = ClientId::new("10:ab").unwrap();
    assert!(table.had(&client, &own_through(6), 400).is_empty());
    assert_eq!(table.had(&client, &own_through(7), 500), [300]);
    assert!(table.had(&client, &own_through(7), 600).is_empty());
}

#[test]
fn failures_double_the_wait_and_the_service_may_ask_for_more() {
    let mut table = Table::new(TERMS);
    add(&mut table, "10:a", 1, 0);
    let mut now = 250;
    for wait in [1_000, 2_000, 4_000] {
        assert_eq!(take(&mut table, now), [woken("10:a", 1)], "{wait}");
        table.done(&key("10:a"), Done::Failed { after: None, all: false }, now);
        assert_eq!(table.next_ms(), Some(now + wait));
        // Something new does not make it come sooner.
        assert_eq!(add(&mut table, "10:a", 1 + wait, now), Added::Yes);
        table.had(&ClientId::new("10:a").unwrap(), &own_through(0), now);
        now = table.next_ms().unwrap();
        table.slots.get_mut(&key("10:a")).unwrap().missed.as_mut().unwrap().logs =
            BTreeMap::from([(own(), at(1))]);
    }
    take(&mut table, now);
    let after = Some(Duration::from_secs(100));
    table.done(&key("10:a"), Done::Failed { after, all: false }, now);
    assert_eq!(table.next_ms(), Some(now + 100_000));
}

#[test]
fn a_service_that_is_down_is_tried_by_one_at_a_time() {
    let mut table = Table::new(TERMS);
    for client in ["10:a", "10:b", "10:c"] {
        add(&mut table, client, 1, 0);
    }
    assert_eq!(take(&mut table, 250).len(), 2, "as many as may at once");
    assert_eq!(table.next_ms(), None);
    table.done(&key("10:a"), Done::Failed { after: None, all: true }, 300);
    table.done(&key("10:b"), Done::Failed { after: None, all: true }, 300);
    assert_eq!(take(&mut table, 2_299), []);
    assert_eq!(table.next_ms(), Some(2_300));
    assert_eq!(take(&mut table, 2_300), [woken("10:c", 1)]);
    assert_eq!((take(&mut table, 2_400), table.next_ms()), (vec![], None));
    table.done(&key("10:c"), Done::Told, 2_400);
    assert_eq!(take(&mut table, 2_400).len(), 2);
}

#[test]
fn who_finds_no_room_is_told_so_and_who_was_told_makes_place() {
    let mut table = Table::new(TERMS);
    for n in 0..50 {
        let client = format!("10:c{n}");
        let now = 1_000 * n;
        assert_eq!(add(&mut table, &client, n + 1, now), Added::Yes, "{n}");
        for (key, _) in table.take(now + 250) {
            table.done(&key, Done::Told, now + 250);
        }
        assert!(table.slots.len() <= 2 * TERMS.most && table.due.len() <= 2 * TERMS.most);
    }
    let mut table = Table::new(TERMS);
    for client in ["10:a", "10:b", "10:c"] {
        assert_eq!(add(&mut table, client, 1, 0), Added::Yes);
    }
    assert_eq!(add(&mut table, "10:d", 1, 0), Added::Full);
    assert_eq!(add(&mut table, "10:a", 2, 0), Added::Yes, "it is there already");
    take(&mut table, 250);
    assert!(!table.has_room(), "who is being told is not told yet");
    table.done(&key("10:a"), Done::Dropped, 300);
    assert_eq!(add(&mut table, "10:d", 1, 300), Added::Yes);
}

#[test]
fn who_cannot_be_told_for_long_is_given_up_and_who_is_connected_is_waited_for() {
    let mut table = Table::new(TERMS);
    add(&mut table, "10:a", 1, 0);
    take(&mut table, 250);
    table.done(&key("10:a"), Done::Connected, 250);
    assert_eq!((table.next_ms(), table.first()), (Some(250 + CONNECTED_MS), Some(at(1))));
    assert_eq!(take(&mut table, TERMS.patience_ms), []);
    assert!(table.is_empty() && table.due.is_empty() && table.waiting() == 0);
}

#[test]
fn who_has_had_it_while_it_was_told_in_vain_is_not_told_again() {
    let mut table = Table::new(TERMS);
    add(&mut table, "10:a", 1, 0);
    take(&mut table, 250);
    let client = ClientId::new("10:a").unwrap();
    assert!(table.had(&client, &own_through(1), 300).is_empty());
    table.done(&key("10:a"), Done::Failed { after: None, all: false }, 400);
    assert_eq!((table.waiting(), table.first()), (0, None));
    // What is new waits as long as the service has asked for.
    add(&mut table, "10:a", 2, 500);
    assert_eq!(table.next_ms(), Some(1_400));
    assert_eq!(take(&mut table, 1_400), [woken("10:a", 2)]);
}

/// It may be told by a message, in between, and come for it at once.
#[test]
fn who_was_told_in_silence_is_not_told_so_again_before_its_time() {
    const { assert!(TERMS.silent_interval_ms > WATCHED_MS) };
    for comes in [true, false] {
        let mut table = Table::new(TERMS);
        add(&mut table, "10:a", 1, 0);
        assert_eq!(take(&mut table, 250), [woken("10:a", 1)]);
        table.done(&key("10:a"), Done::Told, 300);
        if comes {
            let told = table.had(&ClientId::new("10:a").unwrap(), &own_through(1), 400);
            assert_eq!(told, [300]);
        }
        // It is looked at when it is due, and what comes then waits.
        let now = 300 + WATCHED_MS;
        assert_eq!(take(&mut table, now), []);
        add(&mut table, "10:a", 2, now);
        assert_eq!((take(&mut table, 1_200_299), table.next_ms()), (vec![], Some(1_200_300)));
        assert_eq!(take(&mut table, 1_200_300), [woken("10:a", 2)], "{comes}");
    }
}

#[test]
fn what_it_is_told_of_late_is_told_though_newer_was_told_of_another_log() {
    let mut table = Table::new(TERMS);
    let of_channel = |table: &mut Table, position, message, now| {
        table.add(
            &key("10:a"),
            (LogName::Channel(channel()), at(position)),
            message,
            &LastTold::default(),
            now,
        )
    };
    of_channel(&mut table, 9, Some(shown("newer")), 0);
    table.add(&key("10:a"), (own(), at(5)), Some(shown("older")), &LastTold::default(), 0);
    let push = table.take(250)[0].1.push();
    assert_eq!(push, Push { head: at(9), message: Some(shown("newer")) });
    table.done(&key("10:a"), Done::Told, 300);
    of_channel(&mut table, 9, Some(shown("newer")), 400);
    table.add(&key("10:a"), (own(), at(5)), None, &LastTold::default(), 400);
    assert_eq!(table.waiting(), 0, "it was told of both");
    table.add(&key("10:a"), (own(), at(6)), Some(shown("late")), &LastTold::default(), 400);
    assert_eq!(table.take(10_300)[0].1.push(), Push { head: at(6), message: Some(shown("late")) });
}

#[test]
fn devices_that_fail_together_are_tried_again_one_after_the_other() {
    let mut table = Table::new(Terms { most: 100, at_once: 100, jitter_percent: 25, ..TERMS });
    for n in 0..100 {
        add(&mut table, &format!("10:c{n}"), 1, 0);
    }
    for (key, _) in table.take(250) {
        let after = Some(Duration::from_secs(60));
        table.done(&key, Done::Failed { after, all: false }, 1_000);
    }
    let mut due: Vec<_> = table.due.iter().map(|(due_ms, _)| *due_ms).collect();
    assert!(due.iter().all(|due_ms| (61_000..=76_000).contains(due_ms)), "{due:?}");
    due.dedup();
    assert!(due.len() > 30, "{due:?}");
    assert_eq!(jitter(u64::MAX, &key("10:a"), 25), u64::MAX);
}

#[test]
fn who_was_told_before_it_came_into_the_table_is_not_told_of_that_nor_too_soon() {
    let mut last = LastTold::default();
    last.tell(&BTreeMap::from([(own(), at(5))]), 1_000);
    let add = |table: &mut Table, position, now| {
        table.add(&key("10:a"), (own(), at(position)), None, &last, now)
    };
    let mut table = Table::new(TERMS);
    assert_eq!(add(&mut table, 5, 2_000), Added::Yes);
    assert!(table.is_empty(), "it takes no place");
    assert_eq!(add(&mut table, 6, 2_000), Added::Yes);
    assert_eq!((take(&mut table, 1_200_999), table.next_ms()), (vec![], Some(1_201_000)));
    assert_eq!(take(&mut table, 1_201_000), [woken("10:a", 6)]);
    table.done(&key("10:a"), Done::Told, 1_201_100);
    let told = LastTold { ms: 1_201_100, through: BTreeMap::from([(own(), at(6))]) };
    assert_eq!(table.last_told(&key("10:a")), Some(told));
    // Of a time that has not come yet, the clock has been set back.
    let mut table = Table::new(TERMS);
    assert_eq!(add(&mut table, 6, 100), Added::Yes);
    assert_eq!(table.next_ms(), Some(1_200_100));
}
