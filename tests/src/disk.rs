//! A disk whose power is cut: an ext4 file system in an image behind a loop device.
//!
//! What the file system has written to the loop device is in the image, what it still held back is
//! not, so a copy of the image is what a disk without power would have. Mounting the copy replays the
//! journal, as a boot would.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Room for the data of a test; the image is sparse.
const BYTES: u64 = 2 << 30;
/// The file system commits its journal when it is asked to, and hardly ever by itself: a test must not
/// pass because a timer saved it.
const MOUNT_OPTIONS: &str = "loop,commit=600,noatime";

/// A mounted disk. It is unmounted, and gone, when this is dropped.
#[derive(Debug)]
pub struct Disk {
    home: TempDir,
}

impl Disk {
    /// A new, empty disk. Needs root and loop devices; the error says what is missing.
    pub fn new() -> anyhow::Result<Self> {
        let home = home()?;
        std::fs::File::create(image(&home))?.set_len(BYTES)?;
        // Everything is laid out now, so that nothing is written later by itself; and nothing is kept
        // back for root, so that what is full is full for a test, too.
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"])
            .arg(image(&home)))?;
        mount(home)
    }

    /// The same disk after its power was cut just now and came back.
    pub fn after_power_loss(&self) -> anyhow::Result<Self> {
        let home = home()?;
        run(Command::new("cp")
            .args(["--reflink=never", "--sparse=always"])
            .args([image(&self.home), image(&home)]))?;
        mount(home)
    }

    /// Mounts it again with other options, such as `ro`.
    pub fn remount(&self, options: &str) -> anyhow::Result<()> {
        run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.path()))
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        mount_point(&self.home)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, so that a process that still holds a file cannot keep the mount.
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(self.path())) {
            eprintln!("{error:#}");
        }
    }
}

fn home() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("tidelog-disk-").tempdir()?)
}

fn image(home: &TempDir) -> PathBuf {
    home.path().join("image")
}

fn mount_point(home: &TempDir) -> PathBuf {
    home.path().join("mounted")
}

fn mount(home: TempDir) -> anyhow::Result<Disk> {
    let at: &Path = &mount_point(&home);
    std::fs::create_dir(at)?;
    run(Command::new("mount").args(["-o", MOUNT_OPTIONS]).arg(image(&home)).arg(at))?;
    Ok(Disk { home })
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
