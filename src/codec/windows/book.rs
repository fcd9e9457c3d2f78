//! The codebook of window codes as bytes.
//!
//! ```text
//! u32 kind (2: window codes)   u32 dim   u32 symbols   u32 side bytes (0 or 1)
//! u32 stages   u32 directions (0: dims as they are)   f32 unit   i32 metric of the side byte (0 without one)
//! [dim] f32           means
//! if a side byte:     f32 mix   f32 least   f32 ratio
//! if directions:      [directions] f32 scales, [directions][dim] i8: a direction is its scale times its numbers
//! for each stage:     u32 symbols   u32 window   u32 lists   f32 slack
//!                     [symbols] u16: dims of each symbol's own run, less 1
//!                     [symbols] f32 scales, then for each symbol [16][width] i8: a codeword is scale times numbers
//! ```
//! All little-endian. Windows follow from runs (`stage`).

use super::rotation;
use super::rotation::Rotation;
use super::side::Side;
use super::stage::{Effort, Layout, Stage};
use super::train::even_runs;
use super::{STAGES_MAX, Windows};
use crate::codec::reader::Reader;
use crate::codec::{CODEWORDS, Codebook, DIM_MAX, Shape, WINDOWS};
use crate::error::{Error, Result};
use crate::metric::Metric;

const HEADER_BYTES: usize = 32;
const STAGE_HEADER_BYTES: usize = 16;
/// Bytes that describe side bytes.
const SIDE_BYTES: usize = 12;

/// Codewords are whole numbers up to this, times a scale.
const STEPS: f32 = 127.0;

/// Scales are at most this, so that sums of codewords stay finite.
const SCALE_MAX: f32 = 1e12;

/// Exponents whose power of two and its inverse are normal floats.
const EXPONENTS: std::ops::RangeInclusive<i32> = -126..=126;

/// Two to the power of `exponent`, one of [`EXPONENTS`].
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// The least power of two, of those whose inverse is normal too, that is at least `value`; 1 for 0.
pub(in crate::codec) fn unit_above(value: f64) -> f32 {
    if value == 0.0 {
        return 1.0;
    }
    let fits = |exponent: &i32| value <= f64::from(power_of_two(*exponent));
    power_of_two(EXPONENTS.into_iter().find(fits).unwrap_or(*EXPONENTS.end()))
}

/// `values` as whole numbers and the scale that leads back.
fn rounded(values: &[f32]) -> (f32, Vec<i8>) {
    let most = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    let scale = (most / STEPS).min(SCALE_MAX);
    if scale < f32::MIN_POSITIVE {
        return (0.0, vec![0; values.len()]);
    }
    (scale, values.iter().map(|value| (value / scale).round() as i8).collect())
}

impl Stage {
    fn parts(&self) -> Vec<(f32, Vec<i8>)> {
        let codewords = |window: &crate::kernels::Window| &self.values[window.offset..][..CODEWORDS * window.width];
        self.layout.windows.iter().map(|window| rounded(codewords(window))).collect()
    }

    /// The stage as it comes back from its bytes.
    pub(in crate::codec) fn rounded(&self) -> Stage {
        let values = self
            .parts()
            .into_iter()
            .flat_map(|(scale, numbers)| numbers.into_iter().map(move |number| scale * f32::from(number)));
        Stage::new(self.layout.clone(), values.collect(), self.effort)
    }

    fn stored_bytes(layout: &Layout) -> usize {
        STAGE_HEADER_BYTES + layout.symbols() * 6 + layout.components()
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        for number in [self.symbols(), self.layout.window, self.effort.lists] {
            bytes.extend_from_slice(&(number as u32).to_le_bytes());
        }
        bytes.extend_from_slice(&self.effort.slack.to_le_bytes());
        for ends in self.layout.boundaries.windows(2) {
            bytes.extend_from_slice(&((ends[1] - ends[0] - 1) as u16).to_le_bytes());
        }
        let parts = self.parts();
        parts.iter().for_each(|(scale, _)| bytes.extend_from_slice(&scale.to_le_bytes()));
        parts.iter().for_each(|(_, numbers)| bytes.extend(numbers.iter().map(|number| *number as u8)));
    }

    fn take(dim: usize, reader: &mut Reader<'_>) -> std::result::Result<Stage, String> {
        let (symbols, window, lists) = (reader.number()?, reader.number()?, reader.number()?);
        let effort = Effort { lists, slack: reader.float()? };
        if !(1..=dim).contains(&symbols) || !effort.is_sound() {
            return Err(format!("a stage of {symbols} symbols searched with {effort:?}"));
        }
        let boundaries = read_boundaries(reader.bytes(symbols * 2)?, dim)?;
        let layout = Layout::new(boundaries, window.clamp(1, symbols));
        if layout.window != window || !layout.is_carried() {
            return Err(format!("windows of {window} runs over {symbols} symbols of dim {dim}"));
        }
        let scales = reader.floats(symbols)?;
        if scales.iter().any(|scale| !(0.0..=SCALE_MAX).contains(scale)) {
            return Err("a scale out of range".to_owned());
        }
        let numbers = reader.bytes(layout.components())?;
        let widths = layout.windows.iter().map(|window| CODEWORDS * window.width);
        let scale_of = scales.iter().zip(widths).flat_map(|(scale, width)| std::iter::repeat_n(*scale, width));
        let values = numbers.iter().zip(scale_of).map(|(number, scale)| scale * f32::from(*number as i8)).collect();
        Ok(Stage::new(layout, values, effort))
    }
}

impl Windows {
    /// The most bytes a book of this shape takes, if its runs are about even.
    pub(in crate::codec) fn stored_bytes(shape: &Shape) -> usize {
        let dim = shape.dim;
        let rotation = shape.directions * (4 + dim);
        let stages = shape.stage_symbols().into_iter().enumerate().map(|(number, symbols)| {
            Stage::stored_bytes(&Layout::new(even_runs(symbols, shape.coded()), shape.charged_window(number)))
        });
        let side = if shape.side_metric().is_some() { SIDE_BYTES } else { 0 };
        HEADER_BYTES + dim * 4 + side + rotation + stages.sum::<usize>()
    }

    /// The book in `bytes`, which are not trusted.
    pub(in crate::codec) fn take(bytes: &[u8]) -> std::result::Result<Windows, String> {
        let mut reader = Reader::new(bytes);
        let header: [usize; 4] = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
        let [kind, dim, symbols, side_bytes] = header;
        if kind != WINDOWS as usize || side_bytes > 1 {
            return Err(format!("kind {kind} with {side_bytes} side bytes, expected {WINDOWS} with at most 1"));
        }
        if !(1..=DIM_MAX).contains(&dim) || !(1..=dim * STAGES_MAX).contains(&symbols) {
            return Err(format!(
                "{symbols} symbols of dim {dim}, expected dim 1..={DIM_MAX}, {STAGES_MAX} symbols a dim at most"
            ));
        }
        let (stages, directions, unit, metric) =
            (reader.number()?, reader.number()?, reader.float()?, reader.number()?);
        let is_power = unit.is_normal() && unit > 0.0 && unit.to_bits() & 0x7f_ffff == 0 && unit.recip().is_normal();
        let metric = Metric::from_i32(metric as i32).filter(|metric| side_bytes == 1 || *metric == Metric::L2);
        let can_be_turned = directions <= dim.min(rotation::DIM_MAX);
        let (Some(metric), 1..=STAGES_MAX, true, true) = (metric, stages, can_be_turned, is_power) else {
            return Err(format!("{stages} stages, {directions} directions, unit {unit}, metric {metric:?}"));
        };
        let means = reader.floats(dim)?;
        let mut side = None;
        if side_bytes == 1 {
            let parts = reader.floats(3)?;
            let read = Side::of_parts(metric, parts[0], parts[1], parts[2]);
            side = Some(read.ok_or_else(|| format!("side bytes of mix, least and ratio {parts:?}"))?);
        }
        let mut rotation = None;
        if directions > 0 {
            let scales = reader.floats(directions)?;
            if scales.iter().any(|scale| !(0.0..=1.0).contains(scale)) {
                return Err(format!("{directions} directions of dim {dim} with scales out of range"));
            }
            let numbers = reader.bytes(directions * dim)?.iter().map(|byte| *byte as i8).collect();
            rotation = Some(Rotation::of_parts(scales, numbers));
        }
        let coded = if directions > 0 { directions } else { dim };
        let stages =
            (0..stages).map(|_| Stage::take(coded, &mut reader)).collect::<std::result::Result<Vec<_>, _>>()?;
        let book = Windows { means, unit, rotation, stages, side };
        if book.symbols() != symbols || !reader.bytes.is_empty() {
            let (found, left) = (book.symbols(), reader.bytes.len());
            return Err(format!("{found} symbols in stages, expected {symbols}; {left} bytes behind them, expected 0"));
        }
        Ok(book)
    }
}

impl Codebook {
    /// The codebook of trained parts; of its stages, each is the [`Stage::rounded`] of itself.
    pub(in crate::codec) fn of_windows(windows: &Windows) -> Result<Codebook> {
        let mut bytes = Vec::new();
        let metric = windows.side.as_ref().map_or(0, |side| side.metric as u32);
        let directions = windows.rotation.as_ref().map_or(0, |rotation| rotation.directions() as u32);
        let counts = [windows.means.len(), windows.symbols(), windows.side_bytes(), windows.stages.len()];
        let [dim, symbols, side_bytes, stages] = counts.map(|count| count as u32);
        for number in [WINDOWS, dim, symbols, side_bytes, stages, directions, windows.unit.to_bits(), metric] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend(windows.means.iter().flat_map(|mean| mean.to_le_bytes()));
        if let Some(side) = &windows.side {
            bytes.extend([side.mix, side.least, side.ratio].iter().flat_map(|part| part.to_le_bytes()));
        }
        if let Some(rotation) = &windows.rotation {
            bytes.extend(rotation.scales.iter().flat_map(|scale| scale.to_le_bytes()));
            bytes.extend(rotation.numbers.iter().map(|number| *number as u8));
        }
        windows.stages.iter().for_each(|stage| stage.put(&mut bytes));
        Codebook::take(&bytes).map_err(|what| Error::Internal(format!("a trained codebook: {what}")))
    }
}

/// Boundaries from `widths: [symbols]` u16, each less 1; they must add up to `dim`.
fn read_boundaries(widths: &[u8], dim: usize) -> std::result::Result<Vec<usize>, String> {
    // At most 65,536 widths of at most 65,536: no overflow in 64 bits, and boundaries beyond dim are refused.
    let widths = widths.as_chunks::<2>().0.iter().map(|width| u64::from(u16::from_le_bytes(*width)) + 1);
    let ends = widths.scan(0, |end, width| {
        *end += width;
        Some(*end)
    });
    let boundaries: Vec<u64> = std::iter::once(0).chain(ends).collect();
    if boundaries.last() != Some(&(dim as u64)) {
        return Err(format!("runs of {:?} dims in all, expected {dim}", boundaries.last()));
    }
    Ok(boundaries.into_iter().map(|end| end as usize).collect())
}
