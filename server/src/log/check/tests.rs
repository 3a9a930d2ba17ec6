//! What is kept of users, said otherwise by runs that are whole: nothing but a check finds that.

use super::super::clean;
use super::super::index::Index;
use super::super::prefix::Hash;
use super::super::recover;
use super::super::settings::Settings;
use super::super::usage::Changes;
use super::super::{Addresses, Cleaned, Draft, Log, rebuild};
use super::*;
use std::future::Future;
use tidelog_crdt::Context;
use tidelog_protocol::{Action, ActionId, NodeId, UserId};

fn small(dir: &Path) -> Settings {
    Settings { tail_bytes: 4 << 10, cache_bytes: 1 << 20, ..Settings::new(dir) }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn id(user: &str, ms: u64) -> ActionId {
    ActionId { node: NodeId::new(&format!("{user}:c:t")).unwrap(), ms, sequence: 0 }
}

fn draft(id: ActionId) -> Draft {
    let json = format!(r#"{{"type":"add","id":"{id}"}}"#);
    Draft {
        time: id.ms,
        addresses: Addresses {
            users: id.node.user().into_iter().collect(),
            ..Addresses::default()
        },
        id,
        subprotocol: 1,
        context: Context::default(),
        action: Action::new(json.into()).unwrap(),
        kept: true,
    }
}

/// Entries of two users on disk, in several runs, and one of them cleaned.
fn fill(dir: &Path) -> Log {
    let (log, _) = Log::open(small(dir), 1_000).unwrap();
    for from in (0..200).step_by(20) {
        let drafts = (from..from + 20).flat_map(|ms| [draft(id("1", ms)), draft(id("2", ms))]);
        wait(log.append(drafts.collect(), 1_000)).unwrap();
    }
    clean_one(&log, 7);
    wait(log.close()).unwrap();
    log
}

fn clean_one(log: &Log, ms: u64) {
    let owner = UserId::new("1").unwrap();
    assert_eq!(wait(log.clean(owner, id("1", ms), 1_000)).unwrap(), Cleaned::Done);
}

fn findings(dir: &Path) -> Vec<(Severity, String)> {
    let report = check(dir, &mut |_| {}).unwrap();
    report.findings.into_iter().map(|finding| (finding.severity, finding.what)).collect()
}

/// Works on the index of a store that is closed.
fn with_index<T>(dir: &Path, work: impl FnOnce(&Index, &Hash) -> T) -> T {
    let _lock = Lock::take(dir).unwrap();
    let feed = Feed::open(&dir.join(FEED), CACHE_BYTES).unwrap();
    let (identity, _) = identity(&feed, dir).unwrap().unwrap();
    let index = Index::open(&dir.join(INDEX), &identity, false).unwrap();
    work(&index, &Hash::new(&identity.secret))
}

#[test]
fn another_size_than_the_feed_adds_up_to_is_found_and_a_rebuilding_mends_it() {
    for (changed, found) in [
        (&[("1", 1)][..], "of 1 of them"),
        (&[("1", -1), ("2", 1)], "of 2 of them"),
        (&[("nobody", 5)], "of 1 of them"),
        (&[("nobody", -5)], "of 1 of them"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        drop(fill(dir.path()));
        assert_eq!(findings(dir.path()), []);
        with_index(dir.path(), |index, hash| {
            let mut changes = Changes::default();
            for (user, change) in changed {
                changes.add(hash.user(user), *change);
            }
            let place = (index.current().checkpoint, 77);
            index.change_usage(&changes, place, |_| {}).unwrap();
        });
        let findings_now = findings(dir.path());
        let [(Severity::Derived, what)] = &findings_now[..] else { panic!("{findings_now:?}") };
        assert!(what.ends_with(found), "{what}");
        rebuild(&small(dir.path()), &mut |_| {}).unwrap();
        assert_eq!(findings(dir.path()), [], "{changed:?}");
    }
}

#[test]
fn all_of_a_user_that_is_not_counted_is_found() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path()));
    with_index(dir.path(), |index, hash| {
        let mut changes = Changes::default();
        let per_entry = |ms| super::super::usage::bytes_of_json(draft(id("2", ms)).action.json());
        let all: u64 = (0..200).map(per_entry).sum();
        changes.add(hash.user("2"), -i64::try_from(all).unwrap());
        let place = (index.current().checkpoint, 77);
        index.change_usage(&changes, place, |_| {}).unwrap();
    });
    let found = findings(dir.path());
    assert!(matches!(&found[..], [(Severity::Derived, what)] if what.ends_with("of 1 of them")));
}

#[test]
fn damage_in_a_run_of_sizes_is_found() {
    let dir = tempfile::tempdir().unwrap();
    drop(fill(dir.path()));
    let file = with_index(dir.path(), |index, _| index.current().lists.usage[0].file);
    let run = super::super::index::run_path(&Index::runs(&dir.path().join(INDEX)), file);
    let mut bytes = fs::read(&run).unwrap();
    bytes[20] ^= 1;
    fs::write(&run, bytes).unwrap();
    let found = findings(dir.path());
    assert!(matches!(&found[..], [(Severity::Derived, what)] if what.contains("checksum")));
    rebuild(&small(dir.path()), &mut |_| {}).unwrap();
    assert_eq!(findings(dir.path()), []);
}

#[test]
fn a_body_that_left_its_row_before_the_checkpoint_counts_as_the_runs_say() {
    let dir = tempfile::tempdir().unwrap();
    let log = fill(dir.path());
    drop(log);
    let (log, _) = Log::open(small(dir.path()), 1_000).unwrap();
    clean_one(&log, 8);
    drop(log);
    assert_eq!(findings(dir.path()), [], "the body is in its row");
    let recovered = recover::open(&small(dir.path()), 1_000).unwrap();
    clean::rewrite(&recovered.shared, usize::MAX).unwrap();
    recovered.shared.feed().sync().unwrap();
    drop(recovered);
    assert_eq!(findings(dir.path()), [], "and no longer");
}
