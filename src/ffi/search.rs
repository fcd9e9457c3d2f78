//! Searching: options and the one call.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{input, output};
use super::fence::on_store;
use super::sized;
use super::types::{omen_search_options, omen_store};
use crate::error::{Error, Result};
use crate::store::SearchOptions;

/// Most ids of one list of a filter.
const IDS_MAX: u64 = u32::MAX as u64;

/// # SEARCHING
///
/// Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
///
/// @param options  the struct to fill in
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_search_options_init(options: *mut omen_search_options) {
    if !options.is_null() {
        // SAFETY: not NULL; convention 2: the caller's pointer has room for one, at any address.
        unsafe { options.write_unaligned(omen_search_options::DEFAULT) }
    }
}

/// Finds the `k` nearest vectors of each of `nq` queries, by the metric of the store.
///
/// @param store          an open store
/// @param queries        `float[nq][dim]`, every component finite
/// @param nq             number of queries
/// @param k              number of neighbours for each query
/// @param options        may be NULL: the defaults
/// @param out_ids        `uint64_t[nq][k]`, nearest first, equal distances by ascending id. OMEN_NO_ID fills the
///                       remaining places if fewer than `k` are found
/// @param out_distances  `float[nq][k]`: squared Euclidean distance, negated inner product, or 1 - cosine, so that
///                       smaller is nearer. NaN fills the remaining places if fewer than `k` are found
///
/// Exactness: vectors that are not compressed are compared exactly. Compressed vectors are scored from their codes, and
/// the best candidates are reranked; their distances are estimates of the distances to the inserted vectors. With
/// `exact` 1 every code is decoded and compared, and distances are those to the decoded vectors. That is slow, and
/// meant as a reference. The result depends neither on `threads` nor on how queries are divided into calls. Many
/// queries in one call are faster than one at a time, because they share the passes over memory.
///
/// Inverted lists: omen_store_compress makes them for large stores. A search then visits the lists nearest to its
/// query: as many as compress found to hold nearly all neighbours, more if the query is unlike the vectors, or the share of
/// the lists given by `effort`.
///
/// Places are left over (OMEN_NO_ID, NaN) only if fewer than `k` vectors are live, allowed and within `max_distance`:
/// lists are visited until `k` such vectors are found, or all lists are. With an `effort` above 0, lists beyond that share
/// are visited for live and allowed vectors, but not for vectors within `max_distance`.
///
/// Filters: `allow_ids` and `deny_ids` may have any order, may repeat ids, and may name ids that are not stored; an id on
/// both is not found. They may be new with each query: a search costs about as much as without, up to twice as much.
/// Ascending ids, each once, are used in place; others are sorted first, in a copy. The fewer vectors are allowed, the more
/// inverted lists are visited; a few hundred allowed vectors, and with `exact` any number, are all compared. The first
/// filter makes a map of 8 bytes a vector in memory for each file with lists.
///
/// Errors: OMEN_NOT_FINITE, OMEN_TOO_BIG (also: 2^32 ids or more in a list). OMEN_INVALID_ARGUMENT if `max_distance` is
/// NaN or -INFINITY, or below 0 where distances are never negative.
///
/// Disk: not written to.
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
        // SAFETY: conventions 3 and 5: arrays of these shapes, a struct of `struct_size` bytes.
        let (queries, options) =
            unsafe { (input("queries", queries, nq, store.dim() as usize)?, search_options(options)?) };
        // SAFETY: as above.
        let (ids, distances) =
            unsafe { (output("out_ids", out_ids, nq, k)?, output("out_distances", out_distances, nq, k)?) };
        store.search(queries, k, &options, ids, distances)
    })
}

/// # Safety
/// As for [`sized::options`]. `allow_ids` and `deny_ids` are arrays of `allow_n` and `deny_n` ids, which no thread writes
/// while the options live.
unsafe fn search_options<'a>(options: *const omen_search_options) -> Result<SearchOptions<'a>> {
    // SAFETY: the contract of this function.
    let given = unsafe { sized::options(options, omen_search_options::DEFAULT)? };
    if !matches!(given.exact, 0 | 1) {
        return Err(Error::InvalidArgument(format!("options: exact is {}; expected 0 or 1", given.exact)));
    }
    // SAFETY: the contract of this function.
    let (allow_ids, deny_ids) = unsafe {
        (id_list("allow_ids", given.allow_ids, given.allow_n)?, id_list("deny_ids", given.deny_ids, given.deny_n)?)
    };
    Ok(SearchOptions {
        allow_ids,
        deny_ids,
        max_distance: given.max_distance,
        is_exact: given.exact == 1,
        effort: given.effort,
        rerank: given.rerank,
        threads: given.threads,
    })
}

/// The `count` ids at `pointer`; `None` if there are none.
///
/// # Safety
/// As for [`input`].
unsafe fn id_list<'a>(name: &'static str, pointer: *const u64, count: u64) -> Result<Option<&'a [u64]>> {
    if count > IDS_MAX {
        return Err(Error::TooBig(format!("{name}: {count} ids, at most {IDS_MAX} are possible")));
    }
    // SAFETY: the contract of this function.
    let ids = unsafe { input(name, pointer, count as usize, 1)? };
    Ok((count > 0).then_some(ids))
}
