//! Random histories: entries of several clients and two servers, with contexts that have gaps,
//! aliases, and operations that refer to each other across the order of arrival.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidelog_crdt::{
    Change, Context, Document, DocumentAction, Dot, Element, Entry, Incarnation, Position, Seen,
    Stamp,
};

const PATHS: [&[&str]; 5] = [&[], &["a"], &["b"], &["a", "x"], &["a", "y"]];
const NODES: [&str; 3] = ["10:a:b", "10:c:d", "11:e:f"];

/// Choices from which one entry is made.
#[derive(Clone, Debug)]
struct Raw {
    server: u64,
    node: usize,
    has_alias: bool,
    gap: u64,
    skew: u64,
    /// How much of what came before was seen, of each server, in tenths; eleven is too much.
    seen: [usize; 2],
    own_before: Vec<bool>,
    changes: Vec<RawChange>,
}

#[derive(Clone, Debug)]
struct RawChange {
    path: usize,
    verb: usize,
    value: u32,
    /// Elements of which entries are named, as a part of all, and which of theirs.
    names: [(usize, u32); 3],
}

fn raw(verbs: std::ops::Range<usize>) -> impl Strategy<Value = Raw> {
    let name = || (0_usize..100, 0_u32..3);
    let change = (0..PATHS.len(), verbs, 0_u32..4, [name(), name(), name()])
        .prop_map(|(path, verb, value, names)| RawChange { path, verb, value, names });
    let seen = || prop_oneof![4 => 0_usize..=10, 1 => Just(10_usize), 1 => Just(11_usize)];
    (
        (1_u64..=2, 0..NODES.len(), prop::bool::weighted(0.15), 1_u64..3, 0_u64..40),
        [seen(), seen()],
        vec(prop::bool::weighted(0.8), 40),
        vec(change, 1..3),
    )
        .prop_map(|((server, node, has_alias, gap, skew), seen, own_before, changes)| Raw {
            server,
            node,
            has_alias,
            gap,
            skew,
            seen,
            own_before,
            changes,
        })
}

/// Histories of up to `length` entries with operations of these verbs: see [`operation`].
pub(crate) fn history(
    verbs: std::ops::Range<usize>,
    length: usize,
) -> impl Strategy<Value = Vec<Entry>> {
    vec(raw(verbs), 1..length).prop_map(|raws| build(&raws))
}

pub(crate) const VERBS: usize = 26;

fn build(raws: &[Raw]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut last = [0_u64; 2];
    for (at, raw) in raws.iter().enumerate() {
        let mut mint = |server: u64, gap: u64| {
            let position = &mut last[server as usize - 1];
            *position += gap;
            dot(server, *position)
        };
        let dot = mint(raw.server, raw.gap);
        // The smaller of two names is the dot.
        let aliases = if raw.has_alias && raw.server == 1 { vec![mint(2, 1)] } else { Vec::new() };
        let time = 1000 + at as u64 * 10 + raw.skew;
        let stamp = Stamp {
            time,
            node: NODES[raw.node].into(),
            sequence: at as u64,
            created: time - raw.skew % 3,
        };
        let context = context(&entries, raw, raws);
        let changes = raw.changes.iter().map(|change| build_change(change, raws)).collect();
        entries.push(Entry { dot, aliases, context, stamp, changes });
    }
    entries
}

fn dot(server: u64, position: u64) -> Dot {
    Dot { incarnation: Incarnation(server), position: Position::new(position).unwrap() }
}

fn context(before: &[Entry], raw: &Raw, raws: &[Raw]) -> Context {
    let mut context = Context::default();
    for (server, tenths) in (1..).zip(raw.seen) {
        let names = before.iter().flat_map(|entry| entry.aliases.iter().chain([&entry.dot]));
        let mut of: Vec<u64> = names
            .filter(|dot| dot.incarnation == Incarnation(server))
            .map(|dot| dot.position.get())
            .collect();
        of.sort_unstable();
        let prefix = match tenths {
            0 => 0,
            11 => of.last().map_or(3, |last| last + 3),
            tenths => of.get((of.len() * tenths / 10).saturating_sub(1)).copied().unwrap_or(0),
        };
        context.insert(
            Incarnation(server),
            Seen { prefix: Position::new(prefix).unwrap(), ..Seen::default() },
        );
    }
    for (at, entry) in before.iter().enumerate() {
        if raws[at].node == raw.node && raw.own_before[at % raw.own_before.len()] {
            context.insert_dot(entry.dot);
        }
    }
    context
}

fn build_change(raw: &RawChange, raws: &[Raw]) -> Change {
    let [a, b, c] = raw.names.map(|(part, number)| name(part, number, raws));
    let value = json!(raw.value);
    let fields = json!({ format!("f{}", raw.value % 2): raw.value });
    let (op, body) = operation(raw.verb, &value, &fields, [a, b, c]);
    let mut action = json!({ "type": format!("crdt/{op}"), "doc": "d", "path": PATHS[raw.path] });
    action.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let parsed = DocumentAction::parse(&action).unwrap();
    parsed.changes.into_iter().next().unwrap()
}

/// The element `number` of some entry; often one that does not exist.
fn name(part: usize, number: u32, raws: &[Raw]) -> Value {
    let at = part * raws.len() / 100;
    let time = 1000 + at as u64 * 10 + raws[at].skew;
    let created = time - raws[at].skew % 3;
    let node = NODES[raws[at].node].into();
    Element { created, node, sequence: at as u64, number }.to_value()
}

/// The operations, similar ones beside each other.
fn operation(
    verb: usize,
    value: &Value,
    fields: &Value,
    [a, b, c]: [Value; 3],
) -> (&'static str, Value) {
    match verb {
        0 => ("map/remove", json!({})),
        1 => ("counter/add", json!({ "by": value })),
        2 => ("grow-counter/add", json!({ "by": value })),
        3 => ("register/set", json!({ "value": value })),
        4 => ("multi-register/set", json!({ "value": value })),
        5 => ("grow-set/add", json!({ "value": value })),
        6 => ("two-phase-set/add", json!({ "value": value })),
        7 => ("two-phase-set/remove", json!({ "value": value })),
        8 => ("lww-set/add", json!({ "value": value })),
        9 => ("lww-set/remove", json!({ "value": value })),
        10 => ("set/add", json!({ "value": value })),
        11 => ("set/remove", json!({ "values": [value, 0] })),
        12 => ("enable-wins-flag/enable", json!({})),
        13 => ("enable-wins-flag/disable", json!({})),
        14 => ("disable-wins-flag/enable", json!({})),
        15 => ("disable-wins-flag/disable", json!({})),
        16 => ("record/create", json!({ "fields": fields })),
        17 => ("record/change", json!({ "fields": fields })),
        18 => ("record/delete", json!({})),
        19 => ("list/insert", json!({ "values": [value, "x"] })),
        20 => ("list/insert", json!({ "after": a, "before": b, "values": [value, "y", "z"] })),
        21 => ("list/delete", json!({ "elements": [a, b] })),
        22 => ("list/move", json!({ "element": a, "after": b, "before": c })),
        23 => ("text/insert", json!({ "text": "hä😀" })),
        24 => ("text/insert", json!({ "after": a, "before": b, "text": "abc" })),
        _ => ("text/delete", json!({ "elements": [a, b] })),
    }
}

/// Folds entries in the order in which they come.
pub(crate) fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Document {
    let mut document = Document::default();
    for entry in entries {
        assert_ne!(document.apply(entry), tidelog_crdt::Applied::FoldAgain);
    }
    document
}
