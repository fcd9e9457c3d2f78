//! A file that appears under its name only when it is complete.

use crate::failure::{Failure, Outcome};
use omen::os::sync_parent;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Written as `NAME.part`, synced, and renamed at the end. Removed if it is dropped before that.
pub struct Whole {
    file: File,
    part: PathBuf,
    path: PathBuf,
    is_finished: bool,
}

impl Whole {
    /// Creates `NAME.part`.
    pub fn create(path: &Path) -> Outcome<Whole> {
        if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(Failure::argument(format!(
                "{}: found something that is not a file, expected a file or nothing",
                path.display()
            )));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(Failure::io("create", &part))?;
        Ok(Whole { file, part, path: path.to_owned(), is_finished: false })
    }

    /// A second handle on the same file, for a writer that must own one.
    #[cfg(feature = "parquet")]
    pub fn handle(&self) -> Outcome<File> {
        self.file.try_clone().map_err(Failure::io("open", &self.part))
    }

    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.file.write_all(bytes).map_err(Failure::io("write", &self.path))
    }

    /// Makes the file durable under its name.
    pub fn finish(mut self) -> Outcome<()> {
        self.file.sync_all().map_err(Failure::io("sync", &self.path))?;
        fs::rename(&self.part, &self.path).map_err(Failure::io("rename", &self.path))?;
        self.is_finished = true;
        Ok(sync_parent(&self.path)?)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !self.is_finished {
            // An error is ignored: the failure that led here is reported instead.
            let _ = fs::remove_file(&self.part);
        }
    }
}
