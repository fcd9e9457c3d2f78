//! Writing live rows anew, in order of id, as one sealed file: synced, read back and checked before anyone relies on it.

use super::open::open_live;
use super::threads::in_parallel;
use crate::codec::{Codebook, block};
use crate::error::{Error, Result};
use crate::format::{FileHeader, Measured, SegmentEntry};
use crate::kernels::BLOCK_ROWS;
use crate::os::Dir;
use crate::sealed;
use crate::segment::SegmentWriter;
use crate::snapshot::{Live, Place, Scratch, Snapshot, View};
use crate::tombstones::Tombstones;
use std::sync::Arc;

/// The most rows written at a time, in whole blocks, and about how many bytes their floats take.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 16 << 20;
/// Rows read back and compared after a file is written.
const CHECKED_ROWS: usize = 64;

/// What the rows become.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// They stay as inserted.
    Raw,
    /// Codes of this book; codes of the same book are copied.
    Coded(Arc<Codebook>),
}

/// One file to be written from the live rows of `source`.
#[derive(Debug)]
pub(super) struct Rewrite<'a> {
    pub(super) dir: &'a dyn Dir,
    pub(super) header: FileHeader,
    pub(super) source: &'a Snapshot,
    pub(super) target: Target,
    pub(super) threads: usize,
}

impl Rewrite<'_> {
    /// Writes, syncs, opens and checks the file; `None` where no row is live. `progress` is told the rows done. On an error
    /// no file is left.
    pub(super) fn run(&self, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<Option<Live>> {
        if self.source.view().count() == 0 {
            return Ok(None);
        }
        let written = self.write(progress).and_then(|entry| self.check(entry));
        if written.is_err() {
            // The next open would remove it as well.
            let _ = self.dir.remove(&self.header.kind.file_name(self.header.id));
        }
        written.map(Some)
    }

    fn write(&self, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<SegmentEntry> {
        let mut writer = match &self.target {
            Target::Raw => SegmentWriter::raw(self.dir, self.header.clone())?,
            Target::Coded(book) => {
                let (symbols, side) = (book.symbols() as u32, book.side_bytes() as u32);
                SegmentWriter::coded(self.dir, self.header.clone(), book.to_bytes().to_vec(), symbols, side)?
            }
        };
        let view = self.source.view();
        let mut measured = self.copied_error();
        let mut ids: Vec<u64> = Vec::new();
        let blocks = BATCH_BYTES / (self.source.dim * size_of::<f32>() * BLOCK_ROWS);
        let batch_rows = (blocks * BLOCK_ROWS).clamp(BLOCK_ROWS, BATCH_ROWS);
        loop {
            let from = ids.last().map_or(0, |last| last + 1);
            let batch = view.in_order(from, batch_rows)?;
            if batch.is_empty() {
                if measured.trained == 0.0 {
                    measured.trained = measured.error / ids.len() as f64;
                }
                return writer.finish(&ids, measured);
            }
            match &self.target {
                Target::Raw => batch.iter().try_for_each(|(_, place)| writer.write(view.raw_bytes(*place)?))?,
                Target::Coded(book) => self.write_codes(&mut writer, book, view, &batch, &mut measured)?,
            }
            ids.extend(batch.iter().map(|(id, _)| *id));
            progress(ids.len() as u64)?;
        }
    }

    /// The error of codes that are copied, as it was measured when they were made. Where some of their rows are gone the
    /// sums shrink in proportion.
    fn copied_error(&self) -> Measured {
        let mut sum = Measured::default();
        for live in self.source.segments.iter().filter(|live| self.is_copied(live)) {
            let (measured, share) =
                (live.segment.footer().measured, live.count() as f64 / f64::from(live.segment.rows()));
            sum.energy += measured.energy * share;
            sum.error += measured.error * share;
            sum.worst = sum.worst.max(measured.worst);
            sum.farthest = sum.farthest.max(measured.farthest);
            sum.trained = sum.trained.max(measured.trained);
        }
        sum
    }

    fn is_copied(&self, live: &Live) -> bool {
        matches!((&self.target, &live.codebook), (Target::Coded(book), Some(own)) if Arc::ptr_eq(book, own))
    }

    fn write_codes(
        &self,
        writer: &mut SegmentWriter,
        book: &Codebook,
        view: View,
        batch: &[(u64, Place)],
        measured: &mut Measured,
    ) -> Result<()> {
        let (dim, row_bytes) = (self.source.dim, book.row_bytes());
        let mut codes = vec![0; batch.len() * row_bytes];
        // How far each row is from what was inserted: codes that are coded anew were off before.
        let mut distances = vec![0.0; batch.len()];
        let (mut fresh, mut floats, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
        for (index, (_, place)) in batch.iter().enumerate() {
            if let Place::Sealed(segment, row) = place
                && let live = &self.source.segments[*segment]
                && live.codebook.is_some()
            {
                distances[index] = f64::from(live.segment.bound(row / BLOCK_ROWS as u32)?);
                if self.is_copied(live) {
                    live.code(book, *row, &mut codes[index * row_bytes..(index + 1) * row_bytes])?;
                    continue;
                }
            }
            fresh.push(index);
            floats.resize(floats.len() + dim, 0.0);
            let start = floats.len() - dim;
            view.read(*place, &mut scratch, &mut floats[start..])?;
        }
        let (encoded, errors) = encode(book, &floats, self.threads);
        for ((index, code), error) in fresh.into_iter().zip(encoded.chunks_exact(row_bytes)).zip(errors) {
            codes[index * row_bytes..(index + 1) * row_bytes].copy_from_slice(code);
            distances[index] += error.distance();
            measured.farthest = measured.farthest.max(distances[index]);
            measured.add(error);
        }
        let mut packed = vec![0; block::bytes(row_bytes)];
        for (rows, distances) in codes.chunks(BLOCK_ROWS * row_bytes).zip(distances.chunks(BLOCK_ROWS)) {
            block::pack(rows, book.symbols(), book.side_bytes(), &mut packed);
            writer.write_block(&packed, distances.iter().copied().fold(0.0, f64::max))?;
        }
        Ok(())
    }

    /// Reads the file back: every checksum from the disk, and a sample of rows against their source.
    fn check(&self, entry: SegmentEntry) -> Result<Live> {
        sealed::verify(self.dir, &entry)?;
        let live = open_live(self.dir, &entry, self.header.dim, Tombstones::default())?;
        live.segment.check_header(self.header.store, self.header.metric)?;
        let view = self.source.view();
        let (mut found, mut expected) = (vec![0.0; self.source.dim], vec![0.0; self.source.dim]);
        let mut scratch = Scratch::default();
        let step = (entry.rows as usize).div_ceil(CHECKED_ROWS);
        for row in (0..live.segment.rows()).step_by(step) {
            live.read(row, &mut scratch, &mut found)?;
            let id = live.segment.id_of(row)?;
            let Some(place) = view.locate(id)? else {
                return Err(Error::corrupt(live.segment.name(), format!("row {row} has id {id}, which is not live")));
            };
            view.read(place, &mut scratch, &mut expected)?;
            let is_copy = matches!(place, Place::Sealed(index, _) if self.is_copied(&self.source.segments[index]));
            if let (Target::Coded(book), false) = (&self.target, is_copy) {
                let mut code = vec![0; book.row_bytes()];
                book.encode(&expected, &mut code);
                book.decode(&code, &mut expected);
            }
            if found.iter().zip(&expected).any(|(left, right)| left.to_bits() != right.to_bits()) {
                return Err(Error::corrupt(live.segment.name(), format!("row {row} (id {id}) reads back otherwise")));
            }
        }
        Ok(live)
    }
}

/// What one row became.
#[derive(Clone, Copy, Default)]
pub(super) struct RowError {
    /// ‖x‖².
    energy: f64,
    /// ‖x − x̂‖².
    pub(super) error: f64,
}

impl RowError {
    fn new(row: &[f32], decoded: &[f32]) -> RowError {
        row.iter().zip(decoded).fold(RowError::default(), |sum, (x, decoded)| {
            let (x, off) = (f64::from(*x), f64::from(*x) - f64::from(*decoded));
            RowError { energy: sum.energy + x * x, error: sum.error + off * off }
        })
    }

    /// ‖x − x̂‖, not below it for the rounding of the sum.
    fn distance(&self) -> f64 {
        self.error.sqrt() * (1.0 + 1e-9)
    }
}

impl Measured {
    fn add(&mut self, row: RowError) {
        self.energy += row.energy;
        self.error += row.error;
        if row.energy > 0.0 {
            self.worst = self.worst.max((row.error / row.energy).sqrt());
        }
    }
}

/// Codes of `rows: [n][dim]` and their errors, `[n]`: the same whatever the number of threads.
pub(super) fn encode(book: &Codebook, rows: &[f32], threads: usize) -> (Vec<u8>, Vec<RowError>) {
    let (dim, row_bytes) = (book.dim(), book.row_bytes());
    let count = rows.len() / dim;
    let mut codes = vec![0; count * row_bytes];
    let mut errors = vec![RowError::default(); count];
    let share = count.div_ceil(threads.max(1)).max(1);
    let parts = rows.chunks(share * dim).zip(codes.chunks_mut(share * row_bytes)).zip(errors.chunks_mut(share));
    in_parallel(threads, parts, |((rows, codes), errors)| encode_part(book, rows, codes, errors));
    (codes, errors)
}

fn encode_part(book: &Codebook, rows: &[f32], codes: &mut [u8], errors: &mut [RowError]) {
    book.encode(rows, codes);
    let mut decoded = vec![0.0; rows.len()];
    book.decode(codes, &mut decoded);
    let pairs = rows.chunks_exact(book.dim()).zip(decoded.chunks_exact(book.dim()));
    for ((row, decoded), slot) in pairs.zip(errors) {
        *slot = RowError::new(row, decoded);
    }
}
