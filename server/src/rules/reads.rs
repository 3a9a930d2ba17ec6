//! What an expression reads of an action, found when it is compiled: only that is made into values,
//! and what reads a lot is judged apart.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use std::collections::BTreeSet;

/// What expressions read of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// The action as a whole: `action == {…}`, `size(action)`.
    whole: bool,
    /// Fields that are named: `action.owner`, `has(action.owner)`, `action['owner']`.
    fields: BTreeSet<Box<str>>,
    /// There are loops.
    loops: bool,
    /// Of who acts, what only signing in tells: the claims of the token, and the headers.
    sign_in: bool,
}

impl Reads {
    /// Nothing.
    pub(super) const NOTHING: Self =
        Self { whole: false, fields: BTreeSet::new(), loops: false, sign_in: false };

    /// What `expression` reads.
    pub(super) fn of(expression: &IdedExpr) -> Self {
        let mut reads = Self::default();
        reads.add(expression);
        reads
    }

    /// All of it.
    #[cfg(test)]
    pub(super) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Reads what `other` does, too.
    pub(super) fn merge(&mut self, other: &Self) {
        self.whole |= other.whole;
        self.loops |= other.loops;
        self.sign_in |= other.sign_in;
        self.fields.extend(other.fields.iter().cloned());
    }

    /// Whether the field `name` is read.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.whole || self.fields.contains(name)
    }

    /// Whether anything of an action is read.
    pub(super) fn any(&self) -> bool {
        self.whole || !self.fields.is_empty()
    }

    /// Whether anything is read that only signing in tells.
    pub(super) fn sign_in(&self) -> bool {
        self.sign_in
    }

    /// Whether there are loops.
    pub(super) fn loops(&self) -> bool {
        self.loops
    }

    fn add(&mut self, expression: &IdedExpr) {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                self.whole |= name == "action";
                self.sign_in |= name == "headers" || name == "user";
            }
            Expr::Select(SelectExpr { operand, field, .. }) => {
                if is_action(operand) {
                    self.fields.insert(field.as_str().into());
                } else if is_named(operand, "user") {
                    self.sign_in |= field.as_str() == "claims";
                } else {
                    self.add(operand);
                }
            }
            Expr::Call(call) => self.add_call(call),
            Expr::Comprehension(loops) => {
                self.loops = true;
                let parts = [&loops.iter_range, &loops.accu_init, &loops.loop_cond];
                parts
                    .into_iter()
                    .chain([&loops.loop_step, &loops.result])
                    .for_each(|it| self.add(it));
            }
            Expr::List(list) => list.elements.iter().for_each(|it| self.add(it)),
            Expr::Map(map) => map.entries.iter().for_each(|it| self.add_entry(&it.expr)),
            Expr::Struct(of) => of.entries.iter().for_each(|it| self.add_entry(&it.expr)),
        }
    }

    fn add_entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.add(&entry.key);
                self.add(&entry.value);
            }
            EntryExpr::StructField(field) => self.add(&field.value),
        }
    }

    fn add_call(&mut self, call: &CallExpr) {
        let named = [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT];
        if let [of, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }] =
            call.args.as_slice()
            && named.contains(&call.func_name.as_str())
            && is_action(of)
        {
            self.fields.insert(field.inner().into());
            return;
        }
        call.target.as_deref().into_iter().chain(&call.args).for_each(|it| self.add(it));
    }
}

fn is_action(expression: &IdedExpr) -> bool {
    is_named(expression, "action")
}

fn is_named(expression: &IdedExpr, known: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == known)
}
