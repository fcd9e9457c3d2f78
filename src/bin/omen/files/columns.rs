//! Parquet: a column of lists of numbers, and one of ids, without Arrow.

use super::input::Input;
use super::leaf::{Leaf, is_numeric, kind_of};
use super::numbers::id_of;
use super::read_options::{Column, ReadOptions};
use super::stream::{FileShape, Sink, Source};
use super::whole::Whole;
use crate::failure::{Failure, Outcome};
use omen::format::DIM_MAX;
use parquet::column::reader::ColumnReader;
use parquet::data_type::{FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;

const SCHEMA: &str = "message omen {
    required int64 id (INTEGER(64, false));
    required group vector (LIST) { repeated group list { required float element; } }
}";

/// The failure of a read. What the reader does not know is unsupported.
fn failed(name: &str) -> impl Fn(ParquetError) -> Failure {
    let name = name.to_owned();
    move |error| match error {
        ParquetError::NYI(what) => Failure::unsupported(&name, what),
        other => Failure::file(&name, other),
    }
}

/// Runs `read`. The reader of parquet panics at some damage, which is reported as damage.
fn guarded<T>(name: &str, read: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    panic::set_hook(hook);
    outcome.unwrap_or_else(|_| Err(Failure::file(name, "found damage at which the reader of parquet stopped")))
}

/// A file that is read one row group at a time.
pub struct Columns {
    file: SerializedFileReader<File>,
    name: String,
    vector: Leaf,
    id: Option<Leaf>,
    ignored: Vec<String>,
    /// The next row group.
    group: usize,
    /// Readers of the current row group: vectors and ids.
    readers: Option<(ColumnReader, Option<ColumnReader>)>,
    next: u64,
    dim: usize,
    count: u64,
    /// The ids of the vectors that were read last.
    ids: Vec<u64>,
}

impl Columns {
    pub fn open(input: Input, reading: &ReadOptions, with_ids: bool) -> Outcome<Columns> {
        let name = input.name.clone();
        guarded(&name, || Columns::open_unguarded(input, reading, with_ids))
    }

    fn open_unguarded(input: Input, reading: &ReadOptions, with_ids: bool) -> Outcome<Columns> {
        let name = input.name.clone();
        let (file, _) = input.into_file(".parquet")?;
        let file = SerializedFileReader::new(file).map_err(failed(&name))?;
        let metadata = file.metadata().file_metadata();
        let count = u64::try_from(metadata.num_rows()).unwrap_or(0);
        let (leaves, columns) = describe(metadata.schema_descr());
        let chosen = reading.choose(&name, &columns, with_ids)?;
        let leaf = |column: usize| Leaf::new(metadata.schema_descr().column(leaves[column]), leaves[column]);
        let (vector, id) = (leaf(chosen.vector), chosen.id.map(leaf));
        if let (Some(id), Some(at)) = (&id, chosen.id)
            && !id.is_integer()
        {
            let Column { name: column, kind, .. } = &columns[at];
            let what = format!(
                "row 0: column {column} is {kind}, expected whole numbers as ids; choose others with --id-column, --ids \
                 or --first-id"
            );
            return Err(Failure::unsupported(&name, what));
        }
        if count == 0 {
            return Err(Failure::unsupported(&name, "found 0 rows, and no dim without a row"));
        }
        let mut columns = Columns {
            file,
            name,
            vector,
            id,
            ignored: chosen.ignored,
            group: 0,
            readers: None,
            next: 0,
            dim: 0,
            count,
            ids: Vec::new(),
        };
        columns.dim = columns.first_dim()?;
        Ok(columns)
    }

    /// The dim of the first row. The next read starts with that row again.
    fn first_dim(&mut self) -> Outcome<usize> {
        let mut vectors = Vec::new();
        let (_, begins) = self.read_group(1, &mut vectors)?;
        (self.group, self.readers) = (0, None);
        if vectors.is_empty() || vectors.len() != begins.len() || vectors.len() > DIM_MAX as usize {
            let found = vectors.len();
            return Err(Failure::file(&self.name, format!("row 0: found {found} numbers, expected 1 to {DIM_MAX}")));
        }
        Ok(vectors.len())
    }

    /// The readers of the current row group; `None` after the last.
    fn readers(&mut self) -> Outcome<Option<&mut (ColumnReader, Option<ColumnReader>)>> {
        if self.readers.is_none() && self.group < self.file.num_row_groups() {
            let group = self.file.get_row_group(self.group).map_err(failed(&self.name))?;
            let open = |leaf: &Leaf| group.get_column_reader(leaf.number).map_err(failed(&self.name));
            self.readers = Some((open(&self.vector)?, self.id.as_ref().map(open).transpose()?));
            self.group += 1;
        }
        Ok(self.readers.as_mut())
    }

    /// Appends up to `rows` rows of one row group, and replaces `ids`. Returns how many, and the repetition levels: 0
    /// starts a row.
    fn read_group(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<(usize, Vec<i16>)> {
        let (name, vector, id) = (self.name.clone(), self.vector, self.id);
        self.ids.clear();
        while let Some((vector_reader, id_reader)) = self.readers()? {
            let mut begins = Vec::new();
            let read = vector.read_floats(vector_reader, rows, &mut begins, vectors).map_err(failed(&name))?;
            if read.records == 0 {
                self.readers = None;
                continue;
            }
            if let Some(at) = read.null {
                let row = self.next + begins[..=at].iter().filter(|level| **level == 0).count() as u64 - 1;
                return Err(Failure::file(
                    &name,
                    format!("row {row}: found a null or an empty list, expected numbers"),
                ));
            }
            if let Some((at, value)) = read.overflow {
                let row = self.next + begins[..=at].iter().filter(|level| **level == 0).count() as u64 - 1;
                let column = begins[..=at].iter().rev().take_while(|level| **level != 0).count();
                return Err(Failure::overflow(&name, &self.place(row, column), &format!("{value:e}")));
            }
            if let (Some(id), Some(reader)) = (id, id_reader) {
                let numbers = id.read_integers(reader, read.records).map_err(failed(&name))?;
                self.ids = self.checked_ids(&numbers, read.records)?;
            }
            return Ok((read.records, begins));
        }
        Ok((0, Vec::new()))
    }

    fn skip_rows(&mut self, rows: u64) -> Outcome<()> {
        let (name, vector, id) = (self.name.clone(), self.vector, self.id);
        let mut left = usize::try_from(rows).unwrap_or(usize::MAX);
        while left > 0 {
            let Some((vectors, ids)) = self.readers()? else { return Ok(()) };
            let skipped = vector.skip(vectors, left).map_err(failed(&name))?;
            if let (Some(id), Some(ids)) = (id, ids) {
                id.skip(ids, skipped).map_err(failed(&name))?;
            }
            if skipped == 0 {
                self.readers = None;
            }
            left -= skipped;
            self.next += skipped as u64;
        }
        Ok(())
    }

    /// The ids of the next rows.
    fn checked_ids(&self, numbers: &[Option<i128>], rows: usize) -> Outcome<Vec<u64>> {
        if numbers.len() != rows {
            let found = numbers.len();
            return Err(Failure::file(&self.name, format!("row {}: found {found} ids, expected {rows}", self.next)));
        }
        let check = |(at, number): (usize, &Option<i128>)| {
            let wrong = |what: String| {
                let row = self.next + at as u64;
                Failure::file(&self.name, format!("row {row}, column {}: {what}", self.id_name()))
            };
            let number = number.ok_or_else(|| wrong("found a null, expected an id".to_owned()))?;
            id_of(number).map_err(|what| wrong(format!("found {number}, {what}")))
        };
        numbers.iter().enumerate().map(check).collect()
    }

    fn id_name(&self) -> String {
        let schema = self.file.metadata().file_metadata().schema_descr();
        self.id.map_or(String::new(), |id| schema.column(id.number).path().string())
    }

    /// Checks that every row has the dim of the first.
    fn check_dims(&self, records: usize, begins: &[i16]) -> Outcome<()> {
        let starts: Vec<usize> = (0..begins.len()).filter(|at| begins[*at] == 0).chain([begins.len()]).collect();
        let wrong = starts.windows(2).enumerate().find(|(_, pair)| pair[1] - pair[0] != self.dim);
        match wrong {
            None => Ok(()),
            Some((at, pair)) => {
                let (row, found) = (self.next + at.min(records) as u64, pair[1] - pair[0]);
                let what = format!("row {row}: found {found} numbers, expected {}", self.dim);
                Err(Failure::file(&self.name, what))
            }
        }
    }
}

impl Source for Columns {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn is_counted(&self) -> bool {
        true
    }

    fn set_count(&mut self, _count: u64) {}

    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize> {
        vectors.clear();
        let (records, begins) = guarded(&self.name.clone(), || self.read_group(rows, vectors))?;
        self.check_dims(records, &begins)?;
        self.next += records as u64;
        if records == 0 && self.next != self.count {
            let (found, expected) = (self.next, self.count);
            return Err(Failure::file(&self.name, format!("found {found} rows, expected {expected}")));
        }
        Ok(records)
    }

    fn skip(&mut self, rows: u64) -> Outcome<()> {
        guarded(&self.name.clone(), || self.skip_rows(rows))
    }

    fn place(&self, row: u64, column: usize) -> String {
        format!("row {row}, component {column}")
    }

    fn row(&self, row: u64) -> String {
        format!("row {row}")
    }

    fn ids(&self) -> Option<&[u64]> {
        self.id.map(|_| self.ids.as_slice())
    }

    fn ignored(&self) -> Vec<String> {
        self.ignored.clone()
    }
}

/// The columns of a file and the leaf of each: of a list its elements, of a group its first member.
fn describe(schema: &SchemaDescriptor) -> (Vec<usize>, Vec<Column>) {
    let (mut leaves, mut columns) = (Vec::new(), Vec::<Column>::new());
    for number in 0..schema.num_columns() {
        let leaf = schema.column(number);
        let name = leaf.path().parts()[0].clone();
        if columns.last().is_some_and(|column| column.name == name) {
            // A second member: the column is no plain list.
            columns.iter_mut().rev().take(1).for_each(|column| column.is_vector = false);
            continue;
        }
        let list = if leaf.max_rep_level() > 0 { "list of " } else { "" };
        let kind = format!("{list}{}", kind_of(&leaf));
        let is_vector = leaf.max_rep_level() == 1 && is_numeric(&leaf);
        leaves.push(number);
        columns.push(Column { name, kind, is_vector });
    }
    (leaves, columns)
}

/// A writer of a parquet file with the columns `id` and `vector`.
pub struct ColumnsSink {
    writer: SerializedFileWriter<File>,
    whole: Whole,
    name: String,
    shape: FileShape,
}

impl ColumnsSink {
    pub fn create(path: &Path, shape: FileShape) -> Outcome<ColumnsSink> {
        let name = path.display().to_string();
        let whole = Whole::create(path)?;
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(failed(&name))?);
        // Floats seldom repeat, so a dictionary would only cost time.
        let properties = Arc::new(WriterProperties::builder().set_dictionary_enabled(false).build());
        let writer = SerializedFileWriter::new(whole.handle()?, schema, properties).map_err(failed(&name))?;
        Ok(ColumnsSink { writer, whole, name, shape })
    }

    fn write_group(&mut self, ids: &[u64], vectors: &[f32]) -> parquet::errors::Result<()> {
        let mut group = self.writer.next_row_group()?;
        if let Some(mut column) = group.next_column()? {
            let ids: Vec<i64> = ids.iter().map(|id| id.cast_signed()).collect();
            column.typed::<Int64Type>().write_batch(&ids, None, None)?;
            column.close()?;
        }
        if let Some(mut column) = group.next_column()? {
            let defined = vec![1; vectors.len()];
            let begins: Vec<i16> = (0..vectors.len()).map(|at| i16::from(at % self.shape.dim != 0)).collect();
            column.typed::<FloatType>().write_batch(vectors, Some(&defined), Some(&begins))?;
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

impl Sink for ColumnsSink {
    fn write(&mut self, ids: &[u64], vectors: &[f32]) -> Outcome<()> {
        self.write_group(ids, vectors).map_err(|error| write_failed(&self.name, error))
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        let ColumnsSink { writer, whole, name, .. } = *self;
        writer.close().map_err(|error| write_failed(&name, error))?;
        whole.finish()
    }
}

/// The failure of a write. An I/O error keeps its status, such as that of a full disk.
fn write_failed(name: &str, error: ParquetError) -> Failure {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => Failure::io("write", Path::new(name))(*error),
            Err(other) => Failure::file(name, other),
        },
        other => Failure::file(name, other),
    }
}
