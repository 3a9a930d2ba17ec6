//! What was revoked, and who is here by what, so that revoking ends it at once.
//!
//! A revocation shuts out tokens that were issued up to its moment: one by its name (`jti`), all of a
//! user, or all that sign in as a client. What signs in without a token, or with one that does not say
//! when it was issued, counts as issued before. It is forgotten once the tokens have expired anyway,
//! as far as that is known: by the token's own `exp`, by what the operator says, by `token_age`.

mod changes;
#[cfg(test)]
mod tests;

pub(crate) use changes::Change;

use super::jwt::Token;
use super::{CLIENT_CLAIM, Identity};
use crate::config::Auth;
use crate::hub::Inbox;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tidelog_protocol::{ClientId, IdError, UserId};

/// Revocations that are remembered; one more is refused.
const REVOCATIONS_MAX: usize = 100_000;
/// The longest name of a token.
const TOKEN_ID_BYTES_MAX: usize = 512;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The token with this `jti`.
    Token(String),
    /// The tokens of this user.
    User(String),
    /// The tokens that sign in as this client, `user:client`.
    Client(String),
}

/// Which tokens of a target, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// Tokens issued up to then, in ms since the epoch.
    pub(crate) issued_until_ms: u64,
    /// When the last of them has expired, if that is known.
    pub(crate) expires_ms: Option<u64>,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revocation {
    /// What is revoked.
    #[serde(flatten)]
    pub(crate) target: Target,
    /// Which of it, and for how long.
    #[serde(flatten)]
    pub(crate) terms: Terms,
}

/// Why something cannot be revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokedError {
    /// No user or client is called that.
    #[error("{0:?} cannot be: {1}")]
    Id(String, IdError),
    /// A client has two parts.
    #[error("{0:?} is no client: write user:client, the first two parts of a node id")]
    Client(String),
    /// The name of a token is too long, or empty.
    #[error("a token's jti has 1 to {TOKEN_ID_BYTES_MAX} bytes")]
    Token,
    /// A token, which is not to be shown.
    #[error("this is a token, not its jti: put it into a file, and name that with --token-file")]
    WholeToken,
    /// No more are remembered.
    #[error(
        "{REVOCATIONS_MAX} revocations are remembered, and none has expired: take some back with \
         `tidelog unrevoke`, say with --expires when new ones do, or set token_age in [auth]"
    )]
    Full,
}

impl Target {
    /// Checks that there can be such a thing.
    pub(crate) fn check(&self) -> Result<(), RevokedError> {
        let wrong = |text: &String| {
            let text = text.clone();
            move |error| RevokedError::Id(text, error)
        };
        match self {
            Self::Token(id) if Token::parse(id).is_some() => Err(RevokedError::WholeToken),
            Self::Token(id) if (1..=TOKEN_ID_BYTES_MAX).contains(&id.len()) => Ok(()),
            Self::Token(_) => Err(RevokedError::Token),
            Self::User(user) => UserId::new(user).map(drop).map_err(wrong(user)),
            Self::Client(client) => {
                let two = client.split_once(':').is_some_and(|(user, part)| {
                    !user.is_empty() && !part.is_empty() && !part.contains(':')
                });
                let two = two.then_some(()).ok_or_else(|| RevokedError::Client(client.clone()));
                two.and_then(|()| ClientId::new(client).map(drop).map_err(wrong(client)))
            }
        }
    }
}

impl Target {
    /// Whose it is, if it says so.
    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Token(_) => None,
            Self::User(user) => Some(user),
            Self::Client(client) => client.split(':').next(),
        }
    }
}

impl Guest {
    fn is_of(&self, target: &Target, terms: &Terms) -> bool {
        let identity = &self.identity;
        let older = identity.issued_ms().is_none_or(|issued| issued <= terms.issued_until_ms);
        match target {
            Target::Token(id) => identity.token_id() == Some(id),
            Target::User(user) => older && identity.user.as_str() == user,
            Target::Client(client) => {
                let named = self.client.as_ref().is_some_and(|it| it.as_str() == client);
                older && (named || bound_client(identity).is_some_and(|bound| bound == *client))
            }
        }
    }
}

/// The client that a token is bound to, in full.
fn bound_client(identity: &Identity) -> Option<String> {
    let bound = identity.claims.get(CLIENT_CLAIM).and_then(serde_json::Value::as_str)?;
    let full = bound.contains(':');
    Some(if full { bound.to_owned() } else { format!("{}:{bound}", identity.user) })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "token {id}"),
            Self::User(user) => write!(f, "user {user}"),
            Self::Client(client) => write!(f, "client {client}"),
        }
    }
}

/// What was revoked, and who is here.
#[derive(Default)]
pub(crate) struct Revoked {
    leeway_ms: u64,
    age_ms: Option<u64>,
    terms: RwLock<HashMap<Target, Terms>>,
    changes: changes::Changes,
    /// Whoever writes: what was said last is to be the same on disk and here.
    turn: tokio::sync::Mutex<()>,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    users: HashMap<UserId, Vec<Guest>>,
    /// What the last one was called.
    last: u64,
}

/// Who is here by what.
struct Guest {
    number: u64,
    identity: Identity,
    client: Option<ClientId>,
    inbox: Arc<Inbox>,
}

/// Says that somebody is here, until it is dropped.
pub(crate) struct Presence {
    revoked: Arc<Revoked>,
    user: UserId,
    number: u64,
}

impl Revoked {
    pub(super) fn new(auth: &Auth) -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { leeway_ms: ms(auth.leeway), age_ms: auth.token_age.map(ms), ..Self::default() }
    }

    /// Waits until nobody else writes.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether who signed in by `identity`, as `client` if it has a name, is shut out.
    pub(super) fn refuses(
        &self,
        identity: &Identity,
        client: Option<&ClientId>,
        now_ms: u64,
    ) -> bool {
        let terms = self.terms.read().unwrap_or_else(PoisonError::into_inner);
        if terms.is_empty() {
            return false;
        }
        let shuts_out = |target: Target, issued_ms: Option<u64>| {
            terms.get(&target).is_some_and(|terms| {
                issued_ms.is_none_or(|issued| issued <= terms.issued_until_ms)
                    && self.end(terms).is_none_or(|end| now_ms < end)
            })
        };
        let issued_ms = identity.issued_ms();
        let token = identity.token_id().map(|id| Target::Token(id.to_owned()));
        let client = client.map(|client| client.as_str().to_owned());
        let clients = client.into_iter().chain(bound_client(identity));
        token.is_some_and(|token| shuts_out(token, None))
            || shuts_out(Target::User(identity.user.as_str().to_owned()), issued_ms)
            || clients.map(Target::Client).any(|client| shuts_out(client, issued_ms))
    }

    /// When a revocation is forgotten.
    fn end(&self, terms: &Terms) -> Option<u64> {
        let stated = terms.expires_ms.map(|ms| ms.saturating_add(self.leeway_ms));
        // The clock of who issued them may have been ahead, and ours may be.
        let aged = self.age_ms.map(|age| {
            let issued = terms.issued_until_ms.saturating_add(2 * self.leeway_ms);
            issued.saturating_add(age)
        });
        match (stated, aged) {
            (Some(stated), Some(aged)) => Some(stated.min(aged)),
            (stated, aged) => stated.or(aged),
        }
    }

    /// Notes who is here. First that, then whether it was revoked: whoever revokes does it the other
    /// way round, so one of both sees it.
    pub(super) fn enter(
        this: &Arc<Self>,
        (identity, client): (&Identity, Option<&ClientId>),
        inbox: &Arc<Inbox>,
        now_ms: u64,
    ) -> Presence {
        let user = identity.user.clone();
        let number = {
            let mut present = this.present();
            present.last += 1;
            let number = present.last;
            let (identity, client) = (identity.clone(), client.cloned());
            let guest = Guest { number, identity, client, inbox: inbox.clone() };
            present.users.entry(user.clone()).or_default().push(guest);
            number
        };
        if this.refuses(identity, client, now_ms) {
            inbox.dismiss();
        }
        Presence { revoked: this.clone(), user, number }
    }

    /// Whether `client` of `user` is here.
    pub(crate) fn is_here(&self, user: &UserId, client: &ClientId) -> bool {
        let present = self.present();
        let guests = present.users.get(user).into_iter().flatten();
        guests.into_iter().any(|guest| guest.client.as_ref() == Some(client))
    }

    /// When the token called `id` expires, as far as it is here.
    pub(crate) fn expiry_of(&self, id: &str) -> Option<u64> {
        let present = self.present();
        let guests = present.users.values().flatten();
        let named = guests.filter(|guest| guest.identity.token_id() == Some(id));
        named.filter_map(|guest| guest.identity.expires_ms).max()
    }

    /// Whether one more can be remembered.
    pub(crate) fn check_room(&self, target: &Target) -> Result<(), RevokedError> {
        let terms = self.terms.read().unwrap_or_else(PoisonError::into_inner);
        // What was taken back is remembered beside those that stand.
        let is_full = terms.len() >= REVOCATIONS_MAX || self.words() >= 2 * REVOCATIONS_MAX;
        let room = !is_full || terms.contains_key(target);
        room.then_some(()).ok_or(RevokedError::Full)
    }

    /// Shuts out from now on; how many were here and have to go.
    pub(crate) fn add(&self, Revocation { target, terms }: &Revocation) -> usize {
        self.write().insert(target.clone(), *terms);
        let present = self.present();
        let guests: Vec<&Guest> = match target.user() {
            None => present.users.values().flatten().collect(),
            Some(user) => present.users.get(user).into_iter().flatten().collect(),
        };
        let gone = guests.into_iter().filter(|guest| guest.is_of(target, terms));
        gone.map(|guest| guest.inbox.dismiss()).count()
    }

    /// Lets in again; whether that was shut out.
    pub(crate) fn remove(&self, target: &Target) -> bool {
        self.write().remove(target).is_some()
    }

    /// What of `target` is shut out.
    pub(crate) fn terms_of(&self, target: &Target) -> Option<Terms> {
        self.terms.read().unwrap_or_else(PoisonError::into_inner).get(target).copied()
    }

    /// All that count at `now_ms`, in order.
    pub(crate) fn list(&self, now_ms: u64) -> Vec<Revocation> {
        let terms = self.terms.read().unwrap_or_else(PoisonError::into_inner);
        let live = terms.iter().filter(|(_, terms)| self.end(terms).is_none_or(|end| now_ms < end));
        let mut list: Vec<_> = live
            .map(|(target, terms)| {
                let terms = Terms { expires_ms: self.end(terms), ..*terms };
                Revocation { target: target.clone(), terms }
            })
            .collect();
        list.sort_unstable_by(|a, b| a.target.cmp(&b.target));
        list
    }

    /// Forgets what is over at `now_ms`, and tells what that was.
    pub(crate) fn forget(&self, now_ms: u64) -> Vec<Target> {
        let mut terms = self.write();
        let over = terms.extract_if(|_, terms| self.end(terms).is_some_and(|end| end <= now_ms));
        let mut over: Vec<_> = over.map(|(target, _)| target).collect();
        drop(terms);
        self.forget_changes(now_ms, &mut over);
        over
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Target, Terms>> {
        self.terms.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut present = self.revoked.present();
        let Some(guests) = present.users.get_mut(&self.user) else { return };
        guests.retain(|guest| guest.number != self.number);
        if guests.is_empty() {
            present.users.remove(&self.user);
        }
    }
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revoked")
    }
}
