//! The time of a search in a messy set beside that in the clean one: the same number of rows, dims and queries, one
//! thread, medians of rounds in which both take turns. The bar is twice the time. Rows that are all equal are all
//! candidates, which no other search is like: such a search is beside an exact one of the same set.
//!
//! Run `cargo bench --bench messy`; `OMEN_MESSY_ONLY=TEXT,TEXT` takes only the lines with one of the texts in their name,
//! which is that of the set, the metric, n and the ratio: `lengths_0.5/sift/l2/9000/8`. Fails if a set is above the
//! bar. What is found is checked by `tests/messy/main.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark that cannot start stops")]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/messy/bases.rs"]
mod bases;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/messy/generators.rs"]
mod generators;
#[path = "../../tests/random/mod.rs"]
mod random;

use bases::{Base, CLUSTERS, SIFT};
use generators::{Data, FAR, Generator, Kind, STRANGE, Sampling};
use omen::codec::Quality;
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use std::time::Instant;

const BAR: f64 = 2.0;
const ROUNDS: usize = 7;
const QUERIES: usize = 200;
const K: usize = 10;
const RATIOS: [f64; 4] = [2.0, 4.0, 8.0, 16.0];

/// A store and the queries that are timed.
struct Timed {
    _home: tempfile::TempDir,
    store: Store,
    queries: Vec<f32>,
}

impl Timed {
    fn new(data: &Data, metric: Metric, ratio: f64) -> Timed {
        let home = tempfile::tempdir().unwrap();
        let options = Options { metric: Some(metric), threads: 1, ..Options::default() };
        let store = Store::open(&home.path().join("store"), data.dim as u32, &options).unwrap();
        store.insert(None, &data.rows).unwrap();
        let options = CompressOptions { ratio, quality: Quality::Fast, ..CompressOptions::default() };
        store.compress(&options, &mut Work::default()).unwrap();
        let queries = data.queries[..QUERIES * data.dim].to_vec();
        Timed { _home: home, store, queries }
    }

    /// Microseconds a query, all in one call.
    fn time(&self, is_exact: bool) -> f64 {
        let (mut ids, mut distances) = (vec![0; QUERIES * K], vec![0.0; QUERIES * K]);
        let begin = Instant::now();
        let options = SearchOptions { is_exact, ..SearchOptions::default() };
        self.store.search(&self.queries, K, &options, &mut ids, &mut distances).unwrap();
        begin.elapsed().as_secs_f64() * 1e6 / QUERIES as f64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Times two kinds of searches in turns: microseconds a query of both, and the median of their ratios.
fn compare(usual: impl Fn() -> f64, other: impl Fn() -> f64) -> (f64, f64, f64) {
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (usual(), other())).collect();
    let (times, others) = rounds.iter().copied().unzip();
    (median(times), median(others), median(rounds.iter().map(|(usual, other)| other / usual).collect()))
}

/// Prints a line for each kind of set; returns how many are above the bar.
fn run(base: &'static Base, n: usize, metric: Metric, ratio: f64, only: &str) -> usize {
    let data = |kind| Data::new(base, &Generator { kind, sampling: Sampling::All }, n, QUERIES, 1);
    let name =
        |kind| format!("{}/{}/{metric}/{n}/{ratio}", Generator { kind, sampling: Sampling::All }.name(), base.name);
    let is_wanted = |kind: &Kind| only.split(',').any(|text| name(*kind).contains(text));
    let kinds = FAR.iter().chain(&STRANGE).copied().filter(is_wanted);
    let kinds: Vec<Kind> = kinds.filter(|kind| *kind != Kind::PlusFive || base.is_unit).collect();
    if kinds.is_empty() {
        return 0;
    }
    let clean = Timed::new(&data(Kind::Clean), metric, ratio);
    let mut above = 0;
    for kind in kinds {
        let messy = Timed::new(&data(kind), metric, ratio);
        let (is_equal, time) = (kind == Kind::AllEqual, || messy.time(false));
        let (usual, messy, times) =
            if is_equal { compare(|| messy.time(true), time) } else { compare(|| clean.time(false), time) };
        let (beside, verdict) = (if is_equal { "exact" } else { "clean" }, if times > BAR { "ABOVE" } else { "" });
        let line = format!("{usual:8.1} us {beside} {messy:8.1} us messy {times:6.2} x {verdict}");
        println!("{:44} {line}", name(kind));
        above += usize::from(times > BAR);
    }
    above
}

fn main() {
    let only = std::env::var("OMEN_MESSY_ONLY").unwrap_or_default();
    let mut above = 0;
    for (base, n) in [(&SIFT, 9000), (&CLUSTERS, 20_000)] {
        for metric in Metric::ALL {
            for ratio in RATIOS {
                above += run(base, n, metric, ratio, &only);
            }
        }
    }
    println!("{above} sets are above {BAR} times the time of the clean set");
    std::process::exit(i32::from(above > 0));
}
