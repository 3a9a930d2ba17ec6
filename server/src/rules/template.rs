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
        let mut rest = text;
        while !rest.is_empty() {
            let below = below(text, rest);
            let (piece, after) = first_piece(rest)
                .map_err(|reason| Fault { line: below, reason: reason.to_owned() })?;
            match piece {
                Piece::Text(text) => add_text(&mut parts, text),
                Piece::Expression(expression) => {
                    let compiled = Expression::compile(env, expression, line + below, names)
                        .map_err(|fault| Fault { line: fault.line + below, ..fault })?;
                    parts.push(Part::Expression(compiled));
                }
            }
            rest = after;
        }
        if parts.is_empty() {
            parts.push(Part::Text(String::new()));
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

    /// Its expressions.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Expression(expression) => Some(expression),
        })
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

/// Text that stands next to text is one part.
fn add_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        Some(Part::Text(before)) => before.push_str(text),
        Some(Part::Expression(_)) | None => parts.push(Part::Text(text.to_owned())),
    }
}

/// A piece of a template as it is written.
enum Piece<'t> {
    Text(&'t str),
    Expression(&'t str),
}

/// The piece that `text` starts with, and what follows it; or what is wrong with it.
fn first_piece(text: &str) -> Result<(Piece<'_>, &str), &'static str> {
    let (before, brace) = text.split_at(text.find(['{', '}']).unwrap_or(text.len()));
    if !before.is_empty() {
        return Ok((Piece::Text(before), brace));
    }
    if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
        return Ok((Piece::Text(brace.get(..1).unwrap_or_default()), after));
    }
    let inside =
        brace.strip_prefix('{').ok_or("a } without its {; write }} for a brace that is meant")?;
    let end =
        end_of_expression(inside).ok_or("a { without its }; write {{ for a brace that is meant")?;
    let (expression, after) = inside.split_at(end);
    Ok((Piece::Expression(expression), after.get(1..).unwrap_or_default()))
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
