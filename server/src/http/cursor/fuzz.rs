//! Cursors as strangers send them.

use super::*;
use crate::epochs::Epoch;
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

/// A part of this store says how many channels it has, and of how many marks there is more to say, and room
/// for them is made before they are read: a MiB at most for each.
const BESIDE: usize = (2 << 20) + (16 << 10);
const TIMES: usize = 16;

fn at(number: u64) -> Position {
    Position::new(number).unwrap()
}

fn cursors(store: u128) -> Cursors {
    let epoch = |(first, id)| Epoch { first: at(first), id, started_ms: 0 };
    let epochs = Epochs::new([(1, 11), (100, 12)].map(epoch).to_vec());
    Cursors::new(Uuid::from_u128(store), epochs)
}

fn reached(cursors: &Cursors) -> Reached {
    let mark = |through, echo, stage| {
        let (through, echo_through) = (at(through), at(echo));
        Mark { through, echo_through, stage, ..Mark::default() }
    };
    let channel = |name| cursors.key(&Channel::new(name).unwrap());
    let channels = [
        (channel("a"), mark(5, 120, Stage::Whole)),
        (channel("b"), mark(140, 0, Stage::Partly)),
        (channel("c"), mark(0, 0, Stage::Items)),
    ];
    Reached { own: mark(99, 130, Stage::Whole), channels: BTreeMap::from(channels) }
}

/// Below `through` it says nothing, and is not written.
fn without_needless_echo(mut reached: Reached) -> Reached {
    for mark in reached.channels.values_mut().chain([&mut reached.own]) {
        if mark.echo_through <= mark.through {
            mark.echo_through = Position::ZERO;
        }
    }
    reached
}

#[test]
fn texts() {
    let (here, head) = (cursors(1), at(150));
    let mut others = Others::default();
    let seeds = (1..=9).rev().map(|store| {
        let there = cursors(store);
        let minted = there.mint("10", &reached(&there), &others);
        others = there.read(minted.as_str(), "nobody", head).unwrap().1;
        minted.as_str().to_owned()
    });
    let feed = Feed::of(seeds.collect::<Vec<_>>());
    run(check!(), &feed, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let read = within(text.len() * TIMES + BESIDE, || here.read(text, "10", head));
        let Ok((known, others)) = read else { return };
        let known = without_needless_echo(known.unwrap_or_default());
        assert!(known.newest() <= head && known.own.had() <= known.newest());
        let minted = here.mint("10", &known, &others);
        let (again, others_again) = here.read(minted.as_str(), "10", head).unwrap();
        assert_eq!(again, Some(known));
        assert_eq!(others_again.0, others.0[..others.0.len().min(STORES_MAX - 1)]);
    });
}

#[test]
fn parts() {
    let mut more = reached(&cursors(1));
    let owed = Owed { after: at(7), began: at(90), has_shown: true, complete_through: at(3) };
    (more.own.state_ms, more.own.owed) = (5_000, Some(owed));
    more.channels.values_mut().for_each(|mark| mark.state_ms = 6_000);
    let start = Reached::start(Position::MAX);
    let feed = Feed::of([reached(&cursors(1)), start, more].map(|reached| encode(&reached)));
    run(check!(), &feed, |bytes| {
        let read = within(bytes.len() * TIMES + BESIDE, || decode(bytes));
        let Some(reached) = read.map(without_needless_echo) else { return };
        assert_eq!(decode(&encode(&reached)), Some(reached));
    });
}
