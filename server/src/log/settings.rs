//! How a log is opened: sizes and limits, each with its default.

use std::path::PathBuf;

/// Where the store is and how much memory it may use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub dir: PathBuf,
    /// Memory of one half of the tail; when it is full it is written as a run. Default 32 MiB.
    pub tail_bytes: usize,
    /// Page cache of the feed. Default 32 MiB.
    pub cache_bytes: usize,
    /// Actions in one commit at most. Default 4,096.
    pub commit_actions_max: usize,
    /// Bytes in one commit at most. Default 4 MiB.
    pub commit_bytes_max: usize,
    /// Bytes waiting for the committer at most, counting 512 beside each action; `append` waits for
    /// room, in turn. Default 32 MiB.
    pub queue_bytes_max: usize,
    /// Nodes whose greatest id is remembered in memory. Default 262,144.
    pub marks_max: usize,
    /// Node records that wait to be written at most; one more is counted and forgotten. Default
    /// 65,536.
    pub nodes_max: usize,
    /// Bytes kept of one user's at most, counting 128 beside each action; one more action is refused.
    /// Default none.
    pub kept_bytes_max: Option<u64>,
    /// Only read: nothing is created, and no epoch starts. Default false.
    pub read_only: bool,
}

impl Settings {
    /// The defaults, for the store in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            tail_bytes: 32 << 20,
            cache_bytes: 32 << 20,
            commit_actions_max: 4096,
            commit_bytes_max: 4 << 20,
            queue_bytes_max: 32 << 20,
            marks_max: 1 << 18,
            nodes_max: 1 << 16,
            kept_bytes_max: None,
            read_only: false,
        }
    }
}
