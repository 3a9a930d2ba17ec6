//! `[[merge]]`, and what is wrong with one before any action comes.

use super::super::check::Names;
use super::super::expression::Expression;
use super::super::merge::{Merge, Merges, as_operation, has_own_meaning};
use super::super::pattern::Glob;
use super::super::reads::Reads;
use super::super::template::Template;
use super::Compiler;
use crate::config::{ConfigError, MergeRule, RuleSettings, UserLog};
use serde_json::{Value, json};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hash;
use tidelog_crdt::{DocumentName, Operation, Path};
use toml::Spanned;

/// Another number when rules of the same text come to mean other operations.
const MEANING: u8 = 1;

impl Compiler<'_> {
    /// All `[[merge]]`.
    pub(super) fn merges(
        &self,
        settings: &RuleSettings,
        own: &UserLog,
    ) -> Result<Merges, ConfigError> {
        let rules = settings.merges.iter().map(|rule| self.merge(rule));
        let fingerprint = fingerprint(settings);
        let mut hasher = SipHasher24::new();
        (fingerprint, &own.state).hash(&mut hasher);
        let folding = hasher.finish128().as_u128();
        Ok(Merges { rules: rules.collect::<Result<_, _>>()?, fingerprint, folding })
    }

    fn merge(&self, rule: &MergeRule) -> Result<Merge, ConfigError> {
        let kind = rule.kind.get_ref();
        if kind.is_empty() || has_own_meaning(kind) {
            let reason = "type is a glob over action types of your own, such as \"cart/*\"; those of \
                          Logux and crdt/… have their meaning";
            return Err(self.error(&rule.kind, reason));
        }
        let when = rule.when.as_ref().map(|text| self.of_stored(text)).transpose()?;
        let fields = rule.expressions().map(|(name, text)| Ok((name, self.of_stored(text)?)));
        let mut merge = Merge {
            kind: Glob::new(kind),
            reads: Reads::default(),
            when,
            document: self.template_of_stored(&rule.document)?,
            path: rule
                .path
                .iter()
                .map(|key| self.template_of_stored(key))
                .collect::<Result<_, _>>()?,
            operation: self.template_of_stored(&rule.operation)?,
            fields: fields.collect::<Result<_, ConfigError>>()?,
        };
        self.check_fixed(rule, &merge)?;
        merge.reads = reads(&merge);
        Ok(merge)
    }

    fn of_stored(&self, text: &Spanned<String>) -> Result<Expression, ConfigError> {
        let line = self.source.value_line(&text.span());
        Expression::compile(&self.env, text.get_ref(), line, &only_stored())
            .map_err(|fault| self.fault(line, fault))
    }

    fn template_of_stored(&self, text: &Spanned<String>) -> Result<Template, ConfigError> {
        let line = self.source.value_line(&text.span());
        Template::compile(&self.env, text.get_ref(), line, &only_stored())
            .map_err(|fault| self.fault(line, fault))
    }

    /// What is the same for every action is wrong for all of them.
    fn check_fixed(&self, rule: &MergeRule, merge: &Merge) -> Result<(), ConfigError> {
        if let Some(name) = merge.document.fixed() {
            DocumentName::new(name).map_err(|fault| self.error(&rule.document, fault.reason))?;
        }
        for (template, key) in merge.path.iter().zip(&rule.path) {
            let fixed = Path::new(template.fixed());
            fixed.map_err(|fault| self.error(key, fault.reason))?;
        }
        let Some(name) = merge.operation.fixed() else { return Ok(()) };
        let samples = rule.expressions().map(|(field, _)| (field.to_owned(), sample(field)));
        let operation = Operation::parse(name, &samples.collect())
            .map_err(|fault| self.error(&rule.operation, as_operation(fault).to_string()))?;
        let known = operation.fields();
        for (field, text) in rule.expressions() {
            if !known.contains_key(field) && !known.contains_key(&format!("{field}s")) {
                return Err(self.error(text, format!("{name} has no {field}")));
            }
        }
        Ok(())
    }
}

fn only_stored() -> Names<'static> {
    Names { only_stored: true, ..Names::default() }
}

/// Something that `field` of any operation can be.
fn sample(field: &str) -> Value {
    match field {
        "values" => json!([1]),
        "fields" => json!({}),
        "text" => json!("a"),
        "element" | "after" | "before" => json!("1 1:a:a 0"),
        "elements" => json!(["1 1:a:a 0"]),
        _ => json!(1),
    }
}

/// What the expressions of `merge` read of an action.
fn reads(merge: &Merge) -> Reads {
    let templates = merge.path.iter().chain([&merge.document, &merge.operation]);
    let expressions = templates.flat_map(Template::expressions).chain(&merge.when);
    let mut reads = Reads::default();
    for expression in expressions.chain(merge.fields.iter().map(|(_, expression)| expression)) {
        reads.merge(expression.reads());
    }
    reads
}

/// What folds depend on: the rules as they are written, in their order.
fn fingerprint(settings: &RuleSettings) -> u128 {
    let mut hasher = SipHasher24::new();
    MEANING.hash(&mut hasher);
    let text = |text: &Spanned<String>| text.get_ref().clone();
    for rule in &settings.merges {
        let path: Vec<_> = rule.path.iter().map(text).collect();
        let fields: Vec<_> = rule.expressions().map(|(name, it)| (name, text(it))).collect();
        let of = [&rule.kind, &rule.document, &rule.operation].map(text);
        (of, rule.when.as_ref().map(text), path, fields).hash(&mut hasher);
    }
    let maps: Vec<_> = settings.sync_maps.iter().map(|map| text(&map.name)).collect();
    maps.hash(&mut hasher);
    hasher.finish128().as_u128()
}
