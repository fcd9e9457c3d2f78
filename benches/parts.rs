//! Benchmarks of the parts: checksums, kernels, codecs, and the calls of a store. `benches/peers` compares the whole store
//! with other libraries.
#![allow(clippy::expect_used, missing_docs, reason = "a benchmark that cannot start stops")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use omen::codec::{Codebook, Quality, Shape, block};
use omen::kernels::{Chain, Lanes, Level, Paths};
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, Store};
use omen::work::Work;
use std::hint::black_box;
use std::path::Path;
use tempfile::TempDir;

const DIM: usize = 128;
const CALL: usize = 1000;

/// `[10_000][DIM]`: the SIFT vectors of the tests.
fn vectors() -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sift10k/base.bvecs");
    let bytes = std::fs::read(path).expect("tests/data/sift10k/base.bvecs");
    bytes.chunks_exact(4 + DIM).flat_map(|row| &row[4..]).map(|value| f32::from(*value)).collect()
}

fn checksum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    for length in [4 << 10, 1 << 20] {
        let bytes = vec![7; length];
        group.throughput(Throughput::Bytes(length as u64));
        group
            .bench_function(BenchmarkId::from_parameter(length), |run| run.iter(|| crc32fast::hash(black_box(&bytes))));
    }
}

fn kernels(criterion: &mut Criterion) {
    let rows = vectors();
    let (query, row) = (&rows[..DIM], &rows[DIM..2 * DIM]);
    let mut group = criterion.benchmark_group("kernels");
    for level in Level::all_supported() {
        let Some(kernels) = level.kernels() else { continue };
        for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
            let norm = kernels.dot(query, query);
            let name = BenchmarkId::new(format!("{metric:?}"), format!("{level:?}"));
            group.bench_function(name, |run| {
                run.iter(|| kernels.distance(metric, black_box(query), norm, black_box(row)))
            });
        }
        let name = BenchmarkId::new("first_not_finite", format!("{level:?}"));
        group.bench_function(name, |run| run.iter(|| kernels.first_not_finite(black_box(&rows[..CALL * DIM]))));
    }
}

/// Encodes rows as 62 symbols with arbitrary codewords, at each level.
fn chains(criterion: &mut Criterion) {
    const SYMBOLS: usize = 62;
    let rows = vectors();
    let boundaries: Vec<usize> = (0..=SYMBOLS).map(|symbol| symbol * DIM / SYMBOLS).collect();
    let lanes = |count: usize| -> Vec<Lanes> { rows.as_chunks::<16>().0[..count].iter().copied().map(Lanes).collect() };
    let (heads, tails, crosses) = (lanes(DIM), lanes(2 * DIM).split_off(DIM), lanes(SYMBOLS * 16));
    let chain = Chain { boundaries: &boundaries, heads: &heads, tails: &tails, crosses: &crosses };
    let mut group = criterion.benchmark_group("best_chain");
    group.throughput(Throughput::Elements(1));
    for level in Level::all_supported() {
        let Some(kernels) = level.kernels() else { continue };
        let (mut paths, mut symbols, mut next) = (Paths::default(), [0; SYMBOLS], 0);
        group.bench_function(BenchmarkId::from_parameter(format!("{level:?}")), |run| {
            run.iter(|| {
                next = (next + 1) % CALL;
                kernels.best_chain(&chain, black_box(&rows[next * DIM..][..DIM]), &mut paths, &mut symbols);
            });
        });
    }
}

fn trained(rows: &[f32], quality: Quality) -> Codebook {
    let shape = Shape {
        dim: DIM,
        row_bytes: 32,
        window: 24,
        directions: 0,
        metric: Some(Metric::L2),
        quality,
        is_scaled: true,
        rows: 0,
    };
    Codebook::train(&rows[..4 * CALL * DIM], &shape, 1, &mut Work::default()).expect("a codebook")
}

fn codec(criterion: &mut Criterion) {
    let rows = vectors();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(CALL as u64));
    for quality in [Quality::Fast, Quality::Normal, Quality::Best] {
        let book = trained(&rows, quality);
        let mut codes = vec![0; CALL * book.row_bytes()];
        group.bench_function(BenchmarkId::new("encode", format!("{quality:?}")), |run| {
            run.iter(|| book.encode(black_box(&rows[..CALL * DIM]), &mut codes));
        });
    }
    let book = trained(&rows, Quality::Normal);
    let symbols = book.symbols();
    let mut codes = vec![0; CALL * book.row_bytes()];
    book.encode(&rows[..CALL * DIM], &mut codes);
    let mut decoded = vec![0.0; CALL * DIM];
    group.bench_function("decode in thousands", |run| run.iter(|| book.decode(black_box(&codes), &mut decoded)));

    group.throughput(Throughput::Elements(1));
    let code = &codes[..book.row_bytes()];
    group.bench_function("decode", |run| run.iter(|| book.decode(black_box(code), &mut decoded[..DIM])));

    let mut packed = vec![0; block::bytes(book.row_bytes())];
    block::pack(&codes[..32 * book.row_bytes()], symbols, book.side_bytes(), &mut packed);
    let mut code = vec![0; book.row_bytes()];
    group.bench_function("unpack", |run| {
        run.iter(|| block::unpack(black_box(&packed), 17, symbols, book.side_bytes(), &mut code));
    });
}

fn opened(directory: &TempDir) -> Store {
    Store::open(directory.path(), DIM as u32, &Options::default()).expect("an open store")
}

fn filled(rows: &[f32], vectors_per_call: usize) -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = opened(&directory);
    insert(&store, rows, vectors_per_call);
    (directory, store)
}

fn insert(store: &Store, rows: &[f32], vectors_per_call: usize) {
    for call in rows.chunks(vectors_per_call * DIM) {
        store.insert(None, call).expect("inserted");
    }
}

/// Inserts 10,000 vectors into a new store without sync; then commit, close (which seals the log), and reopening.
fn writes(criterion: &mut Criterion) {
    let rows = vectors();
    let mut group = criterion.benchmark_group("writes");
    group.sample_size(20);
    group.throughput(Throughput::Elements((rows.len() / DIM) as u64));
    for vectors_per_call in [1, CALL] {
        let fresh = || {
            let directory = tempfile::tempdir().expect("a directory");
            let store = opened(&directory);
            (directory, store)
        };
        group.bench_function(BenchmarkId::new("insert", vectors_per_call), |run| {
            run.iter_batched_ref(fresh, |(_, store)| insert(store, &rows, vectors_per_call), BatchSize::PerIteration);
        });
    }
    group.bench_function("commit", |run| {
        let fill = || filled(&rows, CALL);
        run.iter_batched_ref(fill, |(_, store)| store.commit().expect("committed"), BatchSize::PerIteration);
    });
    group.bench_function("close", |run| {
        let fill = || filled(&rows, CALL);
        run.iter_batched_ref(fill, |(_, store)| store.close().expect("closed"), BatchSize::PerIteration);
    });
    let (directory, store) = filled(&rows, CALL);
    store.close().expect("closed");
    group.bench_function("reopen and close", |run| run.iter(|| opened(&directory).close().expect("closed")));
}

/// Reads one vector by its id, in an order that defeats the caches: from the log, from a sealed file, from codes.
fn reads(criterion: &mut Criterion) {
    let rows = vectors();
    let mut group = criterion.benchmark_group("get");
    let (directory, store) = filled(&rows, CALL);
    let mut bench = |name: &str, store: &Store| {
        let mut row = vec![0.0; DIM];
        let mut id = 0;
        group.bench_function(name, |run| {
            run.iter(|| {
                id = (id + 6151) % store.count();
                store.get(&[id], &mut row, None).expect("found");
            });
        });
    };
    bench("log", &store);
    store.close().expect("closed");
    let store = opened(&directory);
    bench("sealed", &store);
    store
        .compress(&CompressOptions { ratio: 8.0, ..CompressOptions::default() }, &mut Work::default())
        .expect("compressed");
    bench("codes", &store);
}

criterion_group!(parts, checksum, kernels, chains, codec, writes, reads);
criterion_main!(parts);
