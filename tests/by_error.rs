//! Compress without a ratio: the codes are as short as the largest error allows, on rows that were not trained on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use omen::error::Error;
use omen::metric::Metric;
use omen::store::{CompressOptions, CompressReport, Limit, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use tempfile::TempDir;

const DIM: usize = 128;
const K: usize = 10;

/// Real SIFT vectors: `count` rows from `first` on.
fn sift(file: &str, first: usize, count: usize) -> Vec<f32> {
    let path = format!("{}/tests/data/sift10k/{file}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let rows = bytes.chunks_exact(4 + DIM).skip(first).take(count);
    rows.flat_map(|row| row[4..].iter().map(|byte| f32::from(*byte))).collect()
}

fn noise(count: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(7);
    (0..count * dim).map(|_| random.normal()).collect()
}

fn store_of(rows: &[f32], dim: usize, metric: Metric) -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let options = Options { metric: Some(metric), ..Options::default() };
    let store = Store::open(&home.path().join("store"), dim as u32, &options).unwrap();
    store.insert(None, rows).unwrap();
    (home, store)
}

fn compress(store: &Store, options: CompressOptions) -> Result<CompressReport, Error> {
    store.compress(&options, &mut Work::default())
}

fn by_error(max_relative_mse: f64) -> CompressOptions {
    CompressOptions { max_relative_mse, ..CompressOptions::default() }
}

fn found(store: &Store, queries: &[f32]) -> Vec<u64> {
    let count = queries.len() / DIM * K;
    let (mut ids, mut distances) = (vec![0; count], vec![0.0; count]);
    store.search(queries, K, &SearchOptions::default(), &mut ids, &mut distances).unwrap();
    ids
}

#[test]
fn a_small_store_is_not_ruined_by_default() {
    let queries = sift("query.bvecs", 0, 200);
    for (rows, metric) in [(100, Metric::L2), (300, Metric::L2), (700, Metric::L2), (600, Metric::Cosine)] {
        let base = sift("base.bvecs", 0, rows);
        let (_home, store) = store_of(&base, DIM, metric);
        let truth = found(&store, &queries);
        let report = compress(&store, CompressOptions::default()).unwrap();
        let codes = found(&store, &queries);
        let hits = codes
            .chunks(K)
            .zip(truth.chunks(K))
            .map(|(codes, truth)| truth.iter().filter(|id| codes.contains(id)).count());
        let recall = hits.sum::<usize>() as f64 / truth.len() as f64;
        assert!(recall >= 0.75, "{rows} rows, {metric:?}: recall {recall}, {report:?}");
        assert!(report.held_out_relative_mse <= 0.1 && report.relative_mse <= 0.1, "{report:?}");
        assert!((1.0..16.0).contains(&report.ratio), "{report:?}");
        // With up to 300 rows even the shortest codes have no more error.
        assert_eq!(report.limit == Limit::Error, rows > 300, "{report:?}");
    }
}

#[test]
fn the_error_asked_for_is_kept_and_is_no_smaller_than_needed() {
    let base = sift("base.bvecs", 0, 2000);
    let mut ratio = f64::INFINITY;
    for most in [0.03, 0.01, 0.001] {
        let (_home, store) = store_of(&base, DIM, Metric::L2);
        let report = compress(&store, by_error(most)).unwrap();
        let held_out = report.held_out_relative_mse;
        assert!(held_out <= most && held_out > most / 2.0, "{most}: {report:?}");
        assert_eq!(report.limit, Limit::Error);
        assert!(report.ratio < ratio && report.relative_mse <= most, "{most}: {report:?}");
        ratio = report.ratio;
    }
}

#[test]
fn sixteen_is_the_most_where_the_error_allows_it() {
    let base = sift("base.bvecs", 0, 8000);
    let (_home, store) = store_of(&base, DIM, Metric::L2);
    let report = compress(&store, CompressOptions { sample: 2000, ..by_error(0.5) }).unwrap();
    assert_eq!(report.limit, Limit::Ratio);
    assert!(report.ratio >= 16.0 && report.ratio < 17.5, "{report:?}");
}

#[test]
fn a_ratio_is_honoured_whatever_the_error() {
    let base = sift("base.bvecs", 0, 1000);
    let (_home, store) = store_of(&base, DIM, Metric::L2);
    let report = compress(&store, CompressOptions { ratio: 20.0, ..CompressOptions::default() }).unwrap();
    assert!(report.ratio >= 20.0 && report.relative_mse > 0.1, "{report:?}");
    assert!(
        report.limit == Limit::Ratio && report.held_out_relative_mse.is_nan(),
        "every row was trained on: {report:?}"
    );
    // Other rows than those trained on tell the error.
    let (_home, store) = store_of(&base, DIM, Metric::L2);
    let options = CompressOptions { ratio: 8.0, sample: 500, ..CompressOptions::default() };
    let report = compress(&store, options).unwrap();
    assert!(report.held_out_relative_mse > report.relative_mse, "{report:?}");
}

#[test]
fn errors_out_of_range_and_two_limits_are_refused() {
    let (_home, store) = store_of(&sift("base.bvecs", 0, 100), DIM, Metric::L2);
    let refused = |options: CompressOptions| match compress(&store, options) {
        Err(Error::InvalidArgument(message)) => message,
        other => panic!("{other:?}"),
    };
    for most in [f64::NAN, -0.1, -f64::INFINITY, 1.0, 7.0, f64::INFINITY] {
        let message = refused(by_error(most));
        let expected = "expected a number above 0 and below 1, or 0 for the default";
        assert!(message.starts_with("max_relative_mse ") && message.ends_with(expected), "{message}");
    }
    let both = refused(CompressOptions { ratio: 8.0, ..by_error(0.1) });
    assert_eq!(both, "ratio 8 and max_relative_mse 0.1: only one of the two can be met; give one");
    assert_eq!(store.stats().unwrap().compressed_vectors, 0);
}

#[test]
fn an_error_out_of_reach_names_the_one_that_is_reached() {
    let rows = noise(2000, 16);
    let (_home, store) = store_of(&rows, 16, Metric::L2);
    let message = compress(&store, by_error(1e-300)).unwrap_err().to_string();
    assert!(message.contains("max_relative_mse 1e-300: 2000 vectors of dim 16 can reach "), "{message}");
    assert_eq!(store.stats().unwrap().compressed_vectors, 0, "nothing changed");
    let named = message.split("can reach ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let reachable: f64 = named.parse().unwrap();
    assert!(reachable < 1e-6, "{message}");
    let report = compress(&store, by_error(reachable * 1.01)).unwrap();
    assert!(report.held_out_relative_mse <= reachable * 1.01 && report.ratio >= 1.0, "{report:?}");
}

#[test]
fn twenty_vectors_are_compressed_if_their_files_get_smaller_and_else_refused() {
    let (_home, store) = store_of(&noise(20, 1024), 1024, Metric::L2);
    let report = compress(&store, CompressOptions::default()).unwrap();
    assert!(report.ratio >= 1.0 && report.held_out_relative_mse <= 0.1, "{report:?}");
    let (_home, store) = store_of(&noise(20, 4), 4, Metric::L2);
    let message = compress(&store, CompressOptions::default()).unwrap_err().to_string();
    assert!(message.contains("20 vectors of dim 4 are 320 bytes; the store is too small to compress"), "{message}");
    assert!(!message.contains("ratio"), "no ratio was asked for: {message}");
}

#[test]
fn codes_are_never_coded_again() {
    let (first, more) = (sift("base.bvecs", 0, 3000), sift("base.bvecs", 3000, 1000));
    let (_home, store) = store_of(&first, DIM, Metric::L2);
    let read = |rows: usize| {
        let mut out = vec![0.0; rows * DIM];
        store.get(&(0..rows as u64).collect::<Vec<_>>(), &mut out, None).unwrap();
        out
    };
    // Codes of a lower ratio than the default would choose.
    compress(&store, CompressOptions { ratio: 5.0, ..CompressOptions::default() }).unwrap();
    let codes = read(3000);
    store.insert(None, &more).unwrap();
    let report = compress(&store, CompressOptions::default()).unwrap();
    assert!(read(3000) == codes && report.vectors == 4000);
    assert_eq!((store.stats().unwrap().segments, report.limit), (1, Limit::Error), "the new rows joined: {report:?}");
    assert!(report.held_out_relative_mse < 0.1, "{report:?}");
    // Nothing is new.
    let codes = read(4000);
    assert!(compress(&store, CompressOptions::default()).unwrap().held_out_relative_mse.is_nan());
    assert!(read(4000) == codes);
    // Rows that the codebook does not suit get one of their own.
    let strange: Vec<f32> = noise(3000, DIM).iter().map(|value| 1000.0 * value).collect();
    store.insert(None, &strange).unwrap();
    let report = compress(&store, by_error(0.2)).unwrap();
    assert!(read(4000) == codes && store.stats().unwrap().segments == 2, "{report:?}");
    assert!(report.held_out_relative_mse <= 0.2, "{report:?}");
    store.verify(&mut Work::default()).unwrap();
}

#[test]
fn progress_never_decreases_and_any_of_its_calls_can_cancel() {
    let base = sift("base.bvecs", 0, 400);
    let (_home, store) = store_of(&base, DIM, Metric::L2);
    let run = |stop_at: usize| {
        let mut seen = Vec::new();
        let mut on_progress = |done, total| {
            seen.push((done, total));
            seen.len() == stop_at
        };
        let report = store.compress(&CompressOptions::default(), &mut Work::new(0, Some(&mut on_progress)));
        (seen, report.map(|report| report.vectors))
    };
    for stop_at in [1, 2, 3] {
        let (seen, ended) = run(stop_at);
        assert!(matches!(ended, Err(Error::Cancelled { .. })) && seen.len() == stop_at);
        assert_eq!(store.stats().unwrap().compressed_vectors, 0);
    }
    let (seen, ended) = run(usize::MAX);
    assert_eq!(ended.unwrap(), 400);
    assert!(seen.iter().all(|(_, total)| *total == 800) && seen.is_sorted() && seen.last() == Some(&(800, 800)));
}
