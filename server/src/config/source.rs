//! The text of a configuration file, and errors that point into it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file as a whole: it cannot be read, or its parts do not fit together.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Something on one line of a file.
    #[error("{}:{line}: {reason}", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Flags and defaults, without a file.
    #[error("{0}")]
    Refused(String),
}

/// The text of a configuration file, kept for the line numbers of errors.
#[derive(Clone, Debug)]
pub struct Source {
    file: Option<Arc<Path>>,
    text: Arc<str>,
}

impl Source {
    /// The text of `file`.
    pub fn new(file: &Path, text: impl Into<Arc<str>>) -> Self {
        Self { file: Some(file.into()), text: text.into() }
    }

    /// No file: only defaults.
    pub fn none() -> Self {
        Self { file: None, text: "".into() }
    }

    /// Where it was read.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line, from 1, that a byte offset is on.
    pub fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
    }

    /// The line, from 1, that the first line of a TOML string's *value* is on: one further down
    /// when it opens with `"""` or `'''` and a line break, which TOML leaves out.
    pub fn value_line(&self, span: &Range<usize>) -> usize {
        let literal = self.text.get(span.clone()).unwrap_or_default();
        let inner = literal.strip_prefix("\"\"\"").or_else(|| literal.strip_prefix("'''"));
        let trimmed = inner.is_some_and(|text| text.starts_with(['\n', '\r']));
        self.line(span.start) + usize::from(trimmed)
    }

    /// An error at `span`.
    pub fn error(&self, span: Range<usize>, reason: impl Into<String>) -> ConfigError {
        self.error_on(self.line(span.start), reason)
    }

    /// An error on a line.
    pub fn error_on(&self, line: usize, reason: impl Into<String>) -> ConfigError {
        let file = self.file().unwrap_or(Path::new("(defaults)")).to_owned();
        ConfigError::Line { file, line, reason: reason.into() }
    }

    /// An error of the file as a whole, or of flags and defaults if there is none.
    pub fn refused(&self, reason: &str) -> ConfigError {
        match self.file() {
            Some(file) => ConfigError::File { file: file.to_owned(), reason: reason.to_owned() },
            None => ConfigError::Refused(reason.to_owned()),
        }
    }

    /// A path in the file: relative to the file, not to where the server was started.
    pub fn beside(&self, path: &Path) -> PathBuf {
        match self.file().and_then(Path::parent) {
            Some(folder) => folder.join(path),
            None => path.to_owned(),
        }
    }
}
