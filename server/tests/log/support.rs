//! Drafts, pages and a runtime for the tests of the log.

use bytes::Bytes;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use tidelog_crdt::{Context, Position};
use tidelog_protocol::{Action, ActionId, NodeId, UserId};
use tidelog_server::log::{
    Addresses, Channel, Draft, Entry, Log, LogName, Opened, Outcome, PageLimit, Settings,
};

/// Larger than any page of a test.
pub(crate) const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Small enough that checkpoints and merges happen all the time.
pub(crate) fn small(dir: &Path) -> Settings {
    Settings { tail_bytes: 4 << 10, cache_bytes: 1 << 20, ..Settings::new(dir) }
}

pub(crate) fn open(settings: &Settings) -> (Log, Opened) {
    Log::open(settings.clone(), 1_000).unwrap()
}

pub(crate) fn at(number: u64) -> Position {
    Position::new(number).unwrap()
}

pub(crate) fn id(user: &str, ms: u64, sequence: u64) -> ActionId {
    ActionId { node: NodeId::new(&format!("{user}:c:t")).unwrap(), ms, sequence }
}

pub(crate) fn user_log(user: &str) -> LogName {
    LogName::User(UserId::new(user).unwrap())
}

pub(crate) fn channel_log(channel: &str) -> LogName {
    LogName::Channel(Channel::new(channel).unwrap())
}

/// An action of its author's own log.
pub(crate) fn draft(id: ActionId) -> Draft {
    let json = format!(r#"{{"type":"add","id":"{id}","text":"a body of some length"}}"#);
    draft_of(id, json)
}

pub(crate) fn draft_of(id: ActionId, json: String) -> Draft {
    let users = id.node.user().into_iter().collect();
    Draft {
        time: id.ms,
        id,
        subprotocol: 1,
        addresses: Addresses { users, ..Addresses::default() },
        context: Context::default(),
        action: Action::new(Bytes::from(json)).unwrap(),
        kept: true,
    }
}

pub(crate) fn append(log: &Log, drafts: Vec<Draft>) -> Vec<Outcome> {
    wait(log.append(drafts, 1_000)).unwrap()
}

/// Appends one draft that is new.
pub(crate) fn accept(log: &Log, draft: Draft) -> Arc<Entry> {
    match append(log, vec![draft]).remove(0) {
        Outcome::Accepted(entry) => entry,
        other => panic!("expected to be accepted: {other:?}"),
    }
}

pub(crate) fn read_all(log: &Log, name: &LogName) -> Vec<Arc<Entry>> {
    log.read(name, Position::ZERO, Position::MAX, ALL).unwrap().entries
}

pub(crate) fn ids(entries: &[Arc<Entry>]) -> Vec<String> {
    entries.iter().map(|entry| entry.id.to_string()).collect()
}
