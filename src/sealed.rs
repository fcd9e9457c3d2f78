//! Sealed files: immutable files of sections under a tree of checksums (format.md §6).
//!
//! The data is cut into 4 KiB blocks. The block table holds a checksum for each; a second table holds one for each 4
//! KiB of the block table. The root, which the manifest repeats, covers the second table, the table of sections and
//! the footer. An open reads only what the root covers; a block of data is checked once, when it is first read.

use crate::error::{Error, Result};
use crate::format::{
    BLOCK_BYTES, FOOTER_BYTES, FileHeader, Footer, Kind, SECTIONS_MAX, Section, SectionKind, SectionLayout,
    SegmentEntry, checksum, decode_sections, seed, to_usize, u32_at,
};
use crate::os::{Access, Dir, File, Map};
use crate::work::Work;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds the checksums of the blocks of the block table. Numbers of data blocks are far below it.
const TABLE_SEED: u64 = 1 << 60;
const BLOCKS_PER_TABLE_BLOCK: usize = BLOCK_BYTES / 4;

/// Collects the checksum of each 4 KiB block of a file while its bytes are written in order.
#[derive(Debug)]
pub struct BlockSums {
    id: u64,
    sums: Vec<u32>,
    /// Hash of the last block, which is not full yet.
    open: crc32fast::Hasher,
    open_bytes: usize,
}

impl BlockSums {
    /// Starts at the first byte of file `id`.
    pub fn new(id: u64) -> BlockSums {
        BlockSums { id, sums: Vec::new(), open: crc32fast::Hasher::new_with_initial(seed(id, 0)), open_bytes: 0 }
    }

    /// Bytes covered so far.
    pub fn length(&self) -> u64 {
        (self.sums.len() * BLOCK_BYTES + self.open_bytes) as u64
    }

    /// Covers the next `bytes` of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.open_bytes));
            self.open.update(now);
            self.open_bytes += now.len();
            if self.open_bytes == BLOCK_BYTES {
                self.close_block();
            }
            bytes = rest;
        }
    }

    /// Covers `parts`, whose bytes are cut at block ends into `pieces` of (checksum, length). Whole blocks are not
    /// hashed again.
    pub fn update_pieces(&mut self, pieces: &[(u32, usize)], parts: &[&[u8]]) {
        let mut start = 0;
        for (sum, bytes) in pieces {
            if *bytes == BLOCK_BYTES {
                self.open_bytes = BLOCK_BYTES;
                self.close_block();
                if let Some(last) = self.sums.last_mut() {
                    *last = *sum;
                }
            } else {
                self.update_range(parts, start, start + bytes);
            }
            start += bytes;
        }
    }

    fn update_range(&mut self, parts: &[&[u8]], mut from: usize, mut to: usize) {
        for part in parts {
            let (first, last) = (from.min(part.len()), to.min(part.len()));
            self.update(&part[first..last]);
            (from, to) = (from - first, to - last);
        }
    }

    fn close_block(&mut self) {
        let next = seed(self.id, self.sums.len() as u64 + 1);
        let full = std::mem::replace(&mut self.open, crc32fast::Hasher::new_with_initial(next));
        self.sums.push(full.finalize());
        self.open_bytes = 0;
    }

    /// The block table, and the second table: the checksums of the block table.
    fn tables(mut self) -> (Vec<u8>, Vec<u8>) {
        if self.open_bytes > 0 {
            self.close_block();
        }
        let table: Vec<u8> = self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let second = table_sums(self.id, &table);
        (table, second)
    }
}

fn table_sums(id: u64, table: &[u8]) -> Vec<u8> {
    let blocks = table.chunks(BLOCK_BYTES).enumerate();
    blocks.flat_map(|(index, block)| checksum(seed(id, TABLE_SEED + index as u64), block).to_le_bytes()).collect()
}

/// Bytes of the two tables of checksums for `data_bytes` of data.
fn checksum_bytes(data_bytes: u64) -> (u64, u64) {
    let blocks = data_bytes.div_ceil(BLOCK_BYTES as u64);
    (blocks * 4, blocks.div_ceil(BLOCKS_PER_TABLE_BLOCK as u64) * 4)
}

/// Bytes after `data_bytes` of data: tables of checksums, table of sections and footer.
fn trailer_bytes(data_bytes: u64, sections: u32) -> u64 {
    let (table, second) = checksum_bytes(data_bytes);
    table + second + u64::from(sections) * Section::BYTES as u64 + FOOTER_BYTES as u64
}

/// Upper bound on the bytes after `data_bytes` of data.
pub fn trailer_bytes_max(data_bytes: u64) -> u64 {
    trailer_bytes(data_bytes, SECTIONS_MAX)
}

/// Length of a sealed file with these sections, in bytes.
pub fn file_bytes(layout: &SectionLayout) -> u64 {
    layout.end() + trailer_bytes(layout.end(), layout.sections().len() as u32)
}

/// Writes a new sealed file section by section, a buffer at a time.
#[derive(Debug)]
pub struct SealedWriter {
    file: Box<dyn File>,
    id: u64,
    sums: BlockSums,
    layout: SectionLayout,
    /// Bytes that `sums` covers and that are not written yet.
    buffer: Vec<u8>,
}

const WRITE_BYTES: usize = 1 << 20;

impl SealedWriter {
    /// Begins in an empty file.
    pub fn new(file: Box<dyn File>, header: &FileHeader) -> SealedWriter {
        let (mut sums, buffer) = (BlockSums::new(header.id), header.encode());
        sums.update(&buffer);
        SealedWriter { file, id: header.id, sums, layout: SectionLayout::new(header.kind), buffer }
    }

    /// Continues a log that holds `rows` rows: its frames, which `sums` covers, become the section of rows.
    pub fn behind_log(file: Box<dyn File>, id: u64, sums: BlockSums, rows: u32) -> SealedWriter {
        let mut layout = SectionLayout::new(Kind::Log);
        layout.add(SectionKind::Rows, sums.length() - layout.end(), u64::from(rows));
        SealedWriter { file, id, sums, layout, buffer: Vec::new() }
    }

    /// Begins a section. Its bytes follow in calls of `write`.
    pub fn begin_section(&mut self, kind: SectionKind) -> Result<()> {
        let padding = self.layout.next_offset(kind) - self.sums.length();
        self.write(&vec![0; to_usize(padding)?])
    }

    /// Ends the current section, which is of `kind` and holds `count` items.
    pub fn end_section(&mut self, kind: SectionKind, count: u64) {
        let length = self.sums.length() - self.layout.next_offset(kind);
        self.layout.add(kind, length, count);
    }

    /// Writes a whole section of `count` items.
    pub fn write_section(&mut self, kind: SectionKind, count: u64, bytes: &[u8]) -> Result<()> {
        self.begin_section(kind)?;
        self.write(bytes)?;
        self.end_section(kind, count);
        Ok(())
    }

    /// Appends bytes to the current section.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sums.update(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let offset = self.sums.length() - self.buffer.len() as u64;
        self.file.write_at(&[&self.buffer], offset)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes tables and footer, truncates the file after them, and syncs it (not the directory). `footer` has the
    /// fields that do not depend on the layout. Returns the file's length and root.
    pub fn finish(mut self, footer: Footer) -> Result<(u64, u32)> {
        self.flush()?;
        let (sections, data_bytes) = (self.layout.sections().len() as u32, self.sums.length());
        let footer = Footer { data_bytes, sections, ..footer };
        let (table, mut tables) = self.sums.tables();
        tables.extend(self.layout.encode());
        let (footer_bytes, root) = footer.encode(self.id, &tables);
        self.file.write_at(&[&table, &tables, &footer_bytes], data_bytes)?;
        let length = file_bytes(&self.layout);
        self.file.set_length(length)?;
        self.file.sync()?;
        Ok((length, root))
    }
}

/// A sealed file, mapped. Every byte it returns was checked against its checksum.
#[derive(Debug)]
pub struct Sealed {
    name: String,
    kind: Kind,
    id: u64,
    map: Map,
    footer: Footer,
    sections: Vec<Section>,
    /// Byte range of the block table, which follows the data.
    table: Range<usize>,
    /// Byte range of the second table.
    second: Range<usize>,
    proven_blocks: ProvenBlocks,
    proven_table: ProvenBlocks,
}

impl Sealed {
    /// Opens a file of the manifest. Length, tables and footer must agree with its entry.
    pub fn open(dir: &dyn Dir, entry: &SegmentEntry) -> Result<Sealed> {
        let name = entry.kind.file_name(entry.id);
        let file = dir.open(&name, Access::Read).map_err(|error| missing_is_corrupt(error, &name))?;
        let length = file.length()?;
        if length != entry.length || length < FOOTER_BYTES as u64 {
            return Err(Error::corrupt(
                &name,
                format!("{length} bytes, expected {} as the manifest says", entry.length),
            ));
        }
        let map = file.map(0, to_usize(length)?)?;
        let footer_at = map.len() - FOOTER_BYTES;
        let mut footer = [0; FOOTER_BYTES];
        footer.copy_from_slice(&map[footer_at..]);
        let (data_bytes, sections) = Footer::claimed_layout(&name, &footer)?;
        if data_bytes > length || data_bytes + trailer_bytes(data_bytes, sections) != length {
            let what = format!("footer: {data_bytes} data bytes and {sections} sections in a file of {length} bytes");
            return Err(Error::corrupt(&name, what));
        }
        let (table_bytes, second_bytes) = checksum_bytes(data_bytes);
        let data = to_usize(data_bytes)?;
        let table = data..data + to_usize(table_bytes)?;
        let second = table.end..table.end + to_usize(second_bytes)?;
        let footer = Footer::decode(&name, entry.id, &footer, &map[second.start..footer_at], entry.root)?;
        let sections =
            decode_sections(&name, entry.kind.header_bytes() as u64..data_bytes, &map[second.end..footer_at])?;
        let proven_blocks = ProvenBlocks::new(data.div_ceil(BLOCK_BYTES));
        let proven_table = ProvenBlocks::new(table.len().div_ceil(BLOCK_BYTES));
        let SegmentEntry { kind, id, .. } = *entry;
        Ok(Sealed { name, kind, id, map, footer, sections, table, second, proven_blocks, proven_table })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's header.
    pub fn header(&self) -> Result<FileHeader> {
        FileHeader::decode(&self.name, self.bytes(0, self.kind.header_bytes())?)
    }

    /// The file's summary.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The section of this kind, which lies inside the data. It is an error if the file has none.
    pub fn section(&self, kind: SectionKind) -> Result<Section> {
        let found = self.sections.iter().find(|section| section.kind == kind as u32);
        found.copied().ok_or_else(|| self.section_error(kind, "missing from the table of sections"))
    }

    /// An error that reports damage in the section of this kind.
    pub fn section_error(&self, kind: SectionKind, what: impl std::fmt::Display) -> Error {
        Error::corrupt(&self.name, format!("section {}: {what}", kind.name()))
    }

    /// The section of this kind, which must have exactly this length and count.
    pub fn section_of(&self, kind: SectionKind, length: u64, count: u64) -> Result<Section> {
        let section = self.section(kind)?;
        if (section.length, section.count) == (length, count) {
            return Ok(section);
        }
        let found = format!("{} bytes of {} items", section.length, section.count);
        Err(self.section_error(kind, format!("{found}, expected {length} bytes of {count}")))
    }

    /// `length` bytes from `offset`. Blocks that were not read before are compared with their checksums.
    #[inline]
    pub fn bytes(&self, offset: u64, length: usize) -> Result<&[u8]> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.checked_add(length).filter(|end| *end <= self.table.start);
        let Some(end) = end else {
            let data = self.table.start;
            return Err(Error::corrupt(&self.name, format!("{length} bytes at {offset} reach past {data} data bytes")));
        };
        if length > 0 {
            for block in start / BLOCK_BYTES..=(end - 1) / BLOCK_BYTES {
                if !self.proven_blocks.get(block) {
                    self.prove(block)?;
                }
            }
        }
        Ok(&self.map[start..end])
    }

    #[cold]
    fn prove(&self, block: usize) -> Result<()> {
        let table_block = block / BLOCKS_PER_TABLE_BLOCK;
        if !self.proven_table.get(table_block) {
            let table = &self.map[self.table.clone()];
            let bytes = &table[table_block * BLOCK_BYTES..table.len().min((table_block + 1) * BLOCK_BYTES)];
            let expected = u32_at(&self.map[self.second.clone()], table_block * 4);
            self.compare("block table, block", table_block, TABLE_SEED + table_block as u64, bytes, expected)?;
            self.proven_table.set(table_block);
        }
        let data = &self.map[..self.table.start];
        let bytes = &data[block * BLOCK_BYTES..data.len().min((block + 1) * BLOCK_BYTES)];
        let expected = u32_at(&self.map[self.table.clone()], block * 4);
        self.compare("block", block, block as u64, bytes, expected)?;
        self.proven_blocks.set(block);
        Ok(())
    }

    fn compare(&self, what: &str, number: usize, seed_number: u64, bytes: &[u8], expected: u32) -> Result<()> {
        let computed = checksum(seed(self.id, seed_number), bytes);
        if computed == expected {
            return Ok(());
        }
        let what = format!("{what} {number}: checksum {expected:08x}, computed {computed:08x}");
        Err(Error::corrupt(&self.name, what))
    }
}

/// Reads and checks the header of a numbered file of this kind.
pub fn read_header(file: &dyn File, kind: Kind) -> Result<FileHeader> {
    let (length, expected) = (file.length()?, kind.header_bytes());
    if length < expected as u64 {
        return Err(Error::corrupt(file.name(), format!("{length} bytes, expected a header of {expected}")));
    }
    let mut bytes = vec![0; expected];
    file.read_at(&mut bytes, 0)?;
    FileHeader::decode(file.name(), &bytes)
}

/// Turns the "no such file" of a file that the manifest lists into `Corrupt`; other errors stay as they are.
pub fn missing_is_corrupt(error: Error, name: &str) -> Error {
    if error.is_missing() { Error::corrupt(name, "the manifest lists this file, but it is missing") } else { error }
}

/// Bytes between two progress reports of `verify`.
pub const PROGRESS_BYTES: u64 = 4 << 20;

/// Reads the block table and every data block with `read`, not through the map, and compares their checksums; returns
/// the number of blocks. Reports bytes to `work` once every [`PROGRESS_BYTES`].
pub fn verify(dir: &dyn Dir, entry: &SegmentEntry, work: &mut Work) -> Result<u64> {
    let opened = Sealed::open(dir, entry)?;
    let file = dir.open(&opened.name, Access::Read)?;
    let mut table = vec![0; opened.table.len()];
    file.read_at(&mut table, opened.table.start as u64)?;
    if table_sums(opened.id, &table) != opened.map[opened.second.clone()] {
        return Err(Error::corrupt(&opened.name, "the block table does not match its own checksums"));
    }
    let data = opened.table.start;
    let mut block_bytes = vec![0; BLOCK_BYTES];
    for (block, expected) in table.chunks_exact(4).enumerate() {
        let bytes = &mut block_bytes[..BLOCK_BYTES.min(data - block * BLOCK_BYTES)];
        file.read_at(bytes, (block * BLOCK_BYTES) as u64)?;
        opened.compare("block", block, block as u64, bytes, u32_at(expected, 0))?;
        let read = (block * BLOCK_BYTES) as u64;
        if read.is_multiple_of(PROGRESS_BYTES) {
            work.report(read, entry.length)?;
        }
    }
    Ok(table.len() as u64 / 4)
}

/// One bit for each block: 1 once its checksum matched. Threads read and set bits concurrently, so a block may be
/// checked twice.
#[derive(Debug)]
struct ProvenBlocks {
    words: Vec<AtomicU64>,
}

impl ProvenBlocks {
    fn new(count: usize) -> ProvenBlocks {
        let mut words = Vec::new();
        words.resize_with(count.div_ceil(64), AtomicU64::default);
        ProvenBlocks { words }
    }

    fn get(&self, index: usize) -> bool {
        self.words[index / 64].load(Ordering::Relaxed) >> (index % 64) & 1 == 1
    }

    fn set(&self, index: usize) {
        self.words[index / 64].fetch_or(1 << (index % 64), Ordering::Relaxed);
    }
}
