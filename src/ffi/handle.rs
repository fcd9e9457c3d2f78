//! Table of open stores. The value of a handle is a slot of the table and the number of an opening in that slot. It is
//! compared, never dereferenced, so NULL, closed and invented handles are errors and not crashes.
//!
//! A running call keeps its store alive: with an `Arc`, or, if the call is short, with a pin of the slot. Lookups never
//! wait. A close on another thread removes the store from the table while the running call finishes on it.

use super::types::omen_store;
use crate::error::{Error, Result};
use crate::os::Shared;
use crate::store::Store;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bits of a handle that hold the slot. The bit below them is always set, so no aligned address is a handle.
const SLOT_BITS: u32 = 12;
/// Stores that a process may have open at once: four times the usual limit of open files.
const SLOT_COUNT: usize = 1 << SLOT_BITS;
/// "omen" in the upper half: no small number is a handle and, on 64-bit machines, no address of the process is one.
const MARK: usize = 0x6f6d_656e_0000_0000_u64 as usize;

struct Open {
    handle: usize,
    store: Store,
}

/// How often each slot was used, and the slots that are free again.
struct Slots {
    /// Number of openings so far, for each slot that was ever used.
    openings: Vec<usize>,
    free: Vec<usize>,
}

static TABLE: [Shared<Open>; SLOT_COUNT] = [const { Shared::empty() }; SLOT_COUNT];
static SLOTS: Mutex<Slots> = Mutex::new(Slots { openings: Vec::new(), free: Vec::new() });

fn lock_slots() -> MutexGuard<'static, Slots> {
    // A panic while the lock was held can only have lost a free slot.
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slots {
    /// A free slot, and the handle of the next opening in it.
    fn reserve(&mut self) -> Result<(usize, usize)> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.openings.len() == SLOT_COUNT => {
                return Err(Error::TooBig(format!("{SLOT_COUNT} stores are open, and a process may have no more")));
            }
            None => {
                self.openings.push(0);
                self.openings.len() - 1
            }
        };
        let handle = handle_of(slot, self.openings[slot]);
        self.openings[slot] = self.openings[slot].wrapping_add(1);
        Ok((slot, handle))
    }

    /// True if `handle` was returned by an opening.
    fn has_returned(&self, handle: usize) -> bool {
        let (slot, opening) = (slot_of(handle), (handle ^ MARK) >> (SLOT_BITS + 1));
        handle == handle_of(slot, opening) && self.openings.get(slot).is_some_and(|openings| opening < *openings)
    }
}

fn handle_of(slot: usize, opening: usize) -> usize {
    ((opening << (SLOT_BITS + 1)) | (slot << 1) | 1) ^ MARK
}

fn slot_of(handle: usize) -> usize {
    ((handle ^ MARK) >> 1) & (SLOT_COUNT - 1)
}

/// Puts `store` into the table. Its handle is not returned again (on 32-bit machines: for 524,288 openings of a slot).
pub(super) fn publish(store: Store) -> Result<*mut omen_store> {
    let (slot, handle) = lock_slots().reserve()?;
    TABLE[slot].store(Some(Arc::new(Open { handle, store })));
    Ok(ptr::without_provenance_mut(handle))
}

/// Runs `call` on the store behind `handle`, which stays alive until `call` returns.
pub(super) fn with<T>(handle: *const omen_store, call: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    let shared = TABLE[slot_of(handle.addr())].load_full();
    run(handle.addr(), shared.as_deref(), call)
}

/// Like [`with`], for short calls: no state that any store replaces meanwhile is freed before `call` returns.
#[inline]
pub(super) fn with_pinned<T>(handle: *const omen_store, call: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    let pinned = TABLE[slot_of(handle.addr())].load();
    run(handle.addr(), pinned.as_deref(), call)
}

#[inline]
fn run<T>(value: usize, found: Option<&Open>, call: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    match found {
        Some(open) if open.handle == value => call(&open.store),
        _ => Err(not_open(value, &lock_slots())),
    }
}

/// Removes the store behind `handle` from the table, then closes it. Running calls finish on it.
pub(super) fn close(handle: *mut omen_store) -> Result<()> {
    with(handle, Store::check_closable)?;
    remove(handle.addr())?.store.close()
}

fn remove(value: usize) -> Result<Arc<Open>> {
    let slot = slot_of(value);
    let mut slots = lock_slots();
    match TABLE[slot].load_full() {
        Some(open) if open.handle == value => {
            TABLE[slot].store(None);
            TABLE[slot].free();
            slots.free.push(slot);
            Ok(open)
        }
        _ => Err(not_open(value, &slots)),
    }
}

#[cold]
fn not_open(value: usize, slots: &Slots) -> Error {
    match value {
        0 => Error::NullPointer("store"),
        _ if slots.has_returned(value) => Error::Closed,
        _ => Error::InvalidHandle(value),
    }
}
