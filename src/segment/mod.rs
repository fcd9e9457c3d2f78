//! Sealed segments: immutable rows or codes with their ids, read in the mapped file (format.md §6).
//!
//! A segment returns rows and codes as bytes. The codec decodes codes; the snapshot combines segment and codec.
//!
//! `ids` (id to row), `lists` (inverted lists), `scales` (what decoded rows are multiplied by), `coded` (sections that only files of codes have), `tombstones` (hidden
//! rows), `writer`.

mod coded;
pub mod ids;
pub mod lists;
mod parity;
pub mod scales;
pub mod tombstones;
mod writer;

pub use coded::{CodedSizes, coded_file_bytes};
pub use parity::parity_bytes;
pub use writer::SegmentWriter;

use crate::error::{Error, Result};
use crate::format::{Extent, FRAME_ALIGN, FileHeader, Footer, Kind, SectionKind, SegmentEntry, to_usize, u64_at};
use crate::index::Visits;
use crate::kernels::block_bytes;
use crate::metric::Metric;
use crate::os::Dir;
use crate::sealed::Sealed;
use coded::CodedParts;
use ids::SealedIds;
use lists::Lists;
use scales::RowClass;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

/// A sealed segment.
#[derive(Debug)]
pub struct Segment {
    file: Sealed,
    entry: SegmentEntry,
    rows: u32,
    stride: usize,
    /// First byte of contiguous raw rows, or of the first block of codes.
    rows_offset: u64,
    ids: SealedIds,
    /// `None` for raw rows.
    coded: Option<CodedParts>,
    /// The extents of a sealed log; read at the first access to a row.
    extents: OnceLock<Vec<Extent>>,
}

impl Segment {
    /// Opens a file of the manifest and checks that its sections agree. Reads the tables and the footer only; sections
    /// are read, and compared with their checksums, when they are used.
    pub fn open(dir: &dyn Dir, entry: &SegmentEntry, dim: u32) -> Result<Segment> {
        let file = Sealed::open(dir, entry)?;
        let (kind, stride) = (entry.kind, dim as usize * 4);
        let section = file.section(SectionKind::Rows)?;
        let rows = u32::try_from(section.count).ok().filter(|rows| u64::from(*rows) == entry.rows);
        let rows = rows.ok_or_else(|| {
            let what = format!("{} rows, expected {} as the manifest says", section.count, entry.rows);
            file.section_error(SectionKind::Rows, what)
        })?;
        let ids = SealedIds::open(&file, rows, kind == Kind::Log)?;
        let coded = if kind == Kind::Code { Some(CodedParts::open(&file, rows)?) } else { None };
        match kind {
            Kind::Raw => drop(file.section_of(SectionKind::Rows, u64::from(rows) * stride as u64, section.count)?),
            Kind::Log => check_log(&file)?,
            Kind::Code => {}
            Kind::Tombstones => return Err(Error::corrupt(file.name(), "tombstones, expected a segment")),
        }
        let (rows_offset, extents) = (section.offset, OnceLock::new());
        Ok(Segment { file, entry: *entry, rows, stride, rows_offset, ids, coded, extents })
    }

    /// Checks what an open does not read: that the header agrees with the manifest, the section of ids with its
    /// directory, the extents of a log with its frames, and the parity of a codebook.
    pub fn check(&self, store: [u8; 16], metric: Metric) -> Result<()> {
        self.ids.check_length(&self.file)?;
        if self.entry.kind == Kind::Log {
            self.read_extents()?;
        }
        if self.is_coded() {
            self.coded()?.check_parity(&self.file)?;
        }
        let header = self.file.header()?;
        let (kind, id, dim) = (self.entry.kind, self.entry.id, self.stride as u32 / 4);
        let expected = FileHeader { kind, id, dim, store, metric, base_seq: header.base_seq };
        if header == expected {
            return Ok(());
        }
        Err(Error::corrupt(self.file.name(), format!("header {header:?}, expected {expected:?}")))
    }

    /// The manifest's entry.
    pub fn entry(&self) -> &SegmentEntry {
        &self.entry
    }

    /// Number of rows, hidden ones included.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// True if rows are codes.
    pub fn is_coded(&self) -> bool {
        self.coded.is_some()
    }

    fn inverted_lists(&self) -> Option<&Lists> {
        self.coded.as_ref()?.lists()
    }

    /// The file's footer: first and last id, shape and error of its codes.
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
        match (self.ids.row_of(&self.file, id)?, self.inverted_lists()) {
            (Some(rank), Some(lists)) => lists.row_of(&self.file, rank).map(Some),
            (row, _) => Ok(row),
        }
    }

    /// The rows of those of `ids` (ascending, each once) that are in this segment, in order of id.
    pub fn rows_of(&self, ids: &[u64]) -> Result<Vec<u32>> {
        self.rows_at_ranks(self.ids.ranks_of(&self.file, ids)?)
    }

    /// The rows whose ids are not among `ids` (ascending, each once), in order of id.
    pub fn other_rows(&self, ids: &[u64]) -> Result<Vec<u32>> {
        self.rows_at_ranks(self.ids.other_ranks(&self.file, ids)?)
    }

    /// The row of each of `ranks`.
    fn rows_at_ranks(&self, mut ranks: Vec<u32>) -> Result<Vec<u32>> {
        match self.inverted_lists() {
            Some(lists) => {
                let row_of = &lists.maps(&self.file)?.row_of;
                ranks.iter_mut().for_each(|rank| *rank = row_of[*rank as usize]);
            }
            None => ranks.iter_mut().try_for_each(|rank| self.ids.row_at(&self.file, *rank).map(|row| *rank = row))?,
        }
        Ok(ranks)
    }

    /// The row of the id at `rank`.
    fn row_at(&self, rank: u32) -> Result<u32> {
        match self.inverted_lists() {
            Some(lists) => lists.row_of(&self.file, rank),
            None => self.ids.row_at(&self.file, rank),
        }
    }

    /// Those of `ids` (ascending) that may be in this segment: from its first to its last.
    pub fn ids_within<'i>(&self, ids: &'i [u64]) -> &'i [u64] {
        self.ids.within(ids)
    }

    /// True if each id is that before it plus one.
    pub fn ids_count_up(&self) -> bool {
        self.ids.counts_up()
    }

    /// Makes `id_of` and `row_of` fast, if they are not: where rows are stored list by list, the first call reads the
    /// whole map into memory, 8 bytes a row.
    pub fn load_maps(&self) -> Result<()> {
        self.inverted_lists().map_or(Ok(()), |lists| lists.maps(&self.file).map(drop))
    }

    /// Number of inverted lists of a class; `None` if a class is not divided.
    pub fn lists(&self) -> Option<u32> {
        self.inverted_lists().map(Lists::of_class).filter(|lists| *lists > 1)
    }

    /// True if the scale of every row is 1.
    pub fn is_unscaled(&self) -> bool {
        self.coded.as_ref().is_none_or(CodedParts::scales_are_one)
    }

    /// What decoded `row` is multiplied by.
    pub fn scale_of(&self, row: u32) -> Result<f32> {
        self.coded.as_ref().map_or(Ok(1.0), |coded| coded.scale_of(&self.file, row))
    }

    /// The classes of the rows of codes, in order of rows.
    pub fn classes(&self) -> Result<&[RowClass]> {
        self.coded()?.classes(&self.file)
    }

    /// The rows of `list`.
    pub fn rows_of_list(&self, list: u32) -> Result<Range<u32>> {
        self.inverted_lists().map_or(Ok(0..0), |lists| lists.rows_of(&self.file, list))
    }

    /// The lists that a search visits by default.
    pub fn visits(&self) -> Result<Visits> {
        self.inverted_lists().map_or(Ok(Visits::default()), |lists| lists.visits(&self.file))
    }

    /// Codes of the lists' centroids in blocks, and their norms as f32 of 4 bytes.
    pub fn centroids(&self) -> Result<(&[u8], &[[u8; 4]])> {
        self.inverted_lists().map_or(Ok((&[], &[])), |lists| lists.centroids(&self.file))
    }

    /// The rank (position in ascending order of id) of the first id that is not below `id`.
    pub fn rank_from(&self, id: u64) -> Result<u32> {
        self.ids.lower_bound(&self.file, id)
    }

    /// Number of ids.
    pub fn ids(&self) -> u32 {
        self.ids.count()
    }

    /// Id and row at `rank`, which is below `ids`.
    pub fn at_rank(&self, rank: u32) -> Result<(u64, u32)> {
        Ok((self.ids.id_at(&self.file, rank)?, self.row_at(rank)?))
    }

    /// The rows from `row` of a file of codes up to this one have ascending ids.
    pub fn ids_ascend_until(&self, row: u32) -> Result<u32> {
        let Some(lists) = self.inverted_lists() else { return Ok(self.rows()) };
        lists.end_of(&self.file, row)
    }

    /// The id of `row`.
    pub fn id_of(&self, row: u32) -> Result<u64> {
        if let Some(lists) = self.inverted_lists() {
            return self.ids.id_at(&self.file, lists.rank_of(&self.file, row)?);
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

    /// The floats of raw `row` and of the rows that follow it in the file, at most `most` rows.
    #[inline]
    pub fn rows_at(&self, row: u32, most: u32) -> Result<&[u8]> {
        let stride = self.stride as u64;
        let (offset, most) = if self.entry.kind == Kind::Raw {
            (self.rows_offset + u64::from(row) * stride, most)
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
        // Frames of bulk inserts have one size: then the guess is right and no search is needed.
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
            self.file.section_error(SectionKind::Extents, format!("row {row} is in none of {} extents", extents.len()))
        })
    }

    /// The parts that only a file of codes has; an error for raw rows.
    fn coded(&self) -> Result<&CodedParts> {
        self.coded.as_ref().ok_or_else(|| Error::Internal(format!("{} is not a file of codes", self.name())))
    }

    /// The block of codes that holds rows `[32 block, 32 block + 32)`.
    pub fn block(&self, block: u32) -> Result<&[u8]> {
        self.blocks(block..block + 1)
    }

    /// The blocks of codes with these numbers, one after the other.
    pub fn blocks(&self, blocks: Range<u32>) -> Result<&[u8]> {
        let bytes = block_bytes(self.coded()?.row_bytes());
        let offset = self.rows_offset + u64::from(blocks.start) * bytes as u64;
        self.file.bytes(offset, blocks.len() * bytes)
    }

    /// The error bound of a block of codes: max ‖x − x̂‖ of its rows, rounded up, x being the vector as inserted.
    pub fn bound(&self, block: u32) -> Result<f32> {
        self.coded()?.bound(&self.file, block)
    }

    /// The codebook, restored if one block of it is damaged.
    pub fn codebook(&self) -> Result<Cow<'_, [u8]>> {
        self.coded()?.codebook(&self.file)
    }
}

/// Checks the lengths of a sealed log's sections, from the table of sections.
fn check_log(file: &Sealed) -> Result<()> {
    let extents = file.section(SectionKind::Extents)?;
    file.section_of(SectionKind::Extents, extents.count.saturating_mul(Extent::BYTES as u64), extents.count)?;
    let frames = file.section(SectionKind::Rows)?;
    if frames.length.is_multiple_of(FRAME_ALIGN) {
        return Ok(());
    }
    let what = format!("{} bytes of frames, expected a multiple of {FRAME_ALIGN}", frames.length);
    Err(file.section_error(SectionKind::Rows, what))
}

/// Reads the extents of a sealed log and checks that they follow one another and hold all its rows.
fn read_extents(file: &Sealed, stride: usize) -> Result<Vec<Extent>> {
    let (section, frames) = (file.section(SectionKind::Extents)?, file.section(SectionKind::Rows)?);
    let stored = file.bytes(section.offset, to_usize(section.length)?)?;
    let extents: Vec<Extent> = stored.chunks_exact(Extent::BYTES).map(Extent::decode).collect();
    let (mut expected, frames_end) = (0, frames.offset + frames.length);
    for extent in &extents {
        let rows = u64::from(extent.rows);
        let inside = |offset: u64, bytes: u64| {
            offset >= frames.offset && offset.checked_add(bytes).is_some_and(|end| end <= frames_end)
        };
        let has_ids = extent.ids_offset == 0 || inside(extent.ids_offset, rows * 8);
        if u64::from(extent.first_row) != expected || !has_ids || !inside(extent.offset, rows * stride as u64) {
            let what = format!("{extent:?}, expected row {expected}, in the frames");
            return Err(file.section_error(SectionKind::Extents, what));
        }
        expected += u64::from(extent.rows);
    }
    if expected != frames.count {
        let what = format!("{expected} rows, expected {}", frames.count);
        return Err(file.section_error(SectionKind::Extents, what));
    }
    Ok(extents)
}
