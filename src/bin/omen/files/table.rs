//! Lines of .csv as records: their separator, the names in the first line, and line numbers.

use super::capped::Capped;
use super::input::{Input, fill, read_failed};
use super::numbers::float_of;
use super::read_options::{FirstLine, ReadOptions, Separator};
use crate::failure::{Failure, Outcome};
use csv::{ByteRecord, ReaderBuilder, Trim};
use std::io::{Cursor, Read};

/// Bytes from the start of a file in which its separator is looked for.
const HEAD_BYTES: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

type Lines = csv::Reader<Capped<Box<dyn Read>>>;

/// A file of lines that is read record by record.
pub struct Table {
    pub name: String,
    /// Names of the columns; `None` without a line of names.
    pub names: Option<Vec<String>>,
    /// Fields of each line.
    pub columns: usize,
    lines: Lines,
    /// Lines from that of a record to the one where its reader stops: none if `\r` ends it, before `\n` is read.
    lines_behind: u64,
    record: ByteRecord,
    /// True if `record` is the first one and was not returned yet.
    is_ahead: bool,
}

impl Table {
    /// Opens a file; `None` if it has no lines.
    pub fn open(input: Input, reading: &ReadOptions) -> Outcome<Option<Table>> {
        let name = input.name.clone();
        let mut stream = input.into_stream();
        let mut head = vec![0; HEAD_BYTES];
        let read = fill(&mut stream, &mut head).map_err(read_failed(&name))?;
        head.truncate(read);
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Err(Failure::unsupported(&name, "found text in UTF-16, expected UTF-8"));
        }
        if head.starts_with(BYTE_ORDER_MARK) {
            head.drain(..BYTE_ORDER_MARK.len());
        }
        let separator = reading.separator.unwrap_or_else(|| separator_of(&head));
        let ends_with_return = head.split(|byte| *byte == b'\n').next().is_some_and(|line| line.ends_with(b"\r"));
        let lines_behind = u64::from(!ends_with_return);
        // The last line ends like the others; an empty line is no record.
        let bytes: Box<dyn Read> =
            Box::new(Cursor::new(head).chain(stream).chain(if ends_with_return { &b"\r\n"[..] } else { b"\n" }));
        let lines = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .delimiter(byte_of(separator))
            .from_reader(Capped::new(bytes));
        let mut table =
            Table { name, names: None, columns: 0, lines, lines_behind, record: ByteRecord::new(), is_ahead: false };
        if !table.read()? {
            return Ok(None);
        }
        table.columns = table.record.len();
        table.names = table.names_of_first(reading)?;
        table.is_ahead = table.names.is_none();
        Ok(Some(table))
    }

    /// The names in the first line; `None` if it is a record.
    fn names_of_first(&self, reading: &ReadOptions) -> Outcome<Option<Vec<String>>> {
        let texts: Vec<String> = self.record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect();
        let numbers = texts.iter().filter(|text| float_of(text).is_ok()).count();
        let has_id = texts.iter().any(|text| text == reading.id_name());
        match reading.first_line {
            Some(FirstLine::Vector) => return Ok(None),
            Some(FirstLine::Names) => {}
            None if numbers == texts.len() => return Ok(None),
            None if numbers == 0 || has_id => {}
            None => {
                let column = texts.iter().position(|text| float_of(text).is_err()).unwrap_or(0);
                return Err(self.wrong(column, &mixed(&texts[column])));
            }
        }
        match texts.iter().position(|text| text.is_empty() && reading.id_name() != text) {
            None => Ok(Some(texts)),
            Some(column) => Err(self.wrong(column, &mixed(""))),
        }
    }

    /// True if the first line is a record of the fields 0, 1, 2, and so on, and is ahead.
    pub fn counts_up(&self) -> bool {
        let is_number = |(at, field): (usize, &[u8])| field == at.to_string().as_bytes();
        self.is_ahead && self.columns > 1 && self.record.iter().enumerate().all(is_number)
    }

    /// Reads the next record. False at the end.
    pub fn next(&mut self) -> Outcome<bool> {
        if std::mem::take(&mut self.is_ahead) {
            return Ok(true);
        }
        if !self.read()? {
            return Ok(false);
        }
        let (found, expected) = (self.record.len(), self.columns);
        if found == expected {
            return Ok(true);
        }
        let what = format!("line {}: found {found} fields, expected {expected}", self.line());
        Err(Failure::file(&self.name, what))
    }

    fn read(&mut self) -> Outcome<bool> {
        self.lines.get_mut().refill();
        let line = self.lines.position().line();
        self.lines.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => read_failed(&format!("{}: line {line}", self.name))(error),
            other => Failure::file(&self.name, format!("line {line}: {other:?}")),
        })
    }

    /// The text of a field of the record.
    pub fn text(&self, column: usize) -> Outcome<&str> {
        let bytes = self.record.get(column).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| self.wrong(column, "found bytes that are not UTF-8"))
    }

    /// The integer in a field of the record.
    pub fn integer(&self, column: usize) -> Outcome<i128> {
        let text = self.text(column)?;
        text.parse().map_err(|_| self.wrong(column, &format!("found {text:?}, expected a whole number")))
    }

    /// The column of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.as_ref().and_then(|names| names.iter().position(|column| column == name))
    }

    /// The line on which the record ends, from 1.
    pub fn line(&self) -> u64 {
        self.lines.position().line() - self.lines_behind
    }

    /// The failure for a field of the record.
    pub fn wrong(&self, column: usize, what: &str) -> Failure {
        Failure::file(&self.name, format!("{}: {what}", self.place(self.line(), column)))
    }

    /// The position of a field, for messages.
    pub fn place(&self, line: u64, column: usize) -> String {
        let name = self.names.as_ref().map_or(String::new(), |names| format!(" ({})", names[column]));
        format!("line {line}, column {}{name}", column + 1)
    }
}

/// What is wrong with a first line of numbers and `found`, which is none.
fn mixed(found: &str) -> String {
    if found.is_empty() {
        return "found no name, as pandas writes for its index; write the file with index=False, or read the index as ids \
            with --id-column \"\""
            .to_owned();
    }
    format!(
        "found {found:?} between numbers in the first line; if these are names, say --first-line names or name the column \
         of ids with --id-column"
    )
}

fn byte_of(separator: Separator) -> u8 {
    match separator {
        Separator::Comma => b',',
        Separator::Semicolon => b';',
        Separator::Tab => b'\t',
        Separator::Space => b' ',
    }
}

/// The separator that the first line has outside of quotes; a comma if it has none.
fn separator_of(head: &[u8]) -> Separator {
    let mut is_quoted = false;
    let line: Vec<u8> = head
        .iter()
        .copied()
        .skip_while(u8::is_ascii_whitespace)
        .take_while(|byte| *byte != b'\n')
        .filter(|byte| {
            is_quoted ^= *byte == b'"';
            !is_quoted
        })
        .collect();
    let line = line.trim_ascii();
    let all = [Separator::Tab, Separator::Semicolon, Separator::Comma, Separator::Space];
    all.into_iter().find(|separator| line.contains(&byte_of(*separator))).unwrap_or(Separator::Comma)
}
