//! Who is shut out on one server is shut out on all that are for it, and the last word counts.

use super::*;
use crate::auth::{Change, Target, Terms};
use crate::revocations;

fn user_called(name: &str) -> Target {
    Target::User(name.to_owned())
}

/// `tidelog revoke` at a site, or `unrevoke`.
fn say(world: &World, at: usize, target: &Target, stands: bool, now_ms: u64) {
    let revoked = world.desk(at).revoked();
    let terms = Terms { issued_until_ms: now_ms, expires_ms: None };
    let changed_ms = revoked.change_ms(target, now_ms);
    let heard_at = Position::ZERO;
    let target = target.clone();
    let change = Change { target, terms, changed_ms, stands, heard_at };
    wait(revocations::keep((world.log(at), revoked), change)).unwrap();
}

fn out(world: &World, at: usize) -> Vec<String> {
    let list = world.desk(at).revoked().list(0);
    list.iter().map(|it| it.target.to_string()).collect()
}

#[test]
fn the_last_word_counts_everywhere_also_after_a_start() {
    let mut world = World::new(7, 3);
    world.follow(3, 2);
    say(&world, 0, &user_called("ann"), true, 100);
    say(&world, 3, &Target::Client("bob:phone".into()), true, 100);
    say(&world, 1, &Target::Token("t-1".into()), true, 100);
    // Each time it goes one server further.
    (0..3).for_each(|_| world.heal());
    for at in 0..4 {
        assert_eq!(out(&world, at), ["token t-1", "user ann", "client bob:phone"], "site {at}");
    }
    // Whose clock is behind has the last word all the same, and what was said before does not come back.
    say(&world, 3, &user_called("ann"), false, 50);
    world.heal();
    world.heal();
    (0..4).for_each(|at| world.crash(at));
    world.heal();
    for at in 0..4 {
        assert_eq!(out(&world, at), ["token t-1", "client bob:phone"], "site {at}");
    }
}

#[test]
fn an_edge_hears_of_its_users_and_shuts_out_nobody_else() {
    let mut world = World::new(7, 1);
    world.set_scope(1, &["ann"], &["*"]);
    for name in ["ann", "eve"] {
        say(&world, 0, &user_called(name), true, 100);
    }
    world.sync(1);
    assert_eq!(out(&world, 1), ["user ann"]);
    say(&world, 1, &user_called("eve"), false, 900);
    say(&world, 1, &user_called("mia"), true, 900);
    say(&world, 1, &Target::Token("t-1".into()), true, 900);
    say(&world, 1, &user_called("ann"), false, 900);
    world.sync(1);
    assert_eq!(out(&world, 0), ["user eve"]);
}

#[test]
fn what_was_made_after_its_author_was_shut_out_is_undone_unless_the_edge_knew_of_it() {
    let world = World::new(7, 1);
    world.append(1, draft("ann:phone", 50, &add(1)));
    world.append(1, draft("ann:phone", 150, &add(2)));
    world.append(1, draft("bob:phone", 150, &add(3)));
    say(&world, 0, &user_called("ann"), true, 100);
    world.sync(1);
    assert_eq!(world.cart(0, "ann"), serde_json::json!({ "items": [1] }));
    assert_eq!(world.cart(1, "ann"), serde_json::json!({ "items": [1] }));
    assert_eq!(world.cart(0, "bob"), serde_json::json!({ "items": [3] }));
    // Who is let in by the edge now has a token that was issued since.
    world.append(1, draft("ann:phone", 160, &add(4)));
    world.sync(1);
    assert_eq!(world.cart(0, "ann"), serde_json::json!({ "items": [1, 4] }));
}
