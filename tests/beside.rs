//! A read-only open beside an active writer: the writer does something before each of the opener's reads of its log.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod memory;

use memory::MemoryDir;
use omen::error::Result;
use omen::os::{Access, Dir, File, Lock, Map};
use omen::store::{Mode, Options, Store, SyncMode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

type Work = Arc<Mutex<dyn FnMut() + Send>>;

/// A directory whose logs are read with `work` done before each read.
#[derive(Clone)]
struct Busy {
    inner: MemoryDir,
    work: Work,
}

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl Dir for Busy {
    fn names(&self) -> Result<Vec<String>> {
        self.inner.names()
    }
    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>> {
        let inner = self.inner.open(name, access)?;
        let work = name.ends_with(".log").then(|| Arc::clone(&self.work));
        Ok(Box::new(BusyFile { inner, work }))
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }
    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        self.inner.lock(name)
    }
    fn free_bytes(&self) -> Result<u64> {
        self.inner.free_bytes()
    }
}

struct BusyFile {
    inner: Box<dyn File>,
    work: Option<Work>,
}

impl std::fmt::Debug for BusyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl File for BusyFile {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn length(&self) -> Result<u64> {
        self.inner.length()
    }
    fn occupied(&self) -> Result<u64> {
        self.inner.occupied()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if let Some(work) = &self.work {
            (work.lock().unwrap())();
        }
        self.inner.read_at(buffer, offset)
    }
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> Result<()> {
        self.inner.write_at(parts, offset)
    }
    fn set_length(&self, length: u64) -> Result<()> {
        self.inner.set_length(length)
    }
    fn reserve(&self, offset: u64, length: u64) -> Result<()> {
        self.inner.reserve(offset, length)
    }
    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }
    fn map(&self, offset: u64, length: usize) -> Result<Map> {
        self.inner.map(offset, length)
    }
}

const ROW: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

/// A writer in `dir` with a few small commits behind it, so that zeros follow its last frame.
fn writer(dir: &MemoryDir) -> Store {
    let options = Options { sync: SyncMode::Each, ..Options::default() };
    let store = Store::open_in(Box::new(dir.clone()), 4, &options).unwrap();
    for _ in 0..3 {
        store.insert(None, &ROW).unwrap();
    }
    store
}

fn open_to_read(dir: &MemoryDir, work: impl FnMut() + Send + 'static) -> Result<Store> {
    let busy = Busy { inner: dir.clone(), work: Arc::new(Mutex::new(work)) };
    Store::open_in(Box::new(busy), 0, &Options { mode: Mode::ReadOnly, ..Options::default() })
}

#[test]
fn commits_meanwhile_are_no_damage() {
    for first in 0..12 {
        let dir = MemoryDir::default();
        let store = writer(&dir);
        let reads = AtomicUsize::new(0);
        // Two commits between two reads: the second says that the first was durable.
        let opened = open_to_read(&dir, move || {
            if reads.fetch_add(1, Ordering::Relaxed) == first {
                store.insert(None, &ROW).unwrap();
                store.insert(None, &ROW).unwrap();
            }
        });
        let count = opened.unwrap().count();
        assert!(count == 3 || count == 5, "{count} vectors");
    }
}

/// A writer that seals its log whenever the opener reads one: the opener gives up, and says why.
#[test]
fn an_open_that_a_writer_overtakes_each_time_says_so() {
    let dir = MemoryDir::default();
    let mut store = writer(&dir);
    let writers = dir.clone();
    let opened = open_to_read(&dir, move || {
        store.insert(None, &ROW).unwrap();
        store.close().unwrap();
        store = writer(&writers);
    });
    let error = opened.unwrap_err();
    assert_eq!(error.status(), 22, "{error}");
    assert_eq!(
        error.to_string(),
        "the store could not be opened read-only: a writer replaced its files during each of 16 attempts; try again"
    );
}
