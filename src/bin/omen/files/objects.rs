//! Vectors as .jsonl: on each line an object with an id and a vector, or a bare array of numbers.

use super::capped::Capped;
use super::input::{Input, Stream, read_failed};
use super::numbers::{NotFloat, float_of, float_text, id_of};
use super::read_options::{Column, ReadOptions};
use super::stream::{FileShape, Sink, Source};
use super::whole::Whole;
use crate::failure::{Failure, Outcome};
use omen::format::DIM_MAX;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The names of the members that are read; `None` for bare arrays.
struct JsonMembers {
    vector: String,
    id: Option<String>,
    ignored: Vec<String>,
}

/// A file of lines, one vector each.
pub struct Objects {
    stream: BufReader<Capped<Box<dyn Stream>>>,
    name: String,
    members: Option<JsonMembers>,
    dim: usize,
    count: Option<u64>,
    next: u64,
    /// The number of the line in `line`, from 1.
    number: u64,
    line: Vec<u8>,
    /// True if `line` is the first one and was not returned yet.
    is_ahead: bool,
    /// Ids and line numbers of the vectors that were read last.
    ids: Vec<u64>,
    lines: Vec<u64>,
}

impl Objects {
    /// Opens a file of at least one line.
    pub fn open(input: Input, reading: &ReadOptions, with_ids: bool) -> Outcome<Objects> {
        let name = input.name.clone();
        let stream = BufReader::new(Capped::new(input.into_stream()));
        let mut file = Objects {
            stream,
            name,
            members: None,
            dim: 0,
            count: None,
            next: 0,
            number: 0,
            line: Vec::new(),
            is_ahead: false,
            ids: Vec::new(),
            lines: Vec::new(),
        };
        if !file.next_line()? {
            return Err(Failure::file(&file.name, "found no line, expected at least 1"));
        }
        if !file.line.starts_with(b"[") {
            file.members = Some(file.members_of_first(reading, with_ids)?);
        } else if reading.id_column.is_some() || reading.vector_column.is_some() {
            let what = "line 1: found an array, which has no names; expected an object with the columns named";
            return Err(Failure::argument(format!("{}: {what}", file.name)));
        }
        let mut first = Vec::new();
        file.parse(&mut first)?;
        file.dim = first.len();
        if file.dim == 0 || file.dim > DIM_MAX as usize {
            let what = format!("line {}: found {} components, expected 1 to {DIM_MAX}", file.number, file.dim);
            return Err(Failure::unsupported(&file.name, what));
        }
        file.is_ahead = true;
        Ok(file)
    }

    /// Chooses the members to read from those of the first object.
    fn members_of_first(&self, reading: &ReadOptions, with_ids: bool) -> Outcome<JsonMembers> {
        let object = self.object()?;
        let columns: Vec<Column> = object
            .iter()
            .map(|(name, value)| {
                let kind = kind_of(value.get());
                let is_vector = serde_json::from_str::<Vec<f64>>(value.get()).is_ok_and(|all| !all.is_empty());
                Column { name: name.clone(), kind: kind.to_owned(), is_vector }
            })
            .collect();
        let chosen = reading.choose(&format!("{}: line {}", self.name, self.number), &columns, with_ids)?;
        Ok(JsonMembers {
            vector: columns[chosen.vector].name.clone(),
            id: chosen.id.map(|id| columns[id].name.clone()),
            ignored: chosen.ignored,
        })
    }

    /// The members of the line.
    fn object(&self) -> Outcome<BTreeMap<String, &RawValue>> {
        serde_json::from_slice(&self.line).map_err(|error| self.not_json(&error))
    }

    fn not_json(&self, error: &serde_json::Error) -> Failure {
        // The line of the error is 1, because each line is parsed alone.
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        self.wrong(&format!("byte {}: {what}", error.column()))
    }

    /// Reads the next line that is not blank into `line`, without white space around it. False at the end.
    fn next_line(&mut self) -> Outcome<bool> {
        if std::mem::take(&mut self.is_ahead) {
            return Ok(true);
        }
        loop {
            self.line.clear();
            self.stream.get_mut().refill();
            let read = self.stream.read_until(b'\n', &mut self.line);
            self.number += 1;
            let read = read.map_err(read_failed(&format!("{}: line {}", self.name, self.number)))?;
            if read == 0 {
                return Ok(false);
            }
            let line = self.line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.line).trim_ascii();
            if !line.is_empty() {
                self.line = line.to_vec();
                return Ok(true);
            }
        }
    }

    /// Appends the components of the line. Returns its id, if ids are read.
    fn parse(&self, vectors: &mut Vec<f32>) -> Outcome<Option<u64>> {
        let Some(members) = &self.members else {
            let array = serde_json::from_slice(&self.line).map_err(|error| self.not_json(&error))?;
            self.push(array, vectors)?;
            return Ok(None);
        };
        let object = self.object()?;
        let find = |name: &str| {
            object.get(name).copied().ok_or_else(|| self.wrong(&format!("found no {name:?}, expected it as in line 1")))
        };
        self.push(find(&members.vector)?, vectors)?;
        let Some(name) = &members.id else { return Ok(None) };
        let text = find(name)?.get();
        let number: i128 =
            text.parse().map_err(|_| self.wrong(&format!("{name}: found {}, expected a whole number", short(text))))?;
        id_of(number).map(Some).map_err(|what| self.wrong(&format!("{name}: found {number}, {what}")))
    }

    /// Appends the numbers of an array.
    fn push(&self, array: &RawValue, vectors: &mut Vec<f32>) -> Outcome<()> {
        let array = array.get();
        if !array.starts_with('[') {
            return Err(self.wrong(&format!("found {}, expected an array of numbers", short(array))));
        }
        let values: Vec<&RawValue> = serde_json::from_str(array).map_err(|error| self.not_json(&error))?;
        if self.dim > 0 && values.len() != self.dim {
            return Err(self.wrong(&format!("found {} numbers, expected {}", values.len(), self.dim)));
        }
        for (column, value) in values.into_iter().enumerate() {
            let text = value.get();
            // No JSON but a number starts like this.
            let is_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
            let number = if is_number { float_of(text) } else { Err(NotFloat::Text) };
            vectors.push(number.map_err(|fault| match fault {
                NotFloat::Text => self.wrong(&format!("component {column}: found {}, expected a number", short(text))),
                NotFloat::Overflow => Failure::overflow(&self.name, &place(self.number, column), text),
            })?);
        }
        Ok(())
    }

    /// The failure for the line.
    fn wrong(&self, what: &str) -> Failure {
        Failure::file(&self.name, format!("line {}: {what}", self.number))
    }

    /// The line of a vector that was read last.
    fn line_of(&self, row: u64) -> u64 {
        let first = self.next - self.lines.len() as u64;
        row.checked_sub(first).and_then(|at| self.lines.get(at as usize)).copied().unwrap_or(0)
    }
}

fn place(line: u64, column: usize) -> String {
    format!("line {line}, component {column}")
}

/// The start of a JSON text, for messages.
fn short(text: &str) -> String {
    const CHARS: usize = 40;
    if text.chars().count() <= CHARS {
        text.to_owned()
    } else {
        text.chars().take(CHARS).chain("...".chars()).collect()
    }
}

fn kind_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'[') => "array",
        Some(b'{') => "object",
        Some(b'"') => "text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "bool",
        _ => "number",
    }
}

impl Source for Objects {
    fn name(&self) -> &str {
        &self.name
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
        while self.lines.len() < rows && self.next_line()? {
            self.ids.extend(self.parse(vectors)?);
            self.lines.push(self.number);
        }
        self.next += self.lines.len() as u64;
        Ok(self.lines.len())
    }

    fn skip(&mut self, rows: u64) -> Outcome<()> {
        let last = self.next.saturating_add(rows);
        while self.next < last && self.next_line()? {
            self.next += 1;
        }
        Ok(())
    }

    fn place(&self, row: u64, column: usize) -> String {
        place(self.line_of(row), column)
    }

    fn row(&self, row: u64) -> String {
        format!("line {}", self.line_of(row))
    }

    fn ids(&self) -> Option<&[u64]> {
        self.members.as_ref().and_then(|members| members.id.as_ref()).map(|_| self.ids.as_slice())
    }

    fn ignored(&self) -> Vec<String> {
        self.members.as_ref().map_or(Vec::new(), |members| members.ignored.clone())
    }
}

/// A writer of objects with the members `id` and `vector`.
pub struct ObjectsSink {
    whole: Whole,
    dim: usize,
}

impl ObjectsSink {
    pub fn create(path: &Path, shape: FileShape) -> Outcome<ObjectsSink> {
        Ok(ObjectsSink { whole: Whole::create(path)?, dim: shape.dim })
    }
}

impl Sink for ObjectsSink {
    fn write(&mut self, ids: &[u64], vectors: &[f32]) -> Outcome<()> {
        let mut text = String::new();
        for (id, row) in ids.iter().zip(vectors.chunks_exact(self.dim)) {
            let numbers: Vec<String> = row.iter().map(|value| float_text(*value)).collect();
            text += &format!("{{\"id\":{id},\"vector\":[{}]}}\n", numbers.join(","));
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
