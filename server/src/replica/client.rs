//! The link to the server that this one follows: it comes up by itself, and again after each break.

use super::caller::{Caller, Down, WAIT_MS};
use super::desk::Trouble;
use super::link::{self, Link};
use super::pace::{Sizes, narrower};
use super::taken::LOOK_EVERY;
use super::wire::What;
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::config::Upstream;
use serde::Serialize;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidelog_protocol::replica::{Batch, Pushed, Welcome};

/// The first pause after a break, and the longest.
const PAUSE_MS: (u64, u64) = (200, 30_000);
/// The pause after a refusal: somebody has to do something.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// How the link is, for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct State(Mutex<Seen>);

/// What is known of the link.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// Since when it is up, if it is, in ms since the epoch.
    pub(crate) since_ms: Option<u64>,
    /// Whether it ever was since the start.
    pub(crate) known: bool,
    /// Up to where of this feed the other has everything.
    pub(crate) pushed: u64,
    /// How far the other's feed was taken, and where it ends.
    pub(crate) pulled: u64,
    pub(crate) their_head: u64,
    /// Actions that the other refused.
    pub(crate) refused: u64,
    /// Whether it is a WebSocket.
    pub(crate) socket: bool,
    /// Why the link went down last.
    pub(crate) trouble: Option<String>,
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is now.
    pub(crate) fn now(&self) -> Seen {
        self.seen().clone()
    }
}

impl From<Trouble> for Down {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(refusal) => Self::Refused(refusal.into()),
            other => Self::Broken(other.into()),
        }
    }
}

/// What is remembered from one life of the link to the next.
pub(super) struct Tries {
    pub(super) pause_ms: u64,
    /// A socket was opened the last time, and nothing came over it: something between does not carry it.
    pub(super) mute: bool,
}

impl Default for Tries {
    fn default() -> Self {
        Self { pause_ms: PAUSE_MS.0, mute: false }
    }
}

/// Follows the server that the settings name, for as long as this one runs.
pub(crate) async fn follow(app: App, upstream: Option<Upstream>) -> Infallible {
    let Some(upstream) = upstream else { return std::future::pending().await };
    let (mut tries, sizes) = (Tries::default(), Arc::<Sizes>::default());
    loop {
        let (settings, known) = (upstream.clone(), Arc::clone(&sizes));
        let down = match blocking(move || Caller::new(&settings, known)).await {
            Ok(caller) => attempt(&app, &caller, &mut tries).await,
            Err(error) => Err(Down::Refused(error)),
        };
        let (error, pause) = match down {
            Ok(never) => match never {},
            Err(Down::Refused(error)) => (error, REFUSED_PAUSE),
            Err(Down::Broken(error)) => {
                sizes.up.broke();
                sizes.down.broke();
                (error, Duration::from_millis(spread(tries.pause_ms)))
            }
        };
        tell_down(&app, &upstream, &error).await;
        tries.pause_ms = (tries.pause_ms * 2).min(PAUSE_MS.1);
        tokio::time::sleep(pause).await;
    }
}

/// The link is down, or does not come up.
async fn tell_down(app: &App, upstream: &Upstream, error: &anyhow::Error) {
    let state = &app.replicas.upstream;
    let since_ms = state.seen().since_ms.take();
    let text = format!("{error:#}");
    let is_news = since_ms.is_some() || state.seen().trouble.as_deref() != Some(&text);
    state.seen().trouble = Some(text.clone());
    if !is_news {
        return;
    }
    // A start without a link knows what is owed.
    if let Err(error) = app.log.keep_notes(app.replicas.desk.lag_notes()).await {
        tracing::debug!(%error, "how far the link was is not written down");
    }
    let now = clock::now_ms();
    let seconds = since_ms.map(|since| now.saturating_sub(since) / 1000);
    tracing::warn!(upstream = upstream.url, error = text, seconds, "the link is down");
}

/// Half of it, and a part of the rest by chance: many edges do not come back at once.
fn spread(ms: u64) -> u64 {
    let chance = getrandom::u64().unwrap_or_default();
    ms / 2 + chance % (ms / 2 + 1)
}

/// One life of the link.
pub(super) async fn attempt(
    app: &App,
    caller: &Caller,
    tries: &mut Tries,
) -> Result<Infallible, Down> {
    let questions = if tries.mute { None } else { caller.open_socket().await? };
    let Some(questions) = questions else {
        tries.mute = false;
        return talk(app, caller, tries, false).await;
    };
    tries.mute = true;
    tokio::select! {
        down = talk(app, caller, tries, true) => down,
        down = questions.carry() => down,
    }
}

async fn talk(
    app: &App,
    caller: &Caller,
    tries: &mut Tries,
    socket: bool,
) -> Result<Infallible, Down> {
    let (log, replicas) = (&app.log, &app.replicas);
    let welcome: Welcome = caller.ask(What::Hello, &link::hello(log)).await?;
    caller.set_rate(narrower(caller.rate(), welcome.bandwidth));
    let link = Link::up(log, &replicas.desk, &welcome)?;
    *tries = Tries::default();
    {
        let mut seen = replicas.upstream.seen();
        seen.since_ms = Some(clock::now_ms());
        (seen.trouble, seen.socket) = (None, socket);
    }
    show(app, &link);
    let (has, taken, head) = link.progress();
    tracing::info!(
        upstream = caller.base,
        incarnation = %welcome.incarnation,
        users = ?welcome.users,
        channels = ?welcome.channels,
        socket,
        owes_positions = log.head().get().saturating_sub(has.get()),
        lacks_positions = head.get().saturating_sub(taken.get()),
        "the link is up"
    );
    tokio::try_join!(push(app, caller, &link), pull(app, caller, &link)).map(|(never, _)| never)
}

fn show(app: &App, link: &Link<'_>) {
    let (has, taken, head) = link.progress();
    let mut seen = app.replicas.upstream.seen();
    seen.known = true;
    (seen.pushed, seen.pulled, seen.their_head) = (has.get(), taken.get(), head.get());
}

async fn push(app: &App, caller: &Caller, link: &Link<'_>) -> Result<Infallible, Down> {
    loop {
        let mut committed = std::pin::pin!(app.replicas.committed.notified());
        committed.as_mut().enable();
        let Some(push) = link.push(caller.sizes().0).await? else {
            show(app, link);
            tokio::select! {
                () = committed => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            continue;
        };
        let pushed: Pushed = caller.ask(What::Push, &push).await?;
        if let Some(first) = pushed.refused.first() {
            app.replicas.upstream.seen().refused += pushed.refused.len() as u64;
            tracing::warn!(
                count = pushed.refused.len(),
                id = %first.id,
                reason = ?first.reason,
                "actions were refused where this server's go"
            );
        }
        link.pushed(push.taken.through);
        show(app, link);
    }
}

async fn pull(app: &App, caller: &Caller, link: &Link<'_>) -> Result<Infallible, Down> {
    loop {
        let batch: Batch = caller.ask(What::Pull, &link.pull(WAIT_MS, caller.sizes().1)).await?;
        let left = link.take(batch).await?;
        if left > 0 {
            tracing::warn!(left, "actions that came over the link could not be taken");
        }
        show(app, link);
    }
}
