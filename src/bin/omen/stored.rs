//! The vectors of a store as a source, in order of id.

use crate::failure::Outcome;
use crate::files::Source;
use omen::store::Store;
use std::path::Path;

/// Ids that are read at a time to skip vectors.
const SKIPPED: u64 = 1 << 16;

/// An open store that is read from its first id on.
pub struct Stored {
    store: Store,
    name: String,
    count: u64,
    /// Where `Store::list` goes on.
    position: u64,
    ids: Vec<u64>,
}

impl Stored {
    pub fn new(store: Store, path: &Path) -> Stored {
        let (name, count) = (path.display().to_string(), store.count());
        Stored { store, name, count, position: 0, ids: Vec::new() }
    }
}

impl Source for Stored {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.store.dim() as usize
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn is_counted(&self) -> bool {
        true
    }

    fn set_count(&mut self, count: u64) {
        self.count = count;
    }

    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize> {
        let dim = self.dim();
        self.ids.resize(rows, 0);
        vectors.resize(rows * dim, 0.0);
        let read = self.store.list(&mut self.position, &mut self.ids, Some(vectors))?;
        vectors.truncate(read * dim);
        Ok(read)
    }

    fn skip(&mut self, mut rows: u64) -> Outcome<()> {
        while rows > 0 {
            self.ids.resize(rows.min(SKIPPED) as usize, 0);
            let skipped = self.store.list(&mut self.position, &mut self.ids, None)? as u64;
            if skipped == 0 {
                return Ok(());
            }
            rows -= skipped;
        }
        Ok(())
    }

    fn place(&self, row: u64, column: usize) -> String {
        format!("vector {row}, component {column}")
    }
}
