//! A cell that readers load without waiting and without writing to memory that other readers use: read-copy-update
//! (RCU).
//!
//! A `get` takes about 100 ns, most of it one cache miss. With an atomic read-modify-write in it (a reference count, a
//! swapped hazard pointer) the processor would finish that miss before it starts the next `get`. A reader therefore
//! only stores an epoch in a record of its own thread, with a plain store. The thread that frees a replaced value runs
//! a barrier on all threads (`barrier.rs`), reads the records, and so knows which readers may still hold the old value.
//!
//! Why it is correct. A reader stores `active = e`, an epoch that it read before, passes the light barrier and loads
//! the pointer. A writer swaps the pointer, raises the epoch to r, passes the heavy barrier and reads every `active`.
//! - If the reader's store comes before the heavy barrier, the writer sees it. The writer keeps the old value while
//!   0 < active < r.
//! - If it comes after, so does the reader's load, which finds the new pointer.
//! - A reader with `active >= r` read the raised epoch and therefore loads the new pointer.
//!
//! Source: Desnoyers et al., User-Level Implementations of Read-Copy Update, IEEE TPDS 2012. `tests/cell.rs` runs this
//! file through all interleavings that loom's memory model allows.
//!
//! The crate arc-swap does the same with one atomic swap per load. Measured on an AMD EPYC with 2 busy cores,
//! fastest of 301 rounds (`cargo bench --bench cell`): a load takes 2.1 ns here and 5.5 ns there. Two loads and the
//! copy of a random row of 512 bytes, as in a `get`, take 66 ns and 91 ns; on two threads beside a writer 61 ns and 92
//! ns.
#![expect(unsafe_code, reason = "a pointer is read while others replace it; see the argument above")]

use super::barrier;
use super::sync::{Arc, AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering};
use super::sync::{const_fn, global, thread_local};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::PoisonError;

/// Number of replaced values at which `store` frees those that no reader uses.
const RETIRED_MAX: usize = 32;

global! { static EPOCH: AtomicU64 = AtomicU64::new(1); }
global! { static RECORDS: Mutex<Vec<&'static Record>> = Mutex::new(Vec::new()); }

/// The reading state of one thread. Records are never freed; the record of a thread that ended is given to a new one.
#[derive(Debug)]
struct Record {
    /// The epoch at which the outermost reading began; 0 while the thread does not read.
    active: AtomicU64,
    /// Number of nested readings; only the owning thread accesses it.
    depth: AtomicU32,
    /// True while a thread owns the record.
    is_owned: AtomicBool,
}

/// Ownership of a record by a thread, until the thread ends.
struct Local(&'static Record);

impl Drop for Local {
    fn drop(&mut self) {
        self.0.is_owned.store(false, Ordering::Release);
    }
}

thread_local! {
    static LOCAL: Local = Local(acquire_record());
}

fn records() -> MutexGuard<'static, Vec<&'static Record>> {
    // The list is only pushed to: a panic cannot leave it inconsistent.
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn acquire_record() -> &'static Record {
    // Before the first reading of the thread, as `barrier::light` requires.
    barrier::register();
    let mut records = records();
    let free =
        |record: &&&Record| record.is_owned.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if let Some(record) = records.iter().find(free) {
        return record;
    }
    let (active, depth, is_owned) = (AtomicU64::new(0), AtomicU32::new(0), AtomicBool::new(true));
    let record: &'static Record = Box::leak(Box::new(Record { active, depth, is_owned }));
    records.push(record);
    record
}

/// A reading in progress: while it lives, no value that its thread loads is freed.
#[derive(Debug)]
struct Reading {
    record: &'static Record,
    /// True if the end of the reading also ends the ownership of the record.
    is_borrowed: bool,
}

impl Reading {
    #[inline]
    fn begin() -> Reading {
        let reading = match LOCAL.try_with(|local| local.0) {
            Ok(record) => Reading { record, is_borrowed: false },
            // The thread is ending and its local is gone: borrow a record for this reading.
            Err(_) => Reading { record: acquire_record(), is_borrowed: true },
        };
        let depth = reading.record.depth.load(Ordering::Relaxed);
        reading.record.depth.store(depth + 1, Ordering::Relaxed);
        if depth == 0 {
            // Release: a thread that sees this epoch also sees the end of this thread's earlier readings.
            reading.record.active.store(EPOCH.load(Ordering::Acquire), Ordering::Release);
            barrier::light();
        }
        reading
    }
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        let depth = self.record.depth.load(Ordering::Relaxed) - 1;
        self.record.depth.store(depth, Ordering::Relaxed);
        if depth == 0 {
            self.record.active.store(0, Ordering::Release);
        }
        if self.is_borrowed {
            self.record.is_owned.store(false, Ordering::Release);
        }
    }
}

/// An optional `Arc` that one thread can replace while others read it.
#[derive(Debug)]
pub struct Shared<T> {
    current: AtomicPtr<T>,
    /// Replaced values, each with its epoch: readings with this epoch or a later one cannot reach the value.
    retired: Mutex<Vec<(u64, Arc<T>)>>,
}

/// A reference to the value of a [`Shared`]. Drop it soon: while it lives, no value that any cell replaces is freed.
#[derive(Debug)]
pub struct Pinned<'a, T> {
    value: &'a T,
    _reading: Reading,
    /// Not `Send`: a reading belongs to the record of its thread.
    _not_send: PhantomData<*const ()>,
}

impl<T> Deref for Pinned<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Shared<T> {
    const_fn! {
        /// A cell without a value.
        pub fn empty() -> Shared<T> {
            Shared { current: AtomicPtr::new(null_mut()), retired: Mutex::new(Vec::new()) }
        }
    }

    /// A cell that holds `value`.
    pub fn new(value: Arc<T>) -> Shared<T> {
        let shared = Shared::empty();
        shared.store(Some(value));
        shared
    }

    /// Borrows the value, for a short reading.
    #[inline]
    pub fn load(&self) -> Option<Pinned<'_, T>> {
        let reading = Reading::begin();
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: `current` is null or came from `Arc::into_raw` in `store`. While this cell is borrowed, only `free`
        // drops that `Arc`, and only when no reading that began before the swap is left; `reading` lives as long as the
        // reference.
        let value = unsafe { current.as_ref() }?;
        Some(Pinned { value, _reading: reading, _not_send: PhantomData })
    }

    /// Clones the `Arc`, for a long reading.
    pub fn load_full(&self) -> Option<Arc<T>> {
        let _reading = Reading::begin();
        let current = self.current.load(Ordering::Acquire);
        if current.is_null() {
            return None;
        }
        // SAFETY: as in `load`; the count is at least one, the cell's own or the retired list's, while `_reading`
        // lives.
        unsafe {
            Arc::increment_strong_count(current);
            Some(Arc::from_raw(current))
        }
    }

    /// Replaces the value. `free` frees the old one; `store` calls it when `RETIRED_MAX` values or more wait for it.
    pub fn store(&self, value: Option<Arc<T>>) {
        let new = value.map_or(null_mut(), |value| Arc::into_raw(value).cast_mut());
        let old = self.current.swap(new, Ordering::AcqRel);
        if old.is_null() {
            return;
        }
        let out_of_reach = EPOCH.fetch_add(1, Ordering::AcqRel) + 1;
        // SAFETY: `old` came from `Arc::into_raw` in an earlier `store`, and the swap gave it to this call alone.
        let old = unsafe { Arc::from_raw(old) };
        let mut retired = self.retired();
        retired.push((out_of_reach, old));
        let is_due = retired.len() >= RETIRED_MAX;
        drop(retired);
        if is_due {
            self.free();
        }
    }

    /// Frees the replaced values that no reading can reach.
    pub fn free(&self) {
        let mut retired = self.retired();
        if retired.is_empty() || !barrier::heavy() {
            return;
        }
        let oldest = records().iter().map(|record| record.active.load(Ordering::Acquire)).filter(|at| *at > 0).min();
        let is_unread = |(out_of_reach, _): &mut (u64, _)| oldest.is_none_or(|oldest| *out_of_reach <= oldest);
        let freed: Vec<_> = retired.extract_if(.., is_unread).collect();
        // Dropped without the lock: a value may itself hold cells.
        drop(retired);
        drop(freed);
    }

    fn retired(&self) -> MutexGuard<'_, Vec<(u64, Arc<T>)>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // `&mut self`: no other thread uses the cell any more, so the order does not matter.
        let current = self.current.load(Ordering::Relaxed);
        if !current.is_null() {
            // SAFETY: a `Pinned` borrows the cell, so none is left; `current` is the cell's own count of the `Arc`.
            drop(unsafe { Arc::from_raw(current) });
        }
    }
}
