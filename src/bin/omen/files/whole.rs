//! A file that appears under its name only when it is complete, or stdout.

use super::standard::is_standard;
use crate::failure::{Failure, Outcome};
use omen::os::sync_parent;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Written as `NAME.part`, synced, and renamed at the end. Removed if it is dropped before that. For the path `-` it is
/// stdout.
pub struct Whole {
    file: File,
    path: PathBuf,
    /// The name until the file is complete; `None` for stdout and once it is renamed.
    part: Option<PathBuf>,
    /// The reader of stdout has closed it.
    is_closed: bool,
}

impl Whole {
    /// Creates `NAME.part`.
    pub fn create(path: &Path) -> Outcome<Whole> {
        if is_standard(path) {
            let path = PathBuf::from("stdout");
            let file = io::stdout().as_fd().try_clone_to_owned().map_err(Failure::io("open", &path))?;
            return Ok(Whole { file: File::from(file), path, part: None, is_closed: false });
        }
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
        Ok(Whole { file, path: path.to_owned(), part: Some(part), is_closed: false })
    }

    /// A second handle on the same file, for a writer that must own one.
    pub fn handle(&self) -> Outcome<File> {
        self.file.try_clone().map_err(Failure::io("open", &self.path))
    }

    /// Appends `bytes`. Once the reader of stdout has closed it, such as `head`, nothing happens.
    pub fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        if self.is_closed {
            return Ok(());
        }
        match self.file.write_all(bytes) {
            Err(error) if self.part.is_none() && error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written.map_err(Failure::io("write", &self.path)),
        }
    }

    /// True once the reader of stdout has closed it.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Makes the file durable under its name.
    pub fn finish(mut self) -> Outcome<()> {
        let Some(part) = &self.part else { return Ok(()) };
        self.file.sync_all().map_err(Failure::io("sync", &self.path))?;
        fs::rename(part, &self.path).map_err(Failure::io("rename", &self.path))?;
        self.part = None;
        Ok(sync_parent(&self.path)?)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // An error is ignored: the failure that led here is reported instead.
            let _ = fs::remove_file(part);
        }
    }
}
