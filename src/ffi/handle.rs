//! Open stores by handle. A handle's value names a slot of a table and the one opening it stands for; it is compared,
//! never dereferenced, so NULL, stale, closed and invented handles are told apart from open ones without a crash.
//!
//! A call in flight keeps its store through the slot, by a share or, for a short look, by a pin: lookups never wait, and a
//! close from another thread takes the store out of the table while the call finishes on it.

use super::types::omen_store;
use crate::error::{Error, Result};
use crate::os::Shared;
use crate::store::Store;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bits of a handle that name the slot; one bit below them is always set, so no aligned address is a handle.
const SLOT_BITS: u32 = 12;
/// Stores that may be open at once in a process: four times the usual limit of open files.
const SLOTS: usize = 1 << SLOT_BITS;
/// "omen" in the upper half: no small number and, on 64-bit machines, no address of the process is a handle.
const MARK: usize = 0x6f6d_656e_0000_0000_u64 as usize;

struct Open {
    handle: usize,
    store: Store,
}

/// Which slots are free, and how many handles were ever given out.
struct Spare {
    given: usize,
    touched: usize,
    freed: Vec<usize>,
}

static TABLE: [Shared<Open>; SLOTS] = [const { Shared::empty() }; SLOTS];
static SPARE: Mutex<Spare> = Mutex::new(Spare { given: 0, touched: 0, freed: Vec::new() });

fn spare() -> MutexGuard<'static, Spare> {
    // A panic while it was held can only have lost a free slot.
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spare {
    fn take_slot(&mut self) -> Result<usize> {
        if let Some(slot) = self.freed.pop() {
            return Ok(slot);
        }
        if self.touched == SLOTS {
            return Err(Error::TooBig(format!("{SLOTS} stores are open, and a process may have no more")));
        }
        self.touched += 1;
        Ok(self.touched - 1)
    }
}

fn slot_of(handle: usize) -> usize {
    ((handle ^ MARK) >> 1) & (SLOTS - 1)
}

/// Puts `store` into the table; the handle is never given out again (on 32-bit machines: for 524,288 openings).
pub(super) fn publish(store: Store) -> Result<*mut omen_store> {
    let mut spare = spare();
    let slot = spare.take_slot()?;
    let handle = ((spare.given << (SLOT_BITS + 1)) | (slot << 1) | 1) ^ MARK;
    spare.given = spare.given.wrapping_add(1);
    TABLE[slot].store(Some(Arc::new(Open { handle, store })));
    Ok(ptr::without_provenance_mut(handle))
}

/// Runs `call` on the store behind `handle`, which stays alive until `call` returns.
pub(super) fn with<T>(handle: *const omen_store, call: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    let shared = TABLE[slot_of(handle.addr())].load_full();
    run(handle.addr(), shared.as_deref(), call)
}

/// As [`with`], for a short look: nothing that any store replaces meanwhile is freed before `call` returns.
#[inline]
pub(super) fn look<T>(handle: *const omen_store, call: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    let pinned = TABLE[slot_of(handle.addr())].load();
    run(handle.addr(), pinned.as_deref(), call)
}

#[inline]
fn run<T>(value: usize, found: Option<&Open>, call: impl FnOnce(&Store) -> Result<T>) -> Result<T> {
    match found {
        // The store does not know its handle; a call that queued behind a close finds out there.
        Some(open) if open.handle == value => call(&open.store).map_err(|error| match error {
            Error::InvalidHandle(_) => not_open(value),
            other => other,
        }),
        _ => Err(not_open(value)),
    }
}

/// Takes the store behind `handle` out of the table, then closes it; calls in flight finish on it.
pub(super) fn close(handle: *mut omen_store) -> Result<()> {
    with(handle, Store::check_closable)?;
    take(handle.addr())?.store.close()
}

fn take(value: usize) -> Result<Arc<Open>> {
    let slot = slot_of(value);
    let mut spare = spare();
    match TABLE[slot].load_full() {
        Some(open) if open.handle == value => {
            TABLE[slot].store(None);
            TABLE[slot].free();
            spare.freed.push(slot);
            Ok(open)
        }
        _ => Err(not_open(value)),
    }
}

fn not_open(value: usize) -> Error {
    if value == 0 { Error::NullPointer("store") } else { Error::InvalidHandle(value) }
}
