//! Taking out of the index what a rewriting of the feed has taken out there: runs that may have it are
//! written again, and so is the engine's database, whose file keeps what was deleted.

use super::super::error::{Damage, Failure};
use super::super::manifest::{Family, Part};
use super::super::prefix::{Key, Prefix};
use super::super::run::{Item, Order, Scan};
use super::super::store::IndexStore;
use super::{Current, Index, RECORDS, RUNS};
use bytes::Bytes;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::{Arc, PoisonError};

impl Index {
    /// Writes the runs again that may have entries of `logs`, each of their items as `keep` says:
    /// with another value, or not at all. Readers see all of it or nothing, and then the lists say the
    /// same as the feed of this generation.
    pub(in super::super) fn rewrite_runs(
        &self,
        (logs, generation): (&HashSet<Prefix>, u64),
        keep: impl Fn(&Item) -> Result<Option<Bytes>, Damage>,
        publish: impl FnOnce(&Current),
    ) -> Result<(), Failure> {
        let _merging = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = self.current().lists.entries.clone();
        let concerned = |part: &&Part| logs.iter().any(|log| part.run.may_have(*log));
        let mut rewritten = Vec::new();
        for part in parts.iter().filter(concerned) {
            rewritten.push((part, self.rewrite_run(part, logs, &keep)?));
        }
        self.change(publish, |current| {
            let entries = &mut Arc::make_mut(&mut current.lists).entries;
            for (part, fresh) in &rewritten {
                if let Some(at) = entries.iter().position(|known| known.file == part.file) {
                    drop(entries.splice(at..=at, fresh.clone()));
                }
            }
            current.generation = generation;
        })?;
        rewritten.iter().try_for_each(|(part, _)| self.remove(part))
    }

    fn rewrite_run(
        &self,
        part: &Part,
        logs: &HashSet<Prefix>,
        keep: impl Fn(&Item) -> Result<Option<Bytes>, Damage>,
    ) -> Result<Option<Part>, Failure> {
        let rewritten = self.write(Family::Entries, |writer| {
            let last = Key::last_of(Prefix(u64::MAX, u64::MAX));
            let items = Scan::new(Arc::clone(&part.run), Key::default(), last, Order::Ascending);
            for item in items {
                let item = item.map_err(io::Error::other)?;
                let kept = if item.value.is_empty() || !logs.contains(&item.key.prefix) {
                    Some(item.value)
                } else {
                    keep(&item).map_err(|Damage(what)| io::Error::other(what))?
                };
                kept.iter().try_for_each(|value| writer.push(item.key, value))?;
            }
            Ok(())
        })?;
        Ok(rewritten.map(|fresh| Part { level: part.level, ..fresh }))
    }

    /// Removes what others keep beside the index, made from what readers saw.
    pub(in super::super) fn remove_others(&self) -> Result<(), Failure> {
        let failure = |error: io::Error| Failure::io(self.records.dir(), &error);
        let index = self.records.dir().parent().unwrap_or(self.records.dir());
        for file in fs::read_dir(index).map_err(failure)? {
            let path = file.map_err(failure)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != RUNS && !name.starts_with(RECORDS) {
                fs::remove_dir_all(&path).map_err(|error| Failure::io(&path, &error))?;
            }
        }
        Ok(())
    }

    /// The lists say the same as the feed of this generation, and records of nodes stay as `keep`
    /// says. What goes is gone from the engine's file, too.
    pub(in super::super) fn renew(
        &self,
        generation: u64,
        keep: impl Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        let failure = |error: io::Error| Failure::io(self.records.dir(), &error);
        // Held to the end: nobody changes the manifest of a database that is being left behind.
        let mut current = self.lock();
        let renewed = Current { generation, ..current.clone() };
        let store = self.store();
        self.records.clear_next().map_err(failure)?;
        let fresh = IndexStore::open(&self.records.next())
            .map_err(|error| Failure(error.to_string().into()))?;
        for record in store.nodes("") {
            let (node, record) = record?;
            if keep(&node) {
                fresh.put_node(&node, &record)?;
            }
        }
        fresh.put_manifest(&self.manifest(&renewed).encode())?;
        self.records.switch().map_err(failure)?;
        let fresh = fresh.moved_to(self.records.dir().to_path_buf());
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        *current = renewed;
        drop(current);
        self.records.remove_old().map_err(failure)
    }
}
