//! `tidelog replica`: who may follow this server, and how the links are.

use super::registry::{Limits, Registry, Replica, note_of};
use crate::admin;
use crate::app::App;
use crate::aside::blocking;
use crate::cli::{ReplicaArgs, ReplicaCommand, ReplicaLimitArgs};
use crate::clock;
use crate::config::bytes;
use crate::log::{Log, OpenError, Settings};
use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use tidelog_protocol::replica::Behind;

/// What a command asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A name for a server that may follow this one.
    Add {
        /// The name.
        name: String,
        /// Globs over the users that it is for.
        users: Vec<String>,
        /// Globs over the channels.
        channels: Vec<String>,
        /// What its link may take.
        limits: Limits,
    },
    /// What its link may take, from now on.
    Limit {
        /// The name.
        name: String,
        /// What is not said stays.
        limits: Limits,
    },
    /// It may not any more.
    Remove {
        /// The name.
        name: String,
    },
    /// Another token; the one of before does not count any more.
    Token {
        /// The name.
        name: String,
    },
    /// How the links are.
    Status {},
}

/// `tidelog replica`
pub fn run(args: &ReplicaArgs) -> anyhow::Result<()> {
    let (store, order) = match &args.command {
        ReplicaCommand::Add(args) => {
            let or_all = |globs: &[String]| match globs {
                [] => vec!["*".to_owned()],
                globs => globs.to_vec(),
            };
            let (name, users, channels) =
                (args.name.clone(), or_all(&args.users), or_all(&args.channels));
            let limits = limits_of(&args.limits)?;
            (&args.store, Order::Add { name, users, channels, limits })
        }
        ReplicaCommand::Limit(args) => {
            let (name, limits) = (args.name.clone(), limits_of(&args.limits)?);
            (&args.store, Order::Limit { name, limits })
        }
        ReplicaCommand::Remove(args) => (&args.store, Order::Remove { name: args.name.clone() }),
        ReplicaCommand::Token(args) => (&args.store, Order::Token { name: args.name.clone() }),
        ReplicaCommand::Status(args) => (&args.store, Order::Status {}),
    };
    let data = store.data()?;
    let text = match admin::connect(&data) {
        Some(server) => admin::ask_all(server, &admin::Request::Replica(order))?,
        None => to_stopped(&data, order)?,
    };
    #[expect(clippy::print_stdout, reason = "the text is the command's output")]
    {
        print!("{text}");
    }
    Ok(())
}

/// The limits among the arguments.
fn limits_of(args: &ReplicaLimitArgs) -> anyhow::Result<Limits> {
    let bandwidth = match args.bandwidth.as_deref() {
        None => None,
        Some("off") => Some(0),
        Some(text) => Some(bytes(text).map_err(anyhow::Error::msg)? as u64),
    };
    Ok(Limits { weight: args.weight, bandwidth })
}

fn to_stopped(data: &Path, order: Order) -> anyhow::Result<String> {
    ensure!(Log::exists(data), OpenError::Missing { dir: data.to_owned() });
    let (log, _) = Log::open(Settings::new(data.to_owned()), clock::now_ms())?;
    let registry = Registry::open(&log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let text = match order {
            Order::Status {} => {
                let lines = registry.list().into_iter().map(|it| about(&it).to_string() + "\n");
                lines.collect()
            }
            order => carry_out(&log, &registry, order).await?,
        };
        log.close().await?;
        Ok(text)
    })
}

/// Does what a command asks for: first on disk, then in the running server.
async fn carry_out(log: &Log, registry: &Registry, order: Order) -> anyhow::Result<String> {
    let (replica, token) = match order {
        Order::Add { name, users, channels, limits } => {
            ensure!(
                registry.get(&name).is_none(),
                "there is a replica {name:?}: `tidelog replica token` gives it another token"
            );
            let (replica, token) = Replica::make(&name, (users, channels), clock::now_ms())?;
            (replica.limited(limits), Some(token))
        }
        Order::Token { name } => {
            let (replica, token) = known(registry, &name)?.renewed()?;
            (replica, Some(token))
        }
        Order::Limit { name, limits } => (known(registry, &name)?.limited(limits), None),
        Order::Remove { name } => {
            known(registry, &name)?;
            log.keep_note(note_of(&name), None).await?;
            registry.set(&name, None);
            return Ok(format!("{}\n", json!({ "removed": name })));
        }
        Order::Status {} => return Ok(String::new()),
    };
    let (note, bytes) = replica.note()?;
    log.keep_note(note, Some(bytes)).await?;
    let mut line = about(&replica);
    if let (Some(line), Some(token)) = (line.as_object_mut(), token) {
        line.insert("token".into(), token.into());
    }
    registry.set(&replica.name.clone(), Some(replica));
    Ok(format!("{line}\n"))
}

fn known(registry: &Registry, name: &str) -> anyhow::Result<std::sync::Arc<Replica>> {
    match registry.get(name) {
        Some(replica) => Ok(replica),
        None => {
            bail!("there is no replica {name:?}: `tidelog replica status` lists those there are")
        }
    }
}

/// Answers a command that asks the running server.
pub(crate) async fn answer(app: &App, order: Order) -> anyhow::Result<String> {
    match order {
        Order::Status {} => {
            let (log, replicas) = (app.log.clone(), Arc::clone(&app.replicas));
            blocking(move || replicas.look(&log, u64::MAX)).await?;
            status(app)
        }
        order => {
            let what = match &order {
                Order::Remove { name } => Some(name.clone()),
                _ => None,
            };
            let text = carry_out(&app.log, &app.replicas.desk.registry, order).await?;
            if let Some(replica) = what {
                let note = app.replicas.desk.forget(&replica);
                app.log.keep_note(note, None).await?;
                tracing::info!(replica, "a replica was removed");
            }
            Ok(text)
        }
    }
}

fn about(replica: &Replica) -> serde_json::Value {
    json!({
        "replica": replica.name,
        "users": replica.users,
        "channels": replica.channels,
        "added": replica.added_ms,
        "weight": replica.weight(),
        "bandwidth": replica.bandwidth,
    })
}

fn status(app: &App) -> anyhow::Result<String> {
    let (mut text, head, now) = (String::new(), app.log.head().get(), clock::now_ms());
    let desk = &app.replicas.desk;
    for replica in desk.registry.list() {
        let (known, lag) = (desk.known(&replica.name), desk.lag(&replica.name));
        let linked = known.is_linked(now);
        let mut line = about(&replica);
        let has = lag.has().map_or(0, tidelog_crdt::Position::get);
        let lacks = of_lag("lacks", head.saturating_sub(has), lag.behind(now));
        let owes = of_lag("owes", known.head.saturating_sub(known.taken), lag.ahead(now));
        let rest = [
            ("linked".to_owned(), linked.into()),
            ("since".to_owned(), json!(known.since_ms.filter(|_| linked))),
            ("seen".to_owned(), json!(Some(known.seen_ms).filter(|seen| *seen > 0))),
            ("accepted".to_owned(), known.accepted.into()),
            ("refused".to_owned(), known.refused.into()),
            ("undone".to_owned(), known.undone.into()),
        ];
        if let Some(line) = line.as_object_mut() {
            line.extend(lacks.into_iter().chain(owes).chain(rest));
        }
        writeln!(text, "{line}")?;
    }
    if app.upstream {
        let (seen, lag) = (app.replicas.upstream.now(), &desk.upstream);
        let mut line = json!({
            "upstream": true,
            "socket": seen.socket && seen.since_ms.is_some(),
            "linked": seen.since_ms.is_some(),
            "since": seen.since_ms,
            "trouble": seen.trouble,
            "refused": seen.refused,
        });
        let has = lag.has().map_or(0, tidelog_crdt::Position::get);
        let lacks = seen.their_head.saturating_sub(seen.pulled);
        if let Some(line) = line.as_object_mut() {
            line.extend(of_lag("owes", head.saturating_sub(has), lag.behind(now)));
            line.extend(of_lag("lacks", lacks, lag.ahead(now)));
        }
        writeln!(text, "{line}")?;
    }
    Ok(text)
}

/// How much somebody `lacks` or `owes`; null is what is not known.
fn of_lag(which: &str, positions: u64, behind: Option<Behind>) -> [(String, serde_json::Value); 4] {
    let seconds = behind.map(|it| it.age_ms.unwrap_or_default() / 1000);
    [
        (format!("{which}_positions"), positions.into()),
        (format!("{which}_actions"), json!(behind.map(|it| it.actions))),
        (format!("{which}_bytes"), json!(behind.map(|it| it.bytes))),
        (format!("{which}_seconds"), json!(seconds)),
    ]
}
