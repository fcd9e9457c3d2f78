//! Exact search for the symbols of a window code whose windows span at most two runs, by the Viterbi algorithm
//! (Viterbi, IEEE Trans. Inf. Theory 1967; applied to quantization by Marcellin, Fischer, IEEE Trans. Comm. 1990). The
//! cost of a codeword depends only on the codeword before it, so one path for each of 16 codewords is enough to find
//! the nearest sum.

use super::lanes::{CODEWORDS, Lanes};
use super::trellis::Paths;

/// The codewords in the layout of this search.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`; ascending from 0 to dim.
    pub boundaries: &'a [usize],
    /// `[dim][16]`: what each codeword adds to its own dims.
    pub heads: &'a [Lanes],
    /// `[dim][16]`: what each codeword of the previous symbol adds to these dims.
    pub tails: &'a [Lanes],
    /// `[symbols][16 of the previous symbol][16]`: twice the inner product of tail and head.
    pub crosses: &'a [Lanes],
}

/// See `Kernels::best_chain`.
#[inline(always)]
pub(super) fn best_chain(chain: &Chain<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
    let backpointers = &mut paths.chain_backpointers;
    backpointers.clear();
    let mut costs = [0.0; CODEWORDS];
    let runs = chain.boundaries.windows(2).zip(chain.crosses.as_chunks::<CODEWORDS>().0);
    for (ends, crosses) in runs {
        let mut alone = [0.0; CODEWORDS];
        let dims = row[ends[0]..ends[1]].iter().zip(&chain.heads[ends[0]..ends[1]]).zip(&chain.tails[ends[0]..ends[1]]);
        for ((value, head), tail) in dims {
            for lane in 0..CODEWORDS {
                // ‖value − tail − head‖² = ‖value − tail‖² + ‖head‖² − 2 value · head + 2 tail · head.
                let left = value - tail.0[lane];
                costs[lane] += left * left;
                alone[lane] += head.0[lane] * (head.0[lane] - 2.0 * value);
            }
        }
        let (mut best, mut from) = ([f32::INFINITY; CODEWORDS], [0; CODEWORDS]);
        for (before, cross) in (0..).zip(crosses) {
            let cost = costs[before as usize];
            for lane in 0..CODEWORDS {
                let total = cost + cross.0[lane];
                from[lane] = if total < best[lane] { before } else { from[lane] };
                best[lane] = if total < best[lane] { total } else { best[lane] };
            }
        }
        for lane in 0..CODEWORDS {
            costs[lane] = best[lane] + alone[lane];
        }
        backpointers.push(from);
    }
    let mut codeword = (1..CODEWORDS).fold(0, |best, next| if costs[next] < costs[best] { next } else { best });
    for (symbol, from) in symbols.iter_mut().zip(backpointers.iter()).rev() {
        *symbol = codeword as u8;
        codeword = from[codeword] as usize;
    }
}
