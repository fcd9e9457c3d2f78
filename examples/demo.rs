//! `make demo`: inserts ten thousand SIFT vectors, compresses them to a sixteenth, and measures every promise from outside.
//!
//! Exits non-zero if a promise is broken: if the directory is larger than 1/16 of the raw floats, if the reported error is
//! off by more than 1 %, or if a vector is missing or changed before the compress.

use omen::store::{CompressOptions, CompressReport, Options, SearchOptions, Store};
use omen::work::Work;
use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

const RATIO: f64 = 16.0;
const NEIGHBOURS: usize = 10;

/// The vectors of a `.bvecs` or `.ivecs` file, one after the other, and how many values each has.
struct Rows<T> {
    values: Vec<T>,
    dim: usize,
}

/// The directory of the store; it is removed when the demo ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // An error leaves a temporary directory, and nothing can be done about it here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn main() -> Outcome<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sift10k");
    let base = read_rows(&data.join("base.bvecs"), 1, |value| f32::from(value[0]))?;
    let queries = read_rows(&data.join("query.bvecs"), 1, |value| f32::from(value[0]))?;
    let truth = read_rows(&data.join("gt.ivecs"), 4, |value| {
        u64::from(u32::from_le_bytes([value[0], value[1], value[2], value[3]]))
    })?;
    let scratch = Scratch(std::env::temp_dir().join(format!("omen-demo-{}", std::process::id())));

    let store = filled(&scratch.0, &base)?;
    let raw_bytes = base.values.len() as u64 * 4;
    print_bytes("closed, as inserted", &scratch.0, raw_bytes)?;
    check(relative_mse(&store, &base)? == 0.0, "a vector came back changed before compress")?;
    println!("recall@{NEIGHBOURS} as inserted    {:.4}", recall(&store, &queries, &truth)?);

    let report =
        store.compress(&CompressOptions { ratio: RATIO, ..CompressOptions::default() }, &mut Work::default())?;
    store.close()?;
    print_bytes("closed, compressed", &scratch.0, raw_bytes)?;
    let store = reopened(&scratch.0)?;
    println!("recall@{NEIGHBOURS} compressed     {:.4}", recall(&store, &queries, &truth)?);
    let measured = relative_mse(&store, &base)?;
    print_report(&report, measured);
    print_search(&store, &queries)?;
    store.close()?;
    check_promises(&scratch.0, raw_bytes, &report, measured)
}

/// Reads `[i32 dim][dim values of width bytes]...`, little-endian.
fn read_rows<T>(path: &Path, width: usize, value: impl Fn(&[u8]) -> T) -> Outcome<Rows<T>> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let head = bytes.first_chunk::<4>().ok_or("an empty file")?;
    let dim = u32::from_le_bytes(*head) as usize;
    let rows = bytes.chunks_exact(4 + dim * width);
    let values = rows.flat_map(|row| row[4..].chunks_exact(width)).map(value).collect();
    Ok(Rows { values, dim })
}

fn filled(directory: &Path, base: &Rows<f32>) -> Outcome<Store> {
    let started = Instant::now();
    let store = Store::open(directory, base.dim as u32, &Options::default())?;
    store.insert(None, &base.values)?;
    store.commit()?;
    let seconds = started.elapsed().as_secs_f64();
    store.close()?;
    let vectors = base.values.len() / base.dim;
    println!("inserted             {vectors} x {} floats, {:.0} vectors/s", base.dim, vectors as f64 / seconds);
    reopened(directory)
}

fn reopened(directory: &Path) -> Outcome<Store> {
    let started = Instant::now();
    let store = Store::open(directory, 0, &Options::default())?;
    println!("reopened in          {:.2} ms, {} vectors", started.elapsed().as_secs_f64() * 1e3, store.count());
    Ok(store)
}

/// Bytes of all files: their lengths, and what they occupy on the disk.
fn directory_bytes(directory: &Path) -> Outcome<(u64, u64)> {
    let mut sums = (0, 0);
    for entry in fs::read_dir(directory)? {
        let file = entry?.metadata()?;
        sums = (sums.0 + file.len(), sums.1 + file.blocks() * 512);
    }
    Ok(sums)
}

fn print_bytes(when: &str, directory: &Path, raw_bytes: u64) -> Outcome<()> {
    let (apparent, allocated) = directory_bytes(directory)?;
    let part = |bytes: u64| bytes as f64 / raw_bytes as f64;
    println!(
        "{when:20} {apparent} bytes, {:.5} of the raw floats; {allocated} allocated, {:.5}",
        part(apparent),
        part(allocated)
    );
    Ok(())
}

/// Sum of squared errors over sum of squares, every vector read back by its id.
fn relative_mse(store: &Store, base: &Rows<f32>) -> Outcome<f64> {
    let ids: Vec<u64> = (0..(base.values.len() / base.dim) as u64).collect();
    let mut decoded = vec![0.0; base.values.len()];
    store.get(&ids, &mut decoded, None)?;
    let lost: f64 = base.values.iter().zip(&decoded).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    let energy: f64 = base.values.iter().map(|x| f64::from(*x).powi(2)).sum();
    Ok(lost / energy)
}

/// The share of the true nearest neighbours that a search finds.
fn recall(store: &Store, queries: &Rows<f32>, truth: &Rows<u64>) -> Outcome<f64> {
    let count = queries.values.len() / queries.dim;
    let mut ids = vec![0; count * NEIGHBOURS];
    let mut distances = vec![0.0; count * NEIGHBOURS];
    store.search(&queries.values, NEIGHBOURS, &SearchOptions::default(), &mut ids, &mut distances)?;
    let wanted = truth.values.chunks_exact(truth.dim).map(|row| &row[..NEIGHBOURS]);
    let found: usize = ids.chunks_exact(NEIGHBOURS).zip(wanted).map(|(got, row)| common(got, row)).sum();
    Ok(found as f64 / ids.len() as f64)
}

/// Prints the answer to the last query, and the queries a second, one query a call.
fn print_search(store: &Store, queries: &Rows<f32>) -> Outcome<()> {
    let (mut ids, mut distances) = ([0; 3], [0.0; 3]);
    let started = Instant::now();
    for query in queries.values.chunks_exact(queries.dim) {
        store.search(query, ids.len(), &SearchOptions::default(), &mut ids, &mut distances)?;
    }
    let count = queries.values.len() / queries.dim;
    println!("searched             {:.0} queries/s, one query a call", count as f64 / started.elapsed().as_secs_f64());
    println!("nearest to the last  {ids:?}, squared distances {distances:.0?}");
    Ok(())
}

fn common(got: &[u64], wanted: &[u64]) -> usize {
    got.iter().filter(|id| wanted.contains(id)).count()
}

fn print_report(report: &CompressReport, measured: f64) {
    println!("compressed in        {:.2} s, {} bytes a vector", report.seconds, report.code_bytes);
    println!("relative MSE         {:.6} reported, {measured:.6} measured", report.relative_mse);
    println!("worst vector         {:.4} relative error", report.worst_relative_error);
}

fn check_promises(directory: &Path, raw_bytes: u64, report: &CompressReport, measured: f64) -> Outcome<()> {
    let (apparent, allocated) = directory_bytes(directory)?;
    let most = raw_bytes as f64 / RATIO;
    check(apparent as f64 <= most, "the files are larger than 1/16 of the raw floats")?;
    check(allocated as f64 <= most, "the files occupy more than 1/16 of the raw floats on disk")?;
    check(apparent <= report.bytes_after, "the directory is larger than reported")?;
    check((report.relative_mse / measured - 1.0).abs() <= 0.01, "the reported error is not the measured one")
}

fn check(holds: bool, broken: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(broken.into()) }
}
