//! Damaged files: every bit, length, block, file. Each damage is refused with a status of the file range, or harmless:
//! what can be read is what was written. Never a panic, never a huge allocation, never a silent difference.
//!
//! One bit of every byte is flipped; with OMEN_ALL_BITS=1 all eight.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "an allocator that remembers the largest request has to be one")]

mod memory;

use memory::MemoryDir;
use omen::codec;
use omen::error::{Error, Result};
use omen::format::{
    FOOTER_BYTES, FileHeader, Footer, FrameHeader, HEADER_BYTES, Kind, MANIFEST_NAMES, Manifest, checksum, seed,
};
use omen::metric::Metric;
use omen::store::{CompressOptions, Mode, Options, SearchOptions, Store, Tuning};
use omen::work::Work;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Remembers the largest request of each thread.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static PANICKED_AT: Cell<String> = const { Cell::new(String::new()) };
}

fn note(bytes: usize) {
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
}

// SAFETY: every request is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller of this function promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller of this function promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller of this function promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as the caller of this function promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// The stores here have tens of kilobytes; the writer's own buffers have one mebibyte.
const LARGEST_ALLOWED: usize = 2 << 20;

type Model = BTreeMap<u64, Vec<f32>>;

/// A closed store, what is in it, and the directory as it was at each close before.
struct Fixture {
    dir: MemoryDir,
    model: Model,
    before: Vec<MemoryDir>,
}

fn tuning(store: u8, close_seal_bytes: u64) -> Tuning {
    Tuning { close_seal_bytes, store: Some([store; 16]), ..Tuning::default() }
}

fn open(dir: &MemoryDir, dim: u32, mode: Mode, tuning: Tuning) -> Result<Store> {
    Store::open_tuned(Box::new(dir.clone()), dim, &Options { mode, threads: 1, ..Options::default() }, tuning)
}

fn vectors(first: u64, count: u64, dim: u64) -> Vec<f32> {
    (first * dim..(first + count) * dim).map(|i| ((i * 7919 + i * i * 31) % 1009) as f32 / 8.0 - 50.0).collect()
}

/// Takes the state of a fresh store along.
struct Builder {
    store: u8,
    dim: u32,
    dir: MemoryDir,
    before: Vec<MemoryDir>,
}

impl Builder {
    fn new(store: u8, dim: u32) -> Builder {
        Builder { store, dim, dir: MemoryDir::default(), before: Vec::new() }
    }

    /// Opens, does something, closes. The log is sealed if it is longer than `close_seal_bytes`.
    fn session(mut self, close_seal_bytes: u64, work: impl FnOnce(&Store)) -> Builder {
        self.before.push(self.dir.copy());
        let store = open(&self.dir, self.dim, Mode::ReadWriteCreate, tuning(self.store, close_seal_bytes)).unwrap();
        work(&store);
        store.close().unwrap();
        self
    }

    fn done(self) -> Fixture {
        let store = open(&self.dir, 0, Mode::ReadOnly, Tuning::default()).unwrap();
        let model = read_all(&store).unwrap();
        assert_eq!(store.count(), model.len() as u64);
        store.verify(&mut Work::default()).unwrap();
        Fixture { dir: self.dir, model, before: self.before }
    }
}

const NEVER: u64 = u64::MAX;

/// A log left active, with ids given, listed, put again and deleted, in several frames.
fn active_log(name: u8) -> Fixture {
    let build = Builder::new(name, 4).session(NEVER, |store| {
        store.insert(None, &vectors(u64::from(name), 40, 4)).unwrap();
        store.commit().unwrap();
        store.insert(Some(&[u64::MAX - 1, 77, 1 << 40]), &vectors(100, 3, 4)).unwrap();
        store.delete(&[3, 77]).unwrap();
    });
    let build = build.session(NEVER, |store| {
        store.upsert(&[5, 500, 6], &vectors(200, 3, 4)).unwrap();
        store.delete(&[7]).unwrap();
    });
    build.done()
}

/// A sealed log: one frame that fills its blocks, so that it is not worth rewriting.
fn sealed_log(name: u8) -> Fixture {
    let ids: Vec<u64> = (0..168).map(|i| i * 0x1234_5678_9abc % 0xffff_ffff_fff1).collect();
    let build = Builder::new(name, 4).session(0, |store| {
        store.insert(Some(&ids), &vectors(u64::from(name), 168, 4)).unwrap();
    });
    build.done()
}

/// A sealed log of ids that count up, with tombstones.
fn tombstones(name: u8) -> Fixture {
    let build = Builder::new(name, 4).session(0, |store| {
        store.insert(None, &vectors(u64::from(name), 252, 4)).unwrap();
    });
    let build = build.session(0, |store| assert_eq!(store.delete(&[0, 9, 250]).unwrap(), 3));
    build.session(0, |store| assert_eq!(store.delete(&[10, 77]).unwrap(), 2)).done()
}

/// A raw file, made from many small commits, and an active log behind it.
fn raw_file(name: u8) -> Fixture {
    let build = Builder::new(name, 4).session(0, |store| {
        for call in 0..30 {
            let ids = [call * 31 % 97 + 1000, call * 1_000_003];
            store.upsert(&ids, &vectors(u64::from(name) + call * 2, 2, 4)).unwrap();
            store.commit().unwrap();
        }
        store.delete(&[1000]).unwrap();
    });
    build.session(NEVER, |store| store.upsert(&[1031, 7], &vectors(300, 2, 4)).unwrap()).done()
}

/// Window codes with their codebook, side bytes and bounds.
fn window_codes(name: u8) -> Fixture {
    let build = Builder::new(name, 32).session(0, |store| {
        store.insert(None, &vectors(u64::from(name), 500, 32)).unwrap();
        let report = store
            .compress(&CompressOptions { ratio: 3.0, ..CompressOptions::default() }, &mut Work::default())
            .unwrap();
        assert_eq!(report.codec, codec::WINDOWS as i32);
    });
    build.done()
}

/// Scalar codes with their codebook, rows put again since, and an active log.
fn coded_file(name: u8) -> Fixture {
    let build = Builder::new(name, 16).session(0, |store| {
        let ids: Vec<u64> = (0..800).map(|i| i * 7 % 800 * 3).collect();
        store.insert(Some(&ids), &vectors(u64::from(name), 800, 16)).unwrap();
        store.compress(&CompressOptions { ratio: 1.5, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    });
    let build = build.session(0, |store| assert_eq!(store.delete(&[0, 3, 6]).unwrap(), 3));
    build.session(NEVER, |store| store.upsert(&[9, 5000], &vectors(900, 2, 16)).unwrap()).done()
}

fn fixtures(name: u8) -> Vec<(&'static str, Fixture)> {
    vec![
        ("active log", active_log(name)),
        ("sealed log", sealed_log(name)),
        ("tombstones", tombstones(name)),
        ("raw file", raw_file(name)),
        ("coded file", coded_file(name)),
        ("window codes", window_codes(name)),
    ]
}

fn read_all(store: &Store) -> Result<Model> {
    let (mut position, mut model, dim) = (0, Model::new(), store.dim() as usize);
    let (mut ids, mut rows) = (vec![0; 300], vec![0.0; 300 * dim]);
    loop {
        let count = store.list(&mut position, &mut ids, Some(&mut rows))?;
        if count == 0 {
            return Ok(model);
        }
        model.extend(ids[..count].iter().copied().zip(rows.chunks(dim).map(<[f32]>::to_vec)));
    }
}

/// What a damaged store did.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// An error of the file range.
    Refused(String),
    /// Every value as it was, and `verify` told of the damage or found none.
    Same { verified: std::result::Result<(), String> },
}

fn is_of_file_range(what: &str, error: &Error) -> String {
    assert!((30..40).contains(&error.status()), "{what}: status {} ({error})", error.status());
    error.to_string()
}

/// Opens the directory and reads everything; anything but a refusal or the original values fails the test.
fn judge(what: &str, dir: &MemoryDir, mode: Mode, model: &Model) -> Verdict {
    LARGEST.set(0);
    let judged = catch_unwind(AssertUnwindSafe(|| judge_unguarded(what, dir, mode, model)));
    let largest = LARGEST.get();
    assert!(largest <= LARGEST_ALLOWED, "{what}, {mode:?}: {largest} bytes in one allocation");
    judged.unwrap_or_else(|_| panic!("{what}, {mode:?}: panicked"))
}

fn judge_unguarded(what: &str, dir: &MemoryDir, mode: Mode, model: &Model) -> Verdict {
    let store = match open(dir, 0, mode, tuning(0, NEVER)) {
        Ok(store) => store,
        Err(error) => return Verdict::Refused(is_of_file_range(what, &error)),
    };
    assert_eq!(store.count(), model.len() as u64, "{what}, {mode:?}: count");
    let dim = store.dim() as usize;
    let scanned = read_all(&store);
    if let Ok(found) = &scanned {
        assert!(found == model, "{what}, {mode:?}: scan differs");
    }
    let ids: Vec<u64> = model.keys().copied().collect();
    let mut rows = vec![0.0; ids.len() * dim];
    let got = store.get(&ids, &mut rows, None);
    if got.is_ok() {
        let same = rows.chunks(dim).zip(model.values()).all(|(row, expected)| row == expected);
        assert!(same, "{what}, {mode:?}: get differs");
    }
    let verified = store.verify(&mut Work::default());
    if mode != Mode::ReadOnly {
        // A damaged block must not stop a close, which writes nothing new.
        store.close().unwrap();
    }
    let first_error = scanned.err().or(got.err());
    let verified = verified.map(drop).map_err(|error| is_of_file_range(what, &error));
    match first_error {
        Some(error) => {
            assert!(verified.is_err(), "{what}, {mode:?}: {error}, and verify finds nothing");
            Verdict::Refused(is_of_file_range(what, &error))
        }
        None => Verdict::Same { verified },
    }
}

fn read_only_and_writing(what: &str, dir: &MemoryDir, model: &Model) -> [Verdict; 2] {
    [judge(what, dir, Mode::ReadOnly, model), judge(what, &dir.copy(), Mode::ReadWrite, model)]
}

/// Damage to a numbered file is never missed: open refuses it, or `verify` names the file.
fn expect_found(what: &str, name: &str, verdict: &Verdict) {
    let message = match verdict {
        Verdict::Refused(message) | Verdict::Same { verified: Err(message) } => message,
        Verdict::Same { verified: Ok(()) } => panic!("{what}: not found"),
    };
    assert!(message.contains(name), "{what}: {message}");
}

fn is_manifest(name: &str) -> bool {
    MANIFEST_NAMES.contains(&name)
}

fn flip_every_byte(kind: &str, fixture: &Fixture) {
    let all_bits = std::env::var("OMEN_ALL_BITS").is_ok_and(|value| value == "1");
    for name in fixture.dir.stored() {
        let original = fixture.dir.bytes(&name);
        for at in 0..original.len() {
            let bits: Vec<u32> = if all_bits { (0..8).collect() } else { vec![(at % 8) as u32] };
            for bit in bits {
                let mut bytes = original.clone();
                bytes[at] ^= 1 << bit;
                let dir = fixture.dir.copy();
                dir.put(&name, bytes);
                let what = format!("{kind}: bit {bit} of byte {at} of {name}");
                for verdict in read_only_and_writing(&what, &dir, &fixture.model) {
                    if is_manifest(&name) {
                        assert!(matches!(verdict, Verdict::Same { .. }), "{what}: {verdict:?}");
                    } else {
                        expect_found(&what, &name, &verdict);
                    }
                }
            }
        }
    }
}

#[test]
fn trap_17_every_byte_of_an_active_log_and_its_manifests() {
    flip_every_byte("active log", &active_log(1));
}

#[test]
fn trap_17_every_byte_of_a_sealed_log() {
    flip_every_byte("sealed log", &sealed_log(1));
}

#[test]
fn trap_17_every_byte_of_tombstones() {
    flip_every_byte("tombstones", &tombstones(1));
}

#[test]
fn trap_17_every_byte_of_a_raw_file() {
    flip_every_byte("raw file", &raw_file(1));
}

#[test]
fn trap_17_every_byte_of_codes() {
    flip_every_byte("coded file", &coded_file(1));
}

#[test]
fn the_fixtures_hold_every_kind_of_file() {
    let names: Vec<String> = fixtures(1).iter().flat_map(|(_, fixture)| fixture.dir.stored()).collect();
    for suffix in [".log", ".raw", ".code", ".del"] {
        assert!(names.iter().any(|name| name.ends_with(suffix)), "{suffix}");
    }
    let sealed = sealed_log(1);
    let manifest = Manifest::decode("A", &sealed.dir.bytes(MANIFEST_NAMES[0])).unwrap();
    assert_eq!(manifest.files.iter().map(|file| file.kind).collect::<Vec<_>>(), [Kind::Log]);
    assert_eq!(tombstones(1).dir.stored().len(), 4);
}

#[test]
fn trap_17_every_file_cut_at_every_length() {
    for (kind, fixture) in fixtures(1) {
        for name in fixture.dir.stored() {
            let original = fixture.dir.bytes(&name);
            for length in 0..original.len() {
                let dir = fixture.dir.copy();
                dir.put(&name, original[..length].to_vec());
                let what = format!("{kind}: {name} of {} bytes cut to {length}", original.len());
                for verdict in read_only_and_writing(&what, &dir, &fixture.model) {
                    if is_manifest(&name) {
                        assert!(matches!(verdict, Verdict::Same { .. }), "{what}: {verdict:?}");
                    } else {
                        assert!(matches!(verdict, Verdict::Refused(_)), "{what}: {verdict:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn trap_17_every_file_extended() {
    for (kind, fixture) in fixtures(1) {
        for name in fixture.dir.stored() {
            let original = fixture.dir.bytes(&name);
            let repeated: Vec<u8> = original.iter().copied().cycle().skip(4096 % original.len()).take(9000).collect();
            for junk in [vec![0; 1], vec![0; 4096], vec![0xff; 63], vec![0xa5; 5000], repeated, original.clone()] {
                let dir = fixture.dir.copy();
                dir.put(&name, [original.clone(), junk.clone()].concat());
                let what = format!("{kind}: {name} extended by {} bytes of {}...", junk.len(), junk[0]);
                read_only_and_writing(&what, &dir, &fixture.model);
            }
        }
    }
}

#[test]
fn trap_17_any_two_blocks_swapped() {
    for (kind, fixture) in fixtures(1) {
        let blocks: Vec<(String, usize)> = fixture
            .dir
            .stored()
            .into_iter()
            .flat_map(|name| (0..fixture.dir.bytes(&name).len() / 4096).map(move |block| (name.clone(), block)))
            .collect();
        for (index, left) in blocks.iter().enumerate() {
            for right in &blocks[..index] {
                let dir = fixture.dir.copy();
                let range = |block: usize| block * 4096..(block + 1) * 4096;
                let left_bytes = dir.bytes(&left.0)[range(left.1)].to_vec();
                let right_bytes = dir.bytes(&right.0)[range(right.1)].to_vec();
                for (place, new) in [(left, right_bytes), (right, left_bytes)] {
                    let mut bytes = dir.bytes(&place.0);
                    bytes[range(place.1)].copy_from_slice(&new);
                    dir.put(&place.0, bytes);
                }
                read_only_and_writing(&format!("{kind}: {left:?} swapped with {right:?}"), &dir, &fixture.model);
            }
        }
    }
}

#[test]
fn trap_17_every_file_missing_zeroed_or_another() {
    let others: Vec<(&str, Fixture)> = fixtures(2);
    for (kind, fixture) in fixtures(1) {
        for name in fixture.dir.stored() {
            let length = fixture.dir.bytes(&name).len();
            let mut replacements =
                vec![("missing", None), ("empty", Some(Vec::new())), ("zeroed", Some(vec![0; length]))];
            for (what, dirs) in [
                ("an older copy", fixture.before.iter().collect::<Vec<_>>()),
                ("another store's", others.iter().flat_map(|(_, f)| f.before.iter().chain([&f.dir])).collect()),
                ("another file", vec![]),
            ] {
                let copies = dirs.iter().filter_map(|dir| dir.contents().remove(&name));
                replacements.extend(copies.map(|bytes| (what, Some(bytes))));
            }
            let own = fixture.dir.stored();
            let siblings = own.iter().filter(|other| **other != name).map(|other| fixture.dir.bytes(other));
            replacements.extend(siblings.map(|bytes| ("another file of the store", Some(bytes))));
            for (what, replacement) in replacements {
                let dir = fixture.dir.copy();
                match replacement {
                    None => dir.take(&name),
                    Some(bytes) if bytes == fixture.dir.bytes(&name) => continue,
                    Some(bytes) => dir.put(&name, bytes),
                }
                read_only_and_writing(&format!("{kind}: {name} {what}"), &dir, &fixture.model);
            }
        }
    }
}

/// A manifest of another, emptier store with a higher generation must not make this one look empty, and least of all have
/// its files removed as not listed.
#[test]
fn a_manifest_of_an_empty_store_with_a_higher_generation_empties_nothing() {
    for (kind, fixture) in fixtures(1) {
        for name in MANIFEST_NAMES {
            let own = Manifest::decode(name, &fixture.dir.bytes(name)).unwrap();
            let empty = Manifest {
                store: [9; 16],
                generation: own.generation + 5,
                next_file: 2,
                log: own.next_file + 7,
                log_clean: 0,
                base_seq: 0,
                base_next_id: 0,
                files: Vec::new(),
                ..own
            };
            let dir = fixture.dir.copy();
            dir.put(name, empty.encode());
            let before = dir.contents();
            let what = format!("{kind}: {name} of an empty store");
            drop(open(&dir, 0, Mode::ReadWrite, Tuning::default()));
            for (file, bytes) in before.iter().filter(|(file, _)| !is_manifest(file)) {
                assert!(dir.contents().get(file) == Some(bytes), "{what}: {file} is gone");
            }
            read_only_and_writing(&what, &dir, &fixture.model);
        }
    }
}

#[test]
fn both_manifests_gone_is_damage_and_never_a_new_store() {
    for (kind, fixture) in fixtures(1) {
        for replacement in [None, Some(Vec::new()), Some(vec![0; 4096]), Some(vec![0xff; 100])] {
            let dir = fixture.dir.copy();
            for name in MANIFEST_NAMES {
                match &replacement {
                    None => dir.take(name),
                    Some(bytes) => dir.put(name, bytes.clone()),
                }
            }
            let before = dir.contents();
            for mode in [Mode::ReadOnly, Mode::ReadWrite, Mode::ReadWriteCreate, Mode::CreateNew] {
                let error = open(&dir, 4, mode, Tuning::default()).unwrap_err();
                assert!((30..40).contains(&error.status()), "{kind}, {mode:?}: {error}");
                assert_eq!(dir.contents(), before, "{kind}, {mode:?}");
            }
        }
    }
}

#[test]
fn one_damaged_manifest_is_written_anew_by_the_next_writer() {
    for (kind, fixture) in fixtures(1) {
        for name in MANIFEST_NAMES {
            let good = fixture.dir.bytes(name);
            let mut flipped = good.clone();
            flipped[200] ^= 4;
            let older = fixture.before.iter().filter_map(|dir| dir.contents().remove(name));
            let damages = [None, Some(Vec::new()), Some(vec![7; 50]), Some(good[..4000].to_vec()), Some(flipped)];
            for damage in damages.into_iter().chain(older.map(Some)) {
                let dir = fixture.dir.copy();
                match damage {
                    None => dir.take(name),
                    Some(bytes) => dir.put(name, bytes),
                }
                let what = format!("{kind}: {name}");
                assert!(matches!(judge(&what, &dir, Mode::ReadOnly, &fixture.model), Verdict::Same { .. }));
                let healed = judge(&what, &dir, Mode::ReadWrite, &fixture.model);
                assert_eq!(healed, Verdict::Same { verified: Ok(()) }, "{what}");
                assert_eq!(dir.contents(), fixture.dir.contents(), "{what}");
            }
        }
    }
}

/// Where forged files made the library panic, and the first that did.
type Harm = BTreeMap<String, String>;

/// Keeps the place of a panic for the thread that catches it.
fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED_AT.set(panic.location().map_or_else(String::new, ToString::to_string));
            before(panic);
        }));
    });
}

/// Opens a directory whose checksums are right and whose contents are forged, reads and writes. Any status is an answer.
fn use_forged(harm: &mut Harm, what: &str, dir: &MemoryDir) {
    remember_panics();
    LARGEST.set(0);
    let used = catch_unwind(AssertUnwindSafe(|| {
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let Ok(store) = open(&dir.copy(), 0, mode, tuning(0, 0)) else { continue };
            let dim = store.dim() as usize;
            if dim > 64 {
                continue;
            }
            let _ = read_all(&store);
            for id in [0, 3, 77, 1000, u64::MAX - 1] {
                let _ = store.get(&[id], &mut vec![0.0; dim], None);
            }
            let mut nearest = ([0; 5], [0.0; 5]);
            let _ = store.search(&vec![1.0; dim], 5, &SearchOptions::default(), &mut nearest.0, &mut nearest.1);
            let _ = store.stats().map(drop).or(store.verify(&mut Work::default()).map(drop));
            if mode == Mode::ReadWrite {
                let _ = store.insert(None, &vectors(0, 3, dim as u64));
                let _ = store.upsert(&[3, 9], &vectors(0, 2, dim as u64));
                let _ = store.delete(&[0, 5, 1000]);
                let _ = store.compact(&mut Work::default());
                let _ = store.close();
            }
        }
    }));
    let largest = LARGEST.get();
    if largest > LARGEST_ALLOWED {
        harm.entry("a huge allocation".into()).or_insert_with(|| format!("{what}: {largest} bytes"));
    }
    if used.is_err() {
        harm.entry(PANICKED_AT.take()).or_insert_with(|| what.to_owned());
    }
}

const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    200,
    1 << 20,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    1 << 32,
    1 << 48,
    i64::MAX as u64,
    u64::MAX - 1,
    u64::MAX,
];

fn put_manifest(dir: &MemoryDir, manifest: &Manifest) {
    for name in MANIFEST_NAMES {
        dir.put(name, manifest.encode());
    }
}

#[test]
fn forged_manifests_with_sound_checksums_do_no_harm() {
    let mut harm = Harm::new();
    type Field = (&'static str, fn(&mut Manifest, u64));
    let fields: [Field; 8] = [
        ("generation", |m, n| m.generation = n),
        ("dim", |m, n| m.dim = n as u32),
        ("metric", |m, n| m.metric = Metric::ALL[n as usize % 3]),
        ("next_file", |m, n| m.next_file = n),
        ("log", |m, n| m.log = n),
        ("log_clean", |m, n| m.log_clean = n),
        ("base_seq", |m, n| m.base_seq = n),
        ("base_next_id", |m, n| m.base_next_id = n),
    ];
    for (kind, fixture) in fixtures(1) {
        let own = Manifest::decode("A", &fixture.dir.bytes(MANIFEST_NAMES[0])).unwrap();
        for (field, set) in fields {
            for number in NUMBERS {
                let mut forged = own.clone();
                set(&mut forged, number);
                let dir = fixture.dir.copy();
                put_manifest(&dir, &forged);
                use_forged(&mut harm, &format!("{kind}: {field} {number:#x}"), &dir);
            }
        }
        for index in 0..own.files.len() {
            for number in NUMBERS {
                let mut forged = vec![own.clone(); 5];
                forged[0].files[index].id = number;
                forged[1].files[index].length = number;
                forged[2].files[index].rows = number;
                forged[3].files[index].root = number as u32;
                forged[4].files[index].kind = [Kind::Log, Kind::Raw, Kind::Code, Kind::Tombstones][number as usize % 4];
                for (field, manifest) in forged.iter().enumerate() {
                    let dir = fixture.dir.copy();
                    put_manifest(&dir, manifest);
                    use_forged(&mut harm, &format!("{kind}: file {index}, field {field}, {number:#x}"), &dir);
                }
            }
        }
    }
    assert_eq!(harm, Harm::new());
}

#[test]
fn forged_frames_with_sound_checksums_do_no_harm() {
    let mut harm = Harm::new();
    type Field = (&'static str, fn(&mut FrameHeader, u64));
    let fields: [Field; 7] = [
        ("flags", |h, n| h.flags = n as u32),
        ("seq", |h, n| h.seq = n),
        ("durable_seq", |h, n| h.durable_seq = n),
        ("first_id", |h, n| h.first_id = n),
        ("rows", |h, n| h.rows = n as u32),
        ("deletes", |h, n| h.deletes = n as u32),
        ("operations", |h, n| h.operations = n as u32),
    ];
    let builder = Builder::new(1, 4).session(NEVER, |store| {
        store.insert(None, &vectors(0, 20, 4)).unwrap();
    });
    let dir = builder.dir;
    let name = Kind::Log.file_name(1);
    let manifest = Manifest::decode("A", &dir.bytes(MANIFEST_NAMES[0])).unwrap();
    let bytes = dir.bytes(&name);
    let header: [u8; 64] = bytes[HEADER_BYTES..HEADER_BYTES + 64].try_into().unwrap();
    let own = FrameHeader::decode(1, HEADER_BYTES as u64, &header).unwrap();
    for (field, set) in fields {
        for number in NUMBERS.into_iter().chain([3, 4, 8, 15, u64::MAX - 10]) {
            for log_clean in [manifest.log_clean, 0] {
                let mut forged = own;
                set(&mut forged, number);
                let mut bytes = bytes.clone();
                bytes[HEADER_BYTES..HEADER_BYTES + 64].copy_from_slice(&forged.encode(1, HEADER_BYTES as u64));
                let dir = dir.copy();
                dir.put(&name, bytes);
                put_manifest(&dir, &Manifest { log_clean, ..manifest.clone() });
                use_forged(&mut harm, &format!("frame {field} {number:#x}, clean {log_clean}"), &dir);
            }
        }
    }
    assert_eq!(harm, Harm::new());
}

/// The footer of a sound sealed file.
fn footer_of(bytes: &[u8], id: u64) -> Footer {
    let data = data_bytes(bytes);
    let footer_at = bytes.len() - FOOTER_BYTES;
    let stored: [u8; FOOTER_BYTES] = bytes[footer_at..].try_into().unwrap();
    let root = u32::from_le_bytes(stored[FOOTER_BYTES - 4..].try_into().unwrap());
    Footer::decode("", id, &stored, &bytes[data + data.div_ceil(4096) * 4..footer_at], root).unwrap()
}

/// Makes the checksums of a sealed file right again after its data or footer changed; returns its root.
fn reseal(bytes: &mut [u8], id: u64, data: usize, change: impl FnOnce(&mut Footer)) -> u32 {
    let blocks = data.div_ceil(4096);
    let footer_at = bytes.len() - FOOTER_BYTES;
    let (table, top) = (data..data + blocks * 4, data + blocks * 4..footer_at);
    let mut footer = footer_of(bytes, id);
    for block in 0..blocks {
        let sum = checksum(seed(id, block as u64), &bytes[block * 4096..data.min(block * 4096 + 4096)]);
        bytes[data + block * 4..][..4].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = checksum(seed(id, 1 << 60), &bytes[table]);
    bytes[top.clone()].copy_from_slice(&sum.to_le_bytes());
    change(&mut footer);
    let (encoded, root) = footer.encode(id, &bytes[top]);
    bytes[footer_at..].copy_from_slice(&encoded);
    root
}

fn data_bytes(bytes: &[u8]) -> usize {
    let footer: &[u8; FOOTER_BYTES] = bytes[bytes.len() - FOOTER_BYTES..].try_into().unwrap();
    Footer::claimed_data_bytes(footer) as usize
}

/// Puts `bytes` in the place of listed file `index`, with `root`.
fn put_sealed(dir: &MemoryDir, manifest: &Manifest, index: usize, bytes: Vec<u8>, root: u32) -> MemoryDir {
    let dir = dir.copy();
    let mut manifest = manifest.clone();
    manifest.files[index].root = root;
    dir.put(&manifest.files[index].kind.file_name(manifest.files[index].id), bytes);
    put_manifest(&dir, &manifest);
    dir
}

#[test]
fn forged_footers_with_sound_checksums_do_no_harm() {
    let mut harm = Harm::new();
    type Field = (&'static str, fn(&mut Footer, u64));
    let fields: [Field; 18] = [
        ("data_bytes", |f, n| f.data_bytes = n),
        ("rows", |f, n| f.rows = n),
        ("ids_offset", |f, n| f.ids_offset = n),
        ("ids_bytes", |f, n| f.ids_bytes = n),
        ("ids", |f, n| f.ids = n),
        ("first_id", |f, n| f.first_id = n),
        ("last_id", |f, n| f.last_id = n),
        ("extents_offset", |f, n| f.extents_offset = n),
        ("extents", |f, n| f.extents = n),
        ("rows_offset", |f, n| f.rows_offset = n),
        ("codebook_offset", |f, n| f.codebook_offset = n),
        ("codebook_second", |f, n| f.codebook_second = n),
        ("codebook_bytes", |f, n| f.codebook_bytes = n),
        ("bounds_offset", |f, n| f.bounds_offset = n),
        ("symbols", |f, n| f.symbols = n as u32),
        ("side_bytes", |f, n| f.side_bytes = n as u32),
        ("lists", |f, n| f.lists = n as u32),
        ("lists_offset", |f, n| (f.lists_offset, f.lists) = (n, 2)),
    ];
    for (kind, fixture) in fixtures(1) {
        let manifest = Manifest::decode("A", &fixture.dir.bytes(MANIFEST_NAMES[0])).unwrap();
        for (index, entry) in manifest.files.iter().enumerate() {
            let original = fixture.dir.bytes(&entry.kind.file_name(entry.id));
            for (field, set) in fields {
                for number in NUMBERS.into_iter().chain([4096, original.len() as u64]) {
                    let mut bytes = original.clone();
                    let root = reseal(&mut bytes, entry.id, data_bytes(&original), |footer| set(footer, number));
                    let dir = put_sealed(&fixture.dir, &manifest, index, bytes.clone(), root);
                    use_forged(
                        &mut harm,
                        &format!("{kind}: {} footer {field} {number:#x}", entry.kind.file_name(entry.id)),
                        &dir,
                    );
                    if field == "rows" {
                        let mut agreeing = manifest.clone();
                        (agreeing.files[index].rows, agreeing.files[index].root) = (number, root);
                        put_manifest(&dir, &agreeing);
                        use_forged(&mut harm, &format!("{kind}: rows {number:#x}, in the manifest too"), &dir);
                    }
                }
            }
        }
    }
    assert_eq!(harm, Harm::new());
}

#[test]
fn forged_error_bounds_and_side_bytes_are_found_by_verify() {
    let fixture = window_codes(1);
    let manifest = Manifest::decode("A", &fixture.dir.bytes(MANIFEST_NAMES[0])).unwrap();
    let entry = manifest.files[0];
    let original = fixture.dir.bytes(&entry.kind.file_name(entry.id));
    let data = data_bytes(&original);
    let verified = |bytes: Vec<u8>, root: u32| {
        let dir = put_sealed(&fixture.dir, &manifest, 0, bytes, root);
        open(&dir, 0, Mode::ReadOnly, tuning(0, NEVER)).unwrap().verify(&mut Work::default())
    };
    let mut bytes = original.clone();
    let root = reseal(&mut bytes, entry.id, data, |footer| footer.measured.farthest /= 2.0);
    let error = verified(bytes, root).unwrap_err().to_string();
    assert!(error.contains("bound") && error.contains("in the footer"), "{error}");
    // All bounds 0: then a side byte must be exactly that of its code, and hardly any is.
    let mut bytes = original.clone();
    let offset = footer_of(&original, entry.id).bounds_offset as usize;
    bytes[offset..offset + 2 * 500usize.div_ceil(32)].fill(0);
    let root = reseal(&mut bytes, entry.id, data, |_| ());
    let error = verified(bytes, root).unwrap_err().to_string();
    assert!(error.contains("side byte"), "{error}");
    let mut bytes = original;
    let root = reseal(&mut bytes, entry.id, data, |_| ());
    verified(bytes, root).unwrap();
}

#[test]
fn forged_data_with_sound_checksums_does_no_harm() {
    let mut harm = Harm::new();
    for (kind, fixture) in fixtures(1) {
        let manifest = Manifest::decode("A", &fixture.dir.bytes(MANIFEST_NAMES[0])).unwrap();
        for (index, entry) in manifest.files.iter().enumerate() {
            let name = entry.kind.file_name(entry.id);
            let original = fixture.dir.bytes(&name);
            let data = data_bytes(&original);
            // Every byte behind the header that is not only floats or codes; of those every 97th.
            let step = |at: &usize| at.is_multiple_of(97) || *at < 80 || *at + 1500 > data || (4096..4300).contains(at);
            for at in (0..data).filter(step) {
                for forged in [0, 0xff, original[at] ^ 0x80, original[at].wrapping_add(1)] {
                    let mut bytes = original.clone();
                    bytes[at] = forged;
                    let root = reseal(&mut bytes, entry.id, data, |_| ());
                    let dir = put_sealed(&fixture.dir, &manifest, index, bytes, root);
                    use_forged(&mut harm, &format!("{kind}: byte {at} of {name} is {forged:#x}"), &dir);
                }
            }
        }
    }
    assert_eq!(harm, Harm::new());
}

/// The store of a fixture with one byte of its first sealed file flipped, open for writing.
fn open_flipped(fixture: &Fixture, at: usize) -> Store {
    let own = Manifest::decode("A", &fixture.dir.bytes(MANIFEST_NAMES[0])).unwrap();
    let name = own.files[0].kind.file_name(own.files[0].id);
    let mut bytes = fixture.dir.bytes(&name);
    bytes[at] ^= 1;
    let dir = fixture.dir.copy();
    dir.put(&name, bytes);
    open(&dir, 0, Mode::ReadWrite, tuning(0, NEVER)).unwrap()
}

#[test]
fn an_upsert_that_meets_damage_changes_nothing_and_leaves_the_store_writable() {
    let fixture = sealed_log(1);
    // Behind the header and the one frame lie the ids.
    let store = open_flipped(&fixture, 2 * HEADER_BYTES + 20);
    let id = *fixture.model.keys().nth(5).unwrap();
    let error = store.upsert(&[u64::MAX - 1, id], &vectors(0, 2, 4)).unwrap_err();
    is_of_file_range("upsert", &error);
    assert_eq!(store.count(), fixture.model.len() as u64);
    store.insert(Some(&[u64::MAX - 1]), &vectors(0, 1, 4)).unwrap();
    store.commit().unwrap();
    store.close().unwrap();
}

#[test]
fn a_scan_that_meets_damage_writes_nothing() {
    let build = Builder::new(1, 4).session(0, |store| {
        store.insert(None, &vectors(0, 600, 4)).unwrap();
    });
    // The second block of rows.
    let store = open_flipped(&build.done(), 2 * HEADER_BYTES + 20);
    let (mut position, mut ids, mut rows) = (0, [7; 600], [7.0; 2400]);
    is_of_file_range("scan", &store.list(&mut position, &mut ids, Some(&mut rows)).unwrap_err());
    assert!(position == 0 && ids == [7; 600] && rows == [7.0; 2400], "the outputs changed");
}

#[test]
fn a_tombstone_far_behind_the_rows_there_can_be_allocates_nothing() {
    let fixture = tombstones(1);
    let own = Manifest::decode("A", &fixture.dir.bytes(MANIFEST_NAMES[0])).unwrap();
    let index = own.files.iter().position(|file| file.kind == Kind::Tombstones).unwrap();
    let entry = own.files[index];
    let mut bytes = fixture.dir.bytes(&entry.kind.file_name(entry.id));
    // The number of the first chunk; the manifest says of every segment that it has so many rows.
    bytes[HEADER_BYTES + 8..HEADER_BYTES + 16].copy_from_slice(&(1u64 << 24).to_le_bytes());
    let data = data_bytes(&bytes);
    let root = reseal(&mut bytes, entry.id, data, |_| ());
    let mut forged = own.clone();
    forged.files.iter_mut().for_each(|file| file.rows = 1 << 40);
    let dir = put_sealed(&fixture.dir, &forged, index, bytes, root);
    let mut harm = Harm::new();
    use_forged(&mut harm, "chunk 2^24", &dir);
    assert_eq!(harm, Harm::new());
}

#[test]
fn forged_headers_with_sound_checksums_are_refused_or_do_no_harm() {
    for (kind, fixture) in fixtures(1) {
        for name in fixture.dir.stored().into_iter().filter(|name| name.ends_with(".log")) {
            let original = fixture.dir.bytes(&name);
            let own = FileHeader::decode(&name, original[..HEADER_BYTES].try_into().unwrap()).unwrap();
            let forged = [
                FileHeader { kind: Kind::Raw, ..own.clone() },
                FileHeader { store: [8; 16], ..own.clone() },
                FileHeader { id: own.id + 1, ..own.clone() },
                FileHeader { dim: own.dim + 1, ..own.clone() },
                FileHeader { metric: Metric::ALL[(own.metric as usize + 1) % 3], ..own.clone() },
                FileHeader { base_seq: own.base_seq + 1, ..own.clone() },
            ];
            for header in forged {
                let dir = fixture.dir.copy();
                dir.put(&name, [&header.encode(), &original[HEADER_BYTES..]].concat());
                let what = format!("{kind}: {header:?}");
                let verdicts = read_only_and_writing(&what, &dir, &fixture.model);
                // What only an active log's header tells (metric, first call) is not looked at when it is sealed.
                if (header.metric, header.base_seq) == (own.metric, own.base_seq) {
                    verdicts.iter().for_each(|verdict| expect_found(&what, &name, verdict));
                }
            }
        }
    }
}
