//! Clients send actions and wait until each is answered and acknowledged; in the end a new client of
//! each user reads everything back.

use super::{KIND, Stage, action, all, within};
use crate::cli::ActionsArgs;
use crate::client::{Client, ClientError, Event};
use crate::clock::Stopwatch;
use crate::measure::Times;
use crate::oracle::{Difference, compare};
use crate::report::{Check, Measure, Report};
use anyhow::ensure;
use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use tidelog_protocol::{Action, ActionId, NodeId, Pair, builtin};
use tokio::task::JoinSet;

/// Comes after everything else in its user's log.
const LAST: &str = "sim/last";

pub(super) async fn run(stage: &Stage, args: &ActionsArgs) -> anyhow::Result<Report> {
    let users = args.users.unwrap_or(args.clients);
    let nodes: Result<Vec<NodeId>, _> = (0..args.clients)
        .map(|number| crate::node(&stage.user(number % users), &format!("author{number}")))
        .collect();
    let nodes = nodes?;
    let clients = stage.gather(nodes).await?;
    let plan = Rc::new(Plan {
        action: action(KIND, "", args.bytes)?,
        batch: usize::try_from(args.batch)?,
        outstanding: usize::try_from(args.outstanding)?,
        until: Duration::from_secs(args.seconds),
        left: Cell::new(args.actions),
        watch: Stopwatch::start(),
    });
    let measure = Measure::start(stage.process)?;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn_local(Author::new(client, plan.clone()).work());
    }
    let patience = plan.until + stage.patience;
    let authors = within(patience, "the acknowledgement of everything", all(tasks)).await??;
    let measured = measure.stop()?;

    let mut times = Times::new();
    for author in &authors {
        times.add(&author.times);
    }
    let count = authors.iter().map(|author| author.sent.len() as u64).sum();
    let undone: u64 = authors.iter().map(|author| author.undone).sum();
    let mut checks = vec![Check::new("no action is undone", undone == 0, undone)];
    if !args.keeps_nothing {
        let difference = read_back(stage, users, authors).await?;
        checks.push(Check::new(
            "a new client of each user reads what was acknowledged, once, in order",
            difference.is_none(),
            difference,
        ));
    }
    let scenario = format!(
        "actions: {} clients of {users} users × {} frames of {} actions of {} bytes",
        args.clients, args.outstanding, args.batch, args.bytes
    );
    let counted = (count, "acknowledged actions");
    Ok(measured.report(scenario, counted, &times, checks))
}

/// What all authors do.
struct Plan {
    action: Action,
    batch: usize,
    outstanding: usize,
    until: Duration,
    left: Cell<u64>,
    watch: Stopwatch,
}

impl Plan {
    /// How many actions the next frame has.
    fn take(&self) -> usize {
        if self.watch.elapsed() >= self.until {
            return 0;
        }
        let count = self.left.get().min(self.batch as u64);
        self.left.set(self.left.get() - count);
        usize::try_from(count).unwrap_or_default()
    }
}

/// A client that sends.
struct Author {
    client: Client,
    plan: Rc<Plan>,
    /// Frames on their way: how many actions, and when they left.
    under_way: VecDeque<(usize, u64)>,
    acknowledged: usize,
    answered: usize,
    undone: u64,
    /// Every action that was sent, in that order; in the end all are acknowledged.
    sent: Vec<ActionId>,
    times: Times,
}

impl Author {
    fn new(client: Client, plan: Rc<Plan>) -> Self {
        Self {
            client,
            plan,
            under_way: VecDeque::new(),
            acknowledged: 0,
            answered: 0,
            undone: 0,
            sent: Vec::new(),
            times: Times::new(),
        }
    }

    async fn work(mut self) -> Result<Self, ClientError> {
        for _ in 0..self.plan.outstanding {
            self.send();
        }
        while !self.under_way.is_empty() {
            let event = self.client.next().await?;
            self.on_event(&event);
            // Everything that has come in already, before anything goes out.
            while let Some(event) = self.client.next_ready().await? {
                self.on_event(&event);
            }
        }
        Ok(self)
    }

    fn send(&mut self) {
        let count = self.plan.take();
        if count > 0 {
            let actions = std::iter::repeat_n(&self.plan.action, count);
            self.sent.extend(self.client.send(actions, 0));
            self.under_way.push_back((count, self.plan.watch.nanos()));
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Sync(sync) => {
                for pair in &sync.batch {
                    match pair.action.kind() {
                        builtin::PROCESSED => self.answered += 1,
                        builtin::UNDO => {
                            self.answered += 1;
                            self.undone += 1;
                        }
                        // What the user's other clients sent.
                        _ => {}
                    }
                }
            }
            Event::Synced(_) => self.acknowledged += 1,
            Event::Number(_) | Event::Other => {}
        }
        self.finish();
    }

    /// A frame is done when it is acknowledged and all its actions are answered. Some servers answer
    /// after they acknowledge; what counts is that both are there.
    fn finish(&mut self) {
        while let Some((count, began)) = self.under_way.front().copied() {
            if self.acknowledged == 0 || self.answered < count {
                return;
            }
            self.under_way.pop_front();
            self.acknowledged -= 1;
            self.answered -= count;
            self.times.record_nanos(self.plan.watch.nanos().saturating_sub(began));
            self.send();
        }
    }
}

async fn read_back(stage: &Stage, users: u64, authors: Vec<Author>) -> anyhow::Result<Difference> {
    let mut of_users: Vec<Vec<Author>> = (0..users).map(|_| Vec::new()).collect();
    for author in authors {
        let user = author.sent.first().and_then(|id| id.node.user_str()).unwrap_or_default();
        let number = (0..users).find(|number| stage.user(*number) == user);
        if let Some(authors) =
            number.and_then(|number| of_users.get_mut(usize::try_from(number).ok()?))
        {
            authors.push(author);
        }
    }
    let mut sum = Difference::default();
    for (authors, number) in of_users.into_iter().zip(0..) {
        let what = format!("reading back the log of {}", stage.user(number));
        sum = sum + within(stage.patience, &what, read_log(stage, number, authors)).await??;
    }
    Ok(sum)
}

/// Reads the log of a user as a new client, up to an action that is sent after all others.
async fn read_log(
    stage: &Stage,
    number: u64,
    mut authors: Vec<Author>,
) -> anyhow::Result<Difference> {
    let Some(last) = authors.first_mut() else { return Ok(Difference::default()) };
    last.client.send([&action(LAST, "", 64)?], 0);
    let reader = crate::node(&stage.user(number), "reader")?;
    let mut reader = Client::sign_in(&stage.target(number), &reader, 0).await?;
    let mut received = Vec::new();
    'reading: loop {
        let event = tokio::select! {
            event = reader.next() => event?,
            // It has to be heard too, or the server would wait for its acknowledgements.
            event = last.client.next() => { event?; continue }
        };
        let Event::Sync(sync) = event else { continue };
        for Pair { action, meta, .. } in sync.batch {
            match action.kind() {
                KIND => received.push(meta.id),
                LAST => break 'reading,
                _ => {}
            }
        }
    }
    let sent: Vec<ActionId> = authors.into_iter().flat_map(|author| author.sent).collect();
    let unique: HashSet<&ActionId> = sent.iter().collect();
    ensure!(unique.len() == sent.len(), "the generator made an id twice");
    Ok(compare(&sent, |_| true, &received, |id| id.node.clone()))
}
