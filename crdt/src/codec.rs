//! The serialised form of a document.
//!
//! Version 1: the version byte; the node ids and the incarnations that occur, in the order in which
//! they occur first; then the body, which names them by number. Numbers are LEB128 variable-length.
//! The bytes are a function of the state: equal documents have equal bytes on every replica.
//!
//! Decoding takes nothing on trust: counts are checked against the bytes that are left, texts are
//! UTF-8, keys and dots ascend, and what does not fit ends in a [`DecodeError`].

mod cells;
mod document;
mod reader;
mod sequence;
mod writer;

pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// The version that is written.
const VERSION: u8 = 1;

/// Why bytes are no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the document is empty: it has not even a version byte")]
    Empty,
    /// It was written by a later version of this library.
    #[error("the document has version {0}, this library reads version 1: use a newer one")]
    Version(u8),
    /// The bytes are damaged, or were never a document.
    #[error("the document is damaged: {0}; fold it again from its log")]
    Damaged(&'static str),
}
