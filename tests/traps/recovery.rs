//! Traps of opening: logs cut, torn and damaged, and an open that changes files.

use crate::memory::MemoryDir;
use crate::{Files, Model, SIFT_DIM, contents, files, get, home, of_ids, open, open_to_read, sift, vectors};
use omen::error::Error;
use omen::format::{FileHeader, Kind, MANIFEST_NAMES, Manifest, VERSION, checksum, seed};
use omen::store::{Mode, Options, Store, SyncMode, Tuning};
use omen::work::Work;
use std::collections::BTreeMap;

/// Where the frames of a log end: zeros that wait to be overwritten may follow.
fn frames_end(log: &[u8]) -> usize {
    log.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(4096))
}

/// An unclosed store in memory: its log's name, how long the log was after each commit, and what the store held then.
struct Unclosed {
    dir: MemoryDir,
    log: String,
    /// From shortest to longest; the first is the empty log.
    states: Vec<(usize, Model)>,
}

fn memory_store(dir: &MemoryDir) -> omen::error::Result<Store> {
    // Small buffers, so that one call needs several frames.
    let tuning = Tuning { buffer_bytes: 512, ..Tuning::default() };
    Store::open_tuned(Box::new(dir.clone()), 4, &Options::default(), tuning)
}

fn unclosed() -> Unclosed {
    let dir = MemoryDir::default();
    let store = memory_store(&dir).unwrap();
    let log = Kind::Log.file_name(1);
    let mut states = vec![(0, Model::new())];
    let calls: [&dyn Fn(); 4] = [
        &|| assert_eq!(store.insert(None, &vectors(0, 5, 4)).unwrap(), 0),
        &|| assert_eq!(store.insert(Some(&[900, 50, 7000]), &vectors(5, 3, 4)).unwrap(), 900),
        &|| assert_eq!(store.delete(&[2, 50]).unwrap(), 2),
        &|| store.upsert(&(40..140).collect::<Vec<_>>(), &vectors(8, 100, 4)).unwrap(),
    ];
    for call in calls {
        call();
        store.commit().unwrap();
        states.push((frames_end(&dir.bytes(&log)), contents(&store)));
    }
    store.upsert(&[900, 901], &vectors(200, 2, 4)).unwrap();
    store.delete(&[0]).unwrap();
    store.commit().unwrap();
    states.push((frames_end(&dir.bytes(&log)), contents(&store)));
    Unclosed { dir: dir.copy(), log, states }
}

/// Opens what a crash left, finds exactly `expected`, appends, and finds all of it again.
fn assert_recovers(what: &str, dir: &MemoryDir, expected: &Model) {
    let store = memory_store(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(contents(&store) == *expected, "{what}: not the committed prefix");
    store.upsert(&[123_456], &vectors(77, 1, 4)).unwrap();
    store.commit().unwrap();
    drop(store);
    let mut expected = expected.clone();
    expected.insert(123_456, vectors(77, 1, 4));
    let store = memory_store(dir).unwrap_or_else(|error| panic!("{what}, again: {error}"));
    assert!(contents(&store) == expected, "{what}: lost after appending");
    store.close().unwrap();
    assert!(contents(&memory_store(dir).unwrap()) == expected, "{what}: lost after closing");
}

#[test]
fn trap_15_a_torn_tail_bricks_the_store() {
    let unclosed = unclosed();
    let mut whole = unclosed.dir.bytes(&unclosed.log);
    whole.truncate(unclosed.states.last().unwrap().0);
    for cut in 0..=whole.len() {
        let committed = unclosed.states.iter().rfind(|(length, _)| *length <= cut).unwrap();
        let zeros = [&whole[..cut], &vec![0; whole.len() - cut]].concat();
        // Zeros in place of zeros may leave a frame whole.
        let zeroed = unclosed.states.iter().rfind(|(length, _)| zeros[..*length] == whole[..*length]).unwrap();
        for (kind, bytes, expected) in [("cut", whole[..cut].to_vec(), committed), ("zeroed", zeros, zeroed)] {
            let dir = unclosed.dir.copy();
            dir.put(&unclosed.log, bytes);
            assert_recovers(&format!("{kind} at byte {cut}"), &dir, &expected.1);
        }
    }
}

/// The same on real files, at fewer places.
#[test]
fn trap_15_a_torn_tail_of_real_files() {
    let (home, path) = home();
    let store = open(&path, 8);
    store.insert(None, &vectors(0, 50, 8)).unwrap();
    store.commit().unwrap();
    let log = path.join(Kind::Log.file_name(1));
    let first = frames_end(&std::fs::read(&log).unwrap()) as u64;
    store.insert(None, &vectors(50, 200, 8)).unwrap();
    store.commit().unwrap();
    let whole = files(&path);
    drop(store);
    let length = frames_end(&whole[&Kind::Log.file_name(1)]) as u64;
    for cut in (0..=length).step_by(509).chain([first - 1, first, length - 1, length]) {
        let copy = home.path().join(format!("cut-{cut}"));
        std::fs::create_dir_all(&copy).unwrap();
        whole.iter().for_each(|(name, bytes)| std::fs::write(copy.join(name), bytes).unwrap());
        std::fs::File::options().write(true).open(copy.join(Kind::Log.file_name(1))).unwrap().set_len(cut).unwrap();
        let rows = if cut == length {
            250
        } else if cut >= first {
            50
        } else {
            0
        };
        let store = open(&copy, 8);
        assert_eq!(contents(&store), of_ids(0..rows, &vectors(0, rows, 8), 8), "cut at {cut}");
        assert_eq!(store.insert(None, &vectors(900, 3, 8)).unwrap(), rows);
        store.close().unwrap();
        assert_eq!(get(&open_to_read(&copy), rows + 2), vectors(902, 1, 8));
    }
}

#[test]
fn trap_16_a_bad_record_in_the_middle_skipped() {
    let unclosed = unclosed();
    let mut whole = unclosed.dir.bytes(&unclosed.log);
    whole.truncate(frames_end(&whole));
    let (last_begins, before_last) = &unclosed.states[unclosed.states.len() - 2];
    for at in 0..whole.len() {
        let dir = unclosed.dir.copy();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        dir.put(&unclosed.log, bytes);
        let before = dir.contents();
        if at >= *last_begins {
            // The last commit cannot be told from a torn one.
            assert_recovers(&format!("byte {at}"), &dir, before_last);
            continue;
        }
        let error = memory_store(&dir).map(|store| store.count()).expect_err(&format!("byte {at}"));
        assert!(matches!(&error, Error::Corrupt { file, .. } if *file == unclosed.log), "byte {at}: {error}");
        assert_eq!(dir.contents(), before, "byte {at}: refused and untouched");
    }
}

/// tests/corrupt.rs flips every byte; here, that the message leads to the place.
#[test]
fn trap_17_verify_names_file_and_block() {
    let (_home, path) = home();
    let store = open(&path, SIFT_DIM);
    store.insert(None, &sift(2000)).unwrap();
    store.close().unwrap();
    let name = files(&path).into_keys().find(|name| name.ends_with(".log")).unwrap();
    let mut bytes = std::fs::read(path.join(&name)).unwrap();
    bytes[5 * 4096 + 17] ^= 0x10;
    std::fs::write(path.join(&name), bytes).unwrap();
    let store = open(&path, 0);
    let message = store.verify(&mut Work::default()).unwrap_err().to_string();
    assert!(message.contains(&name) && message.contains("block 5"), "{message}");
    let errors = (0..2000).filter(|id| store.get(&[*id], &mut [0.0; SIFT_DIM], None).is_err()).count();
    assert!((1..=9 * 2).contains(&errors), "a bad block takes only its own vectors along: {errors}");
}

#[test]
fn trap_19_open_truncates_or_rewrites() {
    for count in [0, 1, 300, 5000] {
        let (_home, path) = home();
        let store = open(&path, 16);
        store.insert(None, &vectors(0, count, 16)).unwrap();
        store.close().unwrap();
        let before = files(&path);
        for round in 0..100 {
            let mode = [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly][round % 3];
            let sync = [SyncMode::Commit, SyncMode::Each, SyncMode::None][round / 3 % 3];
            let store = Store::open(&path, 16, &Options { mode, sync, ..Options::default() }).unwrap();
            assert_eq!(store.count(), count);
            store.close().unwrap();
        }
        assert!(files(&path) == before, "{count} vectors: 100 times opened and closed");
    }
}

#[test]
fn trap_19_foreign_short_and_newer_files_are_refused_untouched() {
    let (home, path) = home();
    let store = open(&path, 16);
    store.insert(None, &vectors(0, 5000, 16)).unwrap();
    store.delete(&[5]).unwrap();
    store.close().unwrap();
    let whole = files(&path);
    let mut cases: Vec<(&str, Files, i32)> = vec![
        ("a foreign directory", BTreeMap::from([("notes.txt".into(), b"mine".to_vec())]), 32),
        ("segments alone", whole.clone().into_iter().filter(|(name, _)| !name.starts_with("MANIFEST")).collect(), 30),
    ];
    for name in whole.keys().filter(|name| *name != "LOCK") {
        let mut shorter = whole.clone();
        shorter.get_mut(name).unwrap().truncate(whole[name].len() / 2 / 4096 * 4096);
        if name.starts_with("MANIFEST") {
            continue;
        }
        cases.push(("a shorter file", shorter, 30));
    }
    let mut newer = whole.clone();
    for name in MANIFEST_NAMES {
        let bytes = newer.get_mut(name).unwrap();
        bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
        let end = bytes.len() - 4;
        let sum = checksum(seed(0, 0x4c49_5354), &bytes[..end]);
        bytes[end..].copy_from_slice(&sum.to_le_bytes());
        assert!(matches!(Manifest::decode(name, bytes), Err(Error::Version { .. })));
    }
    cases.push(("newer manifests", newer.clone(), 31));
    newer.insert(MANIFEST_NAMES[0].into(), whole[MANIFEST_NAMES[0]].clone());
    cases.push(("one newer manifest", newer, 31));
    for (what, contents, status) in cases {
        let copy = home.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        contents.iter().for_each(|(name, bytes)| std::fs::write(copy.join(name), bytes).unwrap());
        for mode in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::CreateNew, Mode::ReadOnly] {
            let error = Store::open(&copy, 16, &Options { mode, ..Options::default() }).unwrap_err();
            let fits = error.status() == status || (mode, error.status()) == (Mode::CreateNew, 3);
            assert!(fits, "{what}, {mode:?}: {} {error}", error.status());
            let after: BTreeMap<_, _> = files(&copy).into_iter().filter(|(name, _)| name != "LOCK").collect();
            let before: BTreeMap<_, _> = contents.clone().into_iter().filter(|(name, _)| name != "LOCK").collect();
            assert!(after == before, "{what}, {mode:?}");
            let locks = contents.contains_key("LOCK") || what != "a foreign directory" || !copy.join("LOCK").exists();
            assert!(locks, "{what}: a lock in a foreign directory");
        }
        std::fs::remove_dir_all(&copy).unwrap();
    }
}

/// A log of a newer version inside an otherwise sound store.
#[test]
fn trap_19_a_newer_log_is_refused_untouched() {
    let dir = MemoryDir::default();
    let store = memory_store(&dir).unwrap();
    store.insert(None, &vectors(0, 20, 4)).unwrap();
    store.close().unwrap();
    let name = Kind::Log.file_name(1);
    let mut bytes = dir.bytes(&name);
    let id = FileHeader::decode(&name, &bytes[..Kind::Log.header_bytes()]).unwrap().id;
    let checksum_at = Kind::Log.header_bytes() - 4;
    bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let sum = checksum(seed(id, 0x4845_4144), &bytes[..checksum_at]);
    bytes[checksum_at..checksum_at + 4].copy_from_slice(&sum.to_le_bytes());
    dir.put(&name, bytes);
    let before = dir.contents();
    let error = memory_store(&dir).map(|store| store.count()).unwrap_err();
    assert!(matches!(error, Error::Version { found, expected: VERSION, .. } if found == VERSION + 1), "{error}");
    assert_eq!(dir.contents(), before);
}
