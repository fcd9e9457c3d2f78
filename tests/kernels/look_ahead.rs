//! The search for symbols with look-ahead.

use crate::random::Random;
use crate::{Results, noise, portable};
use omen::kernels::{Beam, Kernels, LookAhead, Overlapping, StepBeam, StepSearch, Window};

/// Random codewords and weights.
struct Code {
    boundaries: Vec<usize>,
    windows: Vec<Window>,
    codewords: Vec<f32>,
    weights: Vec<f32>,
}

impl Code {
    /// Symbol j has `own[j % own.len()]` own dims, and its window reaches `window` dims from the first of them.
    fn new(symbols: usize, own: &[usize], window: usize) -> Code {
        let ends = (0..symbols).scan(0, |end, symbol| {
            *end += own[symbol % own.len()];
            Some(*end)
        });
        let boundaries: Vec<usize> = [0].into_iter().chain(ends).collect();
        let (dim, mut offset) = (boundaries[symbols], 0);
        let windows: Vec<Window> = (0..symbols)
            .map(|symbol| {
                let first = boundaries[symbol];
                // Every third window is shorter, and ends before the one of the symbol before it.
                let end = (first + window - symbol % 3).max(boundaries[symbol + 1]).min(dim);
                let window = Window { first, width: end - first, offset };
                offset += 16 * window.width;
                window
            })
            .collect();
        let weights = noise(offset / 16, 5).into_iter().map(|value| 0.1 + 0.9 * value.abs().fract()).collect();
        Code { boundaries, windows, codewords: noise(offset, 6), weights }
    }

    fn search(&self, paths: usize) -> LookAhead {
        let Code { boundaries, windows, codewords, weights } = self;
        LookAhead::new(&Overlapping { boundaries, windows, codewords, weights }, paths)
    }

    fn step_search(&self, paths: usize) -> Option<StepSearch> {
        let Code { boundaries, windows, codewords, weights } = self;
        StepSearch::new(&Overlapping { boundaries, windows, codewords, weights }, paths)
    }

    fn dim(&self) -> usize {
        self.boundaries[self.boundaries.len() - 1]
    }

    /// The residual of `row` coded as `symbols`.
    fn residual(&self, row: &[f32], symbols: &[u8]) -> Vec<f32> {
        let mut residual = row.to_vec();
        for (window, symbol) in self.windows.iter().zip(symbols) {
            let codeword = &self.codewords[window.offset + usize::from(*symbol) * window.width..][..window.width];
            residual[window.first..].iter_mut().zip(codeword).for_each(|(value, part)| *value -= part);
        }
        residual
    }

    /// The weighted error of `row` whose first symbols are `symbols`: a dim has the weight of the last of them that
    /// covers it, or 1 if no later symbol does.
    fn cost(&self, row: &[f32], symbols: &[u8]) -> f32 {
        let mut weights = vec![0.0; self.dim()];
        for (symbol, window) in self.windows.iter().enumerate().take(symbols.len()) {
            let of_window = &self.weights[window.offset / 16..][..window.width];
            weights[window.first..].iter_mut().zip(of_window).for_each(|(to, weight)| *to = *weight);
            weights[..self.boundaries[symbol + 1]].fill(1.0);
        }
        self.residual(row, symbols).iter().zip(weights).map(|(value, weight)| weight * value * value).sum()
    }

    /// The symbols that a plain search finds which keeps the `paths` cheapest.
    fn plain(&self, row: &[f32], paths: usize) -> Vec<u8> {
        let mut found = vec![vec![]];
        for _ in &self.windows {
            let extended =
                found.iter().flat_map(|path| (0..16).map(move |symbol| [path.as_slice(), &[symbol]].concat()));
            found = extended.collect();
            found.sort_by(|a, b| self.cost(row, a).total_cmp(&self.cost(row, b)));
            found.truncate(paths);
        }
        found.swap_remove(0)
    }
}

pub fn look_ahead(kernels: &Kernels) -> Results {
    let mut results = Vec::new();
    let codes: [(usize, &[usize], usize); 6] =
        [(1, &[3], 3), (40, &[1], 5), (11, &[2], 12), (37, &[2, 0, 1, 3], 21), (9, &[20], 90), (70, &[1], 66)];
    for (symbols, own, window) in codes {
        let code = Code::new(symbols, own, window);
        let rows = noise(symbols % 4 + 6 * code.dim(), 10);
        for paths in [16, 32, 48, 64, 128] {
            let (search, mut beam, mut found) = (code.search(paths), Beam::default(), vec![99; 6 * symbols]);
            for (row, found) in rows[symbols % 4..].chunks_exact(code.dim()).zip(found.chunks_exact_mut(symbols)) {
                kernels.look_ahead(&search, row, &mut beam, found);
            }
            assert!(found.iter().all(|symbol| *symbol < 16));
            results.push((format!("{symbols} symbols, {paths} paths"), found.into_iter().map(u32::from).collect()));
        }
    }
    results
}

/// `count` floats of -1..1.
fn even(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.signed()).collect()
}

#[test]
fn look_ahead_is_as_good_as_a_plain_search() {
    for own in [&[2][..], &[1, 0, 3]] {
        let mut code = Code::new(14, own, 9);
        code.codewords = even(code.codewords.len(), 14);
        let (search, mut beam) = (code.search(32), Beam::default());
        let (mut error, mut expected) = (0.0, 0.0);
        for row in even(40 * code.dim(), 11).chunks_exact(code.dim()) {
            let mut found = [0; 14];
            portable().look_ahead(&search, row, &mut beam, &mut found);
            error += code.cost(row, &found);
            expected += code.cost(row, &code.plain(row, 32));
        }
        assert!(error <= 1.02 * expected, "{error} {expected}");
    }
}

#[test]
fn of_two_symbols_look_ahead_finds_the_best() {
    let code = Code::new(2, &[3, 5], 8);
    let (search, mut beam) = (code.search(128), Beam::default());
    for row in noise(50 * code.dim(), 12).chunks_exact(code.dim()) {
        let mut found = [0; 2];
        portable().look_ahead(&search, row, &mut beam, &mut found);
        let best = (0..=255u8).map(|both| code.cost(row, &[both & 15, both >> 4])).fold(f32::MAX, f32::min);
        assert!(code.cost(row, &found) <= best * 1.0001, "{found:?}: {} {best}", code.cost(row, &found));
    }
}

#[test]
fn equal_codewords_are_all_as_good() {
    let mut code = Code::new(20, &[2], 7);
    code.codewords.fill(0.0);
    let mut found = [99; 20];
    portable().look_ahead(&code.search(16), &noise(code.dim(), 13), &mut Beam::default(), &mut found);
    assert!(found.iter().all(|symbol| *symbol < 16));
}

/// Symbols of a search in steps; 99 if it gave up.
pub fn step_search(kernels: &Kernels) -> Results {
    let mut results = Results::new();
    let codes: [(usize, &[usize], usize); 6] =
        [(1, &[3], 3), (40, &[1], 5), (11, &[2], 12), (37, &[2, 0, 1, 3], 17), (9, &[20], 90), (70, &[6], 66)];
    for (symbols, own, window) in codes {
        let mut code = Code::new(symbols, own, window);
        code.codewords = even(code.codewords.len(), 14);
        let rows = even(12 * code.dim(), 10);
        for paths in [16, 32, 48, 64, 128] {
            let search = code.step_search(paths).unwrap();
            let mut beam = StepBeam::default();
            // Each row is farther away than the one before, until costs no longer fit.
            for (number, row) in rows.chunks_exact(code.dim()).enumerate() {
                let row: Vec<f32> = row.iter().map(|value| value * 2.0f32.powi(number as i32 - 2)).collect();
                let mut found = vec![99; symbols];
                let fits = kernels.step_search(&search, &row, &mut beam, &mut found);
                assert!(!fits || found.iter().all(|symbol| *symbol < 16));
                let found = found.into_iter().map(|symbol| if fits { u32::from(symbol) } else { 99 });
                results.push((format!("{symbols} symbols, {paths} paths, row {number}"), found.collect()));
            }
        }
    }
    let fitting = results.iter().filter(|(_, symbols)| symbols[0] < 16).count();
    assert!((results.len() / 4..results.len()).contains(&fitting), "{fitting} of {}", results.len());
    results
}

#[test]
fn a_search_in_steps_is_as_good_as_a_plain_search() {
    for own in [&[2][..], &[1, 0, 3]] {
        let mut code = Code::new(14, own, 9);
        code.codewords = even(code.codewords.len(), 14);
        let (search, mut beam) = (code.step_search(32).unwrap(), StepBeam::default());
        let (mut error, mut expected) = (0.0, 0.0);
        for row in even(40 * code.dim(), 11).chunks_exact(code.dim()) {
            let mut found = [0; 14];
            assert!(portable().step_search(&search, row, &mut beam, &mut found));
            error += code.cost(row, &found);
            expected += code.cost(row, &code.plain(row, 32));
        }
        assert!(error <= 1.02 * expected, "{error} {expected}");
    }
}

#[test]
fn a_search_in_steps_says_when_it_cannot_be_trusted() {
    let mut code = Code::new(30, &[2], 9);
    code.codewords = even(code.codewords.len(), 14);
    let (search, mut beam, mut found) = (code.step_search(16).unwrap(), StepBeam::default(), [99; 30]);
    let mut row = even(code.dim(), 15);
    assert!(portable().step_search(&search, &row, &mut beam, &mut found));
    // A value that nothing can code, in the last of the dims.
    for far in [1e3, 1e15, f32::INFINITY] {
        row[59] = far;
        assert!(!portable().step_search(&search, &row, &mut beam, &mut found), "{far}");
    }
    assert!(Code::new(40, &[1], 18).step_search(16).is_none(), "more symbols overlap than a path remembers");
}
