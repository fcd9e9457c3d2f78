//! Training: means, principal directions and variances of the sample, and the side byte.

use super::book::{FormulaBook, LARGEST_MAX, SYMBOLS_A_DIM_MAX, StoredMeans, head_bytes};
use super::choice::{RotationBudget, RotationChoice, Spectrum, choose_rotation};
use super::rotation::COARSE_DIM_MAX;
use super::variances::StoredVariances;
use crate::codec::scale::Scale;
use crate::codec::shape::{FormulaBudget, Quality, Shape};
use crate::codec::side::{Side, TRAINING_STEPS};
use crate::codec::windows::{Principal, Sample, TrainingProgress, side_metric};
use crate::error::Result;
use crate::metric::Metric;
use crate::work::Work;
use std::borrow::Cow;

/// About so many rows are enough for the scale of the side byte.
const SIDE_ROWS: usize = 4096;

/// Steps of progress before the side byte.
const STEPS: usize = 3;

/// See [`super::train`].
pub(super) fn train(
    rows: &[f32],
    shape: &Shape,
    budget: &FormulaBudget<'_>,
    seed: u64,
    work: &mut Work,
) -> Result<Option<FormulaBook>> {
    let (dim, threads) = (shape.dim, work.threads());
    let mut progress = TrainingProgress::new(STEPS + TRAINING_STEPS, work);
    let scale = Scale::of_shape(rows, shape);
    let rows = &*scale.sample(rows, dim);
    let mut sample = Sample::new(rows, dim);
    // Rounded means would make rows that are all the same vary.
    if sample.rows.iter().all(|value| *value == 0.0) {
        return Ok(None);
    }
    let means = StoredMeans::of(&sample.means);
    sample.shift(&means.values());
    progress.step()?;
    let head = head_bytes(dim, shape.metric.is_some());
    let budget_of_rotation = RotationBudget {
        rows: shape.rows.max(1),
        row_bytes: budget.row_bytes - f64::from(u8::from(shape.metric.is_some())),
        parity_bytes: budget.parity_bytes,
        other_bytes: head,
    };
    let Some(choice) = rotation(&sample, &budget_of_rotation, &mut progress)? else { return Ok(None) };
    progress.step()?;
    let (directions, basis) = choice.rotation.unzip();
    // Means that have no common step: the rounding of some is far larger than all variances.
    let variances = StoredVariances::of(&choice.variances).filter(|variances| variances.largest <= LARGEST_MAX);
    let Some(variances) = variances else { return Ok(None) };
    let (unit, reach) = (sample.unit, sample.reach());
    drop(sample);
    let mut book = FormulaBook {
        symbols: 1,
        paths: paths(shape.quality),
        seed,
        unit,
        scale,
        reach,
        means,
        side: None,
        variances,
        directions,
    };
    let Some(row_bytes) = (budget.longest)(book.to_bytes().len() + head - head_bytes(dim, false)) else {
        return Ok(None);
    };
    let metric = side_metric(&Shape { row_bytes, ..*shape });
    let most = book.variances.coded() * SYMBOLS_A_DIM_MAX / 2;
    book.symbols = 2 * (row_bytes - usize::from(metric.is_some())).min(most);
    if let Some(metric) = metric {
        let windows = book.windows_along(basis.as_deref());
        let rows = rows_for_side(rows, dim, metric);
        let decoded = windows.coded(&rows, threads);
        book.side = Some(Side::train(metric, &windows.means, (&rows, &decoded), shape.rows, &mut || progress.step())?);
    }
    progress.finish()?;
    Ok(Some(book))
}

/// Rows of the sample to train the side byte on. Only for L2 it depends on how near neighbours are, and needs all.
fn rows_for_side(rows: &[f32], dim: usize, metric: Metric) -> Cow<'_, [f32]> {
    let step = rows.len() / dim / SIDE_ROWS;
    if metric == Metric::L2 || step < 2 {
        return Cow::Borrowed(rows);
    }
    Cow::Owned(rows.chunks_exact(dim).step_by(step).flatten().copied().collect())
}

/// The rotation of `sample`; `None` if its rows do not vary.
fn rotation(
    sample: &Sample,
    budget: &RotationBudget,
    progress: &mut TrainingProgress,
) -> Result<Option<RotationChoice>> {
    let dim = sample.means.len();
    if dim > COARSE_DIM_MAX {
        return Ok(Some(RotationChoice::of_dims(mean_squares(&sample.rows, dim), budget)));
    }
    let principal = Principal::of(&sample.rows, dim);
    if principal.variances[0] <= 0.0 {
        return Ok(None);
    }
    progress.step()?;
    let spectrum = Spectrum { variances: &principal.variances, directions: &principal.directions };
    choose_rotation(&spectrum, budget, &mut || progress.check()).map(Some)
}

/// `[dim]`: the mean square of each dim of `rows: [n][dim]`.
fn mean_squares(rows: &[f32], dim: usize) -> Vec<f64> {
    let mut sums = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) * f64::from(*value));
    }
    let count = (rows.len() / dim) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

/// Paths of the search for symbols.
fn paths(quality: Quality) -> usize {
    match quality {
        Quality::Fast => 16,
        Quality::Normal => 48,
        Quality::Best => 128,
    }
}
