//! The scales of the rows of a new file of codes.

use super::encode::batch_rows;
use crate::codec::Codebook;
use crate::error::Result;
use crate::segment::scales::{NewScales, ScaleSizes};
use crate::snapshot::{Place, Scratch, Snapshot};
use crate::work::Work;

/// Codes count as exact if at most one row in this many is scaled.
const SCALED_ROWS: usize = 50;

/// What the live rows of a state are divided by before they are coded.
#[derive(Clone, Debug, Default)]
pub struct RowScales {
    /// How they are stored.
    pub stored: NewScales,
    /// In order of id, rounded as they are stored; empty if every scale is 1.
    of_ranks: Vec<f32>,
}

impl RowScales {
    /// The scales of the live rows of `source` under `book`. Codes of `book` keep theirs. Reports to `work`, so that the
    /// caller can cancel.
    pub fn new(source: &Snapshot, book: &Codebook, work: &mut Work) -> Result<RowScales> {
        let (view, mut scales, mut from) = (source.view(), Vec::new(), 0);
        let (mut scratch, mut row) = (Scratch::default(), vec![0.0; source.dim]);
        loop {
            let batch = view.in_order(from, batch_rows(source.dim))?;
            let Some((last, _)) = batch.last() else { break };
            from = last + 1;
            for (_, place) in &batch {
                scales.push(match copied_scale(source, book, *place)? {
                    Some(scale) => scale,
                    None => {
                        view.read(*place, &mut scratch, &mut row)?;
                        book.scale_of(&row)
                    }
                });
            }
            work.report(0, 1)?;
        }
        let stored = NewScales::of(&scales, book.is_directional());
        if stored == NewScales::One {
            scales = Vec::new();
        }
        scales.iter_mut().for_each(|scale| *scale = stored.stored(*scale));
        Ok(RowScales { stored, of_ranks: scales })
    }

    /// True if codes of `book` keep every live row of `source` exactly, except for a few that are scaled. Reports to `work`,
    /// so that the caller can cancel.
    pub fn leave_rows_exact(&self, source: &Snapshot, book: &Codebook, work: &mut Work) -> Result<bool> {
        let (view, dim, mut scratch) = (source.view(), source.dim, Scratch::default());
        let (mut from, mut rank, mut scaled) = (0, 0, 0);
        loop {
            let batch = view.in_order(from, batch_rows(dim))?;
            let Some((last, _)) = batch.last() else { break };
            from = last + 1;
            let mut rows = vec![0.0; batch.len() * dim];
            for ((_, place), row) in batch.iter().zip(rows.chunks_exact_mut(dim)) {
                view.read(*place, &mut scratch, row)?;
            }
            let (mut codes, mut decoded) = (vec![0; batch.len() * book.row_bytes()], vec![0.0; rows.len()]);
            book.encode(&rows, &mut codes);
            book.decode(&codes, &mut decoded);
            for (row, decoded) in rows.chunks_exact(dim).zip(decoded.chunks_exact(dim)) {
                let is_scaled = self.of_rank(rank) != 1.0;
                rank += 1;
                scaled += usize::from(is_scaled);
                if !is_scaled && row != decoded {
                    return Ok(false);
                }
            }
            work.report(0, 1)?;
        }
        Ok(scaled * SCALED_ROWS <= rank)
    }

    /// The scale of the row whose id has this position in ascending order of id.
    pub fn of_rank(&self, rank: usize) -> f32 {
        self.of_ranks.get(rank).copied().unwrap_or(1.0)
    }

    /// The sizes of their sections for `rows` rows.
    pub fn sizes(&self, rows: u64) -> ScaleSizes {
        self.stored.sizes(rows)
    }
}

/// The scale of the row at `place` if it is a code of `book` already.
fn copied_scale(source: &Snapshot, book: &Codebook, place: Place) -> Result<Option<f32>> {
    let Place::Sealed(segment, row) = place else { return Ok(None) };
    let live = &source.segments[segment];
    if live.is_coded_with(book) { live.segment.scale_of(row).map(Some) } else { Ok(None) }
}
