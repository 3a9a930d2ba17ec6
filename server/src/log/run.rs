//! A run: sorted keys with values in one immutable file.
//!
//! ```text
//! blocks      about 16 KiB each, 4 KiB in a run of ids: see `block`
//! chunks      where the blocks are: 64 blocks a chunk, so that memory holds few keys
//! fence       the first key of each chunk
//! filter      which prefixes are in here
//! footer      what is where, counts, bounds, and a checksum over fence, filter and footer
//! ```
//!
//! A run is written once, synced, and named in the manifest; until then nothing reads it. Runs hold
//! what can be derived from the feed, so a damaged one costs a rebuild and never an entry.
//!
//! They are files of our own, not rows of the engine that has the feed, because that writes sorted
//! blocks 3.7 to 4.5 times each, takes 5 to 11 times the processor time, and gives no space back
//! when runs are merged (measured with 1 GB in blocks of 64 and 8 KiB).

mod block;
mod chunk;
#[cfg(test)]
mod fuzz;
mod scan;
mod writer;

pub(super) use scan::{Order, Scan};
pub(super) use writer::RunWriter;

use super::binary::Reader;
use super::bloom::Bloom;
use super::error::{Corrupt, Damage, ReadError};
use super::prefix::{Key, Prefix};
use bytes::Bytes;
use chunk::{Chunk, Span};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidelog_crdt::Position;

const MAGIC: &[u8; 8] = b"tiderun1";
const FOOTER_BYTES: usize = 8 + 8 * 6 + 4;
/// What to do about a damaged run.
pub(super) const REBUILD: &str = "stop the server and run `tidelog rebuild`, or delete the directory `index`: it is made again from the feed";

/// One key with its value; an empty value says that the key is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: Key,
    pub(super) value: Bytes,
}

/// A run that can be read.
#[derive(Debug)]
pub(super) struct Run {
    path: PathBuf,
    file: File,
    fence: Vec<Key>,
    filter: Bloom,
    footer: Footer,
}

/// The last bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footer {
    /// Where the chunks start, which is where the blocks end.
    chunks_at: u64,
    /// Where the fence starts, which is where the chunks end.
    fence_at: u64,
    /// Where the filter starts, which is where the fence ends.
    filter_at: u64,
    /// How many keys there are.
    count: u64,
    /// The smallest and the greatest [`Key::major`].
    majors: (u64, u64),
}

impl Footer {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        let (low, high) = self.majors;
        for number in [self.chunks_at, self.fence_at, self.filter_at, self.count, low, high] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn take(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.array::<8>()? == *MAGIC).then_some(())?;
        Some(Self {
            chunks_at: reader.eight()?,
            fence_at: reader.eight()?,
            filter_at: reader.eight()?,
            count: reader.eight()?,
            majors: (reader.eight()?, reader.eight()?),
        })
    }
}

impl Run {
    /// Opens the run at `path` and checks what it keeps in memory.
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let io = |error: std::io::Error| ReadError::io(path, &error);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let damage = |what| ReadError::from(damaged(path, Position::ZERO, what));
        let cut = || damage("the run is cut off");
        let footer_at = length.checked_sub(FOOTER_BYTES as u64).ok_or_else(cut)?;
        let mut bytes = vec![0; FOOTER_BYTES];
        file.read_exact_at(&mut bytes, footer_at).map_err(io)?;
        let footer = Footer::take(&bytes).ok_or_else(|| damage("the run has no footer"))?;
        if ![footer.chunks_at, footer.fence_at, footer.filter_at, footer_at].is_sorted() {
            return Err(damage("the parts of the run are not in order"));
        }
        let tail = length.checked_sub(footer.fence_at).and_then(|tail| usize::try_from(tail).ok());
        let mut bytes = vec![0; tail.ok_or_else(cut)?];
        file.read_exact_at(&mut bytes, footer.fence_at).map_err(io)?;
        let (fence, filter) =
            take_memory(&bytes, &footer).ok_or_else(|| damage("the footer does not match"))?;
        Ok(Self { path: path.to_path_buf(), file, fence, filter, footer })
    }

    /// The smallest and the greatest [`Key::major`].
    pub(super) fn majors(&self) -> (u64, u64) {
        self.footer.majors
    }

    /// How many items it has.
    pub(super) fn count(&self) -> u64 {
        self.footer.count
    }

    /// Whether a key with `prefix` may be here; does not read the file.
    pub(super) fn may_have(&self, prefix: Prefix) -> bool {
        self.filter.may_have(prefix)
    }

    /// The value of `key`.
    pub(super) fn find(self: &Arc<Self>, key: Key) -> Result<Option<Bytes>, ReadError> {
        let (low, high) = self.majors();
        if key.major < low || key.major > high || !self.may_have(key.prefix) {
            return Ok(None);
        }
        let found = Scan::new(Arc::clone(self), key, key, Order::Ascending).next().transpose()?;
        Ok(found.map(|item| item.value))
    }

    /// The chunk that `key` is in, if it is anywhere.
    fn chunk_of(&self, key: Key) -> usize {
        self.fence.partition_point(|first| *first <= key).saturating_sub(1)
    }

    fn chunks(&self) -> usize {
        self.fence.len()
    }

    /// Reads the chunk numbered `nth`.
    fn chunk(&self, nth: usize) -> Result<Chunk, ReadError> {
        let at = self.footer.chunks_at + (nth as u64) * (Chunk::BYTES_MAX as u64);
        let end = self.footer.fence_at.min(at + Chunk::BYTES_MAX as u64);
        let span = Span { at, length: u32::try_from(end.saturating_sub(at)).unwrap_or(u32::MAX) };
        Chunk::decode(&self.bytes(span)?).map_err(|damage| self.damaged(damage))
    }

    /// Reads blocks that follow each other.
    fn blocks(&self, spans: &[Span]) -> Result<Vec<Bytes>, ReadError> {
        let whole = Span::over(spans)
            .ok_or_else(|| self.damaged(Damage("blocks do not follow each other")))?;
        let mut rest = self.bytes(whole)?;
        Ok(spans.iter().map(|span| rest.split_to(span.length as usize)).collect())
    }

    fn bytes(&self, span: Span) -> Result<Bytes, ReadError> {
        if span.end().is_none_or(|end| end > self.footer.fence_at) {
            return Err(self.damaged(Damage("a block is outside of the run")));
        }
        let mut bytes = vec![0; span.length as usize];
        self.file
            .read_exact_at(&mut bytes, span.at)
            .map_err(|error| ReadError::io(&self.path, &error))?;
        Ok(bytes.into())
    }

    fn damaged(&self, Damage(what): Damage) -> ReadError {
        let position = Position::new(self.footer.majors.0).unwrap_or_default();
        damaged(&self.path, position, what).into()
    }
}

fn damaged(path: &Path, position: Position, what: &'static str) -> Corrupt {
    Corrupt { file: path.to_path_buf(), position, what, way_out: REBUILD }
}

/// Reads fence and filter from the end of the file, from the fence on.
fn take_memory(bytes: &[u8], footer: &Footer) -> Option<(Vec<Key>, Bloom)> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(body) == u32::from_le_bytes(*sum)).then_some(())?;
    let fence_bytes = usize::try_from(footer.filter_at.checked_sub(footer.fence_at)?).ok()?;
    let mut reader = Reader::new(body);
    let mut fence = Reader::new(reader.bytes(fence_bytes)?);
    let mut keys = Vec::new();
    while !fence.is_empty() {
        keys.push(take_key(&mut fence)?);
    }
    let filter = reader.rest().len().checked_sub(FOOTER_BYTES - 4)?;
    Some((keys, Bloom::take(reader.bytes(filter)?)?))
}

/// A key in fixed length.
const KEY_BYTES: usize = 32;

fn put_key(out: &mut Vec<u8>, key: Key) {
    for number in [key.prefix.0, key.prefix.1, key.major, key.minor] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn take_key(reader: &mut Reader<'_>) -> Option<Key> {
    let prefix = Prefix(reader.eight()?, reader.eight()?);
    Some(Key { prefix, major: reader.eight()?, minor: reader.eight()? })
}

#[cfg(test)]
mod tests {
    use super::super::prefix::Hash;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(hash: &Hash, user: u64, major: u64, minor: u64) -> Key {
        Key { prefix: hash.user(&user.to_string()), major, minor }
    }

    fn write(path: &Path, items: &BTreeMap<Key, Vec<u8>>) -> u64 {
        let mut writer = RunWriter::create(path, 16 << 10).unwrap();
        for (key, value) in items {
            writer.push(*key, value).unwrap();
        }
        writer.finish().unwrap()
    }

    fn collect(scan: Scan) -> Vec<(Key, Vec<u8>)> {
        scan.map(Result::unwrap).map(|item| (item.key, item.value.to_vec())).collect()
    }

    /// Enough for several chunks.
    fn many(hash: &Hash) -> BTreeMap<Key, Vec<u8>> {
        let item = |n: u64| (key(hash, n % 50, n / 50 * 3, n % 7), vec![n.to_le_bytes()[0]; 2_000]);
        (0..2_000).map(item).collect()
    }

    #[test]
    fn a_run_finds_each_of_its_keys_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (path, hash) = (dir.path().join("run"), Hash::new(&[1; 16]));
        let items = many(&hash);
        assert_eq!(write(&path, &items), items.len() as u64);
        let run = Arc::new(Run::open(&path).unwrap());
        assert!(run.chunks() > 2, "{} chunks", run.chunks());
        for (key, value) in &items {
            assert_eq!(run.find(*key).unwrap().as_deref(), Some(&value[..]));
            assert_eq!(run.find(Key { major: key.major + 1, ..*key }).unwrap(), None);
        }
        assert_eq!(run.find(key(&hash, 99, 0, 0)).unwrap(), None);
        let majors = items.keys().map(|key| key.major);
        assert_eq!(run.majors(), (majors.clone().min().unwrap(), majors.max().unwrap()));
    }

    #[test]
    fn a_run_of_nothing_is_read_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        assert_eq!(write(&path, &BTreeMap::new()), 0);
        let run = Arc::new(Run::open(&path).unwrap());
        assert_eq!(run.find(Key::default()).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_scan_gives_what_is_between_its_ends_in_its_order(
            items in proptest::collection::btree_map(
                (0..6_u64, 0..40_u64, 0..3_u64),
                proptest::collection::vec(any::<u8>(), 0..3_000),
                0..200,
            ),
            ends in proptest::collection::vec((0..6_u64, 0..40_u64, 0..40_u64), 1..10),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let (path, hash) = (dir.path().join("run"), Hash::new(&[1; 16]));
            let items: BTreeMap<Key, Vec<u8>> =
                items.into_iter().map(|((a, b, c), value)| (key(&hash, a, b, c), value)).collect();
            write(&path, &items);
            let run = Arc::new(Run::open(&path).unwrap());
            for (user, low, high) in ends {
                let (first, last) = (key(&hash, user, low, 0), key(&hash, user, high, 1));
                let mut expected: Vec<_> = items
                    .iter()
                    .filter(|(key, _)| first <= **key && **key <= last)
                    .map(|(key, value)| (*key, value.clone()))
                    .collect();
                let scan = |order| collect(Scan::new(Arc::clone(&run), first, last, order));
                prop_assert_eq!(&scan(Order::Ascending), &expected);
                expected.reverse();
                prop_assert_eq!(&scan(Order::Descending), &expected);
            }
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, hash) = (dir.path().join("run"), Hash::new(&[1; 16]));
        let items: BTreeMap<_, _> = many(&hash).into_iter().take(40).collect();
        write(&path, &items);
        let whole = std::fs::read(&path).unwrap();
        let read = |path: &Path| -> Result<Vec<(Key, Vec<u8>)>, ReadError> {
            let run = Arc::new(Run::open(path)?);
            let last = Key::last_of(Prefix(u64::MAX, u64::MAX));
            Scan::new(run, Key::default(), last, Order::Ascending)
                .map(|item| item.map(|item| (item.key, item.value.to_vec())))
                .collect()
        };
        assert_eq!(read(&path).unwrap().len(), items.len());
        for nth in (0..whole.len()).step_by(61).chain(whole.len() - 400..whole.len()) {
            let mut flipped = whole.clone();
            flipped[nth] ^= 16;
            std::fs::write(&path, &flipped).unwrap();
            let error = read(&path).expect_err("a flipped bit");
            assert!(error.to_string().contains("delete the directory `index`"), "{error}");
            std::fs::write(&path, &whole[..nth]).unwrap();
            assert!(read(&path).is_err(), "cut off at {nth}");
        }
    }
}
