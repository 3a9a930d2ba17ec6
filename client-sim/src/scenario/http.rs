//! What scenarios over HTTP share.

use super::{KIND, Stage, action};
use crate::Ids;
use crate::http::{Answer, Http};
use crate::oracle::{Difference, compare};
use anyhow::{Context, ensure};
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;
use tidelog_protocol::http::{PullResponse, PushResponse, PushedMeta, Status};
use tidelog_protocol::{Action, ActionId, NodeId};

/// The log.
pub(super) const PATH: &str = "/v1/log";
/// What one push may hold.
const AT_ONCE: u64 = 1_000;

/// Connects so many devices, of one user each.
pub(super) async fn devices(stage: &Stage, count: u64) -> anyhow::Result<Vec<Http>> {
    let given = stage.users.len();
    ensure!(given == 0 || given as u64 >= count, "--tokens has {given} users of {count}");
    let mut devices = Vec::new();
    for number in 0..count {
        let client = device(stage, number)?;
        // In development a token over HTTP is the user's name.
        let token = stage.given(number).map_or_else(|| stage.user(number), |it| it.1.clone());
        devices.push(Http::connect(&stage.target(number), client.as_str(), &token).await?);
    }
    Ok(devices)
}

/// The node of the `number`th device: what comes over HTTP has no tab.
pub(super) fn device(stage: &Stage, number: u64) -> anyhow::Result<NodeId> {
    Ok(NodeId::new(&format!("{}:phone", stage.user(number)))?)
}

/// Puts so many actions into the log of each.
pub(super) async fn fill(
    stage: &Stage,
    devices: &mut [Http],
    count: u64,
    bytes: u64,
) -> anyhow::Result<()> {
    let action = action(KIND, "", bytes)?;
    for (phone, number) in devices.iter_mut().zip(0..) {
        let mut ids = Ids::new(device(stage, number)?);
        let mut left = count;
        while left > 0 {
            let (new, body) = batch(&action, &mut ids, left.min(AT_ONCE))?;
            answered(&phone.post(PATH, body).await?, Some(&new))?;
            left -= new.len() as u64;
        }
    }
    Ok(())
}

/// The body of a push of so many new actions, and their ids.
pub(super) fn batch(
    action: &Action,
    ids: &mut Ids,
    count: u64,
) -> anyhow::Result<(Vec<ActionId>, Bytes)> {
    let now = crate::now_ms();
    let new: Vec<_> = (0..count).map(|_| ids.next(now)).collect();
    let metas = new.iter().map(|id| PushedMeta { id: Some(id.clone()), ..PushedMeta::default() });
    let actions: Vec<_> = metas.map(|meta| (action, meta)).collect();
    let body = serde_json::to_vec(&json!({ "actions": actions }))?;
    Ok((new, Bytes::from(body)))
}

/// Whether a push was answered well; with ids, whether each is processed.
pub(super) fn answered(answer: &Answer, ids: Option<&[ActionId]>) -> anyhow::Result<()> {
    let said = || String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == StatusCode::OK, "a push was answered {}: {}", answer.status, said());
    let Some(ids) = ids else { return Ok(()) };
    let response: PushResponse = serde_json::from_slice(&answer.body).with_context(said)?;
    let all = response
        .results
        .iter()
        .zip(ids)
        .all(|(result, id)| result.id == *id && result.status == Status::Processed);
    ensure!(all && response.results.len() == ids.len(), "a push was not processed: {}", said());
    Ok(())
}

/// The page that a pull was answered with.
pub(super) fn pulled(answer: &Answer) -> anyhow::Result<PullResponse> {
    let said = || String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == StatusCode::OK, "a pull was answered {}: {}", answer.status, said());
    serde_json::from_slice(&answer.body).with_context(said)
}

/// Pulls the log of each device from its beginning, and compares it with what the device pushed.
pub(super) async fn read_back(devices: Vec<(Http, Vec<ActionId>)>) -> anyhow::Result<Difference> {
    let mut sum = Difference::default();
    for (mut device, sent) in devices {
        let (mut received, mut path) = (Vec::new(), PATH.to_owned());
        loop {
            let page = pulled(&device.get(&path, None).await?)?;
            received.extend(page.actions.into_iter().map(|(_, meta)| meta.id));
            if !page.more {
                break;
            }
            path = format!("{PATH}?since={}", page.cursor);
        }
        sum = sum + compare(&sent, |_| true, &received, |id| id.node.clone());
    }
    Ok(sum)
}
