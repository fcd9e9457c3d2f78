//! k-means with 16 means in one subspace: Lloyd's iterations from the best of several k-means++ starts (Arthur,
//! Vassilvitskii: k-means++, SODA 2007).
//!
//! Points come as columns, `[subdim][n]`, scaled to about -1..=1, so squares neither overflow nor vanish. Sums run in
//! f64 in row order, and all kernels find the same nearest codewords to the bit, so the means are the same on every
//! machine.

use crate::codec::random::Random;
use crate::kernels::{CODEWORDS, kernels};

/// Effort of the k-means of one subspace.
#[derive(Clone, Copy)]
pub(super) struct MeansEffort {
    /// Number of k-means++ starts.
    pub(super) starts: usize,
    /// Number of evenly spread points on which the starts are compared.
    pub(super) start_points: usize,
    /// Lloyd's iterations of each start.
    pub(super) start_rounds: usize,
    /// Upper bound on iterations over all points.
    pub(super) rounds: usize,
}

/// `[subdim][16]` means, and the sum of squared distances to them.
pub(super) struct Means {
    pub(super) codewords: Vec<f32>,
    pub(super) distortion: f64,
}

/// `[n]`: the nearest codeword of each point, and the squared distance to it.
struct Assignment {
    symbols: Vec<u8>,
    distances: Vec<f32>,
}

/// Iterations end when one reduces the distortion by less than this share.
const LEAST_GAIN: f64 = 1e-5;

/// Candidates for the next centre in each step of greedy k-means++.
const TRIALS: usize = 4;

/// Means of `columns: [subdim][n]`.
pub(super) fn means(columns: &[f32], n: usize, effort: MeansEffort, random: &mut Random) -> Means {
    let few_n = effort.start_points.min(n);
    let few = pick_evenly(columns, n, few_n);
    let mut best: Option<Means> = None;
    for _ in 0..effort.starts.max(1) {
        let mut candidate = Means { codewords: seed(&few, few_n, random), distortion: f64::INFINITY };
        iterate(&few, few_n, effort.start_rounds, &mut candidate);
        if best.as_ref().is_none_or(|best| candidate.distortion < best.distortion) {
            best = Some(candidate);
        }
    }
    let mut means = best.unwrap_or(Means { codewords: Vec::new(), distortion: 0.0 });
    if effort.rounds > 0 {
        iterate(columns, n, effort.rounds, &mut means);
    }
    means
}

/// `count` of the `n` points of `columns: [subdim][n]`, evenly spread, as `[subdim][count]`.
fn pick_evenly(columns: &[f32], n: usize, count: usize) -> Vec<f32> {
    columns.chunks_exact(n).flat_map(|column| (0..count).map(move |i| column[i * n / count])).collect()
}

/// Chooses sixteen of the points by greedy k-means++, `[subdim][16]`: each point is drawn with a probability
/// proportional to its squared distance to the nearest chosen point, and the best of a few draws is kept.
fn seed(columns: &[f32], n: usize, random: &mut Random) -> Vec<f32> {
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
            add_centre(columns, n, point, &nearest, &mut trial);
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

/// Writes into `out: [n]` the squared distances to the nearest centre: `nearest: [n]`, updated for the new centre
/// `point`.
fn add_centre(columns: &[f32], n: usize, point: usize, nearest: &[f32], out: &mut [f32]) {
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

/// Moves each codeword to the mean of its points; one without points moves to the point with the largest distance.
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
        let worst = index_of_largest(&assignment.distances);
        assignment.distances[worst] = 0.0;
        for (column, codewords) in columns.chunks_exact(n).zip(codewords.chunks_exact_mut(CODEWORDS)) {
            codewords[empty] = column[worst];
        }
    }
}

/// The index of the largest of `distances: [n]`, the first of equals.
fn index_of_largest(distances: &[f32]) -> usize {
    let mut worst = 0;
    for (point, distance) in distances.iter().enumerate() {
        if *distance > distances[worst] {
            worst = point;
        }
    }
    worst
}
