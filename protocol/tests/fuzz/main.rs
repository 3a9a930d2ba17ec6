//! Whatever bytes come in, the codecs answer, in bounded memory; and what they read they write so that
//! it is read as the same.
//!
//! The seeds are what real clients and servers have said, `data/v*-frames.jsonl`.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod again;
mod frames;
mod names;
