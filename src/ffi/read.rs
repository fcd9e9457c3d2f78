//! Reading by id and in order: get, contains, scan.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{OutParam, input, output, output_or_null};
use super::fence::{on_pinned_store, on_store};
use super::types::omen_store;

/// # READING: readers never wait for a writer, and see whole calls only.
///
/// Reads the vectors of `n` ids. They are bit for bit those that were inserted; after omen_store_compress they are
/// decoded from their codes, which is an approximation.
///
/// @param store        an open store
/// @param ids          `uint64_t[n]`, in any order; an id may occur more than once
/// @param n            number of ids
/// @param out_vectors  `float[n][dim]`; need not be initialised
/// @param out_found    `uint8_t[n]`: 1 where the id is in the store, 0 where it is not; the vector is then all zeros.
///                     NULL: every id must be in the store, else the status is OMEN_NOT_FOUND and nothing is written
///
/// Errors: OMEN_NOT_FOUND, OMEN_TOO_BIG.
///
/// Disk: not written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_get(
    store: *const omen_store,
    ids: *const u64,
    n: usize,
    out_vectors: *mut f32,
    out_found: *mut u8,
) -> i32 {
    on_pinned_store(store, |store| {
        #[cfg(feature = "failpoints")]
        failpoint();
        // SAFETY: convention 3: the caller's arrays have these shapes.
        let (ids, found) = unsafe { (input("ids", ids, n, 1)?, output_or_null("out_found", out_found, n, 1)?) };
        // SAFETY: as above.
        let vectors = unsafe { output("out_vectors", out_vectors, n, store.dim() as usize)? };
        store.get(ids, vectors, found)
    })
}

/// Checks for each of `n` ids whether it is in the store.
///
/// @param store      an open store
/// @param ids        `uint64_t[n]`, in any order; an id may occur more than once
/// @param n          number of ids
/// @param out_found  `uint8_t[n]`: 1 where the id is in the store, else 0
///
/// Errors: OMEN_TOO_BIG.
///
/// Disk: not written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_contains(
    store: *const omen_store,
    ids: *const u64,
    n: usize,
    out_found: *mut u8,
) -> i32 {
    on_pinned_store(store, |store| {
        // SAFETY: convention 3: the caller's arrays have these shapes.
        let (ids, found) = unsafe { (input("ids", ids, n, 1)?, output("out_found", out_found, n, 1)?) };
        store.contains(ids, found)
    })
}

/// Reads the store in ascending order of id, up to `capacity` vectors in each call:
///
///     uint64_t position = 0; size_t n;
///     while ((status = omen_store_scan(store, &position, 1000, ids, vectors, &n)) == OMEN_OK && n > 0) { ... }
///
/// Each call sees the store as it is at that moment: of the writes between two calls, a later call sees those with ids
/// from `*inout_position` on.
///
/// @param store           an open store
/// @param inout_position  the smallest id to read; 0 at the start. The library sets it to the position of the next call
/// @param capacity        number of vectors that the arrays hold; with 0 nothing is read, and `*out_n` is 0
/// @param out_ids         `uint64_t[capacity]`
/// @param out_vectors     `float[capacity][dim]`, as omen_store_get reads them. NULL: ids only
/// @param out_n           receives the number of vectors read; 0 at the end
///
/// Errors: OMEN_TOO_BIG.
///
/// Disk: not written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_scan(
    store: *const omen_store,
    inout_position: *mut u64,
    capacity: usize,
    out_ids: *mut u64,
    out_vectors: *mut f32,
    out_n: *mut usize,
) -> i32 {
    on_store(store, |store| {
        // SAFETY: conventions 2 and 3: memory for one value each, arrays of these shapes.
        let (inout_position, out_n) =
            unsafe { (OutParam::new("inout_position", inout_position)?, OutParam::new("out_n", out_n)?) };
        // SAFETY: as above.
        let vectors = unsafe { output_or_null("out_vectors", out_vectors, capacity, store.dim() as usize)? };
        // SAFETY: as above.
        let ids = unsafe { output("out_ids", out_ids, capacity, 1)? };
        let mut position = inout_position.get();
        out_n.set(store.list(&mut position, ids, vectors)?);
        inout_position.set(position);
        Ok(())
    })
}

/// With OMEN_FAILPOINT=panic in the environment, the first get of the process panics.
#[cfg(feature = "failpoints")]
fn failpoint() {
    static SPENT: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let asked = std::env::var_os("OMEN_FAILPOINT").is_some_and(|value| value == "panic");
    assert!(!asked || SPENT.swap(true, std::sync::atomic::Ordering::Relaxed), "failpoint: injected by OMEN_FAILPOINT");
}
