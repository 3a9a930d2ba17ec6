//! Waking devices that are not connected: by Web Push, APNs and FCM.
//!
//! A device registers over HTTP (`device`, kept in the `book`). The `follower` reads the feed and finds who
//! is to be told of what; each push service has a lane (`lanes`) with a `table` of who waits, and
//! `deliver` tells one device, through `web`, `apns` or `fcm`. All is derived from the feed: what is in memory is
//! found again after a restart, from the position that the follower had come to, but for what devices were `told`.

mod apns;
mod book;
mod client;
mod command;
mod deliver;
mod device;
mod encrypt;
mod endpoint;
mod fcm;
mod follower;
mod had;
mod lanes;
mod outcome;
mod payload;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod vapid;
mod web;

pub(crate) use book::{Limits, NotKept, forget_user, of_user};
pub(crate) use command::answer;
pub use command::{Order, run};
pub(crate) use device::{Device, DeviceId, Target};
pub(crate) use endpoint::check as check_endpoint;
pub(crate) use follower::follow;
pub(crate) use had::Had;
pub(crate) use outcome::Outcome;
pub(crate) use payload::{Message, Push};
pub(crate) use told::LastTold;

use crate::config::{self, Config};
use crate::log::{Log, Stopped};
use anyhow::Context;
use apns::Apns;
use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};
use book::Book;
use fcm::Fcm;
use follower::Cursor;
use lanes::Lanes;
use std::sync::{Arc, OnceLock};
use tidelog_crdt::Position;
use tokio::sync::{Mutex, Notify, watch};
use vapid::Vapid;
use web::{Browser, Web};

/// Whether a browser can have this public key.
pub(crate) fn check_key(p256dh: &[u8]) -> Result<(), ()> {
    let key = UnparsedPublicKey::new(&ECDH_P256, p256dh);
    ParsedPublicKey::try_from(key).map(drop).map_err(drop)
}

/// What the server knows of waking.
pub(crate) struct Wakes {
    log: Log,
    pub(crate) book: Book,
    pub(crate) vapid: Vapid,
    pub(crate) settings: config::Wake,
    /// Rings at each commit.
    pub(crate) committed: Arc<Notify>,
    lanes: Lanes,
    /// Up to where the feed has been followed.
    through: Mutex<Position>,
    /// From where it is followed; none before the first device.
    begun: watch::Sender<Option<Cursor>>,
    /// Made when a browser is first woken: most servers never have one.
    web: OnceLock<Option<Web>>,
    apns: Option<Apns>,
    fcm: Option<Fcm>,
}

impl Wakes {
    /// Reads the keys; makes that for Web Push at the first start. Blocks.
    pub(crate) fn open(config: &Config, log: &Log) -> anyhow::Result<Self> {
        let settings = &config.wake;
        let cursor = log.note(follower::NOTE)?;
        let cursor = cursor.map(|note| rmp_serde::from_slice(&note)).transpose();
        let cursor = cursor
            .context("how far devices were woken cannot be read: use the version that wrote it")?;
        let is_set = |file: &std::path::Path| !file.as_os_str().is_empty();
        Ok(Self {
            book: Book::open(log.clone())?,
            vapid: Vapid::open(&config.server.data).context("the key for Web Push")?,
            committed: Arc::default(),
            lanes: Lanes::new(settings),
            through: Mutex::default(),
            begun: watch::Sender::new(cursor),
            web: OnceLock::new(),
            apns: is_set(&settings.apns.key_file).then(|| Apns::new(settings)).transpose()?,
            fcm: is_set(&settings.fcm.service_account_file)
                .then(|| Fcm::new(settings))
                .transpose()?,
            settings: settings.clone(),
            log: log.clone(),
        })
    }

    /// Whether there is a provider for devices of this kind.
    pub(crate) fn serves(&self, target: &Target) -> bool {
        match target {
            Target::Web { .. } => true,
            Target::Apns { .. } => self.apns.is_some(),
            Target::Fcm { .. } => self.fcm.is_some(),
        }
    }

    /// From now on the feed is followed: to be called before the first device is kept. On disk on
    /// return.
    pub(crate) async fn begin(&self) -> Result<(), Stopped> {
        // Whoever follows may hold the lock for as long as a page takes.
        if self.begun.borrow().is_some() {
            return Ok(());
        }
        let _turn = self.through.lock().await;
        if self.begun.borrow().is_some() {
            return Ok(());
        }
        let cursor = Cursor::at(self.log.head());
        self.log.keep_note(follower::NOTE.to_owned(), Some(cursor.to_note())).await?;
        self.begun.send_replace(Some(cursor));
        Ok(())
    }

    /// Waits for the first device; from where the feed is followed.
    async fn begun(&self) -> Cursor {
        let mut begun = self.begun.subscribe();
        // The sender is ours.
        let found = begun.wait_for(Option::is_some).await;
        found.ok().and_then(|cursor| cursor.clone()).unwrap_or_default()
    }

    /// Tells a device at once.
    pub(crate) async fn send(&self, device: &Device, push: &Push) -> Outcome {
        let missing = || Outcome::Later {
            reason: format!("there is no key for {}", device.target.kind()),
            after: None,
            all: true,
            ours: true,
        };
        match &device.target {
            Target::Web { endpoint, p256dh, auth } => {
                let Some(web) = self.web() else { return missing() };
                web.send(&self.vapid, &Browser { endpoint, p256dh, auth }, push).await
            }
            Target::Apns { token, development } => match &self.apns {
                Some(apns) => apns.send((token, *development), push).await,
                None => missing(),
            },
            Target::Fcm { token } => match &self.fcm {
                Some(fcm) => fcm.send(token, push).await,
                None => missing(),
            },
        }
    }

    fn web(&self) -> Option<&Web> {
        let make = || {
            let failed =
                |error: &anyhow::Error| tracing::error!("no browser can be woken: {error:#}");
            Web::new(&self.settings).inspect_err(failed).ok()
        };
        self.web.get_or_init(make).as_ref()
    }

    /// Keeps what devices were told since this was last done; on disk on return.
    pub(crate) async fn keep_told(&self) {
        match self.book.keep_told(&self.lanes.take_told()).await {
            Ok(()) | Err(NotKept::Stopped(_)) => {}
            Err(error) => {
                tracing::error!(%error, "cannot keep what devices were told: after a restart they are told once more");
            }
        }
    }

    /// Devices that wait to be told.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.doing().iter().map(|lane| lane.waiting).sum()
    }

    /// How many seconds after they were told of it devices have come for what `client` has had.
    pub(crate) fn had(&self, client: &tidelog_protocol::ClientId, had: &Had) -> Vec<f64> {
        // Devices that register from here on are woken for what comes then.
        if self.book.devices() == 0 {
            return Vec::new();
        }
        let told = self.lanes.had(client, had).into_iter();
        #[expect(clippy::cast_precision_loss, reason = "it is minutes at most")]
        let seconds = told.map(|ms| ms as f64 / 1000.0);
        seconds.collect()
    }
}
