//! `omen import`: inserts the vectors of a file into a store, all of them or none.
//!
//! A new store is filled under another name and renamed when it is complete ([`Draft`]). For an existing store the file
//! is read twice: first to check every vector, then to insert them; a pipe is copied into an unnamed file for that. If
//! inserting fails, the vectors inserted are deleted.

mod draft;

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::files;
use crate::progress::Progress;
use crate::rows::{Ids, Origins, RowArguments, Rows};
use crate::store::{self, check_dim, open};
use clap::Args;
use draft::Draft;
use omen::error::Error;
use omen::metric::Metric;
use omen::os::parent_of;
use omen::store::{Mode, Options, Store};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Import the vectors of a file into a store; the store is created if there is none
///
/// Ids are those of the file: the column `id` (--id-column names another one), or those of --ids or --first-id. A file
/// without ids gets ids behind the largest one the store ever had. Columns that are not read are named on stderr.
///
/// All or nothing: after a malformed or truncated file, a NaN, Ctrl-C or a full disk there is no new store, and an
/// existing store has the vectors it had. After a crash (power, kill -9) a new store is left as .NAME.importing, which
/// the next import removes. An existing store may then hold the first vectors of the file: run the same command again
/// with --resume, and with --first-id and the id that was printed if the file has no ids, to import the rest.
#[derive(Args)]
pub struct Import {
    /// Directory of the store
    store: PathBuf,
    #[command(flatten)]
    rows: RowArguments,
    /// Distance metric of searches; default: l2 in a new store, else that of the store
    #[arg(long, value_parser = store::metric())]
    metric: Option<Metric>,
    /// Skip vectors whose ids are in the store; needs ids in the file, --first-id or --ids
    #[arg(long)]
    resume: bool,
}

impl Import {
    pub fn run(self) -> Outcome<Answer> {
        let begin = Instant::now();
        let is_new = is_absent(&self.store);
        let mut origins = Origins::new(&self.rows)?;
        if !is_new {
            origins.keep(parent_of(&self.store))?;
        }
        let rows = origins.open()?;
        if self.resume && matches!(rows.ids, Ids::OfStore) {
            let what = "--resume: found no ids, expected them in the file, --first-id or --ids as well";
            return Err(Failure::argument(what));
        }
        files::tell_ignored(rows.source.as_ref());
        let dim = rows.source.dim();
        let done = if is_new { self.create(rows)? } else { self.add(&origins, rows)? };
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Answer::of_figures(json!({
            "imported": done.inserted,
            "already_there": done.rows - done.inserted,
            "dim": dim,
            "first_id": done.first_id,
            "seconds": rounded(seconds),
            "vectors_per_second": (done.rows as f64 / seconds).round(),
        })))
    }

    /// Imports into a new store.
    fn create(&self, mut rows: Rows) -> Outcome<Done> {
        let metric = self.metric;
        let options = Options { metric, mode: Mode::CreateNew, ..Options::default() };
        let draft = Draft::create(&self.store, rows.source.dim() as u32, &options)?;
        let progress = Progress::new("import", rows.source.count());
        let mut done = Done::default();
        insert_all(&draft.store, &mut rows, false, &progress, &mut done)?;
        draft.finish()?;
        Ok(done)
    }

    /// Imports into an existing store.
    fn add(&self, origins: &Origins<'_>, mut rows: Rows) -> Outcome<Done> {
        let store = open(&self.store, Mode::ReadWrite, self.metric, 0)?;
        check_dim(rows.source.as_ref(), &store)?;
        rows.check_all(|rows, ids| if self.resume { Ok(()) } else { refuse_stored(rows, &store, ids) })?;
        if matches!(rows.ids, Ids::OfStore) {
            eprintln!("omen: {} vectors from id {} on", rows.source.count(), store.insert(None, &[])?);
        }
        let progress = Progress::new("import", rows.source.count());
        let mut done = Done::default();
        let mut rows = origins.open()?;
        let inserted = insert_all(&store, &mut rows, self.resume, &progress, &mut done);
        match inserted.and_then(|()| Ok(store.commit()?)) {
            Ok(()) => store.close()?,
            Err(failure) if self.resume => return Err(failure),
            Err(failure) => return Err(self.undo(origins, store, &done, failure)),
        }
        Ok(done)
    }

    /// Deletes the vectors inserted before `failure`, and returns it.
    fn undo(&self, origins: &Origins<'_>, store: Store, done: &Done, failure: Failure) -> Failure {
        // A store handle whose write failed refuses further writes; opening again recovers.
        drop(store);
        match self.delete(origins, done) {
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
    fn delete(&self, origins: &Origins<'_>, done: &Done) -> Outcome<()> {
        let store = open(&self.store, Mode::ReadWrite, None, 0)?;
        let mut rows = origins.open()?;
        if matches!(rows.ids, Ids::OfStore) {
            rows.ids = Ids::From(done.first_id.unwrap_or(0));
        }
        let (mut left, mut vectors) = (done.rows, Vec::new());
        while left > 0 {
            let (read, ids) = rows.read(&mut vectors)?;
            let mut ids = ids.unwrap_or_default();
            ids.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            store.delete(&ids)?;
            left = if read == 0 { 0 } else { left - ids.len() as u64 };
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

/// Progress of an import.
#[derive(Default)]
struct Done {
    /// Vectors of the file that were inserted, or skipped because they were in the store.
    rows: u64,
    inserted: u64,
    first_id: Option<u64>,
}

/// Fails if one of `ids`, which were read last, is in the store.
fn refuse_stored(rows: &Rows, store: &Store, ids: &[u64]) -> Outcome<()> {
    let mut stored = vec![0; ids.len()];
    store.contains(ids, &mut stored)?;
    match stored.iter().position(|flag| *flag == 1) {
        None => Ok(()),
        Some(position) => Err(rows.locate(Error::DuplicateId { id: ids[position], position, place: "already stored" })),
    }
}

/// Inserts every vector of `rows`; with `resume`, only those whose ids are not in the store.
fn insert_all(store: &Store, rows: &mut Rows, resume: bool, progress: &Progress, done: &mut Done) -> Outcome<()> {
    let mut vectors = Vec::new();
    loop {
        progress.at(done.rows)?;
        let (read, mut ids) = rows.read(&mut vectors)?;
        if read == 0 {
            return Ok(());
        }
        if let (Some(ids), true) = (&mut ids, resume) {
            keep_new(store, ids, &mut vectors)?;
        }
        let first = store.insert(ids.as_deref(), &vectors).map_err(|error| rows.locate(error))?;
        done.rows += read as u64;
        done.inserted += (vectors.len() / rows.source.dim()) as u64;
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
