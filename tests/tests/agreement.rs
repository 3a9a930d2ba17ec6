//! Several people edit one document, by WebSocket in every protocol and by HTTP, offline, reloaded, and
//! while the server is killed under them. In the end everybody has heard everything, nobody is said to
//! have seen what they had not, and the document is what an oracle makes of the log, also when each has
//! taken something back.
//!
//! `TIDELOG_SEED` repeats a run; `TIDELOG_DOCUMENT_STEPS` says how long one is.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the oracle is written for tests, where what is not there is a failure"
)]

#[path = "../../crdt/tests/oracle/acting.rs"]
mod acting;
#[path = "../../crdt/tests/oracle/meaning.rs"]
mod meaning;
#[path = "../../crdt/tests/oracle/order.rs"]
mod order;

use anyhow::{Context, ensure};
use meaning::{Event, Name};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tidelog_client_sim::client::Target;
use tidelog_crdt::Document;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{ActionId, Form};
use tidelog_tests::{Chance, Device, LATER_MS, Line, Phone, Server};

const USER: &str = "ann";
const BEARER: &str = "Authorization: Bearer ann";
const SPOKEN: [(Version, Form); 4] = [
    (Version::V4, Form::Text),
    (Version::V5, Form::Text),
    (Version::V7, Form::Text),
    (Version::V7, Form::Binary),
];

/// Somebody who edits.
enum Author {
    Page(Box<Device>),
    /// What it makes it sends before it pulls.
    Phone(Phone),
}

impl Author {
    /// What it did and heard.
    fn known(&self) -> impl Iterator<Item = &ActionId> {
        let (page, phone) = match self {
            Self::Page(device) => (Some(device.dispatched.iter().chain(&device.heard)), None),
            Self::Phone(phone) => (None, Some(phone.known())),
        };
        page.into_iter().flatten().chain(phone.into_iter().flatten())
    }
}

/// An action, when it was made.
struct Made {
    event: Event,
    /// What its author had heard or made by then; for one that was sent again on a later connection,
    /// by the begin of that, since nobody knows better.
    known: BTreeSet<ActionId>,
}

struct World {
    server: Server,
    authors: Vec<Author>,
    made: BTreeMap<ActionId, Made>,
    chance: Chance,
}

impl World {
    async fn new() -> anyhow::Result<Self> {
        let server = Server::start().await?;
        let pages = SPOKEN.into_iter().enumerate().map(|(number, (version, form))| {
            let target = Target { version, form, ..server.target() };
            let device = Device::new(target, USER, &format!("page{number}"))?;
            anyhow::Ok(Author::Page(Box::new(device)))
        });
        let mut authors: Vec<_> = pages.collect::<Result<_, _>>()?;
        authors.push(Author::Phone(Phone::new(USER, "phone", &[])?));
        Ok(Self { server, authors, made: BTreeMap::new(), chance: Chance::seeded() })
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.chance.below(of as u64)).unwrap()
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let author = self.pick(self.authors.len());
        match self.pick(100) {
            0..50 => self.act(author).await,
            50..75 => self.take_in(author).await,
            75..90 => self.come_or_go(author).await,
            90..96 => self.reload(author),
            _ => {
                self.server.kill().await?;
                self.server.start_again().await
            }
        }
    }

    /// What the author has on the screen: what it heard, and its own.
    fn known(&self, author: usize) -> BTreeSet<ActionId> {
        self.authors[author].known().cloned().collect()
    }

    async fn act(&mut self, author: usize) -> anyhow::Result<()> {
        let known = self.known(author);
        let view: Vec<_> = known.iter().map(|id| self.made[id].event.clone()).collect();
        let what: Vec<u16> = (0..8).map(|_| self.chance.next().to_le_bytes()).map(low).collect();
        let action = acting::action(&what, &view);
        let id = match &mut self.authors[author] {
            Author::Page(device) => device.dispatch(&action.to_string()).await?,
            Author::Phone(phone) => phone.dispatch(action.clone()),
        };
        let stamp = (id.ms, id.node.to_string(), id.sequence, id.ms);
        let event = Event { names: [].into(), seen: [].into(), stamp, action };
        self.made.insert(id, Made { event, known });
        Ok(())
    }

    async fn take_in(&mut self, author: usize) -> anyhow::Result<()> {
        match &mut self.authors[author] {
            Author::Page(device) => device.take_some(5).await,
            Author::Phone(phone) => phone.sync(&self.server).await,
        }
    }

    async fn come_or_go(&mut self, author: usize) -> anyhow::Result<()> {
        if let Author::Page(device) = &mut self.authors[author] {
            if device.is_online() {
                device.go_offline();
            } else {
                self.connect(author).await?;
            }
        }
        Ok(())
    }

    async fn connect(&mut self, author: usize) -> anyhow::Result<()> {
        if let Author::Page(device) = &mut self.authors[author] {
            let waiting = device.dispatched.len() - device.unacknowledged_count();
            for id in &device.dispatched[waiting..] {
                let made = self.made.get_mut(id).context("it was made")?;
                made.known.extend(device.heard.iter().cloned());
            }
            device.connect().await?;
        }
        Ok(())
    }

    /// A page that keeps nothing is loaded again: it knows nothing, and asks for everything.
    fn reload(&mut self, author: usize) -> anyhow::Result<()> {
        if let Author::Page(device) = &mut self.authors[author]
            && device.is_acknowledged()
        {
            let (version, form) = SPOKEN[author];
            let target = Target { version, form, ..self.server.target() };
            **device = Device::new(target, USER, &format!("page{author}"))?;
        }
        Ok(())
    }

    /// Everybody sends what they have, and hears what there is.
    async fn settle(&mut self) -> anyhow::Result<()> {
        for author in 0..self.authors.len() {
            if let Author::Page(device) = &mut self.authors[author] {
                device.go_offline();
            }
            self.connect(author).await?;
            match &mut self.authors[author] {
                Author::Page(device) => device.until_acknowledged().await?,
                Author::Phone(phone) => phone.sync(&self.server).await?,
            }
        }
        let all: BTreeSet<_> = self.made.keys().cloned().collect();
        for author in 0..self.authors.len() {
            match &mut self.authors[author] {
                Author::Page(device) => {
                    let has_all = |device: &Device| {
                        let known: BTreeSet<_> =
                            device.dispatched.iter().chain(&device.heard).collect();
                        known.len() == all.len()
                    };
                    device.until("hearing everything", has_all).await?;
                }
                Author::Phone(phone) => phone.sync(&self.server).await?,
            }
            ensure!(self.known(author) == all, "author {author} has heard something else");
        }
        Ok(())
    }

    /// Each author takes back about half of its own actions; which.
    async fn take_back(&mut self) -> anyhow::Result<BTreeSet<ActionId>> {
        let mut taken = BTreeSet::new();
        for author in 0..self.authors.len() {
            let node = match &self.authors[author] {
                Author::Page(device) => device.node(),
                Author::Phone(phone) => phone.node(),
            };
            let mut own: Vec<_> = self.made.keys().filter(|id| id.node == *node).cloned().collect();
            own.retain(|_| self.chance.below(2) == 0);
            let ids: Vec<_> = own.iter().map(ActionId::to_string).collect();
            let clean = json!({ "type": "0/clean", "ids": ids });
            match &mut self.authors[author] {
                Author::Page(device) => {
                    device.dispatch(&clean.to_string()).await?;
                    device.until_acknowledged().await?;
                }
                Author::Phone(phone) => {
                    phone.ask(&clean);
                    phone.sync(&self.server).await?;
                }
            }
            taken.extend(own);
        }
        Ok(taken)
    }

    /// Each author folds what it did and heard, in that order, as a replica that is told dots and contexts does.
    fn judge_screens(&self, log: &[Line], document: &Value) -> anyhow::Result<()> {
        let entries = log.iter().map(|line| Ok((line.id.parse()?, line.entry()?)));
        let entries: BTreeMap<ActionId, _> = entries.collect::<anyhow::Result<_>>()?;
        for (author, of) in self.authors.iter().enumerate() {
            let mut screen = Document::default();
            for id in of.known() {
                let _ = screen.apply(entries.get(id).context("it is in the log")?);
            }
            ensure!(screen.value() == *document, "author {author} shows {}", screen.value());
        }
        Ok(())
    }

    async fn document(&self) -> anyhow::Result<Value> {
        let answer = self.server.get("/v1/docs/d", &[BEARER]).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(serde_json::from_str::<Value>(&answer.body)?["value"].take())
    }
}

fn low([first, second, ..]: [u8; 8]) -> u16 {
    u16::from_le_bytes([first, second])
}

/// What is in the log, as the oracle takes it.
fn events(log: &[Line]) -> anyhow::Result<BTreeMap<ActionId, Event>> {
    let server = |text: &str| u64::from_str_radix(text, 16);
    let event = |line: &Line| {
        let id: ActionId = line.id.parse()?;
        let (incarnation, position) = line.dot.split_once(':').context("a dot")?;
        let mut seen = BTreeSet::new();
        for (incarnation, ranges) in &line.seen {
            let incarnation = server(incarnation)?;
            let positions = ranges.iter().flat_map(|[first, last]| *first..=*last);
            seen.extend(positions.map(|position| (incarnation, position)));
        }
        let name: Name = (server(incarnation)?, position.parse()?);
        let stamp = (line.time, id.node.to_string(), id.sequence, id.ms);
        let event = Event { names: [name].into(), seen, stamp, action: line.action.clone() };
        anyhow::Ok((id, event))
    };
    log.iter().map(event).collect()
}

/// Nobody is said to have seen what they did not know, but for their own: a page that is loaded again is not told
/// apart from the one before, so what that did counts as soon as it is sent to this one. And those who knew `all` have seen it.
fn judge_contexts(
    events: &BTreeMap<ActionId, Event>,
    made: &BTreeMap<ActionId, Made>,
    last: &BTreeSet<ActionId>,
) -> anyhow::Result<()> {
    for (id, event) in events {
        let seen = events.iter().filter(|(_, other)| event.saw(other)).map(|(id, _)| id);
        let seen: BTreeSet<_> = seen.cloned().collect();
        let known = &made[id].known;
        let claimed: Vec<_> =
            seen.difference(known).filter(|other| other.node != id.node).collect();
        ensure!(claimed.is_empty(), "the author of {id} had not seen {claimed:?}");
        if last.contains(id) {
            let missed: Vec<_> = known.difference(&seen).collect();
            ensure!(missed.is_empty(), "the author of {id} had seen {missed:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn everybody_ends_with_what_the_oracle_says() -> anyhow::Result<()> {
    let mut world = World::new().await?;
    for _ in 0..Chance::rounds("TIDELOG_DOCUMENT_STEPS", 250) {
        world.step().await?;
    }
    world.settle().await?;
    // Everybody knows everything, and makes one more.
    for author in &mut world.authors {
        if let Author::Page(device) = author {
            device.ahead_ms = LATER_MS;
        }
    }
    let before: BTreeSet<_> = world.made.keys().cloned().collect();
    for author in 0..world.authors.len() {
        world.act(author).await?;
    }
    world.settle().await?;
    let last = world.made.keys().filter(|id| !before.contains(id)).cloned().collect();
    let document = world.document().await?;
    world.server.kill().await?;
    let log = world.server.log(&["--user", USER]).await?;
    let events = events(&log)?;
    ensure!(events.keys().eq(world.made.keys()), "the log has something else");
    judge_contexts(&events, &world.made, &last)?;
    let all: Vec<Event> = events.values().cloned().collect();
    ensure!(document == meaning::value(&all), "{document}");
    world.judge_screens(&log, &document)?;
    world.server.start_again().await?;
    ensure!(document == world.document().await?, "another document after a start");
    judge_what_is_left(world, events).await
}

/// What is taken back leaves the document, and does not come back.
async fn judge_what_is_left(
    mut world: World,
    mut events: BTreeMap<ActionId, Event>,
) -> anyhow::Result<()> {
    for author in 0..world.authors.len() {
        world.connect(author).await?;
    }
    let taken = world.take_back().await?;
    events.retain(|id, _| !taken.contains(id));
    let left: Vec<Event> = events.into_values().collect();
    let value = meaning::value(&left);
    ensure!(world.document().await? == value, "of {taken:?} something is left");
    world.server.kill().await?;
    world.server.start_again().await?;
    ensure!(world.document().await? == value, "of {taken:?} something came back");
    Ok(())
}
