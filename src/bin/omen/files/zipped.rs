//! The arrays of a .npz file, found through the directory of the zip file.

use super::flat::Flat;
use super::format::Format;
use super::input::{Forward, Input, read_failed};
use super::layout::RowLayout;
use super::read_options::{Column, ReadOptions};
use crate::failure::{Failure, Outcome};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use zip::{CompressionMethod, ZipArchive};

/// The ending of an array's name in the directory.
pub const ENDING: &str = ".npy";

/// A file in the zip file.
struct Entry {
    name: String,
    method: CompressionMethod,
    is_encrypted: bool,
    /// Offset of the stored bytes in the zip file.
    start: u64,
    stored: u64,
    bytes: u64,
    crc: u32,
}

/// A zip file of arrays.
pub struct Zipped {
    pub name: String,
    file: File,
    entries: Vec<Entry>,
}

impl Zipped {
    pub fn open(input: Input) -> Outcome<Zipped> {
        let name = input.name.clone();
        let (file, length) = input.into_file(".npz")?;
        let entries = entries(&name, &file, length)?;
        Ok(Zipped { name, file, entries })
    }

    pub fn columns(&self) -> Vec<Column> {
        let describe = |entry: &Entry| Column { name: entry.name.clone(), kind: "array".to_owned(), is_vector: true };
        self.entries.iter().map(describe).collect()
    }

    /// Opens an array.
    pub fn array(&self, number: usize) -> Outcome<Flat> {
        open_entry(&self.name, &self.file, &self.entries[number])
    }

    /// The array of ids that `reading` names, or the only array.
    pub fn integers(&self, reading: &ReadOptions) -> Outcome<Flat> {
        let named = self.entries.iter().position(|entry| entry.name == reading.id_name());
        if let Some(number) = named.or((self.entries.len() == 1).then_some(0)) {
            return self.array(number);
        }
        let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
        let (name, found, expected) = (&self.name, names.join(", "), reading.id_name());
        Err(Failure::argument(format!("{name}: found the arrays {found}; expected one, or the array {expected}")))
    }
}

/// The files of a zip file, from its directory.
fn entries(name: &str, file: &File, length: u64) -> Outcome<Vec<Entry>> {
    let damaged = |error: zip::result::ZipError| Failure::file(name, format!("found no .npz archive: {error}"));
    let file = file.try_clone().map_err(read_failed(name))?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(damaged)?;
    let mut entries = Vec::new();
    for number in 0..archive.len() {
        let entry = archive.by_index_raw(number).map_err(damaged)?;
        let (array, start) = (entry.name().map_err(damaged)?.into_owned(), entry.data_start().unwrap_or(0));
        let stored = entry.compressed_size();
        if start.checked_add(stored).is_none_or(|end| end > length) {
            let what = format!("found {array} at byte {start} with {stored} bytes, expected its end before {length}");
            return Err(Failure::file(name, what));
        }
        entries.push(Entry {
            name: array.strip_suffix(ENDING).unwrap_or(&array).to_owned(),
            method: entry.compression(),
            is_encrypted: entry.encrypted(),
            start,
            stored,
            bytes: entry.size(),
            crc: entry.crc32(),
        });
    }
    Ok(entries)
}

/// Opens an array. Its header is compared with the size that the directory gives.
fn open_entry(file_name: &str, file: &File, entry: &Entry) -> Outcome<Flat> {
    let name = format!("{file_name}: array {}", entry.name);
    let clone = || file.try_clone().map_err(read_failed(&name));
    let stored = StoredBytes { file: clone()?, at: entry.start, end: entry.start + entry.stored };
    let bytes: Box<dyn Read> = match entry.method {
        CompressionMethod::Stored if !entry.is_encrypted => Box::new(stored),
        CompressionMethod::Deflated if !entry.is_encrypted => Box::new(flate2::read::DeflateDecoder::new(stored)),
        method => {
            let what = if entry.is_encrypted { "encryption".to_owned() } else { format!("compression {method:?}") };
            return Err(Failure::unsupported(&name, format!("found {what}, expected numpy.savez or savez_compressed")));
        }
    };
    let mut bytes = Checked { inner: bytes, hasher: crc32fast::Hasher::new(), expected: entry.crc };
    let (layout, _) = RowLayout::read(&name, &mut bytes, Format::Npy, Some(entry.bytes))?;
    if layout.is_fortran && entry.method == CompressionMethod::Stored {
        return Flat::in_file(name.clone(), clone()?, layout, entry.start);
    }
    Flat::in_order(name, Box::new(Forward(bytes)), layout)
}

/// A part of a file, read by offsets, so that several can be read in turns.
struct StoredBytes {
    file: File,
    at: u64,
    end: u64,
}

impl Read for StoredBytes {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = (self.end - self.at).min(bytes.len() as u64) as usize;
        let read = self.file.read_at(&mut bytes[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Compares the checksum at the end.
struct Checked {
    inner: Box<dyn Read>,
    hasher: crc32fast::Hasher,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        let found = if read == 0 && !bytes.is_empty() { self.hasher.clone().finalize() } else { self.expected };
        if found != self.expected {
            let what = format!("found the checksum {found:08x}, expected {:08x}", self.expected);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(read)
    }
}
