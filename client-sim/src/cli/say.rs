//! What the command prints.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Prints `text`. Whoever reads it may have seen enough, as `head` has.
pub fn say(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
