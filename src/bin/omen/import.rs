//! `omen import`: inserts the vectors of a file into a store, all of them or none.
//!
//! A new store is filled under another name and renamed when it is complete ([`Draft`]). For an existing store the file
//! is read twice: first to check every vector, then to insert them. If inserting fails, the vectors inserted are
//! deleted.

mod draft;

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::files::{self, Format, Integers, Source};
use crate::progress::Progress;
use crate::store::{self, check_dim, open};
use clap::Args;
use draft::Draft;
use omen::error::Error;
use omen::kernels;
use omen::metric::Metric;
use omen::store::{Mode, Options, Store};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Import the vectors of a file into a store; the store is created if there is none
///
/// All or nothing: after a malformed or truncated file, a NaN, Ctrl-C or a full disk there is no new store, and an
/// existing store has the vectors it had. After a crash (power, kill -9) a new store is left as .NAME.importing, which
/// the next import removes. An existing store may then hold the first vectors of the file: run the same command again
/// with --resume and the ids that were printed to import the rest.
#[derive(Args)]
pub struct Import {
    /// Directory of the store
    store: PathBuf,
    /// File of vectors: .npy (f32, f16), .fvecs, .bvecs, .fbin, .u8bin, .i8bin, .parquet if built in
    file: PathBuf,
    /// Format of the file; by default, the one that its ending names
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Column of a parquet file; needed if several columns are lists of floats
    #[arg(long)]
    column: Option<String>,
    /// Distance metric of searches; default: l2 in a new store, else that of the store
    #[arg(long, value_parser = store::metric())]
    metric: Option<Metric>,
    /// Id of the first vector; the others count up from it. By default, after the largest id the store ever had
    #[arg(long, conflicts_with = "ids")]
    first_id: Option<u64>,
    /// File of ids, one for each vector: .npy, .ivecs, .ibin
    #[arg(long)]
    ids: Option<PathBuf>,
    /// Skip vectors whose ids are in the store; needs --first-id or --ids
    #[arg(long)]
    resume: bool,
}

impl Import {
    pub fn run(self) -> Outcome<Answer> {
        if self.resume && self.first_id.is_none() && self.ids.is_none() {
            return Err(Failure::argument("--resume: found no ids, expected --first-id or --ids as well"));
        }
        let begin = Instant::now();
        let mut input = self.input()?;
        let (vectors, dim) = (input.source.count(), input.source.dim());
        let done = if is_absent(&self.store) { self.create(&mut input)? } else { self.add(input)? };
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Answer::of_figures(json!({
            "imported": done.inserted,
            "already_there": vectors - done.inserted,
            "dim": dim,
            "first_id": done.first_id,
            "seconds": rounded(seconds),
            "vectors_per_second": (vectors as f64 / seconds).round(),
        })))
    }

    /// Opens the file of vectors, and the file of ids if there is one.
    fn input(&self) -> Outcome<Input> {
        let source = files::open(&self.file, self.format, self.column.as_deref())?;
        let ids = match (self.first_id, &self.ids) {
            (Some(first), _) => Ids::From(first),
            (None, Some(path)) => Ids::File(open_ids(path, source.as_ref())?),
            (None, None) => Ids::OfStore,
        };
        if let Ids::From(first) = ids
            && u64::MAX - first < source.count()
        {
            let count = source.count();
            return Err(Failure::argument(format!("--first-id {first}: {count} ids from there on end above 2^64 - 2")));
        }
        Ok(Input { source, ids, row: 0 })
    }

    /// Imports into a new store.
    fn create(&self, input: &mut Input) -> Outcome<Done> {
        let metric = self.metric;
        let options = Options { metric, mode: Mode::CreateNew, ..Options::default() };
        let draft = Draft::create(&self.store, input.source.dim() as u32, &options)?;
        let progress = Progress::new("import", input.source.count());
        let mut done = Done::default();
        insert_all(&draft.store, input, false, &progress, &mut done)?;
        draft.finish()?;
        Ok(done)
    }

    /// Imports into an existing store.
    fn add(&self, mut input: Input) -> Outcome<Done> {
        let store = open(&self.store, Mode::ReadWrite, self.metric, 0)?;
        check_dim(input.source.as_ref(), &store)?;
        input.check_all(&store, self.resume)?;
        if matches!(input.ids, Ids::OfStore) {
            eprintln!("omen: {} vectors from id {} on", input.source.count(), store.insert(None, &[])?);
        }
        let mut done = Done::default();
        let mut input = self.input()?;
        let progress = Progress::new("import", input.source.count());
        let inserted = insert_all(&store, &mut input, self.resume, &progress, &mut done);
        match inserted.and_then(|()| Ok(store.commit()?)) {
            Ok(()) => store.close()?,
            Err(failure) if self.resume => return Err(failure),
            Err(failure) => return Err(self.undo(store, &done, failure)),
        }
        Ok(done)
    }

    /// Deletes the vectors inserted before `failure`, and returns it.
    fn undo(&self, store: Store, done: &Done, failure: Failure) -> Failure {
        // A store handle whose write failed refuses further writes; opening again recovers.
        drop(store);
        match self.delete(done) {
            Ok(()) => failure,
            Err(second) => {
                let message = format!(
                    "{}; the first {} vectors of the file stay in the store, because deleting them failed: {}",
                    failure.message, done.rows, second.message
                );
                Failure { message, ..failure }
            }
        }
    }

    /// Deletes the first `done.rows` vectors of the file.
    fn delete(&self, done: &Done) -> Outcome<()> {
        let store = open(&self.store, Mode::ReadWrite, None, 0)?;
        let mut input = self.input()?;
        if matches!(input.ids, Ids::OfStore) {
            input.ids = Ids::From(done.first_id.unwrap_or(0));
        }
        let mut left = done.rows;
        while left > 0 {
            let rows = left.min(input.source.batch() as u64);
            store.delete(&input.next_ids(rows as usize)?.unwrap_or_default())?;
            left -= rows;
        }
        Ok(store.close()?)
    }
}

/// True if there is nothing at `path`, or an empty directory.
fn is_absent(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Opens a file of ids, which must have one for each vector of `source`.
fn open_ids(path: &Path, source: &dyn Source) -> Outcome<Integers> {
    let ids = Integers::open(path)?;
    let (rows, columns, expected) = (ids.rows(), ids.columns(), source.count());
    if rows != expected || columns != 1 {
        let expected = format!("expected {expected} rows of 1, one for each vector of {}", source.name());
        return Err(Failure::file(ids.name(), format!("found {rows} rows of {columns} ids, {expected}")));
    }
    Ok(ids)
}

/// Progress of an import.
#[derive(Default)]
struct Done {
    /// Vectors of the file that were inserted, or skipped because they were in the store.
    rows: u64,
    inserted: u64,
    first_id: Option<u64>,
}

/// The source of the ids.
enum Ids {
    /// The store counts up from its largest id.
    OfStore,
    /// Count up from this id.
    From(u64),
    File(Integers),
}

/// The file to import, with its ids.
struct Input {
    source: Box<dyn Source>,
    ids: Ids,
    /// The next row.
    row: u64,
}

impl Input {
    /// The ids of the next `rows` vectors; `None` if the store chooses them.
    fn next_ids(&mut self, rows: usize) -> Outcome<Option<Vec<u64>>> {
        match &mut self.ids {
            Ids::OfStore => Ok(None),
            Ids::From(first) => {
                let ids = (*first..*first + rows as u64).collect();
                *first += rows as u64;
                Ok(Some(ids))
            }
            Ids::File(file) => file.read(rows).map(Some),
        }
    }

    /// Reads the file to its end and reports every fault that can be found without writing.
    fn check_all(&mut self, store: &Store, resume: bool) -> Outcome<()> {
        let progress = Progress::new("check", self.source.count());
        let mut vectors = Vec::new();
        loop {
            progress.at(self.row)?;
            let rows = self.source.read(self.source.batch(), &mut vectors)?;
            if rows == 0 {
                return Ok(());
            }
            if let Some(at) = kernels::first_not_finite(&vectors) {
                return Err(self.not_finite(at / self.source.dim(), at % self.source.dim(), vectors[at]));
            }
            if let (Some(ids), false) = (self.next_ids(rows)?, resume) {
                self.refuse_stored(store, &ids)?;
            }
            self.row += rows as u64;
        }
    }

    /// Fails if one of `ids` is in the store.
    fn refuse_stored(&self, store: &Store, ids: &[u64]) -> Outcome<()> {
        let mut stored = vec![0; ids.len()];
        store.contains(ids, &mut stored)?;
        match stored.iter().position(|flag| *flag == 1) {
            None => Ok(()),
            Some(position) => {
                Err(self.locate(Error::DuplicateId { id: ids[position], position, place: "already stored" }))
            }
        }
    }

    /// The failure for an `error` of the library about the rows from `self.row` on, with the file and the position in
    /// it.
    fn locate(&self, error: Error) -> Failure {
        let (name, row) = (self.source.name().to_owned(), self.row);
        match error {
            Error::NotFinite { row, column, value } => self.not_finite(row, column, value),
            Error::DuplicateId { id, position, place } => {
                let status = error.status();
                let message = format!("{name}: vector {}: id {id} is {place}", row + position as u64);
                Failure { status, message }
            }
            other => other.into(),
        }
    }

    fn not_finite(&self, row: usize, column: usize, value: f32) -> Failure {
        let status = Error::NotFinite { row, column, value }.status();
        let (name, place) = (self.source.name(), self.source.place(self.row + row as u64, column));
        Failure { status, message: format!("{name}: {place}: found {value}, expected a finite number") }
    }
}

/// Inserts every vector of `input`; with `resume`, only those whose ids are not in the store.
fn insert_all(store: &Store, input: &mut Input, resume: bool, progress: &Progress, done: &mut Done) -> Outcome<()> {
    let mut vectors = Vec::new();
    loop {
        progress.at(done.rows)?;
        let rows = input.source.read(input.source.batch(), &mut vectors)?;
        if rows == 0 {
            return Ok(());
        }
        let mut ids = input.next_ids(rows)?;
        if let (Some(ids), true) = (&mut ids, resume) {
            keep_new(store, ids, &mut vectors)?;
        }
        let first = store.insert(ids.as_deref(), &vectors).map_err(|error| input.locate(error))?;
        input.row += rows as u64;
        done.rows += rows as u64;
        done.inserted += (vectors.len() / input.source.dim()) as u64;
        done.first_id.get_or_insert(first);
    }
}

/// Removes from `ids` and `vectors: [ids][dim]` those that are in the store.
fn keep_new(store: &Store, ids: &mut Vec<u64>, vectors: &mut Vec<f32>) -> Outcome<()> {
    let dim = store.dim() as usize;
    let mut stored = vec![0; ids.len()];
    store.contains(ids, &mut stored)?;
    let new: Vec<usize> = (0..ids.len()).filter(|row| stored[*row] == 0).collect();
    *vectors = new.iter().flat_map(|row| &vectors[row * dim..(row + 1) * dim]).copied().collect();
    *ids = new.iter().map(|row| ids[*row]).collect();
    Ok(())
}
