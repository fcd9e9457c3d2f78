//! Files of vectors: one door for every format. A [`Source`] is read in batches, a [`Sink`] is written in batches, so that
//! files may be larger than memory. What a file says of itself is compared with its length before a row is read.
//!
//! `layout` knows the formats whose rows all have the same length, `flat` reads and writes them, `columns` is parquet,
//! `integers` reads ids.

#[cfg(feature = "parquet")]
mod columns;
mod flat;
mod integers;
mod layout;
mod whole;

pub use integers::{Integers, IntegersSink};
pub use whole::Whole;

use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use layout::{Element, Frame};
use std::path::Path;

/// Bytes of floats in memory at a time: they stay in the cache from the file to the store.
const BATCH_BYTES: usize = 256 << 10;

/// The formats; the name of a file ends in the name of its format, or `--format` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// NumPy, two axes in C order: f32 or f16; of ids: i32, i64, u32 or u64
    Npy,
    /// Rows of f32, each behind its i32 dim
    Fvecs,
    /// Rows of u8, each behind its i32 dim
    Bvecs,
    /// Rows of i32 ids, each behind its i32 dim
    Ivecs,
    /// u32 count, u32 dim, rows of f32
    Fbin,
    /// u32 count, u32 dim, rows of u8
    U8bin,
    /// u32 count, u32 dim, rows of i8
    I8bin,
    /// u32 count, u32 dim, rows of i32 ids
    Ibin,
    /// A column of lists of f32
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// The format of `path`: as `asked`, or by the end of its name.
    pub fn of(path: &Path, asked: Option<Format>) -> Outcome<Format> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        let by_name = || Format::from_str(&ending, true).ok();
        asked.or_else(by_name).ok_or_else(|| {
            let all: Vec<String> = Format::value_variants().iter().map(|format| format.ending()).collect();
            let all = all.join(", ");
            Failure::argument(format!("{}: found the ending {ending:?}, expected one of {all}", path.display()))
        })
    }

    fn is_parquet(self) -> bool {
        #[cfg(feature = "parquet")]
        return self == Format::Parquet;
        #[cfg(not(feature = "parquet"))]
        false
    }

    fn ending(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// How rows lie in the file, for formats other than .npy and parquet.
    fn frame(self) -> Option<(Frame, Element)> {
        Some(match self {
            Format::Fvecs => (Frame::Vecs, Element::F32),
            Format::Bvecs => (Frame::Vecs, Element::U8),
            Format::Ivecs => (Frame::Vecs, Element::I32),
            Format::Fbin => (Frame::Bin, Element::F32),
            Format::U8bin => (Frame::Bin, Element::U8),
            Format::I8bin => (Frame::Bin, Element::I8),
            Format::Ibin => (Frame::Bin, Element::I32),
            _ => return None,
        })
    }
}

/// Vectors of a file, from the first to the last.
pub trait Source {
    /// Name of the file, for messages.
    fn name(&self) -> &str;
    /// Floats a vector.
    fn dim(&self) -> usize;
    /// Vectors in the file.
    fn count(&self) -> u64;
    /// The next vectors into `vectors: [rows][dim]`, in place of what it held; returns how many, at most `rows`, 0 at the
    /// end.
    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize>;
    /// Passes over the next `rows` vectors.
    fn skip(&mut self, rows: u64) -> Outcome<()>;
    /// Where component `column` of vector `row` lies, for messages.
    fn place(&self, row: u64, column: usize) -> String;

    /// Vectors read at a time.
    fn batch(&self) -> usize {
        (BATCH_BYTES / (self.dim() * 4)).max(1)
    }
}

/// Opens a file of vectors; `column` is that of a parquet file.
pub fn open(path: &Path, asked: Option<Format>, column: Option<&str>) -> Outcome<Box<dyn Source>> {
    let format = Format::of(path, asked)?;
    #[cfg(feature = "parquet")]
    if format == Format::Parquet {
        return Ok(Box::new(columns::Columns::open(path, column)?));
    }
    if let Some(column) = column {
        return Err(Failure::argument(format!("--column {column}: {} is not a parquet file", path.display())));
    }
    Ok(Box::new(flat::Flat::of_vectors(path, format)?))
}

/// A file of vectors that is written.
pub trait Sink {
    /// Appends `vectors: [ids][dim]`.
    fn write(&mut self, ids: &[u64], vectors: &[f32]) -> Outcome<()>;
    /// Writes what is left and makes it durable.
    fn finish(self: Box<Self>) -> Outcome<()>;
}

/// What a new file of vectors will hold.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub count: u64,
    pub dim: usize,
    /// Halves instead of floats, in .npy.
    pub is_half: bool,
}

/// Begins a file at `path` in `format`.
pub fn create(path: &Path, format: Format, shape: Shape) -> Outcome<Box<dyn Sink>> {
    if shape.is_half && format != Format::Npy {
        return Err(Failure::argument(format!("--half: .npy only, not .{}", format.ending())));
    }
    #[cfg(feature = "parquet")]
    if format == Format::Parquet {
        return Ok(Box::new(columns::ColumnsSink::create(path, shape)?));
    }
    let element = match format.frame() {
        Some((_, element)) => element,
        None if shape.is_half => Element::F16,
        None => Element::F32,
    };
    if !element.is_of_vectors() {
        return Err(Failure::argument(format!("{}: .{} holds ids, not vectors", path.display(), format.ending())));
    }
    Ok(Box::new(flat::FlatSink::create(path, format, element, shape)?))
}
