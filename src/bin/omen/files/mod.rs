//! Files of vectors: [`open`] and [`create`] serve every format. A [`Source`] is read and a [`Sink`] is written in
//! batches, so a file may be larger than memory. A header is compared with the length of its file before a row is read.
//!
//! `format` names the formats, `stream` has the two traits, `layout` reads the headers of formats whose rows all have
//! the same length, `flat` reads and writes those, `columns` is parquet, `integers` reads and writes ids, and `whole`
//! renames a file when it is complete.

#[cfg(feature = "parquet")]
mod columns;
mod flat;
mod format;
mod integers;
mod layout;
mod stream;
mod whole;

pub use format::Format;
pub use integers::{Integers, IntegersSink};
pub use stream::{FileShape, Sink, Source};
pub use whole::Whole;

use crate::failure::{Failure, Outcome};
use format::Element;
use std::path::Path;

/// Opens a file of vectors. `column` names the column of a parquet file.
pub fn open(path: &Path, asked: Option<Format>, column: Option<&str>) -> Outcome<Box<dyn Source>> {
    let format = Format::of(path, asked)?;
    #[cfg(feature = "parquet")]
    if format == Format::Parquet {
        return Ok(Box::new(columns::Columns::open(path, column)?));
    }
    if let Some(column) = column {
        return Err(Failure::argument(format!(
            "--column {column}: {} is not a parquet file, so it has no columns",
            path.display()
        )));
    }
    Ok(Box::new(flat::Flat::of_vectors(path, format)?))
}

/// Creates a file at `path` in `format`.
pub fn create(path: &Path, format: Format, shape: FileShape) -> Outcome<Box<dyn Sink>> {
    if shape.is_half && format != Format::Npy {
        return Err(Failure::argument(format!("--half: found .{}, expected .npy", format.ending())));
    }
    #[cfg(feature = "parquet")]
    if format == Format::Parquet {
        return Ok(Box::new(columns::ColumnsSink::create(path, shape)?));
    }
    let element = match format.framing() {
        Some((_, element)) => element,
        None if shape.is_half => Element::F16,
        None => Element::F32,
    };
    if !element.is_of_vectors() {
        return Err(Failure::argument(format!("{}: .{} holds ids, not vectors", path.display(), format.ending())));
    }
    Ok(Box::new(flat::FlatSink::create(path, format, element, shape)?))
}
