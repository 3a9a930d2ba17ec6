//! What a push carries: docs/push.md has it for those who read it.
//!
//! A poke says that there is something, and up to where; no body of an action is in it, but what a
//! template of a rule took into its message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::borrow::Cow;
use std::hash::Hasher;
use tidelog_crdt::Position;

/// The form of a payload.
const FORM: u8 = 1;
/// The longest payload. Firebase takes 4,096 bytes, with the message in it twice.
const BYTES_MAX: usize = 2000;
const TITLE_BYTES_MAX: usize = 200;
const TEXT_BYTES_MAX: usize = 600;
/// The longest name by which pushes collapse that Apple takes.
const COLLAPSE_BYTES_MAX: usize = 64;

/// What the user is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    pub(crate) title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    /// Where a click leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// The next with the same takes its place where it waits to be delivered.
    #[serde(skip)]
    pub(crate) collapse: Option<String>,
}

impl Message {
    /// The same, with no text longer than a push service takes.
    #[must_use]
    pub(crate) fn cut(mut self) -> Self {
        cut(&mut self.title, TITLE_BYTES_MAX);
        self.body.iter_mut().for_each(|body| cut(body, TEXT_BYTES_MAX));
        // Half an address leads nowhere.
        self.url = self.url.filter(|url| url.len() <= TEXT_BYTES_MAX);
        let long = self.collapse.as_mut().filter(|name| name.len() > COLLAPSE_BYTES_MAX);
        if let Some(name) = long {
            *name = hashed(name);
        }
        self
    }
}

fn cut(text: &mut String, bytes_max: usize) {
    const MARK: &str = "…";
    if text.chars().any(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
    if text.len() > bytes_max {
        text.truncate(start(text, bytes_max - MARK.len()).len());
        text.push_str(MARK);
    }
}

/// The first characters of `text` that take at most so many bytes.
fn start(text: &str, bytes_max: usize) -> &str {
    let fits = |(at, char): &(usize, char)| at + char.len_utf8() <= bytes_max;
    let end = text.char_indices().take_while(fits).last();
    let end = end.map_or(0, |(at, char)| at + char.len_utf8());
    text.get(..end).unwrap_or_default()
}

/// 22 characters of base64url that other texts would not have.
pub(super) fn hashed(text: &str) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(text.as_bytes());
    URL_SAFE_NO_PAD.encode(hasher.finish128().as_bytes())
}

/// One push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Push {
    /// The newest action that it is for.
    pub(crate) head: Position,
    /// None: nobody is shown anything.
    pub(crate) message: Option<Message>,
}

#[derive(Serialize)]
struct Payload<'a> {
    tidelog: u8,
    head: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Message>,
}

impl Push {
    /// The payload as JSON.
    pub(super) fn json(&self) -> String {
        let of = |message| {
            let payload = Payload { tidelog: FORM, head: self.head.get(), message };
            // Plain data always serializes.
            serde_json::to_string(&payload).unwrap_or_default()
        };
        let whole = of(self.message.as_ref());
        match &self.message {
            // Very many quotation marks.
            Some(Message { title, .. }) if whole.len() > BYTES_MAX => {
                of(Some(&Message { title: title.clone(), ..Message::default() }))
            }
            _ => whole,
        }
    }

    /// The same as a header has it: what is too long for one, or no plain text, by its hash.
    pub(super) fn collapse_id(&self) -> Cow<'_, str> {
        let name = self.collapse();
        let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=COLLAPSE_BYTES_MAX).contains(&name.len()) && plain;
        if fits { Cow::Borrowed(name) } else { Cow::Owned(hashed(name)) }
    }

    /// What a push that waits at the service is replaced by the next of.
    pub(super) fn collapse(&self) -> &str {
        let named = self.message.as_ref().and_then(|message| message.collapse.as_deref());
        named.unwrap_or("tidelog")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poke_is_tiny_and_a_message_is_bounded() {
        let head = Position::new(4711).unwrap();
        let poke = Push { head, message: None };
        assert_eq!(poke.json(), r#"{"tidelog":1,"head":4711}"#);
        let message = |text: &str| Message {
            title: text.to_owned(),
            body: Some(text.to_owned()),
            url: Some("/inbox".to_owned()),
            collapse: None,
        };
        let short = Push { head, message: Some(message("Hi").cut()) };
        assert_eq!(
            short.json(),
            r#"{"tidelog":1,"head":4711,"message":{"title":"Hi","body":"Hi","url":"/inbox"}}"#
        );
        for text in ["ü".repeat(9_999), "\"".repeat(9_999), "\u{7}".repeat(9_999)] {
            let long = Push { head, message: Some(message(&text).cut()) };
            assert!(long.json().len() <= BYTES_MAX, "{}", long.json().len());
        }
    }

    #[test]
    fn pushes_collapse_by_a_name_that_fits_a_header() {
        let collapse = |name: &str| {
            let message = Message { collapse: Some(name.to_owned()), ..Message::default() }.cut();
            Push { head: Position::ZERO, message: Some(message) }.collapse_id().into_owned()
        };
        assert_eq!(Push { head: Position::ZERO, message: None }.collapse_id(), "tidelog");
        assert_eq!(collapse(&"x".repeat(64)), "x".repeat(64));
        // What begins alike is not the same.
        let long = |last: &str| collapse(&format!("{}{last}", "chat-".repeat(2_000)));
        let others =
            [long("a"), long("b"), collapse("ü"), collapse("a b"), collapse("\n"), collapse("")];
        for (n, id) in others.iter().enumerate() {
            assert!((1..=64).contains(&id.len()) && id.is_ascii(), "{id}");
            assert!(!others.iter().skip(n + 1).any(|other| other == id), "{id}");
        }
        assert_eq!(long("a"), others[0]);
    }
}
