//! What one action costs on its way in and out.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use tidelog_protocol::codec::{Codec, Link, Version};
use tidelog_protocol::{Action, ActionId, Form, Limits, Message, Meta, NodeId, Pair};

const BASE: u64 = 1_795_222_838_404;
const NODE: &str = "10:lvzqTSjK:SJpRmI9h";

fn codec(local: &str, remote: &str) -> Codec {
    let link = Link {
        local: NodeId::new(local).expect("a node id"),
        remote: NodeId::new(remote).expect("a node id"),
        base: BASE,
        time_fix: 0,
        implied_subprotocol: None,
        connected_subprotocol: 0,
    };
    Codec::new(Version::V5, link, Arc::new(Limits::default()))
}

/// An action of 220 bytes, as an application makes them: nested, with text and numbers.
fn pair(number: u64) -> Pair {
    let json = format!(
        r#"{{"type":"tasks/change","id":"t-{number:06}","fields":{{"title":"Buy milk, eggs and 2 loaves of rye bread","done":false,"priority":3,"tags":["home","weekly"],"note":"the \"good\" shop closes by 8.30 today","due":1795309238404}}}}"#
    );
    assert_eq!(json.len(), 220);
    let id = ActionId { node: NodeId::new(NODE).expect("a node id"), ms: BASE + 614, sequence: 0 };
    let meta = Meta { id, time: BASE + 615, subprotocol: None };
    Pair::new(Action::new(Bytes::from(json)).expect("an action"), meta)
}

fn one_action(c: &mut Criterion) {
    let (client, server, other) =
        (codec(NODE, "server:srv"), codec("server:srv", NODE), codec("server:srv", "20:a:b"));
    let sent = pair(1);
    let frame = client.sync(Form::Text, 2, [(&sent.action, &sent.meta)]);
    let Message::Sync(received) = server.decode(&frame).expect("what was encoded") else {
        panic!("a sync");
    };
    let mut group = c.benchmark_group("v5, one action of 220 bytes");
    group.bench_function("decode", |b| b.iter(|| server.decode(black_box(&frame))));
    group.bench_function("encode for another client", |b| {
        b.iter(|| {
            let batch = black_box(&received).batch.iter();
            other.sync(Form::Text, 2, batch.map(|pair| (&pair.action, &pair.meta)))
        });
    });
    group.bench_function("decode and encode", |b| {
        b.iter(|| {
            let Ok(Message::Sync(sync)) = server.decode(black_box(&frame)) else {
                return None;
            };
            Some(other.sync(
                Form::Text,
                2,
                sync.batch.iter().map(|pair| (&pair.action, &pair.meta)),
            ))
        });
    });
    group.finish();
}

fn a_backlog(c: &mut Criterion) {
    let (client, server) = (codec(NODE, "server:srv"), codec("server:srv", NODE));
    let batch: Vec<Pair> = (0..1000).map(pair).collect();
    let frame = client.sync(Form::Text, 1000, batch.iter().map(|pair| (&pair.action, &pair.meta)));
    let mut group = c.benchmark_group("v5, a backlog of 1000");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("decode", |b| b.iter(|| server.decode(black_box(&frame))));
    group.finish();
}

criterion_group!(benches, one_action, a_backlog);
criterion_main!(benches);
