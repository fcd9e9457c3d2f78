//! Compress and compact: which rows become what, and the swap.
//!
//! Both work on a frozen state while inserts, upserts and deletes go on. Rows hidden meanwhile are carried over at the
//! swap, which is one manifest: a crash anywhere leaves all-old or all-new.

use super::Store;
use super::rewrite::{Rewrite, Target};
use crate::codec::Codebook;
use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, Kind, Manifest, Measured, ROWS_MAX, SegmentEntry, align};
use crate::ids;
use crate::segment::coded_file_bytes;
use crate::snapshot::{Live, Scratch, Snapshot};
use crate::tombstones::{self, Tombstones};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Number of the codec in reports: product quantization with 16 codewords.
const CODEC_PQ4: i32 = 1;
/// A subspace has 16 codewords: fewer vectors than that cannot place them.
const TRAINING_ROWS_MIN: u64 = 16;
/// Rows trained on when the caller does not say.
const SAMPLE_ROWS: u64 = 50_000;
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
    /// Told (done, total); `true` cancels, and the store stays as it was.
    pub progress: Option<&'a mut dyn FnMut(u64, u64) -> bool>,
}

impl Default for CompressOptions<'_> {
    fn default() -> Self {
        CompressOptions { ratio: RATIO_DEFAULT, sample: 0, seed: 0, threads: 0, progress: None }
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
    /// Which codec.
    pub codec: i32,
}

/// What becomes of a frozen state: the segments that stay, and what the others turn into.
struct Plan {
    source: Snapshot,
    book: Arc<Codebook>,
    /// Ids of the segments the new file replaces.
    replaces: Vec<u64>,
}

/// Progress of one compress: training and encoding count one step a vector each.
struct Progress<'a, 'b> {
    report: Option<&'a mut (dyn FnMut(u64, u64) -> bool + 'b)>,
    rows: u64,
}

impl Progress<'_, '_> {
    fn tell(&mut self, done: u64) -> Result<()> {
        let total = self.rows * 2;
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
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes_before = self.bytes_on_disk()?;
        let (frozen, base) = self.freeze()?;
        let vectors = frozen.view().count();
        if vectors < TRAINING_ROWS_MIN {
            return Err(Error::TooFewVectors { found: vectors, needed: TRAINING_ROWS_MIN });
        }
        let mut progress = Progress { report: options.progress.as_deref_mut(), rows: vectors };
        let plan = plan(&frozen, &base, options.ratio, options.sample, options.seed, &mut progress)?;
        let coded = Target::Coded(Arc::clone(&plan.book));
        let threads = self.thread_count(options.threads);
        let done_before = progress.rows;
        let told = &mut |rows| progress.tell(done_before + rows);
        let live = self.write_segment(&plan.source, Kind::Code, coded, threads, told)?;
        self.swap(&frozen, &plan.replaces, live)?;
        let bytes_after = self.bytes_on_disk()?;
        let measured = self.measured()?;
        let relative_mse = if measured.energy > 0.0 { measured.error / measured.energy } else { 0.0 };
        Ok(CompressReport {
            vectors,
            bytes_before,
            bytes_after,
            code_bytes: plan.book.row_bytes() as u64,
            codebook_bytes: 2 * plan.book.to_bytes().len() as u64,
            relative_mse,
            worst_relative_error: measured.worst,
            ratio: (vectors * u64::from(self.dim) * 4) as f64 / bytes_after as f64,
            seconds: begin.elapsed().as_secs_f64(),
            codec: CODEC_PQ4,
        })
    }

    /// Drops deleted and superseded vectors and gives their bytes back. Durable when it returns; all-old or all-new.
    pub fn compact(&self) -> Result<()> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let (frozen, _) = self.freeze()?;
        let (raw, coded): (Vec<_>, Vec<_>) = frozen.segments.iter().cloned().partition(|live| live.codebook.is_none());
        let is_tidy = |group: &[Arc<Live>]| match group {
            [] => true,
            [live] => live.hidden.count() == 0,
            _ => false,
        };
        if !is_tidy(&raw) {
            self.compact_group(&frozen, raw, Kind::Raw, Target::Raw)?;
        }
        for group in by_codebook(coded) {
            if let (false, Some(book)) = (is_tidy(&group), group.first().and_then(|live| live.codebook.clone())) {
                self.compact_group(&frozen, group, Kind::Code, Target::Coded(book))?;
            }
        }
        Ok(())
    }

    fn compact_group(&self, frozen: &Snapshot, group: Vec<Arc<Live>>, kind: Kind, target: Target) -> Result<()> {
        let replaced: Vec<u64> = group.iter().map(|live| live.segment.entry().id).collect();
        let live = self.write_segment(&subset(frozen, group), kind, target, self.thread_count(0), &mut |_| Ok(()))?;
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
        let row_bytes = match &target {
            Target::Raw => u64::from(self.dim) * 4,
            Target::Coded(book) => book.row_bytes() as u64,
        };
        let header = self.write(|writer| {
            writer.expect_space(rows * row_bytes + ids::packed_bytes_max(rows) + 64 * BLOCK_BYTES as u64)?;
            let id = writer.new_file();
            Ok(writer.header(kind, id))
        })?;
        let work = Rewrite { dir: self.dir.as_ref(), header, source, target, threads };
        let Some(entry) = work.run(progress)? else { return Ok(None) };
        super::open::open_live(self.dir.as_ref(), &entry, self.dim, Tombstones::default()).map(Some)
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

    /// The error of all codes, as measured when they were made.
    fn measured(&self) -> Result<Measured> {
        let mut sum = Measured::default();
        for live in self.shared_state()?.segments.iter().filter(|live| live.codebook.is_some()) {
            let measured = live.segment.footer().measured;
            sum.energy += measured.energy;
            sum.error += measured.error;
            sum.worst = sum.worst.max(measured.worst);
        }
        Ok(sum)
    }

    fn thread_count(&self, asked: u32) -> usize {
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

/// The state that holds these segments only.
fn subset(frozen: &Snapshot, segments: Vec<Arc<Live>>) -> Snapshot {
    Snapshot::sealed(frozen.generation, frozen.dim, segments)
}

/// Segments of the same book together; each group shares one `Arc` of it, so that codes are known to be copies.
fn by_codebook(coded: Vec<Arc<Live>>) -> Vec<Vec<Arc<Live>>> {
    let mut groups: Vec<(Vec<u8>, Vec<Arc<Live>>)> = Vec::new();
    for live in coded {
        let bytes = live.codebook.as_ref().map_or_else(Vec::new, |book| book.to_bytes());
        match groups.iter_mut().find(|(other, _)| *other == bytes) {
            Some((_, group)) => {
                let codebook = group[0].codebook.clone();
                group.push(Arc::new(Live { codebook, ..Live::clone(&live) }));
            }
            None => groups.push((bytes, vec![live])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Chooses between going on with the book the store has and training a new one.
///
/// With more coded rows than raw ones, the raw ones join the codes under the book there is, if that meets the ratio: no
/// vector is coded twice. With more raw ones, coded segments that meet the ratio by themselves stay, and the raw rows get
/// a book of their own. Otherwise everything is coded anew, the codes from their decoded vectors.
fn plan(
    frozen: &Snapshot,
    manifest: &Manifest,
    ratio: f64,
    sample: u64,
    seed: u64,
    progress: &mut Progress,
) -> Result<Plan> {
    let (raw, coded): (Vec<_>, Vec<_>) = frozen.segments.iter().cloned().partition(|live| live.codebook.is_none());
    let rows = |group: &[Arc<Live>]| group.iter().map(|live| live.count()).sum::<u64>();
    let (raw_rows, coded_rows) = (rows(&raw), rows(&coded));
    let row_raw = frozen.dim as u64 * 4;
    let budget = (((raw_rows + coded_rows) * row_raw) as f64 / ratio) as u64;
    let manifests = 2 * manifest_bytes(manifest);
    let all_ids = ids_bytes(frozen)?;
    if let Some(newest) = coded.last().and_then(|live| live.codebook.clone())
        && coded_rows >= raw_rows
    {
        let (row, book) = (newest.row_bytes() as u64, newest.to_bytes().len() as u64);
        if coded_file_bytes(raw_rows + coded_rows, row, book, all_ids) + manifests <= budget {
            let segments = raw.into_iter().chain(by_codebook(coded).into_iter().flatten()).collect();
            return Ok(whole_plan(frozen, segments, newest));
        }
    }
    let kept: u64 = coded.iter().map(|live| align(live.segment.entry().length, BLOCK_BYTES as u64)).sum();
    if raw_rows >= TRAINING_ROWS_MIN && coded_rows > 0 {
        let source = subset(frozen, raw.clone());
        let hidden = tombstones::stored_bytes(coded.iter().map(|live| &live.hidden));
        let room = budget.saturating_sub(kept + hidden + manifests);
        if let Ok(symbols) = symbols_within(frozen.dim, raw_rows, ids_bytes(&source)?, room) {
            let book = train(&source, symbols, sample, seed, progress)?;
            return Ok(whole_plan(frozen, raw, book));
        }
    }
    let symbols = symbols_within(frozen.dim, raw_rows + coded_rows, all_ids, budget.saturating_sub(manifests));
    let symbols = symbols.map_err(|least| {
        let reachable = ((raw_rows + coded_rows) * row_raw) as f64 / (least + manifests) as f64;
        let count = raw_rows + coded_rows;
        let what = format!("ratio {ratio}: {count} vectors of dim {} reach {reachable:.3} at most", frozen.dim);
        Error::InvalidArgument(what)
    })?;
    let book = train(frozen, symbols, sample, seed, progress)?;
    Ok(whole_plan(frozen, frozen.segments.clone(), book))
}

fn whole_plan(frozen: &Snapshot, segments: Vec<Arc<Live>>, book: Arc<Codebook>) -> Plan {
    let replaces = segments.iter().map(|live| live.segment.entry().id).collect();
    // Segments of an equal book hold the one `Arc`, so their codes are copied.
    let bytes = book.to_bytes();
    let shared = |live: &Arc<Live>| match &live.codebook {
        Some(own) if own.to_bytes() == bytes => {
            Arc::new(Live { codebook: Some(Arc::clone(&book)), ..Live::clone(live) })
        }
        _ => Arc::clone(live),
    };
    let source = subset(frozen, segments.iter().map(shared).collect());
    Plan { source, book, replaces }
}

/// Bytes of one manifest once the new segment is listed.
fn manifest_bytes(manifest: &Manifest) -> u64 {
    let mut next = manifest.clone();
    next.files.push(SegmentEntry { kind: Kind::Code, id: 0, length: 0, rows: 0, root: 0 });
    next.encode().len() as u64
}

/// Exact bytes of the id section for the live rows of a state.
fn ids_bytes(state: &Snapshot) -> Result<u64> {
    let view = state.view();
    let mut all: Vec<u64> = Vec::new();
    loop {
        let batch = view.in_order(all.last().map_or(0, |last| last + 1), 1 << 16)?;
        if batch.is_empty() {
            return Ok(ids::encode(&all, &[]).len() as u64);
        }
        all.extend(batch.into_iter().map(|(id, _)| id));
    }
}

/// The most symbols a code may have so that the file takes at most `room` bytes; the least possible bytes where even the
/// shortest code does not fit.
fn symbols_within(dim: usize, rows: u64, ids_bytes: u64, room: u64) -> std::result::Result<usize, u64> {
    let bytes = |symbols: usize| {
        coded_file_bytes(rows, symbols.div_ceil(2) as u64, Codebook::stored_bytes(dim, symbols) as u64, ids_bytes)
    };
    let (mut fits, mut too_many) = (0, dim + 1);
    while too_many - fits > 1 {
        let middle = (fits + too_many) / 2;
        if bytes(middle) <= room { fits = middle } else { too_many = middle }
    }
    if fits == 0 { Err(bytes(1)) } else { Ok(fits) }
}

/// Trains a book on an even sample of the live rows of `source`, decoded where they are codes.
fn train(source: &Snapshot, symbols: usize, sample: u64, seed: u64, progress: &mut Progress) -> Result<Arc<Codebook>> {
    let rows = source.view().count();
    let asked = if sample == 0 { SAMPLE_ROWS } else { sample.max(TRAINING_ROWS_MIN) };
    let vectors = sample_rows(source, rows, asked.min(rows), seed)?;
    let total_rows = progress.rows;
    let mut told = |done: u64, total: u64| progress.tell(total_rows * done / total.max(1)).is_err();
    Codebook::train(&vectors, source.dim, symbols, seed, &mut told).map(Arc::new).map_err(|error| match error {
        Error::Cancelled { done, total } => {
            Error::Cancelled { done: total_rows * done / total.max(1), total: total_rows * 2 }
        }
        other => other,
    })
}

/// `wanted` of the live rows, one from each of as many equal stretches: neighbours in a file are often alike.
fn sample_rows(source: &Snapshot, rows: u64, wanted: u64, seed: u64) -> Result<Vec<f32>> {
    let mut vectors = Vec::with_capacity(wanted as usize * source.dim);
    let mut scratch = Scratch::default();
    let (mut index, mut taken) = (0, 0);
    let place_in = |stretch: u64| {
        let (begin, end) = (stretch * rows / wanted, (stretch + 1) * rows / wanted);
        let mixed = (stretch ^ seed).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        begin + mixed % (end - begin)
    };
    for live in &source.segments {
        for row in (0..live.segment.rows()).filter(|row| !live.hidden.hides(*row)) {
            if taken < wanted && index == place_in(taken) {
                vectors.resize(vectors.len() + source.dim, 0.0);
                let start = vectors.len() - source.dim;
                live.read(row, &mut scratch, &mut vectors[start..])?;
                taken += 1;
            }
            index += 1;
        }
    }
    Ok(vectors)
}
