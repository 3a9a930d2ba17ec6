//! What an action is called in protocol 7: `"<t> <node>"`, with `t` in base 64. The one place that
//! knows how these names and the ids of three parts belong together.
//!
//! `t = sequence · 2^42 + ms`, the node stays. Both sides of that are ordered alike, and every `t`
//! that a JavaScript number holds is the name of one id. What does not fit (a sequence above 2047,
//! as this server's own answers and SyncMap's rendered entries have it, or a time after the year
//! 2109) is called `"<ms> <node>␟<sequence>"`: `␟` is the control character 1F, which no node id
//! has, so the two kinds never meet; it stands below every character of a node id, and the
//! sequence has a fixed width, so that nodes, and the ids of one node, keep their order; and the
//! name has two parts, because the binary form of the clients drops a third.

use crate::{ActionId, IdError, NodeId};
use std::borrow::Cow;
use std::fmt;

/// The digits of base 64, in the order of ASCII.
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
/// Below this many milliseconds since 1970, and with a sequence below `SEQUENCES`, an id fits.
const MS: u64 = 1 << 42;
const SEQUENCES: u64 = (ActionId::NUMBER_MAX + 1) / MS;
/// Stands between a node and a sequence that does not fit.
const UNIT_SEPARATOR: char = '\u{1f}';
/// As many digits as the greatest sequence needs.
const SEQUENCE_DIGITS: usize = 9;

/// The name of an action in protocol 7.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// Its time and, mostly, its sequence.
    pub(super) t: u64,
    /// Its node and, rarely, its sequence.
    pub(super) node: Cow<'a, str>,
}

impl<'a> Name<'a> {
    /// What protocol 7 calls the action `id`.
    pub(super) fn of(id: &'a ActionId) -> Self {
        if id.ms < MS && id.sequence < SEQUENCES {
            return Self { t: id.sequence * MS + id.ms, node: id.node.as_str().into() };
        }
        let sequence = format!("{:->SEQUENCE_DIGITS$}", Digits(id.sequence).to_string());
        Self { t: id.ms, node: format!("{}{UNIT_SEPARATOR}{sequence}", id.node).into() }
    }

    /// The id that has this name; `known` saves an allocation where its node is meant.
    pub(super) fn id(&self, known: Option<&NodeId>) -> Result<ActionId, IdError> {
        let node = |text: &str| match known {
            Some(known) if known.as_str() == text => Ok(known.clone()),
            _ => NodeId::new(text),
        };
        let Some((text, sequence)) = self.node.split_once(UNIT_SEPARATOR) else {
            let (sequence, ms) = (self.t / MS, self.t % MS);
            return Ok(ActionId { node: node(&self.node)?, ms, sequence });
        };
        let fixed = sequence.len() == SEQUENCE_DIGITS;
        let sequence = Digits::parse(sequence).filter(|_| fixed).ok_or(IdError::Shape)?;
        if self.t < MS && sequence < SEQUENCES {
            // It has a shorter name, and two names of one action would be two actions to a client.
            return Err(IdError::Shape);
        }
        Ok(ActionId { node: node(text)?, ms: self.t, sequence })
    }

    /// Reads `"<t> <node>"`.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (t, node) = text.split_once(' ')?;
        Some(Self { t: Digits::parse(t)?, node: node.into() })
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Digits(self.t), self.node)
    }
}

/// A number in base 64, most significant digit first.
pub(super) struct Digits(pub(super) u64);

impl Digits {
    /// The number; leading zeros are let pass, as clients do.
    pub(super) fn parse(text: &str) -> Option<u64> {
        if text.is_empty() {
            return None;
        }
        let mut number = 0_u64;
        for byte in text.bytes() {
            let digit = DIGITS.iter().position(|known| *known == byte)? as u64;
            number = number * 64 + digit;
            if number > ActionId::NUMBER_MAX {
                return None;
            }
        }
        Some(number)
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Six bits a digit: eleven digits hold all 64.
        let mut digits = ['-'; 11];
        let (mut rest, mut length) = (self.0, 0);
        for slot in digits.iter_mut().rev() {
            let digit = usize::try_from(rest % 64).unwrap_or(0);
            *slot = DIGITS.get(digit).map_or('-', |digit| char::from(*digit));
            (rest, length) = (rest / 64, length + 1);
            if rest == 0 {
                break;
            }
        }
        digits.iter().skip(11 - length).try_for_each(|digit| write!(f, "{digit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> ActionId {
        text.parse().unwrap()
    }

    #[test]
    fn digits_are_those_of_the_clients() {
        for (number, text) in [
            (0, "-"),
            (63, "z"),
            (64, "0-"),
            (1_795_222_947_872, "P6vc3VV"),
            (ActionId::NUMBER_MAX, "Uzzzzzzzz"),
        ] {
            assert_eq!(Digits(number).to_string(), text);
            assert_eq!(Digits::parse(text), Some(number));
        }
        assert_eq!(Digits::parse("--0-"), Some(64));
        for bad in ["", "V--------", "+", "ä", " ", "zzzzzzzzzzzz"] {
            assert_eq!(Digits::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_these() {
        for (three, two) in [
            ("1795222947872 10:cli:t 0", "P6vc3VV 10:cli:t"),
            ("1795222947872 10:cli:t 1", "-0P6vc3VV 10:cli:t"),
            ("1795222947872 10:cli:t 2047", "UzP6vc3VV 10:cli:t"),
            ("1795222947872 10:cli:t 2048", "P6vc3VV 10:cli:t\u{1f}-------V-"),
            ("1795222947872 server:7:9 1099511627783", "P6vc3VV server:7:9\u{1f}--F-----6"),
            ("4398046511103 a 0", "zzzzzzz a"),
            ("4398046511104 a 0", "0------- a\u{1f}---------"),
        ] {
            assert_eq!(Name::of(&id(three)).to_string(), two.trim_start_matches('-'), "{three}");
            assert_eq!(Name::parse(two).unwrap().id(None), Ok(id(three)));
        }
    }

    #[test]
    fn an_id_has_one_name_of_the_longer_kind_or_of_the_shorter() {
        for bad in [
            "P6vc3VV 10:cli:t\u{1f}--------0",
            "P6vc3VV 10:cli:t\u{1f}------V-",
            "P6vc3VV 10:cli:t\u{1f}",
            "P6vc3VV \u{1f}-------V-",
            "P6vc3VV 10:cli:t\u{1f}-------V-\u{1f}-------V-",
            "P6vc3VV 10:cli:t 1",
            "P6vc3VV ",
        ] {
            assert!(Name::parse(bad).unwrap().id(None).is_err(), "{bad:?}");
        }
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..5_u64,
            2040..2056_u64,
            MS - 3..MS + 3,
            1_795_000_000_000..1_796_000_000_000_u64,
            1_u64 << 40..1 << 41,
            0..=ActionId::NUMBER_MAX,
        ]
    }

    fn any_id() -> impl Strategy<Value = ActionId> {
        let node = prop_oneof![Just("10:a:b"), Just("10:a:b!"), Just("10:a"), Just("server:7:9")];
        (node, number(), number()).prop_map(|(node, ms, sequence)| ActionId {
            node: NodeId::new(node).unwrap(),
            ms,
            sequence,
        })
    }

    /// How clients of protocol 7 order actions of one time.
    fn client_order(id: &ActionId) -> (String, u64) {
        let Name { t, node } = Name::of(id);
        (node.into_owned(), t)
    }

    proptest! {
        #[test]
        fn every_id_is_the_one_that_its_name_is_of(id in any_id()) {
            let text = Name::of(&id).to_string();
            prop_assert_eq!(Name::parse(&text).unwrap().id(None), Ok(id));
        }

        #[test]
        fn every_name_that_a_client_can_make_is_that_of_its_id(t in number()) {
            let name = Name { t, node: "10:cli:tab".into() };
            let id = name.id(None).unwrap();
            prop_assert_eq!(Name::of(&id), name);
        }

        #[test]
        fn clients_of_all_versions_put_ids_in_the_same_order(one in any_id(), other in any_id()) {
            prop_assume!(one.ms < MS && other.ms < MS);
            let here = |id: &ActionId| (id.node.clone(), id.sequence, id.ms);
            prop_assert_eq!(
                here(&one).cmp(&here(&other)),
                client_order(&one).cmp(&client_order(&other))
            );
        }
    }
}
