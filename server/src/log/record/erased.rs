//! What is left of a record whose author was erased.

use super::super::binary::{Reader, put_number};
use super::super::entry::{Addresses, Causes, Entry};
use super::super::prefix::{Key, Prefix};
use super::{ERASED, FOREIGN_DOT, cleaned_action, take_position};
use bytes::Bytes;
use tidelog_crdt::{Dot, Incarnation, Position};
use tidelog_protocol::ActionId;

/// Set when it stands for an action, whose id is still known.
const WITH_ID: u8 = 2;

/// What is left of a record whose author was erased: its place, and a keyed hash by which the id is
/// still known. Nothing in it says whose it was to somebody without the key, which never leaves the
/// store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Erased {
    pub(in super::super) dot: Dot,
    pub(in super::super) accepted_ms: u64,
    /// Of an action.
    pub(in super::super) id: Option<Key>,
}

impl Erased {
    /// What stands for the action when `id`, which is sent again, turns out to be known.
    pub(in super::super) fn entry(&self, position: Position, id: ActionId) -> Entry {
        Entry {
            position,
            id,
            time: self.accepted_ms,
            accepted_ms: self.accepted_ms,
            subprotocol: 0,
            addresses: Addresses::default(),
            dot: self.dot,
            aliases: Vec::new(),
            causes: Causes::default(),
            action: cleaned_action(),
            kept: true,
            cleaned: true,
        }
    }
}

/// Appends what is left of a record at `position`.
pub(in super::super) fn put_erased(out: &mut Vec<u8>, position: Position, erased: &Erased) {
    let foreign = erased.dot.position != position;
    out.push(ERASED);
    let flags = [(foreign, FOREIGN_DOT), (erased.id.is_some(), WITH_ID)];
    out.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
    out.extend_from_slice(&erased.dot.incarnation.0.to_le_bytes());
    if foreign {
        put_number(out, erased.dot.position.get());
    }
    put_number(out, erased.accepted_ms);
    if let Some(Key { prefix, major, minor }) = erased.id {
        out.extend_from_slice(&prefix.0.to_le_bytes());
        out.extend_from_slice(&prefix.1.to_le_bytes());
        put_number(out, major);
        put_number(out, minor);
    }
}

pub(super) fn decode(position: Position, bytes: &Bytes) -> Option<Erased> {
    let mut reader = Reader::new(bytes.get(1..)?);
    let flags = reader.byte()?;
    (flags & !(FOREIGN_DOT | WITH_ID) == 0).then_some(())?;
    let incarnation = Incarnation(reader.eight()?);
    let foreign = flags & FOREIGN_DOT != 0;
    let at = if foreign { take_position(&mut reader)? } else { position };
    let accepted_ms = reader.number()?;
    let id = match flags & WITH_ID {
        0 => None,
        _ => Some(Key {
            prefix: Prefix(reader.eight()?, reader.eight()?),
            major: reader.number()?,
            minor: reader.number()?,
        }),
    };
    let dot = Dot { incarnation, position: at };
    reader.is_empty().then_some(Erased { dot, accepted_ms, id })
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn encode(erased: &Erased) -> Bytes {
        let mut out = Vec::new();
        put_erased(&mut out, at(300), erased);
        out.into()
    }

    #[test]
    fn an_erased_record_has_the_bytes_it_always_had() {
        let dot = |position| Dot { incarnation: Incarnation(7), position: at(position) };
        let id = Key { prefix: Prefix(3, 4), major: 1_000_000, minor: 2 };
        let cases = [
            (dot(300), None, "040007000000000000008480 3d"),
            (dot(9), None, "04010700000000000000098480 3d"),
            (
                dot(300),
                Some(id),
                "040207000000000000008480 3d 0300000000000000 0400000000000000 c0843d 02",
            ),
        ];
        for (dot, id, golden) in cases {
            let erased = Erased { dot, accepted_ms: 999_428, id };
            let bytes = encode(&erased);
            let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            assert_eq!(hex, golden.replace(' ', ""));
            assert_eq!(Record::decode(at(300), &bytes), Ok(Record::Erased(erased)));
            for end in 0..bytes.len() {
                assert!(Record::decode(at(300), &bytes.slice(..end)).is_err(), "{end} bytes");
            }
            assert!(Record::decode(at(300), &[&bytes[..], &[0]].concat().into()).is_err());
        }
    }
}
