//! Fits codewords to given symbols: least squares by conjugate gradients.
//!
//! Minimizes Σ ‖row − Σ codewords‖² + ridge · ‖codewords − previous codewords‖², starting at the previous codewords
//! (Hestenes, Stiefel: Methods of Conjugate Gradients for Solving Linear Systems, 1952; preconditioned by the number of
//! uses of each codeword). A few steps are enough, because the next search changes the symbols anyway. The ridge keeps
//! rarely used codewords near their values, and makes the solution unique.
//!
//! The normal matrix counts how often two codewords occur in the same row. These counts are the same for every dim that
//! both windows cover. They are collected once per fit, so that a step does not read the rows.

use super::stage::{Stage, StageLayout};
use crate::kernels::{CODEWORDS, kernels};

/// Parameters of a fit.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    /// Number of steps.
    pub(super) steps: usize,
    /// Weight of the previous codewords, in rows.
    pub(super) ridge: f32,
}

/// Moves the codewords of `stage` to fit `rows: [n][dim]` coded as `symbols: [n][symbols]`.
pub(super) fn fit(stage: &mut Stage, rows: &[f32], symbols: &[u8], fit: Fit) {
    let mut misses = rows.to_vec();
    stage.subtract(symbols, &mut misses);
    let counts = PairCounts::new(&stage.layout, symbols);
    let weights = counts.weights(&stage.layout, fit.ridge);
    // The gradient at the previous codewords, where the ridge is zero.
    let mut gradient = sum_rows(stage, &misses, symbols);
    let mut scaled: Vec<f32> = gradient.iter().zip(&weights).map(|(value, weight)| value / weight).collect();
    let (mut values, mut direction) = (stage.values.clone(), scaled.clone());
    let mut slope = dot(&gradient, &scaled);
    for _ in 0..fit.steps {
        let mut product = counts.multiply(&stage.layout, &direction);
        add_scaled(&mut product, &direction, fit.ridge);
        let curvature = dot(&direction, &product);
        if slope <= 0.0 || curvature <= 0.0 {
            break;
        }
        let length = (slope / curvature) as f32;
        add_scaled(&mut values, &direction, length);
        add_scaled(&mut gradient, &product, -length);
        scaled.iter_mut().zip(&gradient).zip(&weights).for_each(|((to, value), weight)| *to = value / weight);
        let next = dot(&gradient, &scaled);
        let momentum = (next / slope) as f32;
        direction.iter_mut().zip(&scaled).for_each(|(value, scaled)| *value = scaled + momentum * *value);
        slope = next;
    }
    stage.set_values(values);
}

/// The normal matrix: the number of rows with two codewords, for all pairs of symbols whose windows overlap.
struct PairCounts {
    /// `[symbols][window][16][16]`: for each symbol paired with itself and with the symbols after it, by the codewords
    /// of both.
    pairs: Vec<[[f32; CODEWORDS]; CODEWORDS]>,
}

impl PairCounts {
    fn new(layout: &StageLayout, symbols: &[u8]) -> PairCounts {
        let (count, rows) = (layout.symbols(), symbols.len() / layout.symbols());
        let columns: Vec<u8> =
            (0..count).flat_map(|symbol| symbols.iter().skip(symbol).step_by(count).copied()).collect();
        let column = |symbol: usize| &columns[symbol * rows..(symbol + 1) * rows];
        let pairs = (0..count).flat_map(|first| (first..first + layout.window).map(move |second| (first, second)));
        let count_pair = |(first, second): (usize, usize)| {
            let mut counts = [[0u32; CODEWORDS]; CODEWORDS];
            if second < count {
                for (first, second) in column(first).iter().zip(column(second)) {
                    counts[usize::from(*first) % CODEWORDS][usize::from(*second) % CODEWORDS] += 1;
                }
            }
            counts.map(|counts| counts.map(|count| count as f32))
        };
        PairCounts { pairs: pairs.map(count_pair).collect() }
    }

    /// The diagonal of the matrix: for each component of each codeword its number of rows, plus the ridge.
    fn weights(&self, layout: &StageLayout, ridge: f32) -> Vec<f32> {
        let own = self.pairs.iter().step_by(layout.window).zip(&layout.windows);
        own.flat_map(|(counts, window)| {
            (0..CODEWORDS).flat_map(|codeword| std::iter::repeat_n(counts[codeword][codeword] + ridge, window.width))
        })
        .collect()
    }

    /// Multiplies the matrix by `values`, which are laid out as codewords are.
    fn multiply(&self, layout: &StageLayout, values: &[f32]) -> Vec<f32> {
        let mut product = vec![0.0; values.len()];
        for (first, pairs) in self.pairs.chunks_exact(layout.window).enumerate() {
            let window = layout.windows[first];
            for (behind, counts) in pairs.iter().enumerate().take(layout.symbols() - first) {
                let other = layout.windows[first + behind];
                // The dims of both windows: the last of one, the first of the other.
                let before = other.first - window.first;
                let both = window.width - before;
                for (pair, count) in counts.as_flattened().iter().enumerate().filter(|(_, count)| **count > 0.0) {
                    let one = window.offset + pair / CODEWORDS * window.width + before;
                    let two = other.offset + pair % CODEWORDS * other.width;
                    add_scaled(&mut product[one..one + both], &values[two..two + both], *count);
                    if behind > 0 {
                        add_scaled(&mut product[two..two + both], &values[one..one + both], *count);
                    }
                }
            }
        }
        product
    }
}

/// Sums the rows of each codeword; the result is laid out as codewords are.
fn sum_rows(stage: &Stage, rows: &[f32], symbols: &[u8]) -> Vec<f32> {
    let mut sums = vec![0.0; stage.values.len()];
    let kernels = kernels();
    for (row, symbols) in rows.chunks_exact(stage.layout.dim()).zip(symbols.chunks_exact(stage.symbols())) {
        kernels.add_to_codewords(&stage.layout.windows, symbols, row, &mut sums);
    }
    sums
}

fn add_scaled(to: &mut [f32], values: &[f32], factor: f32) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += factor * value);
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.chunks(4096).zip(right.chunks(4096)).map(|(left, right)| f64::from(kernels().dot(left, right))).sum()
}
