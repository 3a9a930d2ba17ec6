//! What every JSON form of the protocol needs: its integers, its object keys, and the answer to a
//! frame that cannot be read.

use super::Version;
use crate::{ActionId, WireError};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, Visitor};
use std::fmt;

/// The longest text that goes back to whoever sent a frame that cannot be read.
const OFFENDING_BYTES_MAX: usize = 1024;

/// An integer that a JavaScript number holds exactly. `5.0` and `5e0` are the same number to
/// JavaScript, so they are here.
pub(super) struct Int(pub(super) i64);

/// An [`Int`] that is not negative.
pub(crate) struct Number(pub(crate) u64);

struct IntVisitor;

impl Visitor<'_> for IntVisitor {
    type Value = Int;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Int, E> {
        Int::new(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Int, E> {
        Int::new(number)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Int, E> {
        Int::of_float(number)
    }
}

impl Int {
    pub(super) fn new<E: de::Error>(number: i64) -> Result<Self, E> {
        if number.unsigned_abs() <= ActionId::NUMBER_MAX {
            Ok(Self(number))
        } else {
            Err(E::custom("too large for a JavaScript number"))
        }
    }

    pub(super) fn of_float<E: de::Error>(number: f64) -> Result<Self, E> {
        if number.fract() != 0.0 {
            return Err(E::custom("not an integer"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it saturates, and `new` refuses that")]
        Self::new(number as i64)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(IntVisitor)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Int(number) = Int::deserialize(deserializer)?;
        u64::try_from(number).map(Self).map_err(de::Error::custom)
    }
}

impl Number {
    pub(super) fn new<E: de::Error>(number: u64) -> Result<Self, E> {
        if number <= ActionId::NUMBER_MAX {
            Ok(Self(number))
        } else {
            Err(E::custom("too large for a JavaScript number"))
        }
    }
}

/// The `wrong-format` for a frame: not text, its start as far as it is; not JSON, the text; else
/// the JSON without its white space. Cut after [`OFFENDING_BYTES_MAX`].
pub(crate) fn wrong_format(frame: &[u8]) -> WireError {
    WireError::WrongFormat(match std::str::from_utf8(frame) {
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => compact(text),
        Ok(text) => start_of(text).to_owned(),
        Err(_) => {
            let start = frame.get(..OFFENDING_BYTES_MAX).unwrap_or(frame);
            start_of(&String::from_utf8_lossy(start)).to_owned()
        }
    })
}

/// The `unknown-message` for a message type.
pub(super) fn unknown_message(name: &str) -> WireError {
    WireError::UnknownMessage(start_of(name).to_owned())
}

/// The answer to whoever speaks a protocol that is not spoken here.
pub(super) fn unspoken(used: u32) -> WireError {
    WireError::WrongProtocol { supported: Version::nearest(used).protocol(), used }
}

/// The whole characters within the first [`OFFENDING_BYTES_MAX`] bytes.
fn start_of(text: &str) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= OFFENDING_BYTES_MAX).last().unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// The start of valid JSON without the white space between its tokens. Unlike parsing and writing
/// it again, this keeps the order of keys and needs no stack for deep nesting.
fn compact(json: &str) -> String {
    let mut in_string = false;
    let mut escaped = false;
    let kept = json.chars().filter(|c| {
        let keep = in_string || !c.is_ascii_whitespace();
        let quote = *c == '"' && !escaped;
        escaped = in_string && *c == '\\' && !escaped;
        in_string ^= quote;
        keep
    });
    start_of(&kept.take(OFFENDING_BYTES_MAX).collect::<String>()).to_owned()
}
