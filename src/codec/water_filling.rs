//! Reverse water-filling: how the bits of a code are divided among dims of a normal distribution, and the error they leave
//! (Cover, Thomas: Elements of Information Theory, §10.3.3).

use super::exponential::{exp2, log2};

/// log2 of the level of reverse water-filling: dims whose variance is above the level get ½ · log2(variance / level) bits
/// each, `bits` in all. `logarithms` are log2 of the variances. Minus infinity if all of them are that.
pub fn water_level(logarithms: &[f64], bits: f64) -> f64 {
    let mut falling = logarithms.to_vec();
    falling.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut level) = (0.0, f64::NEG_INFINITY);
    for (count, logarithm) in (1u32..).zip(&falling) {
        if *logarithm <= level {
            break;
        }
        sum += logarithm;
        level = (sum - 2.0 * bits) / f64::from(count);
    }
    level
}

/// The least squared error of a code of `bits` for a normal distribution with these `variances`.
pub fn error_bound(variances: &[f64], bits: f64) -> f64 {
    let positive: Vec<f64> = variances.iter().copied().filter(|variance| *variance > 0.0).collect();
    let logarithms: Vec<f64> = positive.iter().map(|variance| log2(*variance)).collect();
    let level = exp2(water_level(&logarithms, bits));
    positive.iter().map(|variance| variance.min(level)).sum()
}

#[cfg(test)]
mod tests {
    use super::{error_bound, log2, water_level};

    #[test]
    fn bits_are_divided_by_reverse_water_filling() {
        // Two bits: the level is 0.5, one and a half of them for the first dim and a half for the second.
        assert!((error_bound(&[4.0, 1.0, 0.25, 0.0], 2.0) - 1.25).abs() < 1e-12);
        assert!((error_bound(&[4.0, 1.0, 0.25], 0.0) - 5.25).abs() < 1e-12);
        let logarithms: Vec<f64> = (1..500).map(|k| log2(1.0 / f64::from(k))).chain([f64::NEG_INFINITY]).collect();
        for bits in [0.25, 10.0, 300.0, 4000.0] {
            let level = water_level(&logarithms, bits);
            let given: f64 = logarithms.iter().map(|l| (l - level).max(0.0) / 2.0).sum();
            assert!((given - bits).abs() < 1e-9 * bits, "{bits}: {given}");
        }
        assert_eq!(water_level(&[f64::NEG_INFINITY; 3], 5.0), f64::NEG_INFINITY);
    }
}
