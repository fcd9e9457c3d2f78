//! Trellis search for the symbols of a window code.
//!
//! A symbol adds one of 16 codewords to a window of dims: its own dims first, then those of the symbols that follow.
//! The search processes symbols in order. A path is a choice of codewords so far; its cost is the squared error in the
//! dims that later symbols do not change. Each of the 16 codewords of a symbol keeps its `survivors` cheapest paths
//! (list Viterbi decoding: Seshadri, Sundberg, IEEE Trans. Comm. 1994; the state is computed for each path, as in
//! per-survivor processing: Raheli, Polydoros, Tzeng, IEEE Trans. Comm. 1995). Paths whose cost exceeds the lowest one
//! by more than `slack` are dropped (the T-algorithm: Simmons, IEEE Trans. Comm. 1990).
//!
//! The sum that a path adds to later dims is not carried along: it is summed for a stretch of dims when the search reaches it.
//! Most of a sum comes from symbols so far back that all surviving paths share them, and that part is computed once.

use super::lanes::{CODEWORDS, Lanes};

/// The largest number of survivors of a codeword.
pub const SURVIVORS_MAX: usize = 8;

/// The largest number of paths at once.
const PATHS_MAX: usize = CODEWORDS * SURVIVORS_MAX;

/// The low bits of a cost, which hold the index of a path instead. Costs are not negative, so their bits as u32 are in
/// the order of the floats, and one minimum finds both the lowest cost and its path.
pub(super) const INDEX_BITS: u32 = PATHS_MAX as u32 - 1;

/// The codewords in the layout of this search, and its effort.
#[derive(Clone, Copy, Debug)]
pub struct Trellis<'a> {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`; ascending from 0 to dim.
    pub boundaries: &'a [usize],
    /// `[dim][16]`: what each codeword adds to its own dims.
    pub heads: &'a [Lanes],
    /// All symbols in order.
    pub stretches: &'a [Stretch],
    /// `[16][sixteens]` for each symbol `reaching .. end` of each stretch: what each codeword adds to those dims of the
    /// stretch that follow the symbol's own dims; 0 elsewhere.
    pub tails: &'a [Lanes],
    /// Length of a stretch in units of 16 dims: 1, 2, 4 or 8.
    pub sixteens: usize,
    /// Paths kept for each codeword: 1, 2, 3, 4 or 8.
    pub survivors: usize,
    /// A path is dropped if its cost exceeds the lowest one by more than this squared error.
    pub slack: f32,
}

/// Consecutive symbols. The sums of a path in their own dims are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first symbol whose window reaches into the stretch.
    pub reaching: usize,
    /// The first symbol of the stretch.
    pub first: usize,
    /// One past the last symbol.
    pub end: usize,
    /// Position in [`Trellis::tails`] of the tails of symbols `reaching .. end`, in units of `[16][sixteens]`.
    pub offset: usize,
}

/// Buffers of one search. They can be reused for any row and any code.
#[derive(Debug, Default)]
pub struct Paths {
    generations: [Generation; 2],
    /// `[symbols]`.
    backpointers: Vec<Backpointers>,
    /// `[symbols]`: a bit for each path up to this symbol that a current path continues.
    alive: Vec<u128>,
    /// `[symbols][16]`: the previous codeword on the path to each codeword, for the search of `chain`.
    pub(super) chain_backpointers: Vec<[u32; CODEWORDS]>,
}

/// For each path its predecessor, a path up to the previous symbol, and its last codeword.
type Backpointers = [(u8, u8); PATHS_MAX];

/// The paths up to one symbol.
#[derive(Debug)]
struct Generation {
    /// Cost of each path above the lowest cost of the symbol before.
    costs: [f32; PATHS_MAX],
    /// `[PATHS_MAX][sixteens]`: the sum of a path's codewords in the dims of the stretch.
    sums: Vec<Lanes>,
}

impl Default for Generation {
    fn default() -> Generation {
        Generation { costs: [0.0; PATHS_MAX], sums: vec![Lanes::of(0.0); PATHS_MAX * SIXTEENS_MAX] }
    }
}

/// The longest stretch, in units of 16 dims.
pub const SIXTEENS_MAX: usize = 8;

/// The paths up to the previous symbol, and the own dims of the symbol that extends them.
pub(super) struct Predecessors<'a> {
    /// `[own dims][16]`: what each codeword adds to the symbol's own dims.
    pub(super) heads: &'a [Lanes],
    /// `[own dims]`: the values of the row.
    pub(super) values: &'a [f32],
    /// The first own dim, counted from the first dim of the stretch.
    pub(super) first: usize,
    /// `[paths]`.
    pub(super) costs: &'a [f32],
    /// `[paths][sixteens]`: the sum of a path's codewords in the dims of the stretch.
    pub(super) sums: &'a [Lanes],
    pub(super) sixteens: usize,
}

impl Predecessors<'_> {
    /// The cost of each path and its sums `[sixteens]`.
    #[inline(always)]
    pub(super) fn paths(&self) -> impl Iterator<Item = (&f32, &[Lanes])> {
        self.costs.iter().zip(self.sums.chunks_exact(self.sixteens))
    }

    /// Index of own dim number `own` in the sums of a path: which `Lanes`, and which lane.
    #[inline(always)]
    pub(super) fn lane_of(&self, own: usize) -> (usize, usize) {
        ((self.first + own) / CODEWORDS, (self.first + own) % CODEWORDS)
    }

    /// For each of the symbol's own dims, the residual of the path with these `sums: [sixteens]`, and the components of
    /// the 16 codewords.
    #[inline(always)]
    pub(super) fn residuals<'s>(&'s self, sums: &'s [Lanes]) -> impl Iterator<Item = (f32, &'s Lanes)> {
        let own = self.values.iter().zip(self.heads).enumerate();
        own.map(|(own, (value, head))| {
            let (sixteen, lane) = self.lane_of(own);
            (value - sums[sixteen].0[lane], head)
        })
    }
}

/// The cheapest paths to each of the 16 codewords of a symbol.
#[derive(Default)]
pub(super) struct Branches {
    /// `[survivors]`, the cheapest path to each codeword first: the bits of its cost, of which [`INDEX_BITS`] are
    /// replaced by the index of its predecessor.
    pub(super) costs: [[u32; CODEWORDS]; SURVIVORS_MAX],
    /// `[survivors]`: a bit for each codeword, 1 if the cost is within `slack` of the lowest one.
    pub(super) within: [u16; SURVIVORS_MAX],
    /// The lowest cost of all.
    pub(super) lowest: f32,
}

impl Branches {
    /// Sets the lowest cost from its bits; returns the bits of the highest cost within `slack` of it.
    #[inline(always)]
    pub(super) fn set_lowest(&mut self, bits: u32, slack: f32) -> u32 {
        self.lowest = f32::from_bits(bits & !INDEX_BITS);
        (self.lowest + slack).to_bits() | INDEX_BITS
    }
}

/// See `Kernels::best_symbols`. `extend` is `portable::extend` or its equal for the instruction set.
#[inline(always)]
pub(super) fn best_symbols(
    trellis: &Trellis<'_>,
    row: &[f32],
    paths: &mut Paths,
    symbols: &mut [u8],
    extend: impl Fn(&Predecessors<'_>, usize, f32, &mut Branches),
) {
    match trellis.sixteens {
        1 => search::<1>(trellis, row, paths, symbols, extend),
        2 => search::<2>(trellis, row, paths, symbols, extend),
        4 => search::<4>(trellis, row, paths, symbols, extend),
        _ => search::<8>(trellis, row, paths, symbols, extend),
    }
}

#[inline(always)]
fn search<const SIXTEENS: usize>(
    trellis: &Trellis<'_>,
    row: &[f32],
    paths: &mut Paths,
    symbols: &mut [u8],
    extend: impl Fn(&Predecessors<'_>, usize, f32, &mut Branches),
) {
    let Paths { generations: [first, second], backpointers, alive, .. } = paths;
    let (mut now, mut next) = (first, second);
    backpointers.resize(symbols.len().max(backpointers.len()), [(0, 0); PATHS_MAX]);
    alive.resize(symbols.len().max(alive.len()), 0);
    now.costs[0] = 0.0;
    let tails = trellis.tails.as_chunks::<SIXTEENS>().0.as_chunks::<CODEWORDS>().0;
    let (mut count, mut branches) = (1, Branches::default());
    for stretch in trellis.stretches {
        let before = stretch.first - stretch.reaching;
        let (reaching, own) = tails[stretch.offset..][..stretch.end - stretch.reaching].split_at(before);
        let earlier = &backpointers[stretch.reaching..stretch.first];
        sum_tails(earlier, reaching, count, alive, [&mut now.sums, &mut next.sums]);
        let start = trellis.boundaries[stretch.first];
        for (symbol, tail) in (stretch.first..stretch.end).zip(own) {
            let dims = trellis.boundaries[symbol]..trellis.boundaries[symbol + 1];
            let (heads, values, first) = (&trellis.heads[dims.clone()], &row[dims.clone()], dims.start - start);
            let (costs, sums) = (&now.costs[..count], &now.sums[..count * SIXTEENS]);
            extend(
                &Predecessors { heads, values, first, costs, sums, sixteens: SIXTEENS },
                trellis.survivors,
                trellis.slack,
                &mut branches,
            );
            // The last symbol of a stretch needs no sums: the next stretch computes its own.
            let tail = (symbol + 1 < stretch.end).then_some(tail);
            count = keep(&branches, trellis.survivors, tail, now, next, &mut backpointers[symbol]);
            std::mem::swap(&mut now, &mut next);
        }
    }
    let costs = &now.costs[..count];
    let mut path = (1..count).fold(0, |best, path| if costs[path] < costs[best] { path } else { best });
    for (symbol, backpointers) in symbols.iter_mut().zip(backpointers.iter()).rev() {
        let (predecessor, codeword) = backpointers[path];
        (*symbol, path) = (codeword, usize::from(predecessor));
    }
}

/// For each of `count` paths, sums the codewords that the symbols of `backpointers` and `tails`, oldest first, add to a
/// stretch, into the first of `sums`; the second is scratch space. A beginning that paths share is summed once.
#[inline(always)]
fn sum_tails<const SIXTEENS: usize>(
    backpointers: &[Backpointers],
    tails: &[[[Lanes; SIXTEENS]; CODEWORDS]],
    count: usize,
    alive: &mut [u128],
    [sums, previous]: [&mut Vec<Lanes>; 2],
) {
    let mut current = u128::MAX >> (PATHS_MAX - count);
    for (backpointers, alive) in backpointers.iter().zip(alive.iter_mut()).rev() {
        *alive = current;
        current = ones_of(current).fold(0, |paths, path| paths | 1 << backpointers[path].0);
    }
    let zero = [Lanes::of(0.0); SIXTEENS];
    ones_of(current).for_each(|path| sums.as_chunks_mut::<SIXTEENS>().0[path] = zero);
    let step = |symbol: usize, path: usize| {
        let (predecessor, codeword) = backpointers[symbol][path];
        (usize::from(predecessor), &tails[symbol][usize::from(codeword) % CODEWORDS])
    };
    // Number of symbols up to which all paths are the same.
    let shared = alive[..backpointers.len()].iter().take_while(|alive| alive.is_power_of_two()).count();
    let path_of = |symbol: usize| alive[symbol].trailing_zeros() as usize % PATHS_MAX;
    let sum = (0..shared).fold(zero, |sum, symbol| add(sum, step(symbol, path_of(symbol)).1));
    if shared > 0 {
        sums.as_chunks_mut::<SIXTEENS>().0[path_of(shared - 1)] = sum;
    }
    for (symbol, alive) in alive.iter().enumerate().take(backpointers.len()).skip(shared) {
        std::mem::swap(sums, previous);
        let (sums, previous) = (sums.as_chunks_mut::<SIXTEENS>().0, previous.as_chunks::<SIXTEENS>().0);
        for path in ones_of(*alive) {
            let (predecessor, tail) = step(symbol, path);
            sums[path] = add(previous[predecessor], tail);
        }
    }
}

/// The indexes of the bits that are 1.
#[inline(always)]
fn ones_of(mut bits: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let index = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (index < PATHS_MAX).then_some(index)
    })
}

/// The sum, lane by lane. `sums` is passed by value so that the compiler keeps it in registers.
#[inline(always)]
fn add<const SIXTEENS: usize>(mut sums: [Lanes; SIXTEENS], tail: &[Lanes; SIXTEENS]) -> [Lanes; SIXTEENS] {
    for (sums, tail) in sums.iter_mut().zip(tail) {
        *sums = sums.plus(tail);
    }
    sums
}

/// Makes the branches within `slack` the next paths, and adds `tails` to their sums; returns their number.
#[inline(always)]
fn keep<const SIXTEENS: usize>(
    branches: &Branches,
    survivors: usize,
    tails: Option<&[[Lanes; SIXTEENS]; CODEWORDS]>,
    now: &Generation,
    next: &mut Generation,
    backpointers: &mut Backpointers,
) -> usize {
    let (now, next_sums) = (now.sums.as_chunks::<SIXTEENS>().0, next.sums.as_chunks_mut::<SIXTEENS>().0);
    let mut count = 0;
    for (costs, within) in branches.costs[..survivors].iter().zip(branches.within) {
        let mut rest = within;
        while rest != 0 {
            let codeword = rest.trailing_zeros() as usize % CODEWORDS;
            let (cost, path) = (costs[codeword], count % PATHS_MAX);
            let predecessor = (cost & INDEX_BITS) as u8;
            backpointers[path] = (predecessor, codeword as u8);
            // Relative to the lowest cost: small differences would lose precision in large costs.
            next.costs[path] = f32::from_bits(cost & !INDEX_BITS) - branches.lowest;
            if let Some(tails) = tails {
                next_sums[path] = add(now[usize::from(predecessor)], &tails[codeword]);
            }
            count += 1;
            rest &= rest - 1;
        }
    }
    count
}
