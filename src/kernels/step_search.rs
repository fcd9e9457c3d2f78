//! The search of `look_ahead` with costs of 16 bits: whole numbers of steps, 16 of which fit in a register of AVX2.
//!
//! Costs differ by far less than they are large, so sums may wrap: only the last one, the cost of an extension relative
//! to the cheapest path, has to fit. The search proves that it does. Paths cost at most [`PATH_MAX`] more than the
//! cheapest one, and an extension adds or takes at most what `spans` say for the residuals of all paths. If that is more
//! than [`CHANGE_MAX`], as for a row far from all codewords, the search gives up, and `look_ahead` has to do it.
//!
//! Extensions of paths that differ only in their latest symbol share the sum over all earlier symbols.

use super::lanes::{CODEWORDS, Lanes};
use super::look_ahead::{KEPT_ROOM, LEVEL_MAX, LOOK_AHEAD_PATHS_MAX, Overlapping, Step};
use super::scan::inner_products;
use super::sums::Window;

/// Symbols in the history of a path, four bits each.
const HISTORY: usize = u64::BITS as usize / 4;

/// The most steps by which a path is dearer than the cheapest one.
const PATH_MAX: i16 = 16_000;

/// Steps of a path that is too dear, however much it costs.
pub(super) const DEAR: f32 = 20_000.0;

/// The most steps by which an extension may differ in cost from its path. The sum with [`PATH_MAX`], and with the
/// rounding of some tables, fits 16 bits.
const CHANGE_MAX: f32 = 16_000.0;

/// Steps in the largest weighted square of a codeword.
const STEPS: f32 = 512.0;

/// A cost in steps for each codeword of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(32))]
pub(super) struct StepLanes(pub(super) [i16; CODEWORDS]);

/// The tables of a search in steps.
#[derive(Clone, Debug)]
pub struct StepSearch {
    boundaries: Vec<usize>,
    windows: Vec<Window>,
    /// Steps in a cost of 1.
    per_cost: f32,
    /// `[width][16]` for each symbol: −2 · weight · codeword.
    heads: Vec<Lanes>,
    /// `[symbols]`: the weighted squares of the codewords.
    squares: Vec<Lanes>,
    /// `[symbols + 1]`: positions in `crosses`.
    pairs: Vec<usize>,
    /// `[16 of the earlier symbol][16]` for each symbol and each earlier symbol that may overlap it, the nearest first:
    /// twice the weighted product of their codewords, in steps.
    crosses: Vec<[StepLanes; CODEWORDS]>,
    /// `[symbols][16][sixteens]`: what each codeword adds to the dims behind the symbol's own.
    tails: Vec<Lanes>,
    /// `[symbols][sixteens]`: how much the weights of these dims grow from this symbol to the next, in steps.
    growth: Vec<Lanes>,
    /// `[symbols][wide]`: the most steps by which a codeword changes the cost of a path, for each unit of its residual in
    /// each dim of the window; and `[symbols]`, in the first lane: the most by which it does without a residual.
    spans: Vec<Lanes>,
    largest: Vec<Lanes>,
    /// The most open dims behind a symbol, and of a window, in units of 16, rounded up.
    sixteens: usize,
    wide: usize,
    /// Paths kept, a multiple of 16.
    paths: usize,
}

/// Buffers of one search in steps. They can be reused for any row and any code.
#[derive(Debug, Default)]
pub struct StepBeam {
    generations: [StepPaths; 2],
    /// `[dim + wide · 16]`: the row, and zeros.
    row: Vec<f32>,
    /// `[symbols]`: the costs of the codewords by themselves.
    alone: Vec<Lanes>,
    /// `[parents]`: the costs of extensions without path and latest symbol.
    shared: PerPath<[i16; CODEWORDS]>,
    /// The costs of the extensions of each path.
    costs: PerPath<[i16; CODEWORDS]>,
    /// `[paths][16]`: the same, as levels.
    levels: Vec<u8>,
    /// `[symbols][paths]`, and room: the extensions that were kept at each symbol, 16 · path + codeword.
    kept: Vec<u16>,
    /// `[wide]`: the largest squared residual of all paths in each open dim.
    farthest: Vec<Lanes>,
}

/// A value for each path.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct PerPath<T>(pub(super) [T; LOOK_AHEAD_PATHS_MAX]);

impl<T: Copy + Default> Default for PerPath<T> {
    fn default() -> PerPath<T> {
        PerPath([T::default(); LOOK_AHEAD_PATHS_MAX])
    }
}

/// The paths up to one symbol.
#[derive(Debug, Default)]
pub(super) struct StepPaths {
    /// Steps above the cheapest path; before the growth of weights is added, those above the cheapest extension.
    pub(super) costs: PerPath<i16>,
    /// The last symbols, the latest in the low bits.
    pub(super) histories: PerPath<u64>,
    /// The number of the path before the latest symbol, among those that have a path.
    pub(super) parents: PerPath<u8>,
    /// `[parents]`: the history of that path.
    pub(super) earlier: PerPath<u64>,
    /// What the growth of weights adds to the cost.
    pub(super) grown: PerPath<f32>,
    /// `[paths][2 · sixteens · 16]`: the sum of a path's codewords in the open dims; the second half is 0.
    pub(super) sums: Vec<f32>,
}

impl StepSearch {
    /// Computes the tables of a search of `code` that keeps `paths` paths: 16, 32, 48, 64 or 128. Windows may have up
    /// to 128 dims behind the own ones. `None` if more symbols overlap than a history holds.
    pub fn new(code: &Overlapping<'_>, paths: usize) -> Option<StepSearch> {
        let symbols = code.windows.len();
        if (0..symbols).any(|symbol| code.reaching(symbol) > HISTORY) {
            return None;
        }
        let open = code.most_open();
        let sixteens = open.div_ceil(CODEWORDS).max(1);
        let widest = code.windows.iter().map(|window| window.width).max().unwrap_or(0);
        let wide = widest.div_ceil(CODEWORDS).max(sixteens);
        let squares: Vec<Lanes> = (0..symbols).map(|symbol| code.squares(symbol)).collect();
        let per_cost = STEPS / squares.iter().flat_map(|squares| squares.0).fold(1e-30, f32::max);
        let most = |squares: &Lanes| squares.0.iter().fold(0.0, |most: f32, square| most.max(*square));
        let mut largest = vec![Lanes::of(0.0); symbols];
        largest.iter_mut().zip(&squares).for_each(|(largest, squares)| largest.0[0] = most(squares) * per_cost);
        let (mut pairs, mut crosses) = (vec![0], Vec::new());
        for symbol in 0..symbols {
            crosses.extend((1..=code.reaching(symbol)).map(|back| {
                code.cross(symbol, symbol - back).map(|costs| StepLanes(costs.0.map(|cost| wrapped(cost * per_cost))))
            }));
            pairs.push(crosses.len());
        }
        Some(StepSearch {
            boundaries: code.boundaries.to_vec(),
            windows: code.windows.to_vec(),
            per_cost,
            heads: (0..symbols).flat_map(|symbol| code.heads(symbol)).collect(),
            squares,
            pairs,
            crosses,
            tails: code.tails(sixteens),
            growth: code.growth(sixteens).into_iter().map(|growth| growth.times(per_cost)).collect(),
            spans: code.spans(wide).into_iter().map(|spans| spans.times(per_cost)).collect(),
            largest,
            sixteens,
            wide,
            paths: (paths / CODEWORDS * CODEWORDS).clamp(CODEWORDS, LOOK_AHEAD_PATHS_MAX),
        })
    }

    #[inline(always)]
    fn step<'a>(&'a self, symbol: usize, row: &'a [f32], kept: &'a [u16]) -> Step<'a> {
        let (start, sixteens) = (self.boundaries[symbol + 1], self.sixteens);
        Step {
            kept,
            own: (start - self.boundaries[symbol]).min(sixteens * CODEWORDS),
            row: &row[start..start + sixteens * CODEWORDS],
            tails: &self.tails[symbol * CODEWORDS * sixteens..][..CODEWORDS * sixteens],
            growth: &self.growth[symbol * sixteens..][..sixteens],
        }
    }

    /// True if all extensions by `symbol` have costs that fit, for squared residuals of at most `farthest: [wide]`.
    #[inline(always)]
    fn fits(&self, symbol: usize, farthest: &[Lanes]) -> bool {
        let mut sums = self.largest[symbol].0;
        for (spans, farthest) in self.spans[symbol * self.wide..].iter().zip(farthest) {
            for (lane, sum) in sums.iter_mut().enumerate() {
                *sum += spans.0[lane] * farthest.0[lane].sqrt();
            }
        }
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                sums[lane] += sums[lane + half];
            }
        }
        sums[0] <= CHANGE_MAX
    }

    /// Costs in steps, of which the low 16 bits are returned.
    #[inline(always)]
    fn steps(&self, costs: &Lanes) -> StepLanes {
        let mut steps = StepLanes::default();
        for lane in 0..CODEWORDS {
            steps.0[lane] = (costs.0[lane] * self.per_cost) as i32 as i16;
        }
        steps
    }
}

/// `steps` rounded to a whole number, of which the low 16 bits are returned.
#[inline(always)]
fn wrapped(steps: f32) -> i16 {
    steps.round() as i32 as i16
}

impl StepBeam {
    /// Prepares a search for `row: [dim]`.
    #[inline(always)]
    fn start(&mut self, search: &StepSearch, row: &[f32]) {
        let (paths, stride) = (search.paths, 2 * search.sixteens * CODEWORDS);
        self.row.clear();
        self.row.extend_from_slice(row);
        self.row.resize(row.len() + search.wide * CODEWORDS, 0.0);
        self.alone.resize(search.windows.len(), Lanes::of(0.0));
        inner_products(&search.windows, &search.heads, row, &mut self.alone);
        for (alone, squares) in self.alone.iter_mut().zip(&search.squares) {
            *alone = alone.plus(squares);
        }
        self.levels.resize(paths * CODEWORDS, 0);
        self.kept.resize(search.windows.len() * paths + KEPT_ROOM, 0);
        self.farthest.resize(search.wide, Lanes::of(0.0));
        for (farthest, values) in self.farthest.iter_mut().zip(self.row.as_chunks().0) {
            *farthest = squared(values);
        }
        for generation in &mut self.generations {
            generation.sums.clear();
            generation.sums.resize(LOOK_AHEAD_PATHS_MAX * stride, 0.0);
        }
        let first = &mut self.generations[0];
        (first.costs.0[0], first.histories.0[0], first.parents.0[0], first.earlier.0[0]) = (0, 0, 0, 0);
    }
}

#[inline(always)]
fn squared(values: &[f32; CODEWORDS]) -> Lanes {
    let mut lanes = Lanes(*values);
    for lane in &mut lanes.0 {
        *lane *= *lane;
    }
    lanes
}

/// See `Kernels::step_search`. `extend_steps`, `keep_steps` and `grow_steps` are those of `portable` or their equals for
/// the instruction set.
#[inline(always)]
pub(super) fn step_search(
    search: &StepSearch,
    row: &[f32],
    beam: &mut StepBeam,
    symbols: &mut [u8],
    extend_steps: impl Fn(
        &StepLanes,
        &[[StepLanes; CODEWORDS]],
        &StepPaths,
        &mut [[i16; CODEWORDS]],
        &mut [[i16; CODEWORDS]],
    ),
    keep_steps: impl Fn(&[[i16; CODEWORDS]], (i16, i16), &mut [u8], &mut [u16]),
    grow_steps: impl Fn(&Step<'_>, &StepPaths, &mut StepPaths, &mut [Lanes]) -> i16,
) -> bool {
    beam.start(search, row);
    let StepBeam { generations: [first, second], row, alone, shared, costs, levels, kept, farthest } = beam;
    let (mut now, mut next) = (first, second);
    let (mut count, mut parents) = (1, 1);
    for symbol in 0..symbols.len() {
        if !search.fits(symbol, farthest) {
            return false;
        }
        let tables = &search.crosses[search.pairs[symbol]..search.pairs[symbol + 1]];
        let base = search.steps(&alone[symbol]);
        extend_steps(&base, tables, now, &mut shared.0[..parents], &mut costs.0[..count]);
        let (least, bound) = range(&costs.0[..count], search.paths / CODEWORDS);
        let extensions = count * CODEWORDS;
        let kept = &mut kept[symbol * search.paths..][..search.paths + KEPT_ROOM];
        if extensions > search.paths {
            // An even number of paths; those of the last one cost too much to be kept.
            let even = count.next_multiple_of(2);
            costs.0[count..even].fill([i16::MAX; CODEWORDS]);
            keep_steps(&costs.0[..even], (least, bound), &mut levels[..even * CODEWORDS], kept);
        } else {
            for (index, kept) in (0..).zip(kept.iter_mut()) {
                *kept = index;
            }
        }
        count = extensions.min(search.paths);
        parents = now.extend(costs, least, &kept[..count], next);
        let step = search.step(symbol, row, &kept[..count]);
        let dearest = grow_steps(&step, now, next, &mut farthest[..search.sixteens]);
        let behind = &row[search.boundaries[symbol + 1]..][..search.wide * CODEWORDS];
        for (farthest, values) in farthest.iter_mut().zip(behind.as_chunks().0).skip(search.sixteens) {
            *farthest = squared(values);
        }
        std::mem::swap(&mut now, &mut next);
        if dearest > PATH_MAX {
            count = now.drop_dear(kept, count);
        }
    }
    let mut path = cheapest(&now.costs.0[..count]);
    for (symbol, kept) in symbols.iter_mut().zip(kept.chunks_exact(search.paths)).rev() {
        *symbol = (kept[path] % 16) as u8;
        path = usize::from(kept[path]) / CODEWORDS;
    }
    true
}

/// The first of the cheapest paths.
#[inline(always)]
fn cheapest(costs: &[i16]) -> usize {
    (1..costs.len()).fold(0, |best, path| if costs[path] < costs[best] { path } else { best })
}

#[inline(always)]
pub(super) fn add(sums: &mut [i16; CODEWORDS], values: &[i16; CODEWORDS]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = sum.wrapping_add(*value);
    }
}

/// The least cost, and one that at least 16 · `groups` extensions do not exceed, if there are so many: the largest of
/// the least costs of so many groups.
#[inline(always)]
fn range(costs: &[[i16; CODEWORDS]], groups: usize) -> (i16, i16) {
    let (mut least, mut bound) = ([i16::MAX; CODEWORDS], [i16::MIN; CODEWORDS]);
    for group in costs.chunks(costs.len().div_ceil(groups)) {
        let mut of_group = [i16::MAX; CODEWORDS];
        for costs in group {
            for lane in 0..CODEWORDS {
                of_group[lane] = of_group[lane].min(costs[lane]);
            }
        }
        for lane in 0..CODEWORDS {
            least[lane] = least[lane].min(of_group[lane]);
            bound[lane] = bound[lane].max(of_group[lane]);
        }
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            least[lane] = least[lane].min(least[lane + half]);
            bound[lane] = bound[lane].max(bound[lane + half]);
        }
    }
    (least[0], bound[0])
}

/// Costs are compared as levels: their difference to the least cost, at most `i16::MAX`, times this, divided by 32,768
/// and rounded, at most [`LEVEL_MAX`].
#[inline(always)]
pub(super) fn levels_per_step((least, bound): (i16, i16)) -> i16 {
    let steps = u32::from(bound.wrapping_sub(least) as u16).max(1);
    ((u32::from(LEVEL_MAX) << 15) / steps).min(i16::MAX as u32) as i16
}

impl StepPaths {
    /// Makes the `kept` extensions of these paths, which have these `costs`, the paths `next`, without their sums and
    /// what these change. Returns the number of their parents.
    #[inline(always)]
    fn extend(&self, costs: &PerPath<[i16; CODEWORDS]>, least: i16, kept: &[u16], next: &mut StepPaths) -> usize {
        let costs = costs.0.as_flattened();
        let (mut parents, mut last) = (0, usize::from(kept[0]) / CODEWORDS);
        let of_next = next.histories.0.iter_mut().zip(&mut next.parents.0).zip(&mut next.costs.0);
        for (index, ((history, number), cost)) in kept.iter().zip(of_next) {
            let index = usize::from(*index) % (LOOK_AHEAD_PATHS_MAX * CODEWORDS);
            let parent = index / CODEWORDS;
            let earlier = self.histories.0[parent];
            *history = (earlier << 4) | (index % CODEWORDS) as u64;
            // `kept` ascends, so the extensions of a path follow each other.
            parents += usize::from(parent != last);
            last = parent;
            *number = parents as u8;
            next.earlier.0[parents % LOOK_AHEAD_PATHS_MAX] = earlier;
            *cost = costs[index].wrapping_sub(least);
        }
        parents + 1
    }

    /// Drops those of `count` paths that cost too much, from `kept` as well. Returns how many are left.
    #[cold]
    fn drop_dear(&mut self, kept: &mut [u16], count: usize) -> usize {
        let (mut left, stride) = (0, self.sums.len() / self.costs.0.len());
        for path in 0..count {
            if self.costs.0[path] <= PATH_MAX {
                kept[left] = kept[path];
                self.costs.0[left] = self.costs.0[path];
                self.histories.0[left] = self.histories.0[path];
                self.parents.0[left] = self.parents.0[path];
                self.sums.copy_within(path * stride..(path + 1) * stride, left * stride);
                left += 1;
            }
        }
        // Without a number as a cost, as for an infinite row, none would be left.
        left.max(1)
    }
}
