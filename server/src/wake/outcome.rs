//! What became of one push.

use std::time::Duration;

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
    },
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
        Outcome::Later { reason, after: self.after, all }
    }
}

/// Reads `Retry-After`: seconds, or a date, which is as far away as `now_ms` says.
pub(super) fn retry_after(text: &str, now_ms: u64) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    let until = |date: u64| Duration::from_millis(date.saturating_sub(now_ms));
    let after = seconds.or_else(|| date_ms(text.trim()).map(until));
    after.map(|after| after.min(AFTER_MAX))
}

/// A date as HTTP has it, `Sun, 06 Nov 1994 08:49:37 GMT`, in ms since 1970.
fn date_ms(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok().filter(|year| (1970..3000).contains(year))?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    // Days of the civil calendar, counted from March so that the leap day is the last of a year.
    let (shifted, of_year) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400;
    let days = (days + (153 * of_year + 2) / 5 + day).checked_sub(719_469)?;
    let seconds = days * 86_400 + hours * 3600 + minutes * 60 + seconds;
    (parts.next() == Some("GMT")).then_some(seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let at = 784_111_777_000;
        assert_eq!(retry_after("120", at), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(date_ms(date), Some(at));
        assert_eq!(date_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date_ms("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000_000));
        assert_eq!(retry_after(date, at - 5_000), Some(Duration::from_secs(5)));
        assert_eq!(retry_after(date, at + 5_000), Some(Duration::ZERO));
        assert_eq!(retry_after("999999999", at), Some(AFTER_MAX));
        assert_eq!(retry_after("soon", at), None);
    }
}
