//! A registered device: where it is woken, for what, and who it signed in as.

use super::told::{self, LastTold};
use crate::auth::Identity;
use crate::log::Channel;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;
use tidelog_crdt::Position;
use tidelog_protocol::{ClientId, UserId};

/// The form of a note that this version writes.
const FORM: u8 = 1;

/// What a device is called among those of its user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct DeviceId(Box<str>);

/// A name that no device can have.
#[derive(Debug, thiserror::Error)]
#[error("a device is called by 1 to {} letters, digits, - and _", DeviceId::BYTES_MAX)]
pub(crate) struct DeviceIdError;

impl DeviceId {
    const BYTES_MAX: usize = 64;

    /// Checks and takes a name.
    pub(crate) fn new(text: &str) -> Result<Self, DeviceIdError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (1..=Self::BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text.into())) } else { Err(DeviceIdError) }
    }

    /// The name of a device that chose none: the same whenever it is woken at the same place.
    pub(crate) fn of(target: &Target) -> Self {
        Self(target.fingerprint().into())
    }

    /// It comes before all others, and no device is called so.
    pub(super) fn lowest() -> Self {
        Self("".into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a device is woken. What is in it lets whoever has it wake the device, so it is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// A browser.
    Web {
        endpoint: String,
        /// Its public key, uncompressed.
        p256dh: Vec<u8>,
        /// The secret that it shares with whoever may write to it.
        auth: Vec<u8>,
    },
    /// An iPhone, iPad or Mac.
    Apns {
        token: String,
        /// The app is one in development.
        development: bool,
    },
    /// Whatever Firebase reaches.
    Fcm { token: String },
}

impl Target {
    /// The word for its kind.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Web { .. } => "web",
            Self::Apns { .. } => "apns",
            Self::Fcm { .. } => "fcm",
        }
    }

    /// The place itself, which is for its user alone.
    pub(crate) fn place(&self) -> &str {
        match self {
            Self::Web { endpoint, .. } => endpoint,
            Self::Apns { token, .. } | Self::Fcm { token } => token,
        }
    }

    /// A number that another place would not have, and that does not tell the place.
    pub(super) fn fingerprint(&self) -> String {
        let mut hasher = SipHasher24::new();
        hasher.write(self.kind().as_bytes());
        hasher.write(self.place().as_bytes());
        URL_SAFE_NO_PAD.encode(hasher.finish128().as_bytes())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.kind())
    }
}

/// A device that wants to be woken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Device {
    pub(crate) user: UserId,
    pub(crate) id: DeviceId,
    /// As what it connects and pulls.
    pub(crate) client: ClientId,
    pub(crate) target: Target,
    /// The channels that it is woken for, beside its user's log.
    pub(crate) channels: Vec<Channel>,
    /// The language of messages.
    pub(crate) language: Option<String>,
    /// What its token said when it registered: the rules ask for it when it is woken.
    pub(crate) claims: Arc<Map<String, Value>>,
    /// It is woken for what is above.
    pub(crate) since: Position,
    pub(crate) registered_ms: u64,
    pub(crate) refreshed_ms: u64,
    /// As it was a moment ago: it is written for many at once.
    pub(crate) told: LastTold,
}

/// What a note holds beside its name.
#[derive(Serialize, Deserialize)]
struct Stored {
    form: u8,
    client: String,
    target: Target,
    channels: Vec<String>,
    language: Option<String>,
    claims: String,
    since: u64,
    registered_ms: u64,
    refreshed_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<told::Stored>,
}

impl Device {
    /// Who it signed in as.
    pub(crate) fn identity(&self) -> Identity {
        let (user, claims) = (self.user.clone(), self.claims.clone());
        Identity { user, claims, expires_ms: None, anonymous: false }
    }

    /// Whether `other` says the same, but for when.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.client == other.client
            && self.target == other.target
            && self.channels == other.channels
            && self.language == other.language
    }

    /// What is kept of it.
    pub(super) fn to_note(&self) -> Vec<u8> {
        let stored = Stored {
            form: FORM,
            client: self.client.to_string(),
            target: self.target.clone(),
            channels: self.channels.iter().map(|it| it.as_str().to_owned()).collect(),
            language: self.language.clone(),
            claims: serde_json::to_string(&*self.claims).unwrap_or_default(),
            since: self.since.get(),
            registered_ms: self.registered_ms,
            refreshed_ms: self.refreshed_ms,
            told: told::Stored::of(&self.told, &self.user, &self.channels),
        };
        // Plain data always serializes.
        rmp_serde::to_vec(&stored).unwrap_or_default()
    }

    /// Reads what was kept; none if this version cannot.
    pub(super) fn of_note(user: UserId, id: DeviceId, note: &[u8]) -> Option<Self> {
        let stored: Stored = rmp_serde::from_slice(note).ok()?;
        let channels = stored.channels.iter().map(|name| Channel::new(name).ok());
        (stored.form == FORM).then_some(())?;
        let told = stored.told.and_then(|told| told.read(&user)).unwrap_or_default();
        Some(Self {
            user,
            id,
            client: ClientId::new(&stored.client).ok()?,
            target: stored.target,
            channels: channels.collect::<Option<_>>()?,
            language: stored.language,
            claims: Arc::new(serde_json::from_str(&stored.claims).ok()?),
            since: Position::new(stored.since)?,
            registered_ms: stored.registered_ms,
            refreshed_ms: stored.refreshed_ms,
            told,
        })
    }
}
