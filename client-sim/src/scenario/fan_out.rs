//! One author sends to a channel; each subscriber gets everything, once, in order.

use super::{SHARED_KIND, Stage, action, all, within};
use crate::cli::FanOutArgs;
use crate::client::{Client, ClientError, Event};
use crate::clock::Stopwatch;
use crate::measure::Times;
use crate::report::{Check, Measure, Report};
use anyhow::ensure;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tidelog_protocol::{NodeId, builtin};
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub(super) async fn run(stage: &Stage, args: &FanOutArgs) -> anyhow::Result<Report> {
    let channel = format!("sim/{}", stage.run);
    let nodes: Result<Vec<NodeId>, _> = (0..args.subscribers)
        .map(|number| crate::node(&stage.user(number), "subscriber"))
        .collect();
    let mut subscribers = stage.gather(nodes?).await?;
    within(stage.patience, "subscribing", subscribe(&mut subscribers, &channel)).await??;
    let author = crate::node(&stage.user(args.subscribers), "author")?;
    let author = Client::sign_in(&stage.target(0), &author, 0).await?;

    let rounds = Rc::new(Rounds::new(args.subscribers));
    let mut tasks = JoinSet::new();
    for client in subscribers {
        let subscriber = Subscriber { client, rounds: rounds.clone(), received: 0, wrong: 0 };
        tasks.spawn_local(subscriber.listen());
    }
    let measure = Measure::start(stage.process)?;
    let patience = Duration::from_secs(args.seconds) + stage.patience;
    let sent =
        within(patience, "the last delivery", send(author, &rounds, &channel, args)).await??;
    let measured = measure.stop()?;
    rounds.end();
    let ended = within(stage.patience, "the end of the subscribers", all(tasks)).await??;

    let deliveries: u64 = ended.iter().map(|subscriber| subscriber.received).sum();
    let wrong: u64 = ended.iter().map(|subscriber| subscriber.wrong).sum();
    let expected = sent * args.subscribers;
    let checks = vec![
        Check::new("each subscriber gets each action", deliveries == expected, deliveries),
        Check::new("none comes twice or out of order", wrong == 0, wrong),
    ];
    let scenario = format!(
        "fan-out: 1 author, {} subscribers, {} actions of {} bytes on the way",
        args.subscribers, args.outstanding, args.bytes
    );
    let times = rounds.state.borrow().times.clone();
    Ok(measured.report(scenario, (deliveries, "deliveries"), &times, checks))
}

async fn subscribe(clients: &mut [Client], channel: &str) -> anyhow::Result<()> {
    let ask = builtin::subscribe(channel);
    for client in &mut *clients {
        client.send([&ask], 0);
        client.wire().flush().await?;
    }
    for client in clients {
        'answer: loop {
            let Event::Sync(sync) = client.next().await? else { continue };
            for pair in sync.batch {
                ensure!(
                    pair.action.kind() != builtin::UNDO,
                    "the server refuses the channel {channel}; peers/tidelog.toml has the rules"
                );
                if pair.action.kind() == builtin::PROCESSED {
                    break 'answer;
                }
            }
        }
    }
    Ok(())
}

/// Sends as long as the run lasts, and waits until everyone has everything.
async fn send(
    mut author: Client,
    rounds: &Rounds,
    channel: &str,
    args: &FanOutArgs,
) -> anyhow::Result<u64> {
    let until = Duration::from_secs(args.seconds);
    let mut sent = 0;
    loop {
        while rounds.open() < args.outstanding && rounds.watch.elapsed() < until {
            sent += 1;
            rounds.begin();
            let more = format!(r#""channel":"{channel}","n":{sent},"#);
            author.send([&action(SHARED_KIND, &more, args.bytes)?], 0);
        }
        if rounds.open() == 0 && author.outstanding() == 0 {
            return Ok(sent);
        }
        tokio::select! {
            event = author.next() => undone(&event?)?,
            () = rounds.changed.notified() => {}
        }
    }
}

fn undone(event: &Event) -> anyhow::Result<()> {
    if let Event::Sync(sync) = event {
        let undone = sync.batch.iter().find(|pair| pair.action.kind() == builtin::UNDO);
        ensure!(
            undone.is_none(),
            "the server undoes {SHARED_KIND}; peers/tidelog.toml has the rules"
        );
    }
    Ok(())
}

/// The actions that not everyone has yet.
struct Rounds {
    subscribers: u64,
    watch: Stopwatch,
    state: RefCell<State>,
    changed: Notify,
    over: Notify,
}

struct State {
    /// The first of `open`.
    first: u64,
    /// How many still wait for it, and when it left.
    open: VecDeque<(u64, u64)>,
    times: Times,
}

impl Rounds {
    fn new(subscribers: u64) -> Self {
        let state = State { first: 1, open: VecDeque::new(), times: Times::new() };
        Self {
            subscribers,
            watch: Stopwatch::start(),
            state: RefCell::new(state),
            changed: Notify::new(),
            over: Notify::new(),
        }
    }

    fn open(&self) -> u64 {
        self.state.borrow().open.len() as u64
    }

    fn begin(&self) {
        self.state.borrow_mut().open.push_back((self.subscribers, self.watch.nanos()));
    }

    fn delivered(&self, number: u64) {
        let state = &mut *self.state.borrow_mut();
        let at = number.checked_sub(state.first).and_then(|at| usize::try_from(at).ok());
        if let Some((waiting, _)) = at.and_then(|at| state.open.get_mut(at)) {
            *waiting = waiting.saturating_sub(1);
        }
        while let Some((0, began)) = state.open.front().copied() {
            state.times.record_nanos(self.watch.nanos().saturating_sub(began));
            state.open.pop_front();
            state.first += 1;
            self.changed.notify_one();
        }
    }

    fn end(&self) {
        self.over.notify_waiters();
    }
}

/// A client that follows the channel.
struct Subscriber {
    client: Client,
    rounds: Rc<Rounds>,
    received: u64,
    wrong: u64,
}

impl Subscriber {
    async fn listen(mut self) -> Result<Self, ClientError> {
        let rounds = self.rounds.clone();
        let mut over = std::pin::pin!(rounds.over.notified());
        over.as_mut().enable();
        loop {
            let event = tokio::select! {
                event = self.client.next() => event?,
                () = over.as_mut() => return Ok(self),
            };
            let Event::Sync(sync) = event else { continue };
            for pair in sync.batch.iter().filter(|pair| pair.action.kind() == SHARED_KIND) {
                let number = pair.action.body::<Shared>().map_or(0, |shared| shared.n);
                self.received += 1;
                self.wrong += u64::from(number != self.received);
                self.rounds.delivered(number);
            }
        }
    }
}

#[derive(Deserialize)]
struct Shared {
    n: u64,
}
