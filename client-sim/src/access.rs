//! Where the servers are, and who the devices are there.

use crate::client::Target;
use crate::oracle::reader::Leeway;
use crate::plan::Protocol;
use crate::secure::Place;
use anyhow::{Context, ensure};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tidelog_protocol::codec::Version;
use tidelog_protocol::{Form, Token};

/// Where the servers are, and who the devices are there.
#[derive(Clone, Debug)]
pub struct Access {
    /// Servers; devices that move go from one to the next.
    pub servers: Vec<Place>,
    /// The servers send each other what they have.
    pub replicas: bool,
    /// Addresses to come from.
    pub sources: u8,
    /// Signs devices in; `{user}` in it is the user.
    pub token: String,
    /// Users that there are, with their tokens; names are made where this is empty.
    pub users: Vec<(String, String)>,
    /// Begins the names of users or, where those are given, of their clients.
    pub run: String,
}

impl Access {
    /// Whether whatever one server has acknowledged is everywhere in the end.
    pub fn is_one(&self) -> bool {
        self.servers.len() <= 1 || self.replicas
    }

    /// In which order actions may come to devices that move among the servers, and whether more than once: what one server
    /// has numbered proves nothing to another, and each has its own order.
    pub(crate) fn leeway(&self) -> Leeway {
        if self.servers.len() > 1 { Leeway::Repeats } else { Leeway::None }
    }

    /// The same of who reads the log of one server from its beginning: nothing comes twice there.
    pub(crate) fn leeway_at_one(&self) -> Leeway {
        if self.replicas && self.servers.len() > 1 { Leeway::Order } else { Leeway::None }
    }

    /// The name of the `number`th user of a group, and what signs it in.
    pub fn user(&self, group: &str, number: u64) -> anyhow::Result<(String, Token)> {
        if self.users.is_empty() {
            let name = format!("{}-{group}-{number}", self.run);
            let token = self.token.replace("{user}", &name);
            return Ok((name, Token::new(token)));
        }
        let given = self.users.get(usize::try_from(number)?);
        let (name, token) = given.with_context(|| {
            format!("--users has {} users, and the scenario needs more", self.users.len())
        })?;
        Ok((name.clone(), Token::new(token.clone())))
    }

    /// At which of the servers the `number`th device is after so many moves.
    pub(crate) fn server(&self, number: u64, moves: u64) -> usize {
        turn(number + moves, self.servers.len())
    }

    /// How the `number`th device reaches a server after so many moves.
    pub fn target(&self, number: u64, moves: u64, protocol: Protocol, token: Token) -> Target {
        let server = self.servers.get(self.server(number, moves)).or(self.servers.first());
        let nowhere = || SocketAddr::from(([127, 0, 0, 1], 31337)).into();
        let Place { address: server, tls } = server.cloned().unwrap_or_else(nowhere);
        let on_loopback = server.ip().is_loopback() && server.is_ipv4();
        let host =
            u8::try_from(turn(number + moves, usize::from(self.sources))).unwrap_or_default() + 1;
        let source = on_loopback.then(|| Ipv4Addr::new(127, 1, 0, host));
        let (version, form) = protocol.wire().unwrap_or((Version::V5, Form::Text));
        Target { server, tls, version, form, token: Some(token), source }
    }
}

/// Which of so many it is the turn of.
fn turn(nth: u64, of: usize) -> usize {
    usize::try_from(nth % of.max(1) as u64).unwrap_or(0)
}

/// Reads a file of users: a name and a token in each line.
pub(crate) fn read_users(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    users(&text).with_context(|| format!("{}", path.display()))
}

fn users(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).enumerate();
    let user = |(at, line): (usize, &str)| {
        let mut words = line.split_whitespace();
        let (name, token) = (words.next(), words.next());
        let pair = name.zip(token).filter(|_| words.next().is_none());
        let (name, token) =
            pair.with_context(|| format!("line {} is not a user and a token", at + 1))?;
        ensure!(!name.contains(':'), "line {}: a user has no colon", at + 1);
        Ok((name.to_owned(), token.to_owned()))
    };
    lines.map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_lines_and_take_their_tokens_along() {
        let users = users("ann t1\n\nbob  t2\n").unwrap();
        let access = Access {
            servers: [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)).into()).into(),
            replicas: false,
            sources: 3,
            token: "secret of {user}".to_owned(),
            users,
            run: "r".to_owned(),
        };
        let (name, token) = access.user("g", 1).unwrap();
        assert_eq!((name.as_str(), &*token), ("bob", "t2"));
        assert!(access.user("g", 2).is_err());
        let made = Access { users: Vec::new(), ..access.clone() }.user("g", 7).unwrap();
        assert_eq!((made.0.as_str(), &*made.1), ("r-g-7", "secret of r-g-7"));
        let of = |moves| access.target(0, moves, Protocol::V7, token.clone());
        assert_eq!((of(0).server.port(), of(1).server.port(), of(2).server.port()), (1, 2, 1));
        assert_ne!(of(0).source, of(1).source);
        assert!(super::users("ann").is_err());
    }
}
