//! Many devices that work at once.

use crate::{Device, Line, Server, within};
use anyhow::{Context, ensure};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidelog_client_sim::client::Target;
use tidelog_client_sim::oracle::{Difference, compare};
use tidelog_protocol::ActionId;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Actions that a device has on the way.
const WINDOW: usize = 8;

/// Devices of several users.
#[derive(Debug)]
pub struct Crowd {
    devices: Vec<Device>,
}

impl Crowd {
    /// So many users with so many devices each, all offline.
    pub fn new(server: &Server, users: usize, devices: usize) -> anyhow::Result<Self> {
        let devices = (0..users * devices)
            .map(|n| Device::new(server.target(), &format!("user{}", n % users), &format!("d{n}")))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { devices })
    }

    /// From now on they reach the server like this.
    pub fn reach(&mut self, target: &Target) {
        for device in &mut self.devices {
            device.set_target(target.clone());
        }
    }

    /// All connect and work until together they have had `count` more acknowledgements. Then `end` is
    /// called, which has to end every connection.
    pub async fn work_until_acknowledged(
        &mut self,
        count: u64,
        end: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let progress = Arc::new(Progress { left: AtomicU64::new(count), done: Notify::new() });
        let mut tasks = JoinSet::new();
        for device in self.devices.drain(..) {
            tasks.spawn(work(device, progress.clone()));
        }
        let mut end = Some(end);
        let working = async {
            loop {
                tokio::select! {
                    () = progress.done.notified(), if end.is_some() => {
                        end.take().map_or(Ok(()), |end| end())?;
                    }
                    device = tasks.join_next() => match device {
                        Some(device) => self.devices.push(device??),
                        None => return Ok(()),
                    },
                }
            }
        };
        within("the end of every connection", working).await.and_then(|done| done)?;
        ensure!(end.is_none(), "the connections ended by themselves");
        Ok(())
    }

    /// All connect and have everything acknowledged.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        for device in &mut self.devices {
            device.connect().await?;
            device.until_acknowledged().await?;
            device.go_offline();
        }
        Ok(())
    }

    /// How many actions they made.
    pub fn sent(&self) -> usize {
        self.devices.iter().map(|device| device.dispatched.len()).sum()
    }

    /// What is wrong with a log that claims to hold their actions: everything that was acknowledged
    /// once, in the order in which each device made it, at positions that rise.
    pub fn judge(&self, log: &[Line]) -> anyhow::Result<()> {
        let rising = log.windows(2).all(|pair| matches!(pair, [a, b] if a.position < b.position));
        ensure!(rising, "positions do not rise");
        let stored: Vec<ActionId> =
            log.iter().map(|line| line.id.parse()).collect::<Result<_, _>>()?;
        let difference = self.compare(&stored);
        ensure!(difference.is_none(), "of {} entries: {difference}", stored.len());
        Ok(())
    }

    fn compare(&self, stored: &[ActionId]) -> Difference {
        let acknowledged: HashSet<&ActionId> =
            self.devices.iter().flat_map(|device| &device.acknowledged).collect();
        let sent: Vec<ActionId> =
            self.devices.iter().flat_map(|device| device.dispatched.clone()).collect();
        compare(&sent, |id| acknowledged.contains(id), stored, |id| id.node.clone())
    }

    /// A new device of each user hears what the log has, in that order; a device that was there all
    /// the time has heard whatever others made, once.
    pub async fn check_what_devices_hear(
        &mut self,
        server: &Server,
        log: &[Line],
    ) -> anyhow::Result<()> {
        let mut logs: HashMap<String, Vec<ActionId>> = HashMap::new();
        for line in log {
            logs.entry(line.users.concat()).or_default().push(line.id.parse()?);
        }
        for (user, ids) in &logs {
            let mut fresh = Device::new(server.target(), user, "fresh")?;
            fresh.connect().await?;
            fresh
                .until(&format!("reading the log of {user}"), |d| d.heard.len() >= ids.len())
                .await?;
            ensure!(fresh.heard == *ids, "{user}: a new device hears something else");
        }
        for device in &mut self.devices {
            let user = device.node().user_str().context("a device of nobody")?.to_owned();
            let node = device.node().clone();
            let theirs: HashSet<&ActionId> =
                logs.get(&user).into_iter().flatten().filter(|id| id.node != node).collect();
            device.connect().await?;
            let others = |device: &Device| {
                device.heard.iter().filter(|id| id.node != node).cloned().collect::<Vec<_>>()
            };
            device.until("hearing everything", |d| others(d).len() >= theirs.len()).await?;
            let heard = others(device);
            let once: HashSet<&ActionId> = heard.iter().collect();
            ensure!(
                once == theirs && heard.len() == theirs.len(),
                "{node} heard {} of {} in {} deliveries",
                once.len(),
                theirs.len(),
                heard.len()
            );
            device.go_offline();
        }
        Ok(())
    }
}

struct Progress {
    left: AtomicU64,
    done: Notify,
}

/// Connects and sends as fast as it is acknowledged, until the connection ends.
async fn work(mut device: Device, progress: Arc<Progress>) -> anyhow::Result<Device> {
    device.connect().await?;
    let mut counted = device.acknowledged.len();
    while device.is_online() {
        while device.unacknowledged_count() < WINDOW {
            let n = device.dispatched.len();
            device.dispatch(&format!(r#"{{"type":"work","n":{n},"text":"{:64}"}}"#, "")).await?;
        }
        device.next().await?;
        while counted < device.acknowledged.len() {
            counted += 1;
            if progress.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                progress.done.notify_one();
            }
        }
    }
    Ok(device)
}
