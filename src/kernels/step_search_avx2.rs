//! The search in steps for AVX2: the parts of `step_search` that are written by hand. See `look_ahead_avx2` for why there
//! are only loops.

use super::look_ahead::{KEPT_ROOM, LEVEL_MAX, Step};
use super::look_ahead_avx2::{ONES, POSITIONS, count_below, halves, load_levels};
use super::step_search::{DEAR, StepLanes, StepPaths, levels_per_step};
use super::{CODEWORDS, Lanes};
use std::arch::x86_64::*;

#[inline]
#[target_feature(enable = "avx2")]
fn load_steps(steps: &[i16; CODEWORDS]) -> __m256i {
    // SAFETY: reads 32 bytes, the size of `steps`, at any alignment.
    unsafe { _mm256_loadu_si256(steps.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_steps(steps: __m256i, to: &mut [i16; CODEWORDS]) {
    // SAFETY: writes 32 bytes, the size of `to`, at any alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), steps) }
}

/// Equals `portable::extend_steps`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn extend_steps(
    base: &StepLanes,
    tables: &[[StepLanes; CODEWORDS]],
    now: &StepPaths,
    shared: &mut [[i16; CODEWORDS]],
    costs: &mut [[i16; CODEWORDS]],
) {
    let base = load_steps(&base.0);
    let (latest, before) = match tables.split_first() {
        Some((latest, before)) => (Some(latest), before),
        None => (None, tables),
    };
    for shared in shared.iter_mut() {
        store_steps(base, shared);
    }
    for (number, tables) in before.chunks(8).enumerate() {
        add_tables(tables, &now.earlier.0, number, shared);
    }
    for (path, to) in costs.iter_mut().enumerate() {
        let mut total = _mm256_set1_epi16(now.costs.0[path]);
        total = _mm256_add_epi16(total, load_steps(&shared[usize::from(now.parents.0[path])]));
        if let Some(latest) = latest {
            total = _mm256_add_epi16(total, load_steps(&latest[now.histories.0[path] as usize % CODEWORDS].0));
        }
        store_steps(total, to);
    }
}

/// Adds to `shared` what at most 8 symbols of each history add, those before the latest 8 · `eights`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_tables(tables: &[[StepLanes; CODEWORDS]], histories: &[u64], eights: usize, shared: &mut [[i16; CODEWORDS]]) {
    match tables.len() {
        0 => {}
        1 => add_all::<1>(tables, histories, eights, shared),
        2 => add_all::<2>(tables, histories, eights, shared),
        3 => add_all::<3>(tables, histories, eights, shared),
        4 => add_all::<4>(tables, histories, eights, shared),
        5 => add_all::<5>(tables, histories, eights, shared),
        6 => add_all::<6>(tables, histories, eights, shared),
        7 => add_all::<7>(tables, histories, eights, shared),
        _ => add_all::<8>(tables, histories, eights, shared),
    }
}

/// See `add_tables`. The number of tables is constant, because a loop over them would take as long as the additions.
#[inline]
#[target_feature(enable = "avx2")]
fn add_all<const COUNT: usize>(
    tables: &[[StepLanes; CODEWORDS]],
    histories: &[u64],
    eights: usize,
    shared: &mut [[i16; CODEWORDS]],
) {
    let Some(tables) = tables.first_chunk::<COUNT>() else { return };
    for (shared, history) in shared.iter_mut().zip(histories) {
        let (mut total, history) = (load_steps(shared), (history >> (32 * eights)) as u32);
        for (number, table) in tables.iter().enumerate() {
            let added = load_steps(&table[(history >> (4 * number)) as usize % CODEWORDS].0);
            total = _mm256_add_epi16(total, added);
        }
        store_steps(total, shared);
    }
}

/// Equals `portable::keep_steps`. The number of paths is even.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn keep_steps(costs: &[[i16; CODEWORDS]], range: (i16, i16), levels: &mut [u8], kept: &mut [u16]) {
    let (levels, count) = (levels.as_chunks_mut::<32>().0, kept.len() - KEPT_ROOM);
    set_levels(costs, range, levels);
    // The level of the last one kept: the largest that fewer extensions are below than are kept. Two bits a round.
    const { assert!(LEVEL_MAX == 63) };
    let (mut last, mut below_last) = (0, 0);
    for shift in [4, 2, 0] {
        let part = 1 << shift;
        for below in count_below(levels, [last + part, last + 2 * part, last + 3 * part]) {
            if below < count {
                (last, below_last) = (last + part, below);
            }
        }
    }
    let limit = _mm256_set1_epi8(last as i8);
    let (mut filled, mut first, mut equal_left) = (0, _mm_setzero_si128(), (count - below_last) as u32);
    for levels in levels.iter() {
        let levels = load_levels(levels);
        let mut equal = _mm256_movemask_epi8(_mm256_cmpeq_epi8(levels, limit)) as u32;
        let ones = equal.count_ones();
        if ones > equal_left {
            equal = lowest(equal, equal_left);
        }
        equal_left -= ones.min(equal_left);
        let mut good = equal | _mm256_movemask_epi8(_mm256_cmpgt_epi8(limit, levels)) as u32;
        for _ in 0..4 {
            let byte = (good & 255) as usize;
            // SAFETY: reads the 16 bytes of an entry, and writes 16 from `filled` on, at any alignment. No more than
            // `count` bits are good in all, so `filled` is at most that, and `kept` has room for 8 more than `count`.
            unsafe {
                let positions = _mm_loadu_si128(POSITIONS[byte].as_ptr().cast());
                _mm_storeu_si128(kept.as_mut_ptr().add(filled).cast(), _mm_add_epi16(first, positions));
            }
            filled += usize::from(ONES[byte]);
            first = _mm_add_epi16(first, _mm_set1_epi16(8));
            good >>= 8;
        }
    }
}

/// The lowest `count` ones of `bits`.
#[inline]
fn lowest(bits: u32, count: u32) -> u32 {
    let mut rest = bits;
    for _ in 0..count {
        rest &= rest - 1;
    }
    bits ^ rest
}

/// The levels of `costs`.
#[inline]
#[target_feature(enable = "avx2")]
fn set_levels(costs: &[[i16; CODEWORDS]], range: (i16, i16), levels: &mut [[u8; 32]]) {
    let (least, scale) = (_mm256_set1_epi16(range.0), _mm256_set1_epi16(levels_per_step(range)));
    let most = _mm256_set1_epi8(LEVEL_MAX as i8);
    for (levels, costs) in levels.iter_mut().zip(costs.as_chunks::<2>().0) {
        let mut steps = [_mm256_setzero_si256(); 2];
        for half in 0..2 {
            steps[half] = _mm256_mulhrs_epi16(_mm256_subs_epi16(load_steps(&costs[half]), least), scale);
        }
        let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(steps[0], steps[1]));
        let bytes = _mm256_min_epu8(bytes, most);
        // SAFETY: writes 32 bytes, the size of `levels`, at any alignment.
        unsafe { _mm256_storeu_si256(levels.as_mut_ptr().cast(), bytes) }
    }
}

/// Equals `portable::grow_steps`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn grow_steps(step: &Step<'_>, now: &StepPaths, next: &mut StepPaths, farthest: &mut [Lanes]) -> i16 {
    match step.growth.len() {
        1 => grow_by::<1>(step, now, next, farthest),
        2 => grow_by::<2>(step, now, next, farthest),
        3 => grow_by::<3>(step, now, next, farthest),
        4 => grow_by::<4>(step, now, next, farthest),
        5 => grow_by::<5>(step, now, next, farthest),
        6 => grow_by::<6>(step, now, next, farthest),
        7 => grow_by::<7>(step, now, next, farthest),
        _ => grow_by::<8>(step, now, next, farthest),
    }
    settle(next, step.kept.len() / CODEWORDS)
}

#[inline]
#[target_feature(enable = "avx2")]
fn grow_by<const SIXTEENS: usize>(step: &Step<'_>, now: &StepPaths, next: &mut StepPaths, farthest: &mut [Lanes]) {
    let (mut row, mut growth) = ([[_mm256_setzero_ps(); 2]; SIXTEENS], [[_mm256_setzero_ps(); 2]; SIXTEENS]);
    for sixteen in 0..SIXTEENS {
        growth[sixteen] = halves(&step.growth[sixteen].0);
        if let Some(values) = step.row[sixteen * CODEWORDS..].first_chunk() {
            row[sixteen] = halves(values);
        }
    }
    let mut most = [[_mm256_setzero_ps(); 2]; SIXTEENS];
    let tails = step.tails.as_chunks::<SIXTEENS>().0;
    let sums = next.sums.as_chunks_mut::<CODEWORDS>().0.chunks_exact_mut(8 * 2 * SIXTEENS);
    for ((kept, grown), sums) in step.kept.as_chunks::<8>().0.iter().zip(next.grown.0.as_chunks_mut::<8>().0).zip(sums)
    {
        let mut totals = [_mm256_setzero_ps(); 8];
        for ((index, total), sums) in kept.iter().zip(&mut totals).zip(sums.chunks_exact_mut(2 * SIXTEENS)) {
            let (parent, codeword) = (usize::from(*index) / CODEWORDS, usize::from(*index) % CODEWORDS);
            let before = now.sums[2 * SIXTEENS * CODEWORDS * parent + step.own..].as_chunks::<CODEWORDS>().0;
            let (Some(before), Some(sums)) = (before.first_chunk::<SIXTEENS>(), sums.first_chunk_mut::<SIXTEENS>())
            else {
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
                    let square = _mm256_mul_ps(residual, residual);
                    squares[half] = _mm256_add_ps(squares[half], _mm256_mul_ps(square, growth[sixteen][half]));
                    most[sixteen][half] = _mm256_max_ps(square, most[sixteen][half]);
                }
            }
            *total = _mm256_add_ps(squares[0], squares[1]);
        }
        // SAFETY: writes 8 floats, the size of `grown`, at any alignment.
        unsafe { _mm256_storeu_ps(grown.as_mut_ptr(), sums_of(&totals)) }
    }
    for (to, most) in farthest.iter_mut().zip(&most) {
        // SAFETY: writes twice 8 of 16 floats.
        unsafe {
            _mm256_storeu_ps(to.0.as_mut_ptr(), most[0]);
            _mm256_storeu_ps(to.0.as_mut_ptr().add(8), most[1]);
        }
    }
}

/// The sum of each of 8 registers.
#[inline]
#[target_feature(enable = "avx2")]
fn sums_of(rows: &[__m256; 8]) -> __m256 {
    let mut fours = [_mm256_setzero_ps(); 2];
    for (four, rows) in fours.iter_mut().zip(rows.as_chunks::<4>().0) {
        // Of two rows, the sums of elements 0 and 2, and of 1 and 3, side by side, in each half of the register.
        let first = _mm256_add_ps(_mm256_unpacklo_ps(rows[0], rows[1]), _mm256_unpackhi_ps(rows[0], rows[1]));
        let second = _mm256_add_ps(_mm256_unpacklo_ps(rows[2], rows[3]), _mm256_unpackhi_ps(rows[2], rows[3]));
        let (even, odd) =
            (_mm256_shuffle_ps::<0b01_00_01_00>(first, second), _mm256_shuffle_ps::<0b11_10_11_10>(first, second));
        *four = _mm256_add_ps(even, odd);
    }
    let low = _mm256_permute2f128_ps::<0x20>(fours[0], fours[1]);
    let high = _mm256_permute2f128_ps::<0x31>(fours[0], fours[1]);
    _mm256_add_ps(low, high)
}

/// Equals `portable::settle`, for 16 times as many paths.
#[inline]
#[target_feature(enable = "avx2")]
fn settle(paths: &mut StepPaths, sixteens: usize) -> i16 {
    let costs = &mut paths.costs.0.as_chunks_mut::<CODEWORDS>().0[..sixteens];
    let grown = &mut paths.grown.0.as_chunks_mut::<CODEWORDS>().0[..sixteens];
    let mut least = _mm256_set1_ps(f32::MAX);
    for (grown, costs) in grown.iter_mut().zip(&*costs) {
        for (half, before) in halves(grown).into_iter().enumerate() {
            // SAFETY: reads 8 of 16 costs, and writes 8 of 16 floats, at any alignment.
            unsafe {
                let costs = _mm256_cvtepu16_epi32(_mm_loadu_si128(costs.as_ptr().add(8 * half).cast()));
                let total = _mm256_add_ps(before, _mm256_cvtepi32_ps(costs));
                least = _mm256_min_ps(total, least);
                _mm256_storeu_ps(grown.as_mut_ptr().add(8 * half), total);
            }
        }
    }
    let four = _mm_min_ps(_mm256_castps256_ps128(least), _mm256_extractf128_ps::<1>(least));
    let two = _mm_min_ps(four, _mm_movehl_ps(four, four));
    let least = _mm256_broadcastss_ps(_mm_min_ss(two, _mm_movehdup_ps(two)));
    let (dear, mut most) = (_mm256_set1_ps(DEAR), _mm256_setzero_si256());
    for (costs, grown) in costs.iter_mut().zip(grown) {
        let (grown, mut steps) = (halves(grown), [_mm256_setzero_si256(); 2]);
        for half in 0..2 {
            steps[half] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_sub_ps(grown[half], least), dear));
        }
        let steps = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(steps[0], steps[1]));
        most = _mm256_max_epi16(most, steps);
        // SAFETY: writes 32 bytes, the size of `costs`, at any alignment.
        unsafe { _mm256_storeu_si256(costs.as_mut_ptr().cast(), steps) }
    }
    // The largest is the least of the differences to `i16::MAX`.
    let eight = _mm_max_epi16(_mm256_castsi256_si128(most), _mm256_extracti128_si256::<1>(most));
    let differences = _mm_minpos_epu16(_mm_sub_epi16(_mm_set1_epi16(i16::MAX), eight));
    i16::MAX - _mm_cvtsi128_si32(differences) as i16
}
