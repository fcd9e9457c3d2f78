//! The search with look-ahead for AVX2: the parts of `look_ahead` that are written by hand.
//!
//! Only loops, and no closures passed to `map` or `from_fn`: those are compiled without AVX2, and a closure with it is
//! then called for each element.

use super::look_ahead::{BeamPaths, KEPT_ROOM, LEVEL_MAX, Step, steps_per_cost};
use super::{CODEWORDS, Lanes};
use std::arch::x86_64::*;

/// Sixteen floats in two registers.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn halves(floats: &[f32; CODEWORDS]) -> [__m256; 2] {
    // SAFETY: reads twice 32 bytes, together the size of `floats`, at any alignment.
    unsafe { [_mm256_loadu_ps(floats.as_ptr()), _mm256_loadu_ps(floats.as_ptr().add(8))] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_halves(halves: [__m256; 2], to: &mut [f32; CODEWORDS]) {
    // SAFETY: writes twice 32 bytes, together the size of `to`, at any alignment.
    unsafe {
        _mm256_storeu_ps(to.as_mut_ptr(), halves[0]);
        _mm256_storeu_ps(to.as_mut_ptr().add(8), halves[1]);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_levels(levels: &[u8; 32]) -> __m256i {
    // SAFETY: reads 32 bytes, the size of `levels`, at any alignment.
    unsafe { _mm256_loadu_si256(levels.as_ptr().cast()) }
}

/// Equals `portable::extend_all`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn extend_all(
    base: &[f32; CODEWORDS],
    tables: &[[Lanes; CODEWORDS]],
    now: &BeamPaths,
    costs: &mut [[f32; CODEWORDS]],
) {
    let (latest, earlier) = tables.split_at(tables.len().min(8));
    add_tables::<true>(base, latest, now, 0, costs);
    for (number, tables) in earlier.chunks(8).enumerate() {
        add_tables::<false>(base, tables, now, number + 1, costs);
    }
}

/// Adds to the costs what at most 8 symbols add, those before the latest 8 · `eights`. If they `START`, the costs are
/// `base` and the cost of the path before.
#[inline]
#[target_feature(enable = "avx2")]
fn add_tables<const START: bool>(
    base: &[f32; CODEWORDS],
    tables: &[[Lanes; CODEWORDS]],
    now: &BeamPaths,
    eights: usize,
    costs: &mut [[f32; CODEWORDS]],
) {
    match tables.len() {
        0 => add_all::<START, 0>(base, tables, now, eights, costs),
        1 => add_all::<START, 1>(base, tables, now, eights, costs),
        2 => add_all::<START, 2>(base, tables, now, eights, costs),
        3 => add_all::<START, 3>(base, tables, now, eights, costs),
        4 => add_all::<START, 4>(base, tables, now, eights, costs),
        5 => add_all::<START, 5>(base, tables, now, eights, costs),
        6 => add_all::<START, 6>(base, tables, now, eights, costs),
        7 => add_all::<START, 7>(base, tables, now, eights, costs),
        _ => add_all::<START, 8>(base, tables, now, eights, costs),
    }
}

/// See `add_tables`. The number of tables is constant, because a loop over them would take as long as the additions.
#[inline]
#[target_feature(enable = "avx2")]
fn add_all<const START: bool, const COUNT: usize>(
    base: &[f32; CODEWORDS],
    tables: &[[Lanes; CODEWORDS]],
    now: &BeamPaths,
    eights: usize,
    costs: &mut [[f32; CODEWORDS]],
) {
    let (Some(tables), base) = (tables.first_chunk::<COUNT>(), halves(base)) else { return };
    for (costs, (cost, history)) in costs.iter_mut().zip(now.costs.iter().zip(&now.histories)) {
        let mut total = if START {
            let cost = _mm256_set1_ps(*cost);
            [_mm256_add_ps(base[0], cost), _mm256_add_ps(base[1], cost)]
        } else {
            halves(costs)
        };
        let history = (history >> (32 * eights)) as u32;
        for (number, table) in tables.iter().enumerate() {
            let added = halves(&table[(history >> (4 * number)) as usize % CODEWORDS].0);
            total = [_mm256_add_ps(total[0], added[0]), _mm256_add_ps(total[1], added[1])];
        }
        store_halves(total, costs);
    }
}

/// Equals `portable::keep_cheapest`. The number of paths is even.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn keep_cheapest(costs: &[[f32; CODEWORDS]], least: f32, bound: f32, levels: &mut [u8], kept: &mut [u16]) {
    let (levels, count) = (levels.as_chunks_mut::<32>().0, kept.len() - KEPT_ROOM);
    set_levels(costs, least, steps_per_cost(least, bound), levels);
    // The level of the last one kept: the largest that fewer extensions are below than are kept. Two bits a round.
    const { assert!(LEVEL_MAX == 63) };
    let mut last = 0;
    for shift in [4, 2, 0] {
        let part = 1 << shift;
        for below in count_below(levels, [last + part, last + 2 * part, last + 3 * part]) {
            last += u8::from(below < count) << shift;
        }
    }
    let limit = _mm256_set1_epi8(last as i8);
    let (mut filled, mut first) = (0, _mm_setzero_si128());
    for levels in levels.iter() {
        let mut below = _mm256_movemask_epi8(_mm256_cmpgt_epi8(limit, load_levels(levels))) as u32;
        for _ in 0..4 {
            let byte = (below & 255) as usize;
            // SAFETY: reads the 16 bytes of an entry, and writes 16 from `filled` on, at any alignment. Fewer than
            // `count` levels are below `last`, so `filled` is less, and `kept` has room for 8 more than `count`.
            unsafe {
                let positions = _mm_loadu_si128(POSITIONS[byte].as_ptr().cast());
                _mm_storeu_si128(kept.as_mut_ptr().add(filled).cast(), _mm_add_epi16(first, positions));
            }
            filled += usize::from(ONES[byte]);
            first = _mm_add_epi16(first, _mm_set1_epi16(8));
            below >>= 8;
        }
    }
    for (number, levels) in levels.iter().enumerate() {
        let mut equal = _mm256_movemask_epi8(_mm256_cmpeq_epi8(load_levels(levels), limit)) as u32;
        while equal != 0 && filled < count {
            kept[filled] = (32 * number) as u16 + equal.trailing_zeros() as u16;
            filled += 1;
            equal &= equal - 1;
        }
        if filled == count {
            break;
        }
    }
}

/// For each byte, the positions of the bits that are 1, the lowest first.
pub(super) static POSITIONS: [[u16; 8]; 256] = {
    let (mut all, mut byte) = ([[0; 8]; 256], 0);
    while byte < 256 {
        let (mut position, mut count) = (0, 0);
        while position < 8 {
            if byte >> position & 1 == 1 {
                all[byte][count] = position;
                count += 1;
            }
            position += 1;
        }
        byte += 1;
    }
    all
};

/// For each byte, the number of bits that are 1. AVX2 does not include an instruction for it.
pub(super) static ONES: [u8; 256] = {
    let (mut all, mut byte) = ([0; 256], 0);
    while byte < 256 {
        all[byte] = (byte as u8).count_ones() as u8;
        byte += 1;
    }
    all
};

/// Equals `portable::add_growth`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn add_growth(step: &Step<'_>, now: &BeamPaths, next: &mut BeamPaths) {
    match step.growth.len() {
        1 => add_growth_by::<1>(step, now, next),
        2 => add_growth_by::<2>(step, now, next),
        3 => add_growth_by::<3>(step, now, next),
        4 => add_growth_by::<4>(step, now, next),
        5 => add_growth_by::<5>(step, now, next),
        6 => add_growth_by::<6>(step, now, next),
        7 => add_growth_by::<7>(step, now, next),
        _ => add_growth_by::<8>(step, now, next),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_growth_by<const SIXTEENS: usize>(step: &Step<'_>, now: &BeamPaths, next: &mut BeamPaths) {
    let (mut row, mut growth) = ([[_mm256_setzero_ps(); 2]; SIXTEENS], [[_mm256_setzero_ps(); 2]; SIXTEENS]);
    for sixteen in 0..SIXTEENS {
        growth[sixteen] = halves(&step.growth[sixteen].0);
        if let Some(values) = step.row[sixteen * CODEWORDS..].first_chunk() {
            row[sixteen] = halves(values);
        }
    }
    let tails = step.tails.as_chunks::<SIXTEENS>().0;
    let sums = next.sums.as_chunks_mut::<CODEWORDS>().0.chunks_exact_mut(2 * SIXTEENS);
    for ((index, cost), sums) in step.kept.iter().zip(&mut next.costs).zip(sums) {
        let (parent, codeword) = (usize::from(*index) / CODEWORDS, usize::from(*index) % CODEWORDS);
        let before = now.sums[2 * SIXTEENS * CODEWORDS * parent + step.own..].as_chunks::<CODEWORDS>().0;
        let (Some(before), Some(sums)) = (before.first_chunk::<SIXTEENS>(), sums.first_chunk_mut::<SIXTEENS>()) else {
            return;
        };
        let mut squares = [_mm256_setzero_ps(); 2];
        for sixteen in 0..SIXTEENS {
            let (before, tails) = (halves(&before[sixteen]), halves(&tails[codeword][sixteen].0));
            for half in 0..2 {
                let sum = _mm256_add_ps(before[half], tails[half]);
                // SAFETY: writes 8 of 16 floats at any alignment.
                unsafe { _mm256_storeu_ps(sums[sixteen].as_mut_ptr().add(8 * half), sum) }
                let residual = _mm256_sub_ps(row[sixteen][half], sum);
                let square = _mm256_mul_ps(_mm256_mul_ps(residual, residual), growth[sixteen][half]);
                squares[half] = _mm256_add_ps(squares[half], square);
            }
        }
        let eight = _mm256_add_ps(squares[0], squares[1]);
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        *cost += _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }
}

/// The levels of `costs`, whose least is given.
#[inline]
#[target_feature(enable = "avx2")]
fn set_levels(costs: &[[f32; CODEWORDS]], least: f32, scale: f32, levels: &mut [[u8; 32]]) {
    let (least, scale, most) = (_mm256_set1_ps(least), _mm256_set1_ps(scale), _mm256_set1_ps(f32::from(LEVEL_MAX)));
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (levels, costs) in levels.iter_mut().zip(costs.as_chunks::<2>().0) {
        let mut steps = [_mm256_setzero_si256(); 4];
        for (steps, costs) in steps.as_chunks_mut::<2>().0.iter_mut().zip(costs) {
            let costs = halves(costs);
            for half in 0..2 {
                let above = _mm256_mul_ps(_mm256_sub_ps(costs[half], least), scale);
                steps[half] = _mm256_cvttps_epi32(_mm256_min_ps(above, most));
            }
        }
        let (low, high) = (_mm256_packus_epi32(steps[0], steps[1]), _mm256_packus_epi32(steps[2], steps[3]));
        let bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
        // SAFETY: writes 32 bytes, the size of `levels`, at any alignment.
        unsafe { _mm256_storeu_si256(levels.as_mut_ptr().cast(), bytes) }
    }
}

/// How many of `levels` are below each of three limits. At most 64 times 32 levels: a byte of a sum cannot overflow.
/// Levels are at most `LEVEL_MAX`, so their comparison as signed numbers is right.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn count_below(levels: &[[u8; 32]], limits: [u8; 3]) -> [usize; 3] {
    let mut wide = [_mm256_setzero_si256(); 3];
    for (wide, limit) in wide.iter_mut().zip(limits) {
        *wide = _mm256_set1_epi8(limit as i8);
    }
    let mut counts = [_mm256_setzero_si256(); 3];
    for levels in levels {
        let levels = load_levels(levels);
        for (count, limit) in counts.iter_mut().zip(&wide) {
            *count = _mm256_sub_epi8(*count, _mm256_cmpgt_epi8(*limit, levels));
        }
    }
    let mut sums = [0; 3];
    for (sum, count) in sums.iter_mut().zip(counts) {
        let four = _mm256_sad_epu8(count, _mm256_setzero_si256());
        let two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four));
        *sum = (_mm_cvtsi128_si64(two) + _mm_extract_epi64::<1>(two)) as usize;
    }
    sums
}
