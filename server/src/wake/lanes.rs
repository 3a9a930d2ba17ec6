//! One lane for each push service, so that one that is down delays nobody else.
//!
//! A lane has a task as long as anything is in its table. When the table is full the lane falls
//! behind: the follower leaves it out, and it reads the feed by itself, as fast as it gets room.

use super::had::{Had, Known};
use super::table::{Added, Done, Key, Missed, Table, Terms};
use super::told::{Gathered, LastTold};
use super::web::origin;
use super::{Device, Message, Target, deliver};
use crate::app::App;
use crate::clock;
use crate::config::Wake;
use crate::log::LogName;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_crdt::Position;
use tidelog_protocol::ClientId;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Lanes of Web Push by where their services are, beside those of the makers of browsers. More share one.
const ORIGINS_MAX: usize = 200;
const SHARED: &str = "web";
/// A browser's maker has one service, or a name for each of many hosts. They have places of their own: whoever
/// registers endpoints that lead anywhere takes none of them.
const MAKERS: [&str; 3] = [
    "https://fcm.googleapis.com",
    "https://updates.push.services.mozilla.com",
    "https://web.push.apple.com",
];
const MAKERS_DOMAINS: [&str; 2] = [".push.apple.com", ".notify.windows.com"];
/// Lanes of hosts in those domains.
const MAKERS_HOSTS_MAX: usize = 100;
/// The longest sleep, so that adding it to now cannot overflow; who wakes looks again.
const SLEEP_MS_MAX: u64 = 3_600_000;

/// One push service.
pub(super) struct Lane {
    pub(super) id: String,
    state: Mutex<State>,
    known: Arc<Known>,
    told: Arc<Gathered>,
    changed: Notify,
    room: Notify,
}

struct State {
    table: Table,
    /// How far it has read by itself; none while the follower brings what there is.
    behind: Option<Position>,
    /// It reads what came before a start: who is told waits until all is known, to be told once.
    holding: bool,
}

/// All of them that have anything to do.
pub(super) struct Lanes {
    all: Mutex<HashMap<String, Arc<Lane>>>,
    known: Arc<Known>,
    told: Arc<Gathered>,
    settings: Wake,
}

/// How one lane is doing.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Doing {
    service: String,
    pub(super) waiting: usize,
    behind: Option<Position>,
}

impl Lanes {
    pub(super) fn new(settings: &Wake) -> Self {
        let (known, told) = (Arc::default(), Arc::default());
        Self { all: Mutex::default(), known, told, settings: settings.clone() }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Lane>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the lane of `target` is called.
    pub(super) fn id(target: &Target) -> String {
        match target {
            Target::Web { endpoint, .. } => {
                endpoint.parse().map_or(SHARED.into(), |it| origin(&it))
            }
            Target::Apns { .. } | Target::Fcm { .. } => target.kind().to_owned(),
        }
    }

    /// `device` has missed the entry at `position` of `log`. A lane that is behind finds that out by
    /// itself, and one that has no room falls behind: it has `done` everything up to there.
    pub(super) fn add(
        &self,
        app: &App,
        device: &Device,
        (log, position, done): (&LogName, Position, Position),
        message: Option<&Message>,
    ) {
        let mut all = self.all();
        let lane = self.lane(&mut all, app, Self::id(&device.target));
        let mut state = lane.state();
        // Looked at under the table's lock: who has had it from here on finds it in the table.
        if state.behind.is_some() || self.known.has_had(&device.client, log, position) {
            return;
        }
        let (key, at, now) = (key(device), (log.clone(), position), clock::now_ms());
        if state.table.add(&key, at, message.cloned(), &device.told, now) == Added::Full {
            state.behind = Some(done);
            drop(state);
            let (app, lane) = (app.clone(), lane.clone());
            tokio::spawn(super::follower::catch_up(app, lane));
            return;
        }
        drop(state);
        lane.changed.notify_one();
    }

    /// The lane called `id` reads from `above` on by itself: what came before the process started.
    pub(super) fn resume(&self, app: &App, id: String, above: Position) {
        // A lane that has nothing to do goes, so it is told before it can look.
        let mut all = self.all();
        let lane = self.lane(&mut all, app, id);
        {
            let mut state = lane.state();
            state.behind = Some(above);
            state.holding = true;
        }
        drop(all);
        tokio::spawn(super::follower::catch_up(app.clone(), lane));
    }

    fn lane(&self, all: &mut HashMap<String, Arc<Lane>>, app: &App, id: String) -> Arc<Lane> {
        let id =
            if all.contains_key(&id) || has_place(all.keys(), &id) { id } else { SHARED.into() };
        let make = || {
            let shared = (self.known.clone(), self.told.clone());
            let lane = Arc::new(Lane::new(id.clone(), self.terms(&id), shared));
            tokio::spawn(run(app.clone(), lane.clone()));
            lane
        };
        all.entry(id.clone()).or_insert_with(make).clone()
    }

    fn terms(&self, id: &str) -> Terms {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let settings = &self.settings;
        let silent = if id == "apns" { settings.apns.silent_interval } else { settings.interval };
        Terms {
            most: settings.queue,
            at_once: settings.concurrency,
            interval_ms: ms(settings.interval),
            silent_interval_ms: ms(silent.max(settings.interval)),
            patience_ms: ms(settings.ttl),
            jitter_percent: 25,
        }
    }

    /// The client has had something; after how many ms, for each device that had been told of it.
    pub(super) fn had(&self, client: &ClientId, had: &Had) -> Vec<u64> {
        // Before the tables: what comes into them from here on is asked for in it.
        self.known.note(client, had);
        let (mut told, now) = (Vec::new(), clock::now_ms());
        for lane in self.all().values() {
            told.extend(lane.state().table.had(client, had, now));
            lane.room.notify_one();
        }
        told.iter().map(|told_ms| now.saturating_sub(*told_ms)).collect()
    }

    /// Whether the client is known to have had the entry at `position` of `log`.
    pub(super) fn has_had(&self, client: &ClientId, log: &LogName, position: Position) -> bool {
        self.known.has_had(client, log, position)
    }

    /// What devices were told since this was last asked.
    pub(super) fn take_told(&self) -> Vec<(Key, LastTold)> {
        self.told.take()
    }

    /// Up to where each lane is done that is not as far as `head`.
    pub(super) fn marks(&self, head: Position) -> BTreeMap<String, Position> {
        let all = self.all();
        let marks = all.values().filter_map(|lane| {
            let state = lane.state();
            let before = |first: Position| Position::new(first.get().saturating_sub(1));
            let first = state.table.first().and_then(before);
            let mark = first.into_iter().chain(state.behind).min()?;
            (mark < head).then(|| (lane.id.clone(), mark))
        });
        marks.collect()
    }

    /// Whether devices at `target` are told by `lane`.
    pub(super) fn serves(&self, lane: &Lane, target: &Target) -> bool {
        let id = Self::id(target);
        let shared = lane.id == SHARED && matches!(target, Target::Web { .. });
        lane.id == id || (shared && !self.all().contains_key(&id))
    }

    /// How all of them are doing.
    pub(super) fn doing(&self) -> Vec<Doing> {
        let all = self.all();
        let mut doing: Vec<_> = all
            .values()
            .map(|lane| {
                let state = lane.state();
                let (waiting, behind) = (state.table.waiting(), state.behind);
                Doing { service: lane.id.clone(), waiting, behind }
            })
            .collect();
        doing.sort_unstable_by(|one, other| one.service.cmp(&other.service));
        doing
    }

    /// Takes the lane away if there is nothing in it.
    fn leave(&self, lane: &Lane) -> bool {
        let mut all = self.all();
        let state = lane.state();
        let idle = state.table.is_empty() && state.behind.is_none();
        idle && all.remove(&lane.id).is_some()
    }
}

/// Whose lanes are counted together.
#[derive(PartialEq)]
enum Sort {
    /// There are as many as there are.
    Fixed,
    MakersHost,
    Origin,
}

/// Whether a maker of browsers is at this origin.
pub(super) fn is_of_a_maker(origin: &str) -> bool {
    sort(origin) != Sort::Origin
}

fn sort(id: &str) -> Sort {
    // A port makes it somebody else's.
    let host = id.strip_prefix("https://");
    let of_maker = |host: &str| MAKERS_DOMAINS.iter().any(|domain| host.ends_with(domain));
    if !id.contains("://") || MAKERS.contains(&id) {
        Sort::Fixed
    } else if host.is_some_and(of_maker) {
        Sort::MakersHost
    } else {
        Sort::Origin
    }
}

/// Whether there may be a lane called `id` beside `others`.
fn has_place<'a>(others: impl Iterator<Item = &'a String>, id: &str) -> bool {
    let own = sort(id);
    let most = match own {
        Sort::Fixed => return true,
        Sort::MakersHost => MAKERS_HOSTS_MAX,
        Sort::Origin => ORIGINS_MAX,
    };
    others.filter(|other| sort(other) == own).count() < most
}

impl Lane {
    fn new(id: String, terms: Terms, (known, told): (Arc<Known>, Arc<Gathered>)) -> Self {
        let state = State { table: Table::new(terms), behind: None, holding: false };
        let (state, changed, room) = (Mutex::new(state), Notify::new(), Notify::new());
        Self { id, state, known, told, changed, room }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it has read by itself.
    pub(super) fn behind(&self) -> Option<Position> {
        self.state().behind
    }

    /// It has read up to there by itself; with none, the follower brings the rest.
    pub(super) fn read_up_to(&self, position: Option<Position>) {
        let mut state = self.state();
        state.behind = position;
        state.holding &= position.is_some();
        drop(state);
        self.changed.notify_one();
    }

    /// `device` has missed something, as [`Lanes::add`]; waits for room.
    pub(super) async fn add_patiently(
        &self,
        device: &Device,
        (log, position): (&LogName, Position),
        message: Option<&Message>,
    ) {
        let key = key(device);
        loop {
            {
                let mut state = self.state();
                if self.known.has_had(&device.client, log, position) {
                    return;
                }
                let (at, now) = ((log.clone(), position), clock::now_ms());
                if state.table.add(&key, at, message.cloned(), &device.told, now) == Added::Yes {
                    break;
                }
                state.holding = false;
            }
            self.changed.notify_one();
            self.room.notified().await;
        }
        self.changed.notify_one();
    }

    fn take(&self) -> (Vec<(Key, Missed)>, Option<u64>) {
        let mut state = self.state();
        if state.holding {
            return (Vec::new(), None);
        }
        let taken = state.table.take(clock::now_ms());
        (taken, state.table.next_ms())
    }

    fn done(&self, key: &Key, done: Done) {
        let done = match done {
            // What one service does says nothing of the others that share the lane.
            Done::Failed { after, .. } if self.id == SHARED => Done::Failed { after, all: false },
            done => done,
        };
        let mut state = self.state();
        state.table.done(key, done, clock::now_ms());
        if done == Done::Told
            && let Some(last) = state.table.last_told(key)
        {
            self.told.note(key, last);
        }
        if state.table.has_room() {
            self.room.notify_one();
        }
    }
}

fn key(device: &Device) -> Key {
    (device.client.clone(), device.id.clone())
}

/// Tells devices what they have missed, until nothing is left to do.
async fn run(app: App, lane: Arc<Lane>) {
    tell(
        &app,
        &lane,
        |app, key, missed| async move { deliver::deliver(&app, &key, &missed).await },
    )
    .await;
}

/// The same by what `deliver` does.
async fn tell<F: Future<Output = Done> + Send + 'static>(
    app: &App,
    lane: &Lane,
    deliver: impl Fn(App, Key, Missed) -> F,
) {
    let (mut sending, mut keys) = (JoinSet::new(), HashMap::new());
    loop {
        let (taken, next_ms) = lane.take();
        for (key, missed) in taken {
            let task = sending.spawn(deliver(app.clone(), key.clone(), missed));
            keys.insert(task.id(), key);
        }
        if sending.is_empty() && app.wakes.lanes.leave(lane) {
            return;
        }
        let wait_ms = next_ms.map_or(SLEEP_MS_MAX, |next| next.saturating_sub(clock::now_ms()));
        tokio::select! {
            () = app.stopping() => return,
            () = lane.changed.notified() => {}
            Some(sent) = sending.join_next_with_id() => {
                // A panic was reported, and is a failure like any other.
                let failed = Done::Failed { after: None, all: false };
                let (task, done) = sent.unwrap_or_else(|error| (error.id(), failed));
                if let Some(key) = keys.remove(&task) {
                    lane.done(&key, done);
                }
            }
            () = tokio::time::sleep(Duration::from_millis(wait_ms.min(SLEEP_MS_MAX))) => {}
        }
    }
}

#[cfg(test)]
mod tests;
