//! Two people's devices share a board that is loaded as documents, by WebSocket in protocols 5 and 7 and by HTTP,
//! their clocks hours apart. They disconnect, reload and retry, the server is stopped and killed, which pages live
//! through or not, and its store compacted, more than once. In the end the screen of each device, which goes by nothing but what it did and
//! was told, in the order of the times of that, shows what the server says and what an oracle makes of all that
//! was done.
//!
//! `TIDELOG_SEED` repeats a run; `TIDELOG_SCREEN_STEPS` says how long one is.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a value of JSON that is not there is null, and the oracle is written for tests"
)]

#[path = "../../crdt/tests/oracle/meaning.rs"]
mod meaning;
#[path = "../../crdt/tests/oracle/order.rs"]
mod order;

use anyhow::{Context, anyhow, ensure};
use meaning::Event;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use tidelog_client_sim::client::Target;
use tidelog_client_sim::now_ms;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{ActionId, Form, NodeId};
use tidelog_tests::{Chance, Device, Options, Phone, Server, tidelog, within};

const CONFIG: &str = r#"
[[action]]
type = "crdt/*"
channels = ["board"]

[[channel]]
pattern = "board"
load = "state"
squash = 15

[compaction]
actions = ["crdt/*"]
every = "never"

[log]
tail_bytes = "64KiB"
"#;
const SPOKEN: [(Version, Form); 3] =
    [(Version::V5, Form::Text), (Version::V7, Form::Text), (Version::V7, Form::Binary)];
/// How far the clock of the first phone is behind, and that of the second ahead.
const BEHIND_MS: u64 = 3_600_000;
const AHEAD_MS: u64 = 5 * 3_600_000;
/// How long an action takes on their clocks.
const ACTION_MS: u64 = 2_000;
const DOCS: [&str; 2] = ["a", "b"];

/// What a device did and was told, by its place in the order of times: that of Logux clients. Of what comes again
/// under a name that they have they keep the first.
type Told = BTreeMap<(u64, String, u64, u64), Value>;

fn key(id: &ActionId, time: u64) -> (u64, String, u64, u64) {
    (time, id.node.to_string(), id.sequence, id.ms)
}

/// What a screen shows of a document: a reducer, as an application may have one.
fn shown(told: &Told, doc: &str) -> Value {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    let mut title = Value::Null;
    let (mut tags, mut seen): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for action in told.values().filter(|action| action["doc"] == doc) {
        let place = text(&action["path"][0]);
        match action["type"].as_str().unwrap_or_default() {
            "crdt/state" => {
                let keys = &action["state"]["keys"];
                let counter = |(key, place): (&String, &Value)| {
                    (place["kind"] == "counter")
                        .then(|| (key.clone(), place["value"].as_i64().unwrap()))
                };
                counts = keys.as_object().into_iter().flatten().filter_map(counter).collect();
                title = keys["title"]["value"].clone();
                let set =
                    |key| keys[key]["value"].as_array().into_iter().flatten().map(text).collect();
                (tags, seen) = (set("tags"), set("seen"));
            }
            "crdt/counter/add" => {
                *counts.entry(place).or_default() += action["by"].as_i64().unwrap();
            }
            "crdt/register/set" => title = action["value"].clone(),
            "crdt/grow-set/add" => drop(seen.insert(text(&action["value"]))),
            "crdt/lww-set/add" => drop(tags.insert(text(&action["value"]))),
            "crdt/lww-set/remove" => drop(tags.remove(&text(&action["value"]))),
            _ => {}
        }
    }
    let mut value: Map<String, Value> =
        counts.into_iter().map(|(key, count)| (key, count.into())).collect();
    if !title.is_null() {
        value.insert("title".to_owned(), title);
    }
    for (key, set) in [("tags", tags), ("seen", seen)] {
        if !set.is_empty() {
            value.insert(key.to_owned(), set.into_iter().collect());
        }
    }
    if value.is_empty() { Value::Null } else { value.into() }
}

enum Author {
    Page { device: Box<Device>, number: usize, reloads: usize },
    Phone(Clocked),
}

/// Its clock is its own, and an action takes long on it.
struct Clocked {
    phone: Phone,
    clock_ms: u64,
    made: u64,
}

impl Clocked {
    fn act(&mut self, action: &Value) -> ActionId {
        self.made += 1;
        self.clock_ms += ACTION_MS;
        let node = self.phone.node().clone();
        let id = ActionId { node, ms: self.clock_ms, sequence: self.made };
        self.phone.dispatch_as(action.clone(), id.clone());
        id
    }
}

impl Author {
    /// What it shows instead of `expected`, and why.
    fn differs(&self, expected: &[Value; 2]) -> String {
        let told = self.told();
        let mut text = String::new();
        for (doc, expected) in DOCS.iter().zip(expected) {
            let shown = shown(&told, doc);
            if shown == *expected {
                continue;
            }
            let _ = write!(text, "of {doc}: {shown}, not {expected}; ");
            for (key, action) in told.iter().filter(|(_, action)| action["doc"] == *doc) {
                let _ = write!(text, "\n{key:?} {action}");
            }
        }
        text
    }

    fn told(&self) -> Told {
        match self {
            Self::Page { device, .. } => told_to(device),
            Self::Phone(Clocked { phone, .. }) => told_to_phone(phone),
        }
    }
}

fn told_to(device: &Device) -> Told {
    let mut names = BTreeSet::new();
    let told = device.told.iter().flatten().filter(|(_, meta)| names.insert(&meta.id));
    told.map(|(action, meta)| {
        (key(&meta.id, meta.time), serde_json::from_slice(action.json()).unwrap())
    })
    .collect()
}

fn told_to_phone(phone: &Phone) -> Told {
    let mut names = BTreeSet::new();
    let told = phone.told.iter().filter(|(_, meta)| names.insert(&meta.id));
    told.map(|(action, meta)| (key(&meta.id, meta.time), action.clone())).collect()
}

struct World {
    server: Server,
    authors: Vec<Author>,
    made: Vec<Event>,
    compacted: u64,
    chance: Chance,
}

impl World {
    async fn new() -> anyhow::Result<Self> {
        let options = Options { config: CONFIG.to_owned(), ..Options::default() };
        let server = Server::start_with(options).await?;
        let mut authors = Vec::new();
        for number in 0..4 {
            authors.push(page(&server, number, 0)?);
        }
        for (user, clock_ms) in [("ann", now_ms() - BEHIND_MS), ("bob", now_ms() + AHEAD_MS)] {
            let phone = Phone::new(user, "phone", &["board"])?;
            authors.push(Author::Phone(Clocked { phone, clock_ms, made: 0 }));
        }
        Ok(Self { server, authors, made: Vec::new(), compacted: 0, chance: Chance::seeded() })
    }

    fn pick(&mut self, of: usize) -> usize {
        usize::try_from(self.chance.below(of as u64)).unwrap()
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let author = self.pick(self.authors.len());
        match self.pick(100) {
            0..50 => self.act(author).await,
            50..70 => self.take_in(author).await,
            70..88 => self.come_or_go(author).await,
            88..94 => self.reload(author),
            94..96 => self.compact().await,
            96..98 => {
                self.server.stop().await?;
                self.server.start_again().await
            }
            _ => self.kill().await,
        }
    }

    /// With the server goes what it knew of pages in the last second: these live on, and come back at once or later; or
    /// they send what they have, and are loaded again.
    async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.kill().await?;
        self.server.start_again().await?;
        let live_on = self.pick(3) > 0;
        for author in 0..self.authors.len() {
            if let Author::Page { device, .. } = &mut self.authors[author] {
                device.go_offline();
            }
            if live_on && self.pick(2) == 0 {
                continue;
            }
            self.connect(author).await?;
            if live_on {
                continue;
            }
            if let Author::Page { device, .. } = &mut self.authors[author] {
                device.until_acknowledged().await?;
            }
            self.reload(author)?;
        }
        Ok(())
    }

    async fn act(&mut self, author: usize) -> anyhow::Result<()> {
        let doc = DOCS[self.pick(DOCS.len())];
        let by = i64::try_from(self.chance.below(9)).unwrap() - 4;
        let value = format!("v{}", self.pick(4));
        // A page mends its clock at each connection, to within a round trip. So what the time decides is left to
        // phones, whose clocks are far apart.
        let of = if matches!(self.authors[author], Author::Phone(_)) { 6 } else { 3 };
        let mut action = match self.pick(of) {
            0 | 1 => {
                json!({ "type": "crdt/counter/add", "path": [format!("n{}", self.pick(2))], "by": by })
            }
            2 => json!({ "type": "crdt/grow-set/add", "path": ["seen"], "value": value }),
            3 => json!({ "type": "crdt/register/set", "path": ["title"], "value": value }),
            4 => json!({ "type": "crdt/lww-set/add", "path": ["tags"], "value": value }),
            _ => json!({ "type": "crdt/lww-set/remove", "path": ["tags"], "value": value }),
        };
        action["doc"] = doc.into();
        let (id, time) = match &mut self.authors[author] {
            Author::Page { device, .. } => {
                let id = device.dispatch(&action.to_string()).await?;
                let (_, meta) = device.told.iter().flatten().last().context("it was made")?;
                (id, meta.time)
            }
            Author::Phone(phone) => {
                let id = phone.act(&action);
                (id.clone(), id.ms)
            }
        };
        let name = (1, self.made.len() as u64 + 1);
        self.made.push(Event {
            names: [name].into(),
            seen: [].into(),
            stamp: key(&id, time),
            action,
        });
        Ok(())
    }

    async fn take_in(&mut self, author: usize) -> anyhow::Result<()> {
        match &mut self.authors[author] {
            Author::Page { device, .. } => device.take_some(5).await,
            Author::Phone(of) => of.phone.sync(&self.server).await,
        }
    }

    async fn come_or_go(&mut self, author: usize) -> anyhow::Result<()> {
        match &mut self.authors[author] {
            Author::Page { device, .. } if device.is_online() => device.go_offline(),
            _ => self.connect(author).await?,
        }
        Ok(())
    }

    /// Like a stock client: what was made offline first, and then the subscription.
    async fn connect(&mut self, author: usize) -> anyhow::Result<()> {
        if let Author::Page { device, .. } = &mut self.authors[author] {
            device.connect().await?;
            device.follow("board").await?;
        }
        Ok(())
    }

    /// A page that keeps nothing is loaded again: it knows nothing, and asks for everything.
    fn reload(&mut self, author: usize) -> anyhow::Result<()> {
        if let Author::Page { device, number, reloads } = &self.authors[author]
            && device.is_acknowledged()
        {
            self.authors[author] = page(&self.server, *number, *reloads + 1)?;
        }
        Ok(())
    }

    async fn compact(&mut self) -> anyhow::Result<()> {
        let data = self.server.data().to_str().context("a path that is no text")?;
        let ran = tidelog(["compact", "--older-than", "1ms", "--data", data]).await?;
        ensure!(ran.good, "{ran:?}");
        let receipt: Value = serde_json::from_str(&ran.out)?;
        self.compacted += receipt["compacted"].as_u64().unwrap_or_default();
        Ok(())
    }

    /// Everybody sends what they have, and comes to show `documents`.
    async fn settle(&mut self) -> anyhow::Result<()> {
        for author in 0..self.authors.len() {
            if let Author::Page { device, .. } = &mut self.authors[author] {
                device.go_offline();
            }
            self.connect(author).await?;
            match &mut self.authors[author] {
                Author::Page { device, .. } => device.until_acknowledged().await?,
                Author::Phone(of) => of.phone.sync(&self.server).await?,
            }
        }
        let expected = self.expected();
        for author in 0..self.authors.len() {
            let screen = |told: &Told| DOCS.map(|doc| shown(told, doc));
            let shows = match &mut self.authors[author] {
                Author::Page { device, .. } => {
                    let shows = |device: &Device| screen(&told_to(device)) == expected;
                    device.until("the screen of a page", shows).await
                }
                Author::Phone(Clocked { phone, .. }) => {
                    let syncing = async {
                        while screen(&told_to_phone(phone)) != expected {
                            phone.sync(&self.server).await?;
                        }
                        anyhow::Ok(())
                    };
                    within("the screen of a phone", syncing).await.and_then(|done| done)
                }
            };
            let of = &self.authors[author];
            shows.map_err(|_| anyhow!("author {author} shows {}", of.differs(&expected)))?;
        }
        for (doc, expected) in DOCS.iter().zip(expected) {
            let path = format!("/v1/docs/{doc}?channel=board");
            let answer = self.server.get(&path, &["Authorization: Bearer ann"]).await?;
            let value = serde_json::from_str::<Value>(&answer.body)?["value"].take();
            ensure!(value == expected, "the server says of {doc}: {value}, not {expected}");
        }
        Ok(())
    }

    /// What the oracle makes of all that was done.
    fn expected(&self) -> [Value; 2] {
        DOCS.map(|doc| {
            let of = self.made.iter().filter(|event| event.action["doc"] == doc);
            meaning::value(&of.cloned().collect::<Vec<_>>())
        })
    }
}

/// The page of a device: each time it is loaded it has another name.
fn page(server: &Server, number: usize, reloads: usize) -> anyhow::Result<Author> {
    let (version, form) = SPOKEN[number % SPOKEN.len()];
    let target = Target { version, form, ..server.target() };
    let user = ["ann", "bob"][number / 2];
    let node = NodeId::new(&format!("{user}:page{number}:tab{reloads}"))?;
    let mut device = Device::with_node(target, node);
    device.told = Some(Vec::new());
    Ok(Author::Page { device: Box::new(device), number, reloads })
}

#[tokio::test]
async fn every_screen_shows_what_the_server_and_the_oracle_say() -> anyhow::Result<()> {
    let mut world = World::new().await?;
    let steps = Chance::rounds("TIDELOG_SCREEN_STEPS", 150);
    for step in 0..steps {
        world.step().await?;
        if step == steps / 2 {
            world.compact().await?;
        }
    }
    world.settle().await?;
    ensure!(world.compacted > 0, "nothing was compacted");
    // Who lives on is told what comes.
    for author in 0..world.authors.len() {
        world.act(author).await?;
    }
    world.settle().await?;
    world.kill().await?;
    world.settle().await
}
