//! Runs, damaged under checksums that are right.

use super::super::prefix::Hash;
use super::block::{Block, BlockBuilder};
use super::*;
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

/// The shortest item has three bytes.
const TIMES: usize = 128;
const BESIDE: usize = 16 << 10;
const LAST: Key = Key { prefix: Prefix(u64::MAX, u64::MAX), major: u64::MAX, minor: u64::MAX };

fn summed(body: &[u8]) -> Bytes {
    [body, &crc32fast::hash(body).to_le_bytes()].concat().into()
}

fn keys() -> impl Iterator<Item = Key> {
    let hash = Hash::new(&[1; 16]);
    let mut users = [1, 2, 3].map(|user: u64| hash.user(&user.to_string()));
    users.sort_unstable();
    users.into_iter().flat_map(|prefix| {
        [(0, 0), (1, 300), (1 << 40, 1)].map(|(major, minor)| Key { prefix, major, minor })
    })
}

#[test]
fn blocks() {
    let mut builder = BlockBuilder::default();
    keys().for_each(|key| builder.push(key, b"value"));
    let mut block = Vec::new();
    builder.finish(&mut block);
    run(check!(), &Feed::of([&block[..block.len() - 4]]).inputs(10_000), |bytes| {
        let memory = bytes.len() * TIMES + BESIDE;
        let block = Block::decode(summed(bytes)).unwrap();
        let Ok(items) = within(memory, || block.items(Key::default(), LAST)) else { return };
        let mut builder = BlockBuilder::default();
        for item in &items {
            builder.push(item.key, &item.value);
        }
        let mut written = Vec::new();
        let first = builder.finish(&mut written);
        assert_eq!(first, items.first().map(|item| item.key));
        if first.is_some() {
            let again = Block::decode(written.into()).unwrap();
            assert_eq!(again.items(Key::default(), LAST), Ok(items));
        }
    });
}

#[test]
fn directories() {
    let span = |n: u64| Span { at: n * 100, length: 100 };
    let blocks: Vec<_> = (0..).zip(keys()).map(|(n, key)| (key, span(n))).collect();
    let mut chunk = Vec::new();
    Chunk::put(&mut chunk, &blocks);
    run(check!(), &Feed::of([&chunk[..chunk.len() - 4]]), |bytes| {
        let stored = summed(bytes);
        let read = within(bytes.len() * TIMES + BESIDE, || Chunk::decode(&stored));
        let Ok(chunk) = read else { return };
        let spans: Vec<Span> = chunk.blocks(Key::default(), LAST).iter().map(|it| it.1).collect();
        let whole = Span::over(&spans);
        assert!(whole.is_none_or(|whole| whole.end().is_some()));
    });
}

/// The file with its last checksum as it has to be, if its footer says where that begins.
fn file(bytes: &[u8]) -> Vec<u8> {
    let body = bytes.get(..bytes.len().saturating_sub(4)).unwrap_or_default();
    let footer = body.len().checked_sub(FOOTER_BYTES - 4).and_then(|at| body.get(at..));
    let fence = footer.and_then(Footer::take).and_then(|it| usize::try_from(it.fence_at).ok());
    let sum = crc32fast::hash(fence.and_then(|at| body.get(at..)).unwrap_or_default());
    [body, &sum.to_le_bytes()].concat()
}

/// The bounds say what they say, whatever they are: a file may lie about where its parts are.
#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let mut writer = RunWriter::create(&path, 64).unwrap();
    keys().for_each(|key| writer.push(key, b"value").unwrap());
    writer.finish().unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Where numbers of the footer would overflow what is reckoned with them.
    let footer = whole.len() - FOOTER_BYTES + 8;
    let extremes = (0..6).map(|nth| {
        let mut changed = whole.clone();
        changed[footer + 8 * nth..footer + 8 * nth + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        changed
    });
    let feed = Feed::of([whole.clone()].into_iter().chain(extremes)).inputs(600);
    run(check!(), &feed, |bytes| {
        let bytes = file(bytes);
        std::fs::write(&path, &bytes).unwrap();
        within(bytes.len() * TIMES + BESIDE, || {
            let Ok(run) = Run::open(&path).map(Arc::new) else { return };
            let scanned = Scan::new(Arc::clone(&run), Key::default(), LAST, Order::Ascending);
            let _ = scanned.take(1_000).take_while(Result::is_ok).count();
            let back = Scan::new(Arc::clone(&run), Key::default(), LAST, Order::Descending);
            let _ = back.take(1_000).take_while(Result::is_ok).count();
            keys().for_each(|key| drop(run.find(key)));
        });
    });
}
