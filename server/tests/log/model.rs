//! Random work on a log with a tiny tail, so that checkpoints and merges happen all the time,
//! compared with a model that is a vector.

use crate::support::{channel_log, draft, id, open, small, user_log, wait};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tidelog_crdt::{Context, Dot, Incarnation, Position, Ranges, Seen};
use tidelog_protocol::{ActionId, ClientId, UserId};
use tidelog_server::log::{
    self, Channel, Cleaned, Draft, Entry, Log, LogName, Outcome, Page, PageLimit, Settings,
};

const USERS: [&str; 4] = ["1", "2", "3", "4"];
const CHANNELS: [&str; 2] = ["tasks", "tasks/1"];

/// One step of the work; the numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Part>),
    Close,
    Drop,
    /// The index is gone, too, and made again.
    Rebuild,
    Look {
        log: usize,
        above: u64,
        until: u64,
        limit: PageLimit,
    },
}

/// One step of a commit.
#[derive(Clone, Debug)]
enum Part {
    Append(Made),
    /// The body of the entry numbered `nth` goes; beyond those that there are, of one that the same
    /// commit brings.
    Clean {
        nth: usize,
        by: usize,
    },
}

/// How a draft is made.
#[derive(Clone, Debug)]
struct Made {
    user: usize,
    ms: u64,
    also: usize,
    channel: Option<usize>,
    kept: bool,
    length: usize,
}

fn made() -> impl Strategy<Value = Made> {
    let channel = proptest::option::of(0..CHANNELS.len());
    let kept = proptest::bool::weighted(0.9);
    (0..USERS.len(), 0..400_u64, 0..USERS.len() * 3, channel, kept, 0..400_usize).prop_map(
        |(user, ms, also, channel, kept, length)| Made { user, ms, also, channel, kept, length },
    )
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        12 => made().prop_map(Part::Append),
        1 => clean(),
    ]
}

fn clean() -> impl Strategy<Value = Part> {
    (0..500_usize, 0..USERS.len() * 3).prop_map(|(nth, by)| Part::Clean { nth, by })
}

fn step() -> impl Strategy<Value = Step> {
    let limit = (1..20_usize, prop_oneof![Just(usize::MAX), 1..2_000_usize])
        .prop_map(|(entries, bytes)| PageLimit { entries, bytes });
    let logs = USERS.len() + CHANNELS.len();
    prop_oneof![
        8 => proptest::collection::vec(part(), 1..30).prop_map(Step::Commit),
        3 => proptest::collection::vec(clean(), 1..3).prop_map(Step::Commit),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
        1 => Just(Step::Rebuild),
        6 => (0..logs, 0..600_u64, 0..800_u64, limit)
            .prop_map(|(log, above, until, limit)| Step::Look { log, above, until, limit }),
    ]
}

fn draft_from(made: &Made) -> Draft {
    let user = USERS[made.user];
    let mut draft = draft(id(user, made.ms, 0));
    let text = "x".repeat(made.length);
    let json = format!(r#"{{"type":"add","id":"{}","text":"{text}"}}"#, draft.id);
    draft.action = tidelog_protocol::Action::new(json.into()).unwrap();
    if let Some(also) = USERS.get(made.also) {
        draft.addresses.users.push(UserId::new(also).unwrap());
        draft.addresses.clients.push(ClientId::new(&format!("{also}:c")).unwrap());
        draft.addresses.nodes.push(draft.id.node.clone());
    }
    let channel = made.channel.map(|nth| Channel::new(CHANNELS[nth]).unwrap());
    draft.addresses.channels.extend(channel);
    let own: Ranges = [made.ms + 2, made.ms + 9].into_iter().filter_map(Position::new).collect();
    let seen = Seen { prefix: Position::new(made.ms).unwrap(), own };
    draft.context = Context::of(Incarnation(made.ms), seen);
    draft.kept = made.kept;
    draft
}

fn log_name(nth: usize) -> LogName {
    match USERS.get(nth) {
        Some(user) => user_log(user),
        None => channel_log(CHANNELS[nth - USERS.len()]),
    }
}

/// What the log should hold: everything that was accepted, in order.
#[derive(Default)]
struct Model {
    entries: Vec<Arc<Entry>>,
    by_id: HashMap<ActionId, usize>,
    cleaned: BTreeSet<Position>,
    /// Ids of what was published and not stored, since the log was opened.
    passed: HashSet<ActionId>,
    head: Position,
    heard: Vec<Arc<Entry>>,
}

impl Model {
    fn commit(&mut self, steps: &[log::Step], outcomes: &[Outcome]) {
        assert_eq!(steps.len(), outcomes.len());
        // What the author was given right before, in this append: it has seen that.
        let mut given: Vec<(&str, Dot)> = Vec::new();
        // What this commit takes out is seen when it is on disk.
        let cleaned_before = self.cleaned.clone();
        for (step, outcome) in steps.iter().zip(outcomes) {
            let draft = match (step, outcome) {
                (log::Step::Append(draft), _) => draft,
                (log::Step::Clean(owner, id), Outcome::Cleaned(cleaned)) => {
                    self.clean(owner, id, *cleaned);
                    continue;
                }
                (log::Step::Clean(..), other) => panic!("cleaning led to {other:?}"),
                (log::Step::Adopt(_) | log::Step::Reject(_), _) => {
                    panic!("there is no other server here")
                }
            };
            let client = draft.id.node.client_str();
            given.retain(|(author, _)| *author == client);
            let dots: Vec<_> = given.iter().map(|(_, dot)| *dot).collect();
            if let Outcome::Accepted(entry) | Outcome::Known(entry) = outcome {
                given.push((client, entry.dot));
            }
            match (outcome, self.by_id.get(&draft.id)) {
                (Outcome::Passed(entry), _) => {
                    assert!(!draft.kept && !entry.kept);
                    assert_eq!(entry.position, self.head);
                    assert!(self.passed.insert(draft.id.clone()));
                    self.heard.push(Arc::clone(entry));
                }
                (Outcome::PassedBefore, _) => {
                    assert!(!draft.kept && self.passed.contains(&draft.id));
                }
                (Outcome::Known(entry), Some(nth)) => {
                    let original = &self.entries[*nth];
                    let cleaned = cleaned_before.contains(&original.position);
                    assert_eq!(entry.cleaned, cleaned);
                    assert_eq!((entry.position, &entry.id), (original.position, &original.id));
                    assert!(cleaned || entry == original);
                }
                (Outcome::Accepted(entry), None) => self.accept(draft, &dots, entry),
                (outcome, known) => panic!("{outcome:?} although known = {known:?}"),
            }
        }
    }

    fn accept(&mut self, draft: &Draft, given: &[Dot], entry: &Arc<Entry>) {
        assert!(draft.kept && entry.kept && entry.position > self.head);
        assert_eq!((&entry.id, &entry.action), (&draft.id, &draft.action));
        assert_eq!(entry.addresses, draft.addresses);
        assert!(given.iter().all(|dot| entry.causes.context().covers(*dot)));
        let mut context = draft.context.clone();
        for dot in given {
            context.add_own(dot.incarnation, &[dot.position].into_iter().collect());
        }
        assert_eq!(*entry.causes.context(), context);
        self.head = entry.position;
        self.by_id.insert(entry.id.clone(), self.entries.len());
        self.entries.push(Arc::clone(entry));
        self.heard.push(Arc::clone(entry));
    }

    fn clean(&mut self, owner: &UserId, wanted: &ActionId, answer: Cleaned) {
        let expected = match self.by_id.get(wanted) {
            _ if wanted.node.user().as_ref() != Some(owner) => Cleaned::NotOwner,
            None => Cleaned::Unknown,
            Some(nth) => {
                if self.cleaned.insert(self.entries[*nth].position) {
                    self.head = self.head.plus(1);
                }
                Cleaned::Done
            }
        };
        assert_eq!(answer, expected);
    }

    /// The steps of a commit.
    fn steps(&self, parts: &[Part]) -> Vec<log::Step> {
        let made = |part: &Part| match part {
            Part::Append(made) => Some(draft_from(made).id),
            Part::Clean { .. } => None,
        };
        let known = self.entries.iter().map(|entry| entry.id.clone());
        let ids: Vec<_> = known.chain(parts.iter().filter_map(made)).collect();
        let step = |part: &Part| match part {
            Part::Append(made) => log::Step::Append(draft_from(made)),
            Part::Clean { nth, by } => {
                let wanted = ids.get(*nth).cloned().unwrap_or_else(|| id("4", 10_000, 0));
                let user = USERS.get(*by).map(|user| UserId::new(user).unwrap());
                log::Step::Clean(user.or_else(|| wanted.node.user()).unwrap(), wanted)
            }
        };
        parts.iter().map(step).collect()
    }

    fn visible(&self, above: Position, until: Position) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter().filter(move |entry| {
            above < entry.position
                && entry.position <= until
                && !self.cleaned.contains(&entry.position)
        })
    }

    fn page(&self, log: &LogName, (above, until): (Position, Position), limit: PageLimit) -> Page {
        let until = until.min(self.head);
        let all = self.visible(above, until).filter(|entry| entry.addresses.includes(log));
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for entry in all {
            bytes += entry.action.json().len();
            if !entries.is_empty() && (entries.len() == limit.entries || bytes > limit.bytes) {
                let through = entries.last().map_or(until, |last: &Arc<Entry>| last.position);
                return Page { entries, through, more: true };
            }
            entries.push(Arc::clone(entry));
        }
        Page { entries, through: until, more: false }
    }

    fn look(&self, log: &Log, name: &LogName, ends: (Position, Position), limit: PageLimit) {
        let expected = self.page(name, ends, limit);
        assert_eq!(log.read(name, ends.0, ends.1, limit).unwrap(), expected);
        if let Some(page) = log.read_cached(name, ends.0, ends.1, limit) {
            assert_eq!(page, expected);
        }
    }

    /// Looks at everything there is.
    fn audit(&self, log: &Log) {
        assert_eq!(log.head(), self.head);
        let everything = (Position::ZERO, Position::MAX);
        let few = PageLimit { entries: 7, bytes: usize::MAX };
        for nth in 0..USERS.len() + CHANNELS.len() {
            let name = log_name(nth);
            self.look(log, &name, everything, crate::support::ALL);
            let whole = self.page(&name, everything, crate::support::ALL).entries;
            let newest = log.newest(&name, few).unwrap();
            let from = whole.len().saturating_sub(7);
            assert_eq!(newest.entries, whole[from..]);
            assert_eq!((newest.more, newest.through), (from > 0, self.head));
        }
        for user in USERS.map(|user| UserId::new(user).unwrap()) {
            let own = self.visible(Position::ZERO, Position::MAX);
            let own = own.filter(|entry| entry.id.node.user().as_ref() == Some(&user));
            let bytes: u64 = own.map(|entry| log::bytes_of_json(entry.action.json())).sum();
            assert_eq!(log.kept_bytes(&user).unwrap(), bytes, "of {user}");
        }
        let (mut above, mut feed) = (Position::ZERO, Vec::new());
        loop {
            let page = log.feed(above, few).unwrap();
            feed.extend(page.entries);
            above = page.through;
            if !page.more {
                break;
            }
        }
        assert_eq!(feed, self.visible(Position::ZERO, Position::MAX).cloned().collect::<Vec<_>>());
        for entry in &self.entries {
            assert_eq!(log.find(&entry.id).unwrap(), Some(entry.position));
            let found = log.entry(entry.position).unwrap().unwrap();
            assert_eq!(found.cleaned, self.cleaned.contains(&entry.position));
            assert!(found.cleaned || found == *entry);
        }
    }
}

/// A log that tells what it published.
struct Heard(Log, Arc<Mutex<Vec<Arc<Entry>>>>);

fn open_heard(settings: &Settings) -> Heard {
    let (log, _) = open(settings);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    log.on_commit(Arc::new(move |entries| hearing.lock().unwrap().extend_from_slice(entries)));
    Heard(log, heard)
}

fn run(steps: Vec<Step>, settings: &Settings) {
    let mut model = Model::default();
    let mut log = open_heard(settings);
    for step in steps {
        match step {
            Step::Commit(parts) => {
                let steps = model.steps(&parts);
                let outcomes = wait(log.0.commit(steps.clone(), 1_000)).unwrap();
                model.commit(&steps, &outcomes);
                assert_eq!(*log.1.lock().unwrap(), std::mem::take(&mut model.heard));
                log.1.lock().unwrap().clear();
            }
            Step::Close | Step::Drop | Step::Rebuild => {
                model.audit(&log.0);
                if matches!(step, Step::Close) {
                    wait(log.0.close()).unwrap();
                    model.audit(&log.0);
                }
                drop(log);
                if matches!(step, Step::Rebuild) {
                    std::fs::remove_dir_all(settings.dir.join("index")).unwrap();
                }
                log = open_heard(settings);
                model.passed.clear();
                model.audit(&log.0);
            }
            Step::Look { log: nth, above, until, limit } => {
                let ends = (Position::new(above).unwrap(), Position::new(until).unwrap());
                model.look(&log.0, &log_name(nth), ends, limit);
            }
        }
    }
    model.audit(&log.0);
    drop(log);
    let report = log::check(&settings.dir, &mut |_| {}).unwrap();
    assert_eq!(report.findings, [], "{report:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn a_log_is_what_was_appended_and_not_cleaned(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        run(steps, &small(dir.path()));
    }

    #[test]
    fn a_log_forgets_nothing_when_it_remembers_few_nodes(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        run(steps, &Settings { marks_max: 1, tail_bytes: 1 << 10, ..small(dir.path()) });
    }
}
