//! What goes over a link that is a WebSocket: a question or an answer is a message.
//!
//! ```text
//! question   kind 1 byte, number u32, body
//! answer     0 1 byte, number u32, status u16, body
//! ```
//!
//! Numbers are big-endian; an answer has the number of its question. Bodies and statuses are those of HTTP.

use bytes::{BufMut, Bytes, BytesMut};
use hyper::StatusCode;

/// Bytes beside the body.
pub(super) const HEAD_BYTES: usize = 7;
const ANSWER: u8 = 0;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Hello,
    Push,
    Pull,
}

impl What {
    pub(super) const ALL: [Self; 3] = [Self::Hello, Self::Push, Self::Pull];

    /// The end of its path over HTTP.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Push => "push",
            Self::Pull => "pull",
        }
    }

    fn kind(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Push => 2,
            Self::Pull => 3,
        }
    }
}

/// A message that asks.
pub(super) fn question(what: What, number: u32, body: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + body.len());
    message.put_u8(what.kind());
    message.put_u32(number);
    message.put_slice(body);
    message.freeze()
}

/// A message that answers.
pub(super) fn answer(number: u32, status: StatusCode, body: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_BYTES + body.len());
    message.put_u8(ANSWER);
    message.put_u32(number);
    message.put_u16(status.as_u16());
    message.put_slice(body);
    message.freeze()
}

/// What a message asks.
pub(super) fn read_question(message: &Bytes) -> Option<(What, u32, Bytes)> {
    let (kind, rest) = message.split_first()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let what = What::ALL.into_iter().find(|what| what.kind() == *kind)?;
    Some((what, u32::from_be_bytes(*number), message.slice_ref(rest)))
}

/// What a message answers.
pub(super) fn read_answer(message: &Bytes) -> Option<(u32, StatusCode, Bytes)> {
    let (kind, rest) = message.split_first()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (status, rest) = rest.split_first_chunk::<2>()?;
    let status = StatusCode::from_u16(u16::from_be_bytes(*status)).ok()?;
    (*kind == ANSWER).then(|| (u32::from_be_bytes(*number), status, message.slice_ref(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back_and_no_others() {
        for what in What::ALL {
            let message = question(what, 70_000, b"body");
            let read = (what, 70_000, Bytes::from_static(b"body"));
            assert_eq!(read_question(&message), Some(read));
            assert_eq!(read_answer(&message), None);
        }
        let message = answer(7, StatusCode::CONFLICT, b"");
        assert_eq!(read_answer(&message), Some((7, StatusCode::CONFLICT, Bytes::new())));
        assert_eq!(read_question(&message), None);
        for end in 0..HEAD_BYTES {
            assert_eq!(read_answer(&message.slice(..end)), None, "{end}");
        }
        for bad in [&b""[..], b"\x01", b"\x01\0\0\0", b"\x09\0\0\0\0body"] {
            assert_eq!(read_question(&Bytes::from_static(bad)), None, "{bad:?}");
        }
    }
}
