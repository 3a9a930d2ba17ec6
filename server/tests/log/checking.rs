//! What a check says of stores in all their states, and what a rebuilding mends.

use crate::support::{accept, append, draft, id, ids, open, read_all, small, user_log, wait};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tidelog_protocol::{NodeId, UserId};
use tidelog_server::log::{
    Cleaned, Log, NodeRecord, OpenError, Progress, Report, Severity, check, rebuild,
};

const COUNT: u64 = 300;

/// Entries of two users; the last ones only in the feed. One of them cleaned.
fn fill(dir: &Path) {
    let (log, _) = open(&small(dir));
    for from in (0..COUNT).step_by(10) {
        append(&log, (from..from + 10).map(|ms| draft(id("1", ms, 0))).collect());
    }
    let owner = UserId::new("1").unwrap();
    assert_eq!(wait(log.clean(owner.clone(), id("1", 7, 0), 1)).unwrap(), Cleaned::Done);
    append(&log, (0..50).map(|ms| draft(id("2", ms, 0))).collect());
    let record = NodeRecord { seen_ms: 1, bytes: b"state".to_vec() };
    log.save_node(NodeId::new("1:c:t").unwrap(), record);
    wait(log.close()).unwrap();
    drop(log);
    let (log, _) = open(&small(dir));
    accept(&log, draft(id("2", 100, 0)));
    assert_eq!(wait(log.clean(owner, id("1", 8, 0), 1)).unwrap(), Cleaned::Done);
}

fn checked(dir: &Path) -> Report {
    check(dir, &mut |_| {}).unwrap()
}

fn with_rows(dir: &Path, work: impl FnOnce(&sled::Db, &sled::Tree)) {
    let config = sled::Config::new().path(dir.join("feed")).segment_size(16 << 20);
    let db = config.open().unwrap();
    work(&db, &db.open_tree("feed").unwrap());
    db.flush().unwrap();
}

fn runs(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut runs: Vec<_> =
        fs::read_dir(dir.join("index/runs")).unwrap().map(|file| file.unwrap().path()).collect();
    runs.sort();
    runs
}

#[test]
fn a_whole_store_is_said_to_be_whole_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let mut steps = Vec::new();
    let report = check(dir.path(), &mut |step| steps.push(step)).unwrap();
    assert_eq!(report.findings, [], "{report:#?}");
    assert_eq!(report.worst(), None);
    let counts = &report.counts;
    assert_eq!((report.head.get(), counts.entries, counts.cleaned), (353, 349, 2));
    assert_eq!((counts.nodes, report.checkpoint.get()), (1, 351));
    // Cleaned before the checkpoint, and what a request above it says may go either way.
    assert_eq!((counts.indexed, counts.ids), (348, 350));
    assert!(steps.iter().all(|step| matches!(step, Progress::Feed(..) | Progress::Runs(..))));
    assert_eq!(checked(dir.path()), report, "a check changes nothing");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["head"], &json["worst"]), (&353.into(), &serde_json::Value::Null));
}

#[test]
fn a_store_that_is_open_or_not_there_is_not_checked() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("nothing");
    let error = check(&nothing, &mut |_| {}).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(!nothing.exists(), "nothing was made");
    let empty = check(dir.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(empty, OpenError::Missing { .. }), "{empty}");
    let (_log, _) = open(&small(dir.path()));
    for error in [
        check(dir.path(), &mut |_| {}).map(drop),
        rebuild(&small(dir.path()), &mut |_| {}).map(drop),
    ] {
        let error = error.unwrap_err();
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
        assert!(error.to_string().contains("stop that process"), "{error}");
    }
}

#[test]
fn damage_of_the_feed_is_found_wherever_it_is() {
    type Damage = fn(&sled::Db, &sled::Tree);
    let damages: [(&str, u64, Damage); 5] = [
        ("checksum", 21, |_, rows| {
            let key = rows.get_lt(26_u64.to_be_bytes()).unwrap().unwrap().0;
            let mut value = rows.get(&key).unwrap().unwrap().to_vec();
            value[60] ^= 4;
            rows.insert(key, value).unwrap();
        }),
        ("cut off", 21, |_, rows| {
            let key = rows.get_lt(26_u64.to_be_bytes()).unwrap().unwrap().0;
            rows.insert(key, b"").unwrap();
        }),
        ("missing", 21, |_, rows| {
            let key = rows.get_lt(26_u64.to_be_bytes()).unwrap().unwrap().0;
            rows.remove(key).unwrap();
        }),
        ("before what was acknowledged", 352, |_, rows| {
            rows.range(352_u64.to_be_bytes()..).keys().for_each(|key| {
                rows.remove(key.unwrap()).unwrap();
            });
        }),
        ("epoch", 0, |db, _| {
            let meta = db.open_tree("meta").unwrap();
            let key = meta.scan_prefix("epoch/").keys().next().unwrap().unwrap();
            meta.insert(key, b"short").unwrap();
        }),
    ];
    for (what, position, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        with_rows(dir.path(), damage);
        let report = checked(dir.path());
        assert_eq!(report.worst(), Some(Severity::Feed), "{what}: {report:#?}");
        let found = report.findings.iter().find(|it| it.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{what}: {report:#?}"));
        assert_eq!(found.file, dir.path().join("feed"), "{what}");
        assert_eq!(found.position.map_or(0, tidelog_crdt::Position::get), position, "{what}");
        assert!(found.way_out.contains("backup"), "{what}: {}", found.way_out);
    }
}

#[test]
fn damage_of_what_is_derived_is_found_and_a_rebuilding_mends_it() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("checksum", |dir| flip(&runs(dir)[0], 100)),
        ("footer", |dir| {
            let run = &runs(dir)[0];
            let length = fs::metadata(run).unwrap().len();
            flip(run, usize::try_from(length).unwrap() - 20);
        }),
        ("cut off", |dir| fs::write(&runs(dir)[0], b"short").unwrap()),
        ("No such file", |dir| fs::remove_file(&runs(dir)[0]).unwrap()),
        ("manifest", |dir| {
            with_records(dir, |db| {
                let meta = db.open_tree("meta").unwrap();
                let mut manifest = meta.get("manifest").unwrap().unwrap().to_vec();
                manifest[30] ^= 1;
                meta.insert("manifest", manifest).unwrap();
            });
        }),
        ("do not say what the feed says", |dir| {
            // A whole run with something else in it: that of another family.
            let runs = runs(dir);
            fs::copy(&runs[1], &runs[0]).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let before = ids(&read_all(&open(&small(dir.path())).0, &user_log("1")));
        damage(dir.path());
        let report = checked(dir.path());
        assert_eq!(report.worst(), Some(Severity::Derived), "{what}: {report:#?}");
        let found = report.findings.iter().find(|it| it.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{what}: {report:#?}"));
        assert!(found.file.starts_with(dir.path().join("index")), "{what}: {found:?}");
        assert!(found.way_out.contains("tidelog rebuild"), "{what}: {found:?}");
        let rebuilt = rebuild(&small(dir.path()), &mut |_| {}).unwrap();
        assert_eq!((rebuilt.head.get(), rebuilt.folded), (353, 353), "{what}");
        assert_eq!(checked(dir.path()).findings, [], "{what}");
        let (log, opened) = open(&small(dir.path()));
        assert_eq!(opened.folded, 0, "{what}: all of it is on disk");
        assert_eq!(ids(&read_all(&log, &user_log("1"))), before, "{what}");
        let node = log.node(&NodeId::new("1:c:t").unwrap()).unwrap();
        let lost = what == "manifest";
        assert_eq!(rebuilt.nodes_lost.is_some(), lost, "{what}: {rebuilt:?}");
        assert_eq!(node.is_none(), lost, "{what}: {rebuilt:?}");
    }
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn with_records(dir: &Path, work: impl FnOnce(&sled::Db)) {
    let config = sled::Config::new().path(dir.join("index/records")).segment_size(16 << 20);
    let db = config.open().unwrap();
    work(&db);
    db.flush().unwrap();
}

#[test]
fn a_file_of_the_engine_that_is_no_database_is_named_with_its_way_out() {
    for (file, way_out, severity) in [
        ("index/records/db", "tidelog rebuild", Severity::Derived),
        ("feed/db", "backup", Severity::Feed),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let path = dir.path().join(file);
        let length = fs::metadata(&path).unwrap().len();
        fs::write(&path, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
        let report = checked(dir.path());
        assert_eq!(report.worst(), Some(severity), "{file}: {report:#?}");
        assert!(report.findings[0].way_out.contains(way_out), "{file}: {report:#?}");
        if severity == Severity::Derived {
            rebuild(&small(dir.path()), &mut |_| {}).unwrap();
            assert_eq!(checked(dir.path()).findings, [], "{file}");
            continue;
        }
        // Not taken for a new store, even when the index has gone with it.
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        let error = Log::open(small(dir.path()), 0).map(drop).unwrap_err();
        let text = error.to_string();
        let parent = path.parent().unwrap().to_str().unwrap();
        assert!(text.contains(parent) && text.contains(way_out), "{file}: {text}");
    }
}

#[test]
fn what_a_crash_has_left_is_noted_and_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    fs::create_dir(dir.path().join("feed.next")).unwrap();
    fs::write(dir.path().join("feed/snap.0000000000000000.generating"), b"?").unwrap();
    let report = checked(dir.path());
    assert_eq!((report.worst(), report.findings.len()), (Some(Severity::Note), 2), "{report:#?}");
    assert_eq!(checked(dir.path()).findings, [], "it is gone");
}

const DIR: &str = "TIDELOG_TEST_REBUILDER_DIR";

#[test]
#[ignore = "the test below starts it, in a process of its own"]
fn rebuilder() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    rebuild(&small(Path::new(&dir)), &mut |_| {}).unwrap();
}

#[test]
fn a_rebuilding_that_is_killed_leaves_a_store_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let before = ids(&read_all(&open(&small(dir.path())).0, &user_log("1")));
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "checking::rebuilder", "--ignored"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // At another point of it each time; the test holds wherever that is.
        std::thread::sleep(Duration::from_millis(10 + round * 25));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(checked(dir.path()).worst() <= Some(Severity::Note), "round {round}");
        let (log, _) = open(&small(dir.path()));
        assert_eq!(ids(&read_all(&log, &user_log("1"))), before, "round {round}");
    }
}
