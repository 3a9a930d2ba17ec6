//! One record of the feed as bytes: an entry, an entry whose body was taken out, the request to take
//! one out, what is left of a record whose author was erased, or that an entry has another name.
//!
//! A record says everything but its position, which its row or run knows. Entries end with the
//! action's JSON, untouched, so a decoded action is a slice of the record.

mod context;
mod erased;

pub(super) use context::Stored;
pub(super) use erased::{Erased, put_erased};

use super::binary::{Reader, put_count, put_distance, put_number, put_text};
use super::entry::{Addresses, Causes, Channel, Entry};
use super::error::Damage;
use bytes::{Bytes, BytesMut};
use context::put_causes;
use tidelog_crdt::{Dot, Incarnation, Position};
use tidelog_protocol::{Action, ActionId, ClientId, NodeId, UserId, builtin};

const ENTRY: u8 = 1;
const CLEAN: u8 = 2;
const CLEANED: u8 = 3;
const ERASED: u8 = 4;
const ALIAS: u8 = 5;
const UNDONE: u8 = 6;
const UNDO: u8 = 7;

/// Set when the dot is not that of the record's own position: another server accepted it first.
const FOREIGN_DOT: u8 = 1;

const CLEANED_ACTION: &[u8] = br#"{"type":"0/clean"}"#;

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// An action, cleaned or not.
    Entry(Entry),
    /// The body of an action is to be taken out.
    Clean(Clean),
    /// Its author was erased.
    Erased(Erased),
    /// An entry has further names, or another one counts.
    Alias(Alias),
}

/// The entry at `target` got another name: which, is kept beside it (see `naming`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) target: Position,
    pub(super) accepted_ms: u64,
}

/// The body of the action at `target` is to be taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clean {
    pub(super) target: Position,
    pub(super) id: ActionId,
    pub(super) accepted_ms: u64,
    /// What stands in its place: that it was cleaned, or undone.
    pub(super) instead: Action,
}

impl Record {
    /// When its commit was made, in ms since the epoch.
    pub(super) fn accepted_ms(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.accepted_ms,
            Self::Clean(clean) => clean.accepted_ms,
            Self::Erased(erased) => erased.accepted_ms,
            Self::Alias(alias) => alias.accepted_ms,
        }
    }

    /// Reads the record at `position`.
    pub(super) fn decode(position: Position, bytes: &Bytes) -> Result<Self, Damage> {
        Self::decode_with(position, bytes, &mut Names::default())
    }

    fn decode_with(position: Position, bytes: &Bytes, names: &mut Names) -> Result<Self, Damage> {
        let kind = *bytes.first().ok_or(Damage("a record is empty"))?;
        match kind {
            ENTRY | CLEANED | UNDONE => decode_entry((position, bytes), kind, names)
                .map(Self::Entry)
                .ok_or(Damage("an entry cannot be read")),
            CLEAN | UNDO => decode_clean(bytes, kind == UNDO)
                .map(Self::Clean)
                .ok_or(Damage("a clean record cannot be read")),
            ERASED => erased::decode(position, bytes)
                .map(Self::Erased)
                .ok_or(Damage("an erased record cannot be read")),
            ALIAS => decode_alias(bytes)
                .map(Self::Alias)
                .ok_or(Damage("a record of another name cannot be read")),
            _ => Err(Damage("a record is of an unknown kind")),
        }
    }
}

/// Names that repeat from record to record, which then share memory.
#[derive(Default)]
struct Names {
    node: Option<NodeId>,
    user: Option<UserId>,
}

impl Names {
    fn node(&mut self, text: &str) -> Option<NodeId> {
        if self.node.as_ref().is_none_or(|node| node.as_str() != text) {
            self.node = Some(NodeId::new(text).ok()?);
        }
        self.node.clone()
    }

    fn user(&mut self, text: &str) -> Option<UserId> {
        if self.user.as_ref().is_none_or(|user| user.as_str() != text) {
            self.user = Some(UserId::new(text).ok()?);
        }
        self.user.clone()
    }
}

/// Memory that copies of records are put into together.
const TOGETHER_BYTES: usize = 16 << 10;

/// Reads one record after the other, of copies: what they are pieces of would be kept for them.
#[derive(Default)]
pub(super) struct Decoder {
    names: Names,
    room: BytesMut,
    /// How much memory was last asked for.
    asked: usize,
}

impl Decoder {
    /// Reads a copy of the record at `position`.
    pub(super) fn decode(&mut self, position: Position, bytes: &[u8]) -> Result<Record, Damage> {
        let copy = self.copy(bytes);
        Record::decode_with(position, &copy, &mut self.names)
    }

    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.room.capacity() < bytes.len() {
            self.asked = bytes.len().max((2 * self.asked).min(TOGETHER_BYTES));
            self.room = BytesMut::with_capacity(self.asked);
        }
        self.room.extend_from_slice(bytes);
        self.room.split().freeze()
    }
}

/// Appends `entry`; without its body if it is cleaned, with what undid it if it is undone.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let foreign = entry.dot.position != entry.position;
    let undone = entry.cleaned && entry.action.kind() == builtin::UNDO;
    out.push(match entry.cleaned {
        false => ENTRY,
        true if undone => UNDONE,
        true => CLEANED,
    });
    out.push(if foreign { FOREIGN_DOT } else { 0 });
    out.extend_from_slice(&entry.dot.incarnation.0.to_le_bytes());
    if foreign {
        put_number(out, entry.dot.position.get());
    }
    put_number(out, entry.time);
    put_distance(out, entry.id.ms, entry.time);
    put_distance(out, entry.accepted_ms, entry.time);
    put_number(out, entry.id.sequence);
    put_number(out, u64::from(entry.subprotocol));
    put_text(out, entry.id.node.as_str());
    put_addresses(out, entry);
    put_causes(out, &entry.causes, entry.dot.incarnation);
    if !entry.cleaned || undone {
        out.extend_from_slice(entry.action.json());
    }
}

/// Appends the request to take out a body.
pub(super) fn put_clean(out: &mut Vec<u8>, clean: &Clean) {
    let undo = clean.instead.kind() == builtin::UNDO;
    out.push(if undo { UNDO } else { CLEAN });
    put_number(out, clean.target.get());
    put_number(out, clean.accepted_ms);
    put_number(out, clean.id.ms);
    put_number(out, clean.id.sequence);
    put_text(out, clean.id.node.as_str());
    if undo {
        out.extend_from_slice(clean.instead.json());
    }
}

/// Appends that an entry got another name.
pub(super) fn put_alias(out: &mut Vec<u8>, alias: Alias) {
    out.push(ALIAS);
    put_number(out, alias.target.get());
    put_number(out, alias.accepted_ms);
}

fn decode_alias(bytes: &[u8]) -> Option<Alias> {
    let mut reader = Reader::new(bytes.get(1..)?);
    let (target, accepted_ms) = (take_position(&mut reader)?, reader.number()?);
    reader.is_empty().then_some(Alias { target, accepted_ms })
}

/// Each list; an address that is the author's own is the empty text.
fn put_addresses(out: &mut Vec<u8>, entry: &Entry) {
    let (node, to) = (&entry.id.node, &entry.addresses);
    let user = node.user_str().unwrap_or_default();
    put_texts(out, to.users.iter().map(UserId::as_str), user);
    put_texts(out, to.channels.iter().map(Channel::as_str), "");
    put_texts(out, to.clients.iter().map(ClientId::as_str), node.client_str());
    put_texts(out, to.nodes.iter().map(NodeId::as_str), node.as_str());
}

fn put_texts<'a>(out: &mut Vec<u8>, texts: impl ExactSizeIterator<Item = &'a str>, own: &str) {
    put_count(out, texts.len());
    texts.for_each(|text| put_text(out, if text == own { "" } else { text }));
}

fn decode_entry(
    (position, bytes): (Position, &Bytes),
    kind: u8,
    names: &mut Names,
) -> Option<Entry> {
    let mut reader = Reader::new(bytes.get(1..)?);
    let foreign = match reader.byte()? {
        0 => false,
        FOREIGN_DOT => true,
        _ => return None,
    };
    let incarnation = Incarnation(reader.eight()?);
    let dot_position = if foreign { take_position(&mut reader)? } else { position };
    let time = reader.number()?;
    let ms = reader.distance(time)?;
    let accepted_ms = reader.distance(time)?;
    let sequence = reader.number()?;
    let subprotocol = u32::try_from(reader.number()?).ok()?;
    let node = names.node(reader.text()?)?;
    let addresses = take_addresses(&mut reader, &node, names)?;
    let causes = Causes::of_record(Stored::take(&mut reader, bytes, incarnation)?);
    let action = match kind {
        CLEANED if reader.is_empty() => cleaned_action(),
        CLEANED => return None,
        UNDONE => take_undo(&reader, bytes)?,
        _ => Action::taken_before(bytes.slice_ref(reader.rest())).ok()?,
    };
    Some(Entry {
        position,
        id: ActionId { node, ms, sequence },
        time,
        accepted_ms,
        subprotocol,
        addresses,
        dot: Dot { incarnation, position: dot_position },
        aliases: Vec::new(),
        causes,
        action,
        kept: true,
        cleaned: kind != ENTRY,
    })
}

/// An undo at the end of a record.
fn take_undo(reader: &Reader<'_>, record: &Bytes) -> Option<Action> {
    let action = Action::taken_before(record.slice_ref(reader.rest())).ok()?;
    (action.kind() == builtin::UNDO).then_some(action)
}

/// `entry` without its body, which was cleaned.
pub(super) fn take_body(entry: Entry) -> Entry {
    put_instead(entry, cleaned_action())
}

/// `entry` with `instead` of its body.
pub(super) fn put_instead(entry: Entry, instead: Action) -> Entry {
    Entry { action: instead, cleaned: true, ..entry }
}

/// What stands for a body that was cleaned.
pub(super) fn cleaned_action() -> Action {
    Action::new(Bytes::from_static(CLEANED_ACTION)).expect("the constant above is an action")
}

fn decode_clean(bytes: &Bytes, undo: bool) -> Option<Clean> {
    let mut reader = Reader::new(bytes.get(1..)?);
    let target = take_position(&mut reader)?;
    let accepted_ms = reader.number()?;
    let (ms, sequence) = (reader.number()?, reader.number()?);
    let node = NodeId::new(reader.text()?).ok()?;
    let instead = match undo {
        true => take_undo(&reader, bytes)?,
        false if reader.is_empty() => cleaned_action(),
        false => return None,
    };
    Some(Clean { target, id: ActionId { node, ms, sequence }, accepted_ms, instead })
}

fn take_position(reader: &mut Reader<'_>) -> Option<Position> {
    Position::new(reader.number()?)
}

fn take_addresses(
    reader: &mut Reader<'_>,
    author: &NodeId,
    names: &mut Names,
) -> Option<Addresses> {
    let user = author.user_str().unwrap_or_default();
    Some(Addresses {
        users: take_texts(reader, user, |text| names.user(text))?,
        channels: take_texts(reader, "", |text| Channel::new(text).ok())?,
        clients: take_texts(reader, author.client_str(), |text| ClientId::new(text).ok())?,
        nodes: take_texts(reader, author.as_str(), |text| NodeId::new(text).ok())?,
    })
}

fn take_texts<T>(
    reader: &mut Reader<'_>,
    own: &str,
    mut parse: impl FnMut(&str) -> Option<T>,
) -> Option<Vec<T>> {
    let count = reader.count()?;
    // A damaged count may be any; each text takes a byte at least.
    let mut texts = Vec::with_capacity(count.min(reader.rest().len()));
    for _ in 0..count {
        let text = reader.text()?;
        texts.push(parse(if text.is_empty() { own } else { text })?);
    }
    Some(texts)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tidelog_crdt::{Context, Ranges, Seen};

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn encode(entry: &Entry) -> Bytes {
        let mut out = Vec::new();
        put_entry(&mut out, entry);
        out.into()
    }

    /// The entry of the golden vectors.
    pub(in super::super) fn sample() -> Entry {
        let own: Ranges = [at(12), at(13), at(20)].into_iter().collect();
        let mut context = Context::of(Incarnation(7), Seen { prefix: at(10), own });
        context.insert(Incarnation(9), Seen { prefix: at(3), own: Ranges::default() });
        let node = NodeId::new("10:c:t").unwrap();
        Entry {
            position: at(300),
            id: ActionId { node: node.clone(), ms: 1_000_000, sequence: 2 },
            time: 1_000_003,
            accepted_ms: 1_000_100,
            subprotocol: 5,
            addresses: Addresses {
                users: vec![UserId::new("10").unwrap(), UserId::new("11").unwrap()],
                channels: vec![Channel::new("tasks/1").unwrap()],
                clients: vec![node.client()],
                nodes: vec![node],
            },
            dot: Dot { incarnation: Incarnation(7), position: at(300) },
            aliases: Vec::new(),
            causes: context.into(),
            action: Action::new(Bytes::from_static(br#"{"type":"a"}"#)).unwrap(),
            kept: true,
            cleaned: false,
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// Everything of the sample between its kind and its body.
    const REST: &str = concat!(
        "00",                     // flags
        "0700000000000000",       // incarnation of the dot
        "c3843d",                 // time: 1,000,003
        "05",                     // ms of the id: 3 before it
        "c201",                   // accepted: 97 after it
        "0205",                   // sequence, subprotocol
        "0631303a633a74",         // node: 10:c:t
        "0200023131",             // two users: the author, 11
        "01077461736b732f31",     // one channel: tasks/1
        "01000100",               // one client, one node: the author's
        "02",                     // two servers in the context:
        "000a020c010700",         // that of the dot: up to 10, 12 to 13, 20
        "0109000000000000000300", // another one: up to 3
    );

    #[test]
    fn an_entry_has_the_bytes_it_always_had() {
        let body = hex(br#"{"type":"a"}"#);
        assert_eq!(hex(&encode(&sample())), format!("01{REST}{body}"));
        assert_eq!(hex(&encode(&take_body(sample()))), format!("03{REST}"));
    }

    #[test]
    fn a_request_to_clean_has_the_bytes_it_always_had() {
        let instead = cleaned_action();
        let clean = Clean { target: at(300), id: sample().id, accepted_ms: 1_000_100, instead };
        let mut out = Vec::new();
        put_clean(&mut out, &clean);
        assert_eq!(hex(&out), "02ac02a4853dc0843d020631303a633a74");
        let bytes = Bytes::from(out);
        assert_eq!(Record::decode(at(301), &bytes), Ok(Record::Clean(clean)));
    }

    #[test]
    fn what_is_undone_keeps_its_place_and_the_verdict() {
        let undo = super::super::undo::undo(&sample().id, "denied", "a", &[]);
        let json = hex(undo.json());
        let undone = put_instead(sample(), undo.clone());
        assert_eq!(hex(&encode(&undone)), format!("06{REST}{json}"));
        let bytes = encode(&undone);
        assert_eq!(Record::decode(at(300), &bytes), Ok(Record::Entry(undone)));
        let accepted_ms = 1_000_100;
        let clean = Clean { target: at(300), id: sample().id, accepted_ms, instead: undo };
        let mut out = Vec::new();
        put_clean(&mut out, &clean);
        assert_eq!(hex(&out), format!("07ac02a4853dc0843d020631303a633a74{json}"));
        assert_eq!(Record::decode(at(301), &out.into()), Ok(Record::Clean(clean)));
        // Nothing else stands there.
        let mut other = bytes.to_vec();
        other[0] = CLEANED;
        assert!(Record::decode(at(300), &other.into()).is_err());
        let mut other = encode(&sample()).to_vec();
        other[0] = UNDONE;
        assert!(Record::decode(at(300), &other.into()).is_err());
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_refused() {
        let whole = encode(&take_body(sample()));
        for end in 0..whole.len() {
            assert!(Record::decode(at(300), &whole.slice(..end)).is_err(), "{end} bytes");
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        assert!(Record::decode(at(300), &longer.clone().into()).is_err());
        longer[0] = 9;
        assert!(Record::decode(at(300), &longer.into()).is_err());
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-z0-9]{1,8}"
    }

    fn addresses() -> impl Strategy<Value = Addresses> {
        let users = vec(name().prop_map(|text| UserId::new(&text).unwrap()), 0..4);
        let channels = vec(name().prop_map(|text| Channel::new(&text).unwrap()), 0..4);
        let clients = vec(name().prop_map(|text| ClientId::new(&text).unwrap()), 0..4);
        let nodes = vec(name().prop_map(|text| NodeId::new(&text).unwrap()), 0..4);
        (users, channels, clients, nodes).prop_map(|(users, channels, clients, nodes)| Addresses {
            users,
            channels,
            clients,
            nodes,
        })
    }

    fn context() -> impl Strategy<Value = Context> {
        let seen = (0..1_000_u64, vec(0..1_000_u64, 0..20)).prop_map(|(prefix, own)| Seen {
            prefix: at(prefix),
            own: own.into_iter().map(at).collect(),
        });
        vec((any::<u64>(), seen), 0..3).prop_map(|servers| {
            let mut context = Context::default();
            for (id, seen) in servers {
                context.insert(Incarnation(id), seen);
            }
            context
        })
    }

    prop_compose! {
        fn entry()(
            (position, dot, incarnation) in (1..900_u64, 1..900_u64, any::<u64>()),
            (time, accepted_ms) in (any::<u64>(), any::<u64>()),
            (ms, sequence, subprotocol) in (any::<u64>(), any::<u64>(), any::<u32>()),
            node in "[a-z]{1,3}(:[a-z]{1,3}){0,2}",
            addresses in addresses(),
            context in context(),
            (text, cleaned) in ("[a-z\"\\\\é]{0,20}", any::<bool>()),
        ) -> Entry {
            let json = serde_json::json!({ "type": "a", "text": text }).to_string();
            let entry = Entry {
                position: at(position),
                id: ActionId { node: NodeId::new(&node).unwrap(), ms, sequence },
                time,
                accepted_ms,
                subprotocol,
                addresses,
                dot: Dot { incarnation: Incarnation(incarnation), position: at(dot) },
                aliases: Vec::new(),
                causes: context.into(),
                action: Action::new(json.into()).unwrap(),
                kept: true,
                cleaned: false,
            };
            if cleaned { take_body(entry) } else { entry }
        }
    }

    proptest! {
        #[test]
        fn any_entry_is_read_back(entry in entry()) {
            let bytes = encode(&entry);
            prop_assert_eq!(Record::decode(entry.position, &bytes), Ok(Record::Entry(entry)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..60), kind in 0..8_u8) {
            let bytes = [&[kind], &bytes[..]].concat();
            let _ = Record::decode(at(1), &bytes.into());
        }
    }
}
