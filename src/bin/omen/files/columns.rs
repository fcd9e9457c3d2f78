//! Parquet: a column of lists of f32, without Arrow.

use super::stream::{FileShape, Sink, Source};
use super::whole::Whole;
use crate::failure::{Failure, Outcome};
use omen::format::DIM_MAX;
use parquet::basic::Type as Physical;
use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

const SCHEMA: &str = "message omen {
    required int64 id (INTEGER(64, false));
    required group vector (LIST) { repeated group list { required float element; } }
}";

fn failed(name: &str) -> impl Fn(ParquetError) -> Failure {
    let name = name.to_owned();
    move |error| Failure::file(&name, error)
}

/// A column that is read one row group at a time.
pub struct Columns {
    file: SerializedFileReader<File>,
    name: String,
    /// The leaf of the schema that is read.
    leaf: usize,
    /// Definition level of a component that is present.
    whole_level: i16,
    group: usize,
    rows: Option<ColumnReaderImpl<FloatType>>,
    next: u64,
    dim: usize,
    count: u64,
}

impl Columns {
    pub fn open(path: &Path, column: Option<&str>) -> Outcome<Columns> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(Failure::io("open", path))?;
        let file = SerializedFileReader::new(file).map_err(failed(&name))?;
        let metadata = file.metadata().file_metadata();
        let count = u64::try_from(metadata.num_rows()).unwrap_or(0);
        let leaf = find_column(&name, metadata.schema_descr(), column)?;
        let whole_level = metadata.schema_descr().column(leaf).max_def_level();
        if count == 0 {
            return Err(Failure::file(&name, "found 0 rows, expected at least 1"));
        }
        let mut columns = Columns { file, name, leaf, whole_level, group: 0, rows: None, next: 0, dim: 0, count };
        columns.dim = columns.first_dim()?;
        Ok(columns)
    }

    /// The dim of the first row. The next read starts with that row again.
    fn first_dim(&mut self) -> Outcome<usize> {
        let mut vectors = Vec::new();
        let (_, levels) = self.read_group(1, &mut vectors)?;
        (self.group, self.rows) = (0, None);
        if levels.is_empty() || vectors.len() != levels.len() || vectors.len() > DIM_MAX as usize {
            let found = vectors.len();
            return Err(Failure::file(&self.name, format!("row 0: found {found} floats, expected 1 to {DIM_MAX}")));
        }
        Ok(vectors.len())
    }

    /// The column reader of the current row group; `None` after the last.
    fn reader(&mut self) -> Outcome<Option<&mut ColumnReaderImpl<FloatType>>> {
        if self.rows.is_none() && self.group < self.file.num_row_groups() {
            let group = self.file.get_row_group(self.group).map_err(failed(&self.name))?;
            let reader = group.get_column_reader(self.leaf).map_err(failed(&self.name))?;
            self.rows = Some(get_typed_column_reader(reader));
            self.group += 1;
        }
        Ok(self.rows.as_mut())
    }

    /// Appends up to `rows` rows of one row group. Returns how many, and the repetition levels: 0 starts a row.
    fn read_group(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<(usize, Vec<i16>)> {
        let (name, whole_level) = (self.name.clone(), self.whole_level);
        while let Some(reader) = self.reader()? {
            let (mut defined, mut begins) = (Vec::new(), Vec::new());
            let read = reader.read_records(rows, Some(&mut defined), Some(&mut begins), vectors);
            let (records, ..) = read.map_err(failed(&name))?;
            if records == 0 {
                self.rows = None;
                continue;
            }
            if let Some(at) = defined.iter().position(|level| *level != whole_level) {
                let row = self.next + begins[..=at].iter().filter(|level| **level == 0).count() as u64 - 1;
                return Err(Failure::file(&name, format!("row {row}: found a null or an empty list, expected floats")));
            }
            return Ok((records, begins));
        }
        Ok((0, Vec::new()))
    }

    /// Checks that every row has the dim of the first.
    fn check_dims(&self, records: usize, begins: &[i16]) -> Outcome<()> {
        let starts: Vec<usize> = (0..begins.len()).filter(|at| begins[*at] == 0).chain([begins.len()]).collect();
        let wrong = starts.windows(2).enumerate().find(|(_, pair)| pair[1] - pair[0] != self.dim);
        match wrong {
            None => Ok(()),
            Some((at, pair)) => {
                let (row, found) = (self.next + at.min(records) as u64, pair[1] - pair[0]);
                let what = format!("row {row}: found {found} floats, expected {}", self.dim);
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

    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize> {
        vectors.clear();
        let (records, begins) = self.read_group(rows, vectors)?;
        self.check_dims(records, &begins)?;
        self.next += records as u64;
        if records == 0 && self.next != self.count {
            let (found, expected) = (self.next, self.count);
            return Err(Failure::file(&self.name, format!("found {found} rows, expected {expected}")));
        }
        Ok(records)
    }

    fn skip(&mut self, rows: u64) -> Outcome<()> {
        let name = self.name.clone();
        let mut left = usize::try_from(rows).unwrap_or(usize::MAX);
        while left > 0 {
            let Some(reader) = self.reader()? else { return Ok(()) };
            let skipped = reader.skip_records(left).map_err(failed(&name))?;
            if skipped == 0 {
                self.rows = None;
            }
            left -= skipped;
            self.next += skipped as u64;
        }
        Ok(())
    }

    fn place(&self, row: u64, column: usize) -> String {
        format!("row {row}, component {column}")
    }
}

/// The leaf of the column `asked` for, or of the only column that is a list of floats.
fn find_column(name: &str, schema: &SchemaDescriptor, asked: Option<&str>) -> Outcome<usize> {
    let root = |leaf: usize| schema.column(leaf).path().parts()[0].clone();
    let is_list = |leaf: &usize| {
        let column = schema.column(*leaf);
        column.physical_type() == Physical::FLOAT && column.max_rep_level() == 1
    };
    let lists: Vec<usize> = (0..schema.num_columns()).filter(is_list).collect();
    let fitting: Vec<usize> =
        lists.iter().copied().filter(|leaf| asked.is_none_or(|asked| root(*leaf) == asked)).collect();
    if let [leaf] = fitting.as_slice() {
        return Ok(*leaf);
    }
    let all: Vec<String> = (0..schema.num_columns())
        .map(|leaf| {
            let column = schema.column(leaf);
            let list = if column.max_rep_level() > 0 { "list of " } else { "" };
            format!("{} ({list}{})", root(leaf), column.physical_type())
        })
        .collect();
    let expected = asked.map_or("one column that is a list of FLOAT (see --column)".to_owned(), |asked| {
        format!("column {asked} to be a list of FLOAT")
    });
    Err(Failure::file(name, format!("found the columns {}; expected {expected}", all.join(", "))))
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
