//! What happens while a store is compacted, and when that is cut off.

use super::*;

#[test]
fn an_action_that_is_cleaned_while_it_goes_is_gone_from_the_document() {
    let store = Store::new();
    let ids: Vec<_> = (1..=5).map(|ms| draft("1", ms, None, &count("cart", ms))).collect();
    let third = ids[2].id.clone();
    store.append(ids, 1000);
    let terms = terms(&["crdt/*"]);
    let mut cleaned = false;
    let mut told = |step: CompactionStep| {
        if matches!(step, CompactionStep::Folding(..)) && !std::mem::replace(&mut cleaned, true) {
            wait(store.log.clean(user("1"), third.clone(), 1000)).unwrap();
        }
    };
    let overtaken = once(&store.log, &store.rules, (&terms, 1000), &mut told);
    assert!(matches!(overtaken, Err(RewriteError::Overtaken)));
    assert_eq!(store.entries(&own("1"), 0).len(), 4, "nothing has changed");
    store.compact(1000);
    assert_eq!(store.value(&own("1"), "cart").0, json!(12));
}

/// Reads page by page what everything adds up to, as a device would.
fn added_up(log: &Log, name: &LogName) -> u64 {
    let (mut sum, mut above) = (0, Position::ZERO);
    loop {
        let page = log.read(name, above, Position::MAX, PageLimit { entries: 7, ..ALL }).unwrap();
        for entry in &page.entries {
            let action: Value = entry.action.body().unwrap();
            match entry.action.kind() {
                "crdt/state" => sum = action["state"]["value"].as_u64().unwrap(),
                _ => sum += action["by"].as_u64().unwrap(),
            }
        }
        above = page.through;
        if !page.more {
            return sum;
        }
    }
}

#[test]
fn who_reads_or_folds_a_log_while_it_is_compacted_misses_nothing() {
    const MANY: u64 = 600;
    let store = Store::new();
    let (log, rules) = (store.log.clone(), store.rules.clone());
    let append = |round: u64| {
        let each = (1..=MANY).map(|n| draft("1", round * MANY + n, None, &count("cart", 1)));
        store.append(each.collect(), 1000);
    };
    append(0);
    let reading = std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(1);
        let (log, rules, dir) = (&log, &rules, store.dir.path());
        let reader = scope.spawn(move || {
            let mut rounds = 0;
            while matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                let least = log.head().get();
                assert!(added_up(log, &own("1")) >= least, "of {least}");
                // Folded anew each time.
                let saved = dir.join(format!("documents-{rounds}"));
                let documents = Documents::new(log.clone(), rules.clone(), saved).unwrap();
                let name = DocumentName::new("cart").unwrap();
                let value = documents.read(&own("1"), &name).unwrap().value;
                assert!(value.as_u64().unwrap() >= least, "{value} of {least}");
                rounds += 1;
            }
            rounds
        });
        for round in 1..=4 {
            let terms = terms(&["crdt/*"]);
            let receipt = once(log, rules, (&terms, 1000), &mut |_| {}).unwrap();
            assert_eq!(receipt.entries, MANY, "round {round}");
            append(round);
        }
        drop(stop);
        reader.join().unwrap()
    });
    assert!(reading > 0);
    assert_eq!(added_up(&log, &own("1")), 5 * MANY);
}

/// What a process leaves that is killed when the feed is switched and the index is not.
#[test]
fn an_index_from_before_the_compaction_is_made_again() {
    let store = Store::new();
    let each = (1..=50).map(|n| draft("1", n, Some("board"), &count("cart", 1)));
    store.append(each.collect(), 1000);
    let dir = store.close();
    let (index, before) = (dir.path().join("data/index"), dir.path().join("before"));
    let copied = std::process::Command::new("cp").arg("-r").args([&index, &before]).status();
    assert!(copied.unwrap().success());
    let store = Store::open(dir);
    store.compact(1000);
    let dir = store.close();
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::rename(before, index).unwrap();
    let store = Store::open(dir);
    assert_eq!(added_up(&store.log, &channel("board")), 50);
    assert_eq!(store.entries(&channel("board"), 0).len(), 1);
    assert_eq!(store.value(&channel("board"), "cart").0, json!(50));
}
