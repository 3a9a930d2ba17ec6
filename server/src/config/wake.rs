//! `[wake]`: how devices that are not connected are told that something has come.

use super::quantity::{read_count, read_duration, show_duration};
use super::source::Source;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// `[wake]`
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Wake {
    /// Devices that one user registers; one more is refused with 409.
    #[serde(deserialize_with = "read_count")]
    pub devices_per_user: usize,
    /// Web Push services that the server talks to because one user's devices named them within a day, beside those of
    /// the makers of browsers; one more is refused with 409.
    #[serde(deserialize_with = "read_count")]
    pub origins_per_user: usize,
    /// The least time between two pushes to one device; what comes meanwhile is in the next.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub interval: Duration,
    /// How long a push service keeps what it cannot deliver, and how long the server tries to hand it
    /// over; then the device finds out when it comes by itself.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub ttl: Duration,
    /// Devices that wait in memory for one push service; more of them are read from the log later.
    #[serde(deserialize_with = "read_count")]
    pub queue: usize,
    /// Pushes that one push service is sent at the same time.
    #[serde(deserialize_with = "read_count")]
    pub concurrency: usize,
    /// How long a push service may take to answer.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub timeout: Duration,
    /// Whom a Web Push service writes to when something is wrong: mailto:… or https://…; Apple's demands
    /// it.
    pub contact: String,
    /// For tests and intranets: endpoints of Web Push may be http, and at addresses that are not public.
    pub allow_private: bool,
    /// Who signs the certificates of push services, in PEM; the system's authorities when empty.
    pub ca_file: PathBuf,
    /// iPhones.
    #[serde(skip_serializing)]
    pub apns: Apns,
    /// Firebase.
    #[serde(skip_serializing)]
    pub fcm: Fcm,
}

impl Default for Wake {
    fn default() -> Self {
        Self {
            devices_per_user: 20,
            origins_per_user: 5,
            interval: Duration::from_secs(10),
            ttl: Duration::from_secs(86_400),
            queue: 10_000,
            concurrency: 32,
            timeout: Duration::from_secs(30),
            contact: String::new(),
            allow_private: false,
            ca_file: PathBuf::new(),
            apns: Apns::default(),
            fcm: Fcm::default(),
        }
    }
}

/// `[wake.apns]`
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Apns {
    /// The key of Apple's developer account, `AuthKey_….p8`; without it, no iPhone can register.
    pub key_file: PathBuf,
    /// The key's id: ten characters.
    pub key_id: String,
    /// The team's id: ten characters.
    pub team_id: String,
    /// The app's bundle id.
    pub topic: String,
    /// The least time between two silent pushes to one iPhone: Apple delivers few an hour.
    #[serde(deserialize_with = "read_duration", serialize_with = "show_duration")]
    pub silent_interval: Duration,
    /// Where pushes go.
    pub url: String,
    /// Where they go for apps that are in development.
    pub development_url: String,
}

impl Default for Apns {
    fn default() -> Self {
        Self {
            key_file: PathBuf::new(),
            key_id: String::new(),
            team_id: String::new(),
            topic: String::new(),
            silent_interval: Duration::from_secs(20 * 60),
            url: "https://api.push.apple.com".to_owned(),
            development_url: "https://api.sandbox.push.apple.com".to_owned(),
        }
    }
}

/// `[wake.fcm]`
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct Fcm {
    /// The key of a service account as Google gives it, in JSON; without it, nothing can register
    /// with fcm.
    pub service_account_file: PathBuf,
    /// Where pushes go.
    pub url: String,
}

impl Default for Fcm {
    fn default() -> Self {
        Self { service_account_file: PathBuf::new(), url: "https://fcm.googleapis.com".to_owned() }
    }
}

impl Wake {
    /// The same, with files found from where the configuration is.
    pub(super) fn beside(mut self, source: &Source) -> Self {
        let files =
            [&mut self.ca_file, &mut self.apns.key_file, &mut self.fcm.service_account_file];
        for file in files.into_iter().filter(|file| !file.as_os_str().is_empty()) {
            *file = source.beside(file);
        }
        self
    }

    /// What the types do not say.
    pub(super) fn check(&self) -> Result<(), String> {
        let contact = self.contact.as_str();
        if !contact.is_empty() && !contact.starts_with("mailto:") && !contact.starts_with("https:")
        {
            return Err("[wake] contact is mailto:someone@example.com or https://…".to_owned());
        }
        let apns = &self.apns;
        let named = [&apns.key_id, &apns.team_id, &apns.topic];
        let key = !apns.key_file.as_os_str().is_empty();
        if key && named.iter().any(|name| name.is_empty()) {
            return Err("[wake.apns] needs key_file, key_id, team_id and topic".to_owned());
        }
        Ok(())
    }
}
