//! What a server above does not admit leaves the logs and documents of all, and everybody is told.

use super::*;
use crate::compaction::{Terms, compact};
use crate::config::{Config, Source};
use crate::log::undo;

/// An action that the server `at` does not admit.
fn refused_at(at: usize, value: u64) -> String {
    add(value).replacen('{', &format!(r#"{{"not_at":{at},"#), 1)
}

/// What of the log of ann is at a site, as its readers see it.
fn seen(world: &World, at: usize) -> Vec<String> {
    let log = world.log(at);
    let page = log.read(&LogName::User(user("ann")), Position::ZERO, log.head(), ALL).unwrap();
    page.entries.iter().map(|it| String::from_utf8_lossy(it.action.json()).into_owned()).collect()
}

fn cart_of_ann(world: &World, at: usize) -> serde_json::Value {
    world.cart(at, "ann")
}

#[test]
fn what_the_cloud_does_not_admit_is_undone_everywhere() {
    let mut world = World::new(7, 3);
    world.follow(3, 2);
    world.append(3, draft("ann:phone", 10, &add(1)));
    world.append(3, draft("ann:phone", 11, &refused_at(0, 2)));
    // It is on its way.
    world.sync(3);
    assert_eq!(cart_of_ann(&world, 2), serde_json::json!({ "items": [1, 2] }));
    assert_eq!(world.sync(2), (2, 1), "what undoes it comes back");
    assert_eq!(cart_of_ann(&world, 2), serde_json::json!({ "items": [1] }));
    world.heal();
    world.judge();
    let undo = r#"{"type":"logux/undo","id":"11 ann:phone:tab 0","reason":"denied","action":{"type":"crdt/set/add"},"docs":["cart"]}"#;
    for at in 0..4 {
        assert_eq!(seen(&world, at), [add(1), undo.to_owned()], "site {at}");
        // Its id is known, and so is what became of it.
        let known = world.log(at).find(&id("ann:phone", 11)).unwrap().unwrap();
        let entry = world.log(at).entry(known).unwrap().unwrap();
        assert_eq!(entry.undone_because().as_deref(), Some("denied"), "site {at}");
    }
    (0..4).for_each(|at| world.check(at));
    world.heal();
    world.judge();
    assert_eq!(seen(&world, 3), [add(1), undo.to_owned()]);
    assert_eq!(world.sync(3), (0, 0));
}

#[test]
fn what_was_undone_stays_undone_wherever_else_it_was_accepted() {
    let mut world = World::new(7, 2);
    // A client that roams: both edges accept it before they hear of each other.
    world.append(1, draft("ann:phone", 10, &refused_at(0, 1)));
    world.append(2, draft("ann:phone", 10, &refused_at(0, 1)));
    world.sync(1);
    world.heal();
    world.judge();
    assert_eq!(cart_of_ann(&world, 2), serde_json::Value::Null);
    assert_eq!(seen(&world, 1).len(), 1, "there is one undo");
    // And when it comes again it is known.
    world.append(2, draft("ann:phone", 10, &refused_at(0, 1)));
    assert_eq!(cart_of_ann(&world, 2), serde_json::Value::Null);
}

#[test]
fn what_the_author_took_out_meanwhile_is_not_judged() {
    let mut world = World::new(7, 1);
    world.append(1, draft("ann:phone", 10, &refused_at(0, 1)));
    wait(world.log(1).clean(user("ann"), id("ann:phone", 10), 1_000)).unwrap();
    world.heal();
    world.judge();
    assert_eq!(seen(&world, 0), Vec::<String>::new());
}

#[test]
fn an_edge_undoes_nothing_of_whom_it_is_not_for() {
    let mut world = World::new(7, 1);
    world.set_scope(1, &["ann"], &["*"]);
    world.append(0, draft("eve:pc", 1, &add(9)));
    let server = |target: &str, users: &[&str]| {
        let undo = undo(&target.parse().unwrap(), "denied", "a", &[]);
        let mut draft = draft("server:0000000000000001", 5, "{\"type\":\"a\"}");
        draft.addresses.users = users.iter().map(|name| user(name)).collect();
        Draft { action: undo, ..draft }
    };
    for (nth, (target, users)) in
        [("1 eve:pc:tab 0", "ann"), ("1 ann:pc:tab 0", "eve")].into_iter().enumerate()
    {
        let draft = server(target, &[users]);
        let id = ActionId { ms: 5 + nth as u64, ..draft.id.clone() };
        world.append(1, Draft { id, ..draft });
    }
    let reasons: Vec<_> = world.refusals(1).iter().map(|it| it.reason).collect();
    assert_eq!(reasons, [Reason::OutOfScope, Reason::OutOfScope]);
    assert_eq!(world.cart(0, "eve"), serde_json::json!({ "items": [9] }));
    // A server brings nothing else.
    let draft = draft("server:0000000000000001", 9, &add(1));
    world.append(1, Draft { addresses: Addresses::default(), ..draft });
    assert_eq!(world.refusals(1).last().unwrap().reason, Reason::Malformed);
}

fn compacted(world: &World, at: usize) -> u64 {
    let text = "[compaction]\nactions = [\"crdt/*\"]\n\
                [upstream]\nurl = \"https://cloud.example\"\ntoken_file = \"t\"";
    let config = Config::parse(Source::new(Path::new("t.toml"), text)).unwrap();
    let log = world.log(at);
    let rules = world::rules_of(at);
    compact(log, &rules, &Terms::of(&config).older_than(Some(0)), &mut |_| {}).unwrap().entries
}

#[test]
fn nothing_is_compacted_that_a_server_above_may_still_undo() {
    let mut world = World::new(7, 3);
    world.follow(3, 2);
    world.append(3, draft("ann:phone", 10, &add(1)));
    world.append(3, draft("ann:phone", 11, &refused_at(0, 2)));
    world.append(3, draft("ann:phone", 12, &add(3)));
    assert_eq!(compacted(&world, 3), 0, "nobody has judged it");
    world.sync(3);
    world.sync(3);
    assert_eq!((compacted(&world, 3), compacted(&world, 2)), (0, 0), "the cloud has not judged it");
    world.heal();
    // Who is between hears first, and tells the others.
    world.heal();
    assert_eq!(compacted(&world, 3), 2, "but for what undid one");
    assert_eq!(cart_of_ann(&world, 3), serde_json::json!({ "items": [1, 3] }));
    assert_eq!(cart_of_ann(&world, 0), serde_json::json!({ "items": [1, 3] }));
    assert_eq!(compacted(&world, 2), 2);
    assert_eq!(cart_of_ann(&world, 2), serde_json::json!({ "items": [1, 3] }));
    // What comes then is judged first.
    world.append(3, draft("ann:phone", 13, &refused_at(2, 4)));
    assert_eq!(compacted(&world, 3), 0);
    world.sync(3);
    assert_eq!(cart_of_ann(&world, 3), serde_json::json!({ "items": [1, 3] }));
}

#[test]
fn who_is_erased_is_gone_from_what_tells_of_undone_actions_too() {
    let mut world = World::new(7, 1);
    world.append(1, draft("ann:phone", 10, &refused_at(0, 1)));
    world.append(1, draft("bob:phone", 10, &refused_at(0, 1)));
    world.heal();
    assert_eq!(world.entries(0).len(), 2);
    world.log(0).erase(&user("ann"), &mut |_| {}).unwrap();
    let left: Vec<_> = world.entries(0).iter().filter_map(|it| it.undoes()).collect();
    assert_eq!(left, [id("bob:phone", 10)]);
    world.check(0);
}
