//! The codewords that fit given symbols best: least squares by conjugate gradients, without ever forming a matrix.
//!
//! Minimizes Σ ‖row − Σ codewords‖² + ridge · ‖codewords − before‖², begun at the codewords before (Hestenes, Stiefel
//! 1952; the scaling of each codeword is by how often it is used). A few steps are enough: the symbols change with the next
//! search anyway. The ridge keeps codewords that are hardly used where they are, and settles what the sum leaves open.

use super::CODEWORDS;
use super::stage::Stage;
use crate::kernels::kernels;

/// How a fit is done.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    /// Steps of the descent.
    pub(super) steps: usize,
    /// Weight of the codewords before, in rows for each codeword.
    pub(super) ridge: f32,
}

/// Moves the codewords of `stage` to fit `rows: [n][dim]` coded as `symbols: [n][symbols]`.
pub(super) fn fit(stage: &mut Stage, rows: &[f32], symbols: &[u8], fit: Fit) {
    let mut misses = rows.to_vec();
    stage.subtract(symbols, &mut misses);
    let weights = weights(stage, symbols, fit.ridge);
    // The gradient at the codewords before: the ridge pulls at nothing yet.
    let mut gradient = sums_of(stage, &misses, symbols);
    let mut scaled: Vec<f32> = gradient.iter().zip(&weights).map(|(value, weight)| value / weight).collect();
    let mut values = stage.values.clone();
    let mut direction = Stage::new(stage.layout.clone(), scaled.clone(), stage.effort);
    let mut slope = dot(&gradient, &scaled);
    for _ in 0..fit.steps {
        let images = images_of(&direction, symbols, rows.len());
        let energy = dot(&images, &images) + f64::from(fit.ridge) * dot(&direction.values, &direction.values);
        if slope <= 0.0 || energy <= 0.0 {
            break;
        }
        let length = (slope / energy) as f32;
        add_scaled(&mut values, &direction.values, length);
        let mut turned = sums_of(&direction, &images, symbols);
        add_scaled(&mut turned, &direction.values, fit.ridge);
        add_scaled(&mut gradient, &turned, -length);
        scaled.iter_mut().zip(&gradient).zip(&weights).for_each(|((to, value), weight)| *to = value / weight);
        let next = dot(&gradient, &scaled);
        let turn = (next / slope) as f32;
        direction.values.iter_mut().zip(&scaled).for_each(|(value, scaled)| *value = scaled + turn * *value);
        slope = next;
    }
    stage.set_values(values);
}

/// For each component of each codeword the rows it is in, and the ridge.
fn weights(stage: &Stage, symbols: &[u8], ridge: f32) -> Vec<f32> {
    let mut counts = vec![0u32; stage.symbols() * CODEWORDS];
    for row in symbols.chunks_exact(stage.symbols()) {
        row.iter().enumerate().for_each(|(symbol, codeword)| counts[symbol * CODEWORDS + usize::from(*codeword)] += 1);
    }
    let widths = stage.layout.windows.iter().flat_map(|window| [window.width; CODEWORDS]);
    counts.iter().zip(widths).flat_map(|(count, width)| std::iter::repeat_n(*count as f32 + ridge, width)).collect()
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

/// What each row's symbols stand for under the values of `direction`.
fn images_of(direction: &Stage, symbols: &[u8], length: usize) -> Vec<f32> {
    let mut images = vec![0.0; length];
    direction.add(symbols, &mut images);
    images
}

fn add_scaled(to: &mut [f32], values: &[f32], factor: f32) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += factor * value);
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.chunks(4096).zip(right.chunks(4096)).map(|(left, right)| f64::from(kernels().dot(left, right))).sum()
}
