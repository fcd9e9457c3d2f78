//! A temporary directory, removed when its owner is dropped.

use crate::failure::{Failure, Outcome};
use std::fs;
use std::path::{Path, PathBuf};

/// A temporary directory.
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Creates `.omen-PROCESS` in `parent`.
    pub fn new(parent: &Path) -> Outcome<ScratchDir> {
        let path = parent.join(format!(".omen-{}", std::process::id()));
        fs::create_dir(&path).map_err(Failure::io("mkdir", &path))?;
        Ok(ScratchDir(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // An error is ignored: a destructor cannot report it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
