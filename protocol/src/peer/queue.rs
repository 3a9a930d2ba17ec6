//! Frames that came before their time.

use crate::{Frame, Limits, OverLimit};

/// Well-formed frames in the order in which they came, for replay after the handshake.
#[derive(Debug, Default)]
pub(super) struct Queue {
    frames: Vec<Frame>,
    bytes: usize,
}

impl Queue {
    /// Keeps a copy: a slice would hold on to all that the socket read with it.
    pub(super) fn push(&mut self, frame: &Frame, limits: &Limits) -> Result<(), OverLimit> {
        if self.frames.len() >= limits.queued_frames_before_sign_in {
            return Err(OverLimit::QueuedFrames(limits.queued_frames_before_sign_in));
        }
        let bytes = self.bytes.saturating_add(frame.len());
        if bytes > limits.queued_bytes_before_sign_in {
            return Err(OverLimit::QueuedBytes(limits.queued_bytes_before_sign_in));
        }
        self.bytes = bytes;
        self.frames.push(frame.detached());
        Ok(())
    }

    pub(super) fn into_frames(self) -> Vec<Frame> {
        self.frames
    }
}
