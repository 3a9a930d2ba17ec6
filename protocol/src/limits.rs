//! How much one peer may send at once, and the sentence it reads when it sends more.

use crate::{NodeId, WireError};

/// What a decoder takes from one peer; more ends the connection with `wrong-format` and a sentence.
///
/// The length of ids is not a setting, because stores and keys rely on it: [`NodeId::BYTES_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one frame before the peer has signed in, and of every message but `sync` after
    /// that. Default 64 KiB: a large token fits.
    pub frame_bytes_before_sign_in: usize,
    /// Bytes of one frame after sign-in. Default 32 MiB, because clients of protocol 5 send all that
    /// they made offline in one frame, and a smaller limit would lock them out for good.
    pub frame_bytes: usize,
    /// Actions in one `sync`. Default 200 000: weeks of offline work.
    pub actions_per_frame: usize,
    /// Bytes of one action's JSON. Default 1 MiB.
    pub action_bytes: usize,
    /// Bytes of the `headers` object, which lives as long as the connection. Default 16 KiB.
    pub headers_bytes: usize,
    /// Bytes of an action's `type`. Default 256.
    pub name_bytes: usize,
    /// How deep arrays and objects nest in an action or in headers. Default 64; above 120 the JSON
    /// parser behind rules and documents refuses what this let in.
    pub json_depth: usize,
    /// Frames kept for later while the peer signs in. Default 64.
    pub queued_frames_before_sign_in: usize,
    /// Bytes of those frames together. Default 256 KiB.
    pub queued_bytes_before_sign_in: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_before_sign_in: 64 << 10,
            frame_bytes: 32 << 20,
            actions_per_frame: 200_000,
            action_bytes: 1 << 20,
            headers_bytes: 16 << 10,
            name_bytes: 256,
            json_depth: 64,
            queued_frames_before_sign_in: 64,
            queued_bytes_before_sign_in: 256 << 10,
        }
    }
}

/// Which limit was passed, and what it is. The text is what the peer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// See [`Limits::frame_bytes_before_sign_in`].
    #[error("before sign-in a frame has at most {0} bytes")]
    FrameBeforeSignIn(usize),
    /// See [`Limits::frame_bytes_before_sign_in`].
    #[error("a message other than sync has at most {0} bytes")]
    Message(usize),
    /// See [`Limits::frame_bytes`].
    #[error("a frame has at most {0} bytes")]
    Frame(usize),
    /// See [`Limits::actions_per_frame`].
    #[error("a sync has at most {0} actions")]
    Actions(usize),
    /// See [`Limits::action_bytes`].
    #[error("an action has at most {0} bytes")]
    Action(usize),
    /// See [`Limits::headers_bytes`].
    #[error("headers have at most {0} bytes")]
    Headers(usize),
    /// See [`Limits::name_bytes`].
    #[error("an action's type has at most {0} bytes")]
    Name(usize),
    /// See [`Limits::json_depth`].
    #[error("arrays and objects nest at most {0} deep")]
    Depth(usize),
    /// What a binary frame says more shortly than JSON.
    #[error("a binary frame stands for at most {0} times its bytes of JSON")]
    Growth(usize),
    /// The same, however long the frame is: twice [`Limits::frame_bytes`].
    #[error("a binary frame stands for at most {0} bytes of JSON")]
    Json(usize),
    /// See [`Limits::queued_frames_before_sign_in`].
    #[error("before sign-in at most {0} frames wait")]
    QueuedFrames(usize),
    /// See [`Limits::queued_bytes_before_sign_in`].
    #[error("before sign-in frames of at most {0} bytes together wait")]
    QueuedBytes(usize),
}

impl From<OverLimit> for WireError {
    fn from(limit: OverLimit) -> Self {
        Self::WrongFormat(limit.to_string())
    }
}

impl Limits {
    /// Checks the size and the nesting of an action's JSON.
    pub fn check_action(&self, json: &[u8]) -> Result<(), OverLimit> {
        if json.len() > self.action_bytes {
            return Err(OverLimit::Action(self.action_bytes));
        }
        self.check_depth(json)
    }

    /// Checks the size and the nesting of a headers object.
    pub fn check_headers(&self, json: &[u8]) -> Result<(), OverLimit> {
        if json.len() > self.headers_bytes {
            return Err(OverLimit::Headers(self.headers_bytes));
        }
        self.check_depth(json)
    }

    /// Checks the length of an action's `type`.
    pub fn check_name(&self, name: &str) -> Result<(), OverLimit> {
        if name.len() > self.name_bytes { Err(OverLimit::Name(self.name_bytes)) } else { Ok(()) }
    }

    fn check_depth(&self, json: &[u8]) -> Result<(), OverLimit> {
        // Counting brackets is quick and settles nearly every action; only one with more brackets
        // than levels allowed is walked.
        let brackets = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
        if brackets > self.json_depth && depth(json) > self.json_depth {
            return Err(OverLimit::Depth(self.json_depth));
        }
        Ok(())
    }
}

/// How deep arrays and objects nest in valid JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

const _: () = assert!(NodeId::BYTES_MAX <= 1 << 16, "every id fits a frame before sign-in");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        for (json, expected) in [
            ("1", 0),
            ("{}", 1),
            (r#"{"a":[1,[2]],"b":{}}"#, 3),
            (r#"{"a":"[[[[","b":"\"[[["}"#, 1),
            (r#"{"[[":"\\"}"#, 1),
        ] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn many_brackets_side_by_side_are_not_deep() {
        let limits = Limits { json_depth: 3, ..Limits::default() };
        assert_eq!(limits.check_action(br#"{"a":[[],[],[],[]]}"#), Ok(()));
        assert_eq!(limits.check_action(br#"{"a":[[[]]]}"#), Err(OverLimit::Depth(3)));
    }
}
