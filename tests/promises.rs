//! The promises of `compress` on vectors of every kind: the bytes, the bound and the report, or a refusal that names
//! what can be reached.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use omen::codec::Quality;
use omen::error::Error;
use omen::metric::Metric;
use omen::store::{CompressOptions, CompressReport, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use std::path::Path;

/// Smooth curves with noise, so that neighbouring dims go together: `[n][dim]`.
fn curves(n: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut rows = Vec::with_capacity(n * dim);
    for _ in 0..n {
        let (mut value, start) = (random.normal(), random.normal());
        for _ in 0..dim {
            value = 0.9 * value + 0.4 * random.normal();
            rows.push(start + value);
        }
    }
    rows
}

fn fresh(home: &Path, dim: usize, rows: &[f32], metric: Metric) -> Store {
    let options = Options { metric: Some(metric), ..Options::default() };
    let store = Store::open(&home.join("store"), dim as u32, &options).unwrap();
    store.insert(None, rows).unwrap();
    store.commit().unwrap();
    store
}

fn options(ratio: f64) -> CompressOptions {
    CompressOptions { ratio, ..CompressOptions::default() }
}

/// Bytes of all files of a directory.
fn bytes_in(directory: &Path) -> u64 {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// All rows as they are read, by ids that count up.
fn read_all(store: &Store, n: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; n * store.dim() as usize];
    store.get(&(0..n as u64).collect::<Vec<_>>(), &mut out, None).unwrap();
    out
}

fn distance(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>().sqrt()
}

/// Checks bytes, bound and report of a store that was just compressed.
fn keeps_its_promises(home: &Path, store: &Store, dim: usize, rows: &[f32], ratio: f64, report: &CompressReport) {
    let decoded = read_all(store, rows.len() / dim);
    assert!(bytes_in(&home.join("store")) as f64 * ratio <= rows.len() as f64 * 4.0, "{report:?}");
    let stats = store.stats().unwrap();
    let (mut energy, mut error) = (0.0, 0.0);
    for (row, decoded) in rows.chunks_exact(dim).zip(decoded.chunks_exact(dim)) {
        assert!(decoded.iter().all(|value| value.is_finite()));
        let off = distance(row, decoded);
        assert!(off <= stats.errors.bound, "{off}, {stats:?}");
        energy += row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        error += off * off;
    }
    let expected = if energy > 0.0 { error / energy } else { 0.0 };
    assert!((report.relative_mse - expected).abs() <= 1e-9 * expected, "{report:?}, expected {expected}");
    assert_eq!((stats.errors.relative_mse, stats.errors.drift), (report.relative_mse, 1.0));
    store.verify(&mut Work::default()).unwrap();
}

/// Compresses to `ratio`, or to what the refusal says can be reached; `None` if there are too few vectors.
fn compressed(store: &Store, ratio: f64) -> Option<(CompressReport, f64)> {
    match store.compress(&options(ratio), &mut Work::default()) {
        Ok(report) => Some((report, ratio)),
        Err(Error::TooFewVectors { .. }) => None,
        Err(Error::InvalidArgument(what)) => {
            if what.contains("the store is too small to compress") {
                return None;
            }
            let reachable: f64 = what.split("; at most ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert!(reachable < ratio, "{what}");
            // The message rounds to three decimals.
            let within = reachable - 0.001;
            (within >= 1.0).then(|| (store.compress(&options(within), &mut Work::default()).unwrap(), within))
        }
        Err(other) => panic!("{other}"),
    }
}

fn check(dim: usize, rows: &[f32], ratio: f64) {
    let home = tempfile::tempdir().unwrap();
    let store = fresh(home.path(), dim, rows, Metric::L2);
    match compressed(&store, ratio) {
        Some((report, ratio)) => keeps_its_promises(home.path(), &store, dim, rows, ratio, &report),
        None => assert_eq!(read_all(&store, rows.len() / dim), rows),
    }
}

/// The message of the refusal to compress `store` to `ratio`.
fn refusal(store: &Store, ratio: f64) -> String {
    match store.compress(&options(ratio), &mut Work::default()) {
        Err(Error::InvalidArgument(what)) => what,
        other => panic!("{ratio}: {other:?}"),
    }
}

#[test]
fn a_ratio_that_cannot_be_is_refused_in_few_words() {
    let home = tempfile::tempdir().unwrap();
    let store = fresh(home.path(), 4, &curves(20, 4, 1), Metric::L2);
    for (ratio, shown) in [(0.5, "0.5"), (-3.0, "-3"), (f64::NAN, "NaN"), (-1e308, "-1e308")] {
        assert_eq!(refusal(&store, ratio), format!("ratio {shown}: expected a number of at least 1"));
    }
}

#[test]
fn a_store_too_small_to_compress_says_so_and_stays_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let rows = curves(20, 4, 1);
    let store = fresh(home.path(), 4, &rows, Metric::L2);
    for (ratio, shown) in [(1.0, "1"), (16.0, "16"), (1e308, "1e308")] {
        let what = refusal(&store, ratio);
        let start = format!("ratio {shown}: 20 vectors of dim 4 are 320 bytes; the store is too small to compress: ");
        assert!(what.starts_with(&start) && what.ends_with(" bytes") && what.len() < 160, "{what}");
    }
    assert_eq!(read_all(&store, 20), rows);
    store.insert(None, &curves(4000, 4, 2)).unwrap();
    let what = refusal(&store, 1e308);
    assert!(
        what.starts_with("ratio 1e308: 4020 vectors of dim 4 are 64320 bytes; at most ") && what.len() < 100,
        "{what}"
    );
    store.verify(&mut Work::default()).unwrap();
}

#[test]
fn promises_are_kept_at_every_dim() {
    for (dim, n) in [(1, 3000), (2, 2000), (3, 1000), (7, 1000), (100, 400), (960, 64), (1536, 40), (4096, 32)] {
        check(dim, &curves(n, dim, 1), 16.0);
        check(dim, &curves(n, dim, 2), 3.0);
    }
}

#[test]
fn promises_are_kept_at_every_count() {
    for n in [1, 10, 15, 16, 17, 255, 256, 1000] {
        check(24, &curves(n, 24, 3), 16.0);
        check(24, &curves(n, 24, 4), 2.0);
    }
}

#[test]
fn promises_are_kept_at_every_ratio() {
    let rows = curves(6000, 32, 5);
    for ratio in [1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0] {
        check(32, &rows, ratio);
    }
}

#[test]
fn promises_are_kept_on_odd_vectors() {
    let (dim, n) = (32, 1000);
    let scaled = |scale: f32| -> Vec<f32> { curves(n, dim, 6).iter().map(|x| x * scale).collect() };
    check(dim, &vec![0.0; n * dim], 16.0);
    check(dim, &vec![-3.25; n * dim], 16.0);
    check(dim, &curves(1, dim, 7).repeat(n), 8.0);
    check(dim, &scaled(1e-38), 8.0);
    check(dim, &scaled(1e-20), 8.0);
    check(dim, &scaled(1e18), 8.0);
    check(dim, &scaled(1e37), 8.0);
    // One tight cluster, far from the origin.
    check(dim, &curves(n, dim, 8).iter().map(|x| 1000.0 + 1e-3 * x).collect::<Vec<f32>>(), 8.0);
    // Heavy tails: one value in a few hundred is a thousand times the others.
    let mut random = Random::new(9);
    check(dim, &curves(n, dim, 9).iter().map(|x| x / random.unit().max(1e-4).powi(2)).collect::<Vec<f32>>(), 8.0);
    // Most vectors the same.
    let mut rows = curves(1, dim, 10).repeat(n - 50);
    rows.extend(curves(50, dim, 11));
    check(dim, &rows, 8.0);
}

#[test]
fn promises_are_kept_where_half_the_dims_never_vary() {
    let dim = 64;
    let mut rows = curves(3000, dim, 21);
    rows.chunks_exact_mut(dim).for_each(|row| row[dim / 4..].fill(0.5));
    for ratio in [12.0, 16.0, 24.0] {
        check(dim, &rows, ratio);
    }
}

#[test]
fn promises_are_kept_where_one_dim_is_a_giant_and_the_others_are_tiny() {
    let dim = 16;
    let mut rows: Vec<f32> = curves(3000, dim, 22).iter().map(|x| x * 1e-30).collect();
    rows.chunks_exact_mut(dim).for_each(|row| row[0] = 1e10);
    check(dim, &rows, 8.0);
    let tiny: Vec<f32> = curves(3000, dim, 23).iter().map(|x| x * 1e-37).collect();
    check(dim, &tiny, 2.5);
}

#[test]
fn whole_numbers_of_either_sign_have_room_on_both_sides() {
    let (dim, n) = (8, 25_000);
    let mut random = Random::new(24);
    let mut rows: Vec<f32> = (0..n * dim).map(|_| (random.next() % 200) as f32 - 100.0).collect();
    // Hardly any sample sees the farthest.
    (rows[3 * dim], rows[7 * dim]) = (-120.0, 120.0);
    let home = tempfile::tempdir().unwrap();
    let store = fresh(home.path(), dim, &rows, Metric::L2);
    store.compress(&options(3.5), &mut Work::default()).unwrap();
    assert_eq!(read_all(&store, n), rows);
}

#[test]
fn progress_goes_forward_and_ends_at_its_total() {
    let (dim, home) = (16, tempfile::tempdir().unwrap());
    let store = fresh(home.path(), dim, &curves(4000, dim, 25), Metric::L2);
    let strange: Vec<f32> = curves(3000, dim, 26).iter().map(|x| 40.0 * x - 700.0).collect();
    for more in [&[][..], &strange, &strange[..64]] {
        store.insert(None, more).unwrap();
        let mut calls: Vec<(u64, u64)> = Vec::new();
        let mut told = |done, total| {
            calls.push((done, total));
            false
        };
        store.compress(&options(6.0), &mut Work::new(0, Some(&mut told))).unwrap();
        assert!(calls.is_sorted() && calls.iter().all(|(_, total)| *total == calls[0].1), "{calls:?}");
        assert_eq!(calls.last().map(|(done, total)| total - done), Some(0));
    }
}

#[test]
fn ratios_that_are_none_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let store = fresh(home.path(), 4, &curves(100, 4, 12), Metric::L2);
    for ratio in [f64::NAN, f64::INFINITY, 0.0, -16.0, 0.99] {
        let error = store.compress(&options(ratio), &mut Work::default()).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
    let error = store.compress(&options(1000.0), &mut Work::default()).unwrap_err().to_string();
    assert!(error.contains("ratio 1000: 100 vectors of dim 4 ") && error.contains("too small to compress"), "{error}");
    assert_eq!(store.stats().unwrap().raw_vectors, 100);
}

#[test]
fn cancelled_at_any_step_the_store_is_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let rows = curves(1000, 16, 19);
    let store = fresh(home.path(), 16, &rows, Metric::L2);
    for step in 1.. {
        let (mut calls, mut last) = (0, 0);
        let mut cancels = |done: u64, total: u64| {
            assert!((last..=total).contains(&done), "{done} of {total} after {last}");
            (calls, last) = (calls + 1, done);
            calls == step
        };
        let done = store.compress(&options(3.0), &mut Work::new(0, Some(&mut cancels)));
        if let Ok(report) = done {
            assert!(calls < step && step > 20, "{calls} calls, {step} steps");
            keeps_its_promises(home.path(), &store, 16, &rows, 3.0, &report);
            return;
        }
        assert!(matches!(done, Err(Error::Cancelled { .. })), "{done:?}");
        let stats = store.stats().unwrap();
        assert_eq!((stats.raw_vectors, stats.compressed_vectors), (1000, 0));
        assert_eq!(read_all(&store, 1000), rows);
    }
}

#[test]
fn a_second_compress_keeps_a_book_that_fits_and_leaves_one_that_does_not() {
    let (dim, n) = (16, 4000);
    let home = tempfile::tempdir().unwrap();
    let rows = curves(n, dim, 13);
    let store = fresh(home.path(), dim, &rows, Metric::L2);
    store.compress(&options(6.0), &mut Work::default()).unwrap();
    let before = read_all(&store, n);
    // More of the same: the codes there are stay as they are, and one file holds all.
    store.insert(None, &curves(1000, dim, 14)).unwrap();
    store.compress(&options(6.0), &mut Work::default()).unwrap();
    assert_eq!(read_all(&store, n), before);
    let stats = store.stats().unwrap();
    assert_eq!((stats.segments, stats.raw_vectors), (1, 0));
    assert!((0.8..1.3).contains(&stats.errors.drift), "{stats:?}");
    // Vectors the book knows nothing of get one of their own.
    let turned = |(at, x): (usize, &f32)| if at % 2 == 0 { *x } else { -*x };
    let strange: Vec<f32> = curves(3000, dim, 15).iter().enumerate().map(turned).collect();
    store.insert(None, &strange).unwrap();
    store.compress(&options(6.0), &mut Work::default()).unwrap();
    assert_eq!(read_all(&store, n), before);
    let stats = store.stats().unwrap();
    assert_eq!((stats.segments, stats.raw_vectors), (2, 0));
    assert!(stats.errors.relative_mse < 0.02, "{stats:?}");
    store.verify(&mut Work::default()).unwrap();
    // Nothing new, then a few of the first kind: every code stays what it was.
    let both = n + 1000 + 3000;
    let settled = read_all(&store, both);
    store.compress(&options(6.0), &mut Work::default()).unwrap();
    assert_eq!(read_all(&store, both), settled);
    store.insert(None, &curves(500, dim, 20)).unwrap();
    store.compress(&options(6.0), &mut Work::default()).unwrap();
    assert_eq!(read_all(&store, both), settled);
    store.verify(&mut Work::default()).unwrap();
}

/// The first rows are as long as each other and store no lengths. With the later ones, every row of a joint file stores one.
#[test]
fn rows_whose_lengths_take_bytes_keep_the_ratio() {
    let (home, rows) = (tempfile::tempdir().unwrap(), curves(4000, 3, 5));
    let units: Vec<f32> = rows
        .chunks(3)
        .flat_map(|row| {
            let length = distance(row, &[0.0; 3]) as f32;
            row.iter().map(move |x| x / length).collect::<Vec<f32>>()
        })
        .collect();
    let (first, later) = units.split_at(units.len() / 2);
    let store = fresh(home.path(), 3, first, Metric::Cosine);
    store.compress(&options(1.0), &mut Work::default()).unwrap();
    let unlike: Vec<f32> = later
        .chunks(3)
        .zip(0..)
        .flat_map(|(row, number)| row.iter().map(move |x| x * 1.5f32.powi(number % 40 - 20)).collect::<Vec<f32>>())
        .collect();
    store.insert(None, &unlike).unwrap();
    // Codes of five bytes keep this ratio. With a length of two bytes beside each code they do not.
    let ratio = 1.3;
    let report = store.compress(&options(ratio), &mut Work::default()).unwrap();
    assert!(report.ratio >= ratio, "{} is less than {ratio}: {report:?}", report.ratio);
    assert!(bytes_in(&home.path().join("store")) as f64 * ratio <= rows.len() as f64 * 4.0, "{report:?}");
}

#[test]
fn quality_pays() {
    let (dim, rows) = (32, curves(8000, 32, 16));
    let error = |quality| {
        let home = tempfile::tempdir().unwrap();
        let store = fresh(home.path(), dim, &rows, Metric::L2);
        let report = store.compress(&CompressOptions { quality, ..options(8.0) }, &mut Work::default()).unwrap();
        keeps_its_promises(home.path(), &store, dim, &rows, 8.0, &report);
        report.relative_mse
    };
    let errors = [Quality::Best, Quality::Normal, Quality::Fast].map(error);
    // A store as small as this may have no bytes for windows that are worth a better search.
    assert!(errors.is_sorted() && errors[0] < errors[2], "{errors:?}");
}

#[test]
fn estimates_find_more_neighbours_than_decoded_vectors() {
    let (dim, n, queries, k) = (48, 6000, curves(200, 48, 18), 10);
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        let home = tempfile::tempdir().unwrap();
        let store = fresh(home.path(), dim, &curves(n, dim, 17), metric);
        let nearest = |is_exact| {
            let (mut ids, mut distances) = (vec![0; 200 * k], vec![f32::NAN; 200 * k]);
            let options = SearchOptions { is_exact, ..SearchOptions::default() };
            store.search(&queries, k, &options, &mut ids, &mut distances).unwrap();
            assert!(distances.chunks_exact(k).all(|row| row.is_sorted() && row.iter().all(|value| value.is_finite())));
            ids
        };
        let truth = nearest(true);
        store.compress(&options(16.0), &mut Work::default()).unwrap();
        let recalled = |ids: &[u64]| {
            let pairs = ids.chunks_exact(k).zip(truth.chunks_exact(k));
            pairs.map(|(found, truth)| truth.iter().filter(|id| found.contains(id)).count()).sum::<usize>()
        };
        let (estimated, decoded) = (recalled(&nearest(false)), recalled(&nearest(true)));
        assert!(estimated + 20 >= decoded && decoded > 200, "{metric:?}: {estimated} of 2000, decoded {decoded}");
    }
}
