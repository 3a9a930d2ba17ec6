use super::About;
use super::container::{Fault, Reader};
use super::make;
use crate::log::{
    Addresses, Cleaned, Draft, Entry, Item, Log, LogName, Outcome, PageLimit, Restoring,
    RewriteError, Settings,
};
use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tidelog_crdt::{Context, Dot, Position, Ranges, Seen};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn at(number: u64) -> Position {
    Position::new(number).unwrap()
}

fn id(ms: u64) -> ActionId {
    ActionId { node: NodeId::new("ann:phone:1").unwrap(), ms, sequence: 0 }
}

fn ann() -> UserId {
    UserId::new("ann").unwrap()
}

fn draft(ms: u64, text: &str) -> Draft {
    Draft {
        id: id(ms),
        time: ms,
        subprotocol: 1,
        addresses: Addresses { users: vec![ann()], ..Addresses::default() },
        context: Context::default(),
        action: Action::new(format!(r#"{{"type":"add","text":"{text}"}}"#).into()).unwrap(),
        kept: true,
    }
}

fn open(dir: &Path) -> Log {
    Log::open(Settings { tail_bytes: 4 << 10, ..Settings::new(dir) }, 1_000).unwrap().0
}

fn append(log: &Log, from: u64, until: u64) {
    for ms in from..=until {
        let outcomes = wait(log.append(vec![draft(ms, &"x".repeat(90))], 1_000)).unwrap();
        assert!(matches!(outcomes[..], [Outcome::Accepted(_)]), "{outcomes:?}");
    }
}

fn entries(log: &Log) -> Vec<Arc<Entry>> {
    log.feed(Position::ZERO, ALL).unwrap().entries
}

fn backup(log: &Log) -> Vec<u8> {
    make::write(log.snapshot().unwrap(), Vec::new()).unwrap()
}

/// Reads all of a backup.
fn read(bytes: &[u8]) -> Result<(About, Vec<Item>), Fault> {
    let (mut reader, about) = Reader::new(bytes)?;
    let mut all = Vec::new();
    while let Some(items) = reader.items()? {
        all.extend(items);
    }
    Ok((about, all))
}

pub(super) fn restore(bytes: &[u8], dir: &Path) -> anyhow::Result<()> {
    put(bytes, dir, false)
}

pub(super) fn put(bytes: &[u8], dir: &Path, as_replica: bool) -> anyhow::Result<()> {
    let (mut reader, about) = Reader::new(bytes)?;
    let begun = (&about.identity[..], at(about.head));
    let mut restoring = Restoring::begin(dir, begun, as_replica)?;
    while let Some(items) = reader.items()? {
        items.iter().try_for_each(|item| restoring.put(item))?;
    }
    restoring.finish()?;
    Ok(())
}

/// A store with entries, one of them cleaned, a note and a file.
fn store() -> (TempDir, Log) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir.path().join("data"));
    append(&log, 1, 100);
    assert_eq!(wait(log.clean(ann(), id(7), 1_000)).unwrap(), Cleaned::Done);
    wait(log.keep_note("revoked/user/eve".into(), Some(b"note".to_vec()))).unwrap();
    fs::write(dir.path().join("data/vapid.pem"), "a key").unwrap();
    fs::create_dir(dir.path().join("data/jwks")).unwrap();
    fs::write(dir.path().join("data/jwks/0a.json"), "a set").unwrap();
    fs::write(dir.path().join("data/other"), "not ours").unwrap();
    (dir, log)
}

#[test]
fn a_restored_store_has_the_same_in_a_new_life() {
    let (home, log) = store();
    let bytes = backup(&log);
    append(&log, 101, 110);
    let dir = home.path().join("restored");
    restore(&bytes, &dir).unwrap();
    assert_eq!(fs::read_to_string(dir.join("vapid.pem")).unwrap(), "a key");
    assert_eq!(fs::read_to_string(dir.join("jwks/0a.json")).unwrap(), "a set");
    assert!(!dir.join("other").exists());
    let restored = open(&dir);
    assert_eq!(restored.store_id(), log.store_id());
    assert_ne!(restored.incarnation(), log.incarnation());
    assert_eq!(restored.head(), at(101), "the request to clean has a position");
    assert_eq!(entries(&restored)[..], entries(&log)[..99], "with the dots that they had");
    assert_eq!(restored.notes("").unwrap(), log.notes("").unwrap());
    let known = wait(restored.append(vec![draft(50, "again")], 1_000)).unwrap();
    assert!(matches!(&known[..], [Outcome::Known(entry)] if entry.position == at(50)));
    let own = LogName::User(ann());
    assert_eq!(restored.read(&own, at(0), at(101), ALL).unwrap().entries.len(), 99);
}

#[test]
fn numbers_of_before_count_and_those_of_what_was_lost_do_not() {
    let (home, log) = store();
    let bytes = backup(&log);
    append(&log, 101, 110);
    restore(&bytes, &home.path().join("restored")).unwrap();
    let restored = open(&home.path().join("restored"));
    append(&restored, 201, 210);
    let claimed = |position| {
        let number = log.epochs().number("ann", at(position));
        restored.epochs().claim("ann", number, restored.head())
    };
    assert_eq!((1..=101).filter_map(claimed).count(), 101);
    // Each is a coincidence of 1 in 4096.
    assert!((102..=111).filter_map(claimed).count() < 3);
}

#[test]
fn what_was_seen_after_a_restore_is_named_by_both_lives() {
    let (home, log) = store();
    restore(&backup(&log), &home.path().join("restored")).unwrap();
    let restored = open(&home.path().join("restored"));
    append(&restored, 201, 205);
    let context = restored.incarnations().context(Seen { prefix: at(103), own: Ranges::default() });
    let [old, new] = [log.incarnation(), restored.incarnation()];
    let covers =
        |incarnation, position| context.covers(Dot { incarnation, position: at(position) });
    assert!(covers(old, 1) && covers(old, 101) && !covers(old, 102));
    assert!(covers(new, 103) && !covers(new, 104));
    let dots: Vec<_> = entries(&restored).iter().map(|entry| entry.dot.incarnation).collect();
    assert!(dots[..99].iter().all(|it| *it == old) && dots[99..].iter().all(|it| *it == new));
    // And again: a life without a position is none.
    drop(log);
    let bytes = backup(&restored);
    restore(&bytes, &home.path().join("twice")).unwrap();
    let twice = open(&home.path().join("twice"));
    let bytes = backup(&twice);
    restore(&bytes, &home.path().join("thrice")).unwrap();
    let thrice = open(&home.path().join("thrice"));
    let context = thrice.incarnations().context(Seen { prefix: at(106), own: Ranges::default() });
    let named: Vec<_> = context.iter().map(|(incarnation, _)| incarnation).collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named.contains(&old) && named.contains(&new));
}

#[test]
fn a_backup_that_was_cut_off_or_changed_anywhere_is_refused_and_leaves_nothing() {
    let (home, log) = store();
    let bytes = backup(&log);
    assert_eq!(read(&bytes).unwrap().0.head, 101);
    for end in 0..bytes.len() {
        let fault = read(&bytes[..end]).expect_err("it was cut off");
        assert!(matches!(fault, Fault::Cut { at } if at == end as u64), "{end}: {fault}");
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1 << (place % 8);
        assert!(read(&changed).is_err(), "byte {place}");
        if place % 100 == 0 {
            let dir = home.path().join("restored");
            restore(&changed, &dir).expect_err("it was changed");
            assert!(
                fs::read_dir(&dir).map_or(true, |mut files| files
                    .all(|file| file.unwrap().file_name() == "lock"))
            );
        }
    }
    let more = [&bytes[..], b"more"].concat();
    assert!(matches!(read(&more), Err(Fault::Damaged { .. })));
    restore(&bytes, &home.path().join("restored")).unwrap();
}

#[test]
fn a_directory_that_has_anything_is_left_alone() {
    let (home, log) = store();
    let bytes = backup(&log);
    let dir = home.path().join("full");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("mine"), "mine").unwrap();
    let error = restore(&bytes, &dir).unwrap_err().to_string();
    assert!(error.contains("not empty (mine is in it)"), "{error}");
    assert_eq!(fs::read_to_string(dir.join("mine")).unwrap(), "mine");
    fs::remove_file(dir.join("mine")).unwrap();
    restore(&bytes, &dir).unwrap();
    assert!(restore(&bytes, &dir).is_err(), "there is a store by now");
    assert_eq!(entries(&open(&dir)).len(), 99);
}

#[test]
fn nothing_is_erased_while_a_backup_is_made_and_commits_go_on() {
    let (_home, log) = store();
    let snapshot = log.snapshot().unwrap();
    append(&log, 101, 105);
    let busy = log.erase(&ann(), &mut |_| {});
    assert!(matches!(busy, Err(RewriteError::Busy)));
    let bytes = make::write(snapshot, Vec::new()).unwrap();
    let (_, items) = read(&bytes).unwrap();
    let rows = items.iter().filter(|item| matches!(item, Item::Row(..))).count();
    assert_eq!(rows, 101, "each append was a row, and what came meanwhile is not in it");
    log.erase(&ann(), &mut |_| {}).unwrap();
}

#[test]
fn an_erased_user_is_in_no_backup_that_is_made_later() {
    let (home, log) = store();
    log.erase(&ann(), &mut |_| {}).unwrap();
    restore(&backup(&log), &home.path().join("restored")).unwrap();
    let restored = open(&home.path().join("restored"));
    assert!(entries(&restored).is_empty());
    let known = wait(restored.append(vec![draft(50, "again")], 1_000)).unwrap();
    assert!(matches!(&known[..], [Outcome::Known(_)]), "its id is known by the store's own key");
}

#[test]
fn a_store_that_no_server_has_open_is_backed_up_as_it_is() {
    let (home, log) = store();
    wait(log.close()).unwrap();
    drop(log);
    let dir = home.path().join("data");
    let settings = Settings { read_only: true, ..Settings::new(&dir) };
    let (log, _) = Log::open(settings, 1_000).unwrap();
    let bytes = backup(&log);
    assert!(!dir.join("feed.next").exists(), "nothing is left beside the feed");
    drop(log);
    restore(&bytes, &home.path().join("restored")).unwrap();
    assert_eq!(entries(&open(&home.path().join("restored"))).len(), 99);
}

#[test]
fn only_names_of_files_that_a_store_has_are_taken() {
    for name in ["../vapid.pem", "jwks/../../x", "jwks/.x", "/etc/passwd", "jwks/", "head", ""] {
        let mut bytes = Vec::new();
        Item::File(name.into(), b"x".to_vec()).put(&mut bytes).unwrap();
        let error = Item::take(&mut &bytes[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
    }
}
