//! A directory for a while: it goes when the work ends, however it ends.

use crate::failure::{Failure, Outcome};
use std::fs;
use std::path::{Path, PathBuf};

pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes `.omen-PROCESS` in `parent`.
    pub fn new(parent: &Path) -> Outcome<Scratch> {
        let path = parent.join(format!(".omen-{}", std::process::id()));
        fs::create_dir(&path).map_err(Failure::io("mkdir", &path))?;
        Ok(Scratch(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing is left to do about a directory that will not go.
        let _ = fs::remove_dir_all(&self.0);
    }
}
