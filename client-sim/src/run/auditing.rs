//! The end of a run: a new device of each user reads the whole log, and what the others have is compared with it.

use super::progress::Progress;
use crate::client::{Client, Ended, Event};
use crate::oracle::Violation;
use crate::oracle::bodies::LAST;
use crate::oracle::ledger::{AuthorNo, UserNo};
use crate::oracle::reader::{Heard, Reader};
use crate::plan::{Chance, Protocol};
use crate::tape::Tape;
use crate::world::World;
use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tidelog_protocol::{Action, NodeId, Token, builtin};
use tokio::time::{sleep, timeout};

/// Users whose logs are read at the same time.
const AT_ONCE: usize = 16;
/// How long reading one may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a replica that does not have everything yet.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked.
const LOOKS: u32 = 300;
/// An author that there is not.
const NOBODY: AuthorNo = usize::MAX;

/// What a new device read: each action by its author, in order.
type Sequence = Vec<(AuthorNo, usize)>;

/// Whether every device has what it has to have; then reads logs back. How many were read.
pub(super) async fn audit(
    world: &Rc<World>,
    ended: &[Ended],
    progress: &Progress,
) -> anyhow::Result<u64> {
    let mut of_users: HashMap<UserNo, Vec<&Ended>> = HashMap::new();
    for device in ended {
        check_alone(world, device);
        if !device.pace {
            of_users.entry(device.reader.user()).or_default().push(device);
        }
    }
    let mut users = world.users();
    let mut chance = Chance::new(world.plan.spec.seed, u64::MAX);
    while users.len() > world.plan.spec.audit as usize {
        users.swap_remove(chance.below(u32::try_from(users.len())?) as usize);
    }
    let count = users.len() as u64;
    let bar = progress.bar("reading logs back", count);
    let mut waiting = users.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < AT_ONCE {
            let Some((name, user, token)) = waiting.next() else { break };
            let devices = of_users.get(&user).cloned().unwrap_or_default();
            under_way.push(async move { audit_user(world, &name, user, token, &devices).await });
        }
        match under_way.next().await {
            Some(audited) => audited?,
            None => break,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(count)
}

/// What can be said of a device without reading anything.
fn check_alone(world: &World, device: &Ended) {
    let ledger = world.ledger.borrow();
    let Some(own) = ledger.of(device.reader.own()) else { return };
    let tape = device.tape.as_deref();
    let open = own.made() - own.acknowledged();
    if open > 0 {
        let violation = Violation::Unacknowledged { count: open as u64 };
        world.violated(device.node.as_str(), violation, tape);
    }
    let owed = device.reader.owed(&ledger);
    if world.access.is_one() && !device.pace && device.reader.received() < owed {
        let count = owed - device.reader.received();
        let first = device.reader.first_missing(&ledger);
        let first = first.map_or_else(String::new, |id| id.to_string());
        world.violated(device.node.as_str(), Violation::Missing { count, first }, tape);
    }
}

async fn audit_user(
    world: &Rc<World>,
    name: &str,
    user: UserNo,
    token: Token,
    devices: &[&Ended],
) -> anyhow::Result<()> {
    let mut union: HashSet<(AuthorNo, usize)> = HashSet::new();
    for server in 0..world.access.servers.len().max(1) {
        let target = world.access.target(0, server as u64, Protocol::V5, token.clone());
        let reading = read_whole(world, name, user, &target);
        let late = || format!("reading the log of {name} took longer than 120 s");
        let (reader, sequence, tape) = timeout(PATIENCE, reading).await.with_context(late)??;
        union.extend(&sequence);
        let node = format!("{name}:{}audit", world.access.run);
        if world.access.is_one() {
            complete(world, user, sequence.len(), &reader, &node, &tape);
            for device in devices {
                compare(world, device, &reader, &sequence, server);
            }
        }
    }
    if !world.access.is_one() {
        let missing = world.ledger.borrow().kept(user).saturating_sub(union.len() as u64);
        if missing > 0 {
            let first = "on no server".to_owned();
            world.violated(name, Violation::Missing { count: missing, first }, None);
        }
    }
    Ok(())
}

fn complete(world: &World, user: UserNo, has: usize, reader: &Reader, node: &str, tape: &Tape) {
    let ledger = world.ledger.borrow();
    let count = ledger.kept(user).saturating_sub(has as u64);
    if count > 0 {
        let first = reader.first_missing(&ledger).map_or_else(String::new, |id| id.to_string());
        world.violated(node, Violation::Missing { count, first }, Some(tape));
    }
}

/// Whether a device received what the new one did, in that order, and ends with the same values.
fn compare(world: &World, device: &Ended, new: &Reader, sequence: &Sequence, server: usize) {
    let ledger = world.ledger.borrow();
    let (node, tape) = (device.node.as_str(), device.tape.as_deref());
    if let Some(violation) = device.reader.differs(new, &ledger) {
        world.violated(node, violation, tape);
    }
    // Replicas may place what came to each of them in an order of their own.
    let one = world.access.servers.len() <= 1 && server == 0;
    if one && Reader::order_of(device.reader.own(), sequence) != device.reader.order() {
        world.violated(node, Violation::OtherOrder { device: node.to_owned() }, tape);
    }
}

/// Reads a log as a new device; of a replica until it has had what came to the others.
async fn read_whole(
    world: &Rc<World>,
    name: &str,
    user: UserNo,
    target: &crate::client::Target,
) -> anyhow::Result<(Reader, Sequence, Box<Tape>)> {
    let mut looks = 0;
    loop {
        let read = read(world, (name, looks), user, target).await?;
        looks += 1;
        let is_whole = read.1.len() as u64 >= world.ledger.borrow().kept(user);
        if is_whole || !world.access.replicas || looks >= LOOKS {
            return Ok(read);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Reads a log as a new device, up to an action that is sent after all others; the `look`th time.
async fn read(
    world: &Rc<World>,
    (name, look): (&str, u32),
    user: UserNo,
    target: &crate::client::Target,
) -> anyhow::Result<(Reader, Sequence, Box<Tape>)> {
    let run = &world.access.run;
    let closing = NodeId::new(&format!("{name}:{run}close:tab{look}"))?;
    close(target, &closing).await?;
    let node = NodeId::new(&format!("{name}:{run}audit:tab"))?;
    let mut client = Client::sign_in(target, &node, 0).await?;
    client.record(Box::default());
    client.ready();
    let mut reader = Reader::new(user, NOBODY, None, world.access.leeway_at_one());
    let mut sequence = Sequence::new();
    loop {
        let Event::Sync(sync) = client.next().await? else { continue };
        for pair in &sync.batch {
            if pair.action.kind() == LAST && pair.meta.id.node == closing {
                let tape = client.take_tape().unwrap_or_default();
                client.close().await;
                return Ok((reader, sequence, tape));
            }
            if !pair.action.kind().starts_with("sim/") || pair.action.kind() == LAST {
                continue;
            }
            match reader.hear(&world.ledger.borrow(), &pair.action, &pair.meta) {
                Ok(Heard::New(author, at)) => sequence.push((author, at)),
                Ok(_) => {}
                Err(violation) => world.violated(node.as_str(), violation, client.tape()),
            }
        }
    }
}

/// Sends what comes after everything else, and waits until that is acknowledged.
async fn close(target: &crate::client::Target, node: &NodeId) -> anyhow::Result<()> {
    let mut client = Client::sign_in(target, node, 0).await?;
    let last = Action::new(Bytes::from(format!(r#"{{"type":"{LAST}"}}"#)))?;
    client.send([&last], 0);
    while client.outstanding() > 0 {
        if let Event::Sync(sync) = client.next().await? {
            let undone = sync.batch.iter().any(|pair| pair.action.kind() == builtin::UNDO);
            ensure!(!undone, "the server undoes {LAST}; `tidelog-sim rules` prints what it needs");
        }
    }
    client.close().await;
    Ok(())
}
