//! Whatever a device asks for, and whatever happens meanwhile, it has everything in the end, once.

use super::site::{RULES, Site, post_to};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// A device pushes an action.
    Push { device: &'static str, kind: usize, count: usize },
    /// The reader pulls a page, with these channels.
    Pull { limit: usize, channels: Vec<&'static str> },
}

const READER: &str = "10:a";
const CHANNELS: [&str; 3] = ["posts/1", "posts/2", "news"];

fn action(kind: usize, text: &str) -> Value {
    match kind {
        0 => json!({"type": "note", "x": text}),
        1 => post_to("1", text),
        2 => post_to("2", text),
        3 => json!({"type": "both", "x": text}),
        _ => json!({"type": "news", "x": text}),
    }
}

/// The channels that an action of this kind goes to.
fn channels_of(kind: usize) -> &'static [&'static str] {
    [&[][..], &["posts/1"], &["posts/2"], &["posts/1", "posts/2"], &["news"]][kind.min(4)]
}

fn event() -> impl Strategy<Value = Event> {
    let device = prop::sample::select(vec!["10:a", "10:b", "11:c", "guest:d"]);
    let push = (device, 0..5_usize, 1..4_usize).prop_map(|(device, kind, count)| Event::Push {
        device,
        kind,
        count,
    });
    let pull = (1..5_usize, prop::sample::subsequence(CHANNELS.to_vec(), 0..=3))
        .prop_map(|(limit, channels)| Event::Pull { limit, channels });
    prop_oneof![2 => push, 1 => pull]
}

/// One pushed action: who pushed it, where it went, and how many pulls there were before.
struct Pushed {
    device: &'static str,
    kind: usize,
    pulls: usize,
}

async fn run(events: Vec<Event>) {
    let site = Site::open(RULES);
    let (mut pushed, mut got) = (Vec::<Pushed>::new(), BTreeMap::<usize, Vec<usize>>::new());
    let (mut cursor, mut pulls) = (String::new(), 0);
    // Since which pull each channel has been asked for without a gap.
    let mut since: BTreeMap<&str, usize> = BTreeMap::new();
    let last = Event::Pull { limit: 1000, channels: CHANNELS.to_vec() };
    for event in events.into_iter().chain([last]) {
        match event {
            Event::Push { device, kind, count } => {
                for _ in 0..count {
                    site.push(device, &[action(kind, &pushed.len().to_string())]).await;
                    pushed.push(Pushed { device, kind, pulls });
                }
            }
            Event::Pull { limit, channels } => {
                since.retain(|channel, _| channels.contains(channel));
                for channel in &channels {
                    since.entry(channel).or_insert(pulls);
                }
                let named: Vec<_> = channels.iter().map(|it| format!("&channel={it}")).collect();
                let from =
                    if cursor.is_empty() { String::new() } else { format!("&since={cursor}") };
                let page =
                    site.pull(READER, &format!("limit={limit}{}{from}", named.concat())).await;
                assert!(page.actions.len() <= limit);
                for text in page.texts() {
                    got.entry(text.parse().unwrap()).or_default().push(pulls);
                }
                cursor = page.cursor;
                pulls += 1;
            }
        }
    }
    check(&pushed, &got, &since);
}

fn check(pushed: &[Pushed], got: &BTreeMap<usize, Vec<usize>>, since: &BTreeMap<&str, usize>) {
    for (n, Pushed { device, kind, pulls }) in pushed.iter().enumerate() {
        let own_log = device.starts_with("10:");
        let times = got.get(&n).map_or(0, Vec::len);
        let channels: BTreeSet<_> = channels_of(*kind).iter().copied().collect();
        // A channel that loads nothing brings only what came after it was first named.
        let by_channel =
            channels.iter().any(|channel| *channel != "news" || *pulls > since[channel]);
        let own = *device == READER && *pulls > 0;
        if own {
            // It came after the start: by its log never, and it is not in any other but its own.
            assert_eq!(times, 0, "{n}: an own action came back");
        } else if own_log {
            assert_eq!(times, 1, "{n}: the user's log brings each action once");
        } else if by_channel {
            assert!(times >= 1, "{n}: a gap");
            let forgotten = since.values().any(|first| *first > 0);
            assert!(times == 1 || forgotten, "{n}: came {times} times");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_is_skipped_and_nothing_comes_twice(events in prop::collection::vec(event(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(events));
    }
}
