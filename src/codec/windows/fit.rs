//! The codewords that fit given symbols best: least squares by conjugate gradients.
//!
//! Minimizes Σ ‖row − Σ codewords‖² + ridge · ‖codewords − before‖², begun at the codewords before (Hestenes, Stiefel
//! 1952; the scaling of each codeword is by how often it is used). A few steps are enough: the symbols change with the next
//! search anyway. The ridge keeps codewords that are hardly used where they are, and settles what the sum leaves open.
//!
//! The normal matrix is the same for every dim but for which windows reach it: how often two codewords stand in one row. It
//! is counted once a fit, so that a step does not look at the rows.

use super::stage::{Layout, Stage};
use crate::codec::CODEWORDS;
use crate::kernels::kernels;

/// How a fit is done.
#[derive(Clone, Copy)]
pub(in crate::codec) struct Fit {
    /// Steps of the descent.
    pub(in crate::codec) steps: usize,
    /// Weight of the codewords before, in rows for each codeword.
    pub(in crate::codec) ridge: f32,
}

/// Moves the codewords of `stage` to fit `rows: [n][dim]` coded as `symbols: [n][symbols]`.
pub(in crate::codec) fn fit(stage: &mut Stage, rows: &[f32], symbols: &[u8], fit: Fit) {
    let mut misses = rows.to_vec();
    stage.subtract(symbols, &mut misses);
    let counts = Counts::new(&stage.layout, symbols);
    let weights = counts.weights(&stage.layout, fit.ridge);
    // The gradient at the codewords before: the ridge pulls at nothing yet.
    let mut gradient = sums_of(stage, &misses, symbols);
    let mut scaled: Vec<f32> = gradient.iter().zip(&weights).map(|(value, weight)| value / weight).collect();
    let (mut values, mut direction) = (stage.values.clone(), scaled.clone());
    let mut slope = dot(&gradient, &scaled);
    for _ in 0..fit.steps {
        let mut turned = counts.product(&stage.layout, &direction);
        add_scaled(&mut turned, &direction, fit.ridge);
        let energy = dot(&direction, &turned);
        if slope <= 0.0 || energy <= 0.0 {
            break;
        }
        let length = (slope / energy) as f32;
        add_scaled(&mut values, &direction, length);
        add_scaled(&mut gradient, &turned, -length);
        scaled.iter_mut().zip(&gradient).zip(&weights).for_each(|((to, value), weight)| *to = value / weight);
        let next = dot(&gradient, &scaled);
        let turn = (next / slope) as f32;
        direction.iter_mut().zip(&scaled).for_each(|(value, scaled)| *value = scaled + turn * *value);
        slope = next;
    }
    stage.set_values(values);
}

/// Rows in which two codewords stand together, for all symbols whose windows overlap.
struct Counts {
    /// `[symbols][window][16][16]`: a symbol and those behind it, itself first; a codeword of the one and of the other.
    pairs: Vec<[[f32; CODEWORDS]; CODEWORDS]>,
}

impl Counts {
    fn new(layout: &Layout, symbols: &[u8]) -> Counts {
        let (count, rows) = (layout.symbols(), symbols.len() / layout.symbols());
        let columns: Vec<u8> =
            (0..count).flat_map(|symbol| symbols.iter().skip(symbol).step_by(count).copied()).collect();
        let column = |symbol: usize| &columns[symbol * rows..(symbol + 1) * rows];
        let pairs = (0..count).flat_map(|first| (first..first + layout.window).map(move |second| (first, second)));
        let counted = |(first, second): (usize, usize)| {
            let mut counts = [[0u32; CODEWORDS]; CODEWORDS];
            if second < count {
                for (first, second) in column(first).iter().zip(column(second)) {
                    counts[usize::from(*first) % CODEWORDS][usize::from(*second) % CODEWORDS] += 1;
                }
            }
            counts.map(|counts| counts.map(|count| count as f32))
        };
        Counts { pairs: pairs.map(counted).collect() }
    }

    /// For each component of each codeword the rows it is in, and the ridge.
    fn weights(&self, layout: &Layout, ridge: f32) -> Vec<f32> {
        let own = self.pairs.iter().step_by(layout.window).zip(&layout.windows);
        own.flat_map(|(counts, window)| {
            (0..CODEWORDS).flat_map(|codeword| std::iter::repeat_n(counts[codeword][codeword] + ridge, window.width))
        })
        .collect()
    }

    /// The normal matrix times `values`, which are laid out as codewords are.
    fn product(&self, layout: &Layout, values: &[f32]) -> Vec<f32> {
        let mut product = vec![0.0; values.len()];
        for (first, pairs) in self.pairs.chunks_exact(layout.window).enumerate() {
            let window = layout.windows[first];
            for (behind, counts) in pairs.iter().enumerate().take(layout.symbols() - first) {
                let other = layout.windows[first + behind];
                // The dims both windows have: the last of the one, the first of the other.
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

/// What a codeword's rows add up to, for each codeword.
fn sums_of(stage: &Stage, rows: &[f32], symbols: &[u8]) -> Vec<f32> {
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
