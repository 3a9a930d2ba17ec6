//! A whole scenario: logs are filled, devices live by their plans, and in the end everything is compared.

mod auditing;
mod keeper;
mod pacing;
mod progress;
mod seeding;

pub use keeper::Restart;
pub use pacing::PaceResult;

use crate::access::Access;
use crate::client::{Device, Ended};
use crate::measure::{Reading, Sampler, ServerWatch};
use crate::plan::{Event, Happening, Plan, Spec, micros};
use crate::process::Process;
use crate::report::{Figures, Outcome};
use crate::secure::Place;
use crate::world::{Phase, World};
use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use keeper::Keeper;
use progress::Progress;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Between two samples, in a short scenario and at least.
const SAMPLE_MIN: f64 = 0.25;
/// Samples that a whole scenario has.
const SAMPLES: f64 = 120.0;
/// How often it is looked whether everything has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long devices may take to leave.
const LEAVING: Duration = Duration::from_secs(30);

/// How a scenario is run, besides what it says.
#[derive(Clone, Debug, Default)]
pub struct With {
    /// A command of the shell that starts the server.
    pub serve: Option<String>,
    /// The server's process.
    pub server_pid: Option<u32>,
    /// Where its metrics are.
    pub metrics: Option<hyper::Uri>,
    /// Draw no bars.
    pub quiet: bool,
    /// The command line, for the report.
    pub command: String,
}

/// Runs a scenario.
pub async fn run(spec: &Spec, access: Access, with: With) -> anyhow::Result<Outcome> {
    let address = access.servers.first().context("--server: there is no server")?.address;
    let keeper = match &with.serve {
        Some(command) => Some(Keeper::start(command, address).await?),
        None => None,
    };
    let pid = keeper.as_ref().and_then(Keeper::pid).or(with.server_pid);
    let stage = Rc::new(Stage {
        world: Rc::new(World::new(Plan::new(spec), access)?),
        keeper,
        watch: ServerWatch::new(pid, with.metrics.clone()),
        restarts: RefCell::default(),
        progress: Progress::new(with.quiet),
    });
    let outcome = stage.play(&with).await;
    if let Some(keeper) = &stage.keeper {
        keeper.end().await?;
    }
    outcome
}

struct Stage {
    world: Rc<World>,
    keeper: Option<Keeper>,
    watch: ServerWatch,
    restarts: RefCell<Vec<Restart>>,
    progress: Progress,
}

impl Stage {
    async fn play(self: &Rc<Self>, with: &With) -> anyhow::Result<Outcome> {
        let world = &self.world;
        let itself = Process::new(std::process::id());
        let empty_kib = itself.resident_kib().unwrap_or(0);
        seeding::fill(world, &self.progress).await?;
        let pace = pacing::measure(world, &self.progress).await?;
        let mut devices = JoinSet::new();
        for number in 0..world.plan.devices.len() {
            devices.spawn_local(Device::new(world, number, false)?.live());
        }
        self.until_ready().await?;

        let before = self.watch.read().await;
        let acknowledged = world.ledger.borrow().acknowledged();
        let sampling = Sampler::start(acknowledged, &world.stats.borrow(), before);
        let sampler = Rc::new(RefCell::new(sampling));
        world.stats.borrow_mut().recent.clear();
        world.began.set(world.clock.micros());
        world.enter(Phase::Run);
        let mut beside = JoinSet::new();
        beside.spawn_local(Rc::clone(self).sample(Rc::clone(&sampler)));
        for event in &world.plan.spec.events {
            beside.spawn_local(Rc::clone(self).happen(*event));
        }
        sleep_until(self.at(world.plan.spec.seconds)).await;
        let settled = self.settle().await;
        let crowd_kib = itself.peak_kib().unwrap_or(0);
        let took = pacing::seconds(world.clock.micros() - world.began.get());
        let after = self.watch.read().await;
        world.enter(Phase::End);
        let ended = leave(devices).await?;
        finish(beside).await?;
        let acknowledged = world.ledger.borrow().acknowledged() - acknowledged;
        let audited = auditing::audit(world, &ended, &self.progress).await?;
        let series = std::mem::take(&mut sampler.borrow_mut().samples);
        Ok(Outcome::new(
            world,
            Figures {
                command: with.command.clone(),
                seconds: took,
                settled,
                acknowledged,
                audited,
                pace,
                restarts: self.restarts.take(),
                samples: series,
                before,
                after,
                peak_kib: self.watch.peak_kib(),
                generator_kib: (empty_kib, crowd_kib),
                generator_cpu: itself.cpu().unwrap_or_default(),
            },
        ))
    }

    /// Waits until who is online before the start has everything.
    async fn until_ready(&self) -> anyhow::Result<()> {
        let world = &self.world;
        let before = |device: &&crate::plan::DevicePlan| {
            world.plan.group(device).is_some_and(|group| group.before)
        };
        let count = world.plan.devices.iter().filter(before).count() as u64;
        let bar = self.progress.bar("coming online", count);
        let coming = async {
            while world.stats.borrow().ready < count {
                bar.set_position(world.stats.borrow().ready);
                sleep(LOOK_EVERY).await;
            }
        };
        let patience = Duration::from_secs_f64(world.plan.spec.patience);
        let ready = timeout(patience, coming).await;
        bar.finish_and_clear();
        let said = || {
            let stats = world.stats.borrow();
            let errors: Vec<_> = stats.groups.iter().flat_map(|group| &group.errors).collect();
            format!("only {} of {count} devices came online: {errors:?}", stats.ready)
        };
        ready.with_context(said)
    }

    /// A moment of the scenario.
    fn at(&self, seconds: f64) -> Instant {
        self.world.clock.at(self.world.began.get() + micros(seconds))
    }

    /// Takes samples until the run is over, and moves the bar.
    async fn sample(self: Rc<Self>, sampler: Rc<RefCell<Sampler>>) -> anyhow::Result<()> {
        let spec = &self.world.plan.spec;
        let every = (spec.seconds / SAMPLES).max(SAMPLE_MIN);
        let bar = self.progress.bar("running", micros(spec.seconds).div_ceil(1_000_000));
        let mut next = every;
        while self.world.phase() < Phase::End {
            sleep_until(self.at(next)).await;
            let reading = self.watch.read().await;
            let now = pacing::seconds(self.world.clock.micros() - self.world.began.get());
            self.show(&bar, now);
            let acknowledged = self.world.ledger.borrow().acknowledged();
            let stats = &mut self.world.stats.borrow_mut();
            sampler.borrow_mut().sample(now, acknowledged, stats, reading);
            // Two that lie close together say nothing of a rate.
            next = (next + every).max(now + every / 2.0);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn show(&self, bar: &ProgressBar, now: f64) {
        let stats = self.world.stats.borrow();
        let open = self.world.ledger.borrow().open();
        bar.set_position(micros(now) / 1_000_000);
        bar.set_message(format!(
            "{} online, {} waiting, {} behind, {open} not acknowledged",
            stats.online, stats.waiting, stats.behind
        ));
    }

    /// Lets happen what the scenario says, when it says so.
    async fn happen(self: Rc<Self>, event: Event) -> anyhow::Result<()> {
        sleep_until(self.at(event.at)).await;
        let kill = event.what == Happening::Kill;
        match (event.what, &self.keeper) {
            (Happening::Outage, _) => {
                let back_at = self.world.clock.micros() + micros(event.lasts);
                self.world.signal.send_modify(|signal| {
                    signal.outages += 1;
                    signal.back_at = back_at;
                });
            }
            (Happening::Restart | Happening::Kill, Some(keeper)) => {
                let restart = keeper.restart(kill).await?;
                if let Some(pid) = keeper.pid() {
                    self.watch.set_pid(pid);
                }
                self.restarts.borrow_mut().push(restart);
            }
            (Happening::Restart | Happening::Kill, None) => {
                let how = if kill { "kill" } else { "restart" };
                tell(&format!("{how} the server now; with --serve this is done for you"));
            }
        }
        Ok(())
    }

    /// Waits until everything is acknowledged, and everybody has everything; whether it came to that.
    async fn settle(&self) -> bool {
        let world = &self.world;
        world.enter(Phase::Settle);
        let settling = async {
            while world.to_make.get() > 0 || world.ledger.borrow().open() > 0 {
                sleep(LOOK_EVERY).await;
            }
            world.enter(Phase::Drain);
            // Who has everything leaves.
            while world.stats.borrow().online + world.stats.borrow().waiting > 0 {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(Duration::from_secs_f64(world.plan.spec.patience), settling).await.is_ok()
    }
}

async fn leave(mut devices: JoinSet<Ended>) -> anyhow::Result<Vec<Ended>> {
    let mut ended = Vec::with_capacity(devices.len());
    let leaving = async {
        while let Some(device) = devices.join_next().await {
            ended.push(device?);
        }
        anyhow::Ok(())
    };
    timeout(LEAVING, leaving).await.context("devices do not leave")??;
    Ok(ended)
}

async fn finish(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let finishing = async {
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        anyhow::Ok(())
    };
    timeout(LEAVING, finishing).await.context("something goes on after the end")?
}

#[expect(clippy::print_stderr, reason = "whoever runs the scenario has to do something")]
fn tell(text: &str) {
    eprintln!("tidelog-sim: {text}");
}

/// What the server used during the scenario.
pub(crate) fn used(before: Option<Reading>, after: Option<Reading>) -> Option<Duration> {
    Some(after?.cpu.saturating_sub(before?.cpu))
}

/// Checks what cannot work before anything is started.
pub fn check(access: &Access, beyond_loopback: bool) -> anyhow::Result<()> {
    for Place { address: server, .. } in &access.servers {
        ensure!(
            server.ip().is_loopback() || beyond_loopback,
            "{server} is not this machine; --beyond-loopback says that it is yours all the same"
        );
    }
    Ok(())
}
