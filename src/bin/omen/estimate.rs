//! `omen estimate`: error, recall and bytes at several ratios, measured on a sample of your vectors.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::files::{self, ReadOptions, Source};
use crate::plot::{self, Point};
use crate::progress::Progress;
use crate::scratch::ScratchDir;
use crate::search::count_hits;
use crate::store;
use clap::Args;
use omen::error::short;
use omen::kernels;
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

const K: usize = 10;
const QUERIES: u64 = 200;
/// With fewer vectors, recall of the ten nearest means nothing.
const VECTORS_MIN: u64 = 100;
const SAMPLE_MIN: u64 = 50;

/// Measure error and recall@10 at several ratios on a sample of a file
///
/// Compresses the sample once for each ratio. The queries are other vectors of the file, and their true neighbours are
/// those in the sample. Codes are as long as those of the whole file would be; bytes are an upper bound for the whole
/// file. Expect less recall in the whole file, where neighbours are closer together.
#[derive(Args)]
pub struct Estimate {
    /// File of vectors, in any format that import reads
    data: PathBuf,
    #[command(flatten)]
    reading: ReadOptions,
    /// Ratios to measure
    #[arg(long, value_delimiter = ',', default_value = "4,8,16,32,64")]
    ratios: Vec<f64>,
    /// Vectors to sample
    #[arg(long, default_value_t = 50_000)]
    sample: u64,
    /// The same file and seed give the same sample
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Distance metric of the searches
    #[arg(long, value_parser = store::metric(), default_value = "l2")]
    metric: Metric,
    /// Draw error and recall against ratio to this .png
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Directory for the temporary stores; by default the system's directory for temporary files
    #[arg(long)]
    scratch: Option<PathBuf>,
    /// Threads to use; 0: one for each core
    #[arg(long, default_value_t = 0)]
    threads: u32,
}

/// Vectors drawn from a file to compress, and others to use as queries.
struct VectorSample {
    dim: usize,
    vectors: Vec<f32>,
    queries: Vec<f32>,
}

impl Estimate {
    pub fn run(self) -> Outcome<Answer> {
        if let Some(ratio) = self.ratios.iter().find(|ratio| !ratio.is_finite() || **ratio < 1.0) {
            return Err(Failure::argument(format!("--ratios {}: expected numbers of at least 1", short(*ratio))));
        }
        let mut source = files::open_counted(&self.data, &self.reading)?;
        let (count, dim) = (source.count(), source.dim());
        let sample = draw(source.as_mut(), self.sample, self.seed)?;
        let scratch = ScratchDir::new(&self.scratch.clone().unwrap_or_else(std::env::temp_dir))?;
        let progress = Progress::new("estimate", 0);
        let mut truth = Vec::new();
        let mut points: Vec<Point> = Vec::new();
        for (number, ratio) in self.ratios.iter().enumerate() {
            let store = create_store(&sample, self.metric, self.threads, &scratch.path().join(number.to_string()))?;
            if truth.is_empty() {
                truth = nearest(&store, &sample, true)?;
            }
            let (at, all) = (number as u64, self.ratios.len() as u64);
            let mut on_progress = |done, total| progress.is_stopped(at * total + done, all * total);
            let options = CompressOptions { ratio: *ratio, seed: self.seed, sample_of: count, ..Default::default() };
            let report = store.compress(&options, &mut Work::new(self.threads, Some(&mut on_progress)))?;
            let found = nearest(&store, &sample, false)?;
            let recall = count_hits(&found, &truth, K, K) as f64 / found.len() as f64;
            let bytes = (count as f64 * dim as f64 * 4.0 / ratio) as u64;
            points.push(Point { ratio: *ratio, bytes, relative_mse: report.relative_mse, recall });
        }
        drop(progress);
        if let Some(path) = &self.plot {
            plot::draw(path, &title(source.as_ref()), &points)?;
        }
        Ok(answer(source.as_ref(), &sample, &points))
    }
}

/// Draws vectors and queries from the file. The same seed draws the same ones.
fn draw(source: &mut dyn Source, sample: u64, seed: u64) -> Outcome<VectorSample> {
    let (count, dim) = (source.count(), source.dim());
    if count < VECTORS_MIN {
        let name = source.name();
        return Err(Failure::argument(format!("{name}: found {count} vectors, expected at least {VECTORS_MIN}")));
    }
    let queries = QUERIES.min(count / 10);
    let wanted = sample.max(SAMPLE_MIN).min(count - queries) + queries;
    let chosen = choose(count, wanted, seed);
    // Queries are spread evenly over the vectors drawn.
    let every = wanted / queries;
    let mut drawn = VectorSample { dim, vectors: Vec::new(), queries: Vec::new() };
    let (mut next, mut row) = (0, Vec::new());
    let progress = Progress::new("sample", wanted);
    for (number, at) in chosen.into_iter().enumerate() {
        progress.at(number as u64)?;
        source.skip(at - next)?;
        source.read(1, &mut row)?;
        next = at + 1;
        if let Some(column) = kernels::first_not_finite(&row) {
            let (name, place, value) = (source.name(), source.place(at, column), row[column]);
            let message = format!("{name}: {place}: found {value}, expected a finite number");
            return Err(Failure { status: omen::ffi::constants::OMEN_NOT_FINITE, message });
        }
        let is_query = number as u64 % every == every - 1 && drawn.queries.len() < queries as usize * dim;
        if is_query { drawn.queries.extend(&row) } else { drawn.vectors.extend(&row) }
    }
    Ok(drawn)
}

/// A uniformly random set of `wanted` numbers below `count`, ascending (R. Floyd's algorithm).
fn choose(count: u64, wanted: u64, seed: u64) -> BTreeSet<u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chosen = BTreeSet::new();
    for last in count - wanted..count {
        let drawn = random.u64(..=last);
        chosen.insert(if chosen.contains(&drawn) { last } else { drawn });
    }
    chosen
}

/// A new store at `path` that holds the vectors of `sample`.
fn create_store(sample: &VectorSample, metric: Metric, threads: u32, path: &std::path::Path) -> Outcome<Store> {
    let options = Options { metric: Some(metric), threads, ..Options::default() };
    let store = Store::open(path, sample.dim as u32, &options)?;
    store.insert(None, &sample.vectors)?;
    Ok(store)
}

/// The ids of the ten nearest vectors of each query.
fn nearest(store: &Store, sample: &VectorSample, is_exact: bool) -> Outcome<Vec<u64>> {
    let count = sample.queries.len() / sample.dim * K;
    let (mut ids, mut distances) = (vec![0; count], vec![0.0; count]);
    let options = SearchOptions { is_exact, ..SearchOptions::default() };
    store.search(&sample.queries, K, &options, &mut ids, &mut distances)?;
    Ok(ids)
}

/// The title of the plot.
fn title(source: &dyn Source) -> String {
    let (count, dim) = (source.count(), source.dim());
    let file = std::path::Path::new(source.name()).file_name().unwrap_or_default().to_string_lossy();
    format!("{file}: {count} vectors of {dim} floats, {} raw", plot::size(count * dim as u64 * 4))
}

fn answer(source: &dyn Source, sample: &VectorSample, points: &[Point]) -> Answer {
    let (count, dim) = (source.count(), source.dim());
    let raw_bytes = count * dim as u64 * 4;
    let (vectors, queries) = (sample.vectors.len() / dim, sample.queries.len() / dim);
    let mut text =
        format!("{count} vectors of {dim} floats, {raw_bytes} bytes; sampled {vectors}, {queries} queries\n\n");
    text += &format!(
        "{:>8} {:>16} {:>16} {:>14} {:>10}\n",
        "ratio", "bytes a vector", "bytes", "relative MSE", "recall@10"
    );
    let mut measured: Vec<Value> = Vec::new();
    for point in points {
        let Point { ratio, bytes, relative_mse, recall } = *point;
        let bytes_a_vector = dim as f64 * 4.0 / ratio;
        text += &format!("{ratio:>8} {bytes_a_vector:>16.2} {bytes:>16} {relative_mse:>14.6} {recall:>10.4}\n");
        measured.push(json!({
            "ratio": ratio,
            "bytes_a_vector": rounded(bytes_a_vector),
            "bytes": bytes,
            "relative_mse": rounded(relative_mse),
            "recall_at_10": rounded(recall),
        }));
    }
    let json = json!({
        "vectors": count,
        "dim": dim,
        "raw_bytes": raw_bytes,
        "sampled": vectors,
        "queries": queries,
        "points": measured,
    });
    Answer::new(text, json)
}
