//! The parity of a codebook: a store whose codebook has one damaged block reads and searches as before; with more
//! damage it is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "an allocator that remembers the largest request has to be one")]

mod fixtures;
mod random;

use fixtures::parts::{Parts, put_sealed};
use fixtures::*;
use memory::MemoryDir;
use omen::codec::{FORMULA, WINDOWS};
use omen::error::Error;
use omen::format::{BLOCK_BYTES, SectionKind, SegmentEntry};
use omen::metric::Metric;
use omen::store::{CompressOptions, Mode, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use std::ops::Range;

/// A store of one file of codes.
struct Coded {
    dir: MemoryDir,
    entry: SegmentEntry,
    parts: Parts,
    queries: Vec<f32>,
    answers: Answers,
}

/// All rows, and the nearest rows and their distances, as bits.
#[derive(Debug, PartialEq)]
struct Answers {
    rows: Vec<u32>,
    ids: Vec<u64>,
    distances: Vec<u32>,
}

const K: usize = 10;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn open_store(dir: &MemoryDir, mode: Mode) -> omen::error::Result<Store> {
    open(dir, 0, mode, tuning(1, NEVER))
}

fn answers(store: &Store, queries: &[f32]) -> omen::error::Result<Answers> {
    let rows = read_all(store)?.into_values().flatten().collect::<Vec<f32>>();
    let count = queries.len() / store.dim() as usize * K;
    let (mut ids, mut distances) = (vec![0; count], vec![0.0; count]);
    store.search(queries, K, &SearchOptions::default(), &mut ids, &mut distances)?;
    Ok(Answers { rows: bits(&rows), ids, distances: bits(&distances) })
}

impl Coded {
    /// `rows: [n][dim]` compressed to `ratio`, as codes of `codec`.
    fn new(rows: &[f32], dim: usize, ratio: f64, codec: u32) -> Coded {
        let dir = MemoryDir::default();
        let options =
            Options { mode: Mode::ReadWriteCreate, threads: 1, metric: Some(Metric::L2), ..Options::default() };
        let store = Store::open_tuned(Box::new(dir.clone()), dim as u32, &options, tuning(1, 0)).unwrap();
        store.insert(None, rows).unwrap();
        let compress = CompressOptions { ratio, ..CompressOptions::default() };
        let report = store.compress(&compress, &mut Work::default()).unwrap();
        assert_eq!(report.codec, codec as i32, "{report:?}");
        store.close().unwrap();
        let queries = rows[..20 * dim].to_vec();
        let answers = answers(&open_store(&dir, Mode::ReadOnly).unwrap(), &queries).unwrap();
        let entry = manifest_of(&dir).files[0];
        let parts = Parts::of(&dir.bytes(&entry.kind.file_name(entry.id)), entry.id);
        Coded { dir, entry, parts, queries, answers }
    }

    fn name(&self) -> String {
        self.entry.kind.file_name(self.entry.id)
    }

    /// The bytes of a section.
    fn section(&self, kind: SectionKind) -> Range<usize> {
        let section = self.parts.sections.iter().find(|section| section.kind == kind as u32).unwrap();
        section.offset as usize..(section.offset + section.length) as usize
    }

    /// The numbers of the blocks that hold a part of a section.
    fn blocks(&self, kind: SectionKind) -> Range<usize> {
        let bytes = self.section(kind);
        bytes.start / BLOCK_BYTES..bytes.end.div_ceil(BLOCK_BYTES)
    }

    /// The store with a byte of its file flipped at each of `places`.
    fn flipped(&self, places: &[usize]) -> MemoryDir {
        let (dir, mut bytes) = (self.dir.copy(), self.dir.bytes(&self.name()));
        places.iter().for_each(|at| bytes[*at] ^= 0x10);
        dir.put(&self.name(), bytes);
        dir
    }

    /// A byte of `block` that is part of the codebook.
    fn book_byte(&self, block: usize) -> usize {
        let book = self.section(SectionKind::Codebook);
        (block * BLOCK_BYTES + BLOCK_BYTES / 2).clamp(book.start, book.end - 1)
    }

    /// Checks that a store with damage answers as the sound one, and that `verify` finds the damage.
    fn answers_as_before(&self, what: &str, dir: &MemoryDir) {
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let store = open_store(&dir.copy(), mode).unwrap();
            assert_eq!(answers(&store, &self.queries).unwrap(), self.answers, "{what}");
            let damage = store.verify(&mut Work::default()).unwrap_err();
            assert!(is_of_file_range(what, &damage).contains(&self.name()), "{what}: {damage}");
        }
    }

    /// Checks that a store with damage opens, that each row is as before or refused, and that `verify` finds the damage.
    /// Returns how many are as before.
    fn reads_no_wrong_row(&self, what: &str, dir: &MemoryDir) -> usize {
        let store = open_store(dir, Mode::ReadOnly).unwrap();
        let (dim, mut sound) = (store.dim() as usize, 0);
        let mut row = vec![0.0; dim];
        for (id, expected) in (0..).zip(self.answers.rows.chunks_exact(dim)) {
            match store.get(&[id], &mut row, None) {
                Ok(_) => {
                    assert_eq!(bits(&row), expected, "{what}: row {id}");
                    sound += 1;
                }
                Err(error) => drop(is_of_file_range(what, &error)),
            }
        }
        is_of_file_range(what, &store.verify(&mut Work::default()).unwrap_err());
        sound
    }

    /// Checks that a store with damage is not opened.
    fn is_refused(&self, what: &str, dir: &MemoryDir) {
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let error = open_store(&dir.copy(), mode).unwrap_err();
            assert!(matches!(&error, Error::Corrupt { file, .. } if *file == self.name()), "{what}: {error}");
        }
    }
}

fn low_rank(rows: usize, dim: usize, rank: usize) -> Vec<f32> {
    let mut random = Random::new(5);
    let directions: Vec<f32> = (0..rank * dim).map(|_| random.normal()).collect();
    random.low_rank(rows, dim, &directions)
}

/// A formula book of several blocks.
fn large_book() -> Coded {
    let coded = Coded::new(&low_rank(6000, 160, 60), 160, 16.0, FORMULA);
    assert!(coded.section(SectionKind::Codebook).len() > 2 * BLOCK_BYTES);
    coded
}

/// A book shorter than a block, and more blocks of rows than one.
fn small_book() -> Coded {
    let coded = Coded::new(&low_rank(2000, 32, 20), 32, 6.0, FORMULA);
    assert!(coded.section(SectionKind::Codebook).len() < BLOCK_BYTES);
    coded
}

#[test]
fn one_damaged_block_of_a_codebook_is_restored() {
    let coded = large_book();
    let rows = coded.section(SectionKind::Rows);
    let mut whole = 0;
    for block in coded.blocks(SectionKind::Codebook) {
        let what = format!("block {block}");
        if (block + 1) * BLOCK_BYTES <= rows.start {
            whole += 1;
            for at in [0, 1, 2000, BLOCK_BYTES - 1] {
                coded.answers_as_before(&what, &coded.flipped(&[block * BLOCK_BYTES + at]));
            }
            // All of it.
            let bytes: Vec<usize> = (block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES).collect();
            coded.answers_as_before(&what, &coded.flipped(&bytes));
        } else {
            // The last block also holds the first rows: the store opens, and these are not read.
            let sound = coded.reads_no_wrong_row(&what, &coded.flipped(&[coded.book_byte(block)]));
            assert!((4000..6000).contains(&sound), "{sound} rows");
        }
    }
    assert!(whole >= 2);
}

#[test]
fn a_damaged_parity_alone_does_no_harm() {
    for (coded, rows) in [(large_book(), 6000), (small_book(), 2000)] {
        let parity = coded.section(SectionKind::CodebookParity);
        for at in [parity.start, parity.end - 1] {
            // Other sections have parts in these blocks.
            let sound = coded.reads_no_wrong_row("parity", &coded.flipped(&[at]));
            assert!(sound > rows / 2, "{sound} rows");
        }
    }
}

#[test]
fn two_damaged_blocks_are_refused() {
    let coded = large_book();
    let blocks = coded.blocks(SectionKind::Codebook);
    for first in blocks.clone() {
        for second in first + 1..blocks.end {
            let places = [coded.book_byte(first), coded.book_byte(second)];
            coded.is_refused(&format!("blocks {first} and {second}"), &coded.flipped(&places));
        }
    }
}

#[test]
fn a_damaged_block_and_a_damaged_parity_are_refused() {
    for coded in [large_book(), small_book()] {
        let parity = coded.section(SectionKind::CodebookParity);
        for block in coded.blocks(SectionKind::Codebook) {
            for at in [parity.start, parity.end - 1] {
                let what = format!("block {block} and byte {at} of the parity");
                coded.is_refused(&what, &coded.flipped(&[coded.book_byte(block), at]));
            }
        }
    }
}

#[test]
fn learned_codebooks_are_restored_too() {
    let dim = 32;
    // Whole numbers with one value far more frequent than the others: formula codes are worse.
    let mut random = Random::new(9);
    let mut value = || if random.once_in(4) { random.below(3) as f32 * 40.0 } else { 0.0 };
    let rows: Vec<f32> = (0..4000 * dim).map(|_| value()).collect();
    let coded = Coded::new(&rows, dim, 12.0, WINDOWS);
    let book = coded.section(SectionKind::Codebook);
    for block in coded.blocks(SectionKind::Codebook).filter(|block| (block + 1) * BLOCK_BYTES <= book.end) {
        coded.answers_as_before(&format!("block {block}"), &coded.flipped(&[block * BLOCK_BYTES + 77]));
    }
}

/// The parity serves a damaged codebook only, so a wrong one does nothing while the codebook is sound. What it restores
/// is parsed like any codebook.
#[test]
fn a_forged_parity_gives_an_error_or_a_codebook() {
    let coded = large_book();
    let (manifest, parity) = (manifest_of(&coded.dir), coded.section(SectionKind::CodebookParity));
    let mut harm = Harm::new();
    for byte in [0, 0x55, 0xff] {
        let mut forged = coded.parts.clone();
        forged.data[parity.clone()].fill(byte);
        let dir = put_sealed(&coded.dir, &manifest, 0, forged.seal(coded.entry.id));
        let store = open_store(&dir, Mode::ReadOnly).unwrap();
        assert_eq!(answers(&store, &coded.queries).unwrap(), coded.answers);
        let mut damaged = dir.bytes(&coded.name());
        damaged[coded.book_byte(1)] ^= 1;
        dir.put(&coded.name(), damaged);
        use_forged(&mut harm, &format!("parity of {byte:#x}"), &dir);
    }
    assert_eq!(harm, Harm::new());
}

/// Lengths that do not fit each other are damage.
#[test]
fn a_parity_of_another_length_is_refused() {
    let coded = small_book();
    let manifest = manifest_of(&coded.dir);
    for (kind, less) in [(SectionKind::CodebookParity, 1), (SectionKind::Codebook, 1), (SectionKind::CodebookParity, 0)]
    {
        let mut forged = coded.parts.clone();
        let section = forged.section(kind);
        section.length = if less == 0 { 0 } else { section.length - less };
        let dir = put_sealed(&coded.dir, &manifest, 0, forged.seal(coded.entry.id));
        coded.is_refused(kind.name(), &dir);
    }
}
