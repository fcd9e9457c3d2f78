//! Scalar codes: exact values, how errors fall with more bits, hard inputs, stored form, and compressing a store with
//! them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod random;
mod scaled;

use omen::codec::{Codebook, FORMULA, Quality, SCALAR, Shape, WINDOWS};
use omen::error::Error;
use omen::ffi::constants::{OMEN_CODEC_FORMULA, OMEN_CODEC_SCALAR, OMEN_CODEC_WINDOWS};
use omen::metric::Metric;
use omen::store::{CompressOptions, CompressReport, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;

const DIM: usize = 128;

/// All rows of the committed SIFT set, `[10000][128]`.
fn sift() -> Vec<f32> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sift10k/base.bvecs")).unwrap();
    bytes.chunks_exact(DIM + 4).flat_map(|row| row[4..].iter().map(|value| f32::from(*value))).collect()
}

/// The first rows as zeros and ones: which components are above 20.
fn zeros_and_ones(rows: usize) -> Vec<f32> {
    sift()[..rows * DIM].iter().map(|value| f32::from(u8::from(*value > 20.0))).collect()
}

/// The first rows, of unit length, rounded to 11 bits each as a half would be: values that were halves once.
fn halves(rows: usize) -> Vec<f32> {
    let mut found = sift();
    found.truncate(rows * DIM);
    for row in found.chunks_exact_mut(DIM) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        // Below 2^-14 halves are multiples of 2^-24; above, eleven bits stay.
        let round = |x: f32| if x < 6.2e-5 { 0.0 } else { f32::from_bits((x.to_bits() + 0x1000) & !0x1fff) };
        row.iter_mut().for_each(|x| *x = round(*x / length));
    }
    found
}

fn shape_of(dim: usize, row_bytes: usize) -> Shape {
    Shape { dim, row_bytes, window: 1, directions: 0, metric: None, quality: Quality::Normal, is_scaled: true, rows: 0 }
}

fn train(sample: &[f32], dim: usize, row_bytes: usize) -> Codebook {
    let shape = shape_of(dim, row_bytes);
    let book = Codebook::train(sample, &shape, 7, &mut Work::default()).unwrap();
    assert_eq!((book.codec(), book.dim()), (SCALAR, dim));
    assert!(book.symbols() <= dim && book.symbols().is_multiple_of(2), "{} symbols", book.symbols());
    assert!(book.row_bytes() <= row_bytes && book.as_bytes().len() <= Codebook::stored_bytes(&shape));
    book
}

fn through(book: &Codebook, rows: &[f32]) -> Vec<f32> {
    let mut codes = vec![0xff; rows.len() / book.dim() * book.row_bytes()];
    let (scaled, scales) = scaled::scale(book, rows);
    book.encode(&scaled, &mut codes);
    let mut decoded = vec![f32::NAN; rows.len()];
    for (code, row) in codes.chunks_exact(book.row_bytes()).zip(decoded.chunks_exact_mut(book.dim())) {
        book.decode(code, row);
    }
    scaled::scale_back(&mut decoded, &scales);
    decoded
}

fn bits(rows: &[f32]) -> Vec<u32> {
    rows.iter().map(|value| value.to_bits()).collect()
}

fn relative_mse(rows: &[f32], decoded: &[f32]) -> f64 {
    let off = rows.iter().zip(decoded).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>();
    off / rows.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
}

#[test]
fn bytes_are_exact_also_where_the_sample_did_not_see_them() {
    let rows = sift();
    let book = train(&rows[..100 * DIM], DIM, DIM);
    assert_eq!(book.row_bytes(), DIM);
    assert_eq!(bits(&through(&book, &rows)), bits(&rows));
    // More is allowed, no more is taken.
    assert_eq!(train(&rows[..100 * DIM], DIM, 2 * DIM).row_bytes(), DIM);
    let all: Vec<f32> = (0..256).flat_map(|value| [value as f32; DIM]).collect();
    assert_eq!(bits(&through(&book, &all)), bits(&all));
}

#[test]
fn whole_numbers_stay_exact_with_few_bits_where_their_range_fits() {
    let mut random = Random::new(1);
    // Ranges of 2, 4, 16, 64 and 1024 numbers: 1 + 2 + 4 + 6 + 10 bits are 23, in three bytes of five dims. The first two
    // rows are the ends of the ranges: steps that are no whole numbers are counted from the least to the greatest value.
    let rows: Vec<f32> = (0..500)
        .flat_map(|row| {
            [(2, 5), (4, -3), (16, -8), (64, 1000), (1024, -512)].map(|(n, low)| {
                let number = if row < 2 { row * (n - 1) } else { random.below(n) };
                number as f32 + low as f32
            })
        })
        .collect();
    let book = train(&rows, 5, 4);
    assert_eq!(book.row_bytes(), 3);
    assert_eq!(bits(&through(&book, &rows)), bits(&rows));
    // The same in steps that are no whole numbers.
    let scaled: Vec<f32> = rows.iter().map(|x| x * 0.3).collect();
    let decoded = through(&train(&scaled, 5, 4), &scaled);
    assert!(relative_mse(&scaled, &decoded) < 1e-11, "{}", relative_mse(&scaled, &decoded));
}

#[test]
fn dims_of_few_bits_share_symbols() {
    // 128 zeros and ones are 32 symbols and nothing else.
    let mut random = Random::new(2);
    let ones: Vec<f32> = (0..300 * DIM).map(|_| random.below(2) as f32).collect();
    let book = train(&ones, DIM, DIM);
    assert_eq!((book.symbols(), book.row_bytes()), (32, 16));
    assert_eq!(bits(&through(&book, &ones)), bits(&ones));
    // All mixtures of widths: every bit has its place, whatever shares a symbol.
    for mixture in 0..40 {
        let dim = 2 + random.index(61);
        // The width of the first dim makes them no bytes, and halves are longer.
        let widths: Vec<u64> = (0..dim).map(|dim| if dim == 0 { 9 } else { random.below(11) }).collect();
        let mut rows = Vec::new();
        for row in 0..300 {
            rows.extend(widths.iter().map(|width| {
                // The first two rows are the ends of the ranges.
                let number = if row < 2 { row * ((1 << width) - 1) } else { random.below(1 << width) };
                number as f32
            }));
        }
        let book = train(&rows, dim, 2 * dim - 1);
        assert_eq!(book.row_bytes(), widths.iter().sum::<u64>().div_ceil(8) as usize, "{mixture}: {widths:?}");
        assert_eq!(bits(&through(&book, &rows)), bits(&rows), "{mixture}: {widths:?}");
    }
    // Up to four bits a dim, whole numbers have a lossless codebook.
    let numbers =
        |most: u64, random: &mut Random| -> Vec<f32> { (0..900).map(|_| random.below(most) as f32).collect() };
    assert!(Codebook::exact(&numbers(16, &mut random), 9).unwrap().is_some());
    assert!(Codebook::exact(&numbers(40, &mut random), 9).unwrap().is_none());
}

#[test]
fn halves_come_back_bit_for_bit() {
    let rows = halves(2000);
    let book = train(&rows[..500 * DIM], DIM, 2 * DIM);
    assert_eq!(book.row_bytes(), 2 * DIM);
    assert_eq!(bits(&through(&book, &rows)), bits(&rows));
    let smallest = 2f32.powi(-24);
    let mut odd = vec![0.0; DIM];
    odd[..6].copy_from_slice(&[-0.0, smallest, -1023.0 * smallest, 65_504.0, -65_504.0, 1e-30]);
    let decoded = through(&book, &odd);
    assert_eq!(bits(&decoded[..5]), bits(&odd[..5]));
    assert_eq!(decoded[5], 0.0);
    assert_eq!(through(&book, &[f32::MAX; DIM]), [65_504.0; DIM]);
    assert_eq!(through(&book, &[f32::MIN; DIM]), [-65_504.0; DIM]);
    // One byte less, and it is grids again, nearly as good.
    let less = through(&train(&rows[..500 * DIM], DIM, 2 * DIM - 1), &rows);
    let error = relative_mse(&rows, &less);
    assert!(error > 0.0 && error < 1e-6, "{error}");
}

#[test]
fn floats_of_equal_size_prefer_grids_to_halves() {
    let rows = Random::new(2).floats(3000);
    let error = relative_mse(&rows, &through(&train(&rows, 6, 12), &rows));
    // Halves of values from -1 to 1 are at about 2e-8.
    assert!(error < 8e-9, "{error}");
}

#[test]
fn error_falls_with_each_bit_and_meets_uniform_quantization() {
    let mut random = Random::new(3);
    let (rows, others) = (random.floats(4000 * 8), random.floats(4000 * 8));
    let errors: Vec<f64> =
        (6..=16).map(|row_bytes| relative_mse(&others, &through(&train(&rows, 8, row_bytes), &others))).collect();
    for (row_bytes, error) in (6..).zip(&errors) {
        // A step of 2 / 2^bits has the error step² / 12, of an energy of 1 / 3; margins take up to a factor of 25.
        let ideal = 0.25f64.powi(row_bytes);
        let margin = if row_bytes <= 8 { 1.1 } else { 26.0 };
        assert!(*error < ideal * margin, "{row_bytes} bits: {error}, ideal {ideal}");
    }
    assert!(errors.is_sorted_by(|more, less| more > less), "{errors:?}");
}

#[test]
fn bits_go_where_the_variance_is() {
    // Two of eight dims are 64 times as wide: six bits more each.
    let mut random = Random::new(4);
    let rows: Vec<f32> = (0..8000).map(|at| random.signed() * if at % 8 < 2 { 64.0 } else { 1.0 }).collect();
    let found = relative_mse(&rows, &through(&train(&rows, 8, 6), &rows));
    // 48 bits: 10.5 for each wide dim, 4.5 for each other, so that all have an error of (2 / 2^4.5)² / 12.
    let ideal = 8.0 * (2.0 / 2f64.powf(4.5)).powi(2) / 12.0 / ((2.0 * 4096.0 + 6.0) / 3.0);
    assert!(found < 2.0 * ideal, "{found}, ideal {ideal}");
}

#[test]
fn heavy_tails_do_not_ruin_the_grid() {
    let mut random = Random::new(5);
    // One value in 5,000 is a hundred times as far out.
    let heavy: Vec<f32> =
        (0..40_000).map(|_| random.signed() * if random.next().is_multiple_of(5000) { 100.0 } else { 1.0 }).collect();
    let book = train(&heavy, 2, 2);
    let near: Vec<f32> = heavy.iter().copied().filter(|x| x.abs() <= 1.0).collect();
    let decoded = through(&book, &near[..near.len() / 2 * 2]);
    let error = relative_mse(&near, &decoded);
    // The full range in 256 steps would have 200 / 256 for one: an error of about 0.15.
    assert!(error < 0.16, "{error}");
    let all = relative_mse(&heavy, &through(&book, &heavy));
    assert!(all < 0.1, "{all}");
}

#[test]
fn constant_dims_cost_nothing_and_are_exact() {
    let mut random = Random::new(6);
    let rows: Vec<f32> =
        (0..64 * 300).map(|at| if at % 64 < 8 { random.signed() } else { (at % 64) as f32 * 0.1 }).collect();
    let book = train(&rows, 64, 48);
    // 8 dims of 16 bits at most.
    assert!(book.row_bytes() <= 16, "{}", book.row_bytes());
    let decoded = through(&book, &rows);
    for (at, (x, y)) in rows.iter().zip(&decoded).enumerate() {
        assert!(if at % 64 < 8 { (x - y).abs() < 1e-4 } else { x == y }, "{x} became {y}");
    }
    for value in [0.0, -0.0, 1e-42, 1e30, f32::MAX, f32::MIN] {
        let rows = [value; 5 * 40];
        let book = train(&rows, 5, 5);
        // Of zeros only halves tell the sign.
        assert_eq!(book.row_bytes(), 1);
        assert_eq!(through(&book, &rows), rows);
    }
}

#[test]
fn tiny_and_huge_values_are_coded_as_well_as_others() {
    let rows = Random::new(7).floats(1200);
    let plain = relative_mse(&rows, &through(&train(&rows, 6, 5), &rows));
    for factor in [1e-30, 1e-36, 1e30, 1e37] {
        let scaled: Vec<f32> = rows.iter().map(|x| x * factor).collect();
        let found = relative_mse(&scaled, &through(&train(&scaled, 6, 5), &scaled));
        assert!((found / plain - 1.0).abs() < 0.02, "{factor}: {found}, unscaled {plain}");
    }
    let mut random = Random::new(8);
    let extremes = [f32::MAX, f32::MIN, 0.0, 1e-45, 1.0, 1e30, -1e30, 3e38];
    let wild: Vec<f32> = (0..600).map(|_| extremes[random.index(8)]).collect();
    for row_bytes in 5..=12 {
        let book = train(&wild, 6, row_bytes);
        assert!(through(&book, &wild).iter().all(|x| x.is_finite()));
        assert!(relative_mse(&wild, &through(&book, &wild)) < 0.5);
    }
}

#[test]
fn sizes_of_all_kinds_work() {
    let mut random = Random::new(9);
    for (dim, row_bytes) in [(1, 1), (1, 2), (2, 2), (3, 5), (7, 6), (17, 13), (33, 66), (5000, 4001)] {
        for n in [1, 2, 3, 63, 64, 65] {
            let rows = random.floats(n * dim);
            let error = relative_mse(&rows, &through(&train(&rows, dim, row_bytes), &rows));
            assert!(error < 2e-3, "dim {dim}, {row_bytes} bytes, {n} rows: {error}");
        }
    }
}

#[test]
fn training_repeats_itself_and_can_be_cancelled() {
    let rows = &sift()[..300 * DIM];
    assert_eq!(train(rows, DIM, 100).as_bytes(), train(rows, DIM, 100).as_bytes());
    let shape = shape_of(DIM, 100);
    let mut last = (0, 0);
    let on_progress = &mut |done, total| {
        last = (done, total);
        done == 5
    };
    assert!(matches!(
        Codebook::train(rows, &shape, 7, &mut Work::new(0, Some(on_progress))),
        Err(Error::Cancelled { done: 5, .. })
    ));
    assert_eq!(last, (5, DIM as u64));
}

#[test]
fn every_code_byte_decodes_and_encoding_writes_all_of_a_code() {
    let mut random = Random::new(10);
    for (sample, row_bytes) in [(random.floats(900), 7), (random.floats(900), 9), (halves(100)[..900].to_vec(), 18)] {
        let book = train(&sample, 9, row_bytes);
        let (mut out, mut again) = (vec![f32::NAN; 9], vec![0; book.row_bytes()]);
        for byte in 0..=255 {
            let code = vec![byte; book.row_bytes()];
            book.decode(&code, &mut out);
            assert!(out.iter().all(|x| x.is_finite()));
            let mut decoded = vec![f32::NAN; 9];
            again.fill(0xee);
            book.encode(&out, &mut again);
            book.decode(&again, &mut decoded);
            assert_eq!(bits(&decoded), bits(&out), "byte {byte}");
        }
    }
}

#[test]
fn trap_17_a_damaged_book_is_refused_or_harmless() {
    let mut random = Random::new(11);
    for row_bytes in [9, 14] {
        let sample: Vec<f32> = if row_bytes == 14 { halves(10)[..700].to_vec() } else { random.floats(700) };
        let bytes = train(&sample, 7, row_bytes).as_bytes().to_vec();
        for length in 0..bytes.len() {
            let found = Codebook::from_bytes("here", &bytes[..length]);
            assert!(matches!(found, Err(Error::Corrupt { .. })), "length {length}: {found:?}");
        }
        assert!(Codebook::from_bytes("here", &[&bytes[..], &[0]].concat()).is_err());
        for change in 1..=255 {
            for position in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[position] ^= change;
                match Codebook::from_bytes("here", &damaged) {
                    Ok(book) => {
                        assert_eq!((book.as_bytes(), book.dim()), (&damaged[..], 7));
                        for x in [0.0, 1e30, f32::MIN] {
                            assert!(through(&book, &[x; 7]).iter().all(|x| x.is_finite()));
                        }
                    }
                    Err(Error::Corrupt { file, .. }) => assert_eq!(file, "here"),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn trap_17_impossible_numbers_are_refused_by_name() {
    let bytes = train(&Random::new(12).floats(700), 7, 9).as_bytes().to_vec();
    let (bits_at, lows, steps) = (40, 47, 47 + 28);
    let refused = |offset: usize, new: &[u8], says: &str| {
        let mut damaged = bytes.clone();
        damaged[offset..offset + new.len()].copy_from_slice(new);
        let error = Codebook::from_bytes("here", &damaged).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { .. }) && error.to_string().contains(says), "{error}");
    };
    refused(bits_at + 3, &[17], "17");
    refused(bits_at + 3, &[255], "255");
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        refused(lows + 8, &bad.to_le_bytes(), "finite");
        refused(steps + 8, &bad.to_le_bytes(), "finite");
    }
    refused(steps + 8, &(-1.0f32).to_le_bytes(), "-1");
    refused(steps + 8, &f32::MAX.to_le_bytes(), "finite");
    refused(0, &4u32.to_le_bytes(), "kind 4");
    refused(4, &u32::MAX.to_le_bytes(), "4294967295");
    refused(8, &1u32.to_le_bytes(), "1 symbols");
    refused(12, &u32::MAX.to_le_bytes(), "4294967295");
    refused(16, &2u32.to_le_bytes(), "form 2");
}

/// A store of `rows` compressed to `ratio`, opened anew, and what it gives back.
fn stored(rows: &[f32], ratio: f64) -> (CompressReport, Vec<f32>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store"), DIM as u32, &Options::default()).unwrap();
    let count = (rows.len() / DIM) as u64;
    store.insert(None, rows).unwrap();
    store.commit().unwrap();
    let report =
        store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store.close().unwrap();
    let store = Store::open(&directory.path().join("store"), DIM as u32, &Options::default()).unwrap();
    let ids: Vec<u64> = (0..count).collect();
    let mut out = vec![f32::NAN; rows.len()];
    store.get(&ids, &mut out, None).unwrap();
    assert!(report.ratio >= ratio, "{report:?}");
    (report, out)
}

#[test]
fn through_a_store_bytes_and_halves_are_exact_and_ratio_2_is_reached() {
    let rows = sift();
    let (report, found) = stored(&rows, 3.5);
    assert_eq!((report.codec, report.code_bytes, report.relative_mse), (OMEN_CODEC_SCALAR, 128, 0.0));
    assert_eq!(bits(&found), bits(&rows));
    let rows = halves(5000);
    let (report, found) = stored(&rows, 1.9);
    assert_eq!((report.codec, report.code_bytes, report.worst_relative_error), (OMEN_CODEC_SCALAR, 256, 0.0));
    assert_eq!(bits(&found), bits(&rows));
    let (report, found) = stored(&rows, 2.0);
    assert!(report.code_bytes < 256 && report.relative_mse < 1e-6, "{report:?}");
    assert!((relative_mse(&rows, &found) / report.relative_mse - 1.0).abs() < 1e-6);
}

#[test]
fn whole_numbers_of_small_ranges_are_exact_at_every_ratio_they_reach() {
    // One bit a dim.
    let ones = zeros_and_ones(2000);
    for ratio in [0.0, 4.0, 16.0, 21.0] {
        let (report, out) = stored(&ones, ratio);
        assert_eq!((report.codec, report.code_bytes, report.relative_mse), (OMEN_CODEC_SCALAR, 16, 0.0), "{report:?}");
        assert_eq!(bits(&out), bits(&ones));
    }
    // A larger value adds bits to its own dim only.
    let mut more = ones.clone();
    more[77] = 9.0;
    let (report, out) = stored(&more, 16.0);
    assert_eq!((report.codec, report.code_bytes), (OMEN_CODEC_SCALAR, 17), "{report:?}");
    assert_eq!(bits(&out), bits(&more));
    // Thirds are not whole numbers.
    let thirds: Vec<f32> = ones.iter().map(|value| value / 3.0).collect();
    assert_ne!(stored(&thirds, 16.0).0.codec, OMEN_CODEC_SCALAR);
}

#[test]
fn symbols_of_several_dims_find_what_an_exact_search_finds() {
    let ones = zeros_and_ones(3000);
    let queries: Vec<f32> = ones.iter().step_by(11).copied().take(20 * DIM).collect();
    for metric in Metric::ALL {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { metric: Some(metric), ..Options::default() };
        let store = Store::open(&directory.path().join("store"), DIM as u32, &options).unwrap();
        store.insert(None, &ones).unwrap();
        let nearest = |is_exact| {
            let (mut ids, mut distances) = (vec![0; 20 * 10], vec![f32::NAN; 20 * 10]);
            let options = SearchOptions { is_exact, ..SearchOptions::default() };
            store.search(&queries, 10, &options, &mut ids, &mut distances).unwrap();
            distances
        };
        let expected = nearest(true);
        store.compress(&CompressOptions { ratio: 16.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
        let found = nearest(false);
        // Rows at the same distance are as good as each other.
        let missed = expected.iter().zip(&found).filter(|(expected, found)| (*found - *expected).abs() > 1e-5).count();
        assert!(missed <= 4, "{metric}: {missed} of 200");
    }
}

#[test]
fn the_report_names_the_codec() {
    let codecs = [WINDOWS, SCALAR, FORMULA].map(|codec| codec as i32);
    assert_eq!([OMEN_CODEC_WINDOWS, OMEN_CODEC_SCALAR, OMEN_CODEC_FORMULA], codecs);
    let rows = &sift()[..1000 * DIM];
    assert_eq!(stored(rows, 4.0).0.codec, OMEN_CODEC_SCALAR);
    assert_eq!(stored(rows, 16.0).0.codec, OMEN_CODEC_FORMULA);
    assert_eq!(stored(&sift(), 16.0).0.codec, OMEN_CODEC_WINDOWS);
}
