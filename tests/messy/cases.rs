//! Sets that were coded, searched or told wrongly once, each the first of its kind.

use crate::bases::{CLUSTERS, NORMALS, SIFT, length};
use crate::random::Random;
use omen::codec::Quality;
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;

const K: usize = 10;
const QUERIES: usize = 100;
const DEFAULT: SearchOptions = SearchOptions {
    allow_ids: None,
    deny_ids: None,
    max_distance: f64::INFINITY,
    is_exact: false,
    effort: 0.0,
    rerank: 0,
    threads: 1,
};

/// A store, and what a raw search found.
struct Searched {
    _home: tempfile::TempDir,
    store: Store,
    queries: Vec<f32>,
    truth: Vec<u64>,
}

impl Searched {
    /// A raw store of `rows: [n][dim]`.
    fn new(rows: &[f32], queries: &[f32], dim: usize, metric: Metric) -> Searched {
        let home = tempfile::tempdir().unwrap();
        let options = Options { metric: Some(metric), threads: 1, ..Options::default() };
        let store = Store::open(&home.path().join("store"), dim as u32, &options).unwrap();
        store.insert(None, rows).unwrap();
        let mut searched = Searched { _home: home, store, queries: queries.to_vec(), truth: vec![] };
        searched.truth = searched.ids(&DEFAULT);
        searched
    }

    fn ids(&self, options: &SearchOptions) -> Vec<u64> {
        nearest(&self.store, &self.queries, K, options)
    }

    fn compress(&self, ratio: f64) {
        let options = CompressOptions { ratio, quality: Quality::Fast, ..CompressOptions::default() };
        self.store.compress(&options, &mut Work::default()).unwrap();
    }

    fn recall(&self, options: &SearchOptions) -> f64 {
        let pairs = self.ids(options);
        let pairs = pairs.chunks_exact(K).zip(self.truth.chunks_exact(K));
        let hits: usize = pairs.map(|(found, truth)| found.iter().filter(|id| truth.contains(id)).count()).sum();
        hits as f64 / self.truth.len() as f64
    }
}

fn nearest(store: &Store, queries: &[f32], k: usize, options: &SearchOptions) -> Vec<u64> {
    let count = queries.len() / store.dim() as usize * k;
    let (mut ids, mut distances) = (vec![0; count], vec![f32::NAN; count]);
    store.search(queries, k, options, &mut ids, &mut distances).unwrap();
    ids
}

/// One component of one row is 5, forty times the others. Recall went from 0.99 to 0.66 for all rows of a store with
/// inverted lists, and measuring more candidates did not help.
#[test]
fn one_odd_component_does_not_change_what_is_found() {
    let n = 17_000;
    let dim = CLUSTERS.dim;
    let mut rows = CLUSTERS.rows(n + QUERIES, &mut Random::new(7));
    let queries = rows.split_off(n * dim);
    let mut recalls = Vec::new();
    for is_odd in [false, true] {
        if is_odd {
            rows[7 * dim + 3] = 5.0;
        }
        let searched = Searched::new(&rows, &queries, dim, Metric::L2);
        searched.compress(4.0);
        let exact = searched.recall(&SearchOptions { is_exact: true, ..DEFAULT });
        let reranked = searched.recall(&SearchOptions { rerank: 1000, ..DEFAULT });
        recalls.push([exact, searched.recall(&DEFAULT), reranked]);
        let mut odd = vec![0.0; dim];
        searched.store.get(&[7], &mut odd, None).unwrap();
        assert!(
            (length(&odd) / length(&rows[7 * dim..8 * dim]) - 1.0).abs() < 0.02,
            "row 7 has length {}",
            length(&odd)
        );
    }
    assert!(recalls.iter().flatten().all(|recall| *recall >= 0.96), "exact, default, rerank 1000: {recalls:?}");
}

/// Rows of unlike length in the same directions. A cosine store found 0.22 to 0.35 of the neighbours at ratios 2 to 4.
#[test]
fn lengths_do_not_change_what_a_cosine_store_finds() {
    let (n, dim) = (1500, SIFT.dim);
    let mut rows = SIFT.rows(n + QUERIES, &mut Random::new(8));
    let queries = rows.split_off(n * dim);
    let mut random = Random::new(9);
    let normals: Vec<f32> = (0..n).map(|_| random.normal()).collect();
    let mut failures = Vec::new();
    for ratio in [2.0, 4.0, 8.0] {
        let mut expected = None;
        for sigma in [0.0_f32, 0.5, 1.0] {
            let mut scaled = rows.clone();
            for (row, normal) in scaled.chunks_exact_mut(dim).zip(&normals) {
                row.iter_mut().for_each(|x| *x *= (sigma * normal).exp());
            }
            let searched = Searched::new(&scaled, &queries, dim, Metric::Cosine);
            searched.compress(ratio);
            let recall = searched.recall(&DEFAULT);
            let own = nearest(&searched.store, &scaled[..300 * dim], 1, &DEFAULT);
            let own = own.iter().zip(0..).filter(|(found, row)| *found == row).count();
            let expected = *expected.get_or_insert(recall);
            if recall < expected - 0.02 || own < 297 {
                failures.push(format!(
                    "ratio {ratio}, lengths exp({sigma} z): recall {recall:.3}, {own} of 300 find themselves"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn rows_of_zeros_are_found_where_all_others_point_away() {
    let dim = SIFT.dim;
    let mut rows = SIFT.rows(600, &mut Random::new(5));
    rows.chunks_exact_mut(dim).step_by(60).for_each(|row| row.fill(0.0));
    let queries: Vec<f32> = rows[dim..][..QUERIES / 2 * dim].iter().map(|value| -value).collect();
    for is_unit in [false, true] {
        if is_unit {
            rows.chunks_exact_mut(dim).for_each(to_unit);
        }
        for ratio in [2.0, 3.5, 4.0, 5.0, 8.0, 12.0] {
            let searched = Searched::new(&rows, &queries, dim, Metric::Cosine);
            searched.compress(ratio);
            let recall = searched.recall(&DEFAULT);
            assert!(recall > 0.9, "unit {is_unit}, ratio {ratio}: recall {recall}");
            // A row of zeros has no direction, whose error could be told.
            let error = searched.store.stats().unwrap().errors.relative_mse;
            assert!(error < 0.1 && (ratio > 3.5 || error < 0.001), "ratio {ratio}: {error}");
            // It comes back as it was.
            let ids: Vec<u64> = (0..600).step_by(60).collect();
            let mut found = vec![f32::NAN; ids.len() * dim];
            searched.store.get(&ids, &mut found, None).unwrap();
            assert!(found.iter().all(|value| value.to_bits() == 0), "unit {is_unit}, ratio {ratio}");
        }
    }
}

/// Divides `row` by its length, unless that is zero.
fn to_unit(row: &mut [f32]) {
    let length = length(row) as f32;
    row.iter_mut().for_each(|value| *value /= if length > 0.0 { length } else { 1.0 });
}

/// Rows of unlike lengths use a part of each grid, and their four highest bits tell little. A default search measured too
/// few of them: it found 0.84 of the neighbours, and an exact one all.
#[test]
fn coarse_scores_leave_enough_candidates() {
    let (n, dim) = (2000, NORMALS.dim);
    let mut random = Random::new(11);
    let mut rows = NORMALS.rows(n + QUERIES, &mut random);
    for row in rows.chunks_exact_mut(dim) {
        let factor = (0.5 * random.normal()).exp();
        row.iter_mut().for_each(|x| *x *= factor);
    }
    let queries = rows.split_off(n * dim);
    let searched = Searched::new(&rows, &queries, dim, Metric::L2);
    searched.compress(2.0);
    let [exact, default] = [true, false].map(|is_exact| searched.recall(&SearchOptions { is_exact, ..DEFAULT }));
    assert!(default >= exact - 0.02, "default {default}, exact {exact}");
}

/// One row is ten times as long as the others. In small stores it was not scaled, because classes take a tenth of the
/// bytes, and kept a fifth of its length.
#[test]
fn small_stores_keep_their_long_rows() {
    for (base, n, ratio) in [(&CLUSTERS, 200, 2.0), (&NORMALS, 600, 4.0)] {
        let dim = base.dim;
        let mut rows = base.rows(n, &mut Random::new(2));
        let long = n / 2 * dim..(n / 2 + 1) * dim;
        rows[long.clone()].iter_mut().for_each(|x| *x *= 10.0);
        let searched = Searched::new(&rows, &rows[long.clone()], dim, Metric::L2);
        searched.compress(ratio);
        let mut decoded = vec![0.0; dim];
        searched.store.get(&[n as u64 / 2], &mut decoded, None).unwrap();
        let share = length(&decoded) / length(&rows[long]);
        assert!((0.85..1.15).contains(&share), "{}, {n} rows, ratio {ratio}: {share} of the length", base.name);
    }
}

/// One value of one row is large and not a whole number. All other rows are bytes, and were no longer exact.
#[test]
fn whole_numbers_stay_exact_beside_an_odd_row() {
    let (n, dim) = (2000, SIFT.dim);
    let mut rows = SIFT.rows(n, &mut Random::new(3));
    rows[7 * dim + 3] = 1350.5;
    let searched = Searched::new(&rows, &rows[..dim], dim, Metric::L2);
    searched.compress(2.0);
    let (ids, mut decoded) = ((0..n as u64).collect::<Vec<_>>(), vec![0.0; rows.len()]);
    searched.store.get(&ids, &mut decoded, None).unwrap();
    let pairs = rows.chunks_exact(dim).zip(decoded.chunks_exact(dim));
    let inexact = pairs.filter(|(row, decoded)| row != decoded).count();
    assert!(inexact <= 1, "{inexact} rows are not exact");
}

/// A second compress codes decoded rows again. Its report told the error of the second code alone.
#[test]
fn a_second_compress_tells_the_error_of_both() {
    let (n, dim) = (2000, CLUSTERS.dim);
    let rows = CLUSTERS.rows(n, &mut Random::new(4));
    let (first, second) = rows.split_at(1800 * dim);
    let searched = Searched::new(first, first, dim, Metric::L2);
    searched.compress(16.0);
    searched.store.insert(None, second).unwrap();
    let options = CompressOptions { ratio: 16.0, quality: Quality::Fast, ..CompressOptions::default() };
    let report = searched.store.compress(&options, &mut Work::default()).unwrap();
    let (ids, mut decoded) = ((0..n as u64).collect::<Vec<_>>(), vec![0.0; rows.len()]);
    searched.store.get(&ids, &mut decoded, None).unwrap();
    let pairs = rows.chunks_exact(dim).zip(decoded.chunks_exact(dim));
    let off = |(row, decoded): (&[f32], &[f32])| {
        length(&row.iter().zip(decoded).map(|(x, y)| x - y).collect::<Vec<f32>>()) / length(row)
    };
    let worst = pairs.map(off).fold(0.0, f64::max);
    assert!(worst <= report.worst_relative_error * (1.0 + 1e-6), "{worst}, the report says {report:?}");
}
