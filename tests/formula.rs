//! Formula codes without a store: hard inputs, error against the bound of a normal distribution, stored form, forged
//! books; and a store that chooses them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

#[path = "formula/forged.rs"]
mod forged;
mod random;
mod scaled;

use omen::codec::{Codebook, FORMULA, FormulaBudget, Quality, Shape};
use omen::error::{Error, Result};
use omen::ffi::constants::OMEN_CODEC_FORMULA;
use omen::metric::Metric;
use omen::store::{CompressOptions, CompressReport, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

/// Counts the bytes that each thread holds, and the most it held.
struct Counted;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every request is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller of this function promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller of this function promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// What `run` returns, and the most bytes that it held at once.
fn watched<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = run();
    (result, (MOST.get() - before) as usize)
}

fn shape(dim: usize, metric: Option<Metric>, quality: Quality) -> Shape {
    Shape { dim, row_bytes: 1, window: 1, directions: 0, metric, quality, is_scaled: true, rows: 0 }
}

/// A codebook for codes of `row_bytes` that `sharing` rows share.
fn try_train(sample: &[f32], shape: &Shape, row_bytes: usize, sharing: usize) -> Result<Option<Codebook>> {
    let longest = |_| Some(row_bytes);
    let budget = FormulaBudget { row_bytes: row_bytes as f64 + 0.5, parity_bytes: 4096, longest: &longest };
    let shape = Shape { rows: sharing, ..*shape };
    Codebook::of_formula(sample, &shape, &budget, 7, &mut Work::default())
}

/// The same without a side byte, at normal quality.
fn train(sample: &[f32], dim: usize, row_bytes: usize, sharing: usize) -> Codebook {
    try_train(sample, &shape(dim, None, Quality::Normal), row_bytes, sharing).unwrap().unwrap()
}

fn encode(book: &Codebook, rows: &[f32]) -> Vec<u8> {
    let mut codes = vec![0xff; rows.len() / book.dim() * book.row_bytes()];
    book.encode(rows, &mut codes);
    codes
}

fn decode(book: &Codebook, codes: &[u8]) -> Vec<f32> {
    let mut rows = vec![f32::NAN; codes.len() / book.row_bytes() * book.dim()];
    book.decode(codes, &mut rows);
    rows
}

fn bits(rows: &[f32]) -> Vec<u32> {
    rows.iter().map(|value| value.to_bits()).collect()
}

/// Σ‖x − x̂‖² ÷ Σ‖x‖² of `rows` coded by `book` with their scales.
fn relative_mse(book: &Codebook, rows: &[f32]) -> f64 {
    let (scaled, scales) = scaled::scale(book, rows);
    let mut decoded = decode(book, &encode(book, &scaled));
    scaled::scale_back(&mut decoded, &scales);
    assert!(decoded.iter().all(|value| value.is_finite()));
    let square = |value: f64| value * value;
    let error: f64 = rows.iter().zip(&decoded).map(|(x, y)| square(f64::from(*x) - f64::from(*y))).sum();
    error / rows.iter().map(|x| square(f64::from(*x))).sum::<f64>()
}

fn normals(rows: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..rows * dim).map(|_| random.normal()).collect()
}

fn low_rank(rows: usize, dim: usize, rank: usize, seed: u64) -> Vec<f32> {
    Random::new(seed).low_rank(rows, dim, &normals(rank, dim, 1))
}

/// Whole and half codes of all kinds: all bits equal, and random.
fn any_codes(row_bytes: usize) -> Vec<u8> {
    let mut random = Random::new(3);
    let all_equal = [0, 0xff, 0x0f, 0xf0].into_iter().flat_map(|byte| vec![byte; row_bytes]);
    let random = (0..100 * row_bytes).map(|_| random.next() as u8);
    all_equal.chain(random).collect()
}

#[test]
fn a_stored_book_codes_the_same() {
    let metrics = [None, Some(Metric::L2), Some(Metric::InnerProduct), Some(Metric::Cosine)];
    for (dim, metric) in [1, 2, 7, 64, 384, 800].into_iter().zip(metrics.into_iter().cycle()) {
        let rows = normals(400, dim, 5);
        for (row_bytes, quality) in [(dim.div_ceil(4), Quality::Normal), (dim.div_ceil(2).max(9), Quality::Best)] {
            let book = try_train(&rows, &shape(dim, metric, quality), row_bytes, 100_000).unwrap().unwrap();
            assert_eq!((book.codec(), book.dim()), (FORMULA, dim));
            assert!((1..=row_bytes).contains(&book.row_bytes()), "dim {dim}: {book:?}");
            let parsed = Codebook::from_bytes("a file", book.as_bytes()).unwrap();
            assert_eq!((parsed.as_bytes(), parsed.id()), (book.as_bytes(), book.id()));
            let (scaled, _) = scaled::scale(&book, &rows[..50 * dim]);
            let codes = encode(&book, &scaled);
            assert_eq!(codes, encode(&parsed, &scaled), "dim {dim}");
            assert_eq!(bits(&decode(&book, &codes)), bits(&decode(&parsed, &codes)), "dim {dim}");
            let any = any_codes(book.row_bytes());
            let decoded = decode(&parsed, &any);
            assert!(decoded.iter().all(|value| value.is_finite()), "dim {dim}");
            // The same however many are decoded at once.
            let alone = any.chunks_exact(book.row_bytes()).flat_map(|code| decode(&book, code));
            assert_eq!(bits(&decoded), bits(&alone.collect::<Vec<_>>()), "dim {dim}");
        }
    }
}

#[test]
fn the_same_sample_and_seed_give_the_same_book() {
    let rows = low_rank(500, 48, 12, 2);
    assert_eq!(train(&rows, 48, 12, 10_000).as_bytes(), train(&rows, 48, 12, 10_000).as_bytes());
}

#[test]
fn rows_that_do_not_vary_have_no_book() {
    for (dim, value) in [(1, 0.0), (5, 0.3), (64, -7.1), (900, 1e30)] {
        let row: Vec<f32> = (0..dim).map(|column| value * (column as f32 + 1.0) / dim as f32).collect();
        for count in [1, 100] {
            let found = try_train(&row.repeat(count), &shape(dim, None, Quality::Normal), 4, 1000).unwrap();
            assert!(found.is_none(), "dim {dim}, {count} rows");
        }
    }
}

#[test]
fn rows_of_zeros_do_not_change_codes_of_directions() {
    let rows = normals(1900, 32, 3);
    let with_zeros: Vec<f32> = rows.chunks(19 * 32).flat_map(|rows| [rows, &[0.0; 32]].concat()).collect();
    let shape = shape(32, Some(Metric::Cosine), Quality::Normal);
    let [without, with] = [rows, with_zeros].map(|sample| try_train(&sample, &shape, 9, 2000).unwrap().unwrap());
    assert_eq!(with.as_bytes(), without.as_bytes());
}

#[test]
fn samples_that_are_not_vectors_are_refused() {
    let shape = shape(4, None, Quality::Normal);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut rows = normals(100, 4, 1);
        rows[4 * 60 + 3] = bad;
        let refused = try_train(&rows, &shape, 1, 1000);
        assert!(matches!(refused, Err(Error::NotFinite { row: 60, column: 3, .. })), "{refused:?}");
    }
    assert!(matches!(try_train(&[], &shape, 1, 1000), Err(Error::TooFewVectors { .. })));
    assert!(matches!(try_train(&[1.0; 7], &shape, 1, 1000), Err(Error::InvalidArgument(_))));
}

#[test]
fn one_direction_is_coded_as_one_dim() {
    let (dim, mut random) = (64, Random::new(8));
    let direction = normals(1, dim, 9);
    let hidden: Vec<f32> = (0..1000).map(|_| random.normal()).collect();
    let rows: Vec<f32> = hidden.iter().flat_map(|hidden| direction.iter().map(move |value| hidden * value)).collect();
    // Without a rotation, 1.5 bits a dim leave an eighth at best.
    let error = relative_mse(&train(&rows, dim, 12, 1_000_000), &rows);
    assert!(error < 0.02, "{error}");
    // One dim varies: a code takes no more symbols than its dims need.
    let rows: Vec<f32> = (0..1000).flat_map(|_| [0.0, random.normal(), 0.0, 0.0]).collect();
    let book = train(&rows, 4, 2, 1_000_000);
    assert_eq!((book.symbols(), book.row_bytes()), (2, 1));
    // Words of one dim do not reach the tails of its distribution.
    let error = relative_mse(&book, &rows);
    assert!(error < 0.02, "{error}");
}

#[test]
fn fewer_rows_than_dims_are_enough() {
    let dim = 300;
    let others = low_rank(200, dim, 20, 6);
    for count in [1, 2, 3, 30, 200] {
        let rows = low_rank(count, dim, 20, 4);
        let shape = shape(dim, None, Quality::Normal);
        let Some(book) = try_train(&rows, &shape, 40, 300).unwrap() else {
            assert_eq!(count, 1);
            continue;
        };
        let (own, other) = (relative_mse(&book, &rows), relative_mse(&book, &others));
        assert!(own < 0.5, "{count} rows: {own}");
        assert!(other < if count < 30 { 2.0 } else { 0.5 }, "{count} rows: {other}");
    }
}

#[test]
fn normals_are_coded_near_the_bound() {
    // Two bits a dim: no code of normal numbers has less error than 2^-4.
    let bound = 1.0 / 16.0;
    for (dim, sharing) in [(64, 1000), (128, 1_000_000), (384, 1000), (800, 1_000_000)] {
        let (sample, held_out) = (normals(3000, dim, 1), normals(200, dim, 2));
        let error = relative_mse(&train(&sample, dim, dim / 4, sharing), &held_out);
        assert!((bound..1.35 * bound).contains(&error), "dim {dim}: {} times the bound", error / bound);
    }
}

/// Prints the figures of docs/codecs.md (`-- --nocapture`). No rotation pays, however many rows would share it.
#[test]
fn more_bits_a_dim_are_farther_from_the_bound() {
    let cells = [
        (384, 0.5, Quality::Normal, 1.27),
        (384, 1.0, Quality::Normal, 1.33),
        (384, 2.0, Quality::Fast, 1.4),
        (384, 2.0, Quality::Normal, 1.32),
        (384, 2.0, Quality::Best, 1.3),
        (384, 3.0, Quality::Normal, 1.4),
        (384, 4.0, Quality::Normal, 1.6),
        (384, 5.0, Quality::Normal, 2.1),
        (128, 2.0, Quality::Normal, 1.35),
        (128, 4.0, Quality::Normal, 1.75),
        (128, 5.0, Quality::Normal, 2.7),
    ];
    for (dim, bits, quality, most) in cells {
        let (sample, held_out) = (normals(3000, dim, 1), normals(150, dim, 2));
        let row_bytes = (dim as f64 * bits / 8.0) as usize;
        let book = try_train(&sample, &shape(dim, None, quality), row_bytes, 20_000).unwrap().unwrap();
        let bound = 0.25_f64.powf(bits);
        let times = relative_mse(&book, &held_out) / bound;
        println!("{dim} dims, {bits} bits, {quality:?}: {times:.3}");
        assert!((1.0..most).contains(&times), "{dim} dims, {bits} bits, {quality:?}: {times} times the bound");
    }
}

#[test]
fn more_paths_and_more_bytes_leave_less_error() {
    let (dim, sample, held_out) = (96, normals(2000, 96, 3), normals(300, 96, 4));
    let error = |quality, row_bytes| {
        let book = try_train(&sample, &shape(dim, None, quality), row_bytes, 1000).unwrap().unwrap();
        relative_mse(&book, &held_out)
    };
    let of_quality = [Quality::Fast, Quality::Normal, Quality::Best].map(|quality| error(quality, 24));
    assert!(of_quality.is_sorted_by(|a, b| a > b), "{of_quality:?}");
    let of_length = [3, 6, 12, 24, 36, 48, 60].map(|row_bytes| error(Quality::Normal, row_bytes));
    assert!(of_length.is_sorted_by(|a, b| *a > 1.3 * b), "{of_length:?}");
}

#[test]
fn rotations_gain_what_low_rank_rows_allow() {
    // Errors by the bound of the hidden normals: bits go to the large ones.
    let (dim, sample, held_out) = (64, low_rank(2000, 64, 16, 5), low_rank(200, 64, 16, 6));
    let rotated = train(&sample, dim, 16, 1_000_000);
    let plain = train(&sample, dim, 16, 2);
    assert!(rotated.as_bytes().len() > plain.as_bytes().len() + 16 * dim / 8);
    let (with, without) = (relative_mse(&rotated, &held_out), relative_mse(&plain, &held_out));
    assert!(with < 0.3 * without, "{with} {without}");
}

#[test]
fn far_and_large_values_are_coded() {
    let (dim, unit) = (32, normals(400, 32, 12));
    for (factor, offset) in [(1.0, 3.3e38), (1e38, 0.0), (1e-36, 0.0), (1.0, -1e6), (1e30, 3e38), (1e-30, 1e-30)] {
        let rows: Vec<f32> = unit.iter().map(|value| (value * factor + offset).clamp(f32::MIN, f32::MAX)).collect();
        let found = try_train(&rows, &shape(dim, Some(Metric::L2), Quality::Normal), 16, 1000).unwrap();
        let Some(book) = found else {
            assert!(rows.iter().all(|value| *value == rows[0]), "{factor} {offset}");
            continue;
        };
        let error = relative_mse(&book, &rows);
        assert!(error < 0.2, "{factor} {offset}: {error}");
    }
}

/// Two columns of constant large numbers, such as times: the rounding of their means is far larger than all else.
#[test]
fn means_too_unlike_for_one_step_give_no_book_or_a_sound_one() {
    let mut random = Random::new(6);
    for (first, second) in [(1.7e9, 1.1e9), (1e4, 7e3), (1e30, -3e29), (100.0, 30.3)] {
        let mut rows = normals(500, 20, 3);
        rows.chunks_exact_mut(20).for_each(|row| (row[4], row[11], row[12]) = (first, second, 0.01 * random.normal()));
        let found = try_train(&rows, &shape(20, Some(Metric::L2), Quality::Normal), 10, 1000).unwrap();
        assert!(first > 1e3 || found.is_some());
        let Some(book) = found else { continue };
        assert!(Codebook::from_bytes("a file", book.as_bytes()).is_ok());
        let _ = relative_mse(&book, &rows);
    }
}

#[test]
fn many_dims_need_no_matrix_of_them() {
    let dim = 6000;
    let rows = normals(30, dim, 1);
    let (book, most) = watched(|| train(&rows, dim, 300, 1000));
    // A matrix of doubles would have 288 MB.
    assert!(most < 120 << 20, "{most} bytes");
    assert_eq!(book.dim(), dim);
}

fn compressed(home: &Path, rows: &[f32], dim: usize) -> (Store, CompressReport) {
    let options = Options { metric: Some(Metric::Cosine), ..Options::default() };
    let store = Store::open(&home.join("store"), dim as u32, &options).unwrap();
    store.insert(None, rows).unwrap();
    let report = compress(&store);
    (store, report)
}

fn compress(store: &Store) -> CompressReport {
    store.compress(&CompressOptions { ratio: 16.0, ..CompressOptions::default() }, &mut Work::default()).unwrap()
}

/// The ids and distances of the ten rows nearest to each of `queries: [n][dim]`.
fn nearest(store: &Store, queries: &[f32]) -> (Vec<u64>, Vec<u32>) {
    let count = queries.len() / store.dim() as usize;
    let (mut ids, mut distances) = (vec![0; 10 * count], vec![0.0; 10 * count]);
    store.search(queries, 10, &SearchOptions::default(), &mut ids, &mut distances).unwrap();
    (ids, bits(&distances))
}

fn read(store: &Store, ids: std::ops::Range<u64>) -> Vec<u32> {
    let ids: Vec<u64> = ids.collect();
    let mut rows = vec![f32::NAN; ids.len() * store.dim() as usize];
    store.get(&ids, &mut rows, None).unwrap();
    bits(&rows)
}

#[test]
fn a_store_of_sentence_like_rows_chooses_formula_codes_and_joins_new_rows() {
    let (home, dim, count) = (tempfile::tempdir().unwrap(), 128, 3000);
    let (rows, queries) = (low_rank(count, dim, 60, 2), low_rank(30, dim, 60, 3));
    let (store, report) = compressed(home.path(), &rows, dim);
    assert_eq!(report.codec, OMEN_CODEC_FORMULA, "{report:?}");
    assert!(report.ratio >= 16.0 && report.relative_mse < 0.3, "{report:?}");
    let (answers, decoded) = (nearest(&store, &queries), read(&store, 0..count as u64));
    store.close().unwrap();

    let store = Store::open(&home.path().join("store"), 0, &Options::default()).unwrap();
    assert_eq!((nearest(&store, &queries), read(&store, 0..count as u64)), (answers, decoded.clone()));
    store.verify(&mut Work::default()).unwrap();
    store.insert(None, &low_rank(200, dim, 60, 9)).unwrap();
    let again = compress(&store);
    // Codes of the first rows are copied, and the codebook is the same.
    assert_eq!((again.codec, again.code_bytes), (report.codec, report.code_bytes));
    assert_eq!((again.codebook_bytes, again.vectors), (report.codebook_bytes, count as u64 + 200));
    assert_eq!(read(&store, 0..count as u64), decoded);
    let stats = store.stats().unwrap();
    assert_eq!((stats.segments, stats.raw_vectors), (1, 0));
    assert!((stats.errors.relative_mse / report.relative_mse - 1.0).abs() < 0.1, "{stats:?} {report:?}");
    store.verify(&mut Work::default()).unwrap();
}
