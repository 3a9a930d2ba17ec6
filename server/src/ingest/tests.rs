//! The way in, over a log in a temporary directory; what is published is counted.

use super::*;
use crate::auth::Identity;
use crate::config::{Config, Source};
use crate::log::{Entry, LogName, PageLimit, Settings};
use bytes::Bytes;
use serde_json::json;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;
use tidelog_protocol::{NodeId, UserId};

const RULES: &str = r#"
    [[action]]
    type = "note"
    [[action]]
    type = "live"
    keep = false
    [[action]]
    type = "wide"
    channels = ["{action.to}"]
"#;

const ALL: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

/// What each commit published.
type Published = Arc<Mutex<Vec<Vec<Arc<Entry>>>>>;

struct Scene {
    ingest: Ingest,
    log: Log,
    published: Published,
    _dir: TempDir,
}

impl Scene {
    fn open() -> Self {
        Self::open_with(Quotas::default())
    }

    fn open_with(quotas: Quotas) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse(Source::new(Path::new("t.toml"), RULES)).unwrap();
        let rules = Arc::new(Rules::compile(&config).unwrap());
        let kept_bytes_max = quotas.kept_bytes;
        let settings = Settings { kept_bytes_max, ..Settings::new(dir.path()) };
        let (log, _) = Log::open(settings, 0).unwrap();
        let published = Published::default();
        let hearing = Arc::clone(&published);
        log.on_commit(Arc::new(move |entries| {
            hearing.lock().unwrap_or_else(PoisonError::into_inner).push(entries.to_vec());
        }));
        let ingest = Ingest::new(log.clone(), rules, Metrics::default(), (200 << 10, quotas));
        Self { ingest, log, published, _dir: dir }
    }

    /// What becomes of `pairs` when they come in one frame; each as `accepted`, `repeated`, or the
    /// reason why it was undone.
    async fn take(&self, pairs: Vec<Pair>) -> Vec<&'static str> {
        let submissions =
            pairs.into_iter().map(|pair| Submission { pair, known: Known::default() });
        let verdicts =
            self.ingest.take(&Arc::new(subject()), submissions.collect(), 1_000).await.unwrap();
        let word = |verdict: &Verdict| match &verdict.outcome {
            _ if verdict.repeated => "repeated",
            Judgement::Processed => "accepted",
            Judgement::Undone(reason, _) => reason.word(),
        };
        verdicts.iter().map(word).collect()
    }

    /// How many entries each commit published.
    fn commits(&self) -> Vec<usize> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.iter().map(Vec::len).collect()
    }

    /// The sequence numbers of what is in the user's log.
    fn stored(&self) -> Vec<u64> {
        let log = LogName::User(UserId::new("10").unwrap());
        let page = self.log.read(&log, Position::ZERO, Position::MAX, ALL).unwrap();
        page.entries.iter().map(|entry| entry.id.sequence).collect()
    }
}

fn subject() -> Subject {
    let node = NodeId::new("10:a:t").unwrap();
    let identity = Identity {
        user: UserId::new("10").unwrap(),
        claims: Arc::default(),
        expires_ms: None,
        anonymous: false,
    };
    Subject::new(&identity, node, 0)
}

fn id(sequence: u64) -> ActionId {
    ActionId { node: NodeId::new("10:a:t").unwrap(), ms: 500, sequence }
}

fn pair(sequence: u64, action: &serde_json::Value) -> Pair {
    let action = Action::new(Bytes::from(action.to_string())).unwrap();
    let meta = Meta { id: id(sequence), time: 500, subprotocol: None };
    Pair { action, meta, extra_keys: false }
}

fn note(sequence: u64) -> Pair {
    pair(sequence, &json!({"type": "note"}))
}

fn live(sequence: u64) -> Pair {
    pair(sequence, &json!({"type": "live"}))
}

fn clean(sequence: u64, target: u64) -> Pair {
    pair(sequence, &json!({"type": "0/clean", "id": id(target).to_string()}))
}

/// It was judged before it was remembered, and so went out twice.
#[tokio::test]
async fn a_live_action_that_comes_twice_in_one_frame_is_published_once() {
    let scene = Scene::open();
    assert_eq!(
        scene.take(vec![live(1), note(2), live(1)]).await,
        ["accepted", "accepted", "repeated"]
    );
    assert_eq!(scene.commits().iter().sum::<usize>(), 2);
    assert_eq!(scene.take(vec![live(1)]).await, ["repeated"], "nor in a later one");
    assert_eq!(scene.commits().iter().sum::<usize>(), 2);
}

/// A connection that ends while its actions are committed leaves nobody to remember the verdict; the
/// client sends them again.
#[tokio::test]
async fn a_live_action_is_published_once_though_nobody_waited_for_its_verdict() {
    let scene = Scene::open();
    {
        // Whoever hears of commits waits for it, and is not answered before.
        let _hold = scene.published.lock().unwrap_or_else(PoisonError::into_inner);
        let taking = scene.take(vec![live(1)]);
        let taken = futures_util::FutureExt::now_or_never(taking);
        assert!(taken.is_none(), "it cannot be committed yet");
    }
    assert_eq!(scene.take(vec![live(1)]).await, ["repeated"]);
    assert_eq!(scene.commits().iter().sum::<usize>(), 1);
}

/// Each `0/clean` was a commit of its own, and each rejection ended a batch: a frame of thousands was
/// not acknowledged in the time that clients wait.
#[tokio::test]
async fn a_frame_of_notes_cleans_and_rejections_is_one_commit_in_its_order() {
    let scene = Scene::open();
    let mut pairs = vec![clean(1_000, 500)];
    for n in 0..100 {
        pairs.extend([note(n), pair(2_000 + n, &json!({"type": "unheard"})), clean(3_000 + n, n)]);
    }
    pairs.push(note(500));
    let words = scene.take(pairs).await;
    let expected: Vec<_> = std::iter::once("accepted")
        .chain((0..100).flat_map(|_| ["accepted", "unknownType", "accepted"]))
        .chain(["accepted"])
        .collect();
    assert_eq!(words, expected);
    assert_eq!(scene.stored(), [500], "what was cleaned before it came stays");
    assert_eq!(scene.commits(), [101]);
}

#[tokio::test]
async fn a_clean_that_comes_twice_is_answered_as_a_repeat() {
    let scene = Scene::open();
    let words = scene.take(vec![note(1), clean(2, 1), clean(2, 1)]).await;
    assert_eq!(words, ["accepted", "accepted", "repeated"]);
    assert_eq!(scene.take(vec![clean(2, 1)]).await, ["repeated"]);
    let of_another = json!({"type": "0/clean", "id": "1 11:a:t 0"});
    let words = scene.take(vec![pair(3, &of_another), pair(3, &of_another)]).await;
    assert_eq!(words, ["denied", "repeated"]);
}

/// Clients of protocol 7 clean many actions at once.
#[tokio::test]
async fn a_clean_of_many_takes_out_all_or_nothing_and_has_one_verdict() {
    let scene = Scene::open();
    let ids = |of: &[String]| json!({"type": "0/clean", "ids": of});
    let [one, two] = [1, 2].map(|n| id(n).to_string());
    scene.take(vec![note(1), note(2), note(3)]).await;
    let stranger = "1 11:a:t 0".to_owned();
    let words = scene
        .take(vec![
            pair(4, &ids(&[one.clone(), stranger])),
            pair(5, &ids(&[one.clone(), "no id".to_owned()])),
            pair(6, &json!({"type": "0/clean", "id": one.clone(), "ids": [one.clone()]})),
            pair(7, &ids(&[])),
            note(8),
        ])
        .await;
    assert_eq!(words, ["denied", "error", "error", "accepted", "accepted"]);
    assert_eq!(scene.stored(), [1, 2, 3, 8]);
    assert_eq!(scene.take(vec![pair(9, &ids(&[one, two])), note(10)]).await, ["accepted"; 2]);
    assert_eq!(scene.stored(), [3, 8, 10]);
}

/// A frame of cleans with thousands of ids each was millions of look-ups in one commit, which everybody
/// waited for.
#[tokio::test]
async fn cleans_of_very_many_take_their_turn_with_others() {
    let scene = Scene::open();
    let ids: Vec<_> = (0..900).map(|n| id(n).to_string()).collect();
    let many = |sequence| pair(sequence, &json!({"type": "0/clean", "ids": ids}));
    let words =
        scene.take(vec![note(1_001), many(1_002), note(1_003), many(1_004), note(1_005)]).await;
    assert_eq!(words, ["accepted"; 5]);
    assert_eq!(scene.commits(), [1, 1, 1]);
}

/// What the rules let in once stays in, also when its original came in the same frame.
#[tokio::test]
async fn an_action_that_was_let_in_is_not_undone_by_a_later_one_of_its_name() {
    let scene = Scene::open();
    let words = scene.take(vec![note(1), pair(1, &json!({"type": "unheard"}))]).await;
    assert_eq!(words, ["accepted", "repeated"]);
}

/// The rules and the size of its JSON let it in, but its addresses make it larger than a row. The
/// verdict of the log was not remembered: sent again, it was answered under another id.
#[tokio::test]
async fn what_is_too_large_for_the_log_keeps_its_verdict() {
    let scene = Scene::open();
    let names: Vec<_> = (0..250).map(|n| format!("{n:0250}")).collect();
    let wide = || pair(1, &json!({"type": "wide", "to": names, "pad": "x".repeat(130_000)}));
    assert_eq!(scene.take(vec![wide()]).await, ["tooLarge"]);
    assert_eq!(scene.take(vec![wide()]).await, ["repeated"]);
}

#[tokio::test]
async fn over_the_rate_actions_are_undone_and_what_comes_again_costs_nothing() {
    let scene = Scene::open_with(Quotas { per_second: Some(1), burst: 4, kept_bytes: None });
    assert_eq!(scene.take((0..3).map(note).collect()).await, ["accepted"; 3]);
    assert_eq!(scene.take((0..3).map(note).collect()).await, ["repeated"; 3]);
    let words = scene.take((0..5).map(note).collect()).await;
    assert_eq!(words, ["repeated", "repeated", "repeated", "accepted", "tooManyActions"]);
    assert_eq!(scene.take(vec![note(0), note(4)]).await, ["repeated", "repeated"]);
    assert_eq!(scene.stored(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn over_the_bytes_that_are_kept_actions_are_undone_until_some_are_cleaned() {
    let most = 3 * crate::log::bytes_of_json(note(0).action.json());
    for (kept_bytes, third) in [(most, "accepted"), (most - 1, "overQuota")] {
        let quotas = Quotas { kept_bytes: Some(kept_bytes), ..Quotas::default() };
        let scene = Scene::open_with(quotas);
        let words = scene.take((0..4).map(note).collect()).await;
        assert_eq!(words, ["accepted", "accepted", third, "overQuota"]);
        assert_eq!(scene.take(vec![note(0), live(50)]).await, ["repeated", "accepted"]);
        assert_eq!(scene.take(vec![note(3)]).await, ["repeated"], "it stays undone");
        let freed = scene.take(vec![clean(10, 0), note(20), note(21)]).await;
        assert_eq!(freed, ["accepted", "accepted", "overQuota"]);
    }
}

#[tokio::test]
async fn what_was_undone_elsewhere_is_answered_so_when_it_comes_again() {
    let scene = Scene::open();
    let sent = note(1);
    let addresses = crate::log::Addresses::default();
    let draft = crate::log::Draft {
        id: sent.meta.id.clone(),
        time: sent.meta.time,
        subprotocol: 0,
        addresses,
        context: tidelog_crdt::Context::default(),
        action: sent.action.clone(),
        kept: true,
    };
    let dot = tidelog_crdt::Dot {
        incarnation: tidelog_crdt::Incarnation(7),
        position: Position::new(3).unwrap(),
    };
    let undo = crate::log::undo(&sent.meta.id, "denied", "note", &[]);
    let foreign =
        crate::log::Foreign { draft, dot, aliases: Vec::new(), cleaned: false, loose: false };
    let rejected = crate::log::Rejected { foreign, undo, has_own_log: true };
    let steps = vec![crate::log::Step::Reject(Box::new(rejected))];
    scene.log.commit(steps, 1_000).await.unwrap();
    let told = scene.log.feed(Position::ZERO, ALL).unwrap().entries;
    let submission = Submission { pair: sent, known: Known::default() };
    let verdicts = scene.ingest.take(&Arc::new(subject()), vec![submission], 2_000).await.unwrap();
    let [Verdict { outcome: Judgement::Undone(UndoReason::Denied, _), answer, .. }] = &verdicts[..]
    else {
        panic!("{verdicts:?}")
    };
    // Whoever has heard of it in the log takes the answer for the same.
    let [told] = &told[..] else { panic!("{told:?}") };
    let at = scene.log.find(&id(1)).unwrap().unwrap();
    assert_eq!(*answer, AnswerId::of_undone(scene.log.incarnation(), at, 1_000));
    let named = format!("1000 server:{}:{at} 1", scene.log.incarnation());
    assert_eq!(told.id.to_string(), named);
}
