//! Forged files with sound checksums: every number in them may be any number. The library refuses them or does no harm.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "an allocator that remembers the largest request has to be one")]

mod fixtures;

use fixtures::parts::{Parts, put_sealed};
use fixtures::*;
use omen::error::{Error, Result};
use omen::format::{
    FileHeader, Footer, FrameHeader, HEADER_BYTES, Kind, MANIFEST_NAMES, Manifest, Section, SectionKind, checksum, seed,
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
