//! Templates of addresses: text with `{expressions}`.

use super::check::Names;
use super::expression::{Expression, Failure, Fault};
use super::scope::Scope;
use cel::Env;
use std::sync::Arc;

/// A text with expressions in it.
#[derive(Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Expression(Expression),
}

impl Template {
    /// Compiles `text`, which stands on `line`. `{{` and `}}` are braces that are meant.
    pub(super) fn compile(
        env: &Arc<Env>,
        text: &str,
        line: usize,
        names: &Names<'_>,
    ) -> Result<Self, Fault> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            let below = below(text, brace);
            let fault = |reason: &str| Fault { line: below, reason: reason.to_owned() };
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.push_str(brace.get(..1).unwrap_or_default());
                rest = after;
                continue;
            }
            let Some(inside) = brace.strip_prefix('{') else {
                return Err(fault("a } without its {; write }} for a brace that is meant"));
            };
            let end = end_of_expression(inside)
                .ok_or_else(|| fault("a { without its }; write {{ for a brace that is meant"))?;
            let (expression, after) = inside.split_at(end);
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            let compiled = Expression::compile(env, expression, line + below, names)
                .map_err(|fault| Fault { line: fault.line + below, ..fault })?;
            parts.push(Part::Expression(compiled));
            rest = after.get(1..).unwrap_or_default();
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// The text, when it has no expressions.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Gives each text that it stands for to `take`: one, or as many as the list has when it is
    /// nothing but an expression that evaluates to a list.
    pub(super) fn render(
        &self,
        scope: &Scope<'_>,
        mut take: impl FnMut(&str),
    ) -> Result<(), Failure> {
        if let [Part::Expression(expression)] = self.parts.as_slice() {
            return expression.texts(scope, take);
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Expression(part) => text.push_str(&part.text(scope)?),
            }
        }
        take(&text);
        Ok(())
    }
}

/// How many line breaks of `text` are before its tail `rest`.
fn below(text: &str, rest: &str) -> usize {
    let before = text.len() - rest.len();
    text.bytes().take(before).filter(|&byte| byte == b'\n').count()
}

/// Where the `}` is that ends an expression: not one in a string, nor that of a map.
fn end_of_expression(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let mut taken = next.len_utf8();
        match next {
            '\'' | '"' => {
                let before = text.get(..text.len() - rest.len()).unwrap_or_default();
                taken = string_length(rest, is_raw(before))?;
            }
            '{' => depth += 1,
            '}' if depth == 0 => return Some(text.len() - rest.len()),
            '}' => depth -= 1,
            _ => {}
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    None
}

/// Whether the string that comes after `before` is raw: `r'…'`, `bR"…"`.
fn is_raw(before: &str) -> bool {
    let prefix = before.trim_end_matches(['r', 'R', 'b', 'B']);
    let marks = before.get(prefix.len()..).unwrap_or_default();
    let is_name = prefix.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    !is_name && marks.len() <= 2 && marks.contains(['r', 'R'])
}

/// The length of the string literal that `text` starts with, its quotes included.
fn string_length(text: &str, raw: bool) -> Option<usize> {
    let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| text.starts_with(quote))?;
    let mut at = quote.len();
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with(quote) {
            return Some(at + quote.len());
        }
        let next = rest.chars().next()?;
        at += next.len_utf8();
        if next == '\\' && !raw {
            at += rest.chars().nth(1)?.len_utf8();
        }
    }
}
