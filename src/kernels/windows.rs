//! The bodies of the kernels for window codes: the search for the best symbols; and products of rows with a matrix.
//!
//! A symbol adds one of 16 codewords to a window of dims: its own dims first, then those of the symbols behind it. The
//! search goes through the symbols in order and keeps paths: the choices so far and their cost in the dims that are final.
//! Lanes are the 16 codewords; each keeps its `lists` cheapest paths (list Viterbi decoding with a state of its own for
//! each path: Seshadri, Sundberg, IEEE Trans. Comm. 1994; Raheli, Polydoros, Tzeng, per-survivor processing, 1995). Paths
//! too far behind the best are given up (the T-algorithm).
//!
//! What a path has added to the dims ahead is summed when the search comes to them, a stretch of dims at a time: the most
//! of it was chosen long before, where all paths of today were one.

/// Codewords of a symbol.
pub const CODEWORDS: usize = 16;

/// The most paths a codeword may end.
pub const LISTS_MAX: usize = 8;

/// The most paths at once.
const PATHS_MAX: usize = CODEWORDS * LISTS_MAX;

/// The low bits of a cost, which give way to the number of a path.
pub(super) const NUMBER_BITS: u32 = PATHS_MAX as u32 - 1;

/// A value for each codeword, or sixteen dims of a ring; on one cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes(pub [f32; CODEWORDS]);

impl Lanes {
    /// The same value everywhere.
    pub const fn of(value: f32) -> Lanes {
        Lanes([value; CODEWORDS])
    }

    /// The sum, lane by lane.
    #[inline(always)]
    pub(super) fn plus(self, other: &Lanes) -> Lanes {
        Lanes(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }
}

/// What the search needs of a code.
#[derive(Clone, Copy, Debug)]
pub struct Trellis<'a> {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`; from 0, ascending, to dim.
    pub boundaries: &'a [usize],
    /// `[dim][16]`: what each codeword adds to its own dims.
    pub heads: &'a [Lanes],
    /// All symbols in order.
    pub stretches: &'a [Stretch],
    /// `[16][sixteens]` for each symbol that reaches into a stretch, those whose own dims it has among them: what each
    /// codeword adds to the stretch's dims behind the symbol's own; 0 elsewhere.
    pub tails: &'a [Lanes],
    /// Sixteens of dims in a stretch, 1, 2, 4 or 8.
    pub sixteens: usize,
    /// Paths kept for each codeword: 1, 2, 3, 4 or 8.
    pub lists: usize,
    /// A path that costs so much more than the best is given up.
    pub slack: f32,
}

/// Symbols that follow each other, whose own dims are summed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first symbol whose window reaches into the stretch.
    pub reaching: usize,
    /// The first symbol whose own dims it has.
    pub first: usize,
    /// The symbol behind the last one.
    pub end: usize,
    /// Where the tails of `reaching .. end` begin, counted in symbols' tails, each `[16][sixteens]`.
    pub place: usize,
}

/// Room for one search; serves again for any row.
#[derive(Debug, Default)]
pub struct Paths {
    generations: [Generation; 2],
    /// `[symbols]`: the path before, and the codeword.
    steps: Vec<Steps>,
    /// `[symbols]`: a bit for each path that a path of today goes through.
    alive: Vec<u128>,
    /// `[symbols][16]`: the codeword before, where a codeword ends one path (`chain`).
    pub(super) before: Vec<[u32; CODEWORDS]>,
}

/// How each path came to be: the path before, and the codeword.
type Steps = [(u8, u8); PATHS_MAX];

/// The paths up to one symbol.
#[derive(Debug)]
struct Generation {
    costs: [f32; PATHS_MAX],
    /// `[PATHS_MAX][sixteens]`: what a path has added to the dims of the stretch.
    sums: Vec<Lanes>,
}

impl Default for Generation {
    fn default() -> Generation {
        Generation { costs: [0.0; PATHS_MAX], sums: vec![Lanes::of(0.0); PATHS_MAX * SIXTEENS_MAX] }
    }
}

/// The longest stretch, in sixteens.
pub const SIXTEENS_MAX: usize = 8;

/// The paths that a symbol's codewords are put behind.
pub(super) struct Entered<'a> {
    /// `[own dims][16]`: what each codeword adds to the symbol's own dims.
    pub(super) heads: &'a [Lanes],
    /// `[own dims]`: of the row.
    pub(super) values: &'a [f32],
    /// The first own dim, counted from the stretch's first.
    pub(super) first: usize,
    /// `[paths]`.
    pub(super) costs: &'a [f32],
    /// `[paths][sixteens]`.
    pub(super) sums: &'a [Lanes],
    pub(super) sixteens: usize,
}

impl Entered<'_> {
    /// The paths: their costs and sums.
    #[inline(always)]
    pub(super) fn paths(&self) -> impl Iterator<Item = (&f32, &[Lanes])> {
        self.costs.iter().zip(self.sums.chunks_exact(self.sixteens))
    }

    /// Where own dim number `own` is in the sums of a path.
    #[inline(always)]
    pub(super) fn place(&self, own: usize) -> (usize, usize) {
        ((self.first + own) / CODEWORDS, (self.first + own) % CODEWORDS)
    }

    /// What the path of `sums: [sixteens]` leaves in each of the symbol's own dims, with the codewords for it.
    #[inline(always)]
    pub(super) fn left<'s>(&'s self, sums: &'s [Lanes]) -> impl Iterator<Item = (f32, &'s Lanes)> {
        let own = self.values.iter().zip(self.heads).enumerate();
        own.map(|(own, (value, head))| {
            let (sixteen, lane) = self.place(own);
            (value - sums[sixteen].0[lane], head)
        })
    }
}

/// The ways from paths to the 16 codewords of a symbol.
#[derive(Default)]
pub(super) struct Ways {
    /// `[lists]`, the cheapest to each codeword first: the bits of the cost, the lowest of them replaced by the path's number.
    pub(super) lists: [[u32; CODEWORDS]; LISTS_MAX],
    /// `[lists]`: a bit for each codeword, 1 if the way is near enough to the cheapest.
    pub(super) near: [u16; LISTS_MAX],
    /// What the cheapest of all costs.
    pub(super) least: f32,
}

impl Ways {
    /// Notes what the `cheapest` way costs; returns the bits of the dearest way that is near.
    #[inline(always)]
    pub(super) fn set_least(&mut self, cheapest: u32, slack: f32) -> u32 {
        self.least = f32::from_bits(cheapest & !NUMBER_BITS);
        (self.least + slack).to_bits() | NUMBER_BITS
    }
}

/// See `Kernels::best_symbols`; `extended` is what is called so below, or equals it.
#[inline(always)]
pub(super) fn best_symbols(
    trellis: &Trellis<'_>,
    row: &[f32],
    paths: &mut Paths,
    symbols: &mut [u8],
    extended: impl Fn(&Entered<'_>, usize, f32, &mut Ways),
) {
    match trellis.sixteens {
        1 => search::<1>(trellis, row, paths, symbols, extended),
        2 => search::<2>(trellis, row, paths, symbols, extended),
        4 => search::<4>(trellis, row, paths, symbols, extended),
        _ => search::<8>(trellis, row, paths, symbols, extended),
    }
}

#[inline(always)]
fn search<const SIXTEENS: usize>(
    trellis: &Trellis<'_>,
    row: &[f32],
    paths: &mut Paths,
    symbols: &mut [u8],
    extended: impl Fn(&Entered<'_>, usize, f32, &mut Ways),
) {
    let Paths { generations: [first, second], steps, alive, .. } = paths;
    let (mut now, mut next) = (first, second);
    steps.resize(symbols.len().max(steps.len()), [(0, 0); PATHS_MAX]);
    alive.resize(symbols.len().max(alive.len()), 0);
    now.costs[0] = 0.0;
    let tails = trellis.tails.as_chunks::<SIXTEENS>().0.as_chunks::<CODEWORDS>().0;
    let (mut count, mut ways) = (1, Ways::default());
    for stretch in trellis.stretches {
        let before = stretch.first - stretch.reaching;
        let (reaching, own) = tails[stretch.place..][..stretch.end - stretch.reaching].split_at(before);
        let behind = &steps[stretch.reaching..stretch.first];
        sum_up(behind, reaching, count, alive, [&mut now.sums, &mut next.sums]);
        let start = trellis.boundaries[stretch.first];
        for (symbol, tail) in (stretch.first..stretch.end).zip(own) {
            let dims = trellis.boundaries[symbol]..trellis.boundaries[symbol + 1];
            let (heads, values, first) = (&trellis.heads[dims.clone()], &row[dims.clone()], dims.start - start);
            let (costs, sums) = (&now.costs[..count], &now.sums[..count * SIXTEENS]);
            extended(
                &Entered { heads, values, first, costs, sums, sixteens: SIXTEENS },
                trellis.lists,
                trellis.slack,
                &mut ways,
            );
            // The next stretch sums anew.
            let tail = (symbol + 1 < stretch.end).then_some(tail);
            count = keep(&ways, trellis.lists, tail, now, next, &mut steps[symbol]);
            std::mem::swap(&mut now, &mut next);
        }
    }
    let costs = &now.costs[..count];
    let mut path = (1..count).fold(0, |best, path| if costs[path] < costs[best] { path } else { best });
    for (slot, steps) in symbols.iter_mut().zip(steps.iter()).rev() {
        let (before, codeword) = steps[path];
        (*slot, path) = (codeword, usize::from(before));
    }
}

/// Sums what each of `count` paths has added to a stretch by the symbols of `steps` and `tails`, oldest first, into the
/// first of `sums`. Paths that were one until some symbol are summed as one until there.
#[inline(always)]
fn sum_up<const SIXTEENS: usize>(
    steps: &[Steps],
    tails: &[[[Lanes; SIXTEENS]; CODEWORDS]],
    count: usize,
    alive: &mut [u128],
    [sums, before]: [&mut Vec<Lanes>; 2],
) {
    let mut today = u128::MAX >> (PATHS_MAX - count);
    for (steps, alive) in steps.iter().zip(alive.iter_mut()).rev() {
        *alive = today;
        today = numbers_of(today).fold(0, |before, path| before | 1 << steps[path].0);
    }
    let zero = [Lanes::of(0.0); SIXTEENS];
    numbers_of(today).for_each(|path| sums.as_chunks_mut::<SIXTEENS>().0[path] = zero);
    let step = |symbol: usize, path: usize| {
        let (before, codeword) = steps[symbol][path];
        (usize::from(before), &tails[symbol][usize::from(codeword) % CODEWORDS])
    };
    let lone = alive[..steps.len()].iter().take_while(|alive| alive.is_power_of_two()).count();
    let path_of = |symbol: usize| alive[symbol].trailing_zeros() as usize % PATHS_MAX;
    let sum = (0..lone).fold(zero, |sum, symbol| added(sum, step(symbol, path_of(symbol)).1));
    if lone > 0 {
        sums.as_chunks_mut::<SIXTEENS>().0[path_of(lone - 1)] = sum;
    }
    for (symbol, alive) in alive.iter().enumerate().take(steps.len()).skip(lone) {
        std::mem::swap(sums, before);
        let (sums, before) = (sums.as_chunks_mut::<SIXTEENS>().0, before.as_chunks::<SIXTEENS>().0);
        for path in numbers_of(*alive) {
            let (parent, tail) = step(symbol, path);
            sums[path] = added(before[parent], tail);
        }
    }
}

/// The numbers of the bits that are set.
#[inline(always)]
fn numbers_of(mut bits: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let number = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (number < PATHS_MAX).then_some(number)
    })
}

/// By value, or the compiler does not see that the sums may stay in registers.
#[inline(always)]
fn added<const SIXTEENS: usize>(mut sums: [Lanes; SIXTEENS], tail: &[Lanes; SIXTEENS]) -> [Lanes; SIXTEENS] {
    for (sums, tail) in sums.iter_mut().zip(tail) {
        *sums = sums.plus(tail);
    }
    sums
}

/// The cheapest `lists` ways to each codeword of a symbol; near are those that cost at most `slack` more than the cheapest.
#[inline(always)]
pub(super) fn extended(entered: &Entered<'_>, lists: usize, slack: f32, ways: &mut Ways) {
    ways.lists[..lists].fill([u32::MAX; CODEWORDS]);
    for (path, (cost, sums)) in entered.paths().enumerate() {
        let mut totals = [*cost; CODEWORDS];
        for (left, head) in entered.left(sums) {
            for (total, component) in totals.iter_mut().zip(&head.0) {
                let difference = left - component;
                *total += difference * difference;
            }
        }
        let mut entering = totals.map(|total| total.to_bits() & !NUMBER_BITS | path as u32);
        // Each lane goes where it belongs in the ascending list of that lane; the last ones fall out.
        for list in &mut ways.lists[..lists] {
            for (kept, entering) in list.iter_mut().zip(&mut entering) {
                (*kept, *entering) = ((*kept).min(*entering), (*kept).max(*entering));
            }
        }
    }
    let cheapest = ways.lists[0].iter().fold(u32::MAX, |least, way| least.min(*way));
    let limit = ways.set_least(cheapest, slack);
    for (near, list) in ways.near.iter_mut().zip(&ways.lists[..lists]) {
        let bits = list.iter().enumerate().map(|(codeword, way)| u16::from(*way <= limit) << codeword);
        *near = bits.fold(0, |near, bit| near | bit);
    }
}

/// Makes the ways that are near the next paths, with what they add to by `tails`; returns how many there are.
#[inline(always)]
fn keep<const SIXTEENS: usize>(
    ways: &Ways,
    lists: usize,
    tails: Option<&[[Lanes; SIXTEENS]; CODEWORDS]>,
    now: &Generation,
    next: &mut Generation,
    steps: &mut Steps,
) -> usize {
    let (now, next_sums) = (now.sums.as_chunks::<SIXTEENS>().0, next.sums.as_chunks_mut::<SIXTEENS>().0);
    let mut count = 0;
    for (list, near) in ways.lists[..lists].iter().zip(ways.near) {
        let mut left = near;
        while left != 0 {
            let codeword = left.trailing_zeros() as usize % CODEWORDS;
            let (way, path) = (list[codeword], count % PATHS_MAX);
            let before = (way & NUMBER_BITS) as u8;
            steps[path] = (before, codeword as u8);
            // From the cheapest on: small differences count however much has been missed so far.
            next.costs[path] = f32::from_bits(way & !NUMBER_BITS) - ways.least;
            if let Some(tails) = tails {
                next_sums[path] = added(now[usize::from(before)], &tails[codeword]);
            }
            count += 1;
            left &= left - 1;
        }
    }
    count
}

/// The dims one symbol adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first dim.
    pub first: usize,
    /// How many.
    pub width: usize,
    /// Where `[16][width]` codewords of this symbol begin.
    pub place: usize,
}

/// Rows combined at once. Their sums, and those of some outputs, stay in registers.
const TILE_ROWS: usize = 4;

/// See `Kernels::combine`.
#[inline(always)]
pub(super) fn combine(factors: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
    combined(factors, matrix, width, out, |value| value);
}

/// See `Kernels::combine_numbers`.
#[inline(always)]
pub(super) fn combine_numbers(factors: &[f32], matrix: &[i8], width: usize, out: &mut [f32]) {
    combined(factors, matrix, width, out, f32::from);
}

#[inline(always)]
fn combined<T: Copy>(factors: &[f32], matrix: &[T], width: usize, out: &mut [f32], float: impl Fn(T) -> f32 + Copy) {
    let depth = matrix.len() / width;
    let whole = out.len() / width / TILE_ROWS * TILE_ROWS;
    let (factors, last_factors) = factors.split_at(whole * depth);
    let (out, last) = out.split_at_mut(whole * width);
    for (factors, out) in factors.chunks_exact(TILE_ROWS * depth).zip(out.chunks_exact_mut(TILE_ROWS * width)) {
        combined_rows::<T, TILE_ROWS>(factors, matrix, width, out, float);
    }
    for (factors, out) in last_factors.chunks_exact(depth).zip(last.chunks_exact_mut(width)) {
        combined_rows::<T, 1>(factors, matrix, width, out, float);
    }
}

#[inline(always)]
fn combined_rows<T: Copy, const ROWS: usize>(
    factors: &[f32],
    matrix: &[T],
    width: usize,
    out: &mut [f32],
    float: impl Fn(T) -> f32 + Copy,
) {
    // One row by itself needs more outputs, for no sum to wait for the one before.
    let whole = if ROWS == 1 { combined_tiles::<T, ROWS, 64>(factors, matrix, width, out, 0, float) } else { 0 };
    let whole = combined_tiles::<T, ROWS, 32>(factors, matrix, width, out, whole, float);
    let whole = combined_tiles::<T, ROWS, 8>(factors, matrix, width, out, whole, float);
    let depth = matrix.len() / width;
    for (factors, out) in factors.chunks_exact(depth).zip(out.chunks_exact_mut(width)) {
        out[whole..].fill(0.0);
        for (factor, line) in factors.iter().zip(matrix.chunks_exact(width)) {
            for (sum, value) in out[whole..].iter_mut().zip(&line[whole..]) {
                *sum += factor * float(*value);
            }
        }
    }
}

/// The outputs from `begin` on in tiles of `TILE`; returns the first that fits none.
#[inline(always)]
fn combined_tiles<T: Copy, const ROWS: usize, const TILE: usize>(
    factors: &[f32],
    matrix: &[T],
    width: usize,
    out: &mut [f32],
    begin: usize,
    float: impl Fn(T) -> f32 + Copy,
) -> usize {
    let depth = matrix.len() / width;
    let end = begin + (width - begin) / TILE * TILE;
    for first in (begin..end).step_by(TILE) {
        let mut sums = [[0.0; TILE]; ROWS];
        for (number, line) in matrix.chunks_exact(width).enumerate() {
            let Some(line) = line[first..].first_chunk::<TILE>() else { continue };
            let values = line.map(float);
            for row in 0..ROWS {
                let factor = factors[row * depth + number];
                for lane in 0..TILE {
                    sums[row][lane] += factor * values[lane];
                }
            }
        }
        for (out, sums) in out.chunks_exact_mut(width).zip(&sums) {
            out[first..first + TILE].copy_from_slice(sums);
        }
    }
    end
}
