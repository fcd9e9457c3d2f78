//! The interface of a file of vectors of any format: a source to read and a sink to write.

use crate::failure::Outcome;

/// Bytes of the floats of one batch: small enough to stay in the cache between file and store.
const BATCH_BYTES: usize = 256 << 10;

/// A file of vectors that is read in order.
pub trait Source {
    /// Name of the file, for messages.
    fn name(&self) -> &str;
    /// Floats per vector.
    fn dim(&self) -> usize;
    /// Vectors in the file; if only its end tells, those that were read.
    fn count(&self) -> u64;
    /// True if [`Source::count`] is that of the whole file.
    fn is_counted(&self) -> bool;
    /// Sets the count of a file of which only the end tells it.
    fn set_count(&mut self, count: u64);
    /// Replaces the contents of `vectors: [rows][dim]` by the next vectors. Returns how many, at most `rows`; 0 at the
    /// end.
    fn read(&mut self, rows: usize, vectors: &mut Vec<f32>) -> Outcome<usize>;
    /// Skips the next `rows` vectors, or all that are left.
    fn skip(&mut self, rows: u64) -> Outcome<()>;
    /// The position of component `column` of vector `row`, for messages.
    fn place(&self, row: u64, column: usize) -> String;

    /// The position of vector `row`, one of those read last, for messages.
    fn row(&self, row: u64) -> String {
        format!("vector {row}")
    }

    /// The ids of the vectors that were read last, if the file has ids and they were asked for.
    fn ids(&self) -> Option<&[u64]> {
        None
    }

    /// Columns that are neither vectors nor ids.
    fn ignored(&self) -> Vec<String> {
        Vec::new()
    }

    /// Number of vectors in one batch.
    fn batch(&self) -> usize {
        (BATCH_BYTES / (self.dim() * 4)).max(1)
    }
}

/// A file of vectors that is written.
pub trait Sink {
    /// Appends `vectors: [ids][dim]`.
    fn write(&mut self, ids: &[u64], vectors: &[f32]) -> Outcome<()>;
    /// True if the reader of a pipe has closed it: nothing more needs to be written.
    fn is_closed(&self) -> bool {
        false
    }

    /// Writes the rest and makes the file durable under its name.
    fn finish(self: Box<Self>) -> Outcome<()>;
}

/// Number, dim and type of the vectors of a new file.
#[derive(Clone, Copy, Debug)]
pub struct FileShape {
    pub count: u64,
    pub dim: usize,
    /// f16 instead of f32 components, in .npy only.
    pub is_half: bool,
}
