//! Sealed segments: immutable rows or codes with their ids, read where they lie (format.md §6).
//!
//! A segment knows bytes and rows. What a code means is the codec's affair; the snapshot brings the two together.

pub mod ids;
pub mod lists;
pub mod tombstones;

use crate::error::{Error, Result};
use crate::format::{
    BLOCK_BYTES, Extent, FileHeader, Footer, HEADER_BYTES, Kind, Measured, SegmentEntry, bound_above, bound_of,
    to_usize, u64_at,
};
use crate::kernels::{CodeLayout, block_bytes, blocks_for};
use crate::metric::Metric;
use crate::os::{Access, Dir};
use crate::sealed::{Sealed, SealedWriter};
use ids::SealedIds;
use lists::{Lists, NewLists};
use std::ops::Range;
use std::sync::OnceLock;

/// Bytes of the error bound of a block.
const BOUND_BYTES: u64 = 2;

/// A sealed segment.
#[derive(Debug)]
pub struct Segment {
    file: Sealed,
    entry: SegmentEntry,
    rows: u32,
    stride: usize,
    ids: SealedIds,
    /// Where rows lie list by list.
    lists: Option<Lists>,
    /// Read when a row of a sealed log is first looked for.
    extents: OnceLock<Vec<Extent>>,
}

impl Segment {
    /// Opens the file a manifest lists and checks that its parts fit into each other. What the checksums cover is read
    /// later, where it is needed: an open touches the footer only.
    pub fn open(dir: &dyn Dir, entry: &SegmentEntry, dim: u32) -> Result<Segment> {
        let file = Sealed::open(dir, entry)?;
        let rows = u32::try_from(file.footer().rows).unwrap_or(u32::MAX);
        if u64::from(rows) != entry.rows {
            return Err(Error::corrupt(
                file.name(),
                format!("{rows} rows, expected {} as the manifest says", entry.rows),
            ));
        }
        let ids = SealedIds::open(&file, entry.kind != Kind::Log)?;
        let (stride, lists, extents) = (dim as usize * 4, None, OnceLock::new());
        let mut segment = Segment { file, entry: *entry, rows, stride, ids, lists, extents };
        segment.check_ranges()?;
        if segment.is_coded() {
            segment.lists = Lists::open(&segment.file, rows, segment.row_bytes() as u64)?;
        }
        Ok(segment)
    }

    /// Checks that the header says what the manifest says.
    pub fn check_header(&self, store: [u8; 16], metric: Metric) -> Result<()> {
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(self.file.bytes(0, HEADER_BYTES)?);
        let header = FileHeader::decode(self.file.name(), &header)?;
        let (kind, id, dim) = (self.entry.kind, self.entry.id, self.stride as u32 / 4);
        let expected = FileHeader { kind, id, dim, store, metric, base_seq: header.base_seq };
        if header == expected {
            return Ok(());
        }
        Err(Error::corrupt(self.file.name(), format!("header {header:?}, expected {expected:?}")))
    }

    fn check_ranges(&self) -> Result<()> {
        let (footer, rows, stride) = (self.file.footer(), u64::from(self.rows), self.stride as u64);
        let inside = |offset: u64, bytes: u64| offset.checked_add(bytes).is_some_and(|end| end <= footer.data_bytes);
        let rows_fit = match self.entry.kind {
            Kind::Raw => inside(footer.rows_offset, rows * stride),
            Kind::Code if rows == 0 => return Err(Error::corrupt(self.file.name(), "a file of codes without a row")),
            Kind::Code => {
                let blocks = blocks_for(rows);
                inside(footer.rows_offset, blocks.saturating_mul(block_bytes(self.row_bytes()) as u64))
                    && inside(footer.bounds_offset, blocks * BOUND_BYTES)
                    && inside(footer.codebook_offset, footer.codebook_bytes)
                    && inside(footer.codebook_second, footer.codebook_bytes)
            }
            Kind::Log => inside(footer.extents_offset, footer.extents.saturating_mul(Extent::BYTES as u64)),
            Kind::Tombstones => false,
        };
        if rows_fit && inside(footer.ids_offset, footer.ids_bytes) {
            return Ok(());
        }
        Err(Error::corrupt(self.file.name(), format!("{rows} rows reach past {} data bytes", footer.data_bytes)))
    }

    /// The manifest's entry.
    pub fn entry(&self) -> &SegmentEntry {
        &self.entry
    }

    /// Rows, hidden ones included.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// True if rows are codes.
    pub fn is_coded(&self) -> bool {
        self.entry.kind == Kind::Code
    }

    /// Where its parts lie.
    pub fn footer(&self) -> &Footer {
        self.file.footer()
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        self.file.name()
    }

    /// The row of `id`.
    #[inline]
    pub fn row_of(&self, id: u64) -> Result<Option<u32>> {
        match (self.ids.row_of(&self.file, id)?, &self.lists) {
            (Some(place), Some(lists)) => lists.row_of(&self.file, place).map(Some),
            (row, _) => Ok(row),
        }
    }

    /// The rows of those of `ids` that are here, each with its position in `ids`.
    pub fn rows_of(&self, ids: &[u64]) -> Result<Vec<(u32, usize)>> {
        let mut found = Vec::new();
        for (position, id) in ids.iter().enumerate() {
            found.extend(self.ids.row_of(&self.file, *id)?.map(|place| (place, position)));
        }
        if let Some(lists) = &self.lists {
            found.sort_unstable();
            lists.rows_of_places(&self.file, &mut found)?;
        }
        Ok(found)
    }

    /// How many inverted lists there are; `None` where rows lie in order of id.
    pub fn lists(&self) -> Option<u32> {
        self.lists.as_ref().map(Lists::count)
    }

    /// The rows of `list`.
    pub fn rows_of_list(&self, list: u32) -> Result<Range<u32>> {
        self.lists.as_ref().map_or(Ok(0..0), |lists| lists.rows_of(&self.file, list))
    }

    /// Lists to visit where the caller does not say.
    pub fn probes(&self) -> Result<u32> {
        self.lists.as_ref().map_or(Ok(0), |lists| lists.probes(&self.file))
    }

    /// Blocks of the codes of the lists' centroids, and their norms as floats of 4 bytes.
    pub fn centroids(&self) -> Result<(&[u8], &[[u8; 4]])> {
        self.lists.as_ref().map_or(Ok((&[], &[])), |lists| lists.centroids(&self.file))
    }

    /// How many of the ids are smaller than `id`: the place to go on from in order of id.
    pub fn place_from(&self, id: u64) -> Result<u32> {
        self.ids.lower_bound(&self.file, id)
    }

    /// Number of places in order of id.
    pub fn places(&self) -> u32 {
        self.ids.count()
    }

    /// Id and row at `place` in order of id; `place` is below `places`.
    pub fn at_place(&self, place: u32) -> Result<(u64, u32)> {
        let row = match &self.lists {
            Some(lists) => lists.row_of(&self.file, place)?,
            None => self.ids.row_at(&self.file, place)?,
        };
        Ok((self.ids.id_at(&self.file, place)?, row))
    }

    /// The id of `row`.
    pub fn id_of(&self, row: u32) -> Result<u64> {
        if let Some(lists) = &self.lists {
            return self.ids.id_at(&self.file, lists.place_of(&self.file, row)?);
        }
        if self.entry.kind != Kind::Log || self.ids.counts_up() {
            return self.ids.id_at(&self.file, row);
        }
        let extent = self.extent(row)?;
        let index = u64::from(row - extent.first_row);
        if extent.ids_offset == 0 {
            return Ok(extent.first_id.wrapping_add(index));
        }
        Ok(u64_at(self.file.bytes(extent.ids_offset.saturating_add(index * 8), 8)?, 0))
    }

    /// The floats of raw `row`, as bytes.
    #[inline]
    pub fn row(&self, row: u32) -> Result<&[u8]> {
        self.rows_at(row, 1)
    }

    /// The floats of raw `row` and of those that lie behind it, up to `most` rows.
    #[inline]
    pub fn rows_at(&self, row: u32, most: u32) -> Result<&[u8]> {
        let stride = self.stride as u64;
        let (offset, most) = if self.entry.kind == Kind::Raw {
            (self.footer().rows_offset + u64::from(row) * stride, most)
        } else {
            let extent = self.extent(row)?;
            let before = row - extent.first_row;
            (extent.offset + u64::from(before) * stride, most.min(extent.rows - before))
        };
        self.file.bytes(offset, most as usize * self.stride)
    }

    #[inline]
    fn extent(&self, row: u32) -> Result<&Extent> {
        let extents = match self.extents.get() {
            Some(extents) => extents,
            None => self.read_extents()?,
        };
        // Frames of bulk inserts are of one size, so the place is guessed right and nothing is searched.
        let guess = extents.first().map_or(0, |first| (row / first.rows.max(1)) as usize);
        if let Some(extent) = extents.get(guess)
            && extent.first_row <= row
            && row - extent.first_row < extent.rows
        {
            return Ok(extent);
        }
        self.search_extent(extents, row)
    }

    #[cold]
    fn read_extents(&self) -> Result<&Vec<Extent>> {
        let read = read_extents(&self.file, self.stride)?;
        Ok(self.extents.get_or_init(|| read))
    }

    fn search_extent<'a>(&self, extents: &'a [Extent], row: u32) -> Result<&'a Extent> {
        let index = extents.partition_point(|extent| extent.first_row <= row);
        extents.get(index.wrapping_sub(1)).ok_or_else(|| {
            Error::corrupt(self.file.name(), format!("row {row} lies in none of {} extents", extents.len()))
        })
    }

    /// Bytes of one code.
    pub fn row_bytes(&self) -> usize {
        let Footer { symbols, side_bytes, .. } = *self.footer();
        CodeLayout { symbols: symbols as usize, side_bytes: side_bytes as usize }.row_bytes()
    }

    /// The block of codes that holds rows `[32 block, 32 block + 32)`.
    pub fn block(&self, block: u32) -> Result<&[u8]> {
        self.blocks(block..block + 1)
    }

    /// The blocks of codes with these numbers, one behind the other.
    pub fn blocks(&self, blocks: Range<u32>) -> Result<&[u8]> {
        let bytes = block_bytes(self.row_bytes());
        let offset = self.footer().rows_offset + u64::from(blocks.start) * bytes as u64;
        self.file.bytes(offset, blocks.len() * bytes)
    }

    /// The distance that no row of a block of codes is farther than from what it was: max ‖x − x̂‖, rounded up.
    pub fn bound(&self, block: u32) -> Result<f32> {
        let offset = self.footer().bounds_offset + u64::from(block) * BOUND_BYTES;
        let stored = self.file.bytes(offset, BOUND_BYTES as usize)?;
        let stored = u16::from_le_bytes([stored[0], stored[1]]);
        bound_of(stored).ok_or_else(|| Error::corrupt(self.name(), format!("bound {stored:#x} of block {block}")))
    }

    /// The codebook; the second copy where the first is damaged.
    pub fn codebook(&self) -> Result<&[u8]> {
        let bytes = to_usize(self.footer().codebook_bytes)?;
        let first = self.file.bytes(self.footer().codebook_offset, bytes);
        first.or_else(|_| self.file.bytes(self.footer().codebook_second, bytes))
    }
}

/// The extents of a sealed log: they follow one another and hold all its rows.
fn read_extents(file: &Sealed, stride: usize) -> Result<Vec<Extent>> {
    let footer = file.footer();
    let bytes = to_usize(footer.extents)? * Extent::BYTES;
    let stored = file.bytes(footer.extents_offset, bytes)?;
    let extents: Vec<Extent> = stored.chunks_exact(Extent::BYTES).map(Extent::decode).collect();
    let mut expected = 0;
    for extent in &extents {
        let end = u64::from(extent.rows).checked_mul(stride as u64).and_then(|bytes| extent.offset.checked_add(bytes));
        if u64::from(extent.first_row) != expected || end.is_none_or(|end| end > footer.data_bytes) {
            return Err(Error::corrupt(file.name(), format!("{extent:?}, expected row {expected}, in the data")));
        }
        expected += u64::from(extent.rows);
    }
    if expected != footer.rows {
        return Err(Error::corrupt(file.name(), format!("extents of {expected} rows, expected {}", footer.rows)));
    }
    Ok(extents)
}

/// Writes a segment whose rows come in the order they are to lie in: raw rows, or blocks of codes behind their codebook.
#[derive(Debug)]
pub struct SegmentWriter {
    writer: SealedWriter,
    header: FileHeader,
    footer: Footer,
    codebook: Vec<u8>,
    /// `[blocks]` u16 of those written.
    bounds: Vec<u8>,
}

impl SegmentWriter {
    /// Begins a raw segment.
    pub fn raw(dir: &dyn Dir, header: FileHeader) -> Result<SegmentWriter> {
        SegmentWriter::begin(dir, header, Vec::new(), Footer::default())
    }

    /// Begins a segment of codes.
    pub fn coded(
        dir: &dyn Dir,
        header: FileHeader,
        codebook: Vec<u8>,
        symbols: u32,
        side: u32,
    ) -> Result<SegmentWriter> {
        SegmentWriter::begin(dir, header, codebook, Footer { symbols, side_bytes: side, ..Footer::default() })
    }

    fn begin(dir: &dyn Dir, header: FileHeader, codebook: Vec<u8>, mut footer: Footer) -> Result<SegmentWriter> {
        let file = dir.open(&header.kind.file_name(header.id), Access::Create)?;
        let mut writer = SealedWriter::new(file, header.id);
        writer.write(&header.encode())?;
        footer.codebook_offset = writer.length();
        footer.codebook_bytes = codebook.len() as u64;
        writer.write(&codebook)?;
        writer.pad(64)?;
        footer.rows_offset = writer.length();
        Ok(SegmentWriter { writer, header, footer, codebook, bounds: Vec::new() })
    }

    /// Appends a block of codes, none of which is farther than `bound` from what it stands for.
    pub fn write_block(&mut self, block: &[u8], bound: f64) -> Result<()> {
        self.bounds.extend_from_slice(&bound_above(bound).to_le_bytes());
        self.writer.write(block)
    }

    /// Appends raw rows.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write(bytes)
    }

    /// Ends the file with its ids (ascending, one a row) and makes it durable; the name is the caller's to sync. Rows lie in
    /// order of id, or as `lists` say.
    pub fn finish(mut self, ids: &[u64], lists: Option<&NewLists>, measured: Measured) -> Result<SegmentEntry> {
        self.footer.bounds_offset = self.writer.length();
        self.writer.write(&self.bounds)?;
        self.footer.codebook_second = self.writer.length();
        self.writer.write(&self.codebook)?;
        if let Some(lists) = lists {
            // A part of a plane is a line of the cache.
            self.writer.pad(64)?;
            (self.footer.lists_offset, self.footer.lists) = (self.writer.length(), lists.count);
            self.writer.write(&lists.encode())?;
        }
        let section = ids::encode(ids, &[]);
        self.footer.ids_offset = self.writer.length();
        self.footer.ids_bytes = section.len() as u64;
        self.writer.write(&section)?;
        let rows = ids.len() as u64;
        self.footer.rows = rows;
        self.footer.ids = rows;
        self.footer.first_id = ids.first().copied().unwrap_or(0);
        self.footer.last_id = ids.last().copied().unwrap_or(0);
        self.footer.measured = measured;
        let (length, root) = self.writer.finish(self.footer)?;
        Ok(SegmentEntry { kind: self.header.kind, id: self.header.id, length, rows, root })
    }
}

/// Bytes of a file of codes, all told; the planner's figure. `ids_bytes` is the length of the id section.
pub fn coded_file_bytes(rows: u64, row_bytes: u64, codebook_bytes: u64, ids_bytes: u64, lists: u32) -> u64 {
    let begin = crate::format::align(HEADER_BYTES as u64 + codebook_bytes, 64);
    let codes = blocks_for(rows) * (block_bytes(row_bytes as usize) as u64 + BOUND_BYTES);
    let before_lists = begin + codes + codebook_bytes;
    let lists_end = match (u32::try_from(rows), lists) {
        (Ok(rows), 1..) => crate::format::align(before_lists, 64) + lists::section_bytes(rows, lists, row_bytes),
        _ => before_lists,
    };
    let data = lists_end + ids_bytes;
    crate::format::align(data + crate::sealed::tail_bytes(data), BLOCK_BYTES as u64)
}
