//! Vectors as .csv: a line of numbers for each, one of them the id if the first line names a column of ids.

use super::input::Input;
use super::numbers::{NotFloat, float_of, float_text, id_of};
use super::read_options::ReadOptions;
use super::stream::{FileShape, Sink, Source};
use super::table::Table;
use super::whole::Whole;
use crate::failure::{Failure, Outcome};
use omen::format::DIM_MAX;
use std::path::Path;

/// A file of lines, one vector each.
pub struct Separated {
    table: Table,
    /// The column of ids.
    id: Option<usize>,
    reads_ids: bool,
    dim: usize,
    count: Option<u64>,
    next: u64,
    /// Ids and line numbers of the vectors that were read last.
    ids: Vec<u64>,
    lines: Vec<u64>,
}

impl Separated {
    pub fn open(input: Input, reading: &ReadOptions, with_ids: bool) -> Outcome<Separated> {
        let name = input.name.clone();
        let Some(table) = Table::open(input, reading)? else {
            return Err(Failure::file(&name, "found no line, expected at least 1"));
        };
        if reading.first_line.is_none() && table.counts_up() {
            let what = "line 1: found 0, 1, 2, ..., as pandas names columns; say --first-line names or vector";
            return Err(Failure::argument(format!("{name}: {what}")));
        }
        let id = table.position(reading.id_name());
        if reading.id_column.is_some() && id.is_none() {
            let found = table.names.as_ref().map_or("no names".to_owned(), |names| names.join(", "));
            let what =
                format!("{}: line 1: found {found}; expected the column {:?} of ids", table.name, reading.id_name());
            return Err(Failure::argument(what));
        }
        let dim = table.columns - usize::from(id.is_some());
        if dim == 0 || dim > DIM_MAX as usize {
            let what = format!("line {}: found {dim} components, expected 1 to {DIM_MAX}", table.line());
            return Err(Failure::unsupported(&table.name, what));
        }
        let reads_ids = with_ids && id.is_some();
        Ok(Separated { table, id, reads_ids, dim, count: None, next: 0, ids: Vec::new(), lines: Vec::new() })
    }

    /// Appends the components of the record.
    fn push(&mut self, vectors: &mut Vec<f32>) -> Outcome<()> {
        for column in (0..self.table.columns).filter(|column| Some(*column) != self.id) {
            let text = self.table.text(column)?;
            vectors.push(float_of(text).map_err(|fault| match fault {
                NotFloat::Text => self.table.wrong(column, &format!("found {text:?}, expected a number")),
                NotFloat::Overflow => {
                    Failure::overflow(&self.table.name, &self.table.place(self.table.line(), column), text)
                }
            })?);
        }
        Ok(())
    }
}

impl Source for Separated {
    fn name(&self) -> &str {
        &self.table.name
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn count(&self) -> u64 {
        self.count.unwrap_or(self.next)
    }

    fn is_counted(&self) -> bool {
        self.count.is_some()
    }

    fn set_count(&mut self, count: u64) {
        self.count = Some(count);
    }

    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize> {
        vectors.clear();
        self.ids.clear();
        self.lines.clear();
        while self.lines.len() < rows && self.table.next()? {
            self.push(vectors)?;
            self.lines.push(self.table.line());
            if let (Some(column), true) = (self.id, self.reads_ids) {
                let number = self.table.integer(column)?;
                let id = id_of(number).map_err(|what| self.table.wrong(column, &format!("found {number}, {what}")))?;
                self.ids.push(id);
            }
        }
        self.next += self.lines.len() as u64;
        // A text of another kind has a first line as well; that of an exported empty store has a column of ids.
        if self.next == 0 && self.id.is_none() {
            return Err(Failure::file(&self.table.name, "found a line of names and no vectors"));
        }
        Ok(self.lines.len())
    }

    fn skip(&mut self, rows: u64) -> Outcome<()> {
        let last = self.next.saturating_add(rows);
        while self.next < last && self.table.next()? {
            self.next += 1;
        }
        Ok(())
    }

    fn place(&self, row: u64, component: usize) -> String {
        let column = component + usize::from(self.id.is_some_and(|id| id <= component));
        self.table.place(self.line(row), column)
    }

    fn row(&self, row: u64) -> String {
        format!("line {}", self.line(row))
    }

    fn ids(&self) -> Option<&[u64]> {
        self.reads_ids.then_some(&self.ids)
    }

    fn ignored(&self) -> Vec<String> {
        let names = self.table.names.as_deref().unwrap_or_default();
        self.id.filter(|_| !self.reads_ids).map(|id| names[id].clone()).into_iter().collect()
    }
}

impl Separated {
    /// The line of a vector that was read last.
    fn line(&self, row: u64) -> u64 {
        let first = self.next - self.lines.len() as u64;
        row.checked_sub(first).and_then(|at| self.lines.get(at as usize)).copied().unwrap_or(0)
    }
}

/// A writer of the columns `id`, `v0`, `v1`, and so on.
pub struct SeparatedSink {
    whole: Whole,
    dim: usize,
}

impl SeparatedSink {
    pub fn create(path: &Path, shape: FileShape) -> Outcome<SeparatedSink> {
        let mut whole = Whole::create(path)?;
        let names: Vec<String> = (0..shape.dim).map(|number| format!(",v{number}")).collect();
        whole.write(format!("id{}\n", names.concat()).as_bytes())?;
        Ok(SeparatedSink { whole, dim: shape.dim })
    }
}

impl Sink for SeparatedSink {
    fn write(&mut self, ids: &[u64], vectors: &[f32]) -> Outcome<()> {
        let mut text = String::new();
        for (id, row) in ids.iter().zip(vectors.chunks_exact(self.dim)) {
            text += &id.to_string();
            row.iter().for_each(|value| text.extend([",", &float_text(*value)]));
            text.push('\n');
        }
        self.whole.write(text.as_bytes())
    }

    fn is_closed(&self) -> bool {
        self.whole.is_closed()
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        self.whole.finish()
    }
}
