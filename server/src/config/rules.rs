//! `[[action]]`, `[[channel]]`, `[[sync_map]]` and `[[merge]]` as the file has them; `rules` compiles them.

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
    /// `[[merge]]`, in order.
    pub merges: Vec<MergeRule>,
    /// `[[push]]`, in order.
    pub pushes: Vec<PushRule>,
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
    /// False: in the logs of its channels and users alone, and not in its author's.
    #[serde(default)]
    pub own_log: Option<Spanned<bool>>,
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
    /// Who comes back and missed more actions than this gets what they add up to; where load is
    /// state.
    pub squash: Option<Spanned<usize>>,
}

/// `load` of a `[[channel]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadSetting {
    /// The channel's log.
    Log,
    /// What the log adds up to: its documents, or the items of a `[[sync_map]]`.
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

/// `[[merge]]`
#[derive(Clone, Debug, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct MergeRule {
    /// Glob over the action's type.
    #[serde(rename = "type")]
    #[documented_fields(rename = "type")]
    pub kind: Spanned<String>,
    /// Which of those actions: an expression.
    pub when: Option<Spanned<String>>,
    /// Template of the document's name.
    pub document: Spanned<String>,
    /// Templates of the keys that lead to the place; none for the document itself.
    #[serde(default)]
    pub path: Vec<Spanned<String>>,
    /// Template of the operation, such as set/add.
    pub operation: Spanned<String>,
    /// What is written, added or removed: an expression.
    pub value: Option<Spanned<String>>,
    /// Several of them: an expression.
    pub values: Option<Spanned<String>>,
    /// By how much a counter changes: an expression.
    pub by: Option<Spanned<String>>,
    /// Fields of a record: an expression.
    pub fields: Option<Spanned<String>>,
    /// What comes into a text: an expression.
    pub text: Option<Spanned<String>>,
    /// The element of a list or text: an expression.
    pub element: Option<Spanned<String>>,
    /// Several of them: an expression.
    pub elements: Option<Spanned<String>>,
    /// The element that what comes in follows: an expression.
    pub after: Option<Spanned<String>>,
    /// The element that it precedes: an expression.
    pub before: Option<Spanned<String>>,
}

impl MergeRule {
    /// The fields of the operation that are expressions, by name.
    pub fn expressions(&self) -> impl Iterator<Item = (&'static str, &Spanned<String>)> {
        let all = [
            ("value", &self.value),
            ("values", &self.values),
            ("by", &self.by),
            ("fields", &self.fields),
            ("text", &self.text),
            ("element", &self.element),
            ("elements", &self.elements),
            ("after", &self.after),
            ("before", &self.before),
        ];
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)))
    }
}

/// `[[push]]`
#[derive(Clone, Debug, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct PushRule {
    /// Glob over the action's type.
    #[serde(rename = "type")]
    #[documented_fields(rename = "type")]
    pub kind: Spanned<String>,
    /// Which of those actions: an expression.
    pub when: Option<Spanned<String>>,
    /// What devices that are not there are told: nothing, silent or message.
    pub how: Spanned<PushHow>,
    /// Template of what a message is headed with.
    pub title: Option<Spanned<String>>,
    /// Template of what it says.
    pub body: Option<Spanned<String>>,
    /// Template of where a click leads.
    pub url: Option<Spanned<String>>,
    /// Template of a name: the next message of the same name takes the place of one not yet delivered.
    pub collapse: Option<Spanned<String>>,
    /// The same in other languages.
    #[serde(default)]
    pub language: Vec<PushLanguage>,
}

/// `how` of a `[[push]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushHow {
    /// They find out when they come by themselves.
    Nothing,
    /// The device is woken, and the user is shown nothing.
    Silent,
    /// The user is shown a message.
    Message,
}

/// `[[push.language]]`
#[derive(Clone, Debug, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct PushLanguage {
    /// The language: de is for de-AT, too.
    pub tag: String,
    /// Template of what a message is headed with.
    pub title: Spanned<String>,
    /// Template of what it says.
    pub body: Option<Spanned<String>>,
    /// Template of where a click leads; that of the rule when left out.
    pub url: Option<Spanned<String>>,
}
