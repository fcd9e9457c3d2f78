//! Formula books that are forged, cut, extended and flipped: each is refused, or is a codebook that does no harm.

use crate::random::Random;
use crate::{any_codes, decode, encode, low_rank, scaled, shape, try_train, watched};
use omen::codec::{Codebook, Quality};
use omen::metric::Metric;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of a codebook before its means.
const MEANS_AT: usize = 64;

/// The dim of a codebook to forge.
const ROTATED_DIM: usize = 16;

/// Bytes of this codebook before its directions: head and means, side byte, variances.
fn rotation_at() -> usize {
    MEANS_AT + ROTATED_DIM + 3 * 4 + 4 + ROTATED_DIM
}

/// A codebook of [`ROTATED_DIM`] dims with a side byte and directions.
fn rotated_book() -> Codebook {
    let (dim, shape) = (ROTATED_DIM, shape(ROTATED_DIM, Some(Metric::L2), Quality::Fast));
    let book = try_train(&low_rank(600, dim, 6, 2), &shape, 10, 100_000).unwrap().unwrap();
    assert!(book.as_bytes().len() > rotation_at() + dim && book.side_bytes() == 1);
    book
}

/// Uses a codebook if `bytes` are one: every code decodes to finite floats, whatever it was made of. True if it is one.
/// A panic or much memory fails the test.
fn use_forged(what: &str, bytes: &[u8]) -> bool {
    const MOST_BYTES: usize = 32 << 20;
    let used = catch_unwind(AssertUnwindSafe(|| {
        watched(|| {
            let Ok(book) = Codebook::from_bytes("a file", bytes) else { return false };
            assert_eq!(book.as_bytes(), bytes);
            let row: Vec<f32> = (0..book.dim()).map(|column| column as f32 - 7.5).collect();
            let mut rows = decode(&book, &any_codes(book.row_bytes()));
            let (scaled, _) = scaled::scale(&book, &row);
            let codes = encode(&book, &scaled);
            rows.extend(decode(&book, &codes));
            assert!(rows.iter().all(|value| value.is_finite()));
            for metric in Metric::ALL {
                let _ = book.table(metric, &row);
                let _ = book.corrected(&codes, &row, &row, 1.0);
            }
            true
        })
    }));
    let (is_book, most) = used.unwrap_or_else(|_| panic!("{what}: panicked"));
    assert!(most <= MOST_BYTES, "{what}: {most} bytes");
    is_book
}

#[test]
fn forged_fields_are_refused_or_do_no_harm() {
    const NUMBERS: [u32; 22] = [
        0,
        1,
        2,
        3,
        15,
        16,
        48,
        129,
        144,
        255,
        65_535,
        65_536,
        65_537,
        0x0080_0000, // the least normal float
        0x3f80_0000, // 1
        0x3f80_0001,
        0x7e80_0000, // 2^126
        0x7f7f_ffff, // the largest float
        0x7f80_0000, // infinity
        0x7fc0_0000, // NaN
        0x8000_0000,
        u32::MAX,
    ];
    let book = rotated_book();
    let (mut refused, mut used) = (0, 0);
    for at in 0..book.as_bytes().len() - 3 {
        // Up to the means all fields have four bytes. Levels of directions are all alike.
        let step = if at < MEANS_AT {
            4
        } else if at < rotation_at() + 20 {
            1
        } else {
            7
        };
        if !at.is_multiple_of(step) {
            continue;
        }
        for number in NUMBERS {
            let mut bytes = book.as_bytes().to_vec();
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            let is_book = use_forged(&format!("{number:#x} at {at}"), &bytes);
            *if is_book { &mut used } else { &mut refused } += 1;
        }
    }
    assert!(refused > 100 && used > 500, "{refused} refused, {used} used");
}

#[test]
fn the_largest_numbers_of_a_book_decode_to_finite_floats() {
    let book = rotated_book();
    let variance_at = MEANS_AT + ROTATED_DIM + 3 * 4;
    for (unit, step, variance) in [(2.0_f32.powi(126), f32::MAX / 128.0, 1e12), (2.0_f32.powi(-126), 0.0, 1e12)] {
        let mut bytes = book.as_bytes().to_vec();
        for (at, value) in [(24, unit), (60, step), (variance_at, variance)] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes[MEANS_AT..MEANS_AT + ROTATED_DIM].fill(0x81); // -127
        assert!(use_forged("the largest numbers", &bytes));
    }
}

#[test]
fn cut_and_extended_books_are_refused() {
    let book = rotated_book();
    for length in 0..book.as_bytes().len() {
        assert!(!use_forged(&format!("cut to {length}"), &book.as_bytes()[..length]));
    }
    for more in [1, 4, 4096] {
        assert!(!use_forged("extended", &[book.as_bytes(), &vec![0; more]].concat()));
    }
}

#[test]
fn flipped_books_are_refused_or_do_no_harm() {
    let (book, mut random) = (rotated_book(), Random::new(17));
    let mut used = 0;
    for round in 0..2000 {
        let mut bytes = book.as_bytes().to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.index(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        used += u32::from(use_forged(&format!("round {round}"), &bytes));
    }
    assert!(used > 300, "{used}");
}

/// The bytes of a book of `variances` without rotation and without a side byte.
fn book_of(symbols: u32, variances: &[u8]) -> Vec<u8> {
    let dim = variances.len();
    let numbers = [4, dim as u32, symbols, 0, 1, 16, 1.0f32.to_bits(), 0, 7, 0];
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend([0, 1.0f32.to_bits(), f32::MAX.to_bits(), 0].iter().flat_map(|number: &u32| number.to_le_bytes()));
    bytes.extend([1e9f32, 0.0].iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend(vec![0; dim]);
    bytes.extend(1.0f32.to_le_bytes());
    bytes.extend(variances);
    bytes.push(0);
    bytes
}

#[test]
fn variances_of_any_shape_take_bounded_memory() {
    let mut random = Random::new(4);
    for dim in [1, 2, 3, 50, 400] {
        let one = |column: usize, other: u8| if column == dim / 2 { 255 } else { other };
        let shapes: [Vec<u8>; 5] = [
            (0..dim).map(|column| one(column, 0)).collect(),
            (0..dim).map(|column| one(column, 1)).collect(),
            (0..dim).map(|column| (column * 255 / dim) as u8 + 1).collect(),
            (0..dim).map(|column| if column % 2 == 0 { 255 } else { 1 }).collect(),
            (0..dim).map(|_| random.next() as u8).collect(),
        ];
        for variances in shapes {
            let coded = variances.iter().filter(|byte| **byte > 0).count() as u32;
            for symbols in [1, 2, 5, coded, 2 * coded, 2 * coded + 1, 2 * dim as u32] {
                let what = format!("{symbols} symbols of {dim} dims");
                assert_eq!(use_forged(&what, &book_of(symbols, &variances)), symbols <= 2 * coded, "{what}");
            }
        }
    }
}
