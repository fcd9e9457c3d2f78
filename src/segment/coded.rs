//! The sections that only files of codes have, and the length of a file of codes.

use super::lists::{Lists, section_bytes};
use super::parity::{self, parity_bytes};
use super::scales::{CLASS_BYTES, RowClass, ScaleSizes, Scales};
use crate::error::Result;
use crate::format::{Footer, Kind, Section, SectionKind, SectionLayout, bound_of, to_usize};
use crate::kernels::{CodeLayout, block_bytes, blocks_for};
use crate::sealed::{Sealed, file_bytes};
use std::borrow::Cow;

/// Bytes of the error bound of a block.
const BOUND_BYTES: u64 = 2;

/// Kind, length and count of each section except the ids, in the order in which they are written.
type CodedSections = [(SectionKind, u64, u64); 7];

/// The sizes that determine the length of a file of codes, its ids excepted.
#[derive(Clone, Copy, Debug)]
pub struct CodedSizes {
    /// Rows.
    pub rows: u64,
    /// Bytes of a code.
    pub row_bytes: u64,
    /// Bytes of the codebook.
    pub codebook_bytes: u64,
    /// Inverted lists of a class; 0 without.
    pub lists: u32,
    /// The sections of scales.
    pub scales: ScaleSizes,
}

/// The sections of a file of codes. Numbers of a forged file saturate instead of overflowing; they then match no file.
fn coded_sections(sizes: CodedSizes) -> CodedSections {
    let CodedSizes { rows, row_bytes, codebook_bytes, lists, scales } = sizes;
    let blocks = blocks_for(rows);
    let (classes, lists) = (scales.classes.max(1), if scales.classes > 0 { lists.max(1) } else { lists });
    // A segment has fewer than 2^32 rows.
    let lists_bytes = section_bytes(u32::try_from(rows).unwrap_or(u32::MAX), lists, classes, row_bytes);
    [
        (SectionKind::Codebook, codebook_bytes, 1),
        (SectionKind::Rows, blocks.saturating_mul(block_bytes(row_bytes as usize) as u64), rows),
        (SectionKind::Bounds, blocks * BOUND_BYTES, blocks),
        (SectionKind::CodebookParity, parity_bytes(codebook_bytes), 1),
        (SectionKind::Lists, lists_bytes, u64::from(lists) * u64::from(classes)),
        (SectionKind::Classes, u64::from(scales.classes) * CLASS_BYTES, u64::from(scales.classes)),
        (SectionKind::Lengths, scales.length_bytes, if scales.length_bytes > 0 { rows } else { 0 }),
    ]
}

/// Exact length in bytes of a file of codes. `ids_bytes` is the length of the section of ids.
pub fn coded_file_bytes(sizes: CodedSizes, ids_bytes: u64) -> u64 {
    let mut layout = SectionLayout::new(Kind::Code);
    for (kind, length, count) in coded_sections(sizes) {
        layout.add(kind, length, count);
    }
    layout.add(SectionKind::Ids, ids_bytes, sizes.rows);
    file_bytes(&layout)
}

/// The parts of an open file of codes.
#[derive(Debug)]
pub struct CodedParts {
    row_bytes: usize,
    bounds_offset: u64,
    codebook: Section,
    parity: Section,
    lists: Option<Lists>,
    scales: Scales,
}

impl CodedParts {
    /// Checks that the sections have the lengths and counts that rows, codes and codebook require.
    pub fn open(file: &Sealed, rows: u32) -> Result<CodedParts> {
        if rows == 0 {
            return Err(file.section_error(SectionKind::Rows, "a file of codes without a row"));
        }
        let Footer { symbols, side_bytes, .. } = *file.footer();
        let layout = CodeLayout { symbols: symbols as usize, side_bytes: side_bytes as usize };
        let row_bytes = layout.row_bytes() as u64;
        let codebook_bytes = file.section(SectionKind::Codebook)?.length;
        let scales = Scales::open(file, rows)?;
        let lists = Lists::open(file, rows, row_bytes, scales.sizes().classes)?;
        let lists_of_class = lists.as_ref().map_or(0, Lists::of_class);
        let (rows, scale_sizes) = (u64::from(rows), scales.sizes());
        let sizes = CodedSizes { rows, row_bytes, codebook_bytes, lists: lists_of_class, scales: scale_sizes };
        for (kind, length, count) in coded_sections(sizes) {
            file.section_of(kind, length, count)?;
        }
        let (codebook, parity) = (file.section(SectionKind::Codebook)?, file.section(SectionKind::CodebookParity)?);
        let bounds_offset = file.section(SectionKind::Bounds)?.offset;
        Ok(CodedParts { row_bytes: to_usize(row_bytes)?, bounds_offset, codebook, parity, lists, scales })
    }

    /// Bytes of one code.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// The inverted lists; `None` if rows are in order of id.
    pub fn lists(&self) -> Option<&Lists> {
        self.lists.as_ref()
    }

    /// True if every scale is 1.
    pub fn scales_are_one(&self) -> bool {
        self.scales.are_one()
    }

    /// What decoded `row` is multiplied by.
    pub fn scale_of(&self, file: &Sealed, row: u32) -> Result<f32> {
        self.scales.of_row(file, self.lists(), row)
    }

    /// The classes of rows, in order of their rows.
    pub fn classes(&self, file: &Sealed) -> Result<&[RowClass]> {
        self.scales.classes(file, self.lists())
    }

    /// The error bound of a block.
    pub fn bound(&self, file: &Sealed, block: u32) -> Result<f32> {
        let stored = file.bytes(self.bounds_offset + u64::from(block) * BOUND_BYTES, BOUND_BYTES as usize)?;
        let stored = u16::from_le_bytes([stored[0], stored[1]]);
        bound_of(stored).ok_or_else(|| file.section_error(SectionKind::Bounds, format!("{stored:#x} of block {block}")))
    }

    /// Checks that the parity is that of the codebook.
    pub fn check_parity(&self, file: &Sealed) -> Result<()> {
        parity::check(file, self.codebook, self.parity)
    }

    /// The codebook, restored if one block of it is damaged.
    pub fn codebook<'a>(&self, file: &'a Sealed) -> Result<Cow<'a, [u8]>> {
        parity::read(file, self.codebook, self.parity)
    }
}

#[cfg(test)]
mod tests {
    use super::{CodedSizes, coded_file_bytes};
    use crate::error::Result;
    use crate::format::{FileHeader, Kind, Measured};
    use crate::index::Visits;
    use crate::kernels::{BLOCK_ROWS, block_bytes, blocks_for};
    use crate::metric::Metric;
    use crate::os::open_or_create_dir;
    use crate::segment::SegmentWriter;
    use crate::segment::ids::NewIds;
    use crate::segment::lists::NewLists;
    use crate::segment::scales::NewScales;

    /// Lists of `rows` rows of `row_bytes`, in which nothing is stored but their shape.
    fn lists(rows: u64, count: u32, row_bytes: u64) -> NewLists {
        let list_of = (0..rows).map(|row| (row % u64::from(count)) as u16).collect();
        let centroids = vec![0; count.next_multiple_of(BLOCK_ROWS as u32) as usize * row_bytes as usize];
        NewLists { list_of, visits: Visits::default(), centroids, norms: vec![0.0; count as usize], count }
    }

    #[test]
    fn a_planned_file_of_codes_is_exactly_as_long_as_the_written_one() -> Result<()> {
        let home =
            tempfile::tempdir().map_err(|error| crate::error::Error::io("create", "temporary directory", error))?;
        let dir = open_or_create_dir(home.path(), false)?;
        let mut id = 0;
        for (rows, codebook_bytes, list_count) in [(1u64, 0usize, 0), (33, 100, 0), (5000, 4097, 7), (70_001, 63, 300)]
        {
            for step in [1, 3] {
                id += 1;
                let header =
                    FileHeader { kind: Kind::Code, store: [1; 16], id, dim: 8, metric: Metric::L2, base_seq: 0 };
                let row_bytes = 3;
                let mut writer = SegmentWriter::coded(&dir, header, vec![7; codebook_bytes], 4, 1)?;
                for _ in 0..blocks_for(rows) {
                    writer.write_block(&vec![0; block_bytes(row_bytes as usize)], 0.5)?;
                }
                let ids: Vec<u64> = (0..rows).map(|rank| rank * step + rank % step).collect();
                let lists = (list_count > 0).then(|| lists(rows, list_count, row_bytes));
                let scales = if list_count == 7 {
                    NewScales::Lengths { least: 16256, bytes: step as u8 - 1, has_zeros: false }
                } else {
                    NewScales::One
                };
                let entry =
                    writer.finish(&ids, lists.as_ref(), (&scales, &vec![1.0; rows as usize]), Measured::default())?;
                let ids_bytes = NewIds::new(&ids, &[]).packed_bytes();
                let codebook_bytes = codebook_bytes as u64;
                let sizes =
                    CodedSizes { rows, row_bytes, codebook_bytes, lists: list_count, scales: scales.sizes(rows) };
                let planned = coded_file_bytes(sizes, ids_bytes);
                assert_eq!(planned, entry.length);
                crate::segment::Segment::open(&dir, &entry, 8)?;
            }
        }
        Ok(())
    }
}
