//! Search for the symbols of a code whose codewords overlap, with a look ahead.
//!
//! Symbols are visited in order. A path is a choice of codewords so far. Its cost is the squared error in the dims that
//! no later symbol changes, plus the weighted squared residuals of the open dims: those that both earlier and later
//! symbols cover. A weight says which share of a residual's square later symbols will leave. At each symbol, a path is
//! extended by each of the 16 codewords, and the cheapest of all extensions are kept: an M-algorithm (Anderson, Mohan:
//! Sequential Coding Algorithms, IEEE Trans. Comm. 1984).
//!
//! The cost of an extension is A − 2⟨r, c⟩ + ⟨c, c⟩ for a path of cost A and residual r, and a codeword c, with weighted
//! products. ⟨r, c⟩ is the product of the row and c, which all paths share, minus the products of c with each earlier
//! codeword that overlaps it. Those are tables, so an extension takes one addition for each earlier symbol, however wide
//! the windows. Residuals are needed only when weights change from one symbol to the next.
//!
//! A path holds its last [`HISTORY`] symbols. Older symbols are those of the cheapest path.

use super::lanes::{CODEWORDS, Lanes};
use super::scan::inner_products;
use super::sums::Window;

/// The most paths at once.
pub const LOOK_AHEAD_PATHS_MAX: usize = 128;

/// Symbols in the history of a path, four bits each.
const HISTORY: usize = u128::BITS as usize / 4;

/// The greatest level of a cost.
pub(super) const LEVEL_MAX: u8 = 63;

/// Places behind the extensions that are kept, which a level may write.
pub(super) const KEPT_ROOM: usize = 8;

/// A cost above that of every path that is kept.
const OUT: f32 = 1e36;

/// A code whose codewords overlap, and what the search assumes about later symbols.
#[derive(Clone, Copy, Debug)]
pub struct Overlapping<'a> {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`, those that are final behind
    /// it; ascending from 0 to dim. A symbol may have none.
    pub boundaries: &'a [usize],
    /// `[symbols]`: the dims that a symbol adds to, from `boundaries[j]` on. They contain its own dims, and their offsets
    /// follow each other without gaps. Widths may differ.
    pub windows: &'a [Window],
    /// `[16][width]` for each symbol.
    pub codewords: &'a [f32],
    /// `[width]` for each symbol, at a sixteenth of the window's `offset`: the share of a residual's square that the
    /// symbols behind it will leave, above 0 and at most 1. Those of own dims are not read: they count as 1.
    pub weights: &'a [f32],
}

/// The tables of a search.
#[derive(Clone, Debug)]
pub struct LookAhead {
    boundaries: Vec<usize>,
    windows: Vec<Window>,
    /// `[width][16]` for each symbol: −2 · weight · codeword.
    heads: Vec<Lanes>,
    /// `[symbols]`: the weighted squares of the codewords.
    squares: Vec<Lanes>,
    /// `[symbols + 1]`: positions in `crosses`, in units of `[16]`.
    pairs: Vec<usize>,
    /// `[16 of the earlier symbol][16]` for each symbol and each earlier symbol that may overlap it, the nearest first:
    /// twice the weighted product of their codewords.
    crosses: Vec<[Lanes; CODEWORDS]>,
    /// `[symbols][16][sixteens]`: what each codeword adds to the dims behind the symbol's own.
    tails: Vec<Lanes>,
    /// `[symbols][sixteens]`: how much the weights of these dims grow from this symbol to the next.
    growth: Vec<Lanes>,
    /// The most open dims behind a symbol, in units of 16, rounded up.
    sixteens: usize,
    /// Paths kept, a multiple of 16.
    paths: usize,
}

/// Buffers of one search. They can be reused for any row and any code.
#[derive(Debug, Default)]
pub struct Beam {
    generations: [BeamPaths; 2],
    /// `[dim + open dims]`: the row, and zeros.
    row: Vec<f32>,
    /// `[symbols]`: the costs of the codewords by themselves.
    alone: Vec<Lanes>,
    /// `[paths][16]`: the cost of each extension.
    costs: Vec<[f32; CODEWORDS]>,
    /// `[paths][16]`: the same, as a whole number of steps above the least cost.
    levels: Vec<u8>,
    /// The extensions that are kept: 16 · path + codeword.
    kept: Vec<u16>,
}

/// The paths up to one symbol.
#[derive(Debug, Default)]
pub(super) struct BeamPaths {
    /// `[paths]`.
    pub(super) costs: Vec<f32>,
    /// `[paths]`: the last symbols, the latest in the low bits.
    pub(super) histories: Vec<u128>,
    /// `[paths][2 · sixteens · 16]`: the sum of a path's codewords in the open dims; the second half is 0.
    pub(super) sums: Vec<f32>,
}

impl Overlapping<'_> {
    fn component(&self, symbol: usize, codeword: usize, dim: usize) -> f32 {
        let window = &self.windows[symbol];
        match dim.checked_sub(window.first) {
            Some(index) if index < window.width => self.codewords[window.offset + codeword * window.width + index],
            _ => 0.0,
        }
    }

    /// The dims that `symbol` adds to.
    fn dims(&self, symbol: usize) -> std::ops::Range<usize> {
        let window = &self.windows[symbol];
        window.first..window.first + window.width
    }

    /// The weight of `dim`, one of the window of `symbol`, behind that symbol.
    fn weight(&self, symbol: usize, dim: usize) -> f32 {
        let window = &self.windows[symbol];
        let is_own = dim < self.boundaries[symbol + 1];
        if is_own { 1.0 } else { self.weights[window.offset / CODEWORDS + dim - window.first] }
    }

    /// `[symbols]`: one past the last dim that is open behind each symbol.
    fn ends(&self) -> Vec<usize> {
        let ends = (0..self.windows.len()).map(|symbol| self.dims(symbol).end);
        ends.scan(0, |most, end| {
            *most = end.max(*most);
            Some(*most)
        })
        .collect()
    }

    /// Number of symbols before `symbol` up to the first that reaches into its window.
    pub(super) fn reaching(&self, symbol: usize) -> usize {
        let first = self.dims(symbol).start;
        let earliest = (0..symbol).find(|earlier| self.dims(*earlier).end > first);
        earliest.map_or(0, |earliest| symbol - earliest)
    }

    /// `[16]`: the function `of` of each codeword.
    fn lanes(of: impl FnMut(usize) -> f32) -> Lanes {
        Lanes(std::array::from_fn(of))
    }

    /// The most dims that are open behind a symbol.
    pub(super) fn most_open(&self) -> usize {
        let behind = |(symbol, end): (usize, &usize)| end.saturating_sub(self.boundaries[symbol + 1]);
        self.ends().iter().enumerate().map(behind).max().unwrap_or(0)
    }

    /// `[16]`: a component of each codeword of `symbol`, times its weight.
    fn weighted(&self, symbol: usize, dim: usize) -> Lanes {
        Self::lanes(|codeword| self.weight(symbol, dim) * self.component(symbol, codeword, dim))
    }

    /// `[width][16]`: −2 · weight · codeword of `symbol`.
    pub(super) fn heads(&self, symbol: usize) -> impl Iterator<Item = Lanes> {
        self.dims(symbol).map(move |dim| self.weighted(symbol, dim).times(-2.0))
    }

    /// The weighted squares of the codewords of `symbol`.
    pub(super) fn squares(&self, symbol: usize) -> Lanes {
        let mut squares = Lanes::of(0.0);
        for dim in self.dims(symbol) {
            let weighted = self.weighted(symbol, dim);
            squares =
                squares.plus(&Self::lanes(|codeword| weighted.0[codeword] * self.component(symbol, codeword, dim)));
        }
        squares
    }

    /// `[symbols][16][sixteens]`: what each codeword adds to the dims behind its symbol's own.
    pub(super) fn tails(&self, sixteens: usize) -> Vec<Lanes> {
        let mut tails = Vec::with_capacity(self.windows.len() * CODEWORDS * sixteens);
        for symbol in 0..self.windows.len() {
            for codeword in 0..CODEWORDS {
                let dims = (self.boundaries[symbol + 1]..).step_by(CODEWORDS).take(sixteens);
                tails.extend(dims.map(|dim| Self::lanes(|lane| self.component(symbol, codeword, dim + lane))));
            }
        }
        tails
    }

    /// `[symbols][wide]`: by how much a codeword of each symbol changes the cost of a path, at most, for each unit of its
    /// residual in each dim of the window.
    pub(super) fn spans(&self, wide: usize) -> Vec<Lanes> {
        let mut spans = vec![Lanes::of(0.0); self.windows.len() * wide];
        for (symbol, spans) in spans.chunks_exact_mut(wide).enumerate() {
            for (index, dim) in self.dims(symbol).enumerate() {
                let most = self.weighted(symbol, dim).0.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
                spans[index / CODEWORDS].0[index % CODEWORDS] = 2.0 * most;
            }
        }
        spans
    }

    /// Twice the weighted products of the codewords of `symbol` with those of an earlier one.
    pub(super) fn cross(&self, symbol: usize, earlier: usize) -> [Lanes; CODEWORDS] {
        let mut cross = [Lanes::of(0.0); CODEWORDS];
        for dim in self.dims(symbol).start..self.dims(symbol).end.min(self.dims(earlier).end) {
            let weighted =
                Self::lanes(|codeword| 2.0 * self.weight(symbol, dim) * self.component(symbol, codeword, dim));
            for (before, cross) in cross.iter_mut().enumerate() {
                let component = self.component(earlier, before, dim);
                cross.0.iter_mut().zip(&weighted.0).for_each(|(sum, value)| *sum += component * value);
            }
        }
        cross
    }

    /// `[symbols][sixteens]`, see [`LookAhead`].
    pub(super) fn growth(&self, sixteens: usize) -> Vec<Lanes> {
        let (symbols, dim) = (self.windows.len(), self.boundaries[self.windows.len()]);
        let mut growth = vec![Lanes::of(0.0); symbols * sixteens];
        // The weight of each dim behind the last symbol that covers it.
        let mut weights: Vec<Option<f32>> = vec![None; dim];
        for symbol in 0..symbols {
            for dim in self.dims(symbol) {
                let weight = self.weight(symbol, dim);
                if let (Some(before), Some(previous)) = (weights[dim].replace(weight), symbol.checked_sub(1)) {
                    let index = dim - self.boundaries[symbol];
                    growth[previous * sixteens + index / CODEWORDS].0[index % CODEWORDS] = weight - before;
                }
            }
        }
        growth
    }
}

impl LookAhead {
    /// Computes the tables of a search of `code` that keeps `paths` paths: 16, 32, 48, 64 or 128. Windows may have up
    /// to 128 dims behind the own ones.
    pub fn new(code: &Overlapping<'_>, paths: usize) -> LookAhead {
        let symbols = code.windows.len();
        let sixteens = code.most_open().div_ceil(CODEWORDS).max(1);
        let (mut pairs, mut crosses) = (vec![0], Vec::new());
        for symbol in 0..symbols {
            crosses.extend((1..=code.reaching(symbol)).map(|back| code.cross(symbol, symbol - back)));
            pairs.push(crosses.len());
        }
        LookAhead {
            boundaries: code.boundaries.to_vec(),
            windows: code.windows.to_vec(),
            heads: (0..symbols).flat_map(|symbol| code.heads(symbol)).collect(),
            squares: (0..symbols).map(|symbol| code.squares(symbol)).collect(),
            pairs,
            crosses,
            tails: code.tails(sixteens),
            growth: code.growth(sixteens),
            sixteens,
            paths: (paths / CODEWORDS * CODEWORDS).clamp(CODEWORDS, LOOK_AHEAD_PATHS_MAX),
        }
    }
}

impl Beam {
    /// Prepares a search for `row: [dim]`.
    #[inline(always)]
    fn start(&mut self, search: &LookAhead, row: &[f32]) {
        let (paths, stride) = (search.paths, 2 * search.sixteens * CODEWORDS);
        self.row.clear();
        self.row.extend_from_slice(row);
        self.row.resize(row.len() + stride, 0.0);
        self.alone.resize(search.windows.len(), Lanes::of(0.0));
        inner_products(&search.windows, &search.heads, row, &mut self.alone);
        for (alone, squares) in self.alone.iter_mut().zip(&search.squares) {
            *alone = alone.plus(squares);
        }
        self.costs.resize(paths, [0.0; CODEWORDS]);
        self.levels.resize(paths * CODEWORDS, 0);
        self.kept.resize(paths + KEPT_ROOM, 0);
        for generation in &mut self.generations {
            generation.costs.resize(paths, 0.0);
            generation.histories.resize(paths, 0);
            generation.sums.clear();
            generation.sums.resize(paths * stride, 0.0);
        }
        self.generations[0].costs[0] = 0.0;
        self.generations[0].histories[0] = 0;
    }
}

/// See `Kernels::look_ahead`. `extend_all`, `keep_cheapest` and `add_growth` are those of `portable` or their equals for
/// the instruction set.
#[inline(always)]
pub(super) fn look_ahead(
    search: &LookAhead,
    row: &[f32],
    beam: &mut Beam,
    symbols: &mut [u8],
    extend_all: impl Fn(&[f32; CODEWORDS], &[[Lanes; CODEWORDS]], &BeamPaths, &mut [[f32; CODEWORDS]]),
    keep_cheapest: impl Fn(&[[f32; CODEWORDS]], f32, f32, &mut [u8], &mut [u16]),
    add_growth: impl Fn(&Step<'_>, &BeamPaths, &mut BeamPaths),
) {
    beam.start(search, row);
    let Beam { generations: [first, second], row, alone, costs, levels, kept } = beam;
    let (mut now, mut next) = (first, second);
    // Paths, and the number of latest symbols in which they differ.
    let (mut count, mut varying) = (1, 0);
    for symbol in 0..symbols.len() {
        let tables = &search.crosses[search.pairs[symbol]..search.pairs[symbol + 1]];
        let (tables, common) = tables.split_at(varying.min(tables.len()));
        let mut base = alone[symbol].0;
        for (back, table) in (tables.len()..).zip(common) {
            let codeword =
                if back + 1 < HISTORY { (now.histories[0] >> (4 * back)) as u8 } else { symbols[symbol - 1 - back] };
            add(&mut base, &table[usize::from(codeword) % CODEWORDS].0);
        }
        let costs = &mut costs[..count];
        extend_all(&base, tables, now, costs);
        let (least, bound) = range(costs, search.paths / CODEWORDS);
        let extensions = count * CODEWORDS;
        if extensions > search.paths {
            keep_cheapest(costs, least, bound, &mut levels[..extensions], &mut kept[..search.paths + KEPT_ROOM]);
        } else {
            for (index, kept) in (0..).zip(kept.iter_mut()) {
                *kept = index;
            }
        }
        count = extensions.min(search.paths);
        let differences = now.extend(costs, least, &kept[..count], next);
        add_growth(&search.step(symbol, row, &kept[..count]), now, next);
        varying = HISTORY - differences.leading_zeros() as usize / 4;
        std::mem::swap(&mut now, &mut next);
        if let Some(oldest) = (symbol + 1).checked_sub(HISTORY) {
            symbols[oldest] = decide(now, count, varying == HISTORY);
            varying = varying.min(HISTORY - 1);
        }
    }
    let mut history = now.histories[cheapest(&now.costs[..count])];
    for symbol in symbols.iter_mut().rev().take(HISTORY) {
        *symbol = (history & 15) as u8;
        history >>= 4;
    }
}

/// The first of the cheapest paths.
#[inline(always)]
fn cheapest(costs: &[f32]) -> usize {
    (1..costs.len()).fold(0, |best, path| if costs[path] < costs[best] { path } else { best })
}

/// The oldest symbol of the cheapest of `count` paths. If paths `differ` in it, the others are put out.
#[inline(always)]
fn decide(paths: &mut BeamPaths, count: usize, differ: bool) -> u8 {
    let oldest = |history: u128| (history >> (4 * (HISTORY - 1))) as u8;
    if !differ {
        return oldest(paths.histories[0]);
    }
    let decided = oldest(paths.histories[cheapest(&paths.costs[..count])]);
    for (cost, history) in paths.costs.iter_mut().zip(&paths.histories) {
        *cost = if oldest(*history) == decided { *cost } else { OUT };
    }
    decided
}

#[inline(always)]
fn add(sums: &mut [f32; CODEWORDS], values: &[f32; CODEWORDS]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// The least cost, and one that at least 16 · `groups` extensions do not exceed, if there are so many: the largest of
/// the least costs of so many groups. Paths that are out do not count.
#[inline(always)]
fn range(costs: &[[f32; CODEWORDS]], groups: usize) -> (f32, f32) {
    let (mut least, mut bound) = ([f32::INFINITY; CODEWORDS], [f32::NEG_INFINITY; CODEWORDS]);
    for group in costs.chunks((costs.len() / groups).max(1)) {
        let mut of_group = [f32::INFINITY; CODEWORDS];
        for costs in group {
            for lane in 0..CODEWORDS {
                of_group[lane] = lesser(costs[lane], of_group[lane]);
            }
        }
        for lane in 0..CODEWORDS {
            least[lane] = lesser(of_group[lane], least[lane]);
            let known = if of_group[lane] < OUT { of_group[lane] } else { f32::NEG_INFINITY };
            bound[lane] = greater(known, bound[lane]);
        }
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            least[lane] = lesser(least[lane + half], least[lane]);
            bound[lane] = greater(bound[lane + half], bound[lane]);
        }
    }
    (least[0], bound[0])
}

#[inline(always)]
fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The costs of extensions are compared as levels: whole numbers of equal steps from the least cost to `bound`. This is
/// the factor that turns a difference into steps.
#[inline(always)]
pub(super) fn steps_per_cost(least: f32, bound: f32) -> f32 {
    f32::from(LEVEL_MAX) / (bound - least).max(1e-30)
}

/// What a symbol adds to the open dims behind it.
pub(super) struct Step<'a> {
    /// `[paths]`: the extensions that become paths.
    pub(super) kept: &'a [u16],
    /// Number of own dims of the symbol, at most all of a path's sums.
    pub(super) own: usize,
    /// `[sixteens][16]`: the row from the first dim behind the own ones.
    pub(super) row: &'a [f32],
    /// `[16][sixteens]` and `[sixteens]`, see [`LookAhead`].
    pub(super) tails: &'a [Lanes],
    pub(super) growth: &'a [Lanes],
}

impl LookAhead {
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
}

impl BeamPaths {
    /// Makes the `kept` extensions of these paths, which have these `costs`, the paths `next`, without their sums and
    /// what these change. Returns the bits in which their histories differ.
    #[inline(always)]
    fn extend(&self, costs: &[[f32; CODEWORDS]], least: f32, kept: &[u16], next: &mut BeamPaths) -> u128 {
        let history = |index: u16| (self.histories[usize::from(index) / CODEWORDS] << 4) | (u128::from(index) % 16);
        let (costs, reference, mut differences) = (costs.as_flattened(), history(kept[0]), 0);
        for ((index, cost), to) in kept.iter().zip(&mut next.costs).zip(&mut next.histories) {
            *to = history(*index);
            differences |= *to ^ reference;
            // Relative to the least cost: small differences would lose precision in large costs.
            *cost = costs[usize::from(*index)] - least;
        }
        differences
    }
}
