//! The store through its Rust API, on real files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod memory;
mod waiting;

use memory::MemoryDir;
use omen::error::Error;
use omen::format::{MANIFEST_NAMES, Manifest};
use omen::store::{CompressOptions, Mode, Options, SearchOptions, Store, Tuning};
use omen::work::Work;
use std::collections::BTreeMap;
use waiting::{Beside, GUARD};

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
    let mut model = BTreeMap::new();
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

fn check(store: &Store, model: &BTreeMap<u64, Vec<f32>>) {
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
    let options = CompressOptions { ratio: 16.0, ..CompressOptions::default() };
    let report = store.compress(&options, &mut Work::default()).unwrap();
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
    hear.recv_timeout(GUARD).expect("verify ends").unwrap();
    let verify = |_, _| {
        store.verify(&mut Work::default()).unwrap();
    };
    Beside::run(1, verify, |verifies| {
        for first in 0..40 {
            // Deletes and upserts leave tombstone files that the next swap replaces.
            store.upsert(&[first], &vectors(first, 1, 16)).unwrap();
            store.delete(&[first + 100]).unwrap();
            verifies.during("verify beside a compact", |work| store.compact(work));
        }
    });
    store.verify(&mut Work::default()).unwrap();
}

/// The message of a refused call.
fn refusal<T: std::fmt::Debug>(result: omen::error::Result<T>) -> String {
    match result.unwrap_err() {
        Error::InvalidArgument(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn slices_of_a_wrong_length_are_refused_and_nothing_is_written() {
    let store = Store::open_in(Box::new(MemoryDir::default()), 4, &Options::default()).unwrap();
    store.insert(None, &vectors(0, 3, 4)).unwrap();
    let (mut ids, mut rows, mut found, mut position) = ([7; 2], [7.0; 8], [7; 2], 0);
    let text = refusal(store.get(&[0, 1], &mut rows[..7], None));
    assert_eq!(text, "vectors: found 7 values, expected 2 x 4");
    assert_eq!(refusal(store.get(&[0], &mut rows, None)), "vectors: found 8 values, expected 1 x 4");
    let text = refusal(store.get(&[0, 1], &mut rows, Some(&mut found[..1])));
    assert_eq!(text, "found: found 1 values, expected 2 x 1");
    assert_eq!(refusal(store.contains(&[0], &mut found)), "found: found 2 values, expected 1 x 1");
    let text = refusal(store.list(&mut position, &mut ids, Some(&mut rows[..4])));
    assert_eq!(text, "vectors: found 4 values, expected 2 x 4");
    assert_eq!(refusal(store.insert(None, &rows[..7])), "1 ids with 7 floats of dim 4");
    assert_eq!(refusal(store.upsert(&[1, 2], &rows[..4])), "2 ids with 4 floats of dim 4");
    assert_eq!((ids, rows, found, position), ([7; 2], [7.0; 8], [7; 2], 0));
    assert_eq!(store.count(), 3);
}

#[test]
fn search_refuses_slices_of_a_wrong_length_and_efforts_out_of_range() {
    let store = Store::open_in(Box::new(MemoryDir::default()), 4, &Options::default()).unwrap();
    store.insert(None, &vectors(0, 3, 4)).unwrap();
    let search = |floats: usize, ids: usize, distances: usize, effort: f64| {
        let options = SearchOptions { effort, ..SearchOptions::default() };
        store.search(&vec![1.0; floats], 2, &options, &mut vec![0; ids], &mut vec![0.0; distances])
    };
    search(8, 4, 4, 1.0).unwrap();
    search(0, 0, 0, 0.0).unwrap();
    assert_eq!(refusal(search(7, 4, 4, 0.0)), "queries: 7 floats are not a multiple of dim 4");
    assert_eq!(refusal(search(8, 3, 4, 0.0)), "ids: room for 3 values, expected 2 queries x 2 neighbours");
    assert_eq!(refusal(search(8, 4, 5, 0.0)), "distances: room for 5 values, expected 2 queries x 2 neighbours");
    for effort in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let text = refusal(search(8, 4, 4, effort));
        assert_eq!(text, format!("options: effort is {effort}; expected 0 to 1"));
    }
}

#[test]
fn compress_refuses_ratios_below_one_and_not_finite() {
    let store = Store::open_in(Box::new(MemoryDir::default()), 4, &Options::default()).unwrap();
    store.insert(None, &vectors(0, 100, 4)).unwrap();
    for ratio in [0.99, -16.0, f64::NAN, f64::INFINITY] {
        let options = CompressOptions { ratio, ..CompressOptions::default() };
        let text = refusal(store.compress(&options, &mut Work::default()));
        assert!(text.starts_with("ratio ") && text.ends_with(": expected a number of at least 1"), "{text}");
    }
}

#[test]
fn every_call_on_a_closed_store_says_that_it_is_closed() {
    let store = Store::open_in(Box::new(MemoryDir::default()), 4, &Options::default()).unwrap();
    store.insert(None, &vectors(0, 3, 4)).unwrap();
    store.close().unwrap();
    let (mut ids, mut rows, mut found, mut distances) = ([0], [0.0; 4], [0], [0.0]);
    let results = [
        store.insert(None, &[1.0; 4]).map(drop),
        store.upsert(&[1], &[1.0; 4]),
        store.delete(&[1]).map(drop),
        store.commit(),
        store.get(&[1], &mut rows, None),
        store.contains(&[1], &mut found),
        store.list(&mut 0, &mut ids, None).map(drop),
        store.search(&[1.0; 4], 1, &SearchOptions::default(), &mut ids, &mut distances),
        store.stats().map(drop),
        store.verify(&mut Work::default()).map(drop),
        store.compact(&mut Work::default()),
        store.compress(&CompressOptions::default(), &mut Work::default()).map(drop),
    ];
    for (number, result) in results.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Closed), "call {number}: {error:?}");
        assert_eq!(error.to_string(), "the store is closed");
    }
    store.close().unwrap();
}

#[test]
fn opening_what_is_not_there_names_the_path_and_what_creates_it() {
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let missing = home.path().join("missing");
    for path in [&empty, &missing] {
        for mode in [Mode::ReadWrite, Mode::ReadOnly] {
            let error = Store::open(path, 4, &Options { mode, ..Options::default() }).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::NotAStore(_)), "{error:?}");
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            assert!(text.contains("READ_WRITE_CREATE"), "{text}");
        }
    }
    let error = Store::open(&missing, 0, &Options::default()).unwrap_err();
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
}

#[test]
fn compress_and_compact_are_refused_inside_the_progress_function_of_either() {
    let store = Store::open_in(Box::new(MemoryDir::default()), 16, &Options::default()).unwrap();
    store.insert(None, &vectors(0, 2000, 16)).unwrap();
    store.delete(&[5]).unwrap();
    let mut texts = Vec::new();
    let mut inside = |_, _| {
        texts.push(refusal(store.compact(&mut Work::default())));
        texts.push(refusal(store.close()));
        true
    };
    let cancelled = store.compact(&mut Work::new(0, Some(&mut inside)));
    assert!(matches!(cancelled, Err(Error::Cancelled { .. })), "{cancelled:?}");
    let options = CompressOptions { ratio: 2.0, ..CompressOptions::default() };
    let cancelled = store.compress(&options, &mut Work::new(0, Some(&mut inside)));
    assert!(matches!(cancelled, Err(Error::Cancelled { .. })), "{cancelled:?}");
    assert_eq!(texts.len(), 4);
    assert!(texts.iter().all(|text| text.contains("from the progress function of a compress or compact")), "{texts:?}");
    // verify holds no lock: what it calls runs.
    let mut inside = |_, _| store.compact(&mut Work::default()).is_err();
    store.verify(&mut Work::new(0, Some(&mut inside))).unwrap();
}

/// All vectors by id, bit for bit.
fn all_vectors(store: &Store) -> Vec<(u64, Vec<u32>)> {
    let (mut position, mut seen, dim) = (0, Vec::new(), store.dim() as usize);
    let (mut ids, mut rows) = (vec![0; 512], vec![0.0; 512 * dim]);
    loop {
        let n = store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
        if n == 0 {
            return seen;
        }
        let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect();
        seen.extend(ids[..n].iter().copied().zip(rows.chunks(dim).map(bits)));
    }
}

/// The manifest, which both copies hold.
fn stored_manifest(dir: &MemoryDir) -> Manifest {
    let copies = MANIFEST_NAMES.map(|name| Manifest::decode(name, &dir.bytes(name)).unwrap());
    assert_eq!(copies[0], copies[1]);
    copies[0].clone()
}

/// The files that the directory must hold: those that the manifest lists, and the manifests. The log comes with a write.
fn listed_files(manifest: &Manifest) -> Vec<String> {
    let files = manifest.files.iter().map(|file| file.kind.file_name(file.id));
    let mut names: Vec<String> = files.chain(MANIFEST_NAMES.map(str::to_owned)).collect();
    names.sort();
    names
}

/// Each close seals the log.
fn open_copy(dir: &MemoryDir) -> Store {
    let tuning = Tuning { close_seal_bytes: 0, ..Tuning::default() };
    Store::open_tuned(Box::new(dir.clone()), 16, &Options::default(), tuning).unwrap()
}

/// A closed store of two groups that compact rewrites: a coded segment and two raw ones, with deletes in each; no log.
fn two_groups() -> MemoryDir {
    let dir = MemoryDir::default();
    let store = open_copy(&dir);
    store.insert(None, &vectors(0, 5000, 16)).unwrap();
    store.compress(&CompressOptions { ratio: 2.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store.close().unwrap();
    for first in [5000, 9500] {
        let store = open_copy(&dir);
        store.insert(None, &vectors(first, 4500, 16)).unwrap();
        store.delete(&[first - 7, first + 7, first + 4000]).unwrap();
        store.close().unwrap();
    }
    dir
}

/// Work that is cancelled at its step number `last`; counts the steps.
fn cancelled_at(last: usize, run: impl FnOnce(&mut Work) -> omen::error::Result<()>) -> (usize, Option<Error>) {
    let mut steps = 0;
    let mut on_progress = |_, _| {
        steps += 1;
        steps == last
    };
    let error = run(&mut Work::new(1, Some(&mut on_progress))).err();
    (steps, error)
}

#[test]
fn a_compact_that_is_cancelled_at_any_step_leaves_the_store_as_it_was() {
    let base = two_groups();
    let (before, manifest) = (all_vectors(&open_copy(&base.copy())), stored_manifest(&base));
    assert_eq!((manifest.files.len(), before.len()), (4, 13_994));
    assert_eq!(base.stored(), listed_files(&manifest));
    for last in 1.. {
        let dir = base.copy();
        let store = open_copy(&dir);
        let (steps, error) = cancelled_at(last, |work| store.compact(work));
        assert!(all_vectors(&store) == before, "step {last}");
        if let Some(error) = error {
            assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
            assert_eq!(stored_manifest(&dir), manifest, "step {last}");
            assert_eq!(dir.stored(), base.stored(), "step {last}");
        } else {
            assert!(steps >= 5 && last == steps + 1, "{steps} steps, {last} tried");
            assert_eq!(stored_manifest(&dir).files.len(), 2);
            assert_eq!(store.stats().unwrap().deleted, 0);
        }
        store.verify(&mut Work::default()).unwrap();
        store.insert(None, &vectors(0, 1, 16)).unwrap();
        store.close().unwrap();
        let manifest = stored_manifest(&dir);
        assert_eq!(dir.stored(), listed_files(&manifest), "step {last}");
        assert_eq!(open_copy(&dir).count(), before.len() as u64 + 1);
        if steps < last {
            return;
        }
    }
}

#[test]
fn verify_and_compact_report_forward_and_end_at_their_total() {
    let store = open_copy(&two_groups());
    for run in [|store: &Store, work: &mut Work| store.verify(work).map(drop), Store::compact] {
        let mut reports = Vec::new();
        let mut on_progress = |done: u64, total: u64| {
            reports.push((done, total));
            false
        };
        run(&store, &mut Work::new(0, Some(&mut on_progress))).unwrap();
        assert!(reports.is_sorted() && reports.iter().all(|report| report.1 == reports[0].1), "{reports:?}");
        assert!(reports.last().is_some_and(|(done, total)| done == total && *total > 0), "{reports:?}");
    }
}

#[test]
fn a_verify_that_is_cancelled_at_any_step_changes_nothing() {
    let dir = two_groups();
    let before = dir.contents();
    let store = open_copy(&dir);
    for last in 1.. {
        let (steps, error) = cancelled_at(last, |work| store.verify(work).map(drop));
        assert!(dir.contents() == before, "step {last}");
        match error {
            Some(Error::Cancelled { .. }) => {}
            None if last == steps + 1 && steps >= 4 => return,
            other => panic!("step {last} of {steps}: {other:?}"),
        }
    }
}
