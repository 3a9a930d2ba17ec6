//! Who was erased on one server is erased on all, and does not come back.

use super::*;
use crate::log::Channel;

/// Each erasure copies a feed, and waits for the disk.
const SEEDS_ERASED: u64 = 12;

fn ids(world: &World, at: usize) -> Vec<String> {
    let mut ids: Vec<_> = world.entries(at).iter().map(|it| it.id.to_string()).collect();
    ids.sort();
    ids
}

fn to_channel(draft: Draft, channel: &str) -> Draft {
    let addresses = Addresses {
        users: Vec::new(),
        channels: vec![Channel::new(channel).unwrap()],
        ..Addresses::default()
    };
    Draft { addresses, ..draft }
}

/// How often the feed was copied.
fn generation(world: &World, at: usize) -> u64 {
    world.log(at).generation()
}

#[test]
fn who_is_erased_somewhere_is_erased_everywhere_and_may_come_again() {
    for erased_at in 0..4 {
        let mut world = World::new(7, 3);
        world.follow(3, 2);
        world.append(3, draft("ann:phone", 1, &add(1)));
        world.append(1, to_channel(draft("ann:phone", 2, &add(2)), "tasks/1"));
        world.append(0, draft("bob:phone", 3, &add(3)));
        world.heal();
        world.heal();
        // Nobody else knows of these when she is erased, and they are from before it.
        world.append(1, draft("ann:tablet", 4, &add(4)));
        world.append(3, to_channel(draft("ann:tablet", 5, &add(5)), "tasks/1"));
        world.erase(erased_at, "ann");
        (0..4).for_each(|at| world.heal_as(at));
        for at in 0..4 {
            assert_eq!(ids(&world, at), ["3 bob:phone:tab 0"], "site {at}, erased at {erased_at}");
        }
        // Somebody of that name signs in anew, on each of them.
        for (at, ms) in (0..4).zip(10..) {
            world.append(at, draft(&format!("ann:new-{at}"), ms, &add(ms)));
        }
        (0..4).for_each(|at| world.heal_as(at));
        (0..4).for_each(|at| world.crash(at));
        (0..4).for_each(|at| world.heal_as(at));
        for at in 0..4 {
            assert_eq!(ids(&world, at).len(), 5, "site {at}: {:?}", ids(&world, at));
            assert_eq!(world.cart(at, "ann"), serde_json::json!({ "items": [10, 11, 12, 13] }));
        }
        let before: Vec<_> = (0..4).map(|at| generation(&world, at)).collect();
        (0..4).for_each(|at| world.heal_as(at));
        let after: Vec<_> = (0..4).map(|at| generation(&world, at)).collect();
        assert_eq!(before, after, "there is nothing more to erase");
        (0..4).for_each(|at| world.check(at));
    }
}

#[test]
fn a_crash_in_the_middle_is_no_way_out() {
    let mut world = World::new(7, 1);
    world.append(1, draft("ann:phone", 1, &add(1)));
    world.heal();
    // It was said, and nothing done; nor where it is heard.
    world.begin_to_erase(0, "ann");
    world.crash(0);
    world.sync(1);
    world.crash(1);
    assert_eq!((ids(&world, 0).len(), ids(&world, 1).len()), (1, 1));
    (0..2).for_each(|at| world.carry_out(at));
    assert_eq!((ids(&world, 0).len(), ids(&world, 1).len()), (0, 0));
}

#[test]
fn nobody_comes_back_from_a_backup() {
    let mut world = World::new(7, 2);
    world.append(1, draft("ann:phone", 1, &add(1)));
    world.heal();
    (0..3).for_each(|at| world.back_up(at));
    world.append(2, draft("ann:phone", 2, &add(2)));
    world.erase(0, "ann");
    world.heal();
    for at in 0..3 {
        world.restore(at);
        assert_eq!(ids(&world, at), ["1 ann:phone:tab 0"], "site {at}");
        // What she makes before the restored server hears of it is from before, too.
        world.append(at, draft("ann:phone", 10 + at as u64, &add(3)));
        (0..3).for_each(|at| world.heal_as(at));
        for at in 0..3 {
            assert_eq!(ids(&world, at), [""; 0], "site {at}");
        }
    }
}

#[test]
fn what_others_sent_to_who_is_erased_is_not_in_the_log_of_that_name_any_more() {
    let world = World::new(7, 1);
    let to = |ms, users: &[&str]| {
        let users = users.iter().map(|name| user(name)).collect();
        let draft = draft("bob:phone", ms, &add(ms));
        Draft { addresses: Addresses { users, ..Addresses::default() }, ..draft }
    };
    world.append(1, to(1, &["ann", "bob"]));
    world.append(1, to(2, &["ann"]));
    world.heal();
    world.append(1, to(3, &["ann", "bob"]));
    world.append(1, to(4, &["ann"]));
    world.erase(0, "ann");
    world.heal();
    world.append(1, to(5, &["ann", "bob"]));
    world.heal();
    for at in 0..2 {
        let log = world.log(at);
        let of = |name: &str| {
            let page = log.read(&LogName::User(user(name)), Position::ZERO, log.head(), ALL);
            page.unwrap().entries.iter().map(|it| it.id.ms).collect::<Vec<_>>()
        };
        assert_eq!((of("ann"), of("bob")), (vec![5], vec![1, 3, 5]), "site {at}");
    }
}

#[test]
fn an_edge_erases_nobody_whom_it_is_not_for() {
    let mut world = World::new(7, 2);
    world.set_scope(1, &["ann"], &["tasks/*"]);
    world.append(0, draft("eve:pc", 1, &add(1)));
    world.append(0, to_channel(draft("eve:pc", 2, &add(2)), "tasks/1"));
    world.append(2, draft("ann:pc", 3, &add(3)));
    world.heal();
    world.erase(1, "eve");
    world.erase(1, "ann");
    world.heal();
    assert_eq!(ids(&world, 0), ["1 eve:pc:tab 0", "2 eve:pc:tab 0"]);
    // Whom it is not for may have acted on channels that it is for.
    world.append(0, to_channel(draft("eve:pc", 4, &add(2)), "tasks/1"));
    world.heal();
    assert_eq!(ids(&world, 1), ["4 eve:pc:tab 0"]);
    world.erase(0, "eve");
    world.heal();
    assert_eq!(ids(&world, 1), [""; 0]);
}

#[test]
fn what_an_edge_claims_of_others_does_not_count() {
    let world = World::new(7, 2);
    world.append(2, draft("ann:pc", 1, &add(1)));
    world.heal();
    let mut through = Held::default();
    for at in 0..3 {
        through.add(Dot { incarnation: world.log(at).incarnation(), position: Position::MAX });
    }
    let erasures = vec![tidelog_protocol::replica::Erasure {
        user: "ann".into(),
        said: through.clone(),
        through,
        also: Vec::new(),
    }];
    let pull = Pull { erasures, ..world.link(1).pull(0, None) };
    wait(world.desk(0).give(&world.replica(1), &pull)).unwrap();
    world.carry_out(0);
    assert_eq!(ids(&world, 0), [""; 0]);
    world.append(0, draft("ann:new", 5, &add(5)));
    world.sync(2);
    world.append(2, draft("ann:new", 6, &add(6)));
    world.sync(2);
    assert_eq!(ids(&world, 0), ["5 ann:new:tab 0", "6 ann:new:tab 0"]);
}

#[test]
fn what_was_erased_and_is_brought_once_more_by_a_forgotten_device_goes_everywhere() {
    let world = World::new(7, 2);
    world.append(0, draft("ann:phone", 1, &add(1)));
    world.sync(1);
    world.erase(0, "ann");
    world.heal();
    // This edge never had it, and knows of the erasure.
    world.append(2, draft("ann:phone", 1, &add(1)));
    world.append(2, draft("ann:phone", 2, &add(2)));
    world.heal();
    for at in 0..3 {
        assert_eq!(ids(&world, at), ["2 ann:phone:tab 0"], "site {at}");
    }
    assert_eq!(world.sync(2), (0, 0));
}

#[test]
fn replicas_agree_whoever_is_erased_meanwhile() {
    in_each_world((300_000, SEEDS_ERASED), 2, |world| world.erases = true);
}

#[test]
fn an_edge_of_an_edge_agrees_whoever_is_erased_meanwhile() {
    in_each_world((400_000, SEEDS_ERASED), 3, |world| {
        world.erases = true;
        world.follow(3, 2);
    });
}
