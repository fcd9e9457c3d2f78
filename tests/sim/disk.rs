//! The simulated directory. Bytes live in inodes, names point to them, and each effect is recorded on the tape as it
//! happens.
//!
//! A handle belongs to one process. After [`SimDisk::kill`] old handles return EIO and change nothing, as if their
//! process were gone; the bytes stay, as in the kernel's page cache.

use super::Image;
use super::tape::{Effect, Mark};
use omen::error::{Error, Result};
use omen::os::{Access, Dir, File, Lock, Map};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Op {
    Names,
    Open,
    Create,
    Remove,
    SyncDir,
    Lock,
    Free,
    Length,
    Read,
    Write,
    SetLength,
    Reserve,
    Sync,
    Map,
}

/// The `nth` call (from 0) of `op` fails with `errno`; with `forever`, all later ones too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) op: Op,
    pub(crate) nth: usize,
    pub(crate) forever: bool,
    pub(crate) errno: i32,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Arc<Vec<u8>>>,
    names: BTreeMap<Arc<str>, usize>,
    locks: BTreeSet<String>,
    life: u64,
    /// The process ends when so many more effects have happened.
    effects_left: Option<usize>,
    tape: Option<Vec<Effect>>,
    syncs: usize,
    ignored: Option<usize>,
    /// Where in the source each sync was asked for, while that is traced.
    sites: Option<Vec<String>>,
    fault: Option<Fault>,
    /// How often the fault hit.
    fired: usize,
    calls: BTreeMap<Op, usize>,
    free: u64,
}

/// A handle on the simulated directory; clones are the same process.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    life: u64,
}

impl SimDisk {
    /// An empty directory, recording.
    pub(crate) fn new() -> SimDisk {
        SimDisk::holding(&Image::default(), true)
    }

    /// A machine that boots with `image` on its disk.
    pub(crate) fn holding(image: &Image, record: bool) -> SimDisk {
        let mut state = State { free: 1 << 40, ..State::default() };
        for (inode, (name, bytes)) in image.files().enumerate() {
            state.inodes.push(bytes);
            state.names.insert(name, inode);
        }
        state.tape = record.then(Vec::new);
        SimDisk { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Ends the process that holds this handle and starts the next: its locks go, its unsynced effects stay in the cache.
    pub(crate) fn kill(&mut self) {
        let mut state = self.state();
        state.life += 1;
        state.effects_left = None;
        state.locks.clear();
        let life = state.life;
        drop(state);
        self.life = life;
    }

    /// Kills the process after `effects` more effects: in the middle of a call, if that has more. `None` calls it off.
    pub(crate) fn die_after(&self, effects: Option<usize>) {
        self.state().effects_left = effects;
    }

    /// True if the process was killed.
    pub(crate) fn is_dead(&self) -> bool {
        self.state().life != self.life
    }

    /// Leaves out the `nth` sync from here, of a file or of the directory.
    pub(crate) fn ignore_sync(&self, nth: usize) {
        let mut state = self.state();
        state.ignored = Some(state.syncs + nth);
    }

    /// Notes from now on where in the source each sync is asked for. Slow.
    pub(crate) fn trace_sites(&self) {
        self.state().sites = Some(Vec::new());
    }

    /// The place in the source of each sync since `trace_sites`, innermost call first.
    pub(crate) fn sites(&self) -> Vec<String> {
        self.state().sites.clone().unwrap_or_default()
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fault = fault;
        state.calls.clear();
    }

    /// Takes the fault away, but goes on counting where [`SimDisk::resume_fault`] puts it back.
    pub(crate) fn pause_fault(&self) -> Option<(Fault, BTreeMap<Op, usize>)> {
        let mut state = self.state();
        let fault = state.fault.take()?;
        Some((fault, std::mem::take(&mut state.calls)))
    }

    pub(crate) fn resume_fault(&self, paused: Option<(Fault, BTreeMap<Op, usize>)>) {
        if let Some((fault, calls)) = paused {
            let mut state = self.state();
            (state.fault, state.calls) = (Some(fault), calls);
        }
    }

    /// How often a fault has hit so far.
    pub(crate) fn fired(&self) -> usize {
        self.state().fired
    }

    /// True if what is to fail is a sync.
    pub(crate) fn fault_is_sync(&self) -> bool {
        self.state().fault.is_some_and(|fault| matches!(fault.op, Op::Sync | Op::SyncDir))
    }

    /// Calls of each kind since the last `set_fault`.
    pub(crate) fn calls(&self) -> BTreeMap<Op, usize> {
        self.state().calls.clone()
    }

    /// What `free_bytes` answers from now on.
    pub(crate) fn set_free(&self, bytes: u64) {
        self.state().free = bytes;
    }

    /// Writes on the tape what the caller now knows.
    pub(crate) fn mark(&self, mark: Mark) {
        if let Some(tape) = &mut self.state().tape {
            tape.push(Effect::Mark(mark));
        }
    }

    /// Ends the recording and hands the tape out; what a handle does after this leaves no trace.
    pub(crate) fn take_tape(&self) -> Vec<Effect> {
        self.state().tape.take().unwrap_or_default()
    }

    /// The names in order with the bytes behind them, as this machine sees them.
    pub(crate) fn files(&self) -> Vec<(Arc<str>, Arc<Vec<u8>>)> {
        let state = self.state();
        state.names.iter().map(|(name, inode)| (Arc::clone(name), Arc::clone(&state.inodes[*inode]))).collect()
    }

    fn sync(&self, inode: Option<usize>, what: &'static str, name: &str) -> Result<()> {
        let op = if inode.is_some() { Op::Sync } else { Op::SyncDir };
        match self.enter(op, what, name) {
            Ok(mut state) => state.synced(inode),
            Err(error) => {
                let mut state = self.state();
                if state.life == self.life {
                    state.record(|| Effect::SyncFailed { inode });
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn enter(&self, op: Op, what: &'static str, name: &str) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if self.life != state.life {
            return Err(failed(what, name, libc::EIO));
        }
        match state.faulty(op) {
            Some(errno) => Err(failed(what, name, errno)),
            None => Ok(state),
        }
    }
}

fn failed(what: &'static str, name: &str, errno: i32) -> Error {
    Error::io(what, name, io::Error::from_raw_os_error(errno))
}

/// The callers in the source of what is simulated on, from the backtrace.
fn site() -> String {
    let trace = std::backtrace::Backtrace::force_capture().to_string();
    let places = trace.lines().filter_map(|line| line.trim().strip_prefix("at "));
    let own =
        places.filter(|place| place.contains("src/") && !place.contains("/rustc/") || place.contains("sim/toy.rs"));
    let names = own.map(|place| place.trim_start_matches("./").rsplit_once(':').map_or(place, |(line, _)| line));
    names.take(3).collect::<Vec<_>>().join(" < ")
}

impl State {
    fn record(&mut self, effect: impl FnOnce() -> Effect) {
        if let Some(tape) = &mut self.tape {
            tape.push(effect());
        }
        if let Some(left) = &mut self.effects_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                (self.life, self.effects_left) = (self.life + 1, None);
            }
        }
    }

    fn faulty(&mut self, op: Op) -> Option<i32> {
        let count = self.calls.entry(op).or_default();
        let number = *count;
        *count += 1;
        let fault = self.fault?;
        let hit = fault.op == op && (number == fault.nth || fault.forever && number > fault.nth);
        self.fired += usize::from(hit);
        hit.then_some(fault.errno)
    }

    fn synced(&mut self, inode: Option<usize>) {
        let number = self.syncs;
        self.syncs += 1;
        if let Some(sites) = &mut self.sites {
            sites.push(site());
        }
        if self.ignored == Some(number) {
            return self.record(|| Effect::SyncIgnored { inode });
        }
        self.record(|| match inode {
            Some(inode) => Effect::SyncFile { inode },
            None => Effect::SyncDir,
        });
    }

    fn create(&mut self, name: &str) -> usize {
        let (name, inode): (Arc<str>, usize) = (name.into(), self.inodes.len());
        self.inodes.push(Arc::default());
        self.names.insert(Arc::clone(&name), inode);
        self.record(|| Effect::Create { name, inode });
        inode
    }

    fn write(&mut self, inode: usize, bytes: &[u8], offset: u64) {
        let start = usize::try_from(offset).unwrap();
        let file = Arc::make_mut(&mut self.inodes[inode]);
        if file.len() < start + bytes.len() {
            file.resize(start + bytes.len(), 0);
        }
        file[start..start + bytes.len()].copy_from_slice(bytes);
        self.record(|| Effect::Write { inode, offset, bytes: bytes.into() });
    }
}

impl Dir for SimDisk {
    fn names(&self) -> Result<Vec<String>> {
        let state = self.enter(Op::Names, "list", ".")?;
        Ok(state.names.keys().map(|name| name.to_string()).collect())
    }

    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>> {
        assert!(!name.is_empty() && !name.contains('/'), "{name:?} is not a single component");
        let op = if access == Access::Create { Op::Create } else { Op::Open };
        let mut state = self.enter(op, "open", name)?;
        let inode = match (state.names.get(name).copied(), access) {
            (Some(_), Access::Create) => return Err(failed("open", name, libc::EEXIST)),
            (None, Access::Create) => state.create(name),
            (Some(inode), _) => inode,
            (None, _) => return Err(failed("open", name, libc::ENOENT)),
        };
        drop(state);
        Ok(Box::new(SimFile { disk: self.clone(), inode, name: name.to_owned(), writable: access != Access::Read }))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.enter(Op::Remove, "unlink", name)?;
        let Some((name, inode)) = state.names.remove_entry(name) else {
            return Err(failed("unlink", name, libc::ENOENT));
        };
        state.record(|| Effect::Remove { name, inode });
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        SimDisk::sync(self, None, "sync directory", ".")
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        let mut state = self.enter(Op::Lock, "lock", name)?;
        if !state.locks.insert(name.to_owned()) {
            return Err(Error::Locked(name.to_owned()));
        }
        if !state.names.contains_key(name) {
            state.create(name);
        }
        drop(state);
        Ok(Box::new(SimLock { disk: self.clone(), name: name.to_owned() }))
    }

    fn free_bytes(&self) -> Result<u64> {
        Ok(self.enter(Op::Free, "statvfs", ".")?.free)
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    name: String,
}

impl Lock for SimLock {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.disk.life {
            state.locks.remove(&self.name);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
    name: String,
    writable: bool,
}

impl SimFile {
    fn enter(&self, op: Op, what: &'static str) -> Result<MutexGuard<'_, State>> {
        self.disk.enter(op, what, &self.name)
    }

    fn enter_to_write(&self, op: Op, what: &'static str) -> Result<MutexGuard<'_, State>> {
        if self.writable { self.enter(op, what) } else { Err(failed(what, &self.name, libc::EBADF)) }
    }
}

impl File for SimFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> Result<u64> {
        Ok(self.enter(Op::Length, "stat")?.inodes[self.inode].len() as u64)
    }

    fn occupied(&self) -> Result<u64> {
        self.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let state = self.enter(Op::Read, "read")?;
        let bytes = &state.inodes[self.inode];
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match start.checked_add(buffer.len()).and_then(|end| bytes.get(start..end)) {
            Some(range) => buffer.copy_from_slice(range),
            None => return Err(Error::io("read", &self.name, io::ErrorKind::UnexpectedEof.into())),
        }
        Ok(())
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> Result<()> {
        let whole = parts.concat();
        match self.enter_to_write(Op::Write, "write") {
            Ok(mut state) => state.write(self.inode, &whole, offset),
            Err(error) => {
                // A write that fails may have got half-way.
                let mut state = self.disk.state();
                if state.life == self.disk.life && self.writable {
                    state.write(self.inode, &whole[..whole.len() / 2], offset);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<()> {
        let mut state = self.enter_to_write(Op::SetLength, "truncate")?;
        let bytes = usize::try_from(length).map_err(|_| failed("truncate", &self.name, libc::EFBIG))?;
        Arc::make_mut(&mut state.inodes[self.inode]).resize(bytes, 0);
        state.record(|| Effect::Length { inode: self.inode, length });
        Ok(())
    }

    fn reserve(&self, _offset: u64, _length: u64) -> Result<()> {
        self.enter_to_write(Op::Reserve, "reserve").map(|_| ())
    }

    fn sync(&self) -> Result<()> {
        SimDisk::sync(&self.disk, Some(self.inode), "sync", &self.name)
    }

    fn map(&self, offset: u64, length: usize) -> Result<Map> {
        let state = self.enter(Op::Map, "map")?;
        let bytes = &state.inodes[self.inode];
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = start.checked_add(length).and_then(|end| bytes.get(start..end));
        // The kernel would map it and kill the process at the first touch.
        let range = range.unwrap_or_else(|| panic!("{}: {length} bytes at {offset} mapped past the end", self.name));
        Ok(Map::Heap(range.to_vec()))
    }
}
