//! `omen search`: the nearest vectors of each query of a file, and recall if the true neighbours are given.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::files::{self, Integers, IntegersSink, Origin, ReadOptions, is_standard};
use crate::ids::read_ids;
use crate::progress::Progress;
use crate::store::{self, check_dim, open};
use clap::Args;
use omen::error::short;
use omen::format::NO_ID;
use omen::metric::Metric;
use omen::store::{Mode, SearchOptions, Store};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Find the nearest vectors of each query of a file
///
/// Prints the ids and distances. With --truth it prints recall instead, and with --out the ids go to a file. Fewer than k
/// neighbours are found where --allow, --deny and --max-distance leave fewer; --out has -1 in their places (.npy: the
/// largest u64).
#[derive(Args)]
pub struct Search {
    /// Directory of the store
    store: PathBuf,
    /// File of queries, in any format that import reads; or `-` for stdin
    queries: PathBuf,
    #[command(flatten)]
    reading: ReadOptions,
    /// Neighbours to find for each query
    #[arg(long, short, default_value_t = 10)]
    k: usize,
    /// Fail if the store has another metric
    #[arg(long, value_parser = store::metric())]
    metric: Option<Metric>,
    /// Find only vectors whose ids are in this file: .npy, .npz, .csv, .ivecs, .ibin; or `-` for stdin
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// Find no vectors whose ids are in this file, not even those of --allow
    #[arg(long, value_name = "FILE")]
    deny: Option<PathBuf>,
    /// Find only vectors at most this far from the query, by the metric of the store
    #[arg(long, value_name = "DISTANCE", allow_hyphen_values = true)]
    max_distance: Option<f64>,
    /// Share of the inverted lists to visit, up to 1: a larger share finds more and takes longer; 0: chosen for you
    #[arg(long, default_value_t = 0.0)]
    effort: f64,
    /// Decode and measure every vector: slow, for comparison
    #[arg(long)]
    exact: bool,
    /// File of the true neighbours of each query, nearest first: .ivecs, .ibin, .npy, .csv; prints recall
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Write the ids found to this file: .npy, .csv, .ivecs, .ibin; or `-` for stdout
    #[arg(long)]
    out: Option<PathBuf>,
    /// Threads to use; 0: one for each core
    #[arg(long, default_value_t = 0)]
    threads: u32,
}

/// The ids of --allow and --deny.
struct Filters {
    allow: Option<Vec<u64>>,
    deny: Option<Vec<u64>>,
}

/// The neighbours of a batch of queries.
struct Neighbours {
    ids: Vec<u64>,
    distances: Vec<f32>,
}

impl Search {
    pub fn run(self) -> Outcome<Answer> {
        let store = open(&self.store, Mode::ReadOnly, self.metric, self.threads)?;
        self.check(&store)?;
        let filters = self.filters()?;
        let mut queries = files::open_counted(&self.queries, &self.reading)?;
        files::tell_ignored(queries.as_ref());
        check_dim(queries.as_ref(), &store)?;
        let mut truth = self.truth.as_deref().map(|path| open_truth(path, queries.count(), self.k)).transpose()?;
        let mut out =
            self.out.as_deref().map(|path| IntegersSink::create(path, queries.count(), self.k)).transpose()?;
        let is_shown = truth.is_none() && out.is_none();
        let progress = Progress::new("search", queries.count());
        let (mut done, mut hits, mut wanted, mut searching) = (0, 0, 0, Duration::ZERO);
        let (mut text, mut neighbours, mut vectors) = (String::new(), Vec::new(), Vec::new());
        loop {
            progress.at(done)?;
            let rows = queries.read(queries.batch(), &mut vectors)?;
            if rows == 0 {
                break;
            }
            let begin = Instant::now();
            let found = self.find(&store, &vectors, rows, &filters)?;
            searching += begin.elapsed();
            if let Some(truth) = &mut truth {
                let neighbours = truth.read_neighbours(rows)?;
                if neighbours.len() != rows * truth.columns() {
                    let rows = done as usize + neighbours.len() / truth.columns();
                    let what = format!("found {rows} rows, expected {}, one for each query", queries.count());
                    return Err(Failure::file(truth.name(), what));
                }
                hits += count_hits(&found.ids, &neighbours, self.k, truth.columns());
                wanted += count_true(&neighbours, self.k, truth.columns());
            }
            if let Some(out) = &mut out {
                out.write(&found.ids)?;
            }
            if is_shown {
                show(&found, self.k, done, &mut text, &mut neighbours);
            }
            done += rows as u64;
        }
        out.map_or(Ok(()), IntegersSink::finish)?;
        let seconds = searching.as_secs_f64();
        let mut figures = json!({
            "queries": done,
            "k": self.k,
            "seconds": rounded(seconds),
            "queries_per_second": rounded(done as f64 / seconds),
        });
        if truth.is_some() {
            figures["recall"] = rounded(hits as f64 / wanted as f64);
        }
        text += &Answer::of_figures(figures.clone()).text;
        if is_shown {
            figures["neighbours"] = Value::Array(neighbours);
        }
        let is_on_stderr = self.out.as_deref().is_some_and(is_standard);
        Ok(Answer { is_on_stderr, ..Answer::new(text, figures) })
    }

    fn check(&self, store: &Store) -> Outcome<()> {
        if !(0.0..=1.0).contains(&self.effort) {
            return Err(Failure::argument(format!("--effort {}: expected 0 to 1", short(self.effort))));
        }
        if self.k == 0 || self.k as u64 > store.count() {
            let (found, count) = (self.k, store.count());
            return Err(Failure::argument(format!("--k {found}: expected 1 to {count}, the vectors in the store")));
        }
        Ok(())
    }

    fn filters(&self) -> Outcome<Filters> {
        let from_stdin = [&self.allow, &self.deny, &self.truth].into_iter().flatten().chain([&self.queries]);
        if from_stdin.filter(|path| is_standard(path)).count() > 1 {
            return Err(Failure::argument("-: stdin can be only one of the files"));
        }
        let read = |path: &Option<PathBuf>| path.as_deref().map(read_ids).transpose();
        Ok(Filters { allow: read(&self.allow)?, deny: read(&self.deny)? })
    }

    fn find(&self, store: &Store, queries: &[f32], rows: usize, filters: &Filters) -> Outcome<Neighbours> {
        let mut found = Neighbours { ids: vec![NO_ID; rows * self.k], distances: vec![0.0; rows * self.k] };
        let (is_exact, effort, threads) = (self.exact, self.effort, self.threads);
        let (allow_ids, deny_ids) = (filters.allow.as_deref(), filters.deny.as_deref());
        let max_distance = self.max_distance.unwrap_or(f64::INFINITY);
        let options =
            SearchOptions { allow_ids, deny_ids, max_distance, is_exact, effort, threads, ..SearchOptions::default() };
        store.search(queries, self.k, &options, &mut found.ids, &mut found.distances)?;
        Ok(found)
    }
}

fn open_truth(path: &std::path::Path, queries: u64, k: usize) -> Outcome<Integers> {
    let truth = Integers::open(&Origin::new(path))?;
    let rows = truth.rows().unwrap_or(queries);
    if rows != queries || truth.columns() < k {
        let found = format!("found {rows} rows of {} ids", truth.columns());
        return Err(Failure::file(truth.name(), format!("{found}, expected {queries} rows of at least {k}")));
    }
    Ok(truth)
}

/// Counts the ids of `ids: [n][k]` that are among the first `k` of the same row of `truth: [n][columns]`.
pub fn count_hits(ids: &[u64], truth: &[u64], k: usize, columns: usize) -> usize {
    let rows = ids.chunks_exact(k).zip(truth.chunks_exact(columns));
    let is_hit = |id: &&u64, truth: &[u64]| **id != NO_ID && truth[..k].contains(id);
    rows.map(|(found, truth)| found.iter().filter(|id| is_hit(id, truth)).count()).sum()
}

/// Counts the neighbours among the first `k` of each row of `truth: [n][columns]`.
fn count_true(truth: &[u64], k: usize, columns: usize) -> usize {
    truth.chunks_exact(columns).map(|row| row[..k].iter().filter(|id| **id != NO_ID).count()).sum()
}

/// Appends the neighbours of a batch to `text` and `neighbours`. The first query of the batch has number `first`.
fn show(found: &Neighbours, k: usize, first: u64, text: &mut String, neighbours: &mut Vec<Value>) {
    let rows = found.ids.chunks_exact(k).zip(found.distances.chunks_exact(k));
    for (number, (ids, distances)) in rows.enumerate() {
        let count = ids.iter().take_while(|id| **id != NO_ID).count();
        let (ids, distances) = (&ids[..count], &distances[..count]);
        let pairs: Vec<String> = ids.iter().zip(distances).map(|(id, distance)| format!("{id} ({distance})")).collect();
        text.push_str(&format!("query {}: {}\n", first + number as u64, pairs.join(", ")));
        neighbours.push(json!({ "ids": ids, "distances": distances }));
    }
}
