//! Every level of the kernels equals the portable one to the bit, and the portable one equals plain arithmetic.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod decode;
mod distances;
mod encode;
mod floats;
mod look_ahead;
mod products;
#[path = "../random/mod.rs"]
mod random;
mod scan;

use decode::{add_codewords, add_to_codewords, dequantize};
use distances::results_of_pairs;
use encode::{best_chain, best_symbols, nearest_in_columns};
use floats::first_not_finite;
use look_ahead::{look_ahead, step_search};
use omen::kernels::{self, Kernels, Lanes, Level};
use products::{inner_products, matmul, matmul_i8, results_of_products};
use random::Random;
use scan::scan;

const LENGTHS: std::ops::RangeInclusive<usize> = 0..=67;
const MISALIGNMENTS: std::ops::Range<usize> = 0..16;

/// What a kernel returns for many inputs: a description of the input, and the bits of the output.
type Results = Vec<(String, Vec<u32>)>;

/// A kernel by name, and a function that runs it on inputs of odd lengths and alignments.
type Run = (&'static str, fn(&Kernels) -> Results);

/// Every kernel of the table in `src/kernels/dispatch.rs`.
const RESULTS: [Run; 16] = [
    ("first_not_finite", first_not_finite),
    ("l2sq", |kernels| results_of_pairs(|a, b| vec![kernels.l2sq(a, b)])),
    ("dot", |kernels| results_of_pairs(|a, b| vec![kernels.dot(a, b)])),
    ("dot_and_norm", |kernels| results_of_pairs(|a, b| <[f32; 2]>::from(kernels.dot_and_norm(a, b)).to_vec())),
    ("nearest_in_columns", nearest_in_columns),
    ("best_symbols", best_symbols),
    ("best_chain", best_chain),
    ("look_ahead", look_ahead),
    ("step_search", step_search),
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
fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.signed() / 2.0 * 10.0f32.powi((random.signed() * 3.0) as i32)).collect()
}

#[test]
fn dispatch_takes_the_widest_level() {
    assert_eq!(kernels::kernels().level(), *Level::all_supported().last().unwrap());
    assert!(Level::Portable.is_supported());
    for level in Level::ALL.iter().copied() {
        assert_eq!(level.kernels().map(Kernels::level), level.is_supported().then_some(level));
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn lanes_of(values: &[f32]) -> Vec<Lanes> {
    values.as_chunks().0.iter().copied().map(Lanes).collect()
}
