//! The table of sections of a sealed file (format.md §6.2): kind, position and size of each part of the file.

use super::{Kind, put, u32_at, u64_at};
use crate::error::{Error, Result};
use std::ops::Range;

/// The most sections of one file. It bounds what an open allocates before any number in the table was checked.
pub const SECTIONS_MAX: u32 = 64;

/// Bit of [`Section::flags`]: a reader that does not know the kind must refuse the file.
pub const REQUIRED: u32 = 1;

/// Declares the kinds of sections: name, number, alignment in bytes, flags, and what `count` counts.
macro_rules! section_kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, align $unit:literal, $flags:expr;)*) => {
        /// A kind of section. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum SectionKind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl SectionKind {
            /// Every kind this library knows.
            pub const ALL: &[SectionKind] = &[$(SectionKind::$kind),*];

            /// Its name, for messages.
            pub const fn name(self) -> &'static str {
                match self { $(SectionKind::$kind => $name,)* }
            }

            /// The writer begins a section at a multiple of this many bytes; a reader does not rely on it.
            pub const fn alignment(self) -> u64 {
                match self { $(SectionKind::$kind => $unit,)* }
            }

            const fn flags(self) -> u32 {
                match self { $(SectionKind::$kind => $flags,)* }
            }
        }
    };
}

section_kinds! {
    /// Rows (count: rows): the frames of a log, contiguous raw rows, or blocks of codes.
    Rows = 1, "rows", align 64, REQUIRED;
    /// Sorted, packed ids (count: ids); no bytes if ids count up from the footer's first id in row order.
    Ids = 2, "ids", align 1, REQUIRED;
    /// Logs: the row of each id, as u32, in ascending order of id (count: entries; 0 if rows are in order of id).
    IdRows = 3, "rows of ids", align 4, REQUIRED;
    /// Logs: the positions of the rows in the frames (count: extents).
    Extents = 4, "extents", align 1, REQUIRED;
    /// Codes: the codebook (count: 1).
    Codebook = 5, "codebook", align 1, REQUIRED;
    /// Codes: what restores a damaged block of the codebook, behind the rows (count: 1).
    CodebookParity = 6, "codebook parity", align 1, REQUIRED;
    /// Codes: one u16 error bound for each block of codes (count: blocks).
    Bounds = 7, "bounds", align 1, REQUIRED;
    /// Codes: inverted lists (count: lists; 0, and no bytes, if rows are in order of id).
    Lists = 8, "inverted lists", align 64, REQUIRED;
    /// Codes: the scale of each class of rows, as f32 (count: classes; 0 if rows have no classes).
    Classes = 10, "classes", align 4, REQUIRED;
    /// Codes of directions: the lengths of rows (count: rows; 0 if every length counts as 1).
    Lengths = 11, "lengths", align 4, REQUIRED;
    /// Tombstone files: bitmaps of hidden rows (count: bitmaps).
    Tombstones = 9, "tombstones", align 1, REQUIRED;
}

impl SectionKind {
    /// The kind with this number, if this library knows it.
    pub fn from_number(number: u32) -> Option<SectionKind> {
        SectionKind::ALL.iter().copied().find(|kind| *kind as u32 == number)
    }
}

/// An entry of the table: one part of a sealed file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The number of a [`SectionKind`], or one that this library does not know.
    pub kind: u32,
    /// [`REQUIRED`] or 0.
    pub flags: u32,
    /// Its first byte, from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Number of items; the kind defines the item.
    pub count: u64,
}

impl Section {
    /// Bytes of a stored entry.
    pub const BYTES: usize = 32;

    /// A section of a kind this library knows.
    pub fn new(kind: SectionKind, offset: u64, length: u64, count: u64) -> Section {
        Section { kind: kind as u32, flags: kind.flags(), offset, length, count }
    }

    /// Its name, for messages; a number if the kind is unknown.
    pub fn name(&self) -> String {
        SectionKind::from_number(self.kind).map_or_else(|| self.kind.to_string(), |kind| kind.name().to_owned())
    }

    /// The first byte behind it, if that is a u64.
    fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.length)
    }

    /// The entry as stored.
    pub fn encode(&self) -> [u8; Section::BYTES] {
        let mut bytes = [0; Section::BYTES];
        put(&mut bytes, 0, &self.kind.to_le_bytes());
        put(&mut bytes, 4, &self.flags.to_le_bytes());
        put(&mut bytes, 8, &self.offset.to_le_bytes());
        put(&mut bytes, 16, &self.length.to_le_bytes());
        put(&mut bytes, 24, &self.count.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Section {
        Section {
            kind: u32_at(bytes, 0),
            flags: u32_at(bytes, 4),
            offset: u64_at(bytes, 8),
            length: u64_at(bytes, 16),
            count: u64_at(bytes, 24),
        }
    }
}

/// Reads and checks a table of sections whose checksum matched; `bytes` is a multiple of [`Section::BYTES`]. Sections
/// must lie in the bytes `data` of the file and not overlap, and each kind may occur once. A required section
/// of an unknown kind is an error; an optional one is ignored.
pub fn decode_sections(file: &str, data: Range<u64>, bytes: &[u8]) -> Result<Vec<Section>> {
    let sections: Vec<Section> = bytes.chunks_exact(Section::BYTES).map(Section::decode).collect();
    for section in &sections {
        let (name, flags) = (section.name(), section.flags);
        if flags & !REQUIRED != 0 {
            return Err(Error::corrupt(file, format!("section {name}: flags {flags:#x}, expected 0 or {REQUIRED}")));
        }
        if section.offset < data.start || section.end().is_none_or(|end| end > data.end) {
            let Section { offset, length, .. } = section;
            let what = format!("section {name}: {length} bytes at {offset}, not in the data bytes {data:?}");
            return Err(Error::corrupt(file, what));
        }
        if flags & REQUIRED != 0 && SectionKind::from_number(section.kind).is_none() {
            return Err(Error::UnknownSection { file: file.to_owned(), kind: section.kind });
        }
    }
    refuse_doubled_and_overlapping(file, &sections)?;
    Ok(sections)
}

fn refuse_doubled_and_overlapping(file: &str, sections: &[Section]) -> Result<()> {
    let mut by_kind: Vec<&Section> = sections.iter().collect();
    by_kind.sort_by_key(|section| section.kind);
    if let Some(pair) = by_kind.windows(2).find(|pair| pair[0].kind == pair[1].kind) {
        return Err(Error::corrupt(file, format!("section {}: listed twice", pair[0].name())));
    }
    let mut by_offset: Vec<&Section> = sections.iter().filter(|section| section.length > 0).collect();
    by_offset.sort_by_key(|section| section.offset);
    let overlapping = by_offset.windows(2).find(|pair| pair[0].end().is_none_or(|end| end > pair[1].offset));
    match overlapping {
        Some(pair) => {
            let what = format!("section {}: overlaps section {}", pair[1].name(), pair[0].name());
            Err(Error::corrupt(file, what))
        }
        None => Ok(()),
    }
}

/// Offsets of the sections of a new file, in the order in which they are added behind the header. The writer and the
/// planner of file sizes both use it.
#[derive(Clone, Debug)]
pub struct SectionLayout {
    end: u64,
    sections: Vec<Section>,
}

impl SectionLayout {
    /// A file of this kind, without sections.
    pub fn new(kind: Kind) -> SectionLayout {
        SectionLayout { end: kind.header_bytes() as u64, sections: Vec::new() }
    }

    /// Adds a section at the next byte that is aligned for its kind.
    pub fn add(&mut self, kind: SectionKind, length: u64, count: u64) {
        let section = Section::new(kind, self.next_offset(kind), length, count);
        self.end = section.offset.saturating_add(length);
        self.sections.push(section);
    }

    /// The first byte of the next section, if that is of `kind`.
    pub fn next_offset(&self, kind: SectionKind) -> u64 {
        super::align(self.end, kind.alignment())
    }

    /// The first byte behind the last section.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The entries so far.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The table as stored.
    pub fn encode(&self) -> Vec<u8> {
        self.sections.iter().flat_map(Section::encode).collect()
    }
}
