//! A directory in memory for tests. It behaves like a disk that never loses anything, and its files can be damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use omen::error::{Error, Result};
use omen::os::{Access, Dir, File, Lock, Map};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// Bytes shared until somebody writes to them, so that a copy of a directory costs nothing.
type Bytes = Arc<Vec<u8>>;
type Cell = Arc<Mutex<Bytes>>;

/// A directory of files in memory. Clones are the same directory; `copy` makes another one.
#[derive(Clone, Debug, Default)]
pub struct MemoryDir {
    files: Arc<Mutex<BTreeMap<String, Cell>>>,
    lock: Arc<()>,
}

impl MemoryDir {
    /// Another directory with the same files.
    pub fn copy(&self) -> MemoryDir {
        let files = self.files.lock().unwrap();
        let copies =
            files.iter().map(|(name, cell)| (name.clone(), Arc::new(Mutex::new(cell.lock().unwrap().clone()))));
        MemoryDir { files: Arc::new(Mutex::new(copies.collect())), lock: Arc::default() }
    }

    /// All files.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.lock().unwrap();
        files.iter().map(|(name, cell)| (name.clone(), cell.lock().unwrap().to_vec())).collect()
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap()[name].lock().unwrap().to_vec()
    }

    /// Makes or replaces a file.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let cell = Arc::new(Mutex::new(Arc::new(bytes)));
        self.files.lock().unwrap().insert(name.to_owned(), cell);
    }

    /// Removes a file.
    pub fn take(&self, name: &str) {
        self.files.lock().unwrap().remove(name);
    }

    /// Names of all files but the lock.
    pub fn stored(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().filter(|name| *name != "LOCK").cloned().collect()
    }
}

fn failed(kind: io::ErrorKind, operation: &'static str, name: &str) -> Error {
    Error::Io { operation, name: name.to_owned(), source: kind.into() }
}

impl Dir for MemoryDir {
    fn names(&self) -> Result<Vec<String>> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }

    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>> {
        let mut files = self.files.lock().unwrap();
        let cell = match (files.get(name), access) {
            (Some(_), Access::Create) => return Err(failed(io::ErrorKind::AlreadyExists, "open", name)),
            (Some(cell), _) => Arc::clone(cell),
            (None, Access::Create) => Arc::clone(files.entry(name.to_owned()).or_default()),
            (None, _) => return Err(failed(io::ErrorKind::NotFound, "open", name)),
        };
        Ok(Box::new(MemoryFile { name: name.to_owned(), cell, writable: access != Access::Read }))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let removed = self.files.lock().unwrap().remove(name);
        removed.map(drop).ok_or_else(|| failed(io::ErrorKind::NotFound, "unlink", name))
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        self.files.lock().unwrap().entry(name.to_owned()).or_default();
        // Each lock held is one weak reference.
        if Arc::weak_count(&self.lock) > 0 {
            return Err(Error::Locked("memory".into()));
        }
        let held = Arc::downgrade(&self.lock);
        Ok(Box::new(MemoryLock { _held: held }))
    }

    fn free_bytes(&self) -> Result<u64> {
        Ok(1 << 40)
    }
}

#[derive(Debug)]
struct MemoryLock {
    _held: std::sync::Weak<()>,
}

impl Lock for MemoryLock {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryFile {
    name: String,
    cell: Cell,
    writable: bool,
}

impl MemoryFile {
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if !self.writable {
            return Err(failed(io::ErrorKind::PermissionDenied, "write", &self.name));
        }
        change(Arc::make_mut(&mut self.cell.lock().unwrap()));
        Ok(())
    }
}

impl File for MemoryFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> Result<u64> {
        Ok(self.cell.lock().unwrap().len() as u64)
    }

    fn occupied(&self) -> Result<u64> {
        self.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let bytes = self.cell.lock().unwrap();
        let range = usize::try_from(offset).unwrap()..offset as usize + buffer.len();
        let found = bytes.get(range).ok_or_else(|| failed(io::ErrorKind::UnexpectedEof, "read", &self.name))?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> Result<()> {
        self.change(|bytes| {
            let mut at = offset as usize;
            for part in parts {
                bytes.resize(bytes.len().max(at + part.len()), 0);
                bytes[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
        })
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.change(|bytes| bytes.resize(length as usize, 0))
    }

    fn reserve(&self, _offset: u64, _length: u64) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn map(&self, offset: u64, length: usize) -> Result<Map> {
        let bytes = self.cell.lock().unwrap();
        let range = offset as usize..offset as usize + length;
        Ok(Map::Heap(bytes.get(range).expect("a map must lie inside the file").to_vec()))
    }
}
