//! The last frames of a connection, to be read when something was wrong with them.

use std::collections::VecDeque;
use std::fmt;
use tidelog_protocol::{Form, Frame};

/// Frames that are kept; thousands of devices have a tape each.
const FRAMES: usize = 12;
/// Bytes that are kept of a frame.
const BYTES: usize = 160;

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    In,
    Out,
}

/// The last frames of a device's connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    frames: VecDeque<Noted>,
}

#[derive(Clone, Debug)]
struct Noted {
    ms: u64,
    side: Side,
    length: usize,
    beginning: Box<str>,
}

impl Tape {
    pub(crate) fn note(&mut self, side: Side, frame: &Frame, ms: u64) {
        let bytes = frame.bytes();
        let beginning = bytes.get(..BYTES.min(bytes.len())).unwrap_or_default();
        let beginning = match frame.form() {
            Form::Text => String::from_utf8_lossy(beginning).into(),
            Form::Binary => beginning.escape_ascii().to_string().into(),
        };
        self.push(Noted { ms, side, length: bytes.len(), beginning });
    }

    /// Something that is no frame, such as the end of a connection.
    pub(crate) fn remark(&mut self, side: Side, text: &str, ms: u64) {
        let beginning = text.chars().take(BYTES).collect::<String>().into();
        self.push(Noted { ms, side, length: text.len(), beginning });
    }

    fn push(&mut self, noted: Noted) {
        if self.frames.len() >= FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back(noted);
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Noted { ms, side, length, beginning } in &self.frames {
            let side = if *side == Side::In { '<' } else { '>' };
            let more = if *length > beginning.len() { "…" } else { "" };
            writeln!(f, "{ms} {side} {length} bytes: {beginning}{more}")?;
        }
        Ok(())
    }
}
