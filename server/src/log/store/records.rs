//! What the index keeps in the engine: the manifest of the runs, and the records of nodes.

use super::super::error::{Failure, OpenError, ReadError};
use super::super::run::REBUILD;
use super::Database;
use bytes::Bytes;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};

const MANIFEST_KEY: &[u8] = b"manifest";

/// The database of the index.
pub(in super::super) struct IndexStore {
    database: Database,
    meta: sled::Tree,
    nodes: sled::Tree,
}

impl IndexStore {
    const CACHE_BYTES: usize = 8 << 20;

    pub(in super::super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let database = Database::open(dir, Self::CACHE_BYTES, REBUILD)?;
        let tree = |name| database.tree(name, REBUILD);
        let (meta, nodes) = (tree("meta")?, tree("nodes")?);
        Ok(Self { database, meta, nodes })
    }

    /// Its directory was renamed.
    pub(in super::super) fn moved_to(mut self, dir: PathBuf) -> Self {
        self.database.dir = dir;
        self
    }

    pub(in super::super) fn manifest(&self) -> Result<Option<Bytes>, ReadError> {
        let manifest = self.meta.get(MANIFEST_KEY).map_err(|error| self.database.unread(&error))?;
        Ok(manifest.map(|bytes| Bytes::copy_from_slice(&bytes)))
    }

    /// On disk on return.
    pub(in super::super) fn put_manifest(&self, manifest: &[u8]) -> Result<(), Failure> {
        let put = self.meta.insert(MANIFEST_KEY, manifest);
        put.map_err(|error| self.database.failure(&error))?;
        self.database.sync()
    }

    pub(in super::super) fn node(&self, node: &str) -> Result<Option<Bytes>, ReadError> {
        let record = self.nodes.get(node).map_err(|error| self.database.unread(&error))?;
        Ok(record.map(|bytes| Bytes::copy_from_slice(&bytes)))
    }

    /// The records of nodes whose id starts with `start`, in order.
    pub(in super::super) fn nodes<'a>(
        &'a self,
        start: &str,
    ) -> impl Iterator<Item = Result<(String, Bytes), ReadError>> + use<'a> {
        self.nodes.scan_prefix(start).map(|pair| {
            let (node, record) = pair.map_err(|error| self.database.unread(&error))?;
            Ok((String::from_utf8_lossy(&node).into_owned(), Bytes::copy_from_slice(&record)))
        })
    }

    /// Removes the records of up to `count` nodes behind `after` for which `is_over` says so; how many,
    /// and the last node that was looked at, if there may be more. On disk some time: what comes back
    /// after a crash goes the next time.
    pub(in super::super) fn forget_nodes(
        &self,
        after: &[u8],
        count: usize,
        is_over: impl Fn(&[u8]) -> bool,
    ) -> Result<(u64, Option<Vec<u8>>), Failure> {
        let (mut seen, mut removed, mut last) = (0, 0, None);
        for pair in self.nodes.range::<&[u8], _>((Excluded(after), Unbounded)).take(count) {
            let (node, record) = pair.map_err(|error| self.database.failure(&error))?;
            if is_over(&record) {
                self.nodes.remove(&node).map_err(|error| self.database.failure(&error))?;
                removed += 1;
            }
            seen += 1;
            last = Some(node.to_vec());
        }
        Ok((removed, last.filter(|_| seen == count)))
    }

    /// On disk on return.
    pub(in super::super) fn put_nodes<'a>(
        &self,
        records: impl Iterator<Item = (&'a str, Vec<u8>)>,
    ) -> Result<(), Failure> {
        for (node, record) in records {
            self.put_node(node, &record)?;
        }
        self.database.sync()
    }

    /// On disk after the next sync, such as that of [`IndexStore::put_manifest`].
    pub(in super::super) fn put_node(&self, node: &str, record: &[u8]) -> Result<(), Failure> {
        let put = self.nodes.insert(node, record);
        put.map(drop).map_err(|error| self.database.failure(&error))
    }
}
