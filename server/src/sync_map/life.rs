//! Whether an item is there.

use tidelog_crdt::Stamp;

/// The creations and the last deletion of one item.
///
/// The first creation after the last deletion brings the item back, without what it was before. A
/// later change does not: a client that shows the item again would show one field of it.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// Those after the last deletion, ascending. Mostly one, and there are very many lives.
    created: Vec<Stamp>,
    deleted: Option<Stamp>,
}

impl Life {
    /// The item was created.
    pub(crate) fn create(&mut self, stamp: Stamp) {
        if self.deleted.as_ref() < Some(&stamp)
            && let Err(at) = self.created.binary_search(&stamp)
        {
            self.created.insert(at, stamp);
        }
    }

    /// The item was deleted. Returns whether this is the last deletion.
    pub(crate) fn delete(&mut self, stamp: Stamp) -> bool {
        if self.deleted.as_ref() >= Some(&stamp) {
            return false;
        }
        self.created.retain(|created| *created >= stamp);
        self.deleted = Some(stamp);
        true
    }

    /// The first creation after the last deletion, if there was one.
    pub(crate) fn revival(&self) -> Option<&Stamp> {
        let deleted = self.deleted.as_ref()?;
        self.created.iter().find(|created| *created > deleted)
    }

    /// Whether the item was ever deleted.
    pub(crate) fn was_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    /// Whether a write holds: the item is there, and what it was before it was deleted is not.
    pub(crate) fn counts(&self, write: &Stamp) -> bool {
        self.deleted.is_none() || self.revival().is_some_and(|revival| write >= revival)
    }

    /// The item was deleted, and not created again.
    pub(crate) fn is_over(&self) -> bool {
        self.deleted.is_some() && self.revival().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(time: u64) -> Stamp {
        Stamp { time, node: "10:a:b".into(), sequence: 0, created: 0 }
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_arrival_the_last_deletion_and_what_follows_it_decide(
            events in prop::collection::vec((any::<bool>(), 0..20_u64), 0..20),
        ) {
            let mut life = Life::default();
            for &(create, time) in &events {
                if create {
                    life.create(stamp(time));
                } else {
                    life.delete(stamp(time));
                }
            }
            let deleted = events.iter().filter(|(create, _)| !create).map(|(_, time)| *time).max();
            let created = events.iter().filter(|(create, _)| *create).map(|(_, time)| *time);
            let revival = deleted.and_then(|deleted| created.filter(|time| *time > deleted).min());
            prop_assert_eq!(life.revival().map(|stamp| stamp.time), revival);
            prop_assert_eq!(life.is_over(), deleted.is_some() && revival.is_none());
            for time in 0..20 {
                let counts = deleted.is_none() || revival.is_some_and(|revival| time >= revival);
                prop_assert_eq!(life.counts(&stamp(time)), counts);
            }
        }
    }
}
