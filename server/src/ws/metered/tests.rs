//! Frames through a metered socket.

use super::*;
use futures_util::FutureExt;
use tidelog_protocol::codec::{Codec, Link, Version};
use tidelog_protocol::{Frame, Limits, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A masked frame of a client: opcode and FIN bit, declared length.
fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match u16::try_from(length) {
        Ok(short @ 0..126) => header.push(0x80 | u8::try_from(short).unwrap()),
        Ok(long) => {
            header.push(0x80 | 0x7e);
            header.extend(long.to_be_bytes());
        }
        Err(_) => {
            header.push(0x80 | 0x7f);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend([0; 4]);
    header
}

const TEXT: u8 = 0x81;
const TEXT_TO_BE_CONTINUED: u8 = 0x01;
const CONTINUATION: u8 = 0x00;
const LAST_CONTINUATION: u8 = 0x80;
const PING: u8 = 0x89;
const BINARY_FRAME: u8 = 0x82;

fn user(id: &str) -> Owner {
    Owner::User(UserId::new(id).unwrap())
}

fn metered(budget: usize, max: usize) -> (DuplexStream, Metered<DuplexStream>) {
    let (peer, socket) = tokio::io::duplex(1 << 20);
    (peer, Metered::new(socket, Budget::new(budget), user("10"), max))
}

#[tokio::test]
async fn a_frame_longer_than_it_may_be_is_refused_at_its_header() {
    let (mut peer, mut socket) = metered(1 << 20, 1000);
    peer.write_all(&header(TEXT, 1001)).await.unwrap();
    let error = socket.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.to_string(), "a frame has at most 1000 bytes");
    let (mut peer, mut socket) = metered(1 << 20, 1000);
    peer.write_all(&header(TEXT, 1000)).await.unwrap();
    socket.read_exact(&mut [0; 8]).await.unwrap();
}

#[tokio::test]
async fn many_frames_of_one_message_count_together_and_a_ping_between_them_does_not() {
    let (mut peer, mut socket) = metered(1 << 20, 1000);
    for (first, length) in [(TEXT_TO_BE_CONTINUED, 600), (PING, 100), (CONTINUATION, 400)] {
        peer.write_all(&header(first, length)).await.unwrap();
        peer.write_all(&vec![b'x'; usize::try_from(length).unwrap()]).await.unwrap();
    }
    socket.read_exact(&mut vec![0; 8 + 600 + 6 + 100 + 8 + 400]).await.unwrap();
    peer.write_all(&header(CONTINUATION, 1)).await.unwrap();
    assert!(socket.read(&mut [0; 64]).await.is_err());
}

#[tokio::test]
async fn a_large_frame_waits_for_memory_that_another_holds() {
    let budget = Budget::new(64 << 10);
    let (mut one_peer, one) = tokio::io::duplex(1 << 20);
    let (mut two_peer, two) = tokio::io::duplex(1 << 20);
    let mut one = Metered::new(one, budget.clone(), user("10"), 1 << 20);
    let mut two = Metered::new(two, budget, user("10"), 1 << 20);
    for peer in [&mut one_peer, &mut two_peer] {
        peer.write_all(&header(TEXT, 40 << 10)).await.unwrap();
        peer.write_all(&vec![b'x'; 40 << 10]).await.unwrap();
    }
    let mut head = [0; 8];
    one.read_exact(&mut head).await.unwrap();
    two.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; 40 << 10];
    one.read_exact(&mut payload).await.unwrap();
    assert!(two.large_message().is_some());
    assert!(two.read_exact(&mut payload).now_or_never().is_none(), "the budget is held");
    one.release();
    two.read_exact(&mut payload).await.unwrap();
}

#[tokio::test]
async fn memory_of_a_message_is_released_while_the_next_one_waits_for_its_own() {
    let (mut peer, mut socket) = metered(64 << 10, 1 << 20);
    for _ in 0..2 {
        peer.write_all(&header(TEXT, 40 << 10)).await.unwrap();
        peer.write_all(&vec![b'x'; 40 << 10]).await.unwrap();
    }
    let mut payload = vec![0; 40 << 10];
    socket.read_exact(&mut [0; 8]).await.unwrap();
    socket.read_exact(&mut payload).await.unwrap();
    socket.read_exact(&mut [0; 8]).await.unwrap();
    assert!(socket.read_exact(&mut payload).now_or_never().is_none());
    socket.release();
    socket.read_exact(&mut payload).await.unwrap();
}

#[tokio::test]
async fn one_owner_leaves_memory_for_the_frames_of_others() {
    let budget = Budget::new(1 << 20);
    let mut eve = Vec::new();
    for _ in 0..8 {
        eve.push(Box::pin(budget.reserve(user("eve"), 40 << 10)));
    }
    let granted = eve.iter_mut().filter_map(|it| it.as_mut().now_or_never()).collect::<Vec<_>>();
    assert_eq!(granted.len(), 1, "with what its actions take, 240 KiB of the 256 that are eve's");
    assert!(budget.reserve(user("bob"), 40 << 10).now_or_never().is_some());
}

#[tokio::test]
async fn a_message_in_many_frames_takes_no_more_than_one_in_one() {
    let (mut peer, mut socket) = metered(1 << 20, 1 << 20);
    for n in 0..40 {
        let first = if n == 0 { TEXT_TO_BE_CONTINUED } else { CONTINUATION };
        peer.write_all(&header(first, 17 << 10)).await.unwrap();
        peer.write_all(&vec![b'x'; 17 << 10]).await.unwrap();
        socket.read_exact(&mut vec![0; 8 + (17 << 10)]).await.unwrap();
    }
    assert_eq!(socket.budget.reserved_bytes(), 256 << 10);
}

#[tokio::test]
async fn memory_of_a_message_that_is_not_whole_is_not_released() {
    let (mut peer, mut socket) = metered(64 << 10, 1 << 20);
    peer.write_all(&header(TEXT_TO_BE_CONTINUED, 40 << 10)).await.unwrap();
    peer.write_all(&vec![b'x'; 40 << 10]).await.unwrap();
    socket.read_exact(&mut [0; 8]).await.unwrap();
    socket.read_exact(&mut vec![0; 40 << 10]).await.unwrap();
    socket.release();
    assert!(!socket.held.is_empty());
    // Nor does what may stand in the middle of it end it.
    peer.write_all(&header(PING, 0)).await.unwrap();
    socket.read_exact(&mut [0; 6]).await.unwrap();
    socket.release();
    assert!(!socket.held.is_empty());
    peer.write_all(&header(LAST_CONTINUATION, 0)).await.unwrap();
    socket.read_exact(&mut [0; 6]).await.unwrap();
    socket.release();
    assert!(socket.held.is_empty());
}

#[tokio::test]
async fn a_binary_frame_takes_what_its_actions_may_grow_to() {
    let (mut peer, mut socket) = metered(64 << 20, 1 << 20);
    let mut send = async |first: u8, length: u64| {
        let length = usize::try_from(length).unwrap();
        peer.write_all(&header(first, length as u64)).await.unwrap();
        peer.write_all(&vec![0; length]).await.unwrap();
        // Memory is asked for when the header was read, and had before the payload is.
        socket.read_exact(&mut vec![0; header(first, length as u64).len()]).await.unwrap();
        socket.read_exact(&mut vec![0; length]).await.unwrap();
        let reserved = socket.budget.reserved_bytes();
        socket.release();
        reserved
    };
    // What 16 KiB of text take, and one byte more.
    assert_eq!(send(TEXT, 16 << 10).await, 0);
    assert_eq!(send(TEXT, (16 << 10) + 1).await, 97 << 10);
    assert_eq!(send(BINARY_FRAME, (96 << 10) / 65).await, 0);
    assert_eq!(send(BINARY_FRAME, (96 << 10) / 65 + 1).await, 97 << 10);
    assert_eq!(send(BINARY_FRAME, 100 << 10).await, 6500 << 10);
}

/// The smallest actions there are, whose ids are of the longest node; and those that are JSON.
fn frames(count: usize) -> [Frame; 3] {
    let number = |mut number: usize| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    };
    let processed = b"p\x0a\0\x02\0\0".repeat(count);
    let cleaned = [&b"C\xe8\x07"[..], &b"\x0a\0".repeat(1000), b"\x02\0\0"].concat();
    let binary = |pairs: usize, bytes: Vec<u8>| {
        Frame::binary([&b"s\x01"[..], &number(pairs), &bytes].concat())
    };
    let texts = r#",{"type":""},{"id":0,"time":0}"#.repeat(count);
    [
        binary(count, processed),
        binary(count / 300, cleaned.repeat(count / 300)),
        Frame::text(format!(r#"["sync",1{texts}]"#)),
    ]
}

#[test]
fn what_is_read_of_a_frame_is_not_much_more_than_was_reserved_for_it() {
    let limits = std::sync::Arc::new(Limits::default());
    for (node, count) in [(256, 1_000), (256, 20_000), (30, 20_000), (30, 50_000)] {
        let client = NodeId::new(&"x".repeat(node)).unwrap();
        let link = Link {
            local: NodeId::new("server:s").unwrap(),
            remote: client,
            base: 1_795_222_838_404,
            time_fix: 0,
            implied_subprotocol: None,
            connected_subprotocol: 0,
        };
        let server = Codec::new(Version::V7, link, limits.clone());
        for frame in frames(count) {
            let (read, bytes) = tidelog_fuzz::held(|| server.decode(&frame));
            // Of what grows too much nothing is held.
            let reserved = taken(frame.len() as u64, frame.form());
            assert!(
                bytes <= reserved * 3 / 2 + (64 << 10),
                "{bytes} bytes of {} ({:?}), and {reserved} were reserved: {}",
                frame.len(),
                frame.form(),
                read.is_ok()
            );
        }
    }
}

#[test]
fn the_length_is_read_from_a_whole_header_only() {
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 40] {
        let header = header(TEXT, length);
        assert_eq!(payload_length(&header), Some(length));
        for cut in 0..header.len() {
            assert_eq!(payload_length(&header[..cut]), None, "{length} cut at {cut}");
        }
    }
}

#[test]
fn a_large_frame_has_to_come_evenly_within_the_patience() {
    let large = |received| Large { declared: 1_000_000, received, waits: false };
    assert_eq!(large(0).due_ms(60_000), 10_000, "nothing need come before");
    assert_eq!(large(1).due_ms(60_000), 10_000, "and a little does not help");
    assert_eq!(large(500_000).due_ms(60_000), 35_000);
    assert_eq!(large(1_000_000).due_ms(60_000), 60_000);
    let unknown = Large { declared: 0, received: 0, waits: false };
    assert_eq!(unknown.due_ms(60_000), 10_000);
}

#[tokio::test]
async fn a_large_message_is_under_way_until_its_last_frame_is_whole() {
    const LENGTH: u64 = 100 << 10;
    let (mut peer, mut socket) = metered(64 << 20, 1 << 20);
    assert_eq!(socket.large_message(), None);
    let under_way = |received, declared| Some(Large { declared, received, waits: false });
    let mut send = async |first: u8, length: u64, payload: u64| {
        let payload = usize::try_from(payload).unwrap();
        let header = header(first, length);
        peer.write_all(&header).await.unwrap();
        peer.write_all(&vec![b'x'; payload]).await.unwrap();
        socket.read_exact(&mut vec![0; header.len()]).await.unwrap();
        socket.read_exact(&mut vec![0; payload]).await.unwrap();
        socket.large_message()
    };
    assert_eq!(send(TEXT_TO_BE_CONTINUED, LENGTH, LENGTH).await, under_way(LENGTH, LENGTH));
    assert_eq!(send(PING, 1, 1).await, under_way(LENGTH, LENGTH), "it is not whole");
    assert_eq!(send(LAST_CONTINUATION, 10, 4).await, under_way(LENGTH + 4, LENGTH + 10));
    peer.write_all(&[b'x'; 6]).await.unwrap();
    socket.read_exact(&mut [0; 6]).await.unwrap();
    assert_eq!(socket.large_message(), None);
    assert!(socket.holds_memory());
    socket.release();
    assert!(!socket.holds_memory());
}
