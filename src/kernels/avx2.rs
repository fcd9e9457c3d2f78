//! The kernels compiled for AVX2: 8 floats per register; `score` by byte shuffles and `extend` in registers.

use super::look_ahead_avx2::{add_growth, extend_all, halves, keep_cheapest};
use super::scan::{BLOCK_ROWS, PiecewiseLinear, SILENT, Scan, Sides};
use super::step_search_avx2::{extend_steps, grow_steps, keep_steps};
use super::trellis::{Branches, INDEX_BITS, Predecessors};
use super::{Lanes, compile_kernels, for_all_kernels};
use std::arch::x86_64::*;

for_all_kernels!(compile_kernels, { Level::Avx2, target_feature(enable = "avx2,popcnt") });

/// A u16 for each of 32 rows, in the order of unpacked bytes: rows 0 to 7 and 16 to 23, then rows 8 to 15 and 24 to 31.
type U16x32 = (__m256i, __m256i);

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: reads 32 bytes, the size of `bytes`, at any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(rows: __m256i, to: &mut [u16; 16]) {
    // SAFETY: writes 32 bytes, the size of `to`, at any alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), rows) }
}

/// Prefetches the cache line `ahead` bytes behind `line`.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(line: &[[u8; 32]; 2], ahead: usize) {
    _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast::<i8>().wrapping_add(ahead));
}

/// Equals `portable::score`. If the scan `has_next` block, it follows in memory and is prefetched.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn score(scan: &Scan<'_>, block: &[u8], has_next: bool, limit: u16, scores: &mut [u16; BLOCK_ROWS]) -> u32 {
    let (pairs, sides) = block.split_at(scan.tables.len() * BLOCK_ROWS);
    // Blocks read without gaps are prefetched by the CPU.
    let ahead = (has_next && sides.len() > BLOCK_ROWS).then_some(scan.block_bytes);
    let sums = sums(scan.tables, pairs.as_chunks::<32>().0, ahead);
    let (a, b) = match (&scan.sides, sides.first_chunk::<32>()) {
        (Sides::None, _) | (_, None) => sums,
        (Sides::Add(values), Some(sides)) => {
            let (sides, values) = (load(sides), values_at(values, load(sides)));
            zero_silent(sides, (_mm256_adds_epu16(sums.0, values.0), _mm256_adds_epu16(sums.1, values.1)))
        }
        (Sides::Scale { from, factor }, Some(sides)) => {
            let (sides, factors) = (load(sides), values_at(factor, load(sides)));
            let (from, ones) = (_mm256_set1_epi16(*from as i16), _mm256_set1_epi8(-1));
            let scale = |sum, factor| _mm256_xor_si256(_mm256_mulhi_epu16(_mm256_subs_epu16(from, sum), factor), ones);
            zero_silent(sides, (scale(sums.0, factors.0), scale(sums.1, factors.1)))
        }
    };
    let limit = _mm256_set1_epi16(limit as i16);
    let within = |rows| _mm256_cmpeq_epi16(_mm256_min_epu16(rows, limit), rows);
    let within = _mm256_movemask_epi8(_mm256_packs_epi16(within(a), within(b))) as u32;
    if within != 0
        && let ([low, high], _) = scores.as_chunks_mut::<16>()
    {
        store(_mm256_permute2x128_si256::<0x20>(a, b), low);
        store(_mm256_permute2x128_si256::<0x31>(a, b), high);
    }
    within
}

/// Sums of the table entries of the symbols of 32 rows. Prefetches the memory `ahead` bytes further on: the next block.
///
/// Two neighbouring bytes are added as one u16. The odd bytes are also summed by themselves, and subtracted at the end.
#[inline]
#[target_feature(enable = "avx2")]
fn sums(tables: &[[u8; 32]], pairs: &[[u8; 32]], ahead: Option<usize>) -> U16x32 {
    let nibble = _mm256_set1_epi8(15);
    let look_up = |pair: &[u8; 32], table: &[u8; 32]| {
        let (codes, table) = (load(pair), load(table));
        let halves = [_mm256_and_si256(codes, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble)];
        halves.map(|half| _mm256_shuffle_epi8(table, half))
    };
    let mut both = [_mm256_setzero_si256(); 2];
    let mut odd = both;
    let mut add = |entries: [__m256i; 2]| {
        for half in 0..2 {
            both[half] = _mm256_add_epi16(both[half], entries[half]);
            odd[half] = _mm256_add_epi16(odd[half], _mm256_srli_epi16::<8>(entries[half]));
        }
    };
    // The sum of the entries of two pairs fits a byte. Four pairs per iteration, because with two the loop overhead is
    // a fifth of the work.
    let two = |pairs: &[[u8; 32]; 2], tables: &[[u8; 32]; 2]| {
        let (first, second) = (look_up(&pairs[0], &tables[0]), look_up(&pairs[1], &tables[1]));
        [0, 1].map(|half| _mm256_add_epi8(first[half], second[half]))
    };
    let ((twos, rest), (two_tables, tables)) = (pairs.as_chunks::<2>(), tables.as_chunks::<2>());
    let ((fours, last), (four_tables, last_tables)) = (twos.as_chunks::<2>(), two_tables.as_chunks::<2>());
    for (pairs, tables) in fours.iter().zip(four_tables) {
        if let Some(ahead) = ahead {
            pairs.iter().for_each(|line| prefetch(line, ahead));
        }
        add(two(&pairs[0], &tables[0]));
        add(two(&pairs[1], &tables[1]));
    }
    for (pairs, tables) in last.iter().zip(last_tables) {
        add(two(pairs, tables));
    }
    for (pair, table) in rest.iter().zip(tables) {
        add(look_up(pair, table));
    }
    let even = |half: usize| _mm256_sub_epi16(both[half], _mm256_slli_epi16::<8>(odd[half]));
    // The first half of a register has the even symbols, the second half the odd symbols of the same 16 rows.
    let joined = |low, high| {
        _mm256_add_epi16(_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high))
    };
    let (even, odd) = (joined(even(0), even(1)), joined(odd[0], odd[1]));
    (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd))
}

/// [`PiecewiseLinear::at`] each of 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn values_at(function: &PiecewiseLinear, sides: __m256i) -> U16x32 {
    let nibble = _mm256_set1_epi8(15);
    let segments = _mm256_and_si256(_mm256_srli_epi16::<4>(sides), nibble);
    let positions = _mm256_and_si256(sides, nibble);
    let look_up = |low: &[u8; 32], high: &[u8; 32]| -> U16x32 {
        let (low, high) = (_mm256_shuffle_epi8(load(low), segments), _mm256_shuffle_epi8(load(high), segments));
        (_mm256_unpacklo_epi8(low, high), _mm256_unpackhi_epi8(low, high))
    };
    let [base_low, base_high, slope_low, slope_high] = &function.tables;
    let (base, slope, zero) = (look_up(base_low, base_high), look_up(slope_low, slope_high), _mm256_setzero_si256());
    let positions = (_mm256_unpacklo_epi8(positions, zero), _mm256_unpackhi_epi8(positions, zero));
    let value = |base, slope, at| _mm256_add_epi16(base, _mm256_srli_epi16::<4>(_mm256_mullo_epi16(slope, at)));
    (value(base.0, slope.0, positions.0), value(base.1, slope.1, positions.1))
}

/// `scores`, with 0 where the side byte is one of [`SILENT`].
#[inline]
#[target_feature(enable = "avx2")]
fn zero_silent(sides: __m256i, scores: U16x32) -> U16x32 {
    let [none, all] = SILENT.map(|byte| _mm256_cmpeq_epi8(sides, _mm256_set1_epi8(byte as i8)));
    let silent = _mm256_or_si256(none, all);
    (
        _mm256_andnot_si256(_mm256_unpacklo_epi8(silent, silent), scores.0),
        _mm256_andnot_si256(_mm256_unpackhi_epi8(silent, silent), scores.1),
    )
}

/// The 16 lanes in two registers.
#[inline]
#[target_feature(enable = "avx2")]
fn floats(lanes: &Lanes) -> [__m256; 2] {
    halves(&lanes.0)
}

/// Equals `portable::extend`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn extend(predecessors: &Predecessors<'_>, survivors: usize, slack: f32, branches: &mut Branches) {
    match survivors {
        1 => extend_by::<1>(predecessors, slack, branches),
        2 => extend_by::<2>(predecessors, slack, branches),
        3 => extend_by::<3>(predecessors, slack, branches),
        4 => extend_by::<4>(predecessors, slack, branches),
        _ => extend_by::<8>(predecessors, slack, branches),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn extend_by<const SURVIVORS: usize>(predecessors: &Predecessors<'_>, slack: f32, branches: &mut Branches) {
    let cheapest = match predecessors.heads.len() {
        1 => cheapest::<SURVIVORS, 1>(predecessors),
        2 => cheapest::<SURVIVORS, 2>(predecessors),
        3 => cheapest::<SURVIVORS, 3>(predecessors),
        _ => cheapest_of_many::<SURVIVORS>(predecessors),
    };
    let limit = _mm256_set1_epi32(branches.set_lowest(minimum(cheapest[0]), slack) as i32);
    for ((to, within), costs) in branches.costs.iter_mut().zip(&mut branches.within).zip(cheapest) {
        let masks = costs.map(|half| _mm256_cmpeq_epi32(_mm256_min_epu32(half, limit), half));
        let [low, high] = masks.map(|half| _mm256_movemask_ps(_mm256_castsi256_ps(half)) as u16);
        *within = low | high << 8;
        for (to, half) in to.as_chunks_mut::<8>().0.iter_mut().zip(costs) {
            // SAFETY: writes 32 bytes, the size of `to`, at any alignment.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), half) }
        }
    }
}

/// The cheapest paths to each codeword of a symbol with `OWN` own dims, whose codewords stay in registers.
#[inline]
#[target_feature(enable = "avx2")]
fn cheapest<const SURVIVORS: usize, const OWN: usize>(predecessors: &Predecessors<'_>) -> [[__m256i; 2]; SURVIVORS] {
    let mut cheapest = Cheapest::<SURVIVORS>::new();
    let values: [__m256; OWN] = std::array::from_fn(|own| _mm256_set1_ps(predecessors.values[own]));
    let heads: [[__m256; 2]; OWN] = std::array::from_fn(|own| floats(&predecessors.heads[own]));
    let positions: [(usize, usize); OWN] = std::array::from_fn(|own| predecessors.lane_of(own));
    for (cost, sums) in predecessors.paths() {
        let mut totals = [_mm256_set1_ps(*cost); 2];
        for own in 0..OWN {
            let (sixteen, lane) = positions[own];
            let residual = _mm256_sub_ps(values[own], _mm256_set1_ps(sums[sixteen].0[lane]));
            totals = add_squares(totals, residual, heads[own]);
        }
        cheapest.insert(totals);
    }
    cheapest.costs
}

/// The cheapest paths to each codeword of a symbol with any number of own dims.
#[inline]
#[target_feature(enable = "avx2")]
fn cheapest_of_many<const SURVIVORS: usize>(predecessors: &Predecessors<'_>) -> [[__m256i; 2]; SURVIVORS] {
    let mut cheapest = Cheapest::<SURVIVORS>::new();
    for (cost, sums) in predecessors.paths() {
        let mut totals = [_mm256_set1_ps(*cost); 2];
        for (residual, head) in predecessors.residuals(sums) {
            totals = add_squares(totals, _mm256_set1_ps(residual), floats(head));
        }
        cheapest.insert(totals);
    }
    cheapest.costs
}

/// Adds to `totals` the squared differences of `residual` and the 16 components of `head`.
#[inline]
#[target_feature(enable = "avx2")]
fn add_squares(totals: [__m256; 2], residual: __m256, head: [__m256; 2]) -> [__m256; 2] {
    let add = |half: usize| {
        let difference = _mm256_sub_ps(residual, head[half]);
        _mm256_add_ps(totals[half], _mm256_mul_ps(difference, difference))
    };
    [add(0), add(1)]
}

/// The cheapest paths to each of 16 codewords, encoded as in [`Branches::costs`].
struct Cheapest<const SURVIVORS: usize> {
    costs: [[__m256i; 2]; SURVIVORS],
    /// The index of the next path to insert.
    path: __m256i,
}

impl<const SURVIVORS: usize> Cheapest<SURVIVORS> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Cheapest { costs: [[_mm256_set1_epi32(-1); 2]; SURVIVORS], path: _mm256_setzero_si256() }
    }

    /// Inserts the next path into the ascending costs of each codeword; the largest cost is dropped.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn insert(&mut self, totals: [__m256; 2]) {
        let index_bits = _mm256_set1_epi32(INDEX_BITS as i32);
        for half in 0..2 {
            let total = _mm256_castps_si256(totals[half]);
            let mut entering = _mm256_or_si256(_mm256_andnot_si256(index_bits, total), self.path);
            for costs in &mut self.costs {
                let kept = costs[half];
                costs[half] = _mm256_min_epu32(kept, entering);
                entering = _mm256_max_epu32(kept, entering);
            }
        }
        self.path = _mm256_add_epi32(self.path, _mm256_set1_epi32(1));
    }
}

/// The minimum of 16 lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn minimum(lanes: [__m256i; 2]) -> u32 {
    let eight = _mm256_min_epu32(lanes[0], lanes[1]);
    let four = _mm_min_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_min_epu32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_min_epu32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two))) as u32
}
