//! What one evaluation can see, made only as far as an expression asks for it.

use super::subject::Subject;
use super::value::{self, Object};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tidelog_protocol::{Action, Meta};

/// How much of what a client sent one evaluation may walk through, in bytes: thirty times the
/// largest action.
///
/// A loop whose body names `action` again walks the action once per turn; without a bound a
/// client could make a quadratic rule run for minutes.
const WALK_BYTES_MAX: u64 = 4 << 20;

/// `user`, `headers`, `action`, `meta` and `params` of one action.
pub(super) struct Scope<'a> {
    subject: &'a Subject,
    action: &'a Action,
    meta: &'a Meta,
    params: &'a [(&'a str, &'a str)],
    action_value: OnceLock<Option<Object<'a>>>,
    meta_value: OnceLock<Object<'a>>,
    params_value: OnceLock<Object<'a>>,
    walked_bytes: AtomicU64,
}

impl<'a> Scope<'a> {
    pub(super) fn new(subject: &'a Subject, action: &'a Action, meta: &'a Meta) -> Self {
        Self {
            subject,
            action,
            meta,
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

    fn walk(&self, bytes: usize) -> Option<()> {
        let bytes = bytes as u64 + 64;
        let before = self.walked_bytes.fetch_add(bytes, Ordering::Relaxed);
        (before.saturating_add(bytes) <= WALK_BYTES_MAX).then_some(())
    }

    fn meta_value(&self) -> &Object<'a> {
        self.meta_value.get_or_init(|| {
            let subprotocol = self.meta.subprotocol.unwrap_or(self.subject.subprotocol());
            value::record([
                ("id", value::text(self.meta.id.to_string())),
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

impl VariableResolver for Scope<'_> {
    /// Asked for `action.owner` too before `action`: names with a dot are nobody's.
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match variable {
            "action" => {
                self.walk(self.action.json().len())?;
                let read = || value::object(self.action.json()).ok();
                let object = self.action_value.get_or_init(read).as_ref()?;
                Some(CowVal::Borrowed(object))
            }
            "user" => self.walk(0).map(|()| CowVal::Borrowed(self.subject.user_value())),
            "headers" => self.walk(0).map(|()| CowVal::Borrowed(self.subject.headers_value())),
            "meta" => self.walk(0).map(|()| CowVal::Borrowed(self.meta_value())),
            "params" => self.walk(0).map(|()| CowVal::Borrowed(self.params_value())),
            _ => None,
        }
    }
}
