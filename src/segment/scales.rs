//! The scales of the rows of a file of codes: what a decoded row is multiplied by (format.md §6.9).
//!
//! ```text
//! lengths    files whose codes are directions: one or two bytes a row, or one length for all rows
//! classes    files with few scales: rows of one scale lie side by side. Each class has the same number of inverted lists.
//!            Among directions, rows of zeros are a class of scale 0
//! neither    every scale is 1
//! ```

use super::lists::Lists;
use crate::error::Result;
use crate::format::{SectionKind, f32_at, u32_at};
use crate::sealed::Sealed;
use std::ops::Range;
use std::sync::OnceLock;

/// The most classes of a file: powers of two among floats.
pub const CLASSES_MAX: u32 = 256;

/// Lengths of directions are stored as classes if there are at most this many.
const LENGTH_CLASSES: usize = 4;

/// The scales of classes where rows have lengths: of rows of zeros, and of all others, whose scales are their lengths.
const ZEROS_AND_OTHERS: [f32; 2] = [0.0, 1.0];

/// Stored lengths are floats of this many bits: their other bits are zero, so a length is stored as it is when a file is
/// written anew.
const LENGTH_BITS: u32 = 16;
const CUT_BITS: u32 = u32::BITS - LENGTH_BITS;

/// Lengths count as the most common one if their floats differ from it by at most half a step of stored lengths.
const SAME_LENGTHS: u32 = 1 << (CUT_BITS - 1);

/// Bytes of the parameters of lengths.
const LENGTHS_HEADER: u64 = 4;

/// Bytes of a class.
pub const CLASS_BYTES: u64 = 12;

/// Rounding makes a length at most this much shorter or longer, relative to it.
const ROUNDING: f32 = 1e-5;

/// A length of rows is in this range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthRange {
    /// The least.
    pub least: f32,
    /// The largest; below the least if there is no row.
    pub most: f32,
}

impl LengthRange {
    /// Of no row.
    pub const EMPTY: LengthRange = LengthRange { least: f32::MAX, most: 0.0 };

    /// Of a row of any length.
    pub const ANY: LengthRange = LengthRange { least: 0.0, most: f32::MAX };

    /// Adds a row of this length, as floats round it.
    pub fn add(&mut self, length: f32) {
        self.least = self.least.min(length * (1.0 - ROUNDING));
        self.most = self.most.max(length * (1.0 + ROUNDING)).min(f32::MAX);
    }
}

/// How the scales of a new file are stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum NewScales {
    /// Every scale is 1.
    #[default]
    One,
    /// `[classes]`: their scales, ascending; at least one, which is not 1 if it is the only one. And the lengths of their
    /// rows. Rows of scale 0 are zeros.
    Classes(Vec<f32>, Vec<LengthRange>),
    /// The lengths of rows.
    Lengths {
        /// The upper bits of the least length. A length is stored as the difference of its upper bits to these.
        least: u32,
        /// Bytes of the difference, 0 to 2; 0 if all lengths count as one.
        bytes: u8,
        /// True if there are rows of zeros: then there are two classes, see [`ZEROS_AND_OTHERS`].
        has_zeros: bool,
    },
}

impl NewScales {
    /// The form for these scales, which are positive, or 0 for rows that any scale suits; lengths if codes are
    /// directions.
    pub fn of(scales: &[f32], is_directional: bool) -> NewScales {
        if is_directional { NewScales::of_lengths(scales) } else { NewScales::of_classes(scales) }
    }

    fn of_classes(scales: &[f32]) -> NewScales {
        let mut classes: Vec<f32> = Vec::new();
        for scale in scales {
            if let Err(at) = classes.binary_search_by(|class| class.total_cmp(scale)) {
                classes.insert(at, *scale);
            }
        }
        if classes.is_empty() || classes == [1.0] { NewScales::One } else { NewScales::with_classes(classes) }
    }

    fn with_classes(scales: Vec<f32>) -> NewScales {
        let lengths = vec![LengthRange::EMPTY; scales.len()];
        NewScales::Classes(scales, lengths)
    }

    /// Adds a row of this length to its class.
    pub fn add_to_class(&mut self, class: usize, length: f32) {
        if let NewScales::Classes(_, lengths) = self {
            lengths[class].add(length);
        }
    }

    fn of_lengths(lengths: &[f32]) -> NewScales {
        let mut bits: Vec<u32> =
            lengths.iter().filter(|length| **length > 0.0).map(|length| length.to_bits()).collect();
        let has_zeros = bits.len() < lengths.len();
        if bits.is_empty() {
            return if has_zeros { NewScales::with_classes(vec![0.0]) } else { NewScales::One };
        }
        // Positive floats are in the order of their bits.
        bits.sort_unstable();
        let common = (bits[bits.len() / 2] + SAME_LENGTHS) >> CUT_BITS;
        let is_common = |bits: u32| bits.abs_diff(common << CUT_BITS) <= SAME_LENGTHS;
        let mut uppers: Vec<u32> =
            bits.iter().map(|bits| if is_common(*bits) { common } else { bits >> CUT_BITS }).collect();
        uppers.dedup();
        let (least, most) = (uppers[0], uppers[uppers.len() - 1]);
        if uppers.len() + usize::from(has_zeros) > LENGTH_CLASSES {
            let bytes = if most - least <= u32::from(u8::MAX) { 1 } else { 2 };
            return NewScales::Lengths { least, bytes, has_zeros };
        }
        match uppers.as_slice() {
            [only] if length_of(*only) == 1.0 && !has_zeros => NewScales::One,
            [only] if !has_zeros => NewScales::Lengths { least: *only, bytes: 0, has_zeros },
            _ => {
                let lengths = uppers.into_iter().map(length_of);
                NewScales::with_classes(has_zeros.then_some(0.0).into_iter().chain(lengths).collect())
            }
        }
    }

    /// The scale that is stored for a row of this one.
    pub fn stored(&self, scale: f32) -> f32 {
        match self {
            NewScales::One => 1.0,
            NewScales::Classes(classes, _) => classes[self.class_of(scale)],
            NewScales::Lengths { has_zeros: true, .. } if scale == 0.0 => 0.0,
            NewScales::Lengths { least, .. } => length_of(least + self.difference(scale)),
        }
    }

    /// The class of a row of this scale: the nearest; only rows of zeros have the class of scale 0.
    pub fn class_of(&self, scale: f32) -> usize {
        let off = |class: &f32| class.to_bits().abs_diff(scale.to_bits());
        match self {
            NewScales::Classes(classes, _) => {
                let suits = |class: &usize| classes[*class] > 0.0 || scale == 0.0;
                (0..classes.len()).filter(suits).min_by_key(|class| off(&classes[*class])).unwrap_or(0)
            }
            NewScales::Lengths { has_zeros, .. } => usize::from(*has_zeros && scale != 0.0),
            NewScales::One => 0,
        }
    }

    /// What is stored for a row of this length.
    fn difference(&self, length: f32) -> u32 {
        match self {
            NewScales::Lengths { least, bytes: 1 | 2, .. } => (length.to_bits() >> CUT_BITS).saturating_sub(*least),
            _ => 0,
        }
    }

    /// The sizes of the sections for `rows` rows.
    pub fn sizes(&self, rows: u64) -> ScaleSizes {
        match self {
            NewScales::One => ScaleSizes::default(),
            NewScales::Classes(classes, _) => ScaleSizes { classes: classes.len() as u32, length_bytes: 0 },
            NewScales::Lengths { bytes, has_zeros, .. } => ScaleSizes {
                classes: if *has_zeros { ZEROS_AND_OTHERS.len() as u32 } else { 0 },
                length_bytes: LENGTHS_HEADER + u64::from(*bytes) * rows,
            },
        }
    }

    /// The sections of classes and of lengths, as stored; `scales: [rows]` in the order of rows.
    pub fn encode(&self, scales: impl Iterator<Item = f32>) -> (Vec<u8>, Vec<u8>) {
        match self {
            NewScales::One => (Vec::new(), Vec::new()),
            NewScales::Classes(classes, lengths) => {
                (class_bytes(classes.iter().copied().zip(lengths.iter().copied())), Vec::new())
            }
            NewScales::Lengths { least, bytes: width, has_zeros } => {
                let mut bytes = least.to_le_bytes().to_vec();
                for scale in scales {
                    bytes.extend_from_slice(&self.difference(scale).to_le_bytes()[..usize::from(*width)]);
                }
                let classes: &[f32] = if *has_zeros { &ZEROS_AND_OTHERS } else { &[] };
                (class_bytes(classes.iter().map(|scale| (*scale, LengthRange::ANY))), bytes)
            }
        }
    }
}

/// The sizes of the sections of scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScaleSizes {
    /// Number of classes; 0: all rows are one.
    pub classes: u32,
    /// Bytes of the section of lengths.
    pub length_bytes: u64,
}

/// Rows of one scale.
#[derive(Clone, Debug, PartialEq)]
pub struct RowClass {
    /// What a decoded row is multiplied by.
    pub scale: f32,
    /// Its rows.
    pub rows: Range<u32>,
    /// The number of its first inverted list.
    pub first_list: u32,
    /// The lengths of its rows as they were inserted.
    pub lengths: LengthRange,
}

/// The scales of one sealed segment.
#[derive(Debug)]
pub struct Scales {
    rows: u32,
    /// Number of classes; 0: all rows are one.
    classes: u32,
    /// Offset of the classes.
    classes_offset: u64,
    /// Offset and length of the section of lengths.
    lengths: (u64, u64),
    /// Read when first needed.
    read: OnceLock<Vec<RowClass>>,
}

impl Scales {
    /// Opens the scales of a file of codes of `rows` rows.
    pub fn open(file: &Sealed, rows: u32) -> Result<Scales> {
        let (classes, lengths) = (file.section(SectionKind::Classes)?, file.section(SectionKind::Lengths)?);
        let count = u32::try_from(classes.count).ok().filter(|count| *count <= CLASSES_MAX).ok_or_else(|| {
            file.section_error(SectionKind::Classes, format!("{} classes, at most {CLASSES_MAX}", classes.count))
        })?;
        let has_lengths = lengths.length > 0;
        let is_whole = |bytes: u64| lengths.length == LENGTHS_HEADER + bytes * u64::from(rows);
        let expected = if has_lengths { u64::from(rows) } else { 0 };
        let may_have_lengths = count == 0 || count as usize == ZEROS_AND_OTHERS.len();
        if lengths.count != expected || has_lengths && !((0..=2).any(is_whole) && may_have_lengths) {
            let what = format!("{} bytes for {rows} rows and {count} classes", lengths.length);
            return Err(file.section_error(SectionKind::Lengths, what));
        }
        let (classes_offset, lengths) = (classes.offset, (lengths.offset, lengths.length));
        Ok(Scales { rows, classes: count, classes_offset, lengths, read: OnceLock::new() })
    }

    /// The sizes of the sections.
    pub fn sizes(&self) -> ScaleSizes {
        ScaleSizes { classes: self.classes, length_bytes: self.lengths.1 }
    }

    /// True if every scale is 1.
    pub fn are_one(&self) -> bool {
        self.classes == 0 && self.lengths.1 == 0
    }

    /// The classes, in order of their rows: one of all rows if every scale is 1, or if rows have lengths.
    pub fn classes(&self, file: &Sealed, lists: Option<&Lists>) -> Result<&[RowClass]> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let read = match lists {
            Some(lists) if self.classes > 0 => self.read_classes(file, lists)?,
            _ => vec![RowClass { scale: 1.0, rows: 0..self.rows, first_list: 0, lengths: LengthRange::ANY }],
        };
        Ok(self.read.get_or_init(|| read))
    }

    fn read_classes(&self, file: &Sealed, lists: &Lists) -> Result<Vec<RowClass>> {
        let mut classes: Vec<RowClass> = Vec::new();
        for number in 0..self.classes {
            let stored = file.bytes(self.classes_offset + u64::from(number) * CLASS_BYTES, CLASS_BYTES as usize)?;
            let (scale, lengths) =
                (f32_at(stored, 0), LengthRange { least: f32_at(stored, 4), most: f32_at(stored, 8) });
            let above = classes.last().map_or(0.0, |last| last.scale);
            let is_of_zeros = number == 0 && scale.to_bits() == 0;
            if !(is_of_zeros || scale.is_normal() && scale > above) {
                let what = format!("class {number} has scale {scale}, expected a number above {above}");
                return Err(file.section_error(SectionKind::Classes, what));
            }
            if !(lengths.least >= 0.0 && lengths.most >= 0.0 && lengths.least.max(lengths.most).is_finite()) {
                let what = format!("class {number} has lengths {} to {}", lengths.least, lengths.most);
                return Err(file.section_error(SectionKind::Classes, what));
            }
            let first_list = number * lists.of_class();
            let rows =
                lists.rows_of(file, first_list)?.start..lists.rows_of(file, first_list + lists.of_class() - 1)?.end;
            if rows.start != classes.last().map_or(0, |last| last.rows.end) {
                return Err(file.section_error(SectionKind::Classes, format!("class {number} has rows {rows:?}")));
            }
            classes.push(RowClass { scale, rows, first_list, lengths });
        }
        if self.lengths.1 > 0 && !classes.iter().map(|class| class.scale).eq(ZEROS_AND_OTHERS) {
            let what = format!("scales beside lengths, expected {ZEROS_AND_OTHERS:?}");
            return Err(file.section_error(SectionKind::Classes, what));
        }
        Ok(classes)
    }

    /// The scale of `row`.
    pub fn of_row(&self, file: &Sealed, lists: Option<&Lists>, row: u32) -> Result<f32> {
        let classes = self.classes(file, lists)?;
        match classes.iter().find(|class| row < class.rows.end).map(|class| class.scale) {
            Some(scale) if scale > 0.0 && self.lengths.1 > 0 => self.length_of(file, row),
            Some(scale) => Ok(scale),
            None => Err(file.section_error(SectionKind::Classes, format!("row {row} of {} is in no class", self.rows))),
        }
    }

    fn length_of(&self, file: &Sealed, row: u32) -> Result<f32> {
        let (offset, bytes) = self.lengths;
        let least = u32_at(file.bytes(offset, LENGTHS_HEADER as usize)?, 0);
        let width = (bytes - LENGTHS_HEADER) / u64::from(self.rows.max(1));
        let stored = file.bytes(offset + LENGTHS_HEADER + u64::from(row) * width, width as usize)?;
        let above = stored.iter().rev().fold(0, |above, byte| above << 8 | u32::from(*byte));
        let upper = least.checked_add(above).filter(|upper| *upper < 1 << LENGTH_BITS);
        let length = upper.map(length_of).filter(|length| length.is_normal() && *length > 0.0);
        length.ok_or_else(|| {
            file.section_error(SectionKind::Lengths, format!("row {row}: {above} above {least:#x} is not a length"))
        })
    }
}

/// Classes as stored: their scales and the lengths of their rows.
fn class_bytes(classes: impl Iterator<Item = (f32, LengthRange)>) -> Vec<u8> {
    classes.flat_map(|(scale, of)| [scale, of.least, of.most]).flat_map(f32::to_le_bytes).collect()
}

/// The length with these upper bits.
fn length_of(upper: u32) -> f32 {
    f32::from_bits(upper << CUT_BITS)
}

#[cfg(test)]
mod tests {
    use super::NewScales;

    #[test]
    fn a_stored_length_is_near_the_length() {
        let lengths = [3.0, 0.0, 700.0, 3.01, 1e-3];
        let scales = NewScales::of(&lengths, true);
        for length in lengths.into_iter().filter(|length| *length > 0.0) {
            let stored = scales.stored(length);
            assert!((stored / length - 1.0).abs() < 0.008, "{length} is stored as {stored}");
        }
        assert_eq!(NewScales::of(&[0.999, 1.001], true), NewScales::One);
        let with_zeros = NewScales::of(&[0.999, 0.0, 1.001], true);
        assert_eq!([0.0, 1.001, 1e-30].map(|scale| with_zeros.stored(scale)), [0.0, 1.0, 1.0]);
        let equal = NewScales::of(&[511.5, 512.5], true);
        assert_eq!((equal.stored(511.5), equal.sizes(9).length_bytes), (512.0, 4));
        assert_eq!((scales.stored(0.0), scales.class_of(0.0), scales.class_of(1e-3)), (0.0, 0, 1));
        // What was stored is stored again.
        assert_eq!(scales.stored(scales.stored(700.0)), scales.stored(700.0));
        assert_eq!(NewScales::of(&[0.0], true).stored(0.0), 0.0);
    }

    #[test]
    fn classes_are_the_scales_that_occur() {
        assert_eq!(NewScales::of(&[1.0, 1.0], false), NewScales::One);
        let new = NewScales::of(&[4.0, 1.0, 0.25, 4.0], false);
        assert_eq!(new.sizes(9).classes, 3);
        assert_eq!(
            [0.25, 1.0, 4.0].map(|scale| (new.class_of(scale), new.stored(scale))),
            [(0, 0.25), (1, 1.0), (2, 4.0)]
        );
    }
}
