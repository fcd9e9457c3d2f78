//! Small whole numbers: codes that keep rows exactly, rows beside them that they do not reach, and what a search finds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use omen::ffi::constants::OMEN_CODEC_SCALAR;
use omen::metric::Metric;
use omen::store::{CompressOptions, CompressReport, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use tempfile::TempDir;

const K: usize = 10;

/// `count` rows, with `value(row, dim)` in each dim.
fn rows_of(count: usize, dim: usize, mut value: impl FnMut(usize, usize) -> usize) -> Vec<f32> {
    (0..count * dim).map(|at| value(at / dim, at % dim) as f32).collect()
}

/// A store of `rows: [n][dim]`, trained on 1,000 of them.
fn compressed(home: &TempDir, dim: usize, metric: Metric, rows: &[f32], ratio: f64) -> (Store, CompressReport) {
    let options = Options { metric: Some(metric), ..Options::default() };
    let store = Store::open(home.path(), dim as u32, &options).unwrap();
    store.insert(None, rows).unwrap();
    let options = CompressOptions { ratio, sample: 1000, ..CompressOptions::default() };
    let report = store.compress(&options, &mut Work::default()).unwrap();
    (store, report)
}

fn read_all(store: &Store, count: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; count * store.dim() as usize];
    store.get(&(0..count as u64).collect::<Vec<_>>(), &mut out, None).unwrap();
    out
}

/// The share of places in which a default search has a distance as near as an exact one.
fn found(store: &Store, queries: &[f32]) -> f64 {
    let count = queries.len() / store.dim() as usize * K;
    let [exact, default] = [true, false].map(|is_exact| {
        let (mut ids, mut distances) = (vec![0; count], vec![f32::NAN; count]);
        let options = SearchOptions { is_exact, ..SearchOptions::default() };
        store.search(queries, K, &options, &mut ids, &mut distances).unwrap();
        distances
    });
    let near = |(exact, default): &(&f32, &f32)| **default <= **exact + 1e-4 * exact.abs().max(0.01);
    exact.iter().zip(&default).filter(near).count() as f64 / count as f64
}

/// The bits of a dim that do not fill a symbol of four bits are not scored. They decide these searches.
#[test]
fn dims_without_a_symbol_are_searched_too() {
    let mut random = Random::new(1);
    let [few, large, ones, hot] = [3, 3, 64, 40];
    let cases: [(usize, Vec<f32>, &[Metric]); 3] = [
        // One dim in three has no symbol: a few rows have a large value there.
        (
            few,
            rows_of(10_000, few, |row, dim| if dim < 2 { random.index(16) } else { row % 20 / 19 * 1000 }),
            &[Metric::L2, Metric::Cosine],
        ),
        // Seven dims in eight vary, by one bit each: three of them have no symbol.
        (ones, rows_of(10_000, ones, |_, dim| if dim % 8 == 0 { 1 } else { random.index(2) }), &Metric::ALL),
        // A dim without any bits is most of each vector's length.
        (
            hot,
            rows_of(10_000, hot, |_, dim| if dim == 0 { 100 } else { random.index(2) }),
            &[Metric::Cosine, Metric::L2],
        ),
    ];
    for (dim, rows, metrics) in cases {
        for metric in metrics {
            let home = tempfile::tempdir().unwrap();
            let (store, report) = compressed(&home, dim, *metric, &rows, 3.0);
            assert_eq!((report.codec, report.relative_mse), (OMEN_CODEC_SCALAR, 0.0), "{dim} {metric}");
            let mut queries = rows[100 * dim..160 * dim].to_vec();
            queries.iter_mut().step_by(7).for_each(|value| *value += 0.25);
            if dim == large {
                queries[..dim].copy_from_slice(&[3.0, 3.0, 1000.0]);
            }
            let share = found(&store, &queries);
            assert!(share >= 0.98, "dim {dim} {metric}: {share}");
        }
    }
}

#[test]
fn whole_numbers_of_unlike_lengths_stay_exact() {
    let (dim, mut random) = (32, Random::new(2));
    let rows = rows_of(5000, dim, |row, _| random.index(if row % 10 == 0 { 61 } else { 21 }));
    for metric in [Metric::L2, Metric::Cosine] {
        let home = tempfile::tempdir().unwrap();
        let (store, report) = compressed(&home, dim, metric, &rows, 4.0);
        assert_eq!((report.codec, report.relative_mse), (OMEN_CODEC_SCALAR, 0.0), "{metric}");
        assert_eq!(read_all(&store, 5000), rows, "{metric}");
    }
}

/// Rows outside of the sample that the grids do not reach. They were cut off, or came back as the nearest row of ones.
#[test]
fn a_row_that_the_sample_did_not_foretell_keeps_its_length() {
    let (count, dim, mut random) = (8000, 64, Random::new(3));
    for (metric, least, odd) in
        [(Metric::L2, 0, [7, 7, 0]), (Metric::InnerProduct, 0, [15, 1, 0]), (Metric::Cosine, 1, [0, 0, 0])]
    {
        let home = tempfile::tempdir().unwrap();
        let mut rows = rows_of(count, dim, |_, _| least + random.index(2));
        // One row in eight is in the sample. This one is not.
        let number = 4325;
        rows[number * dim..][..dim].fill(0.0);
        rows[number * dim..].iter_mut().zip(odd).for_each(|(value, odd)| *value = odd as f32);
        let (store, report) = compressed(&home, dim, metric, &rows, 8.0);
        let out = read_all(&store, count);
        let far = |row: usize| -> f32 {
            let pairs = out[row * dim..][..dim].iter().zip(&rows[row * dim..][..dim]);
            pairs.map(|(out, x)| (out - x) * (out - x)).sum::<f32>().sqrt()
        };
        let length = odd.iter().map(|value| (value * value) as f32).sum::<f32>().sqrt();
        assert!(far(number) <= 0.3 * length, "{metric}: {:?} {report:?}", &out[number * dim..][..4]);
        let inexact = (0..count).filter(|row| *row != number && far(*row) > 0.0).count();
        assert!(inexact == 0 || metric == Metric::Cosine, "{metric}: {inexact} of {count} {report:?}");
        assert!(metric == Metric::Cosine || report.relative_mse > 0.0, "{metric}: {report:?}");
    }
}
