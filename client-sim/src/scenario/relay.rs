//! One author, and one other session of its user: actions that the server does not keep go from one to the other.

use super::{Stage, action, within};
use crate::cli::RelayArgs;
use crate::client::{Client, ClientError, Event};
use crate::clock::Stopwatch;
use crate::measure::Times;
use crate::report::{Check, Measure, Report};
use std::collections::VecDeque;
use std::time::Duration;
use tidelog_protocol::{Action, builtin};

/// What the server has to pass on and not to keep.
const RELAY_KIND: &str = "sim/relay";

pub(super) async fn run(stage: &Stage, args: &RelayArgs) -> anyhow::Result<Report> {
    let nodes = ["author", "reader"].map(|client| crate::node(&stage.user(0), client));
    let [author, reader] = nodes;
    let mut relay = Relay {
        author: Client::sign_in(&stage.target(0), &author?, 0).await?,
        reader: Client::sign_in(&stage.target(1), &reader?, 0).await?,
        action: action(RELAY_KIND, "", args.bytes)?,
        watch: Stopwatch::start(),
        until: Duration::from_secs(args.seconds),
        under_way: VecDeque::new(),
        sent: 0,
        acknowledged: 0,
        received: 0,
        undone: 0,
        times: Times::new(),
    };
    let measure = Measure::start(stage.process)?;
    let patience = relay.until + stage.patience;
    within(patience, "the last delivery", relay.work(args.outstanding)).await??;
    let measured = measure.stop()?;
    let Relay { sent, received, undone, times, .. } = relay;
    let checks = vec![
        Check::new("each action arrives once", received == sent, received),
        Check::new("no action is undone", undone == 0, undone),
    ];
    let (outstanding, bytes) = (args.outstanding, args.bytes);
    let scenario = format!(
        "relay: 1 author, 1 other session, {outstanding} actions of {bytes} bytes on the way"
    );
    Ok(measured.report(scenario, (sent, "author's actions"), &times, checks))
}

struct Relay {
    author: Client,
    reader: Client,
    action: Action,
    watch: Stopwatch,
    until: Duration,
    /// When each left that has not arrived.
    under_way: VecDeque<u64>,
    sent: u64,
    acknowledged: u64,
    received: u64,
    undone: u64,
    times: Times,
}

impl Relay {
    async fn work(&mut self, outstanding: u64) -> Result<(), ClientError> {
        loop {
            let done = self.acknowledged.min(self.received);
            while self.watch.elapsed() < self.until && self.sent - done < outstanding {
                self.author.send([&self.action], 0);
                self.under_way.push_back(self.watch.nanos());
                self.sent += 1;
            }
            if done == self.sent {
                return Ok(());
            }
            tokio::select! {
                event = self.author.next() => {
                    self.on_author(&event?);
                    while let Some(event) = self.author.next_ready().await? {
                        self.on_author(&event);
                    }
                }
                event = self.reader.next() => {
                    self.on_reader(&event?);
                    while let Some(event) = self.reader.next_ready().await? {
                        self.on_reader(&event);
                    }
                }
            }
        }
    }

    fn on_author(&mut self, event: &Event) {
        match event {
            Event::Synced(_) => self.acknowledged += 1,
            Event::Sync(sync) => {
                let undone = sync.batch.iter().filter(|pair| pair.action.kind() == builtin::UNDO);
                self.undone += undone.count() as u64;
            }
            Event::Number(_) | Event::Other => {}
        }
    }

    fn on_reader(&mut self, event: &Event) {
        let Event::Sync(sync) = event else { return };
        for _ in sync.batch.iter().filter(|pair| pair.action.kind() == RELAY_KIND) {
            self.received += 1;
            if let Some(began) = self.under_way.pop_front() {
                self.times.record_nanos(self.watch.nanos().saturating_sub(began));
            }
        }
    }
}
