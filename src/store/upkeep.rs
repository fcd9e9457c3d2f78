//! Compress and compact: which rows become what, and the swap.
//!
//! Both work on a frozen state while inserts, upserts and deletes go on. Rows hidden meanwhile are carried over at the
//! swap, which is one manifest: a crash anywhere leaves all-old or all-new.

use super::Store;
use super::plan::{Wish, file_bytes, plan};
use super::report::Errors;
use super::rewrite::{Rewrite, Target};
use crate::codec::Quality;
use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, Kind, Manifest, ROWS_MAX};
use crate::ids;
use crate::snapshot::{Live, Snapshot};
use crate::tombstones::Tombstones;
use std::sync::Arc;
use std::time::Instant;

/// A symbol has 16 codewords: fewer vectors than that cannot place them.
pub(super) const TRAINING_ROWS_MIN: u64 = 16;
const RATIO_DEFAULT: f64 = 16.0;

/// What `compress` is told.
pub struct CompressOptions<'a> {
    /// Raw float32 bytes ÷ bytes of the whole directory afterwards, at least 1.
    pub ratio: f64,
    /// Vectors trained on; 0: chosen.
    pub sample: u64,
    /// Same store, same seed: same codes.
    pub seed: u64,
    /// Threads used; 0: the store's.
    pub threads: u32,
    /// What encoding may cost.
    pub quality: Quality,
    /// Vectors of which those in the store are a sample: codes are as long as if all of them were there. 0: no sample.
    pub sample_of: u64,
    /// Told (done, total); `true` cancels, and the store stays as it was.
    pub progress: Option<&'a mut dyn FnMut(u64, u64) -> bool>,
}

impl Default for CompressOptions<'_> {
    fn default() -> Self {
        CompressOptions {
            ratio: RATIO_DEFAULT,
            sample: 0,
            seed: 0,
            threads: 0,
            quality: Quality::Normal,
            sample_of: 0,
            progress: None,
        }
    }
}

/// What `compress` did. Bytes are of all files, measured; errors are over every vector.
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
    /// Bytes of the codebook, both copies.
    pub codebook_bytes: u64,
    /// Σ‖x − x̂‖² ÷ Σ‖x‖².
    pub relative_mse: f64,
    /// max ‖x − x̂‖ ÷ ‖x‖.
    pub worst_relative_error: f64,
    /// Raw bytes ÷ `bytes_after`.
    pub ratio: f64,
    /// Wall time.
    pub seconds: f64,
    /// Which codec: the number of its kind of codebook.
    pub codec: i32,
}

/// Progress of one compress: training and encoding count one step a vector each.
pub(super) struct Progress<'a, 'b> {
    report: Option<&'a mut (dyn FnMut(u64, u64) -> bool + 'b)>,
    pub(super) rows: u64,
    told: u64,
}

impl Progress<'_, '_> {
    pub(super) fn tell(&mut self, done: u64) -> Result<()> {
        let total = self.rows * 2;
        // What is done twice is told once.
        self.told = self.told.max(done);
        let done = self.told;
        let cancels = self.report.as_mut().is_some_and(|report| report(done, total));
        if cancels { Err(Error::Cancelled { done, total }) } else { Ok(()) }
    }
}

impl Store {
    /// Rewrites every live vector as a code so that the whole directory takes at most 1 ÷ ratio of the raw bytes.
    /// Durable when it returns; on any error, and after a crash anywhere, the store is as it was.
    pub fn compress(&self, options: &mut CompressOptions) -> Result<CompressReport> {
        let begin = Instant::now();
        if !options.ratio.is_finite() || options.ratio < 1.0 {
            return Err(Error::InvalidArgument(format!("ratio {}: expected a number of at least 1", options.ratio)));
        }
        let _one = self.upkeep.take()?;
        let bytes_before = self.bytes_on_disk()?;
        let (frozen, base) = self.freeze()?;
        let vectors = frozen.view().count();
        if vectors < TRAINING_ROWS_MIN {
            return Err(Error::TooFewVectors { found: vectors, needed: TRAINING_ROWS_MIN });
        }
        let mut progress = Progress { report: options.progress.as_deref_mut(), rows: vectors, told: 0 };
        let CompressOptions { ratio, sample, seed, quality, sample_of, .. } = *options;
        let wish = Wish { ratio, sample, seed, quality, sample_of, metric: self.metric };
        let plan = plan(&frozen, &base, &wish, &mut progress)?;
        let coded = Target::Coded(Arc::clone(&plan.book));
        let threads = self.thread_count(options.threads);
        let done_before = progress.rows;
        let coded_rows = plan.source.view().count().max(1);
        let told = &mut |rows: u64| progress.tell(done_before + rows.min(coded_rows) * done_before / coded_rows);
        let live = self.write_segment(&plan.source, Kind::Code, coded, threads, told)?;
        self.swap(&frozen, &plan.replaces, live)?;
        let bytes_after = self.bytes_on_disk()?;
        let errors = Errors::of(&self.shared_state()?.segments);
        Ok(CompressReport {
            vectors,
            bytes_before,
            bytes_after,
            code_bytes: plan.book.row_bytes() as u64,
            codebook_bytes: 2 * plan.book.to_bytes().len() as u64,
            relative_mse: errors.relative_mse,
            worst_relative_error: errors.worst,
            ratio: (vectors * u64::from(self.dim) * 4) as f64 / bytes_after as f64,
            seconds: begin.elapsed().as_secs_f64(),
            codec: plan.book.codec() as i32,
        })
    }

    /// Drops deleted and superseded vectors and gives their bytes back. Durable when it returns; all-old or all-new.
    pub fn compact(&self) -> Result<()> {
        self.compact_with(&mut |_, _| false)
    }

    /// [`compact`](Store::compact), with `progress` told the vectors rewritten and the most there may be; `true` cancels.
    pub fn compact_with(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<()> {
        let _one = self.upkeep.take()?;
        let (frozen, _) = self.freeze()?;
        let total = frozen.view().count();
        let mut tell = |done| if progress(done, total) { Err(Error::Cancelled { done, total }) } else { Ok(()) };
        let (raw, coded): (Vec<_>, Vec<_>) = frozen.segments.iter().cloned().partition(|live| live.codebook.is_none());
        let is_tidy = |group: &[Arc<Live>]| match group {
            [] => true,
            [live] => live.hidden.count() == 0,
            _ => false,
        };
        if !is_tidy(&raw) {
            self.compact_group(&frozen, raw, Kind::Raw, Target::Raw, &mut tell)?;
        }
        for group in by_codebook(coded) {
            if let (false, Some(book)) = (is_tidy(&group), group.first().and_then(|live| live.codebook.clone())) {
                self.compact_group(&frozen, group, Kind::Code, Target::Coded(book), &mut tell)?;
            }
        }
        Ok(())
    }

    fn compact_group(
        &self,
        frozen: &Snapshot,
        group: Vec<Arc<Live>>,
        kind: Kind,
        target: Target,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let replaced: Vec<u64> = group.iter().map(|live| live.segment.entry().id).collect();
        let live = self.write_segment(&subset(frozen, group), kind, target, self.thread_count(0), progress)?;
        self.swap(frozen, &replaced, live)
    }

    /// Seals what the log holds, so that every row is in a sealed segment, and returns that state.
    fn freeze(&self) -> Result<(Snapshot, Manifest)> {
        self.write(|writer| {
            writer.seal()?;
            Ok((writer.state.copy(), writer.manifest.clone()))
        })
    }

    fn write_segment(
        &self,
        source: &Snapshot,
        kind: Kind,
        target: Target,
        threads: usize,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Live>> {
        let rows = source.view().count();
        if rows > ROWS_MAX {
            return Err(Error::TooBig(format!("{rows} vectors in one file, at most {ROWS_MAX}")));
        }
        let ids_bytes = ids::packed_bytes_max(rows);
        let bytes = match &target {
            Target::Raw => rows * u64::from(self.dim) * 4 + ids_bytes,
            Target::Coded(book) => file_bytes(rows, book.row_bytes() as u64, book.to_bytes().len() as u64, ids_bytes),
        };
        let header = self.write(|writer| {
            writer.expect_space(bytes + 64 * BLOCK_BYTES as u64)?;
            let id = writer.new_file();
            Ok(writer.header(kind, id))
        })?;
        let work = Rewrite { dir: self.dir.as_ref(), header, source, target, threads };
        work.run(progress)
    }

    /// Puts `new` in the place of the segments `replaced`, with what was hidden in them since `frozen`.
    fn swap(&self, frozen: &Snapshot, replaced: &[u64], new: Option<Live>) -> Result<()> {
        self.write(|writer| {
            let mut new = new;
            let now = Arc::clone(&writer.state);
            let is_replaced = |live: &Arc<Live>| replaced.contains(&live.segment.entry().id);
            for live in now.segments.iter().filter(|live| is_replaced(live)) {
                let before = frozen.segments.iter().find(|old| Arc::ptr_eq(&old.segment, &live.segment));
                if let Some(new) = &mut new {
                    carry_over(before.map(|old| &old.hidden), live, new)?;
                }
            }
            let name = new.as_ref().map(|new| new.segment.name().to_owned());
            let kept = now.segments.iter().filter(|live| !is_replaced(live)).cloned();
            let segments = new.into_iter().map(Arc::new).chain(kept).collect();
            let installed = writer.install(segments, false);
            // Where the handle is poisoned a manifest may list the file already.
            if let (Err(_), Some(name), Ok(())) = (&installed, name, writer.check()) {
                writer.forget_file(&name);
            }
            installed
        })
    }

    /// Threads to use where `asked` for so many; 0: what the store was opened with, or one a core.
    pub(super) fn thread_count(&self, asked: u32) -> usize {
        let asked = if asked == 0 { self.threads } else { asked };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if asked == 0 { cores } else { (asked as usize).min(64) }
    }
}

/// Hides in `new` what was hidden in `live` since `before`.
fn carry_over(before: Option<&Tombstones>, live: &Live, new: &mut Live) -> Result<()> {
    for row in live.hidden.rows().filter(|row| !before.is_some_and(|before| before.hides(*row))) {
        if let Some(place) = new.segment.row_of(live.segment.id_of(row)?)? {
            new.hidden.hide(place);
        }
    }
    Ok(())
}

/// Segments of the same book together; each group shares one `Arc` of it, so that codes are known to be copies.
fn by_codebook(coded: Vec<Arc<Live>>) -> Vec<Vec<Arc<Live>>> {
    let mut groups: Vec<Vec<Arc<Live>>> = Vec::new();
    for live in coded {
        match groups.iter_mut().find(|group| group[0].codebook == live.codebook) {
            Some(group) => {
                let codebook = group[0].codebook.clone();
                group.push(Arc::new(Live { codebook, ..Live::clone(&live) }));
            }
            None => groups.push(vec![live]),
        }
    }
    groups
}

/// The state that holds these segments only.
pub(super) fn subset(frozen: &Snapshot, segments: Vec<Arc<Live>>) -> Snapshot {
    Snapshot::sealed(frozen.generation, frozen.dim, segments)
}
