//! Foretells what a compress at some ratio would do: the relative MSE of all vectors, and recall@10 among all of them.
//!
//! ```text
//! sample       as many vectors as compress trains on, and more that show the error of those it does not
//! queries      other files, or vectors of the same; their true neighbours among all vectors are found by reading all
//! neighbours   the nearest vectors of each query: others are too far to be found in their place
//! ```
//!
//! For each ratio a temporary store of the sample is compressed as the whole would be. The neighbours then get codes of
//! the same codebook, and a search shows how many of the ten nearest it finds.

use crate::failure::{Failure, Outcome};
use crate::files::Source;
use crate::plot::Point;
use crate::progress::Progress;
use crate::scratch::ScratchDir;
use crate::search::count_hits;
use omen::codec::Quality;
use omen::error::short;
use omen::ffi::constants::OMEN_INVALID_ARGUMENT;
use omen::kernels;
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store, SyncMode, training_rows};
use omen::work::Work;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;

const K: usize = 10;
/// The most queries: recall then has a standard error of about 0.005.
const QUERIES: u64 = 1000;
/// Nearest vectors of each query that get codes.
const NEIGHBOURS: usize = 100;
/// With fewer vectors, recall of the ten nearest means nothing.
const VECTORS_MIN: u64 = 100;
/// Vectors, beyond those trained on, that show the error of all others.
const HELD_OUT: u64 = 4096;
/// Seconds on one core of an AMD EPYC: to compare one float of a vector with a query, to train window codes on one float
/// and bit of its code, and to encode one float, half of that for scalar codes, which have more bits for each dim.
const MEASURE_FLOAT: f64 = 2.9e-10;
const TRAIN_FLOAT: f64 = 5e-6;
const ENCODE_FLOAT: f64 = 1.6e-7;
const SCALAR_BITS: f64 = 5.75;
/// Ratios to choose from.
const RATIOS: [f64; 14] = [2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0];
/// Bytes of the vectors that are compared with the queries at a time.
const CHUNK_BYTES: usize = 64 << 20;

/// How to foretell.
pub struct Settings {
    /// Vectors to sample; more are drawn if compress trains on more.
    pub sample: u64,
    pub seed: u64,
    pub metric: Metric,
    pub quality: Quality,
    pub threads: u32,
}

/// Vectors of a file or a store, to be read several times.
pub struct Data<'a> {
    pub open: &'a dyn Fn() -> Outcome<Box<dyn Source>>,
    pub count: u64,
    pub dim: usize,
    pub name: String,
}

/// What all ratios have in common.
pub struct Forecast<'a> {
    settings: Settings,
    scratch: &'a ScratchDir,
    count: u64,
    dim: usize,
    /// `[n][dim]`
    sample: Vec<f32>,
    /// Neighbours that are not in the sample: `[n][dim]`.
    others: Vec<f32>,
    /// The positions of `sample`, then of `others`.
    positions: Vec<u64>,
    queries: Queries,
    /// The positions of the nearest: `[queries][K]`.
    truth: Vec<u64>,
}

/// Queries, and their own positions if they are vectors of the data: a vector is no neighbour of itself.
struct Queries {
    vectors: Vec<f32>,
    own: Option<Vec<u64>>,
}

impl<'a> Data<'a> {
    pub fn new(open: &'a dyn Fn() -> Outcome<Box<dyn Source>>) -> Outcome<Data<'a>> {
        let source = open()?;
        let (count, dim, name) = (source.count(), source.dim(), source.name().to_owned());
        if count < VECTORS_MIN {
            return Err(Failure::argument(format!("{name}: found {count} vectors, expected at least {VECTORS_MIN}")));
        }
        Ok(Data { open, count, dim, name })
    }

    /// The vectors at `positions`.
    fn pick(&self, positions: &BTreeSet<u64>) -> Outcome<Vec<f32>> {
        pick((self.open)()?.as_mut(), positions)
    }
}

impl Settings {
    /// About the seconds that a forecast of `ratios` takes.
    pub fn seconds(&self, data: &Data, ratios: &[f64]) -> f64 {
        let (count, dim) = (data.count as f64, data.dim as f64);
        let queries = count.min(QUERIES as f64);
        let coded = self.sampled(data) as f64 + count.min(queries * NEIGHBOURS as f64) / 2.0;
        let trained = count.min(training_rows(data.dim) as f64);
        let threads = if self.threads == 0 {
            thread::available_parallelism().map_or(1, usize::from)
        } else {
            self.threads as usize
        };
        let of_ratio = |ratio: &f64| {
            let bits = 32.0 / ratio;
            let train = if bits > SCALAR_BITS { 0.0 } else { trained * TRAIN_FLOAT * bits };
            let encode = if bits > SCALAR_BITS { ENCODE_FLOAT / 2.0 } else { ENCODE_FLOAT };
            dim * (train + coded * encode / threads as f64)
        };
        count * dim * queries * MEASURE_FLOAT / threads as f64 + ratios.iter().map(of_ratio).sum::<f64>()
    }

    /// The number of vectors to sample of `data`.
    pub fn sampled(&self, data: &Data) -> u64 {
        self.sample.max(training_rows(data.dim) + HELD_OUT).min(data.count)
    }
}

impl<'a> Forecast<'a> {
    /// Draws the sample and finds the true neighbours of the queries, which are vectors of the data if none are given.
    pub fn new(
        data: &Data,
        queries: Option<&mut dyn Source>,
        settings: Settings,
        scratch: &'a ScratchDir,
    ) -> Outcome<Forecast<'a>> {
        let (count, dim) = (data.count, data.dim);
        let chosen = choose(count, settings.sampled(data), settings.seed);
        let sample = data.pick(&chosen)?;
        let queries = match queries {
            Some(source) => {
                let of = source.count();
                Queries { vectors: pick(source, &choose(of, QUERIES.min(of), settings.seed))?, own: None }
            }
            None => {
                let own = choose(count, QUERIES.min(count), !settings.seed);
                Queries { vectors: data.pick(&own)?, own: Some(own.into_iter().collect()) }
            }
        };
        let nearest = nearest(data, &queries, &settings, scratch)?;
        let truth = nearest.iter().flat_map(|near| near.iter().take(K).copied()).collect();
        let others: BTreeSet<u64> = nearest.into_iter().flatten().filter(|at| !chosen.contains(at)).collect();
        let positions = chosen.into_iter().chain(others.iter().copied()).collect();
        let others = data.pick(&others)?;
        Ok(Forecast { settings, scratch, count, dim, sample, others, positions, queries, truth })
    }

    pub fn sampled(&self) -> usize {
        self.sample.len() / self.dim
    }

    pub fn queries(&self) -> usize {
        self.queries.vectors.len() / self.dim
    }

    /// What a compress at `ratio` would do. `progress` shows the part `at` of `all` parts.
    pub fn at(&self, ratio: f64, progress: &Progress, (at, all): (u64, u64)) -> Outcome<Point> {
        let path = self.scratch.path().join("codes");
        let store = new_store(&path, self.dim, &self.settings)?;
        store.insert(None, &self.sample)?;
        let Settings { seed, quality, .. } = self.settings;
        let options = CompressOptions { ratio, seed, quality, sample_of: self.count, ..CompressOptions::default() };
        let compress = |(from, to): (u64, u64)| {
            let mut on_progress = |done, total| {
                progress.is_stopped(at * 100 * total + from * total + done * (to - from), all * 100 * total)
            };
            store.compress(&options, &mut Work::new(self.settings.threads, Some(&mut on_progress)))
        };
        let report = compress((0, 90))?;
        // The error of the rows that are not in the sample is that of rows that were not trained on.
        let (mixed, held_out) = (report.relative_mse, report.held_out_relative_mse);
        let share = report.vectors as f64 / self.count as f64;
        let relative_mse = if held_out.is_nan() { mixed } else { held_out + share * (mixed - held_out) };
        // New rows join the codebook only if they are no more than there are.
        let mut rest = self.others.as_slice();
        while !rest.is_empty() {
            let (next, later) = rest.split_at((store.count() as usize * self.dim).min(rest.len()));
            store.insert(None, next)?;
            compress((90, 100))?;
            rest = later;
        }
        let recall = self.recall(&store)?;
        store.close()?;
        fs::remove_dir_all(&path).map_err(Failure::io("rmdir", &path))?;
        let bytes = (self.count as f64 * self.dim as f64 * 4.0 / ratio) as u64;
        Ok(Point { ratio, bytes, relative_mse, recall })
    }

    /// The highest of `RATIOS` that finds at least this share of the ten nearest, and the share; by bisection.
    pub fn ratio_for(&self, recall: f64) -> Outcome<Point> {
        let progress = Progress::new("estimate", 0);
        let (mut low, mut high, mut found, mut most) = (0, RATIOS.len(), None, 0.0f64);
        let rounds = u64::from(RATIOS.len().ilog2()) + 1;
        for round in 0.. {
            if low == high {
                break;
            }
            let middle = low.midpoint(high);
            match self.at(RATIOS[middle], &progress, (round, rounds)) {
                Ok(point) if point.recall >= recall => (low, found) = (middle + 1, Some(point)),
                Ok(point) => (high, most) = (middle, most.max(point.recall)),
                // So few vectors cannot reach the ratio.
                Err(failure) if failure.status == OMEN_INVALID_ARGUMENT => high = middle,
                Err(failure) => return Err(failure),
            }
        }
        found.ok_or_else(|| {
            let (recall, least) = (short(recall), RATIOS[0]);
            Failure::argument(format!(
                "--recall {recall}: {most:.4} is reached at ratio {least}; ask for less, or for a lower --ratio"
            ))
        })
    }

    fn recall(&self, store: &Store) -> Outcome<f64> {
        let k = K + usize::from(self.queries.own.is_some());
        let (mut ids, mut distances) = (vec![0; self.queries() * k], vec![0.0; self.queries() * k]);
        store.search(&self.queries.vectors, k, &SearchOptions::default(), &mut ids, &mut distances)?;
        let mut hits = 0;
        for (query, (ids, truth)) in ids.chunks_exact(k).zip(self.truth.chunks_exact(K)).enumerate() {
            let found = ids.iter().filter_map(|id| self.positions.get(*id as usize).copied());
            let own = self.queries.own.as_ref().map(|own| own[query]);
            let found: Vec<u64> = found.filter(|at| Some(*at) != own).take(K).collect();
            hits += count_hits(&found, truth, found.len(), K);
        }
        Ok(hits as f64 / self.truth.len() as f64)
    }
}

/// The positions of the nearest vectors of each query among all of the data, nearest first.
fn nearest(data: &Data, queries: &Queries, settings: &Settings, scratch: &ScratchDir) -> Outcome<Vec<Vec<u64>>> {
    let (dim, path) = (data.dim, scratch.path().join("chunk"));
    let mut source = (data.open)()?;
    let mut nearest: Vec<Vec<(f32, u64)>> = vec![Vec::new(); queries.vectors.len() / dim];
    let (mut chunk, mut read, mut at, progress) = (Vec::new(), Vec::new(), 0, Progress::new("neighbours", data.count));
    while at < data.count {
        chunk.clear();
        while chunk.len() * 4 < CHUNK_BYTES && at + ((chunk.len() / dim) as u64) < data.count {
            let first = at + (chunk.len() / dim) as u64;
            progress.at(first)?;
            let rows = source.batch();
            read_finite(source.as_mut(), first, rows, &mut read)?;
            chunk.extend_from_slice(&read);
        }
        let (store, rows) = (new_store(&path, dim, settings)?, chunk.len() / dim);
        store.insert(None, &chunk)?;
        let k = rows.min(NEIGHBOURS + 1);
        let (mut ids, mut distances) = (vec![0; nearest.len() * k], vec![0.0; nearest.len() * k]);
        let options = SearchOptions { is_exact: true, ..SearchOptions::default() };
        store.search(&queries.vectors, k, &options, &mut ids, &mut distances)?;
        let found = ids.chunks_exact(k).zip(distances.chunks_exact(k));
        for (query, (near, (ids, distances))) in nearest.iter_mut().zip(found).enumerate() {
            let own = queries.own.as_ref().map(|own| own[query]);
            let new = distances.iter().zip(ids).map(|(distance, id)| (*distance, at + id));
            near.extend(new.filter(|(_, position)| Some(*position) != own));
            near.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
            near.truncate(NEIGHBOURS);
        }
        store.close()?;
        fs::remove_dir_all(&path).map_err(Failure::io("rmdir", &path))?;
        at += rows as u64;
    }
    Ok(nearest.into_iter().map(|near| near.into_iter().map(|(_, position)| position).collect()).collect())
}

/// A new store at `path`, which need not survive a crash.
fn new_store(path: &Path, dim: usize, settings: &Settings) -> Outcome<Store> {
    let (metric, threads) = (Some(settings.metric), settings.threads);
    Ok(Store::open(path, dim as u32, &Options { metric, threads, sync: SyncMode::None, ..Options::default() })?)
}

/// The vectors of `source` at `positions`.
fn pick(source: &mut dyn Source, positions: &BTreeSet<u64>) -> Outcome<Vec<f32>> {
    let (mut vectors, mut next, mut row) = (Vec::new(), 0, Vec::new());
    let progress = Progress::new("sample", positions.len() as u64);
    for (number, at) in positions.iter().enumerate() {
        progress.at(number as u64)?;
        source.skip(at - next)?;
        read_finite(source, *at, 1, &mut row)?;
        vectors.extend_from_slice(&row);
        next = at + 1;
    }
    Ok(vectors)
}

/// Reads the next vectors, at most `rows`, the first of which is at position `at`. An error if one is not finite.
fn read_finite(source: &mut dyn Source, at: u64, rows: usize, vectors: &mut Vec<f32>) -> Outcome<()> {
    let read = source.read(rows, vectors)?;
    if read == 0 {
        return Err(Failure::file(source.name(), format!("ends after {at} of {} vectors", source.count())));
    }
    let Some(index) = kernels::first_not_finite(vectors) else { return Ok(()) };
    let (name, dim) = (source.name(), source.dim());
    let (place, value) = (source.place(at + (index / dim) as u64, index % dim), vectors[index]);
    let message = format!("{name}: {place}: found {value}, expected a finite number");
    Err(Failure { status: omen::ffi::constants::OMEN_NOT_FINITE, message })
}

/// A uniformly random set of `wanted` numbers below `count` (R. Floyd's algorithm).
fn choose(count: u64, wanted: u64, seed: u64) -> BTreeSet<u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chosen = BTreeSet::new();
    for last in count - wanted..count {
        let drawn = random.u64(..=last);
        chosen.insert(if chosen.contains(&drawn) { last } else { drawn });
    }
    chosen
}
