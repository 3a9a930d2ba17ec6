//! Numbers, texts and JSON, written.

use crate::Frame;
use serde_json::Value;

/// A frame in the making.
pub(super) struct Draft(Vec<u8>);

impl Draft {
    /// A frame that begins with the byte of its type.
    pub(super) fn new(kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(kind);
        Self(bytes)
    }

    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    /// Bytes whose number everybody knows.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Seven bits a byte, least significant first; a set high bit says that more follow.
    pub(super) fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.byte(number.to_le_bytes()[0])
    }

    /// 0, -1, 1, -2, … as 0, 1, 2, 3, …
    pub(super) fn signed(&mut self, number: i64) -> &mut Self {
        let folded = (number << 1) ^ (number >> 63);
        self.number(folded.cast_unsigned())
    }

    /// A length, and as many bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).raw(bytes)
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(super) fn json(&mut self, value: &Value) -> &mut Self {
        self.text(&value.to_string())
    }

    pub(super) fn end(&mut self) -> Frame {
        Frame::binary(std::mem::take(&mut self.0))
    }
}
