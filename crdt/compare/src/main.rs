//! `tidelog-crdt` beside other libraries of replicated data, on the same operations in one run.
//!
//!     cargo run --release --manifest-path crdt/compare/Cargo.toml -- [RECORDING.json.gz]
//!
//! One replica makes each edit on its own, as a client dispatches each action on its own; another takes
//! what comes out, piece by piece, as a server does. Both must end with the same value, and it must be
//! that of every other library. A recording is one of the sequential ones of
//! github.com/josephg/editing-traces.

mod automerge;
mod engine;
mod loro;
mod tidelog;
mod work;
mod yrs;

use anyhow::ensure;
use engine::Engine;
use std::hint::black_box;
use std::time::{Duration, Instant};
use work::Work;

fn main() -> anyhow::Result<()> {
    let mut all = Work::made();
    if let Some(file) = std::env::args().nth(1) {
        all.push(Work::recorded(&file)?);
    }
    println!("| what is done | library | edit | take in | sent | kept | load |");
    println!("|---|---|---|---|---|---|---|");
    for work in &all {
        let ends = [
            measure::<tidelog::Tidelog>(work)?,
            measure::<loro::Loro>(work)?,
            measure::<yrs::Yrs>(work)?,
            measure::<automerge::Automerge>(work)?,
        ];
        let mut ends = ends.iter().flatten();
        let first = ends.next();
        ensure!(ends.all(|end| Some(end) == first), "{}: they do not agree", work.name);
        ensure!(work.end.is_none() || work.end.as_ref() == first, "{}: wrong end", work.name);
    }
    Ok(())
}

/// Prints a row of figures per edit; the value in the end, or nothing if `E` has no such type.
fn measure<E: Engine>(work: &Work) -> anyhow::Result<Option<String>> {
    if !E::knows(work.kind) {
        println!("| {} | {} | has no such type | | | | |", work.name, E::NAME);
        return Ok(None);
    }
    let (mut author, mut server) = (E::new(1)?, E::new(2)?);
    let (mut editing, mut taking, mut sent) = (Duration::ZERO, Duration::ZERO, 0);
    for edit in &work.edits {
        let begun = Instant::now();
        let update = author.edit(edit)?;
        editing += begun.elapsed();
        sent += update.len();
        let begun = Instant::now();
        server.receive(&update)?;
        taking += begun.elapsed();
    }
    let saved = server.save()?;
    let begun = Instant::now();
    let loaded = black_box(E::load(&saved)?);
    let loading = begun.elapsed();
    let end = server.value(work.kind)?;
    ensure!(author.value(work.kind)? == end, "{}: {}: the author differs", work.name, E::NAME);
    ensure!(loaded.value(work.kind)? == end, "{}: {}: saving loses", work.name, E::NAME);
    let count = work.edits.len() as f64;
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
    println!(
        "| {} | {} | {:.2} µs | {:.2} µs | {:.0} B | {:.1} B | {:.1} ms |",
        work.name,
        E::NAME,
        micros(editing),
        micros(taking),
        sent as f64 / count,
        saved.len() as f64 / count,
        loading.as_secs_f64() * 1e3
    );
    Ok(Some(end))
}
