//! Waiting for news in logs.

use crate::app::App;
use crate::auth::{Identity, Presence};
use crate::clock;
use crate::hub::Inbox;
use crate::leaving::Leave;
use crate::log::LogName;
use std::sync::Arc;
use std::time::Duration;
use tidelog_crdt::Position;
use tidelog_protocol::ClientId;

/// The longest sleep, so that adding it to now cannot overflow; who wakes looks again.
const SLEEP_MAX: Duration = Duration::from_secs(86_400);

/// Follows logs for as long as it lives.
pub(super) struct Following {
    app: App,
    inbox: Arc<Inbox>,
    logs: Vec<LogName>,
    leave: Leave,
    expires_ms: Option<u64>,
    /// Whoever revokes the token finds it by this.
    _presence: Presence,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something came into one of the logs.
    News,
    /// The time was over.
    Time,
    /// The server stops, or the token has expired or was revoked.
    End,
}

impl Following {
    /// Follows `logs` for who signed in, as this device if it has a name, and as long as the token
    /// counts. What comes in before this is to be read after it.
    pub(super) fn new(
        app: &App,
        logs: Vec<LogName>,
        (identity, device): (&Identity, Option<&ClientId>),
    ) -> Self {
        let inbox = Arc::new(Inbox::default());
        let presence = app.auth.enter(identity, device, &inbox, clock::now_ms());
        for log in &logs {
            app.hub.follow(log.clone(), &inbox);
        }
        app.metrics.waiting.inc();
        let expires_ms = identity.expires_ms;
        let leave = Leave::default();
        Self { app: app.clone(), inbox, logs, leave, expires_ms, _presence: presence }
    }

    /// Waits for news since the last call, until `deadline_ms`.
    pub(super) async fn wait(&mut self, deadline_ms: u64) -> Woken {
        let until = deadline_ms.min(self.expires_ms.unwrap_or(u64::MAX));
        loop {
            let now = clock::now_ms();
            let expired = self.expires_ms.is_some_and(|expires| expires <= now);
            if expired || self.inbox.has_ended() {
                return Woken::End;
            }
            if deadline_ms <= now {
                return Woken::Time;
            }
            let sleep = Duration::from_millis(until.saturating_sub(now)).min(SLEEP_MAX);
            tokio::select! {
                biased;
                () = self.leave.turn(&self.app, true) => return Woken::End,
                () = self.inbox.ended() => return Woken::End,
                () = self.inbox.mail() => {
                    // What came is read from the log; the inbox only rings.
                    drop(self.inbox.take());
                    self.inbox.resume(Position::MAX);
                    return Woken::News;
                }
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        for log in &self.logs {
            self.app.hub.unfollow(log, &self.inbox);
        }
        self.app.metrics.waiting.dec();
    }
}
