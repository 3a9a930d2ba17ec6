//! The rules: where an action goes, and who may subscribe to what.
//!
//! Pure: an action, who sent it and the compiled rules decide, nothing else. An expression that
//! fails denies. `compile` makes the rules, `expression` evaluates them.

mod address;
mod again;
mod check;
mod compile;
mod expression;
mod filter;
mod merge;
mod meter;
mod pattern;
mod reads;
mod reason;
mod scope;
mod subject;
mod sync_map;
mod template;
mod value;
mod wake;

pub use filter::{Fields, Filter, FilterError};
pub(crate) use pattern::Glob;
pub use reason::UndoReason;
pub use subject::Subject;
pub use sync_map::{SyncMapChannel, SyncMapOp};
pub(crate) use wake::Told;

use crate::config::{Config, ConfigError};
use crate::log::Channel;
use address::Addresses;
use expression::{Expression, Failure};
use merge::Merges;
use pattern::ChannelPattern;
use reads::Reads;
use scope::Scope;
use sync_map::SyncMap;
use template::Template;
use tidelog_crdt::DocumentAction;
use tidelog_protocol::{Action, ClientId, Meta, NodeId, UserId};
use wake::Wakes;

/// Where an accepted action goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Users whose logs it enters, its author's among them.
    pub users: Vec<UserId>,
    /// Channels whose logs it enters.
    pub channels: Vec<Channel>,
    /// Clients that get it live.
    pub clients: Vec<ClientId>,
    /// Nodes that get it live.
    pub nodes: Vec<NodeId>,
    /// False: live only, not stored.
    pub kept: bool,
    /// An action of a `[[sync_map]]`: stored as sent, rendered to subscribers.
    pub sync_map: bool,
}

/// A larger action takes long enough to read that others should not wait for it.
const READ_BYTES_MAX: usize = 8 << 10;

/// What a new subscriber gets first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// The channel's log.
    Log,
    /// The documents of the channel as they are, or the items of the `[[sync_map]]`.
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
    /// Who missed more actions than this gets what they add up to.
    pub squash: Option<usize>,
}

impl Access {
    /// The channel is loaded as its documents.
    pub fn loads_documents(&self) -> bool {
        self.load == Load::State && self.sync_map.is_none()
    }
}

/// The compiled rules.
#[derive(Debug)]
pub struct Rules {
    actions: Vec<ActionRule>,
    channels: Vec<ChannelRule>,
    sync_maps: Vec<SyncMap>,
    merges: Merges,
    own_state: Vec<Glob>,
    own_squash: Option<usize>,
    wakes: Wakes,
    /// Nobody has written rules: what no rule matches goes to its author's own log.
    open: bool,
    anonymous: Vec<UserId>,
    addresses_max: usize,
}

/// A compiled `[[action]]`.
#[derive(Debug)]
struct ActionRule {
    line: usize,
    kind: Glob,
    /// What its expressions read of an action.
    reads: Reads,
    allow: Allow,
    channels: Vec<Template>,
    users: Vec<Template>,
    clients: Vec<Template>,
    nodes: Vec<Template>,
    kept: bool,
    /// It enters its author's log, too.
    own_log: bool,
}

/// A compiled `[[channel]]`.
#[derive(Debug)]
struct ChannelRule {
    pattern: ChannelPattern,
    allow: Allow,
    load: Option<Load>,
    squash: Option<usize>,
}

/// Who may: everyone without an expression.
#[derive(Debug)]
struct Allow(Option<Expression>);

impl Allow {
    /// What it reads of an action.
    fn reads(&self) -> &Reads {
        static NOTHING: Reads = Reads::NOTHING;
        self.0.as_ref().map_or(&NOTHING, Expression::reads)
    }

    fn check(&self, scope: &Scope<'_>) -> Result<(), UndoReason> {
        match self.0.as_ref().map_or(Ok(true), |allow| allow.truth(scope)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(UndoReason::Denied),
            Err(failure) => Err(failure.into()),
        }
    }
}

impl From<Failure> for UndoReason {
    /// A rule that cannot be evaluated denies.
    fn from(failure: Failure) -> Self {
        tracing::debug!(
            line = failure.line,
            reason = failure.reason,
            "a rule failed, so it denies"
        );
        if failure.costly { Self::TooCostly } else { Self::Denied }
    }
}

impl Rules {
    /// Compiles the rules of the configuration.
    pub fn compile(config: &Config) -> Result<Self, ConfigError> {
        compile::rules(config)
    }

    /// Where an action by `subject` goes.
    ///
    /// `logux/subscribe` and `logux/unsubscribe` are the session's and do not come here; other
    /// actions of Logux itself are not a client's to send. `0/clean` is placed like any action
    /// that is not kept; cleaning is the session's.
    ///
    /// What `[[merge]]` makes of it is tried here: what has no meaning does not get in. Whether it
    /// fits the state of its document is for nobody to judge.
    pub fn place(
        &self,
        subject: &Subject,
        action: &Action,
        meta: &Meta,
    ) -> Result<Placement, UndoReason> {
        let placement = self.placement(subject, action, meta)?;
        if placement.kept {
            self.merges.check(action, meta)?;
        }
        Ok(placement)
    }

    fn placement(
        &self,
        subject: &Subject,
        action: &Action,
        meta: &Meta,
    ) -> Result<Placement, UndoReason> {
        let kind = action.kind();
        if kind.starts_with("logux/") {
            return Err(UndoReason::Denied);
        }
        if DocumentAction::is_one(kind) {
            let body = action.body().map_err(UndoReason::malformed)?;
            DocumentAction::parse(&body).map_err(UndoReason::malformed)?;
        }
        if let Some(rule) = self.actions.iter().find(|rule| rule.kind.matches(kind)) {
            return self.place_by(rule, subject, &Scope::new(subject, action, meta, &rule.reads));
        }
        if let Some(map) = self.sync_maps.iter().find(|map| map.op(kind).is_some()) {
            return map.place(action, &Scope::new(subject, action, meta, &map.reads));
        }
        match kind {
            "0/clean" => Ok(Self::own_log(subject, false)),
            "0" => Ok(Self::own_log(subject, true)),
            _ if DocumentAction::is_one(kind) => Ok(Self::own_log(subject, true)),
            _ if self.open => Ok(Self::own_log(subject, true)),
            _ => Err(UndoReason::UnknownType),
        }
    }

    /// Whether to find out where `action` goes can take longer than others should wait: a large one
    /// is read, or loops go through it.
    pub fn is_slow(&self, action: &Action) -> bool {
        let (kind, bytes) = (action.kind(), action.json().len());
        if DocumentAction::is_one(kind) && bytes > READ_BYTES_MAX {
            return true;
        }
        let slow = |reads: &Reads| reads.loops() || (reads.any() && bytes > READ_BYTES_MAX);
        if self.merges.of(kind).any(|merge| slow(&merge.reads)) {
            return true;
        }
        if let Some(rule) = self.actions.iter().find(|rule| rule.kind.matches(kind)) {
            return slow(&rule.reads);
        }
        let map = self.sync_maps.iter().find(|map| map.op(kind).is_some());
        map.is_some_and(|map| slow(&map.reads) || bytes > READ_BYTES_MAX)
    }

    /// Whether `subject` may subscribe to `channel` by the action `subscribe`.
    pub fn subscribe(
        &self,
        subject: &Subject,
        channel: &str,
        subscribe: &Action,
        meta: &Meta,
    ) -> Result<Access, UndoReason> {
        if address::channel(channel).is_none() {
            return Err(UndoReason::WrongChannel);
        }
        let map = self.sync_maps.iter().find_map(|map| Some((map, map.channel(channel)?)));
        let ruled =
            self.channels.iter().find_map(|rule| Some((rule, rule.pattern.matches(channel)?)));
        let check = |allow: &Allow, params: &[(&str, &str)]| {
            let scope = Scope::new(subject, subscribe, meta, allow.reads());
            allow.check(&scope.with_params(params))
        };
        let load = match (&ruled, &map) {
            (Some((rule, params)), _) => {
                check(&rule.allow, params)?;
                rule.load
            }
            (None, Some((map, channel))) => {
                let item = channel.item.as_deref().map(|item| ("id", item));
                check(&map.subscribe, item.as_slice())?;
                None
            }
            (None, None) => return Err(UndoReason::WrongChannel),
        };
        let load = match (load, &map) {
            (Some(Load::State) | None, Some(_)) => Load::State,
            (None, None) => Load::Log,
            (Some(load), _) => load,
        };
        let squash = ruled.and_then(|(rule, _)| rule.squash).filter(|_| load == Load::State);
        Ok(Access { load, sync_map: map.map(|(_, channel)| channel), squash })
    }

    /// Whether who follows `channel` is shown what was in it before.
    pub(crate) fn shows_past(&self, channel: &str) -> bool {
        let mut rules = self.channels.iter();
        let rule = rules.find(|rule| rule.pattern.matches(channel).is_some());
        rule.is_none_or(|rule| rule.load != Some(Load::None))
    }

    /// Whether a `[[merge]]` may say what actions of the type `kind` do.
    pub(crate) fn merges(&self, kind: &str) -> bool {
        self.merges.of(kind).next().is_some()
    }

    /// The `[[sync_map]]` that an action type belongs to, and what it does there.
    pub fn sync_map(&self, kind: &str) -> Option<(&str, SyncMapOp)> {
        self.sync_maps.iter().find_map(|map| Some((map.name(), map.op(kind)?)))
    }

    /// Where an `[[action]]` takes actions of a `[[sync_map]]` first: its line, and the map.
    pub fn shadowed_maps(&self) -> impl Iterator<Item = (usize, &str)> {
        let takes = |rule: &ActionRule, map: &SyncMap| {
            map.kinds().iter().any(|kind| rule.kind.matches(kind))
        };
        self.actions.iter().flat_map(move |rule| {
            let maps = self.sync_maps.iter().filter(move |map| takes(rule, map));
            maps.map(|map| (rule.line, map.name()))
        })
    }

    /// In a user's own log documents may stand for actions of the type `kind`.
    pub(crate) fn may_be_state(&self, kind: &str) -> bool {
        self.own_state.iter().any(|glob| glob.matches(kind))
    }

    /// In a user's own log documents may stand for some actions.
    pub(crate) fn loads_own_state(&self) -> bool {
        !self.own_state.is_empty()
    }

    /// Who missed more actions of its user's log than this gets documents instead.
    pub(crate) fn own_squash(&self) -> Option<usize> {
        self.own_squash
    }

    fn own_log(subject: &Subject, kept: bool) -> Placement {
        let users = if subject.anonymous() { Vec::new() } else { vec![subject.user().clone()] };
        Placement { kept: kept && !users.is_empty(), users, ..Placement::default() }
    }

    fn place_by(
        &self,
        rule: &ActionRule,
        subject: &Subject,
        scope: &Scope<'_>,
    ) -> Result<Placement, UndoReason> {
        rule.allow.check(scope)?;
        let mut to = Addresses::new(self.addresses_max);
        for template in &rule.channels {
            template.render(scope, |channel| to.channel(channel))?;
        }
        if rule.own_log || !to.has_channels() {
            to.own_log(Self::own_log(subject, true).users);
        }
        for template in &rule.users {
            template.render(scope, |user| to.user(user, &self.anonymous))?;
        }
        for template in &rule.clients {
            template.render(scope, |client| to.client(client))?;
        }
        for template in &rule.nodes {
            template.render(scope, |node| to.node(node))?;
        }
        to.finish(rule.kept).ok_or(UndoReason::Error)
    }
}

#[cfg(test)]
mod tests;
