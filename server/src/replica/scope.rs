//! What an edge is for: the users and channels whose logs it has.

use crate::log::{Addresses, Entry, LogName};
use crate::rules::Glob;
use tidelog_protocol::UserId;

/// Globs over users and channels.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    users: Vec<Glob>,
    channels: Vec<Glob>,
}

impl Scope {
    /// What fits one of these.
    pub(crate) fn new(users: &[String], channels: &[String]) -> Self {
        let globs = |texts: &[String]| texts.iter().map(|text| Glob::new(text)).collect();
        Self { users: globs(users), channels: globs(channels) }
    }

    /// Whether a user is in it.
    pub(crate) fn has_user(&self, user: &UserId) -> bool {
        self.users.iter().any(|glob| glob.matches(user.as_str()))
    }

    /// Whether something that a user made can be in a log of it.
    pub(crate) fn may_have(&self, user: &UserId) -> bool {
        self.has_user(user) || !self.channels.is_empty()
    }

    fn has(&self, log: &LogName) -> bool {
        match log {
            LogName::User(user) => self.has_user(user),
            LogName::Channel(channel) => {
                self.channels.iter().any(|glob| glob.matches(channel.as_str()))
            }
        }
    }

    /// Whether an edge has a log that `entry` is in. Of one without logs, such as one that was
    /// compacted, its author says that.
    pub(crate) fn concerns(&self, entry: &Entry) -> bool {
        let mut logs = entry.addresses.logs().peekable();
        if logs.peek().is_none() {
            let author = entry.undoes().unwrap_or_else(|| entry.id.clone()).node.user();
            return author.is_some_and(|user| self.has_user(&user));
        }
        logs.any(|log| self.has(&log))
    }

    /// Whether an edge may bring what this author made for these logs.
    pub(crate) fn admits(&self, author: Option<&UserId>, addresses: &Addresses) -> bool {
        author.is_some_and(|author| self.has_user(author))
            && addresses.logs().all(|log| self.has(&log))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Channel;

    #[test]
    fn an_edge_brings_only_what_its_users_made_for_its_logs() {
        let scope = Scope::new(&["ship-7-*".into()], &["tasks/*".into()]);
        let user = |name: &str| UserId::new(name).unwrap();
        let to = |users: &[&str], channels: &[&str]| Addresses {
            users: users.iter().map(|name| user(name)).collect(),
            channels: channels.iter().map(|name| Channel::new(name).unwrap()).collect(),
            ..Addresses::default()
        };
        let author = user("ship-7-ann");
        let admits = |author: Option<&UserId>, to: Addresses| scope.admits(author, &to);
        assert!(admits(Some(&author), to(&["ship-7-ann", "ship-7-bob"], &["tasks/1"])));
        assert!(!admits(Some(&user("eve")), to(&["ship-7-ann"], &[])));
        assert!(!admits(Some(&author), to(&["eve"], &[])));
        assert!(!admits(Some(&author), to(&["ship-7-ann"], &["secrets"])));
        assert!(!admits(None, to(&[], &["tasks/1"])));
    }
}
