//! What goes of a user, and whether there is any of it.

use super::super::Log;
use super::super::entry::LogName;
use super::super::error::ReadError;
use super::super::prefix::Key;
use super::super::record::Record;
use super::{Eraser, Judged};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use tidelog_crdt::{Dot, Position};
use tidelog_protocol::UserId;
use tidelog_protocol::replica::Held;

/// What is from before a moment that each server has for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// Up to which dot of each incarnation.
    pub(crate) through: Held,
    /// Names beyond that, of actions with several.
    pub(crate) also: BTreeSet<Dot>,
}

impl Past {
    /// Whether the action named `dot` is.
    pub(crate) fn covers(&self, dot: Dot) -> bool {
        self.through.covers(dot) || self.also.contains(&dot)
    }

    /// Those named so are, too; whether that is more than was known.
    pub(crate) fn add(&mut self, dots: impl IntoIterator<Item = Dot>) -> bool {
        let before = self.also.len();
        self.also.extend(dots.into_iter().filter(|dot| !self.through.covers(*dot)));
        self.also.len() > before
    }
}

/// What goes of a user.
#[derive(Clone, Debug)]
pub(crate) enum Going {
    /// Everything that is here.
    All,
    /// What has one of these names, and whatever else is from before: records of nodes, and documents of the
    /// user's log.
    Before(Past),
    /// What has one of these names: the rest was seen to earlier.
    Rest(Past),
}

impl Going {
    /// Whether an action with one of these names goes.
    pub(super) fn has(&self, dots: impl IntoIterator<Item = Dot>) -> bool {
        match self {
            Self::All => true,
            Self::Before(past) | Self::Rest(past) => dots.into_iter().any(|dot| past.covers(dot)),
        }
    }

    /// Whether documents of the user's log go, which are made of entries that nobody can name any more.
    pub(super) fn has_documents(&self) -> bool {
        !matches!(self, Self::Rest(_))
    }
}

impl Log {
    /// Whether there is anything of `user` that is `going`. Reads the whole feed unless it finds some. Blocks.
    pub(crate) fn has_any(&self, user: &UserId, going: &Going) -> Result<bool, ReadError> {
        let (shared, feed) = (self.shared(), self.shared().feed());
        if going.has_documents() {
            let nodes = shared.nodes.of_user(user.as_str(), &shared.index.store())?;
            if !nodes.is_empty() || shared.bases(&LogName::User(user.clone()))?.is_some() {
                return Ok(true);
            }
        }
        let eraser = Eraser::new(shared, (user, going), HashMap::new());
        for row in feed.rows_above(Position::ZERO)? {
            for (position, record) in row?.records() {
                let judged = eraser.judge(position, &record);
                if !matches!(judged.map_err(|it| feed.damaged(position, it))?, Judged::Kept) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The undone actions of `user` whose verdicts are `going`: they go with them, or others would wait for
    /// the verdict for ever.
    pub(super) fn undone(&self, user: &UserId, going: &Going) -> Result<HashSet<Key>, ReadError> {
        let mut undone = HashSet::new();
        if matches!(going, Going::All) {
            return Ok(undone);
        }
        let (shared, feed) = (self.shared(), self.shared().feed());
        for row in feed.rows_above(Position::ZERO)? {
            for (position, record) in row?.records() {
                let record = Record::decode(position, &record);
                if let Record::Entry(entry) = record.map_err(|it| feed.damaged(position, it))?
                    && let Some(id) = entry.undoes()
                    && entry.is_of(user.as_str())
                    && going.has(shared.naming.dots(&entry))
                {
                    undone.insert(shared.hash.id(&id));
                }
            }
        }
        Ok(undone)
    }
}
