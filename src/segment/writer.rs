//! Writing a sealed segment of raw rows or of codes.

use super::ids::NewIds;
use super::lists::NewLists;
use super::parity;
use super::scales::NewScales;
use crate::error::Result;
use crate::format::{FileHeader, Footer, Measured, SectionKind, SegmentEntry, bound_above};
use crate::os::{Access, Dir};
use crate::sealed::SealedWriter;

/// Writes a segment of raw rows or of blocks of codes, which the caller gives in the order in which they are stored.
#[derive(Debug)]
pub struct SegmentWriter {
    writer: SealedWriter,
    header: FileHeader,
    footer: Footer,
    /// `None` for raw rows.
    coded: Option<NewCoded>,
}

/// Contents of the sections that follow the rows in a file of codes.
#[derive(Debug)]
struct NewCoded {
    codebook: Vec<u8>,
    /// `[blocks]` u16 of the blocks written so far.
    bounds: Vec<u8>,
    blocks: u64,
}

impl SegmentWriter {
    /// Begins a raw segment.
    pub fn raw(dir: &dyn Dir, header: FileHeader) -> Result<SegmentWriter> {
        SegmentWriter::begin(dir, header, None, Footer::default())
    }

    /// Begins a segment of codes of `symbols` symbols and `side_bytes` side bytes.
    pub fn coded(
        dir: &dyn Dir,
        header: FileHeader,
        codebook: Vec<u8>,
        symbols: u32,
        side_bytes: u32,
    ) -> Result<SegmentWriter> {
        let coded = NewCoded { codebook, bounds: Vec::new(), blocks: 0 };
        SegmentWriter::begin(dir, header, Some(coded), Footer { symbols, side_bytes, ..Footer::default() })
    }

    fn begin(dir: &dyn Dir, header: FileHeader, coded: Option<NewCoded>, footer: Footer) -> Result<SegmentWriter> {
        let file = dir.open(&header.kind.file_name(header.id), Access::Create)?;
        let mut writer = SealedWriter::new(file, &header);
        if let Some(coded) = &coded {
            writer.write_section(SectionKind::Codebook, 1, &coded.codebook)?;
        }
        writer.begin_section(SectionKind::Rows)?;
        Ok(SegmentWriter { writer, header, footer, coded })
    }

    /// Appends a block of codes; `bound` is the largest distance between an inserted vector and its decoded code.
    pub fn write_block(&mut self, block: &[u8], bound: f64) -> Result<()> {
        if let Some(coded) = &mut self.coded {
            coded.bounds.extend_from_slice(&bound_above(bound).to_le_bytes());
            coded.blocks += 1;
        }
        self.writer.write(block)
    }

    /// Appends raw rows.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write(bytes)
    }

    /// Ends the file with its ids (ascending, one for each row) and syncs it (not the directory). Rows are in order of
    /// id, or list by list if `lists` are given. `scales` are those of a file of codes; if lengths are stored, with the scale of
    /// each row in the order of rows.
    pub fn finish(
        mut self,
        ids: &[u64],
        lists: Option<&NewLists>,
        (scales, of_rows): (&NewScales, &[f32]),
        measured: Measured,
    ) -> Result<SegmentEntry> {
        let rows = ids.len() as u64;
        self.writer.end_section(SectionKind::Rows, rows);
        if let Some(coded) = self.coded {
            self.writer.write_section(SectionKind::Bounds, coded.blocks, &coded.bounds)?;
            self.writer.write_section(SectionKind::CodebookParity, 1, &parity::parity_of(&coded.codebook))?;
            let (count, bytes) = lists.map_or((0, Vec::new()), |lists| (u64::from(lists.count), lists.encode()));
            self.writer.write_section(SectionKind::Lists, count, &bytes)?;
            let (classes, lengths) = scales.encode(of_rows.iter().copied());
            self.writer.write_section(SectionKind::Classes, u64::from(scales.sizes(rows).classes), &classes)?;
            self.writer.write_section(SectionKind::Lengths, if lengths.is_empty() { 0 } else { rows }, &lengths)?;
        }
        NewIds::new(ids, &[]).write(&mut self.writer)?;
        let (first_id, last_id) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
        let (length, root) = self.writer.finish(Footer { first_id, last_id, measured, ..self.footer })?;
        Ok(SegmentEntry { kind: self.header.kind, id: self.header.id, length, rows, root })
    }
}
