//! What one action costs a document, what loading one costs, and how large it is.
//!
//! Every action comes with the context of an author who had seen all before it, as from a feed.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::json;
use std::hint::black_box;
use tidelog_crdt::{
    Change, Context, Document, DocumentAction, Dot, Entry, Gap, Incarnation, Json, ListOp,
    Operation, Path, Position, Seen, SetOp, Stamp, Switch, TextOp,
};

const SERVER: Incarnation = Incarnation(0x5eed);
const ELEMENTS: u64 = 10_000;

/// A server that accepts actions one after the other, from ten clients in turn.
struct Feed {
    position: u64,
    nodes: Vec<std::sync::Arc<str>>,
}

impl Feed {
    fn new() -> Self {
        let nodes = (0..10).map(|client| format!("10:client{client}:tab").into()).collect();
        Self { position: 0, nodes }
    }

    fn entry(&mut self, path: &Path, operation: Operation) -> Entry {
        let prefix = Position::new(self.position).expect("a position");
        self.position += 1;
        let time = 1_795_222_838_404 + self.position * 37;
        let client = usize::try_from(self.position % 10).expect("small");
        Entry {
            dot: Dot { incarnation: SERVER, position: prefix.plus(1) },
            aliases: Vec::new(),
            context: Context::of(SERVER, Seen { prefix, ..Seen::default() }),
            stamp: Stamp {
                time,
                node: self.nodes.get(client).expect("a node").clone(),
                sequence: 0,
                created: time - 3,
            },
            changes: vec![Change { path: path.clone(), operation }],
        }
    }
}

fn path(keys: &[&str]) -> Path {
    Path::new(keys.iter().copied()).expect("a path")
}

fn element(number: u64) -> Json {
    format!("product-{number:06}").as_str().into()
}

/// A document that `operation` was done to for each of so many numbers.
fn filled(count: u64, operation: impl Fn(u64) -> (Path, Operation)) -> (Document, Feed) {
    let (mut document, mut feed) = (Document::default(), Feed::new());
    for number in 0..count {
        let (path, operation) = operation(number);
        let _ = document.apply(&feed.entry(&path, operation));
    }
    (document, feed)
}

fn a_set(count: u64) -> (Document, Feed) {
    filled(count, |number| (path(&["items"]), Operation::Set(SetOp::Add(vec![element(number)]))))
}

fn a_map(count: u64) -> (Document, Feed) {
    filled(count, |number| {
        (path(&["fields", &format!("f{number:06}")]), Operation::Register(json!(number).into()))
    })
}

/// Values that were put in one after the other, each behind the one before.
fn a_list(count: u64) -> (Document, Feed) {
    let (mut document, mut feed) = (Document::default(), Feed::new());
    let mut after = None;
    for number in 0..count {
        let at = Gap { after: after.take(), before: None };
        let insert = ListOp::Insert { at, values: vec![element(number)] };
        let entry = feed.entry(&path(&["list"]), Operation::List(insert));
        after = Some(tidelog_crdt::Element::of(&entry.stamp, 0));
        let _ = document.apply(&entry);
    }
    (document, feed)
}

fn one_action(c: &mut Criterion) {
    let mut group = c.benchmark_group("one action");
    let mut bench = |name: &str,
                     (mut document, mut feed): (Document, Feed),
                     operation: &dyn Fn(u64) -> (Path, Operation)| {
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    let (path, operation) = operation(feed.position);
                    feed.entry(&path, operation)
                },
                |entry| black_box(document.apply(&entry)),
                BatchSize::NumIterations(1000),
            );
        });
    };
    let nothing = || (Document::default(), Feed::new());
    let some = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ELEMENTS;
    bench("counter", nothing(), &|_| (path(&["likes"]), Operation::Counter(1)));
    bench("register", nothing(), &|n| (path(&["title"]), Operation::Register(json!(n).into())));
    bench("multi-register", nothing(), &|n| {
        (path(&["title"]), Operation::MultiRegister(json!(n).into()))
    });
    bench("flag", nothing(), &|n| {
        let switch = if n % 2 == 0 { Switch::Enable } else { Switch::Disable };
        (path(&["done"]), Operation::EnableWinsFlag(switch))
    });
    bench("register in a map of 10,000", a_map(ELEMENTS), &|n| {
        (path(&["fields", &format!("f{:06}", some(n))]), Operation::Register(json!(n).into()))
    });
    bench("add to a set of 10,000", a_set(ELEMENTS), &|n| {
        (path(&["items"]), Operation::Set(SetOp::Add(vec![element(some(n))])))
    });
    bench("add to and remove from a set of 10,000", a_set(ELEMENTS), &|n| {
        let values = vec![element(some(n / 2))];
        let operation = if n % 2 == 0 { SetOp::Remove(values) } else { SetOp::Add(values) };
        (path(&["items"]), Operation::Set(operation))
    });
    group.finish();
}

/// Each at a place of its own in the middle, found by its index as a client does.
fn lists(c: &mut Criterion) {
    let mut group = c.benchmark_group("list of 100,000");
    let (mut document, mut feed) = a_list(100_000);
    let list = path(&["list"]);
    let mut step = 0_usize;
    group.bench_function("insert in the middle, by index", |b| {
        b.iter(|| {
            step += 1;
            let index = 25_000 + step * 7919 % 50_000;
            let insert = document.list(&list).and_then(|list| list.insert(index, vec![element(1)]));
            let entry = feed.entry(&list, Operation::List(insert.expect("a place")));
            black_box(document.apply(&entry))
        });
    });
    group.bench_function("insert at the start", |b| {
        b.iter(|| {
            let insert = document.list(&list).and_then(|list| list.insert(0, vec![element(1)]));
            let entry = feed.entry(&list, Operation::List(insert.expect("a place")));
            black_box(document.apply(&entry))
        });
    });
    group.bench_function("move, by index", |b| {
        b.iter(|| {
            step += 1;
            let (from, to) = (step * 7919 % 50_000, step * 104_729 % 50_000);
            let moved = document.list(&list).and_then(|list| list.move_to(from, to));
            let entry = feed.entry(&list, Operation::List(moved.expect("a place")));
            black_box(document.apply(&entry))
        });
    });
    group.finish();
}

fn typing(c: &mut Criterion) {
    let mut group = c.benchmark_group("text");
    let note = path(&["note"]);
    let (mut document, mut feed) = (Document::default(), Feed::new());
    let start = Operation::Text(TextOp::Insert { at: Gap::default(), text: "x".into() });
    let _ = document.apply(&feed.entry(&note, start));
    group.bench_function("type a character, by index", |b| {
        b.iter(|| {
            let text = document.text(&note).expect("a text");
            let insert = text.insert(text.len(), "a").expect("a place");
            let entry = feed.entry(&note, Operation::Text(insert));
            black_box(document.apply(&entry))
        });
    });
    group.finish();
}

fn loading(c: &mut Criterion) {
    let mut group = c.benchmark_group("10,000 elements");
    for (name, (document, _)) in [
        ("set", a_set(ELEMENTS)),
        ("map of registers", a_map(ELEMENTS)),
        ("list", a_list(ELEMENTS)),
    ] {
        let bytes = document.encode();
        let per_element = bytes.len() as u64 / ELEMENTS;
        println!("{name}: {per_element} bytes an element, serialised");
        group.bench_function(format!("load a {name}"), |b| {
            b.iter(|| Document::decode(black_box(&bytes)).expect("our own"));
        });
        group
            .bench_function(format!("save a {name}"), |b| b.iter(|| black_box(&document).encode()));
    }
    group.finish();
}

fn reading(c: &mut Criterion) {
    let action = json!({ "type": "crdt/set/add", "doc": "cart", "path": ["items"], "value": "product-000001" });
    c.bench_function("parse an action", |b| b.iter(|| DocumentAction::parse(black_box(&action))));
}

criterion_group!(benches, one_action, lists, typing, loading, reading);
criterion_main!(benches);
