//! Distances of two vectors.

use crate::{LENGTHS, MISALIGNMENTS, Results, bits, levels, noise, portable};
use omen::kernels::{self, Kernels};
use omen::metric::Metric;

/// The results of `kernel` on two vectors of every length and misalignment.
pub fn results_of_pairs(kernel: impl Fn(&[f32], &[f32]) -> Vec<f32>) -> Results {
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
fn metrics_have_the_numbers_of_the_abi() {
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        assert_eq!(Metric::from_i32(metric as i32), Some(metric));
    }
    for number in [-1, 3, i32::MIN, i32::MAX] {
        assert_eq!(Metric::from_i32(number), None);
    }
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
