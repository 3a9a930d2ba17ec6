//! A connection is cut at every frame boundary, one after the other, in both directions: the end is
//! always the same.

use anyhow::ensure;
use std::collections::{HashMap, HashSet};
use tidelog_protocol::ActionId;
use tidelog_tests::{Cut, Device, Direction, Proxy, Server, Verdict};

/// Everything that one run of the story dispatched.
struct Told {
    first: Device,
    second: Device,
}

#[tokio::test]
async fn wherever_the_way_up_is_cut_the_end_is_the_same() -> anyhow::Result<()> {
    every_boundary(Direction::Up).await
}

#[tokio::test]
async fn wherever_the_way_down_is_cut_the_end_is_the_same() -> anyhow::Result<()> {
    every_boundary(Direction::Down).await
}

async fn every_boundary(direction: Direction) -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let mut stories = Vec::new();
    for after in 1.. {
        let proxy = Proxy::start(server.address(), Cut { direction, after }).await?;
        let user = format!("u{after}");
        let told = tell(&server, &proxy, &user).await?;
        judge(&told).map_err(|error| error.context(format!("cut {direction:?} after {after}")))?;
        stories.push((user, told));
        if !proxy.was_cut() {
            break;
        }
    }
    // connect, eight actions and the acknowledgements of what came: fewer cuts would be no test.
    ensure!(stories.len() > 10, "only {} boundaries", stories.len());
    server.stop().await?;
    let mut stored: HashMap<String, Vec<ActionId>> = HashMap::new();
    for line in server.log(&[]).await? {
        stored.entry(line.users.concat()).or_default().push(line.id.parse()?);
    }
    for (user, told) in &stories {
        let stored = stored.remove(user).unwrap_or_default();
        let unique: HashSet<_> = stored.iter().collect();
        let sent: HashSet<_> =
            told.first.dispatched.iter().chain(&told.second.dispatched).collect();
        ensure!(unique.len() == stored.len() && unique == sent, "{user}: {stored:?}");
    }
    Ok(())
}

/// Two devices of one user work side by side; the first one's connection is cut somewhere.
async fn tell(server: &Server, proxy: &Proxy, user: &str) -> anyhow::Result<Told> {
    let mut first = Device::new(proxy.target(), user, "first")?;
    let mut second = Device::new(server.target(), user, "second")?;
    second.connect().await?;
    second.dispatch(r#"{"type":"before"}"#).await?;
    second.until_acknowledged().await?;
    connect_somehow(&mut first).await?;
    for n in 0..4 {
        first.dispatch(&format!(r#"{{"type":"first","n":{n}}}"#)).await?;
        if n == 1 {
            settle(&mut first, Device::is_acknowledged).await?;
        }
        second.dispatch(&format!(r#"{{"type":"second","n":{n}}}"#)).await?;
        let wanted = second.dispatched.clone();
        settle(&mut first, |device| wanted.iter().all(|id| device.heard.contains(id))).await?;
    }
    // Until the first one is cut or has nothing more to say, every boundary has been passed.
    settle(&mut first, Device::is_acknowledged).await?;
    second.until_acknowledged().await?;
    for id in &first.dispatched {
        second.until_heard(id).await?;
    }
    Ok(Told { first, second })
}

/// Goes on until `done`, and connects again whenever the connection ends.
async fn settle(device: &mut Device, done: impl Fn(&Device) -> bool) -> anyhow::Result<()> {
    let what = "settling";
    loop {
        if !device.is_online() {
            connect_somehow(device).await?;
        }
        device.until(what, |device| done(device) || !device.is_online()).await?;
        if done(device) {
            return Ok(());
        }
    }
}

/// There is one cut, so the second attempt succeeds.
async fn connect_somehow(device: &mut Device) -> anyhow::Result<()> {
    if device.connect().await.is_err() {
        device.connect().await?;
    }
    Ok(())
}

fn judge(told: &Told) -> anyhow::Result<()> {
    let Told { first, second } = told;
    for (device, other) in [(first, second), (second, first)] {
        for id in &other.dispatched {
            let times = device.times_heard(id);
            ensure!(times == 1, "{} heard {id} {times} times", device.node());
        }
        // Whoever asks for everything gets its own back; nobody else does.
        let own = &device.dispatched;
        let own_heard = own.iter().map(|id| device.times_heard(id)).max().unwrap_or(0);
        ensure!(own_heard < device.fresh_starts.max(1), "{} heard itself", device.node());
        ensure!(device.acknowledged == *own, "{} has {:?}", device.node(), device.acknowledged);
        for id in own {
            let verdicts = device.verdicts.get(id).map_or(&[][..], Vec::as_slice);
            ensure!(verdicts.iter().all(|v| *v == Verdict::Processed), "{id}: {verdicts:?}");
            ensure!((1..=2).contains(&verdicts.len()), "{id} was answered {verdicts:?}");
        }
    }
    Ok(())
}
