//! Queries: how rows are reached, scored and measured, and the k nearest of them.
//!
//! ```text
//! search     divides queries and rows into jobs for threads, merges and writes the answers          this file
//! nearest    one tile of queries: segment by segment, then the tail; the classes of a segment together
//! joined     the candidates of all classes of a segment
//! segment_query   one tile at the rows of one class; one access path
//! class_tile a tile as the codes of rows of one scale see it
//! measure    exact or estimated distances of raw rows, of decoded codes, and of a scan's candidates
//! scan       integer scores of codes, block by block; candidates go to a reservoir
//! access     access paths: all rows, or inverted lists, in parts and runs of blocks
//! filter     the rows that may be found, for each segment and the tail
//! row_set    those of one segment: listed, marked, or told by a test of ids
//! id_filter  the ids that the caller allows and denies
//! request, top, reservoir                                                                          plain data
//! ```
//! A file uses only files below it. A row has the same distance whatever path reached it, so the access path, the
//! number of threads and the division of queries into calls do not change an answer (inverted lists leave rows out, by
//! design).

mod access;
mod class_tile;
mod filter;
mod id_filter;
mod joined;
mod measure;
mod nearest;
mod request;
mod reservoir;
mod row_set;
mod scan;
mod segment_query;
mod top;

pub use id_filter::IdFilter;
pub use request::SearchRequest;

use crate::error::Result;
use crate::format::NO_ID;
use crate::snapshot::View;
use crate::threads::{self, in_parallel};
use access::Share;
use filter::Filter;
use nearest::{bytes_per_query, offer_nearest};
use request::QUERIES_PER_TILE;
use top::TopK;

/// Starting a thread takes about as long as reading this many bytes.
const BYTES_PER_THREAD: u64 = 4 << 20;

/// If queries are divided, jobs per thread: a thread that finishes early takes another.
const JOBS_PER_THREAD: usize = 4;

/// The k nearest live vectors of each query of `request`, of those that `allowed` allows, into `ids: [nq][k]` and
/// `distances: [nq][k]`: nearest first, equal distances by ascending id, `NO_ID` and NaN in unused slots. `threads` is
/// the largest number of threads to use; 0: one per core. Nothing is written on an error.
pub fn search(
    view: &View,
    request: &SearchRequest,
    allowed: &IdFilter,
    threads: u32,
    ids: &mut [u64],
    distances: &mut [f32],
) -> Result<()> {
    let (dim, count) = (view.snapshot.dim, request.queries.len() / view.snapshot.dim);
    let filter = Filter::new(view, allowed)?;
    let bytes = bytes_per_query(view, request, &filter)?.saturating_mul(count as u64);
    let division = Division::new(count, useful_threads(threads, bytes));
    let mut results: Vec<Result<Vec<TopK>>> = (0..division.jobs()).map(|_| Ok(Vec::new())).collect();
    in_parallel(division.threads, results.iter_mut().enumerate(), |(job, result)| {
        let (queries, share) = division.job(job);
        let request = SearchRequest { queries: &request.queries[queries.start * dim..queries.end * dim], ..*request };
        let mut tops = vec![TopK::new(request.k, request.max_distance); queries.len()];
        *result = offer_nearest(view, &request, &filter, share, &mut tops).map(|()| tops);
    });
    let tops = division.merge(results)?;
    for ((top, ids), distances) in
        tops.into_iter().zip(ids.chunks_exact_mut(request.k)).zip(distances.chunks_exact_mut(request.k))
    {
        write_answer(top, ids, distances);
    }
    Ok(())
}

fn useful_threads(most: u32, bytes: u64) -> usize {
    let useful = usize::try_from(bytes / BYTES_PER_THREAD).unwrap_or(usize::MAX);
    if useful < 2 { 1 } else { threads::count(most).min(useful) }
}

fn write_answer(top: TopK, ids: &mut [u64], distances: &mut [f32]) {
    ids.fill(NO_ID);
    distances.fill(f32::NAN);
    for ((neighbour, id), distance) in top.into_sorted().iter().zip(ids).zip(distances) {
        (*id, *distance) = (neighbour.id, neighbour.distance);
    }
}

/// How a search is divided into jobs: by queries if there are enough of them for all threads, else by rows.
struct Division {
    threads: usize,
    count: usize,
    /// Queries per job; the last job may have fewer.
    queries: usize,
    /// Jobs that search the same queries, each in its own share of the rows.
    shares: usize,
}

impl Division {
    fn new(count: usize, threads: usize) -> Division {
        if count < threads * QUERIES_PER_TILE {
            return Division { threads, count, queries: count, shares: threads };
        }
        let queries = count.div_ceil(threads * JOBS_PER_THREAD).next_multiple_of(QUERIES_PER_TILE);
        Division { threads, count, queries, shares: 1 }
    }

    fn jobs(&self) -> usize {
        self.count.div_ceil(self.queries) * self.shares
    }

    /// The queries and the share of the rows of job number `job`.
    fn job(&self, job: usize) -> (std::ops::Range<usize>, Share) {
        let first = job / self.shares * self.queries;
        let queries = first..self.count.min(first.saturating_add(self.queries));
        (queries, Share { number: job % self.shares, of: self.shares })
    }

    /// The neighbours of each query, from the results of all jobs in order.
    fn merge(&self, results: Vec<Result<Vec<TopK>>>) -> Result<Vec<TopK>> {
        let mut tops: Vec<TopK> = Vec::with_capacity(self.count);
        for (job, result) in results.into_iter().enumerate() {
            let found = result?;
            if job % self.shares == 0 {
                tops.extend(found);
            } else {
                let first = tops.len() - found.len();
                tops[first..].iter_mut().zip(found).for_each(|(top, other)| top.merge(other));
            }
        }
        Ok(tops)
    }
}
