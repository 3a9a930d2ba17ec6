//! `tidelog replica`: who may follow this server, and how the links are.

use super::registry::{Registry, Replica, note_of};
use crate::admin;
use crate::app::App;
use crate::cli::{ReplicaArgs, ReplicaCommand};
use crate::clock;
use crate::log::{Log, OpenError, Settings};
use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

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
            (&args.store, Order::Add { name, users, channels })
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
        Order::Add { name, users, channels } => {
            ensure!(
                registry.get(&name).is_none(),
                "there is a replica {name:?}: `tidelog replica token` gives it another token"
            );
            Replica::make(&name, (users, channels), clock::now_ms())?
        }
        Order::Token { name } => known(registry, &name)?.renewed()?,
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
    let line = json!({
        "replica": replica.name,
        "users": replica.users,
        "channels": replica.channels,
        "token": token,
    });
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
        Order::Status {} => status(app),
        order => {
            let what = match &order {
                Order::Remove { name } => Some(name.clone()),
                _ => None,
            };
            let text = carry_out(&app.log, &app.replicas.desk.registry, order).await?;
            if let Some(replica) = what {
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
    })
}

fn status(app: &App) -> anyhow::Result<String> {
    let (mut text, head, now) = (String::new(), app.log.head().get(), clock::now_ms());
    for replica in app.replicas.desk.registry.list() {
        let known = app.replicas.desk.known(&replica.name);
        let linked = known.is_linked(now);
        let mut line = about(&replica);
        if let Some(line) = line.as_object_mut() {
            line.insert("linked".into(), linked.into());
            line.insert("since".into(), json!(known.since_ms.filter(|_| linked)));
            line.insert("seen".into(), json!(Some(known.seen_ms).filter(|seen| *seen > 0)));
            line.insert("lacks_positions".into(), head.saturating_sub(known.given).into());
            line.insert("owes_positions".into(), known.head.saturating_sub(known.taken).into());
            line.insert("accepted".into(), known.accepted.into());
            line.insert("refused".into(), known.refused.into());
            line.insert("undone".into(), known.undone.into());
        }
        writeln!(text, "{line}")?;
    }
    if app.upstream {
        let seen = app.replicas.upstream.now();
        let line = json!({
            "upstream": true,
            "linked": seen.since_ms.is_some(),
            "since": seen.since_ms,
            "trouble": seen.trouble,
            "owes_positions": head.saturating_sub(seen.pushed),
            "lacks_positions": seen.their_head.saturating_sub(seen.pulled),
            "refused": seen.refused,
        });
        writeln!(text, "{line}")?;
    }
    Ok(text)
}
