//! What is stored, damaged under a checksum that is right: what a fault in memory, or a hostile hand,
//! could leave.

use super::base::Base;
use super::bloom::Bloom;
use super::entry::LogName;
use super::identity::{FORMAT, Identity};
use super::manifest::Manifest;
use super::prefix::{Key, Prefix};
use super::record::{
    Alias, Clean, Erased, Record, cleaned_action, put_alias, put_clean, put_entry, put_erased,
    put_instead, take_body,
};
use super::row::{Row, RowBuilder};
use bytes::Bytes;
use tidelog_crdt::{Document, DocumentName, Dot, Incarnation, Position};
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};
use tidelog_protocol::{NodeId, UserId};
use uuid::Uuid;

/// One byte of an entry can stand for the author's whole id.
const RECORD_TIMES: usize = 2 * NodeId::BYTES_MAX;
/// One byte of anything else stands for a few.
const TIMES: usize = 16;
const BESIDE: usize = 4 << 10;

fn at(number: u64) -> Position {
    Position::new(number).unwrap()
}

fn encode(record: &Record, position: Position) -> Bytes {
    let mut out = Vec::new();
    match record {
        Record::Entry(entry) => put_entry(&mut out, entry),
        Record::Clean(clean) => put_clean(&mut out, clean),
        Record::Erased(erased) => put_erased(&mut out, position, erased),
        Record::Alias(alias) => put_alias(&mut out, *alias),
    }
    out.into()
}

fn samples() -> Vec<Bytes> {
    let entry = super::record::tests::sample();
    let undo = super::undo::undo(&entry.id, "denied", "a", &[]);
    let (target, id, accepted_ms) = (at(7), entry.id.clone(), 5);
    let clean = Clean { target, id, accepted_ms, instead: cleaned_action() };
    let undoing = Clean { instead: undo.clone(), ..clean.clone() };
    let id = Some(Key { prefix: Prefix(3, 4), major: 1_000_000, minor: 2 });
    let dot = Dot { incarnation: Incarnation(7), position: at(9) };
    let erased = Erased { dot, accepted_ms: 999_428, id };
    [
        Record::Entry(entry.clone()),
        Record::Entry(take_body(entry.clone())),
        Record::Entry(put_instead(entry, undo)),
        Record::Clean(clean),
        Record::Clean(undoing),
        Record::Erased(erased),
        Record::Alias(Alias { target: at(7), accepted_ms: 5 }),
    ]
    .map(|record| encode(&record, at(300)))
    .to_vec()
}

fn summed(body: &[u8], before: &[u8]) -> Vec<u8> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(before);
    sum.update(body);
    [body, &sum.finalize().to_le_bytes()].concat()
}

#[test]
fn records() {
    run(check!(), &Feed::of(samples()).inputs(10_000), |bytes| {
        let stored = Bytes::copy_from_slice(bytes);
        let memory = bytes.len() * RECORD_TIMES + BESIDE;
        let read = within(memory, || Record::decode(at(300), &stored));
        let Ok(record) = read else { return };
        let written = encode(&record, at(300));
        assert_eq!(Record::decode(at(300), &written).as_ref(), Ok(&record));
        assert_eq!(encode(&record, at(300)), written);
    });
}

#[test]
fn rows() {
    let key = 300_u64.to_be_bytes();
    let mut builder = RowBuilder::new(at(300));
    for record in samples() {
        builder.push(&record);
    }
    let row = builder.finish().value().to_vec();
    let body = &row[..row.len() - 4];
    run(check!(), &Feed::of([body, b"\x01\x01\0\0\0\x01\0\0\0x"]), |bytes| {
        let stored = Bytes::from(summed(bytes, &key));
        let read = within(bytes.len() * TIMES + BESIDE, || Row::decode(at(300), stored.clone()));
        let Ok(row) = read else { return };
        let mut again = RowBuilder::new(at(300));
        for (position, record) in row.records() {
            assert_eq!(row.record(position).as_ref(), Some(&record));
            let memory = record.len() * RECORD_TIMES + BESIDE;
            drop(within(memory, || Record::decode(position, &record)));
            again.push(&record);
        }
        assert_eq!(again.next(), row.next());
        assert_eq!(again.finish().value(), &stored, "a row has one form");
    });
}

#[test]
fn manifests() {
    let manifest = Manifest {
        store_id: Uuid::from_bytes([1; 16]),
        incarnation: Incarnation(2),
        generation: 1,
        checkpoint: at(300),
        next_file: 9,
        entries: vec![(4, 1), (7, 0)],
        ids: vec![(8, 0)],
        usage: vec![(9, 2)],
    };
    let stored = manifest.encode();
    run(check!(), &Feed::of([&stored[..stored.len() - 4]]).inputs(5_000), |bytes| {
        let stored = summed(bytes, &[]);
        let read = within(stored.len() * TIMES + BESIDE, || Manifest::decode(&stored));
        if let Ok(Some(manifest)) = read {
            assert_eq!(manifest.encode(), stored, "a manifest has one form");
        }
    });
}

#[test]
fn identities() {
    let identity = Identity {
        store_id: Uuid::from_bytes([1; 16]),
        incarnation: Incarnation(2),
        secret: [3; 16],
        generation: 4,
    };
    let stored = identity.encode();
    let newest = &stored[..stored.len() - 4];
    let oldest = [&1_u32.to_le_bytes(), &newest[4..newest.len() - 8]].concat();
    run(check!(), &Feed::of([newest, &oldest]), |bytes| {
        let stored = summed(bytes, &[]);
        let Ok((identity, _)) = within(BESIDE, || Identity::decode(&stored)) else { return };
        let again = Identity::decode(&identity.encode());
        assert!(again.is_ok_and(|(again, format)| again == identity && format == FORMAT));
    });
}

#[test]
fn bases() {
    let mut document = Document::default();
    document.settle(Incarnation(7), at(9));
    let base = Base {
        name: DocumentName::new("cart").unwrap(),
        position: at(9),
        accepted_ms: 1_000,
        latest_ms: 2_000,
        entries: 3,
        shown: true,
        document,
    };
    let stored = base.encode(&LogName::User(UserId::new("10").unwrap()));
    let latest =
        Base { latest_ms: u64::MAX, ..base }.encode(&LogName::User(UserId::new("1").unwrap()));
    let bodies = [&stored[..stored.len() - 4], &latest[..latest.len() - 4]];
    run(check!(), &Feed::of(bodies), |bytes| {
        let stored = summed(bytes, &[]);
        let memory = stored.len() * RECORD_TIMES + BESIDE;
        let read = within(memory, || Base::decode((at(9), true), &stored));
        let Ok((log, base)) = read else { return };
        let written = base.encode(&log);
        let (log_again, again) = Base::decode((at(9), true), &written).expect("just written");
        assert_eq!((&log_again, again.encode(&log)), (&log, written));
        drop(base.entry(log, Incarnation(7)));
    });
}

#[test]
fn filters() {
    run(check!(), &Feed::of([[0xff; 16], [0; 16]]), |bytes| {
        let Some(filter) = within(bytes.len() * 2, || Bloom::take(bytes)) else { return };
        let mut written = Vec::new();
        filter.put(&mut written);
        assert_eq!(written, bytes);
        for prefix in [Prefix(0, 0), Prefix(u64::MAX, u64::MAX), Prefix(1 << 63, 1)] {
            let empty = bytes.iter().all(|byte| *byte == 0);
            assert!(!filter.may_have(prefix) || !empty);
        }
    });
}
