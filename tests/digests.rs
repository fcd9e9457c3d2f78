//! Codebooks, codes and answers for the same input and seed never change: files mean the same to later versions of the
//! library, and a store answers the same on every machine. The digests of raw stores, and of codes
//! of rows that are not scaled, were first taken at commit 3ea2cd1.
//!
//! After a change that is meant to change them, `OMEN_BLESS=1 cargo test --test digests` prints the new ones.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod scaled;

use omen::codec::{Codebook, Quality, Shape, better_shape};
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use std::fmt::Write;

const DIM: usize = 32;
const DIGESTS: &str = "tests/data/digests.txt";

/// `count` vectors of `dim` floats: parts of the real ones, from row `first` on; those behind the data set once more, moved a
/// little.
fn rows(first: usize, count: usize, dim: usize) -> Vec<f32> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sift10k/base.bvecs")).unwrap();
    let all: Vec<&[u8]> = bytes.chunks_exact(132).map(|row| &row[4..]).collect();
    let moved = |row: usize, at: usize| ((row / all.len()) * (row * 31 + at * 17) % 23) as f32 / 4.0;
    let value = |row: usize, at: usize| f32::from(all[row % all.len()][at]) + moved(row, at);
    (first..first + count).flat_map(|row| (0..dim).map(move |at| (row, at))).map(|(row, at)| value(row, at)).collect()
}

/// FNV-1a of 64 bits.
#[derive(Clone, Copy)]
struct Digest(u64);

impl Digest {
    fn new() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(mut self, bytes: &[u8]) -> Digest {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    fn floats(self, floats: &[f32]) -> Digest {
        floats.iter().fold(self, |digest, value| digest.bytes(&value.to_bits().to_le_bytes()))
    }

    fn ids(self, ids: &[u64]) -> Digest {
        ids.iter().fold(self, |digest, id| digest.bytes(&id.to_le_bytes()))
    }
}

/// The digests of one test, a line each; compared with the lines stored under its name, which are sorted.
struct Report {
    test: &'static str,
    lines: String,
}

impl Report {
    fn new(test: &'static str) -> Report {
        Report { test, lines: String::new() }
    }

    fn add(&mut self, what: &str, digest: Digest) {
        writeln!(self.lines, "{} {what} {:016x}", self.test, digest.0).unwrap();
    }

    fn compare(self) {
        if std::env::var_os("OMEN_BLESS").is_some() {
            print!("{}", self.lines);
            return;
        }
        let stored = std::fs::read_to_string(format!("{}/{DIGESTS}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let stored: Vec<&str> = stored.lines().filter(|line| line.split(' ').next() == Some(self.test)).collect();
        let mut found: Vec<&str> = self.lines.lines().collect();
        found.sort_unstable();
        assert_eq!(found, stored);
        assert!(!stored.is_empty());
    }
}

#[test]
fn codebooks_and_codes() {
    let mut report = Report::new("codebooks_and_codes");
    let shapes = [
        ("windows", 8, 8, 0, Quality::Normal, Some(Metric::L2)),
        ("windows-fast", 8, 4, 0, Quality::Fast, Some(Metric::Cosine)),
        ("windows-best", 6, 2, 0, Quality::Best, None),
        ("windows-one", 4, 1, 0, Quality::Normal, None),
        ("directions", 9, 4, 16, Quality::Normal, Some(Metric::InnerProduct)),
        ("stages", 20, 4, 0, Quality::Normal, Some(Metric::L2)),
        ("scalar", 28, 1, 0, Quality::Normal, Some(Metric::L2)),
        ("scalar-long", 40, 1, 0, Quality::Normal, None),
    ];
    let (sample, others) = (rows(0, 1500, DIM), rows(5000, 333, DIM));
    for (name, row_bytes, window, directions, quality, metric) in shapes {
        let shape = Shape { dim: DIM, row_bytes, window, directions, metric, quality, is_scaled: true, rows: 0 };
        let book = Codebook::train(&sample, &shape, 7, &mut Work::default()).unwrap();
        let mut codes = vec![0; others.len() / DIM * book.row_bytes()];
        let (scaled, scales) = scaled::scale(&book, &others);
        book.encode(&scaled, &mut codes);
        let mut decoded = vec![0.0; others.len()];
        book.decode(&codes, &mut decoded);
        scaled::scale_back(&mut decoded, &scales);
        report.add(name, Digest::new().bytes(book.as_bytes()).bytes(&codes).floats(&decoded));
    }
    report.compare();
}

#[test]
fn the_choice_of_a_shape() {
    let mut report = Report::new("the_choice_of_a_shape");
    let sample = rows(100, 1200, DIM);
    let plain = Shape {
        dim: DIM,
        row_bytes: 5,
        window: 4,
        directions: 0,
        metric: None,
        quality: Quality::Normal,
        is_scaled: true,
        rows: 0,
    };
    let of_directions = |directions| Some(Shape { directions, ..plain });
    let shape = better_shape(&sample, &plain, &of_directions, 3, &mut Work::default()).unwrap();
    report.add("shape", Digest::new().ids(&[shape.row_bytes, shape.window, shape.directions].map(|n| n as u64)));
    report.compare();
}

/// Every vector as it is read, in order of id.
fn contents(store: &Store) -> Digest {
    let (mut position, mut digest) = (0, Digest::new());
    let (mut ids, mut vectors) = (vec![0; 4096], vec![0.0; 4096 * store.dim() as usize]);
    loop {
        let count = store.list(&mut position, &mut ids, Some(&mut vectors)).unwrap();
        if count == 0 {
            return digest;
        }
        digest = digest.ids(&ids[..count]).floats(&vectors[..count * store.dim() as usize]);
    }
}

/// The answers to queries in several ways.
fn answers(store: &Store, queries: &[f32]) -> Digest {
    let allowed: Vec<u64> = (0..store.count()).filter(|id| id % 7 == 3).collect();
    let ways = [
        SearchOptions::default(),
        SearchOptions { effort: 0.3, ..SearchOptions::default() },
        SearchOptions { effort: 1.0, rerank: 40, ..SearchOptions::default() },
        SearchOptions { is_exact: true, ..SearchOptions::default() },
        SearchOptions { allow_ids: Some(&allowed[..50]), ..SearchOptions::default() },
        SearchOptions { allow_ids: Some(&allowed), ..SearchOptions::default() },
    ];
    let count = queries.len() / store.dim() as usize;
    let mut digest = Digest::new();
    for options in ways {
        for k in [1, 10, 60] {
            let (mut ids, mut distances) = (vec![0; count * k], vec![0.0; count * k]);
            store.search(queries, k, &options, &mut ids, &mut distances).unwrap();
            digest = digest.ids(&ids).floats(&distances);
        }
    }
    digest
}

/// A store of `count` vectors with some deleted and some put again, compressed at `ratio` unless that is 1.
fn report_store(report: &mut Report, metric: Metric, ratio: f64, count: usize) {
    let home = tempfile::tempdir().unwrap();
    let options = Options { metric: Some(metric), ..Options::default() };
    let store = Store::open(&home.path().join("store"), DIM as u32, &options).unwrap();
    store.insert(None, &rows(0, count, DIM)).unwrap();
    let again: Vec<u64> = (0..100).map(|index| index * 11).collect();
    store.upsert(&again, &rows(count, 100, DIM)).unwrap();
    store.delete(&(0..200).map(|index| index * 13 + 1).collect::<Vec<u64>>()).unwrap();
    if ratio > 1.0 {
        store
            .compress(&CompressOptions { ratio, sample: 2000, ..CompressOptions::default() }, &mut Work::default())
            .unwrap();
        store.delete(&[2, 3, 5, 7]).unwrap();
        store.upsert(&[17, 19], &rows(count + 100, 2, DIM)).unwrap();
    }
    let what = format!("{metric:?}-{ratio}-{count}");
    report.add(&format!("{what}-contents"), contents(&store));
    report.add(&format!("{what}-answers"), answers(&store, &rows(7000, 24, DIM)));
    store.close().unwrap();
}

#[test]
fn stores_and_answers() {
    let mut report = Report::new("stores_and_answers");
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        for ratio in [1.0, 1.5, 3.0, 6.0, 10.0] {
            report_store(&mut report, metric, ratio, 6000);
        }
    }
    report.compare();
}

#[test]
fn stores_with_inverted_lists() {
    let mut report = Report::new("stores_with_inverted_lists");
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        report_store(&mut report, metric, 4.0, 40_000);
    }
    report.compare();
}
