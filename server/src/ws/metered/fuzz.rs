//! Frames as they come in, cut anywhere.

use super::*;
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

/// What is known after all bytes: whether they were refused, and what the message under way is.
fn follow(pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> (bool, u64, bool, Option<u64>) {
    let owner = Owner::User(UserId::new("10").unwrap());
    let mut metered = Metered::new((), Budget::new(1 << 20), owner, 100_000);
    let refused = pieces.into_iter().any(|piece| metered.scan(piece.as_ref()).is_err());
    let left = match metered.scan {
        Scan::Header(..) => None,
        Scan::Payload(left) => Some(left),
    };
    (refused, metered.message, metered.unfinished, left)
}

#[test]
fn frames_cut_anywhere() {
    let feed = Feed::of([
        &b"\x81\x85\0\0\0\0hello\x89\x80\0\0\0\0\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b"[..],
        b"\x82\xfe\x00\x80\0\0\0\0",
        b"\x81\xff\0\0\0\0\0\x01\x86\xa0\0\0\0\0",
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"\x88\x02\x03\xe8",
    ]);
    run(check!(), &feed.inputs(10_000), |bytes| {
        let whole = within(4 << 10, || follow(std::iter::once(bytes)));
        let (refused, message, ..) = whole;
        assert!(refused || message <= 100_000, "no more than may be sent is let in");
        assert_eq!(follow(bytes.chunks(1)), whole, "byte by byte");
        assert_eq!(follow(bytes.chunks(5)), whole, "in pieces");
    });
}
