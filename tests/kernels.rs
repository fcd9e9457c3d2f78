//! Every level of the kernels equals the portable one to the bit, and the portable one equals plain arithmetic.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use omen::kernels::{
    self, BitFields, CODE_PADDING, Chain, Codewords, Dequantizer, GROUP_DIMS, Hit, Kernels, Lanes, Level, Paths,
    PiecewiseLinear, SLOPE_MAX, Scan, Sides, Stretch, Strip, Trellis, Window,
};
use omen::metric::Metric;

const LENGTHS: std::ops::RangeInclusive<usize> = 0..=67;
const MISALIGNMENTS: std::ops::Range<usize> = 0..16;

/// What a kernel returns for many inputs: a description of the input, and the bits of the output.
type Results = Vec<(String, Vec<u32>)>;

/// A kernel by name, and a function that runs it on inputs of odd lengths and alignments.
type Run = (&'static str, fn(&Kernels) -> Results);

/// Every kernel of the table in `src/kernels/dispatch.rs`.
const RESULTS: [Run; 14] = [
    ("first_not_finite", first_not_finite),
    ("l2sq", |kernels| results_of_pairs(|a, b| vec![kernels.l2sq(a, b)])),
    ("dot", |kernels| results_of_pairs(|a, b| vec![kernels.dot(a, b)])),
    ("dot_and_norm", |kernels| results_of_pairs(|a, b| <[f32; 2]>::from(kernels.dot_and_norm(a, b)).to_vec())),
    ("nearest_in_columns", nearest_in_columns),
    ("best_symbols", best_symbols),
    ("best_chain", best_chain),
    ("add_codewords", add_codewords),
    ("add_to_codewords", add_to_codewords),
    ("matmul", |kernels| results_of_products(kernels, matmul)),
    ("matmul_i8", |kernels| results_of_products(kernels, matmul_i8)),
    ("scan", scan),
    ("inner_products", inner_products),
    ("dequantize", dequantize),
];

#[test]
fn every_kernel_is_compared() {
    assert_eq!(RESULTS.map(|(name, _)| name), Kernels::NAMES);
}

#[test]
fn every_level_equals_portable_to_the_bit() {
    for (name, run) in RESULTS {
        let expected = run(portable());
        let mut values = expected.iter().flat_map(|(_, bits)| bits);
        let first = values.next().unwrap();
        assert!(values.any(|value| value != first), "{name}: all results are the same");
        for kernels in levels() {
            let found = run(kernels);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{name}, {:?}", kernels.level());
            }
        }
    }
}

/// The levels of this CPU. Prints a level it lacks, and fails if `OMEN_REQUIRE_ISA` is set.
fn levels() -> Vec<&'static Kernels> {
    for level in Level::ALL.iter().filter(|level| !level.is_supported()) {
        println!("SKIP {level:?}: this CPU does not have it");
        assert!(std::env::var_os("OMEN_REQUIRE_ISA").is_none(), "{level:?} is required and missing");
    }
    Level::all_supported().into_iter().map(|level| level.kernels().unwrap()).collect()
}

fn portable() -> &'static Kernels {
    Level::Portable.kernels().unwrap()
}

/// `count` floats of mixed magnitude and sign.
fn noise(count: usize, mut state: u64) -> Vec<f32> {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..count).map(|_| next() * 10.0f32.powi((next() * 6.0) as i32)).collect()
}
#[test]
fn dispatch_takes_the_widest_level() {
    assert_eq!(kernels::kernels().level(), *Level::all_supported().last().unwrap());
    assert!(Level::Portable.is_supported());
    for level in Level::ALL.iter().copied() {
        assert_eq!(level.kernels().map(Kernels::level), level.is_supported().then_some(level));
    }
}

#[test]
fn metrics_have_the_numbers_of_the_abi() {
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        assert_eq!(Metric::from_i32(metric as i32), Some(metric));
    }
    for number in [-1, 3, i32::MIN, i32::MAX] {
        assert_eq!(Metric::from_i32(number), None);
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn lanes_of(values: &[f32]) -> Vec<Lanes> {
    values.as_chunks().0.iter().copied().map(Lanes).collect()
}

/// The results of `kernel` on two vectors of every length and misalignment.
fn results_of_pairs(kernel: impl Fn(&[f32], &[f32]) -> Vec<f32>) -> Results {
    let (a, b) = (noise(100, 1), noise(100, 2));
    let run = |length: usize, start: usize| {
        let (a, b) = (&a[start..][..length], &b[(start * 7) % 16..][..length]);
        (format!("length {length}, misalignment {start}"), bits(&kernel(a, b)))
    };
    LENGTHS
        .flat_map(|length| MISALIGNMENTS.map(move |start| (length, start)))
        .map(|(length, start)| run(length, start))
        .collect()
}

#[test]
fn distances_equal_portable_to_the_bit() {
    for kernels in levels() {
        for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
            let run =
                |kernels: &Kernels| results_of_pairs(|a, b| vec![kernels.distance(metric, a, portable().dot(a, a), b)]);
            assert_eq!(run(kernels), run(portable()), "{metric:?}, {:?}", kernels.level());
        }
    }
}

#[test]
fn distances_are_close_to_f64() {
    for length in LENGTHS {
        let (a, b) = (noise(length, 3), noise(length, 4));
        let wide = |term: fn(f64, f64) -> f64| -> f64 {
            a.iter().zip(&b).map(|(a, b)| term(f64::from(*a), f64::from(*b))).sum()
        };
        let l2sq = wide(|a, b| (a - b) * (a - b));
        let (dot, size) = (wide(|a, b| a * b), wide(|a, b| (a * b).abs()));
        assert!((f64::from(kernels::l2sq(&a, &b)) - l2sq).abs() <= 1e-5 * l2sq);
        assert!((f64::from(kernels::dot(&a, &b)) - dot).abs() <= 1e-5 * size);
        let cosine = dot / (wide(|a, _| a * a).sqrt() * wide(|_, b| b * b).sqrt());
        let found = kernels::distance(Metric::Cosine, &a, kernels::dot(&a, &a), &b);
        let expected = if length == 0 { 1.0 } else { 1.0 - cosine };
        assert!((f64::from(found) - expected).abs() <= 1e-5, "length {length}: {found} {expected}");
    }
}

#[test]
fn distances_of_zero_tiny_and_giant_vectors_are_not_nan() {
    let vectors: Vec<Vec<f32>> = [0.0, 1e-42, 1e-30, 1.0, 1e18, 1e30, f32::MAX]
        .iter()
        .flat_map(|size| [vec![*size; 40], (0..40).map(|i| if i % 2 == 0 { *size } else { -size }).collect()])
        .collect();
    for query in &vectors {
        for row in &vectors {
            let norm = kernels::dot(query, query);
            for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
                let found = kernels::distance(metric, query, norm, row);
                assert!(!found.is_nan(), "{metric:?} of {} and {}", query[0], row[0]);
            }
            let cosine = kernels::distance(Metric::Cosine, query, norm, row);
            let expected =
                if query[0] == 0.0 || row[0] == 0.0 || (query[1] > 0.0) != (row[1] > 0.0) { 1.0 } else { 0.0 };
            assert!((cosine - expected).abs() < 1e-5, "{cosine} of {} and {}", query[0], row[0]);
        }
    }
    assert_eq!(kernels::distance(Metric::InnerProduct, &[2.0, 3.0], 13.0, &[5.0, 7.0]), -31.0);
    assert_eq!(kernels::distance(Metric::L2, &[2.0, 3.0], 13.0, &[5.0, 7.0]), 25.0);
}

/// `values[start..]` of finite values, with a NaN at `position` if there is one.
fn first_not_finite(kernels: &Kernels) -> Results {
    let mut results = Vec::new();
    for (length, start) in LENGTHS.chain([511, 512, 513, 1300]).flat_map(|length| [(length, 0), (length, 5)]) {
        for position in [0, 1, length / 2, length.saturating_sub(1), length] {
            let mut values = noise(start + length + 2, 3);
            values[start + position] = f32::NAN;
            let found = kernels.first_not_finite(&values[start..start + length]);
            let found = found.map_or(u32::MAX, |position| position as u32);
            results.push((format!("length {length}, misalignment {start}, NaN at {position}"), vec![found, 0]));
        }
    }
    results
}

#[test]
fn trap_10_the_first_nan_or_infinity_is_found_wherever_it_is() {
    let good = [0.0, -0.0, 1.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45];
    for kernels in levels() {
        for length in LENGTHS.chain([511, 512, 513, 1300]) {
            for start in [0, 1, 5, 15] {
                let mut values: Vec<f32> = (0..start + length).map(|i| good[i % good.len()]).collect();
                assert_eq!(kernels.first_not_finite(&values[start..]), None);
                for position in 0..length {
                    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xff80_0001)] {
                        let was = std::mem::replace(&mut values[start + position], bad);
                        let last = std::mem::replace(&mut values[start + length - 1], bad);
                        assert_eq!(kernels.first_not_finite(&values[start..]), Some(position));
                        values[start + length - 1] = last;
                        values[start + position] = was;
                    }
                }
            }
        }
    }
}

#[test]
fn floats_are_little_endian_at_any_address() {
    let values = noise(67, 5);
    let bytes: Vec<u8> = [0u8; 3].into_iter().chain(values.iter().flat_map(|value| value.to_le_bytes())).collect();
    for count in LENGTHS {
        let mut out = vec![f32::NAN; count];
        kernels::floats(&bytes[3..3 + 4 * count], &mut out);
        assert_eq!(out, values[..count]);
    }
}

/// Points and codewords of `subdim` components, and what `kernels` finds.
fn nearest_of(kernels: &Kernels, columns: &[f32], codewords: &[f32], n: usize) -> (Vec<u8>, Vec<f32>) {
    let (mut symbols, mut distances) = (vec![0xff; n], vec![f32::NAN; n]);
    kernels.nearest_in_columns(columns, codewords, &mut symbols, &mut distances);
    (symbols, distances)
}

const SUBDIMS: [usize; 8] = [1, 2, 3, 5, 17, 64, 65, 130];

fn nearest_in_columns(kernels: &Kernels) -> Results {
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

fn best_symbols(kernels: &Kernels) -> Results {
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

fn best_chain(kernels: &Kernels) -> Results {
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

/// The codewords of windows that begin and end in ascending order, cut into strips that cover `dim`.
fn strips_of(windows: &[Window], values: &[f32], dim: usize) -> (Vec<Strip>, Vec<Lanes>) {
    let (mut strips, mut lanes) = (Vec::new(), Vec::new());
    for start in (0..dim).step_by(16) {
        let first = windows.iter().filter(|window| window.first + window.width <= start).count();
        strips.push(Strip { first, end: windows.len(), offset: lanes.len() });
        for (window, codeword) in
            windows[first..].iter().flat_map(|window| (0..16).map(move |codeword| (window, codeword)))
        {
            let reached = |dim: &usize| (window.first..window.first + window.width).contains(dim);
            let value = |dim: usize| values[window.offset + codeword * window.width + dim - window.first];
            lanes.push(Lanes(std::array::from_fn(|lane| Some(start + lane).filter(reached).map_or(0.0, value))));
        }
    }
    (strips, lanes)
}

/// Overlapping windows of 7 symbols, codewords for them, and a row.
struct Overlap {
    windows: Vec<Window>,
    values: Vec<f32>,
    row: Vec<f32>,
}

impl Overlap {
    const DIM: usize = 77;
    const SYMBOLS: [u8; 7] = [3, 15, 0, 9, 1, 7, 12];

    fn new() -> Overlap {
        let mut offset = 0;
        let window = |(first, width): (usize, usize)| {
            offset += 16 * width;
            Window { first, width, offset: offset - 16 * width }
        };
        let windows = [1, 2, 15, 16, 17, 33, 64].into_iter().enumerate().map(window).collect();
        Overlap { windows, values: noise(offset, 11), row: noise(Overlap::DIM, 12) }
    }

    /// Other symbols for each of the `rows`.
    fn symbols(rows: u8) -> Vec<u8> {
        (0..rows).flat_map(|row| Overlap::SYMBOLS.map(|symbol| symbol ^ row)).collect()
    }

    /// `rows` times the row plus codewords, at `start` floats from the beginning of the buffer.
    fn decode(&self, kernels: &Kernels, rows: u8, start: usize) -> Vec<f32> {
        let (strips, lanes) = strips_of(&self.windows, &self.values, Overlap::DIM);
        let codewords = Codewords { symbols: self.windows.len(), strips: &strips, lanes: &lanes };
        let mut sums = [vec![0.0; start], self.row.repeat(rows.into())].concat();
        kernels.add_codewords(&codewords, &Overlap::symbols(rows), &mut sums[start..]);
        sums.split_off(start)
    }
}

fn add_codewords(kernels: &Kernels) -> Results {
    let overlap = Overlap::new();
    let cases = [0, 1, 3, 4, 5, 11].into_iter().flat_map(|rows| [0, 1, 7].map(|start| (rows, start)));
    cases.map(|(rows, start)| (format!("{rows} rows"), bits(&overlap.decode(kernels, rows, start)))).collect()
}

fn add_to_codewords(kernels: &Kernels) -> Results {
    let overlap = Overlap::new();
    let run = |start: usize| {
        let padding = vec![0.0; start];
        let (row, mut sums) = ([&*padding, &overlap.row].concat(), [&*padding, &overlap.values].concat());
        kernels.add_to_codewords(&overlap.windows, &Overlap::SYMBOLS, &row[start..], &mut sums[start..]);
        (format!("misalignment {start}"), bits(&sums))
    };
    MISALIGNMENTS.map(run).collect()
}

#[test]
fn sums_of_codewords_equal_plain_sums() {
    let Overlap { windows, values, row } = &Overlap::new();
    let (mut decoded, mut sums) = (row.repeat(11), values.clone());
    for (number, row) in decoded.chunks_exact_mut(Overlap::DIM).enumerate() {
        for (window, symbol) in windows.iter().zip(Overlap::SYMBOLS.map(|symbol| usize::from(symbol ^ number as u8))) {
            let codeword = &values[window.offset + symbol * window.width..][..window.width];
            row[window.first..].iter_mut().zip(codeword).for_each(|(value, part)| *value += part);
        }
    }
    assert_eq!(bits(&Overlap::new().decode(portable(), 11, 0)), bits(&decoded));
    for (window, symbol) in windows.iter().zip(Overlap::SYMBOLS) {
        let codeword = &mut sums[window.offset + usize::from(symbol) * window.width..][..window.width];
        codeword.iter_mut().zip(&row[window.first..]).for_each(|(sum, value)| *sum += value);
    }
    let (_, found) = add_to_codewords(portable()).swap_remove(0);
    assert_eq!(found, bits(&sums));
}

/// Rows, depth and width of matrix products.
const PRODUCTS: [(usize, usize, usize); 8] =
    [(0, 3, 5), (1, 1, 1), (1, 9, 203), (3, 2, 3), (4, 7, 32), (5, 7, 31), (8, 3, 33), (9, 40, 130)];

type Product = fn(&Kernels, &[f32], &[f32], usize, &mut [f32]);

fn matmul(kernels: &Kernels, left: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
    kernels.matmul(left, matrix, width, out);
}

fn matmul_i8(kernels: &Kernels, left: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
    kernels.matmul_i8(left, &integers(matrix), width, out);
}

fn integers(matrix: &[f32]) -> Vec<i8> {
    matrix.iter().map(|value| (value * 40.0) as i8).collect()
}

fn results_of_products(kernels: &Kernels, product: Product) -> Results {
    let run = |(rows, depth, width): (usize, usize, usize)| {
        let start = depth % 4;
        let (left, matrix) = (noise(start + rows * depth, 13), noise(start + depth * width, 14));
        let mut out = vec![f32::NAN; 1 + rows * width];
        product(kernels, &left[start..], &matrix[start..], width, &mut out[1..]);
        (format!("{rows} rows of {depth}, {width} wide"), bits(&out[1..]))
    };
    PRODUCTS.into_iter().map(run).collect()
}

#[test]
fn products_equal_plain_sums() {
    for (rows, depth, width) in PRODUCTS {
        let (left, matrix) = (noise(rows * depth, 13), noise(depth * width, 14));
        let plain = |matrix: &[f32]| -> Vec<u32> {
            let output = |row: usize, column: usize| {
                (0..depth).fold(0.0, |sum, k| sum + left[row * depth + k] * matrix[k * width + column])
            };
            bits(&(0..rows * width).map(|index| output(index / width, index % width)).collect::<Vec<f32>>())
        };
        let run = |product: Product| {
            let mut out = vec![f32::NAN; rows * width];
            product(portable(), &left, &matrix, width, &mut out);
            bits(&out)
        };
        assert_eq!(run(matmul), plain(&matrix), "{rows} rows of {depth}, {width} wide");
        let integers: Vec<f32> = integers(&matrix).into_iter().map(f32::from).collect();
        assert_eq!(run(matmul_i8), plain(&integers), "{rows} rows of {depth}, {width} wide, integers");
    }
}

/// Random blocks, tables and side bytes, and the blocks done and hits of a scan of them.
fn run_scan(kernels: &Kernels, pairs: usize, sides: Sides, start: usize, limit: u16) -> (usize, Vec<Hit>) {
    const BLOCKS: usize = 5;
    let bytes = |count: usize, seed: u64| -> Vec<u8> { noise(count, seed).iter().map(|x| x.to_bits() as u8).collect() };
    let side_bytes = if matches!(sides, Sides::None) { 0 } else { 32 };
    let block_bytes = pairs * 32 + side_bytes;
    // The limits of `Scan::tables`: the sum of a code fits 16 bits, that of two pairs 8 bits.
    let most = |pair: usize| match (pair % 2, pair + 1 == pairs) {
        (0, true) => 255,
        (0, false) => 200,
        _ => 55,
    };
    let most = |pair: usize| (65_535 / (2 * pairs)).min(most(pair)) as u8;
    let entries = bytes(pairs * 32, 5);
    let tables = entries.as_chunks::<32>().0.iter().enumerate();
    let tables: Vec<[u8; 32]> = tables.map(|(pair, table)| table.map(|entry| entry.min(most(pair)))).collect();
    let blocks = bytes(start + BLOCKS * block_bytes, 6);
    let mut hits = Vec::with_capacity(BLOCKS * 32);
    let scan = Scan { tables: &tables, sides, block_bytes };
    (kernels.scan(&scan, &blocks[start..], 100, limit, &mut hits), hits)
}

fn scan(kernels: &Kernels) -> Results {
    let base = std::array::from_fn(|at| at as u16 * 3000);
    let slope = std::array::from_fn(|at| (at as u16 * 271).min(SLOPE_MAX));
    let function = PiecewiseLinear::new(&base, &slope);
    let kinds = [Sides::None, Sides::Add(function), Sides::Scale { from: 9000, factor: function }];
    let mut results = Vec::new();
    for pairs in [0, 1, 2, 3, 31, 32, 87, 300] {
        for sides in kinds.into_iter().filter(|sides| pairs > 0 || !matches!(sides, Sides::None)) {
            for (start, limit) in [(0, u16::MAX), (1, 4000), (7, 30_000), (16, 0), (31, 60_000)] {
                let (blocks, hits) = run_scan(kernels, pairs, sides, start, limit);
                assert_eq!(blocks, 5);
                assert!(hits.iter().all(|hit| hit.score <= limit));
                assert!(limit < u16::MAX || hits.len() == 5 * 32);
                let found = hits.iter().flat_map(|hit| [u32::from(hit.score), hit.row]).collect();
                results.push((format!("{pairs} pairs, {sides:?}, misalignment {start}"), found));
            }
        }
    }
    results
}

#[test]
fn a_scan_stops_where_a_block_might_not_fit() {
    let tables = [[1; 32]; 2];
    let scan = Scan { tables: &tables, sides: Sides::None, block_bytes: 64 };
    for kernels in levels() {
        let mut hits = Vec::with_capacity(70);
        let room = hits.capacity();
        assert_eq!(kernels.scan(&scan, &[0; 64 * 5], 0, 4, &mut hits), room / 32);
        assert_eq!((hits.len(), hits[33]), (room / 32 * 32, Hit { score: 4, row: 33 }));
        assert_eq!(kernels.scan(&scan, &[0; 64 * 5], 0, 3, &mut Vec::with_capacity(32)), 5);
    }
}

/// Two windows over a query, at `start` floats from the beginning of its buffer.
fn inner_products_from(kernels: &Kernels, start: usize) -> [Lanes; 2] {
    let query = [vec![0.0; start], noise(11, 8)].concat();
    let mut products = [Lanes::of(0.0); 2];
    kernels.inner_products(&TWO_WINDOWS, &lanes_of(&noise(12 * 16, 7)), &query[start..], &mut products);
    products
}

const TWO_WINDOWS: [Window; 2] = [Window { first: 1, width: 3, offset: 0 }, Window { first: 2, width: 9, offset: 48 }];

fn inner_products(kernels: &Kernels) -> Results {
    let run = |start| {
        let products = inner_products_from(kernels, start);
        (format!("misalignment {start}"), products.iter().flat_map(|lanes| bits(&lanes.0)).collect())
    };
    MISALIGNMENTS.map(run).collect()
}

#[test]
fn inner_products_are_close_to_f64() {
    let (query, columns) = (noise(11, 8), lanes_of(&noise(12 * 16, 7)));
    for (window, products) in TWO_WINDOWS.iter().zip(inner_products_from(portable(), 0)) {
        for (lane, product) in products.0.into_iter().enumerate() {
            let terms = (0..window.width)
                .map(|dim| f64::from(query[window.first + dim]) * f64::from(columns[window.offset / 16 + dim].0[lane]));
            let expected: f64 = terms.sum();
            assert!((f64::from(product) - expected).abs() < 1e-3 * expected.abs().max(1.0));
        }
    }
}

#[test]
fn floats_in_place_equal_copied_ones() {
    let bytes: Vec<u8> = (0..400u32).map(|at| (at * 37) as u8).collect();
    for start in 0..16 {
        for length in [0, 4, 5, 64, 256] {
            let bytes = &bytes[start..][..length];
            let is_whole = bytes.as_ptr().addr().is_multiple_of(4) && length.is_multiple_of(4);
            match kernels::floats_in_place(bytes) {
                Some(floats) => {
                    let mut copied = vec![0.0; length / 4];
                    kernels::floats(bytes, &mut copied);
                    assert_eq!(bits(floats), bits(&copied));
                    assert!(is_whole || length == 0);
                }
                None => assert!(!is_whole),
            }
        }
    }
}

/// A scalar code of `DIM` dims with different numbers of bits, its decoder, and the values it stands for.
fn scalar_code() -> (Vec<u8>, Vec<Dequantizer>, Vec<f32>) {
    const DIM: usize = 21;
    let mut code: Vec<u8> = noise(64, 21).iter().map(|value| (value * 500.0) as i32 as u8).collect();
    code.extend([0; CODE_PADDING]);
    // Bit by bit, as the format defines it.
    let bits_at = |start: usize, count: usize| {
        (0..count).map(|bit| u32::from(code[(start + bit) / 8] >> ((start + bit) % 8) & 1) << bit).sum::<u32>()
    };
    let (mut groups, mut expected) = (vec![Dequantizer::default(); DIM.div_ceil(GROUP_DIMS)], Vec::new());
    let (mut symbol, mut rest) = (0, DIM * 4);
    for dim in 0..DIM {
        let (low_bits, high_bits) = (dim * 7 % 13, if dim % 5 == 2 { 0 } else { 4 });
        let (group, at) = (&mut groups[dim / GROUP_DIMS], dim % GROUP_DIMS);
        let put = |fields: &mut BitFields, start: usize, count: usize| {
            if at == 0 {
                fields.base = start / 8;
            }
            (fields.offset[at], fields.shift[at]) = ((start / 8 - fields.base) as u32, (start % 8) as u32);
            fields.mask[at] = (1 << count) - 1;
        };
        put(&mut group.low, rest, low_bits);
        put(&mut group.high, symbol, high_bits);
        (group.low_bits[at], group.first[at], group.step[at]) = (low_bits as u32, dim as f32, 0.25);
        let number = bits_at(rest, low_bits) | bits_at(symbol, high_bits) << low_bits;
        expected.push(dim as f32 + 0.25 * number as f32);
        (symbol, rest) = (symbol + high_bits, rest + low_bits);
    }
    (code, groups, expected)
}

fn dequantize(kernels: &Kernels) -> Results {
    let (code, groups, expected) = scalar_code();
    let run = |(count, start): (usize, usize)| {
        let code = [vec![0; start], code.clone()].concat();
        let mut out = vec![f32::NAN; start + count];
        kernels.dequantize(&groups, &code[start..], &mut out[start..]);
        (format!("{count} dims, misalignment {start}"), bits(&out[start..]))
    };
    (0..=expected.len()).flat_map(|count| [0, 1, 3, 7].map(|start| (count, start))).map(run).collect()
}

#[test]
fn dequantized_values_equal_those_read_bit_by_bit() {
    let (code, groups, expected) = scalar_code();
    assert!(expected.iter().any(|value| *value > 1000.0));
    for kernels in levels() {
        let mut out = vec![f32::NAN; expected.len()];
        kernels.dequantize(&groups, &code, &mut out);
        assert_eq!(bits(&out), bits(&expected), "{:?}", kernels.level());
        kernels.dequantize(&groups, &code[..4], &mut out);
        let last = expected.len() - 1;
        assert_eq!(out[last], last as f32, "a code that is too short: {:?}", kernels.level());
    }
}
