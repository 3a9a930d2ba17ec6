//! Verdicts that no entry stands for: rejections, and what is live only.
//!
//! They are kept in memory, so that an action that is sent again gets the answer it got before. That
//! need not survive the process: what is unanswered comes again and is judged anew.

use crate::rules::UndoReason;
use crate::session::AnswerId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidelog_protocol::{ActionId, ClientId};

/// Verdicts remembered per client; older ones are forgotten first.
const PER_CLIENT_MAX: usize = 1000;
/// Verdicts remembered in all; the clients that came first are forgotten first.
const ALL_MAX: usize = 200_000;

/// A verdict that an action got before. Who sends the action again brings its body along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Why it was undone; none when it was processed.
    pub undone: Option<UndoReason>,
    /// The name of the answer.
    pub answer: AnswerId,
}

/// The verdicts of many clients.
#[derive(Default)]
pub struct Verdicts(Mutex<Table>);

#[derive(Default)]
struct Table {
    clients: HashMap<ClientId, Known>,
    order: VecDeque<ClientId>,
    count: usize,
}

#[derive(Default)]
struct Known {
    verdicts: HashMap<ActionId, Given>,
    order: VecDeque<ActionId>,
}

impl Verdicts {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The verdict that `client` got on the action named `id`.
    pub fn of(&self, client: &ClientId, id: &ActionId) -> Option<Given> {
        self.table().clients.get(client)?.verdicts.get(id).cloned()
    }

    /// Remembers a verdict given to `client`.
    pub fn remember(&self, client: &ClientId, id: ActionId, given: Given) {
        let mut table = self.table();
        table.make_room();
        if !table.clients.contains_key(client) {
            table.order.push_back(client.clone());
        }
        let added = table.clients.entry(client.clone()).or_default().remember(id, given);
        table.count += usize::from(added);
    }
}

impl Table {
    fn make_room(&mut self) {
        while self.count >= ALL_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            let forgotten = self.clients.remove(&oldest);
            self.count -= forgotten.map_or(0, |known| known.verdicts.len());
        }
    }
}

impl Known {
    /// Returns whether there is one more than before.
    fn remember(&mut self, id: ActionId, given: Given) -> bool {
        if self.verdicts.insert(id.clone(), given).is_some() {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() <= PER_CLIENT_MAX {
            return true;
        }
        let oldest = self.order.pop_front();
        oldest.is_none_or(|oldest| self.verdicts.remove(&oldest).is_none())
    }
}
