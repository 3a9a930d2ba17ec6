//! A directory that is replaced by another one as a whole, safe against a crash at any moment.
//!
//! What replaces `NAME` is put together in `NAME.next`. When it is complete and synced, `NAME` is
//! renamed to `NAME.old` and `NAME.next` to `NAME`. Only between the two renames is there no `NAME`,
//! and then the next opening does the second one: until the first the old directory counts, from
//! then on the new one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where the directory is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    pub(super) fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where what replaces it is put together.
    pub(super) fn next(&self) -> PathBuf {
        self.with(".next")
    }

    /// Where it was moved to by a switch.
    fn old(&self) -> PathBuf {
        self.with(".old")
    }

    fn with(&self, suffix: &str) -> PathBuf {
        let mut name = self.dir.file_name().map_or_else(OsString::new, OsString::from);
        name.push(suffix);
        self.dir.with_file_name(name)
    }

    /// Finishes a switch that a crash cut off, and removes what is left of one.
    pub(super) fn settle(&self) -> io::Result<()> {
        if !self.dir.exists() && self.old().exists() && self.next().exists() {
            fs::rename(self.next(), &self.dir)?;
            self.sync_parent()?;
        }
        if self.dir.exists() {
            remove(&self.next())?;
            self.remove_old()?;
        }
        Ok(())
    }

    /// Removes what was put together before, if there is any.
    pub(super) fn clear_next(&self) -> io::Result<()> {
        remove(&self.next())
    }

    /// Puts what is complete and synced in `next` where the directory is.
    pub(super) fn switch(&self) -> io::Result<()> {
        if self.dir.exists() {
            self.remove_old()?;
            fs::rename(&self.dir, self.old())?;
            self.sync_parent()?;
        }
        fs::rename(self.next(), &self.dir)?;
        self.sync_parent()
    }

    /// Removes what a switch has replaced.
    pub(super) fn remove_old(&self) -> io::Result<()> {
        remove(&self.old())
    }

    /// What a crash left beside the directory.
    pub(super) fn leftovers(&self) -> impl Iterator<Item = PathBuf> {
        [self.next(), self.old()].into_iter().filter(|path| path.exists())
    }

    fn sync_parent(&self) -> io::Result<()> {
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, text: &str) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("text"), text).unwrap();
    }

    fn text(dir: &Path) -> String {
        fs::read_to_string(dir.join("text")).unwrap()
    }

    #[test]
    fn wherever_a_switch_is_cut_off_one_whole_directory_is_left() {
        for cut in 0..5 {
            let home = tempfile::tempdir().unwrap();
            let place = Place::new(home.path().join("feed"));
            put(place.dir(), "old");
            put(&place.next(), "new");
            match cut {
                0 => {}
                1 => fs::rename(place.dir(), place.old()).unwrap(),
                2 => place.switch().unwrap(),
                3 => {
                    place.switch().unwrap();
                    fs::remove_file(place.old().join("text")).unwrap();
                }
                _ => {
                    place.switch().unwrap();
                    place.remove_old().unwrap();
                }
            }
            place.settle().unwrap();
            assert_eq!(text(place.dir()), if cut == 0 { "old" } else { "new" }, "cut {cut}");
            assert_eq!(place.leftovers().count(), 0, "cut {cut}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_made_and_nothing_else_is_touched() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::new(home.path().join("index"));
        put(&place.next(), "new");
        place.settle().unwrap();
        assert!(!place.dir().exists(), "nobody said that it is complete");
        place.switch().unwrap();
        assert_eq!(text(place.dir()), "new");
    }
}
