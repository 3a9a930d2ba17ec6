//! What a document is, in lines for people.

use super::{Answer, Whose};
use crate::documents::{Account, FateName, Part, Source};
use serde_json::Value;
use std::fmt::{self, Display, Write};

impl Answer {
    /// The document, or why it shows what it shows.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let Self { document, of, through, changed, value, why } = self;
        write!(out, "{document} of {of}, up to position {through}, ")?;
        if changed.get() == 0 {
            return writeln!(out, "which no entry is of");
        }
        writeln!(out, "last changed at {changed}")?;
        match why {
            Some(account) => account.write(out),
            None => writeln!(out, "{value:#}"),
        }
    }
}

impl Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Channel(channel) => write!(f, "channel {channel}"),
        }
    }
}

impl Account {
    fn write(&self, out: &mut String) -> fmt::Result {
        match &self.shown {
            Some(shown) => writeln!(out, "{} shows a {shown}: {}", self.path, self.value)?,
            None => writeln!(out, "{} shows nothing", self.path)?,
        }
        if !self.keys.is_empty() {
            writeln!(out, "keys under it: {}", Value::from(self.keys.clone()))?;
        }
        self.parts.iter().try_for_each(|part| part.write(out, self.shown.as_deref()))?;
        if self.parts.iter().any(Part::is_beyond_knowledge) {
            writeln!(
                out,
                "(gone): the body of that entry is not kept any more, so what it took the place of \
                 is not known"
            )?;
        }
        Ok(())
    }
}

impl Part {
    fn is_beyond_knowledge(&self) -> bool {
        self.entry.gone || self.other.as_ref().is_some_and(|other| other.gone)
    }

    fn write(&self, out: &mut String, shown: Option<&str>) -> fmt::Result {
        let Self { kind, what, fate, entry, other, element } = self;
        write!(out, "- {entry}: {kind} {what}: ")?;
        match (fate, other, element) {
            (FateName::Makes, ..) => write!(out, "makes the value"),
            (FateName::Hidden, ..) => {
                let shown = shown.unwrap_or_default();
                write!(out, "has no effect while there is a {shown}")
            }
            (FateName::Lost, Some(to), _) => write!(out, "lost to {to}"),
            (FateName::Replaced, Some(by), _) => write!(out, "its place was taken by {by}"),
            (FateName::Waits, _, Some(element)) => {
                write!(out, "has no effect, because {element} is not there")
            }
            (FateName::TookAway, ..) => write!(out, "took away what its author had seen"),
            _ => write!(out, "is no part of it any more; by which entry is not known"),
        }?;
        writeln!(out)
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{id} ({})", self.dot)?,
            None => f.write_str(&self.dot)?,
        }
        if self.gone { f.write_str(" (gone)") } else { Ok(()) }
    }
}
