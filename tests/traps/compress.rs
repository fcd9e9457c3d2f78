//! Traps of compress: vectors left raw, ratios that leave bytes out, codes passed off as the vectors.

use crate::{
    Model, SIFT_DIM, assert_found_by_another_process, assert_used, contents, files, home, of_ids, open, open_to_read,
    ratio, sift, used, vectors,
};
use omen::codec::Codebook;
use omen::error::Error;
use omen::format::{FOOTER_BYTES, Footer, Section, SectionKind, decode_sections};
use omen::store::CompressOptions;
use omen::work::Work;
use std::path::Path;

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
        store.compress(&ratio(1.7), &mut Work::default()).unwrap();
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
    let report = store.compress(&ratio(16.0), &mut Work::default()).unwrap();
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
    store.compress(&ratio(16.0), &mut Work::default()).unwrap();
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
        let asked = 1.5 + 0.05 * f64::from(step);
        let store = open(&path, 16);
        store.insert(None, &vectors(0, 500, 16)).unwrap();
        store.compress(&ratio(1.2), &mut Work::default()).unwrap();
        store.delete(&[3]).unwrap();
        store.insert(None, &vectors(500, 600, 16)).unwrap();
        match store.compress(&ratio(asked), &mut Work::default()) {
            Ok(report) => assert!(report.ratio >= asked, "asked {asked}: {report:?}"),
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
    store.compress(&ratio(8.0), &mut Work::default()).unwrap();
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
    store.compress(&ratio(8.0), &mut Work::default()).unwrap();
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
    let sections = decode_sections(&name, 0..data_bytes, table).unwrap();
    let section = sections.iter().find(|section| section.kind == SectionKind::Codebook as u32).unwrap();
    let book = &bytes[section.offset as usize..(section.offset + section.length) as usize];
    Codebook::from_bytes(&name, book).unwrap()
}

#[test]
fn trap_07_a_ratio_without_its_terms() {
    let (_home, path) = home();
    let store = open(&path, SIFT_DIM);
    store.insert(None, &sift(5000)).unwrap();
    let report = store.compress(&ratio(12.0), &mut Work::default()).unwrap();
    store.close().unwrap();
    let (apparent, allocated) = used(&path);
    assert!(report.bytes_after >= apparent && report.bytes_after >= allocated.min(apparent));
    let book = stored_codebook(&path);
    // With its parity.
    let book_bytes = book.as_bytes().len() + book.as_bytes().len().min(4096);
    assert_eq!((report.code_bytes, report.codebook_bytes), (book.row_bytes() as u64, book_bytes as u64));
    let codes = report.vectors.next_multiple_of(32) * report.code_bytes;
    // What is neither codes nor codebook: a file header, checksums (4 bytes a block), a footer and two manifests.
    let rest = apparent - codes - report.codebook_bytes;
    assert!((2 * 4096 + 128..2 * 4096 + 128 + 1024).contains(&rest), "{rest}");
}
