//! Every level of the kernels equals the scalar one to the bit, and the scalar one equals arithmetic.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use omen::kernels::{
    self, Bits, Chain, Codewords, Hit, Kernels, Lanes, Level, NUMBERS_AT_ONCE, NUMBERS_REACH, Numbers, Paths,
    SLOPE_MAX, Scan, Sides, Steps, Stretch, Strip, Trellis, Window,
};
use omen::metric::Metric;

const LENGTHS: std::ops::RangeInclusive<usize> = 0..=67;
const MISALIGNMENTS: std::ops::Range<usize> = 0..16;

/// The levels of this CPU; a missing one is told, and fails under `OMEN_REQUIRE_ISA`.
fn levels() -> Vec<&'static Kernels> {
    let missing = |level: &Level| !level.is_supported();
    for level in Level::ALL.iter().filter(|level| missing(level)) {
        println!("SKIP {level:?}: this CPU does not have it");
        assert!(std::env::var_os("OMEN_REQUIRE_ISA").is_none(), "{level:?} is required and missing");
    }
    Level::all_supported().into_iter().map(|level| level.kernels().unwrap()).collect()
}

fn scalar() -> &'static Kernels {
    Level::Scalar.kernels().unwrap()
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
    assert!(Level::Scalar.is_supported());
    for level in Level::ALL {
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

#[test]
fn distances_equal_scalar_to_the_bit_at_every_length_and_misalignment() {
    let (a, b) = (noise(100, 1), noise(100, 2));
    for kernels in levels() {
        for length in LENGTHS {
            for start in MISALIGNMENTS {
                let (a, b) = (&a[start..][..length], &b[(start * 7) % 16..][..length]);
                let level = kernels.level();
                let same = |x: f32, y: f32| {
                    assert_eq!(x.to_bits(), y.to_bits(), "{level:?}, length {length}, misalignment {start}");
                };
                same(kernels.l2sq(a, b), scalar().l2sq(a, b));
                same(kernels.dot(a, b), scalar().dot(a, b));
                let norm = scalar().dot(a, a);
                for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
                    same(kernels.distance(metric, a, norm, b), scalar().distance(metric, a, norm, b));
                }
            }
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

#[test]
fn trap_10_the_first_nan_or_infinity_is_found_wherever_it_is() {
    let good = [0.0, -0.0, 1.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45];
    for kernels in levels() {
        for length in LENGTHS.chain([511, 512, 513, 1300]) {
            for start in [0, 1, 5, 15] {
                let mut values: Vec<f32> = (0..start + length).map(|i| good[i % good.len()]).collect();
                assert_eq!(kernels.first_not_finite(&values[start..]), None);
                for place in 0..length {
                    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xff80_0001)] {
                        let was = std::mem::replace(&mut values[start + place], bad);
                        let last = std::mem::replace(&mut values[start + length - 1], bad);
                        assert_eq!(kernels.first_not_finite(&values[start..]), Some(place));
                        values[start + length - 1] = last;
                        values[start + place] = was;
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

#[test]
fn nearest_in_columns_equals_scalar_to_the_bit_and_a_plain_search() {
    for subdim in [1, 2, 3, 5, 17, 64, 65, 130] {
        for n in LENGTHS {
            let (columns, codewords) = (noise(subdim * n, 6), noise(subdim * 16, 7));
            let run = |kernels: &Kernels| {
                let (mut symbols, mut distances) = (vec![0xff; n], vec![f32::NAN; n]);
                kernels.nearest_in_columns(&columns, &codewords, &mut symbols, &mut distances);
                (symbols, distances.iter().map(|distance| distance.to_bits()).collect::<Vec<u32>>())
            };
            let (symbols, distances) = run(scalar());
            for kernels in levels() {
                assert_eq!(run(kernels), (symbols.clone(), distances.clone()), "{:?}", kernels.level());
            }
            for row in 0..n {
                let distance = |symbol: usize| -> f32 {
                    (0..subdim).fold(0.0, |sum, component| {
                        let difference = columns[component * n + row] - codewords[component * 16 + symbol];
                        sum + difference * difference
                    })
                };
                let best = (0..16).min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap();
                assert_eq!((usize::from(symbols[row]), distances[row]), (best, distance(best).to_bits()));
            }
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

/// A code of noise: runs of `own` dims and a few more, and windows of `window` runs.
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
            let place = code.tails.len() / (16 * sixteens);
            code.stretches.push(Stretch { reaching, first, end, place });
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

    fn trellis(&self, lists: usize, slack: f32) -> Trellis<'_> {
        let Code { boundaries, stretches, heads, tails, sixteens } = self;
        Trellis { boundaries, stretches, heads, tails, sixteens: *sixteens, lists, slack }
    }

    fn dim(&self) -> usize {
        self.boundaries[self.boundaries.len() - 1]
    }

    /// What `symbols` add up to.
    fn image(&self, symbols: &[u8]) -> Vec<f32> {
        let mut image = vec![0.0; self.dim()];
        for (symbol, codeword) in symbols.iter().enumerate() {
            let own = self.boundaries[symbol]..self.boundaries[symbol + 1];
            let heads = self.heads[own.clone()].iter().map(|head| head.0[usize::from(*codeword)]);
            image[own].iter_mut().zip(heads).for_each(|(value, part)| *value += part);
            for stretch in self.stretches.iter().filter(|stretch| (stretch.reaching..stretch.end).contains(&symbol)) {
                let number = (stretch.place + symbol - stretch.reaching) * 16 + usize::from(*codeword);
                let tail = self.tails[number * self.sixteens..][..self.sixteens].iter().flat_map(|lanes| lanes.0);
                let to = &mut image[self.boundaries[stretch.first]..self.boundaries[stretch.end]];
                to.iter_mut().zip(tail).for_each(|(value, part)| *value += part);
            }
        }
        image
    }
}

#[test]
fn best_symbols_equal_scalar_to_the_bit() {
    let symbols = 11;
    for (own, window) in [(1, 11), (2, 7), (3, 2), (2, 4), (7, 8), (16, 5), (40, 3), (100, 11)] {
        let code = Code::new(symbols, own, window);
        let dim = code.dim();
        for (lists, slack) in [(1, 1e9), (2, 3.0), (3, 4.0), (4, 0.0), (4, 5.0), (8, 1e9)] {
            let trellis = code.trellis(lists, slack);
            let rows = noise(20 * dim, 10);
            let run = |kernels: &Kernels| {
                let mut paths = Paths::default();
                let mut found = vec![0; 20 * symbols];
                for (row, found) in rows.chunks_exact(dim).zip(found.chunks_exact_mut(symbols)) {
                    kernels.best_symbols(&trellis, row, &mut paths, found);
                }
                found
            };
            let expected = run(scalar());
            assert!(expected.iter().all(|symbol| *symbol < 16) && expected.iter().any(|symbol| *symbol != expected[0]));
            for kernels in levels() {
                assert_eq!(run(kernels), expected, "{:?}, runs of {own}, {lists} lists", kernels.level());
            }
        }
    }
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
            scalar().best_symbols(&code.trellis(8, 1e9), row, &mut Paths::default(), &mut found);
            let best = (0..=255u8).map(|code| error(&[code & 15, code >> 4])).fold(f32::MAX, f32::min);
            assert!(error(&found) <= best * 1.0001, "{found:?}: {} {best}", error(&found));
        }
    }
}

#[test]
fn best_chains_equal_scalar_to_the_bit() {
    for own in [1, 2, 3, 17] {
        let symbols = 11;
        let boundaries: Vec<usize> = (0..=symbols).map(|end| end * own + end / 4).collect();
        let dim = boundaries[symbols];
        let (heads, tails) = (noise(dim * 16, 8), noise(dim * 16, 9));
        let crosses = noise(symbols * 256, 10);
        let (heads, tails, crosses) = (lanes_of(&heads), lanes_of(&tails), lanes_of(&crosses));
        let chain = Chain { boundaries: &boundaries, heads: &heads, tails: &tails, crosses: &crosses };
        let rows = noise(20 * dim, 11);
        let run = |kernels: &Kernels| {
            let mut paths = Paths::default();
            let mut found = vec![0; 20 * symbols];
            for (row, found) in rows.chunks_exact(dim).zip(found.chunks_exact_mut(symbols)) {
                kernels.best_chain(&chain, row, &mut paths, found);
            }
            found
        };
        let expected = run(scalar());
        assert!(expected.iter().all(|symbol| *symbol < 16) && expected.iter().any(|symbol| *symbol != expected[0]));
        for kernels in levels() {
            assert_eq!(run(kernels), expected, "{:?}, runs of {own}", kernels.level());
        }
    }
}

fn lanes_of(values: &[f32]) -> Vec<Lanes> {
    values.as_chunks().0.iter().copied().map(Lanes).collect()
}

/// The codewords of windows that begin and end in ascending order, cut into strips that cover `dim`.
fn strips_of(windows: &[Window], values: &[f32], dim: usize) -> (Vec<Strip>, Vec<Lanes>) {
    let (mut strips, mut lanes) = (Vec::new(), Vec::new());
    for start in (0..dim).step_by(16) {
        let first = windows.iter().filter(|window| window.first + window.width <= start).count();
        strips.push(Strip { first, end: windows.len(), place: lanes.len() });
        for (window, codeword) in
            windows[first..].iter().flat_map(|window| (0..16).map(move |codeword| (window, codeword)))
        {
            let reached = |dim: &usize| (window.first..window.first + window.width).contains(dim);
            let value = |dim: usize| values[window.place + codeword * window.width + dim - window.first];
            lanes.push(Lanes(std::array::from_fn(|lane| Some(start + lane).filter(reached).map_or(0.0, value))));
        }
    }
    (strips, lanes)
}

#[test]
fn sums_of_codewords_equal_scalar_to_the_bit() {
    const ROWS: usize = 11;
    const DIM: usize = 77;
    let widths = [1, 2, 15, 16, 17, 33, 64];
    let mut place = 0;
    let windows: Vec<Window> = widths
        .iter()
        .enumerate()
        .map(|(first, width)| {
            place += 16 * width;
            Window { first, width: *width, place: place - 16 * width }
        })
        .collect();
    let (values, row, symbols) = (noise(place, 11), noise(DIM, 12), [3, 15, 0, 9, 1, 7, 12]);
    let (strips, lanes) = strips_of(&windows, &values, DIM);
    let codewords = Codewords { symbols: symbols.len(), strips: &strips, lanes: &lanes };
    let run = |kernels: &Kernels| {
        let (mut sum, mut sums) = (row.repeat(ROWS), values.clone());
        let symbols_of_all: Vec<u8> = (0..ROWS as u8).flat_map(|row| symbols.map(|symbol| symbol ^ row)).collect();
        kernels.add_codewords(&codewords, &symbols_of_all, &mut sum);
        kernels.add_to_codewords(&windows, &symbols, &row, &mut sums);
        (bits(&sum), bits(&sums))
    };
    for kernels in levels() {
        assert_eq!(run(kernels), run(scalar()), "{:?}", kernels.level());
    }
    let mut plain = row.repeat(ROWS);
    for (number, row) in plain.chunks_exact_mut(DIM).enumerate() {
        for (window, symbol) in windows.iter().zip(symbols.map(|symbol| usize::from(symbol ^ number as u8))) {
            let codeword = &values[window.place + symbol * window.width..][..window.width];
            row[window.first..].iter_mut().zip(codeword).for_each(|(value, part)| *value += part);
        }
    }
    assert_eq!(run(scalar()).0, bits(&plain));
}

#[test]
fn products_equal_scalar_to_the_bit() {
    for (rows, depth, width) in [(1, 1, 1), (3, 2, 3), (4, 7, 32), (5, 7, 31), (8, 3, 33), (9, 40, 130)] {
        let (factors, matrix) = (noise(rows * depth, 13), noise(depth * width, 14));
        let numbers: Vec<i8> = matrix.iter().map(|value| (value * 40.0) as i8).collect();
        let run = |kernels: &Kernels| {
            let mut out = vec![f32::NAN; rows * width];
            kernels.combine(&factors, &matrix, width, &mut out);
            bits(&out)
        };
        let run_numbers = |kernels: &Kernels| {
            let mut out = vec![f32::NAN; rows * width];
            kernels.combine_numbers(&factors, &numbers, width, &mut out);
            bits(&out)
        };
        let plain = |value: &dyn Fn(usize) -> f32| {
            let at = |row: usize, column: usize| {
                (0..depth).fold(0.0, |sum, k| sum + factors[row * depth + k] * value(k * width + column))
            };
            bits(&(0..rows * width).map(|place| at(place / width, place % width)).collect::<Vec<f32>>())
        };
        for kernels in levels() {
            let what = format!("{:?}, {rows} rows of {depth}, {width} wide", kernels.level());
            assert_eq!(run(kernels), plain(&|place| matrix[place]), "{what}");
            assert_eq!(run_numbers(kernels), plain(&|place| f32::from(numbers[place])), "{what}, numbers");
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Blocks, tables and side bytes of no meaning, and what the scan makes of them.
fn scanned(kernels: &Kernels, pairs: usize, sides: Sides, start: usize, limit: u16) -> (usize, Vec<Hit>) {
    const BLOCKS: usize = 5;
    let bytes = |count: usize, seed: u64| -> Vec<u8> { noise(count, seed).iter().map(|x| x.to_bits() as u8).collect() };
    let side_bytes = if matches!(sides, Sides::None) { 0 } else { 32 };
    let block_bytes = pairs * 32 + side_bytes;
    // Tables small enough for their sums, as who makes them sees to: of a code, and of two pairs in a byte.
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

#[test]
fn scans_score_alike_for_every_number_of_symbols_kind_of_side_byte_and_misalignment() {
    let base = std::array::from_fn(|at| at as u16 * 3000);
    let slope = std::array::from_fn(|at| (at as u16 * 271).min(SLOPE_MAX));
    let steps = Steps::new(&base, &slope);
    let kinds = [Sides::None, Sides::Add(steps), Sides::Scale { from: 9000, steps }];
    for kernels in levels() {
        for pairs in [0, 1, 2, 3, 31, 32, 87, 300] {
            for sides in kinds.into_iter().filter(|sides| pairs > 0 || !matches!(sides, Sides::None)) {
                for (start, limit) in [(0, u16::MAX), (1, 4000), (7, 30_000), (16, 0), (31, 60_000)] {
                    let found = scanned(kernels, pairs, sides, start, limit);
                    let expected = scanned(scalar(), pairs, sides, start, limit);
                    assert_eq!(found, expected, "{:?}, {pairs} pairs, {sides:?}, from {start}", kernels.level());
                    assert_eq!(found.0, 5);
                    assert!(found.1.iter().all(|hit| hit.score <= limit));
                    assert!(limit < u16::MAX || found.1.len() == 5 * 32);
                }
            }
        }
    }
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

#[test]
fn inner_products_equal_scalar_to_the_bit_and_a_plain_sum() {
    let windows = [Window { first: 1, width: 3, place: 0 }, Window { first: 2, width: 9, place: 48 }];
    let columns: Vec<Lanes> = noise(12 * 16, 7).as_chunks::<16>().0.iter().copied().map(Lanes).collect();
    let query = noise(11, 8);
    let of = |kernels: &Kernels| {
        let mut products = [Lanes::of(0.0); 2];
        kernels.inner_products(&windows, &columns, &query, &mut products);
        products.map(|lanes| lanes.0.map(f32::to_bits))
    };
    for kernels in levels() {
        assert_eq!(of(kernels), of(scalar()), "{:?}", kernels.level());
    }
    for (window, products) in windows.iter().zip(of(scalar())) {
        for (lane, product) in products.into_iter().enumerate() {
            let terms = (0..window.width)
                .map(|dim| f64::from(query[window.first + dim]) * f64::from(columns[window.place / 16 + dim].0[lane]));
            let expected: f64 = terms.sum();
            assert!((f64::from(f32::from_bits(product)) - expected).abs() < 1e-3 * expected.abs().max(1.0));
        }
    }
}

#[test]
fn floats_in_place_are_those_that_are_copied() {
    let bytes: Vec<u8> = (0..400u32).map(|at| (at * 37) as u8).collect();
    for start in 0..16 {
        for length in [0, 4, 5, 64, 256] {
            let bytes = &bytes[start..][..length];
            let is_whole = bytes.as_ptr().addr().is_multiple_of(4) && length.is_multiple_of(4);
            match kernels::floats_in_place(bytes) {
                Some(floats) => {
                    let mut copied = vec![0.0; length / 4];
                    kernels::floats(bytes, &mut copied);
                    let bits = |floats: &[f32]| floats.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(floats), bits(&copied));
                    assert!(is_whole || length == 0);
                }
                None => assert!(!is_whole),
            }
        }
    }
}

#[test]
fn values_of_numbers_equal_scalar_to_the_bit_and_the_bits_they_are_made_of() {
    const DIM: usize = 21;
    let mut code: Vec<u8> = noise(64, 21).iter().map(|value| (value * 500.0) as i32 as u8).collect();
    code.extend([0; NUMBERS_REACH]);
    // Bit by bit, as the format says it.
    let taken = |start: usize, count: usize| {
        (0..count).map(|bit| u32::from(code[(start + bit) / 8] >> ((start + bit) % 8) & 1) << bit).sum::<u32>()
    };
    let (mut numbers, mut expected) = (vec![Numbers::default(); DIM.div_ceil(NUMBERS_AT_ONCE)], Vec::new());
    let (mut symbol, mut rest) = (0, DIM * 4);
    for dim in 0..DIM {
        let (low_bits, has_symbol) = (dim * 7 % 13, dim % 5 != 2);
        let (numbers, at) = (&mut numbers[dim / NUMBERS_AT_ONCE], dim % NUMBERS_AT_ONCE);
        let put = |bits: &mut Bits, start: usize, count: usize| {
            if at == 0 {
                bits.base = start / 8;
            }
            (bits.offset[at], bits.shift[at]) = ((start / 8 - bits.base) as u32, (start % 8) as u32);
            bits.mask[at] = (1 << count) - 1;
        };
        put(&mut numbers.low, rest, low_bits);
        let high_bits = if has_symbol { 4 } else { 0 };
        put(&mut numbers.high, symbol, high_bits);
        (numbers.low_bits[at], numbers.first[at], numbers.step[at]) = (low_bits as u32, dim as f32, 0.25);
        let number = taken(rest, low_bits) | taken(symbol, high_bits) << low_bits;
        expected.push(dim as f32 + 0.25 * number as f32);
        (symbol, rest) = (symbol + high_bits, rest + low_bits);
    }
    assert!(expected.iter().any(|value| *value > 1000.0));
    for kernels in levels() {
        let mut out = vec![f32::NAN; DIM];
        kernels.values(&numbers, &code, &mut out);
        assert_eq!(bits(&out), bits(&expected), "{:?}", kernels.level());
        kernels.values(&numbers, &code[..4], &mut out);
        assert_eq!(out[DIM - 1], (DIM - 1) as f32, "a code that is too short: {:?}", kernels.level());
    }
}
