//! Checks and copies of floats.

use crate::{LENGTHS, Results, bits, levels, noise};
use omen::kernels::{self, Kernels};

/// `values[start..]` of finite values, with a NaN at `position` if there is one.
pub fn first_not_finite(kernels: &Kernels) -> Results {
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
