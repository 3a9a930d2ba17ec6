//! Numbers as clients claim them.

use super::*;
use tidelog_fuzz::bolero::check;
use tidelog_fuzz::{Feed, run, within};

#[test]
fn claims() {
    let position = |number| Position::new(number).unwrap();
    let epoch = |(first, id)| Epoch { first: position(first), id, started_ms: 0 };
    let epochs = Epochs::new([(1, 7), (100, 8), (1 << 40, 9)].map(epoch).to_vec());
    let seed = |at: u64| [&epochs.number("10", position(at)).to_be_bytes()[..], b"10"].concat();
    let feed = Feed::of([seed(1), seed(99), seed(100), seed(Position::MAX.get())]).inputs(20_000);
    run(check!(), &feed, |bytes| {
        let Some((number, user)) = bytes.split_first_chunk() else { return };
        let (number, user) = (u64::from_be_bytes(*number), String::from_utf8_lossy(user));
        for head in [Position::ZERO, position(99), Position::MAX] {
            let Some(claimed) = within(0, || epochs.claim(&user, number, head)) else { continue };
            assert!(claimed <= head);
            assert_eq!(epochs.number(&user, claimed), number, "only what was minted is claimed");
        }
        // And what is minted can be claimed, for every position that the number may stand for.
        let Some(at) = Position::new(number).filter(|at| *at > Position::ZERO) else { return };
        assert_eq!(epochs.claim(&user, epochs.number(&user, at), Position::MAX), Some(at));
    });
}
