//! A cloud, edges, and clients that roam; what can go wrong between them, from a seed.

use super::*;
use crate::auth::Revoked;
use crate::config::{Config, Source};
use crate::documents::Documents;
use crate::rules::Rules;
use serde_json::Value;
use std::collections::BTreeMap;
use tempfile::TempDir;
use tidelog_crdt::{Document, DocumentName};
use tidelog_protocol::replica::Refused;

const USERS: [&str; 3] = ["ann", "bob", "eve"];

/// Numbers from a seed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // SplitMix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let end = all.len() as u64;
        &all[usize::try_from(self.below(end)).unwrap()]
    }
}

struct Site {
    dir: TempDir,
    open: Option<(Log, Desk, Documents)>,
    /// Whom it follows.
    follows: Option<usize>,
    replica: Arc<Replica>,
    /// Made now and then.
    backup: Option<Vec<u8>>,
    /// How far its clock is off.
    skew_ms: i64,
    /// A push that was sent before, which may come again.
    late: Option<Push>,
}

/// Site 0 is the cloud.
pub(super) struct World {
    seed: u64,
    chance: Chance,
    sites: Vec<Site>,
    rules: Arc<Rules>,
    /// Everything that was ever made, to be sent again elsewhere.
    made: Vec<Draft>,
    now: u64,
    pub(super) restores: bool,
}

/// Some actions say which servers do not admit them.
pub(super) fn rules_of(at: usize) -> Arc<Rules> {
    let text = format!(
        "[[action]]\ntype = \"crdt/*\"\nallow = \"!has(action.not_at) || action.not_at != {at}\""
    );
    let config = Config::parse(Source::new(Path::new("t.toml"), text)).unwrap();
    Arc::new(Rules::compile(&config).unwrap())
}

fn open(
    dir: &Path,
    rules: &Arc<Rules>,
    (at, follows): (usize, Option<usize>),
) -> (Log, Desk, Documents) {
    let data = dir.join("data");
    let settings = Settings { tail_bytes: 4 << 10, cache_bytes: 1 << 20, ..Settings::new(&data) };
    let (log, _) = Log::open(settings, 1_000).unwrap();
    let revoked = Arc::new(Revoked::default());
    crate::revocations::load(&log, &revoked).unwrap();
    let desk = Desk::open(log.clone(), (rules_of(at), revoked), follows.is_some()).unwrap();
    let saved = data.join("index").join("documents");
    let documents = Documents::new(log.clone(), rules.clone(), saved).unwrap();
    (log, desk, documents)
}

impl World {
    pub(super) fn new(seed: u64, edges: usize) -> Self {
        let config = Config::parse(Source::new(Path::new("t.toml"), "")).unwrap();
        let rules = Arc::new(Rules::compile(&config).unwrap());
        let mut chance = Chance(seed);
        let sites = (0..=edges).map(|at| {
            let dir = tempfile::tempdir().unwrap();
            let follows = (at > 0).then_some(0);
            let open = Some(open(dir.path(), &rules, (at, follows)));
            // Hours.
            let skew_ms = i64::try_from(chance.below(14_400_000)).unwrap() - 7_200_000;
            let replica = replica(&format!("edge-{at}"), &["*"], &["*"]);
            Site { dir, open, follows, replica, backup: None, skew_ms, late: None }
        });
        let sites = sites.collect();
        let made = Vec::new();
        Self { seed, chance, sites, rules, made, now: 1_700_000_000_000, restores: false }
    }

    /// How many sites there are.
    pub(super) fn count(&self) -> usize {
        self.sites.len()
    }

    pub(super) fn log(&self, at: usize) -> &Log {
        &self.sites[at].open.as_ref().unwrap().0
    }

    pub(super) fn desk(&self, at: usize) -> &Desk {
        &self.sites[at].open.as_ref().unwrap().1
    }

    fn documents(&self, at: usize) -> &Documents {
        &self.sites[at].open.as_ref().unwrap().2
    }

    pub(super) fn replica(&self, at: usize) -> Arc<Replica> {
        self.sites[at].replica.clone()
    }

    pub(super) fn set_scope(&mut self, at: usize, users: &[&str], channels: &[&str]) {
        self.sites[at].replica = replica(&format!("edge-{at}"), users, channels);
    }

    /// The cloud knows the replica by its name.
    pub(super) fn register(&self, at: usize) {
        let replica = Replica::clone(&self.sites[at].replica);
        self.desk(0).registry.set(&replica.name.clone(), Some(replica));
    }

    pub(super) fn follow(&mut self, at: usize, other: usize) {
        self.sites[at].follows = Some(other);
        self.crash(at);
    }

    pub(super) fn append(&self, at: usize, draft: Draft) {
        let outcomes = wait(self.log(at).append(vec![draft], 1_000)).unwrap();
        assert!(matches!(outcomes[..], [Outcome::Accepted(_) | Outcome::Known(_)]));
    }

    pub(super) fn entries(&self, at: usize) -> Vec<Arc<Entry>> {
        self.log(at).feed(Position::ZERO, ALL).unwrap().entries
    }

    pub(super) fn cart(&self, at: usize, name: &str) -> Value {
        let name = LogName::User(user(name));
        self.documents(at).read(&name, &DocumentName::new("cart").unwrap()).unwrap().value
    }

    /// The link of a site to the one that it follows.
    pub(super) fn try_link(&self, at: usize) -> Result<Link<'_>, Trouble> {
        let other = self.sites[at].follows.unwrap();
        let hello = link::hello(self.log(at));
        let welcome = self.desk(other).welcome(&self.replica(at), &hello)?;
        Link::up(self.log(at), self.desk(at), &welcome)
    }

    pub(super) fn link(&self, at: usize) -> Link<'_> {
        self.try_link(at).unwrap()
    }

    /// Everything both ways; how many records went up, and down.
    pub(super) fn sync(&self, at: usize) -> (usize, usize) {
        let (link, other) = (self.link(at), self.sites[at].follows.unwrap());
        let (mut up, mut down) = (0, 0);
        loop {
            let pushed = wait(link.push(None)).unwrap();
            if let Some(push) = &pushed {
                up += push.records.len();
                let through = push.taken.through;
                wait(self.desk(other).take(&self.replica(at), push.clone())).unwrap();
                link.pushed(through);
            }
            let batch =
                wait(self.desk(other).give(&self.replica(at), &link.pull(0, None))).unwrap();
            let is_all = batch.records.is_empty() && batch.taken.through == batch.head;
            down += batch.records.len();
            assert_eq!(wait(link.take(batch)).unwrap(), 0, "seed {}", self.seed);
            if pushed.is_none() && is_all {
                return (up, down);
            }
        }
    }

    /// What the other refuses of the next push.
    pub(super) fn refusals(&self, at: usize) -> Vec<Refused> {
        let (link, other) = (self.link(at), self.sites[at].follows.unwrap());
        let push = wait(link.push(None)).unwrap().unwrap();
        wait(self.desk(other).take(&self.replica(at), push)).unwrap().refused
    }

    /// Something happens.
    pub(super) fn step(&mut self) {
        let sites = self.sites.len() as u64;
        let at = usize::try_from(self.chance.below(sites)).unwrap();
        self.now += self.chance.below(50);
        match self.chance.below(20) {
            0..=8 => self.act(at),
            9 => self.resend(at),
            10 => self.clean(at),
            11..=16 if at > 0 => self.exchange(at),
            17 => self.crash(at),
            18 if self.restores => self.back_up(at),
            19 if self.restores => self.restore(at),
            _ => {}
        }
    }

    /// A client makes an action, who has seen a part of what there is.
    fn act(&mut self, at: usize) {
        let head = self.log(at).head().get();
        let prefix = Position::new(head - self.chance.below(head.min(6) + 1)).unwrap();
        let context = self.log(at).incarnations().context(Seen { prefix, own: Ranges::default() });
        let value = self.chance.below(6);
        let not_at = self.refuser(at);
        let json = match self.chance.below(4) {
            0 => remove(value),
            1 => format!(
                r#"{{"type":"crdt/register/set","doc":"cart","path":["name"],"value":{value}}}"#
            ),
            2 => r#"{"type":"crdt/counter/add","doc":"cart","path":["count"],"by":1}"#.to_owned(),
            _ => add(value),
        };
        let json = match not_at {
            Some(not_at) => json.replacen('{', &format!(r#"{{"not_at":{not_at},"#), 1),
            None => json,
        };
        let who = *self.chance.pick(&USERS);
        // Each client has a clock of its own, and two sites never make the same id.
        let ms = (self.now * 16 + at as u64).saturating_add_signed(self.sites[at].skew_ms * 16);
        let draft = Draft { context, ..draft(&format!("{who}:phone-{at}"), ms, &json) };
        self.made.push(draft.clone());
        self.append(at, draft);
    }

    /// Now and then a server that does not admit what comes from here.
    fn refuser(&mut self, at: usize) -> Option<usize> {
        let above = self.sites[at].follows?;
        match self.chance.below(6) {
            0 => Some(0),
            1 => Some(above),
            _ => None,
        }
    }

    /// A client that does not know that its action was accepted brings it somewhere.
    fn resend(&mut self, at: usize) {
        if self.made.is_empty() {
            return;
        }
        let draft = self.chance.pick(&self.made).clone();
        if is_refused(&draft.action, at) {
            return;
        }
        let head = self.log(at).head();
        let context =
            self.log(at).incarnations().context(Seen { prefix: head, own: Ranges::default() });
        self.append(at, Draft { context, time: draft.time + 1, ..draft });
    }

    fn clean(&mut self, at: usize) {
        if self.made.is_empty() {
            return;
        }
        let id = self.chance.pick(&self.made).id.clone();
        wait(self.log(at).clean(id.node.user().unwrap(), id, 1_000)).unwrap();
    }

    /// A part of what two have to say, with answers that are lost and pushes that come twice, or late.
    fn exchange(&mut self, at: usize) {
        let other = self.sites[at].follows.unwrap();
        let lots: Vec<_> = (0..6).map(|_| self.chance.below(8)).collect();
        let old = self.sites[at].late.take();
        let mut late = None;
        {
            let link = self.link(at);
            let replica = self.replica(at);
            let told = |push: Push| wait(self.desk(other).take(&replica, push));
            for lot in lots {
                match lot {
                    0..=3 => {
                        let Some(push) = wait(link.push(None)).unwrap() else { continue };
                        let through = push.taken.through;
                        if lot == 3 {
                            late = Some(push.clone());
                        }
                        if lot == 2 {
                            told(push.clone()).unwrap();
                        }
                        told(push).unwrap();
                        if lot != 1 {
                            link.pushed(through);
                        }
                    }
                    4 => {
                        // Of a life that was before a restore nothing is taken any more.
                        if let Some(push) = &old {
                            drop(told(push.clone()));
                        }
                    }
                    _ => {
                        let pull = link.pull(0, None);
                        let batch = wait(self.desk(other).give(&replica, &pull)).unwrap();
                        if lot == 6 {
                            wait(link.take(batch.clone())).unwrap();
                        }
                        if lot != 7 {
                            wait(link.take(batch)).unwrap();
                        }
                    }
                }
            }
        }
        self.sites[at].late = late;
    }

    /// `kill -9`, and a start.
    pub(super) fn crash(&mut self, at: usize) {
        self.sites[at].open = None;
        let who = (at, self.sites[at].follows);
        let opened = open(self.sites[at].dir.path(), &self.rules, who);
        self.sites[at].open = Some(opened);
    }

    pub(super) fn back_up(&mut self, at: usize) {
        let snapshot = self.log(at).snapshot().unwrap();
        self.sites[at].backup = Some(crate::backup::bytes_of(snapshot));
    }

    pub(super) fn restore(&mut self, at: usize) {
        let Some(backup) = self.sites[at].backup.clone() else { return };
        self.sites[at].open = None;
        self.sites[at].late = None;
        let dir = tempfile::tempdir().unwrap();
        crate::backup::put(&backup, &dir.path().join("data"), false);
        let opened = open(dir.path(), &self.rules, (at, self.sites[at].follows));
        self.sites[at].dir = dir;
        self.sites[at].open = Some(opened);
    }

    /// An edge begins with what the cloud has.
    pub(super) fn seed(&mut self, at: usize) {
        let backup = crate::backup::bytes_of(self.log(0).snapshot().unwrap());
        self.sites[at].open = None;
        let dir = tempfile::tempdir().unwrap();
        crate::backup::put(&backup, &dir.path().join("data"), true);
        let opened = open(dir.path(), &self.rules, (at, self.sites[at].follows));
        self.sites[at].dir = dir;
        self.sites[at].open = Some(opened);
    }

    /// All links are up until nobody has anything to say.
    pub(super) fn heal(&mut self) {
        for _ in 0..10 {
            let said = (1..self.sites.len()).map(|at| self.sync(at)).collect::<Vec<_>>();
            if said.iter().all(|said| *said == (0, 0)) {
                return;
            }
        }
        panic!("seed {}: they never come to an end", self.seed);
    }

    /// All have the same actions with the same names, and documents as somebody makes of them who gets
    /// them in another order.
    pub(super) fn judge(&mut self) {
        let seed = self.seed;
        let of = |entries: Vec<Arc<Entry>>| -> BTreeMap<String, Value> {
            let said = |it: &Arc<Entry>| {
                let named = (it.dot, &it.aliases, it.time, it.causes.context());
                (it.id.to_string(), serde_json::to_value(named).unwrap())
            };
            entries.iter().map(said).collect()
        };
        let expected = of(self.entries(0));
        for at in 1..self.sites.len() {
            assert_eq!(of(self.entries(at)), expected, "seed {seed}, site {at}");
        }
        let entries = self.entries(0);
        assert!(!entries.iter().any(|it| is_refused(&it.action, 0)), "seed {seed}");
        let undone = entries.iter().filter_map(|it| it.undoes()).collect::<Vec<_>>();
        assert!(!entries.iter().any(|it| undone.contains(&it.id)), "seed {seed}");
        for name in USERS {
            let oracle = self.oracle(name);
            for at in 0..self.sites.len() {
                assert_eq!(self.cart(at, name), oracle, "seed {seed}, site {at}, cart of {name}");
            }
        }
    }

    /// The logs are whole, as `tidelog check` sees them.
    pub(super) fn check(&mut self, at: usize) {
        self.sites[at].open = None;
        let report = crate::log::check(&self.sites[at].dir.path().join("data"), &mut |_| {});
        assert_eq!(report.unwrap().findings, []);
        self.crash(at);
    }

    fn oracle(&mut self, name: &str) -> Value {
        let log = LogName::User(user(name));
        let mut entries = self.entries(0);
        entries.retain(|entry| entry.addresses.includes(&log));
        for nth in 1..entries.len() {
            let other = usize::try_from(self.chance.below(nth as u64 + 1)).unwrap();
            entries.swap(nth, other);
        }
        let mut document = Document::default();
        for entry in &entries {
            for (_, part) in crate::documents::parts_of(entry, &self.rules) {
                assert_eq!(document.apply(&part), tidelog_crdt::Applied::Folded);
            }
        }
        if entries.is_empty() { Value::Null } else { document.value() }
    }
}

/// Whether the server `at` does not admit it.
fn is_refused(action: &Action, at: usize) -> bool {
    String::from_utf8_lossy(action.json()).contains(&format!(r#""not_at":{at},"#))
}
