//! Finds the type of an action that was read through before, so that what is not asked for is only
//! stepped over.

use super::Kind;

/// Where the type is in `json`, which is an object with one; none if it is better to read it properly.
pub(super) fn kind(json: &str) -> Option<Kind> {
    let mut steps = Steps { text: json.as_bytes(), at: 0 };
    steps.take(b'{')?;
    loop {
        let (start, end) = steps.plain_text()?;
        steps.take(b':')?;
        if json.get(start..end)? == "type" {
            let (start, end) = steps.plain_text()?;
            return Kind::at(start, json.get(start..end)?);
        }
        steps.over_value()?;
        steps.take(b',')?;
    }
}

/// Goes through JSON.
struct Steps<'a> {
    text: &'a [u8],
    at: usize,
}

impl Steps<'_> {
    /// The next byte that is no white space; it is not passed.
    fn next(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.text.get(self.at).copied()
    }

    /// Passes `byte`, which is next.
    fn take(&mut self, byte: u8) -> Option<()> {
        let found = self.next()? == byte;
        self.at += 1;
        found.then_some(())
    }

    /// Passes a text without escapes, and says where it is.
    fn plain_text(&mut self) -> Option<(usize, usize)> {
        self.take(b'"')?;
        let start = self.at;
        let length =
            self.text.get(start..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        self.at = start + length;
        let end = self.at;
        self.take(b'"')?;
        Some((start, end))
    }

    /// Passes a text whose first quote was passed.
    fn over_text(&mut self) -> Option<()> {
        loop {
            let rest = self.text.get(self.at..)?;
            let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            self.at += length + 1;
            if rest.get(length) == Some(&b'"') {
                return Some(());
            }
            // What is escaped, whatever it is.
            self.at += 1;
        }
    }

    /// Passes a value, up to what ends it.
    fn over_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let rest = self.text.get(self.at..)?;
            let ends = |byte: &u8| matches!(byte, b'"' | b',' | b'{' | b'}' | b'[' | b']');
            let length = rest.iter().position(ends)?;
            self.at += length;
            match rest.get(length)? {
                b',' | b'}' | b']' if depth == 0 => return Some(()),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    self.at += 1;
                    self.over_text()?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}
