//! What the system knows about a process: its CPU time and its memory, from `/proc`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Ticks in a second, in `/proc`: 100 on every Linux there is.
const TICKS_PER_SECOND: u64 = 100;

/// A process to look at.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// The process with this id.
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// The time that its threads have run, in user and in system mode.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(self.file("stat"))?;
        // The name, in parentheses, may hold anything; 11 fields after it come the two times.
        let mut fields =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
        let user = fields.nth(11).and_then(|ticks| ticks.parse::<u64>().ok());
        let system = fields.next().and_then(|ticks| ticks.parse::<u64>().ok());
        let ticks = user.zip(system).map(|(user, system)| user + system);
        ticks.map(|ticks| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)).ok_or_else(odd)
    }

    /// Memory in use, in KiB.
    pub fn resident_kib(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most memory that was ever in use, in KiB.
    pub fn peak_kib(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    fn status(self, name: &str) -> io::Result<u64> {
        let status = fs::read_to_string(self.file("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok()).ok_or_else(odd)
    }

    fn file(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.pid).into()
    }
}

fn odd() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "/proc does not look as expected")
}

/// Raises this process's limit of open files as far as it may; what it is now.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // A limit that stays low shows in connections that cannot be opened.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_uses_memory_and_time() {
        let process = Process::new(std::process::id());
        assert!(process.resident_kib().unwrap() > 100);
        assert!(process.peak_kib().unwrap() >= process.resident_kib().unwrap());
        let before = process.cpu().unwrap();
        while process.cpu().unwrap() == before {
            std::hint::black_box(0);
        }
    }
}
