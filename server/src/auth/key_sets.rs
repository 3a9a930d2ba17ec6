//! How fetching key sets goes, for those who watch.

use super::Authenticator;

/// All sets that are fetched, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeySets {
    /// Fetches that brought a set.
    pub(crate) fetched: u64,
    /// Fetches that did not.
    pub(crate) failed: u64,
    /// How old the oldest set is; one that never came is as old as the process.
    pub(crate) age_ms: u64,
}

impl Authenticator {
    /// How it goes, at `now_ms`.
    pub(crate) fn key_sets(&self, now_ms: u64) -> KeySets {
        let remotes = self.issuers.iter().filter_map(|issuer| issuer.keys.remote());
        let each = remotes.map(|remote| remote.watched(now_ms));
        each.fold(KeySets::default(), |all, set| KeySets {
            fetched: all.fetched + set.fetched,
            failed: all.failed + set.failed,
            age_ms: all.age_ms.max(set.age_ms),
        })
    }
}
