//! Something that there is a bounded amount of, handed out by turns: who waits for it is served one
//! owner after the other, and no owner holds more than its share.
//!
//! Used for the memory of large frames and for the time to judge expensive actions.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// So many units, for owners that are told apart by `K`. Cheap to clone.
pub(crate) struct Turns<K: Eq + Hash + Clone> {
    state: Arc<Mutex<State<K>>>,
    share: usize,
}

/// Units that somebody holds; they return when it is dropped.
pub(crate) struct Held<K: Eq + Hash + Clone> {
    state: Arc<Mutex<State<K>>>,
    owner: K,
    units: usize,
}

struct State<K> {
    free: usize,
    /// Units that somebody waits for.
    wanted: usize,
    share: usize,
    owners: HashMap<K, Owner>,
    /// Owners that somebody waits for, in the order of their turns.
    order: VecDeque<K>,
}

#[derive(Default)]
struct Owner {
    held: usize,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    units: usize,
    /// Told that the units are its own from now on.
    granted: oneshot::Sender<()>,
}

impl<K: Eq + Hash + Clone> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), share: self.share }
    }
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// `units` in all, at most `share` of them for one owner.
    pub(crate) fn new(units: usize, share: usize) -> Self {
        let (owners, order) = (HashMap::new(), VecDeque::new());
        let state = State { free: units, wanted: 0, share, owners, order };
        Self { state: Arc::new(Mutex::new(state)), share: share.min(units) }
    }

    /// What one owner may hold.
    pub(crate) fn share(&self) -> usize {
        self.share
    }

    /// Units that nobody holds.
    pub(crate) fn free(&self) -> usize {
        locked(&self.state).free
    }

    /// Units that somebody waits for.
    pub(crate) fn wanted(&self) -> usize {
        locked(&self.state).wanted
    }

    /// Waits for `units`; who needs more than its share gets its share.
    pub(crate) async fn take(&self, owner: K, units: usize) -> Held<K> {
        let units = units.min(self.share);
        let (granted, turn) = oneshot::channel();
        {
            let mut state = locked(&self.state);
            state.wanted += units;
            let waiting = &mut state.owners.entry(owner.clone()).or_default().waiting;
            waiting.push_back(Waiter { units, granted });
            if waiting.len() == 1 {
                state.order.push_back(owner.clone());
            }
            state.grant();
        }
        let waiting = Waiting { state: &self.state, owner: &owner, units, turn: Some(turn) };
        waiting.turn().await;
        Held { state: Arc::clone(&self.state), owner, units }
    }
}

/// Who waits and goes away gives back what it was granted meanwhile.
struct Waiting<'a, K: Eq + Hash + Clone> {
    state: &'a Mutex<State<K>>,
    owner: &'a K,
    units: usize,
    turn: Option<oneshot::Receiver<()>>,
}

impl<K: Eq + Hash + Clone> Waiting<'_, K> {
    async fn turn(mut self) {
        if let Some(turn) = &mut self.turn {
            // The sender is in the queue until it has sent.
            turn.await.ok();
        }
        self.turn = None;
    }
}

impl<K: Eq + Hash + Clone> Drop for Waiting<'_, K> {
    fn drop(&mut self) {
        let Some(mut turn) = self.turn.take() else { return };
        let mut state = locked(self.state);
        turn.close();
        if turn.try_recv().is_ok() {
            state.give_back(self.owner, self.units);
        } else {
            // Who stood behind it may have been waiting for nothing else.
            state.grant();
        }
    }
}

impl<K: Eq + Hash + Clone> Held<K> {
    /// How many.
    pub(crate) fn units(&self) -> usize {
        self.units
    }
}

impl<K: Eq + Hash + Clone> Drop for Held<K> {
    fn drop(&mut self) {
        locked(&self.state).give_back(&self.owner, self.units);
    }
}

fn locked<K>(state: &Mutex<State<K>>) -> MutexGuard<'_, State<K>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash + Clone> State<K> {
    fn give_back(&mut self, owner: &K, units: usize) {
        self.free += units;
        if let Some(of_owner) = self.owners.get_mut(owner) {
            of_owner.held -= units;
        }
        self.grant();
        if self.owners.get(owner).is_some_and(|it| it.held == 0 && it.waiting.is_empty()) {
            self.owners.remove(owner);
        }
    }

    /// Serves who waits as far as there is something: in the order of turns, so that a large request
    /// is not overtaken for ever; but nobody waits behind an owner who has its share.
    fn grant(&mut self) {
        let mut at = 0;
        while let Some(owner) = self.order.get(at).cloned() {
            match self.serve(&owner) {
                Served::Granted => {
                    self.order.remove(at);
                    let waits = self.owners.get(&owner).is_some_and(|it| !it.waiting.is_empty());
                    if waits {
                        self.order.push_back(owner);
                    }
                }
                Served::Nobody => {
                    self.order.remove(at);
                    if self.owners.get(&owner).is_some_and(|it| it.held == 0) {
                        self.owners.remove(&owner);
                    }
                }
                Served::HasItsShare => at += 1,
                Served::NothingLeft => return,
            }
        }
    }

    fn serve(&mut self, owner: &K) -> Served {
        let Some(of_owner) = self.owners.get_mut(owner) else { return Served::Nobody };
        while let Some(next) = of_owner.waiting.front() {
            let units = next.units;
            if next.granted.is_closed() {
                of_owner.waiting.pop_front();
                self.wanted -= units;
            } else if of_owner.held > 0 && of_owner.held + units > self.share {
                return Served::HasItsShare;
            } else if units > self.free {
                return Served::NothingLeft;
            } else if let Some(next) = of_owner.waiting.pop_front() {
                self.wanted -= units;
                if next.granted.send(()).is_ok() {
                    of_owner.held += units;
                    self.free -= units;
                    return Served::Granted;
                }
            }
        }
        Served::Nobody
    }
}

enum Served {
    Granted,
    /// Who waited has gone away.
    Nobody,
    HasItsShare,
    NothingLeft,
}
