//! `tidelog check` and `tidelog rebuild`: what a store is like, and its derived data made again.

use super::{CheckArgs, RebuildArgs};
use crate::log::{self, Finding, Progress, Report, Settings, Severity};
use std::fmt::Write as _;
use std::process::ExitCode;

/// What the exit code says.
const DERIVED: u8 = 3;
const FEED: u8 = 4;

/// Verifies a store, and prints what it is like.
#[expect(clippy::print_stdout, reason = "the text is the command's output")]
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (data, mut tenths) = (args.store.data()?, Tenths::default());
    let report = log::check(&data, &mut |step| match step {
        Progress::Feed(at, last) => tenths.tell("feed", at.get(), last.get()),
        Progress::Runs(done, total) => tenths.tell("index", done, total),
    })?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(match report.worst() {
        None | Some(Severity::Note) => ExitCode::SUCCESS,
        Some(Severity::Derived) => ExitCode::from(DERIVED),
        Some(Severity::Feed) => ExitCode::from(FEED),
    })
}

/// Makes the derived data of a store again.
#[expect(clippy::print_stdout, reason = "the text is the command's output")]
pub fn rebuild(args: &RebuildArgs) -> anyhow::Result<()> {
    let data = args.store.data()?;
    let settings = Settings::new(data.clone());
    let rebuilt = log::rebuild(&settings, &mut |at| {
        eprintln!("tidelog: made again up to position {at}");
    })?;
    if let Some(reason) = &rebuilt.nodes_lost {
        println!("what was remembered of nodes is lost, which costs them repeats: {reason}");
    }
    println!(
        "{}: made again from {} records up to position {}, with {} records of nodes",
        data.display(),
        rebuilt.folded,
        rebuilt.head,
        rebuilt.nodes
    );
    Ok(())
}

/// Says each tenth of the way once.
#[derive(Default)]
pub(crate) struct Tenths {
    of: &'static str,
    said: u64,
}

impl Tenths {
    pub(crate) fn tell(&mut self, of: &'static str, at: u64, last: u64) {
        if self.of != of {
            *self = Self { of, said: 0 };
        }
        let tenths = (at.saturating_mul(10)).checked_div(last).unwrap_or(10).min(10);
        if tenths > self.said {
            self.said = tenths;
            eprintln!("tidelog: {of}: {} %", tenths * 10);
        }
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_text(report, &mut text);
    text
}

fn write_text(report: &Report, out: &mut String) -> std::fmt::Result {
    let Report { counts, .. } = report;
    match (report.store, report.format) {
        (Some(store), Some(format)) => writeln!(
            out,
            "store {store}, format {format}, generation {}: head {}, index up to {}",
            report.generation, report.head, report.checkpoint
        )?,
        _ => writeln!(out, "a store that does not say which it is")?,
    }
    writeln!(
        out,
        "feed:  {} rows, {} entries, {} cleaned, {} erased, {} documents, {} epochs",
        counts.rows, counts.entries, counts.cleaned, counts.erased, counts.documents, counts.epochs
    )?;
    writeln!(
        out,
        "index: {} runs, {} entries in logs, {} ids, {} nodes",
        counts.runs, counts.indexed, counts.ids, counts.nodes
    )?;
    for finding in &report.findings {
        write_finding(finding, out)?;
    }
    if report.more_findings > 0 {
        writeln!(out, "and {} more", report.more_findings)?;
    }
    out.write_str(match report.worst() {
        None | Some(Severity::Note) => "The store is whole.\n",
        Some(Severity::Derived) => {
            "The feed is whole; what is derived from it is not. `tidelog rebuild` makes it again.\n"
        }
        Some(Severity::Feed) => {
            "The feed is damaged: restore a backup, or keep this directory for whoever can help.\n"
        }
    })
}

fn write_finding(finding: &Finding, out: &mut String) -> std::fmt::Result {
    let severity = match finding.severity {
        Severity::Note => "note",
        Severity::Derived => "derived data",
        Severity::Feed => "DAMAGE",
    };
    write!(out, "{severity}: {}", finding.file.display())?;
    if let Some(position) = finding.position {
        write!(out, ", position {position}")?;
    }
    writeln!(out, ": {}; {}", finding.what, finding.way_out)
}
