//! `omen estimate`: error, recall and bytes that a compress would have at several ratios.

use crate::answer::{Answer, duration, rounded};
use crate::failure::{Failure, Outcome};
use crate::files::{self, ReadOptions, Source};
use crate::forecast::{Data, Forecast, Settings};
use crate::plot::{self, Caption, Point};
use crate::progress::Progress;
use crate::scratch::ScratchDir;
use crate::store;
use crate::stored::Stored;
use clap::Args;
use omen::codec::Quality;
use omen::error::short;
use omen::ffi::constants::OMEN_INVALID_ARGUMENT;
use omen::metric::Metric;
use omen::store::Mode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Foretell error and recall@10 of a compress at several ratios
///
/// Trains on as many vectors of DATA as compress would, once for each ratio, and codes others of them and the
/// neighbours of the queries. Recall is that among all vectors of DATA, all of which are read. Bytes are an upper bound.
/// The time it will take is printed first.
#[derive(Args)]
pub struct Estimate {
    /// A store, or a file of vectors in any format that import reads
    data: PathBuf,
    #[command(flatten)]
    reading: ReadOptions,
    /// Ratios to measure; those that so few vectors cannot reach are left out
    #[arg(long, value_delimiter = ',', default_value = "4,8,16,32,64")]
    ratios: Vec<f64>,
    /// Vectors to sample; more are drawn if compress trains on more, and never more than there are
    #[arg(long, default_value_t = 30_000)]
    sample: u64,
    /// File of queries, in any format that import reads; by default, 1000 of the vectors are the queries
    #[arg(long)]
    queries: Option<PathBuf>,
    /// The same data and seed give the same sample
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Distance metric of the searches [default: that of the store, l2 for a file]
    #[arg(long, value_parser = store::metric())]
    metric: Option<Metric>,
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

impl Estimate {
    pub fn run(self) -> Outcome<Answer> {
        if let Some(ratio) = self.ratios.iter().find(|ratio| !ratio.is_finite() || **ratio < 1.0) {
            return Err(Failure::argument(format!("--ratios {}: expected numbers of at least 1", short(*ratio))));
        }
        let begin = Instant::now();
        let metric = self.metric()?;
        let open = || self.open();
        let data = Data::new(&open)?;
        let mut queries =
            self.queries.as_deref().map(|path| files::open_counted(path, &ReadOptions::default())).transpose()?;
        if let Some(queries) = queries.as_deref().filter(|queries| queries.dim() != data.dim) {
            let (name, found) = (queries.name(), queries.dim());
            return Err(Failure::argument(format!("{name}: dim: the data has {}, the queries have {found}", data.dim)));
        }
        let (sample, seed, threads, quality) = (self.sample, self.seed, self.threads, Quality::Normal);
        let settings = Settings { sample, seed, metric, quality, threads };
        eprintln!("omen: estimate takes about {}", duration(settings.seconds(&data, &self.ratios)));
        let scratch = ScratchDir::new(&self.scratch.clone().unwrap_or_else(std::env::temp_dir))?;
        let forecast = Forecast::new(&data, queries.as_deref_mut().map(|queries| queries as _), settings, &scratch)?;
        let (points, unreached) = self.measure(&forecast)?;
        let caption = Caption {
            data: Path::new(&data.name).file_name().unwrap_or_default().to_string_lossy().into_owned(),
            count: data.count,
            dim: data.dim,
            sampled: forecast.sampled() as u64,
            queries: forecast.queries() as u64,
            seconds: begin.elapsed().as_secs_f64(),
        };
        if let Some(path) = &self.plot {
            plot::draw(path, &caption, &points)?;
        }
        Ok(self.answer(&caption, &points, &unreached))
    }

    /// The points, and for each ratio that cannot be reached the reason.
    fn measure(&self, forecast: &Forecast) -> Outcome<(Vec<Point>, Vec<String>)> {
        let progress = Progress::new("estimate", 0);
        let (mut points, mut unreached, all) = (Vec::new(), Vec::new(), self.ratios.len() as u64);
        for (at, ratio) in self.ratios.iter().enumerate() {
            match forecast.at(*ratio, &progress, (at as u64, all)) {
                Ok(point) => points.push(point),
                Err(failure) if failure.status == OMEN_INVALID_ARGUMENT => unreached.push(failure.message),
                Err(failure) => return Err(failure),
            }
        }
        if points.is_empty() { Err(Failure::argument(unreached.join("; "))) } else { Ok((points, unreached)) }
    }

    fn metric(&self) -> Outcome<Metric> {
        if self.data.is_dir() {
            return Ok(store::open(&self.data, Mode::ReadOnly, self.metric, 0)?.stats()?.metric);
        }
        Ok(self.metric.unwrap_or(Metric::L2))
    }

    fn open(&self) -> Outcome<Box<dyn Source>> {
        if self.data.is_dir() {
            return open_store(&self.data);
        }
        files::open_counted(&self.data, &self.reading)
    }

    fn answer(&self, caption: &Caption, points: &[Point], unreached: &[String]) -> Answer {
        let Caption { count, dim, sampled, queries, seconds, .. } = *caption;
        let raw_bytes = count * dim as u64 * 4;
        let took = duration(seconds);
        let mut text = format!(
            "{count} vectors of {dim} floats, {raw_bytes} bytes; sampled {sampled}, {queries} queries, took {took}\n\n"
        );
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
        text.extend(unreached.iter().map(|reason| format!("{reason}\n")));
        let mut json = json!({
            "vectors": count,
            "dim": dim,
            "raw_bytes": raw_bytes,
            "sampled": sampled,
            "queries": queries,
            "seconds": rounded(seconds),
            "points": measured,
        });
        if let Some(plot) = &self.plot {
            text += &format!("\nplot: {}\n", plot.display());
            json["plot"] = plot.display().to_string().into();
        }
        Answer::new(text, json)
    }
}

/// A store as a source of vectors.
pub fn open_store(path: &Path) -> Outcome<Box<dyn Source>> {
    Ok(Box::new(Stored::new(store::open_to_read(path)?, path)))
}
