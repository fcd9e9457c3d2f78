//! The codebook of formula codes as bytes.
//!
//! ```text
//! u32 kind (4: formula codes)   u32 dim   u32 symbols   u32 side bytes (0 or 1)
//! u32 version of the formula (1)   u32 paths of the search   f32 unit   i32 metric of the side byte (0 without one)
//! u64 seed of the words
//! u32 1 if codes are directions, else 0   f32 length of most rows   f32 longest, f32 shortest not scaled
//! f32 the largest difference of a value to its mean
//! f32 step, [dim] i8                  means: numbers times the step
//! if a side byte:                     f32 mix   f32 least   f32 ratio
//! f32 largest, [dim] u8               variances along the basis
//! directions (see `rotation`)
//! ```
//! All little-endian. Basis, plan and codewords are computed from these.

use super::plan::RatePlan;
use super::rotation::CoarseDirections;
use super::variances::StoredVariances;
use super::words::words;
use crate::codec::reader::BookReader;
use crate::codec::scale::Scale;
use crate::codec::shape::DIM_MAX;
use crate::codec::side::Side;
use crate::codec::windows::{Rotation, Stage, StageLayout, Windows, is_unit, metric_of_side, parse_side};
use crate::kernels::{CODEWORDS, LOOK_AHEAD_PATHS_MAX};

/// The number of formula codes in files and in reports.
pub const FORMULA: u32 = 4;

/// The version of plan and words. Another one computes other codewords.
const VERSION: usize = 1;

/// Variances are at most this, so that sums of codewords stay finite. Rows are scaled to about one.
pub(super) const LARGEST_MAX: f32 = 1e12;

/// The most symbols for each dim that is not left out. The tables of the search grow with the square of the number of
/// symbols that share a dim.
pub(super) const SYMBOLS_A_DIM_MAX: usize = 2;

/// Means are integers up to this, times a step.
const NUMBER_MAX: f32 = i8::MAX as f32;

/// The largest step of means: the largest mean is finite.
const STEP_MAX: f32 = f32::MAX / 128.0;

/// Means as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredMeans {
    step: f32,
    numbers: Vec<i8>,
}

impl StoredMeans {
    /// Rounds `means: [dim]`.
    pub(super) fn of(means: &[f32]) -> StoredMeans {
        let most = means.iter().fold(0.0, |most: f32, mean| most.max(mean.abs()));
        let step = (most / NUMBER_MAX).min(STEP_MAX);
        let number = |mean: &f32| if step >= f32::MIN_POSITIVE { (mean / step).round() as i8 } else { 0 };
        StoredMeans { step, numbers: means.iter().map(number).collect() }
    }

    /// `[dim]`: the means.
    pub(super) fn values(&self) -> Vec<f32> {
        self.numbers.iter().map(|number| self.step * f32::from(*number)).collect()
    }
}

/// What a formula book stores.
#[derive(Clone)]
pub(super) struct FormulaBook {
    pub(super) symbols: usize,
    pub(super) paths: usize,
    pub(super) seed: u64,
    pub(super) unit: f32,
    pub(super) scale: Scale,
    pub(super) reach: f32,
    pub(super) means: StoredMeans,
    pub(super) side: Option<Side>,
    pub(super) variances: StoredVariances,
    pub(super) directions: Option<CoarseDirections>,
}

/// Bytes of a codebook without its directions.
pub(super) fn head_bytes(dim: usize, has_side: bool) -> usize {
    [8 * 4, 8, Scale::BYTES + 4, 4 + dim, usize::from(has_side) * 3 * 4, 4 + dim].iter().sum()
}

impl FormulaBook {
    pub(super) fn dim(&self) -> usize {
        self.means.numbers.len()
    }

    /// Computes the codewords; the directions decode to `basis: [dim][dim]`, `None` without directions.
    pub(super) fn windows_along(&self, basis: Option<&[f32]>) -> Windows {
        let dim = self.dim();
        let plan = RatePlan::new(&self.variances.logarithms(), self.symbols);
        let values = words(&plan, self.variances.largest, self.seed);
        let weights = plan.shares.iter().map(|share| share.weight).collect();
        let RatePlan { order, boundaries, windows, .. } = plan;
        let rotation = match basis {
            Some(basis) => {
                let vectors: Vec<f32> = order.iter().flat_map(|row| &basis[row * dim..][..dim]).copied().collect();
                Rotation::of_basis(&vectors, dim)
            }
            None => Rotation::of_dims(order, dim),
        };
        let layout = StageLayout::of_windows(boundaries, windows);
        let stages = vec![Stage::looking_ahead(layout, values, weights, self.paths)];
        let (scale, reach, unit, side) = (self.scale, self.reach, self.unit, self.side.clone());
        Windows { scale, reach, means: self.means.values(), unit, rotation: Some(rotation), stages, side }
    }

    /// The stored form.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let metric = self.side.as_ref().map_or(0, |side| side.metric as u32);
        let counts = [self.dim(), self.symbols, usize::from(self.side.is_some()), VERSION, self.paths];
        let mut bytes = FORMULA.to_le_bytes().to_vec();
        bytes.extend(counts.iter().flat_map(|count| (*count as u32).to_le_bytes()));
        bytes.extend([self.unit.to_bits(), metric].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend_from_slice(&self.seed.to_le_bytes());
        bytes.extend_from_slice(&self.scale.to_bytes());
        bytes.extend([self.reach, self.means.step].iter().flat_map(|value| value.to_le_bytes()));
        bytes.extend(self.means.numbers.iter().map(|number| *number as u8));
        if let Some(side) = &self.side {
            bytes.extend([side.mix, side.least, side.ratio].iter().flat_map(|part| part.to_le_bytes()));
        }
        self.variances.write(&mut bytes);
        debug_assert_eq!(bytes.len(), head_bytes(self.dim(), self.side.is_some()));
        CoarseDirections::write(self.directions.as_ref(), &mut bytes);
        bytes
    }

    /// Parses the codebook in `bytes`, which are not trusted.
    pub(super) fn parse(bytes: &[u8]) -> Result<FormulaBook, String> {
        let mut reader = BookReader::new(bytes);
        let [kind, dim, symbols, side_bytes] = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
        let [version, paths] = [reader.number()?, reader.number()?];
        if kind != FORMULA as usize || side_bytes > 1 || version != VERSION {
            return Err(format!("kind {kind}, {side_bytes} side bytes, version {version} of the formula"));
        }
        let is_sound = (1..=DIM_MAX).contains(&dim)
            && symbols > 0
            && (1..=LOOK_AHEAD_PATHS_MAX / CODEWORDS).contains(&(paths / CODEWORDS))
            && paths.is_multiple_of(CODEWORDS);
        if !is_sound {
            return Err(format!("dim {dim}, {symbols} symbols, {paths} paths"));
        }
        let (unit, metric) = (reader.float()?, reader.number()?);
        let Some(metric) = metric_of_side(metric, side_bytes).filter(|_| is_unit(unit)) else {
            return Err(format!("unit {unit} or metric"));
        };
        let seed = reader.number()? as u64 | (reader.number()? as u64) << 32;
        let (scale, reach, step) = (Scale::parse(&mut reader)?, reader.floats(1)?[0], reader.floats(1)?[0]);
        if !(0.0..=STEP_MAX).contains(&step) {
            return Err(format!("means in steps of {step}"));
        }
        let numbers: Vec<i8> = reader.bytes(dim)?.iter().map(|byte| *byte as i8).collect();
        let side = if side_bytes == 1 { Some(parse_side(metric, &mut reader)?) } else { None };
        let variances = StoredVariances::parse(&mut reader, dim)?;
        if variances.largest > LARGEST_MAX {
            return Err(format!("a variance of {}, expected at most {LARGEST_MAX}", variances.largest));
        }
        let coded = variances.coded();
        if symbols > coded * SYMBOLS_A_DIM_MAX {
            return Err(format!("{symbols} symbols for {coded} dims, expected at most {SYMBOLS_A_DIM_MAX} for each"));
        }
        let directions = CoarseDirections::parse(&mut reader, dim)?;
        if reader.left() > 0 {
            return Err(format!("{} bytes behind the directions, expected 0", reader.left()));
        }
        let means = StoredMeans { step, numbers };
        Ok(FormulaBook { symbols, paths, seed, unit, scale, reach, means, side, variances, directions })
    }
}
