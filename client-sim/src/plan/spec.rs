//! What a scenario file says.

use super::Goal;
use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tidelog_protocol::Form;
use tidelog_protocol::codec::Version;
use toml::{Table, Value};

/// A scenario: groups of devices that behave alike, and what happens to all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// What it shows, in a sentence or two.
    #[serde(default)]
    pub about: String,
    /// What all chance comes from: the same seed makes the same plan.
    #[serde(default = "Spec::seed")]
    pub seed: u64,
    /// How long the devices act, in seconds.
    pub seconds: f64,
    /// How long everybody may take after that to have everything, in seconds.
    #[serde(default = "Spec::patience")]
    pub patience: f64,
    /// The users whose whole log is read back at the end, at most.
    #[serde(default = "Spec::audit")]
    pub audit: u32,
    /// Devices that behave alike.
    #[serde(rename = "group")]
    pub groups: Vec<Group>,
    /// What happens to all of them.
    #[serde(default, rename = "event", skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What the run is meant to reach.
    #[serde(default, rename = "goal", skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<Goal>,
    /// A group whose work is measured before the clock starts, done by few at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// Devices that behave alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// What it is called; user names begin with it.
    pub name: String,
    /// How many users.
    pub users: u32,
    /// How many devices each of them has.
    pub devices: u32,
    /// What the devices speak, in turns: `4`, `5`, `7`, `7-binary`, `http`.
    pub protocol: Vec<Protocol>,
    /// How they connect again and how they send what they have: `stock` or `better`.
    pub behaviour: Behaviour,
    /// They are online, and know everything, before the clock starts.
    pub before: bool,
    /// When they want to be online, in seconds.
    pub online_at: f64,
    /// Over how many seconds that is spread.
    pub online_within: f64,
    /// Actions that each made while it was offline.
    pub own: u32,
    /// Actions that each user has in the log already, made by another device.
    pub missed: u32,
    /// How long ago the offline work began, in days.
    pub days: f64,
    /// Actions a second that each device makes while the scenario lasts.
    pub rate: f64,
    /// Bytes of an action.
    pub bytes: u32,
    /// Fields that the devices of a user edit; the fewer, the more of their edits are in conflict.
    pub fields: u32,
    /// A channel that they follow.
    pub follow: Option<String>,
    /// A channel that they send to.
    pub send_to: Option<String>,
    /// The share of their actions that the server's rules refuse.
    pub refused: f64,
    /// Seconds between two exchanges of a device that speaks HTTP.
    pub poll: f64,
    /// Seconds after which a device moves to the next of the servers, on average.
    pub move_every: f64,
    /// Bytes a second that a device reads at most; 0 for as many as there are.
    pub read_bytes_per_second: u32,
    /// What the network does to them.
    pub network: Network,
}

/// What the network does to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// One way, in ms.
    pub latency: f64,
    /// How much more it may be, in ms.
    pub jitter: f64,
    /// The share of packets that are lost, and sent again by TCP.
    pub loss: f64,
    /// Seconds after which a connection breaks, on average; 0 for never.
    pub cut_every: f64,
    /// Seconds after which a connection falls silent without an end, on average; 0 for never.
    pub half_open_every: f64,
    /// Seconds that it then stays silent, until the device notices that its network has changed.
    pub half_open_for: f64,
}

/// What happens to all devices.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, in seconds.
    pub at: f64,
    /// What.
    #[serde(rename = "do")]
    pub what: Happening,
    /// For how many seconds, where it lasts.
    #[serde(default, rename = "for")]
    pub lasts: f64,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happening {
    /// Every connection breaks, and nobody can connect for a while.
    Outage,
    /// The server is asked to stop (SIGTERM), and started again.
    Restart,
    /// The server is killed (SIGKILL), and started again.
    Kill,
}

/// Some devices do the work of a group's, a few at a time, so that the report can say what the whole
/// crowd's work takes at a steady pace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// The group.
    pub group: String,
    /// How many devices.
    pub devices: u32,
    /// How many of them at once.
    pub at_once: u32,
}

/// What a device speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// Version 4.
    #[serde(rename = "4")]
    V4,
    /// Version 5.
    #[serde(rename = "5")]
    V5,
    /// Version 7 in JSON.
    #[serde(rename = "7")]
    V7,
    /// Version 7 in its binary form.
    #[serde(rename = "7-binary")]
    V7Binary,
    /// HTTP, by polling.
    #[serde(rename = "http")]
    Http,
}

/// How devices connect again, and how they send what they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behaviour {
    /// As `@logux/client`: from 1 s to 5 s, and everything in one frame.
    #[default]
    Stock,
    /// Full jitter up to 32 s, `Retry-After`, and a window of small frames.
    Better,
}

impl Protocol {
    /// The version and form of its frames; none over HTTP.
    pub fn wire(self) -> Option<(Version, Form)> {
        match self {
            Self::V4 => Some((Version::V4, Form::Text)),
            Self::V5 => Some((Version::V5, Form::Text)),
            Self::V7 => Some((Version::V7, Form::Text)),
            Self::V7Binary => Some((Version::V7, Form::Binary)),
            Self::Http => None,
        }
    }

    /// Its name in a scenario.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "4",
            Self::V5 => "5",
            Self::V7 => "7",
            Self::V7Binary => "7-binary",
            Self::Http => "http",
        }
    }
}

impl Default for Group {
    fn default() -> Self {
        Self {
            name: String::new(),
            users: 1,
            devices: 1,
            protocol: vec![Protocol::V5],
            behaviour: Behaviour::default(),
            before: false,
            online_at: 0.0,
            online_within: 0.0,
            own: 0,
            missed: 0,
            days: 21.0,
            rate: 0.0,
            bytes: 224,
            fields: 4,
            follow: None,
            send_to: None,
            refused: 0.0,
            poll: 2.0,
            move_every: 0.0,
            read_bytes_per_second: 0,
            network: Network::default(),
        }
    }
}

impl Spec {
    const SECONDS_MAX: f64 = 24.0 * 3600.0;
    const USERS_MAX: u32 = 200_000;

    fn seed() -> u64 {
        1
    }

    fn patience() -> f64 {
        120.0
    }

    fn audit() -> u32 {
        500
    }

    /// Reads a scenario, with `settings` such as `seconds=5` or `crowd.users=100` in place of what it says.
    pub fn read(name: &str, text: &str, settings: &[String]) -> anyhow::Result<Self> {
        let mut table: Table =
            toml::from_str(text).with_context(|| format!("{name} is not TOML"))?;
        for setting in settings {
            set(&mut table, setting).with_context(|| format!("--set {setting}"))?;
        }
        let mut spec: Self = Value::Table(table).try_into().with_context(|| {
            format!("{name} is no scenario; `tidelog-sim show steady` is an example")
        })?;
        if spec.name.is_empty() {
            name.clone_into(&mut spec.name);
        }
        spec.check().with_context(|| format!("{name} makes no sense"))?;
        Ok(spec)
    }

    /// The scenario as a file.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }

    /// How many devices there are.
    pub fn devices(&self) -> u64 {
        self.groups.iter().map(|group| u64::from(group.users) * u64::from(group.devices)).sum()
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.seconds > 0.0 && self.seconds <= Self::SECONDS_MAX, "seconds: 1 to 86400");
        ensure!(self.patience > 0.0 && self.patience <= Self::SECONDS_MAX, "patience: 1 to 86400");
        ensure!(!self.groups.is_empty(), "there is no [[group]]");
        for (at, group) in self.groups.iter().enumerate() {
            let others = self.groups.iter().take(at);
            ensure!(!group.name.is_empty(), "a [[group]] has no name");
            ensure!(
                others.into_iter().all(|g| g.name != group.name),
                "two groups are {}",
                group.name
            );
            group.check().with_context(|| format!("group {}", group.name))?;
            let last = group.online_at + group.online_within;
            ensure!(last < self.seconds, "group {} comes online after the end", group.name);
        }
        let before_end = |event: &Event| (0.0..self.seconds).contains(&event.at);
        ensure!(self.events.iter().all(before_end), "an [[event]] is after the end");
        for goal in &self.goals {
            let group = goal.group.as_deref();
            let known = group.is_none_or(|name| self.group(name).is_some());
            ensure!(known, "goal: there is no group {}", group.unwrap_or_default());
            ensure!(goal.at_most.is_some() != goal.at_least.is_some(), "goal: at_most or at_least");
        }
        if let Some(pace) = &self.pace {
            ensure!(self.group(&pace.group).is_some(), "pace: there is no group {}", pace.group);
            ensure!(pace.at_once > 0, "pace: at_once is at least 1");
        }
        Ok(())
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}

impl Group {
    fn check(&self) -> anyhow::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        ensure!(self.name.chars().all(plain), "a name has letters, digits and hyphens");
        ensure!((1..=Spec::USERS_MAX).contains(&self.users), "users: 1 to {}", Spec::USERS_MAX);
        ensure!((1..=1000).contains(&self.devices), "devices: 1 to 1000");
        ensure!(!self.protocol.is_empty(), "protocol is empty");
        ensure!((128..=100_000).contains(&self.bytes), "bytes: 128 to 100000");
        ensure!((1..=9).contains(&self.fields), "fields: 1 to 9");
        ensure!((0.0..=1000.0).contains(&self.rate), "rate: 0 to 1000");
        ensure!((0.0..=1.0).contains(&self.refused), "refused: 0 to 1");
        ensure!((0.0..0.9).contains(&self.network.loss), "network.loss: 0 to 0.9");
        ensure!(self.own <= 1_000_000 && self.missed <= 1_000_000, "own, missed: at most 1000000");
        ensure!(self.follow.is_none() || self.before, "follow: only with before = true");
        ensure!(self.poll > 0.0, "poll: more than 0");
        let times = [self.online_at, self.online_within, self.days, self.move_every];
        ensure!(times.into_iter().all(|time| time >= 0.0), "times are not below 0");
        Ok(())
    }
}

/// Puts one setting into the table of a scenario.
fn set(table: &mut Table, setting: &str) -> anyhow::Result<()> {
    let (key, value) = setting.split_once('=').context("a setting is KEY=VALUE")?;
    // What is no TOML value is a text.
    let value = toml::from_str::<Table>(&format!("v = {value}"))
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let Some((group, key)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return Ok(());
    };
    let table = if group == "pace" { table.get_mut("pace") } else { named(table, group) };
    let mut table =
        table.and_then(Value::as_table_mut).with_context(|| format!("no group {group}"))?;
    let mut keys: Vec<&str> = key.split('.').collect();
    let Some(last) = keys.pop() else { bail!("no key") };
    for key in keys {
        let inner = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
        table = inner.as_table_mut().with_context(|| format!("{key} is no table"))?;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

fn named<'a>(table: &'a mut Table, name: &str) -> Option<&'a mut Value> {
    let groups = table.get_mut("group")?.as_array_mut()?;
    groups.iter_mut().find(|group| group.get("name").and_then(Value::as_str) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "seconds = 1.0\n[[group]]\nname = \"a\"\nusers = 2\n";

    #[test]
    fn settings_take_the_place_of_what_the_file_says() {
        let settings = ["seconds=7", "a.users=3", "a.network.latency=80", "a.protocol=[\"7\"]"];
        let spec = Spec::read("x", TEXT, &settings.map(String::from)).unwrap();
        let group = spec.group("a").unwrap();
        assert_eq!((spec.seconds, group.users, group.network.latency), (7.0, 3, 80.0));
        assert_eq!((spec.name.as_str(), group.protocol.as_slice()), ("x", &[Protocol::V7][..]));
    }

    #[test]
    fn a_scenario_that_is_written_reads_as_the_same() {
        let spec = Spec::read("x", TEXT, &[]).unwrap();
        assert_eq!(Spec::read("y", &spec.to_toml().unwrap(), &[]).unwrap(), spec);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (setting, said) in [
            ("seconds=0", "seconds"),
            ("a.users=0", "users"),
            ("a.tempo=3", "tempo"),
            ("b.users=3", "no group b"),
            ("a.name=a b", "a name has"),
        ] {
            let error = Spec::read("x", TEXT, &[setting.to_owned()]).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{setting}: {error:#}");
        }
    }
}
