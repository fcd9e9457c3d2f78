//! Traps: failures that happened to other stores, one test each, on real files and the real data set.
//!
//! Held elsewhere: 4 (a fake quantizer) by tests/codec.rs, which compares with a reference; 6 and 18 (a crash in
//! mid-compress; a count beside the data) by the simulator of tests/crash.rs; 14 (an acknowledged batch lost) by the kills
//! of tests/kill.rs; 22 (an unchecked system call) by tests/faults.rs and the full disk of tests/input.rs;
//! 25 (a benchmark that cheats) by benches/peers, which reads back what it wrote; 29 (the C ABI) by tests/abi.rs; 30 (docs
//! ahead of code) by the commands the README names. 24 (one of two files measured) is `used` below: always the directory.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod memory;

use memory::MemoryDir;
use omen::codec::Codebook;
use omen::error::Error;
use omen::format::{
    FOOTER_BYTES, FileHeader, Footer, HEADER_BYTES, Kind, MANIFEST_NAMES, Manifest, Section, SectionKind, VERSION,
    checksum, decode_sections, seed,
};
use omen::metric::Metric;
use omen::os::open_or_create_dir;
use omen::store::{CompressOptions, Mode, Options, Store, SyncMode, Tuning};
use omen::work::Work;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

/// Random numbers, the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
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
        "memory" => memory_of_a_large_store(&path).map(u64::to_le_bytes).concat(),
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

#[test]
fn trap_01_training_vectors_left_raw() {
    let sample = 120;
    for n in [sample - 1, sample, sample + 1, 10 * sample] {
        let (_home, path) = home();
        let store = open(&path, SIFT_DIM);
        let rows = sift(n + 60);
        store.insert(None, &rows[..n * SIFT_DIM]).unwrap();
        let mut during = 0;
        let mut progress = |_, _| {
            if during < 30 {
                store.insert(None, &rows[(n + during) * SIFT_DIM..(n + during + 1) * SIFT_DIM]).unwrap();
                during += 1;
            }
            false
        };
        let options = CompressOptions { ratio: 1.7, sample: sample as u64, ..CompressOptions::default() };
        let report = store.compress(&options, &mut Work::new(0, Some(&mut progress))).unwrap();
        let stats = store.stats().unwrap();
        assert_eq!((report.vectors, stats.compressed_vectors, stats.raw_vectors), (n as u64, n as u64, during as u64));
        store.insert(None, &rows[(n + during) * SIFT_DIM..]).unwrap();
        store.compress(&CompressOptions { ratio: 1.7, ..CompressOptions::default() }, &mut Work::default()).unwrap();
        let stats = store.stats().unwrap();
        assert_eq!((stats.compressed_vectors, stats.raw_vectors), (n as u64 + 60, 0));
        store.close().unwrap();
        let left: Vec<String> =
            files(&path).into_keys().filter(|n| n.ends_with(".log") || n.ends_with(".raw")).collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

/// Trap 24 as well: overhead is always that of all files.
#[test]
fn trap_02_a_ratio_that_is_not_of_the_whole_directory() {
    let (_home, path) = home();
    let (first, second) = (8000, 2000);
    let rows = sift(first + second);
    let store = open(&path, SIFT_DIM);
    store.insert(None, &rows[..first * SIFT_DIM]).unwrap();
    let raw = |n: usize| (n * SIFT_DIM * 4) as u64;
    let report = store.compress(&CompressOptions::default(), &mut Work::default()).unwrap();
    assert_used(&path, raw(first) / 16, "after compress");
    assert_eq!(report.bytes_after, store.stats().unwrap().bytes_on_disk);
    assert_eq!(report.ratio, raw(first) as f64 / report.bytes_after as f64);
    store.close().unwrap();
    assert_used(&path, raw(first) / 16, "after close");
    let store = open(&path, 0);
    assert_used(&path, raw(first) / 16, "after reopen");
    store.insert(None, &rows[first * SIFT_DIM..]).unwrap();
    store.commit().unwrap();
    assert!(used(&path).0 > raw(second), "new vectors are raw until the next compress");
    store.compress(&CompressOptions::default(), &mut Work::default()).unwrap();
    assert_used(&path, raw(first + second) / 16, "after a second compress");
    store.compact(&mut Work::default()).unwrap();
    assert_used(&path, raw(first + second) / 16, "after compact");
    store.close().unwrap();
    assert_used(&path, raw(first + second) / 16, "after the last close");
    assert_eq!(open_to_read(&path).count(), (first + second) as u64);
}

/// Codes that stay, with vectors deleted from among them: the file of tombstones counts too.
#[test]
fn trap_02_a_ratio_that_forgets_the_tombstones() {
    for step in 0..20 {
        let (_home, path) = home();
        let ratio = 1.5 + 0.05 * f64::from(step);
        let store = open(&path, 16);
        store.insert(None, &vectors(0, 500, 16)).unwrap();
        store.compress(&CompressOptions { ratio: 1.2, ..CompressOptions::default() }, &mut Work::default()).unwrap();
        store.delete(&[3]).unwrap();
        store.insert(None, &vectors(500, 600, 16)).unwrap();
        match store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default()) {
            Ok(report) => assert!(report.ratio >= ratio, "asked {ratio}: {report:?}"),
            Err(error) => assert!(matches!(error, Error::InvalidArgument(_)), "{error}"),
        }
    }
}

#[test]
fn trap_03_codes_kept_beside_the_originals() {
    let (_home, path) = home();
    let store = open(&path, SIFT_DIM);
    let rows = sift(2000);
    store.insert(None, &rows).unwrap();
    store.compress(&CompressOptions { ratio: 8.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store.close().unwrap();
    for (name, bytes) in files(&path) {
        for row in rows.chunks(SIFT_DIM).step_by(211) {
            let raw: Vec<u8> = row[..16].iter().flat_map(|value| value.to_le_bytes()).collect();
            assert!(!bytes.windows(raw.len()).any(|window| window == raw), "{name} holds an original");
        }
    }
}

#[test]
fn trap_05_a_lossy_read_passed_off_as_exact() {
    let (_home, path) = home();
    let rows = sift(3000);
    let store = open(&path, SIFT_DIM);
    store.insert(None, &rows).unwrap();
    assert_eq!(contents(&store), of_ids(0..3000, &rows, SIFT_DIM));
    store.compress(&CompressOptions { ratio: 8.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store.close().unwrap();
    let book = stored_codebook(&path);
    let (mut code, mut decoded) = (vec![0; book.row_bytes()], vec![0.0; SIFT_DIM]);
    let mut expected = Model::new();
    for (id, row) in rows.chunks(SIFT_DIM).enumerate() {
        book.encode(row, &mut code);
        book.decode(&code, &mut decoded);
        assert!(decoded.iter().any(|value| *value != 0.0));
        expected.insert(id as u64, decoded.clone());
    }
    assert_found_by_another_process(&path, &expected);
}

/// The codebook as the bytes of the one `.code` file have it.
fn stored_codebook(path: &Path) -> Codebook {
    let (name, bytes) = files(path).into_iter().find(|(name, _)| name.ends_with(".code")).unwrap();
    let footer_at = bytes.len() - FOOTER_BYTES;
    let (data_bytes, count) = Footer::claimed_layout(&name, bytes[footer_at..].try_into().unwrap()).unwrap();
    let table = &bytes[footer_at - count as usize * Section::BYTES..footer_at];
    let sections = decode_sections(&name, data_bytes, table).unwrap();
    let copy = |kind: SectionKind| {
        let section = sections.iter().find(|section| section.kind == kind as u32).unwrap();
        &bytes[section.offset as usize..(section.offset + section.length) as usize]
    };
    assert_eq!(copy(SectionKind::Codebook), copy(SectionKind::CodebookCopy));
    Codebook::from_bytes(&name, copy(SectionKind::CodebookCopy)).unwrap()
}

#[test]
fn trap_07_a_ratio_without_its_terms() {
    let (_home, path) = home();
    let store = open(&path, SIFT_DIM);
    store.insert(None, &sift(5000)).unwrap();
    let report =
        store.compress(&CompressOptions { ratio: 12.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store.close().unwrap();
    let (apparent, allocated) = used(&path);
    assert!(report.bytes_after >= apparent && report.bytes_after >= allocated.min(apparent));
    let book = stored_codebook(&path);
    assert_eq!((report.code_bytes, report.codebook_bytes), (book.row_bytes() as u64, 2 * book.as_bytes().len() as u64));
    let codes = report.vectors.next_multiple_of(32) * report.code_bytes;
    // What is neither codes nor codebook: a file header, checksums (4 bytes a block), a footer and two manifests.
    let rest = apparent - codes - report.codebook_bytes;
    assert!((3 * 4096..3 * 4096 + 1024).contains(&rest), "{rest}");
}

#[test]
fn trap_08_ids_not_stored() {
    let (_home, path) = home();
    let mut random = Random(8);
    let mut ids: Vec<u64> = (0..3000).map(|_| random.next()).collect();
    ids.extend([0, u64::MAX - 1, 1, 1 << 63]);
    ids.sort_unstable_by_key(|id| id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let rows = vectors(0, ids.len() as u64, 24);
    let model = of_ids(ids.iter().copied(), &rows, 24);
    let store = open(&path, 24);
    store.insert(Some(&ids), &rows).unwrap();
    assert_eq!(contents(&store), model);
    store.close().unwrap();
    assert_found_by_another_process(&path, &model);
    let store = open(&path, 24);
    store.compact(&mut Work::default()).unwrap();
    store.close().unwrap();
    assert_found_by_another_process(&path, &model);
}

/// Ids that ascend with gaps: in row order, yet not counting up.
#[test]
fn trap_08_ascending_ids_with_gaps_in_a_sealed_log() {
    let (_home, path) = home();
    let ids: Vec<u64> = (0..8000).map(|i| i * 3).collect();
    let rows = vectors(0, ids.len() as u64, 16);
    let store = open(&path, 16);
    store.insert(Some(&ids), &rows).unwrap();
    store.close().unwrap();
    assert_eq!(contents(&open_to_read(&path)), of_ids(ids.iter().copied(), &rows, 16));
}

/// An id given and put again in the same frame of the log: the later row is the one that counts, after a clean close and
/// after a crash.
#[test]
fn trap_08_an_id_put_again_before_the_first_flush() {
    for closes in [true, false] {
        let (_home, path) = home();
        let store = open(&path, 4);
        store.insert(None, &vectors(0, 3, 4)).unwrap();
        store.upsert(&[1, 7], &vectors(10, 2, 4)).unwrap();
        store.upsert(&[7], &vectors(20, 1, 4)).unwrap();
        let expected = contents(&store);
        assert_eq!(expected.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 7]);
        if closes {
            store.close().unwrap()
        } else {
            store.commit().unwrap()
        }
        drop(store);
        assert_eq!(contents(&open_to_read(&path)), expected, "read-only, closed {closes}");
        let store = open(&path, 4);
        assert_eq!(contents(&store), expected, "closed {closes}");
        assert_eq!(store.delete(&[1, 7]).unwrap(), 2);
        store.close().unwrap();
        assert_eq!(open_to_read(&path).count(), 2, "closed {closes}: a deleted vector came back");
    }
}

/// Bytes that this thread handed to the kernel.
fn written_by_this_thread() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

#[test]
fn trap_09_an_id_table_rewritten_at_every_insert() {
    let dim = 32;
    for listed in [false, true] {
        let (_home, path) = home();
        let store = open(&path, dim);
        let mut random = Random(9);
        let mut costs = Vec::new();
        for target in [1000, 100_000] {
            let missing = target - store.count();
            let ids: Vec<u64> = (0..missing).map(|_| random.next() >> 1).collect();
            store.insert(listed.then_some(&ids), &vectors(0, missing, dim as u64)).unwrap();
            store.commit().unwrap();
            let before = written_by_this_thread();
            for call in 0..1000 {
                let id = [random.next() >> 1];
                store.insert(listed.then_some(&id), &vectors(call, 1, dim as u64)).unwrap();
            }
            store.commit().unwrap();
            costs.push(written_by_this_thread() - before);
        }
        let payload = 1000 * (dim as u64 * 4 + if listed { 8 } else { 0 });
        let bound = payload + payload / 50 + 3 * 4096;
        assert!(costs.iter().all(|cost| *cost <= bound), "listed {listed}: {costs:?} bytes for 1,000, at most {bound}");
        assert!(costs[1] <= costs[0] * 2, "listed {listed}: {costs:?}");
    }
}

#[test]
fn trap_10_a_failed_insert_leaves_a_ghost() {
    let (_home, path) = home();
    let store = open(&path, 8);
    let rows = vectors(0, 100, 8);
    store.insert(Some(&(0..100).map(|id| id * 10).collect::<Vec<_>>()), &rows).unwrap();
    store.commit().unwrap();
    let (before, bytes) = (contents(&store), files(&path));
    let mut not_finite = vectors(500, 3, 8);
    not_finite[23] = f32::NAN;
    let good = vectors(500, 3, 8);
    assert!(matches!(store.insert(None, &not_finite), Err(Error::NotFinite { row: 2, column: 7, .. })));
    assert!(matches!(store.upsert(&[1, 2, 3], &not_finite), Err(Error::NotFinite { .. })));
    assert!(matches!(store.insert(None, &good[..23]), Err(Error::InvalidArgument(_))));
    assert!(matches!(store.insert(Some(&[1, 2]), &good), Err(Error::InvalidArgument(_))));
    assert!(matches!(store.insert(Some(&[1, 20, 3]), &good), Err(Error::DuplicateId { id: 20, position: 1, .. })));
    assert!(matches!(store.insert(Some(&[1, 2, 1]), &good), Err(Error::DuplicateId { id: 1, position: 2, .. })));
    assert!(matches!(store.upsert(&[1, 2, 2], &good), Err(Error::DuplicateId { id: 2, .. })));
    assert!(matches!(store.insert(Some(&[1, u64::MAX, 2]), &good), Err(Error::InvalidArgument(_))));
    assert_eq!(contents(&store), before);
    store.commit().unwrap();
    assert_eq!(files(&path), bytes);
    assert_eq!(store.insert(None, &good).unwrap(), 991, "no id was used up");
    assert_eq!(store.delete(&[991, 992, 993]).unwrap(), 3);
    store.close().unwrap();
    assert_found_by_another_process(&path, &before);
}

#[test]
fn trap_11_silent_normalisation() {
    let special = [0.0, -0.0, f32::MIN_POSITIVE, 1e-45, -1e-45, f32::MAX, f32::MIN, 0.1, 1e20, -7.25, 3.0, 1e-20];
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        let (_home, path) = home();
        let options = Options { metric: Some(metric), ..Options::default() };
        let store = Store::open(&path, 12, &options).unwrap();
        store.insert(None, &special).unwrap();
        store.insert(None, &vectors(0, 500, 12)).unwrap();
        assert_eq!(bits(&get(&store, 0)), bits(&special));
        store.close().unwrap();
        let store = open_to_read(&path);
        assert_eq!((store.metric(), bits(&get(&store, 0))), (metric, bits(&special)));
        assert_eq!(bits(&get(&store, 500)), bits(&vectors(499, 1, 12)));
    }
}

#[test]
fn trap_12_an_out_of_range_read_that_gives_zeros() {
    let (_home, path) = home();
    let store = open(&path, 4);
    store.insert(None, &vectors(0, 10, 4)).unwrap();
    for reader in [None, Some(true)] {
        let opened = reader.map(|_| {
            store.close().unwrap();
            open_to_read(&path)
        });
        let store = opened.as_ref().unwrap_or(&store);
        for missing in [10, 11, 1 << 32, u64::MAX - 1, u64::MAX] {
            let mut out = [7.5; 8];
            let error = store.get(&[3, missing], &mut out, None).unwrap_err();
            assert!(matches!(error, Error::NotFound { id, position: 1 } if id == missing), "{error}");
            assert_eq!(out, [7.5; 8], "nothing is written");
            let error = store.get(&[missing], &mut out[..4], None).unwrap_err();
            assert!(matches!(error, Error::NotFound { position: 0, .. }) && out == [7.5; 8], "{error}");
        }
    }
    assert!(store.insert(None, &vectors(0, 1, 4)).is_err() && store.commit().is_err(), "closed");
}

#[test]
fn trap_13_the_callers_dim_or_metric_ignored() {
    let (_home, path) = home();
    let cosine = |mode| Options { metric: Some(Metric::Cosine), mode, ..Options::default() };
    Store::open(&path, 48, &cosine(Mode::CreateNew)).unwrap().close().unwrap();
    let bytes = files(&path);
    for mode in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly] {
        let error = Store::open(&path, 64, &cosine(mode)).unwrap_err();
        assert!(matches!(error, Error::DimMismatch { asked: 64, stored: 48 }));
        assert!(error.to_string().contains("64") && error.to_string().contains("48"), "{error}");
        let l2 = Options { metric: Some(Metric::L2), mode, ..Options::default() };
        let error = Store::open(&path, 48, &l2).unwrap_err();
        assert!(matches!(error, Error::MetricMismatch { asked: Metric::L2, stored: Metric::Cosine }));
        assert!(error.to_string().contains('0') && error.to_string().contains('2'), "{error}");
        let store = Store::open(&path, 0, &Options { mode, ..Options::default() }).unwrap();
        assert_eq!((store.dim(), store.metric()), (48, Metric::Cosine));
        store.close().unwrap();
    }
    assert_eq!(files(&path), bytes);
}

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
    let id = FileHeader::decode(&name, bytes[..HEADER_BYTES].try_into().unwrap()).unwrap().id;
    bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let sum = checksum(seed(id, 0x4845_4144), &bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    dir.put(&name, bytes);
    let before = dir.contents();
    let error = memory_store(&dir).map(|store| store.count()).unwrap_err();
    assert!(matches!(error, Error::Version { found, expected: VERSION, .. } if found == VERSION + 1), "{error}");
    assert_eq!(dir.contents(), before);
}

#[test]
fn trap_20_the_log_grows_for_ever() {
    let (_home, path) = home();
    let tuning = Tuning { seal_bytes: 64 << 10, buffer_bytes: 4096, ..Tuning::default() };
    let store = open_tuned(&path, 16, tuning);
    let ids: Vec<u64> = (0..100).collect();
    let (live, call) = (100 * 64, 100 * 64 + 3 * 4096);
    let writing = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let (store, path, ids, writing_now) = (&store, &path, &ids, &writing);
        let compacting = scope.spawn(move || {
            let mut rounds = 0;
            while writing_now.load(Ordering::Relaxed) {
                store.compact(&mut Work::default()).unwrap();
                rounds += 1;
            }
            rounds
        });
        for round in 0..300 {
            store.upsert(ids, &vectors(round, 100, 16)).unwrap();
            store.commit().unwrap();
            let logs = std::fs::read_dir(path).unwrap().filter_map(|entry| entry.ok()?.metadata().ok());
            let longest = logs.map(|file| file.len()).max().unwrap();
            assert!(longest <= (64 << 10) + 4 * call, "round {round}: a file of {longest} bytes");
        }
        writing.store(false, Ordering::Relaxed);
        assert!(compacting.join().unwrap() > 0);
    });
    store.compact(&mut Work::default()).unwrap();
    assert_eq!(contents(&store), of_ids(0..100, &vectors(299, 100, 16), 16));
    store.close().unwrap();
    assert_used(&path, live + 8 * 4096, "300 times put again");
}

/// Sixteen different vectors, so that their codes are all but exact.
fn one_of_sixteen(id: u64) -> Vec<f32> {
    (0..32).map(|component| ((id % 16) * 37 % 16 * 16 + component) as f32).collect()
}

#[test]
fn trap_21_readers_run_during_growth_compress_and_compact() {
    let (_home, path) = home();
    let tuning = Tuning { seal_bytes: 256 << 10, buffer_bytes: 16 << 10, ..Tuning::default() };
    let store = open_tuned(&path, 32, tuning);
    let (stop, reads, known) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let insert = |count: u64| {
        for _ in 0..count / 50 {
            let first = known.load(Ordering::Acquire);
            let rows: Vec<f32> = (first..first + 50).flat_map(one_of_sixteen).collect();
            assert_eq!(store.insert(None, &rows).unwrap(), first);
            known.store(first + 50, Ordering::Release);
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (store, stop, reads, known) = (&store, &stop, &reads, &known);
            scope.spawn(move || {
                let mut random = Random(thread);
                while !stop.load(Ordering::Relaxed) {
                    let count = known.load(Ordering::Acquire);
                    if count == 0 {
                        continue;
                    }
                    let id = random.next() % count;
                    assert_close(id, &get(store, id));
                    let (mut position, mut ids, mut rows) = (id, [0; 64], [0.0; 64 * 32]);
                    let found = store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
                    assert_eq!(ids[..found], (id..id + found as u64).collect::<Vec<_>>());
                    ids[..found].iter().zip(rows.chunks(32)).for_each(|(id, row)| assert_close(*id, row));
                    reads.fetch_add(1 + found as u64, Ordering::Relaxed);
                }
            });
        }
        insert(6000);
        for _ in 0..3 {
            store
                .compress(&CompressOptions { ratio: 4.0, ..CompressOptions::default() }, &mut Work::default())
                .unwrap();
            insert(2000);
            store.compact(&mut Work::default()).unwrap();
            insert(1000);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(reads.load(Ordering::Relaxed) > 1000, "{reads:?}");
    let all = contents(&store);
    assert_eq!(all.len(), 15_000);
    all.iter().for_each(|(id, row)| assert_close(*id, row));
    store.close().unwrap();
}

fn assert_close(id: u64, row: &[f32]) {
    let expected = one_of_sixteen(id);
    let close = row.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 0.1);
    assert!(close, "id {id}: {row:?}, expected {expected:?}");
}

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
fn memory_of_a_large_store(path: &Path) -> [u64; 2] {
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
    let report = store.compress(&CompressOptions::default(), &mut Work::default()).unwrap();
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
