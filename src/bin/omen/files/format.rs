//! The formats of files of vectors and ids, and the types of their components.

use super::standard::is_standard;
use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use npyz::TypeChar;
use std::path::Path;

/// A file format. The ending of a file name is the name of the format; `--format` overrides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// NumPy, two axes: vectors of floats or integers. Ids: integers, one axis or two
    Npy,
    /// Arrays of NumPy: the vectors, and the ids in the array `id`
    Npz,
    /// A line of numbers for each vector; with a header, the ids in the column `id`
    #[value(aliases = ["tsv", "txt"])]
    Csv,
    /// A JSON object of `id` and `vector`, or an array of numbers, on each line
    #[value(alias = "ndjson")]
    Jsonl,
    /// An i32 dim and f32 components for each row
    Fvecs,
    /// An i32 dim and u8 components for each row
    Bvecs,
    /// An i32 count and i32 ids for each row
    Ivecs,
    /// A u32 count and a u32 dim, then rows of f32
    Fbin,
    /// A u32 count and a u32 dim, then rows of u8
    U8bin,
    /// A u32 count and a u32 dim, then rows of i8
    I8bin,
    /// A u32 count and a u32 dim, then rows of i32 ids
    Ibin,
    /// A column of lists of numbers, and the ids in the column `id`
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// The format of `path`: `asked` if there is one, else the one that the ending names.
    pub fn of(path: &Path, asked: Option<Format>) -> Outcome<Format> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        let by_name = || Format::from_str(&ending, true).ok();
        asked.or_else(by_name).ok_or_else(|| {
            if is_standard(path) {
                return Failure::argument(
                    "-: stdin and stdout have no ending that names a format; say it with --format",
                );
            }
            let all: Vec<String> = Format::value_variants().iter().map(|format| format.ending()).collect();
            let all = all.join(", ");
            Failure::argument(format!("{}: found the ending {ending:?}, expected one of {all}", path.display()))
        })
    }

    /// True for a format that is read and written from its start to its end, so that it can be a pipe.
    pub fn is_in_order(self) -> bool {
        self != Format::Npz && !self.is_parquet()
    }

    pub fn is_parquet(self) -> bool {
        #[cfg(feature = "parquet")]
        return self == Format::Parquet;
        #[cfg(not(feature = "parquet"))]
        false
    }

    /// True for a format that names its columns or arrays.
    pub fn has_names(self) -> bool {
        !self.is_in_order() || matches!(self, Format::Csv | Format::Jsonl)
    }

    /// The ending of file names in this format.
    pub fn ending(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// Framing of the rows and type of the components; `None` for the other formats.
    pub fn framing(self) -> Option<(Framing, Element)> {
        Some(match self {
            Format::Fvecs => (Framing::Vecs, Element::F32),
            Format::Bvecs => (Framing::Vecs, Element::U8),
            Format::Ivecs => (Framing::Vecs, Element::I32),
            Format::Fbin => (Framing::Bin, Element::F32),
            Format::U8bin => (Framing::Bin, Element::U8),
            Format::I8bin => (Framing::Bin, Element::I8),
            Format::Ibin => (Framing::Bin, Element::I32),
            _ => return None,
        })
    }
}

/// The type of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F64,
    F32,
    F16,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
}

impl Element {
    /// Bytes of one component.
    pub fn bytes(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::F16 | Element::U16 | Element::I16 => 2,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F64 | Element::I64 | Element::U64 => 8,
        }
    }

    pub fn is_integer(self) -> bool {
        !matches!(self, Element::F64 | Element::F32 | Element::F16)
    }

    /// True for signed integers.
    pub fn is_signed(self) -> bool {
        matches!(self, Element::I8 | Element::I16 | Element::I32 | Element::I64)
    }

    /// The type that a .npy header names.
    pub fn of_npy(kind: TypeChar, bytes: u64) -> Option<Element> {
        Some(match (kind, bytes) {
            (TypeChar::Float, 8) => Element::F64,
            (TypeChar::Float, 4) => Element::F32,
            (TypeChar::Float, 2) => Element::F16,
            // A bool is a byte of 0 or 1.
            (TypeChar::Uint | TypeChar::Bool, 1) => Element::U8,
            (TypeChar::Int, 1) => Element::I8,
            (TypeChar::Uint, 2) => Element::U16,
            (TypeChar::Int, 2) => Element::I16,
            (TypeChar::Uint, 4) => Element::U32,
            (TypeChar::Int, 4) => Element::I32,
            (TypeChar::Uint, 8) => Element::U64,
            (TypeChar::Int, 8) => Element::I64,
            _ => return None,
        })
    }

    /// The name of the type in a .npy header.
    pub fn npy_name(self) -> &'static str {
        match self {
            Element::F64 => "<f8",
            Element::F32 => "<f4",
            Element::F16 => "<f2",
            Element::U8 => "|u1",
            Element::I8 => "|i1",
            Element::U16 => "<u2",
            Element::I16 => "<i2",
            Element::U32 => "<u4",
            Element::I32 => "<i4",
            Element::U64 => "<u8",
            Element::I64 => "<i8",
        }
    }
}

/// Framing of rows, in formats other than .npy and parquet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each row starts with its dim: i32.
    Vecs,
    /// The file starts with its count and its dim: two u32.
    Bin,
}
