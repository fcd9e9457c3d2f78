//! A value that readers take without waiting and without writing a word that others read. Part of the second room for
//! unsafe.
//!
//! A `get` is a hundred nanoseconds, most of it one cache miss. An atomic read-modify-write on the way (a reference
//! count, a hazard slot swapped in) makes the processor finish that miss before the next `get` may begin. So a reader
//! only notes in a record of its own thread that it is reading, with a plain store; whoever replaces a value asks the
//! kernel for a barrier on all threads (`membarrier`), and then knows which of them may still hold the old one. Where the
//! kernel has no such call, readers pay for a fence.
//!
//! The argument. A reader stores `active = e` (an epoch it read before), then loads the pointer. A writer swaps the
//! pointer, raises the epoch to r, runs the barrier, and reads all `active`s. If the reader's store came before the
//! barrier, the writer sees it: the old value is kept while 0 < active < r. If it came after, the reader's load does too,
//! and finds the new pointer. A reader with `active >= r` read the raised epoch, hence also the swapped pointer.
//! (The scheme of user-space RCU: Desnoyers et al., User-Level Implementations of Read-Copy Update, IEEE TPDS 2012.)
#![expect(unsafe_code, reason = "a pointer is read while others replace it; see the argument above")]

use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Replaced values a cell keeps before it asks for a barrier to free them.
const RETIRED_MAX: usize = 32;

static EPOCH: AtomicU64 = AtomicU64::new(1);
static RECORDS: Mutex<Vec<&'static Record>> = Mutex::new(Vec::new());
/// 0 not asked yet, 1 the kernel has `membarrier`, 2 it has not.
static BARRIER: AtomicU8 = AtomicU8::new(0);

/// What one thread tells about its reading. Records are never freed, only passed on from thread to thread.
#[derive(Debug)]
struct Record {
    /// The epoch at which the reading began; 0 while there is none.
    active: AtomicU64,
    /// Readings nested in each other; only the thread that has the record looks at it.
    depth: AtomicU32,
    is_taken: AtomicBool,
}

/// A thread's hold on its record.
struct Local(&'static Record);

impl Drop for Local {
    fn drop(&mut self) {
        self.0.is_taken.store(false, Ordering::Release);
    }
}

thread_local! {
    static LOCAL: Local = Local(take_record());
}

fn records() -> MutexGuard<'static, Vec<&'static Record>> {
    // The list is only ever pushed to: a panic cannot leave it half made.
    RECORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_record() -> &'static Record {
    // Before the first reading: `light_barrier` goes by the answer.
    has_barrier();
    let mut records = records();
    let free =
        |record: &&&Record| record.is_taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if let Some(record) = records.iter().find(free) {
        return record;
    }
    let (active, depth, is_taken) = (AtomicU64::new(0), AtomicU32::new(0), AtomicBool::new(true));
    let record: &'static Record = Box::leak(Box::new(Record { active, depth, is_taken }));
    records.push(record);
    record
}

/// True if the kernel has the barrier; the first to ask registers the process for it.
fn has_barrier() -> bool {
    if BARRIER.load(Ordering::Acquire) == 0 {
        let is_registered = membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
        BARRIER.store(if is_registered { 1 } else { 2 }, Ordering::Release);
    }
    BARRIER.load(Ordering::Acquire) == 1
}

fn membarrier(command: libc::membarrier_cmd) -> bool {
    // SAFETY: a system call on plain integers that touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command as libc::c_long, 0, 0) == 0 }
}

/// Between a reader's note and its load. The other half is `heavy_barrier`.
fn light_barrier() {
    if BARRIER.load(Ordering::Relaxed) == 1 {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// False if it could not be had; then nothing may be freed.
fn heavy_barrier() -> bool {
    fence(Ordering::SeqCst);
    !has_barrier() || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

/// A reading: as long as one lives on a thread, nothing that the thread loads is freed.
#[derive(Debug)]
struct Reading {
    record: &'static Record,
    is_borrowed: bool,
}

impl Reading {
    #[inline]
    fn begin() -> Reading {
        let reading = match LOCAL.try_with(|local| local.0) {
            Ok(record) => Reading { record, is_borrowed: false },
            // A thread that is being torn down has no local any more: it borrows a record for this one reading.
            Err(_) => Reading { record: take_record(), is_borrowed: true },
        };
        let depth = reading.record.depth.load(Ordering::Relaxed);
        reading.record.depth.store(depth + 1, Ordering::Relaxed);
        if depth == 0 {
            reading.record.active.store(EPOCH.load(Ordering::Acquire), Ordering::Relaxed);
            light_barrier();
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
            self.record.is_taken.store(false, Ordering::Release);
        }
    }
}

/// An `Arc` that can be replaced while others read it, or nothing.
#[derive(Debug)]
pub struct Shared<T> {
    current: AtomicPtr<T>,
    /// Replaced values with the epoch at which they were out of reach.
    retired: Mutex<Vec<(u64, Arc<T>)>>,
}

/// A value of a [`Shared`] while it is read. Keep it short: nothing replaced meanwhile is freed before it goes.
#[derive(Debug)]
pub struct Pinned<'a, T> {
    value: &'a T,
    _reading: Reading,
    /// Readings belong to their thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl<T> Deref for Pinned<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Shared<T> {
    /// Holds nothing.
    pub const fn empty() -> Shared<T> {
        Shared { current: AtomicPtr::new(null_mut()), retired: Mutex::new(Vec::new()) }
    }

    /// Holds `value`.
    pub fn new(value: Arc<T>) -> Shared<T> {
        let shared = Shared::empty();
        shared.store(Some(value));
        shared
    }

    /// Reads in place.
    #[inline]
    pub fn load(&self) -> Option<Pinned<'_, T>> {
        let reading = Reading::begin();
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: `current` is null or came from `Arc::into_raw` in `store`; that `Arc` is dropped by `free` only when no
        // reading that began before the swap is left, and `reading` lives as long as the reference.
        let value = unsafe { current.as_ref() }?;
        Some(Pinned { value, _reading: reading, _not_send: std::marker::PhantomData })
    }

    /// Takes a share, for long reading.
    pub fn load_full(&self) -> Option<Arc<T>> {
        let _reading = Reading::begin();
        let current = self.current.load(Ordering::Acquire);
        if current.is_null() {
            return None;
        }
        // SAFETY: as in `load`; the count is at least one, the cell's own or the retired list's, while `_reading` lives.
        unsafe {
            Arc::increment_strong_count(current);
            Some(Arc::from_raw(current))
        }
    }

    /// Replaces the value. The old one is freed when nobody can be reading it, at the latest after some more `store`s;
    /// `free` asks at once.
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

    /// Frees replaced values that nobody reads any more.
    pub fn free(&self) {
        let mut retired = self.retired();
        if retired.is_empty() || !heavy_barrier() {
            return;
        }
        let oldest = records().iter().map(|record| record.active.load(Ordering::Acquire)).filter(|at| *at > 0).min();
        let is_unread = |(out_of_reach, _): &mut (u64, _)| oldest.is_none_or(|oldest| *out_of_reach <= oldest);
        let freed: Vec<_> = retired.extract_if(.., is_unread).collect();
        // Dropped without the lock: what goes may itself hold cells.
        drop(retired);
        drop(freed);
    }

    fn retired(&self) -> MutexGuard<'_, Vec<(u64, Arc<T>)>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        if !current.is_null() {
            // SAFETY: nobody else has the cell any more, so nobody is reading through it; `current` is its own share.
            drop(unsafe { Arc::from_raw(current) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shared;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    static ALIVE: AtomicUsize = AtomicUsize::new(0);

    /// Two halves that agree as long as the value lives.
    struct Checked(AtomicUsize, AtomicUsize);

    impl Checked {
        fn new(number: usize) -> Arc<Checked> {
            ALIVE.fetch_add(1, Ordering::Relaxed);
            Arc::new(Checked(AtomicUsize::new(number), AtomicUsize::new(!number)))
        }
    }

    impl Drop for Checked {
        fn drop(&mut self) {
            self.0.store(0, Ordering::Relaxed);
            self.1.store(0, Ordering::Relaxed);
            ALIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_whole(value: &Checked) -> bool {
        value.0.load(Ordering::Relaxed) == !value.1.load(Ordering::Relaxed)
    }

    #[test]
    fn readers_never_see_a_freed_value_and_every_value_is_freed() {
        let cell = Shared::new(Checked::new(0));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut kept = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let (outer, inner) = (cell.load(), cell.load());
                        assert!(outer.is_some_and(|value| is_whole(&value)));
                        assert!(inner.is_some_and(|value| is_whole(&value)));
                        kept.extend(cell.load_full());
                        if kept.len() > 50 {
                            assert!(kept.drain(..).all(|value| is_whole(&value)));
                        }
                    }
                });
            }
            for number in 1..100_000 {
                cell.store(Some(Checked::new(number)));
            }
            stop.store(true, Ordering::Relaxed);
        });
        cell.free();
        assert_eq!(ALIVE.load(Ordering::Relaxed), 1);
        cell.store(None);
        assert!(cell.load().is_none());
        drop(cell);
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    }
}
