//! Chooses the outcome of a compress of a frozen state.

use super::budget::Budget;
use super::encode::encode_alone;
use super::relative::relative;
use super::sample::sample_rows;
use super::scale::RowScales;
use super::{CompressOptions, Limit, TRAINING_ROWS_MIN};
use crate::codec::{Codebook, Shape};
use crate::error::{Error, Result, short};
use crate::format::{BLOCK_BYTES, Kind, Manifest, SegmentEntry, align};
use crate::metric::Metric;
use crate::segment::scales::ScaleSizes;
use crate::segment::{ids, tombstones};
use crate::snapshot::{SegmentView, Snapshot};
use crate::work::Work;
use std::sync::Arc;

/// Number of rows encoded to measure drift. Fewer new rows neither show drift nor train a better codebook.
const DRIFT_ROWS: u64 = 2048;

/// Upper bound on drift: mean error of new rows under a codebook ÷ mean error of the rows it was trained for.
const DRIFT_MAX: f64 = 1.3;

/// The outcome of a compress. A `shape` has the longest codes that fit the budget; without a ratio the training may
/// choose longer ones (`by_error`). Segments outside of its `source` are not changed.
#[derive(Debug)]
pub enum Plan {
    /// Raw rows are coded with the newest codebook, in one file with the codes it has already, which are copied.
    Join {
        /// The raw segments and those of the codebook.
        source: Snapshot,
        /// The newest codebook of the store.
        book: Arc<Codebook>,
        /// What decides that these codes are short enough.
        limit: Limit,
        /// Relative MSE of the raw rows under the codebook; NaN if there are none.
        held_out_relative_mse: f64,
    },
    /// Raw rows get a new codebook. Existing codes are not changed.
    AddBook {
        /// The raw segments.
        source: Snapshot,
        /// Byte budget of their file.
        budget: Budget,
        /// The longest codes that fit it.
        shape: Shape,
    },
    /// Every row gets a new code; vectors that are codes already are decoded first.
    Recode {
        /// All segments.
        source: Snapshot,
        /// Byte budget of the file.
        budget: Budget,
        /// The longest codes that fit it.
        shape: Shape,
    },
}

impl Plan {
    /// The state whose rows the new file holds.
    pub fn source(&self) -> &Snapshot {
        match self {
            Plan::Join { source, .. } | Plan::AddBook { source, .. } | Plan::Recode { source, .. } => source,
        }
    }

    /// Ids of the segments that the new file replaces.
    pub fn replaced(&self) -> Vec<u64> {
        self.source().segments.iter().map(|segment| segment.id()).collect()
    }
}

/// The raw and the coded segments of a frozen state, and the byte budget of all files.
struct Parts<'a> {
    frozen: &'a Snapshot,
    options: &'a CompressOptions,
    /// The shape before code length and window are chosen for a number of rows.
    plain: Shape,
    raw: Vec<Arc<SegmentView>>,
    coded: Vec<Arc<SegmentView>>,
    raw_rows: u64,
    coded_rows: u64,
    /// Byte budget of all files together.
    bytes: u64,
    manifest_bytes: u64,
}

/// Chooses the outcome of a compress.
///
/// With a ratio: `Join` if there are at least as many coded rows as raw ones, the newest codebook fits the raw rows and
/// the ratio is met. Else `AddBook` if the ratio is met with it, else `Join` with more drift, else `Recode`. Only
/// `Recode` codes a vector a second time.
///
/// Without a ratio, the errors of all codes decide in place of the ratio, and codes are kept as they are: `Recode` is
/// chosen only if there are none.
pub fn plan(frozen: &Snapshot, manifest: &Manifest, metric: Metric, options: &CompressOptions) -> Result<Plan> {
    let parts = Parts::new(frozen, manifest, metric, options);
    let joined = parts.join()?;
    match joined {
        Some((plan, true)) => Ok(plan),
        Some((plan, false)) => Ok(parts.add_book()?.unwrap_or(plan)),
        None => match parts.add_book()? {
            Some(plan) => Ok(plan),
            None => parts.recode(),
        },
    }
}

impl<'a> Parts<'a> {
    fn new(frozen: &'a Snapshot, manifest: &Manifest, metric: Metric, options: &'a CompressOptions) -> Parts<'a> {
        let (raw, coded): (Vec<_>, Vec<_>) = frozen.segments.iter().cloned().partition(|live| live.codebook.is_none());
        let rows = |group: &[Arc<SegmentView>]| group.iter().map(|segment| segment.count()).sum::<u64>();
        let (raw_rows, coded_rows) = (rows(&raw), rows(&coded));
        let float_bytes = (raw_rows + coded_rows).max(options.sample_of) * frozen.dim as u64 * 4;
        let bytes = (float_bytes as f64 / options.ratio()) as u64;
        let manifest_bytes = 2 * manifest_bytes(manifest);
        let (dim, metric, quality) = (frozen.dim, Some(metric), options.quality);
        let plain = Shape { dim, row_bytes: 1, window: 1, directions: 0, metric, quality, is_scaled: true, rows: 0 };
        Parts { frozen, options, plain, raw, coded, raw_rows, coded_rows, bytes, manifest_bytes }
    }

    /// A state of these segments only.
    fn state(&self, segments: Vec<Arc<SegmentView>>) -> Snapshot {
        Snapshot::sealed(self.frozen.generation, self.frozen.dim, segments)
    }

    /// The budget of one file of the rows of `source`: `bytes` less those of the coded segments `kept` and the manifests.
    fn budget(&self, source: &Snapshot, kept: &[Arc<SegmentView>]) -> Result<Budget> {
        let rows = source.view().count();
        let bytes = self.bytes.saturating_sub(kept_bytes(kept) + self.manifest_bytes);
        Ok(Budget { rows, ids_bytes: ids_bytes(source)?, bytes, bytes_max: bytes, scales: ScaleSizes::default() })
    }

    /// The budget of a file that gets its own codebook, planned for at least `sample_of` rows, which will share the
    /// codebook; and its shape. `Err` if no codes fit: the least budget, in bytes.
    fn new_book(
        &self,
        source: &Snapshot,
        kept: &[Arc<SegmentView>],
    ) -> Result<std::result::Result<(Budget, Shape), u64>> {
        let budget = self.budget(source, kept)?;
        let mut budget = Budget { rows: budget.rows.max(self.options.sample_of), ..budget };
        if self.options.largest_error().is_some() {
            let floats = budget.rows * self.frozen.dim as u64 * 4;
            // Beside kept codes, the new file alone keeps the ratio.
            budget.bytes_max = if kept.is_empty() { floats.saturating_sub(self.manifest_bytes) } else { floats };
            if !kept.is_empty() {
                budget.bytes = (floats as f64 / self.options.ratio()) as u64;
            }
        }
        let shape = budget.shape(&self.plain).or_else(|least| {
            budget.bytes = if least <= budget.bytes_max { least } else { budget.bytes };
            budget.shape(&self.plain)
        });
        Ok(shape.map(|shape| (budget, shape)))
    }

    /// `Join` if there are codes and the ratio allows it, and whether the newest codebook suits the raw rows.
    fn join(&self) -> Result<Option<(Plan, bool)>> {
        let Some(newest) = self.coded.iter().max_by_key(|segment| segment.id()) else { return Ok(None) };
        let Some(book) = newest.codebook.clone() else { return Ok(None) };
        let (same, others): (Vec<_>, Vec<_>) =
            self.coded.iter().cloned().partition(|segment| segment.is_coded_with(&book));
        let source = self.state(self.raw.iter().cloned().chain(same).collect());
        let budget = self.budget(&source, &others)?;
        // The scales of rows are read only if codes fit without them.
        let fits = budget.excess(&book, ScaleSizes::default()) == 0 && {
            let scales = RowScales::new(&source, &book, &mut Work::default())?;
            budget.excess(&book, scales.sizes(budget.rows)) == 0
        };
        let is_larger = self.coded_rows >= self.raw_rows;
        let most = self.options.largest_error();
        if most.is_none() && !(fits && is_larger) {
            return Ok(None);
        }
        let (drift, held_out_relative_mse) = self.new_rows_error(&book, newest)?;
        let is_near = most.is_none_or(|most| is_larger && self.error_if_joined(held_out_relative_mse) <= most);
        let suits = self.raw_rows == 0 || drift <= DRIFT_MAX && is_near;
        let limit = if most.is_none() || fits { Limit::Ratio } else { Limit::Error };
        Ok(Some((Plan::Join { source, book, limit, held_out_relative_mse }, suits)))
    }

    /// `AddBook` if there are codes to keep and enough raw rows, and the ratio allows it.
    fn add_book(&self) -> Result<Option<Plan>> {
        if self.raw_rows < TRAINING_ROWS_MIN || self.coded_rows == 0 {
            return Ok(None);
        }
        let source = self.state(self.raw.clone());
        let planned = self.new_book(&source, &self.coded)?;
        Ok(planned.ok().map(|(budget, shape)| Plan::AddBook { source, budget, shape }))
    }

    /// `Recode`, or an error with the largest ratio that can be reached.
    fn recode(&self) -> Result<Plan> {
        let source = self.state(self.frozen.segments.clone());
        match self.new_book(&source, &[])? {
            Ok((budget, shape)) => Ok(Plan::Recode { source, budget, shape }),
            Err(least) => {
                let rows = source.view().count().max(self.options.sample_of);
                Err(self.too_small(rows, least + self.manifest_bytes))
            }
        }
    }

    /// The drift of the raw rows under `book`, the codebook of `coded`, and their relative MSE; NaN if there are none.
    ///
    /// Drift is the mean error of the raw rows, divided by the mean error of the rows that `book` was trained for, as
    /// the footer of `coded` has it; 1 if there are too few raw rows.
    fn new_rows_error(&self, book: &Codebook, coded: &SegmentView) -> Result<(f64, f64)> {
        let vectors = sample_rows(&self.state(self.raw.clone()), self.raw_rows, self.raw_rows.min(DRIFT_ROWS), 0)?;
        let (_, errors) = encode_alone(book, &vectors, 1);
        let error = errors.iter().map(|row| row.scaled).sum::<f64>() / errors.len() as f64;
        let has_drift = self.raw_rows >= DRIFT_ROWS && error > 0.0;
        let drift = if has_drift { error / coded.segment.footer().measured.trained } else { 1.0 };
        Ok((drift, relative(&errors, self.plain.metric)))
    }

    /// Relative MSE of all rows if the raw ones join with an error of `new`.
    fn error_if_joined(&self, new: f64) -> f64 {
        let (mut energy, mut error) = (0.0, 0.0);
        for measured in self.coded.iter().map(|segment| segment.segment.footer().measured) {
            energy += measured.energy;
            error += measured.error;
        }
        let old = if energy > 0.0 { error / energy } else { 0.0 };
        (old * self.coded_rows as f64 + new * self.raw_rows as f64) / (self.coded_rows + self.raw_rows) as f64
    }

    fn too_small(&self, rows: u64, least: u64) -> Error {
        let dim = self.frozen.dim;
        let floats = rows * dim as u64 * 4;
        let reachable = floats as f64 / least as f64;
        let advice = if reachable < 1.0 {
            format!("the store is too small to compress: the least its files can take is {least} bytes")
        } else {
            format!("at most {reachable:.3} can be reached")
        };
        let given =
            if self.options.ratio > 0.0 { format!("ratio {}: ", short(self.options.ratio)) } else { String::new() };
        Error::InvalidArgument(format!("{given}{rows} vectors of dim {dim} are {floats} bytes; {advice}"))
    }
}

/// Bytes on disk of coded segments that are kept, and of their tombstones.
fn kept_bytes(coded: &[Arc<SegmentView>]) -> u64 {
    let files: u64 = coded.iter().map(|segment| align(segment.segment.entry().length, BLOCK_BYTES as u64)).sum();
    files + tombstones::stored_bytes(coded.iter().map(|segment| &segment.hidden))
}

/// Bytes of one manifest that also lists the new segment.
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
            return Ok(ids::NewIds::new(&all, &[]).packed_bytes());
        }
        all.extend(batch.into_iter().map(|(id, _)| id));
    }
}
