//! What two servers say to each other, one of which follows the other: the *edge* asks, the *cloud*
//! answers. (A server can be both: edge of one, cloud of others.)
//!
//! ```text
//! hello → welcome            who each is, and what each holds of the other
//! push  → pushed             what the edge has and the cloud lacks, in the order of the edge's feed
//! pull  → batch              the other way; waits when there is nothing
//! ```
//!
//! Each exchange can be repeated: what is known is known by its id. Whoever *takes* a feed keeps how far
//! it has come, and says so; whoever gives it remembers nothing. Of each *incarnation* a side says up to
//! which dot it holds everything that is in scope, and what it holds is not sent: so a server that lost
//! its newest entries is given them back, also those that it made itself. What a side has said of itself
//! holds for that life of its store: what is sent because of it says which life that was.

use crate::{ActionId, ClientId, NodeId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidelog_crdt::{Context, Dot, Incarnation, Position};

/// The version of what is said. Another one is refused.
pub const VERSION: u32 = 1;

/// Of each incarnation the last dot up to which everything in scope is here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Held(pub BTreeMap<Incarnation, Position>);

impl Held {
    /// Whether the entry named `dot` is here, if it is in scope.
    pub fn covers(&self, dot: Dot) -> bool {
        self.0.get(&dot.incarnation).is_some_and(|last| *last >= dot.position)
    }

    /// The entry named `dot` is here, and came in order.
    pub fn add(&mut self, dot: Dot) {
        let last = self.0.entry(dot.incarnation).or_default();
        *last = dot.position.max(*last);
    }
}

/// How far a feed was taken: the life of its store, and the position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The life.
    pub incarnation: Incarnation,
    /// Up to here.
    pub through: Position,
}

/// Tokens that do not count, or do again. Of one target the last word counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose.
    pub target: Revoked,
    /// Those issued up to then, in ms since the epoch.
    pub issued_until_ms: u64,
    /// When the last of them has expired, if that is known.
    pub expires_ms: Option<u64>,
    /// When this was said.
    pub changed_ms: u64,
    /// Whether they do not count.
    pub stands: bool,
}

/// What can be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revoked {
    /// The token with this `jti`.
    Token(String),
    /// The tokens of this user.
    User(String),
    /// The tokens of this client.
    Client(String),
}

/// What was said of revocations since the other heard of them last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// To be told what comes after it; it lasts as long as the link.
    pub version: u64,
    /// It.
    pub changes: Vec<Revocation>,
}

/// How much of a feed a server may still have to get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Actions, and what became of some later.
    pub actions: u64,
    /// Their bytes, about.
    pub bytes: u64,
    /// For how long the first of them has been waiting, in ms.
    pub age_ms: Option<u64>,
}

/// The edge says who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u32,
    /// The identity of its store.
    pub store: String,
    /// The life of its store.
    pub incarnation: Incarnation,
    /// The end of its feed.
    pub head: Position,
    /// What it holds.
    pub held: Held,
}

/// The cloud says who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`].
    pub version: u32,
    /// The stores that it follows, its own first: a loop ends in who asks.
    pub chain: Vec<String>,
    /// The life of its store.
    pub incarnation: Incarnation,
    /// The end of its feed.
    pub head: Position,
    /// What it holds.
    pub held: Held,
    /// How far it has taken the edge's feed, if it ever did.
    pub taken: Option<Taken>,
    /// Globs over the users that this edge is for.
    pub users: Vec<String>,
    /// Globs over the channels.
    pub channels: Vec<String>,
    /// All revocations that are the edge's to know.
    #[serde(default)]
    pub revocations: Revocations,
    /// How many bytes a second may go over the link each way, if there is a limit.
    #[serde(default)]
    pub bandwidth: Option<u64>,
}

/// What the edge has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The identity of its store.
    pub store: String,
    /// The life of the cloud's store that lacks it. Another one may lack more.
    pub to: Incarnation,
    /// Up to where of its feed this is everything that the cloud lacks.
    pub taken: Taken,
    /// It, in order.
    pub records: Vec<Record>,
    /// What the cloud lacks beyond it.
    #[serde(default)]
    pub behind: Behind,
}

/// It is on disk, but for what was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// What was not taken.
    pub refused: Vec<Refused>,
}

/// An action that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub id: ActionId,
    /// Why.
    pub reason: Reason,
}

/// Why an action is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its author, or a log that it is in, is not in the edge's scope.
    OutOfScope,
    /// Its dot cannot be one that its server gave.
    ForgedDot,
    /// It is no action, or its meta is none.
    Malformed,
    /// It is larger than an action may be.
    TooLarge,
}

/// The edge asks for what it lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// How far it has taken the cloud's feed; none: nothing.
    pub taken: Option<Taken>,
    /// What it holds.
    pub held: Held,
    /// How long to wait if there is nothing, in ms.
    pub wait_ms: u32,
    /// The version of the revocations that it was told last.
    #[serde(default)]
    pub heard: u64,
    /// What was said of revocations at the edge.
    #[serde(default)]
    pub revocations: Vec<Revocation>,
    /// What the edge still has to bring.
    #[serde(default)]
    pub owes: Behind,
    /// How many bytes a second the line carries, if that is known: a batch is not to take it for long.
    #[serde(default)]
    pub rate: Option<u64>,
}

/// What the edge lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Up to where of the cloud's feed this is everything.
    pub taken: Taken,
    /// The end of the cloud's feed.
    pub head: Position,
    /// Up to where of the cloud's feed nothing is undone any more by a server above it.
    #[serde(default)]
    pub settled: Position,
    /// The stores that the cloud follows, its own first.
    pub chain: Vec<String>,
    /// It, in order.
    pub records: Vec<Record>,
    /// What was said of revocations.
    #[serde(default)]
    pub revocations: Revocations,
    /// What the edge lacks beyond it.
    #[serde(default)]
    pub behind: Behind,
}

/// Something that has happened on a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// An action was accepted, or has another name now.
    Entry(Box<Entry>),
    /// Its author took the body of an action out.
    Cleaned(ActionId),
}

/// An action with its meta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: ActionId,
    /// When it was made, in ms since the epoch, with the author's clock error taken out.
    pub time: u64,
    /// The version of the application that made it.
    pub subprotocol: u32,
    /// The users whose logs it is in.
    pub users: Vec<String>,
    /// The channels whose logs it is in.
    pub channels: Vec<String>,
    /// The clients it was shown to live.
    pub clients: Vec<String>,
    /// The nodes it was shown to live.
    pub nodes: Vec<String>,
    /// Its name.
    pub dot: Dot,
    /// Its further names.
    pub aliases: Vec<Dot>,
    /// What its author had seen.
    pub context: Context,
    /// Its JSON; none when it was cleaned, the `logux/undo` when it was undone.
    pub action: Option<String>,
    /// Whether it was undone: no more than that is known of it.
    #[serde(default)]
    pub undone: bool,
    /// Whether its author had been shut out by then, which the edge did not know when it accepted it.
    #[serde(default)]
    pub late: bool,
    /// Whether others of its incarnation may be missing before it: it says nothing of what is held.
    #[serde(default)]
    pub loose: bool,
}

impl Entry {
    /// Its addresses that are names: users, clients and nodes; none if one of them is none.
    pub fn names(&self) -> Option<(Vec<UserId>, Vec<ClientId>, Vec<NodeId>)> {
        let users = self.users.iter().map(|name| UserId::new(name).ok()).collect::<Option<_>>()?;
        let clients =
            self.clients.iter().map(|it| ClientId::new(it).ok()).collect::<Option<_>>()?;
        let nodes = self.nodes.iter().map(|name| NodeId::new(name).ok()).collect::<Option<_>>()?;
        Some((users, clients, nodes))
    }
}

/// Why two servers do not work together. What is refused stays refused until somebody does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// They speak different versions.
    #[error("the two servers speak different versions: update the older one")]
    Version,
    /// Both have the same store, or a copy of it.
    #[error(
        "both servers have the same store: an edge begins empty, or with `tidelog restore --as-replica`"
    )]
    SameStore,
    /// The edge's feed is shorter than what was taken of it.
    #[error(
        "the edge's data was copied or taken back: its feed ends before what was received of it. \
         Bring it back with `tidelog restore`, which begins a new incarnation"
    )]
    EdgeTakenBack,
    /// The same of the cloud.
    #[error(
        "the cloud's data was copied or taken back: its feed ends before what was received of it. \
         Bring it back with `tidelog restore`, which begins a new incarnation"
    )]
    CloudTakenBack,
    /// Following each other leads in a circle.
    #[error("the servers follow each other in a circle: take --upstream away from one of them")]
    Loop,
    /// Something was said that makes no sense.
    #[error("the other server said something that makes no sense; update both")]
    Nonsense,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(incarnation: u64, position: u64) -> Dot {
        let position = Position::new(position).unwrap();
        Dot { incarnation: Incarnation(incarnation), position }
    }

    #[test]
    fn what_is_held_is_everything_up_to_the_last_dot_of_each_incarnation() {
        let mut held = Held::default();
        assert!(!held.covers(dot(1, 1)));
        held.add(dot(1, 9));
        held.add(dot(2, 3));
        held.add(dot(1, 4));
        assert!(held.covers(dot(1, 9)) && held.covers(dot(1, 1)) && held.covers(dot(2, 3)));
        assert!(!held.covers(dot(1, 10)) && !held.covers(dot(2, 4)) && !held.covers(dot(3, 1)));
    }

    #[test]
    fn everything_said_is_read_back_as_it_was_said() {
        let entry = Entry {
            id: "1 ann:phone:1 0".parse().unwrap(),
            time: 1,
            subprotocol: 2,
            users: vec!["ann".into()],
            channels: vec!["tasks/1".into()],
            clients: Vec::new(),
            nodes: Vec::new(),
            dot: dot(1, 9),
            aliases: vec![dot(2, 3)],
            context: Context::default(),
            action: Some(r#"{"type":"a"}"#.into()),
            undone: false,
            late: false,
            loose: true,
        };
        let taken = Taken { incarnation: Incarnation(u64::MAX), through: dot(1, 7).position };
        let push = Push {
            store: "store".into(),
            to: Incarnation(7),
            taken,
            records: vec![Record::Cleaned(entry.id.clone()), Record::Entry(Box::new(entry))],
            behind: Behind { actions: 7, bytes: 900, age_ms: Some(1) },
        };
        let bytes = rmp_serde::to_vec_named(&push).unwrap();
        assert_eq!(rmp_serde::from_slice::<Push>(&bytes).unwrap(), push);
    }
}
