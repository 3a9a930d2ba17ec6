//! How far two servers are behind each other: in actions, bytes and time.
//!
//! Each side counts what of its own feed the other may still have to get, and says so; what it has been
//! told of the other's feed it remembers. The count is kept in stretches, so that what was counted is not
//! read again when the other has got further.

use super::records;
use super::scope::Scope;
use crate::clock;
use crate::log::{Log, Outgoing, PageLimit, ReadError};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_crdt::{Incarnation, Position};
use tidelog_protocol::replica::{Behind, Held};

/// Positions in a stretch.
const STRETCH: u64 = 1024;
/// No end of what is found: it is counted, and not kept.
const ANY: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

/// How far another server is behind this one, and this one behind it.
#[derive(Default)]
pub(super) struct Lag {
    known: Mutex<Known>,
    counter: Mutex<Counter>,
}

#[derive(Default)]
struct Known {
    /// Up to where it has this feed, and what it holds beside that.
    stands: Option<(Position, Held)>,
    /// What was written down of that.
    saved: Option<Position>,
    /// Whether what was counted does not count any more.
    anew: bool,
    behind: Option<Noticed>,
    /// How far this server is behind, as the other has said.
    ahead: Option<Noticed>,
}

/// What was so at a moment.
#[derive(Clone, Copy)]
struct Noticed(Behind, u64);

impl Noticed {
    /// What waited then waits longer now.
    fn now(self, now_ms: u64) -> Behind {
        let Self(behind, at_ms) = self;
        let age_ms = behind.age_ms.map(|age| age.saturating_add(now_ms.saturating_sub(at_ms)));
        Behind { age_ms, ..behind }
    }
}

/// A note of where the other stands.
#[derive(Serialize, Deserialize)]
struct Note(u8, Incarnation, Position, Held);

impl Lag {
    /// What the store knows of it.
    pub(super) fn read(log: &Log, note: &[u8]) -> Self {
        let lag = Self::default();
        // One that cannot be read is known again when the link is up.
        if let Ok(Note(1, incarnation, has, held)) = rmp_serde::from_slice(note)
            && let Some(has) = log.incarnations().resume(incarnation, has)
        {
            lag.stands_at(has, &held);
        }
        lag
    }

    /// What is to be written down of it, if that is something else than last time.
    pub(super) fn note(&self, log: &Log) -> Option<Vec<u8>> {
        let mut known = self.known();
        let (has, held) = known.stands.clone()?;
        if known.saved.replace(has) == Some(has) {
            return None;
        }
        rmp_serde::to_vec(&Note(1, log.incarnation(), has, held)).ok()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted is counted again.
    pub(super) fn begin_anew(&self) {
        self.known().anew = true;
    }

    /// The other has this feed up to there, and holds that.
    pub(super) fn stands_at(&self, has: Position, held: &Held) {
        self.known().stands = Some((has, held.clone()));
    }

    /// Up to where the other has this feed, as far as is known.
    pub(super) fn has(&self) -> Option<Position> {
        self.known().stands.as_ref().map(|(has, _)| *has)
    }

    /// The other says how far this server is behind.
    pub(super) fn is_told(&self, ahead: Behind) {
        self.known().ahead = Some(Noticed(ahead, clock::now_ms()));
    }

    /// How far the other is behind, as was found last; nothing is known of who never was here.
    pub(super) fn behind(&self, now_ms: u64) -> Option<Behind> {
        self.known().behind.map(|it| it.now(now_ms))
    }

    /// How far this server is behind, as the other said last.
    pub(super) fn ahead(&self, now_ms: u64) -> Option<Behind> {
        self.known().ahead.map(|it| it.now(now_ms))
    }

    /// Looks how far the other is behind; of what was not counted yet, at `most` records. May wait for the
    /// disk.
    pub(super) fn look(
        &self,
        log: &Log,
        scope: Option<&Scope>,
        most: u64,
    ) -> Result<Option<Behind>, ReadError> {
        let Some(has) = self.has() else { return Ok(None) };
        let behind = self.beyond(log, scope, has, most)?;
        self.known().behind = Some(Noticed(behind, clock::now_ms()));
        Ok(Some(behind))
    }

    /// What the other still has to get when it has this feed up to `through`.
    pub(super) fn beyond(
        &self,
        log: &Log,
        scope: Option<&Scope>,
        through: Position,
        most: u64,
    ) -> Result<Behind, ReadError> {
        let (anew, held) = {
            let mut known = self.known();
            let held = known.stands.as_ref().map(|(_, held)| held.clone());
            (std::mem::take(&mut known.anew), held.unwrap_or_default())
        };
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        if anew {
            counter.stretches.clear();
        }
        let wanted = |outgoing: &Outgoing| records::is_wanted(outgoing, log, scope, &held);
        let found = counter.count(log, through, &wanted, most).inspect_err(|_| {
            counter.stretches.clear();
        })?;
        let age_ms = found.since_ms.map(|since| clock::now_ms().saturating_sub(since));
        Ok(Behind { actions: found.actions, bytes: found.bytes, age_ms })
    }
}

/// What was counted.
#[derive(Default)]
struct Counter {
    /// One after the other, without gaps.
    stretches: VecDeque<Stretch>,
}

#[derive(Clone, Copy)]
struct Stretch {
    above: Position,
    through: Position,
    amount: Amount,
}

#[derive(Clone, Copy, Default)]
struct Amount {
    actions: u64,
    bytes: u64,
    /// When the first of them was accepted.
    since_ms: Option<u64>,
}

impl Amount {
    fn add(&mut self, later: Self) {
        self.actions += later.actions;
        self.bytes += later.bytes;
        self.since_ms = self.since_ms.or(later.since_ms);
    }
}

impl Stretch {
    fn span(&self) -> u64 {
        self.through.get().saturating_sub(self.above.get())
    }
}

impl Counter {
    /// How much is wanted above `has`.
    fn count(
        &mut self,
        log: &Log,
        has: Position,
        wanted: &dyn Fn(&Outgoing) -> bool,
        most: u64,
    ) -> Result<Amount, ReadError> {
        self.begin_at(log, has, wanted)?;
        let (head, mut looked) = (log.head(), 0);
        let mut through = self.stretches.back().map_or(has, |last| last.through);
        while through < head && looked < most {
            let next = one(log, through, STRETCH, wanted)?;
            if next.through == through {
                break;
            }
            looked += next.span();
            through = next.through;
            match self.stretches.back_mut() {
                Some(last) if last.span() + next.span() <= STRETCH => {
                    last.through = next.through;
                    last.amount.add(next.amount);
                }
                _ => self.stretches.push_back(next),
            }
        }
        let mut all = Amount::default();
        self.stretches.iter().for_each(|stretch| all.add(stretch.amount));
        Ok(all)
    }

    /// Makes the first stretch one that begins at `has`.
    fn begin_at(
        &mut self,
        log: &Log,
        has: Position,
        wanted: &dyn Fn(&Outgoing) -> bool,
    ) -> Result<(), ReadError> {
        while self.stretches.front().is_some_and(|first| first.through <= has) {
            self.stretches.pop_front();
        }
        let Some(first) = self.stretches.front().copied() else { return Ok(()) };
        if first.above < has {
            self.stretches.pop_front();
            let rest = first.through.get() - has.get();
            self.stretches.push_front(one(log, has, rest, wanted)?);
        } else if first.above.get() - has.get() > 8 * STRETCH {
            self.stretches.clear();
        } else if first.above > has {
            let before = first.above.get() - has.get();
            self.stretches.push_front(one(log, has, before, wanted)?);
        }
        Ok(())
    }
}

/// Counts a stretch of `positions` above `above`, or less at the end of the feed.
fn one(
    log: &Log,
    above: Position,
    positions: u64,
    wanted: &dyn Fn(&Outgoing) -> bool,
) -> Result<Stretch, ReadError> {
    let mut amount = Amount::default();
    let positions = usize::try_from(positions).unwrap_or(usize::MAX);
    let stretch = log.outgoing(above, (ANY, positions), &mut |outgoing| {
        if wanted(outgoing) {
            let bytes = outgoing.bytes() as u64;
            amount.add(Amount { actions: 1, bytes, since_ms: outgoing.accepted_ms() });
        }
        false
    })?;
    Ok(Stretch { above, through: stretch.through, amount })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Addresses, Draft, Settings};
    use tidelog_crdt::Context;
    use tidelog_protocol::{Action, ActionId, NodeId};

    fn draft(user: &str, ms: u64) -> Draft {
        let node = NodeId::new(&format!("{user}:phone:tab")).unwrap();
        let users = node.user().into_iter().collect();
        Draft {
            id: ActionId { node, ms, sequence: 0 },
            time: ms,
            subprotocol: 1,
            addresses: Addresses { users, ..Addresses::default() },
            context: Context::default(),
            action: Action::new(r#"{"type":"a"}"#.to_owned().into()).unwrap(),
            kept: true,
        }
    }

    async fn append(log: &Log, user: &str, ids: std::ops::Range<u64>) {
        let drafts = ids.map(|ms| draft(user, ms)).collect();
        log.append(drafts, clock::now_ms()).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_lacking_is_counted_from_wherever_the_other_is() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(Settings::new(dir.path()), 0).unwrap();
        append(&log, "ann", 1..2_001).await;
        append(&log, "eve", 1..1_001).await;
        append(&log, "ann", 3_000..3_500).await;
        let scope = Scope::new(&["ann".into()], &[]);
        let lag = Lag::default();
        let at = |position| Position::new(position).unwrap();
        let look = |has, most| {
            lag.stands_at(at(has), &Held::default());
            lag.look(&log, Some(&scope), most).unwrap().unwrap().actions
        };
        assert!(lag.look(&log, Some(&scope), u64::MAX).unwrap().is_none(), "who never was here");
        // A little at a time, forwards, backwards, and to the end.
        assert_eq!(look(0, 1), 1_024);
        assert_eq!(look(0, u64::MAX), 2_500);
        for (has, expected) in
            [(100, 2_400), (1_999, 501), (1_500, 1_000), (2_400, 500), (0, 2_500), (3_400, 100)]
        {
            assert_eq!(look(has, u64::MAX), expected, "at {has}");
        }
        assert_eq!(look(3_500, u64::MAX), 0);
        append(&log, "ann", 4_000..4_007).await;
        assert_eq!(look(3_500, u64::MAX), 7);
        let behind = lag.behind(clock::now_ms() + 60_000).unwrap();
        assert!(behind.age_ms.unwrap() >= 60_000 && behind.bytes > 7 * 12, "{behind:?}");
        // What the other holds by another way is not lacking.
        let mut held = Held::default();
        held.add(tidelog_crdt::Dot { incarnation: log.incarnation(), position: at(3_503) });
        lag.stands_at(at(3_500), &held);
        lag.begin_anew();
        assert_eq!(lag.look(&log, Some(&scope), u64::MAX).unwrap().unwrap().actions, 4);
        // And so it is after a start.
        let again = Lag::read(&log, &lag.note(&log).unwrap());
        assert_eq!(again.look(&log, Some(&scope), u64::MAX).unwrap().unwrap().actions, 4);
        assert!(lag.note(&log).is_none(), "nothing new");
    }
}
