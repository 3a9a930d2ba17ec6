//! Names for actions that come without one.
//!
//! With an `Idempotency-Key` the name is derived from the key and from what is pushed, and from
//! nothing else: the same push with the same key has the same names, after a restart and on another
//! server, too; another push with that key has other names, so that nothing is taken for a
//! duplicate that is none. Such a name cannot hold the moment of the request; it holds the action's
//! `time`, or 0 without one.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use tidelog_protocol::http::PushedMeta;
use tidelog_protocol::{Action, ActionId, ClientId, IdError, NodeId};

/// How the last part of nodes begins that name for a run of the process, or for a key.
const RUN: &str = "http-";
const KEY: &str = "key-";

/// Gives names.
pub(super) struct Mint {
    /// The last part of the nodes that name for this run of the process.
    tab: String,
    next: AtomicU64,
}

/// The names of one push.
pub(super) struct Names<'a> {
    mint: &'a Mint,
    node: NodeId,
    /// Whether they are derived from a key.
    repeatable: bool,
    now: u64,
}

/// Whether `node` names for a run of a process, or for a key: nothing else has come of it.
pub(super) fn is_minted(node: &NodeId) -> bool {
    let tab = node.as_str().rsplit(':').next().unwrap_or_default();
    tab.starts_with(RUN) || tab.starts_with(KEY)
}

impl Mint {
    /// Names of this run of the process, which no other run has.
    pub(super) fn new(run: u64) -> Self {
        Self { tab: format!("{RUN}{run:016x}"), next: AtomicU64::new(0) }
    }

    /// The names of `actions`, pushed at `now` with or without a key.
    pub(super) fn names(
        &self,
        client: &ClientId,
        key: Option<&str>,
        actions: &[(Action, PushedMeta)],
        now: u64,
    ) -> Result<Names<'_>, IdError> {
        let tab = key.map(|key| format!("{KEY}{:032x}", digest(key, actions)));
        let node = NodeId::new(&format!("{client}:{}", tab.as_ref().unwrap_or(&self.tab)))?;
        Ok(Names { mint: self, node, repeatable: key.is_some(), now })
    }
}

impl Names<'_> {
    /// The name of the action at `index` of the push.
    pub(super) fn of(&self, index: usize, meta: &PushedMeta) -> ActionId {
        let (ms, sequence) = if self.repeatable {
            (meta.time.unwrap_or(0), index as u64)
        } else {
            (self.now, self.mint.next.fetch_add(1, Ordering::Relaxed))
        };
        ActionId { node: self.node.clone(), ms, sequence }
    }
}

fn digest(key: &str, actions: &[(Action, PushedMeta)]) -> u128 {
    let mut hasher = SipHasher24::new();
    let mut part = |bytes: &[u8]| {
        hasher.write_u64(bytes.len() as u64);
        hasher.write(bytes);
    };
    part(key.as_bytes());
    for (action, meta) in actions {
        part(action.json());
        part(&meta.time.unwrap_or(0).to_be_bytes());
    }
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn push(json: &'static str) -> Vec<(Action, PushedMeta)> {
        let action = Action::new(Bytes::from_static(json.as_bytes())).unwrap();
        vec![(action.clone(), PushedMeta::default()), (action, PushedMeta::default())]
    }

    fn names(mint: &Mint, client: &str, key: Option<&str>, json: &'static str) -> [String; 2] {
        let (client, actions) = (ClientId::new(client).unwrap(), push(json));
        let names = mint.names(&client, key, &actions, 77).unwrap();
        [0, 1].map(|index| names.of(index, &actions[index].1).to_string())
    }

    const A: &str = r#"{"type":"a"}"#;
    const B: &str = r#"{"type":"b"}"#;

    #[test]
    fn the_same_push_with_the_same_key_has_the_same_names_in_every_run() {
        let first = names(&Mint::new(1), "10:a", Some("k"), A);
        assert_eq!(first, names(&Mint::new(2), "10:a", Some("k"), A));
        assert!(first[0].starts_with("0 10:a:key-") && first[1].ends_with(" 1"), "{first:?}");
        let others = [("10:b", "k", A), ("10:a", "l", A), ("10:a", "k", B)];
        for (client, key, json) in others {
            assert_ne!(
                first,
                names(&Mint::new(1), client, Some(key), json),
                "{client} {key} {json}"
            );
        }
    }

    #[test]
    fn without_a_key_no_name_comes_twice() {
        let mint = Mint::new(0xab);
        let first = names(&mint, "10:a", None, A);
        assert_eq!(first[0], "77 10:a:http-00000000000000ab 0");
        assert_eq!(names(&mint, "10:a", None, A)[0], "77 10:a:http-00000000000000ab 2");
    }
}
