//! Forged files with sound checksums: every number in them may have any value. The library refuses them, or no harm is
//! done.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "an allocator that remembers the largest request has to be one")]

mod fixtures;

use fixtures::parts::{Parts, put_sealed};
use fixtures::*;
use omen::error::Error;
use omen::format::{
    FileHeader, Footer, FrameHeader, Kind, MANIFEST_NAMES, Manifest, Section, SectionKind, checksum, seed,
};
use omen::metric::Metric;
use omen::store::Mode;
use omen::work::Work;

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
        let own = manifest_of(&fixture.dir);
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
    let manifest = manifest_of(&dir);
    let bytes = dir.bytes(&name);
    let at = Kind::Log.header_bytes();
    let header: [u8; 64] = bytes[at..at + 64].try_into().unwrap();
    let own = FrameHeader::decode(1, at as u64, &header).unwrap();
    for (field, set) in fields {
        for number in NUMBERS.into_iter().chain([3, 4, 8, 15, u64::MAX - 10]) {
            for log_clean in [manifest.log_clean, 0] {
                let mut forged = own;
                set(&mut forged, number);
                let mut bytes = bytes.clone();
                bytes[at..at + 64].copy_from_slice(&forged.encode(1, at as u64));
                let dir = dir.copy();
                dir.put(&name, bytes);
                put_manifest(&dir, &Manifest { log_clean, ..manifest.clone() });
                use_forged(&mut harm, &format!("frame {field} {number:#x}, clean {log_clean}"), &dir);
            }
        }
    }
    assert_eq!(harm, Harm::new());
}

/// Opens each sealed file of each kind of store with forged parts.
fn forge_sealed_files(forge: impl Fn(&str, &Parts, &mut dyn FnMut(&str, u64, (Vec<u8>, u32)))) {
    let mut harm = Harm::new();
    for (kind, fixture) in fixtures(1) {
        let manifest = manifest_of(&fixture.dir);
        for (index, entry) in manifest.files.iter().enumerate() {
            let name = entry.kind.file_name(entry.id);
            let parts = Parts::of(&fixture.dir.bytes(&name), entry.id);
            forge(&name, &parts, &mut |what, rows, file| {
                let dir = put_sealed(&fixture.dir, &manifest, index, file);
                use_forged(&mut harm, &format!("{kind}: {name} {what}"), &dir);
                let mut agreeing = manifest_of(&dir);
                if agreeing.files[index].rows != rows {
                    agreeing.files[index].rows = rows;
                    put_manifest(&dir, &agreeing);
                    use_forged(&mut harm, &format!("{kind}: {name} {what}, in the manifest too"), &dir);
                }
            });
        }
    }
    assert_eq!(harm, Harm::new());
}

/// The number of a file, from its name.
fn id_of(name: &str) -> u64 {
    Kind::parse(name).unwrap().1
}

/// Rows that the table of sections claims.
fn rows_of(parts: &Parts) -> u64 {
    parts.sections.iter().find(|section| section.kind == SectionKind::Rows as u32).map_or(0, |rows| rows.count)
}

#[test]
fn forged_footers_with_sound_checksums_do_no_harm() {
    type Field = (&'static str, fn(&mut Footer, u64));
    let fields: [Field; 6] = [
        ("data_bytes", |f, n| f.data_bytes = n),
        ("sections", |f, n| f.sections = n as u32),
        ("first_id", |f, n| f.first_id = n),
        ("last_id", |f, n| f.last_id = n),
        ("symbols", |f, n| f.symbols = n as u32),
        ("side_bytes", |f, n| f.side_bytes = n as u32),
    ];
    forge_sealed_files(|name, parts, open| {
        for (field, set) in fields {
            for number in NUMBERS.into_iter().chain([4096, parts.data.len() as u64]) {
                let mut forged = parts.clone();
                set(&mut forged.footer, number);
                open(&format!("footer {field} {number:#x}"), rows_of(parts), forged.seal(id_of(name)));
            }
        }
    });
}

#[test]
fn forged_sections_with_sound_checksums_do_no_harm() {
    type Field = (&'static str, fn(&mut Section, u64));
    let fields: [Field; 7] = [
        ("kind", |s, n| s.kind = n as u32),
        ("flags", |s, n| s.flags = n as u32),
        ("offset", |s, n| s.offset = n),
        ("length", |s, n| s.length = n),
        ("count", |s, n| s.count = n),
        ("offset and length", |s, n| (s.offset, s.length) = (n, 0)),
        ("offset with 2 items", |s, n| (s.offset, s.count) = (n, 2)),
    ];
    forge_sealed_files(|name, parts, open| {
        for index in 0..parts.sections.len() {
            for (field, set) in fields {
                for number in NUMBERS.into_iter().chain([4096, parts.data.len() as u64]) {
                    let mut forged = parts.clone();
                    set(&mut forged.sections[index], number);
                    let what = format!("section {} {field} {number:#x}", parts.sections[index].name());
                    open(&what, rows_of(&forged), forged.reseal(id_of(name)));
                }
            }
        }
    });
}

#[test]
fn forged_parities_error_bounds_and_side_bytes_are_found_by_verify() {
    let fixture = formula_codes(1);
    let manifest = manifest_of(&fixture.dir);
    let entry = manifest.files[0];
    let original = Parts::of(&fixture.dir.bytes(&entry.kind.file_name(entry.id)), entry.id);
    let verified = |parts: &Parts| {
        let dir = put_sealed(&fixture.dir, &manifest, 0, parts.seal(entry.id));
        open(&dir, 0, Mode::ReadOnly, tuning(0, NEVER)).unwrap().verify(&mut Work::default())
    };
    let mut forged = original.clone();
    forged.footer.measured.farthest /= 2.0;
    let error = verified(&forged).unwrap_err().to_string();
    assert!(error.contains("bound") && error.contains("in the footer"), "{error}");
    let mut forged = original.clone();
    let parity = forged.section(SectionKind::CodebookParity).offset as usize;
    forged.data[parity + 17] ^= 1;
    let error = verified(&forged).unwrap_err().to_string();
    assert!(error.contains("codebook parity: not that of the codebook"), "{error}");
    // All bounds 0: then a side byte must be exactly that of its code, and hardly any is.
    let mut forged = original.clone();
    let offset = forged.section(SectionKind::Bounds).offset as usize;
    forged.data[offset..offset + 2 * 500usize.div_ceil(32)].fill(0);
    let error = verified(&forged).unwrap_err().to_string();
    assert!(error.contains("side byte"), "{error}");
    verified(&original).unwrap();
}

#[test]
fn forged_data_with_sound_checksums_does_no_harm() {
    forge_sealed_files(|name, parts, open| {
        let (data, behind) = (parts.data.len(), Kind::parse(name).unwrap().0.header_bytes());
        // The fields of the header, the bytes behind it, the last 1,500 bytes, and every 97th of the others.
        let step =
            |at: &usize| at.is_multiple_of(97) || *at < 80 || *at + 1500 > data || (behind..behind + 200).contains(at);
        for at in (0..data).filter(step) {
            let original = parts.data[at];
            for byte in [0, 0xff, original ^ 0x80, original.wrapping_add(1)] {
                let mut forged = parts.clone();
                forged.data[at] = byte;
                open(&format!("byte {at} is {byte:#x}"), rows_of(parts), forged.seal(id_of(name)));
            }
        }
    });
}

#[test]
fn a_tombstone_far_behind_the_rows_there_can_be_allocates_nothing() {
    let fixture = tombstones(1);
    let own = manifest_of(&fixture.dir);
    let index = own.files.iter().position(|file| file.kind == Kind::Tombstones).unwrap();
    let entry = own.files[index];
    let mut parts = Parts::of(&fixture.dir.bytes(&entry.kind.file_name(entry.id)), entry.id);
    // The number of the first bitmap; the manifest says of every segment that it has so many rows.
    let offset = parts.section(SectionKind::Tombstones).offset as usize;
    parts.data[offset + 8..offset + 16].copy_from_slice(&(1u64 << 24).to_le_bytes());
    let mut forged = own.clone();
    forged.files.iter_mut().for_each(|file| file.rows = 1 << 40);
    let dir = put_sealed(&fixture.dir, &forged, index, parts.seal(entry.id));
    let mut harm = Harm::new();
    use_forged(&mut harm, "bitmap 2^24", &dir);
    assert_eq!(harm, Harm::new());
}

#[test]
fn forged_headers_with_sound_checksums_are_refused_or_do_no_harm() {
    for (kind, fixture) in fixtures(1) {
        for name in fixture.dir.stored().into_iter().filter(|name| name.ends_with(".log")) {
            let original = fixture.dir.bytes(&name);
            let (own, frames) = original.split_at(Kind::Log.header_bytes());
            let own = FileHeader::decode(&name, own).unwrap();
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
                dir.put(&name, [&header.encode(), frames].concat());
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

/// The only number of a metric that a store may have is one of those there are.
#[test]
fn an_unknown_metric_in_a_header_or_a_manifest_is_damage() {
    let fixture = active_log(1);
    let (log, block) = (Kind::Log.file_name(1), Kind::Log.header_bytes());
    for number in [3, 255, u32::MAX] {
        let forge = |name: &str, at: usize, id: u64, checksum_seed: u64| {
            let mut bytes = fixture.dir.bytes(name);
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            let sum = checksum(seed(id, checksum_seed), &bytes[..block - 4]);
            bytes[block - 4..block].copy_from_slice(&sum.to_le_bytes());
            bytes
        };
        let header = forge(&log, 60, 1, 0x4845_4144);
        let refused = FileHeader::decode(&log, &header[..block]).unwrap_err();
        let dir = fixture.dir.copy();
        dir.put(&log, header);
        for error in [refused, open(&dir, 0, Mode::ReadOnly, tuning(0, NEVER)).unwrap_err()] {
            assert!(
                matches!(&error, Error::Corrupt { file, what } if *file == log && what.contains("metric")),
                "{error}"
            );
        }
        let dir = fixture.dir.copy();
        for name in MANIFEST_NAMES {
            dir.put(name, forge(name, 52, 0, 0x4c49_5354));
        }
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let error = open(&dir, 0, mode, tuning(0, NEVER)).unwrap_err();
            assert!(matches!(&error, Error::Corrupt { what, .. } if what.contains("metric")), "{error}");
        }
    }
}
