//! Who commits next of those that bring much: links get shares by weight, one part of a batch after the
//! other.
//!
//! Start-time fair queueing: a part is stamped with the virtual time at which it may begin, which is when
//! the link's part before it ended, and ends later by its cost over the link's weight. The smallest stamp
//! goes first. Who was away begins where those who stayed are, and gets nothing for the time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// So that a cost over a weight is a number.
const SCALE: u64 = 1 << 10;

/// One at a time.
#[derive(Default)]
pub(super) struct Shares(Mutex<State>);

#[derive(Default)]
struct State {
    is_taken: bool,
    /// The stamp of the part that went last.
    time: u64,
    /// Where each link's last part ends; only of links that are ahead.
    ends: HashMap<String, u64>,
    /// By stamp, and by order of arrival.
    waiting: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    arrived: u64,
}

impl State {
    fn grant(&mut self) {
        while let Some(((stamp, _), granted)) = self.waiting.pop_first() {
            // Who has gone away meanwhile is left out.
            if granted.send(()).is_ok() {
                self.is_taken = true;
                self.time = self.time.max(stamp);
                let time = self.time;
                self.ends.retain(|_, end| *end > time);
                return;
            }
        }
        self.is_taken = false;
    }
}

/// A turn, until it is dropped.
pub(super) struct Turn<'a>(&'a Shares);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().grant();
    }
}

impl Shares {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the line for `link`, which has `weight`, for work of that `cost`. Who has more to do takes
    /// its next place before it gives up its turn.
    pub(super) fn queue(&self, link: &str, weight: u32, cost: usize) -> Place<'_> {
        let (granted, turn) = oneshot::channel();
        let mut state = self.state();
        let begin = state.ends.get(link).copied().unwrap_or_default().max(state.time);
        let takes = (cost as u64).max(1).saturating_mul(SCALE) / u64::from(weight.max(1));
        state.ends.insert(link.to_owned(), begin.saturating_add(takes));
        state.arrived += 1;
        let arrived = state.arrived;
        state.waiting.insert((begin, arrived), granted);
        if !state.is_taken {
            state.grant();
        }
        Place { shares: self, turn: Some(turn) }
    }
}

/// A place in the line. Who goes away while it waits gives back what it was granted meanwhile.
pub(super) struct Place<'a> {
    shares: &'a Shares,
    turn: Option<oneshot::Receiver<()>>,
}

impl<'a> Place<'a> {
    /// Waits for the turn.
    pub(super) async fn turn(mut self) -> Turn<'a> {
        if let Some(turn) = &mut self.turn {
            // The sender is in the queue until it has sent.
            turn.await.ok();
        }
        self.turn = None;
        Turn(self.shares)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(mut turn) = self.turn.take() else { return };
        turn.close();
        if turn.try_recv().is_ok() {
            self.shares.state().grant();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::Arc;
    use tokio::task::JoinSet;

    /// Who went in which order, of links with these weights that all have much to bring.
    async fn order(links: &[(&'static str, u32)], each: usize) -> Vec<&'static str> {
        let (shares, went) = (Arc::new(Shares::default()), Arc::new(Mutex::new(Vec::new())));
        let first = shares.queue("first", 1, 1).turn().await;
        let mut all = JoinSet::new();
        for (link, weight) in links.iter().copied() {
            let (shares, went) = (Arc::clone(&shares), Arc::clone(&went));
            all.spawn(async move {
                let mut place = shares.queue(link, weight, 100);
                for _ in 0..each {
                    let turn = place.turn().await;
                    went.lock().unwrap().push(link);
                    tokio::task::yield_now().await;
                    place = shares.queue(link, weight, 100);
                    drop(turn);
                }
            });
        }
        while shares.state().waiting.len() < links.len() {
            tokio::task::yield_now().await;
        }
        drop(first);
        all.join_all().await;
        Arc::into_inner(went).unwrap().into_inner().unwrap()
    }

    #[tokio::test]
    async fn links_get_shares_by_weight() {
        let went = order(&[("heavy", 3), ("light", 1), ("other", 1)], 60).await;
        let of = |link| went.iter().take(50).filter(|it| **it == link).count();
        assert!((28..=32).contains(&of("heavy")), "{went:?}");
        assert!((9..=11).contains(&of("light")) && (9..=11).contains(&of("other")), "{went:?}");
    }

    #[tokio::test]
    async fn nobody_saves_turns_up_and_who_goes_away_holds_nobody_up() {
        let shares = Shares::default();
        for _ in 0..100 {
            drop(shares.queue("old", 1, 100).turn().await);
        }
        let held = shares.queue("old", 1, 100).turn().await;
        // Who comes late is not owed what the other has had.
        let queue = |link| Some(Box::pin(shares.queue(link, 1, 100).turn()));
        let mut places: Vec<_> = ["new", "old", "new", "old"].into_iter().map(queue).collect();
        let mut went = Vec::new();
        drop(held);
        for _ in 0..2 {
            let mut now = Vec::new();
            for (at, place) in places.iter_mut().enumerate() {
                let Some(waiting) = place else { continue };
                if let Some(turn) = waiting.as_mut().now_or_never() {
                    now.push((at, turn));
                    *place = None;
                }
            }
            assert_eq!(now.len(), 1, "one at a time");
            went.extend(now.into_iter().map(|(at, _)| at));
        }
        assert_eq!(went, [0, 1], "the new one's, and then the old one's, though the new one waits");
        // The next one has its turn and goes away before it hears of it.
        places[2] = None;
        let last = places[3].take().unwrap();
        drop(last.await);
        assert!(!shares.state().is_taken);
    }
}
