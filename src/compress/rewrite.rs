//! Writes live rows into one new sealed file, syncs it, reads it back and checks it.

use super::arrange::{NextRow, Order};
use super::encode::{batch_rows, blocks, encode};
use super::scale::RowScales;
use crate::codec::{Codebook, divide, multiply};
use crate::error::{Error, Result};
use crate::format::{FileHeader, Measured, SegmentEntry};
use crate::kernels::{BLOCK_ROWS, block_bytes};
use crate::metric::Metric;
use crate::os::Dir;
use crate::sealed;
use crate::segment::SegmentWriter;
use crate::segment::tombstones::Tombstones;
use crate::snapshot::{Place, Scratch, SegmentView, Snapshot, View};
use crate::work::Work;
use std::sync::Arc;

/// Rows read back and compared after a file is written.
const CHECKED_ROWS: usize = 64;

/// The form of the rows in the new file.
#[derive(Clone, Debug)]
pub enum Target {
    /// Raw rows, copied.
    Raw,
    /// Codes of this codebook, of rows with these scales; codes of the same codebook are copied.
    Coded(Arc<Codebook>, RowScales),
}

impl Target {
    /// The most bytes of a file of `rows` rows of `dim` floats.
    pub fn file_bytes_max(&self, rows: u64, dim: u32) -> u64 {
        let ids_bytes = crate::segment::ids::packed_bytes_max(rows);
        match self {
            Target::Raw => rows * u64::from(dim) * 4 + ids_bytes,
            Target::Coded(book, scales) => {
                let (row_bytes, book_bytes) = (book.row_bytes() as u64, book.as_bytes().len() as u64);
                super::budget::file_bytes(rows, row_bytes, book_bytes, ids_bytes, scales.sizes(rows))
            }
        }
    }

    /// The codebook of codes.
    pub fn codebook(&self) -> Option<&Arc<Codebook>> {
        match self {
            Target::Raw => None,
            Target::Coded(book, _) => Some(book),
        }
    }
}

/// One file to be written from the live rows of `source`.
#[derive(Debug)]
pub struct Rewrite<'a> {
    /// The directory of the file.
    pub dir: &'a dyn Dir,
    /// Its header.
    pub header: FileHeader,
    /// The rows.
    pub source: &'a Snapshot,
    /// The form of the rows.
    pub target: Target,
}

impl Rewrite<'_> {
    /// Writes, syncs, opens and checks the file; `None` if no row is live. Reports the rows done. After an error the
    /// file is removed.
    pub fn run(&self, work: &mut Work) -> Result<Option<SegmentView>> {
        if self.source.view().count() == 0 {
            return Ok(None);
        }
        let written = self.write(work).and_then(|entry| self.check(entry));
        if written.is_err() {
            // If this fails, the next open removes the file.
            let _ = self.dir.remove(&self.header.kind.file_name(self.header.id));
        }
        written.map(Some)
    }

    fn write(&self, work: &mut Work) -> Result<SegmentEntry> {
        let mut writer = match &self.target {
            Target::Raw => SegmentWriter::raw(self.dir, self.header.clone())?,
            Target::Coded(book, _) => {
                let (symbols, side) = (book.symbols() as u32, book.side_bytes() as u32);
                SegmentWriter::coded(self.dir, self.header.clone(), book.as_bytes().to_vec(), symbols, side)?
            }
        };
        let view = self.source.view();
        let (mut measured, mut done, rows) = (self.earlier_error(), 0, view.count());
        let mut order = match &self.target {
            Target::Raw => Order::by_id(self.source),
            Target::Coded(book, scales) => Order::of_codes(self.source, book, scales, self.header.metric, work)?,
        };
        loop {
            let batch = order.next(batch_rows(self.source.dim))?;
            if batch.is_empty() {
                if measured.trained == 0.0 {
                    measured.trained = measured.scaled / done as f64;
                }
                let (ids, lists, (scales, of_rows)) = order.finish();
                return writer.finish(&ids, lists.as_ref(), (&scales, &of_rows), measured);
            }
            match &self.target {
                Target::Raw => batch.iter().try_for_each(|row| writer.write(view.raw_bytes(row.place)?))?,
                Target::Coded(book, _) => {
                    self.write_codes(&mut writer, book, view, &batch, work.threads(), &mut measured)?;
                }
            }
            done += batch.len() as u64;
            work.report(done, rows)?;
        }
    }

    /// The error of copied codes, as measured when they were made, and that of the rows that are coded again: to it, the
    /// new error is added. Sums are scaled by the share of rows that are live.
    fn earlier_error(&self) -> Measured {
        let mut sum = Measured::default();
        for live in self.source.segments.iter().filter(|live| live.codebook.is_some()) {
            let (measured, share) =
                (live.segment.footer().measured, live.count() as f64 / f64::from(live.segment.rows()));
            sum.error += measured.error * share;
            if !self.is_copied(live) {
                continue;
            }
            sum.energy += measured.energy * share;
            sum.scaled += measured.scaled * share;
            sum.worst = sum.worst.max(measured.worst);
            sum.farthest = sum.farthest.max(measured.farthest);
            sum.trained = sum.trained.max(measured.trained);
        }
        sum
    }

    /// True if the codes of a segment are copied as they are.
    fn is_copied(&self, segment: &SegmentView) -> bool {
        self.target.codebook().is_some_and(|book| segment.is_coded_with(book))
    }

    fn write_codes(
        &self,
        writer: &mut SegmentWriter,
        book: &Codebook,
        view: View,
        batch: &[NextRow],
        threads: usize,
        measured: &mut Measured,
    ) -> Result<()> {
        let (dim, row_bytes) = (self.source.dim, book.row_bytes());
        let mut codes = vec![0; batch.len() * row_bytes];
        // Upper bound on ‖inserted − decoded‖ of each row, and the largest relative error before: a row coded a second time
        // keeps the error of the first.
        let (mut distances, mut before) = (vec![0.0; batch.len()], vec![0.0; batch.len()]);
        let (mut fresh, mut floats, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
        for (index, next) in batch.iter().enumerate() {
            if let Place::Sealed(segment, row) = &next.place
                && let live = &self.source.segments[*segment]
                && live.codebook.is_some()
            {
                distances[index] = f64::from(live.segment.bound(row / BLOCK_ROWS as u32)?);
                before[index] = live.segment.footer().measured.worst;
                if self.is_copied(live) {
                    live.code(book, *row, &mut codes[index * row_bytes..(index + 1) * row_bytes])?;
                    continue;
                }
            }
            fresh.push(index);
            floats.resize(floats.len() + dim, 0.0);
            let start = floats.len() - dim;
            view.read(next.place, &mut scratch, &mut floats[start..])?;
        }
        let scales: Vec<f32> = fresh.iter().map(|index| batch[*index].scale).collect();
        let (encoded, errors) = encode(book, &floats, &scales, threads);
        for ((index, code), error) in fresh.into_iter().zip(encoded.chunks_exact(row_bytes)).zip(errors) {
            codes[index * row_bytes..(index + 1) * row_bytes].copy_from_slice(code);
            distances[index] += error.distance();
            measured.farthest = measured.farthest.max(distances[index]);
            measured.add(error, self.header.metric == Metric::Cosine, before[index]);
        }
        let (blocks, bounds) = (blocks(&codes, book), distances.chunks(BLOCK_ROWS));
        for (block, distances) in blocks.chunks_exact(block_bytes(row_bytes)).zip(bounds) {
            writer.write_block(block, distances.iter().copied().fold(0.0, f64::max))?;
        }
        Ok(())
    }

    /// Reads the file back, compares every checksum, and compares a sample of rows with their source.
    fn check(&self, entry: SegmentEntry) -> Result<SegmentView> {
        sealed::verify(self.dir, &entry, &mut Work::default())?;
        let known = self.target.codebook().map_or(&[][..], std::slice::from_ref);
        let live = SegmentView::open(self.dir, &entry, self.header.dim, Tombstones::default(), known)?;
        live.segment.check(self.header.store, self.header.metric)?;
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
            if let (Target::Coded(book, _), false) = (&self.target, is_copy) {
                let (mut code, scale) = (vec![0; book.row_bytes()], live.segment.scale_of(row)?);
                divide(&mut expected, scale);
                book.encode(&expected, &mut code);
                book.decode(&code, &mut expected);
                multiply(&mut expected, scale);
            }
            if found.iter().zip(&expected).any(|(left, right)| left.to_bits() != right.to_bits()) {
                return Err(Error::corrupt(live.segment.name(), format!("row {row} (id {id}) reads back differently")));
            }
        }
        Ok(live)
    }
}
