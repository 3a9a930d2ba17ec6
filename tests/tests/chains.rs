//! Who missed a long chain of a channel's actions gets what they add up to: the author's own devices as well as
//! others', whether rules fold it or compaction has, by WebSocket and by HTTP, once and without a gap.
//!
//! Each reader counts in the order in which it was told, and once more in the order of times, as stores do.

#![expect(clippy::indexing_slicing, reason = "a value of JSON that is not there is null")]

use anyhow::{Context, anyhow, ensure};
use serde_json::{Value, json};
use tidelog_client_sim::client::Target;
use tidelog_client_sim::now_ms;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{Form, Meta};
use tidelog_tests::{Device, Options, Phone, Server, tidelog};

/// Enough that a page should not be told of each.
const LONG: u64 = 10_000;
const PUSHED_AT_ONCE: u64 = 1_000;
const NOTE: &str = r#"{"type":"note"}"#;
const SUBSCRIBE: &str = r#"{"type":"logux/subscribe","channel":"board"}"#;
const JSON: &str = "Content-Type: application/json";
/// Between the times of what is pushed in turn: more than clocks are mended by.
const ROUND_MS: u64 = 60_000;

fn config(own_log: bool, channel: &str) -> String {
    format!(
        "[[action]]\ntype = \"crdt/*\"\nchannels = [\"board\"]\nown_log = {own_log}\n\
         [[action]]\ntype = \"note\"\n\
         [[channel]]\npattern = \"board\"\n{channel}\n\
         [compaction]\nactions = [\"crdt/*\"]\nevery = \"never\"\n[log]\ntail_bytes = \"64KiB\"\n"
    )
}

/// When a page names what it follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mounts {
    AtOnce,
    Later,
}

struct World {
    server: Server,
    readers: Vec<Reader>,
    author: &'static str,
    /// How often somebody counted one.
    value: u64,
    time: u64,
}

struct Reader {
    name: String,
    user: &'static str,
    way: Way,
}

enum Way {
    Page(Box<Device>),
    Phone(Phone),
}

impl Way {
    /// What it was told, in order.
    fn told(&self) -> anyhow::Result<Vec<(Value, Meta)>> {
        match self {
            Self::Page(device) => told_to(device),
            Self::Phone(phone) => Ok(phone.told.clone()),
        }
    }
}

fn told_to(device: &Device) -> anyhow::Result<Vec<(Value, Meta)>> {
    let told = device.told.iter().flatten();
    told.map(|(action, meta)| Ok((serde_json::from_slice(action.json())?, meta.clone()))).collect()
}

/// Another device of its user writes a note, and it hears of it, and so of all before that.
async fn has_own_log(server: &Server, device: &mut Device) -> anyhow::Result<()> {
    let mut other = Phone::new(device.node().user_str().context("a user")?, "other", &[])?;
    let note = other.dispatch(json!({ "type": "note" }));
    other.sync(server).await?;
    device.until_heard(&note).await
}

fn said(device: &Device) -> String {
    let told = told_to(device).unwrap_or_default();
    let kinds: Vec<_> = told.iter().map(|(action, _)| action["type"].to_string()).collect();
    format!("shows {:?} of {}", shown(told), kinds.join(" "))
}

/// What a reader shows that goes by the order in which it was told, and what one that goes by times.
fn shown(mut told: Vec<(Value, Meta)>) -> [u64; 2] {
    let value = |told: &[(Value, Meta)]| {
        told.iter().fold(0, |value, (action, _)| match action["type"].as_str() {
            Some("crdt/state") => action["state"]["value"].as_u64().unwrap_or_default(),
            Some("crdt/counter/add") => value + 1,
            _ => value,
        })
    };
    let as_told = value(&told);
    told.sort_by_key(|(_, meta)| (meta.time, meta.id.node.to_string(), meta.id.sequence));
    [as_told, value(&told)]
}

impl World {
    async fn new(config: String, author: &'static str) -> anyhow::Result<Self> {
        let server = Server::start_with(Options { config, ..Options::default() }).await?;
        let time = now_ms() - 1_000 * ROUND_MS;
        Ok(Self { server, readers: Vec::new(), author, value: 0, time })
    }

    /// A device of the author counts so many.
    async fn count(&mut self, many: u64) -> anyhow::Result<()> {
        self.time += ROUND_MS;
        let headers = [&format!("Authorization: Bearer {}", self.author), JSON];
        let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 1 });
        let all: Vec<_> = (0..many)
            .map(|nth| {
                let ms = self.time + nth;
                json!([action, { "id": format!("{ms} {}:desk:1 0", self.author), "time": ms }])
            })
            .collect();
        for actions in all.chunks(usize::try_from(PUSHED_AT_ONCE)?) {
            let body = json!({ "actions": actions }).to_string();
            let answer = self.server.request("POST", "/v1/log", &headers, &body).await?;
            ensure!(answer.status == 200 && !answer.body.contains("undone"), "{answer:?}");
        }
        self.value += many;
        Ok(())
    }

    /// Each reader counts one while it is away.
    async fn count_while_away(&mut self) -> anyhow::Result<()> {
        for reader in &mut self.readers {
            let action = json!({ "type": "crdt/counter/add", "doc": "likes", "by": 1 });
            match &mut reader.way {
                Way::Page(device) => drop(device.dispatch(&action.to_string()).await?),
                Way::Phone(phone) => drop(phone.dispatch(action)),
            }
            self.value += 1;
        }
        Ok(())
    }

    /// A page and a phone of each of two users begin to follow the board.
    fn come_new(&mut self, name: &str) -> anyhow::Result<()> {
        let spoken = [(Version::V5, Form::Text), (Version::V7, Form::Binary)];
        for (user, (version, form)) in ["ann", "bob"].into_iter().zip(spoken) {
            let target = Target { version, form, ..self.server.target() };
            let mut device = Device::new(target, user, name)?;
            device.told = Some(Vec::new());
            let phone = Phone::new(user, &format!("{name}-phone"), &["board"])?;
            for way in [Way::Page(Box::new(device)), Way::Phone(phone)] {
                self.readers.push(Reader { name: name.to_owned(), user, way });
            }
        }
        Ok(())
    }

    /// Pages come back, and then name what they follow: at once, like a stock client whose page lives on, or when
    /// they have had their user's log.
    async fn connect(&mut self, mounts: Mounts) -> anyhow::Result<()> {
        for reader in &mut self.readers {
            let Way::Page(device) = &mut reader.way else { continue };
            if device.is_online() {
                continue;
            }
            device.connect().await?;
            if mounts == Mounts::Later {
                has_own_log(&self.server, device).await?;
            }
            device.dispatch(SUBSCRIBE).await?;
        }
        Ok(())
    }

    /// What was made while away is at the server.
    async fn all_have_sent(&mut self) -> anyhow::Result<()> {
        for reader in &mut self.readers {
            match &mut reader.way {
                Way::Page(device) => device.until_acknowledged().await?,
                Way::Phone(phone) => phone.sync(&self.server).await?,
            }
        }
        Ok(())
    }

    fn go_offline(&mut self) {
        for reader in &mut self.readers {
            if let Way::Page(device) = &mut reader.way {
                device.go_offline();
            }
        }
    }

    /// Each reader comes to show what there is.
    async fn all_show_it(&mut self) -> anyhow::Result<()> {
        let expected = [self.value; 2];
        for Reader { name, way, .. } in &mut self.readers {
            match way {
                Way::Page(device) => {
                    let shows = |device: &Device| {
                        device.is_acknowledged()
                            && told_to(device).is_ok_and(|told| shown(told) == expected)
                    };
                    let done = device.until("the value", shows).await;
                    done.map_err(|_| anyhow!("{name}: {}", said(device)))?;
                    // The server has its acknowledgements then, too.
                    device.dispatch(NOTE).await?;
                    device.until_acknowledged().await?;
                }
                Way::Phone(phone) => {
                    phone.sync(&self.server).await?;
                    let shown = shown(phone.told.clone());
                    ensure!(shown == expected, "phone {name} shows {shown:?}, not {expected:?}");
                }
            }
        }
        Ok(())
    }

    /// How many states, and how many actions, each of the readers called so was told; those of the author, who may
    /// have them by their own log, too.
    fn were_told(
        &self,
        name: &str,
        others: (usize, usize),
        authors: Option<usize>,
    ) -> anyhow::Result<()> {
        for (at, reader) in self.readers.iter().enumerate().filter(|(_, it)| it.name == name) {
            let told = reader.way.told()?;
            let count = |kind: &str| told.iter().filter(|(it, _)| it["type"] == kind).count();
            let (states, actions) = (count("crdt/state"), count("crdt/counter/add"));
            // A state under which something is that came by that log before comes anew.
            let expected = match authors.filter(|_| reader.user == self.author) {
                Some(actions) => (states.max(others.0), actions),
                None => others,
            };
            let told = (states, actions);
            ensure!(told == expected, "reader {at}, {name}: {told:?}, not {expected:?}");
        }
        Ok(())
    }

    async fn compact(&self) -> anyhow::Result<u64> {
        let data = self.server.data().to_str().context("a path that is no text")?;
        let ran = tidelog(["compact", "--older-than", "1ms", "--data", data]).await?;
        ensure!(ran.good, "{ran:?}");
        serde_json::from_str::<Value>(&ran.out)?["compacted"].as_u64().context("a receipt")
    }
}

#[tokio::test]
async fn a_long_chain_of_a_channel_is_one_state_for_its_authors_devices_too() -> anyhow::Result<()>
{
    let mut world = World::new(config(false, "load = \"state\"\nsquash = 100"), "ann").await?;
    world.count(5).await?;
    world.come_new("early")?;
    world.connect(Mounts::AtOnce).await?;
    world.all_show_it().await?;
    world.were_told("early", (1, 0), None)?;
    world.go_offline();
    world.count(LONG).await?;
    world.come_new("late")?;
    world.connect(Mounts::AtOnce).await?;
    world.all_show_it().await?;
    world.were_told("early", (2, 0), None)?;
    world.were_told("late", (1, 0), None)?;
    // What comes then comes once.
    world.count(1).await?;
    world.all_show_it().await?;
    world.were_told("early", (2, 1), None)?;
    world.were_told("late", (1, 1), None)?;
    follows_nothing(&world.server).await
}

/// A device of the author that does not follow the board is told nothing of it.
async fn follows_nothing(server: &Server) -> anyhow::Result<()> {
    let mut device = Device::new(server.target(), "ann", "elsewhere")?;
    device.told = Some(Vec::new());
    device.connect().await?;
    has_own_log(server, &mut device).await?;
    let mut phone = Phone::new("ann", "phone", &[])?;
    phone.sync(server).await?;
    for told in [told_to(&device)?, phone.told] {
        ensure!(told.iter().all(|(action, _)| action["type"] == "note"), "{told:?}");
    }
    Ok(())
}

/// Those whose place in the channel lies below what was compacted, and those whose place does not, come back, and
/// come back again.
async fn comes_back_to_what_was_compacted(
    own_log: bool,
    load: &str,
    author: &'static str,
) -> anyhow::Result<()> {
    let mut world = World::new(config(own_log, &format!("load = \"{load}\"")), author).await?;
    // What a new reader is told of so many.
    let first = |many| if load == "state" { (1, 0) } else { (0, many) };
    let by_own_log = |many| own_log.then_some(many);
    for (name, many) in [("below", 20), ("above", 40)] {
        world.count(20).await?;
        world.come_new(name)?;
        let mut others = world.readers.split_off(world.readers.len() - 4);
        std::mem::swap(&mut world.readers, &mut others);
        world.connect(Mounts::AtOnce).await?;
        world.all_show_it().await?;
        world.go_offline();
        world.readers.append(&mut others);
        world.were_told(name, first(many), by_own_log(many))?;
    }
    ensure!(world.compact().await? == 40, "all goes");
    world.count(3).await?;
    world.come_new("fresh")?;
    for _ in 0..2 {
        world.connect(Mounts::AtOnce).await?;
        world.all_show_it().await?;
        world.go_offline();
    }
    world.connect(Mounts::AtOnce).await?;
    world.count(1).await?;
    world.all_show_it().await?;
    let (states, actions) = first(40);
    world.were_told("above", (states, actions + 4), by_own_log(44))?;
    let (states, actions) = first(20);
    world.were_told("below", (states + 1, actions + 4), by_own_log(24))?;
    world.were_told("fresh", if load == "state" { (1, 1) } else { (1, 4) }, by_own_log(4))
}

/// What a reader has before it hears of a compaction, made by itself or told by its user's log, is above what
/// was compacted, and shows all the same.
async fn shows_what_it_had(own_log: bool, load: &str, mounts: Mounts) -> anyhow::Result<()> {
    let mut world = World::new(config(own_log, &format!("load = \"{load}\"")), "ann").await?;
    world.count(20).await?;
    world.come_new("away")?;
    world.connect(Mounts::AtOnce).await?;
    world.all_show_it().await?;
    world.go_offline();
    world.count(20).await?;
    ensure!(world.compact().await? == 40, "all goes");
    world.count_while_away().await?;
    world.count(3).await?;
    world.come_new("fresh")?;
    world.connect(mounts).await?;
    world.all_have_sent().await?;
    world.all_show_it().await
}

#[tokio::test]
async fn who_reads_on_over_a_compaction_gets_what_went_and_the_rest_once() -> anyhow::Result<()> {
    for load in ["log", "state"] {
        for (own_log, author) in [(true, "cid"), (true, "ann"), (false, "ann")] {
            let done = comes_back_to_what_was_compacted(own_log, load, author).await;
            done.with_context(|| format!("{load}, {author}, own_log = {own_log}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_went_does_not_hide_what_a_reader_had() -> anyhow::Result<()> {
    for load in ["log", "state"] {
        for own_log in [true, false] {
            let done = shows_what_it_had(own_log, load, Mounts::AtOnce).await;
            done.with_context(|| format!("{load}, own_log = {own_log}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_went_does_not_hide_what_came_by_the_users_log() -> anyhow::Result<()> {
    for load in ["log", "state"] {
        for own_log in [true, false] {
            let done = shows_what_it_had(own_log, load, Mounts::Later).await;
            done.with_context(|| format!("{load}, own_log = {own_log}"))?;
        }
    }
    Ok(())
}
