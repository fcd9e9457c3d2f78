//! The store through its Rust surface, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use omen::error::Error;
use omen::store::{CompressOptions, Mode, Options, Store};
use omen::work::Work;

fn vectors(first: u64, count: usize, dim: usize) -> Vec<f32> {
    (0..count * dim).map(|i| ((first as usize * dim + i) * 7919 % 1000) as f32 / 10.0).collect()
}

fn open(path: &std::path::Path, dim: u32) -> Store {
    Store::open(path, dim, &Options::default()).unwrap()
}

#[test]
fn what_was_inserted_is_read_back_bit_for_bit_before_and_after_reopening() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let store = open(&path, 16);
    let data = vectors(0, 5000, 16);
    assert_eq!(store.insert(None, &data).unwrap(), 0);
    let mut out = vec![0.0; 16];
    store.get(&[4999], &mut out, None).unwrap();
    assert_eq!(out, data[4999 * 16..]);
    store.close().unwrap();
    let store = open(&path, 16);
    assert_eq!(store.count(), 5000);
    let mut all = vec![0.0; data.len()];
    store.get(&(0..5000).collect::<Vec<_>>(), &mut all, None).unwrap();
    assert_eq!(all, data);
    store.verify(&mut Work::default()).unwrap();
}

#[test]
fn random_ids_upserts_and_deletes_survive_reopening() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let mut model = std::collections::BTreeMap::new();
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..6u64 {
        let store = open(&path, 4);
        for step in 0..400u64 {
            let id = next() % 500 * 0x1234_5678_9abc;
            let vector = vectors(round * 1000 + step, 1, 4);
            match next() % 4 {
                0 => {
                    assert_eq!(store.delete(&[id]).unwrap(), u64::from(model.remove(&id).is_some()));
                }
                1 if !model.contains_key(&id) => {
                    store.insert(Some(&[id]), &vector).unwrap();
                    model.insert(id, vector);
                }
                1 => {
                    let error = store.insert(Some(&[id]), &vector).unwrap_err();
                    assert!(matches!(error, Error::DuplicateId { .. }), "{error}");
                }
                _ => {
                    store.upsert(&[id], &vector).unwrap();
                    model.insert(id, vector);
                }
            }
        }
        if round == 3 {
            store.compact(&mut Work::default()).unwrap();
        }
        check(&store, &model);
        store.close().unwrap();
        check(&open_read(&path), &model);
    }
}

fn open_read(path: &std::path::Path) -> Store {
    Store::open(path, 0, &Options { mode: Mode::ReadOnly, ..Options::default() }).unwrap()
}

fn check(store: &Store, model: &std::collections::BTreeMap<u64, Vec<f32>>) {
    assert_eq!(store.count(), model.len() as u64);
    let (mut position, mut seen) = (0, Vec::new());
    loop {
        let (mut ids, mut rows) = (vec![0; 37], vec![0.0; 37 * 4]);
        let n = store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
        if n == 0 {
            break;
        }
        seen.extend((0..n).map(|i| (ids[i], rows[i * 4..i * 4 + 4].to_vec())));
    }
    assert_eq!(seen, model.iter().map(|(id, v)| (*id, v.clone())).collect::<Vec<_>>());
    store.verify(&mut Work::default()).unwrap();
}

#[test]
fn compress_meets_the_ratio_with_the_whole_directory_and_keeps_every_id() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sift10k/base.bvecs")).unwrap();
    let data: Vec<f32> = bytes.chunks_exact(132).flat_map(|row| row[4..].iter().map(|b| f32::from(*b))).collect();
    let store = open(&path, 128);
    store.insert(None, &data).unwrap();
    let report = store.compress(&CompressOptions::default(), &mut Work::default()).unwrap();
    assert!(report.ratio >= 16.0, "{report:?}");
    assert!(report.relative_mse < 0.06, "{report:?}");
    store.close().unwrap();
    let store = open(&path, 0);
    let mut out = vec![0.0; data.len()];
    store.get(&(0..10_000).collect::<Vec<_>>(), &mut out, None).unwrap();
    let error: f64 = data.iter().zip(&out).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let energy: f64 = data.iter().map(|a| f64::from(*a).powi(2)).sum();
    assert!((error / energy / report.relative_mse - 1.0).abs() < 1e-6);
    let used: u64 = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(used * 16 <= data.len() as u64 * 4, "{used}");
}

#[test]
fn verify_runs_inside_a_progress_function_and_beside_writers() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("store"), 16);
    store.insert(None, &vectors(0, 2000, 16)).unwrap();
    let (tell, hear) = std::sync::mpsc::channel();
    let store = std::sync::Arc::new(store);
    let compressing = std::sync::Arc::clone(&store);
    // Not joined: where `verify` waits for the compress that called it, neither ever ends.
    std::thread::spawn(move || {
        let mut verify = |_, _| {
            tell.send(compressing.verify(&mut Work::default()).map(drop)).unwrap();
            true
        };
        let options = CompressOptions { ratio: 2.0, ..CompressOptions::default() };
        compressing.compress(&options, &mut Work::new(0, Some(&mut verify)))
    });
    hear.recv_timeout(std::time::Duration::from_secs(20)).expect("verify ends").unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for first in 0..40 {
                // Deletes and upserts leave tombstone files that the next swap replaces.
                store.upsert(&[first], &vectors(first, 1, 16)).unwrap();
                store.delete(&[first + 100]).unwrap();
                store.compact(&mut Work::default()).unwrap();
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
            store.verify(&mut Work::default()).unwrap();
        }
    });
    store.verify(&mut Work::default()).unwrap();
}
