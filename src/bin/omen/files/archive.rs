//! Vectors as .npz: the arrays `vector` and `id` of NumPy in a zip file.

use super::flat::Flat;
use super::format::Element;
use super::input::Input;
use super::integers::Integers;
use super::npy;
use super::read_options::ReadOptions;
use super::stream::{FileShape, Sink, Source};
use super::whole::Whole;
use super::zipped::{ENDING, Zipped};
use crate::failure::{Failure, Outcome};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The vectors and the ids of a zip file.
pub struct Archive {
    name: String,
    vectors: Flat,
    ids: Option<Integers>,
    ignored: Vec<String>,
    /// The ids of the vectors that were read last.
    last: Vec<u64>,
}

impl Archive {
    pub fn open(input: Input, reading: &ReadOptions, with_ids: bool) -> Outcome<Archive> {
        let zipped = Zipped::open(input)?;
        let chosen = reading.choose(&zipped.name, &zipped.columns(), with_ids)?;
        let vectors = zipped.array(chosen.vector)?;
        let ids = chosen.id.map(|id| Integers::of_flat(zipped.array(id)?)).transpose()?;
        if let Some(ids) = &ids
            && (ids.rows() != Some(vectors.count()) || ids.columns() != 1)
        {
            let (rows, columns) = (ids.rows().unwrap_or(0), ids.columns());
            let what = format!("found {rows} rows of {columns} ids, expected {} rows of 1", vectors.count());
            return Err(Failure::file(ids.name(), what));
        }
        Ok(Archive { name: zipped.name, vectors, ids, ignored: chosen.ignored, last: Vec::new() })
    }
}

impl Source for Archive {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.vectors.dim()
    }

    fn count(&self) -> u64 {
        self.vectors.count()
    }

    fn is_counted(&self) -> bool {
        true
    }

    fn set_count(&mut self, _count: u64) {}

    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize> {
        let first = self.vectors.next_row();
        let rows = self.vectors.read(rows, vectors)?;
        if let Some(ids) = &mut self.ids {
            self.last = ids.read_ids(rows, first)?;
        }
        Ok(rows)
    }

    fn skip(&mut self, rows: u64) -> Outcome<()> {
        self.vectors.skip(rows)?;
        self.ids.as_mut().map_or(Ok(()), |ids| ids.skip(rows))
    }

    fn place(&self, row: u64, column: usize) -> String {
        self.vectors.place(row, column)
    }

    fn ids(&self) -> Option<&[u64]> {
        self.ids.as_ref().map(|_| self.last.as_slice())
    }

    fn ignored(&self) -> Vec<String> {
        self.ignored.clone()
    }
}

/// A writer of the arrays `vector` and `id`. The ids are in memory until the end: 8 bytes for each.
pub struct ArchiveSink {
    zip: ZipWriter<File>,
    whole: Whole,
    name: String,
    ids: Vec<u64>,
}

impl ArchiveSink {
    pub fn create(path: &Path, shape: FileShape) -> Outcome<ArchiveSink> {
        let whole = Whole::create(path)?;
        let zip = ZipWriter::new(whole.handle()?);
        let mut sink = ArchiveSink { zip, whole, name: path.display().to_string(), ids: Vec::new() };
        sink.start("vector", Element::F32, &[shape.count, shape.dim as u64])?;
        Ok(sink)
    }

    /// Starts an array.
    fn start(&mut self, array: &str, element: Element, shape: &[u64]) -> Outcome<()> {
        let header = npy::header(element, shape);
        let bytes = shape.iter().product::<u64>() * element.bytes() as u64 + header.len() as u64;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(u32::try_from(bytes).is_err());
        let started = self.zip.start_file(format!("{array}{ENDING}"), options);
        started.map_err(|error| self.failed(error.into()))?;
        self.write_all(&header)
    }

    fn write_all(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.zip.write_all(bytes).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Failure {
        Failure::io("write", Path::new(&self.name))(error)
    }
}

impl Sink for ArchiveSink {
    fn write(&mut self, ids: &[u64], vectors: &[f32]) -> Outcome<()> {
        self.ids.extend(ids);
        let bytes: Vec<u8> = vectors.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.write_all(&bytes)
    }

    fn finish(mut self: Box<Self>) -> Outcome<()> {
        let ids = std::mem::take(&mut self.ids);
        self.start("id", Element::U64, &[ids.len() as u64])?;
        for part in ids.chunks(1 << 16) {
            let bytes: Vec<u8> = part.iter().flat_map(|id| id.to_le_bytes()).collect();
            self.write_all(&bytes)?;
        }
        let ArchiveSink { zip, whole, name, .. } = *self;
        zip.finish().map_err(|error| Failure::io("write", Path::new(&name))(error.into()))?;
        whole.finish()
    }
}
