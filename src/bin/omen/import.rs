//! `omen import`: a file of vectors into a store, all of it or nothing.
//!
//! A new store is filled under another name and renamed when it is whole ([`Draft`]). A store that is there gets its
//! vectors after a first pass has found nothing wrong with any of them; what fails after that is deleted again.

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

/// Bring the vectors of a file into a store, which is made if it is not there
///
/// All or nothing: a file that is malformed, cut or holds a NaN, Ctrl-C and a full disk leave no new store, and leave a
/// store that was there with the vectors it had. A crash (power, kill -9) while a new store is made leaves the directory
/// .NAME.importing beside it, which the next import removes. A crash while a store is added to may leave the first vectors
/// of the file in it: the same command with --resume and the ids that were printed brings in the rest.
#[derive(Args)]
pub struct Import {
    /// Directory of the store
    store: PathBuf,
    /// File of vectors: .npy (f32, f16), .fvecs, .bvecs, .fbin, .u8bin, .i8bin, .parquet where it is built in
    file: PathBuf,
    /// Format of the file, if its name does not say it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Column of a parquet file; needed where several are lists of floats
    #[arg(long)]
    column: Option<String>,
    /// Distance of searches; l2 in a new store, and that of the store otherwise
    #[arg(long, value_parser = store::metric())]
    metric: Option<Metric>,
    /// Id of the first vector, the others counting up; without, behind the largest id there ever was
    #[arg(long, conflicts_with = "ids")]
    first_id: Option<u64>,
    /// File of ids: .npy, .ivecs, .ibin, one for each vector
    #[arg(long)]
    ids: Option<PathBuf>,
    /// Pass over vectors whose ids are in the store; goes with --first-id or --ids
    #[arg(long)]
    resume: bool,
}

impl Import {
    pub fn run(self) -> Outcome<Answer> {
        if self.resume && self.first_id.is_none() && self.ids.is_none() {
            return Err(Failure::argument("--resume: found no ids, expected --first-id or --ids"));
        }
        let begin = Instant::now();
        let mut input = self.input()?;
        let (vectors, dim) = (input.source.count(), input.source.dim());
        let done = if is_absent(&self.store) { self.make(&mut input)? } else { self.add(input)? };
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
            return Err(Failure::argument(format!("--first-id {first}: {count} ids from there are above 2^64 - 2")));
        }
        Ok(Input { source, ids, row: 0 })
    }

    /// Makes a new store.
    fn make(&self, input: &mut Input) -> Outcome<Done> {
        let metric = self.metric;
        let options = Options { metric, mode: Mode::CreateNew, ..Options::default() };
        let draft = Draft::begin(&self.store, input.source.dim() as u32, &options)?;
        let progress = Progress::new("import", input.source.count());
        let mut done = Done::default();
        insert_all(&draft.store, input, false, &progress, &mut done)?;
        draft.finish()?;
        Ok(done)
    }

    /// Adds to a store that is there.
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

    /// Deletes what was inserted before `failure`, and returns that.
    fn undo(&self, store: Store, done: &Done, failure: Failure) -> Failure {
        // What failed to write takes no more writes; opened again, the store has recovered.
        drop(store);
        match self.delete(done) {
            Ok(()) => failure,
            Err(second) => {
                let message =
                    format!("{}; the first {} vectors stay, for: {}", failure.message, done.rows, second.message);
                Failure { message, ..failure }
            }
        }
    }

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

/// True if nothing is at `path`, or an empty directory.
fn is_absent(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn open_ids(path: &Path, source: &dyn Source) -> Outcome<Integers> {
    let ids = Integers::open(path)?;
    let (rows, columns, expected) = (ids.rows(), ids.columns(), source.count());
    if rows != expected || columns != 1 {
        let expected = format!("expected {expected} rows of 1, as {} has vectors", source.name());
        return Err(Failure::file(ids.name(), format!("found {rows} rows of {columns} ids, {expected}")));
    }
    Ok(ids)
}

/// How far an import has come.
#[derive(Default)]
struct Done {
    /// Vectors of the file that the store took in, or had.
    rows: u64,
    inserted: u64,
    first_id: Option<u64>,
}

/// Where ids come from.
enum Ids {
    OfStore,
    From(u64),
    File(Integers),
}

/// A file that is imported, with its ids.
struct Input {
    source: Box<dyn Source>,
    ids: Ids,
    /// The next row.
    row: u64,
}

impl Input {
    /// The ids of the next `rows` vectors; none where the store gives them.
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

    /// Reads the file to its end, and finds every fault that can be found without writing.
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

    fn refuse_stored(&self, store: &Store, ids: &[u64]) -> Outcome<()> {
        let mut stored = vec![0; ids.len()];
        store.contains(ids, &mut stored)?;
        match stored.iter().position(|flag| *flag == 1) {
            None => Ok(()),
            Some(position) => {
                Err(self.named(Error::DuplicateId { id: ids[position], position, place: "already stored" }))
            }
        }
    }

    /// An error of the library about the rows from `self.row` on, with the file and the place in it.
    fn named(&self, error: Error) -> Failure {
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

/// Inserts every vector of `input`; with `resume`, those whose ids the store does not have.
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
        let first = store.insert(ids.as_deref(), &vectors).map_err(|error| input.named(error))?;
        input.row += rows as u64;
        done.rows += rows as u64;
        done.inserted += (vectors.len() / input.source.dim()) as u64;
        done.first_id.get_or_insert(first);
    }
}

/// Keeps those of `ids` and `vectors: [ids][dim]` that the store does not have.
fn keep_new(store: &Store, ids: &mut Vec<u64>, vectors: &mut Vec<f32>) -> Outcome<()> {
    let dim = store.dim() as usize;
    let mut stored = vec![0; ids.len()];
    store.contains(ids, &mut stored)?;
    let new: Vec<usize> = (0..ids.len()).filter(|row| stored[*row] == 0).collect();
    *vectors = new.iter().flat_map(|row| &vectors[row * dim..(row + 1) * dim]).copied().collect();
    *ids = new.iter().map(|row| ids[*row]).collect();
    Ok(())
}
