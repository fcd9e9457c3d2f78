//! Search: who scans what, and the answers as the caller gets them.

use super::Store;
use crate::error::Result;
use crate::format::NO_ID;
use crate::threads::{self, in_parallel};

use crate::query::{QUERIES_AT_ONCE, Question, Share, TopK};

/// What `search` is told beyond the queries.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchOptions<'a> {
    /// Only these ids count; `None`: all.
    pub allow_ids: Option<&'a [u64]>,
    /// Distances to codes are those to what they decode to, not estimates of those to the vectors inserted.
    pub is_exact: bool,
    /// The share of the inverted lists that is visited, up to 1 for every code; 0: chosen.
    pub effort: f64,
    /// Codes measured for each query, at least k, where scores see part of a code; 0: chosen.
    pub rerank: u64,
    /// Threads used; 0: the store's.
    pub threads: u32,
}

/// A thread takes about as long to begin as it takes to look at so many bytes.
const BYTES_A_THREAD: u64 = 4 << 20;

impl Store {
    /// The k nearest vectors of each of `queries: [nq][dim]`, into `ids: [nq][k]` and `distances: [nq][k]`, nearest first,
    /// equal distances by ascending id; places left over hold `NO_ID` and NaN. The same answer whatever the number of threads
    /// and however the queries are divided into calls.
    pub fn search(
        &self,
        queries: &[f32],
        k: usize,
        options: &SearchOptions,
        ids: &mut [u64],
        distances: &mut [f32],
    ) -> Result<()> {
        let dim = self.dim as usize;
        self.check_search(queries, k, options, ids, distances)?;
        let state = self.shared_state()?;
        if k == 0 || queries.is_empty() {
            return Ok(());
        }
        let view = state.view();
        let chosen = options.allow_ids.map(|ids| view.choose(ids)).transpose()?;
        let count = queries.len() / dim;
        let SearchOptions { is_exact, effort, rerank, .. } = *options;
        let rerank = usize::try_from(rerank).unwrap_or(usize::MAX);
        let question = Question { queries, metric: self.metric, is_exact, effort, rerank };
        let bytes = view.bytes_looked_at(&question, chosen.as_deref())?;
        let threads = self.search_threads(options.threads, bytes.saturating_mul(count as u64));
        // Each thread has queries of its own if there are enough of them, else some of the rows.
        let of = if count >= threads * QUERIES_AT_ONCE { 1 } else { threads };
        let at_once = if of == 1 { count.div_ceil(threads * 4).next_multiple_of(QUERIES_AT_ONCE) } else { count };
        let mut found: Vec<Result<Vec<TopK>>> = (0..count.div_ceil(at_once) * of).map(|_| Ok(Vec::new())).collect();
        in_parallel(threads, found.iter_mut().enumerate(), |(job, found)| {
            let queries =
                &queries[job / of * at_once * dim..(job / of + 1).saturating_mul(at_once * dim).min(queries.len())];
            let question = Question { queries, ..question };
            let mut tops = vec![TopK::new(k); queries.len() / dim];
            let share = Share { number: job % of, of };
            *found = view.nearest(&question, chosen.as_deref(), share, &mut tops).map(|()| tops);
        });
        let mut tops: Vec<TopK> = Vec::with_capacity(count);
        for (job, found) in found.into_iter().enumerate() {
            let found = found?;
            if job % of == 0 {
                tops.extend(found);
            } else {
                let first = tops.len() - found.len();
                tops[first..].iter_mut().zip(found).for_each(|(top, other)| top.join(other));
            }
        }
        for ((top, ids), distances) in tops.into_iter().zip(ids.chunks_exact_mut(k)).zip(distances.chunks_exact_mut(k))
        {
            ids.fill(NO_ID);
            distances.fill(f32::NAN);
            for ((neighbour, id), distance) in top.into_sorted().iter().zip(ids).zip(distances) {
                (*id, *distance) = (neighbour.id, neighbour.distance);
            }
        }
        Ok(())
    }

    fn search_threads(&self, asked: u32, bytes: u64) -> usize {
        let worth = usize::try_from(bytes / BYTES_A_THREAD).unwrap_or(usize::MAX);
        if worth < 2 { 1 } else { threads::count(if asked == 0 { self.threads } else { asked }).min(worth) }
    }
}
