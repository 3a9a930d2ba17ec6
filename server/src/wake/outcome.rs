//! What became of one push.

use std::time::{Duration, UNIX_EPOCH};

/// The longest wait that a push service can ask for.
const AFTER_MAX: Duration = Duration::from_secs(86_400);

/// What a push service said, or that it said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is the service's from here on.
    Accepted,
    /// The device is no more: it is forgotten.
    Gone,
    /// Not this push, and it would be the same again.
    Refused(String),
    /// It may work later.
    Later {
        reason: String,
        /// Not before, if the service says so.
        after: Option<Duration>,
        /// Nobody else has to try either.
        all: bool,
        /// What is wrong is here, in a setting, a key or the clock: the operator is told.
        ours: bool,
    },
}

impl Outcome {
    /// The same, for the operator to mend.
    pub(super) fn ours(self) -> Self {
        match self {
            Self::Later { reason, after, all, .. } => {
                Self::Later { reason, after, all, ours: true }
            }
            other => other,
        }
    }
}

/// An answer of a push service.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// What `Retry-After` says.
    pub(super) after: Option<Duration>,
    pub(super) body: String,
}

impl Answer {
    /// What is common to all services.
    pub(super) fn outcome(&self, reason: &str) -> Outcome {
        let said = format!("{} {reason}", self.status);
        match self.status {
            200..=299 => Outcome::Accepted,
            404 | 410 => Outcome::Gone,
            429 => self.later(said, false),
            408 | 500..=599 => self.later(said, true),
            _ => Outcome::Refused(said),
        }
    }

    /// It is to be tried later.
    pub(super) fn later(&self, reason: String, all: bool) -> Outcome {
        Outcome::Later { reason, after: self.after, all, ours: false }
    }
}

/// Reads `Retry-After`: seconds, or a date, which is as far away as `now_ms` says.
pub(super) fn retry_after(text: &str, now_ms: u64) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    let now = Duration::from_millis(now_ms);
    let after = seconds.or_else(|| since_1970(text.trim()).map(|date| date.saturating_sub(now)));
    after.map(|after| after.min(AFTER_MAX))
}

/// A date as HTTP has it.
fn since_1970(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let at = 784_111_777_000;
        assert_eq!(retry_after("120", at), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_207_999_000), Some(SECOND));
        assert_eq!(retry_after("Fri, 31 Dec 9999 23:59:59 GMT", at), Some(AFTER_MAX));
        assert_eq!(retry_after(date, at - 5_000), Some(Duration::from_secs(5)));
        assert_eq!(retry_after(date, at + 5_000), Some(Duration::ZERO));
        assert_eq!(retry_after("999999999", at), Some(AFTER_MAX));
        assert_eq!(retry_after("soon", at), None);
    }

    #[test]
    fn a_date_that_nobody_means_is_none() {
        for date in [
            "Sun, 18446744073709551615 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 18446744073709551615:49:37 GMT",
            "Sun, 06 Nov 1994 08:18446744073709551615:37 GMT",
            "Sun, 06 Nov 18446744073709551615 08:49:37 GMT",
            "Sun, 99 Nov 1994 99:99:99 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "",
        ] {
            assert_eq!(retry_after(date, 0), None, "{date}");
        }
        assert_eq!(retry_after("18446744073709551616", 0), None);
        assert_eq!(retry_after("18446744073709551615", 0), Some(AFTER_MAX));
    }
}
