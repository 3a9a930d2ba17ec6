//! Following another server: what is said to it, and what becomes of its answers. Knows no network.

use super::desk::{BATCH, COUNTED_MAX, Desk, LOOKED_MAX, Trouble};
use super::pace::batch_bytes;
use super::records::{self, Guard};
use super::taken::{self, Saved};
use crate::aside::blocking;
use crate::clock;
use crate::log::{Log, Outcome, Outgoing, PageLimit, ReadError, Step};
use crate::revocations;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::{Context, Dot, Incarnation, Position};
use tidelog_protocol::ActionId;
use tidelog_protocol::replica::{
    Batch, Behind, Held, Hello, Pull, Push, Record, Refusal, Revocations, Taken, VERSION, Welcome,
};

/// The notes that say how far the feed of the server that this one follows was taken.
const TAKEN_NOTES: &str = "upstream-taken/";

/// Moments that are remembered until what was judged by then is settled.
const JUDGED_MAX: usize = 1000;

/// A link that is up: the two know each other.
pub(crate) struct Link<'a> {
    log: &'a Log,
    desk: &'a Desk,
    /// The store of the other, and its life.
    store: String,
    life: Incarnation,
    their: Mutex<Their>,
}

/// What is known of the other.
struct Their {
    /// What it holds.
    held: Held,
    /// What it has brought that `held` does not say: it has that, too.
    given: Context,
    /// Up to where of this feed it has everything.
    has: Position,
    /// How far its feed was taken.
    taken: Option<Taken>,
    /// When that was written down.
    saved: Saved,
    /// The end of its feed.
    head: Position,
    /// What it has said of revocations, until that is heard.
    revocations: Option<Revocations>,
    /// The version of what was heard of it, and of what it has heard, and hears next.
    heard: u64,
    told: (u64, u64),
    /// What it had when it was last asked.
    asked: Position,
    /// Up to where it had this feed when its own went up to there, ascending.
    judged: VecDeque<(Position, Position)>,
}

/// The first thing that is said.
pub(crate) fn hello(log: &Log) -> Hello {
    let head = log.head();
    Hello {
        version: VERSION,
        store: log.store_id().to_string(),
        incarnation: log.incarnation(),
        head,
        held: Held(log.incarnations().held(head)),
    }
}

impl<'a> Link<'a> {
    /// What `welcome` answers to [`hello`]. May wait for the disk.
    pub(crate) fn up(log: &'a Log, desk: &'a Desk, welcome: &Welcome) -> Result<Self, Trouble> {
        if welcome.version != VERSION {
            return Err(Refusal::Version.into());
        }
        let here = log.store_id().to_string();
        let Some(store) = welcome.chain.first() else { return Err(Refusal::Nonsense.into()) };
        if *store == here {
            return Err(Refusal::SameStore.into());
        }
        if welcome.chain.contains(&here) {
            return Err(Refusal::Loop.into());
        }
        let note = log.note(&format!("{TAKEN_NOTES}{store}"))?;
        let taken = note.and_then(|note| taken::read(&note));
        if taken.is_some_and(|it| taken::is_shorter(&it, welcome.incarnation, welcome.head)) {
            return Err(Refusal::CloudTakenBack.into());
        }
        let has =
            welcome.taken.and_then(|it| log.incarnations().resume(it.incarnation, it.through));
        let their = Their {
            held: welcome.held.clone(),
            given: Context::default(),
            has: has.unwrap_or_default().min(log.head()),
            taken,
            saved: Saved::default(),
            head: welcome.head,
            revocations: Some(welcome.revocations.clone()),
            heard: 0,
            told: (0, 0),
            asked: Position::ZERO,
            judged: VecDeque::new(),
        };
        desk.follows(&welcome.chain);
        desk.upstream.begin_anew();
        desk.upstream.stands_at(their.has, &their.held);
        let (store, life) = (store.clone(), welcome.incarnation);
        Ok(Self { log, desk, store, life, their: Mutex::new(their) })
    }

    fn their(&self) -> MutexGuard<'_, Their> {
        self.their.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the other lacks; none if that is nothing now. Over a line of `rate` bytes a second a batch is small.
    pub(crate) async fn push(&self, rate: Option<u64>) -> Result<Option<Push>, Trouble> {
        let limit = PageLimit { bytes: batch_bytes(BATCH.bytes, rate), ..BATCH };
        // First: what it says of some authors is said to it with their actions.
        let said = self.their().revocations.take();
        self.hear(said.unwrap_or_default()).await?;
        loop {
            let (above, held, given) = {
                let their = self.their();
                (their.has, their.held.clone(), their.given.clone())
            };
            let log = self.log.clone();
            let stretch = blocking(move || {
                let is_back = |outgoing: &Outgoing| match outgoing {
                    Outgoing::Entry(entry) => entry.aliases.is_empty() && given.covers(entry.dot),
                    Outgoing::Renamed(_) | Outgoing::Cleaned(_) => false,
                };
                let wanted = &mut |outgoing: &_| {
                    records::is_wanted(outgoing, &log, None, &held) && !is_back(outgoing)
                };
                log.outgoing(above, (limit, LOOKED_MAX), wanted)
            })
            .await?;
            if stretch.through == above {
                return Ok(None);
            }
            let far = stretch.through.get() - above.get() >= LOOKED_MAX as u64;
            if stretch.records.is_empty() && !far {
                // Nothing of it is lacking: that need not be told before there is more.
                let mut their = self.their();
                their.has = stretch.through;
                self.desk.upstream.stands_at(their.has, &their.held);
                continue;
            }
            let through = stretch.through;
            return Ok(Some(Push {
                store: self.log.store_id().to_string(),
                to: self.life,
                taken: Taken { incarnation: self.log.incarnation(), through },
                records: stretch.records.iter().map(|it| self.say(it)).collect(),
                behind: self.beyond(through).await?,
            }));
        }
    }

    /// The other says this of revocations.
    async fn hear(&self, said: Revocations) -> Result<(), Trouble> {
        let here = (self.log, self.desk.revoked());
        revocations::hear(here, &said.changes, &|_| true).await?;
        let mut their = self.their();
        their.heard = their.heard.max(said.version);
        Ok(())
    }

    /// A record to be sent: what its author made after it was shut out, and before that was heard here,
    /// is said to be late; and what did not come through this server first, to be loose.
    fn say(&self, outgoing: &Outgoing) -> Record {
        let mut said = records::say(outgoing, self.log);
        if let (Outgoing::Entry(entry), Record::Entry(said)) = (outgoing, &mut said) {
            let lives = self.log.incarnations();
            let is_own = lives.was_in(entry.dot.incarnation);
            let revoked = self.desk.revoked();
            said.late = is_own && revoked.came_too_late(&entry.id.node, entry.position, entry.time);
            said.loose |= !self.desk.is_from_here(entry.dot.incarnation);
        }
        said
    }

    /// The other has what was pushed.
    pub(crate) fn pushed(&self, through: Position) {
        let mut their = self.their();
        their.has = their.has.max(through);
        self.desk.upstream.stands_at(their.has, &their.held);
    }

    /// What the other lacks of this feed above `through`.
    async fn beyond(&self, through: Position) -> Result<Behind, ReadError> {
        if through >= self.log.head() {
            return Ok(Behind::default());
        }
        let (log, lag) = (self.log.clone(), Arc::clone(&self.desk.upstream));
        blocking(move || lag.beyond(&log, None, through, COUNTED_MAX)).await
    }

    /// What to ask for.
    pub(crate) fn pull(&self, wait_ms: u32, rate: Option<u64>) -> Pull {
        let held = Held(self.log.incarnations().held(self.log.head()));
        let mut their = self.their();
        their.asked = their.has;
        let has_all = their.has >= self.log.head();
        let owes = self.desk.upstream.behind(clock::now_ms()).filter(|_| !has_all);
        let owes = owes.unwrap_or_default();
        let (version, changes) = self.desk.revoked().changes_since(their.told.0);
        their.told.1 = version;
        let revocations = changes.into_iter().map(revocations::told).collect();
        Pull { taken: their.taken, held, wait_ms, owes, rate, heard: their.heard, revocations }
    }

    /// Takes what came. All of it is on disk on return; how many records could not be taken.
    pub(crate) async fn take(&self, batch: Batch) -> Result<usize, Trouble> {
        if batch.chain.contains(&self.log.store_id().to_string()) {
            return Err(Refusal::Loop.into());
        }
        // It lacks what it had when the link came up.
        if batch.taken.incarnation != self.life {
            return Err(Trouble::OtherLife);
        }
        self.desk.follows(&batch.chain);
        self.desk.upstream.is_told(batch.behind);
        self.hear(batch.revocations).await?;
        {
            let mut their = self.their();
            their.told.0 = their.told.1;
        }
        let all = batch.records.len();
        let steps = self.steps(batch.records);
        // Before the log has it, or it would be sent back.
        {
            let mut their = self.their();
            steps.iter().filter_map(records::dot_of).for_each(|dot| their.held.add(dot));
            for dot in steps.iter().filter_map(records::given_dot_of) {
                their.given.insert_dot(dot);
            }
        }
        let outcomes = self.log.commit(steps, clock::now_ms()).await?;
        let large = outcomes.iter().filter(|it| matches!(it, Outcome::TooLarge)).count();
        self.has_taken(batch.taken, batch.head).await?;
        self.settle((batch.taken.through, batch.head), batch.settled).await?;
        Ok(all - outcomes.len() + large)
    }

    /// What the log is asked to do.
    fn steps(&self, records: Vec<Record>) -> Vec<Step> {
        let may = |id: &ActionId, dot: Dot| taken::is_possible(self.log, id, dot);
        let guard = Guard { scope: None, may_name: &may, may_be_named: &may };
        records.into_iter().filter_map(|it| records::take(it, &guard).ok()).collect()
    }

    /// What the other had when it was asked is judged by now, and the verdicts are in its feed up to its
    /// head. So it is settled here once that was taken, and no server above the other has more to say.
    async fn settle(
        &self,
        (taken, head): (Position, Position),
        settled: Position,
    ) -> Result<(), Trouble> {
        let through = {
            let mut their = self.their();
            let asked = their.asked;
            if their.judged.back().is_none_or(|(last, _)| *last < asked) {
                if their.judged.len() == JUDGED_MAX {
                    // The later one says as much, later.
                    their.judged.pop_back();
                }
                their.judged.push_back((asked, head));
            }
            let mut through = Position::ZERO;
            while let Some((has, at)) = their.judged.front().copied()
                && at <= taken.min(settled)
            {
                their.judged.pop_front();
                through = has;
            }
            through
        };
        self.desk.settle(through).await
    }

    async fn has_taken(&self, taken: Taken, head: Position) -> Result<(), Trouble> {
        let save = {
            let mut their = self.their();
            let is_new = their.taken != Some(taken);
            their.taken = Some(taken);
            their.head = head;
            is_new && their.saved.is_due()
        };
        if save {
            taken::write(self.log, format!("{TAKEN_NOTES}{}", self.store), taken).await?;
        }
        Ok(())
    }

    /// How far the other has this feed, how far this has the other's, and where the other's ends.
    pub(crate) fn progress(&self) -> (Position, Position, Position) {
        let their = self.their();
        let taken = their.taken.map(|taken| taken.through).unwrap_or_default();
        (their.has, taken, their.head)
    }
}
