//! Entries on their way to inboxes.

use super::*;
use crate::log::{Addresses, Causes, Channel};
use tidelog_crdt::{Dot, Incarnation, Position};
use tidelog_protocol::{Action, ActionId};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn node(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn entry(position: u64, addresses: Addresses, kept: bool) -> Arc<Entry> {
    let position = Position::new(position).unwrap();
    Arc::new(Entry {
        position,
        id: ActionId { node: node("10:a:t"), ms: 1, sequence: position.get() },
        time: 1,
        accepted_ms: 1,
        subprotocol: 0,
        addresses,
        dot: Dot { incarnation: Incarnation(1), position },
        aliases: Vec::new(),
        causes: Causes::default(),
        action: Action::from_parts(r#"{"type":"a"}"#.into(), "a"),
        kept,
        cleaned: false,
    })
}

fn to_users(position: u64, users: &[&str]) -> Arc<Entry> {
    let users = users.iter().map(|name| user(name)).collect();
    entry(position, Addresses { users, ..Addresses::default() }, true)
}

fn follower(hub: &Hub, text: &str) -> Arc<Inbox> {
    let (node, inbox) = (node(text), Inbox::behind());
    let owner = node.user().unwrap();
    hub.enter((&owner, &node), &inbox, 10);
    hub.follow(LogName::User(owner), &inbox);
    inbox.resume(Position::ZERO);
    inbox
}

fn positions(inbox: &Inbox) -> Vec<u64> {
    inbox.take().entries.iter().map(|mail| mail.entry.position.get()).collect()
}

#[test]
fn an_entry_reaches_each_follower_once_however_many_of_its_addresses_match() {
    let hub = Hub::default();
    let inbox = follower(&hub, "10:b:t");
    let channel = Channel::new("posts").unwrap();
    hub.follow(LogName::Channel(channel.clone()), &inbox);
    let addresses = Addresses {
        users: vec![user("10")],
        channels: vec![channel],
        clients: vec![node("10:b:t").client()],
        nodes: vec![node("10:b:t")],
    };
    hub.publish(&[entry(1, addresses.clone(), true), entry(1, addresses, false)]);
    assert_eq!(positions(&inbox), [1, 1], "one that is kept, and one that is not");
    hub.publish(&[to_users(2, &["11"])]);
    assert_eq!(positions(&inbox), Vec::<u64>::new());
}

#[test]
fn nothing_is_queued_for_a_session_that_is_behind_but_what_no_log_has() {
    let hub = Hub::default();
    let inbox = follower(&hub, "10:b:t");
    for n in 1..=100 {
        hub.publish(&[to_users(n, &["10"])]);
    }
    let parcel = inbox.take();
    assert!(parcel.overflowed && parcel.entries.is_empty() && parcel.dropped == 0);
    let addresses = Addresses { users: vec![user("10")], ..Addresses::default() };
    hub.publish(&[entry(100, addresses, false), to_users(101, &["10"])]);
    let parcel = inbox.take();
    assert_eq!(parcel.entries.len(), 1);
    assert!(!parcel.entries[0].entry.kept);
    assert!(matches!(inbox.resume(Position::new(100).unwrap()), Resumed::ReadOn));
    assert!(matches!(inbox.resume(Position::new(101).unwrap()), Resumed::CaughtUp));
    hub.publish(&[to_users(102, &["10"])]);
    assert_eq!(positions(&inbox), [102]);
}

#[test]
fn what_no_log_has_and_finds_no_room_is_counted() {
    let hub = Hub::default();
    let inbox = follower(&hub, "10:b:t");
    let addresses = Addresses { users: vec![user("10")], ..Addresses::default() };
    let live: Vec<_> = (0..70).map(|_| entry(1, addresses.clone(), false)).collect();
    hub.publish(&live);
    let parcel = inbox.take();
    assert_eq!((parcel.entries.len(), parcel.dropped), (64, 6));
    assert_eq!(inbox.take().dropped, 0, "each once");
}

#[tokio::test]
async fn a_client_that_connects_again_ends_its_earlier_connection_and_keeps_its_own_place() {
    let hub = Hub::default();
    let (owner, first) = (user("10"), follower(&hub, "10:b:t"));
    let second = Inbox::behind();
    let earlier = hub.enter((&owner, &node("10:b:u")), &second, 10).unwrap();
    assert!(Arc::ptr_eq(&earlier, &first));
    first.ended().await;
    // The earlier connection takes its leave late.
    let log = LogName::User(owner.clone());
    hub.follow(log.clone(), &second);
    hub.leave((&owner, &node("10:b:t")), &first, std::iter::once(&log));
    second.resume(Position::ZERO);
    hub.publish(&[to_users(1, &["10"])]);
    assert_eq!(positions(&second), [1]);
    assert_eq!(hub.clients(), 1);
}

#[tokio::test]
async fn for_one_client_more_than_a_user_may_have_the_first_one_ends() {
    let hub = Hub::default();
    let inboxes: Vec<_> = (0..3).map(|_| Inbox::behind()).collect();
    for (n, inbox) in inboxes.iter().enumerate() {
        hub.enter((&user("10"), &node(&format!("10:c{n}:t"))), inbox, 2);
    }
    inboxes[0].ended().await;
    let other = Inbox::behind();
    hub.enter((&user("11"), &node("11:c:t")), &other, 2);
    for inbox in [&inboxes[1], &inboxes[2], &other] {
        assert!(!has_ended(inbox));
    }
}

/// The session takes its mail between two addresses of one entry: the last one in the queue is gone.
#[test]
fn an_entry_that_is_not_kept_comes_once_though_mail_is_taken_between_its_addresses() {
    let inbox = Inbox::behind();
    inbox.resume(Position::ZERO);
    let addresses = Addresses { users: vec![user("10")], ..Addresses::default() };
    let live = entry(1, addresses, false);
    assert!(inbox.put(&live, true, 1));
    assert_eq!(positions(&inbox), [1]);
    assert!(!inbox.put(&live, true, 1));
    assert_eq!(positions(&inbox), Vec::<u64>::new());
}

/// It was replaced, but not counted: the user's list had forgotten it when it was dismissed.
#[test]
fn a_client_that_comes_back_before_its_dismissed_connection_has_left_is_counted() {
    let hub = Hub::default();
    let inboxes: Vec<_> = (0..5).map(|_| Inbox::behind()).collect();
    let node = |client: &str| node(&format!("10:{client}:t"));
    let enter = |client, inbox| hub.enter((&user("10"), &node(client)), inbox, 2);
    let ended = || -> Vec<bool> { inboxes.iter().map(|inbox| has_ended(inbox)).collect() };
    for (client, inbox) in ["a", "b", "c"].into_iter().zip(&inboxes) {
        enter(client, inbox);
    }
    assert_eq!(ended(), [true, false, false, false, false]);
    assert!(enter("a", &inboxes[3]).is_some());
    assert_eq!(ended(), [true, true, false, false, false]);
    // The dismissed ones leave at last, and take nothing with them.
    for (client, inbox) in ["a", "b"].into_iter().zip(&inboxes) {
        hub.leave((&user("10"), &node(client)), inbox, std::iter::empty());
    }
    enter("d", &inboxes[4]);
    assert_eq!(ended(), [true, true, true, false, false]);
}

fn has_ended(inbox: &Inbox) -> bool {
    futures_util::FutureExt::now_or_never(inbox.ended()).is_some()
}

#[test]
fn entries_that_are_left_to_the_log_are_not_overlooked_when_the_session_has_read_less() {
    // They had been taken out, and nothing told that the log has more than what was read.
    let hub = Hub::default();
    let inbox = follower(&hub, "10:b:t");
    hub.publish(&[to_users(1, &["10"])]);
    assert_eq!(positions(&inbox), [1]);
    inbox.leave_to_log(Position::new(1).unwrap());
    assert!(matches!(inbox.resume(Position::ZERO), Resumed::ReadOn));
    assert!(matches!(inbox.resume(Position::new(1).unwrap()), Resumed::CaughtUp));
}

#[test]
fn mail_that_was_taken_before_anybody_was_woken_wakes_nobody() {
    let hub = Hub::default();
    let inbox = follower(&hub, "10:b:t");
    let has_mail = |inbox: &Inbox| futures_util::FutureExt::now_or_never(inbox.mail()).is_some();
    hub.publish(&[to_users(1, &["10"])]);
    assert!(!has_mail(&inbox), "it is woken when it is time");
    hub.wake();
    assert!(has_mail(&inbox));
    assert_eq!(positions(&inbox), [1]);
    hub.publish(&[to_users(2, &["10"])]);
    assert_eq!(positions(&inbox), [2], "it came for something else");
    hub.wake();
    assert!(!has_mail(&inbox));
    hub.publish(&[to_users(3, &["10"])]);
    hub.wake();
    assert!(has_mail(&inbox));
}
