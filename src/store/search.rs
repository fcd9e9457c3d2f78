//! Search: checks the arguments and calls `query`.

use super::{Store, check_finite};
use crate::error::{Error, Result, short};
use crate::metric::Metric;
use crate::query::{self, IdFilter, SearchRequest};

/// Options of a search.
#[derive(Clone, Copy, Debug)]
pub struct SearchOptions<'a> {
    /// Only these ids may be found; `None`: all.
    pub allow_ids: Option<&'a [u64]>,
    /// These ids are not found, not even if `allow_ids` has them.
    pub deny_ids: Option<&'a [u64]>,
    /// Only vectors at most this far from the query are found; infinite by default.
    pub max_distance: f64,
    /// True: distances to codes are those to the decoded vectors, not estimates of those to the inserted vectors.
    pub is_exact: bool,
    /// The fraction of the inverted lists to visit, 0 to 1, where 1 scans every code; 0: the number that compress
    /// measured.
    pub effort: f64,
    /// Number of candidates to rerank per query if scores are coarse; values below k count as k; 0: chosen from k.
    pub rerank: u64,
    /// The most threads to use; 0: the store's.
    pub threads: u32,
}

impl Default for SearchOptions<'_> {
    fn default() -> Self {
        SearchOptions {
            allow_ids: None,
            deny_ids: None,
            max_distance: f64::INFINITY,
            is_exact: false,
            effort: 0.0,
            rerank: 0,
            threads: 0,
        }
    }
}

impl Store {
    /// The k nearest vectors of each of `queries: [nq][dim]`, into `ids: [nq][k]` and `distances: [nq][k]`: nearest
    /// first, equal distances by ascending id, `NO_ID` and NaN in unused slots. The number of threads and the division
    /// of queries into calls do not change an answer. Nothing is written on an error.
    pub fn search(
        &self,
        queries: &[f32],
        k: usize,
        options: &SearchOptions,
        ids: &mut [u64],
        distances: &mut [f32],
    ) -> Result<()> {
        self.check_search(queries, k, options, [ids.len(), distances.len()])?;
        let state = self.shared_state()?;
        if k == 0 || queries.is_empty() {
            return Ok(());
        }
        let view = state.view();
        let allowed = IdFilter::new(options.allow_ids, options.deny_ids.unwrap_or(&[]))?;
        let SearchOptions { is_exact, effort, .. } = *options;
        let max_distance = round_down(options.max_distance);
        let rerank = usize::try_from(options.rerank).unwrap_or(usize::MAX);
        let request = SearchRequest { queries, k, metric: self.metric, is_exact, effort, max_distance, rerank };
        let threads = if options.threads == 0 { self.threads } else { options.threads };
        query::search(&view, &request, &allowed, threads, ids, distances)
    }

    /// Checks shapes and options; `outputs` are the lengths of ids and distances.
    fn check_search(&self, queries: &[f32], k: usize, options: &SearchOptions, outputs: [usize; 2]) -> Result<()> {
        let (dim, floats) = (self.dim as usize, queries.len());
        if !floats.is_multiple_of(dim) {
            return Err(Error::InvalidArgument(format!("queries: {floats} floats are not a multiple of dim {dim}")));
        }
        let count = floats / dim;
        let Some(expected) = count.checked_mul(k) else {
            return Err(Error::TooBig(format!("k: {count} queries x {k} neighbours are more than memory can hold")));
        };
        for (name, found) in ["ids", "distances"].into_iter().zip(outputs) {
            if found != expected {
                let what = format!("{name}: room for {found} values, expected {count} queries x {k} neighbours");
                return Err(Error::InvalidArgument(what));
            }
        }
        if !(0.0..=1.0).contains(&options.effort) {
            return Err(Error::InvalidArgument(format!(
                "options: effort is {}; expected 0 to 1",
                short(options.effort)
            )));
        }
        self.check_max_distance(options.max_distance)?;
        check_finite(queries, dim)
    }

    /// Refuses a `max_distance` that no distance of the metric can be within.
    fn check_max_distance(&self, max_distance: f64) -> Result<()> {
        let is_too_small = self.metric != Metric::InnerProduct && max_distance < 0.0;
        if is_too_small || max_distance.is_nan() || max_distance == f64::NEG_INFINITY {
            let expected = if self.metric == Metric::InnerProduct { "a number" } else { "0 or more" };
            let (found, metric) = (short(max_distance), self.metric);
            let what =
                format!("options: max_distance is {found}; expected {expected}, or infinity for all, by {metric}");
            return Err(Error::InvalidArgument(what));
        }
        Ok(())
    }
}

/// The largest f32 that is not above `value`.
fn round_down(value: f64) -> f32 {
    let nearest = value as f32;
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}
