//! A key set that is fetched: kept on disk, fetched anew from time to time and when a token names a
//! key that is not in it.
//!
//! One fetch at a time, by one task ([`Remote::keep`]); sign-ins only ask for it and wait. However
//! many tokens name unknown keys, two fetches are at least the floor apart. A token whose key is not
//! known is refused for good only by a set that was asked for after the token came: what cannot be
//! asked about now may come again, because a stock client that is told `wrong-credentials` does not.

mod cache;
mod fetch;

use super::key_sets::KeySets;
use super::keys::{self, Key};
use crate::clock;
use crate::config::{Algorithm, Jwks, KeySource};
use crate::tls::client::authorities;
use cache::{Cache, Cached};
use futures_util::FutureExt as _;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// After a failure the next fetch comes earlier than it otherwise would.
const AGAIN: Duration = Duration::from_secs(60);

/// One set.
#[derive(Debug)]
pub(super) struct Remote {
    url: String,
    algorithms: Vec<Algorithm>,
    terms: Jwks,
    cache: Cache,
    state: watch::Sender<State>,
    wanted: Notify,
    opened_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct State {
    keys: Arc<[Key]>,
    /// When the keys were asked for: those that the provider has added since may be missing.
    fetched_ms: Option<u64>,
    /// When a fetch last ended, well or not, in this life.
    tried_ms: Option<u64>,
    running: bool,
    /// How many fetches have ended.
    rounds: u64,
    /// And how many of them without a set.
    failed: u64,
}

impl Remote {
    /// With the keys that were fetched in an earlier life.
    pub(super) fn open(
        url: &str,
        algorithms: &[Algorithm],
        terms: &Jwks,
        data: &Path,
    ) -> Result<Self, String> {
        if !terms.ca_file.as_os_str().is_empty() {
            authorities(&terms.ca_file)?;
        }
        let cache = Cache::new(data, url);
        let mut state = State::default();
        if let Some(Cached { set, fetched_ms }) = cache.read()
            && let Ok(keys) = keys::from_set(&set, algorithms)
        {
            state = State { keys: keys.into(), fetched_ms: Some(fetched_ms), ..state };
        }
        Ok(Self {
            url: url.to_owned(),
            algorithms: algorithms.to_vec(),
            terms: terms.clone(),
            cache,
            state: watch::Sender::new(state),
            wanted: Notify::new(),
            opened_ms: clock::now_ms(),
        })
    }

    /// The keys that count at `now_ms`: those fetched last, for as long as the grace lasts.
    pub(super) fn current(&self, now_ms: u64) -> Arc<[Key]> {
        let state = self.state.borrow();
        let counts = state.fetched_ms.is_some_and(|it| now_ms < plus(it, self.terms.grace));
        if counts { Arc::clone(&state.keys) } else { Arc::default() }
    }

    /// See [`super::key_ring::KeyRing::may_have_new`].
    pub(super) fn may_have_new(&self, algorithm: Algorithm, tried: bool, now_ms: u64) -> bool {
        let foreign = !self.algorithms.is_empty() && !self.algorithms.contains(&algorithm);
        if algorithm == Algorithm::HS256 || foreign {
            return false;
        }
        let state = self.state.borrow();
        // Verifying costs more than asking, so who names no key waits for the next fetch at most.
        let asks = !tried || state.running || self.floor_is_over(&state, now_ms);
        asks && state.fetched_ms.is_none_or(|fetched| fetched < now_ms)
    }

    /// Asks for a fetch.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits for a set that may know the key of a token that came at `now_ms`: that of the fetch
    /// which runs, or else of one that it asks for. Returns whether one came; if not, there is
    /// nothing to do but to come again.
    pub(super) async fn renewed(&self, now_ms: u64) -> bool {
        let mut states = self.state.subscribe();
        let before = {
            let state = states.borrow();
            if state.fetched_ms.is_some_and(|fetched| fetched >= now_ms) {
                return true;
            }
            if !state.running {
                if !self.floor_is_over(&state, now_ms) {
                    return false;
                }
                self.want();
            }
            state.clone()
        };
        let ended = states.wait_for(|state| state.rounds > before.rounds);
        let ended = tokio::time::timeout(self.terms.timeout, ended).await;
        // The sender is ours.
        matches!(ended, Ok(Ok(state)) if state.fetched_ms > before.fetched_ms)
    }

    /// How it goes, at `now_ms`.
    pub(super) fn watched(&self, now_ms: u64) -> KeySets {
        let state = self.state.borrow();
        KeySets {
            fetched: state.rounds - state.failed,
            failed: state.failed,
            age_ms: now_ms.saturating_sub(state.fetched_ms.unwrap_or(self.opened_ms)),
        }
    }

    fn floor_is_over(&self, state: &State, now_ms: u64) -> bool {
        state.tried_ms.is_none_or(|tried| plus(tried, self.terms.floor) <= now_ms)
    }

    /// Fetches the set whenever it is due or asked for, for ever.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            let wait = self.due_in(clock::now_ms());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.wanted.notified() => {}
            }
            if self.floor_is_over(&self.state.borrow(), clock::now_ms()) {
                self.fetch().await;
            }
        }
    }

    /// How long until the next fetch that nobody asks for.
    fn due_in(&self, now_ms: u64) -> Duration {
        let state = self.state.borrow();
        let fetched = state.fetched_ms.map_or(0, |it| plus(it, self.terms.refresh));
        let again = AGAIN.min(self.terms.refresh).max(self.terms.floor);
        let tried = state.tried_ms.map_or(0, |it| plus(it, again));
        Duration::from_millis(fetched.max(tried).saturating_sub(now_ms))
    }

    async fn fetch(&self) {
        // Who has asked for it by now waits for this one.
        let _ = self.wanted.notified().now_or_never();
        self.state.send_modify(|state| state.running = true);
        let began_ms = clock::now_ms();
        let fetched = fetch::set(&self.url, &self.terms).await;
        let fetched = fetched.and_then(|set| {
            let keys = keys::from_set(&set, &self.algorithms)?;
            Ok((set, keys))
        });
        let now_ms = clock::now_ms();
        match fetched {
            Ok((set, keys)) => {
                let count = keys.len();
                tracing::info!(keys = count, "fetched {}", self.place());
                self.ended(now_ms, Some((keys.into(), began_ms)));
                if let Err(error) = self.cache.write(set, began_ms).await {
                    tracing::warn!(
                        %error,
                        "a key set cannot be kept on disk: without it, a server that starts \
                         offline lets nobody in"
                    );
                }
            }
            Err(reason) => {
                self.ended(now_ms, None);
                let left = self.state.borrow().fetched_ms.map_or(0, |fetched| {
                    plus(fetched, self.terms.grace).saturating_sub(now_ms) / 1000
                });
                let place = self.place();
                tracing::warn!(
                    "cannot fetch {place}: {reason}; the keys that are known count for {left} s more"
                );
            }
        }
    }

    fn ended(&self, now_ms: u64, set: Option<(Arc<[Key]>, u64)>) {
        self.state.send_modify(|state| {
            state.running = false;
            state.rounds += 1;
            state.failed += u64::from(set.is_none());
            state.tried_ms = Some(now_ms);
            if let Some((keys, began_ms)) = set {
                state.keys = keys;
                state.fetched_ms = Some(began_ms);
            }
        });
    }

    fn place(&self) -> KeySource {
        KeySource::Url(self.url.clone())
    }
}

fn plus(ms: u64, duration: Duration) -> u64 {
    ms.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
