//! The requests of one HTTP/2 connection: tasks that end with it, and how long there was none.

use crate::clock;
use hyper::rt::Executor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// Spawns the requests of one connection. Cheap to clone; the last clone ends what still runs.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    tasks: JoinSet<()>,
    open: usize,
    /// When the last one ended; none before the first.
    ended_ms: Option<u64>,
}

impl Streams {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there was no request for `first` since now, or for `later` since the last one.
    pub(super) async fn idle(&self, first: Duration, later: Duration) {
        let began = clock::now_ms();
        loop {
            let due = {
                let state = self.state();
                match (state.open, state.ended_ms) {
                    (0, None) => Some(began.saturating_add(ms(first))),
                    (0, Some(ended)) => Some(ended.saturating_add(ms(later))),
                    _ => None,
                }
            };
            let now = clock::now_ms();
            let wait = due.map_or(ms(later), |due| due.saturating_sub(now));
            if wait == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, request: F) {
        // Weak, or the tasks would keep alive what is to end them.
        let ended = Ended(Arc::downgrade(&self.0));
        let mut state = self.state();
        while state.tasks.try_join_next().is_some() {}
        state.open += 1;
        state.tasks.spawn(async move {
            request.await;
            drop(ended);
        });
    }
}

/// Notes the end of a request, however it ends.
struct Ended(std::sync::Weak<Mutex<State>>);

impl Drop for Ended {
    fn drop(&mut self) {
        let Some(state) = self.0.upgrade() else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open = state.open.saturating_sub(1);
        state.ended_ms = Some(clock::now_ms());
    }
}
