//! Pages of several logs.

use super::*;
use crate::log::Addresses;
use std::cell::Cell;
use tidelog_crdt::{Dot, Incarnation};
use tidelog_protocol::{Action, ActionId, NodeId};

const LIMIT: PageLimit = PageLimit { entries: 100, bytes: 64 << 10 };

fn at(position: u64) -> Position {
    Position::new(position).unwrap()
}

fn entry(position: Position) -> Arc<Entry> {
    let id = ActionId { node: NodeId::new("1:a:b").unwrap(), ms: position.get(), sequence: 0 };
    Arc::new(Entry {
        position,
        id,
        time: 0,
        accepted_ms: 0,
        subprotocol: 0,
        addresses: Addresses::default(),
        dot: Dot { incarnation: Incarnation(1), position },
        aliases: Vec::new(),
        causes: crate::log::Causes::default(),
        action: Action::from_parts(r#"{"type":"a"}"#.into(), "a"),
        kept: true,
        cleaned: false,
    })
}

/// Logs that have every so manieth position.
struct Logs {
    names: Vec<LogName>,
    steps: Vec<u64>,
    read: Cell<usize>,
}

impl Logs {
    fn new(steps: Vec<u64>) -> Self {
        let name = |n| LogName::Channel(Channel::new(&format!("c/{n}")).unwrap());
        Self { names: (0..steps.len()).map(name).collect(), steps, read: Cell::new(0) }
    }

    fn page(&self, between: (Position, Position), limit: PageLimit) -> Page {
        let read = |name: &LogName, (above, until): (Position, Position)| {
            let step = self.steps[self.names.iter().position(|known| known == name).unwrap()];
            let all = (above.get() + 1..=until.get()).filter(|p| p % step == 0);
            let mut entries: Vec<_> = all.map(|p| entry(at(p))).collect();
            let more = entries.len() > limit.entries;
            entries.truncate(limit.entries);
            self.read.set(self.read.get() + entries.len());
            let through = if more { entries.last().unwrap().position } else { until };
            Ok::<_, ()>(Page { entries, through, more })
        };
        gather(&self.names, between, limit, read).unwrap()
    }
}

#[test]
fn pages_of_several_logs_have_every_entry_once_and_in_order() {
    let limit = PageLimit { entries: 3, ..LIMIT };
    let logs = Logs::new(vec![2, 3, 5, 1000]);
    let (mut above, mut found) = (Position::ZERO, Vec::new());
    loop {
        let page = logs.page((above, at(60)), limit);
        assert!(page.entries.len() <= 3 && page.through > above);
        found.extend(page.entries.iter().map(|entry| entry.position.get()));
        above = page.through;
        if !page.more {
            break;
        }
    }
    let expected = (1..=60).filter(|p| p % 2 == 0 || p % 3 == 0 || p % 5 == 0);
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(above, at(60));
}

#[test]
fn a_log_that_breaks_off_ends_the_page() {
    let logs = Logs::new(vec![1, 2]);
    let read = |name: &LogName, (_, until): (Position, Position)| {
        let breaks_off = *name == logs.names[0];
        let (through, more) = if breaks_off { (at(5), true) } else { (until, false) };
        let entries = if breaks_off { vec![entry(at(4))] } else { vec![entry(at(3))] };
        Ok::<_, ()>(Page { entries, through, more })
    };
    let page = gather(&logs.names, (Position::ZERO, at(9)), LIMIT, read).unwrap();
    assert_eq!((page.entries.len(), page.through, page.more), (2, at(5), true));
}

#[test]
fn of_a_thousand_logs_little_more_is_read_than_a_page_has() {
    // Each of them was read for a whole page, which was then cut to one: 100,000 entries for 100.
    let logs = Logs::new((1000..2000).collect());
    let page = logs.page((Position::ZERO, at(500_000)), LIMIT);
    assert_eq!(page.entries.len(), LIMIT.entries);
    assert!(logs.read.get() < 10 * LIMIT.entries, "{}", logs.read.get());
}

#[test]
fn a_page_without_logs_or_with_one_large_entry_goes_on() {
    let none = gather(&[], (at(1), at(9)), LIMIT, |_, _| Err(())).unwrap();
    assert_eq!((none.through, none.more), (at(9), false));
    let logs = Logs::new(vec![2, 3]);
    let page = logs.page((Position::ZERO, at(9)), PageLimit { entries: 10, bytes: 1 });
    assert_eq!((page.entries.len(), page.through, page.more), (1, at(2), true));
}
