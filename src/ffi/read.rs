//! Reading by id and in order: get, contains, scan.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{Place, input, output, output_or_null};
use super::fence::{look_at_store, on_store};
use super::types::omen_store;

/// READING: readers wait for nobody, and see whole calls only.
///
/// Reads the vectors of `n` ids: bit for bit as they were given; after omen_store_compress what their codes decode to.
///
/// ids          `uint64_t[n]`, in any order, also repeated
/// out_vectors  `float[n][dim]`; need not be initialised
/// out_found    `uint8_t[n]`: 1 where the id is in the store, 0 where it is not, and its vector is all zeros.
///              NULL: every id must be there, else OMEN_NOT_FOUND and nothing is written
///
/// Errors:  OMEN_NOT_FOUND, OMEN_TOO_BIG. Never writes to the disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_get(
    store: *const omen_store,
    ids: *const u64,
    n: usize,
    out_vectors: *mut f32,
    out_found: *mut u8,
) -> i32 {
    look_at_store(store, |store| {
        #[cfg(feature = "failpoints")]
        failpoint();
        // SAFETY: convention 3: the caller's arrays have these shapes.
        let (ids, found) = unsafe { (input("ids", ids, n, 1)?, output_or_null("out_found", out_found, n, 1)?) };
        // SAFETY: as above.
        let vectors = unsafe { output("out_vectors", out_vectors, n, store.dim() as usize)? };
        store.get(ids, vectors, found)
    })
}

/// Tells for each of `n` ids whether it is in the store.
///
/// ids        `uint64_t[n]`, in any order, also repeated
/// out_found  `uint8_t[n]`: 1 or 0
///
/// Errors:  OMEN_TOO_BIG. Never writes to the disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_contains(
    store: *const omen_store,
    ids: *const u64,
    n: usize,
    out_found: *mut u8,
) -> i32 {
    look_at_store(store, |store| {
        // SAFETY: convention 3: the caller's arrays have these shapes.
        let (ids, found) = unsafe { (input("ids", ids, n, 1)?, output("out_found", out_found, n, 1)?) };
        store.contains(ids, found)
    })
}

/// Reads the store from end to end, by ascending id, some vectors at a time:
///
///     uint64_t position = 0; size_t n;
///     while ((status = omen_store_scan(store, &position, 1000, ids, vectors, &n)) == OMEN_OK && n > 0) { ... }
///
/// inout_position  0 begins; the library sets it to where the next call goes on, and that is the first id to look at
/// capacity        how many vectors the arrays hold; with 0 nothing is read, and *out_n is 0
/// out_ids         `uint64_t[capacity]`
/// out_vectors     `float[capacity][dim]`, as omen_store_get reads them; NULL: only the ids
/// out_n           receives how many were read; 0 = done
///
/// Each call sees the store as it is then: with writes in between, ids from *inout_position on are those of now.
/// Errors:  OMEN_TOO_BIG. Never writes to the disk.
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
        // SAFETY: conventions 2 and 3: places for one value, arrays of these shapes.
        let (place, out_n) = unsafe { (Place::new("inout_position", inout_position)?, Place::new("out_n", out_n)?) };
        // SAFETY: as above.
        let vectors = unsafe { output_or_null("out_vectors", out_vectors, capacity, store.dim() as usize)? };
        // SAFETY: as above.
        let ids = unsafe { output("out_ids", out_ids, capacity, 1)? };
        let mut position = place.get();
        out_n.set(store.list(&mut position, ids, vectors)?);
        place.set(position);
        Ok(())
    })
}

/// With OMEN_FAILPOINT=panic in the environment, the next get panics, once.
#[cfg(feature = "failpoints")]
fn failpoint() {
    static SPENT: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let asked = std::env::var_os("OMEN_FAILPOINT").is_some_and(|value| value == "panic");
    assert!(!asked || SPENT.swap(true, std::sync::atomic::Ordering::Relaxed), "failpoint: injected by OMEN_FAILPOINT");
}
