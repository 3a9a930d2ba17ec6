//! The rules: where an action goes, who may subscribe to what.

mod filter;
mod subject;

pub use filter::{Filter, FilterError};
pub use subject::Subject;

use crate::config::{Config, ConfigError};
use std::sync::Arc;
use tidelog_protocol::{Action, ClientId, Meta, NodeId, UserId};

/// Where an accepted action goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Users whose logs it enters, its author's among them.
    pub users: Vec<UserId>,
    /// Channels whose logs it enters.
    pub channels: Vec<Arc<str>>,
    /// Clients that get it live.
    pub clients: Vec<ClientId>,
    /// Nodes that get it live.
    pub nodes: Vec<NodeId>,
    /// False: live only, not stored.
    pub kept: bool,
    /// An action of a `[[sync_map]]`: stored as sent, rendered to subscribers.
    pub sync_map: bool,
}

/// Why an action is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoReason {
    /// A rule says no, or failed.
    Denied,
    /// No rule knows the type.
    UnknownType,
    /// No pattern knows the channel.
    WrongChannel,
    /// The action is malformed, or addressed to what cannot exist.
    Error,
    /// The action is larger than what is kept.
    TooLarge,
    /// The session has as many subscriptions as it may.
    TooManySubscriptions,
}

impl UndoReason {
    /// The `reason` of `logux/undo`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::UnknownType => "unknownType",
            Self::WrongChannel => "wrongChannel",
            Self::Error => "error",
            Self::TooLarge => "tooLarge",
            Self::TooManySubscriptions => "tooManySubscriptions",
        }
    }
}

/// What a new subscriber gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// The channel's log.
    #[default]
    Log,
    /// The channel's documents.
    State,
    /// Nothing but what comes from now on.
    None,
}

/// A subscription that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// What the subscriber gets first.
    pub load: Load,
    /// The channel belongs to a `[[sync_map]]`.
    pub sync_map: Option<SyncMapChannel>,
}

/// A channel of a `[[sync_map]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncMapChannel {
    /// The map's name, which is the prefix of its action types.
    pub name: Arc<str>,
    /// The item of `NAME/ID`; none for `NAME`.
    pub item: Option<String>,
}

/// The compiled rules.
#[derive(Debug)]
pub struct Rules {}

impl Rules {
    /// Compiles the rules of the configuration.
    pub fn compile(_config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {})
    }

    /// Where an action by `subject` goes. `logux/subscribe` and `logux/unsubscribe` are the
    /// session's and do not come here.
    pub fn place(
        &self,
        subject: &Subject,
        action: &Action,
        _meta: &Meta,
    ) -> Result<Placement, UndoReason> {
        if action.kind().starts_with("logux/") {
            return Err(UndoReason::Denied);
        }
        Ok(Placement { users: vec![subject.user().clone()], kept: true, ..Placement::default() })
    }

    /// Whether `subject` may subscribe to `channel` by the action `subscribe`.
    pub fn subscribe(
        &self,
        _subject: &Subject,
        _channel: &str,
        _subscribe: &Action,
        _meta: &Meta,
    ) -> Result<Access, UndoReason> {
        Err(UndoReason::WrongChannel)
    }
}
