use super::super::{Budget, Owner};
use super::*;
use bytes::Bytes;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LONG: usize = 100_000;

fn pair() -> (DuplexStream, Stream<DuplexStream>) {
    let (peer, here) = duplex(4 * LONG);
    let owner = Owner::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
    (peer, Stream::new(Metered::new(here, Budget::new(1 << 30), owner, 10 * LONG)))
}

/// A masked frame of so many bytes; the mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_be_bytes();
    [&[first, 0xff][..], &length, &[0; 4], payload].concat()
}

async fn next(stream: &mut Stream<DuplexStream>) -> Bytes {
    poll_fn(|cx| stream.poll_next(cx)).await.unwrap().unwrap().into_data()
}

async fn nothing_comes(stream: &mut Stream<DuplexStream>) {
    let polled = poll_fn(|cx| Poll::Ready(stream.poll_next(cx).is_pending())).await;
    assert!(polled, "something came");
}

#[tokio::test]
async fn the_memory_of_a_long_message_goes_with_it() {
    let (mut peer, mut stream) = pair();
    peer.write_all(&frame(0x82, &vec![7; LONG])).await.unwrap();
    let message = next(&mut stream).await;
    nothing_comes(&mut stream).await;
    assert!(message.is_unique(), "the library still has the buffer that it is in");
    assert!(!stream.grown);
}

#[tokio::test]
async fn so_does_that_of_one_that_went_out() {
    let (mut peer, mut stream) = pair();
    let mut sent = Some(Message::binary(vec![7; LONG]));
    poll_fn(|cx| Poll::Ready(sent.take().map(|message| stream.send(cx, message)))).await;
    nothing_comes(&mut stream).await;
    assert!(stream.grown, "it may not be on its way yet");
    poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
    nothing_comes(&mut stream).await;
    assert!(!stream.grown);
    peer.read_exact(&mut vec![0; LONG + 10]).await.unwrap();
}

#[tokio::test]
async fn nothing_is_lost_that_was_under_way() {
    let (mut peer, mut stream) = pair();
    // A long message, half of another, a fragment and a ping in between, the rest.
    let long = frame(0x82, &vec![1; LONG]);
    let (begun, rest) = long.split_at(LONG / 2);
    peer.write_all(&[&long[..], begun].concat()).await.unwrap();
    assert_eq!(next(&mut stream).await, vec![1; LONG]);
    nothing_comes(&mut stream).await;
    peer.write_all(&[rest, &frame(0x02, &vec![2; LONG])].concat()).await.unwrap();
    assert_eq!(next(&mut stream).await, vec![1; LONG]);
    nothing_comes(&mut stream).await;
    peer.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
    assert!(next(&mut stream).await.is_empty(), "the ping");
    poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
    nothing_comes(&mut stream).await;
    peer.write_all(&frame(0x80, &vec![3; LONG])).await.unwrap();
    assert_eq!(next(&mut stream).await, [vec![2; LONG], vec![3; LONG]].concat());
    nothing_comes(&mut stream).await;
    assert!(!stream.grown);
    let mut pong = [0; 2];
    peer.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, [0x8a, 0]);
}

/// A peer that takes nothing could have the library keep answers without end.
#[tokio::test]
async fn pings_are_answered_only_as_long_as_answers_are_taken() {
    const PINGS: usize = 2_000;
    let (mut peer, here) = duplex(1 << 10);
    let owner = Owner::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut stream = Stream::new(Metered::new(here, Budget::new(1 << 30), owner, LONG));
    let pings = frame(0x89, &[7; 100]).repeat(PINGS);
    let (mut there, mut back) = tokio::io::split(&mut peer);
    let count = async {
        let (mut count, mut idle) = (0, 0);
        while idle < 100 {
            let polled = poll_fn(|cx| Poll::Ready(stream.poll_next(cx).is_ready())).await;
            (count, idle) = if polled { (count + 1, 0) } else { (count, idle + 1) };
            tokio::task::yield_now().await;
        }
        count
    };
    let answered = tokio::select! {
        biased;
        answered = count => answered,
        written = back.write_all(&pings) => panic!("all were read: {written:?}"),
    };
    assert!((PINGS_MAX.into()..100).contains(&answered), "{answered}");
    let mut pong = [0; 102];
    there.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong[..2], [0x8a, 100]);
}

#[tokio::test]
async fn a_ping_that_is_too_long_is_refused_at_its_header() {
    let (mut peer, mut stream) = pair();
    let long = frame(0x89, &[7; 126]);
    peer.write_all(&long[..long.len() - 126]).await.unwrap();
    let error = poll_fn(|cx| stream.poll_next(cx)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("at most 125 bytes"), "{error}");
}

/// Idle ones are most, and their buffers are what they cost.
#[tokio::test]
async fn who_sends_much_at_a_time_has_a_wide_buffer_and_loses_it_again() {
    let (mut peer, mut stream) = pair();
    let little = frame(0x82, &[1; 100]);
    let much = little.repeat(30);
    peer.write_all(&little).await.unwrap();
    next(&mut stream).await;
    nothing_comes(&mut stream).await;
    assert!(!stream.wide);
    for round in 0..3 {
        peer.write_all(&much).await.unwrap();
        for _ in 0..30 {
            assert_eq!(next(&mut stream).await, [1; 100][..], "in round {round}");
        }
        nothing_comes(&mut stream).await;
        assert!(stream.wide);
    }
    for _ in 0..=CALM_MAX {
        peer.write_all(&little).await.unwrap();
        assert_eq!(next(&mut stream).await, [1; 100][..]);
        nothing_comes(&mut stream).await;
    }
    assert!(!stream.wide);
}
