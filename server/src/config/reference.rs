//! Every setting with its default and its meaning, from the types that the parser fills.

use super::admission::Admission;
use super::auth::{AuthTable, JwtTable};
use super::compaction::Compaction;
use super::jwks::Jwks;
use super::rules::{ActionRule, ChannelRule, MergeRule, PushLanguage, PushRule, SyncMapRule};
use super::settings::{Cors, Limits, LogSettings, Server};
use super::tls::TlsTable;
use super::upstream::Upstream;
use super::user_log::UserLog;
use super::wake::{Apns, Fcm, Wake};
use documented::DocumentedFields;
use serde::Serialize;
use std::fmt::Write as _;
use toml::Value;

/// A key of the file.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it has when nothing is said.
    pub default: Value,
    /// What it means, in one line.
    pub meaning: String,
}

/// The setting of `[server]` called `name`, for the help of the flag that is called the same.
pub fn server_setting(name: &str) -> Option<Setting> {
    settings(&Server::default()).into_iter().find(|setting| setting.name == name)
}

/// A configuration file that says what is so anyway, and explains it.
pub fn reference() -> String {
    let mut text = String::new();
    section(&mut text, "server", &Server::default());
    section(&mut text, "auth", &AuthTable::default());
    section(&mut text, "auth.jwks", &Jwks::default());
    section(&mut text, "limits", &Limits::default());
    section(&mut text, "admission", &Admission::default());
    section(&mut text, "cors", &Cors::default());
    section(&mut text, "log", &LogSettings::default());
    section(&mut text, "compaction", &Compaction::default());
    section(&mut text, "user_log", &UserLog::default());
    section(&mut text, "upstream", &Upstream::default());
    section(&mut text, "wake", &Wake::default());
    section(&mut text, "wake.apns", &Apns::default());
    section(&mut text, "wake.fcm", &Fcm::default());
    table::<TlsTable>(&mut text, "[tls]");
    table::<JwtTable>(&mut text, "[[auth.jwt]]");
    table::<ActionRule>(&mut text, "[[action]]");
    table::<ChannelRule>(&mut text, "[[channel]]");
    table::<SyncMapRule>(&mut text, "[[sync_map]]");
    table::<MergeRule>(&mut text, "[[merge]]");
    table::<PushRule>(&mut text, "[[push]]");
    table::<PushLanguage>(&mut text, "[[push.language]]");
    text
}

fn settings<T: Serialize + DocumentedFields>(defaults: &T) -> Vec<Setting> {
    // Plain settings always are a table; a test compares what comes out with what is read.
    let mut values = toml::Table::try_from(defaults).unwrap_or_default();
    let documented = T::FIELD_NAMES.iter().zip(T::FIELD_DOCS);
    let with_default = documented.filter_map(|(name, meaning)| {
        let default = values.remove(*name)?;
        Some(Setting { name, default, meaning: one_line(meaning) })
    });
    with_default.collect()
}

fn section<T: Serialize + DocumentedFields>(text: &mut String, name: &str, defaults: &T) {
    let settings = settings(defaults);
    let keys = settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    let values = settings.iter().map(|setting| setting.default.to_string().len());
    let values = values.filter(|length| *length < 24).max().unwrap_or_default();
    // Writing to a string does not fail.
    let _ = writeln!(text, "[{name}]");
    for Setting { name, default, meaning } in settings {
        let default = default.to_string();
        let _ = writeln!(text, "{name:keys$} = {default:values$}  # {meaning}");
    }
    text.push('\n');
}

/// What may be left out, or stand several times, has no defaults to show.
fn table<T: DocumentedFields>(text: &mut String, header: &str) {
    let keys = T::FIELD_NAMES.iter().map(|name| name.len()).max().unwrap_or_default();
    let end = if text.ends_with("\n\n") { "" } else { "\n" };
    let _ = writeln!(text, "{end}# {header}");
    for (name, meaning) in T::FIELD_NAMES.iter().zip(T::FIELD_DOCS) {
        let _ = writeln!(text, "# {name:keys$} = …  # {}", one_line(meaning));
    }
}

fn one_line(meaning: &str) -> String {
    let line = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').replace('`', "")
}
