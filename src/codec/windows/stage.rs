//! One stage of a code: symbols whose codewords overlap, and the search that chooses them together.
//!
//! The dims are cut into runs, one for each symbol. A symbol's codewords reach over its own run and those of the
//! `window - 1` symbols behind it, so each dim is a sum of up to `window` codewords. `window` 1 is product quantization.

use crate::codec::{CODEWORDS, DIM_MAX};
use crate::kernels::{
    Chain, Codewords, Lanes, Paths, SIXTEENS_MAX, SURVIVORS_MAX, Stretch, Strip, Trellis, Window, kernels,
};
use std::sync::OnceLock;

/// The most dims a window of more than its own run may span.
const SPAN_MAX: usize = SIXTEENS_MAX * CODEWORDS;

/// Windows of so many runs are a chain, for which the search is exact.
pub(in crate::codec) const CHAIN_WINDOW: usize = 2;

/// How the dims and symbols of a stage belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::codec) struct Layout {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`.
    pub(in crate::codec) boundaries: Vec<usize>,
    /// `[symbols]`: all dims a symbol adds to.
    pub(in crate::codec) windows: Vec<Window>,
    /// Own runs a window spans at most.
    pub(in crate::codec) window: usize,
}

impl Layout {
    /// Runs that end at `boundaries`, and windows of `window` of them.
    pub(in crate::codec) fn new(boundaries: Vec<usize>, window: usize) -> Layout {
        let (mut offset, symbols) = (0, boundaries.len() - 1);
        let window_of = |symbol: usize| {
            let (first, end) = (boundaries[symbol], boundaries[(symbol + window).min(symbols)]);
            let window = Window { first, width: end - first, offset };
            offset += CODEWORDS * window.width;
            window
        };
        let windows = (0..symbols).map(window_of).collect();
        Layout { boundaries, windows, window }
    }

    /// The same with the widest windows, of at most `wanted` runs, that the search can carry.
    pub(in crate::codec) fn within(boundaries: Vec<usize>, wanted: usize) -> Layout {
        let mut layout = Layout::new(boundaries, wanted.clamp(1, DIM_MAX));
        layout.window = layout.window.min(layout.symbols());
        while !layout.is_carried() {
            layout = Layout::new(layout.boundaries, layout.window / 2);
        }
        // A little narrower, where that makes the widest window half as many sixteens, rounded up to a power of two: what
        // windows gain was measured with such widths (`store/plan.rs`).
        let snug = (layout.window * 7 / 8).max(1);
        let narrower = Layout::new(layout.boundaries.clone(), snug);
        if narrower.widest_sixteens() < layout.widest_sixteens() { narrower } else { layout }
    }

    /// Sixteens of dims in the widest window, rounded up to a power of two; 1 for a chain.
    fn widest_sixteens(&self) -> usize {
        let widest = self.windows.iter().map(|window| window.width).max().unwrap_or(0);
        if self.window > CHAIN_WINDOW { widest.div_ceil(CODEWORDS).next_power_of_two() } else { 1 }
    }

    /// True if the search can carry windows as wide.
    pub(in crate::codec) fn is_carried(&self) -> bool {
        self.window <= CHAIN_WINDOW || self.windows.iter().all(|window| window.width <= SPAN_MAX)
    }

    /// The symbols in stretches of as many as have at most `dims` own dims together; none has more alone.
    fn stretches(&self, dims: usize) -> Vec<Stretch> {
        let (mut stretches, mut first, mut offset) = (Vec::new(), 0, 0);
        while first < self.symbols() {
            let end = self.boundaries.partition_point(|end| *end <= self.boundaries[first] + dims) - 1;
            let reaching = (first + 1).saturating_sub(self.window);
            stretches.push(Stretch { reaching, first, end, offset });
            offset += end - reaching;
            first = end;
        }
        stretches
    }

    /// The 16 codewords of the symbol with `window`.
    fn codewords<'a>(&self, values: &'a [f32], window: &Window) -> std::slice::ChunksExact<'a, f32> {
        values[window.offset..window.offset + CODEWORDS * window.width].chunks_exact(window.width)
    }

    pub(in crate::codec) fn symbols(&self) -> usize {
        self.windows.len()
    }

    pub(in crate::codec) fn dim(&self) -> usize {
        self.boundaries[self.symbols()]
    }

    /// Components of all codewords.
    pub(in crate::codec) fn components(&self) -> usize {
        self.windows.iter().map(|window| CODEWORDS * window.width).sum()
    }

    /// The dims of `symbol`'s own run.
    pub(in crate::codec) fn own(&self, symbol: usize) -> std::ops::Range<usize> {
        self.boundaries[symbol]..self.boundaries[symbol + 1]
    }
}

/// How thoroughly symbols are searched; encoding a row with another effort gives another code of the same meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::codec) struct Effort {
    /// Paths kept for each codeword: 1, 2, 3, 4 or 8.
    pub(in crate::codec) lists: usize,
    /// A path that costs so much more than the best is given up.
    pub(in crate::codec) slack: f32,
}

impl Effort {
    pub(in crate::codec) fn is_sound(&self) -> bool {
        matches!(self.lists, 1 | 2 | 3 | 4 | SURVIVORS_MAX) && self.slack >= 0.0 && self.slack.is_finite()
    }
}

/// A stage that can encode and decode.
#[derive(Clone)]
pub(in crate::codec) struct Stage {
    pub(in crate::codec) layout: Layout,
    /// `[16][width]` for each symbol.
    pub(in crate::codec) values: Vec<f32>,
    pub(in crate::codec) effort: Effort,
    /// Made when a row is first encoded: who reads needs none of it, and it is many times the book.
    arranged: OnceLock<Arranged>,
    /// Made when codes are first decoded.
    strips: OnceLock<Strips>,
    /// Made when codes are first scored: `[width][16]` for each symbol.
    columns: OnceLock<Vec<Lanes>>,
}

/// Codewords as a search reads them; fields as those of [`Chain`] and [`Trellis`].
#[derive(Clone)]
enum Arranged {
    /// Windows of one or two runs.
    Chain { heads: Vec<Lanes>, tails: Vec<Lanes>, crosses: Vec<Lanes> },
    /// Wider ones.
    Trellis { heads: Vec<Lanes>, tails: Vec<Lanes>, stretches: Vec<Stretch>, sixteens: usize },
}

impl Arranged {
    fn new(layout: &Layout, values: &[f32]) -> Arranged {
        if layout.window <= CHAIN_WINDOW { Arranged::chain(layout, values) } else { Arranged::trellis(layout, values) }
    }

    fn chain(layout: &Layout, values: &[f32]) -> Arranged {
        let heads = Arranged::heads(layout, values);
        let mut tails = vec![Lanes::of(0.0); layout.dim()];
        for (symbol, window) in layout.windows.iter().enumerate() {
            let own = layout.own(symbol);
            for (codeword, components) in layout.codewords(values, window).enumerate() {
                for (dim, component) in (own.end..).zip(&components[own.len()..]) {
                    tails[dim].0[codeword] = *component;
                }
            }
        }
        let mut crosses = vec![Lanes::of(0.0); layout.symbols() * CODEWORDS];
        for (symbol, crosses) in crosses.chunks_exact_mut(CODEWORDS).enumerate() {
            for dim in layout.own(symbol) {
                for (before, cross) in crosses.iter_mut().enumerate() {
                    let tail = 2.0 * tails[dim].0[before];
                    cross.0.iter_mut().zip(&heads[dim].0).for_each(|(cross, head)| *cross += tail * head);
                }
            }
        }
        Arranged::Chain { heads, tails, crosses }
    }

    fn trellis(layout: &Layout, values: &[f32]) -> Arranged {
        let longest = (0..layout.symbols()).map(|symbol| layout.own(symbol).len()).max().unwrap_or(0);
        let sixteens = longest.div_ceil(CODEWORDS).next_power_of_two();
        let stretches = layout.stretches(sixteens * CODEWORDS);
        let mut tails = Vec::new();
        for stretch in &stretches {
            let dims = layout.boundaries[stretch.first]..layout.boundaries[stretch.end];
            for symbol in stretch.reaching..stretch.end {
                let window = &layout.windows[symbol];
                // What of the window is behind the symbol's own dims and in the stretch.
                let from = layout.own(symbol).end.max(dims.start);
                for components in layout.codewords(values, window) {
                    let start = tails.len();
                    tails.resize(start + sixteens, Lanes::of(0.0));
                    for (dim, component) in (from..dims.end).zip(&components[from - window.first..]) {
                        let at = dim - dims.start;
                        tails[start + at / CODEWORDS].0[at % CODEWORDS] = *component;
                    }
                }
            }
        }
        Arranged::Trellis { heads: Arranged::heads(layout, values), tails, stretches, sixteens }
    }

    /// `[dim]`: what each codeword adds to its symbol's own dims.
    fn heads(layout: &Layout, values: &[f32]) -> Vec<Lanes> {
        let mut heads = vec![Lanes::of(0.0); layout.dim()];
        for (symbol, window) in layout.windows.iter().enumerate() {
            for (codeword, components) in layout.codewords(values, window).enumerate() {
                for (dim, component) in layout.own(symbol).zip(components) {
                    heads[dim].0[codeword] = *component;
                }
            }
        }
        heads
    }
}

/// Codewords as decoding reads them; fields as those of [`Codewords`].
#[derive(Clone)]
struct Strips {
    strips: Vec<Strip>,
    lanes: Vec<Lanes>,
}

impl Strips {
    fn new(layout: &Layout, values: &[f32]) -> Strips {
        let (mut strips, mut lanes) = (Vec::new(), Vec::new());
        for start in (0..layout.dim()).step_by(CODEWORDS) {
            let end = start + CODEWORDS;
            let first = layout.windows.partition_point(|window| window.first + window.width <= start);
            let behind = layout.windows.partition_point(|window| window.first < end);
            strips.push(Strip { first, end: behind, offset: lanes.len() });
            for window in &layout.windows[first..behind] {
                lanes.extend(layout.codewords(values, window).map(|components| {
                    let component = |dim: usize| dim.checked_sub(window.first).and_then(|at| components.get(at));
                    Lanes(std::array::from_fn(|lane| component(start + lane).copied().unwrap_or(0.0)))
                }));
            }
        }
        Strips { strips, lanes }
    }
}

impl Stage {
    /// A stage with these codewords, `values: [components]`.
    pub(in crate::codec) fn new(layout: Layout, values: Vec<f32>, effort: Effort) -> Stage {
        Stage { layout, values, effort, arranged: OnceLock::new(), strips: OnceLock::new(), columns: OnceLock::new() }
    }

    /// Replaces the codewords.
    pub(in crate::codec) fn set_values(&mut self, values: Vec<f32>) {
        *self = Stage::new(self.layout.clone(), values, self.effort);
    }

    pub(in crate::codec) fn symbols(&self) -> usize {
        self.layout.symbols()
    }

    /// Codewords side by side, `[width][16]` for each symbol.
    pub(in crate::codec) fn columns(&self) -> &[Lanes] {
        self.columns.get_or_init(|| {
            let symbols = self.layout.windows.iter().map(|window| (window, &self.values[window.offset..]));
            let column = |values: &[f32], width: usize, at: usize| {
                Lanes(std::array::from_fn(|codeword| values[codeword * width + at]))
            };
            symbols
                .flat_map(|(window, values)| (0..window.width).map(move |at| column(values, window.width, at)))
                .collect()
        })
    }

    /// The best symbols found for `row: [dim]`.
    pub(in crate::codec) fn search(&self, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
        let boundaries = &self.layout.boundaries;
        match self.arranged.get_or_init(|| Arranged::new(&self.layout, &self.values)) {
            Arranged::Chain { heads, tails, crosses } => {
                kernels().best_chain(&Chain { boundaries, heads, tails, crosses }, row, paths, symbols);
            }
            Arranged::Trellis { heads, tails, stretches, sixteens } => {
                let Effort { lists, slack } = self.effort;
                let trellis =
                    Trellis { boundaries, heads, stretches, tails, sixteens: *sixteens, survivors: lists, slack };
                kernels().best_symbols(&trellis, row, paths, symbols);
            }
        }
    }

    /// Adds what `symbols: [n][symbols]` stand for to `rows: [n][dim]`.
    pub(in crate::codec) fn add(&self, symbols: &[u8], rows: &mut [f32]) {
        let Strips { strips, lanes } = self.strips.get_or_init(|| Strips::new(&self.layout, &self.values));
        kernels().add_codewords(&Codewords { symbols: self.symbols(), strips, lanes }, symbols, rows);
    }

    /// Symbols of `rows: [n][dim]`, as `[n][symbols]`.
    pub(in crate::codec) fn search_all(&self, rows: &[f32]) -> Vec<u8> {
        let (dim, symbols) = (self.layout.dim(), self.symbols());
        let mut found = vec![0; rows.len() / dim * symbols];
        let mut paths = Paths::default();
        for (row, found) in rows.chunks_exact(dim).zip(found.chunks_exact_mut(symbols)) {
            self.search(row, &mut paths, found);
        }
        found
    }

    /// Takes what `symbols: [n][symbols]` stand for from `rows: [n][dim]`.
    pub(in crate::codec) fn subtract(&self, symbols: &[u8], rows: &mut [f32]) {
        let mut images = vec![0.0; rows.len()];
        self.add(symbols, &mut images);
        rows.iter_mut().zip(&images).for_each(|(value, part)| *value -= part);
    }
}

#[cfg(test)]
mod tests {
    use super::{Effort, Layout, Stage};
    use crate::codec::random::Random;
    use crate::kernels::Paths;

    #[test]
    fn with_windows_of_two_the_search_is_exact() {
        let mut random = Random::new(1, 2);
        let layout = Layout::new(vec![0, 2, 4, 7], 2);
        let values = (0..layout.components()).map(|_| random.normal()).collect();
        let stage = Stage::new(layout, values, Effort { lists: 1, slack: 1e9 });
        let error = |symbols: &[u8], row: &[f32]| {
            let mut image = vec![0.0; 7];
            stage.add(symbols, &mut image);
            image.iter().zip(row).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        };
        for _ in 0..200 {
            let row: Vec<f32> = (0..7).map(|_| 2.0 * random.normal()).collect();
            let mut found = [0; 3];
            stage.search(&row, &mut Paths::default(), &mut found);
            let all = (0..4096u32).map(|code| [code & 15, code >> 4 & 15, code >> 8].map(|symbol| symbol as u8));
            let best = all.map(|symbols| error(&symbols, &row)).fold(f32::MAX, f32::min);
            assert!(error(&found, &row) <= best * 1.001, "{found:?}: {} {best}", error(&found, &row));
        }
    }
}
