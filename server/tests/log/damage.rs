//! Stores whose files are not what was written: a clear error that names the file and the way out,
//! or a store that has everything; never a panic, never a silent loss.

use crate::support::{ALL, accept, append, at, draft, id, ids, open, read_all, small, user_log};
use std::fs;
use std::path::{Path, PathBuf};
use tidelog_crdt::Position;
use tidelog_server::log::{Corrupt, Log, OpenError, ReadError, Settings, check};

/// Entries in the store that is damaged; most of them in runs, the last ones only in the feed.
const COUNT: u64 = 300;

fn fill(dir: &Path) {
    let (log, _) = open(&small(dir));
    for from in (0..COUNT).step_by(10) {
        append(&log, (from..from + 10).map(|ms| draft(id("1", ms, 0))).collect());
    }
}

fn open_error(dir: &Path) -> OpenError {
    Log::open(small(dir), 0).map(drop).unwrap_err()
}

fn corrupt(dir: &Path) -> Corrupt {
    match open_error(dir) {
        OpenError::Corrupt(corrupt) => corrupt,
        other => panic!("{other}"),
    }
}

/// Works on the feed's rows behind the log's back.
fn with_rows(dir: &Path, work: impl FnOnce(&sled::Tree)) {
    with_feed(dir, |db| work(&db.open_tree("feed").unwrap()));
}

fn with_feed(dir: &Path, work: impl FnOnce(&sled::Db)) {
    let config = sled::Config::new().path(dir.join("feed")).segment_size(16 << 20);
    let db = config.open().unwrap();
    work(&db);
    db.flush().unwrap();
}

fn key_of(rows: &sled::Tree, position: u64) -> sled::IVec {
    rows.get_lt((position + 1).to_be_bytes()).unwrap().unwrap().0
}

#[test]
fn a_damaged_row_is_named_when_the_store_opens() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("does not match", |value| value[40] ^= 1),
        ("does not match", |value| value.truncate(value.len() / 2)),
        ("cut off", Vec::clear),
    ];
    for (what, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        with_rows(dir.path(), |rows| {
            let (key, value) = rows.last().unwrap().unwrap();
            let mut value = value.to_vec();
            damage(&mut value);
            rows.insert(key, value).unwrap();
        });
        let error = corrupt(dir.path());
        assert_eq!((&error.file, error.position), (&dir.path().join("feed"), at(COUNT - 9)));
        let text = error.to_string();
        assert!(text.contains(what) && text.contains("backup"), "{text}");
    }
}

#[test]
fn a_damaged_row_below_the_checkpoint_is_named_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    with_rows(dir.path(), |rows| {
        let key = key_of(rows, 25);
        let mut value = rows.get(&key).unwrap().unwrap().to_vec();
        value[60] ^= 4;
        rows.insert(key, value).unwrap();
    });
    let (log, _) = open(&small(dir.path()));
    for error in [log.feed(at(15), ALL).map(drop), log.entry(at(25)).map(drop)] {
        let Err(ReadError::Corrupt(corrupt)) = error else { panic!("{error:?}") };
        assert_eq!((corrupt.file, corrupt.position), (dir.path().join("feed"), at(21)));
    }
    assert_eq!(read_all(&log, &user_log("1")).len() as u64, COUNT, "the runs have a copy");
}

#[test]
fn a_missing_row_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let missing = |nth: u64| {
        with_rows(dir.path(), |rows| drop(rows.remove(key_of(rows, nth)).unwrap()));
    };
    missing(25);
    let (log, _) = open(&small(dir.path()));
    let Err(ReadError::Corrupt(error)) = log.feed(Position::ZERO, ALL) else { panic!("no error") };
    assert_eq!(error.position, at(21), "below the checkpoint: when it is read");
    assert!(error.to_string().contains("missing"), "{error}");
    drop(log);
    missing(COUNT - 15);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(corrupt(dir.path()).position, at(21), "above the checkpoint: when it opens");
}

#[test]
fn a_feed_that_ends_before_its_index_is_not_taken_for_whole() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    with_rows(dir.path(), |rows| {
        let above: Vec<_> =
            rows.range(100_u64.to_be_bytes()..).keys().map(Result::unwrap).collect();
        for key in above {
            rows.remove(key).unwrap();
        }
    });
    let error = corrupt(dir.path());
    assert_eq!((&error.file, error.position), (&dir.path().join("feed"), at(101)));
    // The way out for somebody who did that on purpose.
    assert!(error.to_string().contains("delete `index`"), "{error}");
    assert!(error.to_string().contains("`head`"), "{error}");
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::remove_file(dir.path().join("head")).unwrap();
    assert_eq!(open(&small(dir.path())).1.head, at(100));
}

#[test]
fn an_index_without_its_feed_is_not_taken_for_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    fs::remove_dir_all(dir.path().join("feed")).unwrap();
    let error = corrupt(dir.path());
    assert!(error.to_string().contains("restore the directory `feed`"), "{error}");
    // Again, because the attempt before created an empty feed; and the index alone tells, too.
    fs::remove_file(dir.path().join("head")).unwrap();
    let error = corrupt(dir.path());
    assert!(error.to_string().contains("restore the directory `feed`"), "{error}");
}

#[test]
fn an_index_of_another_store_is_made_again() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(dir.path());
    fill(other.path());
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(other.path().join("index"), dir.path().join("index")).unwrap();
    let (log, opened) = open(&small(dir.path()));
    assert_eq!((opened.checkpoint, opened.folded), (Position::ZERO, COUNT));
    assert_eq!(read_all(&log, &user_log("1")).len() as u64, COUNT);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    with_feed(dir.path(), |db| {
        let meta = db.open_tree("meta").unwrap();
        let mut identity = meta.get("store").unwrap().unwrap().to_vec();
        identity[0] = 5;
        meta.insert("store", identity).unwrap();
    });
    let error = open_error(dir.path());
    assert!(matches!(error, OpenError::Newer { found: 5, supported: 4, .. }), "{error}");
}

/// Lines of what the engine has, as version 0.1 wrote it in format 1.
const FORMAT_1: &str = include_str!("../data/format-1.jsonl");

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_store_of_format_1_is_read_and_brought_to_this_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("feed")).unwrap();
    with_feed(dir.path(), |db| {
        for line in FORMAT_1.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            let tree = db.open_tree(text("tree")).unwrap();
            tree.insert(bytes(&text("key")), bytes(&text("value"))).unwrap();
        }
    });
    let reading = Settings { read_only: true, ..small(dir.path()) };
    for (settings, format) in [(reading, 1), (small(dir.path()), 4)] {
        let (log, _) = open(&settings);
        let expected = ["3 bob:c:t 0", "4 ann:c:t 0"];
        assert_eq!(ids(&log.feed(Position::ZERO, ALL).unwrap().entries), expected);
        assert_eq!(ids(&read_all(&log, &user_log("ann"))), ["4 ann:c:t 0"]);
        assert!(log.entry(at(1)).unwrap().unwrap().cleaned);
        drop(log);
        let report = check(dir.path(), &mut |_| {}).unwrap();
        assert_eq!((report.format, report.worst()), (Some(format), None), "{report:#?}");
    }
    // What went before the first format is refused, whatever it was.
    with_feed(dir.path(), |db| {
        let meta = db.open_tree("meta").unwrap();
        let mut identity = meta.get("store").unwrap().unwrap().to_vec();
        identity[0] = 0;
        meta.insert("store", identity).unwrap();
    });
    let error = open_error(dir.path());
    assert!(matches!(error, OpenError::Older { found: 0, oldest: 1, .. }), "{error}");
}

#[test]
fn an_index_of_an_earlier_format_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    fs::write(dir.path().join("index/db"), b"where format 1 had its records").unwrap();
    let (log, opened) = open(&small(dir.path()));
    assert_eq!((opened.checkpoint, opened.folded), (Position::ZERO, COUNT));
    assert_eq!(read_all(&log, &user_log("1")).len() as u64, COUNT);
}

#[test]
fn a_store_that_does_not_say_which_it_is_is_refused() {
    for damage in [None, Some(9)] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        with_feed(dir.path(), |db| {
            let meta = db.open_tree("meta").unwrap();
            let mut identity = meta.remove("store").unwrap().unwrap().to_vec();
            if let Some(nth) = damage {
                identity[nth] ^= 1;
                meta.insert("store", identity).unwrap();
            }
        });
        assert_eq!(corrupt(dir.path()).file, dir.path().join("feed"));
    }
}

#[test]
fn snapshots_of_the_engine_that_a_crash_left_do_not_keep_the_store_from_opening() {
    for name in ["snap.0000000000000000.generating", "snap.00000000000F4240"] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        for engine in ["feed", "index/records"] {
            fs::write(dir.path().join(engine).join(name), b"not what a snapshot looks like")
                .unwrap();
        }
        let (log, _) = open(&small(dir.path()));
        assert_eq!(read_all(&log, &user_log("1")).len() as u64, COUNT, "{name}");
    }
}

fn runs(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("index/runs")).unwrap();
    let mut runs: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    runs.sort();
    runs
}

#[test]
fn a_damaged_run_is_named_and_made_again_when_the_index_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let before = ids(&read_all(&open(&small(dir.path())).0, &user_log("1")));
    let run = runs(dir.path()).remove(0);
    let whole = fs::read(&run).unwrap();
    // In the footer: found when the store opens. In a block: found when it is read.
    for nth in [whole.len() - 20, 100] {
        let mut flipped = whole.clone();
        flipped[nth] ^= 1;
        fs::write(&run, flipped).unwrap();
        let error = match Log::open(small(dir.path()), 0) {
            Err(error) => error.to_string(),
            Ok((log, _)) => read_everything(&log).unwrap_err().to_string(),
        };
        assert!(error.contains(run.to_str().unwrap()), "{error}");
        assert!(error.contains("delete the directory `index`"), "{error}");
    }
    fs::remove_file(&run).unwrap();
    assert!(open_error(dir.path()).to_string().contains(run.to_str().unwrap()));
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(ids(&read_all(&open(&small(dir.path())).0, &user_log("1"))), before);
}

fn read_everything(log: &Log) -> Result<(), ReadError> {
    log.read(&user_log("1"), Position::ZERO, Position::MAX, ALL)?;
    (0..COUNT).try_for_each(|ms| log.find(&id("1", ms, 0)).map(drop))
}

#[test]
fn runs_that_a_crash_left_unnamed_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let stray = dir.path().join("index/runs/00099999.run");
    fs::write(&stray, b"half a run").unwrap();
    let (log, _) = open(&small(dir.path()));
    assert!(!stray.exists());
    assert_eq!(read_all(&log, &user_log("1")).len() as u64, COUNT);
}

/// Wherever a bit flips in the engine's file of the feed, and wherever that file is cut off: either
/// the store says so, or everything that was acknowledged is there.
#[test]
fn no_damage_below_the_engine_loses_anything_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    // Not closed: the last of it is above the checkpoint.
    let (log, _) = open(&Settings { tail_bytes: 1 << 20, ..small(dir.path()) });
    for ms in COUNT..2 * COUNT {
        accept(&log, draft(id("1", ms, 0)));
    }
    assert!(log.stats().checkpoint <= at(COUNT));
    let whole = ids(&read_all(&log, &user_log("1")));
    drop(log);
    let file = dir.path().join("feed/db");
    let intact = fs::read(&file).unwrap();
    let used = intact.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut refused = 0;
    for nth in 0..48 {
        let at = used * nth / 48;
        let damaged = if nth % 2 == 0 {
            let mut flipped = intact.clone();
            flipped[at] ^= 1 << (nth % 8);
            flipped
        } else {
            intact[..at].to_vec()
        };
        remove_snapshots(&dir.path().join("feed"));
        fs::write(&file, damaged).unwrap();
        match Log::open(small(dir.path()), 0) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("feed"), "{error}");
            }
            Ok((log, _)) => match log.feed(Position::ZERO, ALL) {
                Ok(page) => assert_eq!(ids(&page.entries), whole, "damage at {at} of {used}"),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().contains("feed"), "{error}");
                }
            },
        }
    }
    assert!(refused > 10, "{refused} of 48 were noticed");
}

fn remove_snapshots(dir: &Path) {
    for file in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().starts_with("snap.") {
            fs::remove_file(file.path()).unwrap();
        }
    }
}
