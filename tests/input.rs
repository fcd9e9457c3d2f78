//! Bad input: each has its status and a message with numbers, and changes nothing.
//!
//! If the system refuses a mount, tests that need one are skipped and say so; with OMEN_REQUIRE_ALL set they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use omen::error::Error;
use omen::metric::Metric;
use omen::store::{CompressOptions, Mode, Options, SearchOptions, Store, SyncMode};
use omen::work::Work;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DIM: usize = 8;

fn vectors(first: u64, count: u64, dim: usize) -> Vec<f32> {
    (first * dim as u64..(first + count) * dim as u64).map(|i| (i * 7919 % 100_003) as f32 / 16.0 - 3000.0).collect()
}

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    (home, path)
}

fn mode(mode: Mode) -> Options {
    Options { mode, ..Options::default() }
}

fn open(path: &Path, dim: usize) -> Store {
    Store::open(path, dim as u32, &Options::default()).unwrap()
}

/// Every file with its bytes; none where there is no directory.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(path) else { return BTreeMap::new() };
    let entries = entries.map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

fn contents(store: &Store) -> BTreeMap<u64, Vec<u32>> {
    let (mut position, mut model, dim) = (0, BTreeMap::new(), store.dim() as usize);
    let (mut ids, mut rows) = (vec![0; 100], vec![0.0; 100 * dim]);
    loop {
        let count = store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
        let bits = |row: &[f32]| row.iter().map(|value: &f32| value.to_bits()).collect();
        model.extend(ids[..count].iter().copied().zip(rows.chunks(dim).map(bits)));
        if count == 0 {
            assert_eq!(store.count(), model.len() as u64);
            return model;
        }
    }
}

/// An open store of a hundred vectors with ids 0, 10, 20, ..., all durable.
fn hundred(path: &Path) -> Store {
    let store = open(path, DIM);
    store.insert(Some(&(0..100).map(|id| id * 10).collect::<Vec<_>>()), &vectors(0, 100, DIM)).unwrap();
    store.commit().unwrap();
    store
}

/// The call fails with `status`, its message holds each of `words`, and nothing in memory or on disk is different.
fn refuses<T>(path: &Path, store: &Store, status: i32, words: &[&str], call: impl FnOnce() -> Result<T, Error>) {
    let (before, bytes) = (contents(store), files(path));
    let Err(error) = call() else { panic!("accepted, expected status {status} with {words:?}") };
    says(&error, status, words);
    assert!(contents(store) == before, "{error}: contents changed");
    store.commit().unwrap();
    assert!(files(path) == bytes, "{error}: files changed");
}

fn says(error: &Error, status: i32, words: &[&str]) {
    let message = error.to_string();
    assert_eq!(error.status(), status, "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{message:?}, expected {words:?}");
}

#[test]
fn dims_out_of_range_or_other_than_the_stores() {
    let (_home, path) = home();
    for (dim, words) in
        [(0, ["no dim is given", "65536"]), (65_537, ["65537", "65536"]), (u32::MAX, ["4294967295", "65536"])]
    {
        for mode in [mode(Mode::ReadWriteCreate), mode(Mode::CreateNew)] {
            says(&Store::open(&path, dim, &mode).unwrap_err(), 3, &words);
            assert!(!path.exists(), "nothing was made for dim {dim}");
        }
    }
    let store = hundred(&path);
    store.close().unwrap();
    let bytes = files(&path);
    for (dim, words) in [(7, ["7", "8"]), (9, ["9", "8"]), (65_536, ["65536", "8"])] {
        for kind in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly] {
            says(&Store::open(&path, dim, &mode(kind)).unwrap_err(), 4, &words);
        }
    }
    says(&Store::open(&path, 65_537, &Options::default()).unwrap_err(), 3, &["65537", "65536"]);
    assert!(files(&path) == bytes);
    let store = open(&path, 0);
    for floats in [1, 7, 9, 15, 17] {
        refuses(&path, &store, 3, &[&floats.to_string(), "8"], || store.insert(None, &vec![1.0; floats]));
    }
    refuses(&path, &store, 3, &["1", "16"], || store.insert(Some(&[5]), &[1.0; 16]));
    refuses(&path, &store, 3, &["3", "16"], || store.upsert(&[5, 6, 7], &[1.0; 16]));
}

#[test]
fn the_largest_dim_works() {
    let (_home, path) = home();
    let store = open(&path, 65_536);
    store.insert(None, &vectors(3, 2, 65_536)).unwrap();
    store.close().unwrap();
    let mut row = vec![0.0; 65_536];
    open(&path, 0).get(&[1], &mut row, None).unwrap();
    assert_eq!(row, vectors(4, 1, 65_536));
}

#[test]
fn another_metric() {
    let (_home, path) = home();
    let cosine = Options { metric: Some(Metric::Cosine), ..Options::default() };
    Store::open(&path, 8, &cosine).unwrap().close().unwrap();
    let bytes = files(&path);
    for kind in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly] {
        let product = Options { metric: Some(Metric::InnerProduct), ..mode(kind) };
        says(&Store::open(&path, 8, &product).unwrap_err(), 5, &["inner_product", "cosine"]);
    }
    assert!(files(&path) == bytes);
}

#[test]
fn values_that_are_not_finite_refuse_the_whole_call() {
    let (_home, path) = home();
    let store = hundred(&path);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 7, 8, 100, 39 * DIM + 3, 40 * DIM - 1] {
            let mut rows = vectors(500, 40, DIM);
            rows[at] = value;
            let words = [format!("vector {}", at / DIM), format!("component {}", at % DIM), value.to_string()];
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let ids: Vec<u64> = (2000..2040).collect();
            refuses(&path, &store, 6, &words, || store.insert(None, &rows));
            refuses(&path, &store, 6, &words, || store.insert(Some(&ids), &rows));
            refuses(&path, &store, 6, &words, || store.upsert(&(0..40).map(|id| id * 10).collect::<Vec<_>>(), &rows));
            let (mut ids, mut distances) = ([5; 40], [5.0; 40]);
            let options = SearchOptions::default();
            refuses(&path, &store, 6, &words, || store.search(&rows, 1, &options, &mut ids, &mut distances));
            assert_eq!((ids, distances), ([5; 40], [5.0; 40]));
        }
    }
}

#[test]
fn ids_given_twice_stored_already_reserved_or_missing() {
    let (_home, path) = home();
    let store = hundred(&path);
    let rows = vectors(500, 3, DIM);
    refuses(&path, &store, 8, &["id 3", "number 2", "twice"], || store.insert(Some(&[3, 1, 3]), &rows));
    refuses(&path, &store, 8, &["id 3", "number 1", "twice"], || store.upsert(&[3, 3, 10], &rows));
    refuses(&path, &store, 8, &["id 990", "number 2", "stored"], || store.insert(Some(&[3, 1, 990]), &rows));
    refuses(&path, &store, 8, &["id 0", "number 0", "stored"], || store.insert(Some(&[0, 10, 20]), &rows));
    let reserved = u64::MAX.to_string();
    refuses(&path, &store, 3, &["number 1", &reserved], || store.insert(Some(&[3, u64::MAX, 4]), &rows));
    refuses(&path, &store, 3, &["number 0", &reserved], || store.upsert(&[u64::MAX, 1, 4], &rows));
    let mut out = [9.0; 2 * DIM];
    refuses(&path, &store, 7, &["id 11", "number 1"], || store.get(&[10, 11], &mut out, None));
    assert_eq!(out, [9.0; 2 * DIM]);
    refuses(&path, &store, 7, &["id 11", "number 0"], || store.get(&[11], &mut out[..DIM], None));
    assert_eq!(out, [9.0; 2 * DIM]);
    assert_eq!(store.delete(&[11, 12, u64::MAX]).unwrap(), 0);
    // The largest id there is leaves none behind it.
    store.insert(Some(&[u64::MAX - 1]), &rows[..DIM]).unwrap();
    store.commit().unwrap();
    refuses(&path, &store, 12, &[&(u64::MAX - 1).to_string()], || store.insert(None, &rows));
}

#[test]
fn empty_calls_are_no_errors_and_change_nothing() {
    let (_home, path) = home();
    let store = hundred(&path);
    let (before, bytes) = (contents(&store), files(&path));
    assert_eq!(store.insert(None, &[]).unwrap(), 991);
    store.insert(Some(&[]), &[]).unwrap();
    store.upsert(&[], &[]).unwrap();
    assert_eq!(store.delete(&[]).unwrap(), 0);
    store.get(&[], &mut [], None).unwrap();
    store.contains(&[], &mut []).unwrap();
    store.search(&[], 3, &SearchOptions::default(), &mut [], &mut []).unwrap();
    store.search(&[1.0; DIM], 0, &SearchOptions::default(), &mut [], &mut []).unwrap();
    assert_eq!(store.list(&mut 0, &mut [], None).unwrap(), 0);
    store.commit().unwrap();
    assert!(contents(&store) == before && files(&path) == bytes);
}

#[test]
fn a_path_that_is_missing_a_file_or_not_writable() {
    let (home, path) = home();
    for kind in [Mode::ReadWrite, Mode::ReadOnly] {
        says(&Store::open(&path, 8, &mode(kind)).unwrap_err(), 32, &["store"]);
        assert!(!path.exists());
    }
    let deep = home.path().join("a").join("b");
    says(&Store::open(&deep, 8, &Options::default()).unwrap_err(), 20, &["a/b"]);
    let file = home.path().join("file");
    std::fs::write(&file, b"mine").unwrap();
    for kind in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly, Mode::CreateNew] {
        says(&Store::open(&file, 8, &mode(kind)).unwrap_err(), 32, &["file"]);
        let below = Store::open(&file.join("store"), 8, &mode(kind)).unwrap_err();
        assert!([20, 32].contains(&below.status()), "{below}");
        let proc = Store::open(Path::new("/proc/omen-store"), 8, &mode(kind)).unwrap_err();
        assert!([20, 32].contains(&proc.status()) && proc.to_string().contains("/proc/omen-store"), "{proc}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_foreign_directory_and_a_store_where_none_may_be() {
    let (home, path) = home();
    let foreign = home.path().join("foreign");
    std::fs::create_dir_all(foreign.join("sub")).unwrap();
    std::fs::write(foreign.join("thesis.txt"), b"mine").unwrap();
    for kind in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly, Mode::CreateNew] {
        let error = Store::open(&foreign, 8, &mode(kind)).unwrap_err();
        assert_eq!(error.status(), 32, "{error}");
        assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 2, "{kind:?}");
    }
    hundred(&path).close().unwrap();
    let bytes = files(&path);
    says(&Store::open(&path, 8, &mode(Mode::CreateNew)).unwrap_err(), 3, &["exists"]);
    assert!(files(&path) == bytes);
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for kind in [Mode::ReadWrite, Mode::ReadOnly] {
        says(&Store::open(&empty, 8, &mode(kind)).unwrap_err(), 32, &["store"]);
        assert!(files(&empty).is_empty());
    }
    says(&Store::open(&empty, 0, &Options::default()).unwrap_err(), 3, &["no dim is given", "65536"]);
    assert!(files(&empty).is_empty());
    // What a crash in the middle of a creation leaves is no store yet.
    std::fs::write(empty.join("MANIFEST.A"), b"").unwrap();
    for kind in [Mode::ReadWrite, Mode::ReadOnly] {
        says(&Store::open(&empty, 8, &mode(kind)).unwrap_err(), 32, &["store"]);
        assert!(files(&empty)["MANIFEST.A"].is_empty());
    }
}

#[test]
fn locked_by_another_handle() {
    let (_home, path) = home();
    let store = hundred(&path);
    let bytes = files(&path);
    for kind in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::CreateNew] {
        says(&Store::open(&path, 8, &mode(kind)).unwrap_err(), 22, &["locked"]);
    }
    assert!(files(&path) == bytes);
    let reader = Store::open(&path, 8, &mode(Mode::ReadOnly)).unwrap();
    assert_eq!(reader.count(), 100);
    store.close().unwrap();
    open(&path, 8).close().unwrap();
}

/// What `locked_by_another_process` runs.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn child_that_holds_a_store() {
    let Ok(path) = std::env::var("OMEN_CHILD_PATH") else { return };
    let _store = hundred(Path::new(&path));
    println!("\nholding");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn locked_by_another_process() {
    let (_home, path) = home();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_holds_a_store", "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env("OMEN_CHILD_PATH", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"));
    let bytes = files(&path);
    says(&Store::open(&path, 8, &Options::default()).unwrap_err(), 22, &["locked", "process"]);
    assert_eq!(Store::open(&path, 8, &mode(Mode::ReadOnly)).unwrap().count(), 100);
    assert!(files(&path) == bytes);
    // Killed, it holds nothing any more.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(open(&path, 8).count(), 100);
}

#[test]
fn a_read_only_handle_writes_nothing() {
    let (_home, path) = home();
    hundred(&path).close().unwrap();
    let store = Store::open(&path, 8, &mode(Mode::ReadOnly)).unwrap();
    let (before, bytes) = (contents(&store), files(&path));
    let errors = [
        store.insert(None, &vectors(0, 1, DIM)).map(drop),
        store.upsert(&[1], &vectors(0, 1, DIM)),
        store.delete(&[0]).map(drop),
        store.commit(),
        store.compress(&CompressOptions::default(), &mut Work::default()).map(drop),
        store.compact(&mut Work::default()),
    ];
    errors.into_iter().for_each(|error| says(&error.unwrap_err(), 10, &["read-only"]));
    assert!(contents(&store) == before && files(&path) == bytes);
}

/// A tmpfs that goes when the test ends.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None` where the system does not let us.
    fn new(options: &str) -> Option<Mounted> {
        let home = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(home.path()).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Mounted(home));
        }
        assert!(std::env::var_os("OMEN_REQUIRE_ALL").is_none(), "mount -t tmpfs was refused");
        eprintln!("SKIP: mount -t tmpfs was refused");
        None
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn trap_22_a_really_full_disk() {
    for sync in [SyncMode::Commit, SyncMode::Each, SyncMode::None] {
        let Some(disk) = Mounted::new("size=8m") else { return };
        let path = disk.0.path().join("store");
        let store = Store::open(&path, 128, &Options { sync, ..Options::default() }).unwrap();
        let mut held = 0;
        let error = loop {
            match store.insert(None, &vectors(held, 50, 128)) {
                Ok(first) => held = first + 50,
                Err(error) => break error,
            }
            assert!(held < 20_000, "8 MiB hold no {held} vectors");
        };
        says(&error, 21, &["space"]);
        assert!(held > 8000, "{held} vectors were all that 8 MiB held");
        // One vector at a time may still fit; at the end none does, and each refusal leaves all as it was.
        while store.insert(None, &vectors(held, 1, 128)).is_ok() {
            held += 1;
        }
        let before = contents(&store);
        assert_eq!(before.len() as u64, held);
        says(&store.insert(None, &vectors(held, 1, 128)).unwrap_err(), 21, &["space"]);
        let full = store.compress(&CompressOptions::default(), &mut Work::default()).map(drop).unwrap_err();
        says(&full, 21, &["space"]);
        assert!(contents(&store) == before);
        // Deleting, committing and closing work on a full disk.
        store.commit().unwrap();
        assert_eq!(store.delete(&[0, 1, 2]).unwrap(), 3);
        store.commit().unwrap();
        store.close().unwrap();
        let store = open(&path, 128);
        let mut after = before;
        (0..3).for_each(|id| drop(after.remove(&id)));
        assert!(contents(&store) == after, "{sync:?}");
        store.verify(&mut Work::default()).unwrap();
        store.close().unwrap();
        // With room again, everything goes on.
        disk.remount("size=32m");
        let store = open(&path, 128);
        assert_eq!(store.insert(None, &vectors(0, 50, 128)).unwrap(), held);
        store.compress(&CompressOptions::default(), &mut Work::default()).unwrap();
        assert_eq!(store.count(), held + 47);
        store.close().unwrap();
    }
}

#[test]
fn trap_22_a_disk_too_full_for_a_new_store() {
    let Some(disk) = Mounted::new("size=512k") else { return };
    std::fs::write(disk.0.path().join("filler"), vec![1; 508 << 10]).unwrap();
    let path = disk.0.path().join("store");
    let opened = Store::open(&path, 128, &Options::default());
    says(&opened.unwrap_err(), 21, &["space"]);
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    let store = open(&path, 128);
    store.insert(None, &vectors(0, 1, 128)).unwrap_or_else(|error| panic!("{error}"));
    store.close().unwrap();
    assert_eq!(open(&path, 0).count(), 1);
}

#[test]
fn a_file_system_that_is_read_only() {
    let Some(disk) = Mounted::new("size=8m") else { return };
    let path = disk.0.path().join("store");
    hundred(&path).close().unwrap();
    let bytes = files(&path);
    disk.remount("ro");
    for kind in [Mode::ReadWriteCreate, Mode::ReadWrite] {
        let error = Store::open(&path, 8, &mode(kind)).unwrap_err();
        assert!([10, 20].contains(&error.status()), "{} {error}", error.status());
        assert!(error.to_string().to_lowercase().contains("read-only"), "{error}");
    }
    let elsewhere = Store::open(&disk.0.path().join("new"), 8, &Options::default()).unwrap_err();
    assert!([10, 20].contains(&elsewhere.status()) && elsewhere.to_string().contains("new"), "{elsewhere}");
    let store = Store::open(&path, 8, &mode(Mode::ReadOnly)).unwrap();
    assert_eq!(contents(&store).len(), 100);
    store.verify(&mut Work::default()).unwrap();
    store.stats().unwrap();
    store.close().unwrap();
    assert!(files(&path) == bytes);
}

#[test]
fn too_few_vectors_to_compress() {
    for count in [0, 1, 15] {
        let (_home, path) = home();
        let store = open(&path, 128);
        store.insert(None, &vectors(0, count, 128)).unwrap();
        store.commit().unwrap();
        let before = contents(&store);
        let error = store
            .compress(&CompressOptions { ratio: 1.0, ..CompressOptions::default() }, &mut Work::default())
            .unwrap_err();
        says(&error, 9, &[&count.to_string(), "16"]);
        assert!(contents(&store) == before);
        store.close().unwrap();
        assert!(contents(&open(&path, 128)) == before);
    }
}

/// The ratio that `bytes` of vectors can reach, from the message of a higher one. For a ratio below 1 it names the bytes that
/// the files take at least.
fn reachable(error: &Error, bytes: u64) -> f64 {
    let message = error.to_string();
    let number = |before: &str, after: &str| message.split(before).nth(1)?.split(after).next()?.parse::<f64>().ok();
    let least = || number("too small to compress: the least its files can take is ", " bytes");
    let named = number("; at most ", " can be reached");
    named.or_else(|| Some(bytes as f64 / least()?)).unwrap_or_else(|| panic!("{message}"))
}

#[test]
fn ratios_out_of_reach_name_the_one_that_is_reached() {
    for (count, dim) in [(16, 128), (16, 2048), (100, 128), (100, 960), (1000, 16), (5000, 128)] {
        let (_home, path) = home();
        let store = open(&path, dim);
        store.insert(None, &vectors(0, count, dim)).unwrap();
        store.commit().unwrap();
        let before = contents(&store);
        let ask =
            |ratio| store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default());
        let error = ask(1e6).unwrap_err();
        says(&error, 3, &["1000000", &count.to_string(), &dim.to_string()]);
        let most = reachable(&error, count * dim as u64 * 4);
        assert!(contents(&store) == before, "nothing is different after a refusal");
        if most < 1.0 {
            says(&ask(1.0).unwrap_err(), 3, &["ratio 1"]);
            continue;
        }
        says(&ask(most + 0.01).unwrap_err(), 3, &["can be reached"]);
        let report = ask((most - 0.001).max(1.0)).unwrap();
        assert!(report.ratio >= most - 0.001, "{report:?}, promised {most}");
        assert_eq!(store.count(), count);
    }
}

#[test]
fn ratios_that_are_no_ratios() {
    let (_home, path) = home();
    let store = hundred(&path);
    for ratio in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.999, -16.0] {
        let word = ratio.to_string();
        refuses(&path, &store, 3, &["ratio", &word], || {
            store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default())
        });
    }
}

#[test]
fn a_closed_handle_refuses_writes_and_closes_again() {
    let (_home, path) = home();
    let store = hundred(&path);
    store.close().unwrap();
    store.close().unwrap();
    assert_eq!(store.commit().unwrap_err().status(), 2);
    assert_eq!(store.insert(None, &vectors(0, 1, DIM)).unwrap_err().status(), 2);
    assert_eq!(store.compact(&mut Work::default()).unwrap_err().status(), 2);
}
