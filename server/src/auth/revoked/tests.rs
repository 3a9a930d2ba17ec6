//! Who signs in while somebody revokes: in whatever order the two go on, one sees the other.

use super::*;
use crate::clock::Stopwatch;
use std::thread;

fn guest() -> Identity {
    let user = UserId::new("10").unwrap();
    Identity { user, claims: Arc::default(), expires_ms: None, anonymous: false }
}

fn everything_of_the_guest() -> Revocation {
    let terms = Terms { issued_until_ms: 0, expires_ms: None };
    Revocation { target: Target::User("10".to_owned()), terms }
}

/// Waits for what another thread does.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = Stopwatch::start();
    while !done() {
        assert!(!waited.has_passed(Duration::from_secs(30)), "{what}");
        thread::yield_now();
    }
}

#[test]
fn who_signs_in_is_noted_before_it_is_asked_whether_that_was_revoked() {
    let revoked = Arc::new(Revoked::default());
    let inbox = Inbox::behind();
    // Nobody is told yet what was revoked.
    let mut terms = revoked.write();
    let (entering, its_inbox) = (Arc::clone(&revoked), Arc::clone(&inbox));
    let entered = thread::spawn(move || Revoked::enter(&entering, (&guest(), None), &its_inbox, 0));
    until("the guest is noted", || !revoked.present().users.is_empty());
    let Revocation { target, terms: those } = everything_of_the_guest();
    terms.insert(target, those);
    drop(terms);
    let presence = entered.join().unwrap();
    assert!(inbox.has_ended());
    drop(presence);
    assert!(revoked.present().users.is_empty());
}

#[test]
fn what_is_revoked_counts_before_it_is_asked_who_is_here() {
    let revoked = Arc::new(Revoked::default());
    // Nobody is told yet who is here.
    let present = revoked.present();
    let revoking = Arc::clone(&revoked);
    let ended = thread::spawn(move || revoking.add(&everything_of_the_guest()));
    until("the revocation counts", || revoked.refuses(&guest(), None, 0));
    drop(present);
    assert_eq!(ended.join().unwrap(), 0);
}
