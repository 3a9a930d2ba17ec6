//! Why an action is undone: a word that programs know, and for what is malformed also the fault.

use std::fmt::Display;
use std::sync::Arc;

/// The longest text of a reason, in bytes: it is remembered with the verdict, and part of it may be
/// what a client wrote.
const TEXT_BYTES_MAX: usize = 200;

/// Why an action is undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoReason {
    /// A rule says no, or failed.
    Denied,
    /// No rule knows the type.
    UnknownType,
    /// No pattern knows the channel.
    WrongChannel,
    /// The action is malformed, or addressed to what cannot exist.
    Error,
    /// The action means nothing as an operation on a document: `error: ` and the fault.
    Malformed(Arc<str>),
    /// The action is larger than what is kept.
    TooLarge,
    /// The rule's expressions would cost more on it than they may.
    TooCostly,
    /// The session has as many subscriptions as it may.
    TooManySubscriptions,
    /// The user acts faster than one may.
    TooManyActions,
    /// As many bytes of the user are kept as may be.
    OverQuota,
}

impl UndoReason {
    /// One of each word.
    pub(crate) const WORDS: [Self; 9] = [
        Self::Denied,
        Self::UnknownType,
        Self::WrongChannel,
        Self::Error,
        Self::TooLarge,
        Self::TooCostly,
        Self::TooManySubscriptions,
        Self::TooManyActions,
        Self::OverQuota,
    ];

    /// What is malformed has this fault.
    pub(crate) fn malformed(fault: impl Display) -> Self {
        let mut text = format!("{}: {fault}", Self::Error.word());
        if text.len() > TEXT_BYTES_MAX {
            let fits = (0..=TEXT_BYTES_MAX - '…'.len_utf8()).rev();
            text.truncate(fits.into_iter().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
            text.push('…');
        }
        Self::Malformed(text.into())
    }

    /// What [`UndoReason::text`] says.
    pub(crate) fn of_text(text: &str) -> Self {
        let known = Self::WORDS.into_iter().find(|reason| reason.text() == text);
        known.unwrap_or_else(|| Self::Malformed(text.into()))
    }

    /// The word, of which there are few: for metrics and programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::UnknownType => "unknownType",
            Self::WrongChannel => "wrongChannel",
            Self::Error | Self::Malformed(_) => "error",
            Self::TooLarge => "tooLarge",
            Self::TooCostly => "tooCostly",
            Self::TooManySubscriptions => "tooManySubscriptions",
            Self::TooManyActions => "tooManyActions",
            Self::OverQuota => "overQuota",
        }
    }

    /// The `reason` of `logux/undo`, which stock clients put into their error and their console.
    pub fn text(&self) -> &str {
        match self {
            Self::Malformed(text) => text,
            other => other.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_follows_the_word_and_is_not_long() {
        let reason = UndoReason::malformed("by: a whole number is needed");
        assert_eq!(
            (reason.word(), reason.text()),
            ("error", "error: by: a whole number is needed")
        );
        assert_eq!(UndoReason::of_text(reason.text()), reason);
        assert_eq!(UndoReason::of_text("denied"), UndoReason::Denied);
        let long = UndoReason::malformed("é".repeat(1_000));
        assert!(long.text().len() <= TEXT_BYTES_MAX && long.text().ends_with("é…"));
    }
}
