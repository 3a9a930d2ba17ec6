//! `tidelog push`: which devices there are, how telling them goes, and a push to try it.

use super::{DeviceId, Message, Outcome, Push};
use crate::admin;
use crate::app::App;
use crate::aside::blocking;
use crate::cli::{PushArgs, PushCommand};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write as _;
use tidelog_protocol::UserId;

/// What a command asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The devices of a user, one a line.
    List {
        /// Whose.
        user: String,
    },
    /// How it goes.
    Status {},
    /// Tell a device now.
    Test {
        /// Whose.
        user: String,
        /// Which.
        device: String,
        /// What to show; without it, nothing is shown.
        title: Option<String>,
    },
}

/// `tidelog push`
pub fn run(args: &PushArgs) -> anyhow::Result<()> {
    let (store, order) = match &args.command {
        PushCommand::Status(args) => (&args.store, Order::Status {}),
        PushCommand::List(args) => (&args.store, Order::List { user: args.user.clone() }),
        PushCommand::Test(args) => {
            let (user, device) = (args.user.clone(), args.device.clone());
            (&args.store, Order::Test { user, device, title: args.title.clone() })
        }
    };
    let data = store.data()?;
    let Some(server) = admin::connect(&data) else {
        bail!("no server runs on {}: it is the one that wakes devices", data.display());
    };
    let text = admin::ask_all(server, &admin::Request::Push(order))?;
    #[expect(clippy::print_stdout, reason = "the text is the command's output")]
    {
        print!("{text}");
    }
    Ok(())
}

/// Answers a command that asks the running server.
pub(crate) async fn answer(app: &App, order: Order) -> anyhow::Result<String> {
    match order {
        Order::Status {} => Ok(format!("{}\n", status(app))),
        Order::List { user } => {
            let (user, asked) = (user_id(&user)?, app.clone());
            let devices = blocking(move || asked.wakes.book.of_user(&user)).await?;
            let mut text = String::new();
            for device in devices {
                let channels: Vec<_> =
                    device.channels.iter().map(crate::log::Channel::as_str).collect();
                let line = json!({
                    "device": device.id.as_str(),
                    "push": device.target.kind(),
                    "client": device.client.as_str(),
                    "channels": channels,
                    "language": device.language,
                    "registered": device.registered_ms,
                    "refreshed": device.refreshed_ms,
                    "connected": app.auth.is_here(&device.user, &device.client),
                });
                writeln!(text, "{line}")?;
            }
            Ok(text)
        }
        Order::Test { user, device, title } => test(app, &user, &device, title).await,
    }
}

fn status(app: &App) -> serde_json::Value {
    let wakes = &app.wakes;
    let (pushes, pulled) = app.metrics.push.since_start();
    json!({
        "pushes": pushes,
        "pulled": pulled,
        "devices": wakes.book.devices(),
        "waiting": wakes.waiting(),
        "services": wakes.lanes.doing(),
        "web": wakes.vapid.public(),
        "apns": wakes.apns.is_some(),
        "fcm": wakes.fcm.is_some(),
    })
}

async fn test(
    app: &App,
    user: &str,
    device: &str,
    title: Option<String>,
) -> anyhow::Result<String> {
    let (user, id) = (user_id(user)?, DeviceId::new(device)?);
    let asked = app.clone();
    let found = blocking(move || asked.wakes.book.get(&user, &id)).await?;
    let Some(found) = found else {
        bail!("the user has no device {device:?}: `tidelog push list USER` prints those there are");
    };
    let message = title.map(|title| Message { title, ..Message::default() }.cut());
    let push = Push { head: app.log.head(), message };
    let outcome = app.wakes.send(&found, &push).await;
    app.metrics.push.answered(found.target.kind(), &outcome);
    let (result, reason) = match outcome {
        Outcome::Accepted => ("accepted", None),
        Outcome::Gone => {
            super::deliver::forget(app, &found).await;
            ("gone", Some("the device is no more, and was forgotten".to_owned()))
        }
        Outcome::Refused(reason) => ("refused", Some(reason)),
        Outcome::Later { reason, ours: true, .. } => ("denied", Some(reason)),
        Outcome::Later { reason, .. } => ("failed", Some(reason)),
    };
    Ok(format!("{}\n", json!({"device": device, "result": result, "reason": reason})))
}

fn user_id(user: &str) -> anyhow::Result<UserId> {
    UserId::new(user).with_context(|| format!("{user:?} is no user id"))
}
