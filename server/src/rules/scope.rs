//! What one evaluation can see, made only as far as an expression asks for it.

use super::meter::TURN;
use super::reads::Reads;
use super::subject::Subject;
use super::value::{self, Body, Object};
use cel::common::types::CelBool;
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use tidelog_protocol::{Action, Meta};

/// How much of what a client sent one evaluation may walk through, in bytes: thirty times the
/// largest action.
///
/// A loop whose body names a field again may walk all of it once per turn; without a bound a
/// client could make a quadratic rule run for minutes.
const WALK_BYTES_MAX: u64 = 4 << 20;
/// What naming anything costs.
const NAME_BYTES: u64 = 64;
/// What a turn of a loop costs: one loop over the largest action is within the bound.
const TURN_BYTES: u64 = 32;

/// `user`, `headers`, `action`, `meta` and `params` of one action.
pub(super) struct Scope<'a> {
    /// None where only what is stored counts.
    subject: Option<&'a Subject>,
    action: &'a Action,
    meta: &'a Meta,
    params: &'a [(&'a str, &'a str)],
    reads: &'a Reads,
    action_value: OnceLock<Option<Body<'a>>>,
    meta_value: OnceLock<Object<'a>>,
    params_value: OnceLock<Object<'a>>,
    walked_bytes: AtomicU64,
}

impl<'a> Scope<'a> {
    /// What expressions that read no more of the action than `reads` can see.
    pub(super) fn new(
        subject: &'a Subject,
        action: &'a Action,
        meta: &'a Meta,
        reads: &'a Reads,
    ) -> Self {
        Self { subject: Some(subject), ..Self::of_stored(action, meta, reads) }
    }

    /// What is the same on every replica and whenever it is evaluated: there is no `user`.
    pub(super) fn of_stored(action: &'a Action, meta: &'a Meta, reads: &'a Reads) -> Self {
        Self {
            subject: None,
            action,
            meta,
            reads,
            params: &[],
            action_value: OnceLock::new(),
            meta_value: OnceLock::new(),
            params_value: OnceLock::new(),
            walked_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn with_params(self, params: &'a [(&'a str, &'a str)]) -> Self {
        Self { params, ..self }
    }

    /// Starts the next evaluation.
    pub(super) fn start(&self) {
        self.walked_bytes.store(0, Ordering::Relaxed);
    }

    /// Whether the expression walked further than it may; what it said does not count then.
    pub(super) fn exhausted(&self) -> bool {
        self.walked_bytes.load(Ordering::Relaxed) > WALK_BYTES_MAX
    }

    /// Names something that `bytes` can be walked through of.
    fn walk(&self, bytes: usize) -> Option<()> {
        self.spend(bytes as u64 + NAME_BYTES)
    }

    fn spend(&self, bytes: u64) -> Option<()> {
        let before = self.walked_bytes.fetch_add(bytes, Ordering::Relaxed);
        (before.saturating_add(bytes) <= WALK_BYTES_MAX).then_some(())
    }

    fn meta_value(&self) -> &Object<'a> {
        self.meta_value.get_or_init(|| {
            let of_client = self.subject.map_or(0, Subject::subprotocol);
            let subprotocol = self.meta.subprotocol.unwrap_or(of_client);
            let node = &self.meta.id.node;
            value::record([
                ("id", value::text(self.meta.id.to_string())),
                ("user", value::text(node.user_str().unwrap_or_default())),
                ("client", value::text(node.client_str())),
                ("node", value::text(node.as_str())),
                ("time", value::number(self.meta.time)),
                ("subprotocol", value::number(subprotocol.into())),
            ])
        })
    }

    fn params_value(&self) -> &Object<'a> {
        self.params_value.get_or_init(|| {
            value::record(self.params.iter().map(|(name, text)| (*name, value::text(*text))))
        })
    }
}

impl<'a> Scope<'a> {
    fn body(&self) -> Option<&Body<'a>> {
        let read = || Body::read(self.action.json(), self.reads).ok();
        self.action_value.get_or_init(read).as_ref()
    }

    /// `action.owner`, without going by the action: what can be walked through is the field.
    fn field(&self, name: &str) -> Option<&(dyn Val + 'a)> {
        if name.contains('.') {
            return None;
        }
        let (value, length) = self.body()?.field(name)?;
        self.walk(length).map(|()| value)
    }
}

/// A turn is granted.
static GRANTED: LazyLock<CelBool> = LazyLock::new(|| CelBool::from(true));

impl VariableResolver for Scope<'_> {
    /// Asked for `action.owner` first, then for `action`.
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(field) = variable.strip_prefix("action.") {
            return self.field(field).map(CowVal::Borrowed);
        }
        match variable {
            TURN => self.spend(TURN_BYTES).map(|()| CowVal::Borrowed(&*GRANTED as &dyn Val)),
            "action" => {
                let (object, length) = self.body()?.object();
                self.walk(length).map(|()| CowVal::Borrowed(object as &dyn Val))
            }
            "user" => {
                self.walk(0)?;
                self.subject.map(|subject| CowVal::Borrowed(subject.user_value() as _))
            }
            "headers" => {
                self.walk(0)?;
                self.subject.map(|subject| CowVal::Borrowed(subject.headers_value() as _))
            }
            "meta" => self.walk(0).map(|()| CowVal::Borrowed(self.meta_value() as _)),
            "params" => self.walk(0).map(|()| CowVal::Borrowed(self.params_value() as _)),
            _ => None,
        }
    }
}
