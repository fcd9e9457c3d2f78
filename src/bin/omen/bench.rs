//! `omen bench`: what the disk does and what the store does on this machine, in a few seconds.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::progress::{self, Progress};
use crate::scratch::Scratch;
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
const CALL: usize = 1_000;
const RAW_BYTES: usize = 128 << 20;
const PIECE_BYTES: usize = 1 << 20;
const SYNCS: usize = 50;
const SINGLES: usize = 50;
const GETS: usize = 100_000;
const QUERIES: usize = 200;
const STEPS: u64 = 8;

/// Measure what the disk and the store do on this machine
///
/// Takes some seconds and 256 MB, in a directory of its own that goes at the end. Vectors are random, of 128 floats;
/// figures are of one run.
#[derive(Args)]
pub struct Bench {
    /// Where to write
    #[arg(default_value = ".")]
    directory: PathBuf,
}

/// Figures so far, with a look at Ctrl-C before each.
struct Figures {
    measured: Map<String, Value>,
    progress: Progress,
}

impl Figures {
    fn add(&mut self, name: &str, value: f64) -> Outcome<()> {
        self.measured.insert(name.to_owned(), rounded(value));
        self.progress.at(self.measured.len() as u64)
    }

    /// Adds `amount` for each second that `work` takes; returns what it made.
    fn rate<T>(&mut self, name: &str, amount: f64, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let begin = Instant::now();
        let made = work()?;
        self.add(name, amount / begin.elapsed().as_secs_f64())?;
        Ok(made)
    }
}

impl Bench {
    pub fn run(self) -> Outcome<Answer> {
        let scratch = Scratch::new(&self.directory)?;
        let mut figures = Figures { measured: Map::new(), progress: Progress::new("bench", STEPS) };
        disk(scratch.path(), &mut figures)?;
        let vectors = random_vectors(VECTORS);
        inserts(&scratch.path().join("calls"), &vectors, &mut figures)?;
        life(&scratch.path().join("life"), &vectors, &mut figures)?;
        drop(figures.progress);
        Ok(Answer::of_figures(Value::Object(figures.measured)))
    }
}

fn disk(directory: &Path, figures: &mut Figures) -> Outcome<()> {
    let path = directory.join("raw");
    let mut file = File::create(&path).map_err(Failure::io("create", &path))?;
    let piece = vec![0x5a; PIECE_BYTES];
    let write = |file: &mut File, bytes: &[u8]| file.write_all(bytes).map_err(Failure::io("write", &path));
    figures.rate("disk_write_mb_per_second", RAW_BYTES as f64 / 1e6, || {
        (0..RAW_BYTES / PIECE_BYTES).try_for_each(|_| write(&mut file, &piece))?;
        file.sync_data().map_err(Failure::io("sync", &path))
    })?;
    let begin = Instant::now();
    for _ in 0..SYNCS {
        write(&mut file, &piece[..4096])?;
        file.sync_data().map_err(Failure::io("sync", &path))?;
    }
    figures.add("disk_write_4k_and_sync_us", begin.elapsed().as_secs_f64() / SYNCS as f64 * 1e6)?;
    std::fs::remove_file(&path).map_err(Failure::io("remove", &path))
}

fn inserts(path: &Path, vectors: &[f32], figures: &mut Figures) -> Outcome<()> {
    let store = Store::open(path, DIM as u32, &Options::default())?;
    figures.rate("insert_commit_each_1000_per_second", VECTORS as f64, || {
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
    figures.add("insert_commit_one_us", begin.elapsed().as_secs_f64() / SINGLES as f64 * 1e6)
}

/// One commit for all, gets, compress, searches.
fn life(path: &Path, vectors: &[f32], figures: &mut Figures) -> Outcome<()> {
    let store = Store::open(path, DIM as u32, &Options::default())?;
    figures.rate("insert_one_commit_per_second", VECTORS as f64, || {
        vectors.chunks(CALL * DIM).try_for_each(|call| store.insert(None, call).map(drop))?;
        Ok(store.commit()?)
    })?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut out = vec![0.0; DIM];
    figures.rate("get_per_second", GETS as f64, || {
        (0..GETS).try_for_each(|_| Ok(store.get(&[random.u64(..VECTORS as u64)], &mut out, None)?))
    })?;
    figures.rate("compress_ratio_16_per_second", VECTORS as f64, || {
        let is_pressed = &mut |_, _| progress::is_pressed();
        Ok(store.compress(&CompressOptions::default(), &mut Work::new(0, Some(is_pressed)))?)
    })?;
    let (mut ids, mut distances) = (vec![0; QUERIES * 10], vec![0.0; QUERIES * 10]);
    let queries = &vectors[..QUERIES * DIM];
    figures.rate("search_compressed_queries_per_second", QUERIES as f64, || {
        Ok(store.search(queries, 10, &SearchOptions::default(), &mut ids, &mut distances)?)
    })?;
    Ok(store.close()?)
}

/// Clusters, as real vectors have them: each a centre of its own and some noise.
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
