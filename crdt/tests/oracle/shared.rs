//! Histories that the npm package folds too: `crdt/tests/shared/histories.json`, read here and by
//! its tests. `TIDELOG_BLESS=1` writes it anew, from random histories of each kind.

use crate::acting::NAMES;
use crate::history::{Step, play, steps};
use crate::meaning::{self, Event};
use crate::{entry, folded};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use tidelog_crdt::{
    Context, Document, DocumentAction, DocumentName, Dot, Entry, Incarnation, Kind, Position,
    Ranges, Seen, Stamp,
};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shared/histories.json");
/// Histories of each kind, with removals and without; more where an order has more to it; and of all
/// kinds.
const OF_KIND: usize = 2;
const OF_SEQUENCES: usize = 16;
const OF_ALL: usize = 25;
/// Entries that a history has.
const LENGTH: std::ops::Range<usize> = 9..26;

#[test]
fn pages_and_documents_agree_on_the_shared_histories() {
    if std::env::var_os("TIDELOG_BLESS").is_some() {
        std::fs::write(FILE, lines(&generate())).expect("the histories can be written");
    }
    let text = std::fs::read_to_string(FILE).expect("the histories are there");
    let histories: Vec<Value> = serde_json::from_str(&text).expect("they are JSON");
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Map) {
        let any = histories.iter().any(|history| history["about"] == kind.name());
        assert!(any, "no history is about {}: run this test with TIDELOG_BLESS=1", kind.name());
    }
    for history in &histories {
        let entries: Vec<Entry> = each(&history["entries"]).map(read).collect();
        let told = outcomes(&entries);
        assert_eq!(history["value"], told["value"], "{history}");
        assert_eq!(history["state"], told["state"], "{history}");
        assert_eq!(history["without"], told["without"], "{history}");
        assert_eq!(history["halfway"], told["halfway"], "{history}");
    }
}

/// What the crate makes of entries: in all, without the one in the middle, and half of them.
fn outcomes(entries: &[Entry]) -> Value {
    let state = |document: &Document| document.to_action(&DocumentName::new("d").unwrap());
    let whole = folded(entries);
    let middle = entries.len() / 2;
    let mut rest = entries.to_vec();
    rest.remove(middle);
    json!({
        "value": whole.value(),
        "state": state(&whole),
        "without": folded(&rest).value(),
        "halfway": state(&folded(&entries[..middle])),
    })
}

/// One history a line, so that a difference shows where it is.
fn lines(histories: &[Value]) -> String {
    let lines: Vec<String> = histories.iter().map(Value::to_string).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn generate() -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Map);
    let of_kind = |kind: Kind| {
        let is_sequence = matches!(kind, Kind::List | Kind::Text);
        let count = if is_sequence { OF_SEQUENCES } else { OF_KIND };
        [false, true].into_iter().flat_map(move |it| vec![(kind.name(), it); count])
    };
    let mut wanted: Vec<(&str, bool)> = kinds.flat_map(of_kind).collect();
    wanted.extend([("all", true); OF_ALL]);
    let history = |(about, removes): (&str, bool)| loop {
        let steps = steps().new_tree(&mut runner).expect("no step is rejected").current();
        let steps: Vec<Step> = steps.into_iter().map(|step| focus(step, about, removes)).collect();
        let events = play(&steps);
        if !LENGTH.contains(&events.len()) {
            continue;
        }
        let entries: Vec<Entry> = events.iter().map(|event| entry(event, 99)).collect();
        let mut history = outcomes(&entries);
        assert_eq!(history["value"], meaning::value(&events), "{events:#?}");
        history["about"] = about.into();
        history["entries"] = events.iter().zip(&entries).map(write).collect();
        return history;
    };
    wanted.into_iter().map(history).collect()
}

/// Makes an action one of this kind at one place, or a removal there.
fn focus(step: Step, about: &str, removes: bool) -> Step {
    let Step::Act { client, mut what, clock } = step else { return step };
    if about != "all" {
        let fits = |name: &str| {
            name.split_once('/').is_some_and(|(kind, _)| kind == about)
                || removes && name == "map/remove"
        };
        let names: Vec<u16> = (0..).zip(NAMES).filter(|it| fits(it.1)).map(|it| it.0).collect();
        // See `acting`: not a batch, then the name, then the place.
        what[0] = 1;
        what[1] = names[usize::from(what[1]) % names.len()];
        what[2] = 1;
    }
    Step::Act { client, what, clock }
}

/// An entry as a page has it: the action, and what its meta says.
fn write((event, entry): (&Event, &Entry)) -> Value {
    let dots = [entry.dot].into_iter().chain(entry.aliases.iter().copied());
    let dots: Vec<String> = dots.map(|dot| dot.to_string()).collect();
    let seen = |(incarnation, seen): (Incarnation, &Seen)| {
        let prefix = json!(seen.prefix);
        let ranges = seen.own.iter().map(|range| json!(range));
        (incarnation.to_string(), [prefix].into_iter().chain(ranges).collect())
    };
    let context: Map<String, Value> = entry.context.iter().map(seen).collect();
    let (id, time) = (event.id(), entry.stamp.time);
    let meta = json!({ "id": id, "time": time, "dots": dots, "context": context });
    json!([event.action, meta])
}

fn read(written: &Value) -> Entry {
    let meta = &written[1];
    let mut dots = each(&meta["dots"]).map(|dot| dot_of(dot.as_str().unwrap()));
    let mut context = Context::default();
    for (incarnation, seen) in meta["context"].as_object().unwrap() {
        let ranges = each(seen).skip(1).map(|range| (place(&range[0]), place(&range[1])));
        let own = Ranges::from_ranges(ranges.collect()).unwrap();
        context.insert(incarnation_of(incarnation), Seen { prefix: place(&seen[0]), own });
    }
    let id: Vec<&str> = meta["id"].as_str().unwrap().split(' ').collect();
    Entry {
        dot: dots.next().expect("it has a name"),
        aliases: dots.collect(),
        context,
        stamp: Stamp {
            time: meta["time"].as_u64().unwrap(),
            node: id[1].into(),
            sequence: id[2].parse().unwrap(),
            created: id[0].parse().unwrap(),
        },
        changes: DocumentAction::parse(&written[0]).expect("it is well formed").changes,
    }
}

fn each(values: &Value) -> impl Iterator<Item = &Value> {
    values.as_array().expect("an array").iter()
}

fn place(number: &Value) -> Position {
    Position::new(number.as_u64().unwrap()).unwrap()
}

fn incarnation_of(text: &str) -> Incarnation {
    Incarnation(u64::from_str_radix(text, 16).unwrap())
}

fn dot_of(text: &str) -> Dot {
    let (incarnation, position) = text.split_once(':').unwrap();
    let position = Position::new(position.parse().unwrap()).unwrap();
    Dot { incarnation: incarnation_of(incarnation), position }
}
