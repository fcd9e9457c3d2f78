//! The codebook of window codes as bytes.
//!
//! ```text
//! u32 kind (2: window codes)   u32 dim   u32 symbols   u32 side bytes (0 or 1)
//! u32 stages   u32 directions (0: dims as they are)   f32 unit   i32 metric of the side byte (0 without one)
//! u32 1 if codes are directions, else 0   f32 length of most rows   f32 longest, f32 shortest not scaled
//! f32 the largest difference of a value to its mean
//! [dim] f32           means
//! if a side byte:     f32 mix   f32 least   f32 ratio
//! if directions:      [directions] f32 scales, [directions][dim] i8: a direction is its scale times its numbers
//! for each stage:     u32 symbols   u32 window   u32 survivors   f32 slack
//!                     [symbols] u16: dims of each symbol's own run, less 1
//!                     [symbols] f32 scales, then for each symbol [16][width] i8: a codeword is scale times numbers
//! ```
//! All little-endian. Windows are computed from runs (`stage`).

use super::codes::Windows;
use super::plan::{STAGES_MAX, coded, side_metric, stage_symbols, window_of};
use super::rotation::{ROTATED_DIM_MAX, Rotation};
use super::stage::{SearchEffort, Stage, StageLayout, even_runs};
use crate::codec::reader::BookReader;
use crate::codec::scale::Scale;
use crate::codec::shape::{DIM_MAX, Shape};
use crate::codec::side::Side;
use crate::kernels::{CODEWORDS, CodeLayout, Window};
use crate::metric::Metric;

/// The number of window codes in files and in reports.
pub const WINDOWS: u32 = 2;

/// Components of codewords are integers up to this, times a scale.
const NUMBER_MAX: f32 = i8::MAX as f32;

/// Scales are at most this, so that sums of codewords stay finite.
const SCALE_MAX: f32 = 1e12;

/// Bytes of a codebook before its stages: header, scale, means, parameters of the side byte, scales and numbers of directions.
fn head_bytes(dim: usize, has_side: bool, directions: usize) -> usize {
    [8 * 4, Scale::BYTES + 4, dim * 4, usize::from(has_side) * 3 * 4, directions * 4, directions * dim].iter().sum()
}

/// Bytes of a stage: header, runs, scales and numbers of codewords.
fn stage_bytes(layout: &StageLayout) -> usize {
    [4 * 4, layout.symbols() * 2, layout.symbols() * 4, layout.components()].iter().sum()
}

/// See [`super::stored_bytes`].
pub(super) fn stored_bytes(shape: &Shape) -> usize {
    let runs = stage_symbols(shape).into_iter().map(|symbols| even_runs(symbols, coded(shape)));
    let layouts = runs.enumerate().map(|(stage, runs)| StageLayout::new(runs, window_of(shape, stage)));
    let stages: usize = layouts.map(|layout| stage_bytes(&layout)).sum();
    head_bytes(shape.dim, side_metric(shape).is_some(), shape.directions) + stages
}

/// Rounds `values` to 8-bit integers and a common scale.
fn quantize(values: &[f32]) -> (f32, Vec<i8>) {
    let most = values.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    let scale = (most / NUMBER_MAX).min(SCALE_MAX);
    if scale < f32::MIN_POSITIVE {
        return (0.0, vec![0; values.len()]);
    }
    (scale, values.iter().map(|value| (value / scale).round() as i8).collect())
}

/// `[symbols]`: scale and numbers of the codewords of each symbol.
fn quantize_stage(stage: &Stage) -> Vec<(f32, Vec<i8>)> {
    let codewords = |window: &Window| &stage.values[window.offset..][..CODEWORDS * window.width];
    stage.layout.windows.iter().map(|window| quantize(codewords(window))).collect()
}

/// The stage after rounding: equal to the stage that is stored and parsed.
pub(super) fn round_stage(stage: &Stage) -> Stage {
    let codewords = quantize_stage(stage).into_iter();
    let values =
        codewords.flat_map(|(scale, numbers)| numbers.into_iter().map(move |number| scale * f32::from(number)));
    Stage::new(stage.layout.clone(), values.collect(), stage.effort)
}

/// The stored form of `windows`, whose stages must have been rounded by [`round_stage`].
pub(super) fn to_bytes(windows: &Windows) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (dim, CodeLayout { symbols, side_bytes }) = (windows.dim(), windows.layout());
    let metric = windows.side.as_ref().map_or(0, |side| side.metric as u32);
    let directions = windows.rotation.as_ref().map_or(0, Rotation::directions);
    let [dim_field, symbols, side_field, stages, directions_field] =
        [dim, symbols, side_bytes, windows.stages.len(), directions].map(|count| count as u32);
    let unit = windows.unit.to_bits();
    for number in [WINDOWS, dim_field, symbols, side_field, stages, directions_field, unit, metric] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&windows.scale.to_bytes());
    bytes.extend_from_slice(&windows.reach.to_le_bytes());
    bytes.extend(windows.means.iter().flat_map(|mean| mean.to_le_bytes()));
    if let Some(side) = &windows.side {
        bytes.extend([side.mix, side.least, side.ratio].iter().flat_map(|part| part.to_le_bytes()));
    }
    if let Some(rotation) = &windows.rotation {
        bytes.extend(rotation.scales.iter().flat_map(|scale| scale.to_le_bytes()));
        bytes.extend(rotation.numbers.iter().map(|number| *number as u8));
    }
    debug_assert_eq!(bytes.len(), head_bytes(dim, side_bytes > 0, directions));
    windows.stages.iter().for_each(|stage| write_stage(stage, &mut bytes));
    bytes
}

fn write_stage(stage: &Stage, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for number in [stage.symbols(), stage.layout.window, stage.effort.survivors] {
        bytes.extend_from_slice(&(number as u32).to_le_bytes());
    }
    bytes.extend_from_slice(&stage.effort.slack.to_le_bytes());
    for ends in stage.layout.boundaries.windows(2) {
        bytes.extend_from_slice(&((ends[1] - ends[0] - 1) as u16).to_le_bytes());
    }
    let codewords = quantize_stage(stage);
    codewords.iter().for_each(|(scale, _)| bytes.extend_from_slice(&scale.to_le_bytes()));
    codewords.iter().for_each(|(_, numbers)| bytes.extend(numbers.iter().map(|number| *number as u8)));
    debug_assert_eq!(bytes.len() - start, stage_bytes(&stage.layout));
}

/// Parses the codebook in `bytes`, which are not trusted.
pub(super) fn parse(bytes: &[u8]) -> Result<Windows, String> {
    let mut reader = BookReader::new(bytes);
    let header: [usize; 4] = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
    let [kind, dim, symbols, side_bytes] = header;
    if kind != WINDOWS as usize || side_bytes > 1 {
        return Err(format!("kind {kind} with {side_bytes} side bytes, expected {WINDOWS} with at most 1"));
    }
    if !(1..=DIM_MAX).contains(&dim) || !(1..=dim * STAGES_MAX).contains(&symbols) {
        return Err(format!(
            "dim {dim} and {symbols} symbols, expected dim 1..={DIM_MAX} and at most {STAGES_MAX} symbols a dim"
        ));
    }
    let (stages, directions, unit, metric) = (reader.number()?, reader.number()?, reader.float()?, reader.number()?);
    let (is_power, metric) = (is_unit(unit), metric_of_side(metric, side_bytes));
    let can_be_rotated = directions <= dim.min(ROTATED_DIM_MAX);
    let (Some(metric), 1..=STAGES_MAX, true, true) = (metric, stages, can_be_rotated, is_power) else {
        return Err(format!("{stages} stages, {directions} directions, unit {unit}, metric {metric:?}"));
    };
    let (scale, reach) = (Scale::parse(&mut reader)?, reader.floats(1)?[0]);
    let means = reader.floats(dim)?;
    let side = if side_bytes == 1 { Some(parse_side(metric, &mut reader)?) } else { None };
    let rotation = if directions > 0 { Some(parse_rotation(directions, dim, &mut reader)?) } else { None };
    let coded = if directions > 0 { directions } else { dim };
    let stages = (0..stages).map(|_| parse_stage(coded, &mut reader)).collect::<Result<Vec<_>, _>>()?;
    let book = Windows { scale, reach, means, unit, rotation, stages, side };
    let (found, left) = (book.layout().symbols, reader.left());
    if found != symbols || left > 0 {
        return Err(format!("{found} symbols in stages, expected {symbols}; {left} bytes behind them, expected 0"));
    }
    Ok(book)
}

/// True for a power of two whose inverse is a normal float.
pub(in crate::codec) fn is_unit(unit: f32) -> bool {
    unit.is_normal() && unit > 0.0 && unit.to_bits() & 0x7f_ffff == 0 && unit.recip().is_normal()
}

/// The metric of the side byte, from its stored number; without a side byte, this must be that of L2.
pub(in crate::codec) fn metric_of_side(number: usize, side_bytes: usize) -> Option<Metric> {
    Metric::from_i32(number as i32).filter(|metric| side_bytes == 1 || *metric == Metric::L2)
}

pub(in crate::codec) fn parse_side(metric: Metric, reader: &mut BookReader<'_>) -> Result<Side, String> {
    let parts = reader.floats(3)?;
    let side = Side::of_parts(metric, parts[0], parts[1], parts[2]);
    side.ok_or_else(|| format!("side bytes of mix, least and ratio {parts:?}"))
}

fn parse_rotation(directions: usize, dim: usize, reader: &mut BookReader<'_>) -> Result<Rotation, String> {
    let scales = reader.floats(directions)?;
    if scales.iter().any(|scale| !(0.0..=1.0).contains(scale)) {
        return Err(format!("{directions} directions of dim {dim} with scales out of range"));
    }
    let numbers = reader.bytes(directions * dim)?.iter().map(|byte| *byte as i8).collect();
    Ok(Rotation::of_parts(scales, numbers))
}

fn parse_stage(dim: usize, reader: &mut BookReader<'_>) -> Result<Stage, String> {
    let (symbols, window, survivors) = (reader.number()?, reader.number()?, reader.number()?);
    let effort = SearchEffort { survivors, slack: reader.float()? };
    if !(1..=dim).contains(&symbols) || !effort.is_sound() {
        return Err(format!("a stage of {symbols} symbols searched with {effort:?}"));
    }
    let boundaries = parse_boundaries(reader.bytes(symbols * 2)?, dim)?;
    let layout = StageLayout::new(boundaries, window.clamp(1, symbols));
    if layout.window != window || !layout.is_searchable() {
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

/// Boundaries from `widths: [symbols]` u16, each less 1; they must add up to `dim`.
fn parse_boundaries(widths: &[u8], dim: usize) -> Result<Vec<usize>, String> {
    // At most 65,536 widths of at most 65,536: the sum cannot overflow 64 bits. It must equal `dim`.
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
