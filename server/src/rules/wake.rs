//! `[[push]]`: what a device that is not there is told of an action.
//!
//! As of `[[merge]]`, expressions see what is stored with the action and nothing else: it may be long
//! since its author was here. One that fails says nothing; a message that cannot be made is a silent
//! poke, because something has come all the same.

use super::Rules;
use super::expression::{Expression, Failure};
use super::pattern::Glob;
use super::reads::Reads;
use super::scope::Scope;
use super::template::Template;
use crate::wake::Message;
use tidelog_protocol::{Action, Meta};

/// All `[[push]]`, in order.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    pub(super) rules: Vec<WakeRule>,
}

/// A compiled `[[push]]`.
#[derive(Debug)]
pub(super) struct WakeRule {
    pub(super) kind: Glob,
    /// What its expressions read of an action.
    pub(super) reads: Reads,
    pub(super) when: Option<Expression>,
    pub(super) how: How,
    pub(super) collapse: Option<Template>,
}

#[derive(Debug)]
pub(super) enum How {
    Nothing,
    Silent,
    /// What is shown, and the same in other languages, by tag.
    Message(Box<Texts>, Vec<(String, Texts)>),
}

/// A message in one language.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) title: Template,
    pub(super) body: Option<Template>,
    pub(super) url: Option<Template>,
}

/// What is told of one action.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'r> {
    Nothing,
    Silent,
    Message(Shown<'r>),
}

/// A message that is not yet in a language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'r> {
    rule: &'r WakeRule,
    texts: &'r Texts,
    languages: &'r [(String, Texts)],
}

impl Rules {
    /// What devices are told of an action. Without any rule: that there is something.
    pub(crate) fn told(&self, action: &Action, meta: &Meta) -> Told<'_> {
        if self.wakes.rules.is_empty() {
            return Told::Silent;
        }
        let fits = |rule: &&WakeRule| {
            rule.kind.matches(action.kind())
                && rule.when.as_ref().is_none_or(|when| {
                    when.truth(&Scope::of_stored(action, meta, &rule.reads)).unwrap_or(false)
                })
        };
        let Some(rule) = self.wakes.rules.iter().find(fits) else { return Told::Nothing };
        match &rule.how {
            How::Nothing => Told::Nothing,
            How::Silent => Told::Silent,
            How::Message(texts, languages) => Told::Message(Shown { rule, texts, languages }),
        }
    }
}

impl Shown<'_> {
    /// The message for who reads `language`; none if it cannot be made.
    pub(crate) fn message(
        &self,
        action: &Action,
        meta: &Meta,
        language: Option<&str>,
    ) -> Option<Message> {
        let scope = Scope::of_stored(action, meta, &self.rule.reads);
        let words = language.and_then(|tag| self.in_language(tag)).unwrap_or(self.texts);
        let render = |template: &Option<Template>| match template {
            Some(template) => text(template, &scope).map(Some),
            None => Ok(None),
        };
        let make = || {
            Ok::<_, Failure>(Message {
                title: text(&words.title, &scope)?,
                body: render(&words.body)?,
                url: render(if words.url.is_some() { &words.url } else { &self.texts.url })?,
                collapse: render(&self.rule.collapse)?,
            })
        };
        let message = make().inspect_err(|failure| {
            tracing::debug!(line = failure.line, reason = failure.reason, "no message can be made");
        });
        message.ok().map(Message::cut).filter(|message| !message.title.is_empty())
    }

    /// The texts of the language that fits `tag` best (RFC 4647, lookup).
    fn in_language(&self, tag: &str) -> Option<&Texts> {
        let mut tag = tag;
        loop {
            if let Some((_, texts)) = self.languages.iter().find(|(known, _)| known == tag) {
                return Some(texts);
            }
            (tag, _) = tag.rsplit_once('-')?;
        }
    }
}

impl WakeRule {
    /// What its expressions read of an action.
    pub(super) fn all_reads(&self) -> Reads {
        let texts: Vec<&Texts> = match &self.how {
            How::Nothing | How::Silent => Vec::new(),
            How::Message(texts, more) => {
                std::iter::once(&**texts).chain(more.iter().map(|(_, texts)| texts)).collect()
            }
        };
        let templates = texts.into_iter().flat_map(|texts| {
            [Some(&texts.title), texts.body.as_ref(), texts.url.as_ref()].into_iter().flatten()
        });
        let templates = templates.chain(&self.collapse);
        let expressions = templates.flat_map(Template::expressions).chain(&self.when);
        let mut reads = Reads::default();
        expressions.for_each(|expression| reads.merge(expression.reads()));
        reads
    }
}

/// The text that `template` stands for; of several, all, with a comma between them.
fn text(template: &Template, scope: &Scope<'_>) -> Result<String, Failure> {
    let mut all = Vec::new();
    template.render(scope, |text| all.push(text.to_owned()))?;
    Ok(all.join(", "))
}
