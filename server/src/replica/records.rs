//! Entries as two servers say them.

use super::scope::Scope;
use crate::log::{Addresses, Channel, Draft, Foreign, Log, Outgoing, Step, is_server, undo_target};
use bytes::Bytes;
use tidelog_crdt::{Dot, Position};
use tidelog_protocol::replica::{Entry, Held, Reason, Record, Refused};
use tidelog_protocol::{Action, ActionId, UserId};

/// The longest JSON of an action that is taken.
const ACTION_BYTES_MAX: usize = 200 << 10;
/// The most addresses of one kind, and names, that are taken.
const ADDRESSES_MAX: usize = 10_000;
/// What stands for a body that was taken out.
const CLEANED: &[u8] = br#"{"type":"0/clean"}"#;

/// Whether a server lacks a record of `log`, which holds `held` and is for `scope`.
pub(super) fn is_wanted(
    outgoing: &Outgoing,
    log: &Log,
    scope: Option<&Scope>,
    held: &Held,
) -> bool {
    match outgoing {
        Outgoing::Entry(entry) => {
            // Of an entry with several dots nobody knows which of them came in order.
            (!entry.aliases.is_empty() || came_cleaned(entry, log) || !held.covers(entry.dot))
                && scope.is_none_or(|scope| scope.concerns(entry))
        }
        Outgoing::Renamed(entry) => scope.is_none_or(|scope| scope.concerns(entry)),
        Outgoing::Cleaned(id) => is_author_in(scope, id),
    }
}

/// Whether it came cleaned, so that nothing else here says that its body was taken out: who has the entry may
/// have the body, and no more, because it was restored. Of one that was compacted the body is not gone.
fn came_cleaned(entry: &crate::log::Entry, log: &Log) -> bool {
    let is_own =
        entry.dot.position == entry.position && log.incarnations().was_in(entry.dot.incarnation);
    let is_out = entry.cleaned && entry.undone_because().is_none();
    is_out && !is_own && entry.addresses.logs().next().is_some()
}

fn is_author_in(scope: Option<&Scope>, id: &ActionId) -> bool {
    let has = |scope: &Scope| id.node.user().is_some_and(|user| scope.has_user(&user));
    scope.is_none_or(has)
}

/// A record of `log` to be sent.
pub(super) fn say(outgoing: &Outgoing, log: &Log) -> Record {
    match outgoing {
        Outgoing::Cleaned(id) => Record::Cleaned(id.clone()),
        Outgoing::Entry(entry) | Outgoing::Renamed(entry) => {
            let to = &entry.addresses;
            let undone = entry.undone_because().is_some();
            let has_body = !entry.cleaned || undone;
            let action =
                has_body.then(|| String::from_utf8_lossy(entry.action.json()).into_owned());
            Record::Entry(Box::new(Entry {
                id: entry.id.clone(),
                time: entry.time,
                subprotocol: entry.subprotocol,
                users: to.users.iter().map(|it| it.as_str().to_owned()).collect(),
                channels: to.channels.iter().map(|it| it.as_str().to_owned()).collect(),
                clients: to.clients.iter().map(|it| it.as_str().to_owned()).collect(),
                nodes: to.nodes.iter().map(|it| it.as_str().to_owned()).collect(),
                dot: entry.dot,
                aliases: entry.aliases.clone(),
                context: entry.causes.context().into_owned(),
                action,
                undone,
                late: false,
                loose: log.incarnations().is_loose(entry.dot),
            }))
        }
    }
}

/// What is not taken from the other side.
pub(super) struct Guard<'a> {
    /// What it may bring; all, from the server that this one follows.
    pub(super) scope: Option<&'a Scope>,
    /// Whether an action can have this name.
    pub(super) may_name: &'a dyn Fn(&ActionId, Dot) -> bool,
    /// Whether an action can have this further name.
    pub(super) may_be_named: &'a dyn Fn(&ActionId, Dot) -> bool,
}

/// What the log is asked to do for a record.
pub(super) fn take(record: Record, guard: &Guard<'_>) -> Result<Step, Refused> {
    match record {
        Record::Cleaned(id) => match id.node.user() {
            Some(owner) if is_author_in(guard.scope, &id) => Ok(Step::Clean(owner, id)),
            _ => Err(Refused { id, reason: Reason::OutOfScope }),
        },
        Record::Entry(entry) => {
            let id = entry.id.clone();
            let taken = take_entry(*entry, guard).map_err(|reason| Refused { id, reason })?;
            Ok(Step::Adopt(Box::new(taken)))
        }
    }
}

fn take_entry(entry: Entry, guard: &Guard<'_>) -> Result<Foreign, Reason> {
    let lists = [entry.users.len(), entry.channels.len(), entry.clients.len(), entry.nodes.len()];
    if lists.iter().chain([&entry.aliases.len()]).any(|length| *length > ADDRESSES_MAX) {
        return Err(Reason::Malformed);
    }
    let (users, clients, nodes) = entry.names().ok_or(Reason::Malformed)?;
    let channels = entry.channels.iter().map(|name| Channel::new(name).ok());
    let channels = channels.collect::<Option<_>>().ok_or(Reason::Malformed)?;
    let addresses = Addresses { users, channels, clients, nodes };
    let cleaned = entry.action.is_none() || entry.undone;
    let json = entry.action.map_or(Bytes::from_static(CLEANED), Bytes::from);
    if json.len() > ACTION_BYTES_MAX {
        return Err(Reason::TooLarge);
    }
    let action = Action::new(json).map_err(|_| Reason::Malformed)?;
    let author = author_of(&entry.id, &action, entry.undone)?;
    if guard.scope.is_some_and(|scope| !scope.admits(author.as_ref(), &addresses)) {
        return Err(Reason::OutOfScope);
    }
    let is_named = if entry.aliases.is_empty() { guard.may_name } else { guard.may_be_named };
    let further = entry.aliases.iter().all(|dot| (guard.may_be_named)(&entry.id, *dot));
    if entry.dot.position == Position::ZERO || !is_named(&entry.id, entry.dot) || !further {
        return Err(Reason::ForgedDot);
    }
    Ok(Foreign {
        draft: Draft {
            id: entry.id,
            time: entry.time,
            subprotocol: entry.subprotocol,
            addresses,
            context: entry.context,
            action,
            kept: true,
        },
        dot: entry.dot,
        aliases: entry.aliases,
        cleaned,
        loose: entry.loose,
    })
}

/// Whose action it is: of one that a server made, which is an undo, the author of what it undoes.
fn author_of(id: &ActionId, action: &Action, undone: bool) -> Result<Option<UserId>, Reason> {
    let target = || undo_target(action).ok_or(Reason::Malformed);
    if undone && target()? != *id {
        return Err(Reason::Malformed);
    }
    if is_server(&id.node) { Ok(target()?.node.user()) } else { Ok(id.node.user()) }
}

/// The action that a step takes over.
pub(super) fn id_of(step: &Step) -> Option<ActionId> {
    match step {
        Step::Adopt(foreign) => Some(foreign.draft.id.clone()),
        Step::Reject(rejected) => Some(rejected.foreign.draft.id.clone()),
        Step::Append(_) | Step::Clean(..) => None,
    }
}

/// What a step costs, in bytes about.
pub(super) fn cost_of(step: &Step) -> usize {
    match step {
        Step::Adopt(foreign) => 512 + foreign.draft.action.json().len(),
        Step::Reject(rejected) => 512 + rejected.foreign.draft.action.json().len(),
        Step::Append(_) | Step::Clean(..) => 512,
    }
}

/// The dot of what a step brings that would be sent back, because [`Held`] does not say that it is there.
pub(super) fn given_dot_of(step: &Step) -> Option<Dot> {
    match step {
        Step::Adopt(foreign) if foreign.loose || foreign.cleaned => Some(foreign.dot),
        Step::Adopt(_) | Step::Reject(_) | Step::Append(_) | Step::Clean(..) => None,
    }
}

/// The dot that a step brings in order.
pub(super) fn dot_of(step: &Step) -> Option<Dot> {
    match step {
        Step::Adopt(foreign) if foreign.aliases.is_empty() && !foreign.loose => Some(foreign.dot),
        // What comes from the server that this one follows is not judged again.
        Step::Adopt(_) | Step::Reject(_) | Step::Append(_) | Step::Clean(..) => None,
    }
}
