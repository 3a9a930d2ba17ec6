//! Loops that count their turns, because a client chooses what they go through, and that go through
//! maps in one order, because what comes of it must be the same everywhere.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, operators};
use cel::common::types::{CelList, CelMap, LIST_TYPE, MAP_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError, IdedExpr};

/// What a loop asks for at each turn. No expression can spell it.
pub(super) const TURN: &str = "@turn";
/// What a loop puts what it goes through in order with.
const IN_ORDER: &str = "@inOrder";

/// What expressions know of: CEL's standard library, and what loops are made to ask for.
pub(super) fn env() -> Env {
    let mut env = Env::stdlib();
    let list = env.add_overload(IN_ORDER, "in_order_list", vec![LIST_TYPE], as_it_is);
    let map = env.add_overload(IN_ORDER, "in_order_map", vec![MAP_TYPE], keys_in_order);
    // The names are nobody else's; without them, loops would fail and so deny.
    debug_assert!(list.is_ok() && map.is_ok());
    env
}

fn as_it_is<'b, 'v>(mut range: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    range.pop().ok_or_else(|| ExecutionError::InternalError("a loop through nothing".to_owned()))
}

fn keys_in_order<'b, 'v>(range: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let range = as_it_is(range)?;
    let Some(map) = range.downcast_ref::<CelMap<'_>>() else { return as_it_is(vec![range]) };
    let mut keys: Vec<_> = map.inner().keys().collect();
    keys.sort_unstable();
    let keys: Vec<Box<dyn Val + 'v>> =
        keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

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
    let range = std::mem::take(&mut it.iter_range);
    it.iter_range = call(IN_ORDER, vec![range]);
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
