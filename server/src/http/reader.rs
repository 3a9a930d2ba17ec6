//! One reader: the logs that it may read, and where it stands in them.

use super::caller::Caller;
use super::cursor::{ChannelKey, Malformed, Mark, Others, Reached, Stage};
use super::problem::{Kind, Problem};
use super::source::{Source, Unread};
use super::standpoint::{Followed, Standpoint, View, Visible};
use super::states;
use crate::app::App;
use crate::aside::blocking;
use crate::clock;
use crate::ingest::{Follows, Known};
use crate::log::{Channel, LogName, PageLimit};
use crate::rules::{Access, Load, Subject, UndoReason};
use crate::wake::Had;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tidelog_crdt::{Incarnation, Position};
use tidelog_protocol::http::{Cursor, PulledMeta};
use tidelog_protocol::{Action, ActionId, Meta, UserId, builtin};

/// A reader whose access was checked.
pub(super) struct Reader {
    app: App,
    user: UserId,
    standpoint: Standpoint,
    others: Others,
    accesses: Vec<(Channel, Access)>,
    /// It merges by itself.
    causality: bool,
}

impl Reader {
    /// The caller as a reader of its own log and of `channels`, from `since` or from the start.
    pub(super) fn new(
        app: &App,
        caller: &Caller,
        since: Option<&str>,
        channels: Vec<Channel>,
    ) -> Result<Self, Problem> {
        let accesses = accesses(app, caller, channels)?;
        let (reached, others) = resume(app, caller.user(), since)?;
        let head = app.log.head();
        let follow = |(channel, access): &(Channel, Access)| {
            let key = app.http.cursors.key(channel);
            let map = access.sync_map.as_ref().map(|map| map.name.clone());
            let known = reached.channels.get(&key).copied();
            // A channel whose state is loaded no longer is read from the start.
            let loads = map.is_some() || access.load == Load::State;
            let known = known.filter(|mark| mark.stage != Stage::Items || loads);
            let mark = known.unwrap_or_else(|| first_mark(access, head));
            let (is_state, squash) = (access.loads_documents(), access.squash);
            Followed { channel: channel.clone(), key, map, is_state, squash, mark, base: None }
        };
        let own = (!caller.is_anonymous()).then(|| LogName::User(caller.user().clone()));
        let first = |mark| first_own(app, mark, since.is_some());
        let own_mark = if own.is_some() { first(reached.own) } else { reached.own };
        let standpoint = Standpoint {
            own,
            own_mark,
            channels: accesses.iter().map(follow).collect(),
            device: caller.device().cloned(),
            renewed_ms: 0,
            own_base: None,
        };
        let user = caller.user().clone();
        Ok(Self { app: app.clone(), user, standpoint, others, accesses, causality: false })
    }

    /// Whether it is told who had seen what.
    pub(super) fn with_causality(self, causality: bool) -> Self {
        Self { causality, ..self }
    }

    /// What it is told.
    pub(super) fn render(&self, shown: Vec<Visible>) -> Vec<(Action, PulledMeta)> {
        shown.into_iter().map(|visible| visible.render(self.causality)).collect()
    }

    /// The logs that it reads.
    pub(super) fn logs(&self) -> Vec<LogName> {
        self.standpoint.logs()
    }

    /// What it may read of which channel.
    pub(super) fn accesses(&self) -> &[(Channel, Access)] {
        &self.accesses
    }

    /// What is visible to it, as much as `limit` allows.
    pub(super) async fn look(&self, limit: PageLimit) -> Result<View, Problem> {
        let (app, from) = (self.app.clone(), self.standpoint.clone());
        let look = move |may_wait| {
            let source = Source {
                log: &app.log,
                snapshots: &app.maps.snapshots,
                lives: &app.maps.lives,
                documents: &app.documents,
                rules: &app.rules,
                now: clock::now_ms(),
                may_wait,
            };
            from.look(&source, limit)
        };
        let view = match look(false) {
            Err(Unread::NotInMemory) => blocking(move || look(true)).await,
            view => view,
        };
        view.map_err(|unread| match unread {
            Unread::Failed(error) => Problem::log_unreadable(&error),
            Unread::NotInMemory => Problem::log_unreadable(&"who may wait was told not to"),
        })
    }

    /// It looks at nothing and stays where it is: there may be more.
    pub(super) fn unmoved(&self) -> View {
        View { shown: Vec::new(), after: self.standpoint.clone(), more: true }
    }

    /// The one log that it reads: its channel's, or else its own.
    pub(super) fn only_log(&self) -> Result<LogName, Problem> {
        match (self.accesses.first(), &self.standpoint.own) {
            (Some((channel, access)), _) if access.load == Load::None => {
                let detail = "the rules let a new reader of this channel see nothing of its past";
                Err(Problem::new(Kind::ChannelDenied, detail).of_channel(channel.as_str()))
            }
            (Some((channel, _)), _) => Ok(LogName::Channel(channel.clone())),
            (None, Some(own)) => Ok(own.clone()),
            (None, None) => {
                let detail = "anonymous users have no log of their own: name a channel";
                Err(Problem::new(Kind::UnknownChannel, detail))
            }
        }
    }

    /// The reader has had what its only log adds up to, as far as `through`.
    pub(super) fn has_folded(&mut self, through: Position) {
        let mark = Mark { through, stage: Stage::Partly, ..Mark::default() };
        match self.standpoint.channels.first_mut() {
            Some(followed) => followed.mark = mark,
            None => self.standpoint.own_mark = mark,
        }
    }

    /// Which life of the store it reads.
    pub(super) fn life(&self) -> Incarnation {
        self.app.log.incarnation()
    }

    /// The cursor of where it stands.
    pub(super) fn here(&self) -> Cursor {
        self.cursor(&self.standpoint)
    }

    /// The device says with its cursor what it has had. What it is answered it may never get.
    pub(super) fn has_come(&self) {
        self.has_had(&self.standpoint);
    }

    /// Whether whoever stands at `standpoint` has had something else than it has said.
    pub(super) fn moves(&self, standpoint: &Standpoint) -> bool {
        self.standpoint.own_mark != standpoint.own_mark
            || self
                .standpoint
                .channels
                .iter()
                .zip(&standpoint.channels)
                .any(|(a, b)| a.mark != b.mark)
    }

    /// A device that has a name has had what is before `standpoint`.
    pub(super) fn has_had(&self, standpoint: &Standpoint) {
        let Some(device) = &standpoint.device else { return };
        let channels = standpoint.channels.iter();
        let channels = channels.map(|it| (it.channel.clone(), it.mark.had())).collect();
        let had = Had { own: standpoint.own_mark.had(), channels };
        self.app.has_had(device, &had);
    }

    /// When documents are to be sent anew that are owed.
    pub(super) fn renews_at(&self) -> Option<u64> {
        self.standpoint.renews_at()
    }

    /// The reader has had what it saw.
    pub(super) fn move_on(&mut self, to: Standpoint) {
        self.standpoint = to;
    }

    /// Where a reader that stands at `standpoint` is in its user's log, as a wire number: as far as nothing
    /// is still to come.
    pub(super) fn number(&self, standpoint: &Standpoint) -> u64 {
        self.app.log.epochs().number(self.user.as_str(), standpoint.own_mark.had())
    }

    /// The cursor of a reader that stands at `standpoint`.
    pub(super) fn cursor(&self, standpoint: &Standpoint) -> Cursor {
        self.app.http.cursors.mint(self.user.as_str(), &standpoint.reached(), &self.others)
    }
}

/// What the cursor says of the user here. One that says nothing is answered with one that keeps
/// what it says of other servers.
fn resume(app: &App, user: &UserId, since: Option<&str>) -> Result<(Reached, Others), Problem> {
    let (cursors, head) = (&app.http.cursors, app.log.head());
    let Some(since) = since else { return Ok((Reached::start(head), Others::default())) };
    match read(app, user, since) {
        Ok((Some(reached), others)) => Ok((reached, others)),
        Ok((None, others)) => {
            app.metrics.claims_failed.inc();
            let cursor = cursors.mint(user.as_str(), &Reached::start(head), &others);
            let detail = "go on with the cursor in this answer: it starts from the beginning here, \
                          and keeps your place at other servers";
            Err(Problem::new(Kind::ForeignCursor, detail).with_cursor(cursor))
        }
        Err(_) => {
            let detail =
                "send a cursor as this server gave it, or none to start from the beginning";
            Err(Problem::new(Kind::MalformedCursor, detail))
        }
    }
}

/// What a cursor says, or the wire number of a client that came by WebSocket: how far it is in its user's log.
/// No cursor is all digits, because the first byte of each stands for its version.
fn read(app: &App, user: &UserId, text: &str) -> Result<(Option<Reached>, Others), Malformed> {
    let (user, head) = (user.as_str(), app.log.head());
    let number = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|text| text.parse().ok()).filter(|number| *number > 0) {
        None => app.http.cursors.read(text, user, head),
        Some(number) => {
            let claimed = app.log.epochs().claim(user, number, head);
            Ok((claimed.map(Reached::through), Others::default()))
        }
    }
}

/// What the author of an action had seen, as its cursor says it.
#[derive(Default)]
pub(super) struct Seen {
    /// Of its user's log.
    pub(super) own_log: Position,
    /// Of channels.
    pub(super) channels: Option<Arc<SeenChannels>>,
}

/// How far the channels of a cursor were had.
pub(super) struct SeenChannels {
    app: App,
    reached: BTreeMap<ChannelKey, Mark>,
}

impl Follows for SeenChannels {
    fn had(&self, channel: &Channel, _: &Known) -> Position {
        let mark = self.reached.get(&self.app.http.cursors.key(channel));
        mark.map(Mark::had).unwrap_or_default()
    }
}

impl fmt::Debug for SeenChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SeenChannels").field(&self.reached).finish()
    }
}

/// How much the author of an action had seen, if its cursor says so here.
pub(super) fn seen(app: &App, user: &UserId, cursor: Option<&Cursor>) -> Result<Seen, Problem> {
    let Some(cursor) = cursor else { return Ok(Seen::default()) };
    let read = read(app, user, cursor.as_str());
    let (reached, _) = read.map_err(|_| {
        Problem::new(Kind::MalformedCursor, "send `seen` as this server gave it, or leave it out")
    })?;
    let Some(reached) = reached else { return Ok(Seen::default()) };
    let channels = SeenChannels { app: app.clone(), reached: reached.channels };
    Ok(Seen { own_log: reached.own.had(), channels: Some(Arc::new(channels)) })
}

/// What the caller may read of each of `channels`.
fn accesses(
    app: &App,
    caller: &Caller,
    channels: Vec<Channel>,
) -> Result<Vec<(Channel, Access)>, Problem> {
    let client = caller.client()?;
    if channels.is_empty() {
        return Ok(Vec::new());
    }
    let subject = caller.subject(&client)?;
    let access = |channel: Channel| {
        let access = access(app, &subject, &channel)?;
        Ok((channel, access))
    };
    channels.into_iter().map(access).collect()
}

/// What `subject` may read of `channel`, if anything.
pub(super) fn access(app: &App, subject: &Subject, channel: &Channel) -> Result<Access, Problem> {
    let (name, now) = (channel.as_str(), clock::now_ms());
    let id = ActionId { node: subject.node().clone(), ms: now, sequence: 0 };
    let meta = Meta { id, time: now, subprotocol: None };
    let allowed = app.rules.subscribe(subject, name, &builtin::subscribe(name), &meta);
    allowed.map_err(|reason| {
        let (kind, detail) = if reason == UndoReason::WrongChannel {
            (Kind::UnknownChannel, "leave it out, or add a [[channel]] whose pattern fits it")
        } else {
            (Kind::ChannelDenied, "leave it out: the rules do not let this user read it")
        };
        Problem::new(kind, format!("{name:?}: {detail}")).of_channel(name)
    })
}

/// Where the reader of its own log starts: with documents, if rules say so and it has had nothing.
fn first_own(app: &App, mark: Mark, has_cursor: bool) -> Mark {
    let unread = mark.through == Position::ZERO && mark.echo_through > Position::ZERO;
    let starts = unread || !has_cursor;
    if !starts || mark.owed.is_some() || !app.rules.loads_own_state() {
        return mark;
    }
    states::first(mark, app.log.head(), has_cursor)
}

/// Where the reader of a channel that is new to it starts.
fn first_mark(access: &Access, head: Position) -> Mark {
    match (access.load, &access.sync_map) {
        (Load::None, _) => Mark { through: head, stage: Stage::Partly, ..Mark::default() },
        (_, Some(_)) | (Load::State, None) => Mark { stage: Stage::Items, ..Mark::default() },
        (Load::Log, None) => Mark { echo_through: head, ..Mark::default() },
    }
}
