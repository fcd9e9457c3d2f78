//! One stage of a code: symbols whose codewords overlap, and the search that chooses them together.
//!
//! The dims are cut into runs, one for each symbol. A symbol's codewords cover `window` runs: its own and those of the
//! symbols after it. So each dim is a sum of up to `window` codewords. `window` 1 is product quantization.

use crate::codec::shape::DIM_MAX;
use crate::kernels::{
    Beam, CODEWORDS, Chain, Codewords, Lanes, LookAhead, Overlapping, Paths, SIXTEENS_MAX, SURVIVORS_MAX, StepBeam,
    StepSearch, Stretch, Strip, Trellis, Window, kernels,
};
use crate::threads::in_parallel;
use std::sync::OnceLock;

/// The most dims that a window of more than two runs may span.
const SPAN_MAX: usize = SIXTEENS_MAX * CODEWORDS;

/// Rows that a thread searches at once.
pub(super) const ROWS_PER_JOB: usize = 256;

/// Windows of up to this many runs form a chain, for which the search is exact.
pub(super) const CHAIN_WINDOW: usize = 2;

/// Which dims each symbol of a stage covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::codec) struct StageLayout {
    /// `[symbols + 1]`: the own dims of symbol j are `boundaries[j] .. boundaries[j + 1]`.
    pub(super) boundaries: Vec<usize>,
    /// `[symbols]`: the dims that a symbol adds to.
    pub(super) windows: Vec<Window>,
    /// The most runs that a window spans.
    pub(super) window: usize,
}

impl StageLayout {
    /// Runs between `boundaries`, and windows of `window` runs.
    pub(super) fn new(boundaries: Vec<usize>, window: usize) -> StageLayout {
        let (mut offset, symbols) = (0, boundaries.len() - 1);
        let window_of = |symbol: usize| {
            let (first, end) = (boundaries[symbol], boundaries[(symbol + window).min(symbols)]);
            let window = Window { first, width: end - first, offset };
            offset += CODEWORDS * window.width;
            window
        };
        let windows = (0..symbols).map(window_of).collect();
        StageLayout { boundaries, windows, window }
    }

    /// Uneven `windows`, each of which begins at the boundary of its symbol; their ends rise. `boundaries` may repeat:
    /// such a symbol has no own dims.
    pub(in crate::codec) fn of_windows(boundaries: Vec<usize>, windows: Vec<Window>) -> StageLayout {
        let starts = &boundaries[..windows.len()];
        let runs = |(symbol, window): (usize, &Window)| {
            starts.partition_point(|start| *start < window.first + window.width) - symbol
        };
        let window = windows.iter().enumerate().map(runs).max().unwrap_or(1);
        StageLayout { boundaries, windows, window }
    }

    /// Runs between `boundaries`, and the widest windows that the search supports, of at most `wanted` runs.
    pub(super) fn within(boundaries: Vec<usize>, wanted: usize) -> StageLayout {
        let mut layout = StageLayout::new(boundaries, wanted.clamp(1, DIM_MAX));
        layout.window = layout.window.min(layout.symbols());
        while !layout.is_searchable() {
            layout = StageLayout::new(layout.boundaries, layout.window / 2);
        }
        // A little narrower if that halves the widest window in units of 16 dims, rounded up to a power of two: the
        // gains of wider windows were measured with such widths (`compress/budget.rs`).
        let snug = (layout.window * 7 / 8).max(1);
        let narrower = StageLayout::new(layout.boundaries.clone(), snug);
        if narrower.widest_sixteens() < layout.widest_sixteens() { narrower } else { layout }
    }

    /// The widest window in units of 16 dims, rounded up to a power of two; 1 for a chain.
    fn widest_sixteens(&self) -> usize {
        let widest = self.windows.iter().map(|window| window.width).max().unwrap_or(0);
        if self.window > CHAIN_WINDOW { widest.div_ceil(CODEWORDS).next_power_of_two() } else { 1 }
    }

    /// True if the search supports windows of this width.
    pub(super) fn is_searchable(&self) -> bool {
        self.window <= CHAIN_WINDOW || self.windows.iter().all(|window| window.width <= SPAN_MAX)
    }

    /// Divides the symbols into stretches of at most `dims` own dims. No symbol may have more.
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

    pub(super) fn symbols(&self) -> usize {
        self.windows.len()
    }

    pub(super) fn dim(&self) -> usize {
        self.boundaries[self.symbols()]
    }

    /// Number of components of all codewords.
    pub(super) fn components(&self) -> usize {
        self.windows.iter().map(|window| CODEWORDS * window.width).sum()
    }

    /// The dims of `symbol`'s own run.
    pub(super) fn own(&self, symbol: usize) -> std::ops::Range<usize> {
        self.boundaries[symbol]..self.boundaries[symbol + 1]
    }
}

/// Boundaries of `symbols` runs of about as many of `dims` each.
pub(super) fn even_runs(symbols: usize, dims: usize) -> Vec<usize> {
    (0..=symbols).map(|symbol| symbol * dims / symbols).collect()
}

/// The most a path may cost above the best one, in units of the mean error per symbol. The product is stored as
/// [`SearchEffort::slack`], and the error computed from it.
pub(super) const SLACK: f32 = 6.0;

/// Paths of a search with look-ahead when rows are encoded.
const LOOK_AHEAD_PATHS: usize = 48;
/// The same in training. Codewords that were fitted with 48 paths are no better.
const TRAINING_PATHS: usize = 16;

/// Effort of the search for symbols. It does not affect decoding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::codec) struct SearchEffort {
    /// Survivor paths kept for each codeword: 1, 2, 3 or 4. 8 stands for the search with look-ahead.
    pub(super) survivors: usize,
    /// A path is dropped when its cost exceeds that of the best path by more than this.
    pub(super) slack: f32,
}

impl SearchEffort {
    pub(super) fn is_sound(&self) -> bool {
        matches!(self.survivors, 1 | 2 | 3 | 4 | SURVIVORS_MAX) && self.slack >= 0.0 && self.slack.is_finite()
    }

    /// The weights of a search with look-ahead, in the order of [`Overlapping::weights`]. A dim whose squared error will
    /// be D, and in which the codewords of later symbols have the variance V, has a residual of variance D + V until
    /// then; so D ÷ (D + V) of its square remains. D is taken to be the same in all dims.
    fn weights(&self, layout: &StageLayout, values: &[f32]) -> Vec<f32> {
        let error = self.slack / SLACK * (layout.symbols() as f32 / layout.dim() as f32);
        let mut weights = vec![1.0; layout.components() / CODEWORDS];
        let mut to_come = vec![0.0; layout.dim()];
        for window in layout.windows.iter().rev() {
            let of_window = &mut weights[window.offset / CODEWORDS..][..window.width];
            for (index, (weight, to_come)) in of_window.iter_mut().zip(&mut to_come[window.first..]).enumerate() {
                if *to_come > 0.0 {
                    *weight = error / (error + *to_come);
                }
                *to_come += variance(layout.codewords(values, window).map(|codeword| codeword[index]));
            }
        }
        weights
    }
}

/// The variance of the components of 16 codewords.
fn variance(components: impl Iterator<Item = f32>) -> f32 {
    let sums =
        components.fold((0.0, 0.0), |(sum, squares), component| (sum + component, squares + component * component));
    let (mean, square) = (sums.0 / CODEWORDS as f32, sums.1 / CODEWORDS as f32);
    (square - mean * mean).max(0.0)
}

/// Buffers of a search. They can be reused for any stage.
#[derive(Default)]
pub(in crate::codec) struct SearchBuffers {
    paths: Paths,
    beam: Beam,
    step_beam: StepBeam,
}

/// A stage that can encode and decode.
#[derive(Clone)]
pub(in crate::codec) struct Stage {
    pub(super) layout: StageLayout,
    /// `[16][width]` for each symbol.
    pub(super) values: Vec<f32>,
    /// Changed by `set_effort`.
    pub(super) effort: SearchEffort,
    /// Paths of a search with look-ahead.
    look_ahead_paths: usize,
    /// The weights of a search with look-ahead, in the order of [`Overlapping::weights`]; empty: computed from the
    /// codewords.
    weights: Vec<f32>,
    /// Computed when a row is first encoded: decoding does not need it, and it is many times as large as the codebook.
    arranged: OnceLock<Arranged>,
    /// Computed when codes are first decoded.
    strips: OnceLock<Strips>,
    /// Computed when codes are first scored: `[width][16]` for each symbol.
    columns: OnceLock<Vec<Lanes>>,
}

/// Codewords in the layout of the search; the fields are those of [`Chain`] and [`Trellis`].
#[derive(Clone)]
enum Arranged {
    /// Windows of one or two runs.
    Chain { heads: Vec<Lanes>, tails: Vec<Lanes>, crosses: Vec<Lanes> },
    /// Wider windows.
    Trellis { heads: Vec<Lanes>, tails: Vec<Lanes>, stretches: Vec<Stretch>, sixteens: usize },
    /// Wider windows, with the most effort.
    LookAhead(Box<LookAhead>),
    /// The same for formula codes. The tables of `exact` are computed when the first row needs them: few do.
    Steps { search: Box<StepSearch>, exact: OnceLock<Box<LookAhead>> },
}

impl Arranged {
    fn new(stage: &Stage) -> Arranged {
        let Stage { layout, values, effort, .. } = stage;
        if layout.window <= CHAIN_WINDOW && stage.weights.is_empty() {
            Arranged::chain(layout, values)
        } else if effort.survivors < SURVIVORS_MAX {
            Arranged::trellis(layout, values)
        } else {
            Arranged::look_ahead(stage)
        }
    }

    /// Formula codes, which have weights, are searched in steps.
    fn look_ahead(stage: &Stage) -> Arranged {
        let paths = stage.look_ahead_paths;
        if stage.weights.is_empty() {
            let weights = stage.effort.weights(&stage.layout, &stage.values);
            return Arranged::LookAhead(Box::new(LookAhead::new(&stage.overlapping(&weights), paths)));
        }
        let code = stage.overlapping(&stage.weights);
        match StepSearch::new(&code, paths) {
            Some(search) => Arranged::Steps { search: Box::new(search), exact: OnceLock::new() },
            None => Arranged::LookAhead(Box::new(LookAhead::new(&code, paths))),
        }
    }

    fn chain(layout: &StageLayout, values: &[f32]) -> Arranged {
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

    fn trellis(layout: &StageLayout, values: &[f32]) -> Arranged {
        let longest = (0..layout.symbols()).map(|symbol| layout.own(symbol).len()).max().unwrap_or(0);
        let sixteens = longest.div_ceil(CODEWORDS).next_power_of_two();
        let stretches = layout.stretches(sixteens * CODEWORDS);
        let mut tails = Vec::new();
        for stretch in &stretches {
            let dims = layout.boundaries[stretch.first]..layout.boundaries[stretch.end];
            for symbol in stretch.reaching..stretch.end {
                let window = &layout.windows[symbol];
                // The first dim of the window that is in the stretch and after the symbol's own dims.
                let from = layout.own(symbol).end.max(dims.start);
                for components in layout.codewords(values, window) {
                    let start = tails.len();
                    tails.resize(start + sixteens, Lanes::of(0.0));
                    for (dim, component) in (from..dims.end).zip(&components[from - window.first..]) {
                        let index = dim - dims.start;
                        tails[start + index / CODEWORDS].0[index % CODEWORDS] = *component;
                    }
                }
            }
        }
        Arranged::Trellis { heads: Arranged::heads(layout, values), tails, stretches, sixteens }
    }

    /// `[dim][16]`: what each codeword adds to its symbol's own dims.
    fn heads(layout: &StageLayout, values: &[f32]) -> Vec<Lanes> {
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

/// Codewords in the layout of decoding; the fields are those of [`Codewords`].
#[derive(Clone)]
struct Strips {
    strips: Vec<Strip>,
    lanes: Vec<Lanes>,
}

impl Strips {
    fn new(layout: &StageLayout, values: &[f32]) -> Strips {
        let (mut strips, mut lanes) = (Vec::new(), Vec::new());
        for start in (0..layout.dim()).step_by(CODEWORDS) {
            let end = start + CODEWORDS;
            let first = layout.windows.partition_point(|window| window.first + window.width <= start);
            let behind = layout.windows.partition_point(|window| window.first < end);
            strips.push(Strip { first, end: behind, offset: lanes.len() });
            for window in &layout.windows[first..behind] {
                lanes.extend(layout.codewords(values, window).map(|components| {
                    let component = |dim: usize| dim.checked_sub(window.first).and_then(|index| components.get(index));
                    Lanes(std::array::from_fn(|lane| component(start + lane).copied().unwrap_or(0.0)))
                }));
            }
        }
        Strips { strips, lanes }
    }
}

impl Stage {
    /// A stage with these codewords, `values: [components]`.
    pub(super) fn new(layout: StageLayout, values: Vec<f32>, effort: SearchEffort) -> Stage {
        let (arranged, strips, columns) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let (look_ahead_paths, weights) = (LOOK_AHEAD_PATHS, Vec::new());
        Stage { layout, values, effort, look_ahead_paths, weights, arranged, strips, columns }
    }

    /// A stage that is searched with look-ahead, with these `weights` and so many `paths`, a multiple of 16.
    pub(in crate::codec) fn looking_ahead(
        layout: StageLayout,
        values: Vec<f32>,
        weights: Vec<f32>,
        paths: usize,
    ) -> Stage {
        let effort = SearchEffort { survivors: SURVIVORS_MAX, slack: 0.0 };
        Stage { look_ahead_paths: paths, weights, ..Stage::new(layout, values, effort) }
    }

    /// Replaces the codewords.
    pub(super) fn set_values(&mut self, values: Vec<f32>) {
        let look_ahead_paths = self.look_ahead_paths;
        *self = Stage { look_ahead_paths, ..Stage::new(self.layout.clone(), values, self.effort) };
    }

    /// Changes the effort of the search.
    pub(super) fn set_effort(&mut self, effort: SearchEffort) {
        (self.effort, self.arranged) = (effort, OnceLock::new());
    }

    /// The stage, with fewer paths when it is searched with look-ahead, for training.
    pub(super) fn with_few_paths(self) -> Stage {
        Stage { look_ahead_paths: TRAINING_PATHS, arranged: OnceLock::new(), ..self }
    }

    pub(super) fn symbols(&self) -> usize {
        self.layout.symbols()
    }

    /// Codewords transposed: `[width][16]` for each symbol.
    pub(super) fn columns(&self) -> &[Lanes] {
        self.columns.get_or_init(|| {
            let symbols = self.layout.windows.iter().map(|window| (window, &self.values[window.offset..]));
            let column = |values: &[f32], width: usize, component: usize| {
                Lanes(std::array::from_fn(|codeword| values[codeword * width + component]))
            };
            symbols
                .flat_map(|(window, values)| {
                    (0..window.width).map(move |component| column(values, window.width, component))
                })
                .collect()
        })
    }

    fn overlapping<'a>(&'a self, weights: &'a [f32]) -> Overlapping<'a> {
        let StageLayout { boundaries, windows, .. } = &self.layout;
        Overlapping { boundaries, windows, codewords: &self.values, weights }
    }

    /// Searches the symbols for `row: [dim]`.
    pub(super) fn search(&self, row: &[f32], buffers: &mut SearchBuffers, symbols: &mut [u8]) {
        let SearchBuffers { paths, beam, step_beam } = buffers;
        let boundaries = &self.layout.boundaries;
        match self.arranged.get_or_init(|| Arranged::new(self)) {
            Arranged::Chain { heads, tails, crosses } => {
                kernels().best_chain(&Chain { boundaries, heads, tails, crosses }, row, paths, symbols);
            }
            Arranged::Trellis { heads, tails, stretches, sixteens } => {
                let SearchEffort { survivors, slack } = self.effort;
                let trellis = Trellis { boundaries, heads, stretches, tails, sixteens: *sixteens, survivors, slack };
                kernels().best_symbols(&trellis, row, paths, symbols);
            }
            Arranged::LookAhead(search) => kernels().look_ahead(search, row, beam, symbols),
            Arranged::Steps { search, exact } => {
                if !kernels().step_search(search, row, step_beam, symbols) {
                    let new = || Box::new(LookAhead::new(&self.overlapping(&self.weights), self.look_ahead_paths));
                    kernels().look_ahead(exact.get_or_init(new), row, beam, symbols);
                }
            }
        }
    }

    /// Adds the codewords of `symbols: [n][symbols]` to `rows: [n][dim]`.
    pub(super) fn add(&self, symbols: &[u8], rows: &mut [f32]) {
        let Strips { strips, lanes } = self.strips.get_or_init(|| Strips::new(&self.layout, &self.values));
        kernels().add_codewords(&Codewords { symbols: self.symbols(), strips, lanes }, symbols, rows);
    }

    /// Searches the symbols for `rows: [n][dim]`: `[n][symbols]`, the same for any number of threads.
    pub(super) fn search_all(&self, rows: &[f32], threads: usize) -> Vec<u8> {
        let (dim, symbols) = (self.layout.dim(), self.symbols());
        let mut found = vec![0; rows.len() / dim * symbols];
        let jobs = rows.chunks(ROWS_PER_JOB * dim).zip(found.chunks_mut(ROWS_PER_JOB * symbols));
        in_parallel(threads, jobs, |(rows, found)| {
            let mut buffers = SearchBuffers::default();
            for (row, found) in rows.chunks_exact(dim).zip(found.chunks_exact_mut(symbols)) {
                self.search(row, &mut buffers, found);
            }
        });
        found
    }

    /// Subtracts the codewords of `symbols: [n][symbols]` from `rows: [n][dim]`.
    pub(super) fn subtract(&self, symbols: &[u8], rows: &mut [f32]) {
        let mut decoded = vec![0.0; rows.len()];
        self.add(symbols, &mut decoded);
        rows.iter_mut().zip(&decoded).for_each(|(value, part)| *value -= part);
    }
}

#[cfg(test)]
mod tests {
    use super::{CODEWORDS, SURVIVORS_MAX, SearchBuffers, SearchEffort, Stage, StageLayout};
    use crate::codec::random::Random;

    #[test]
    fn with_windows_of_two_the_search_is_exact() {
        let mut random = Random::new(1, 2);
        let layout = StageLayout::new(vec![0, 2, 4, 7], 2);
        let values = (0..layout.components()).map(|_| random.normal()).collect();
        let stage = Stage::new(layout, values, SearchEffort { survivors: 1, slack: 1e9 });
        let error = |symbols: &[u8], row: &[f32]| {
            let mut image = vec![0.0; 7];
            stage.add(symbols, &mut image);
            image.iter().zip(row).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
        };
        for _ in 0..200 {
            let row: Vec<f32> = (0..7).map(|_| 2.0 * random.normal()).collect();
            let mut found = [0; 3];
            stage.search(&row, &mut SearchBuffers::default(), &mut found);
            let all = (0..4096u32).map(|code| [code & 15, code >> 4 & 15, code >> 8].map(|symbol| symbol as u8));
            let best = all.map(|symbols| error(&symbols, &row)).fold(f32::MAX, f32::min);
            assert!(error(&found, &row) <= best * 1.001, "{found:?}: {} {best}", error(&found, &row));
        }
    }

    /// A stage of 12 symbols of two dims, random codewords in windows of `window` runs.
    fn random_stage(window: usize, survivors: usize, random: &mut Random) -> Stage {
        let layout = StageLayout::new((0..=12).map(|symbol| 2 * symbol).collect(), window);
        let values = (0..layout.components()).map(|_| random.normal()).collect();
        Stage::new(layout, values, SearchEffort { survivors, slack: 30.0 })
    }

    #[test]
    fn weights_grow_to_one_as_fewer_symbols_are_to_come() {
        let stage = random_stage(5, SURVIVORS_MAX, &mut Random::new(2, 2));
        let weights = stage.effort.weights(&stage.layout, &stage.values);
        for dim in 0..stage.layout.dim() {
            let windows =
                stage.layout.windows.iter().filter(|window| (window.first..window.first + window.width).contains(&dim));
            let of_dim: Vec<f32> =
                windows.map(|window| weights[window.offset / CODEWORDS + dim - window.first]).collect();
            assert!(of_dim.is_sorted_by(|a, b| 0.0 < *a && a < b), "{of_dim:?}");
            assert_eq!(of_dim.last(), Some(&1.0));
        }
    }

    #[test]
    fn look_ahead_finds_nearer_sums() {
        let rows: Vec<f32> = (0..100 * 24).scan(Random::new(3, 3), |random, _| Some(2.0 * random.normal())).collect();
        let error = |survivors: usize| {
            let (stage, mut residual) = (random_stage(5, survivors, &mut Random::new(2, 2)), rows.clone());
            stage.subtract(&stage.search_all(&rows, 2), &mut residual);
            residual.iter().map(|value| value * value).sum::<f32>()
        };
        assert!(error(SURVIVORS_MAX) < 0.95 * error(3), "{} {}", error(SURVIVORS_MAX), error(3));
    }
}
