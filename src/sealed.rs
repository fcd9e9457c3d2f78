//! Sealed files: bytes that never change again, under a tree of checksums (format.md §6).
//!
//! The data is cut into 4 KiB blocks. A table holds a checksum for each; a second table holds one for each 4 KiB of the
//! first; the footer's root covers the second table and the footer, and stands in the manifest too. So opening reads the
//! footer and the small second table only, and a block is proven when it is first touched, once.

use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, FOOTER_BYTES, Footer, SegmentEntry, checksum, seed, to_usize, u32_at};
use crate::os::{Access, Dir, File, Map};
use crate::work::Work;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Place numbers of the block table's own blocks, above those of any data block.
const TABLE_PLACE: u64 = 1 << 60;
const BLOCKS_PER_TABLE_BLOCK: usize = BLOCK_BYTES / 4;

/// Collects the checksum of each 4 KiB block of a file while its bytes are written in order.
#[derive(Debug)]
pub struct BlockSums {
    id: u64,
    sums: Vec<u32>,
    /// The block that is not full yet.
    open: crc32fast::Hasher,
    open_bytes: usize,
}

impl BlockSums {
    /// Sums of file `id`, which is still empty.
    pub fn new(id: u64) -> BlockSums {
        BlockSums { id, sums: Vec::new(), open: crc32fast::Hasher::new_with_initial(seed(id, 0)), open_bytes: 0 }
    }

    /// Bytes taken in so far.
    pub fn length(&self) -> u64 {
        (self.sums.len() * BLOCK_BYTES + self.open_bytes) as u64
    }

    /// Takes in the bytes that follow.
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

    /// Takes in bytes whose checksums, cut at block ends, are known: whole blocks are not hashed again.
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

    /// The block table of everything taken in, and the table of its own checksums.
    fn tables(mut self) -> (Vec<u8>, Vec<u8>) {
        if self.open_bytes > 0 {
            self.close_block();
        }
        let table: Vec<u8> = self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        let top = table_sums(self.id, &table);
        (table, top)
    }
}

fn table_sums(id: u64, table: &[u8]) -> Vec<u8> {
    let blocks = table.chunks(BLOCK_BYTES).enumerate();
    blocks.flat_map(|(index, block)| checksum(seed(id, TABLE_PLACE + index as u64), block).to_le_bytes()).collect()
}

/// Bytes of tables and footer for `data_bytes` of data.
pub fn tail_bytes(data_bytes: u64) -> u64 {
    let blocks = data_bytes.div_ceil(BLOCK_BYTES as u64);
    blocks * 4 + blocks.div_ceil(BLOCKS_PER_TABLE_BLOCK as u64) * 4 + FOOTER_BYTES as u64
}

/// Writes tables and footer behind the data; returns the file's length and root. Not synced yet.
pub fn finish(file: &dyn File, id: u64, sums: BlockSums, footer: &mut Footer) -> Result<(u64, u32)> {
    footer.data_bytes = sums.length();
    let (table, top) = sums.tables();
    let (footer_bytes, root) = footer.encode(id, &top);
    file.write_at(&[&table, &top, &footer_bytes], footer.data_bytes)?;
    Ok((footer.data_bytes + tail_bytes(footer.data_bytes), root))
}

/// Writes a new sealed file in order, a buffer at a time.
#[derive(Debug)]
pub struct SealedWriter {
    file: Box<dyn File>,
    id: u64,
    sums: BlockSums,
    buffer: Vec<u8>,
}

const WRITE_BYTES: usize = 1 << 20;

impl SealedWriter {
    /// Begins a file that was created empty.
    pub fn new(file: Box<dyn File>, id: u64) -> SealedWriter {
        SealedWriter { file, id, sums: BlockSums::new(id), buffer: Vec::new() }
    }

    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.sums.length()
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sums.update(bytes);
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Appends zeros up to a multiple of `unit`.
    pub fn pad(&mut self, unit: u64) -> Result<()> {
        let missing = crate::format::align(self.length(), unit) - self.length();
        self.write(&vec![0; to_usize(missing)?])
    }

    fn flush(&mut self) -> Result<()> {
        let offset = self.sums.length() - self.buffer.len() as u64;
        self.file.write_at(&[&self.buffer], offset)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes tables and footer, makes the file durable; returns its length and root.
    pub fn finish(mut self, mut footer: Footer) -> Result<(u64, u32)> {
        self.flush()?;
        let finished = finish(self.file.as_ref(), self.id, self.sums, &mut footer)?;
        self.file.sync()?;
        Ok(finished)
    }
}

/// A sealed file, mapped; every byte handed out was proven.
#[derive(Debug)]
pub struct Sealed {
    name: String,
    id: u64,
    map: Map,
    footer: Footer,
    /// Where the block table begins: right behind the data.
    table: Range<usize>,
    top: Range<usize>,
    proven_blocks: Bits,
    proven_table: Bits,
}

impl Sealed {
    /// Opens the file a manifest lists: length, tables and footer must agree with its entry.
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
        let data = Footer::claimed_data_bytes(&footer);
        if data > length || data + tail_bytes(data) != length {
            return Err(Error::corrupt(&name, format!("footer claims {data} data bytes in a file of {length}")));
        }
        let data = to_usize(data)?;
        let table_end = data + data.div_ceil(BLOCK_BYTES) * 4;
        let footer = Footer::decode(&name, entry.id, &footer, &map[table_end..footer_at], entry.root)?;
        let proven_blocks = Bits::new(data.div_ceil(BLOCK_BYTES));
        let proven_table = Bits::new((table_end - data).div_ceil(BLOCK_BYTES));
        let (table, top) = (data..table_end, table_end..footer_at);
        Ok(Sealed { name, id: entry.id, map, footer, table, top, proven_blocks, proven_table })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its parts lie.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// `length` bytes from `offset`, proven.
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
            let expected = u32_at(&self.map[self.top.clone()], table_block * 4);
            self.compare("block table, block", table_block, TABLE_PLACE + table_block as u64, bytes, expected)?;
            self.proven_table.set(table_block);
        }
        let data = &self.map[..self.table.start];
        let bytes = &data[block * BLOCK_BYTES..data.len().min((block + 1) * BLOCK_BYTES)];
        let expected = u32_at(&self.map[self.table.clone()], block * 4);
        self.compare("block", block, block as u64, bytes, expected)?;
        self.proven_blocks.set(block);
        Ok(())
    }

    fn compare(&self, what: &str, number: usize, place: u64, bytes: &[u8], expected: u32) -> Result<()> {
        let computed = checksum(seed(self.id, place), bytes);
        if computed == expected {
            return Ok(());
        }
        let what = format!("{what} {number}: checksum {expected:08x}, computed {computed:08x}");
        Err(Error::corrupt(&self.name, what))
    }
}

/// A file the manifest lists and the directory lacks is damage, not a missing argument.
pub fn missing_is_corrupt(error: Error, name: &str) -> Error {
    if error.is_missing() { Error::corrupt(name, "the manifest lists this file, and it is missing") } else { error }
}

/// `verify` tells its progress once in so many blocks: every 4 MiB.
const PROGRESS_BLOCKS: usize = 1024;

/// Re-reads every byte of a sealed file from the disk; returns the number of blocks proven. `work` is told
/// one step a byte, once in `PROGRESS_BLOCKS` blocks.
pub fn verify(dir: &dyn Dir, entry: &SegmentEntry, work: &mut Work) -> Result<u64> {
    let opened = Sealed::open(dir, entry)?;
    let file = dir.open(&opened.name, Access::Read)?;
    let mut table = vec![0; opened.table.len()];
    file.read_at(&mut table, opened.table.start as u64)?;
    if table_sums(opened.id, &table) != opened.map[opened.top.clone()] {
        return Err(Error::corrupt(&opened.name, "the block table does not match its own checksums"));
    }
    let data = opened.table.start;
    let mut block_bytes = vec![0; BLOCK_BYTES];
    for (block, expected) in table.chunks_exact(4).enumerate() {
        let bytes = &mut block_bytes[..BLOCK_BYTES.min(data - block * BLOCK_BYTES)];
        file.read_at(bytes, (block * BLOCK_BYTES) as u64)?;
        opened.compare("block", block, block as u64, bytes, u32_at(expected, 0))?;
        if block % PROGRESS_BLOCKS == 0 {
            work.report((block * BLOCK_BYTES) as u64, entry.length)?;
        }
    }
    Ok(table.len() as u64 / 4)
}

/// A fixed number of bits that threads may set and read at once.
#[derive(Debug)]
struct Bits {
    words: Vec<AtomicU64>,
}

impl Bits {
    fn new(count: usize) -> Bits {
        let mut words = Vec::new();
        words.resize_with(count.div_ceil(64), AtomicU64::default);
        Bits { words }
    }

    fn get(&self, index: usize) -> bool {
        self.words[index / 64].load(Ordering::Relaxed) >> (index % 64) & 1 == 1
    }

    fn set(&self, index: usize) {
        self.words[index / 64].fetch_or(1 << (index % 64), Ordering::Relaxed);
    }
}
