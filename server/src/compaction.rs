//! Compaction: entries whose whole effect is in a document or a map go, and readers see no difference.
//!
//! Of documents, what the entries of a log add up to is kept instead of them, and shown as `crdt/state` to
//! whoever has missed them. Of maps, entries go that hold nothing any more; those that are left say all. Which types
//! of actions may go is the operator's to say: without it nothing does.
//!
//! In order of reading: `plan` (which entries go) by `prefixes` (what of a document may), `bases` (what they add up to, log by log), `receipt`
//! (what is said of it), `command` (`tidelog compact`, and what the server does by itself).

mod bases;
mod command;
mod logs;
mod plan;
mod prefixes;
mod receipt;

pub use command::run;
pub(crate) use command::{compact_live, keep_compact};

use crate::clock;
use crate::config::Config;
use crate::log::{Compacting, CompactionStep, Log, RewriteError};
use crate::rules::{Glob, Rules};
use plan::Plan;
use receipt::Receipt;
use std::time::Duration;

/// What is compacted.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Types of actions that may go.
    actions: Vec<Glob>,
    /// How long ago they were accepted.
    older_than_ms: u64,
    /// How often the server does it by itself.
    every: Option<Duration>,
    /// Not for less than one of so many entries.
    one_of: Option<u64>,
    /// Another server is followed, which may undo what it has not judged yet.
    has_upstream: bool,
}

impl Terms {
    /// What the configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        let settings = &config.compaction;
        Self {
            actions: settings.actions.iter().map(|glob| Glob::new(glob)).collect(),
            older_than_ms: ms(settings.older_than),
            every: settings.every,
            one_of: None,
            has_upstream: config.upstream.followed().is_some(),
        }
    }

    /// Whether actions of the type `kind` may go.
    fn let_go(&self, kind: &str) -> bool {
        self.actions.iter().any(|glob| glob.matches(kind))
    }

    /// The same for what was accepted so long ago, if anything is said.
    pub(crate) fn older_than(self, older_than_ms: Option<u64>) -> Self {
        Self { older_than_ms: older_than_ms.unwrap_or(self.older_than_ms), ..self }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Tries again this often when an action that was to go is cleaned meanwhile.
const TRIES: usize = 3;

/// Compacts `log`. Blocks for as long as it takes to read and to copy the feed; `told` hears how far it is.
pub(crate) fn compact(
    log: &Log,
    rules: &Rules,
    terms: &Terms,
    told: &mut dyn FnMut(CompactionStep),
) -> Result<Receipt, RewriteError> {
    let now_ms = clock::now_ms();
    let mut tries = 1;
    loop {
        match once(log, rules, (terms, now_ms), told) {
            Err(RewriteError::Overtaken) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

fn once(
    log: &Log,
    rules: &Rules,
    (terms, now_ms): (&Terms, u64),
    told: &mut dyn FnMut(CompactionStep),
) -> Result<Receipt, RewriteError> {
    let mut receipt = Receipt::new(log, now_ms);
    let cutoff_ms = now_ms.saturating_sub(terms.older_than_ms);
    let plan = |compacting: &mut Compacting<'_>, told: &mut dyn FnMut(CompactionStep)| {
        let plan = Plan::read(log, rules, (terms, cutoff_ms), told)?;
        plan.carry_out(compacting, (&mut receipt, terms), told)
    };
    let compacted = log.compact(plan, told)?;
    receipt.done = compacted;
    Ok(receipt)
}

#[cfg(test)]
mod tests;
