//! Files of vectors: [`open`] and [`create`] serve every format. A [`Source`] is read and a [`Sink`] is written in
//! batches, so a file may be larger than memory. A header is compared with the length of its file before a row is read.
//!
//! `format` names the formats, `read_options` has the options of reading one, `stream` has the two traits, `input` opens files
//! and pipes (`standard`: stdin and stdout), and `whole` renames a file when it is complete.
//!
//! Formats whose rows all have the same length: `layout` and `npy` read and write their headers, `flat` their rows,
//! `transposed` those of arrays in Fortran order, `zipped` finds the arrays of an `archive`. Formats of lines: `capped`
//! limits a line, `numbers` are texts, `table` has the records of a file of `separated` values, `objects` are JSON.
//! `columns` is parquet, `leaf` one of its columns. `integers` reads and writes ids.

mod archive;
mod capped;
#[cfg(feature = "parquet")]
mod columns;
mod flat;
mod format;
mod input;
mod integers;
mod layout;
#[cfg(feature = "parquet")]
mod leaf;
mod npy;
mod numbers;
mod objects;
mod read_options;
mod separated;
mod standard;
mod stream;
mod table;
mod transposed;
mod whole;
mod zipped;

pub use format::Format;
pub use input::Origin;
pub use integers::{Integers, IntegersSink};
pub use numbers::float_text;
pub use read_options::ReadOptions;
pub use standard::is_standard;
pub use stream::{FileShape, Sink, Source};
pub use whole::Whole;

use crate::failure::{Failure, Outcome};
use format::{Element, Framing};
use std::path::Path;

/// Opens a file of vectors. Without `with_ids` a column of ids is ignored.
pub fn open(origin: &Origin, reading: &ReadOptions, with_ids: bool) -> Outcome<Box<dyn Source>> {
    let format = Format::of(origin.path(), reading.format)?;
    let input = origin.open()?;
    reading.check(&input.name, format)?;
    Ok(match format {
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(columns::Columns::open(input, reading, with_ids)?),
        Format::Npz => Box::new(archive::Archive::open(input, reading, with_ids)?),
        Format::Csv => Box::new(separated::Separated::open(input, reading, with_ids)?),
        Format::Jsonl => Box::new(objects::Objects::open(input, reading, with_ids)?),
        _ => Box::new(flat::Flat::of_vectors(input, format)?),
    })
}

/// Opens a file of vectors without its ids and counts the vectors, if need be by reading all of them first. A pipe is
/// copied into an unnamed file in the directory of temporary files.
pub fn open_counted(path: &Path, reading: &ReadOptions) -> Outcome<Box<dyn Source>> {
    let mut origin = Origin::new(path);
    origin.keep(&std::env::temp_dir(), Format::of(path, reading.format)?)?;
    let mut source = open(&origin, reading, false)?;
    if source.is_counted() {
        return Ok(source);
    }
    source.skip(u64::MAX)?;
    let count = source.count();
    let mut source = open(&origin, reading, false)?;
    source.set_count(count);
    Ok(source)
}

/// Says on stderr which columns of `source` are ignored.
pub fn tell_ignored(source: &dyn Source) {
    let ignored = source.ignored();
    if !ignored.is_empty() {
        eprintln!("omen: {}: ignored columns: {}", source.name(), ignored.join(", "));
    }
}

/// Creates a file at `path` in `format`. `-` is stdout.
pub fn create(path: &Path, format: Format, shape: FileShape) -> Outcome<Box<dyn Sink>> {
    if shape.is_half && format != Format::Npy {
        return Err(Failure::argument(format!("--half: found .{}, expected .npy", format.ending())));
    }
    if is_standard(path) && !format.is_in_order() {
        return Err(Failure::argument(format!("-: .{} cannot be written to a pipe; name a file", format.ending())));
    }
    let element = match format.framing() {
        Some((_, element)) => element,
        None if shape.is_half => Element::F16,
        None => Element::F32,
    };
    if element.is_integer() && element.bytes() > 1 {
        return Err(Failure::argument(format!("{}: .{} holds ids, not vectors", path.display(), format.ending())));
    }
    let keeps_dim =
        !matches!(format.framing(), Some((Framing::Vecs, _))) && format != Format::Jsonl && !format.is_parquet();
    if shape.count == 0 && !keeps_dim {
        let what = format!("found 0 vectors; .{} has no place for their dim without one", format.ending());
        return Err(Failure::argument(format!("{}: {what}; .npy and .csv have", path.display())));
    }
    Ok(match format {
        #[cfg(feature = "parquet")]
        Format::Parquet => Box::new(columns::ColumnsSink::create(path, shape)?),
        Format::Npz => Box::new(archive::ArchiveSink::create(path, shape)?),
        Format::Csv => Box::new(separated::SeparatedSink::create(path, shape)?),
        Format::Jsonl => Box::new(objects::ObjectsSink::create(path, shape)?),
        _ => Box::new(flat::FlatSink::create(path, format, element, shape)?),
    })
}
