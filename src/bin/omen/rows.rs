//! The vectors of a file with their ids, as `import` and `upsert` read them.

use crate::failure::{Failure, Outcome};
use crate::files::{self, Format, Integers, Origin, ReadOptions, Source, is_standard};
use crate::progress::Progress;
use clap::Args;
use omen::error::Error;
use omen::kernels;
use std::path::{Path, PathBuf};

/// A file of vectors and where their ids come from.
#[derive(Args, Clone)]
pub struct RowArguments {
    /// File of vectors: .npy, .npz, .csv, .jsonl, .fvecs, .bvecs, .fbin, .u8bin, .i8bin, .parquet if built in; or `-` for
    /// stdin
    pub file: PathBuf,
    #[command(flatten)]
    pub reading: ReadOptions,
    /// Id of the first vector; the others count up from it. By default the ids are those of the file
    #[arg(long, conflicts_with = "ids")]
    pub first_id: Option<u64>,
    /// File of ids, one for each vector: .npy, .npz, .csv, .ivecs, .ibin; or `-` for stdin
    #[arg(long)]
    pub ids: Option<PathBuf>,
}

impl RowArguments {
    /// True if an option says where the ids come from.
    fn has_ids(&self) -> bool {
        self.first_id.is_some() || self.ids.is_some()
    }
}

/// The files that [`RowArguments`] name. They may be opened several times.
pub struct Origins<'a> {
    arguments: &'a RowArguments,
    vectors: Origin,
    ids: Option<Origin>,
}

impl Origins<'_> {
    pub fn new(arguments: &RowArguments) -> Outcome<Origins<'_>> {
        let (vectors, ids) = (&arguments.file, arguments.ids.as_deref());
        if is_standard(vectors) && ids.is_some_and(is_standard) {
            return Err(Failure::argument("-: stdin cannot be both the vectors and the ids"));
        }
        Ok(Origins { arguments, vectors: Origin::new(vectors), ids: ids.map(Origin::new) })
    }

    /// Copies pipes into unnamed files in `dir`, so that they can be opened more than once.
    pub fn keep(&mut self, dir: &Path) -> Outcome<()> {
        self.vectors.keep(dir, Format::of(self.vectors.path(), self.arguments.reading.format)?)?;
        self.ids.as_mut().map_or(Ok(()), |ids| ids.keep(dir, Format::Csv))
    }

    pub fn open(&self) -> Outcome<Rows> {
        Rows::open(&self.vectors, self.ids.as_ref(), self.arguments)
    }
}

/// The source of the ids.
pub enum Ids {
    /// Counted up from the largest id of the store.
    OfStore,
    /// Counted up from this id.
    From(u64),
    /// One for each vector, from a file of their own.
    File(Box<Integers>),
    /// The file of vectors has them.
    Column,
}

/// The rows of a file, in order.
pub struct Rows {
    pub source: Box<dyn Source>,
    pub ids: Ids,
    /// The number of the first row that was read last.
    first: u64,
    /// The number of the next row.
    next: u64,
}

impl Rows {
    /// Opens the file of vectors, and the file of ids if there is one.
    fn open(origin: &Origin, ids_origin: Option<&Origin>, arguments: &RowArguments) -> Outcome<Rows> {
        let source = files::open(origin, &arguments.reading, !arguments.has_ids())?;
        let ids = match (arguments.first_id, ids_origin) {
            (Some(first), _) => Ids::From(first),
            (None, Some(origin)) => Ids::File(Box::new(open_ids(origin, source.as_ref())?)),
            (None, None) if source.ids().is_some() => Ids::Column,
            (None, None) => Ids::OfStore,
        };
        Ok(Rows { source, ids, first: 0, next: 0 })
    }

    /// Reads the next vectors into `vectors`, and returns their number and their ids; `None` if the store chooses them.
    pub fn read(&mut self, vectors: &mut Vec<f32>) -> Outcome<(usize, Option<Vec<u64>>)> {
        self.first = self.next;
        let rows = self.source.read(self.source.batch(), vectors)?;
        self.next += rows as u64;
        let ids = match &mut self.ids {
            Ids::OfStore => None,
            Ids::Column => self.source.ids().map(<[u64]>::to_vec),
            Ids::File(file) => {
                // At the end of the vectors, one id more would be one too many.
                let ids = file.read_ids(rows.max(1), self.first)?;
                if ids.len() != rows {
                    return Err(miscounted(file, self.first + ids.len() as u64, self.source.as_ref()));
                }
                Some(ids)
            }
            Ids::From(first) => {
                let Some(end) = first.checked_add(rows as u64) else {
                    let count = self.next;
                    return Err(Failure::argument(format!("--first-id: {count} ids from there on end above 2^64 - 2")));
                };
                let ids = (*first..end).collect();
                *first = end;
                Some(ids)
            }
        };
        Ok((rows, ids))
    }

    /// Reads the file to its end. Fails at the first vector that is not finite, and where `check` fails, which gets the
    /// ids of some rows.
    pub fn check_all(&mut self, check: impl Fn(&Rows, &[u64]) -> Outcome<()>) -> Outcome<()> {
        let progress = Progress::new("check", self.source.count());
        let mut vectors = Vec::new();
        loop {
            progress.at(self.next)?;
            let (rows, ids) = self.read(&mut vectors)?;
            if rows == 0 {
                return Ok(());
            }
            if let Some(at) = kernels::first_not_finite(&vectors) {
                return Err(self.not_finite(at / self.source.dim(), at % self.source.dim(), vectors[at]));
            }
            check(self, &ids.unwrap_or_default())?;
        }
    }

    /// The failure for an `error` of the library about the rows that were read last, with the file and the position in
    /// it.
    pub fn locate(&self, error: Error) -> Failure {
        match error {
            Error::NotFinite { row, column, value } => self.not_finite(row, column, value),
            Error::DuplicateId { id, position, place } => {
                let (status, row) = (error.status(), self.source.row(self.first + position as u64));
                Failure { status, message: format!("{}: {row}: id {id} is {place}", self.source.name()) }
            }
            other => other.into(),
        }
    }

    fn not_finite(&self, row: usize, column: usize, value: f32) -> Failure {
        let status = Error::NotFinite { row, column, value }.status();
        let (name, place) = (self.source.name(), self.source.place(self.first + row as u64, column));
        Failure { status, message: format!("{name}: {place}: found {value}, expected a finite number") }
    }
}

/// Opens a file of ids, which must have one for each vector of `source`.
fn open_ids(origin: &Origin, source: &dyn Source) -> Outcome<Integers> {
    let ids = Integers::open(origin)?;
    let rows = ids.rows().filter(|rows| source.is_counted() && *rows != source.count());
    if let Some(rows) = rows {
        return Err(miscounted(&ids, rows, source));
    }
    if ids.columns() != 1 {
        let what = format!("found rows of {} ids, expected 1 for each vector", ids.columns());
        return Err(Failure::file(ids.name(), what));
    }
    Ok(ids)
}

/// The failure for a file of ids that has not one for each vector. `found` ids were counted.
fn miscounted(ids: &Integers, found: u64, source: &dyn Source) -> Failure {
    let (name, count) = (source.name(), source.count());
    let or_more = if ids.rows().is_none() && found > count { " or more" } else { "" };
    Failure::file(ids.name(), format!("found {found}{or_more} ids, expected {count}, one for each vector of {name}"))
}
