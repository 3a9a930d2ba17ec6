//! One expression: compiled and checked once, evaluated per action.
//!
//! The only place, with `check`, `scope` and `value`, that knows CEL.

use super::check::{Check, Names};
use super::meter::meter;
use super::reads::Reads;
use super::scope::Scope;
use super::value;
use cel::common::ast::{Expr, LiteralValue};
use cel::common::types::{CelBool, CelList, CelString};
use cel::common::value::Val;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Longer expressions are refused: nobody reads them, and their cost grows with them.
const LENGTH_MAX: usize = 4096;

/// An expression that compiled.
pub(super) struct Expression {
    compiled: IdedExpr,
    reads: Reads,
    env: Arc<Env>,
    line: usize,
}

/// Why an expression does not compile.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// How many lines below the first one.
    pub(super) line: usize,
    pub(super) reason: String,
}

/// Why an expression has no answer. It says nothing of the values, which are a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) line: usize,
    pub(super) reason: &'static str,
    /// It would have cost more than an expression may.
    pub(super) costly: bool,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression(line {})", self.line)
    }
}

impl Expression {
    /// Compiles `text`, which stands on `line` and may use `names`.
    pub(super) fn compile(
        env: &Arc<Env>,
        text: &str,
        line: usize,
        names: &Names<'_>,
    ) -> Result<Self, Fault> {
        let fault = |line, reason: String| Fault { line, reason };
        if text.len() > LENGTH_MAX {
            let reason = format!("the expression is longer than {LENGTH_MAX} bytes");
            return Err(fault(0, reason));
        }
        let mut compiled = env.parser().parse(text).map_err(|errors| {
            let first = errors.errors.first();
            let below = first.and_then(|it| usize::try_from(it.pos.0 - 1).ok()).unwrap_or(0);
            let reason = first.map_or("not an expression", |it| it.msg.as_str());
            fault(below, format!("in the expression {}: {reason}", quote(text)))
        })?;
        Check::new(env, names)
            .expression(&compiled)
            .map_err(|reason| fault(0, format!("in the expression {}: {reason}", quote(text))))?;
        let reads = Reads::of(&compiled);
        meter(&mut compiled);
        Ok(Self { compiled, reads, env: Arc::clone(env), line })
    }

    /// What it reads of an action.
    pub(super) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether it is `true` as it stands, so that there is nothing to evaluate.
    pub(super) fn is_true(&self) -> bool {
        let Expr::Literal(LiteralValue::Boolean(value)) = &self.compiled.expr else {
            return false;
        };
        *value.inner()
    }

    /// Evaluates to a truth value.
    pub(super) fn truth(&self, scope: &Scope<'_>) -> Result<bool, Failure> {
        self.read(scope, |value| {
            let value = value.downcast_ref::<CelBool>().ok_or("it is neither true nor false")?;
            Ok(*value.inner())
        })
    }

    /// Evaluates to a text.
    pub(super) fn text(&self, scope: &Scope<'_>) -> Result<String, Failure> {
        self.read(scope, |value| text(value).map(str::to_owned))
    }

    /// Evaluates to a text or a list of texts, and gives each to `take`.
    pub(super) fn texts(
        &self,
        scope: &Scope<'_>,
        mut take: impl FnMut(&str),
    ) -> Result<(), Failure> {
        self.read(scope, |value| match value.downcast_ref::<CelList<'_>>() {
            Some(list) => list.inner().iter().try_for_each(|item| text(&**item).map(&mut take)),
            None => text(value).map(&mut take),
        })
    }

    /// Evaluates to JSON; none for `optional.none()`.
    pub(super) fn json(&self, scope: &Scope<'_>) -> Result<Option<serde_json::Value>, Failure> {
        self.read(scope, value::to_json)
    }

    /// Evaluates and reads the value while it lives.
    fn read<T>(
        &self,
        scope: &Scope<'_>,
        read: impl FnOnce(&dyn Val) -> Result<T, &'static str>,
    ) -> Result<T, Failure> {
        scope.start();
        let evaluate = || {
            let mut context = Context::with_env(Arc::clone(&self.env));
            context.set_variable_resolver(scope);
            let value = Value::resolve_val(&self.compiled, &context);
            let value = value.map_err(|error| describe(&error))?;
            read(value.as_ref())
        };
        // The interpreter is not ours, and what it reads is a client's: a panic in it must not
        // be more than a rule that failed.
        let result = catch_unwind(AssertUnwindSafe(evaluate)).unwrap_or(Err("it panicked"));
        if scope.exhausted() {
            let reason = "it goes through more of the action than an expression may";
            return Err(Failure { line: self.line, reason, costly: true });
        }
        result.map_err(|reason| Failure { line: self.line, reason, costly: false })
    }
}

fn text(value: &dyn Val) -> Result<&str, &'static str> {
    value.downcast_ref::<CelString<'_>>().map(CelString::inner).ok_or("it is no text")
}

/// The kind of error alone: its own text can hold values of the action.
fn describe(error: &ExecutionError) -> &'static str {
    match error {
        ExecutionError::NoSuchKey(_) => "a field is missing",
        ExecutionError::UndeclaredReference(_) => "the action's body cannot be read",
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds",
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "it divides by zero"
        }
        ExecutionError::Overflow(..) => "a number overflows",
        ExecutionError::FunctionError { .. } => "a function failed",
        _ => "a value is of the wrong type",
    }
}

fn quote(text: &str) -> String {
    let mut short: String = text.trim().chars().take(60).collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    format!("`{}`", short.replace(['\n', '\r'], " "))
}
