//! `[[action]]`, `[[channel]]` and `[[sync_map]]` as the file has them; `rules` compiles them.

use super::source::Source;
use documented::DocumentedFields;
use serde::Deserialize;
use toml::Spanned;

/// The rules of a file, not yet compiled.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// `[[action]]`, in order.
    pub actions: Vec<ActionRule>,
    /// `[[channel]]`, in order.
    pub channels: Vec<ChannelRule>,
    /// `[[sync_map]]`
    pub sync_maps: Vec<SyncMapRule>,
    /// Where they stand, for the lines of errors.
    pub source: Source,
}

/// `[[action]]`
#[derive(Clone, Debug, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct ActionRule {
    /// Glob over the action's type.
    #[serde(rename = "type")]
    #[documented_fields(rename = "type")]
    pub kind: Spanned<String>,
    /// Who may: an expression.
    pub allow: Option<Spanned<String>>,
    /// Templates of channels it goes to.
    #[serde(default)]
    pub channels: Vec<Spanned<String>>,
    /// Templates of users it goes to, beside its author.
    #[serde(default)]
    pub users: Vec<Spanned<String>>,
    /// Templates of clients it goes to, live.
    #[serde(default)]
    pub clients: Vec<Spanned<String>>,
    /// Templates of nodes it goes to, live.
    #[serde(default)]
    pub nodes: Vec<Spanned<String>>,
    /// False: live only, not stored.
    #[serde(default = "yes")]
    pub keep: bool,
}

fn yes() -> bool {
    true
}

/// `[[channel]]`
#[derive(Clone, Debug, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct ChannelRule {
    /// The channel's name, with `:name` for a part that varies.
    pub pattern: Spanned<String>,
    /// Who may subscribe: an expression.
    pub allow: Option<Spanned<String>>,
    /// What a new subscriber gets.
    pub load: Option<Spanned<LoadSetting>>,
}

/// `load` of a `[[channel]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadSetting {
    /// The channel's log.
    Log,
    /// The items of a `[[sync_map]]` as they are.
    State,
    /// Nothing.
    None,
}

/// `[[sync_map]]`
#[derive(Clone, Debug, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct SyncMapRule {
    /// Prefix of its action types, and name of its channel.
    pub name: Spanned<String>,
    /// Who may write: an expression.
    pub allow: Option<Spanned<String>>,
    /// Who may subscribe: an expression.
    pub subscribe: Option<Spanned<String>>,
}
