//! Cursors over HTTP: where a reader stands, opaque to it and authenticated like a wire number.
//!
//! A cursor has a part for each store that its reader pulled from, so that a phone can roam between
//! an edge and the cloud; only the store that made a part can read it. A part holds how far the
//! reader has come in the user's log, and in each channel that it follows. Its tag is a keyed hash
//! over the user and the part, with the random id of the epoch that gave the newest position in it:
//! a part of another user, another store, or a history that a restored backup has undone does not
//! verify.
//!
//! ```text
//! base64url( version · part … )        part = store 16 · tag 8 · length 2 · body
//! ```

use crate::epochs::Epochs;
use crate::log::Channel;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;
use std::hash::Hasher;
use tidelog_crdt::Position;
use tidelog_protocol::http::Cursor;
use uuid::Uuid;

/// The first byte: how the rest is written.
const VERSION: u8 = 1;
/// Stores that one cursor holds parts of; the one that was longest not pulled from goes first.
const STORES_MAX: usize = 8;
/// What a part has beside its body.
const PART_BYTES: usize = 16 + 8 + 2;
/// The longest cursor that is looked at.
const TEXT_BYTES_MAX: usize = 32 << 10;

/// A text that no server made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// How much of a log the reader has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Everything visible up to here; of a map whose items are being sent: those last touched up
    /// to here.
    pub(super) through: Position,
    /// The reader's own actions are shown up to here: it started with nothing.
    pub(super) echo_through: Position,
    /// What it had of what is below.
    pub(super) stage: Stage,
    /// The latest time of the states that it was sent of documents: a store that goes by time would not
    /// show what was made before.
    pub(super) state_ms: u64,
    /// Documents that are still to come, once everything up to where they go was sent.
    pub(super) owed: Option<Owed>,
}

/// Documents that a reader is to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owed {
    /// Those that changed above this.
    pub(super) after: Position,
    /// The log ended here when that began.
    pub(super) began: Position,
    /// The reader may have something of them already.
    pub(super) has_shown: bool,
    /// Above this what it had is not everything yet: entries are left out that these documents have. It had
    /// every entry, if they only come anew.
    #[serde(default = "nothing_is_left_out")]
    pub(super) complete_through: Position,
}

/// For documents that only come anew.
pub(super) fn nothing_is_left_out() -> Position {
    Position::MAX
}

impl Mark {
    /// Everything visible up to here was had.
    pub(super) fn had(&self) -> Position {
        match (self.stage, self.owed) {
            (Stage::Items, _) => Position::ZERO,
            (Stage::Whole | Stage::Partly, Some(owed)) => self.through.min(owed.complete_through),
            (Stage::Whole | Stage::Partly, None) => self.through,
        }
    }
}

/// What a reader had of the past of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Every entry, from the first.
    #[default]
    Whole,
    /// What the past adds up to, or nothing of it.
    Partly,
    /// The items of a map are being sent.
    Items,
}

/// How far a reader has come in this store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// In the user's log.
    pub(super) own: Mark,
    /// In the channels that it follows.
    pub(super) channels: BTreeMap<ChannelKey, Mark>,
}

/// A channel's name, hashed: the reader names its channels with each request, so its cursor need
/// not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChannelKey(u64);

/// The parts of other stores, the last used first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Others(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    store: Uuid,
    tag: u64,
    body: Vec<u8>,
}

/// Reads and makes the cursors of one store.
pub(super) struct Cursors {
    store: Uuid,
    epochs: Epochs,
}

impl Cursors {
    pub(super) fn new(store: Uuid, epochs: Epochs) -> Self {
        Self { store, epochs }
    }

    /// What a cursor says of `user` here; none when its part for this store does not verify, or
    /// there is none.
    pub(super) fn read(
        &self,
        cursor: &str,
        user: &str,
        head: Position,
    ) -> Result<(Option<Reached>, Others), Malformed> {
        let mut parts = parse(cursor).ok_or(Malformed)?;
        let ours = parts.iter().position(|part| part.store == self.store);
        let reached = ours.map(|at| parts.remove(at)).and_then(|part| {
            let reached = decode(&part.body)?;
            let newest = reached.newest();
            let genuine = newest <= head && self.tag(user, newest, &part.body) == part.tag;
            genuine.then_some(reached)
        });
        Ok((reached, Others(parts)))
    }

    /// The cursor that says `reached` to `user`.
    pub(super) fn mint(&self, user: &str, reached: &Reached, others: &Others) -> Cursor {
        let body = encode(reached);
        let tag = self.tag(user, reached.newest(), &body);
        let ours = Part { store: self.store, tag, body };
        let parts = std::iter::once(&ours).chain(&others.0).take(STORES_MAX);
        let length = |part: &Part| PART_BYTES + part.body.len();
        let mut bytes = Vec::with_capacity(1 + parts.clone().map(length).sum::<usize>());
        bytes.push(VERSION);
        for part in parts {
            // A body that is too long for its length would not be read back; none gets there.
            let length = u16::try_from(part.body.len()).unwrap_or(0);
            bytes.extend_from_slice(part.store.as_bytes());
            bytes.extend_from_slice(&part.tag.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&part.body);
        }
        Cursor::new(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What stands for `channel` in cursors.
    pub(super) fn key(&self, channel: &Channel) -> ChannelKey {
        let (high, low) = self.store.as_u64_pair();
        let mut hasher = SipHasher24::new_with_keys(high, low);
        hasher.write(channel.as_str().as_bytes());
        ChannelKey(hasher.finish())
    }

    /// A number that only this run of the process has. It does not tell the epoch's id.
    pub(super) fn run(&self) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.secret(Position::MAX), 1);
        hasher.write(self.store.as_bytes());
        hasher.finish()
    }

    fn tag(&self, user: &str, newest: Position, body: &[u8]) -> u64 {
        let (high, low) = self.store.as_u64_pair();
        let mut hasher = SipHasher24::new_with_keys(self.secret(newest), high ^ low);
        hasher.write(user.as_bytes());
        // No user id has a zero byte.
        hasher.write_u8(0);
        hasher.write(body);
        hasher.finish()
    }

    /// The id of the epoch that gave `position`. None gave zero, and whoever claims that claims nothing.
    fn secret(&self, position: Position) -> u64 {
        self.epochs.of(position).map_or(0, |epoch| epoch.id)
    }
}

impl Reached {
    /// Where a reader that has nothing starts: everything, its own actions included.
    pub(super) fn start(head: Position) -> Self {
        let own = Mark { echo_through: head, ..Mark::default() };
        Self { own, channels: BTreeMap::new() }
    }

    /// A reader that has its user's log up to there, and no channel.
    pub(super) fn through(position: Position) -> Self {
        let own = Mark { through: position, ..Mark::default() };
        Self { own, channels: BTreeMap::new() }
    }

    fn newest(&self) -> Position {
        self.channels.values().map(|mark| mark.through).fold(self.own.through, Position::max)
    }
}

fn parse(text: &str) -> Option<Vec<Part>> {
    let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= TEXT_BYTES_MAX)?);
    let bytes = bytes.ok()?;
    let mut rest = bytes.strip_prefix(&[VERSION])?;
    let mut parts: Vec<Part> = Vec::new();
    while !rest.is_empty() {
        let (store, after) = rest.split_first_chunk()?;
        let (tag, after) = after.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (body, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        let store = Uuid::from_bytes(*store);
        if parts.len() == STORES_MAX || parts.iter().any(|part| part.store == store) {
            return None;
        }
        parts.push(Part { store, tag: u64::from_be_bytes(*tag), body: body.to_vec() });
        rest = after;
    }
    Some(parts)
}

/// Positions of a mark, relative to the user's log, as most are the same.
type PackedMark = (i64, u64, u8);
/// What few marks have beside that: the channel, or none for the user's log, the time of states, what is owed.
type PackedMore = (Option<u64>, u64, Option<Owed>);

/// About what a mark takes at most when it is written, with its channel; and what it has beside that.
const MARK_BYTES_MAX: usize = 32;
const MORE_BYTES_MAX: usize = 64;

fn encode(reached: &Reached) -> Vec<u8> {
    let base = reached.own.through;
    let packed = |mark: &Mark| -> PackedMark {
        let stage = match mark.stage {
            Stage::Whole => 0,
            Stage::Partly => 1,
            Stage::Items => 2,
        };
        let offset = mark.through.get().cast_signed() - base.get().cast_signed();
        // Below `through` it says nothing.
        let echo = if mark.echo_through > mark.through { mark.echo_through.get() } else { 0 };
        (offset, echo, stage)
    };
    let channels = reached.channels.iter().map(|(key, mark)| (key.0, packed(mark)));
    let channels: Vec<(u64, PackedMark)> = channels.collect();
    let own = packed(&reached.own);
    let more = packed_more(reached);
    let bytes = MARK_BYTES_MAX * (1 + channels.len()) + MORE_BYTES_MAX * more.len();
    let mut written = Vec::with_capacity(bytes);
    let done = if more.is_empty() {
        rmp_serde::encode::write(&mut written, &(base.get(), own, channels))
    } else {
        rmp_serde::encode::write(&mut written, &(base.get(), own, channels, more))
    };
    // Numbers always serialize.
    done.map_or_else(|_| Vec::new(), |()| written)
}

fn packed_more(reached: &Reached) -> Vec<PackedMore> {
    let channels = reached.channels.iter().map(|(key, mark)| (Some(key.0), mark));
    let all = [(None, &reached.own)].into_iter().chain(channels);
    let any = |(_, mark): &(_, &Mark)| mark.state_ms > 0 || mark.owed.is_some();
    all.filter(any).map(|(key, mark)| (key, mark.state_ms, mark.owed)).collect()
}

fn decode(body: &[u8]) -> Option<Reached> {
    type Short = (u64, PackedMark, Vec<(u64, PackedMark)>);
    type Long = (u64, PackedMark, Vec<(u64, PackedMark)>, Vec<PackedMore>);
    let long: Result<Long, _> = rmp_serde::from_slice(body);
    let (base, own, channels, more) = long.ok().or_else(|| {
        let (base, own, channels): Short = rmp_serde::from_slice(body).ok()?;
        Some((base, own, channels, Vec::new()))
    })?;
    let mark = |(offset, echo, stage): PackedMark| {
        let stage = match stage {
            0 => Stage::Whole,
            1 => Stage::Partly,
            2 => Stage::Items,
            _ => return None,
        };
        let through = Position::new(base.checked_add_signed(offset)?)?;
        Some(Mark { through, echo_through: Position::new(echo)?, stage, ..Mark::default() })
    };
    let channels = channels.into_iter().map(|(key, packed)| Some((ChannelKey(key), mark(packed)?)));
    let mut reached = Reached { own: mark(own)?, channels: channels.collect::<Option<_>>()? };
    for (key, state_ms, owed) in more {
        let mark = match key {
            None => &mut reached.own,
            Some(key) => reached.channels.get_mut(&ChannelKey(key))?,
        };
        (mark.state_ms, mark.owed) = (state_ms, owed);
    }
    Some(reached)
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epochs::Epoch;

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn store(seed: u128, epochs: &[(u64, u64)]) -> Cursors {
        let epoch = |&(first, id)| Epoch { first: at(first), id, started_ms: 0 };
        Cursors::new(Uuid::from_u128(seed), Epochs::new(epochs.iter().map(epoch).collect()))
    }

    fn here() -> Cursors {
        store(1, &[(1, 11), (100, 12)])
    }

    fn through(position: u64) -> Reached {
        Reached { own: Mark { through: at(position), ..Mark::default() }, ..Reached::default() }
    }

    fn mint(cursors: &Cursors, position: u64) -> Cursor {
        cursors.mint("10", &through(position), &Others::default())
    }

    /// What `cursors` read of user 10 in `cursor`.
    fn read(cursors: &Cursors, cursor: &Cursor) -> Option<Reached> {
        cursors.read(cursor.as_str(), "10", at(150)).unwrap().0
    }

    #[test]
    fn a_cursor_says_to_its_user_what_was_put_in() {
        let cursors = here();
        let channel = |name| cursors.key(&Channel::new(name).unwrap());
        let marks = [
            (channel("behind"), Mark { through: at(5), echo_through: at(120), ..Mark::default() }),
            (channel("ahead"), Mark { through: at(140), stage: Stage::Partly, ..Mark::default() }),
            (channel("map"), Mark { through: at(0), stage: Stage::Items, ..Mark::default() }),
        ];
        let mut reached = Reached { channels: BTreeMap::from(marks), ..through(99) };
        let cursor = cursors.mint("10", &reached, &Others::default());
        assert_eq!(read(&cursors, &cursor), Some(reached.clone()));
        let owed = Owed { after: at(7), began: at(90), has_shown: true, complete_through: at(5) };
        (reached.own.state_ms, reached.own.owed) = (5_000, Some(owed));
        reached.channels.values_mut().next().unwrap().state_ms = 6_000;
        let cursor = cursors.mint("10", &reached, &Others::default());
        assert_eq!(read(&cursors, &cursor), Some(reached));
        assert_eq!(cursors.read(cursor.as_str(), "11", at(150)).unwrap().0, None);
    }

    #[test]
    fn a_cursor_above_the_head_or_from_an_undone_history_does_not_verify() {
        let cursor = mint(&here(), 120);
        assert_eq!(read(&here(), &cursor), Some(through(120)));
        assert_eq!(here().read(cursor.as_str(), "10", at(119)).unwrap().0, None);
        let restored = store(1, &[(1, 11), (90, 13)]);
        assert_eq!(read(&restored, &cursor), None);
        assert_eq!(
            read(&restored, &mint(&here(), 89)),
            Some(through(89)),
            "from before the backup"
        );
        assert_eq!(read(&restored, &mint(&here(), 95)), None);
    }

    #[test]
    fn a_cursor_of_an_empty_log_outlives_runs_that_gave_no_position() {
        let [before, after] = [11, 12].map(|epoch| store(1, &[(1, epoch)]));
        let news = Channel::new("news").unwrap();
        let channels = BTreeMap::from([(before.key(&news), Mark::default())]);
        let reached = Reached { channels, ..through(0) };
        let cursor = before.mint("10", &reached, &Others::default());
        assert_eq!(read(&after, &cursor), Some(reached));
        assert_eq!(before.key(&news), after.key(&news));
    }

    #[test]
    fn a_changed_byte_does_not_verify_or_is_malformed() {
        let cursor = mint(&here(), 120);
        let bytes = URL_SAFE_NO_PAD.decode(cursor.as_str()).unwrap();
        for at_byte in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at_byte] ^= 1;
            let text = URL_SAFE_NO_PAD.encode(changed);
            let read = here().read(&text, "10", at(150));
            assert!(matches!(read, Err(Malformed) | Ok((None, _))), "byte {at_byte}");
        }
    }

    #[test]
    fn a_phone_roams_between_eight_stores_and_keeps_each_place() {
        let stores: Vec<_> = (1..=9).map(|seed| store(seed, &[(1, 5)])).collect();
        let mut others = Others::default();
        let mut cursor = Cursor::new(String::new());
        for cursors in &stores {
            cursor = cursors.mint("10", &through(7), &others);
            others = stores[8].read(cursor.as_str(), "10", at(150)).unwrap().1;
        }
        for (n, cursors) in stores.iter().enumerate() {
            let expected = (n > 0).then(|| through(7));
            assert_eq!(read(cursors, &cursor), expected, "the first store was forgotten");
        }
    }

    #[test]
    fn what_no_server_made_is_malformed() {
        let part = |seed: u128| [Uuid::from_u128(seed).as_bytes(), &[0; 10][..]].concat();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let many: Vec<u8> = (0..9).flat_map(part).collect();
        for bad in [
            "",
            "!",
            "AA==",
            &text(&[2]),
            &text(&[1, 0]),
            &text(&[&[1][..], &part(1), &part(1)].concat()),
            &text(&[&[1][..], &many].concat()),
            &text(&vec![1; TEXT_BYTES_MAX]),
        ] {
            assert_eq!(here().read(bad, "10", at(150)), Err(Malformed), "{bad}");
        }
        assert_eq!(here().read(&text(&[1]), "10", at(150)), Ok((None, Others::default())));
    }

    #[test]
    fn what_was_had_of_a_log_is_what_was_sent_and_nothing_that_is_owed() {
        assert_eq!(through(50).own.had(), at(50));
        let items = Mark { through: at(20), stage: Stage::Items, ..Mark::default() };
        assert_eq!(items.had(), Position::ZERO);
        // Documents up to 12 were sent, but entries above 9 may be in others.
        let of =
            |complete_through| Some(Owed { after: at(12), complete_through, ..Owed::default() });
        let owing = |owed| Mark { through: at(20), owed, ..Mark::default() };
        assert_eq!(owing(of(at(9))).had(), at(9));
        assert_eq!(owing(of(nothing_is_left_out())).had(), at(20));
    }
}
