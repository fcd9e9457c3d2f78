//! Writing: insert, upsert, delete, commit.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{OutParam, input};
use super::fence::on_store;
use super::types::omen_store;

/// # WRITING: each call is all or nothing (convention 9). One call with many vectors is faster than many calls.
///
/// Inserts `n` vectors under ids that are not in the store.
///
/// @param store         an open store
/// @param ids           `uint64_t[n]`, all different. NULL: consecutive ids after the largest id that was ever in the
///                      store
/// @param vectors       `float[n][dim]`, every component finite. They are kept bit for bit, also with OMEN_COSINE
/// @param n             number of vectors
/// @param out_first_id  receives the first id of the call (if `n` is 0: the next id that would be chosen). May be NULL
///
/// Errors: OMEN_NOT_FINITE, OMEN_DUPLICATE_ID, OMEN_TOO_BIG, OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
///
/// Disk: durable after the next commit; with OMEN_SYNC_EACH durable on return.
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
        if let Ok(out_first_id) = unsafe { OutParam::new("out_first_id", out_first_id) } {
            out_first_id.set(first);
        }
        Ok(())
    })
}

/// Inserts `n` vectors, and replaces those whose id is already in the store.
///
/// @param store    an open store
/// @param ids      `uint64_t[n]`, all different
/// @param vectors  `float[n][dim]`, every component finite
/// @param n        number of vectors
///
/// Errors: OMEN_NOT_FINITE, OMEN_DUPLICATE_ID (an id occurs twice in this call), OMEN_TOO_BIG, OMEN_IS_READ_ONLY,
/// OMEN_NO_SPACE, OMEN_POISONED.
///
/// Disk: as for omen_store_insert. omen_store_compact gives back the bytes of replaced vectors.
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

/// Deletes the vectors of `n` ids. Ids that are not in the store are ignored.
///
/// @param store        an open store
/// @param ids          `uint64_t[n]`
/// @param n            number of ids
/// @param out_deleted  receives the number of deleted vectors
///
/// Errors: OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
///
/// Disk: as for omen_store_insert. omen_store_compact gives back the bytes of deleted vectors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_delete(
    store: *mut omen_store,
    ids: *const u64,
    n: usize,
    out_deleted: *mut u64,
) -> i32 {
    on_store(store, |store| {
        // SAFETY: conventions 2 and 3.
        let (ids, out_deleted) = unsafe { (input("ids", ids, n, 1)?, OutParam::new("out_deleted", out_deleted)?) };
        out_deleted.set(store.delete(ids)?);
        Ok(())
    })
}

/// Makes all writes so far durable: they survive a crash of the machine. With OMEN_SYNC_NONE it passes them to the
/// operating system, which writes them to the disk later.
///
/// @param store  an open store
///
/// Errors: OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_IO, OMEN_POISONED. After a failure the store is poisoned. What was
/// committed earlier is safe.
///
/// Disk: every write of this handle that returned before this call began is durable (with OMEN_SYNC_NONE: later).
#[unsafe(no_mangle)]
pub extern "C" fn omen_store_commit(store: *mut omen_store) -> i32 {
    on_store(store, crate::store::Store::commit)
}
