//! A store under another name until it is whole: `.NAME.importing`, beside the place it will have.

use crate::failure::{Failure, Outcome};
use omen::error::Error;
use omen::format::LOCK_NAME;
use omen::os::{Dir, open_or_create_dir, parent_of, sync_parent};
use omen::store::{Options, Store};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The store, and where it is. Dropped before it is finished, it goes.
pub struct Draft {
    pub store: Store,
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// Begins a store for `target`. What an earlier import left when it was killed goes first.
    pub fn begin(target: &Path, dim: u32, options: &Options) -> Outcome<Draft> {
        let Some(name) = target.file_name() else {
            return Err(Failure::argument(format!(
                "{}: found no name, expected that of a directory",
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

    /// The store is whole: durable, and under its name.
    pub fn finish(self) -> Outcome<()> {
        self.store.close()?;
        fs::rename(&self.path, &self.target).map_err(Failure::io("rename", &self.target))?;
        Ok(sync_parent(&self.target)?)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Renamed, it is not there any more. The failure that led here is told; that files stay is the lesser one.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn remove_leftover(path: &Path) -> Outcome<()> {
    if !path.exists() {
        return Ok(());
    }
    let dir = open_or_create_dir(path, false)?;
    match dir.lock(LOCK_NAME) {
        Err(error @ Error::Locked(_)) => Err(error.into()),
        // Held until the files are gone.
        _lock => fs::remove_dir_all(path).map_err(Failure::io("remove", path)),
    }
}
