//! What is not counted but looked at when somebody asks: the log, its disk, key sets, and memory for frames.

use super::door::OfClass;
use super::links;
use crate::admission::{Admission, ClassLook, Look};
use crate::auth::{Authenticator, KeySets};
use crate::clock;
use crate::log::{Log, Stats};
use crate::replica::Replicas;
use crate::wake::Wakes;
use crate::ws::Budget;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where it is looked at.
pub(crate) struct Site {
    /// The log.
    pub(crate) log: Log,
    /// Who fetches key sets.
    pub(crate) auth: Arc<Authenticator>,
    /// Memory for large frames.
    pub(crate) budget: Budget,
    /// The door.
    pub(crate) door: Admission,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Who is woken.
    pub(crate) wakes: Arc<Wakes>,
    /// Who follows this server, and whom it follows.
    pub(crate) replicas: Arc<Replicas>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("data", &self.data).finish_non_exhaustive()
    }
}

impl Collector for Site {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (to, stats) = (&mut to, self.log.stats());
        self.memory(to, &stats)?;
        gauge(to, "tidelog_runs", "Runs of entries in the index.", stats.runs)?;
        gauge(
            to,
            "tidelog_head_position",
            "The last position that is durable.",
            self.log.head().get(),
        )?;
        gauge(
            to,
            "tidelog_checkpoint_position",
            "The position up to which derived data is on disk; a start folds what is above it.",
            stats.checkpoint.get(),
        )?;
        counter(
            to,
            "tidelog_node_records_dropped",
            "Records of nodes that found no room while the disk was slow; each costs a repeat.",
            stats.nodes_dropped,
        )?;
        gauge(
            to,
            "tidelog_push_devices",
            "Devices that are registered to be woken.",
            self.wakes.book.devices(),
        )?;
        gauge(
            to,
            "tidelog_push_waiting",
            "Devices that wait to be told that something has come.",
            self.wakes.waiting(),
        )?;
        door(to, &self.door.look())?;
        links::encode(to, &self.replicas, self.log.head())?;
        key_sets(to, self.auth.key_sets(clock::now_ms()))?;
        self.store_bytes(to)?;
        // A disk that cannot be asked has no number.
        rustix::fs::statvfs(&self.data).map_or(Ok(()), |disk| {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            gauge(
                to,
                "tidelog_store_free_bytes",
                "What is free on the disk of the data directory.",
                free,
            )
        })
    }
}

impl Site {
    /// What is queued, and what is reserved for what is to come.
    fn memory(&self, to: &mut DescriptorEncoder<'_>, stats: &Stats) -> Result<(), fmt::Error> {
        gauge(
            to,
            "tidelog_ingest_queue_bytes",
            "Actions that wait to be durable.",
            stats.queue_bytes,
        )?;
        gauge(
            to,
            "tidelog_frame_bytes",
            "Memory that is reserved for large frames and bodies while they come in.",
            self.budget.reserved_bytes(),
        )?;
        gauge(
            to,
            "tidelog_frame_waiting_bytes",
            "Memory for large frames and bodies that is waited for: they are not read so long.",
            self.budget.waiting_bytes(),
        )?;
        gauge(
            to,
            "tidelog_tail_bytes",
            "The newest entries, which are kept in memory.",
            stats.tail_bytes,
        )
    }

    fn store_bytes(&self, to: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "What the data directory takes on disk, by part.";
        let mut family =
            to.encode_descriptor("tidelog_store_bytes", help, None, MetricType::Gauge)?;
        for part in ["feed", "index"] {
            let bytes = ConstGauge::new(bytes_on_disk(&self.data.join(part)));
            bytes.encode(family.encode_family(&[("part", part)])?)?;
        }
        Ok(())
    }
}

fn door(to: &mut DescriptorEncoder<'_>, look: &Look) -> Result<(), fmt::Error> {
    let help = "WebSockets that wait: to sign in, or for their turn, by how much they have missed.";
    let name = "tidelog_admission_waiting";
    let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
    let classes = look.classes.iter().map(|it| (it.class.as_str(), it.waiting));
    for (stage, count) in classes.chain([("sign_in", look.unsigned)]) {
        ConstGauge::new(count as u64).encode(family.encode_family(&[("stage", stage)])?)?;
    }
    let mut by_class = |name, help, value: fn(&ClassLook) -> u64| {
        let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        look.classes.iter().try_for_each(|it| {
            let class = OfClass { class: it.class.as_str() };
            ConstGauge::new(value(it)).encode(family.encode_family(&class)?)
        })
    };
    by_class(
        "tidelog_admission_inside",
        "Clients that are catching up, and requests that are being answered, by how much they have missed.",
        |it| it.inside as u64,
    )?;
    by_class(
        "tidelog_admission_permits",
        "How many of them there may be at once, which follows what is measured.",
        |it| it.permits as u64,
    )?;
    by_class(
        "tidelog_admission_rate",
        "How many are let in in a second, as measured when some waited last.",
        |it| it.per_second,
    )?;
    gauge(
        to,
        "tidelog_admission_wait_seconds",
        "How long a newcomer would wait; add a node when it stays above ten.",
        look.wait_seconds(),
    )?;
    gauge(
        to,
        "tidelog_fairness",
        "Jain's index over what the last 512 clients that caught up got in a second: 1 is all alike.",
        look.fairness,
    )
}

fn key_sets(to: &mut DescriptorEncoder<'_>, sets: KeySets) -> Result<(), fmt::Error> {
    let help = "Fetches of key sets, by result.";
    let kind = MetricType::Counter;
    let mut family = to.encode_descriptor("tidelog_key_set_fetches", help, None, kind)?;
    for (result, count) in [("fetched", sets.fetched), ("failed", sets.failed)] {
        ConstCounter::new(count).encode(family.encode_family(&[("result", result)])?)?;
    }
    gauge(
        to,
        "tidelog_key_set_age_seconds",
        "How old the oldest key set is that is fetched; 0 if none is.",
        sets.age_ms / 1000,
    )
}

pub(super) fn gauge<N: EncodeGaugeValue>(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: N,
) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(to.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    ConstCounter::new(value).encode(to.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// What the files below `dir` take. What cannot be read, or goes meanwhile, takes nothing.
fn bytes_on_disk(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = files.filter_map(|file| {
        let about = file.metadata().ok()?;
        // Blocks of 512 bytes, whatever the file system: what is preallocated and empty is not there.
        Some(if about.is_dir() { bytes_on_disk(&file.path()) } else { about.blocks() * 512 })
    });
    sizes.sum()
}
