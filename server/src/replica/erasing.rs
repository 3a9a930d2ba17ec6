//! What two servers tell each other of users who were erased.

use super::desk::{Desk, Trouble};
use super::link::Link;
use super::records::Names;
use super::registry::Replica;
use super::scope::Scope;
use tidelog_protocol::UserId;
use tidelog_protocol::replica::{Erasure, Erasures, Held};

/// Said at once; the rest comes with the next answer.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 1_000 };

/// How far the two sides of a link have told each other.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// What the other has said and is not heard yet.
    said: Option<Erasures>,
    /// The version of what was heard.
    heard: u64,
    /// The version of what it has heard, and hears next.
    told: (u64, u64),
}

impl Exchange {
    pub(super) fn new(said: Erasures) -> Self {
        Self { said: Some(said), ..Self::default() }
    }
}

impl Desk {
    /// Who was erased since `version`, as far as that is for `scope`. Who is not in it may have acted on channels
    /// that are.
    pub(super) fn erased(&self, scope: &Scope, version: u64) -> Erasures {
        self.erasures.since(version, &|user| scope.may_have(user), AT_ONCE)
    }

    /// Whether what has these names is from before `user` was erased. An action and what undoes it go together.
    pub(super) fn is_erased(&self, user: &UserId, names: &Names<'_>) -> bool {
        if !self.erasures.has(user) {
            return false;
        }
        let undone = names.undoes.as_ref().and_then(|id| self.log.find(id).ok()?);
        let is_of_what_went = undone.is_some_and(|at| match self.log.entry(at) {
            Ok(Some(entry)) => {
                let dots: Vec<_> = entry.aliases.iter().copied().chain([entry.dot]).collect();
                self.erasures.covers(user, &dots)
            }
            Ok(None) => true,
            Err(_) => false,
        });
        is_of_what_went || self.erasures.covers(user, names.dots)
    }

    /// An edge may erase whom it is for.
    pub(super) async fn hear_erased(
        &self,
        replica: &Replica,
        said: &[Erasure],
    ) -> Result<(), Trouble> {
        let scope = replica.scope();
        for erasure in said {
            let Ok(user) = UserId::new(&erasure.user) else { continue };
            if scope.has_user(&user) {
                let through = self.possible(replica, &erasure.through);
                let mut told = Erasure { through, ..erasure.clone() };
                let (here, head) = (self.log.incarnation(), self.log.head());
                told.also.retain(|dot| dot.incarnation != here || dot.position <= head);
                self.erasures.hear(&user, &told).await?;
            }
        }
        Ok(())
    }

    /// What an edge can know of: not what nobody has made yet, and of the dots of others only what is here.
    fn possible(&self, replica: &Replica, through: &Held) -> Held {
        let (end, here) = (self.log.head(), self.log.incarnation());
        let held = self.log.incarnations().held(end);
        let possible = through.0.iter().filter_map(|(incarnation, last)| {
            if *incarnation == here {
                return Some((*incarnation, end.min(*last)));
            }
            let most =
                if self.is_of(replica, *incarnation) { last } else { held.get(incarnation)? };
            Some((*incarnation, *most.min(last)))
        });
        Held(possible.collect())
    }
}

impl Link<'_> {
    /// What the other has said of users who were erased counts from now on. On disk on return.
    pub(super) async fn hear_erased(&self, said: Option<Erasures>) -> Result<(), Trouble> {
        let Some(said) = said.or_else(|| self.their().erasing.said.take()) else { return Ok(()) };
        for erasure in &said.changes {
            if let Ok(user) = UserId::new(&erasure.user) {
                self.desk.erasures.hear(&user, erasure).await?;
            }
        }
        let mut their = self.their();
        their.erasing.heard = their.erasing.heard.max(said.version);
        Ok(())
    }

    /// What the other has not been told yet, and the version of what it has said that was heard.
    pub(super) fn tell_erased(&self, exchange: &mut Exchange) -> (u64, Vec<Erasure>) {
        let told = self.desk.erasures.since(exchange.told.0, &|_| true, AT_ONCE);
        exchange.told.1 = told.version;
        (exchange.heard, told.changes)
    }
}

impl Exchange {
    /// What was said last was heard.
    pub(super) fn is_heard(&mut self) {
        self.told.0 = self.told.1;
    }
}
