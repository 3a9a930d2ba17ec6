//! What users have in their logs before the scenario begins, made by a device that is not seen again.

use super::progress::Progress;
use crate::client::{Client, Event};
use crate::plan::{Group, Protocol, micros};
use crate::world::World;
use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::rc::Rc;
use std::time::Duration;
use tidelog_protocol::{Meta, NodeId, builtin};
use tokio::time::timeout;

/// Users whose logs are filled at the same time.
const AT_ONCE: usize = 24;
/// Actions in a frame.
const FRAME_ACTIONS: usize = 200;
/// How long one user's log may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Fills the log of every user of a group that has something to miss.
pub(super) async fn fill(world: &Rc<World>, progress: &Progress) -> anyhow::Result<()> {
    let users: Vec<(usize, bool, u32)> = users(world);
    let bar = progress.bar("filling logs", users.len() as u64);
    let mut waiting = users.into_iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < AT_ONCE {
            let Some((group, pace, user)) = waiting.next() else { break };
            under_way.push(fill_one(world, group, pace, user));
        }
        match under_way.next().await {
            Some(filled) => filled?,
            None => break,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn users(world: &World) -> Vec<(usize, bool, u32)> {
    let plan = &world.plan;
    let mut users = Vec::new();
    for (number, group) in plan.spec.groups.iter().enumerate().filter(|(_, group)| group.missed > 0)
    {
        users.extend((0..group.users).map(|user| (number, false, user)));
        let pace = plan.pace.iter().filter(|device| device.group == number);
        users.extend(pace.map(|device| (number, true, device.user)));
    }
    users
}

async fn fill_one(world: &Rc<World>, group: usize, pace: bool, user: u32) -> anyhow::Result<()> {
    let spec = world.plan.spec.groups.get(group).context("there is no such group")?;
    let (name, number, token) = world.user(group, pace, user)?;
    let node = NodeId::new(&format!("{name}:{}seed:tab", world.access.run))?;
    let away_ms = away_ms(spec);
    let author = {
        let mut ledger = world.ledger.borrow_mut();
        let born = (world.clock.zero_ms() - away_ms, world.bodies(group)?);
        let author = ledger.author(node.clone(), number, spec.send_to.clone(), born);
        for n in 0..u64::from(spec.missed) {
            let field = u8::try_from(n % u64::from(spec.fields)).unwrap_or_default();
            ledger.make(author, away_ms * 1000 * n / u64::from(spec.missed), field);
        }
        author
    };
    let target = world.access.target(u64::from(user), 0, Protocol::V5, token);
    let filling = async {
        let mut client = Client::sign_in(&target, &node, 0).await?;
        let mut sent = 0;
        loop {
            let metas: Vec<Meta> = {
                let ledger = world.ledger.borrow();
                let author = ledger.of(author).context("nobody makes this")?;
                let end = author.made().min(sent + FRAME_ACTIONS);
                let metas: Vec<Meta> = (sent..end).map(|at| author.meta(at)).collect();
                let bodies = (sent..end).map(|at| author.body(at));
                client.send_again(bodies.zip(&metas), metas.len() as u64);
                metas
            };
            sent += metas.len();
            acknowledged(&mut client).await?;
            world.ledger.borrow_mut().acknowledge(author, metas.len())?;
            if sent >= spec.missed as usize {
                break;
            }
        }
        client.close().await;
        anyhow::Ok(())
    };
    let filled = timeout(PATIENCE, filling).await;
    filled.with_context(|| format!("filling the log of {name} took too long"))??;
    Ok(())
}

/// Waits until the server has acknowledged all that was sent.
async fn acknowledged(client: &mut Client) -> anyhow::Result<()> {
    while client.outstanding() > 0 {
        if let Event::Sync(sync) = client.next().await? {
            let undone = sync.batch.iter().find(|pair| pair.action.kind() == builtin::UNDO);
            if let Some(undone) = undone {
                let said = String::from_utf8_lossy(undone.action.json()).into_owned();
                bail!("the server undoes what the scenario begins with: {said}");
            }
        }
    }
    ensure!(client.outstanding() == 0, "the server acknowledges less than was sent");
    Ok(())
}

fn away_ms(group: &Group) -> u64 {
    (micros(group.days * 86_400.0) / 1000).max(u64::from(group.missed) + 1)
}
