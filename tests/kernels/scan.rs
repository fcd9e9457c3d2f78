//! The scan of codes.

use crate::{Results, levels, noise};
use omen::kernels::{Hit, Kernels, PiecewiseLinear, SLOPE_MAX, Scan, Sides};

/// Random blocks, tables and side bytes, and the blocks done and hits of a scan of them.
fn run_scan(kernels: &Kernels, pairs: usize, sides: Sides, start: usize, limit: u16) -> (usize, Vec<Hit>) {
    const BLOCKS: usize = 5;
    let bytes = |count: usize, seed: u64| -> Vec<u8> { noise(count, seed).iter().map(|x| x.to_bits() as u8).collect() };
    let side_bytes = if matches!(sides, Sides::None) { 0 } else { 32 };
    let block_bytes = pairs * 32 + side_bytes;
    // The limits of `Scan::tables`: the sum of a code fits 16 bits, that of two pairs 8 bits.
    let most = |pair: usize| match (pair % 2, pair + 1 == pairs) {
        (0, true) => 255,
        (0, false) => 200,
        _ => 55,
    };
    let most = |pair: usize| (65_535 / (2 * pairs)).min(most(pair)) as u8;
    let entries = bytes(pairs * 32, 5);
    let tables = entries.as_chunks::<32>().0.iter().enumerate();
    let tables: Vec<[u8; 32]> = tables.map(|(pair, table)| table.map(|entry| entry.min(most(pair)))).collect();
    let blocks = bytes(start + BLOCKS * block_bytes, 6);
    let mut hits = Vec::with_capacity(BLOCKS * 32);
    let scan = Scan { tables: &tables, sides, block_bytes };
    (kernels.scan(&scan, &blocks[start..], 100, limit, &mut hits), hits)
}

pub fn scan(kernels: &Kernels) -> Results {
    let base = std::array::from_fn(|at| at as u16 * 3000);
    let slope = std::array::from_fn(|at| (at as u16 * 271).min(SLOPE_MAX));
    let function = PiecewiseLinear::new(&base, &slope);
    let kinds = [Sides::None, Sides::Add(function), Sides::Scale { from: 9000, factor: function }];
    let mut results = Vec::new();
    for pairs in [0, 1, 2, 3, 31, 32, 87, 300] {
        for sides in kinds.into_iter().filter(|sides| pairs > 0 || !matches!(sides, Sides::None)) {
            for (start, limit) in [(0, u16::MAX), (1, 4000), (7, 30_000), (16, 0), (31, 60_000)] {
                let (blocks, hits) = run_scan(kernels, pairs, sides, start, limit);
                assert_eq!(blocks, 5);
                assert!(hits.iter().all(|hit| hit.score <= limit));
                assert!(limit < u16::MAX || hits.len() == 5 * 32);
                let found = hits.iter().flat_map(|hit| [u32::from(hit.score), hit.row]).collect();
                results.push((format!("{pairs} pairs, {sides:?}, misalignment {start}"), found));
            }
        }
    }
    results
}

#[test]
fn a_scan_stops_where_a_block_might_not_fit() {
    let tables = [[1; 32]; 2];
    let scan = Scan { tables: &tables, sides: Sides::None, block_bytes: 64 };
    for kernels in levels() {
        let mut hits = Vec::with_capacity(70);
        let room = hits.capacity();
        assert_eq!(kernels.scan(&scan, &[0; 64 * 5], 0, 4, &mut hits), room / 32);
        assert_eq!((hits.len(), hits[33]), (room / 32 * 32, Hit { score: 4, row: 33 }));
        assert_eq!(kernels.scan(&scan, &[0; 64 * 5], 0, 3, &mut Vec::with_capacity(32)), 5);
    }
}
