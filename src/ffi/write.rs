//! Writing: insert, upsert, delete, commit.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{Place, input};
use super::fence::on_store;
use super::types::omen_store;

/// WRITING: each call is all or nothing (convention 9). One call takes any number of vectors; more at a time is faster.
///
/// Inserts `n` vectors that are not in the store.
///
/// ids           `uint64_t[n]`, each once; NULL: consecutive ids after the largest ever given
/// vectors       `float[n][dim]`, every component finite; kept bit for bit, also with OMEN_COSINE
/// out_first_id  receives the first id of the call (with n = 0: the next one that would be given); may be NULL
///
/// Errors:  OMEN_NOT_FINITE, OMEN_DUPLICATE_ID, OMEN_TOO_BIG, OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
/// Disk:    written at some time before the next commit returns; with OMEN_SYNC_EACH it survives a crash from here on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_insert(
    store: *mut omen_store,
    ids: *const u64,
    vectors: *const f32,
    n: usize,
    out_first_id: *mut u64,
) -> i32 {
    on_store(store, |store| {
        let given = if ids.is_null() { 0 } else { n };
        // SAFETY: convention 3: the caller's arrays have these shapes.
        let (some, vectors) =
            unsafe { (input("ids", ids, given, 1)?, input("vectors", vectors, n, store.dim() as usize)?) };
        let first = store.insert((!ids.is_null()).then_some(some), vectors)?;
        // SAFETY: convention 2.
        if let Ok(place) = unsafe { Place::new("out_first_id", out_first_id) } {
            place.set(first);
        }
        Ok(())
    })
}

/// Inserts `n` vectors; those whose id is in the store replace what it has.
///
/// ids      `uint64_t[n]`, each once
/// vectors  `float[n][dim]`, every component finite
///
/// Errors:  OMEN_NOT_FINITE, OMEN_DUPLICATE_ID (twice in this call), OMEN_TOO_BIG, OMEN_IS_READ_ONLY, OMEN_NO_SPACE,
///          OMEN_POISONED.
/// Disk:    as for omen_store_insert; the bytes of what was replaced are given back by omen_store_compact.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_upsert(
    store: *mut omen_store,
    ids: *const u64,
    vectors: *const f32,
    n: usize,
) -> i32 {
    on_store(store, |store| {
        // SAFETY: convention 3: the caller's arrays have these shapes.
        let (ids, vectors) = unsafe { (input("ids", ids, n, 1)?, input("vectors", vectors, n, store.dim() as usize)?) };
        store.upsert(ids, vectors)
    })
}

/// Deletes the vectors of `n` ids; ids that are not in the store are passed over.
///
/// ids          `uint64_t[n]`
/// out_deleted  receives how many vectors were deleted
///
/// Errors:  OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
/// Disk:    as for omen_store_insert; the bytes are given back by omen_store_compact.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_delete(
    store: *mut omen_store,
    ids: *const u64,
    n: usize,
    out_deleted: *mut u64,
) -> i32 {
    on_store(store, |store| {
        // SAFETY: conventions 2 and 3.
        let (ids, out_deleted) = unsafe { (input("ids", ids, n, 1)?, Place::new("out_deleted", out_deleted)?) };
        out_deleted.set(store.delete(ids)?);
        Ok(())
    })
}

/// Makes all writes so far survive a crash of the machine (with OMEN_SYNC_NONE: only hands them to the system).
///
/// Errors:  OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_IO, OMEN_POISONED. After a failure the store is poisoned, and what
///          was committed before is safe.
/// Disk:    every write of this handle that returned before this call began is durable (OMEN_SYNC_NONE: at some time).
#[unsafe(no_mangle)]
pub extern "C" fn omen_store_commit(store: *mut omen_store) -> i32 {
    on_store(store, crate::store::Store::commit)
}
