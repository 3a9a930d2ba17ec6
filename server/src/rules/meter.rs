//! Loops that count their turns: a client chooses what they go through.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, operators};

/// What a loop asks for at each turn. No expression can spell it.
pub(super) const TURN: &str = "@turn";

/// Makes each loop of `expression` ask for [`TURN`] at each turn.
pub(super) fn meter(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
        Expr::Select(select) => meter(&mut select.operand),
        Expr::Call(call) => {
            call.target.as_deref_mut().into_iter().chain(&mut call.args).for_each(meter);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(meter),
        Expr::Map(map) => map.entries.iter_mut().for_each(|it| entry(&mut it.expr)),
        Expr::Struct(of) => of.entries.iter_mut().for_each(|it| entry(&mut it.expr)),
        Expr::Comprehension(it) => comprehension(it),
    }
}

fn entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::MapEntry(entry) => {
            meter(&mut entry.key);
            meter(&mut entry.value);
        }
        EntryExpr::StructField(field) => meter(&mut field.value),
    }
}

/// Where the turn is asked for leaves the forms that the interpreter runs faster as they are: a loop
/// that appends must have a literal condition, and one that is an `&&` or `||` such a step.
fn comprehension(it: &mut ComprehensionExpr) {
    let parts = [&mut it.iter_range, &mut it.accu_init, &mut it.loop_cond, &mut it.loop_step];
    parts.into_iter().chain([&mut it.result]).for_each(meter);
    if !matches!(it.loop_cond.expr, Expr::Literal(_)) {
        ask_first(&mut it.loop_cond);
        return;
    }
    if let Expr::Call(step) = &mut it.loop_step.expr
        && step.func_name == operators::CONDITIONAL
        && let Some(guard) = step.args.first_mut()
    {
        ask_first(guard);
        return;
    }
    let step = std::mem::take(&mut it.loop_step);
    let otherwise = ident(&it.accu_var);
    it.loop_step = call(operators::CONDITIONAL, vec![ident(TURN), step, otherwise]);
}

fn ask_first(condition: &mut IdedExpr) {
    let asked = std::mem::take(condition);
    *condition = call(operators::LOGICAL_AND, vec![ident(TURN), asked]);
}

fn ident(name: &str) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Ident(name.to_owned()) }
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    let call = CallExpr { func_name: name.to_owned(), target: None, args };
    IdedExpr { id: 0, expr: Expr::Call(call) }
}
