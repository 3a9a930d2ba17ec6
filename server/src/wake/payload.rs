//! What a push carries: docs/push.md has it for those who read it.
//!
//! A poke says that there is something, and up to where; no body of an action is in it, but what a
//! template of a rule took into its message.

use serde::Serialize;
use tidelog_crdt::Position;

/// The form of a payload.
const FORM: u8 = 1;
/// The longest payload. Firebase takes 4,096 bytes, with the message in it twice.
const BYTES_MAX: usize = 2000;
const TITLE_BYTES_MAX: usize = 200;
const TEXT_BYTES_MAX: usize = 600;

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
pub(super) fn start(text: &str, bytes_max: usize) -> &str {
    let fits = |(at, char): &(usize, char)| at + char.len_utf8() <= bytes_max;
    let end = text.char_indices().take_while(fits).last();
    let end = end.map_or(0, |(at, char)| at + char.len_utf8());
    text.get(..end).unwrap_or_default()
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
}
