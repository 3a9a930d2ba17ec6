//! What the log holds: entries, where they go, and what became of a draft.

use super::record::Stored;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use tidelog_crdt::{Context, Dot, Position};
use tidelog_protocol::{Action, ActionId, ClientId, NodeId, UserId};

/// Why a text is no channel name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// A channel has a name.
    #[error("the channel name is empty")]
    Empty,
    /// Longer than [`Channel::BYTES_MAX`].
    #[error("the channel name is longer than {} bytes", Channel::BYTES_MAX)]
    TooLong,
}

/// The name of a log that several users read, such as `tasks/14`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(Arc<str>);

impl Channel {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Checks and takes a name.
    pub fn new(text: &str) -> Result<Self, ChannelError> {
        match text.len() {
            0 => Err(ChannelError::Empty),
            1..=Self::BYTES_MAX => Ok(Self(text.into())),
            _ => Err(ChannelError::TooLong),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({self})")
    }
}

impl std::borrow::Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Which log: there is one per user and one per channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogName {
    /// The log of a user.
    User(UserId),
    /// The log of a channel.
    Channel(Channel),
}

/// Where an action goes: logs, and live targets inside those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The users whose logs it is placed in.
    pub users: Vec<UserId>,
    /// The channels whose logs it is placed in.
    pub channels: Vec<Channel>,
    /// The clients it is shown to live.
    pub clients: Vec<ClientId>,
    /// The nodes it is shown to live.
    pub nodes: Vec<NodeId>,
}

impl Addresses {
    /// The logs among the addresses, each as often as it is named.
    pub fn logs(&self) -> impl Iterator<Item = LogName> + '_ {
        let users = self.users.iter().cloned().map(LogName::User);
        users.chain(self.channels.iter().cloned().map(LogName::Channel))
    }

    /// Whether the action was placed in `log`.
    pub fn includes(&self, log: &LogName) -> bool {
        match log {
            LogName::User(user) => self.users.contains(user),
            LogName::Channel(channel) => self.channels.contains(channel),
        }
    }
}

/// An action with its meta, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands, the same in each log it was placed in. For one that is not kept: the head
    /// at that moment, which it shares.
    pub position: Position,
    /// The action's name.
    pub id: ActionId,
    /// Creation time in ms since the epoch, with the author's clock error taken out.
    pub time: u64,
    /// When its commit was made, in ms since the epoch; never falls from entry to entry.
    pub accepted_ms: u64,
    /// The version of the application that created it.
    pub subprotocol: u32,
    /// Where it goes.
    pub addresses: Addresses,
    /// The name that the accepting server gave it.
    pub dot: Dot,
    /// Further names, if several servers had accepted it before they met.
    pub aliases: Vec<Dot>,
    /// What its author had seen.
    pub causes: Causes,
    /// The action; `{"type":"0/clean"}` when it was cleaned, the `logux/undo` when it was undone.
    pub action: Action,
    /// Whether it is stored; what is not goes to whoever is connected.
    pub kept: bool,
    /// Whether its body was taken out, because it was cleaned or undone; pages leave such entries out.
    pub cleaned: bool,
}

/// What the author of an entry had seen. Few who read entries ask, so it is read for those who do.
#[derive(Clone, Debug)]
pub struct Causes(Told);

#[derive(Clone, Debug)]
enum Told {
    /// As its author's session said.
    Known(Context),
    /// As the log has it.
    Stored(Stored),
}

impl Causes {
    /// The context.
    pub fn context(&self) -> Cow<'_, Context> {
        match &self.0 {
            Told::Known(context) => Cow::Borrowed(context),
            Told::Stored(stored) => Cow::Owned(stored.read()),
        }
    }

    pub(super) fn of_record(stored: Stored) -> Self {
        Self(Told::Stored(stored))
    }

    /// As the log has it, if it came from there.
    pub(super) fn stored(&self) -> Option<&Stored> {
        match &self.0 {
            Told::Known(_) => None,
            Told::Stored(stored) => Some(stored),
        }
    }
}

impl From<Context> for Causes {
    fn from(context: Context) -> Self {
        Self(Told::Known(context))
    }
}

impl Default for Causes {
    fn default() -> Self {
        Context::default().into()
    }
}

impl PartialEq for Causes {
    fn eq(&self, other: &Self) -> bool {
        self.context() == other.context()
    }
}

impl Eq for Causes {}

/// An action on its way into the log.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The action's name.
    pub id: ActionId,
    /// Creation time in ms since the epoch, with the author's clock error taken out.
    pub time: u64,
    /// The version of the application that created it.
    pub subprotocol: u32,
    /// Where it goes.
    pub addresses: Addresses,
    /// What its author had seen.
    pub context: Context,
    /// The action.
    pub action: Action,
    /// False: not stored, only published.
    pub kept: bool,
}

/// An action that another server has accepted.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The action with its meta, as it is stored there.
    pub draft: Draft,
    /// Its name.
    pub dot: Dot,
    /// Its further names.
    pub aliases: Vec<Dot>,
    /// Whether its body was taken out; the action of the draft is what stands there instead.
    pub cleaned: bool,
    /// Whether others that its server had accepted before it may still be missing.
    pub loose: bool,
}

/// An action that another server has accepted, and this one does not take.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The action.
    pub foreign: Foreign,
    /// What undoes it.
    pub undo: Action,
    /// Its author has a log, which is told of it, too.
    pub has_own_log: bool,
}

/// One thing to do in a commit.
#[derive(Clone, Debug)]
pub enum Step {
    /// Append an action.
    Append(Draft),
    /// Take over an action of another server, with its names.
    Adopt(Box<Foreign>),
    /// Keep no more of an action of another server than that it was undone, and tell of it.
    Reject(Box<Rejected>),
    /// Take the body of an action out of the log, if this user made it. The id stays known.
    Clean(UserId, ActionId),
}

/// What became of a step.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// New, on disk, published.
    Accepted(Arc<Entry>),
    /// Here before; the commit that holds the original is on disk.
    Known(Arc<Entry>),
    /// Published and not stored, as the draft asked.
    Passed(Arc<Entry>),
    /// Published a while ago and not stored, so not again.
    PassedBefore,
    /// Larger than a row of the feed can hold; neither stored nor published.
    TooLarge,
    /// Its author has as many bytes as may be kept of one user; neither stored nor published.
    OverQuota,
    /// It was no draft, but a request to clean.
    Cleaned(Cleaned),
}

/// What became of a request to clean an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleaned {
    /// The body is gone for readers; that is on disk.
    Done,
    /// No such action here.
    Unknown,
    /// The action was not made by this user.
    NotOwner,
}

/// How much one page may hold; at least one entry is always in it, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Entries at most.
    pub entries: usize,
    /// Bytes of actions at most.
    pub bytes: usize,
}

/// A piece of a log, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Arc<Entry>>,
    /// Everything of this log up to here is in this page or before what it was asked for.
    pub through: Position,
    /// Whether there is more above `through`, up to what was asked for.
    pub more: bool,
}

/// What is remembered of a node: bytes that the log does not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// When the node was last here, in ms since the epoch.
    pub seen_ms: u64,
    /// What the session keeps.
    pub bytes: Vec<u8>,
}
