//! `tidelog compact`, from a running server and on a stopped store alike; and what a server does by itself.

use super::receipt::{Tenths, progress, show};
use super::{Terms, compact, ms};
use crate::admin::{self, Request};
use crate::app::App;
use crate::cli::CompactArgs;
use crate::clock;
use crate::config::Config;
use crate::log::{Log, OpenError, Settings};
use crate::rules::Rules;
use anyhow::{Context, ensure};
use std::convert::Infallible;
use std::io::Write;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Lines of progress on their way to the command; one more is left out.
const PROGRESS_MAX: usize = 16;
/// By itself the server copies the feed only when one of so many entries goes.
const WORTH_ONE_OF: u64 = 10;

const NOTHING_MAY_GO: &str = "nothing may go: say in the configuration which types of actions may, as in\n\n    \
    [compaction]\n    actions = [\"crdt/*\"]";

/// `tidelog compact`
pub fn run(args: &CompactArgs) -> anyhow::Result<()> {
    let (mut out, data) = (std::io::stdout().lock(), args.store.data()?);
    let older_than_ms = args.older_than.map(ms);
    if let Some(server) = admin::connect(&data) {
        admin::ask_lines(server, &Request::Compact { older_than_ms }, |line| show(line, &mut out))?;
        return Ok(out.flush()?);
    }
    let config = Config::find(args.store.config.as_deref())?;
    let (rules, terms) = (Rules::compile(&config)?, Terms::of(&config).older_than(older_than_ms));
    ensure!(!terms.actions.is_empty(), NOTHING_MAY_GO);
    if !data.exists() {
        return Err(OpenError::Missing { dir: data }.into());
    }
    let (log, _) = Log::open(Settings::new(data), clock::now_ms())?;
    let mut tenths = Tenths::default();
    let receipt = compact(&log, &rules, &terms, &mut |step| {
        if tenths.tells(step) {
            // Progress that cannot be shown is no reason to stop.
            drop(show(&progress(step), &mut std::io::sink()));
        }
    })?;
    writeln!(out, "{}", receipt.to_json())?;
    out.flush()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(log.close()).context("the store is compacted; closing it")
}

/// Compacts the store of a running server; lines of progress, and the receipt at last.
pub(crate) async fn compact_live(
    app: &App,
    older_than_ms: Option<u64>,
    writer: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    let terms = app.compaction.clone().older_than(older_than_ms);
    ensure!(!terms.actions.is_empty(), NOTHING_MAY_GO);
    let (progress_sent, mut lines) = mpsc::channel(PROGRESS_MAX);
    let compacting = app.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut tenths = Tenths::default();
        compact(&compacting.log, &compacting.rules, &terms, &mut |step| {
            if tenths.tells(step) {
                // A command that reads slowly, or has gone, does without.
                drop(progress_sent.try_send(progress(step)));
            }
        })
    });
    let mut listening = true;
    while let Some(line) = lines.recv().await {
        // The work goes on without a listener: half of it is no help to anybody.
        listening = listening && writer.write_all(format!("{line}\n").as_bytes()).await.is_ok();
    }
    let receipt = work.await?;
    app.documents.forget_earlier();
    let receipt = receipt?.to_json();
    tracing::info!(%receipt, "the store was compacted");
    writer.write_all(format!("{receipt}\n").as_bytes()).await.context("the command has gone")
}

/// Compacts the store now and then, if the configuration says so.
pub(crate) async fn keep_compact(app: App) -> Infallible {
    let terms = Terms { one_of: Some(WORTH_ONE_OF), ..app.compaction.clone() };
    let Some(every) = terms.every.filter(|_| !terms.actions.is_empty()) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(every).await;
        let (compacting, terms) = (app.clone(), terms.clone());
        let work = tokio::task::spawn_blocking(move || {
            compact(&compacting.log, &compacting.rules, &terms, &mut |_| {})
        });
        match work.await {
            Ok(Ok(receipt)) if receipt.done.is_none() => {}
            Ok(Ok(receipt)) => {
                app.documents.forget_earlier();
                tracing::info!(receipt = %receipt.to_json(), "the store was compacted");
            }
            Ok(Err(error)) => tracing::warn!(%error, "the store was not compacted"),
            Err(error) => tracing::error!(%error, "compacting ended"),
        }
    }
}
