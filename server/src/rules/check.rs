//! What an expression may contain, checked when it is compiled: CEL itself would only complain
//! when the expression runs, and then every action would be denied.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr};
use cel::{Context, Env, IdedExpr, Value};
use std::sync::Arc;

/// Loops may be in one another to this depth: each level multiplies the cost by what a client
/// sent.
const LOOPS_MAX: usize = 2;

/// Evaluating calls itself for each level of an expression: some 40 KiB each in a debug build, where
/// a worker has 2 MiB of stack.
const DEPTH_MAX: usize = 32;

/// Names of types, which `type(x) == int` compares with.
const TYPES: [&str; 10] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Functions of CEL's standard library.
const FUNCTIONS: [&str; 32] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "hasValue",
    "int",
    "matches",
    "none",
    "of",
    "ofNonZeroValue",
    "or",
    "orValue",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
    "value",
];

/// The names that a rule gives to its expressions.
#[derive(Clone, Debug, Default)]
pub(super) struct Names<'a> {
    /// The fields of `params`; none where there is no `params`.
    pub(super) params: Option<Vec<&'a str>>,
    /// Only what is stored with an action, and so is the same whenever it is read.
    pub(super) only_stored: bool,
}

/// Walks an expression.
pub(super) struct Check<'a> {
    env: &'a Arc<Env>,
    names: &'a Names<'a>,
    /// The variables of the loops around.
    bound: Vec<&'a str>,
    loops: usize,
    depth: usize,
}

impl<'a> Check<'a> {
    pub(super) fn new(env: &'a Arc<Env>, names: &'a Names<'a>) -> Self {
        Self { env, names, bound: Vec::new(), loops: 0, depth: 0 }
    }

    pub(super) fn expression(&mut self, expression: &'a IdedExpr) -> Result<(), String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("it is nested more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        self.parts(&expression.expr)?;
        self.depth -= 1;
        Ok(())
    }

    fn parts(&mut self, expression: &'a Expr) -> Result<(), String> {
        match expression {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => list.elements.iter().try_for_each(|it| self.expression(it)),
            Expr::Map(map) => map.entries.iter().try_for_each(|it| self.entry(&it.expr)),
            Expr::Struct(message) => Err(format!("{:?} is no type", message.type_name)),
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr) -> Result<(), String> {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key)?;
                self.expression(&entry.value)
            }
            EntryExpr::StructField(field) => self.expression(&field.value),
        }
    }

    fn name(&self, name: &str) -> Result<(), String> {
        let known = self.bound.contains(&name)
            || TYPES.contains(&name)
            || matches!(name, "action" | "meta")
            || (matches!(name, "user" | "headers") && !self.names.only_stored)
            || (name == "params" && self.names.params.is_some());
        match known {
            true => Ok(()),
            false if name == "params" => {
                Err("params is known in [[channel]] and [[sync_map]] only".to_owned())
            }
            false if self.names.only_stored => Err(format!(
                "{name:?} is unknown: there is action and meta, because every replica must come to \
                 the same"
            )),
            false => Err(format!(
                "{name:?} is unknown: there is user, headers, action, meta, and in a [[channel]] \
                 params"
            )),
        }
    }

    fn select(&mut self, select: &'a SelectExpr) -> Result<(), String> {
        if let (Expr::Ident(name), Some(params)) = (&select.operand.expr, &self.names.params)
            && name == "params"
            && !params.contains(&select.field.as_str())
        {
            return Err(format!(
                "there is no params.{}: the pattern does not name it",
                select.field
            ));
        }
        self.expression(&select.operand)
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<(), String> {
        let name = call.func_name.as_str();
        // Operators are functions too; their names hold what no identifier can.
        let operator = name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if !operator && !FUNCTIONS.contains(&name) {
            return Err(format!("there is no function {name}()"));
        }
        if name == "matches" {
            self.regex(call)?;
        }
        match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(target), .. }) if target == "optional" => {}
            Some(target) => self.expression(target)?,
            None => {}
        }
        call.args.iter().try_for_each(|it| self.expression(it))
    }

    /// A pattern is compiled each time it is used, so it must be ours and not be in a loop.
    fn regex(&self, call: &CallExpr) -> Result<(), String> {
        let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(_)), .. }) = call.args.last()
        else {
            return Err("the pattern of matches() has to be written out".to_owned());
        };
        if self.loops > 0 {
            return Err("matches() cannot be used in a loop".to_owned());
        }
        let empty = IdedExpr {
            id: 0,
            expr: Expr::Literal(LiteralValue::String(cel::common::types::CelString::from(""))),
        };
        let trial = CallExpr {
            func_name: call.func_name.clone(),
            target: Some(Box::new(empty)),
            args: call.args.last().cloned().into_iter().collect(),
        };
        let trial = IdedExpr { id: 0, expr: Expr::Call(trial) };
        let context = Context::with_env(Arc::clone(self.env));
        match Value::resolve_val(&trial, &context) {
            Ok(_) => Ok(()),
            Err(_) => Err("the pattern of matches() is no regular expression".to_owned()),
        }
    }

    fn comprehension(&mut self, loops: &'a ComprehensionExpr) -> Result<(), String> {
        self.expression(&loops.iter_range)?;
        self.expression(&loops.accu_init)?;
        if self.loops == LOOPS_MAX {
            return Err(format!("more than {LOOPS_MAX} loops are in one another"));
        }
        let outside = self.bound.len();
        self.loops += 1;
        self.bound.extend([loops.iter_var.as_str(), loops.accu_var.as_str()]);
        self.bound.extend(loops.iter_var2.as_deref());
        for part in [&loops.loop_cond, &loops.loop_step, &loops.result] {
            self.expression(part)?;
        }
        self.bound.truncate(outside);
        self.loops -= 1;
        Ok(())
    }
}
