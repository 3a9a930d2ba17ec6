//! Single measurements: one thing that simulated devices do, as fast as they can.

mod actions;
mod connect;
mod echo;
mod fan_out;
mod http;
mod idle;
mod pull;
mod push;
mod relay;

use crate::access::read_users;
use crate::cli::{Common, Scenario};
use crate::client::{Client, Target};
use crate::clock::now_ms;
use crate::process::Process;
use crate::report::Report;
use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use std::net::Ipv4Addr;
use std::time::Duration;
use tidelog_protocol::{Action, NodeId};

/// What the devices send. A server under test needs a rule for it only if it has rules at all.
const KIND: &str = "sim/add";
/// What the devices send to a channel; the server has to place it in the channel `sim/<name>` that
/// its `channel` names.
const SHARED_KIND: &str = "sim/share";
/// Sign-ins under way at a time, while a scenario gathers its devices.
const GATHER_AT_A_TIME: usize = 64;

/// Runs a scenario.
pub async fn run(scenario: &Scenario) -> anyhow::Result<Report> {
    let tokens = match scenario {
        Scenario::Push(args) => args.tokens.as_deref(),
        Scenario::Pull(args) => args.tokens.as_deref(),
        _ => None,
    };
    let users = tokens.map(read_users).transpose()?.unwrap_or_default();
    let stage = Stage::new(scenario.common(), users)?;
    match scenario {
        Scenario::Actions(args) => actions::run(&stage, args).await,
        Scenario::FanOut(args) => fan_out::run(&stage, args).await,
        Scenario::Connect(args) => connect::run(&stage, args).await,
        Scenario::Idle(args) => idle::run(&stage, args).await,
        Scenario::Relay(args) => relay::run(&stage, args).await,
        Scenario::Echo(args) => echo::run(&stage, args).await,
        Scenario::Push(args) => push::run(&stage, args).await,
        Scenario::Pull(args) => pull::run(&stage, args).await,
    }
}

/// Where a scenario plays.
struct Stage {
    target: Target,
    sources: u8,
    run: String,
    /// Users that there are, with their tokens; names are made where this is empty.
    users: Vec<(String, String)>,
    process: Option<Process>,
    patience: Duration,
}

impl Stage {
    fn new(common: &Common, users: Vec<(String, String)>) -> anyhow::Result<Self> {
        ensure!(
            common.server.address.ip().is_loopback() || common.beyond_loopback,
            "{} is not this machine; --beyond-loopback says that it is yours all the same",
            common.server
        );
        Ok(Self {
            target: common.target()?,
            sources: common.sources,
            run: common.run.clone().unwrap_or_else(|| format!("sim{}", now_ms())),
            users,
            process: common.server_pid.map(Process::new),
            patience: Duration::from_secs(common.patience),
        })
    }

    /// The name of a user of this run.
    fn user(&self, number: u64) -> String {
        self.given(number).map_or_else(|| format!("{}-{number}", self.run), |it| it.0.clone())
    }

    /// The `number`th of the users that there are, with its token.
    fn given(&self, number: u64) -> Option<&(String, String)> {
        self.users.get(usize::try_from(number).ok()?)
    }

    /// The server, as seen from the `number`th client.
    fn target(&self, number: u64) -> Target {
        let on_loopback = self.target.server.ip().is_loopback() && self.target.server.is_ipv4();
        let host = u8::try_from(number % u64::from(self.sources)).unwrap_or_default() + 1;
        let source = on_loopback.then(|| Ipv4Addr::new(127, 1, 0, host));
        Target { source, ..self.target.clone() }
    }

    /// Signs in as all of `nodes`, a few at a time.
    async fn gather(&self, nodes: Vec<NodeId>) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::with_capacity(nodes.len());
        let mut waiting = nodes.into_iter().zip(0_u64..);
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < GATHER_AT_A_TIME {
                let Some((node, number)) = waiting.next() else { break };
                let target = self.target(number);
                under_way.push(async move { Client::sign_in(&target, &node, 0).await });
            }
            match within(self.patience, "a sign-in", next(&mut under_way)).await? {
                Some(client) => clients.push(client.context("a client cannot sign in")?),
                None => return Ok(clients),
            }
        }
    }
}

async fn next<F: Future>(under_way: &mut FuturesUnordered<F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| futures_util::Stream::poll_next(std::pin::Pin::new(under_way), cx))
        .await
}

/// Waits for `what`, and no longer than `patience`.
async fn within<T>(
    patience: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let seconds = patience.as_secs();
    let done = tokio::time::timeout(patience, future).await;
    done.with_context(|| format!("{what} took longer than {seconds} s"))
}

/// An action of `kind` that has `bytes` bytes, with whatever else belongs in it.
fn action(kind: &str, more: &str, bytes: u64) -> anyhow::Result<Action> {
    let bare = format!(r#"{{"type":"{kind}",{more}"text":""}}"#);
    let text = usize::try_from(bytes)?.saturating_sub(bare.len());
    let json = format!(r#"{{"type":"{kind}",{more}"text":"{}"}}"#, "x".repeat(text));
    Ok(Action::new(Bytes::from(json))?)
}

/// Where every device of a task is over: the first error, if there is one.
async fn all<T: 'static, E: Into<anyhow::Error> + 'static>(
    mut tasks: tokio::task::JoinSet<Result<T, E>>,
) -> anyhow::Result<Vec<T>> {
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        done.push(task?.map_err(Into::into)?);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_the_size_that_was_asked_for() {
        for bytes in [64, 224, 5000] {
            let action = action(KIND, r#""n":1,"#, bytes).unwrap();
            assert_eq!((action.json().len() as u64, action.kind()), (bytes, KIND));
        }
    }
}
