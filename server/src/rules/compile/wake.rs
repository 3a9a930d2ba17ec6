//! `[[push]]`, and what is wrong with one before any action comes.

use super::super::check::Names;
use super::super::expression::Expression;
use super::super::pattern::Glob;
use super::super::reads::Reads;
use super::super::template::Template;
use super::super::wake::{How, Texts, WakeRule, Wakes};
use super::Compiler;
use crate::config::{ConfigError, PushHow, PushRule, RuleSettings};
use toml::Spanned;

impl Compiler<'_> {
    /// All `[[push]]`.
    pub(super) fn wakes(&self, settings: &RuleSettings) -> Result<Wakes, ConfigError> {
        let rules = settings.pushes.iter().map(|rule| self.wake(rule));
        Ok(Wakes { rules: rules.collect::<Result<_, _>>()? })
    }

    fn wake(&self, rule: &PushRule) -> Result<WakeRule, ConfigError> {
        if rule.kind.get_ref().is_empty() {
            let reason = "type is a glob over action types, such as \"chat/*\"";
            return Err(self.error(&rule.kind, reason));
        }
        let when = rule.when.as_ref().map(|text| self.pushed(text)).transpose()?;
        let (title, body, url) = (&rule.title, &rule.body, &rule.url);
        let how = match rule.how.get_ref() {
            PushHow::Message => {
                let Some(title) = title else {
                    let reason = "a message has a title: title = \"…\"";
                    return Err(self.error(&rule.how, reason));
                };
                let mut languages = Vec::new();
                for text in &rule.language {
                    let of = self.texts(&text.title, text.body.as_ref(), text.url.as_ref())?;
                    languages.push((text.tag.to_ascii_lowercase(), of));
                }
                let texts = self.texts(title, body.as_ref(), url.as_ref())?;
                How::Message(Box::new(texts), languages)
            }
            how => {
                let texts = [title, body, url, &rule.collapse];
                if let Some(text) = texts.into_iter().flatten().next() {
                    let reason = "only how = \"message\" shows something";
                    return Err(self.error(text, reason));
                }
                if *how == PushHow::Silent { How::Silent } else { How::Nothing }
            }
        };
        let collapse = rule.collapse.as_ref().map(|text| self.pushed_template(text)).transpose()?;
        let mut compiled = WakeRule {
            kind: Glob::new(rule.kind.get_ref()),
            reads: Reads::default(),
            when,
            how,
            collapse,
        };
        compiled.reads = compiled.all_reads();
        Ok(compiled)
    }

    fn texts(
        &self,
        title: &Spanned<String>,
        body: Option<&Spanned<String>>,
        url: Option<&Spanned<String>>,
    ) -> Result<Texts, ConfigError> {
        Ok(Texts {
            title: self.pushed_template(title)?,
            body: body.map(|text| self.pushed_template(text)).transpose()?,
            url: url.map(|text| self.pushed_template(text)).transpose()?,
        })
    }

    fn pushed(&self, text: &Spanned<String>) -> Result<Expression, ConfigError> {
        let line = self.source.value_line(&text.span());
        let names = Names { only_stored: true, ..Names::default() };
        Expression::compile(&self.env, text.get_ref(), line, &names)
            .map_err(|fault| self.fault(line, fault))
    }

    fn pushed_template(&self, text: &Spanned<String>) -> Result<Template, ConfigError> {
        let line = self.source.value_line(&text.span());
        let names = Names { only_stored: true, ..Names::default() };
        Template::compile(&self.env, text.get_ref(), line, &names)
            .map_err(|fault| self.fault(line, fault))
    }
}
