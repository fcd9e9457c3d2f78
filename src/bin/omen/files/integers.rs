//! Files of ids: the ids of vectors to import, and the true neighbours of queries.

use super::flat::Flat;
use super::format::{Element, Format, Framing};
use super::layout::RowLayout;
use super::stream::Source;
use super::whole::Whole;
use crate::failure::{Failure, Outcome};
use std::path::Path;

/// A file of ids that is read row by row.
pub struct Integers {
    flat: Flat,
}

impl Integers {
    pub fn open(path: &Path) -> Outcome<Integers> {
        let flat = Flat::open(path, Format::of(path, None)?)?;
        let element = flat.layout.element;
        if !matches!(element, Element::I32 | Element::U32 | Element::I64 | Element::U64) {
            let what = format!("found rows of {element:?}, expected ids of I32, U32, I64 or U64");
            return Err(Failure::file(flat.name(), what));
        }
        Ok(Integers { flat })
    }

    /// Ids in each row.
    pub fn columns(&self) -> usize {
        self.flat.layout.dim
    }

    pub fn rows(&self) -> u64 {
        self.flat.layout.count
    }

    pub fn name(&self) -> &str {
        self.flat.name()
    }

    /// The ids of the next rows, at most `rows`.
    pub fn read(&mut self, rows: usize) -> Outcome<Vec<u64>> {
        let RowLayout { element, prefix, .. } = self.flat.layout;
        let stride = self.flat.layout.stride();
        let (bytes, _) = self.flat.read_bytes(rows)?;
        let mut ids = Vec::with_capacity(bytes.len() / element.bytes());
        for row in bytes.chunks_exact(stride) {
            ids.extend(row[prefix..].chunks_exact(element.bytes()).map(|bytes| id_of(element, bytes)));
        }
        Ok(ids)
    }
}

/// An integer as an id. Negative ones mean "no neighbour" and become u64::MAX, which no vector has.
fn id_of(element: Element, bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let number = u64::from_le_bytes(word);
    let is_negative = match element {
        Element::I32 => number >> 31 == 1,
        Element::I64 => number >> 63 == 1,
        _ => false,
    };
    if is_negative { u64::MAX } else { number }
}

/// A file of ids that is written row by row, and appears under its name when it is complete.
pub struct IntegersSink {
    whole: Whole,
    name: String,
    layout: RowLayout,
}

impl IntegersSink {
    /// Creates a file of `count` rows of `columns` ids.
    pub fn create(path: &Path, count: u64, columns: usize) -> Outcome<IntegersSink> {
        let format = Format::of(path, None)?;
        let (framing, element) = match format.framing() {
            Some((framing, element)) => (Some(framing), element),
            None => (None, Element::U64),
        };
        let name = path.display().to_string();
        if format.is_parquet() || !matches!(element, Element::U64 | Element::I32) {
            return Err(Failure::argument(format!(
                "{name}: found another format, expected one that holds ids: .npy, .ivecs or .ibin"
            )));
        }
        let prefix = if framing == Some(Framing::Vecs) { 4 } else { 0 };
        let layout = RowLayout { element, dim: columns, count, start: 0, prefix };
        let mut whole = Whole::create(path)?;
        whole.write(&layout.header(framing))?;
        Ok(IntegersSink { whole, name, layout })
    }

    /// Appends rows.
    pub fn write(&mut self, ids: &[u64]) -> Outcome<()> {
        let mut bytes = Vec::with_capacity(ids.len() * self.layout.stride());
        for row in ids.chunks_exact(self.layout.dim) {
            push_row(row, &self.layout, &mut bytes).map_err(|id| {
                let name = &self.name;
                Failure::argument(format!("{name}: id {id} is above 2^31 - 1; use .npy, which holds every id"))
            })?;
        }
        self.whole.write(&bytes)
    }

    pub fn finish(self) -> Outcome<()> {
        self.whole.finish()
    }
}

/// Appends the stored form of a row. The error is the first id that does not fit.
fn push_row(row: &[u64], layout: &RowLayout, bytes: &mut Vec<u8>) -> Result<(), u64> {
    if layout.prefix > 0 {
        bytes.extend((layout.dim as u32).to_le_bytes());
    }
    for id in row {
        match layout.element {
            Element::U64 => bytes.extend(id.to_le_bytes()),
            // -1 means "no neighbour", as in the files of other programs.
            _ if *id == u64::MAX => bytes.extend((-1i32).to_le_bytes()),
            _ => bytes.extend(i32::try_from(*id).map_err(|_| *id)?.to_le_bytes()),
        }
    }
    Ok(())
}
