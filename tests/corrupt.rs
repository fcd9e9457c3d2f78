//! Damaged files: every bit, length, block, file. Each damage is either refused with a status of the file range, or
//! harmless: what can be read is what was written. Never a panic, never a huge allocation, never silently wrong data.
//!
//! One bit of every byte is flipped; with OMEN_ALL_BITS=1 all eight.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "an allocator that remembers the largest request has to be one")]

mod fixtures;

use fixtures::*;
use omen::format::{BLOCK_BYTES, Kind, MANIFEST_NAMES, Manifest};
use omen::store::{Mode, Store, Tuning};

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
    let manifest = manifest_of(&sealed.dir);
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

/// A manifest of another, emptier store with a higher generation must not make this one look empty, and least of all
/// have its files removed as not listed.
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

/// The store of a fixture with one byte of its first sealed file flipped, open for writing.
fn open_flipped(fixture: &Fixture, at: usize) -> Store {
    let own = manifest_of(&fixture.dir);
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
    let store = open_flipped(&fixture, 2 * BLOCK_BYTES + 20);
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
    let store = open_flipped(&build.done(), 2 * BLOCK_BYTES + 20);
    let (mut position, mut ids, mut rows) = (0, [7; 600], [7.0; 2400]);
    is_of_file_range("scan", &store.list(&mut position, &mut ids, Some(&mut rows)).unwrap_err());
    assert!(position == 0 && ids == [7; 600] && rows == [7.0; 2400], "the outputs changed");
}
