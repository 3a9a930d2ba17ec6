//! The devices that are registered: notes of the store, so that a hundred thousand of them cost disk
//! and nothing else.
//!
//! ```text
//! wake/device/USER ID                the device, and what it was told last; no user has a space in its name
//! wake/channel/CHANNEL \n USER ID    it wants to be woken for the channel
//! wake/place/FINGERPRINT             whose the place is: a browser where somebody else signs in is
//!                                    no longer woken for who was there before
//! wake/origins/USER                  the push services, beside those of the makers of browsers, that the
//!                                    user's devices named lately: they stay when a device is forgotten
//! ```
//!
//! The device is the truth: what the other two say counts only if it says the same.

mod origins;

use super::device::{Device, DeviceId, Target};
use super::table::Key;
use super::told::LastTold;
use crate::aside::blocking;
use crate::log::{Channel, Log, LogName, ReadError, Stopped};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use tidelog_protocol::UserId;
use tokio::sync::Mutex;

const DEVICES: &str = "wake/device/";
const CHANNELS: &str = "wake/channel/";
const PLACES: &str = "wake/place/";

/// Devices of which it is written at once what they were told.
const TOLD_AT_ONCE: usize = 500;

type Notes = Vec<(String, Option<Vec<u8>>)>;

/// The registered devices.
pub(crate) struct Book {
    log: Log,
    /// Whoever writes. One for all users, because a place goes from one to another.
    turn: Mutex<()>,
    /// How many there are.
    devices: AtomicUsize,
}

/// What one user may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) devices: usize,
    /// Push services that are not of the makers of browsers.
    pub(crate) origins: usize,
}

/// Why a device is not in the book.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// The user has as many as one may.
    #[error("the user has {0} devices, and may have no more")]
    Full(usize),
    /// The user's devices are at as many push services as may be.
    #[error("the user's devices named {0} push services within a day, and may name no more")]
    Origins(usize),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the server stops")]
    Stopped(#[from] Stopped),
}

impl Book {
    /// The devices of `log`. Blocks.
    pub(crate) fn open(log: Log) -> Result<Self, ReadError> {
        let devices = AtomicUsize::new(count(&log)?);
        Ok(Self { log, turn: Mutex::default(), devices })
    }

    /// How many devices there are.
    pub(crate) fn devices(&self) -> usize {
        self.devices.load(Ordering::Relaxed)
    }

    /// Forgets the devices of a user who is erased; how many there were.
    pub(crate) async fn forget_user(&self, user: &UserId) -> anyhow::Result<usize> {
        let _turn = self.turn.lock().await;
        let forgotten = forget_user(&self.log, user).await?;
        self.devices.fetch_sub(forgotten, Ordering::Relaxed);
        Ok(forgotten)
    }

    /// Keeps `device`; on disk on return. What is known of it stays as it was registered first.
    /// Returns what is kept.
    pub(crate) async fn keep(
        &self,
        mut device: Device,
        limits: Limits,
        is_fresh: impl Fn(&Device) -> bool,
    ) -> Result<Device, NotKept> {
        let _turn = self.turn.lock().await;
        let (log, user, target) = (self.log.clone(), device.user.clone(), device.target.clone());
        let name = key(&device.user, &device.id);
        let except = name.clone();
        let read = move || {
            let origins = origins::read(&log, &user)?;
            Ok::<_, ReadError>((of_user(&log, &user)?, at(&log, &target, &except)?, origins))
        };
        let (known, other, named) = blocking(read).await?;
        let place = place(&device.target);
        let before = known.iter().find(|known| known.id == device.id);
        if let Some(before) = before {
            device.since = before.since;
            device.registered_ms = before.registered_ms;
            if before.client == device.client {
                device.told = before.told.clone();
            }
            if before.is_as(&device) && is_fresh(before) {
                return Ok(before.clone());
            }
        } else if known.len() >= limits.devices {
            return Err(NotKept::Full(limits.devices));
        }
        let mut notes = origins::with(named, &device, &known, limits.origins)?;
        let taken = other.is_some();
        if let Some(other) = other {
            notes.push((format!("{DEVICES}{}", key(&other.user, &other.id)), None));
            notes.extend(channel_notes(&other));
        }
        let new = before.is_none();
        // What leads to a device before it, and what leads to it no more after: whatever of it a crash leaves, nothing
        // is missing that a device needs to be found.
        let leads: Notes =
            channel_notes(&device).map(|(name, _)| (name, Some(Vec::new()))).collect();
        let led: HashSet<String> = leads.iter().map(|(name, _)| name.clone()).collect();
        let old = before.into_iter().flat_map(beside);
        let old: Notes = old.filter(|(it, _)| *it != place && !led.contains(it)).collect();
        notes.extend(leads);
        notes.push((place, Some(name.clone().into_bytes())));
        notes.push((format!("{DEVICES}{name}"), Some(device.to_note())));
        notes.extend(old);
        // Who asked may go meanwhile: counting too many costs a look, too few would wake nobody.
        self.devices.fetch_add(usize::from(new), Ordering::Relaxed);
        self.log.keep_notes(notes).await?;
        self.devices.fetch_sub(usize::from(taken), Ordering::Relaxed);
        Ok(device)
    }

    /// Keeps what devices were told last, of those that are still there; on disk on return.
    pub(super) async fn keep_told(&self, told: &[(Key, LastTold)]) -> Result<(), NotKept> {
        for some in told.chunks(TOLD_AT_ONCE) {
            let _turn = self.turn.lock().await;
            let (log, some) = (self.log.clone(), some.to_vec());
            let notes = blocking(move || told_notes(&log, some)).await?;
            if !notes.is_empty() {
                self.log.keep_notes(notes).await?;
            }
        }
        Ok(())
    }

    /// Forgets a device; whether there was one. On disk on return.
    pub(crate) async fn forget(&self, user: &UserId, id: &DeviceId) -> Result<bool, NotKept> {
        let _turn = self.turn.lock().await;
        let Some(device) = self.look(user, id).await? else { return Ok(false) };
        self.take_out(&device).await
    }

    /// Forgets `device` if it is still as it is here: it may have registered anew. Whether it was.
    pub(crate) async fn forget_same(&self, device: &Device) -> Result<bool, NotKept> {
        let _turn = self.turn.lock().await;
        let now = self.look(&device.user, &device.id).await?;
        let Some(now) = now.filter(|now| now.target == device.target) else { return Ok(false) };
        self.take_out(&now).await
    }

    async fn take_out(&self, device: &Device) -> Result<bool, NotKept> {
        self.log.keep_notes(gone(device)).await?;
        self.devices.fetch_sub(1, Ordering::Relaxed);
        Ok(true)
    }

    async fn look(&self, user: &UserId, id: &DeviceId) -> Result<Option<Device>, ReadError> {
        let (log, user, id) = (self.log.clone(), user.clone(), id.clone());
        blocking(move || get(&log, &user, &id)).await
    }

    /// The device called so. May wait for the disk.
    pub(crate) fn get(&self, user: &UserId, id: &DeviceId) -> Result<Option<Device>, ReadError> {
        get(&self.log, user, id)
    }

    /// The devices of `user`. May wait for the disk.
    pub(crate) fn of_user(&self, user: &UserId) -> Result<Vec<Device>, ReadError> {
        of_user(&self.log, user)
    }

    /// Up to `count` devices that want to be woken for `log`, those after the one that `after` leads
    /// to; and what leads to the last that was looked at, if there may be more.
    pub(crate) fn of_log(
        &self,
        log: &LogName,
        after: &str,
        count: usize,
    ) -> Result<(Vec<Device>, Option<String>), ReadError> {
        let channel = match log {
            LogName::User(user) => return Ok((self.of_user(user)?, None)),
            LogName::Channel(channel) => channel,
        };
        let start = channel_start(channel);
        let names = self.log.note_names(&start, after, count)?;
        let mut devices = Vec::with_capacity(names.len());
        for name in &names {
            let Some((user, id)) = name.strip_prefix(&start).and_then(read_key) else { continue };
            let device = self.get(&user, &id)?;
            devices.extend(device.filter(|device| device.channels.contains(channel)));
        }
        let more = names.len() >= count;
        Ok((devices, names.into_iter().next_back().filter(|_| more)))
    }
}

/// The device called so. Waits for the disk.
fn get(log: &Log, user: &UserId, id: &DeviceId) -> Result<Option<Device>, ReadError> {
    let note = log.note(&format!("{DEVICES}{}", key(user, id)))?;
    Ok(note.and_then(|note| Device::of_note(user.clone(), id.clone(), &note)))
}

/// The device that is woken at `target`, but for the one called `except`. Waits for the disk.
fn at(log: &Log, target: &Target, except: &str) -> Result<Option<Device>, ReadError> {
    let owner = log.note(&place(target))?.and_then(|it| String::from_utf8(it.to_vec()).ok());
    let Some((user, id)) = owner.filter(|it| it != except).and_then(|it| read_key(&it)) else {
        return Ok(None);
    };
    let device = get(log, &user, &id)?;
    Ok(device.filter(|device| device.target.fingerprint() == target.fingerprint()))
}

/// The devices of `user`. May wait for the disk.
pub(crate) fn of_user(log: &Log, user: &UserId) -> Result<Vec<Device>, ReadError> {
    let start = format!("{DEVICES}{user} ");
    let notes = log.notes(&start)?.into_iter();
    let devices = notes.filter_map(|(name, note)| {
        let id = DeviceId::new(name.strip_prefix(&start)?).ok()?;
        Device::of_note(user.clone(), id, &note)
    });
    Ok(devices.collect())
}

/// How many devices there are, by counting their places: the devices themselves would take much memory to go
/// through. It may be too many after a crash. Waits for the disk.
fn count(log: &Log) -> Result<usize, ReadError> {
    const AT_ONCE: usize = 1_000;
    let (mut count, mut after) = (0, String::new());
    loop {
        let names = log.note_names(PLACES, &after, AT_ONCE)?;
        count += names.len();
        match names.into_iter().next_back() {
            Some(last) => after = last,
            None => return Ok(count),
        }
    }
}

/// Forgets the devices of a user who is erased; how many there were.
pub(crate) async fn forget_user(log: &Log, user: &UserId) -> anyhow::Result<usize> {
    let (reading, of) = (log.clone(), user.clone());
    let devices = blocking(move || of_user(&reading, &of)).await?;
    let notes = devices.iter().flat_map(gone).chain([(origins::name(user), None)]);
    log.keep_notes(notes.collect()).await?;
    Ok(devices.len())
}

/// Devices with what they were told. Waits for the disk.
fn told_notes(log: &Log, told: Vec<(Key, LastTold)>) -> Result<Notes, ReadError> {
    let mut notes = Notes::new();
    for ((client, id), last) in told {
        let Some(user) = client.user_str().and_then(|user| UserId::new(user).ok()) else {
            continue;
        };
        let device = get(log, &user, &id)?.filter(|device| device.client == client);
        if let Some(mut device) = device {
            device.told.tell(&last.through, last.ms);
            notes.push((format!("{DEVICES}{}", key(&user, &id)), Some(device.to_note())));
        }
    }
    Ok(notes)
}

/// Without it and what leads to it.
fn gone(device: &Device) -> Notes {
    let own = (format!("{DEVICES}{}", key(&device.user, &device.id)), None);
    std::iter::once(own).chain(beside(device)).collect()
}

/// Without what leads to a device.
fn beside(device: &Device) -> impl Iterator<Item = (String, Option<Vec<u8>>)> + '_ {
    channel_notes(device).chain([(place(&device.target), None)])
}

/// Without what leads to a device from its channels.
fn channel_notes(device: &Device) -> impl Iterator<Item = (String, Option<Vec<u8>>)> + '_ {
    let name = key(&device.user, &device.id);
    device.channels.iter().map(move |it| (format!("{}{name}", channel_start(it)), None))
}

fn place(target: &Target) -> String {
    format!("{PLACES}{}", target.fingerprint())
}

fn channel_start(channel: &Channel) -> String {
    format!("{CHANNELS}{}\n", channel.as_str())
}

fn key(user: &UserId, id: &DeviceId) -> String {
    format!("{user} {id}")
}

fn read_key(text: &str) -> Option<(UserId, DeviceId)> {
    let (user, id) = text.split_once(' ')?;
    Some((UserId::new(user).ok()?, DeviceId::new(id).ok()?))
}
