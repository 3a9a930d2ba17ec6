//! The ids inside of actions that the protocol itself defines, for protocol 7.
//!
//! Within the server a body names actions by ids of three parts, whoever sent it. Only the text of
//! the id changes; every other byte of the body stays as it is. What is no id stays too.

use super::name::Name;
use crate::{Action, ActionId, builtin};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// An undo holds the action that it undoes, which may be an undo; deeper than this nobody looks.
const UNDOS_MAX: usize = 4;

/// The action as it is kept: with ids of three parts.
pub(super) fn from_names(action: Action) -> Action {
    rewritten(action, |text| Name::parse(text)?.id(None).ok().map(|id| id.to_string()))
}

/// The action as protocol 7 has it; none when that is the same.
pub(super) fn to_names(action: &Action) -> Option<Action> {
    changed(action, &|text| text.parse::<ActionId>().ok().map(|id| Name::of(&id).to_string()))
}

fn rewritten(action: Action, twin: impl Fn(&str) -> Option<String>) -> Action {
    changed(&action, &twin).unwrap_or(action)
}

type Twin<'a> = &'a dyn Fn(&str) -> Option<String>;

fn changed(action: &Action, twin: Twin<'_>) -> Option<Action> {
    let json = std::str::from_utf8(action.json()).ok()?;
    let mut edits = Edits { json, twin, found: Vec::new() };
    edits.of_action(action.kind(), json, UNDOS_MAX);
    if edits.found.is_empty() {
        return None;
    }
    Some(Action::from_parts(edits.apply(), action.kind()))
}

/// Where ids stand in the body of a built-in action.
#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ids: Option<&'a RawValue>,
    #[serde(borrow, default)]
    since: Option<&'a RawValue>,
    #[serde(borrow, default)]
    action: Option<&'a RawValue>,
}

/// Replacements in a body, in the order of their places.
struct Edits<'a> {
    json: &'a str,
    twin: Twin<'a>,
    found: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    fn of_action(&mut self, kind: &str, json: &'a str, undos_left: usize) {
        let named = matches!(
            kind,
            builtin::PROCESSED | builtin::UNDO | builtin::CLEAN | builtin::SUBSCRIBE
        );
        if !named {
            return;
        }
        let Some(places) = object::<Places<'_>>(json) else { return };
        if kind == builtin::SUBSCRIBE {
            let since = places.since.and_then(|since| object::<Places<'_>>(since.get()));
            self.of_id(since.and_then(|since| since.id));
            return;
        }
        self.of_id(places.id);
        if kind == builtin::CLEAN {
            let ids = places.ids.map(RawValue::get).map(serde_json::from_str::<Vec<&RawValue>>);
            ids.and_then(Result::ok).into_iter().flatten().for_each(|id| self.of_id(Some(id)));
        }
        if kind == builtin::UNDO
            && let Some(undone) = places.action
            && let Some(Places { r#type: Some(kind), .. }) = object(undone.get())
            && let Some(undos_left) = undos_left.checked_sub(1)
        {
            self.of_action(&kind, undone.get(), undos_left);
        }
    }

    fn of_id(&mut self, id: Option<&'a RawValue>) {
        let Some(raw) = id.map(RawValue::get) else { return };
        let text = serde_json::from_str::<Cow<'_, str>>(raw).ok();
        let Some(twin) = text.and_then(|text| (self.twin)(&text)) else { return };
        let Ok(twin) = serde_json::to_string(&twin) else { return };
        // All values borrow from the one text.
        let start = raw.as_ptr().addr() - self.json.as_ptr().addr();
        self.found.push((start..start + raw.len(), twin));
    }

    fn apply(mut self) -> Bytes {
        self.found.sort_by_key(|(place, _)| place.start);
        let mut body = String::with_capacity(self.json.len() + 16 * self.found.len());
        let mut done = 0;
        for (place, twin) in &self.found {
            body.push_str(self.json.get(done..place.start).unwrap_or_default());
            body.push_str(twin);
            done = place.end;
        }
        body.push_str(self.json.get(done..).unwrap_or_default());
        Bytes::from(body)
    }
}

/// Reads an object; a derived reader would take an array for one, too.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: [&str; 2] = ["1795222947872 10:cli:t 0", "1795222947872 10:cli:t 2"];
    const TWO: [&str; 2] = ["P6vc3VV 10:cli:t", "1P6vc3VV 10:cli:t"];

    fn action(json: &str) -> Action {
        Action::new(Bytes::copy_from_slice(json.as_bytes())).unwrap()
    }

    /// `json` with A and B for two ids, in both forms.
    fn both(json: &str) -> [String; 2] {
        [THREE, TWO].map(|[a, b]| json.replace("<A>", a).replace("<B>", b))
    }

    #[test]
    fn ids_in_built_in_actions_are_rewritten_and_nothing_else() {
        for json in [
            r#"{"id":"<A>","type":"logux/processed"}"#,
            r#"{ "type" : "logux/processed", "x": 1.50, "id" : "<A>" }"#,
            r#"{"type":"0/clean","id":"<B>"}"#,
            r#"{"type":"0/clean","ids":["<A>", "<B>"]}"#,
            r#"{"action":{"type":"x","id":"1 a 0"},"id":"<A>","reason":"denied","type":"logux/undo"}"#,
            r#"{"action":{"type":"0/clean","id":"<A>"},"id":"<B>","type":"logux/undo"}"#,
            r#"{"id":"<B>","action":{"since":{"id":"<A>","time":1},"type":"logux/subscribe","channel":"c"},"type":"logux/undo"}"#,
            r#"{"id":"<B>","action":{"id":"<A>","action":{"type":"0/clean","ids":["<B>"]},"type":"logux/undo"},"type":"logux/undo"}"#,
            r#"{"channel":"c","since":{"time":1,"id":"<A>"},"type":"logux/subscribe"}"#,
        ] {
            let [three, two] = both(json);
            let kept = from_names(action(&two));
            assert_eq!((kept.json(), kept.kind()), (&Bytes::from(three), action(&two).kind()));
            assert_eq!(to_names(&kept).unwrap().json(), two.as_bytes());
        }
    }

    #[test]
    fn what_is_no_id_of_a_built_in_action_stays() {
        for json in [
            r#"{"type":"tasks/add","id":"<A>"}"#,
            r#"{"type":"logux/subscribe","id":"<A>","channel":"c"}"#,
            r#"{"type":"logux/subscribe","channel":"c","since":["<A>"]}"#,
            r#"{"type":"logux/processed","id":["<A>"]}"#,
            r#"{"type":"logux/processed","id":"x","ids":["<A>"]}"#,
            r#"{"type":"logux/undo","id":7,"action":["<A>"]}"#,
            r#"{"type":"0/clean","id":"<A>","id":"<B>"}"#,
            r#"{"type":"0/clean"}"#,
        ] {
            let [three, two] = both(json);
            assert_eq!(from_names(action(&two)).json(), two.as_bytes());
            assert_eq!(to_names(&action(&three)), None);
        }
    }

    #[test]
    fn an_id_with_escapes_is_read_as_what_it_says() {
        let kept = from_names(action(r#"{"type":"logux/processed","id":"P6vc3VV\u002010:cli:t"}"#));
        assert_eq!(kept.json(), r#"{"type":"logux/processed","id":"1795222947872 10:cli:t 0"}"#);
        let far = action(r#"{"id":"1 \"a\" 5000","type":"logux/processed"}"#);
        let there = to_names(&far).unwrap();
        assert_eq!(there.json(), r#"{"id":"0 \"a\"\u001f------0D7","type":"logux/processed"}"#);
        assert_eq!(from_names(there), far);
    }
}
