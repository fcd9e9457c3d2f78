//! Sixteen means of the points of one subspace: Lloyd's iterations from the best of several k-means++ starts.
//!
//! Points come as columns, `[subdim][n]`, scaled into about -1..=1, so squares neither overflow nor vanish. Sums run in f64
//! in row order and the nearest codewords come from kernels that agree to the bit: the same means on every machine.

use crate::codec::CODEWORDS;
use crate::codec::random::Random;
use crate::kernels::kernels;

/// What to spend on one subspace.
#[derive(Clone, Copy)]
pub(in crate::codec) struct Effort {
    /// k-means++ starts tried.
    pub(in crate::codec) starts: usize,
    /// Points a start is judged on, spread over all.
    pub(in crate::codec) start_points: usize,
    /// Lloyd's iterations of each start.
    pub(in crate::codec) start_rounds: usize,
    /// Most iterations on all points.
    pub(in crate::codec) rounds: usize,
}

/// The means `[subdim][16]` and the summed squared distance to them.
pub(in crate::codec) struct Means {
    pub(in crate::codec) codewords: Vec<f32>,
    pub(in crate::codec) distortion: f64,
}

/// Room for one assignment of n points.
struct Assignment {
    symbols: Vec<u8>,
    distances: Vec<f32>,
}

/// An iteration that gains less than this share of the distortion is the last.
const LEAST_GAIN: f64 = 1e-5;

/// Next centres tried at each step of k-means++ (the greedy variant of Arthur and Vassilvitskii).
const TRIALS: usize = 4;

/// Means of `columns: [subdim][n]`.
pub(in crate::codec) fn means(columns: &[f32], n: usize, effort: Effort, random: &mut Random) -> Means {
    let few = spread(columns, n, effort.start_points.min(n));
    let few_n = effort.start_points.min(n);
    let mut best: Option<Means> = None;
    for _ in 0..effort.starts.max(1) {
        let mut tried = Means { codewords: start(&few, few_n, random), distortion: f64::INFINITY };
        iterate(&few, few_n, effort.start_rounds, &mut tried);
        if best.as_ref().is_none_or(|best| tried.distortion < best.distortion) {
            best = Some(tried);
        }
    }
    let mut means = best.unwrap_or(Means { codewords: Vec::new(), distortion: 0.0 });
    if effort.rounds > 0 {
        iterate(columns, n, effort.rounds, &mut means);
    }
    means
}

/// `count` of the `n` points of `columns: [subdim][n]`, evenly spread, as `[subdim][count]`.
fn spread(columns: &[f32], n: usize, count: usize) -> Vec<f32> {
    columns.chunks_exact(n).flat_map(|column| (0..count).map(move |i| column[i * n / count])).collect()
}

/// Sixteen of the points as a start, `[subdim][16]`: each next one drawn by its squared distance to those before, the best
/// of a few draws taken.
fn start(columns: &[f32], n: usize, random: &mut Random) -> Vec<f32> {
    let subdim = columns.len() / n;
    let mut codewords = vec![0.0; subdim * CODEWORDS];
    let mut nearest = vec![f32::INFINITY; n];
    let (mut trial, mut best) = (vec![0.0; n], vec![0.0; n]);
    for number in 0..CODEWORDS {
        let total: f64 = nearest.iter().map(|distance| f64::from(*distance)).sum();
        let trials = if number == 0 { 1 } else { TRIALS };
        let (mut best_sum, mut best_point) = (f64::INFINITY, 0);
        for _ in 0..trials {
            let point = if number == 0 { random.below(n) } else { draw(&nearest, random.unit() * total) };
            distances_with(columns, n, point, &nearest, &mut trial);
            let sum: f64 = trial.iter().map(|distance| f64::from(*distance)).sum();
            if sum < best_sum {
                (best_sum, best_point) = (sum, point);
                std::mem::swap(&mut trial, &mut best);
            }
        }
        std::mem::swap(&mut nearest, &mut best);
        for (component, column) in columns.chunks_exact(n).enumerate() {
            codewords[component * CODEWORDS + number] = column[best_point];
        }
    }
    codewords
}

/// The first point at which the running sum of `weights: [n]` exceeds `target`.
fn draw(weights: &[f32], target: f64) -> usize {
    let mut sum = 0.0;
    let reached = weights.iter().position(|weight| {
        sum += f64::from(*weight);
        sum > target
    });
    reached.unwrap_or(weights.len() - 1)
}

/// `nearest: [n]` with point `point` as one more centre, into `out: [n]`.
fn distances_with(columns: &[f32], n: usize, point: usize, nearest: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for column in columns.chunks_exact(n) {
        let centre = column[point];
        for (distance, value) in out.iter_mut().zip(column) {
            *distance += (value - centre) * (value - centre);
        }
    }
    for (distance, nearest) in out.iter_mut().zip(nearest) {
        *distance = if *distance < *nearest { *distance } else { *nearest };
    }
}

/// At most `rounds` of Lloyd's iterations on `columns: [subdim][n]`; the distortion is that of the last assignment.
fn iterate(columns: &[f32], n: usize, rounds: usize, means: &mut Means) {
    let mut assignment = Assignment { symbols: vec![0; n], distances: vec![0.0; n] };
    means.distortion = f64::INFINITY;
    for _ in 0..rounds {
        kernels().nearest_in_columns(columns, &means.codewords, &mut assignment.symbols, &mut assignment.distances);
        let distortion: f64 = assignment.distances.iter().map(|distance| f64::from(*distance)).sum();
        let gained = means.distortion - distortion;
        means.distortion = distortion;
        if gained <= LEAST_GAIN * distortion {
            return;
        }
        move_to_means(columns, n, &mut assignment, &mut means.codewords);
    }
}

/// Moves each codeword to the mean of its points; one without points to the point worst served.
fn move_to_means(columns: &[f32], n: usize, assignment: &mut Assignment, codewords: &mut [f32]) {
    let mut counts = [0u32; CODEWORDS];
    for symbol in &assignment.symbols {
        counts[usize::from(symbol & 15)] += 1;
    }
    for (column, codewords) in columns.chunks_exact(n).zip(codewords.chunks_exact_mut(CODEWORDS)) {
        let mut sums = [0.0f64; CODEWORDS];
        for (value, symbol) in column.iter().zip(&assignment.symbols) {
            sums[usize::from(symbol & 15)] += f64::from(*value);
        }
        for ((codeword, sum), count) in codewords.iter_mut().zip(sums).zip(counts) {
            if count > 0 {
                *codeword = (sum / f64::from(count)) as f32;
            }
        }
    }
    for empty in (0..CODEWORDS).filter(|symbol| counts[*symbol] == 0) {
        let worst = farthest(&assignment.distances);
        assignment.distances[worst] = 0.0;
        for (column, codewords) in columns.chunks_exact(n).zip(codewords.chunks_exact_mut(CODEWORDS)) {
            codewords[empty] = column[worst];
        }
    }
}

/// The place of the largest of `distances: [n]`, the first of equals.
fn farthest(distances: &[f32]) -> usize {
    let mut worst = 0;
    for (point, distance) in distances.iter().enumerate() {
        if *distance > distances[worst] {
            worst = point;
        }
    }
    worst
}
