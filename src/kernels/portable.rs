//! The kernels for any CPU of the architecture. They define the result to the bit. `score` and `extend` have another
//! version in other levels, which must equal the one here.

use super::lanes::CODEWORDS;
use super::scan::{BLOCK_ROWS, SILENT, Scan, Sides};
use super::trellis::{Branches, INDEX_BITS, Predecessors};
use super::{compile_kernels, for_all_kernels};

for_all_kernels!(compile_kernels, { Level::Portable, inline });

/// Scores every row of `block` into `scores`; bit v of the result is 1 if the score of row v is at most `limit`.
/// `_has_next`: another block follows in memory, which a level may prefetch.
#[inline(always)]
fn score(scan: &Scan<'_>, block: &[u8], _has_next: bool, limit: u16, scores: &mut [u16; BLOCK_ROWS]) -> u32 {
    *scores = [0; BLOCK_ROWS];
    let (pairs, sides) = block.split_at(scan.tables.len() * BLOCK_ROWS);
    for (pair, table) in pairs.as_chunks::<32>().0.iter().zip(scan.tables) {
        for (position, byte) in pair.iter().enumerate() {
            let (row, table) = (position % 16, &table[position / 16 * 16..][..16]);
            scores[row] += u16::from(table[usize::from(byte & 15)]);
            scores[row + 16] += u16::from(table[usize::from(byte >> 4)]);
        }
    }
    for (score, side) in scores.iter_mut().zip(sides) {
        *score = match &scan.sides {
            Sides::None => *score,
            _ if SILENT.contains(side) => 0,
            Sides::Add(values) => score.saturating_add(values.at(*side)),
            Sides::Scale { from, factor } => {
                let product = u32::from(from.saturating_sub(*score)) * u32::from(factor.at(*side));
                !((product >> 16) as u16)
            }
        };
    }
    scores.iter().rev().fold(0, |bits, score| bits << 1 | u32::from(*score <= limit))
}

/// Finds the `survivors` cheapest paths to each codeword of a symbol, and marks those that cost at most `slack` more
/// than the cheapest of all.
#[inline(always)]
fn extend(predecessors: &Predecessors<'_>, survivors: usize, slack: f32, branches: &mut Branches) {
    branches.costs[..survivors].fill([u32::MAX; CODEWORDS]);
    for (path, (cost, sums)) in predecessors.paths().enumerate() {
        let mut totals = [*cost; CODEWORDS];
        for (residual, head) in predecessors.residuals(sums) {
            for (total, component) in totals.iter_mut().zip(&head.0) {
                let difference = residual - component;
                *total += difference * difference;
            }
        }
        let mut entering = totals.map(|total| total.to_bits() & !INDEX_BITS | path as u32);
        // In each lane, inserts a cost into the ascending costs; the largest one is dropped.
        for costs in &mut branches.costs[..survivors] {
            for (kept, entering) in costs.iter_mut().zip(&mut entering) {
                (*kept, *entering) = ((*kept).min(*entering), (*kept).max(*entering));
            }
        }
    }
    let lowest = branches.costs[0].iter().fold(u32::MAX, |lowest, cost| lowest.min(*cost));
    let limit = branches.set_lowest(lowest, slack);
    for (within, costs) in branches.within.iter_mut().zip(&branches.costs[..survivors]) {
        let bits = costs.iter().enumerate().map(|(codeword, cost)| u16::from(*cost <= limit) << codeword);
        *within = bits.fold(0, |within, bit| within | bit);
    }
}
