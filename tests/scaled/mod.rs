//! Rows scaled as a store scales them, before they are coded and after they are decoded.

use omen::codec::{Codebook, divide, multiply};

/// `rows: [n][dim]` divided by their scales under `book`, and the scales, `[n]`.
pub fn scale(book: &Codebook, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut scaled = rows.to_vec();
    let divide_row = |row: &mut [f32]| {
        let scale = Some(book.scale_of(row)).filter(|scale| *scale > 0.0).unwrap_or(1.0);
        divide(row, scale);
        scale
    };
    let scales = scaled.chunks_exact_mut(book.dim()).map(divide_row).collect();
    (scaled, scales)
}

/// Multiplies `decoded: [n][dim]` by `scales: [n]`.
pub fn scale_back(decoded: &mut [f32], scales: &[f32]) {
    let dim = decoded.len() / scales.len();
    decoded.chunks_exact_mut(dim).zip(scales).for_each(|(row, scale)| multiply(row, *scale));
}
