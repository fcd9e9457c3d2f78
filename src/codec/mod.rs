//! Nibble codes: a vector of `dim` floats becomes `symbols` 4-bit indices.
//!
//! ```text
//! vector      the codewords of its symbols, one after the other
//! subspaces   [symbols] runs of neighbouring dims; which neighbours share one is chosen in training (`layout`)
//! codewords   [dim][16]: offset[dim] + scale[subspace] * i16, so the book is small and every machine decodes the same bits
//! code        [symbols / 2, rounded up] u8, two symbols a byte, low nibble first; then `side` bytes, none so far
//! ```
//!
//! This is product quantization (Jégou, Douze, Schmid: Product Quantization for Nearest Neighbor Search, PAMI 2011) with 16
//! codewords, the member without overlap of the additive family (Babenko, Lempitsky: Additive Quantization for Extreme
//! Vector Compression, CVPR 2014). Members with overlapping supports change this directory only. Starts are k-means++
//! (Arthur, Vassilvitskii 2007). Training is deterministic: same sample, same seed, same bytes, on every machine.
//!
//! This module knows nothing of files, ids or threads. It allocates in `train` and `from_bytes`, never in `encode` or
//! `decode`.

pub mod block;
mod book;
mod kmeans;
mod layout;
mod random;
mod train;

use crate::error::{Error, Result};
use crate::kernels::{Subspaces, kernels};

/// Codewords of a subspace: what 4 bits tell apart.
pub const CODEWORDS: usize = 16;

/// The most components a vector may have.
pub const DIM_MAX: usize = 65_536;

/// Everything needed to encode and decode the vectors of one generation. Never changes.
#[derive(Clone)]
pub struct Codebook {
    /// `[symbols + 1]`: subspace s has dims `boundaries[s] .. boundaries[s + 1]`.
    boundaries: Vec<usize>,
    /// `[symbols]`: the scale of subspace s is 2 to this power.
    exponents: Vec<i16>,
    /// `[dim]`: the middle of each dim's codewords.
    offsets: Vec<f32>,
    /// `[symbols]`: one over the scale.
    inverses: Vec<f32>,
    /// `[dim][16]`: whole numbers of -32768..=32767, in units of the scale, from the offset.
    codewords: Vec<[f32; CODEWORDS]>,
    /// `[dim][16]`: offset + scale * codeword.
    values: Vec<[f32; CODEWORDS]>,
}

impl std::fmt::Debug for Codebook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codebook").field("dim", &self.dim()).field("symbols", &self.symbols()).finish_non_exhaustive()
    }
}

impl Codebook {
    /// Learns a codebook of `symbols` subspaces from `sample: [n][dim]`, n at least 1, all finite.
    ///
    /// `progress(done, total)` is called after each step; `true` ends the training with `Error::Cancelled`.
    /// Same sample and seed, same codebook.
    pub fn train(
        sample: &[f32],
        dim: usize,
        symbols: usize,
        seed: u64,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Codebook> {
        check_shape(dim, symbols).map_err(Error::InvalidArgument)?;
        if !sample.len().is_multiple_of(dim) {
            return Err(Error::InvalidArgument(format!("a sample of {} floats is no [n][{dim}]", sample.len())));
        }
        if sample.is_empty() {
            return Err(Error::TooFewVectors { found: 0, needed: 1 });
        }
        if let Some(place) = kernels().first_not_finite(sample) {
            return Err(Error::NotFinite { row: place / dim, column: place % dim, value: sample[place] });
        }
        train::train(sample, dim, symbols, seed, progress)
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.offsets.len()
    }

    /// Symbols of a code.
    pub fn symbols(&self) -> usize {
        self.exponents.len()
    }

    /// Bytes of a code behind its symbols.
    pub fn side_bytes(&self) -> usize {
        0
    }

    /// Bytes of a code.
    pub fn row_bytes(&self) -> usize {
        self.symbols().div_ceil(2) + self.side_bytes()
    }

    /// Encodes `rows: [n][dim]` into `codes: [n][row_bytes]`: in each subspace the nearest codeword, ties to the lower.
    pub fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        let subspaces = Subspaces {
            boundaries: &self.boundaries,
            offsets: &self.offsets,
            inverses: &self.inverses,
            codewords: &self.codewords,
            row_bytes: self.row_bytes(),
        };
        kernels().nearest_in_rows(rows, &subspaces, codes);
    }

    /// Decodes `code: [row_bytes]` into `out: [dim]`. Every byte is a valid code; the same bits come out on every machine.
    pub fn decode(&self, code: &[u8], out: &mut [f32]) {
        debug_assert_eq!((code.len(), out.len()), (self.row_bytes(), self.dim()));
        for (subspace, ends) in self.boundaries.windows(2).enumerate() {
            let symbol = usize::from(code[subspace / 2] >> (4 * (subspace % 2)) & 15);
            for (component, values) in out[ends[0]..ends[1]].iter_mut().zip(&self.values[ends[0]..ends[1]]) {
                *component = values[symbol];
            }
        }
    }
}

/// `dim` and `symbols` as a codebook may have them, or what is wrong.
fn check_shape(dim: usize, symbols: usize) -> std::result::Result<(), String> {
    if !(1..=DIM_MAX).contains(&dim) {
        return Err(format!("dim: found {dim}, expected 1..={DIM_MAX}"));
    }
    if !(1..=dim).contains(&symbols) {
        return Err(format!("symbols: found {symbols}, expected 1..={dim}, the dim"));
    }
    Ok(())
}
