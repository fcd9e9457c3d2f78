//! Quantizers of a normal distribution with mean zero and variance one.

/// The most bits of a quantizer.
pub(super) const LEVEL_BITS_MAX: u8 = 8;

/// The positive levels of the quantizers of 1 to 6 bits with the least squared error (Max: Quantizing for Minimum
/// Distortion, IRE Trans. Inf. Theory 1960; Lloyd 1982). The negative ones mirror them.
const POSITIVE: [&[f32]; 6] = [
    &[0.797_88],
    &[0.452_78, 1.510_42],
    &[0.245_09, 0.756_01, 1.343_91, 2.151_95],
    &[0.1284, 0.388_05, 0.656_76, 0.942_34, 1.256_23, 1.618_05, 2.069_02, 2.732_59],
    &[
        0.065_89, 0.198_05, 0.331_38, 0.4667, 0.604_93, 0.747_14, 0.894_57, 1.048_78, 1.2118, 1.386_34, 1.576_23,
        1.787_23, 2.028_73, 2.317_74, 2.691_12, 3.260_73,
    ],
    &[
        0.033_41, 0.100_28, 0.1673, 0.234_57, 0.302_19, 0.370_28, 0.438_95, 0.508_31, 0.5785, 0.649_66, 0.721_92,
        0.795_47, 0.870_48, 0.947_15, 1.025_74, 1.106_49, 1.189_72, 1.275_79, 1.365_14, 1.458_28, 1.555_83, 1.658_59,
        1.767_54, 1.883_98, 2.009_61, 2.146_81, 2.298_98, 2.4713, 2.672_27, 2.917_41, 3.240_44, 3.7441,
    ],
];

/// The largest levels with 7 and 8 bits, whose levels are evenly spaced. Levels as above would have half the error,
/// which is 0.03 % of the square or less either way.
const EVEN_ENDS: [f32; 2] = [3.6, 4.0];

/// The rising levels of the quantizer of `bits`, 1 to 8: `[2^bits]`.
pub(super) fn levels(bits: u8) -> Vec<f32> {
    let half = 1 << (bits - 1);
    let even = |index: u16, end: f32| end * f32::from(2 * index + 1) / f32::from(2 * half - 1);
    let positive: Vec<f32> = match POSITIVE.get(usize::from(bits) - 1) {
        Some(positive) => positive.to_vec(),
        None => (0..half).map(|index| even(index, EVEN_ENDS[usize::from(bits) - 1 - POSITIVE.len()])).collect(),
    };
    positive.iter().rev().map(|level| -level).chain(positive.iter().copied()).collect()
}

/// The borders between rising `levels`, halfway: a value has as many borders below it as its nearest level has levels.
pub(super) fn borders(levels: &[f32]) -> Vec<f32> {
    levels.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect()
}

/// The number of the level nearest to `value`, for levels with these `borders`.
pub(super) fn nearest_level(borders: &[f32], value: f32) -> usize {
    borders.partition_point(|border| *border < value)
}

#[cfg(test)]
mod tests {
    use super::{LEVEL_BITS_MAX, borders, levels, nearest_level};
    use crate::codec::random::Random;

    #[test]
    fn levels_have_the_error_of_the_best_quantizers() {
        let mut random = Random::new(1, 2);
        let values: Vec<f32> = (0..40_000).map(|_| random.normal()).collect();
        let best = [0.3634, 0.117_48, 0.034_55, 0.009_501, 0.002_505, 0.000_644_2, 0.000_304, 0.000_088_2];
        for (bits, best) in (1..=LEVEL_BITS_MAX).zip(best) {
            let levels = levels(bits);
            let borders = borders(&levels);
            assert_eq!(levels.len(), 1 << bits);
            assert!(levels.is_sorted_by(|a, b| a < b));
            let error = |value: &f32| (levels[nearest_level(&borders, *value)] - value).powi(2);
            let mean = values.iter().map(error).sum::<f32>() / values.len() as f32;
            assert!((mean / best - 1.0).abs() < 0.1, "{bits}: {mean} {best}");
        }
    }

    #[test]
    fn the_nearest_level_is_found() {
        let levels = levels(4);
        let borders = borders(&levels);
        for step in -500..500 {
            let value = step as f32 / 100.0;
            let found = nearest_level(&borders, value);
            let least = levels.iter().map(|level| (level - value).abs()).fold(f32::MAX, f32::min);
            assert_eq!((levels[found] - value).abs(), least);
        }
    }
}
