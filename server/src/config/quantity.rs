//! Durations and sizes as people write them: `"20s"`, `"16MiB"`.

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A year: longer than anything that is waited for, and far from every overflow.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);
const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A terabyte: more than any of the sizes can mean.
const BYTES_MAX: u64 = 1 << 40;
const BYTE_UNITS: [(&str, u64); 7] = [
    ("", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// What a limit is set to that does not hold.
const OFF: &str = "off";

const BINARY_UNITS: &[(&str, u64)] = BYTE_UNITS.split_at(4).0;

/// Reads a duration such as `500ms`, `20s`, `15m`, `1h`, `30d`; zero is none.
pub fn duration(text: &str) -> Result<Duration, String> {
    quantity(text, &DURATION_UNITS)
        .map(Duration::from_millis)
        .filter(|duration| !duration.is_zero() && *duration <= DURATION_MAX)
        .ok_or_else(|| format!("{text:?} is no duration: write 500ms, 20s, 15m, 1h or 30d"))
}

/// Reads a size such as `4096`, `512KiB`, `16MiB`; zero is none.
pub fn bytes(text: &str) -> Result<usize, String> {
    quantity(text, &BYTE_UNITS)
        .filter(|bytes| (1..=BYTES_MAX).contains(bytes))
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| format!("{text:?} is no size: write 4096, \"512KiB\" or \"16MiB\""))
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start_matches(' '))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Serde's way to [`duration`], or to none by `"never"`.
pub(super) fn read_age<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    let age = Some(text.as_str()).filter(|text| *text != "never").map(duration).transpose();
    age.map_err(|error| D::Error::custom(format!("{error}, or \"never\"")))
}

/// Writes what [`read_age`] reads.
#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
pub(super) fn show_age<S: Serializer>(age: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match age {
        Some(age) => show_duration(age, to),
        None => to.serialize_str("never"),
    }
}

/// `number` in the largest unit that leaves no rest.
fn shortest(number: u64, units: &[(&'static str, u64)]) -> (u64, &'static str) {
    let whole = units.iter().filter(|(_, factor)| number.is_multiple_of(*factor));
    let (unit, factor) = whole.max_by_key(|(_, factor)| *factor).unwrap_or(&("", 1));
    (number / factor, unit)
}

/// Writes what [`duration`] reads.
pub(super) fn show_duration<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (number, unit) = shortest(ms, &DURATION_UNITS);
    to.serialize_str(&format!("{number}{unit}"))
}

/// Writes what [`bytes`] reads; less than a KiB is a plain number.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(super) fn show_bytes<S: Serializer>(bytes: &usize, to: S) -> Result<S::Ok, S::Error> {
    match shortest(*bytes as u64, BINARY_UNITS) {
        (number, "") => to.serialize_u64(number),
        (number, unit) => to.serialize_str(&format!("{number}{unit}")),
    }
}

/// A limit that can be off.
pub(super) fn read_bytes_or_off<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<usize>, D::Error> {
    or_off(from, "a size such as \"512MiB\", or \"off\"", bytes)
}

/// A number of things, at least one, or none for no limit.
pub(super) fn read_count_or_off<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<usize>, D::Error> {
    let count = |text: &str| {
        let count = text.parse().ok().filter(|count| (1..=1_000_000).contains(count));
        count.ok_or_else(|| format!("{text:?} is no number from 1 to 1000000, and not \"off\""))
    };
    or_off(from, "a number from 1 to 1000000, or \"off\"", count)
}

fn or_off<'de, D: Deserializer<'de>>(
    from: D,
    expecting: &'static str,
    read: fn(&str) -> Result<usize, String>,
) -> Result<Option<usize>, D::Error> {
    struct OrOff(&'static str, fn(&str) -> Result<usize, String>);
    impl Visitor<'_> for OrOff {
        type Value = Option<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<usize>, E> {
            if text == OFF { Ok(None) } else { self.1(text).map(Some).map_err(E::custom) }
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Option<usize>, E> {
            self.1(&number.to_string()).map(Some).map_err(E::custom)
        }
    }
    from.deserialize_any(OrOff(expecting, read))
}

/// Writes what is read by [`read_bytes_or_off`] and [`read_count_or_off`].
#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
pub(super) fn show_or_off<S: Serializer>(limit: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
    match limit {
        Some(limit) => show_bytes(limit, to),
        None => to.serialize_str(OFF),
    }
}

/// Serde's way to [`duration`].
pub(super) fn read_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as \"500ms\", \"20s\", \"15m\", \"1h\" or \"30d\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            duration(text).map_err(E::custom)
        }
    }
    from.deserialize_str(Text)
}

/// A number of things, at least one.
pub(super) fn read_count<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    std::num::NonZeroUsize::deserialize(from).map(std::num::NonZeroUsize::get)
}

/// The size of an action: a row of the store holds it whole.
pub(super) fn read_action_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let too_long = || D::Error::custom("an action can have 200KiB at most");
    read_bytes(from)
        .and_then(|bytes| Some(bytes).filter(|it| *it <= 200 << 10).ok_or_else(too_long))
}

/// A depth of JSON that its readers do not refuse.
pub(super) fn read_depth<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let too_deep = || D::Error::custom("JSON can nest 120 deep at most");
    read_count(from).and_then(|depth| Some(depth).filter(|it| *it <= 120).ok_or_else(too_deep))
}

/// Serde's way to [`bytes`]; a plain number counts bytes.
pub(super) fn read_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    struct Size;
    impl Visitor<'_> for Size {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as 4096, \"512KiB\" or \"16MiB\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            bytes(text).map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<usize, E> {
            bytes(&number.to_string()).map_err(E::custom)
        }
    }
    from.deserialize_any(Size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::Serializer;

    #[test]
    fn durations_and_sizes_read_as_written() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("16MiB"), Ok(16 << 20));
        assert_eq!(bytes("2 GB"), Ok(2_000_000_000));
    }

    #[test]
    fn what_is_written_reads_as_the_same() {
        for ms in [1, 999, 1000, 55_000, 60_000, 90_000, 3_600_000, 86_400_000, 31_536_000_000] {
            let shown = show_duration(&Duration::from_millis(ms), Serializer).unwrap();
            assert_eq!(duration(shown.as_str().unwrap()), Ok(Duration::from_millis(ms)), "{shown}");
        }
        for size in [1, 256, 1000, 1023, 1024, 1025, 200 << 10, 1 << 20, 3 << 29, 1 << 40] {
            let shown = show_bytes(&size, Serializer).unwrap();
            let text = shown.as_str().map_or_else(|| shown.to_string(), str::to_owned);
            assert_eq!(bytes(&text), Ok(size), "{shown}");
        }
        assert_eq!(show_duration(&Duration::from_secs(90), Serializer).unwrap(), "90s");
        assert_eq!(show_bytes(&(64 << 10), Serializer).unwrap(), "64KiB");
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "s", "1", "-1s", "1.5s", "0s", "1 week", "99999999999999999999s", "367d"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        for text in ["", "MiB", "0", "-1", "1TiB", "1mib", "99999999999999999999", "2048GiB"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }
}
