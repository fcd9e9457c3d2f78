//! `omen bench`: measures the speed of the disk and of the store on this machine, in a few seconds.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::progress::{self, Progress};
use crate::scratch::ScratchDir;
use clap::Args;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const DIM: usize = 128;
const VECTORS: usize = 50_000;
/// Vectors in one call of insert.
const CALL: usize = 1_000;
const RAW_BYTES: usize = 128 << 20;
const PIECE_BYTES: usize = 1 << 20;
const SYNCS: usize = 50;
const SINGLES: usize = 50;
const GETS: usize = 100_000;
const QUERIES: usize = 200;

/// The figures, in the order in which they are measured.
#[derive(Clone, Copy)]
enum Figure {
    DiskWrite,
    DiskSync,
    InsertCommitEach,
    InsertCommitOne,
    InsertCommitOnce,
    Get,
    Compress,
    Search,
}

impl Figure {
    /// Number of figures: the steps of the progress bar.
    const COUNT: u64 = 8;

    /// The name of the JSON member.
    fn key(self) -> &'static str {
        match self {
            Figure::DiskWrite => "disk_write_mb_per_second",
            Figure::DiskSync => "disk_write_4k_and_sync_us",
            Figure::InsertCommitEach => "insert_commit_each_1000_per_second",
            Figure::InsertCommitOne => "insert_commit_one_us",
            Figure::InsertCommitOnce => "insert_one_commit_per_second",
            Figure::Get => "get_per_second",
            Figure::Compress => "compress_ratio_16_per_second",
            Figure::Search => "search_compressed_queries_per_second",
        }
    }

    /// A line of text: label, value and unit.
    fn line(self, value: f64) -> String {
        let (label, amount) = match self {
            Figure::DiskWrite => ("write to the disk, one sync at the end", format!("{} MB a second", readable(value))),
            Figure::DiskSync => ("write 4 KiB to the disk and sync", format!("{} microseconds", readable(value))),
            Figure::InsertCommitEach => {
                ("insert, 1,000 vectors a call, a commit after each call", format!("{} a second", readable(value)))
            }
            Figure::InsertCommitOne => {
                ("insert, one vector a call, a commit after each call", format!("{} microseconds", readable(value)))
            }
            Figure::InsertCommitOnce => {
                ("insert, 1,000 vectors a call, one commit at the end", format!("{} a second", readable(value)))
            }
            Figure::Get => ("get, one vector a call", format!("{} a second", readable(value))),
            Figure::Compress => ("compress, ratio 16", format!("{} vectors a second", readable(value))),
            Figure::Search => {
                ("search of the compressed store, 10 neighbours", format!("{} queries a second", readable(value)))
            }
        };
        format!("{label}: {amount}\n")
    }
}

/// A number with two or three significant digits: `48`, `530`, `4,200`, `61 thousand`, `1.2 million`.
fn readable(value: f64) -> String {
    let with_decimal = |value: f64| if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    match value {
        value if value < 999.5 => with_decimal(value),
        value if value < 9_950.0 => {
            let hundreds = (value / 100.0).round() as u64;
            format!("{},{}00", hundreds / 10, hundreds % 10)
        }
        value if value < 999_500.0 => format!("{} thousand", with_decimal(value / 1e3)),
        value => format!("{} million", with_decimal(value / 1e6)),
    }
}

/// Measure the speed of the disk and of the store on this machine
///
/// Takes some seconds and 256 MB, in a directory that is removed at the end. The vectors are random, with 128 floats
/// each. Each figure is measured once, so expect the next run to differ.
#[derive(Args)]
pub struct Bench {
    /// Directory to write in
    #[arg(default_value = ".")]
    directory: PathBuf,
}

/// The figures so far. `add` checks for Ctrl-C.
struct Figures {
    text: String,
    json: Map<String, Value>,
    progress: Progress,
}

impl Figures {
    fn add(&mut self, figure: Figure, value: f64) -> Outcome<()> {
        self.text += &figure.line(value);
        self.json.insert(figure.key().to_owned(), rounded(value));
        self.progress.at(self.json.len() as u64)
    }

    /// Measures `amount` per second of `run`. Returns the result of `run`.
    fn rate<T>(&mut self, figure: Figure, amount: f64, run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let begin = Instant::now();
        let result = run()?;
        self.add(figure, amount / begin.elapsed().as_secs_f64())?;
        Ok(result)
    }
}

impl Bench {
    pub fn run(self) -> Outcome<Answer> {
        let scratch = ScratchDir::new(&self.directory)?;
        let progress = Progress::new("bench", Figure::COUNT);
        let mut figures = Figures { text: String::new(), json: Map::new(), progress };
        measure_disk(scratch.path(), &mut figures)?;
        let vectors = random_vectors(VECTORS);
        measure_commits(&scratch.path().join("commits"), &vectors, &mut figures)?;
        measure_reads(&scratch.path().join("reads"), &vectors, &mut figures)?;
        drop(figures.progress);
        Ok(Answer::new(figures.text, Value::Object(figures.json)))
    }
}

fn measure_disk(directory: &Path, figures: &mut Figures) -> Outcome<()> {
    let path = directory.join("raw");
    let mut file = File::create(&path).map_err(Failure::io("create", &path))?;
    let piece = vec![0x5a; PIECE_BYTES];
    let write = |file: &mut File, bytes: &[u8]| file.write_all(bytes).map_err(Failure::io("write", &path));
    figures.rate(Figure::DiskWrite, RAW_BYTES as f64 / 1e6, || {
        (0..RAW_BYTES / PIECE_BYTES).try_for_each(|_| write(&mut file, &piece))?;
        file.sync_data().map_err(Failure::io("sync", &path))
    })?;
    let begin = Instant::now();
    for _ in 0..SYNCS {
        write(&mut file, &piece[..4096])?;
        file.sync_data().map_err(Failure::io("sync", &path))?;
    }
    figures.add(Figure::DiskSync, begin.elapsed().as_secs_f64() / SYNCS as f64 * 1e6)?;
    std::fs::remove_file(&path).map_err(Failure::io("remove", &path))
}

/// Measures inserts with a commit after each call.
fn measure_commits(path: &Path, vectors: &[f32], figures: &mut Figures) -> Outcome<()> {
    let store = Store::open(path, DIM as u32, &Options::default())?;
    figures.rate(Figure::InsertCommitEach, VECTORS as f64, || {
        for call in vectors.chunks(CALL * DIM) {
            store.insert(None, call)?;
            store.commit()?;
        }
        Ok(())
    })?;
    let begin = Instant::now();
    for vector in vectors.chunks(DIM).take(SINGLES) {
        store.insert(None, vector)?;
        store.commit()?;
    }
    figures.add(Figure::InsertCommitOne, begin.elapsed().as_secs_f64() / SINGLES as f64 * 1e6)
}

/// Measures inserts with one commit for all vectors, then get, compress and search.
fn measure_reads(path: &Path, vectors: &[f32], figures: &mut Figures) -> Outcome<()> {
    let store = Store::open(path, DIM as u32, &Options::default())?;
    figures.rate(Figure::InsertCommitOnce, VECTORS as f64, || {
        vectors.chunks(CALL * DIM).try_for_each(|call| store.insert(None, call).map(drop))?;
        Ok(store.commit()?)
    })?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut out = vec![0.0; DIM];
    figures.rate(Figure::Get, GETS as f64, || {
        (0..GETS).try_for_each(|_| Ok(store.get(&[random.u64(..VECTORS as u64)], &mut out, None)?))
    })?;
    figures.rate(Figure::Compress, VECTORS as f64, || {
        let is_pressed = &mut |_, _| progress::is_pressed();
        Ok(store.compress(&CompressOptions::default(), &mut Work::new(0, Some(is_pressed)))?)
    })?;
    let (mut ids, mut distances) = (vec![0; QUERIES * 10], vec![0.0; QUERIES * 10]);
    let queries = &vectors[..QUERIES * DIM];
    figures.rate(Figure::Search, QUERIES as f64, || {
        Ok(store.search(queries, 10, &SearchOptions::default(), &mut ids, &mut distances)?)
    })?;
    Ok(store.close()?)
}

/// `count` vectors in 256 clusters, because real vectors are clustered: the centre of a cluster plus noise.
fn random_vectors(count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(0);
    let centres: Vec<f32> = (0..256 * DIM).map(|_| random.f32()).collect();
    let mut vectors = Vec::with_capacity(count * DIM);
    for _ in 0..count {
        let centre = random.usize(..256) * DIM;
        vectors.extend(centres[centre..centre + DIM].iter().map(|value| value + 0.3 * random.f32()));
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::{Figure, readable};

    const ALL: [Figure; Figure::COUNT as usize] = [
        Figure::DiskWrite,
        Figure::DiskSync,
        Figure::InsertCommitEach,
        Figure::InsertCommitOne,
        Figure::InsertCommitOnce,
        Figure::Get,
        Figure::Compress,
        Figure::Search,
    ];

    #[test]
    fn every_line_has_a_label_a_number_and_a_unit() {
        for line in ALL.map(|figure| figure.line(1_234.0)) {
            let (label, amount) = line.split_once(": 1,200 ").unwrap_or_default();
            assert!(!label.is_empty() && !label.contains('_'), "{line}");
            assert!(amount.ends_with("a second\n") || amount == "microseconds\n", "{line}");
        }
        assert_eq!(Figure::Get.line(1_234_567.0), "get, one vector a call: 1.2 million a second\n");
        assert_eq!(
            Figure::InsertCommitOne.line(87.4),
            "insert, one vector a call, a commit after each call: 87 microseconds\n"
        );
    }

    #[test]
    fn numbers_have_few_digits_at_every_size() {
        for (value, expected) in [
            (0.0, "0.0"),
            (9.94, "9.9"),
            (9.96, "10"),
            (999.4, "999"),
            (999.6, "1,000"),
            (4_249.0, "4,200"),
            (9_949.0, "9,900"),
            (9_951.0, "10 thousand"),
            (61_400.0, "61 thousand"),
            (999_600.0, "1.0 million"),
            (12_300_000.0, "12 million"),
        ] {
            assert_eq!(readable(value), expected);
        }
    }
}
