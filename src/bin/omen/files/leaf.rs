//! One column of a parquet file: its type, and its values as floats or integers.

use half::f16;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

/// A column of numbers. A list of them has one level of repetition.
#[derive(Clone, Copy)]
pub struct Leaf {
    /// The number of the column in the file.
    pub number: usize,
    /// Definition level of a value that is present.
    whole_level: i16,
    is_list: bool,
    physical: Physical,
    is_unsigned: bool,
}

/// What one read of vectors gave.
pub struct FloatsRead {
    pub records: usize,
    /// Index of the first level of a null or an empty list.
    pub null: Option<usize>,
    /// Index and value of the first double that no float holds.
    pub overflow: Option<(usize, f64)>,
}

/// True for floats of 16 to 64 bits and integers.
pub fn is_numeric(column: &ColumnDescriptor) -> bool {
    let is_half = is_half(column);
    is_half || matches!(column.physical_type(), Physical::FLOAT | Physical::DOUBLE) || is_integer(column)
}

fn is_half(column: &ColumnDescriptor) -> bool {
    column.logical_type_ref() == Some(&LogicalType::Float16)
}

/// True for integers, which dates and decimals are not.
fn is_integer(column: &ColumnDescriptor) -> bool {
    let is_plain = matches!(column.logical_type_ref(), None | Some(LogicalType::Integer(_)));
    is_plain && matches!(column.physical_type(), Physical::INT32 | Physical::INT64)
}

/// The type of a column, for messages.
pub fn kind_of(column: &ColumnDescriptor) -> String {
    let physical = column.physical_type();
    column.logical_type_ref().map_or_else(|| physical.to_string(), |logical| format!("{physical} {logical:?}"))
}

impl Leaf {
    pub fn new(column: ColumnDescPtr, number: usize) -> Leaf {
        let is_unsigned =
            matches!(column.logical_type_ref(), Some(LogicalType::Integer(integer)) if !integer.is_signed);
        Leaf {
            number,
            whole_level: column.max_def_level(),
            is_list: column.max_rep_level() > 0,
            physical: column.physical_type(),
            is_unsigned,
        }
    }

    /// True for integers that are not in lists.
    pub fn is_integer(&self) -> bool {
        !self.is_list && matches!(self.physical, Physical::INT32 | Physical::INT64)
    }

    /// Appends the values of up to `rows` rows to `out`, and their repetition levels to `begins`.
    pub fn read_floats(
        &self,
        reader: &mut ColumnReader,
        rows: usize,
        begins: &mut Vec<i16>,
        out: &mut Vec<f32>,
    ) -> Result<FloatsRead> {
        let (mut defined, is_unsigned) = (Vec::new(), self.is_unsigned);
        let mut overflow = None;
        let records = match reader {
            ColumnReader::FloatColumnReader(reader) => {
                reader.read_records(rows, Some(&mut defined), Some(begins), out)?.0
            }
            ColumnReader::DoubleColumnReader(reader) => {
                let (records, doubles) = values(reader, rows, &mut defined, begins)?;
                let is_lost = |double: &f64| (*double as f32).is_infinite() && double.is_finite();
                overflow = doubles.iter().position(is_lost).map(|at| (at, doubles[at]));
                out.extend(doubles.iter().map(|double| *double as f32));
                records
            }
            ColumnReader::Int32ColumnReader(reader) => {
                let (records, integers) = values(reader, rows, &mut defined, begins)?;
                let float = |value: i32| if is_unsigned { value.cast_unsigned() as f32 } else { value as f32 };
                out.extend(integers.into_iter().map(float));
                records
            }
            ColumnReader::Int64ColumnReader(reader) => {
                let (records, integers) = values(reader, rows, &mut defined, begins)?;
                let float = |value: i64| if is_unsigned { value.cast_unsigned() as f32 } else { value as f32 };
                out.extend(integers.into_iter().map(float));
                records
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                let (records, halves) = values(reader, rows, &mut defined, begins)?;
                for bytes in &halves {
                    let bytes = bytes.data().try_into();
                    let bytes = bytes.map_err(|_| ParquetError::General("found a half that is not 2 bytes".into()))?;
                    out.push(f16::from_le_bytes(bytes).to_f32());
                }
                records
            }
            _ => return Err(ParquetError::NYI(format!("{} as components", self.physical))),
        };
        let null = defined.iter().position(|level| *level != self.whole_level);
        Ok(FloatsRead { records, null, overflow })
    }

    /// The integers of the next rows, at most `rows`; `None` for a null.
    pub fn read_integers(&self, reader: &mut ColumnReader, rows: usize) -> Result<Vec<Option<i128>>> {
        let (mut defined, mut begins, is_unsigned) = (Vec::new(), Vec::new(), self.is_unsigned);
        let (records, numbers): (usize, Vec<i128>) = match reader {
            ColumnReader::Int32ColumnReader(reader) => {
                let (records, integers) = values(reader, rows, &mut defined, &mut begins)?;
                let wide = |value: i32| if is_unsigned { value.cast_unsigned().into() } else { value.into() };
                (records, integers.into_iter().map(wide).collect())
            }
            ColumnReader::Int64ColumnReader(reader) => {
                let (records, integers) = values(reader, rows, &mut defined, &mut begins)?;
                let wide = |value: i64| if is_unsigned { value.cast_unsigned().into() } else { value.into() };
                (records, integers.into_iter().map(wide).collect())
            }
            _ => return Err(ParquetError::NYI(format!("{} as ids", self.physical))),
        };
        let mut numbers = numbers.into_iter();
        if self.whole_level == 0 {
            return Ok(numbers.map(Some).take(records).collect());
        }
        Ok(defined.iter().map(|level| if *level == self.whole_level { numbers.next() } else { None }).collect())
    }

    /// Skips up to `rows` rows. Returns how many were skipped.
    pub fn skip(&self, reader: &mut ColumnReader, rows: usize) -> Result<usize> {
        match reader {
            ColumnReader::FloatColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::DoubleColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::Int32ColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::Int64ColumnReader(reader) => reader.skip_records(rows),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => reader.skip_records(rows),
            _ => Err(ParquetError::NYI(format!("{} as numbers", self.physical))),
        }
    }
}

/// The number of rows read, and their values.
fn values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    defined: &mut Vec<i16>,
    begins: &mut Vec<i16>,
) -> Result<(usize, Vec<T::T>)> {
    let mut values = Vec::new();
    let (records, ..) = reader.read_records(rows, Some(defined), Some(begins), &mut values)?;
    Ok((records, values))
}
