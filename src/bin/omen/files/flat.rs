//! Files whose rows all have the same length: .npy, .fvecs, .bvecs, .fbin, .u8bin, .i8bin, and arrays inside .npz.

use super::format::{Element, Format, Framing};
use super::input::{Bytes, Forward, Input, Stream, fill, read_failed};
use super::layout::RowLayout;
use super::stream::{FileShape, Sink, Source};
use super::transposed::Transposed;
use super::whole::Whole;
use crate::failure::{Failure, Outcome};
use half::f16;
use half::slice::HalfFloatSliceExt;
use omen::kernels;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// A file that is read row by row.
pub struct Flat {
    stream: Box<dyn Stream>,
    name: String,
    pub(super) layout: RowLayout,
    /// The next row.
    next: u64,
    bytes: Vec<u8>,
}

impl Flat {
    pub fn open(input: Input, format: Format) -> Outcome<Flat> {
        let Input { name, bytes } = input;
        match bytes {
            Bytes::Pipe(mut pipe) => {
                let (layout, ahead) = RowLayout::read(&name, &mut pipe, format, None)?;
                let stream = Box::new(Forward(Cursor::new(ahead).chain(pipe)));
                Flat::in_order(name, stream, layout)
            }
            Bytes::File(mut file, length) => {
                let (layout, _) = RowLayout::read(&name, &mut file, format, Some(length))?;
                Flat::in_file(name, file, layout, 0)
            }
        }
    }

    /// The rows of `stream`, which is at the first of them.
    pub fn in_order(name: String, stream: Box<dyn Stream>, layout: RowLayout) -> Outcome<Flat> {
        if layout.is_fortran {
            let what = "found fortran_order True, which is read from files that are neither compressed nor pipes; \
                numpy.ascontiguousarray changes the order";
            return Err(Failure::unsupported(&name, what));
        }
        Ok(Flat { stream, name, layout, next: 0, bytes: Vec::new() })
    }

    /// The rows of an array that starts at byte `base` of `file`.
    pub fn in_file(name: String, mut file: File, layout: RowLayout, base: u64) -> Outcome<Flat> {
        let start = base + layout.start;
        file.seek(SeekFrom::Start(start)).map_err(read_failed(&name))?;
        let stream: Box<dyn Stream> = if layout.is_fortran {
            Box::new(Transposed::new(file, RowLayout { start, ..layout }))
        } else {
            Box::new(file)
        };
        Ok(Flat { stream, name, layout, next: 0, bytes: Vec::new() })
    }

    /// The number of the next row.
    pub fn next_row(&self) -> u64 {
        self.next
    }

    /// Fails if the file is of a format for ids.
    pub fn of_vectors(input: Input, format: Format) -> Outcome<Flat> {
        if format.framing().is_some_and(|(_, element)| element == Element::I32) {
            let ending = format.ending();
            let what = format!("found .{ending}, which holds ids, expected a file of vectors");
            return Err(Failure::unsupported(&input.name, what));
        }
        Flat::open(input, format)
    }

    /// The bytes of the next rows, at most `rows`, and the number of rows. They include the prefixes, which were
    /// checked; multi-byte components are little-endian.
    pub fn read_bytes(&mut self, rows: usize) -> Outcome<(&[u8], usize)> {
        let left = self.layout.count.map_or(u64::MAX, |count| count - self.next);
        let wanted = left.min(rows as u64) as usize;
        let stride = self.layout.stride();
        self.bytes.resize(wanted * stride, 0);
        let read = fill(&mut self.stream, &mut self.bytes).map_err(read_failed(&self.name))?;
        let is_short = read < self.bytes.len();
        if !read.is_multiple_of(stride) || (is_short && self.layout.count.is_some()) {
            return Err(self.ended(read));
        }
        self.bytes.truncate(read);
        if self.layout.prefix > 0 {
            self.check_dims()?;
        }
        if self.layout.is_big_endian {
            let width = self.layout.element.bytes();
            self.bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        self.next += (read / stride) as u64;
        if wanted as u64 == left {
            self.check_end()?;
        }
        Ok((&self.bytes, read / stride))
    }

    /// The failure for an end after `read` bytes of the next rows.
    fn ended(&self, read: usize) -> Failure {
        let (stride, start) = (self.layout.stride(), self.layout.start);
        let at = start + self.next * stride as u64 + read as u64;
        let rows = self.layout.count.map_or("whole rows".to_owned(), |count| format!("{count} rows"));
        Failure::file(&self.name, format!("found the end after {at} bytes, expected {rows} of {stride} bytes"))
    }

    /// Checks that nothing follows the last row.
    fn check_end(&mut self) -> Outcome<()> {
        let read = fill(&mut self.stream, &mut [0]).map_err(read_failed(&self.name))?;
        if read == 0 {
            return Ok(());
        }
        let (rows, end) = (self.next, self.layout.start + self.next * self.layout.stride() as u64);
        Err(Failure::file(&self.name, format!("found more than {end} bytes, expected the end after {rows} rows")))
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
        self.layout.count.unwrap_or(self.next)
    }

    fn is_counted(&self) -> bool {
        self.layout.count.is_some()
    }

    fn set_count(&mut self, count: u64) {
        self.layout.count = Some(count);
    }

    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize> {
        let RowLayout { dim, element, prefix, .. } = self.layout;
        let (stride, first) = (self.layout.stride(), self.next);
        let (bytes, rows) = self.read_bytes(rows)?;
        vectors.resize(rows * dim, 0.0);
        let mut overflow = None;
        for (number, (row, out)) in bytes.chunks_exact(stride).zip(vectors.chunks_exact_mut(dim)).enumerate() {
            if let Some((column, value)) = to_floats(element, &row[prefix..], out) {
                overflow = Some((number, column, value));
                break;
            }
        }
        match overflow {
            None => Ok(rows),
            Some((number, column, value)) => {
                let place = self.place(first + number as u64, column);
                Err(Failure::overflow(&self.name, &place, &format!("{value:e}")))
            }
        }
    }

    fn skip(&mut self, rows: u64) -> Outcome<()> {
        let rows = rows.min(self.layout.count.map_or(u64::MAX, |count| count - self.next));
        self.next += rows;
        self.stream.skip(rows * self.layout.stride() as u64).map_err(read_failed(&self.name))
    }

    fn place(&self, row: u64, column: usize) -> String {
        format!("byte {}, vector {row}, component {column}", self.layout.offset(row, column))
    }
}

/// Converts little-endian components to floats. Returns the index and value of a double that no float holds.
fn to_floats(element: Element, bytes: &[u8], out: &mut [f32]) -> Option<(usize, f64)> {
    /// Converts each component of `N` bytes.
    fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
        out.iter_mut().zip(bytes.as_chunks().0).for_each(|(value, bytes)| *value = convert(*bytes));
    }
    match element {
        Element::F64 => {
            each(bytes, out, |bytes| f64::from_le_bytes(bytes) as f32);
            let mut rows =
                out.iter().zip(bytes.as_chunks().0).map(|(float, double)| (float, f64::from_le_bytes(*double)));
            let column = rows.position(|(float, double)| float.is_infinite() && double.is_finite())?;
            return Some((column, f64::from_le_bytes(bytes.as_chunks().0[column])));
        }
        Element::F32 => kernels::floats(bytes, out),
        Element::F16 => each(bytes, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Element::U8 => each(bytes, out, |[byte]| f32::from(byte)),
        Element::I8 => each(bytes, out, |[byte]| f32::from(byte.cast_signed())),
        Element::U16 => each(bytes, out, |bytes| f32::from(u16::from_le_bytes(bytes))),
        Element::I16 => each(bytes, out, |bytes| f32::from(i16::from_le_bytes(bytes))),
        Element::U32 => each(bytes, out, |bytes| u32::from_le_bytes(bytes) as f32),
        Element::I32 => each(bytes, out, |bytes| i32::from_le_bytes(bytes) as f32),
        Element::U64 => each(bytes, out, |bytes| u64::from_le_bytes(bytes) as f32),
        Element::I64 => each(bytes, out, |bytes| i64::from_le_bytes(bytes) as f32),
    }
    None
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
        let layout = RowLayout::new(framing, element, shape.count, shape.dim);
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

    fn is_closed(&self) -> bool {
        self.whole.is_closed()
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
