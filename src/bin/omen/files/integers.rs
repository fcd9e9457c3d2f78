//! Files of integers: ids of vectors, and the true neighbours of queries.

use super::flat::Flat;
use super::format::{Element, Format};
use super::input::Origin;
use super::layout::RowLayout;
use super::numbers::id_of;
use super::read_options::ReadOptions;
use super::standard::is_standard;
use super::stream::Source;
use super::table::Table;
use super::whole::Whole;
use super::zipped::Zipped;
use crate::failure::{Failure, Outcome};
use omen::format::NO_ID;
use std::path::Path;

/// IntegerRows that are read at once where all are read.
const ROWS: usize = 1 << 16;

/// A file of integers that is read row by row.
pub struct Integers {
    rows: IntegerRows,
    name: String,
    columns: usize,
}

enum IntegerRows {
    Flat(Flat),
    /// The lines of a table from this column on.
    Lines(Table, usize),
    /// A file without lines.
    None,
}

impl Integers {
    /// Opens a file. `-` is stdin, one id on each line.
    pub fn open(origin: &Origin) -> Outcome<Integers> {
        let path = origin.path();
        let format = if is_standard(path) { Format::Csv } else { Format::of(path, None)? };
        let (input, reading) = (origin.open()?, ReadOptions::default());
        match format {
            Format::Csv => Integers::of_lines(input.name.clone(), Table::open(input, &reading)?, &reading),
            Format::Npz => Integers::of_flat(Zipped::open(input)?.integers(&reading)?),
            Format::Npy | Format::Ivecs | Format::Ibin => Integers::of_flat(Flat::open(input, format)?),
            other => {
                let found = other.ending();
                Err(Failure::argument(format!(
                    "{}: found .{found}, expected a file of ids: .npy, .npz, .csv, .ivecs or .ibin",
                    input.name
                )))
            }
        }
    }

    pub fn of_flat(flat: Flat) -> Outcome<Integers> {
        let (element, columns, name) = (flat.layout.element, flat.layout.dim, flat.name().to_owned());
        if !element.is_integer() {
            return Err(Failure::unsupported(&name, format!("found rows of {element:?}, expected ids of integers")));
        }
        Ok(Integers { rows: IntegerRows::Flat(flat), name, columns })
    }

    /// The column of ids if the table names one, else all columns.
    fn of_lines(name: String, table: Option<Table>, reading: &ReadOptions) -> Outcome<Integers> {
        let Some(table) = table else { return Ok(Integers { rows: IntegerRows::None, name, columns: 1 }) };
        let (first, columns) = match table.position(reading.id_name()) {
            Some(column) => (column, 1),
            None => (0, table.columns),
        };
        Ok(Integers { rows: IntegerRows::Lines(table, first), name, columns })
    }

    /// Integers in each row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// `None` if only the end of the file tells.
    pub fn rows(&self) -> Option<u64> {
        match &self.rows {
            IntegerRows::Flat(flat) => flat.layout.count,
            IntegerRows::Lines(..) => None,
            IntegerRows::None => Some(0),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The integers of the next rows, at most `rows`; none at the end.
    fn read(&mut self, rows: usize) -> Outcome<Vec<i128>> {
        let mut numbers = Vec::new();
        match &mut self.rows {
            IntegerRows::None => {}
            IntegerRows::Flat(flat) => {
                let RowLayout { element, prefix, .. } = flat.layout;
                let stride = flat.layout.stride();
                let (bytes, _) = flat.read_bytes(rows)?;
                for row in bytes.chunks_exact(stride) {
                    numbers.extend(row[prefix..].chunks_exact(element.bytes()).map(|bytes| integer_of(element, bytes)));
                }
            }
            IntegerRows::Lines(table, first) => {
                while numbers.len() < rows * self.columns && table.next()? {
                    for column in *first..*first + self.columns {
                        numbers.push(table.integer(column)?);
                    }
                }
            }
        }
        Ok(numbers)
    }

    /// The ids of the next rows, at most `rows`, of a file with one column. `first` is the number of the next row.
    pub fn read_ids(&mut self, rows: usize, first: u64) -> Outcome<Vec<u64>> {
        let numbers = self.read(rows)?;
        let check = |(at, number): (usize, i128)| {
            let row = first + at as u64;
            id_of(number).map_err(|what| Failure::file(&self.name, format!("row {row}: found {number}, {what}")))
        };
        numbers.into_iter().enumerate().map(check).collect()
    }

    /// All ids of a file with one column.
    pub fn read_all(mut self) -> Outcome<Vec<u64>> {
        if self.columns != 1 {
            let (name, columns) = (&self.name, self.columns);
            return Err(Failure::file(name, format!("found rows of {columns} ids, expected 1")));
        }
        let mut ids = Vec::new();
        loop {
            let some = self.read_ids(ROWS, ids.len() as u64)?;
            if some.is_empty() {
                return Ok(ids);
            }
            ids.extend(some);
        }
    }

    /// The neighbours in the next rows, at most `rows`. Negative ones mean "no neighbour" and become `NO_ID`.
    pub fn read_neighbours(&mut self, rows: usize) -> Outcome<Vec<u64>> {
        let numbers = self.read(rows)?;
        Ok(numbers.into_iter().map(|number| u64::try_from(number).unwrap_or(NO_ID)).collect())
    }

    /// Skips the next rows.
    pub fn skip(&mut self, rows: u64) -> Outcome<()> {
        match &mut self.rows {
            IntegerRows::Flat(flat) => flat.skip(rows),
            IntegerRows::Lines(table, _) => (0..rows).try_for_each(|_| table.next().map(drop)),
            IntegerRows::None => Ok(()),
        }
    }
}

/// A little-endian integer.
fn integer_of(element: Element, bytes: &[u8]) -> i128 {
    let is_negative = element.is_signed() && bytes.last().is_some_and(|byte| byte >> 7 == 1);
    let mut word = [if is_negative { 0xff } else { 0 }; 16];
    word[..bytes.len()].copy_from_slice(bytes);
    i128::from_le_bytes(word)
}

/// A file of ids that is written row by row, and appears under its name when it is complete. `-` is stdout, .csv.
pub struct IntegersSink {
    whole: Whole,
    name: String,
    format: Format,
    layout: RowLayout,
}

impl IntegersSink {
    /// Creates a file of `count` rows of `columns` ids.
    pub fn create(path: &Path, count: u64, columns: usize) -> Outcome<IntegersSink> {
        let format = if is_standard(path) { Format::Csv } else { Format::of(path, None)? };
        let name = path.display().to_string();
        if !matches!(format, Format::Npy | Format::Csv | Format::Ivecs | Format::Ibin) {
            return Err(Failure::argument(format!(
                "{name}: found another format, expected one that holds ids: .npy, .csv, .ivecs or .ibin"
            )));
        }
        let (framing, element) = match format.framing() {
            Some((framing, element)) => (Some(framing), element),
            None => (None, Element::U64),
        };
        let layout = RowLayout::new(framing, element, count, columns);
        let mut whole = Whole::create(path)?;
        if format != Format::Csv {
            whole.write(&layout.header(framing))?;
        }
        Ok(IntegersSink { whole, name, format, layout })
    }

    /// Appends rows.
    pub fn write(&mut self, ids: &[u64]) -> Outcome<()> {
        let mut bytes = Vec::with_capacity(ids.len() * self.layout.stride());
        for row in ids.chunks_exact(self.layout.dim) {
            if self.format == Format::Csv {
                push_line(row, &mut bytes);
                continue;
            }
            push_row(row, &self.layout, &mut bytes).map_err(|id| {
                let name = &self.name;
                Failure::argument(format!("{name}: id {id} is above 2^31 - 1; use .npy or .csv, which hold every id"))
            })?;
        }
        self.whole.write(&bytes)
    }

    pub fn finish(self) -> Outcome<()> {
        self.whole.finish()
    }
}

/// What means "no neighbour", as in the files of other programs.
const NONE: i32 = -1;

/// Appends a row as text.
fn push_line(row: &[u64], bytes: &mut Vec<u8>) {
    let ids: Vec<String> = row.iter().map(|id| if *id == NO_ID { NONE.to_string() } else { id.to_string() }).collect();
    bytes.extend(ids.join(",").as_bytes());
    bytes.push(b'\n');
}

/// Appends the stored form of a row. The error is the first id that does not fit.
fn push_row(row: &[u64], layout: &RowLayout, bytes: &mut Vec<u8>) -> Result<(), u64> {
    if layout.prefix > 0 {
        bytes.extend((layout.dim as u32).to_le_bytes());
    }
    for id in row {
        match layout.element {
            Element::U64 => bytes.extend(id.to_le_bytes()),
            _ if *id == NO_ID => bytes.extend(NONE.to_le_bytes()),
            _ => bytes.extend(i32::try_from(*id).map_err(|_| *id)?.to_le_bytes()),
        }
    }
    Ok(())
}
