//! The logs that entries go from, in the order of their names: as many at a time as memory is for.

use crate::log::LogName;
use std::collections::BTreeSet;

/// What a name takes beside its bytes, about.
const OVERHEAD_BYTES: usize = 64;

/// Names of logs that were found in the feed. Those for which there is no room are found again, by going
/// through it once more.
#[derive(Debug)]
pub(super) struct Logs {
    names: BTreeSet<LogName>,
    bytes: usize,
    bytes_max: usize,
    /// Names up to here have had their turn.
    after: Option<LogName>,
    /// There was no room for names from here on.
    before: Option<LogName>,
}

impl Logs {
    /// None yet; they are to take no more than about so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { names: BTreeSet::new(), bytes: 0, bytes_max, after: None, before: None }
    }

    /// One was found; most are found very often.
    pub(super) fn add(&mut self, name: LogName) {
        let had_its_turn = self.after.as_ref().is_some_and(|after| name <= *after);
        let has_no_room = self.before.as_ref().is_some_and(|before| name >= *before);
        if had_its_turn || has_no_room {
            return;
        }
        let bytes = bytes(&name);
        if !self.names.insert(name) {
            return;
        }
        self.bytes += bytes;
        while self.bytes > self.bytes_max
            && self.names.len() > 1
            && let Some(last) = self.names.pop_last()
        {
            self.bytes -= self::bytes(&last);
            self.before = Some(last);
        }
    }

    /// Those whose turn it is. Whether the feed is to be gone through again for others.
    pub(super) fn take(&mut self) -> (BTreeSet<LogName>, bool) {
        let names = std::mem::take(&mut self.names);
        self.bytes = 0;
        self.after = names.last().cloned().or(self.after.take());
        (names, self.before.take().is_some())
    }
}

fn bytes(name: &LogName) -> usize {
    let text = match name {
        LogName::User(user) => user.as_str(),
        LogName::Channel(channel) => channel.as_str(),
    };
    OVERHEAD_BYTES + text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Channel;

    fn channel(name: &str) -> LogName {
        LogName::Channel(Channel::new(name).unwrap())
    }

    #[test]
    fn every_log_has_its_turn_once_and_few_are_kept_at_a_time() {
        // Where the second does not fit, the third would, and comes after it.
        let names = ["a", "b-that-takes-more-room-than-the-others", "c", "dd", "c", "e", "ca"];
        for room in 1..=names.len() {
            let mut logs = Logs::new(room * (OVERHEAD_BYTES + 4));
            let mut all = Vec::new();
            loop {
                for name in names {
                    logs.add(channel(name));
                    assert!(logs.bytes <= logs.bytes_max || logs.names.len() == 1);
                }
                let (names, again) = logs.take();
                all.extend(names);
                if !again {
                    break;
                }
            }
            let expected: BTreeSet<_> = names.into_iter().map(channel).collect();
            assert_eq!(all, expected.into_iter().collect::<Vec<_>>(), "room for {room}");
        }
    }
}
