//! What one user may do and keep. Over it actions are undone; a request, which can come again, is
//! refused as a whole before that.

use super::rates::{Rates, Wait};
use crate::log::{Log, ReadError, bytes_of_json};
use crate::rules::{Rules, Subject};
use std::collections::HashSet;
use tidelog_protocol::{Pair, builtin};

/// The quotas of a user; what is none is not limited.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quotas {
    /// Actions a second.
    pub per_second: Option<usize>,
    /// Actions at once, before the rate counts.
    pub burst: usize,
    /// Bytes kept, which the log heeds.
    pub kept_bytes: Option<u64>,
}

/// What each user has used of its quotas.
pub(super) struct Accounts {
    rates: Option<Rates>,
    pub(super) kept_bytes: Option<u64>,
}

/// What may be made of actions now, as their user has used its rate.
pub(super) struct Allowance {
    left: usize,
    scarce: bool,
}

impl Accounts {
    pub(super) fn new(quotas: Quotas) -> Self {
        let rates = quotas.per_second.map(|per_second| Rates::new(per_second, quotas.burst));
        Self { rates, kept_bytes: quotas.kept_bytes }
    }

    /// When `subject` may make `count` actions at once.
    pub(super) fn wait(&self, subject: &Subject, count: usize, now: u64) -> Wait {
        let rates = self.rates.as_ref();
        rates.map_or(Wait::None, |rates| rates.wait(payer(subject), count, now))
    }

    /// As many of `count` actions as `subject` may make.
    pub(super) fn allow(&self, subject: &Subject, count: usize, now: u64) -> Allowance {
        let rates = self.rates.as_ref();
        let left = rates.map_or(count, |rates| rates.take(payer(subject), count, now));
        Allowance { left, scarce: left < count }
    }

    /// Gives back what `repeated` actions have used, which are not new; where it is scarce they were
    /// told apart before, and what is left is given back.
    pub(super) fn close(&self, subject: &Subject, allowance: &Allowance, repeated: usize) {
        if let Some(rates) = &self.rates {
            let unused = if allowance.scarce { allowance.left } else { repeated };
            rates.give_back(payer(subject), unused);
        }
    }
}

/// Who pays: a user. Clients without a user of their own are strangers to each other.
fn payer(subject: &Subject) -> &str {
    if subject.anonymous() { subject.client().as_str() } else { subject.user().as_str() }
}

impl Allowance {
    /// Not all of the actions fit.
    pub(super) fn is_scarce(&self) -> bool {
        self.scarce
    }

    /// Uses one up, if there is one.
    pub(super) fn use_one(&mut self) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }
}

/// Whether keeping what is new among `pairs` would take their user over `most` bytes. May wait for the
/// disk.
pub(super) fn is_too_much(
    log: &Log,
    rules: &Rules,
    subject: &Subject,
    pairs: &[Pair],
    most: u64,
) -> Result<bool, ReadError> {
    let free = most.saturating_sub(log.kept_bytes(subject.user())?);
    let bytes = |pair: &Pair| bytes_of_json(pair.action.json());
    if pairs.iter().map(bytes).sum::<u64>() <= free {
        return Ok(false);
    }
    // Near the limit it is worth asking what of it is kept at all, and is not kept already.
    let (mut seen, mut more) = (HashSet::new(), 0_u64);
    for pair in pairs {
        let new = seen.insert(&pair.meta.id) && log.find(&pair.meta.id)?.is_none();
        let kept = || rules.place(subject, &pair.action, &pair.meta).is_ok_and(|it| it.kept);
        if new && pair.action.kind() != builtin::CLEAN && kept() {
            more = more.saturating_add(bytes_of_json(pair.action.json()));
        }
    }
    Ok(more > free)
}
