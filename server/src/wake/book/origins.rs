//! The push services that a user's devices named: a user must not make the server talk to ever more hosts, by
//! registering and forgetting either.
//!
//! Those of the makers of browsers are not counted: the server talks to them anyway.

use super::{Device, NotKept, Notes, Target};
use crate::log::{Log, ReadError};
use crate::wake::lanes::{Lanes, is_of_a_maker};
use tidelog_protocol::UserId;

const ORIGINS: &str = "wake/origins/";
/// How long one counts that no device is at any more.
const COUNTS_MS: u64 = 86_400_000;

/// Each with when a device last registered there.
pub(super) type Named = Vec<(String, u64)>;

/// What the note is called.
pub(super) fn name(user: &UserId) -> String {
    format!("{ORIGINS}{user}")
}

/// Those that `user` named. Waits for the disk.
pub(super) fn read(log: &Log, user: &UserId) -> Result<Named, ReadError> {
    let note = log.note(&name(user))?;
    Ok(note.and_then(|note| rmp_serde::from_slice(&note).ok()).unwrap_or_default())
}

/// The note once `device` is kept beside those that are `known`, if it changes.
pub(super) fn with(
    mut named: Named,
    device: &Device,
    known: &[Device],
    most: usize,
) -> Result<Notes, NotKept> {
    let Some(origin) = counted(&device.target) else { return Ok(Notes::new()) };
    let now_ms = device.refreshed_ms;
    let in_use: Vec<String> = known.iter().filter_map(|it| counted(&it.target)).collect();
    named.retain(|(name, at_ms)| now_ms < at_ms.saturating_add(COUNTS_MS) || in_use.contains(name));
    let others = named.iter().filter(|(name, _)| *name != origin).count();
    if others == named.len() && others >= most {
        return Err(NotKept::Origins(most));
    }
    named.retain(|(name, _)| *name != origin);
    named.push((origin, now_ms));
    let note = rmp_serde::to_vec(&named).unwrap_or_default();
    Ok(vec![(name(&device.user), Some(note))])
}

/// Where a device is woken, if that counts.
fn counted(target: &Target) -> Option<String> {
    let is_web = matches!(target, Target::Web { .. });
    is_web.then(|| Lanes::id(target)).filter(|origin| !is_of_a_maker(origin))
}
