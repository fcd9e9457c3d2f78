//! Traps of space: bytes on the disk and in memory.

use crate::{
    Model, SIFT_DIM, assert_found_by_another_process, assert_used, contents, home, in_another_process, open,
    open_to_read, ratio, sift, vectors,
};
use omen::work::Work;
use std::path::Path;

#[test]
fn trap_23_64_mb_allocated_for_one_vector() {
    for (count, at_most) in [(0, 12 << 10), (1, 20 << 10), (10, 24 << 10), (100, 80 << 10), (1000, 540 << 10)] {
        let (_home, path) = home();
        let store = open(&path, SIFT_DIM);
        store.insert(None, &sift(count)).unwrap();
        store.close().unwrap();
        assert_used(&path, at_most, &format!("{count} vectors"));
        assert_eq!(open_to_read(&path).count(), count as u64);
    }
}

/// Anonymous memory of this process.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// Writes 52 MB, then opens and reads it all; how much memory each took.
pub fn memory_of_a_large_store(path: &Path) -> [u64; 2] {
    let rows = vectors(0, 1000, SIFT_DIM as u64);
    let begin = anonymous_bytes();
    let store = open(path, SIFT_DIM);
    for _ in 0..100 {
        store.insert(None, &rows).unwrap();
    }
    store.commit().unwrap();
    let writing = anonymous_bytes().saturating_sub(begin);
    store.close().unwrap();
    drop(store);
    let begin = anonymous_bytes();
    let store = open_to_read(path);
    let (mut position, mut ids, mut out) = (0, vec![0; 1000], vec![0.0; 1000 * SIFT_DIM]);
    let mut sum = 0;
    while let found @ 1.. = store.list(&mut position, &mut ids, Some(&mut out)).unwrap() {
        sum += found;
    }
    assert_eq!(sum, 100_000);
    [writing, anonymous_bytes().saturating_sub(begin)]
}

#[test]
fn trap_27_a_memory_figure_by_formula() {
    let (_home, path) = home();
    let answer = in_another_process("memory", &path);
    let figures: Vec<u64> = answer.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    let at_most = 8 << 20;
    assert!(figures.iter().all(|bytes| *bytes <= at_most), "{figures:?} bytes for 52 MB of vectors, at most {at_most}");
}

#[test]
fn trap_28_deletes_never_give_space_back() {
    let (_home, path) = home();
    let rows = sift(10_000);
    let store = open(&path, SIFT_DIM);
    store.insert(None, &rows).unwrap();
    let doomed: Vec<u64> = (0..10_000).filter(|id| id % 10 != 3).collect();
    assert_eq!(store.delete(&doomed).unwrap(), 9000);
    store.compact(&mut Work::default()).unwrap();
    let live = 1000 * SIFT_DIM as u64 * 4;
    assert_used(&path, live + live / 20 + 16 * 1024, "raw, after compact");
    store.close().unwrap();
    assert_used(&path, live + live / 20 + 16 * 1024, "raw, after close");
    let kept = rows.chunks(SIFT_DIM).skip(3).step_by(10).map(<[f32]>::to_vec);
    assert_found_by_another_process(&path, &(0..1000).map(|i| i * 10 + 3).zip(kept).collect());
}

#[test]
fn trap_28_deletes_of_codes_give_space_back() {
    let (_home, path) = home();
    let store = open(&path, SIFT_DIM);
    store.insert(None, &sift(10_000)).unwrap();
    let report = store.compress(&ratio(16.0), &mut Work::default()).unwrap();
    let before = contents(&store);
    store.delete(&(0..9000).collect::<Vec<_>>()).unwrap();
    store.compact(&mut Work::default()).unwrap();
    store.close().unwrap();
    // Header, manifests and codebook stay; nine of ten codes go.
    let fixed = 3 * 4096 + report.codebook_bytes;
    let at_most = 1000 * report.code_bytes * 21 / 20 + fixed + 3 * 4096;
    assert_used(&path, at_most, "codes, after compact");
    let kept: Model = before.into_iter().filter(|(id, _)| *id >= 9000).collect();
    assert_found_by_another_process(&path, &kept);
}
