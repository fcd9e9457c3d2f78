//! Builds the store of a case at one ratio and measures what the checks compare.

use crate::bases::length;
use crate::generators::{Data, Sampling, rows_before};
use crate::memory::MemoryDir;
use crate::truth::{K, Truth, dot};
use omen::codec::Quality;
use omen::error::Error;
use omen::metric::Metric;
use omen::store::{CompressOptions, CompressReport, Options, SearchOptions, Store, SyncMode};
use omen::work::Work;

/// From this many rows on, codes have inverted lists.
const ROWS_WITH_LISTS: usize = 1 << 14;

/// Ways to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    Exact,
    Default,
    /// Candidates to measure.
    Rerank(u64),
    /// Percent of the lists to visit.
    Effort(u32),
}

impl Way {
    fn options(self) -> SearchOptions<'static> {
        let default = SearchOptions { threads: 1, ..SearchOptions::default() };
        match self {
            Way::Exact => SearchOptions { is_exact: true, ..default },
            Way::Default => default,
            Way::Rerank(rerank) => SearchOptions { rerank, ..default },
            Way::Effort(percent) => SearchOptions { effort: f64::from(percent) / 100.0, ..default },
        }
    }
}

/// What a search found.
#[derive(Debug)]
pub struct Found {
    pub way: Way,
    /// `[nq][k]`, and which of them are among the k nearest.
    pub ids: Vec<u64>,
    pub is_hit: Vec<bool>,
    pub distances: Vec<f32>,
}

/// One row as it is read back. With cosine its error is the sine of the angle between x and x̂, whatever their lengths.
#[derive(Clone, Copy, Debug)]
pub struct RowError {
    /// ‖x − x̂‖ ÷ ‖x‖; 0 for a row of zeros.
    pub relative: f64,
    /// ‖x − x̂‖ ÷ the larger of ‖x‖ and the median length: distances and inner products of short rows need no more.
    pub weighed: f64,
    /// ‖x̂‖ ÷ ‖x‖; 1 for a row of zeros.
    pub length: f64,
}

/// What was measured of one store.
#[derive(Debug)]
pub struct Measured {
    /// `None`: the store is raw.
    pub report: Option<CompressReport>,
    /// Upper bound on ‖x − x̂‖ as `stats` tells it.
    pub bound: f64,
    pub found: Vec<Found>,
    /// `[n]`.
    pub errors: Vec<RowError>,
    /// The largest ‖x − x̂‖.
    pub farthest: f64,
    pub decoded: Vec<f32>,
}

impl Measured {
    pub fn found(&self, way: Way) -> &Found {
        self.found.iter().find(|found| found.way == way).unwrap()
    }

    /// The largest error of a row, relative to the row.
    pub fn worst(&self) -> f64 {
        self.errors.iter().map(|row| row.relative).fold(0.0, f64::max)
    }

    /// Bytes of a code; `None`: the store is raw.
    pub fn code_bytes(&self) -> Option<u64> {
        self.report.map(|report| report.code_bytes)
    }

    /// Bytes of a raw vector ÷ bytes of a code: what the codes alone do.
    pub fn ratio_of_codes(&self, dim: usize) -> f64 {
        self.report.map_or(1.0, |report| (dim * 4) as f64 / report.code_bytes as f64)
    }
}

/// Builds and measures the store of `data`. `None` if the ratio does not fit so few rows.
pub fn measure(data: &Data, truth: &Truth, metric: Metric, ratio: f64, sampling: Sampling) -> Option<Measured> {
    let dir = MemoryDir::default();
    let options = Options { metric: Some(metric), threads: 1, sync: SyncMode::None, ..Options::default() };
    let store = Store::open_in(Box::new(dir), data.dim as u32, &options).unwrap();
    let report = fill(&store, data, ratio, sampling)?;
    let n = data.n();
    let mut ways = vec![Way::Default, Way::Exact];
    if ratio > 1.0 {
        ways.extend([Way::Rerank(K as u64), Way::Rerank(150)]);
    }
    if ratio > 1.0 && n >= ROWS_WITH_LISTS {
        ways.extend([Way::Effort(2), Way::Effort(10), Way::Effort(40), Way::Effort(100)]);
    }
    let found = ways.into_iter().map(|way| search(&store, data, truth, metric, way)).collect();
    let mut decoded = vec![f32::NAN; data.rows.len()];
    store.get(&(0..n as u64).collect::<Vec<_>>(), &mut decoded, None).unwrap();
    let bound = store.stats().unwrap().errors.bound;
    let (errors, farthest) = errors(data, metric, &decoded);
    Some(Measured { report, bound, found, errors, farthest, decoded })
}

/// Inserts and compresses. `Some(None)`: raw.
fn fill(store: &Store, data: &Data, ratio: f64, sampling: Sampling) -> Option<Option<CompressReport>> {
    let n = data.n();
    let sample = if sampling == Sampling::Quarter { n.div_ceil(4) as u64 } else { 0 };
    let options = CompressOptions { ratio, sample, quality: Quality::Fast, ..CompressOptions::default() };
    let compress = || match store.compress(&options, &mut Work::default()) {
        Ok(report) => Some(report),
        Err(Error::InvalidArgument(what)) if what.contains("vectors of dim") => None,
        Err(other) => panic!("{other}"),
    };
    let mut rest = &data.rows[..];
    if sampling == Sampling::Later {
        let (before, later) = rest.split_at(rows_before(n) * data.dim);
        store.insert(None, before).unwrap();
        if ratio > 1.0 {
            compress()?;
        }
        rest = later;
    }
    store.insert(None, rest).unwrap();
    if ratio > 1.0 { compress().map(Some) } else { Some(None) }
}

fn search(store: &Store, data: &Data, truth: &Truth, metric: Metric, way: Way) -> Found {
    let nq = data.queries.len() / data.dim;
    let (mut ids, mut distances) = (vec![0; nq * K], vec![f32::NAN; nq * K]);
    store.search(&data.queries, K, &way.options(), &mut ids, &mut distances).unwrap();
    let is_hit = ids.iter().enumerate().map(|(place, id)| truth.is_hit(metric, place / K, *id)).collect();
    Found { way, ids, is_hit, distances }
}

fn errors(data: &Data, metric: Metric, decoded: &[f32]) -> (Vec<RowError>, f64) {
    let mut lengths: Vec<f64> = data.rows.chunks_exact(data.dim).map(length).collect();
    let middle = lengths.len() / 2;
    let median = *lengths.select_nth_unstable_by(middle, f64::total_cmp).1;
    let mut farthest = 0.0_f64;
    let pairs = data.rows.chunks_exact(data.dim).zip(decoded.chunks_exact(data.dim));
    let errors = pairs.map(|(row, decoded)| {
        let off = row.iter().zip(decoded).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>().sqrt();
        farthest = farthest.max(off);
        let (own, found) = (length(row), length(decoded));
        if own == 0.0 {
            return RowError { relative: 0.0, weighed: found / median.max(f64::MIN_POSITIVE), length: 1.0 };
        }
        let (relative, weighed) = match metric {
            Metric::Cosine => (sine(dot(row, decoded), own, found), sine(dot(row, decoded), own, found)),
            Metric::L2 | Metric::InnerProduct => (off / own, off / own.max(median)),
        };
        RowError { relative, weighed, length: found / own }
    });
    (errors.collect(), farthest)
}

/// The least error that any length of the decoded vector leaves, relative to the row: the sine of their angle, 1 if it
/// is more than a right angle.
fn sine(dot: f64, own: f64, found: f64) -> f64 {
    let cosine = if found == 0.0 { 0.0 } else { (dot / (own * found)).clamp(0.0, 1.0) };
    (1.0 - cosine * cosine).sqrt()
}
