//! `tidelog doc`: a document as it is, and why, from a running server and from a stopped store alike.

mod text;

use crate::admin::{self, Request};
use crate::app::App;
use crate::cli::DocArgs;
use crate::clock;
use crate::config::Config;
use crate::documents::{Account, Documents};
use crate::log::{Channel, Log, LogName, Settings};
use crate::rules::Rules;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;
use tidelog_crdt::{DocumentName, Path, Position};
use tidelog_protocol::UserId;

/// Which document, and what of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    document: String,
    #[serde(flatten)]
    of: Whose,
    /// The keys of the place whose account is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<Value>,
}

/// In whose log a document is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Whose {
    User(String),
    Channel(String),
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    document: String,
    #[serde(flatten)]
    of: Whose,
    /// The position up to which the log was folded.
    through: Position,
    /// The last entry that is in the document.
    changed: Position,
    value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<Account>,
}

impl Whose {
    fn log(&self) -> anyhow::Result<LogName> {
        Ok(match self {
            Self::User(user) => {
                let id = UserId::new(user);
                LogName::User(id.with_context(|| format!("{user:?} is no user id"))?)
            }
            Self::Channel(channel) => {
                let name = Channel::new(channel);
                LogName::Channel(name.with_context(|| format!("{channel:?} is no channel"))?)
            }
        })
    }
}

impl Question {
    fn of(args: &DocArgs) -> anyhow::Result<Self> {
        let of = match (&args.user, &args.channel) {
            (Some(user), _) => Whose::User(user.clone()),
            (None, Some(channel)) => Whose::Channel(channel.clone()),
            (None, None) => anyhow::bail!("say whose document it is: --user or --channel"),
        };
        let why = args.why.as_deref().map(keys).transpose()?;
        Ok(Self { document: args.name.clone(), of, why })
    }

    fn answer(self, documents: &Documents) -> anyhow::Result<Answer> {
        let name = DocumentName::new(&self.document)?;
        let log = self.of.log()?;
        let read = documents.read(&log, &name)?;
        let why = self.why.as_ref().map(|keys| {
            let path = Path::parse(Some(keys))?;
            anyhow::Ok(documents.why(&log, &name, &path)?)
        });
        Ok(Answer {
            document: self.document,
            of: self.of,
            through: read.through,
            changed: read.changed,
            value: read.value,
            why: why.transpose()?,
        })
    }
}

/// Keys as they are typed: separated by slashes, or, where a key has one itself, as a JSON array.
fn keys(typed: &str) -> anyhow::Result<Value> {
    let keys = if typed.starts_with('[') {
        serde_json::from_str(typed).context("a path that begins with [ is a JSON array of keys")?
    } else {
        typed.split('/').filter(|key| !key.is_empty()).map(Value::from).collect()
    };
    Path::parse(Some(&keys))?;
    Ok(keys)
}

/// Answers from a running server, in one line.
pub(crate) async fn answer_live(app: &App, question: Question) -> anyhow::Result<String> {
    let app = app.clone();
    let answering = tokio::task::spawn_blocking(move || question.answer(&app.documents));
    Ok(format!("{}\n", serde_json::to_string(&answering.await??)?))
}

/// `tidelog doc`
pub fn run(args: &DocArgs) -> anyhow::Result<()> {
    let (question, data) = (Question::of(args)?, args.store.data()?);
    let answer = if let Some(server) = admin::connect(&data) {
        let answer = admin::ask_all(server, &Request::Doc(question))?;
        serde_json::from_str(&answer).context("the server's answer is not understood")?
    } else {
        let settings = Settings { read_only: true, ..Settings::new(data.clone()) };
        let (log, _) = Log::open(settings, clock::now_ms())?;
        let rules = Arc::new(Rules::compile(&Config::find(args.store.config.as_deref())?)?);
        let saved = data.join("index").join("documents");
        question.answer(&Documents::new(log, rules, saved)?)?
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else {
        out.write_all(answer.text().as_bytes())?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_is_typed_with_slashes_or_as_json() {
        for (typed, expected) in [
            ("", json!([])),
            ("/", json!([])),
            ("items/sku-1", json!(["items", "sku-1"])),
            (r#"["a/b",""]"#, json!(["a/b", ""])),
        ] {
            assert_eq!(keys(typed).unwrap(), expected, "{typed}");
        }
        for wrong in ["[", "[1]", "[\"a\"] b"] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }
}
