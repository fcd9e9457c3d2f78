//! The kernels for any CPU of the architecture. They define the result to the bit. `score` and `extend` have another
//! version in other levels, which must equal the one here.

use super::lanes::{CODEWORDS, Lanes};
use super::look_ahead::{BeamPaths, KEPT_ROOM, LEVEL_MAX, Step, steps_per_cost};
use super::scan::{BLOCK_ROWS, SILENT, Scan, Sides};
use super::step_search::{DEAR, StepLanes, StepPaths, add, levels_per_step};
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

/// The costs of the extensions of each path of `now`, into `costs`: `base`, the cost of the path, and what its latest
/// symbols add by `tables`, the latest first.
#[inline(always)]
fn extend_all(base: &[f32; CODEWORDS], tables: &[[Lanes; CODEWORDS]], now: &BeamPaths, costs: &mut [[f32; CODEWORDS]]) {
    for (to, (cost, history)) in costs.iter_mut().zip(now.costs.iter().zip(&now.histories)) {
        let (mut total, mut history) = (base.map(|base| base + cost), *history);
        for table in tables {
            let added = &table[history as usize % CODEWORDS].0;
            total.iter_mut().zip(added).for_each(|(total, added)| *total += added);
            history >>= 4;
        }
        *to = total;
    }
}

/// Writes the indexes of the cheapest extensions into `kept`, whose last [`KEPT_ROOM`] places stay free: fewer than all.
/// `costs` are compared as levels (`steps_per_cost`), for which `levels` is room. Of equal levels the first are kept.
#[inline(always)]
fn keep_cheapest(costs: &[[f32; CODEWORDS]], least: f32, bound: f32, levels: &mut [u8], kept: &mut [u16]) {
    let (scale, most) = (steps_per_cost(least, bound), f32::from(LEVEL_MAX));
    let count = kept.len() - KEPT_ROOM;
    for (level, cost) in levels.iter_mut().zip(costs.as_flattened()) {
        let steps = (cost - least) * scale;
        *level = if steps < most { steps as u8 } else { LEVEL_MAX };
    }
    let mut counts = [0; LEVEL_MAX as usize + 1];
    levels.iter().for_each(|level| counts[usize::from(*level)] += 1);
    // The level of the last one kept.
    let (mut last, mut up_to) = (0, counts[0]);
    while up_to < count {
        last += 1;
        up_to += counts[usize::from(last)];
    }
    let below = (0..).zip(levels.iter()).filter(|(_, level)| **level < last);
    let equal = (0..).zip(levels.iter()).filter(|(_, level)| **level == last);
    kept[..count].iter_mut().zip(below.chain(equal)).for_each(|(kept, (index, _))| *kept = index);
}

/// Computes the sums of the paths `next`, and adds the weighted squares of their residuals to their costs.
#[inline(always)]
fn add_growth(step: &Step<'_>, now: &BeamPaths, next: &mut BeamPaths) {
    let (sixteens, width) = (step.growth.len(), step.row.len());
    for (path, index) in step.kept.iter().enumerate() {
        let (parent, codeword) = (usize::from(*index) / CODEWORDS, usize::from(*index) % CODEWORDS);
        let before = &now.sums[2 * width * parent + step.own..][..width];
        let sums = &mut next.sums[2 * width * path..][..width];
        let mut squares = [0.0; CODEWORDS];
        for sixteen in 0..sixteens {
            let (tails, growth) = (&step.tails[codeword * sixteens + sixteen], &step.growth[sixteen]);
            for (lane, square) in squares.iter_mut().enumerate() {
                let dim = sixteen * CODEWORDS + lane;
                sums[dim] = before[dim] + tails.0[lane];
                let residual = step.row[dim] - sums[dim];
                *square += residual * residual * growth.0[lane];
            }
        }
        let eight: [f32; 8] = std::array::from_fn(|lane| squares[lane] + squares[lane + 8]);
        let four: [f32; 4] = std::array::from_fn(|lane| eight[lane] + eight[lane + 4]);
        next.costs[path] += four[0] + four[2] + (four[1] + four[3]);
    }
}

/// The costs of the extensions of each path of `now`, into `costs`: `base`, the cost of the path, and what its latest
/// symbols add by `tables`, the latest first. `shared` is room for what paths of the same parent share.
#[inline(always)]
fn extend_steps(
    base: &StepLanes,
    tables: &[[StepLanes; CODEWORDS]],
    now: &StepPaths,
    shared: &mut [[i16; CODEWORDS]],
    costs: &mut [[i16; CODEWORDS]],
) {
    let (latest, before) = tables.split_at(tables.len().min(1));
    for (shared, history) in shared.iter_mut().zip(&now.earlier.0) {
        let mut history = *history;
        *shared = base.0;
        for table in before {
            add(shared, &table[history as usize % CODEWORDS].0);
            history >>= 4;
        }
    }
    for (path, to) in costs.iter_mut().enumerate() {
        *to = shared[usize::from(now.parents.0[path])];
        add(to, &[now.costs.0[path]; CODEWORDS]);
        for table in latest {
            add(to, &table[now.histories.0[path] as usize % CODEWORDS].0);
        }
    }
}

/// Writes the indexes of the cheapest extensions into `kept`, ascending; its last [`KEPT_ROOM`] places stay free. There
/// are more extensions than are kept. `costs`, whose `range` is given, are compared as levels (`levels_per_step`), for
/// which `levels` is room. Of equal levels the first are kept.
#[inline(always)]
fn keep_steps(costs: &[[i16; CODEWORDS]], range: (i16, i16), levels: &mut [u8], kept: &mut [u16]) {
    let (scale, count) = (i32::from(levels_per_step(range)), kept.len() - KEPT_ROOM);
    for (level, cost) in levels.iter_mut().zip(costs.as_flattened()) {
        let above = i32::from(cost.saturating_sub(range.0));
        *level = ((above * scale + (1 << 14)) >> 15).min(i32::from(LEVEL_MAX)) as u8;
    }
    let mut counts = [0; LEVEL_MAX as usize + 1];
    levels.iter().for_each(|level| counts[usize::from(*level)] += 1);
    // The level of the last one kept.
    let (mut last, mut below) = (0, 0);
    while below + counts[usize::from(last)] < count {
        below += counts[usize::from(last)];
        last += 1;
    }
    let mut equal = count - below;
    let mut is_kept = |level: u8| {
        let is_equal = level == last && equal > 0;
        equal -= usize::from(is_equal);
        level < last || is_equal
    };
    let indexes = (0..).zip(levels.iter()).filter(|(_, level)| is_kept(**level));
    kept[..count].iter_mut().zip(indexes).for_each(|(kept, (index, _))| *kept = index);
}

/// Computes the sums of the paths `next`, a multiple of 16, their costs, and the largest squared residual in each dim,
/// `farthest: [sixteens]`. Returns the largest cost.
#[inline(always)]
fn grow_steps(step: &Step<'_>, now: &StepPaths, next: &mut StepPaths, farthest: &mut [Lanes]) -> i16 {
    let (sixteens, width) = (step.growth.len(), step.row.len());
    farthest.fill(Lanes::of(0.0));
    for (path, index) in step.kept.iter().enumerate() {
        let (parent, codeword) = (usize::from(*index) / CODEWORDS, usize::from(*index) % CODEWORDS);
        let before = &now.sums[2 * width * parent + step.own..][..width];
        let sums = &mut next.sums[2 * width * path..][..width];
        let mut squares = [0.0; CODEWORDS];
        for sixteen in 0..sixteens {
            let (tails, growth) = (&step.tails[codeword * sixteens + sixteen], &step.growth[sixteen]);
            for (lane, sum) in squares.iter_mut().enumerate() {
                let dim = sixteen * CODEWORDS + lane;
                sums[dim] = before[dim] + tails.0[lane];
                let residual = step.row[dim] - sums[dim];
                let square = residual * residual;
                *sum += square * growth.0[lane];
                let farthest = &mut farthest[sixteen].0[lane];
                *farthest = if square > *farthest { square } else { *farthest };
            }
        }
        let eight: [f32; 8] = std::array::from_fn(|lane| squares[lane] + squares[lane + 8]);
        let [low, high] = [0, 4].map(|half| eight[half] + eight[half + 2] + (eight[half + 1] + eight[half + 3]));
        next.grown.0[path] = low + high;
    }
    settle(next, step.kept.len())
}

/// Adds what `count` paths have grown by to their costs, and makes these relative to the cheapest path. Returns the largest cost; those beyond [`DEAR`] count as that.
#[inline(always)]
fn settle(paths: &mut StepPaths, count: usize) -> i16 {
    let (costs, grown) = (&mut paths.costs.0[..count], &mut paths.grown.0[..count]);
    let mut least = f32::MAX;
    for (grown, cost) in grown.iter_mut().zip(&*costs) {
        *grown += f32::from(*cost as u16);
        least = if *grown < least { *grown } else { least };
    }
    let mut most = 0;
    for (grown, cost) in grown.iter().zip(costs) {
        let above = grown - least;
        *cost = if above < DEAR { above.round_ties_even() as i16 } else { DEAR as i16 };
        most = most.max(*cost);
    }
    most
}
