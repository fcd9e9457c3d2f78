//! Files whose rows all have the same length: .npy, .fvecs, .bvecs, .fbin, .u8bin, .i8bin.

use super::format::{Element, Format, Framing};
use super::layout::RowLayout;
use super::stream::{FileShape, Sink, Source};
use super::whole::Whole;
use crate::failure::{Failure, Outcome};
use half::f16;
use half::slice::HalfFloatSliceExt;
use omen::kernels;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file that is read row by row.
pub struct Flat {
    file: File,
    path: PathBuf,
    name: String,
    pub(super) layout: RowLayout,
    /// The next row.
    next: u64,
    bytes: Vec<u8>,
}

impl Flat {
    pub fn open(path: &Path, format: Format) -> Outcome<Flat> {
        let mut file = File::open(path).map_err(Failure::io("open", path))?;
        if !file.metadata().map_err(Failure::io("stat", path))?.is_file() {
            return Err(Failure::argument(format!("{}: not a regular file", path.display())));
        }
        let layout = RowLayout::read(&mut file, path, format)?;
        Ok(Flat { file, path: path.to_owned(), name: path.display().to_string(), layout, next: 0, bytes: Vec::new() })
    }

    /// Opens a file of vectors. A file of ids is an error.
    pub fn of_vectors(path: &Path, format: Format) -> Outcome<Flat> {
        let flat = Flat::open(path, format)?;
        let element = flat.layout.element;
        if !element.is_of_vectors() {
            let what = format!("found rows of {element:?}, expected vectors of F32, F16, U8 or I8");
            return Err(Failure::file(&flat.name, what));
        }
        Ok(flat)
    }

    /// The bytes of the next rows, at most `rows`, and the number of rows. They include the prefixes, which were
    /// checked.
    pub fn read_bytes(&mut self, rows: usize) -> Outcome<(&[u8], usize)> {
        let rows = (self.layout.count - self.next).min(rows as u64) as usize;
        self.bytes.resize(rows * self.layout.stride(), 0);
        self.file.read_exact(&mut self.bytes).map_err(Failure::io("read", &self.path))?;
        if self.layout.prefix > 0 {
            self.check_dims()?;
        }
        self.next += rows as u64;
        Ok((&self.bytes, rows))
    }

    /// Checks that each row has the dim of the first.
    fn check_dims(&self) -> Outcome<()> {
        let expected = (self.layout.dim as u32).to_le_bytes();
        let rows = self.bytes.chunks_exact(self.layout.stride());
        match rows.enumerate().find(|(_, row)| row[..4] != expected) {
            None => Ok(()),
            Some((at, row)) => {
                let number = self.next + at as u64;
                let offset = self.layout.offset(number, 0) - 4;
                let found = i32::from_le_bytes([row[0], row[1], row[2], row[3]]);
                let what = format!("byte {offset}, row {number}: found a dim of {found}, expected {}", self.layout.dim);
                Err(Failure::file(&self.name, what))
            }
        }
    }
}

impl Source for Flat {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.layout.dim
    }

    fn count(&self) -> u64 {
        self.layout.count
    }

    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize> {
        let RowLayout { dim, element, prefix, .. } = self.layout;
        let stride = self.layout.stride();
        let (bytes, rows) = self.read_bytes(rows)?;
        vectors.resize(rows * dim, 0.0);
        for (row, out) in bytes.chunks_exact(stride).zip(vectors.chunks_exact_mut(dim)) {
            to_floats(element, &row[prefix..], out);
        }
        Ok(rows)
    }

    fn skip(&mut self, rows: u64) -> Outcome<()> {
        self.next += rows.min(self.layout.count - self.next);
        let start = self.layout.start + self.next * self.layout.stride() as u64;
        self.file.seek(SeekFrom::Start(start)).map(drop).map_err(Failure::io("seek", &self.path))
    }

    fn place(&self, row: u64, column: usize) -> String {
        format!("byte {}, vector {row}, component {column}", self.layout.offset(row, column))
    }
}

/// Converts components to floats; `element` must be one of vectors.
fn to_floats(element: Element, bytes: &[u8], out: &mut [f32]) {
    match element {
        Element::F16 => {
            for (value, half) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *value = f16::from_le_bytes(*half).to_f32();
            }
        }
        Element::U8 => out.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(*byte)),
        Element::I8 => out.iter_mut().zip(bytes).for_each(|(value, byte)| *value = f32::from(byte.cast_signed())),
        _ => kernels::floats(bytes, out),
    }
}

/// A file that is written row by row, and appears under its name when it is complete.
pub struct FlatSink {
    whole: Whole,
    layout: RowLayout,
    /// What a component must be, for messages.
    expected: &'static str,
    bytes: Vec<u8>,
}

impl FlatSink {
    pub fn create(path: &Path, format: Format, element: Element, shape: FileShape) -> Outcome<FlatSink> {
        let framing = format.framing().map(|(framing, _)| framing);
        if framing == Some(Framing::Bin) && u32::try_from(shape.count).is_err() {
            let count = shape.count;
            return Err(Failure::argument(format!(
                "{}: found {count} rows, expected at most 2^32 - 1",
                path.display()
            )));
        }
        let prefix = if framing == Some(Framing::Vecs) { 4 } else { 0 };
        let layout = RowLayout { element, dim: shape.dim, count: shape.count, start: 0, prefix };
        let mut whole = Whole::create(path)?;
        whole.write(&layout.header(framing))?;
        let expected = match element {
            Element::U8 => "a whole number from 0 to 255",
            Element::I8 => "a whole number from -128 to 127",
            _ => "a number within the range of f16",
        };
        Ok(FlatSink { whole, layout, expected, bytes: Vec::new() })
    }
}

impl Sink for FlatSink {
    fn write(&mut self, ids: &[u64], vectors: &[f32]) -> Outcome<()> {
        self.bytes.clear();
        for (id, row) in ids.iter().zip(vectors.chunks_exact(self.layout.dim)) {
            if self.layout.prefix > 0 {
                self.bytes.extend((self.layout.dim as u32).to_le_bytes());
            }
            if let Err(column) = push_row(self.layout.element, row, &mut self.bytes) {
                let (found, expected) = (row[column], self.expected);
                return Err(Failure::argument(format!(
                    "id {id}, component {column}: found {found}, expected {expected}"
                )));
            }
        }
        self.whole.write(&self.bytes)
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        self.whole.finish()
    }
}

/// Appends the stored form of a row. The error is the index of the first component that does not fit.
fn push_row(element: Element, row: &[f32], bytes: &mut Vec<u8>) -> Result<(), usize> {
    let unfit = |fits: fn(&f32) -> bool| row.iter().position(|value| !fits(value)).map_or(Ok(()), Err);
    match element {
        Element::U8 => {
            unfit(|value| f32::from(*value as u8) == *value)?;
            bytes.extend(row.iter().map(|value| *value as u8));
        }
        Element::I8 => {
            unfit(|value| f32::from(*value as i8) == *value)?;
            bytes.extend(row.iter().map(|value| (*value as i8).cast_unsigned()));
        }
        Element::F16 => {
            unfit(|value| f16::from_f32(*value).is_finite())?;
            let mut halves = vec![f16::ZERO; row.len()];
            halves.convert_from_f32_slice(row);
            bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        }
        _ => bytes.extend(row.iter().flat_map(|value| value.to_le_bytes())),
    }
    Ok(())
}
