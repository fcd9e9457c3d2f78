//! `omen upsert`: inserts the vectors of a file and replaces those whose ids are in the store.

use crate::answer::{Answer, rounded};
use crate::failure::{Failure, Outcome};
use crate::files;
use crate::progress::Progress;
use crate::rows::{Ids, Origins, RowArguments, Rows};
use crate::store::{check_dim, open};
use clap::Args;
use omen::os::parent_of;
use omen::store::{Mode, Store};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

/// Insert the vectors of a file and replace those whose ids are in the store
///
/// The ids are those of the file (see `omen import`), --ids or --first-id. If an id is there several times, its last
/// vector stays. The file is checked as a whole before anything changes. After Ctrl-C, a crash or a full disk the store
/// has the first vectors of the file: run the same command again.
#[derive(Args)]
pub struct Upsert {
    /// Directory of the store, which must exist
    store: PathBuf,
    #[command(flatten)]
    rows: RowArguments,
}

impl Upsert {
    pub fn run(self) -> Outcome<Answer> {
        let begin = Instant::now();
        let store = open(&self.store, Mode::ReadWrite, None, 0)?;
        let mut origins = Origins::new(&self.rows)?;
        origins.keep(parent_of(&self.store))?;
        let mut rows = origins.open()?;
        if matches!(rows.ids, Ids::OfStore) {
            let name = rows.source.name();
            return Err(Failure::argument(format!("{name}: found no ids, expected --id-column, --ids or --first-id")));
        }
        files::tell_ignored(rows.source.as_ref());
        check_dim(rows.source.as_ref(), &store)?;
        rows.check_all(|_, _| Ok(()))?;
        let progress = Progress::new("upsert", rows.source.count());
        let before = store.count();
        let mut done = 0;
        let upserted = upsert_all(&store, &mut origins.open()?, &progress, &mut done);
        upserted.and_then(|()| Ok(store.commit()?)).map_err(|failure| told(failure, done))?;
        let inserted = store.count() - before;
        store.close()?;
        Ok(Answer::of_figures(json!({
            "upserted": done,
            "inserted": inserted,
            "replaced": done - inserted,
            "seconds": rounded(begin.elapsed().as_secs_f64()),
        })))
    }
}

/// Adds to `failure` what the store holds.
fn told(failure: Failure, done: u64) -> Failure {
    let message = format!(
        "{}; the first {done} vectors of the file are in the store: run the same command again for the rest",
        failure.message
    );
    Failure { message, ..failure }
}

fn upsert_all(store: &Store, rows: &mut Rows, progress: &Progress, done: &mut u64) -> Outcome<()> {
    let mut vectors = Vec::new();
    loop {
        progress.at(*done)?;
        let (read, ids) = rows.read(&mut vectors)?;
        if read == 0 {
            return Ok(());
        }
        let mut ids = ids.unwrap_or_default();
        keep_last(&mut ids, &mut vectors, rows.source.dim());
        store.upsert(&ids, &vectors).map_err(|error| rows.locate(error))?;
        *done += read as u64;
    }
}

/// Removes from `ids` and `vectors: [ids][dim]` those that are there again further on.
fn keep_last(ids: &mut Vec<u64>, vectors: &mut Vec<f32>, dim: usize) {
    let last: HashMap<u64, usize> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    if last.len() == ids.len() {
        return;
    }
    let kept: Vec<usize> = (0..ids.len()).filter(|at| last.get(&ids[*at]) == Some(at)).collect();
    *vectors = kept.iter().flat_map(|at| &vectors[at * dim..(at + 1) * dim]).copied().collect();
    *ids = kept.iter().map(|at| ids[*at]).collect();
}
