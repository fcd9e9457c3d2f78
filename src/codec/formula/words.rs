//! The 16 codewords of each symbol: points on a sphere that repel each other, stretched to the variances of the plan.
//!
//! Words are drawn at random, and then pushed apart like equal charges. In the space of the sphere a dim is weighed by
//! the bits that the symbol spends on it, so that all words say equally much. Each round also gives every dim mean
//! zero and the same variance.

use super::plan::{DimShare, RatePlan};
use crate::codec::random::Random;
use crate::kernels::CODEWORDS;

/// Rounds of pushing: 60 leave 0.4 % more error, 600 no less.
const ROUNDS: usize = 100;

/// How far the word component that is pushed most moves in a round, in units of the radius.
const STEP: f32 = 0.15;

/// Words are larger than the variances they should remove. 1.0 leaves a few percent more error, 1.15 the same.
const GAIN: f64 = 1.1;

/// The least weight of a dim on the sphere.
const WEIGHT_MIN: f32 = 1e-3;

/// The least squared distance of two words that counts, so that equal words do not push infinitely hard.
const NEAREST: f32 = 1e-6;

/// A component of all 16 words.
type Component = [f32; CODEWORDS];

/// The words of all symbols of `plan`, `[16][width]` each at the offset of its window, for dims with the `largest`
/// variance. Random numbers are those of `seed`.
pub(super) fn words(plan: &RatePlan, largest: f32, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; plan.shares.len() * CODEWORDS];
    for (symbol, window) in (0..).zip(&plan.windows) {
        let shares = &plan.shares[RatePlan::shares_of(window)];
        let values = &mut values[window.offset..window.offset + CODEWORDS * window.width];
        write_words(shares, largest, &mut Random::new(seed, symbol), values);
    }
    values
}

/// Writes the words of a symbol with these `shares: [width]` into `values: [16][width]`.
fn write_words(shares: &[DimShare], largest: f32, random: &mut Random, values: &mut [f32]) {
    let covered: Vec<usize> = (0..shares.len()).filter(|dim| shares[*dim].bits > 0.0).collect();
    let bits: Vec<f64> = covered.iter().map(|dim| shares[*dim].bits).collect();
    for (dim, component) in covered.iter().zip(&spread(&bits, random)) {
        let deviation = GAIN * (shares[*dim].variance * f64::from(largest)).sqrt();
        for (word, value) in values.chunks_exact_mut(shares.len()).zip(component) {
            word[*dim] = (deviation * f64::from(*value)) as f32;
        }
    }
}

/// 16 words of variance one in each dim, far from each other if a dim is weighed by its `bits: [dims]`.
fn spread(bits: &[f64], random: &mut Random) -> Vec<Component> {
    if bits.len() == 1 {
        return vec![evenly_spaced()];
    }
    let all: f64 = bits.iter().sum();
    let weights: Vec<f32> = bits.iter().map(|bits| ((bits / all).sqrt() as f32).max(WEIGHT_MIN)).collect();
    let mut words: Vec<Component> = bits.iter().map(|_| std::array::from_fn(|_| random.normal())).collect();
    let mut pushes = vec![[0.0; CODEWORDS]; words.len()];
    for _ in 0..ROUNDS {
        for (component, weight) in words.iter_mut().zip(&weights) {
            *component = component.map(|value| value * weight);
        }
        put_on_sphere(&mut words);
        push_apart(&mut words, &mut pushes);
        put_on_sphere(&mut words);
        // The weight scales a whole dim, so it does not matter once the variance is one.
        words.iter_mut().for_each(standardize);
    }
    words
}

/// A sphere of one dim has two points only; this is a scale of 16 of variance one.
fn evenly_spaced() -> Component {
    let mut component = std::array::from_fn(|word| word as f32);
    standardize(&mut component);
    component
}

/// Divides each of `words: [dims]` by its length.
fn put_on_sphere(words: &mut [Component]) {
    let mut squares = [0.0; CODEWORDS];
    for component in words.iter() {
        for (square, value) in squares.iter_mut().zip(component) {
            *square += value * value;
        }
    }
    let factors = squares.map(|square: f32| 1.0 / square.max(f32::MIN_POSITIVE).sqrt());
    for component in words {
        component.iter_mut().zip(&factors).for_each(|(value, factor)| *value *= factor);
    }
}

/// Moves each word away from all others, by forces that fall with the cube of the distance. `words: [dims]` are on the
/// sphere; `pushes: [dims]` is room for the forces.
fn push_apart(words: &mut [Component], pushes: &mut [Component]) {
    let (forces, totals) = forces(words);
    let mut most = [f32::MIN_POSITIVE; CODEWORDS];
    for (component, push) in words.iter().zip(pushes.iter_mut()) {
        *push = std::array::from_fn(|word| component[word] * totals[word]);
        for (value, forces) in component.iter().zip(&forces) {
            push.iter_mut().zip(forces).for_each(|(push, force)| *push -= value * force);
        }
        most.iter_mut().zip(push).for_each(|(most, push)| *most = most.max(push.abs()));
    }
    let step = STEP / most.iter().fold(0.0, |most: f32, of_word| most.max(*of_word));
    for (component, push) in words.iter_mut().zip(pushes) {
        component.iter_mut().zip(push).for_each(|(value, push)| *value += step * *push);
    }
}

/// 1 / distance⁴ of each pair of words, with 0 for a word and itself, and the sum of these for each word.
fn forces(words: &[Component]) -> ([Component; CODEWORDS], Component) {
    let mut products = [[0.0; CODEWORDS]; CODEWORDS];
    for component in words {
        for (products, value) in products.iter_mut().zip(component) {
            products.iter_mut().zip(component).for_each(|(product, other)| *product += value * other);
        }
    }
    let mut totals = [0.0; CODEWORDS];
    for (word, forces) in products.iter_mut().enumerate() {
        // Words have length one, so their squared distance is 2 - 2 · product.
        *forces = forces.map(|product| (2.0 - 2.0 * product).max(NEAREST)).map(|square| 1.0 / (square * square));
        forces[word] = 0.0;
        totals.iter_mut().zip(forces).for_each(|(total, force)| *total += *force);
    }
    (products, totals)
}

/// Gives a component mean zero and variance one over the words.
fn standardize(component: &mut Component) {
    let mean = sum(component) / CODEWORDS as f32;
    *component = component.map(|value| value - mean);
    let variance = sum(&component.map(|value| value * value)) / CODEWORDS as f32;
    let factor = 1.0 / variance.max(f32::MIN_POSITIVE).sqrt();
    *component = component.map(|value| value * factor);
}

/// The sum over all words, by halves, which vectorizes.
fn sum(component: &Component) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|word| component[word] + component[word + 8]);
    let four: [f32; 4] = std::array::from_fn(|word| eight[word] + eight[word + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
mod tests {
    use super::{CODEWORDS, RatePlan, spread, words};
    use crate::codec::random::Random;
    use xxhash_rust::xxh3::xxh3_64;

    /// The least distance of two words on the sphere of `bits.len()` dims.
    fn nearest(bits: &[f64]) -> f32 {
        let words = spread(bits, &mut Random::new(1, 2));
        let all: f64 = bits.iter().sum();
        let distance = |a: usize, b: usize| {
            let squares = words.iter().zip(bits).map(|(component, bits)| {
                (bits / all) as f32 * (component[a] - component[b]) * (component[a] - component[b])
            });
            squares.sum::<f32>().sqrt()
        };
        let pairs = (0..CODEWORDS).flat_map(|a| (0..a).map(move |b| (a, b)));
        pairs.map(|(a, b)| distance(a, b)).fold(f32::MAX, f32::min)
    }

    #[test]
    fn words_are_far_from_each_other() {
        // At radius one, a simplex of 16 points has edges of √(2 · 16 / 15) = 1.46.
        assert!(nearest(&[1.0; 15]) > 1.3, "{}", nearest(&[1.0; 15]));
        assert!(nearest(&[0.25; 24]) > 1.3, "{}", nearest(&[0.25; 24]));
        assert!(nearest(&[1.3; 3]) > 0.6, "{}", nearest(&[1.3; 3]));
        assert!(nearest(&[4.0]) > 0.2, "{}", nearest(&[4.0]));
    }

    #[test]
    fn words_have_mean_zero_and_the_variance_of_the_plan() {
        let logarithms: Vec<f64> = (0..60).map(|dim| -0.1 * f64::from(dim)).collect();
        let plan = RatePlan::new(&logarithms, 30);
        let values = words(&plan, 2.0, 7);
        assert_eq!(values, words(&plan, 2.0, 7));
        assert_ne!(values, words(&plan, 2.0, 8));
        for window in &plan.windows {
            let shares = &plan.shares[RatePlan::shares_of(window)];
            for (dim, share) in shares.iter().enumerate() {
                let component = (0..CODEWORDS).map(|word| values[window.offset + word * window.width + dim]);
                let (sum, squares) = component.fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v));
                let expected = 1.1 * 1.1 * 2.0 * share.variance as f32;
                assert!(sum.abs() <= 1e-4 * expected.sqrt(), "{window:?} {dim}: {sum}");
                assert!((squares / 16.0 - expected).abs() <= 1e-4 * expected, "{window:?} {dim}: {squares}");
            }
        }
    }

    #[test]
    fn words_are_the_same_bits_on_every_machine() {
        let logarithms: Vec<f64> = (0..60).map(|dim| -0.1 * f64::from(dim)).collect();
        let values = words(&RatePlan::new(&logarithms, 30), 2.0, 7);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(xxh3_64(&bytes), 7_551_605_633_604_358_356);
    }
}
