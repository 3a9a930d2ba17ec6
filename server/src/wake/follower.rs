//! Follows the feed: for each action, who is to be told of it.
//!
//! How far it has come is a note of the store, written every other second while there is anything to
//! do, and after the fact: a process that is killed reads a little again, and tells a device once more
//! rather than not at all. A lane that is not as far has a mark of its own in it. Who was told of what is above a mark is
//! written with it, and is not told again.

use super::Device;
use super::lanes::Lane;
use crate::app::App;
use crate::aside::blocking;
use crate::clock::Stopwatch;
use crate::log::{Entry, LogName, Page, PageLimit, ReadError};
use crate::rules::Told;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tidelog_crdt::Position;
use tidelog_protocol::Meta;

/// The note that says how far it is.
pub(super) const NOTE: &str = "wake/cursor";
/// How often that is written.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// How much of the feed is read at once.
const PAGE: PageLimit = PageLimit { entries: 500, bytes: 1 << 20 };
/// Devices of one channel that are looked at at once.
const DEVICES: usize = 256;
/// After a disk that cannot be read.
const AGAIN: Duration = Duration::from_secs(5);

/// How far the feed has been followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) through: u64,
    /// Lanes that are not as far.
    pub(super) lanes: BTreeMap<String, u64>,
}

impl Cursor {
    pub(super) fn at(position: Position) -> Self {
        Self { through: position.get(), lanes: BTreeMap::new() }
    }

    pub(super) fn to_note(&self) -> Vec<u8> {
        rmp_serde::to_vec(self).unwrap_or_default()
    }
}

/// Follows the feed for as long as the server runs, once there is a device.
pub(crate) async fn follow(app: App) -> Infallible {
    let mut saved = app.wakes.begun().await;
    let head = app.log.head();
    // One of a backup that was restored may be ahead.
    let clamp = |at: u64| Position::new(at).unwrap_or_default().min(head);
    *app.wakes.through.lock().await = clamp(saved.through);
    for (id, at) in &saved.lanes {
        app.wakes.lanes.resume(&app, id.clone(), clamp(*at));
    }
    let (mut since, mut busy) = (Stopwatch::start(), true);
    loop {
        let more = read_on(&app).await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read the feed for those who are to be woken");
            false
        });
        // It looks at all who wait, so not at each commit.
        if since.has_passed(SAVE_EVERY) {
            since = Stopwatch::start();
            let now = reached(&app).await;
            app.wakes.keep_told().await;
            // The log says by itself that it takes nothing more.
            if now != saved && app.log.keep_note(NOTE.to_owned(), Some(now.to_note())).await.is_ok()
            {
                saved = now.clone();
            }
            busy = now != saved || !now.lanes.is_empty();
        }
        if more {
            continue;
        }
        tokio::select! {
            () = app.wakes.committed.notified() => busy = true,
            () = tokio::time::sleep(SAVE_EVERY), if busy => {}
        }
    }
}

/// How far everything is.
async fn reached(app: &App) -> Cursor {
    let through = app.wakes.through.lock().await;
    let lanes = app.wakes.lanes.marks(*through).into_iter();
    Cursor { through: through.get(), lanes: lanes.map(|(id, at)| (id, at.get())).collect() }
}

/// Reads a page of the feed; whether there is more.
async fn read_on(app: &App) -> Result<bool, ReadError> {
    // A lane that reads by itself and has come as far waits for the end of the page.
    let mut through = app.wakes.through.lock().await;
    let page = read(app, *through).await?;
    distribute(app, *through, &page.entries, None).await?;
    *through = page.through;
    Ok(page.more)
}

/// Reads on for a lane that is behind, until it is as far as the follower.
pub(super) async fn catch_up(app: App, lane: Arc<Lane>) {
    let reading = async {
        while let Some(above) = lane.behind() {
            match read_for(&app, &lane, above).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot read the feed for those who are to be woken");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = app.stopping() => {}
    }
}

async fn read_for(app: &App, lane: &Lane, above: Position) -> Result<(), ReadError> {
    let page = read(app, above).await?;
    distribute(app, above, &page.entries, Some(lane)).await?;
    let through = app.wakes.through.lock().await;
    lane.read_up_to(Some(page.through).filter(|read| *read < *through));
    Ok(())
}

async fn read(app: &App, above: Position) -> Result<Page, ReadError> {
    let log = app.log.clone();
    blocking(move || log.feed(above, PAGE)).await
}

/// Who is to be told of each entry of a page that was read from `above` on: in one lane, or in all that are
/// not behind.
async fn distribute(
    app: &App,
    above: Position,
    entries: &[Arc<Entry>],
    only: Option<&Lane>,
) -> Result<(), ReadError> {
    if entries.is_empty() || app.wakes.book.devices() == 0 {
        return Ok(());
    }
    let logs: HashSet<LogName> = entries.iter().flat_map(|entry| entry.addresses.logs()).collect();
    let reading = app.clone();
    let known = blocking(move || {
        let of_log = |log: LogName| {
            let devices = reading.wakes.book.of_log(&log, "", DEVICES)?;
            Ok::<_, ReadError>((log, devices))
        };
        logs.into_iter().map(of_log).collect::<Result<HashMap<_, _>, _>>()
    })
    .await?;
    // Those of very many devices go through the page log by log, so that each device is read once.
    let above = known.values().any(|(_, more)| more.is_some()).then_some(above);
    let telling = entries.iter().filter_map(|entry| Telling::new(app, entry, above, only));
    let telling: Vec<Telling<'_>> = telling.collect();
    for telling in &telling {
        for log in telling.entry.addresses.logs() {
            if let Some((devices, _)) = known.get(&log) {
                telling.tell(&log, devices).await;
            }
        }
    }
    for (log, (_, more)) in known {
        let mut after = more;
        while let Some(at) = after {
            let (reading, name) = (app.clone(), log.clone());
            let read = move || reading.wakes.book.of_log(&name, &at, DEVICES);
            let (devices, more) = blocking(read).await?;
            for telling in telling.iter().filter(|it| it.entry.addresses.includes(&log)) {
                telling.tell(&log, &devices).await;
            }
            after = more;
        }
    }
    Ok(())
}

/// One entry, and what is told of it.
struct Telling<'a> {
    app: &'a App,
    entry: &'a Entry,
    meta: Meta,
    told: Told<'a>,
    only: Option<&'a Lane>,
    /// A lane that has no room has done everything up to here.
    done: Position,
}

impl<'a> Telling<'a> {
    /// None if nobody is told of it. With `above`, entries above that are not told in their order.
    fn new(
        app: &'a App,
        entry: &'a Entry,
        above: Option<Position>,
        only: Option<&'a Lane>,
    ) -> Option<Self> {
        let meta =
            Meta { id: entry.id.clone(), time: entry.time, subprotocol: Some(entry.subprotocol) };
        let told = app.rules.told(&entry.action, &meta);
        let before = || Position::new(entry.position.get().saturating_sub(1)).unwrap_or_default();
        let done = above.unwrap_or_else(before);
        (!matches!(told, Told::Nothing)).then_some(Self { app, entry, meta, told, only, done })
    }

    async fn tell(&self, log: &LogName, devices: &[Device]) {
        let (app, entry, at) = (self.app, self.entry, (log, self.entry.position));
        for device in devices {
            let own = entry.id.node.client_str() == device.client.as_str();
            let elsewhere =
                self.only.is_some_and(|lane| !app.wakes.lanes.serves(lane, &device.target));
            if own || elsewhere || entry.position <= device.since {
                continue;
            }
            let message = match &self.told {
                Told::Message(shown) => {
                    shown.message(&entry.action, &self.meta, device.language.as_deref())
                }
                Told::Silent | Told::Nothing => None,
            };
            match self.only {
                Some(lane) => lane.add_patiently(device, at, message.as_ref()).await,
                None => app.wakes.lanes.add(
                    app,
                    device,
                    (log, self.entry.position, self.done),
                    message.as_ref(),
                ),
            }
        }
    }
}
