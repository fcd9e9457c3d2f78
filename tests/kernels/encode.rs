//! The search for the symbols of a row.

use crate::{LENGTHS, Results, bits, lanes_of, levels, noise, portable};
use omen::kernels::{Chain, Kernels, Lanes, Paths, Stretch, Trellis};

/// Points and codewords of `subdim` components, and what `kernels` finds.
fn nearest_of(kernels: &Kernels, columns: &[f32], codewords: &[f32], n: usize) -> (Vec<u8>, Vec<f32>) {
    let (mut symbols, mut distances) = (vec![0xff; n], vec![f32::NAN; n]);
    kernels.nearest_in_columns(columns, codewords, &mut symbols, &mut distances);
    (symbols, distances)
}

const SUBDIMS: [usize; 8] = [1, 2, 3, 5, 17, 64, 65, 130];

pub fn nearest_in_columns(kernels: &Kernels) -> Results {
    let mut results = Vec::new();
    for (subdim, n) in SUBDIMS.into_iter().flat_map(|subdim| LENGTHS.map(move |n| (subdim, n))) {
        let start = n % 5;
        let (columns, codewords) = (noise(start + subdim * n, 6), noise(start + subdim * 16, 7));
        let (symbols, distances) = nearest_of(kernels, &columns[start..], &codewords[start..], n);
        let found = symbols.into_iter().map(u32::from).chain(bits(&distances)).collect();
        results.push((format!("{n} points of {subdim} components"), found));
    }
    results
}

#[test]
fn nearest_in_columns_equals_a_plain_search() {
    for (subdim, n) in SUBDIMS.into_iter().flat_map(|subdim| LENGTHS.map(move |n| (subdim, n))) {
        let (columns, codewords) = (noise(subdim * n, 6), noise(subdim * 16, 7));
        let (symbols, distances) = nearest_of(portable(), &columns, &codewords, n);
        for row in 0..n {
            let distance = |symbol: usize| -> f32 {
                (0..subdim).fold(0.0, |sum, component| {
                    let difference = columns[component * n + row] - codewords[component * 16 + symbol];
                    sum + difference * difference
                })
            };
            let best = (0..16).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap();
            assert_eq!((usize::from(symbols[row]), distances[row].to_bits()), (best, distance(best).to_bits()));
        }
    }
}

#[test]
fn ties_go_to_the_lower_symbol() {
    let codewords: Vec<f32> = (0..16).map(|symbol| [3.0, 1.0, -1.0, 1.0][symbol % 4]).collect();
    for kernels in levels() {
        let (mut symbols, mut distances) = ([9; 4], [0.0; 4]);
        kernels.nearest_in_columns(&[0.0, 2.0, 3.0, -9.0], &codewords, &mut symbols, &mut distances);
        assert_eq!((symbols, distances), ([1, 0, 0, 2], [1.0, 1.0, 0.0, 64.0]));
    }
}

/// Random codewords: symbols with `own` dims, some with one more, and windows over the own dims of `window` symbols.
struct Code {
    boundaries: Vec<usize>,
    sixteens: usize,
    stretches: Vec<Stretch>,
    heads: Vec<Lanes>,
    tails: Vec<Lanes>,
}

impl Code {
    fn new(symbols: usize, own: usize, window: usize) -> Code {
        let boundaries: Vec<usize> = (0..=symbols).map(|end| end * own + end / 4).collect();
        let sixteens = (own + 1).div_ceil(16).next_power_of_two();
        let mut code = Code {
            heads: lanes_of(&noise(boundaries[symbols] * 16, 8)),
            boundaries,
            sixteens,
            stretches: vec![],
            tails: vec![],
        };
        let mut first = 0;
        while first < symbols {
            let fits = |end: &usize| code.boundaries[*end] - code.boundaries[first] <= 16 * sixteens;
            let end = (first + 1..=symbols).take_while(fits).last().unwrap();
            let reaching = (first + 1).saturating_sub(window);
            let offset = code.tails.len() / (16 * sixteens);
            code.stretches.push(Stretch { reaching, first, end, offset });
            for symbol in reaching..end {
                let mut tails = noise(256 * sixteens, 9 + symbol as u64 + 100 * first as u64);
                for (lane, tail) in tails.iter_mut().enumerate() {
                    let dim = code.boundaries[first] + lane % (16 * sixteens);
                    let reach = code.boundaries[symbol + 1]..code.boundaries[(symbol + window).min(symbols)];
                    *tail = if reach.contains(&dim) { *tail } else { 0.0 };
                }
                code.tails.extend(lanes_of(&tails));
            }
            first = end;
        }
        code
    }

    fn trellis(&self, survivors: usize, slack: f32) -> Trellis<'_> {
        let Code { boundaries, stretches, heads, tails, sixteens } = self;
        Trellis { boundaries, stretches, heads, tails, sixteens: *sixteens, survivors, slack }
    }

    fn dim(&self) -> usize {
        self.boundaries[self.boundaries.len() - 1]
    }

    /// The sum of the codewords of `symbols`.
    fn image(&self, symbols: &[u8]) -> Vec<f32> {
        let mut image = vec![0.0; self.dim()];
        for (symbol, codeword) in symbols.iter().enumerate() {
            let own = self.boundaries[symbol]..self.boundaries[symbol + 1];
            let heads = self.heads[own.clone()].iter().map(|head| head.0[usize::from(*codeword)]);
            image[own].iter_mut().zip(heads).for_each(|(value, part)| *value += part);
            for stretch in self.stretches.iter().filter(|stretch| (stretch.reaching..stretch.end).contains(&symbol)) {
                let number = (stretch.offset + symbol - stretch.reaching) * 16 + usize::from(*codeword);
                let tail = self.tails[number * self.sixteens..][..self.sixteens].iter().flat_map(|lanes| lanes.0);
                let to = &mut image[self.boundaries[stretch.first]..self.boundaries[stretch.end]];
                to.iter_mut().zip(tail).for_each(|(value, part)| *value += part);
            }
        }
        image
    }
}

pub fn best_symbols(kernels: &Kernels) -> Results {
    const SYMBOLS: usize = 11;
    let mut results = Vec::new();
    for (own, window) in [(1, 11), (2, 7), (3, 2), (2, 4), (7, 8), (16, 5), (40, 3), (100, 11)] {
        let code = Code::new(SYMBOLS, own, window);
        let dim = code.dim();
        for (survivors, slack) in [(1, 1e9), (2, 3.0), (3, 4.0), (4, 0.0), (4, 5.0), (8, 1e9)] {
            let trellis = code.trellis(survivors, slack);
            let rows = noise(survivors + 20 * dim, 10);
            let (mut paths, mut found) = (Paths::default(), [0; 20 * SYMBOLS]);
            for (row, found) in rows[survivors..].chunks_exact(dim).zip(found.chunks_exact_mut(SYMBOLS)) {
                kernels.best_symbols(&trellis, row, &mut paths, found);
            }
            assert!(found.iter().all(|symbol| *symbol < 16) && found.iter().any(|symbol| *symbol != found[0]));
            results.push((format!("{own} own dims, {survivors} survivors"), found.map(u32::from).to_vec()));
        }
    }
    results
}

#[test]
fn of_two_symbols_the_best_are_found_in_one_stretch_and_across_two() {
    for (own, stretches) in [(1, 1), (6, 1), (15, 2), (40, 2)] {
        let code = Code::new(2, own, 2);
        assert_eq!(code.stretches.len(), stretches);
        for row in noise(50 * code.dim(), 12).chunks_exact(code.dim()) {
            let error = |symbols: &[u8]| -> f32 {
                code.image(symbols).iter().zip(row).map(|(part, value)| (part - value) * (part - value)).sum()
            };
            let mut found = [0; 2];
            portable().best_symbols(&code.trellis(8, 1e9), row, &mut Paths::default(), &mut found);
            let best = (0..=255u8).map(|code| error(&[code & 15, code >> 4])).fold(f32::MAX, f32::min);
            assert!(error(&found) <= best * 1.0001, "{found:?}: {} {best}", error(&found));
        }
    }
}

pub fn best_chain(kernels: &Kernels) -> Results {
    const SYMBOLS: usize = 11;
    let mut results = Vec::new();
    for own in [1, 2, 3, 17] {
        let boundaries: Vec<usize> = (0..=SYMBOLS).map(|end| end * own + end / 4).collect();
        let dim = boundaries[SYMBOLS];
        let (heads, tails) = (lanes_of(&noise(dim * 16, 8)), lanes_of(&noise(dim * 16, 9)));
        let crosses = lanes_of(&noise(SYMBOLS * 256, 10));
        let chain = Chain { boundaries: &boundaries, heads: &heads, tails: &tails, crosses: &crosses };
        let rows = noise(own + 20 * dim, 11);
        let (mut paths, mut found) = (Paths::default(), [0; 20 * SYMBOLS]);
        for (row, found) in rows[own..].chunks_exact(dim).zip(found.chunks_exact_mut(SYMBOLS)) {
            kernels.best_chain(&chain, row, &mut paths, found);
        }
        assert!(found.iter().all(|symbol| *symbol < 16) && found.iter().any(|symbol| *symbol != found[0]));
        results.push((format!("{own} own dims"), found.map(u32::from).to_vec()));
    }
    results
}
