//! How the bytes of a code are divided into stages, symbols and windows.

use super::rotation::ROTATED_DIM_MAX;
use super::stage::{CHAIN_WINDOW, StageLayout, even_runs};
use crate::codec::shape::{Quality, Shape};
use crate::metric::Metric;

/// The most stages; each has up to 4 bits per dim.
pub(super) const STAGES_MAX: usize = 8;

/// The widest window of the stages after the first: their residuals have little structure.
const LATER_WINDOW_MAX: usize = 8;

/// Codes of at least this many bytes have a side byte: shorter codes need all their bytes for symbols.
const SIDE_ROW_BYTES_MIN: usize = 8;

/// See [`super::check`].
pub(super) fn check(shape: &Shape) -> Result<(), String> {
    let Shape { dim, row_bytes, directions, .. } = *shape;
    let most = dim.min(ROTATED_DIM_MAX);
    if directions > most {
        return Err(format!("directions: found {directions}, expected at most {most}"));
    }
    if !shape.is_scalar() && stage_symbols(shape).len() > STAGES_MAX {
        return Err(format!("row_bytes {row_bytes} with {directions} directions: more than {STAGES_MAX} stages"));
    }
    Ok(())
}

/// The metric of the side byte; `None` without one.
pub(in crate::codec) fn side_metric(shape: &Shape) -> Option<Metric> {
    shape.metric.filter(|_| shape.row_bytes >= SIDE_ROW_BYTES_MIN)
}

/// `[stages]`: the number of symbols of each stage, near-equal and at most one per dim. A run of directions has at
/// least two: their variances differ a lot, and a run of two can divide its bits between them.
pub(super) fn stage_symbols(shape: &Shape) -> Vec<usize> {
    let most = if shape.directions > 1 { shape.directions / 2 } else { coded(shape) };
    let symbols = (shape.row_bytes - usize::from(side_metric(shape).is_some())) * 2;
    let stages = symbols.div_ceil(most).max(1);
    (0..stages).map(|stage| (stage + 1) * symbols / stages - stage * symbols / stages).collect()
}

/// The widest window of stage number `stage` that the search supports, for even runs. The size of a codebook is planned
/// with this width.
pub(super) fn window_of(shape: &Shape, stage: usize) -> usize {
    let most = if stage == 0 { usize::MAX } else { LATER_WINDOW_MAX };
    let fast = if shape.quality == Quality::Fast { CHAIN_WINDOW } else { usize::MAX };
    let wanted = shape.window.min(most).min(fast);
    StageLayout::within(even_runs(stage_symbols(shape)[stage], coded(shape)), wanted).window
}

/// Number of dims, or directions, that are coded.
pub(super) fn coded(shape: &Shape) -> usize {
    if shape.directions > 0 { shape.directions } else { shape.dim }
}
