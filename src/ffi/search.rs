//! Searching: options and the one call.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{input, output};
use super::fence::on_store;
use super::sized;
use super::store::out_of_range;
use super::types::{omen_search_options, omen_store};
use crate::error::{Error, Result, short};
use crate::store::SearchOptions;

/// SEARCHING
///
/// Sets every member of `options` to its default, `struct_size` included. NULL is ignored. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_search_options_init(options: *mut omen_search_options) {
    if !options.is_null() {
        // SAFETY: not NULL; convention 2: the caller's pointer has room for one, at any address.
        unsafe { options.write_unaligned(omen_search_options::DEFAULT) }
    }
}

/// Finds the `k` nearest vectors of each of `nq` queries, by the metric of the store.
///
/// queries        `float[nq][dim]`, every component finite
/// options        or NULL
/// out_ids        `uint64_t[nq][k]`, nearest first; equal distances by ascending id; OMEN_NO_ID where there are fewer
/// out_distances  `float[nq][k]`: squared distance, negated inner product, or 1 - cosine, so that smaller is nearer
///                always; NaN where there are fewer
///
/// Compressed vectors are scored as they lie, and the best of them measured: distances are estimates of those to the vectors
/// that were inserted. With `exact` 1 every one is decoded and measured, and distances are those to the vectors as read; it is
/// slow, and there to compare with. Vectors that are not compressed are always measured. The answer is the same whatever
/// `threads` is and however queries are divided into calls; many queries in a call share the passes over memory.
///
/// Large compressed stores have inverted lists, made by compress: a search visits those near its query, as many as compress
/// found to hold nearly all neighbours, or the share of them that `effort` says. With `allow_ids` or `exact` every vector in
/// question is looked at; the last filter is remembered with the codes it allows, in up to 4 MiB, so asking the same
/// `allow_ids` again costs far less than the first time.
/// Errors:  OMEN_NOT_FINITE, OMEN_TOO_BIG. Never writes to the disk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_search(
    store: *const omen_store,
    queries: *const f32,
    nq: usize,
    k: usize,
    options: *const omen_search_options,
    out_ids: *mut u64,
    out_distances: *mut f32,
) -> i32 {
    on_store(store, |store| {
        // SAFETY: conventions 3 and 5: arrays of these shapes, a struct of the size it says.
        let (queries, options) =
            unsafe { (input("queries", queries, nq, store.dim() as usize)?, search_options(options)?) };
        // SAFETY: as above.
        let (ids, distances) =
            unsafe { (output("out_ids", out_ids, nq, k)?, output("out_distances", out_distances, nq, k)?) };
        store.search(queries, k, &options, ids, distances)
    })
}

/// # Safety
/// As for [`sized::options`]; `allow_ids` of it is an array of `allow_n`, which nobody writes while the options live.
unsafe fn search_options<'a>(options: *const omen_search_options) -> Result<SearchOptions<'a>> {
    // SAFETY: the promise of this function.
    let given = unsafe { sized::options(options, omen_search_options::DEFAULT)? };
    if !(0.0..=1.0).contains(&given.effort) {
        return Err(Error::InvalidArgument(format!("options: effort is {}; expected 0 to 1", short(given.effort))));
    }
    if !matches!(given.exact, 0 | 1) {
        return Err(out_of_range("exact", given.exact, 1));
    }
    // What does not fit a usize is more than memory can hold, and `input` says so.
    let allow_n = usize::try_from(given.allow_n).unwrap_or(usize::MAX);
    // SAFETY: the promise of this function.
    let allowed = unsafe { input("allow_ids", given.allow_ids, allow_n, 1)? };
    Ok(SearchOptions {
        allow_ids: (allow_n > 0).then_some(allowed),
        is_exact: given.exact == 1,
        effort: given.effort,
        rerank: given.rerank,
        threads: given.threads,
    })
}
