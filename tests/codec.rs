//! Window codes without a store: error against a reference quantizer, hard inputs, stored form, blocks.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod random;
mod scaled;

use omen::codec::{Codebook, Quality, Shape, better_shape, block};
use omen::error::Error;
use omen::metric::Metric;
use omen::work::Work;
use random::Random;

const DIM: usize = 128;

/// All rows of the committed SIFT set, `[10000][128]`.
fn sift() -> Vec<f32> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sift10k/base.bvecs")).unwrap();
    bytes.chunks_exact(DIM + 4).flat_map(|row| row[4..].iter().map(|value| f32::from(*value))).collect()
}

/// A shape of codes of `symbols` symbols, with windows of four runs, no rotation and no side byte.
fn shape(dim: usize, symbols: usize) -> Shape {
    Shape {
        dim,
        row_bytes: symbols.div_ceil(2),
        window: 4,
        directions: 0,
        metric: None,
        quality: Quality::Normal,
        is_scaled: true,
        rows: 0,
    }
}

fn train(sample: &[f32], dim: usize, symbols: usize) -> Codebook {
    Codebook::train(sample, &shape(dim, symbols), 7, &mut Work::default()).unwrap()
}

fn encode(book: &Codebook, rows: &[f32]) -> Vec<u8> {
    let mut codes = vec![0xff; rows.len() / book.dim() * book.row_bytes()];
    book.encode(rows, &mut codes);
    codes
}

fn decode(book: &Codebook, codes: &[u8]) -> Vec<f32> {
    let mut rows = vec![f32::NAN; codes.len() / book.row_bytes() * book.dim()];
    for (code, row) in codes.chunks_exact(book.row_bytes()).zip(rows.chunks_exact_mut(book.dim())) {
        book.decode(code, row);
    }
    rows
}

fn through(book: &Codebook, rows: &[f32]) -> Vec<f32> {
    let (scaled, scales) = scaled::scale(book, rows);
    let mut decoded = decode(book, &encode(book, &scaled));
    scaled::scale_back(&mut decoded, &scales);
    decoded
}

fn bits(rows: &[f32]) -> Vec<u32> {
    rows.iter().map(|value| value.to_bits()).collect()
}

/// sum ||x - y||² / sum ||x||².
fn relative_mse(rows: &[f32], decoded: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let differences = &mut rows.iter().zip(decoded).map(|(x, y)| f64::from(*x) - f64::from(*y));
    squares(differences) / squares(&mut rows.iter().map(|x| f64::from(*x)))
}

/// A product quantizer as in the paper, in plain floats: `symbols` near-equal runs, 25 iterations from 16 random rows.
/// Returns `rows` after coding and decoding.
fn reference(sample: &[f32], rows: &[f32], symbols: usize) -> Vec<f32> {
    let mut random = Random::new(99);
    let mut decoded = rows.to_vec();
    for subspace in 0..symbols {
        let (low, high) = (subspace * DIM / symbols, (subspace + 1) * DIM / symbols);
        let points: Vec<&[f32]> = sample.chunks_exact(DIM).map(|row| &row[low..high]).collect();
        let mut means: Vec<Vec<f32>> = (0..16).map(|_| points[random.index(points.len())].to_vec()).collect();
        for _ in 0..25 {
            let mut sums = vec![(vec![0.0f64; high - low], 0.0f64); 16];
            for point in &points {
                let (sum, count) = &mut sums[nearest(point, &means)];
                sum.iter_mut().zip(*point).for_each(|(sum, value)| *sum += f64::from(*value));
                *count += 1.0;
            }
            for (mean, (sum, count)) in means.iter_mut().zip(&sums).filter(|(_, (_, count))| *count > 0.0) {
                *mean = sum.iter().map(|sum| (sum / count) as f32).collect();
            }
        }
        for row in decoded.chunks_exact_mut(DIM) {
            let mean = &means[nearest(&row[low..high], &means)];
            row[low..high].copy_from_slice(mean);
        }
    }
    decoded
}

fn nearest(point: &[f32], means: &[Vec<f32>]) -> usize {
    let distance = |mean: &[f32]| point.iter().zip(mean).map(|(x, y)| (x - y) * (x - y)).sum::<f32>();
    (0..means.len()).min_by(|a, b| distance(&means[*a]).total_cmp(&distance(&means[*b]))).unwrap()
}

#[test]
fn trap_04_error_is_at_most_0_75_of_a_reference_quantizer() {
    let rows = sift();
    let sample: Vec<f32> = rows.chunks_exact(DIM).step_by(4).flatten().copied().collect();
    for symbols in [32, 62, 64] {
        let found = relative_mse(&rows, &through(&train(&sample, DIM, symbols), &rows));
        let expected = relative_mse(&rows, &reference(&sample, &rows, symbols));
        assert!(found <= 0.75 * expected, "{symbols} symbols: relative MSE {found}, reference {expected}");
        assert!(found > 0.0);
    }
}

#[test]
fn windows_of_one_run_are_product_quantization() {
    let rows = sift();
    let sample: Vec<f32> = rows.chunks_exact(DIM).step_by(4).flatten().copied().collect();
    let alone = Shape { window: 1, ..shape(DIM, 64) };
    let book = Codebook::train(&sample, &alone, 7, &mut Work::default()).unwrap();
    let (found, expected) =
        (relative_mse(&rows, &through(&book, &rows)), relative_mse(&rows, &reference(&sample, &rows, 64)));
    assert!(found <= 1.02 * expected, "relative MSE {found}, reference {expected}");
}

#[test]
fn a_rotation_pays_where_dims_go_together() {
    // Two hidden values spread over eight dims: only rotated can four symbols code them well.
    let mut random = Random::new(13);
    let directions: Vec<Vec<f32>> = (0..2).map(|_| random.floats(8)).collect();
    let rows: Vec<f32> = (0..2000)
        .flat_map(|_| {
            let hidden = random.floats(2);
            (0..8).map(|dim| hidden[0] * directions[0][dim] + hidden[1] * directions[1][dim]).collect::<Vec<f32>>()
        })
        .collect();
    let plain = Shape { window: 1, ..shape(8, 4) };
    let of_directions = |directions| Some(Shape { directions, ..plain });
    let found = better_shape(&rows, &plain, &of_directions, 7, &mut Work::default()).unwrap();
    assert!((2..=8).contains(&found.directions), "{found:?}");
    let error = |directions| {
        let shape = Shape { directions, ..plain };
        let book = Codebook::train(&rows, &shape, 7, &mut Work::default()).unwrap();
        assert!(book.as_bytes().len() <= Codebook::stored_bytes(&shape));
        let again = Codebook::from_bytes("test", book.as_bytes()).unwrap();
        assert_eq!(bits(&through(&again, &rows)), bits(&through(&book, &rows)));
        relative_mse(&rows, &through(&book, &rows))
    };
    assert!(error(8) < 0.7 * error(0), "{} {}", error(8), error(0));
}

#[test]
fn error_falls_with_symbols() {
    let rows = &sift()[..2000 * DIM];
    let errors: Vec<f64> = [2, 8, 32, 64, 100, 128, 150, 174]
        .iter()
        .map(|symbols| relative_mse(rows, &through(&train(rows, DIM, *symbols), rows)))
        .collect();
    assert!(errors.is_sorted_by(|more, less| more > less), "{errors:?}");
}

#[test]
fn trap_04_sizes_of_all_kinds_work() {
    let mut random = Random::new(1);
    for (dim, symbols) in [(2, 2), (3, 2), (3, 4), (7, 4), (17, 16), (31, 32), (100, 8), (130, 64), (257, 128)] {
        for n in [1, 2, 15, 16, 17, 100] {
            let rows = random.floats(n * dim);
            let book = train(&rows, dim, symbols);
            assert_eq!((book.dim(), book.symbols(), book.row_bytes()), (dim, symbols, symbols / 2));
            let decoded = through(&book, &rows);
            assert!(decoded.iter().all(|value| value.abs() <= 1.5));
            if n <= 16 {
                // No more points than codewords: every one is met, but for the rounding to 8 bits.
                assert!(relative_mse(&rows, &decoded) < 1e-4, "dim {dim}, symbols {symbols}, n {n}");
            }
        }
    }
}

#[test]
fn trap_04_huge_dims_work() {
    let mut random = Random::new(2);
    for (dim, symbols) in [(65_536, 2), (65_536, 4), (65_536, 4096), (5000, 2500), (5000, 5000)] {
        let rows = random.floats(3 * dim);
        let book = train(&rows, dim, symbols);
        assert!(relative_mse(&rows, &through(&book, &rows)) < 1e-4, "dim {dim}, symbols {symbols}");
        assert!(book.as_bytes().len() <= Codebook::stored_bytes(&shape(dim, symbols)));
    }
}

#[test]
fn trap_04_identical_rows_come_back_exactly() {
    let mut random = Random::new(3);
    for value in [0.0, -0.0, 1.0, -1234.567, 1e30, -1e-30, 1e-42, f32::MAX, f32::MIN] {
        let rows = [value; 20 * 9];
        assert_eq!(through(&train(&rows, 9, 4), &rows), rows);
    }
    let row = random.floats(33);
    let rows: Vec<f32> = (0..500).flat_map(|_| row.clone()).collect();
    assert_eq!(through(&train(&rows, 33, 10), &rows), rows);
}

#[test]
fn trap_04_dims_that_never_vary_are_exact_and_cost_nothing() {
    let mut random = Random::new(4);
    let (dim, n) = (40, 300);
    let live = [3, 4, 17, 18, 19, 38];
    let mut rows = vec![0.1; n * dim];
    for row in rows.chunks_exact_mut(dim) {
        for component in live {
            row[component] = random.index(16) as f32;
        }
    }
    for symbols in [6, 8, 20, 38, 40] {
        // Sixteen values are met by sixteen codewords, but for the rounding to 8 bits.
        let decoded = through(&train(&rows, dim, symbols), &rows);
        assert!(rows.iter().zip(&decoded).all(|(x, y)| (x - y).abs() < 0.05), "{symbols} symbols");
    }
    // As many symbols as dims, wherever the live ones are.
    for live in [0, 1, 2, 3] {
        let rows: Vec<f32> = (0..400).map(|at| if at % 4 == live { random.index(9) as f32 } else { 7.0 }).collect();
        assert!(relative_mse(&rows, &through(&train(&rows, 4, 4), &rows)) < 1e-4, "dim {live}");
    }
    // Fewer symbols than live dims: the dead ones stay exact.
    let decoded = through(&train(&rows, dim, 3), &rows);
    for (row, decoded) in rows.chunks_exact(dim).zip(decoded.chunks_exact(dim)) {
        for component in (0..dim).filter(|component| !live.contains(component)) {
            assert_eq!(row[component], decoded[component]);
        }
    }
}

#[test]
fn trap_04_duplicates_and_one_cluster() {
    let mut random = Random::new(5);
    // Ten distinct rows, each many times: sixteen codewords hold them all.
    let distinct = random.floats(10 * 12);
    let rows: Vec<f32> = (0..1000).flat_map(|_| distinct[random.index(10) * 12..][..12].to_vec()).collect();
    assert!(relative_mse(&rows, &through(&train(&rows, 12, 4), &rows)) < 1e-3);
    // One narrow cluster far from zero: the error is a part of the cluster's width, not of the distance.
    let cluster: Vec<f32> = random.floats(1000 * 12).iter().map(|noise| 1000.0 + 0.1 * noise).collect();
    for (x, y) in cluster.iter().zip(through(&train(&cluster, 12, 12), &cluster)) {
        assert!((x - y).abs() < 0.03, "{x} became {y}");
    }
}

#[test]
fn trap_04_magnitude_does_not_matter() {
    let rows = &sift()[..1000 * DIM];
    let book = train(rows, DIM, 50);
    let (codes, decoded) = (encode(&book, rows), through(&book, rows));
    for factor in [2.0f32.powi(100), 2.0f32.powi(-100)] {
        let scaled: Vec<f32> = rows.iter().map(|value| value * factor).collect();
        let scaled_book = train(&scaled, DIM, 50);
        assert_eq!(encode(&scaled_book, &scaled), codes);
        let expected: Vec<f32> = decoded.iter().map(|value| value * factor).collect();
        assert_eq!(bits(&decode(&scaled_book, &codes)), bits(&expected));
    }
}

#[test]
fn trap_04_the_ends_of_the_float_range_decode_to_finite_values() {
    let mut random = Random::new(6);
    let extremes = [f32::MAX, f32::MIN, 0.0, 1e-45, 1.0, 1e30, -1e30, 3e38];
    let rows: Vec<f32> = (0..200 * 6).map(|_| extremes[random.index(extremes.len())]).collect();
    for symbols in [2, 4, 6, 8] {
        let book = train(&rows, 6, symbols);
        assert!(through(&book, &rows).iter().all(|value| value.is_finite()));
        let again = Codebook::from_bytes("test", book.as_bytes()).unwrap();
        assert_eq!(bits(&through(&again, &rows)), bits(&through(&book, &rows)));
    }
    // Trained near zero, encoding far away: the codeword on that side.
    let book = train(&random.floats(200 * 6), 6, 6);
    for (far, side) in [(f32::MAX, 1.0), (f32::MIN, -1.0), (1e20, 1.0), (-1e6, -1.0)] {
        let decoded = through(&book, &[far; 6]);
        assert!(decoded.iter().all(|value| value * side > 0.8), "{far} became {decoded:?}");
    }
}

#[test]
fn training_repeats_itself_and_takes_a_seed() {
    let rows = &sift()[..1500 * DIM];
    let bytes = |seed| Codebook::train(rows, &shape(DIM, 30), seed, &mut Work::default()).unwrap().as_bytes().to_vec();
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn training_reports_its_progress_and_can_be_cancelled() {
    let rows = Random::new(7).floats(50 * 10);
    let mut seen = Vec::new();
    let on_progress = &mut |done, total| {
        seen.push((done, total));
        false
    };
    Codebook::train(&rows, &shape(10, 4), 1, &mut Work::new(0, Some(on_progress))).unwrap();
    assert!(seen.is_sorted() && seen.iter().all(|(done, total)| done <= total && *total == seen[0].1));
    assert_eq!(seen.last(), Some(&(seen[0].1, seen[0].1)));
    for stop in 0..seen.len() {
        let mut calls = 0;
        let cancel = &mut |_, _| {
            calls += 1;
            calls > stop
        };
        let found = Codebook::train(&rows, &shape(10, 4), 1, &mut Work::new(0, Some(cancel)));
        assert!(matches!(found, Err(Error::Cancelled { .. })), "{found:?}");
        assert_eq!(calls, stop + 1);
    }
}

#[test]
fn training_refuses_what_it_cannot_use() {
    let train = |sample: &[f32], dim, symbols| Codebook::train(sample, &shape(dim, symbols), 1, &mut Work::default());
    for (dim, symbols) in [(0, 1), (4, 0), (4, 17), (65_537, 1), (usize::MAX, usize::MAX)] {
        assert!(matches!(train(&[0.0; 8], dim, symbols), Err(Error::InvalidArgument(_))), "{dim} {symbols}");
    }
    assert!(matches!(train(&[0.0; 7], 4, 2), Err(Error::InvalidArgument(_))));
    assert!(matches!(train(&[], 4, 2), Err(Error::TooFewVectors { found: 0, .. })));
    let found = train(&[0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0], 3, 2);
    assert!(matches!(found, Err(Error::NotFinite { row: 1, column: 1, .. })), "{found:?}");
}

#[test]
fn trap_05_a_stored_codebook_decodes_the_same_bits() {
    let rows = &sift()[..1000 * DIM];
    for symbols in [2, 62, 64, 128, 174] {
        let book = train(rows, DIM, symbols);
        let bytes = book.as_bytes();
        assert!(bytes.len() <= Codebook::stored_bytes(&shape(DIM, symbols)));
        let again = Codebook::from_bytes("test", bytes).unwrap();
        assert_eq!(again.as_bytes(), bytes);
        assert_eq!(encode(&again, rows), encode(&book, rows));
        assert_eq!(bits(&through(&again, rows)), bits(&through(&book, rows)));
    }
}

#[test]
fn encoding_does_not_depend_on_the_batch() {
    let rows = &sift()[..100 * DIM];
    let book = train(rows, DIM, 62);
    let codes = encode(&book, rows);
    for n in [1, 2, 15, 16, 17, 33] {
        let parts: Vec<u8> = rows.chunks(n * DIM).flat_map(|rows| encode(&book, rows)).collect();
        assert_eq!(parts, codes, "{n} rows at a time");
    }
}

#[test]
fn every_code_byte_decodes() {
    let book = train(&Random::new(8).floats(100 * 9), 9, 5);
    for byte in 0..=255 {
        assert!(decode(&book, &[byte; 3]).iter().all(|value| value.is_finite()));
    }
}

#[test]
fn trap_17_a_damaged_codebook_is_refused_or_harmless() {
    let bytes = train(&Random::new(9).floats(100 * 11), 11, 5).as_bytes().to_vec();
    for length in 0..bytes.len() {
        let found = Codebook::from_bytes("here", &bytes[..length]);
        assert!(matches!(found, Err(Error::Corrupt { .. })), "length {length}: {found:?}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(Codebook::from_bytes("here", &longer), Err(Error::Corrupt { .. })));
    let mut random = Random::new(10);
    let each_bit = (0..bytes.len() * 8).map(|bit| (bit / 8, 1 << (bit % 8)));
    let changes = (0..20_000).map(|_| (random.index(bytes.len()), random.next() as u8)).collect::<Vec<_>>();
    let mut damaged = bytes.clone();
    for (position, change) in each_bit.chain(changes) {
        damaged[position] ^= change;
        match Codebook::from_bytes("here", &damaged) {
            Ok(book) => {
                assert_eq!(book.as_bytes(), damaged);
                assert_eq!((book.dim(), book.symbols()), (11, 6));
                let decoded = through(&book, &[1e30; 11]);
                assert!(decoded.iter().all(|value| value.is_finite()));
            }
            Err(Error::Corrupt { file, .. }) => assert_eq!(file, "here"),
            Err(other) => panic!("{other}"),
        }
        // Damage adds up over a few steps, then starts afresh.
        if random.once_in(4) {
            damaged.copy_from_slice(&bytes);
        }
    }
}

#[test]
fn trap_17_a_codebook_with_impossible_numbers_is_refused() {
    let (dim, symbols) = (11, 6);
    let bytes = train(&Random::new(12).floats(600 * dim), dim, symbols).as_bytes().to_vec();
    let (unit, means) = (24, 32);
    let (slack, scales) = (means + 4 * dim + 12, means + 4 * dim + 16 + 2 * symbols);
    for offset in [unit, means + 4 * 7, slack, scales + 4 * 3] {
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut damaged = bytes.clone();
            damaged[offset..][..4].copy_from_slice(&bad.to_le_bytes());
            assert!(matches!(Codebook::from_bytes("here", &damaged), Err(Error::Corrupt { .. })), "{bad} at {offset}");
        }
    }
}

#[test]
fn trap_17_a_codebook_that_claims_to_be_huge_is_refused_without_allocating() {
    for (dim, symbols) in [(u32::MAX, 1), (65_537, 1), (65_536, 65_536), (1, u32::MAX), (0, 0), (8, 65)] {
        let mut bytes: Vec<u8> =
            [2, dim, symbols, 0, 1, 0, 0x3f80_0000, 0].iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        bytes.resize(200, 0);
        assert!(matches!(Codebook::from_bytes("here", &bytes), Err(Error::Corrupt { .. })), "{dim} {symbols}");
    }
}

#[test]
fn blocks_give_back_what_was_packed() {
    let mut random = Random::new(11);
    for symbols in [1usize, 2, 5, 31, 62, 63, 64] {
        for side_bytes in [0, 1, 2] {
            let row_bytes = symbols.div_ceil(2) + side_bytes;
            for n in 1..=block::ROWS {
                let mut codes: Vec<u8> = (0..n * row_bytes).map(|_| random.next() as u8).collect();
                if symbols % 2 == 1 {
                    codes.chunks_exact_mut(row_bytes).for_each(|code| code[symbols / 2] &= 15);
                }
                let mut packed = vec![0xee; block::bytes(row_bytes)];
                block::pack(&codes, symbols, side_bytes, &mut packed);
                for lane in 0..block::ROWS {
                    let mut code = vec![0xdd; row_bytes];
                    block::unpack(&packed, lane, symbols, side_bytes, &mut code);
                    let expected = codes.chunks_exact(row_bytes).nth(lane).map_or(vec![0; row_bytes], <[u8]>::to_vec);
                    assert_eq!(code, expected, "{symbols} symbols, {side_bytes} side bytes, lane {lane} of {n}");
                }
            }
        }
    }
}

#[test]
fn rows_gathered_from_blocks_are_those_rows_packed() {
    let mut random = Random::new(12);
    for (symbols, side_bytes) in [(1, 0), (5, 2), (62, 1), (64, 0)] {
        let row_bytes = usize::div_ceil(symbols, 2) + side_bytes;
        let codes: Vec<u8> = (0..7 * block::ROWS * row_bytes)
            .map(|index| if symbols % 2 == 1 && index % row_bytes == symbols / 2 { 15 } else { 255 } & random.next() as u8)
            .collect();
        let blocks: Vec<Vec<u8>> = codes
            .chunks(block::bytes(row_bytes))
            .map(|codes| {
                let mut packed = vec![0; block::bytes(row_bytes)];
                block::pack(codes, symbols, side_bytes, &mut packed);
                packed
            })
            .collect();
        for n in 1..=block::ROWS {
            let rows: Vec<usize> = (0..n).map(|_| random.index(7 * block::ROWS)).collect();
            let from: Vec<(&[u8], usize)> =
                rows.iter().map(|row| (&blocks[row / block::ROWS][..], row % block::ROWS)).collect();
            let chosen: Vec<u8> = rows.iter().flat_map(|row| codes[row * row_bytes..][..row_bytes].to_vec()).collect();
            let (mut packed, mut gathered) = (blocks[0].clone(), blocks[1].clone());
            block::pack(&chosen, symbols, side_bytes, &mut packed);
            block::gather(&from, symbols, side_bytes, &mut gathered);
            assert_eq!(gathered, packed, "{symbols} symbols, {side_bytes} side bytes, rows {rows:?}");
        }
    }
}

#[test]
fn blocks_have_the_documented_layout() {
    // Three symbols and one side byte: symbol s of row v is (v + 5 s) mod 16, its side byte 100 + v.
    let symbol = |row: usize, number: usize| ((row + 5 * number) % 16) as u8;
    let codes: Vec<u8> =
        (0..32).flat_map(|v| [symbol(v, 0) | symbol(v, 1) << 4, symbol(v, 2), 100 + v as u8]).collect();
    let mut packed = vec![0; block::bytes(3)];
    block::pack(&codes, 3, 1, &mut packed);
    for v in 0..16 {
        for number in 0..3 {
            assert_eq!(packed[16 * number + v], symbol(v, number) | symbol(v + 16, number) << 4);
        }
        assert_eq!(packed[48 + v], 0);
    }
    assert_eq!(packed[64..], (100..132).collect::<Vec<u8>>());
}

#[test]
fn rows_of_zeros_do_not_change_codes_of_directions() {
    let rows = &sift()[..2000 * DIM];
    let with_zeros: Vec<f32> = rows.chunks(19 * DIM).flat_map(|rows| [rows, &[0.0; DIM]].concat()).collect();
    for row_bytes in [17, 65, 129] {
        let shape = Shape { row_bytes, metric: Some(Metric::Cosine), quality: Quality::Fast, ..shape(DIM, 1) };
        let [without, with] =
            [rows, &with_zeros].map(|sample| Codebook::train(sample, &shape, 7, &mut Work::default()).unwrap());
        assert_eq!(with.as_bytes(), without.as_bytes(), "{row_bytes} bytes a row");
    }
}
