//! Telling one device: whether it still wants to be told, and may, and how that went.

use super::outcome::Outcome;
use super::table::{Done, Key, Missed};
use super::{Device, Push};
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::log::{Channel, LogName};
use crate::rules::Subject;
use tidelog_crdt::Position;
use tidelog_protocol::{ActionId, Meta, NodeId, builtin};

/// Tells a device what it has missed. What it is and what it may read is looked at now.
pub(super) async fn deliver(app: &App, key: &Key, missed: &Missed) -> Done {
    let (client, id) = key.clone();
    let Some(user) = client.user_str().and_then(|user| tidelog_protocol::UserId::new(user).ok())
    else {
        return Done::Dropped;
    };
    let reading = app.clone();
    let device = match blocking(move || reading.wakes.book.get(&user, &id)).await {
        Ok(Some(device)) if device.client == client => device,
        Ok(_) => return Done::Dropped,
        Err(error) => {
            tracing::error!(%error, "cannot read a device");
            return Done::Failed { after: None, all: true };
        }
    };
    if app.auth.holds(&device.identity(), Some(&client), clock::now_ms()).is_err() {
        forget(app, &device).await;
        return Done::Dropped;
    }
    if app.auth.is_here(&device.user, &client) {
        return Done::Connected;
    }
    // Its last session may have ended since this was taken from the table.
    let known = |(log, at): (&LogName, &Position)| app.wakes.lanes.has_had(&client, log, *at);
    if missed.logs.iter().all(known) {
        return Done::Dropped;
    }
    let may = |log: &LogName| match log {
        LogName::User(_) => true,
        LogName::Channel(channel) => may_read(app, &device, channel),
    };
    if !missed.logs.keys().any(may) {
        return Done::Dropped;
    }
    // What is shown may be of a channel that was closed to it meanwhile.
    let mut push = missed.push();
    if !missed.logs.keys().all(may) {
        push.message = None;
    }
    send(app, &device, &push).await
}

/// Sends a push to a device, and does what follows from the answer.
pub(super) async fn send(app: &App, device: &Device, push: &Push) -> Done {
    let kind = device.target.kind();
    let outcome = app.wakes.send(device, push).await;
    app.metrics.push.answered(kind, &outcome);
    match outcome {
        Outcome::Accepted => Done::Told,
        Outcome::Gone => {
            forget(app, device).await;
            Done::Dropped
        }
        Outcome::Refused(reason) => {
            tracing::warn!(kind, reason, "a push service refuses a push");
            Done::Dropped
        }
        Outcome::Later { reason, after, all, ours } => {
            if ours {
                tracing::warn!(
                    kind,
                    reason,
                    "a push service does not take what this server says of itself: look at [wake] and at the clock"
                );
            } else {
                tracing::debug!(kind, reason, "a push is tried again later");
            }
            Done::Failed { after, all }
        }
    }
}

/// Forgets a device that is gone, unless it registered anew meanwhile.
pub(super) async fn forget(app: &App, device: &Device) {
    match app.wakes.book.forget_same(device).await {
        Ok(gone) if gone => tracing::debug!(kind = device.target.kind(), "a device is gone"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot forget a device that is gone"),
    }
}

fn may_read(app: &App, device: &Device, channel: &Channel) -> bool {
    let Ok(node) = NodeId::new(device.client.as_str()) else { return false };
    let now = clock::now_ms();
    let meta = Meta {
        id: ActionId { node: node.clone(), ms: now, sequence: 0 },
        time: now,
        subprotocol: None,
    };
    let subject = Subject::new(&device.identity(), node, app.subprotocol);
    let (name, subscribe) = (channel.as_str(), builtin::subscribe(channel.as_str()));
    app.rules.subscribe(&subject, name, &subscribe, &meta).is_ok()
}
