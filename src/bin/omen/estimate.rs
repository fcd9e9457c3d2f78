//! `omen estimate`: what ratios would cost and keep, measured on a sample of the user's own vectors.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::files::{self, Format, Source};
use crate::plot;
use crate::progress::Progress;
use crate::scratch::Scratch;
use crate::search::count_hits;
use crate::store;
use clap::Args;
use omen::kernels;
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

const K: usize = 10;
const QUERIES: u64 = 200;
/// Fewer vectors have no ten neighbours worth the name.
const VECTORS_MIN: u64 = 100;
const SAMPLE_MIN: u64 = 50;

/// Measure error and recall@10 of ratios on a sample of a file
///
/// Each ratio compresses the sample in a store of its own; queries are vectors of the file that are not among it, their
/// true neighbours those in the sample. Codes are as long as those of the whole file would be, and bytes are what it would
/// take at most. Recall is that among the sample; in a larger file neighbours lie closer together, and it is lower.
#[derive(Args)]
pub struct Estimate {
    /// File of vectors, in any format that import reads
    data: PathBuf,
    /// Format of the file, if its name does not say it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Column of a parquet file
    #[arg(long)]
    column: Option<String>,
    /// Ratios to measure
    #[arg(long, value_delimiter = ',', default_value = "4,8,16,32,64")]
    ratios: Vec<f64>,
    /// Vectors to sample
    #[arg(long, default_value_t = 50_000)]
    sample: u64,
    /// Same file, same seed: same sample
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Distance of searches
    #[arg(long, value_parser = store::metric(), default_value = "l2")]
    metric: Metric,
    /// Draw error and recall against ratio into this .png
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Directory for the stores measured; without, that of temporary files
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Vectors of the file, and others to ask with.
struct Sample {
    dim: usize,
    vectors: Vec<f32>,
    queries: Vec<f32>,
}

/// What one ratio keeps.
pub struct Point {
    pub ratio: f64,
    /// Of the whole file.
    pub bytes: u64,
    pub relative_mse: f64,
    pub recall: f64,
}

impl Estimate {
    pub fn run(self) -> Outcome<Answer> {
        if let Some(ratio) = self.ratios.iter().find(|ratio| !ratio.is_finite() || **ratio < 1.0) {
            return Err(Failure::argument(format!("--ratios: found {ratio}, expected numbers of at least 1")));
        }
        let mut source = files::open(&self.data, self.format, self.column.as_deref())?;
        let (count, dim) = (source.count(), source.dim());
        let sample = draw(source.as_mut(), self.sample, self.seed)?;
        let scratch = Scratch::new(&self.scratch.clone().unwrap_or_else(std::env::temp_dir))?;
        let progress = Progress::new("estimate", 0);
        let mut truth = Vec::new();
        let mut points: Vec<Point> = Vec::new();
        for (number, ratio) in self.ratios.iter().enumerate() {
            let store = filled(&sample, self.metric, &scratch.path().join(number.to_string()))?;
            if truth.is_empty() {
                truth = nearest(&store, &sample, true)?;
            }
            let (at, all) = (number as u64, self.ratios.len() as u64);
            let mut on_progress = |done, total| progress.is_stopped(at * total + done, all * total);
            let options = CompressOptions { ratio: *ratio, seed: self.seed, sample_of: count, ..Default::default() };
            let report = store.compress(&options, &mut Work::new(0, Some(&mut on_progress)))?;
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

/// Draws vectors and queries from the file, the same each time.
fn draw(source: &mut dyn Source, sample: u64, seed: u64) -> Outcome<Sample> {
    let (count, dim) = (source.count(), source.dim());
    if count < VECTORS_MIN {
        let name = source.name();
        return Err(Failure::argument(format!("{name}: found {count} vectors, expected at least {VECTORS_MIN}")));
    }
    let queries = QUERIES.min(count / 10);
    let wanted = sample.max(SAMPLE_MIN).min(count - queries) + queries;
    let chosen = choose(count, wanted, seed);
    // Queries are spread over the file as the vectors are.
    let every = wanted / queries;
    let mut drawn = Sample { dim, vectors: Vec::new(), queries: Vec::new() };
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

/// `wanted` numbers below `count`, ascending, each set of them as likely as any other (R. Floyd).
fn choose(count: u64, wanted: u64, seed: u64) -> BTreeSet<u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chosen = BTreeSet::new();
    for last in count - wanted..count {
        let drawn = random.u64(..=last);
        chosen.insert(if chosen.contains(&drawn) { last } else { drawn });
    }
    chosen
}

fn filled(sample: &Sample, metric: Metric, path: &std::path::Path) -> Outcome<Store> {
    let options = Options { metric: Some(metric), ..Options::default() };
    let store = Store::open(path, sample.dim as u32, &options)?;
    store.insert(None, &sample.vectors)?;
    Ok(store)
}

/// The ten nearest of each query.
fn nearest(store: &Store, sample: &Sample, is_exact: bool) -> Outcome<Vec<u64>> {
    let count = sample.queries.len() / sample.dim * K;
    let (mut ids, mut distances) = (vec![0; count], vec![0.0; count]);
    let options = SearchOptions { is_exact, ..SearchOptions::default() };
    store.search(&sample.queries, K, &options, &mut ids, &mut distances)?;
    Ok(ids)
}

/// What the picture is of.
fn title(source: &dyn Source) -> String {
    let (count, dim) = (source.count(), source.dim());
    let file = std::path::Path::new(source.name()).file_name().unwrap_or_default().to_string_lossy();
    format!("{file}: {count} vectors of {dim} floats, {} raw", plot::size(count * dim as u64 * 4))
}

fn answer(source: &dyn Source, sample: &Sample, points: &[Point]) -> Answer {
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
