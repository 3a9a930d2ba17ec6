//! The configuration: one typed value from flags, environment, file and defaults.
//!
//! Flags and their `TIDELOG_…` variables win over the file, the file over the defaults. Nothing
//! else in the server reads the environment, but for a secret that `secret_env` names.

mod admission;
mod auth;
mod compaction;
mod jwks;
mod memory;
mod proxies;
mod quantity;
mod reference;
mod rules;
mod settings;
mod source;
mod tls;
mod upstream;
mod user_log;
mod wake;

pub use admission::Admission;
pub use auth::{Algorithm, Auth, Jwt, KeySource};
pub use compaction::Compaction;
pub use jwks::Jwks;
pub use proxies::ProxyHeader;
pub use quantity::{bytes, duration};
pub use reference::{Setting, reference, server_setting};
pub use rules::{
    ActionRule, ChannelRule, LoadSetting, MergeRule, PushHow, PushLanguage, PushRule, RuleSettings,
    SyncMapRule,
};
pub use settings::{Cors, Limits, LogSettings, Server};
pub use source::{ConfigError, Source};
pub use tls::Tls;
pub use upstream::Upstream;
pub use user_log::UserLog;
pub use wake::{Apns, Fcm, Wake};

use crate::cli::ServeArgs;
use std::path::{Path, PathBuf};

/// The file that is read when none is named, if it exists.
pub const FILE: &str = "tidelog.toml";

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// `--dev`: loopback only, any token signs in.
    pub dev: bool,
    /// `[server]`
    pub server: Server,
    /// `[tls]`
    pub tls: Option<Tls>,
    /// `[auth]` and `[[auth.jwt]]`
    pub auth: Auth,
    /// `[limits]`
    pub limits: Limits,
    /// `[admission]`
    pub admission: Admission,
    /// `[cors]`
    pub cors: Cors,
    /// `[log]`
    pub log: LogSettings,
    /// `[compaction]`
    pub compaction: Compaction,
    /// `[user_log]`
    pub user_log: UserLog,
    /// `[wake]`
    pub wake: Wake,
    /// `[upstream]`
    pub upstream: Upstream,
    /// `[[action]]`, `[[channel]]`, `[[sync_map]]`, `[[merge]]` and `[[push]]`
    pub rules: RuleSettings,
}

/// The file as TOML has it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    server: Server,
    tls: tls::TlsTable,
    auth: auth::AuthTable,
    limits: Limits,
    admission: Admission,
    cors: Cors,
    log: LogSettings,
    compaction: Compaction,
    user_log: UserLog,
    wake: Wake,
    upstream: Upstream,
    action: Vec<ActionRule>,
    channel: Vec<ChannelRule>,
    sync_map: Vec<SyncMapRule>,
    merge: Vec<MergeRule>,
    push: Vec<PushRule>,
}

impl Config {
    /// What `serve` runs with. Refuses what must not run: `--dev` in reach of others, a server
    /// that nobody can sign in to.
    pub fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let config = Self::told(args)?;
        config.refuse_to_serve()?;
        Ok(config)
    }

    /// What flags, environment and file say together, without asking whether a server could run with
    /// it.
    pub(crate) fn told(args: &ServeArgs) -> Result<Self, ConfigError> {
        let mut config = Self::find(args.config.as_deref())?;
        config.dev = args.dev.unwrap_or(config.dev);
        if let Some(listen) = args.listen {
            config.server.listen = listen;
        }
        if let Some(data) = &args.data {
            config.server.data.clone_from(data);
        }
        let tls = (args.tls_cert.as_deref(), args.tls_key.as_deref());
        config.tls = Tls::overruled(config.tls.take(), tls.0, tls.1)
            .map_err(|reason| config.refused(reason))?;
        if let Some(trace) = &args.trace {
            config.server.trace.clone_from(trace);
        }
        if let Some(url) = &args.upstream {
            config.upstream.url.clone_from(url);
        }
        if let Some(name) = &args.replica {
            config.upstream.replica.clone_from(name);
        }
        if let Some(file) = &args.upstream_token_file {
            config.upstream.token_file.clone_from(file);
        }
        config.server.trace_json = args.trace_json.unwrap_or(config.server.trace_json);
        config.check()?;
        Ok(config)
    }

    /// The file that is named, or the one in the working directory, or else the defaults.
    pub fn find(named: Option<&Path>) -> Result<Self, ConfigError> {
        match named {
            Some(file) => Self::read(file),
            None if Path::new(FILE).exists() => Self::read(Path::new(FILE)),
            None => Self::parse(Source::none()),
        }
    }

    /// Reads a file, without asking whether a server could run with it.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|error| ConfigError::File {
            file: file.to_owned(),
            reason: format!("cannot be read: {error}"),
        })?;
        Self::parse(Source::new(file, text))
    }

    /// Reads the text of a file.
    pub fn parse(source: Source) -> Result<Self, ConfigError> {
        let document: Document = toml::from_str(source.text()).map_err(|error| {
            source.error(error.span().unwrap_or_default(), error.message().trim_end())
        })?;
        let (mut limits, mut log) = (document.limits, document.log);
        // It was read a moment ago.
        let told = toml::from_str(source.text()).unwrap_or_default();
        memory::share(&mut limits, &mut log, &told).map_err(|reason| source.refused(&reason))?;
        let mut server = document.server;
        server.data = source.beside(&server.data);
        let tls = document.tls.check(&source).map_err(|reason| source.refused(reason))?;
        let config = Self {
            file: source.file().map(Path::to_owned),
            dev: server.dev,
            server,
            tls,
            auth: document.auth.check(&source)?,
            limits,
            admission: document.admission,
            cors: document.cors,
            log,
            compaction: document.compaction,
            user_log: document.user_log,
            wake: document.wake.beside(&source),
            upstream: document.upstream.beside(&source),
            rules: RuleSettings {
                actions: document.action,
                channels: document.channel,
                sync_maps: document.sync_map,
                merges: document.merge,
                pushes: document.push,
                source,
            },
        };
        config.check()?;
        Ok(config)
    }

    /// What TOML's types do not say.
    fn check(&self) -> Result<(), ConfigError> {
        let refused = |reason: String| Err(self.refused(&reason));
        let (current, minimum) = (self.server.subprotocol, self.server.min_subprotocol);
        // Without a version of its own the server takes each client's.
        if current != 0 && minimum > current {
            return refused(format!(
                "[server] min_subprotocol ({minimum}) is above subprotocol ({current})"
            ));
        }
        if self.limits.ping >= self.limits.timeout {
            return refused("[limits] ping has to be shorter than timeout".to_owned());
        }
        if let Err(reason) = crate::trace::levels(&self.server.trace) {
            return refused(format!("[server] trace: {reason}"));
        }
        self.admission.check().or_else(refused)?;
        self.cors.check().or_else(refused)?;
        self.wake.check().or_else(refused)?;
        self.upstream.check().or_else(refused)?;
        self.user_log.check().or_else(refused)
    }

    pub(crate) fn refuse_to_serve(&self) -> Result<(), ConfigError> {
        let listen = self.server.listen;
        if self.dev && !listen.ip().to_canonical().is_loopback() {
            return Err(self.refused(&format!(
                "--dev lets anyone sign in as anyone, so it listens on loopback only, \
                 and {listen} is not: use --listen 127.0.0.1:{}, or leave --dev out",
                listen.port()
            )));
        }
        if !self.dev && self.auth.jwt.is_empty() && self.auth.anonymous.is_empty() {
            return Err(self.refused(NOBODY_CAN_SIGN_IN));
        }
        Ok(())
    }

    fn refused(&self, reason: &str) -> ConfigError {
        self.rules.source.refused(reason)
    }
}

const NOBODY_CAN_SIGN_IN: &str = r#"nobody could sign in: no authenticator is configured.

To develop, on this machine only, with any token:

    tidelog serve --dev

To serve, put this into tidelog.toml and make a secret with `openssl rand -base64 48 > secret.key`:

    [[auth.jwt]]
    algorithms  = ["HS256"]
    secret_file = "secret.key"

Then `tidelog token --config tidelog.toml --user 10` prints a token to sign in with."#;

#[cfg(test)]
mod tests;
