//! The kernels compiled for AVX2: the bodies of `scalar` and its neighbours in 8-lane registers, and the scan by shuffles.

use super::scan::{BLOCK_ROWS, SILENT, Scan, Sides, Steps};
use super::windows::{Entered, NUMBER_BITS, Ways};
use std::arch::x86_64::*;

super::instantiate!(Level::Avx2, "avx2");

/// 32 rows of 16 bits: rows 0 to 7 and 16 to 23 in the first, 8 to 15 and 24 to 31 in the second, as bytes unpack.
type Rows = (__m256i, __m256i);

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are read, which is what `bytes` has; any alignment will do.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(rows: __m256i, to: &mut [u16; 16]) {
    // SAFETY: 32 bytes are written, which is what `to` has; any alignment will do.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), rows) }
}

/// Asks for the cache line `ahead` bytes behind `line`.
#[inline]
#[target_feature(enable = "avx2")]
fn bring_near(line: &[[u8; 32]; 2], ahead: usize) {
    _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast::<i8>().wrapping_add(ahead));
}

/// See `scan::score`, its definition. If the scan `goes_on`, the next block lies behind.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn score(scan: &Scan<'_>, block: &[u8], goes_on: bool, limit: u16, scores: &mut [u16; BLOCK_ROWS]) -> u32 {
    let (pairs, sides) = block.split_at(scan.tables.len() * BLOCK_ROWS);
    // What is read without gaps comes by itself.
    let ahead = (goes_on && sides.len() > BLOCK_ROWS).then_some(scan.block_bytes);
    let sums = sums(scan.tables, pairs.as_chunks::<32>().0, ahead);
    let (a, b) = match (&scan.sides, sides.first_chunk::<32>()) {
        (Sides::None, _) | (_, None) => sums,
        (Sides::Add(steps), Some(sides)) => {
            let (sides, counts) = (load(sides), counts(steps, load(sides)));
            spoken(sides, (_mm256_adds_epu16(sums.0, counts.0), _mm256_adds_epu16(sums.1, counts.1)))
        }
        (Sides::Scale { from, steps }, Some(sides)) => {
            let (sides, counts) = (load(sides), counts(steps, load(sides)));
            let (from, ones) = (_mm256_set1_epi16(*from as i16), _mm256_set1_epi8(-1));
            let scaled = |sum, count| _mm256_xor_si256(_mm256_mulhi_epu16(_mm256_subs_epu16(from, sum), count), ones);
            spoken(sides, (scaled(sums.0, counts.0), scaled(sums.1, counts.1)))
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

/// What the symbols of 32 rows count together.
///
/// Bytes are summed as they lie, two rows in 16 bits, and the odd rows once more by themselves, to be taken off in the end.
/// Meanwhile what lies `ahead` bytes further on is brought near: the next block.
#[inline]
#[target_feature(enable = "avx2")]
fn sums(tables: &[[u8; 32]], pairs: &[[u8; 32]], ahead: Option<usize>) -> Rows {
    let nibble = _mm256_set1_epi8(15);
    let look_up = |pair: &[u8; 32], table: &[u8; 32]| {
        let (codes, table) = (load(pair), load(table));
        let halves = [_mm256_and_si256(codes, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble)];
        halves.map(|half| _mm256_shuffle_epi8(table, half))
    };
    let mut both = [_mm256_setzero_si256(); 2];
    let mut odd = both;
    let mut add = |counts: [__m256i; 2]| {
        for half in 0..2 {
            both[half] = _mm256_add_epi16(both[half], counts[half]);
            odd[half] = _mm256_add_epi16(odd[half], _mm256_srli_epi16::<8>(counts[half]));
        }
    };
    // Two pairs fit a byte. Two of those at a time, or counting them would be a fifth of the work.
    let two = |pairs: &[[u8; 32]; 2], tables: &[[u8; 32]; 2]| {
        let (first, second) = (look_up(&pairs[0], &tables[0]), look_up(&pairs[1], &tables[1]));
        [0, 1].map(|half| _mm256_add_epi8(first[half], second[half]))
    };
    let ((twos, rest), (two_tables, tables)) = (pairs.as_chunks::<2>(), tables.as_chunks::<2>());
    let ((fours, last), (four_tables, last_tables)) = (twos.as_chunks::<2>(), two_tables.as_chunks::<2>());
    for (pairs, tables) in fours.iter().zip(four_tables) {
        if let Some(ahead) = ahead {
            pairs.iter().for_each(|line| bring_near(line, ahead));
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
    // The even symbols of rows 0 to 15 lie in the first half of a register, the odd ones in the second.
    let joined = |low, high| {
        _mm256_add_epi16(_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high))
    };
    let (even, odd) = (joined(even(0), even(1)), joined(odd[0], odd[1]));
    (_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd))
}

/// [`Steps::of`] each of 32 bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn counts(steps: &Steps, sides: __m256i) -> Rows {
    let nibble = _mm256_set1_epi8(15);
    let segments = _mm256_and_si256(_mm256_srli_epi16::<4>(sides), nibble);
    let places = _mm256_and_si256(sides, nibble);
    let look_up = |low: &[u8; 32], high: &[u8; 32]| -> Rows {
        let (low, high) = (_mm256_shuffle_epi8(load(low), segments), _mm256_shuffle_epi8(load(high), segments));
        (_mm256_unpacklo_epi8(low, high), _mm256_unpackhi_epi8(low, high))
    };
    let [base_low, base_high, slope_low, slope_high] = &steps.tables;
    let (base, slope, zero) = (look_up(base_low, base_high), look_up(slope_low, slope_high), _mm256_setzero_si256());
    let places = (_mm256_unpacklo_epi8(places, zero), _mm256_unpackhi_epi8(places, zero));
    let count = |base, slope, place| _mm256_add_epi16(base, _mm256_srli_epi16::<4>(_mm256_mullo_epi16(slope, place)));
    (count(base.0, slope.0, places.0), count(base.1, slope.1, places.1))
}

/// `scores`, but 0 where the side byte is silent.
#[inline]
#[target_feature(enable = "avx2")]
fn spoken(sides: __m256i, scores: Rows) -> Rows {
    let [none, all] = SILENT.map(|byte| _mm256_cmpeq_epi8(sides, _mm256_set1_epi8(byte as i8)));
    let silent = _mm256_or_si256(none, all);
    (
        _mm256_andnot_si256(_mm256_unpacklo_epi8(silent, silent), scores.0),
        _mm256_andnot_si256(_mm256_unpackhi_epi8(silent, silent), scores.1),
    )
}

/// Sixteen lanes of floats.
#[inline]
#[target_feature(enable = "avx2")]
fn floats(lanes: &Lanes) -> [__m256; 2] {
    // SAFETY: twice 32 bytes are read, which is what the lanes have; any alignment will do.
    unsafe { [_mm256_loadu_ps(lanes.0.as_ptr()), _mm256_loadu_ps(lanes.0.as_ptr().add(8))] }
}

/// See `windows::extended`, its definition.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn extended(entered: &Entered<'_>, lists: usize, slack: f32, ways: &mut Ways) {
    match lists {
        1 => extended_lists::<1>(entered, slack, ways),
        2 => extended_lists::<2>(entered, slack, ways),
        3 => extended_lists::<3>(entered, slack, ways),
        4 => extended_lists::<4>(entered, slack, ways),
        _ => extended_lists::<8>(entered, slack, ways),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn extended_lists<const LISTS: usize>(entered: &Entered<'_>, slack: f32, ways: &mut Ways) {
    let best = match entered.heads.len() {
        1 => cheapest::<LISTS, 1>(entered),
        2 => cheapest::<LISTS, 2>(entered),
        3 => cheapest::<LISTS, 3>(entered),
        _ => cheapest_of_many::<LISTS>(entered),
    };
    let limit = _mm256_set1_epi32(ways.set_least(least(best[0]), slack) as i32);
    for ((to, near), list) in ways.lists.iter_mut().zip(&mut ways.near).zip(best) {
        let within = list.map(|half| _mm256_cmpeq_epi32(_mm256_min_epu32(half, limit), half));
        let [low, high] = within.map(|half| _mm256_movemask_ps(_mm256_castsi256_ps(half)) as u16);
        *near = low | high << 8;
        for (to, half) in to.as_chunks_mut::<8>().0.iter_mut().zip(list) {
            // SAFETY: 32 bytes are written, which is what `to` has; any alignment will do.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), half) }
        }
    }
}

/// The least of sixteen lanes.
/// The cheapest ways to each codeword of a symbol with `OWN` dims, which stay in registers.
#[inline]
#[target_feature(enable = "avx2")]
fn cheapest<const LISTS: usize, const OWN: usize>(entered: &Entered<'_>) -> [[__m256i; 2]; LISTS] {
    let mut best = Best::<LISTS>::new();
    let values: [__m256; OWN] = std::array::from_fn(|own| _mm256_set1_ps(entered.values[own]));
    let heads: [[__m256; 2]; OWN] = std::array::from_fn(|own| floats(&entered.heads[own]));
    let places: [(usize, usize); OWN] = std::array::from_fn(|own| entered.place(own));
    for (cost, sums) in entered.paths() {
        let mut totals = [_mm256_set1_ps(*cost); 2];
        for own in 0..OWN {
            let (sixteen, lane) = places[own];
            let left = _mm256_sub_ps(values[own], _mm256_set1_ps(sums[sixteen].0[lane]));
            totals = with_squares(totals, left, heads[own]);
        }
        best.enter(totals);
    }
    best.lists
}

/// The same for any number of own dims.
#[inline]
#[target_feature(enable = "avx2")]
fn cheapest_of_many<const LISTS: usize>(entered: &Entered<'_>) -> [[__m256i; 2]; LISTS] {
    let mut best = Best::<LISTS>::new();
    for (cost, sums) in entered.paths() {
        let mut totals = [_mm256_set1_ps(*cost); 2];
        for (left, head) in entered.left(sums) {
            totals = with_squares(totals, _mm256_set1_ps(left), floats(head));
        }
        best.enter(totals);
    }
    best.lists
}

/// `totals` and what `left` is off each of the 16 components of `head`, squared.
#[inline]
#[target_feature(enable = "avx2")]
fn with_squares(totals: [__m256; 2], left: __m256, head: [__m256; 2]) -> [__m256; 2] {
    let plus = |half: usize| {
        let difference = _mm256_sub_ps(left, head[half]);
        _mm256_add_ps(totals[half], _mm256_mul_ps(difference, difference))
    };
    [plus(0), plus(1)]
}

/// The cheapest ways to each of 16 codewords, as [`Ways`] has them.
struct Best<const LISTS: usize> {
    lists: [[__m256i; 2]; LISTS],
    /// The number of the path that enters next.
    path: __m256i,
}

impl<const LISTS: usize> Best<LISTS> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Best { lists: [[_mm256_set1_epi32(-1); 2]; LISTS], path: _mm256_setzero_si256() }
    }

    /// Puts the next path where it belongs in the ascending list of each codeword; the last ones fall out.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn enter(&mut self, totals: [__m256; 2]) {
        let number_bits = _mm256_set1_epi32(NUMBER_BITS as i32);
        for half in 0..2 {
            let total = _mm256_castps_si256(totals[half]);
            let mut entering = _mm256_or_si256(_mm256_andnot_si256(number_bits, total), self.path);
            for list in &mut self.lists {
                let kept = list[half];
                list[half] = _mm256_min_epu32(kept, entering);
                entering = _mm256_max_epu32(kept, entering);
            }
        }
        self.path = _mm256_add_epi32(self.path, _mm256_set1_epi32(1));
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn least(lanes: [__m256i; 2]) -> u32 {
    let eight = _mm256_min_epu32(lanes[0], lanes[1]);
    let four = _mm_min_epu32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_min_epu32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_min_epu32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two))) as u32
}
