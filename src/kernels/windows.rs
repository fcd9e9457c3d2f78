//! The bodies of the kernels for window codes: the search for the best symbols, and sums of codewords.
//!
//! A symbol adds one of 16 codewords to a window of dims: its own dims first, then those of the symbols behind it. The
//! search goes through the symbols in order and keeps paths: the choices so far, their cost in the dims that are final,
//! and what they have already added to the dims that are not. Lanes are the 16 codewords; each keeps its `lists` cheapest
//! paths (list Viterbi decoding with a state of its own for each path: Seshadri, Sundberg, IEEE Trans. Comm. 1994; Raheli,
//! Polydoros, Tzeng, per-survivor processing, 1995). Paths too far behind the best are given up (the T-algorithm).

/// Codewords of a symbol.
pub(super) const CODEWORDS: usize = 16;

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
}

/// What the search needs of a code.
#[derive(Clone, Copy, Debug)]
pub struct Trellis<'a> {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`; from 0, ascending, to dim.
    pub boundaries: &'a [usize],
    /// `[dim][16]`: what each codeword adds to its own dims.
    pub heads: &'a [Lanes],
    /// `[symbols][16][ring]` of 16 lanes: what each codeword adds to the dims behind its own, dim k in lane k of the ring.
    pub tails: &'a [Lanes],
    /// `[symbols][ring]` of 16 lanes: 0 where the symbol's own dims lie in the ring, 1 elsewhere.
    pub keeps: &'a [Lanes],
    /// The ring's length in sixteens, 1, 2, 4 or 8: no window is longer, but those of own dims alone.
    pub ring: usize,
    /// Paths kept for each codeword: 1, 2, 3, 4 or 8.
    pub lists: usize,
    /// A path that costs so much more than the best is given up.
    pub slack: f32,
}

/// Room for one search; serves again for any row.
#[derive(Debug, Default)]
pub struct Paths {
    now: Generation,
    next: Generation,
    /// `[symbols]`: the path before, and the codeword.
    steps: Vec<[(u8, u8); PATHS_MAX]>,
    /// `[symbols][16]`: the codeword before, where a codeword ends one path (`chain`).
    pub(super) before: Vec<[u32; CODEWORDS]>,
}

/// The paths up to one symbol.
#[derive(Debug)]
struct Generation {
    costs: [f32; PATHS_MAX],
    /// `[PATHS_MAX][ring]`: what a path has added to the dims of the ring.
    sums: Vec<Lanes>,
}

impl Default for Generation {
    fn default() -> Generation {
        Generation { costs: [0.0; PATHS_MAX], sums: vec![Lanes::of(0.0); PATHS_MAX * RING_MAX] }
    }
}

/// The longest ring, in sixteens.
pub const RING_MAX: usize = 8;

/// The paths that a symbol's codewords are put behind.
pub(super) struct Entered<'a> {
    /// `[own dims][16]`: what each codeword adds to the symbol's own dims.
    pub(super) heads: &'a [Lanes],
    /// `[own dims]`: of the row.
    pub(super) values: &'a [f32],
    /// The first own dim.
    pub(super) first: usize,
    /// `[paths]`.
    pub(super) costs: &'a [f32],
    /// `[paths][ring]`.
    pub(super) sums: &'a [Lanes],
    pub(super) ring: usize,
}

impl Entered<'_> {
    /// The paths: their costs and sums.
    #[inline(always)]
    pub(super) fn paths(&self) -> impl Iterator<Item = (&f32, &[Lanes])> {
        self.costs.iter().zip(self.sums.chunks_exact(self.ring))
    }

    /// What the path of `sums: [ring]` leaves in each of the symbol's own dims, with the codewords for it.
    #[inline(always)]
    pub(super) fn left<'s>(&'s self, sums: &'s [Lanes]) -> impl Iterator<Item = (f32, &'s Lanes)> {
        (self.first..).zip(self.values).zip(self.heads).map(|((dim, value), head)| {
            // The ring is a power of two long.
            let lane = dim & (self.ring * CODEWORDS - 1);
            (value - sums[lane / CODEWORDS].0[lane % CODEWORDS], head)
        })
    }
}

/// For each list of paths the ways to the 16 codewords, cheapest list first: the bits of the cost, the lowest of them
/// replaced by the path's number.
pub(super) type Ways = [[u32; CODEWORDS]; LISTS_MAX];

/// See `Kernels::best_symbols`; `extended` is what is called so below, or equals it.
#[inline(always)]
pub(super) fn best_symbols(
    trellis: &Trellis<'_>,
    row: &[f32],
    paths: &mut Paths,
    symbols: &mut [u8],
    extended: impl Fn(&Entered<'_>, usize, &mut Ways),
) {
    match trellis.ring {
        1 => search::<1>(trellis, row, paths, symbols, extended),
        2 => search::<2>(trellis, row, paths, symbols, extended),
        4 => search::<4>(trellis, row, paths, symbols, extended),
        _ => search::<8>(trellis, row, paths, symbols, extended),
    }
}

#[inline(always)]
fn search<const RING: usize>(
    trellis: &Trellis<'_>,
    row: &[f32],
    paths: &mut Paths,
    symbols: &mut [u8],
    extended: impl Fn(&Entered<'_>, usize, &mut Ways),
) {
    let Paths { now, next, steps, .. } = paths;
    steps.resize(symbols.len().max(steps.len()), [(0, 0); PATHS_MAX]);
    now.costs[0] = 0.0;
    now.sums[..RING].fill(Lanes::of(0.0));
    let (tails, keeps) = (trellis.tails.as_chunks::<RING>().0, trellis.keeps.as_chunks::<RING>().0);
    let runs = trellis.boundaries.windows(2).zip(tails.as_chunks::<CODEWORDS>().0).zip(keeps);
    let (mut count, mut ways) = (1, [[0; CODEWORDS]; LISTS_MAX]);
    for (((ends, tails), keeps), steps) in runs.zip(steps.iter_mut()) {
        let (heads, values) = (&trellis.heads[ends[0]..ends[1]], &row[ends[0]..ends[1]]);
        let (costs, sums) = (&now.costs[..count], &now.sums[..count * RING]);
        extended(&Entered { heads, values, first: ends[0], costs, sums, ring: RING }, trellis.lists, &mut ways);
        count = keep(&ways[..trellis.lists], trellis.slack, tails, keeps, now, next, steps);
        std::mem::swap(now, next);
    }
    let costs = &now.costs[..count];
    let mut path = (1..count).fold(0, |best, path| if costs[path] < costs[best] { path } else { best });
    for (slot, steps) in symbols.iter_mut().zip(steps.iter()).rev() {
        let (before, codeword) = steps[path];
        (*slot, path) = (codeword, usize::from(before));
    }
}

/// The cheapest `lists` ways to each codeword of a symbol.
#[inline(always)]
pub(super) fn extended(entered: &Entered<'_>, lists: usize, ways: &mut Ways) {
    ways[..lists].fill([u32::MAX; CODEWORDS]);
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
        for list in &mut ways[..lists] {
            for (kept, entering) in list.iter_mut().zip(&mut entering) {
                (*kept, *entering) = ((*kept).min(*entering), (*kept).max(*entering));
            }
        }
    }
}

/// Makes the ways in `best` that are near enough to the cheapest the next paths; returns how many there are.
#[inline(always)]
fn keep<const RING: usize>(
    best: &[[u32; CODEWORDS]],
    slack: f32,
    tails: &[[Lanes; RING]; CODEWORDS],
    keeps: &[Lanes; RING],
    now: &Generation,
    next: &mut Generation,
    steps: &mut [(u8, u8); PATHS_MAX],
) -> usize {
    let cheapest = best[0].iter().fold(u32::MAX, |least, way| least.min(*way));
    let least = f32::from_bits(cheapest & !NUMBER_BITS);
    let limit = (least + slack).to_bits() | NUMBER_BITS;
    let (mut count, mut kept) = (0, [0; PATHS_MAX]);
    for list in best {
        for (codeword, way) in list.iter().enumerate() {
            // Written always and counted if kept: which ways are near enough is beyond what a CPU can foresee.
            steps[count % PATHS_MAX] = ((way & NUMBER_BITS) as u8, codeword as u8);
            kept[count % PATHS_MAX] = *way;
            count += usize::from(*way <= limit);
        }
    }
    for (cost, way) in next.costs[..count].iter_mut().zip(&kept) {
        // From the cheapest on: small differences count however much has been missed so far.
        *cost = f32::from_bits(way & !NUMBER_BITS) - least;
    }
    let (now_sums, next_sums) = (now.sums.as_chunks::<RING>().0, next.sums.as_chunks_mut::<RING>().0);
    for ((before, codeword), into) in steps[..count].iter().zip(next_sums) {
        let (from, tail) = (&now_sums[usize::from(*before)], &tails[usize::from(*codeword) % CODEWORDS]);
        for sixteen in 0..RING {
            into[sixteen] = carried(&from[sixteen], &keeps[sixteen], &tail[sixteen]);
        }
    }
    count
}

/// Sixteen dims of a path with one more codeword.
#[inline(always)]
fn carried(sums: &Lanes, keeps: &Lanes, tail: &Lanes) -> Lanes {
    let mut carried = *sums;
    for lane in 0..CODEWORDS {
        carried.0[lane] = carried.0[lane] * keeps.0[lane] + tail.0[lane];
    }
    carried
}

/// Codewords as rows, each over the dims of its window.
#[derive(Clone, Copy, Debug)]
pub struct Codewords<'a> {
    /// `[symbols]`: first dim and dims of the window, and where its 16 codewords begin in `values`.
    pub windows: &'a [Window],
    /// `[16][width]` for each symbol.
    pub values: &'a [f32],
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

/// Rows that are added to in turn: the windows of one row overlap, and each must wait for the one before.
const ROWS_IN_TURN: usize = 8;

/// See `Kernels::add_codewords`.
#[inline(always)]
pub(super) fn add_codewords(codewords: &Codewords<'_>, symbols: &[u8], rows: &mut [f32]) {
    let count = codewords.windows.len();
    let dim = rows.len() / (symbols.len() / count).max(1);
    let tiles = rows.chunks_mut(ROWS_IN_TURN * dim).zip(symbols.chunks(ROWS_IN_TURN * count));
    for (rows, symbols) in tiles {
        for (number, window) in codewords.windows.iter().enumerate() {
            let values = &codewords.values[window.place..window.place + CODEWORDS * window.width];
            for (row, symbols) in rows.chunks_exact_mut(dim).zip(symbols.chunks_exact(count)) {
                let codeword = &values[usize::from(symbols[number]) * window.width..][..window.width];
                for (value, part) in row[window.first..window.first + window.width].iter_mut().zip(codeword) {
                    *value += part;
                }
            }
        }
    }
}

/// See `Kernels::add_to_codewords`.
#[inline(always)]
pub(super) fn add_to_codewords(windows: &[Window], symbols: &[u8], row: &[f32], sums: &mut [f32]) {
    for (window, symbol) in windows.iter().zip(symbols) {
        let start = window.place + usize::from(*symbol) * window.width;
        let sums = &mut sums[start..start + window.width];
        for (sum, value) in sums.iter_mut().zip(&row[window.first..window.first + window.width]) {
            *sum += value;
        }
    }
}

/// Outputs and rows summed at once: they stay in registers.
const TILE: usize = 32;
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
    let (depth, whole) = (matrix.len() / width, width / TILE * TILE);
    for first in (0..whole).step_by(TILE) {
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
    for (factors, out) in factors.chunks_exact(depth).zip(out.chunks_exact_mut(width)) {
        out[whole..].fill(0.0);
        for (factor, line) in factors.iter().zip(matrix.chunks_exact(width)) {
            for (sum, value) in out[whole..].iter_mut().zip(&line[whole..]) {
                *sum += factor * float(*value);
            }
        }
    }
}
