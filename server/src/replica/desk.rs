//! What is answered to servers that follow this one.

use super::bench::Bench;
use super::known::Known;
use super::lag::Lag;
use super::pace::{Paces, batch_bytes, narrower};
use super::records::{self, Guard};
use super::registry::{Registry, Replica};
use super::scope::Scope;
use super::shares::Shares;
use super::taken::{self, Saved};
use crate::aside::blocking;
use crate::auth::{Change, Revoked, Target};
use crate::clock;
use crate::log::{Log, Outcome, PageLimit, ReadError, Step, Stopped};
use crate::revocations;
use crate::rules::Rules;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_crdt::{Dot, Incarnation, Position};
use tidelog_protocol::replica::{
    Batch, Held, Hello, Pull, Push, Pushed, Reason, Record, Refusal, Refused, Revocation,
    Revocations, Taken, VERSION, Welcome,
};
use tidelog_protocol::{ActionId, UserId};

/// How much a batch holds. In unit tests it is little, so that there are many.
pub(super) const BATCH: PageLimit =
    PageLimit { entries: if cfg!(test) { 7 } else { 1000 }, bytes: 1 << 20 };
/// Records that are looked at for one batch.
pub(super) const LOOKED_MAX: usize = 20_000;
/// Records that are counted with one batch, beyond what was counted before.
pub(super) const COUNTED_MAX: u64 = 20_000;

/// The notes that say how far the feeds of others were taken.
const TAKEN_NOTES: &str = "replica-taken/";
/// The notes that say which replica an incarnation came by first.
const CAME_BY_NOTES: &str = "replica-of/";
/// The notes that say which incarnations came from below.
const BELOW_NOTES: &str = "replica-below/";
/// The notes that say where those stand that follow this server, and where the one stands that it follows.
pub(super) const LAG_NOTES: &str = "replica-lag/";
pub(super) const UPSTREAM_LAG_NOTE: &str = "upstream-lag";

/// Why nothing is answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The two do not work together.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// What was said is for another life of the cloud's store.
    #[error("the cloud was restored meanwhile: the two have to say anew what they hold")]
    OtherLife,
    /// The log cannot be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The log takes nothing more.
    #[error("{0}")]
    Stopped(#[from] Stopped),
}

/// Answers servers that follow this one.
pub(crate) struct Desk {
    pub(super) log: Log,
    bench: Bench,
    revoked: Arc<Revoked>,
    /// This server follows another one.
    has_upstream: bool,
    /// Up to where no higher server says no any more.
    settled: AtomicU64,
    /// Who they are.
    pub(crate) registry: Registry,
    /// How far the server is behind that this one follows.
    pub(super) upstream: Arc<Lag>,
    /// Whose turn it is to bring.
    shares: Shares,
    memory: Mutex<Memory>,
}

#[derive(Default)]
pub(super) struct Memory {
    /// By store: how far its feed was taken, and when that was written down.
    taken: HashMap<String, (Taken, Saved)>,
    /// By which replica an incarnation came first.
    came_by: HashMap<Incarnation, String>,
    /// What of the dots of these is anywhere came through this server, unless it was restored.
    below: BTreeSet<Incarnation>,
    pub(super) known: HashMap<String, Known>,
    pub(super) lags: HashMap<String, Arc<Lag>>,
    pub(super) paces: HashMap<String, Arc<Paces>>,
    /// The stores that this server follows, its own first.
    chain: Vec<String>,
}

/// Steps of a batch that are committed at once, and their bytes.
const PART: (usize, usize) = (if cfg!(test) { 3 } else { 256 }, 256 << 10);

/// The parts of a batch, and what each costs.
fn parts_of(steps: Vec<Step>) -> impl Iterator<Item = (Vec<Step>, usize)> {
    let mut steps = steps.into_iter().peekable();
    std::iter::from_fn(move || {
        let (mut part, mut cost) = (Vec::new(), 0);
        while let Some(step) = steps.next_if(|_| part.len() < PART.0 && cost < PART.1) {
            cost += records::cost_of(&step);
            part.push(step);
        }
        (!part.is_empty()).then_some((part, cost))
    })
}

/// What becomes of a push.
#[derive(Default)]
struct Judged {
    steps: Vec<Step>,
    /// The action that each step takes over.
    ids: Vec<Option<ActionId>>,
    refused: Vec<Refused>,
    /// Those whose authors had been shut out by then.
    late: HashSet<ActionId>,
    /// Incarnations that came in order.
    lives: BTreeSet<Incarnation>,
}

impl Desk {
    /// Reads what the store knows; what comes is judged by `rules`. Blocks.
    pub(super) fn open(
        log: Log,
        (rules, revoked): (Arc<Rules>, Arc<Revoked>),
        has_upstream: bool,
    ) -> Result<Self, ReadError> {
        let mut memory = Memory { chain: vec![log.store_id().to_string()], ..Memory::default() };
        for (name, note) in log.notes(TAKEN_NOTES)? {
            let store = name.strip_prefix(TAKEN_NOTES).unwrap_or_default().to_owned();
            if let Some(taken) = taken::read(&note) {
                memory.taken.insert(store, (taken, Saved::default()));
            }
        }
        for (name, note) in log.notes(CAME_BY_NOTES)? {
            let incarnation = name.strip_prefix(CAME_BY_NOTES).unwrap_or_default();
            if let Ok(incarnation) = u64::from_str_radix(incarnation, 16) {
                let replica = String::from_utf8_lossy(&note).into_owned();
                memory.came_by.insert(Incarnation(incarnation), replica);
            }
        }
        for (name, _) in log.notes(BELOW_NOTES)? {
            let incarnation = name.strip_prefix(BELOW_NOTES).unwrap_or_default();
            if let Ok(incarnation) = u64::from_str_radix(incarnation, 16) {
                memory.below.insert(Incarnation(incarnation));
            }
        }
        for (name, note) in log.notes(LAG_NOTES)? {
            let name = name.strip_prefix(LAG_NOTES).unwrap_or_default().to_owned();
            memory.lags.insert(name, Arc::new(Lag::read(&log, &note)));
        }
        let upstream = log.note(UPSTREAM_LAG_NOTE)?;
        let upstream = Arc::new(upstream.map(|note| Lag::read(&log, &note)).unwrap_or_default());
        let registry = Registry::open(&log)?;
        let settled = AtomicU64::new(log.settled()?.get());
        let (bench, shares) = (Bench::new(rules), Shares::default());
        let memory = Mutex::new(memory);
        let desk =
            Self { log, bench, revoked, has_upstream, settled, registry, upstream, shares, memory };
        Ok(desk)
    }

    /// What was said of revocations.
    pub(super) fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// Up to where of this feed no server above this one will say no any more, and what they have said is
    /// here.
    pub(crate) fn settled(&self) -> Position {
        let settled = Position::new(self.settled.load(Ordering::Acquire)).unwrap_or_default();
        if self.has_upstream { settled } else { self.log.head() }
    }

    /// The server above says so. On disk soon.
    pub(super) async fn settle(&self, through: Position) -> Result<(), Trouble> {
        if self.settled.fetch_max(through.get(), Ordering::AcqRel) < through.get() {
            self.log.keep_settled(through).await?;
        }
        Ok(())
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This server follows these stores, one behind the other.
    pub(super) fn follows(&self, chain: &[String]) {
        let mut all = vec![self.log.store_id().to_string()];
        all.extend_from_slice(chain);
        self.memory().chain = all;
    }

    /// The stores that this server follows, its own first.
    pub(super) fn chain(&self) -> Vec<String> {
        self.memory().chain.clone()
    }

    pub(super) fn note(&self, replica: &Replica, change: impl FnOnce(&mut Known)) {
        let mut memory = self.memory();
        let known = memory.known.entry(replica.name.clone()).or_default();
        known.seen_ms = clock::now_ms();
        change(known);
    }

    /// Who it is that asks, and who this is.
    pub(crate) fn welcome(&self, replica: &Replica, hello: &Hello) -> Result<Welcome, Trouble> {
        if hello.version != VERSION {
            return Err(Refusal::Version.into());
        }
        let here = self.log.store_id().to_string();
        if hello.store == here
            || self.log.incarnations().resume(hello.incarnation, hello.head).is_some()
        {
            return Err(Refusal::SameStore.into());
        }
        if self.chain().contains(&hello.store) {
            return Err(Refusal::Loop.into());
        }
        let taken = self.memory().taken.get(&hello.store).map(|(taken, _)| *taken);
        if taken.is_some_and(|it| taken::is_shorter(&it, hello.incarnation, hello.head)) {
            return Err(Refusal::EdgeTakenBack.into());
        }
        self.note(replica, |known| {
            known.since_ms = Some(clock::now_ms());
            known.head = hello.head.get();
        });
        self.lag(&replica.name).begin_anew();
        let head = self.log.head();
        Ok(Welcome {
            version: VERSION,
            chain: self.chain(),
            incarnation: self.log.incarnation(),
            head,
            held: Held(self.log.incarnations().held(head)),
            taken,
            users: replica.users.clone(),
            channels: replica.channels.clone(),
            bandwidth: replica.bandwidth,
            revocations: self.revocations(&replica.scope(), 0),
        })
    }

    /// Takes what an edge has. All of it is on disk on return, but for what was refused.
    pub(crate) async fn take(&self, replica: &Replica, push: Push) -> Result<Pushed, Trouble> {
        let Push { store, to, taken, records, behind } = push;
        if store == self.log.store_id().to_string() {
            return Err(Refusal::SameStore.into());
        }
        // Else what the edge leaves out, because it was here in another life, would count as taken.
        if to != self.log.incarnation() {
            return Err(Trouble::OtherLife);
        }
        self.claim(replica, taken.incarnation).await?;
        let Judged { steps, ids, mut refused, late, lives } = self.judge(replica, taken, records);
        self.come_from_below(lives).await?;
        let bench = self.bench.clone();
        let (steps, undone) = blocking(move || bench.judge(steps, &late)).await;
        let outcomes = self.commit(replica, steps).await?;
        for (id, outcome) in ids.into_iter().zip(&outcomes) {
            if let (Some(id), Outcome::TooLarge) = (id, outcome) {
                refused.push(Refused { id, reason: Reason::TooLarge });
            }
        }
        self.note(replica, |known| {
            known.accepted += outcomes.len() as u64;
            known.refused += refused.len() as u64;
            known.undone += undone;
            known.taken = taken.through.get();
            known.head = known.head.max(taken.through.get());
        });
        self.lag(&replica.name).is_told(behind);
        self.remember(store, taken).await?;
        Ok(Pushed { refused })
    }

    /// Commits part by part, so that nobody waits for a whole batch: neither who brings some too, nor who is
    /// here.
    async fn commit(&self, replica: &Replica, steps: Vec<Step>) -> Result<Vec<Outcome>, Trouble> {
        let mut outcomes = Vec::with_capacity(steps.len());
        let mut parts = parts_of(steps).peekable();
        let queue = |cost: usize| self.shares.queue(&replica.name, replica.weight(), cost);
        let Some(mut place) = parts.peek().map(|part| queue(part.1)) else { return Ok(outcomes) };
        while let Some((part, _)) = parts.next() {
            let turn = place.turn().await;
            outcomes.extend(self.log.commit(part, clock::now_ms()).await?);
            let Some((_, cost)) = parts.peek() else { break };
            // A place in the line before the turn is given up: shares are of what is there.
            place = queue(*cost);
            drop(turn);
        }
        Ok(outcomes)
    }

    /// What of it is taken, and what the log is asked to do for that.
    fn judge(&self, replica: &Replica, taken: Taken, records: Vec<Record>) -> Judged {
        let scope = replica.scope();
        let may_name = |id: &ActionId, dot: Dot| {
            let beyond = dot.incarnation == taken.incarnation && dot.position > taken.through;
            !beyond && self.may_bring(replica, id, dot)
        };
        let may_be_named = |id: &ActionId, dot: Dot| taken::is_possible(&self.log, id, dot);
        let guard = Guard { scope: Some(&scope), may_name: &may_name, may_be_named: &may_be_named };
        let mut judged = Judged::default();
        for mut record in records {
            if let Record::Entry(entry) = &mut record {
                if entry.late {
                    judged.late.insert(entry.id.clone());
                }
                entry.loose |= !self.brings_in_order(replica, entry.dot.incarnation);
                if !entry.loose && entry.aliases.is_empty() {
                    judged.lives.insert(entry.dot.incarnation);
                }
            }
            match records::take(record, &guard) {
                Ok(step) => {
                    judged.ids.push(records::id_of(&step));
                    judged.steps.push(step);
                }
                Err(refusal) => judged.refused.push(refusal),
            }
        }
        judged
    }

    /// An incarnation belongs to the replica that it came by first: another one could say that it brings
    /// what it does not have.
    async fn claim(&self, replica: &Replica, incarnation: Incarnation) -> Result<(), Trouble> {
        if self.log.incarnations().resume(incarnation, Position::ZERO).is_some() {
            return Err(Refusal::SameStore.into());
        }
        let owner = self.memory().came_by.get(&incarnation).cloned();
        match owner {
            Some(owner) if owner == replica.name => Ok(()),
            // The same box under a new name is let in when the old name is gone.
            Some(owner) if self.registry.get(&owner).is_some() => Err(Refusal::Nonsense.into()),
            _ => {
                let note = (
                    format!("{CAME_BY_NOTES}{incarnation}"),
                    Some(replica.name.clone().into_bytes()),
                );
                self.log.keep_notes(vec![note]).await?;
                self.memory().came_by.insert(incarnation, replica.name.clone());
                Ok(())
            }
        }
    }

    /// Whether `replica` can bring the action of this name. What came by another one it can only give back to
    /// a store that was restored.
    fn may_bring(&self, replica: &Replica, id: &ActionId, dot: Dot) -> bool {
        let lives = self.log.incarnations();
        (self.is_of(replica, dot.incarnation) || lives.are_several())
            && taken::is_possible(&self.log, id, dot)
    }

    /// Whether that incarnation came by `replica`, as far as is known.
    fn is_of(&self, replica: &Replica, incarnation: Incarnation) -> bool {
        let memory = self.memory();
        memory.came_by.get(&incarnation).is_none_or(|owner| *owner == replica.name)
    }

    /// Whether `replica` brings what that incarnation has accepted in order. Of what this store had itself before
    /// it was restored, or what came by another replica, it may have a part: that is taken as it comes.
    fn brings_in_order(&self, replica: &Replica, incarnation: Incarnation) -> bool {
        self.is_of(replica, incarnation) && !self.log.incarnations().was_in(incarnation)
    }

    /// These incarnations came in order from those that follow this server.
    async fn come_from_below(&self, mut lives: BTreeSet<Incarnation>) -> Result<(), Trouble> {
        lives.retain(|life| !self.memory().below.contains(life));
        if lives.is_empty() {
            return Ok(());
        }
        let note = |life| (format!("{BELOW_NOTES}{life}"), Some(Vec::new()));
        self.log.keep_notes(lives.iter().map(note).collect()).await?;
        self.memory().below.append(&mut lives);
        Ok(())
    }

    /// Whether what that incarnation has accepted comes to others through this server: it is its own, or
    /// that of one that follows it.
    pub(super) fn is_from_here(&self, incarnation: Incarnation) -> bool {
        self.log.incarnations().was_in(incarnation) || self.memory().below.contains(&incarnation)
    }

    async fn remember(&self, store: String, taken: Taken) -> Result<(), Trouble> {
        let save = {
            let mut memory = self.memory();
            let (known, saved) =
                memory.taken.entry(store.clone()).or_insert((taken, Saved::default()));
            // Of two exchanges that overtook each other the later one counts.
            if known.incarnation != taken.incarnation || known.through < taken.through {
                *known = taken;
            }
            saved.is_due()
        };
        if save {
            taken::write(&self.log, format!("{TAKEN_NOTES}{store}"), taken).await?;
        }
        Ok(())
    }

    /// What was said of revocations since `version` and is for `scope`. Whose a token is nobody knows, so
    /// all are.
    fn revocations(&self, scope: &Scope, version: u64) -> Revocations {
        let (version, changes) = self.revoked.changes_since(version);
        let is_for = |change: &Change| {
            let user = change.target.user().map(UserId::new);
            user.is_none_or(|user| user.is_ok_and(|user| scope.has_user(&user)))
        };
        let changes = changes.into_iter().filter(is_for).map(revocations::told).collect();
        Revocations { version, changes }
    }

    /// An edge may shut out whom it is for, and tokens only if it is for everybody.
    async fn hear(&self, replica: &Replica, said: &[Revocation]) -> Result<(), Trouble> {
        let (scope, is_for_all) = (replica.scope(), replica.users.iter().any(|glob| glob == "*"));
        let may = |target: &Target| match target.user().map(UserId::new) {
            Some(user) => user.is_ok_and(|user| scope.has_user(&user)),
            None => is_for_all,
        };
        Ok(revocations::hear((&self.log, &self.revoked), said, &may).await?)
    }

    /// What an edge lacks; an empty batch if that is nothing now.
    pub(crate) async fn give(&self, replica: &Arc<Replica>, pull: &Pull) -> Result<Batch, Trouble> {
        self.hear(replica, &pull.revocations).await?;
        // First this: what is settled by now is up to the head that follows.
        let settled = self.settled();
        let (lives, head) = (self.log.incarnations(), self.log.head());
        let incarnation = self.log.incarnation();
        let above = match pull.taken {
            Some(taken) if taken::is_shorter(&taken, incarnation, head) => {
                return Err(Refusal::CloudTakenBack.into());
            }
            Some(taken) => lives.resume(taken.incarnation, taken.through).unwrap_or_default(),
            None => Position::ZERO,
        };
        let (log, theirs, scope) = (self.log.clone(), pull.held.clone(), replica.scope());
        let rate = narrower(replica.bandwidth, pull.rate);
        let limit = PageLimit { bytes: batch_bytes(BATCH.bytes, rate), ..BATCH };
        let lag = self.lag(&replica.name);
        lag.stands_at(above, &pull.held);
        lag.is_told(pull.owes);
        let (stretch, behind) = blocking(move || {
            let stretch = log.outgoing(above, (limit, LOOKED_MAX), &mut |outgoing| {
                records::is_wanted(outgoing, &log, Some(&scope), &theirs)
            })?;
            let behind = lag.beyond(&log, Some(&scope), stretch.through, COUNTED_MAX)?;
            Ok::<_, ReadError>((stretch, behind))
        })
        .await?;
        self.note(replica, |_| {});
        let revocations = self.revocations(&replica.scope(), pull.heard);
        Ok(Batch {
            taken: Taken { incarnation, through: stretch.through },
            head: self.log.head(),
            revocations,
            settled,
            chain: self.chain(),
            records: stretch.records.iter().map(|it| records::say(it, &self.log)).collect(),
            behind,
        })
    }
}
