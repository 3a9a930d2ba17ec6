//! The devices of a user, online and offline as chance has it, end with the same log.

use anyhow::ensure;
use std::collections::HashMap;
use tidelog_protocol::ActionId;
use tidelog_tests::{Chance, Device, Server};

const DEVICES: usize = 5;
const STEPS: usize = 300;

#[tokio::test]
async fn devices_that_come_and_go_hear_everything_once_and_in_one_order() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let mut chance = Chance::seeded();
    let mut devices = Vec::new();
    for n in 0..DEVICES {
        devices.push(Device::new(server.target(), "10", &format!("device{n}"))?);
    }
    let mut authors: HashMap<ActionId, usize> = HashMap::new();
    for step in 0..STEPS {
        let n = usize::try_from(chance.below(DEVICES as u64))?;
        let Some(device) = devices.get_mut(n) else { continue };
        match (device.is_online(), chance.below(10)) {
            (false, 0..4) => device.connect().await?,
            (true, 0) => device.go_offline(),
            (true, 1..5) => device.next_if_any().await?,
            (_, _) => {
                let id = device.dispatch(&format!(r#"{{"type":"step","n":{step}}}"#)).await?;
                authors.insert(id, n);
            }
        }
    }
    for device in &mut devices {
        if !device.is_online() {
            device.connect().await?;
        }
        device.until_acknowledged().await?;
    }
    for (n, device) in devices.iter_mut().enumerate() {
        let others = authors.values().filter(|author| **author != n).count();
        device
            .until("hearing everything", |device| {
                heard_of_others(device, &authors, n).len() >= others
            })
            .await?;
    }
    server.stop().await?;
    let log: Vec<ActionId> =
        server.log(&[]).await?.iter().map(|line| line.id.parse()).collect::<Result<_, _>>()?;
    ensure!(log.len() == authors.len(), "{} of {} stored", log.len(), authors.len());
    for (n, device) in devices.iter().enumerate() {
        let expected: Vec<ActionId> =
            log.iter().filter(|id| authors.get(id) != Some(&n)).cloned().collect();
        let heard = heard_of_others(device, &authors, n);
        ensure!(heard == expected, "{}: {heard:?}\nis not {expected:?}", device.node());
    }
    Ok(())
}

fn heard_of_others(device: &Device, authors: &HashMap<ActionId, usize>, n: usize) -> Vec<ActionId> {
    device.heard.iter().filter(|id| authors.get(id) != Some(&n)).cloned().collect()
}
