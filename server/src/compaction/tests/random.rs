//! Random histories: whoever reads or folds a compacted store makes of it what the whole one says.

use super::super::plan::home;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tidelog_crdt::Document;

const DOCUMENTS: [&str; 2] = ["cart", "notes"];
/// What may go, differently from time to time.
const TYPES: [&[&str]; 4] = [
    &["*"],
    &["crdt/counter/*", "crdt/set/*"],
    &["crdt/register/*", "crdt/text/*"],
    &["crdt/set/*"],
];

/// Everything of a document, up to a position, as `crdt/state` shows it.
fn state_of(whole: &Store, log: &LogName, (name, until): (&DocumentName, Position)) -> Value {
    let mut document = Document::default();
    for entry in whole.entries(log, 0).iter().filter(|entry| entry.position <= until) {
        for (of, part) in parts_of(entry, &whole.rules) {
            if of == *name {
                let _ = document.apply(&part);
            }
        }
    }
    document.to_action(name)
}

/// What a reader of the compacted store gets that has had everything up to `above`: of each document what
/// it adds up to at one of its entries, and all that comes after; of which it has missed nothing, all. But what
/// readers get by a channel may be gone from a user's log.
fn reader_misses_nothing(compacted: &Store, whole: &Store, (log, above): (&LogName, u64)) {
    let mut states: BTreeMap<DocumentName, Position> = BTreeMap::new();
    let (got, all) = (compacted.entries(log, above), whole.entries(log, above));
    for entry in got.iter().filter(|entry| entry.action.kind() == "crdt/state") {
        let action: Value = entry.action.body().unwrap();
        let name = DocumentName::new(action["doc"].as_str().unwrap()).unwrap();
        assert_eq!(action, state_of(whole, log, (&name, entry.position)), "{log:?} above {above}");
        assert!(entry.id.node.as_str().starts_with("server:"), "not for its author alone");
        assert!(states.insert(name, entry.position).is_none(), "one state of each");
    }
    let tail = |entries: &[Arc<Entry>]| -> Vec<_> {
        let after = |entry: &&Arc<Entry>| {
            let parts = parts_of(entry, &whole.rules);
            let state = parts.first().and_then(|(name, _)| states.get(name).copied());
            entry.action.kind() != "crdt/state" && state.is_none_or(|state| entry.position > state)
        };
        entries.iter().filter(after).map(|entry| (entry.position, entry.id.clone())).collect()
    };
    let is_here = |entry: &Arc<Entry>| {
        let still = || got.iter().any(|it| it.position == entry.position);
        home(&entry.addresses).is_none_or(|home| home == *log) || still()
    };
    let due: Vec<_> = all.into_iter().filter(is_here).collect();
    assert_eq!(tail(&got), tail(&due), "{log:?} above {above}");
}

fn same_values(compacted: &Store, whole: &Store) {
    for log in [own("1"), own("2"), channel("board")] {
        for name in DOCUMENTS {
            let [is, was] = [compacted, whole].map(|store| store.value(&log, name));
            assert_eq!(is.0, was.0, "{name} of {log:?}");
        }
    }
}

fn same(compacted: &Store, whole: &Store) {
    same_values(compacted, whole);
    for log in [own("1"), own("2"), channel("board")] {
        for name in DOCUMENTS {
            let [is, was] = [compacted, whole].map(|store| store.value(&log, name).1);
            assert_eq!(is, was, "{name} of {log:?}");
        }
        for above in 0..=whole.log.head().get() {
            reader_misses_nothing(compacted, whole, (&log, above));
        }
    }
}

/// Each second of what is left is taken back.
fn clean_some(compacted: &Store, whole: &Store) {
    let left = compacted.log.feed(Position::ZERO, ALL).unwrap().entries;
    for entry in left.iter().step_by(2) {
        let author = entry.id.node.user().unwrap();
        for store in [compacted, whole] {
            wait(store.log.clean(author.clone(), entry.id.clone(), 9000)).unwrap();
        }
    }
}

/// One action: by whom, where to, what, having seen how much.
#[derive(Clone, Debug)]
struct Act {
    author: usize,
    to: usize,
    document: usize,
    what: u64,
    value: u64,
    unseen: u64,
    time: u64,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..2_usize, 0..4_usize, 0..2_usize, 0..9_u64, 0..4_u64, 0..8_u64, 0..50_u64);
    let act = act.prop_map(|(author, to, document, what, value, unseen, time)| Act {
        author,
        to,
        document,
        what,
        value,
        unseen,
        time,
    });
    prop::collection::vec(act, 1..16)
}

impl Act {
    fn draft(&self, store: &Store, position: u64) -> Draft {
        let (doc, value) = (DOCUMENTS[self.document], self.value);
        let element = format!("{} {}:c:t 0", 1 + value * 3, 1 + value % 2);
        let action = match self.what {
            0 => json!({ "type": "crdt/counter/add", "doc": doc, "path": ["n"], "by": 1 + value }),
            1 => json!({ "type": "crdt/set/add", "doc": doc, "path": ["s"], "value": value }),
            2 => json!({ "type": "crdt/set/remove", "doc": doc, "path": ["s"], "value": value }),
            3 => json!({ "type": "crdt/register/set", "doc": doc, "path": ["r"], "value": value }),
            4 => json!({ "type": "crdt/map/remove", "doc": doc, "path": ["r"] }),
            5 => {
                json!({ "type": "crdt/list/insert", "doc": doc, "path": ["l"], "values": [value] })
            }
            6 => {
                json!({ "type": "crdt/list/delete", "doc": doc, "path": ["l"], "elements": [element] })
            }
            7 => json!({ "type": "crdt/text/insert", "doc": doc, "path": ["t"], "text": "ab" }),
            _ => json!({ "type": "other", "doc": doc }),
        };
        let author = ["1", "2"][self.author];
        let mut draft = draft(author, position, None, &action);
        draft.time = 1000 + self.time;
        let board = Channel::new("board").unwrap();
        match self.to {
            0 => {}
            1 => draft.addresses.users = vec![user("1"), user("2")],
            _ => draft.addresses.channels = vec![board],
        }
        let prefix = Position::new(position.saturating_sub(1 + self.unseen)).unwrap();
        let seen = Seen { prefix, ..Seen::default() };
        draft.context = Context::of(store.log.incarnation(), seen);
        draft
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_no_difference(
        phases in [acts(), acts(), acts()],
        types in [(0..4_usize, 0..4_usize), (0..4, 0..4), (0..4, 0..4)],
    ) {
        let (compacted, whole) = (Store::new(), Store::new());
        let mut position = 0;
        for ((phase, acts), types) in (1..).zip(&phases).zip(types) {
            for act in acts {
                position += 1;
                for store in [&compacted, &whole] {
                    store.append(vec![act.draft(store, position)], phase * 1000);
                }
            }
            // What came in this phase stays until the next.
            for types in [types.0, types.1] {
                let receipt = compacted.compact_only(TYPES[types], (phase - 1) * 1000);
                prop_assert_eq!(receipt.types.values().sum::<u64>(), receipt.entries);
                same(&compacted, &whole);
            }
        }
        for _ in 0..2 {
            compacted.compact(9000);
            same(&compacted, &whole);
        }
        // What is sent again is known, whether or not it is still there.
        let mut position = 0;
        for act in phases.iter().flatten() {
            position += 1;
            let outcomes = compacted.append(vec![act.draft(&compacted, position)], 9000);
            prop_assert!(matches!(&outcomes[..], [Outcome::Known(_)]), "{position}");
        }
        let left = compacted.log.feed(Position::ZERO, ALL).unwrap().entries;
        for author in ["1", "2"].map(user) {
            let of_author = left.iter().filter(|entry| entry.id.node.user().as_ref() == Some(&author));
            let bytes: u64 = of_author.map(|entry| bytes_of_json(entry.action.json())).sum();
            prop_assert_eq!(compacted.log.kept_bytes(&author).unwrap(), bytes);
        }
        let dir = compacted.close();
        let report = check(&dir.path().join("data"), &mut |_| {}).unwrap();
        prop_assert!(report.worst() <= Some(Severity::Note), "{:#?}", report);
        rebuild(&settings(dir.path()), &mut |_| {}).unwrap();
        let compacted = Store::open(dir);
        same(&compacted, &whole);
        clean_some(&compacted, &whole);
        same_values(&compacted, &whole);
    }
}
