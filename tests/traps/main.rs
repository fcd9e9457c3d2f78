//! Mistakes that other vector stores made or that a store like this one invites, each a trap with a number and a test of
//! its own: `trap_NN_` and what went wrong. On real files and the real data set.
//!
//!     compress   1, 2, 3, 5, 7: vectors left raw, ratios that leave bytes out, codes passed off as the vectors
//!     ids        8, 9: ids not stored, or stored again and again
//!     calls      10 to 13: calls that do something else than they were asked for
//!     recovery   15 to 17, 19: logs cut, torn and damaged; an open that changes files
//!     beside     20, 21: logs and readers while a store grows, is compressed and compacted
//!     space      23, 27, 28: bytes on the disk and in memory
//!
//! The others are held elsewhere: 4 (a quantizer that only looks like one) by tests/codec.rs, which compares with a
//! reference; 6 and 18 (a crash in the middle of a compress; a count stored beside the data) by the simulator of
//! tests/crash.rs; 14 (an acknowledged batch lost) by the kills of tests/kill.rs; 22 (a system call whose failure goes
//! unnoticed) by tests/faults.rs and the full disk of tests/input.rs; 25 (a benchmark that cheats) by benches/peers, which
//! reads back what it wrote; 29 (the C ABI) by tests/abi.rs; 30 (docs ahead of code) by tests/tidy.rs. 24 (one of two files
//! measured) is `used` below: always the directory. 26 (rows made up by recovery) is `assert_found_by_another_process`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod beside;
mod calls;
mod compress;
mod ids;
#[path = "../memory/mod.rs"]
mod memory;
#[path = "../random/mod.rs"]
mod random;
mod recovery;
mod space;
#[path = "../waiting/mod.rs"]
mod waiting;

use omen::os::open_or_create_dir;
use omen::store::{CompressOptions, Mode, Options, Store, Tuning};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

type Model = BTreeMap<u64, Vec<f32>>;
/// Name and bytes.
type Files = BTreeMap<String, Vec<u8>>;

const SIFT_DIM: usize = 128;

/// The first `count` vectors of the real data set.
fn sift(count: usize) -> Vec<f32> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sift10k/base.bvecs")).unwrap();
    bytes.chunks_exact(4 + SIFT_DIM).take(count).flat_map(|row| row[4..].iter().map(|byte| f32::from(*byte))).collect()
}

/// `count` vectors that differ in every component.
fn vectors(first: u64, count: u64, dim: u64) -> Vec<f32> {
    (first * dim..(first + count) * dim).map(|i| (i * 7919 % 100_003) as f32 / 16.0 - 3000.0).collect()
}

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    (home, path)
}

fn open(path: &Path, dim: usize) -> Store {
    Store::open(path, dim as u32, &Options::default()).unwrap()
}

fn open_tuned(path: &Path, dim: usize, tuning: Tuning) -> Store {
    let dir = open_or_create_dir(path, true).unwrap();
    Store::open_tuned(Box::new(dir), dim as u32, &Options::default(), tuning).unwrap()
}

fn open_to_read(path: &Path) -> Store {
    Store::open(path, 0, &Options { mode: Mode::ReadOnly, ..Options::default() }).unwrap()
}

/// Everything in the store, by scanning it.
fn contents(store: &Store) -> Model {
    let (mut position, mut model, dim) = (0, Model::new(), store.dim() as usize);
    let (mut ids, mut rows) = (vec![0; 1000], vec![0.0; 1000 * dim]);
    loop {
        let count = store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
        if count == 0 {
            assert_eq!(store.count(), model.len() as u64);
            return model;
        }
        model.extend(ids[..count].iter().copied().zip(rows.chunks(dim).map(<[f32]>::to_vec)));
    }
}

fn get(store: &Store, id: u64) -> Vec<f32> {
    let mut out = vec![0.0; store.dim() as usize];
    store.get(&[id], &mut out, None).unwrap();
    out
}

fn bits(vectors: &[f32]) -> Vec<u32> {
    vectors.iter().map(|value| value.to_bits()).collect()
}

/// Every file with its bytes.
fn files(path: &Path) -> Files {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

/// Bytes of all files of the directory: apparent, and allocated.
fn used(path: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    entries.fold((0, 0), |(apparent, allocated), file| (apparent + file.len(), allocated + file.blocks() * 512))
}

fn assert_used(path: &Path, at_most: u64, what: &str) {
    let (apparent, allocated) = used(path);
    assert!(
        apparent <= at_most && allocated <= at_most,
        "{what}: {apparent} bytes, {allocated} allocated, of {at_most}"
    );
}

/// Runs `child` in a process of its own and returns what it wrote.
fn in_another_process(role: &str, path: &Path) -> Vec<u8> {
    let answer = path.with_extension(format!("answer-{role}"));
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--include-ignored", "--test-threads=1"])
        .env("OMEN_CHILD", role)
        .env("OMEN_CHILD_PATH", path)
        .env("OMEN_CHILD_ANSWER", &answer)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::read(answer).unwrap()
}

/// What `in_another_process` runs.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn child() {
    let Ok(role) = std::env::var("OMEN_CHILD") else { return };
    let path = PathBuf::from(std::env::var("OMEN_CHILD_PATH").unwrap());
    let answer = match role.as_str() {
        "contents" => to_bytes(&contents(&open_to_read(&path))),
        "memory" => space::memory_of_a_large_store(&path).map(u64::to_le_bytes).concat(),
        other => panic!("{other}"),
    };
    std::fs::write(std::env::var("OMEN_CHILD_ANSWER").unwrap(), answer).unwrap();
}

/// Ids and float bits, one after the other.
fn to_bytes(model: &Model) -> Vec<u8> {
    let row = |(id, row): (&u64, &Vec<f32>)| -> Vec<u8> {
        id.to_le_bytes().into_iter().chain(row.iter().flat_map(|value| value.to_bits().to_le_bytes())).collect()
    };
    model.iter().flat_map(row).collect()
}

/// A fresh process finds exactly `model`, bit for bit (trap 26: nothing is "recovered" that was not read).
fn assert_found_by_another_process(path: &Path, model: &Model) {
    assert!(in_another_process("contents", path) == to_bytes(model));
}

fn of_ids(ids: impl Iterator<Item = u64>, rows: &[f32], dim: usize) -> Model {
    ids.zip(rows.chunks(dim).map(<[f32]>::to_vec)).collect()
}

fn ratio(ratio: f64) -> CompressOptions {
    CompressOptions { ratio, ..CompressOptions::default() }
}
