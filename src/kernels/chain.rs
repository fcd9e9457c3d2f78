//! The search where a codeword reaches over its own dims and those of the next symbol only: then the symbol before is all
//! that a choice depends on, sixteen paths are enough, and the best symbols of all are found (Viterbi, IEEE Trans. Inf.
//! Theory 1967; coded vectors as such a chain: Marcellin, Fischer, IEEE Trans. Comm. 1990).

use super::windows::{CODEWORDS, Lanes, Paths};

/// What the search needs of a code.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`; from 0, ascending, to dim.
    pub boundaries: &'a [usize],
    /// `[dim][16]`: what each codeword adds to its own dims.
    pub heads: &'a [Lanes],
    /// `[dim][16]`: what each codeword of the symbol before adds.
    pub tails: &'a [Lanes],
    /// `[symbols][16 of the symbol before][16]`: twice the inner product of tail and head.
    pub crosses: &'a [Lanes],
}

/// See `Kernels::best_chain`.
#[inline(always)]
pub(super) fn best_chain(chain: &Chain<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
    let steps = &mut paths.before;
    steps.clear();
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
        steps.push(from);
    }
    let mut codeword = (1..CODEWORDS).fold(0, |best, next| if costs[next] < costs[best] { next } else { best });
    for (symbol, from) in symbols.iter_mut().zip(steps.iter()).rev() {
        *symbol = codeword as u8;
        codeword = from[codeword] as usize;
    }
}
