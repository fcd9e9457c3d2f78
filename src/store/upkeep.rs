//! Compress and compact: freeze a state, write new files from it (`compress`), and swap them in.
//!
//! Inserts, upserts and deletes go on meanwhile. Rows hidden since the freeze are hidden in the new files too. The swap
//! stores one manifest: a crash anywhere leaves either all old files or all new ones.

use super::Store;
use super::report::Errors;
use crate::compress::{self, CompressOptions, Limit, Rewrite, RowScales, TRAINING_ROWS_MIN, Target};
use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, Kind, Manifest, ROWS_MAX};
use crate::segment::parity_bytes;
use crate::segment::tombstones::Tombstones;
use crate::snapshot::{SegmentView, Snapshot};
use crate::work::Work;
use std::sync::Arc;
use std::time::Instant;

/// Result of `compress`. Bytes are those of all files; errors cover every vector.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompressReport {
    /// Live vectors.
    pub vectors: u64,
    /// Bytes of the directory before.
    pub bytes_before: u64,
    /// Bytes of the directory after.
    pub bytes_after: u64,
    /// Bytes of one code.
    pub code_bytes: u64,
    /// Bytes of the codebook and of its parity.
    pub codebook_bytes: u64,
    /// Σ‖x − x̂‖² ÷ Σ‖x‖²; for cosine the mean of ‖x − x̂‖² ÷ ‖x‖².
    pub relative_mse: f64,
    /// max ‖x − x̂‖ ÷ ‖x‖.
    pub worst_relative_error: f64,
    /// Raw bytes ÷ `bytes_after`.
    pub ratio: f64,
    /// Wall time.
    pub seconds: f64,
    /// Number of the codec.
    pub codec: i32,
    /// What decided the length of the codes.
    pub limit: Limit,
    /// Relative MSE of rows that were not trained on; NaN if it was not measured.
    pub held_out_relative_mse: f64,
}

impl Store {
    /// Rewrites every live vector as a code so that the whole directory takes at most 1 ÷ ratio of the raw bytes, or, if
    /// no ratio is given, as few as the largest error allows. Durable when it returns. After an error or a crash the store is as it was. Progress counts each vector twice:
    /// for the training and for its code.
    pub fn compress(&self, options: &CompressOptions, work: &mut Work) -> Result<CompressReport> {
        let begin = Instant::now();
        options.check()?;
        let _guard = self.upkeep.acquire()?;
        let bytes_before = self.bytes_on_disk()?;
        let (frozen, base) = self.freeze()?;
        let vectors = frozen.view().count();
        if vectors < TRAINING_ROWS_MIN {
            return Err(Error::TooFewVectors { found: vectors, needed: TRAINING_ROWS_MIN });
        }
        work.begin(2 * vectors, self.threads);
        let plan = compress::plan(&frozen, &base, self.metric, options)?;
        let compress::Trained { book, scales, limit, held_out_relative_mse } =
            work.part((0, 1), 2, |work| compress::train(&plan, options, work))?;
        let target = Target::Coded(Arc::clone(&book), scales);
        let new = work.part((1, 2), 2, |work| self.write_segment(plan.source(), Kind::Code, target, work))?;
        self.swap(&frozen, &plan.replaced(), new.into_iter().collect())?;
        let bytes_after = self.bytes_on_disk()?;
        let errors = Errors::of(&self.shared_state()?.segments);
        let book_bytes = book.as_bytes().len() as u64;
        Ok(CompressReport {
            vectors,
            bytes_before,
            bytes_after,
            code_bytes: book.row_bytes() as u64,
            codebook_bytes: book_bytes + parity_bytes(book_bytes),
            relative_mse: errors.relative_mse,
            worst_relative_error: errors.worst,
            ratio: (vectors * u64::from(self.dim) * 4) as f64 / bytes_after as f64,
            seconds: begin.elapsed().as_secs_f64(),
            codec: book.codec() as i32,
            limit,
            held_out_relative_mse,
        })
    }

    /// Removes deleted and replaced vectors from the files. Durable when it returns. After an error or a crash the
    /// store is as it was. Progress counts vectors.
    pub fn compact(&self, work: &mut Work) -> Result<()> {
        let _guard = self.upkeep.acquire()?;
        let (frozen, _) = self.freeze()?;
        let total = frozen.view().count();
        work.begin(total, self.threads);
        let (mut done, mut replaced, mut new) = (0, Vec::new(), Vec::new());
        for group in by_codebook(&frozen.segments) {
            let part = (done, done + group.iter().map(|segment| segment.count()).sum::<u64>());
            done = part.1;
            if group.len() == 1 && group[0].hidden.count() == 0 {
                continue;
            }
            replaced.extend(group.iter().map(|segment| segment.id()));
            match work.part(part, total, |work| self.join_group(&frozen, group, work)) {
                Ok(joined) => new.extend(joined),
                Err(error) => {
                    new.iter().for_each(|new: &SegmentView| self.forget(new.segment.name()));
                    return Err(error);
                }
            }
        }
        if replaced.is_empty() { Ok(()) } else { self.swap(&frozen, &replaced, new) }
    }

    /// Writes one file of segments that are all raw, or all coded with one codebook.
    fn join_group(
        &self,
        frozen: &Snapshot,
        group: Vec<Arc<SegmentView>>,
        work: &mut Work,
    ) -> Result<Option<SegmentView>> {
        let book = group.first().and_then(|segment| segment.codebook.clone());
        let source = Snapshot::sealed(frozen.generation, frozen.dim, group);
        let (kind, target) = match book {
            Some(book) => {
                let scales = RowScales::new(&source, &book, work)?;
                (Kind::Code, Target::Coded(book, scales))
            }
            None => (Kind::Raw, Target::Raw),
        };
        self.write_segment(&source, kind, target, work)
    }

    /// Removes a new file that no manifest lists. If that fails, the next open does it.
    fn forget(&self, name: &str) {
        let _ = self.dir.remove(name);
    }

    /// Seals the log, so that every row is in a sealed segment, and returns that state.
    fn freeze(&self) -> Result<(Snapshot, Manifest)> {
        self.write(|writer| {
            writer.seal()?;
            Ok((writer.snapshot().copy(), writer.manifest().clone()))
        })
    }

    fn write_segment(
        &self,
        source: &Snapshot,
        kind: Kind,
        target: Target,
        work: &mut Work,
    ) -> Result<Option<SegmentView>> {
        let rows = source.view().count();
        if rows > ROWS_MAX {
            return Err(Error::TooBig(format!("{rows} vectors in one file, at most {ROWS_MAX}")));
        }
        let bytes = target.file_bytes_max(rows, self.dim) + 64 * BLOCK_BYTES as u64;
        let header = self.write(|writer| writer.new_header(kind, bytes))?;
        Rewrite { dir: self.dir.as_ref(), header, source, target }.run(work)
    }

    /// Replaces the segments with the ids `replaced` by `new`, and hides in `new` the rows hidden since `frozen`. After
    /// an error that changed nothing, removes the new files.
    fn swap(&self, frozen: &Snapshot, replaced: &[u64], mut new: Vec<SegmentView>) -> Result<()> {
        let names: Vec<String> = new.iter().map(|new| new.segment.name().to_owned()).collect();
        self.write(|writer| {
            let now = Arc::clone(writer.snapshot());
            let (old, kept): (Vec<_>, Vec<_>) =
                now.segments.iter().cloned().partition(|segment| replaced.contains(&segment.id()));
            let carried = old.iter().try_for_each(|segment| {
                let before = frozen.segments.iter().find(|old| old.id() == segment.id());
                carry_over(before.map(|old| &old.hidden), segment, &mut new)
            });
            let segments = new.into_iter().map(Arc::new).chain(kept).collect();
            let swapped = carried.and_then(|()| writer.swap_segments(segments));
            // If the writer is poisoned, a manifest may already list the files.
            if swapped.is_err() && writer.check().is_ok() {
                names.iter().for_each(|name| self.forget(name));
            }
            swapped
        })
    }
}

/// Hides in the segments `new` the rows that were hidden in `segment` since `before`.
fn carry_over(before: Option<&Tombstones>, segment: &SegmentView, new: &mut [SegmentView]) -> Result<()> {
    for row in segment.hidden.rows().filter(|row| !before.is_some_and(|before| before.hides(*row))) {
        let id = segment.segment.id_of(row)?;
        for new in &mut *new {
            if let Some(row) = new.segment.row_of(id)? {
                new.hidden.hide(row);
            }
        }
    }
    Ok(())
}

/// Groups segments: the raw ones first, then those of each codebook.
fn by_codebook(segments: &[Arc<SegmentView>]) -> Vec<Vec<Arc<SegmentView>>> {
    let book_id = |segment: &SegmentView| segment.codebook.as_ref().map(|book| book.id());
    let mut groups: Vec<Vec<Arc<SegmentView>>> = Vec::new();
    for segment in segments {
        match groups.iter_mut().find(|group| book_id(&group[0]) == book_id(segment)) {
            Some(group) => group.push(Arc::clone(segment)),
            None if segment.codebook.is_none() => groups.insert(0, vec![Arc::clone(segment)]),
            None => groups.push(vec![Arc::clone(segment)]),
        }
    }
    groups
}
