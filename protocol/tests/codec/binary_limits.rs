//! The limits on binary frames: those of JSON, and how much JSON one may stand for.

use super::{both_ends_of, node};
use bytes::Bytes;
use serde_json::json;
use tidelog_protocol::codec::{Codec, Opening, Version};
use tidelog_protocol::{Frame, Limits, NodeId, WireError};

const BASE: u64 = 1_795_222_838_404;

fn server(client: &NodeId, limits: &Limits) -> Codec {
    both_ends_of(Version::V7, (client, &node("server:q")), BASE, limits).1
}

/// What is said about a frame after sign-in.
fn answer(bytes: &[u8], limits: &Limits) -> Option<WireError> {
    server(&node("1:a:b"), limits).decode(&Frame::binary(bytes.to_vec())).err()
}

fn early(bytes: &[u8], limits: &Limits) -> Option<WireError> {
    let frame = Frame::binary(bytes.to_vec());
    Opening::read(&frame, Some(Version::V7), limits).err()
}

fn sentence(text: &str) -> WireError {
    WireError::WrongFormat(text.into())
}

/// Seven bits a byte.
fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [&number(bytes.len())[..], bytes].concat()
}

/// The shortest meta: the sender's own id at the base time.
const META: &[u8] = &[2, 0, 0];

/// A sync of these actions.
fn sync(actions: &[Vec<u8>]) -> Vec<u8> {
    let pairs: Vec<u8> = actions.iter().flat_map(|action| [action, META].concat()).collect();
    [&b"s\x01"[..], &number(actions.len()), &pairs].concat()
}

fn plain(json: &str) -> Vec<u8> {
    [b"j", &counted(json.as_bytes())[..]].concat()
}

/// `0/clean` of so many ids of the sender's own, two bytes each.
fn cleaning(ids: usize) -> Vec<u8> {
    [b"C", &number(ids)[..], &[10, 0].repeat(ids)].concat()
}

/// What that is as JSON.
fn cleaning_json(client: &NodeId, ids: usize) -> usize {
    let json = |ids: &[String]| json!({ "ids": ids, "type": "0/clean" }).to_string().len();
    let id = format!("{BASE} {client} 0");
    let [one, two] = [json(std::slice::from_ref(&id)), json(&[id.clone(), id])];
    one + (ids - 1) * (two - one)
}

#[test]
fn the_limits_of_json_hold() {
    let limits = Limits {
        frame_bytes_before_sign_in: 100,
        frame_bytes: 150,
        actions_per_frame: 2,
        action_bytes: 60,
        headers_bytes: 40,
        name_bytes: 8,
        json_depth: 4,
        ..Limits::default()
    };
    let text = |bytes: usize| format!(r#"{{"type":"a","x":"{}"}}"#, "x".repeat(bytes - 19));
    let headers = |bytes: usize| {
        let json = format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        [b"h", &counted(json.as_bytes())[..]].concat()
    };
    let encrypted = |bytes: usize| [b"z", &[7; 12][..], &counted(&vec![1; bytes])].concat();
    let named = |name: &str| sync(&[plain(&format!(r#"{{"type":"{name}"}}"#))]);
    let nested = |json: &str| sync(&[plain(&format!(r#"{{"type":"a","x":{json}}}"#))]);
    for (within, over, told) in [
        (sync(&[plain(&text(60))]), sync(&[plain(&text(61))]), "an action has at most 60 bytes"),
        // As JSON it has 59 and 63 bytes.
        (sync(&[encrypted(3)]), sync(&[encrypted(4)]), "an action has at most 60 bytes"),
        (sync(&[cleaning(1)]), sync(&[cleaning(2)]), "an action has at most 60 bytes"),
        (
            sync(&vec![plain(&text(19)); 2]),
            sync(&vec![plain(&text(19)); 3]),
            "a sync has at most 2 actions",
        ),
        (headers(40), headers(41), "headers have at most 40 bytes"),
        (named("12345678"), named("123456789"), "an action's type has at most 8 bytes"),
        (nested("[[[1]]]"), nested("[[[[]]]]"), "arrays and objects nest at most 4 deep"),
    ] {
        assert_eq!(answer(&within, &limits), None, "{told}");
        assert_eq!(answer(&over, &limits), Some(sentence(told)));
        let unread = told.starts_with("an action has") && over[3] != b'j';
        assert_eq!(early(&over, &limits), (!unread).then(|| sentence(told)), "{told}");
    }
}

#[test]
fn frames_are_as_long_as_in_json() {
    let limits = Limits { frame_bytes_before_sign_in: 100, frame_bytes: 150, ..Limits::default() };
    let debug = |bytes: usize| {
        let text = format!("\"{}\"", "x".repeat(bytes - 10));
        [b"d", &counted(b"error")[..], &counted(text.as_bytes())].concat()
    };
    let sync = |bytes: usize| {
        sync(&[plain(&format!(r#"{{"type":"a","x":"{}"}}"#, "x".repeat(bytes - 28)))])
    };
    for (frame, length) in
        [(debug(100), 100), (debug(101), 101), (sync(150), 150), (sync(151), 151)]
    {
        assert_eq!(frame.len(), length);
    }
    let before = "before sign-in a frame has at most 100 bytes";
    assert_eq!(early(&debug(100), &limits), None);
    assert_eq!(early(&debug(101), &limits), Some(sentence(before)));
    assert_eq!(early(&sync(150), &limits), Some(sentence(before)));
    assert_eq!(answer(&debug(100), &limits), None);
    assert_eq!(
        answer(&debug(101), &limits),
        Some(sentence("a message other than sync has at most 100 bytes"))
    );
    assert_eq!(answer(&sync(150), &limits), None);
    assert_eq!(answer(&sync(151), &limits), Some(sentence("a frame has at most 150 bytes")));
}

#[test]
fn a_frame_stands_for_32_times_its_length_and_64_kib_and_no_byte_more() {
    let client = node(&"x".repeat(NodeId::BYTES_MAX));
    let server = server(&client, &Limits::default());
    let frame = |ids: usize, padding: usize| {
        // What is JSON already adds to the length alone.
        let padding = plain(&format!(r#"{{"type":"{}"}}"#, "x".repeat(padding)));
        sync(&[padding, cleaning(ids)])
    };
    let over = |ids: usize, frame: &[u8]| {
        let most = 32 * frame.len() + (64 << 10);
        cleaning_json(&client, ids).cast_signed() - most.cast_signed()
    };
    let all = (300..340).flat_map(|ids| (0..256).map(move |padding| (ids, padding)));
    let framed = all.map(|(ids, padding)| (ids, frame(ids, padding)));
    let at_the_edge: Vec<_> = framed
        .map(|(ids, frame)| (over(ids, &frame), frame))
        .filter(|(over, _)| (0..=1).contains(over))
        .collect();
    for over in [0, 1] {
        let (_, frame) = at_the_edge.iter().find(|(it, _)| *it == over).unwrap();
        let read = server.decode(&Frame::binary(frame.clone()));
        let told = "a binary frame stands for at most 32 times its bytes of JSON";
        assert_eq!(read.err(), (over > 0).then(|| sentence(told)), "{over} over");
    }
    // Far beyond, it is not read to its end.
    let far = Frame::binary(sync(&[cleaning(100_000)]));
    let far_most = 32 * far.len() + (64 << 10);
    let limits = Limits { action_bytes: usize::MAX, ..Limits::default() };
    let read = tidelog_fuzz::within(far_most, || {
        super::both_ends_of(Version::V7, (&client, &node("server:q")), BASE, &limits).1.decode(&far)
    });
    assert_eq!(
        read.err(),
        Some(sentence("a binary frame stands for at most 32 times its bytes of JSON"))
    );
}

#[test]
fn what_many_short_actions_stand_for_counts_together() {
    let client = node(&"x".repeat(NodeId::BYTES_MAX));
    let server = server(&client, &Limits::default());
    let processed = json!({ "id": format!("{BASE} {client} 0"), "type": "logux/processed" });
    let each = processed.to_string().len();
    for kind in [b"p", b"c"] {
        let each =
            if kind == b"p" { each } else { each - "logux/processed".len() + "0/clean".len() };
        // Three bytes, and three of meta: 192 of JSON, and there are 64 KiB more.
        let most = ((64 << 10) + 4 * 32) / (each - 6 * 32);
        for (count, fits) in [(most, true), (most + 2, false)] {
            let frame = sync(&vec![[kind[0], 10, 0].to_vec(); count]);
            let read = server.decode(&Frame::binary(frame));
            let told = "a binary frame stands for at most 32 times its bytes of JSON";
            assert_eq!(read.err(), (!fits).then(|| sentence(told)), "{count} of {most}");
        }
    }
}

#[test]
fn a_long_frame_stands_for_no_more_than_two_of_the_longest() {
    let client = node(&"x".repeat(40));
    let (ids, each) = (400, cleaning_json(&client, 400));
    assert!(2 * each < 32 * 2 * 2 * ids, "less than for its length");
    let frame = sync(&[cleaning(ids), cleaning(ids)]);
    for (frame_bytes, fits) in [(each, true), (each - 1, false)] {
        let limits = Limits { frame_bytes, ..Limits::default() };
        let read = server(&client, &limits).decode(&Frame::binary(frame.clone()));
        let told = format!("a binary frame stands for at most {} bytes of JSON", 2 * frame_bytes);
        assert_eq!(read.err(), (!fits).then(|| sentence(&told)));
    }
}

#[test]
fn a_count_of_what_is_not_there_is_malformed_and_takes_no_memory() {
    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for frame in [
        [&b"s\x01\x01C"[..], &many, &[10, 0].repeat(50)].concat(),
        [&b"s\x01\x01j"[..], &many].concat(),
        [&b"s\x01\x01z0123456789ab"[..], &many].concat(),
        [&b"h"[..], &many, b"{}"].concat(),
    ] {
        let frame = Bytes::from(frame);
        let refused = tidelog_fuzz::within(8 << 10, || answer(&frame, &Limits::default()));
        let early = tidelog_fuzz::within(8 << 10, || early(&frame, &Limits::default()));
        assert!(
            matches!(&refused, Some(WireError::WrongFormat(text)) if text.starts_with("73 01 01") || text.starts_with("68 ff"))
        );
        assert_eq!(early, refused);
    }
}
