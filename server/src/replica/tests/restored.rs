//! Servers that were restored: what they lost comes back from whoever has it, and nobody says too much of what it has.

use super::*;

/// Site 1 has made some actions, and the cloud has them.
fn begun(edges: usize) -> World {
    let world = World::new(7, edges);
    world.append(0, draft("eve:pc", 1, &add(1)));
    world.append(1, draft("ann:phone", 1, &add(1)));
    sync_all(&world);
    world
}

/// Once each, in order.
fn sync_all(world: &World) {
    for at in 1..world.count() {
        world.sync(at);
    }
}

fn has(world: &World, at: usize, client: &str, ms: u64) -> bool {
    world.entries(at).iter().any(|it| it.id == id(client, ms))
}

#[test]
fn a_push_that_comes_late_says_nothing_of_a_cloud_that_was_restored() {
    let mut world = begun(1);
    world.back_up(0);
    world.append(1, draft("ann:phone", 2, &add(2)));
    world.sync(1);
    world.append(1, draft("ann:phone", 3, &add(3)));
    // It leaves out what the cloud had then.
    let late = wait(world.link(1).push(None)).unwrap().unwrap();
    assert_eq!(late.records.len(), 1);
    world.restore(0);
    assert!(!has(&world, 0, "ann:phone", 2));
    let told = wait(world.desk(0).take(&world.replica(1), late));
    assert!(matches!(told, Err(Trouble::OtherLife)), "{told:?}");
    world.heal();
    world.judge();
    assert!(has(&world, 0, "ann:phone", 2));
}

#[test]
fn a_link_does_not_outlive_the_life_of_its_cloud() {
    let mut world = begun(1);
    world.back_up(0);
    world.append(0, draft("bob:pc", 2, &add(2)));
    world.sync(1);
    // Requests have no connection that would break.
    let welcome = world.desk(0).welcome(&world.replica(1), &link::hello(world.log(1))).unwrap();
    world.restore(0);
    let link = Link::up(world.log(1), world.desk(1), &welcome).unwrap();
    let batch = wait(world.desk(0).give(&world.replica(1), &link.pull(0, None))).unwrap();
    assert!(matches!(wait(link.take(batch)), Err(Trouble::OtherLife)));
}

#[test]
fn what_a_cloud_and_an_edge_have_lost_comes_back_from_another_edge() {
    let mut world = begun(2);
    (0..2).for_each(|at| world.back_up(at));
    for ms in 2..=9 {
        world.append(1, draft("ann:phone", ms, &add(ms)));
        world.append(0, draft("eve:pc", ms, &add(ms)));
    }
    sync_all(&world);
    (0..2).for_each(|at| world.restore(at));
    assert!((0..2).all(|at| !has(&world, at, "ann:phone", 5) && !has(&world, at, "eve:pc", 5)));
    // Both go on meanwhile.
    world.append(1, draft("ann:phone", 20, &add(20)));
    world.append(0, draft("eve:pc", 20, &add(20)));
    world.heal();
    world.judge();
    for at in 0..3 {
        assert!(has(&world, at, "ann:phone", 5) && has(&world, at, "eve:pc", 5), "site {at}");
    }
    // Who has seen what came back so takes it out, wherever.
    for (at, ms) in [(0, 30), (1, 31), (2, 32)] {
        let seen = Seen { prefix: world.log(at).head(), own: Ranges::default() };
        let context = world.log(at).incarnations().context(seen);
        let value = ms - 30 + 5;
        let remove = Draft { context, ..draft("ann:tablet", ms, &remove(value)) };
        world.append(at, remove);
    }
    world.heal();
    world.judge();
    let left = world.cart(0, "ann");
    assert_eq!(left, serde_json::json!({ "items": [1, 2, 20, 3, 4, 8, 9] }));
    // That stays so after a start.
    (0..3).for_each(|at| world.check(at));
    world.heal();
    world.judge();
    assert_eq!(world.cart(0, "ann"), left);
}

#[test]
fn an_edge_with_a_part_says_nothing_of_the_rest_that_a_restored_cloud_lost() {
    let mut world = begun(2);
    world.set_scope(1, &["ann"], &["*"]);
    world.back_up(0);
    world.append(0, draft("eve:pc", 2, &add(2)));
    world.append(0, draft("ann:pc", 3, &add(3)));
    sync_all(&world);
    assert!(!has(&world, 1, "eve:pc", 2));
    world.restore(0);
    world.sync(1);
    assert!(has(&world, 0, "ann:pc", 3) && !has(&world, 0, "eve:pc", 2));
    world.sync(2);
    assert!(has(&world, 0, "eve:pc", 2), "the other edge has not been told that it is there");
}

#[test]
fn a_forged_name_of_another_edge_moves_nothing_in_a_restored_cloud() {
    let mut world = World::new(7, 2);
    world.append(2, draft("bob:phone", 1, &add(2)));
    world.sync(2);
    world.back_up(0);
    world.restore(0);
    let other = world.log(2).incarnation();
    // It could be one that was lost.
    let named = |it: &mut Push| entry(it).dot = Dot { incarnation: other, position: at(900) };
    assert_eq!(forged(&world, named).unwrap(), []);
    let held = |world: &World, site: usize| {
        let log = world.log(site);
        log.incarnations().held(log.head()).get(&other).copied()
    };
    assert_eq!(held(&world, 0), Some(at(1)));
    // Nor where it comes from there, nor after a start.
    world.sync(1);
    world.crash(0);
    assert_eq!((held(&world, 0), held(&world, 1)), (Some(at(1)), Some(at(1))));
    world.append(2, draft("bob:phone", 2, &add(3)));
    assert_eq!(world.refusals(2), []);
    world.sync(1);
    assert!((0..2).all(|at| has(&world, at, "bob:phone", 2)));
}

#[test]
fn what_was_taken_out_after_the_backup_is_taken_out_again() {
    let mut world = begun(2);
    let clean = |world: &World, at: usize, client: &str| {
        let (author, id) = (user(client.split(':').next().unwrap()), id(client, 2));
        wait(world.log(at).clean(author, id, 1_000)).unwrap();
    };
    // The cloud's backup has the bodies, and so has that of site 1.
    world.append(0, draft("eve:pc", 2, &add(2)));
    world.append(1, draft("ann:phone", 2, &add(2)));
    world.sync(1);
    (0..2).for_each(|at| world.back_up(at));
    clean(&world, 0, "eve:pc");
    clean(&world, 0, "ann:phone");
    // Site 2 gets both when their bodies are gone already.
    world.sync(2);
    (0..2).for_each(|at| world.restore(at));
    assert!(has(&world, 0, "eve:pc", 2) && has(&world, 1, "ann:phone", 2));
    world.heal();
    world.judge();
    assert!((0..3).all(|at| !has(&world, at, "eve:pc", 2) && !has(&world, at, "ann:phone", 2)));
    assert_eq!((world.sync(1), world.sync(2)), ((0, 0), (0, 0)));
}
