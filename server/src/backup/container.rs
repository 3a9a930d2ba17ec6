//! The file of a backup: blocks, each compressed and under a checksum, and a digest over all of them.
//!
//! ```text
//! magic    "tidelog backup 1\n"
//! blocks   kind u8, stored u32, plain u32, payload, checksum u32
//! ```
//!
//! Numbers are little-endian; a checksum covers the block's number, too. The first block says what it is
//! a backup of, the last has the SHA-256 of everything before it. So a file that was cut off, changed,
//! or put together from two is found out, where it happened is known, and nothing has to be in memory
//! but a block.

use super::About;
use crate::log::Item;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use std::io::{self, ErrorKind, Read, Write};

const MAGIC: &[u8] = b"tidelog backup 1\n";
/// Of the magic, what every version begins with.
const NAME: &[u8] = b"tidelog backup ";
const ABOUT: u8 = 0;
const ITEMS: u8 = 1;
const FAILED: u8 = 2;
const END: u8 = 3;
/// A block of items is ended when it has so many bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// No block is longer, compressed or not: one item more than the above.
const BLOCK_BYTES_MAX: usize = 16 << 20;
const HEAD_BYTES: usize = 1 + 4 + 4;
const LEVEL: i32 = 3;

/// Why a file is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It begins with something else.
    #[error("this is no backup of tidelog")]
    Foreign,
    /// Written by a later version.
    #[error(
        "this backup is of another version of tidelog: use the one that made it, or a newer one"
    )]
    Version,
    /// It ends before its end.
    #[error("the backup was cut off: it ends at byte {at}, before its end; take another one")]
    Cut {
        /// How long it is.
        at: u64,
    },
    /// What is there is not what was written.
    #[error("the backup is damaged at byte {at}: {what}; take another one")]
    Damaged {
        /// Where the block begins.
        at: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// Whoever made it could not go on.
    #[error("the backup was not finished: {0}")]
    Failed(String),
    /// It could not be read.
    #[error("the backup cannot be read: {0}")]
    Io(io::Error),
}

/// Writes a backup.
pub(super) struct Writer<W> {
    out: W,
    digest: Context,
    number: u64,
    items: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a backup of this.
    pub(super) fn new(out: W, about: &About) -> io::Result<Self> {
        let mut writer = Self { out, digest: Context::new(&SHA256), number: 0, items: Vec::new() };
        writer.write(MAGIC)?;
        let about = serde_json::to_vec(about)?;
        writer.block(ABOUT, &about)?;
        Ok(writer)
    }

    /// Adds an item.
    pub(super) fn put(&mut self, item: &Item) -> io::Result<()> {
        item.put(&mut self.items)?;
        if self.items.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let items = std::mem::take(&mut self.items);
        if items.is_empty() { Ok(()) } else { self.block(ITEMS, &items) }
    }

    /// Ends it: it is whole.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        let digest = self.digest.clone().finish();
        self.block(END, digest.as_ref())?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Ends it, saying why it is not whole.
    pub(super) fn fail(mut self, reason: &str) -> io::Result<()> {
        self.block(FAILED, reason.as_bytes())?;
        self.out.flush()
    }

    fn block(&mut self, kind: u8, plain: &[u8]) -> io::Result<()> {
        let payload = zstd::bulk::compress(plain, LEVEL)?;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let (stored, plain) = (length(&payload)?.to_le_bytes(), length(plain)?.to_le_bytes());
        let head = [&[kind][..], &stored, &plain].concat();
        let sum = checksum(self.number, &head, &payload).to_le_bytes();
        self.number += 1;
        self.write(&head)?;
        self.write(&payload)?;
        self.write(&sum)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.out.write_all(bytes)
    }
}

fn checksum(number: u64, head: &[u8], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&number.to_le_bytes());
    sum.update(head);
    sum.update(payload);
    sum.finalize()
}

/// Reads a backup, and checks all of it on the way.
pub(super) struct Reader<R> {
    from: R,
    digest: Context,
    number: u64,
    /// Bytes read.
    at: u64,
}

impl<R: Read> Reader<R> {
    /// Reads what it is a backup of.
    pub(super) fn new(from: R) -> Result<(Self, About), Fault> {
        let mut reader = Self { from, digest: Context::new(&SHA256), number: 0, at: 0 };
        let mut magic = [0; MAGIC.len()];
        let read = reader.up_to(&mut magic)?;
        let begun = magic.get(..read).unwrap_or_default();
        if read < MAGIC.len() && MAGIC.starts_with(begun) {
            return Err(Fault::Cut { at: reader.at });
        }
        if !magic.starts_with(NAME) {
            return Err(Fault::Foreign);
        }
        if magic != MAGIC {
            return Err(Fault::Version);
        }
        reader.digest.update(&magic);
        let damaged = Fault::Damaged { at: 0, what: "it does not say what it is a backup of" };
        match reader.block()? {
            (ABOUT, about) => match serde_json::from_slice(&about) {
                Ok(about) => Ok((reader, about)),
                Err(_) => Err(damaged),
            },
            (FAILED, reason) => Err(failed(&reason)),
            _ => Err(damaged),
        }
    }

    /// The next items; none after the last, when all of the backup was as it was written.
    pub(super) fn items(&mut self) -> Result<Option<Vec<Item>>, Fault> {
        let (at, digest) = (self.at, self.digest.clone());
        let damaged = |what| Fault::Damaged { at, what };
        match self.block()? {
            (ITEMS, items) => read_items(&items).map(Some).map_err(|()| damaged("no items")),
            (FAILED, reason) => Err(failed(&reason)),
            (END, expected) => {
                let is_whole = digest.finish().as_ref() == expected;
                if expected.len() != SHA256_OUTPUT_LEN || !is_whole {
                    return Err(damaged("the digest does not match"));
                }
                match self.up_to(&mut [0])? {
                    0 => Ok(None),
                    _ => Err(Fault::Damaged { at: self.at, what: "something comes after its end" }),
                }
            }
            _ => Err(damaged("a block is of an unknown kind")),
        }
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.at
    }

    fn block(&mut self) -> Result<(u8, Vec<u8>), Fault> {
        let at = self.at;
        let damaged = |what| Fault::Damaged { at, what };
        let head: [u8; HEAD_BYTES] = self.array()?;
        let [kind, s0, s1, s2, s3, p0, p1, p2, p3] = head;
        let stored = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        let plain = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
        if stored > BLOCK_BYTES_MAX || plain > BLOCK_BYTES_MAX {
            return Err(damaged("a block is too long"));
        }
        // As it comes, so that a length that is wrong costs no memory.
        let mut payload = Vec::new();
        let read = self.from.by_ref().take(stored as u64).read_to_end(&mut payload);
        let read = read.map_err(Fault::Io)?;
        self.at += read as u64;
        if read < stored {
            return Err(Fault::Cut { at: self.at });
        }
        let sum: [u8; 4] = self.array()?;
        if u32::from_le_bytes(sum) != checksum(self.number, &head, &payload) {
            return Err(damaged("the checksum of a block does not match"));
        }
        for part in [&head[..], &payload, &sum] {
            self.digest.update(part);
        }
        self.number += 1;
        let whole = zstd::bulk::decompress(&payload, plain);
        match whole {
            Ok(whole) if whole.len() == plain => Ok((kind, whole)),
            _ => Err(damaged("a block cannot be decompressed")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        match self.up_to(&mut bytes)? {
            read if read == N => Ok(bytes),
            _ => Err(Fault::Cut { at: self.at }),
        }
    }

    /// Reads until `bytes` is full or nothing more comes; how many.
    fn up_to(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

fn read_items(mut bytes: &[u8]) -> Result<Vec<Item>, ()> {
    let mut items = Vec::new();
    while let Some(item) = Item::take(&mut bytes).map_err(drop)? {
        items.push(item);
    }
    Ok(items)
}

fn failed(reason: &[u8]) -> Fault {
    Fault::Failed(String::from_utf8_lossy(reason).into_owned())
}
