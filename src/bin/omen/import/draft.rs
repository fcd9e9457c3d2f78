//! A new store that is named `.NAME.importing` until it is complete.

use crate::failure::{Failure, Outcome};
use omen::error::Error;
use omen::format::LOCK_NAME;
use omen::os::{Dir, open_or_create_dir, parent_of, sync_parent};
use omen::store::{Options, Store};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// An incomplete store. Removed if it is dropped before it is finished.
pub struct Draft {
    pub store: Store,
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// Removes the leftover of a killed import, then creates a store for `target`.
    pub fn create(target: &Path, dim: u32, options: &Options) -> Outcome<Draft> {
        let Some(name) = target.file_name() else {
            return Err(Failure::argument(format!(
                "{}: found no name, expected the path of a directory",
                target.display()
            )));
        };
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(".importing");
        let path = parent_of(target).join(hidden);
        remove_leftover(&path)?;
        let store = Store::open(&path, dim, options)?;
        Ok(Draft { store, path, target: target.to_owned() })
    }

    /// Makes the store durable under its name.
    pub fn finish(self) -> Outcome<()> {
        self.store.close()?;
        fs::rename(&self.path, &self.target).map_err(Failure::io("rename", &self.target))?;
        Ok(sync_parent(&self.target)?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename there is nothing to remove. Otherwise an error is ignored: the failure that led here is
        // reported.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the leftover of a killed import at `path`. Fails if an import is still writing there.
fn remove_leftover(path: &Path) -> Outcome<()> {
    if !path.exists() {
        return Ok(());
    }
    let dir = open_or_create_dir(path, false)?;
    match dir.lock(LOCK_NAME) {
        Err(error @ Error::Locked(_)) => Err(error.into()),
        // The lock is held until the files are removed.
        _lock => fs::remove_dir_all(path).map_err(Failure::io("remove", path)),
    }
}
