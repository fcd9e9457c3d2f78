//! Arithmetic on slices at the speed of the machine: distances, finiteness, nearest codewords; chosen once per process.
//!
//! Every kernel is written once, in plain Rust over fixed lanes (`scalar`, `nearest`), with a fixed order of additions and
//! no fused multiply-add. `avx2` and `avx512` compile those same bodies for wider registers, so all levels agree to the
//! bit and files do not depend on the machine that wrote them. Baseline x86-64 and other architectures run the bodies as
//! they are.
#![expect(unsafe_code, reason = "functions compiled for a CPU feature are called here, after the CPU was asked")]

use crate::metric::Metric;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod chain;
mod code;
mod nearest;
mod numbers;
mod scalar;
mod scan;
mod sums;
mod windows;

pub use chain::Chain;
pub use code::{CodeLayout, block_bytes, blocks_for};
pub use numbers::{Bits, DIMS as NUMBERS_AT_ONCE, Numbers, REACH as NUMBERS_REACH};
pub use scan::{BLOCK_ROWS, Hit, SILENT, SLOPE_MAX, Scan, Sides, Steps, sums_fit};
pub use sums::{Codewords, Strip};
pub use windows::{CODEWORDS, LISTS_MAX, Lanes, Paths, SIXTEENS_MAX, Stretch, Trellis, Window};

/// An instruction set the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What every machine of the architecture has.
    Scalar,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Level {
    /// Every level, the narrowest first.
    pub const ALL: [Level; 3] = [Level::Scalar, Level::Avx2, Level::Avx512];

    /// True if this CPU has the instructions.
    pub fn is_supported(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The levels this CPU can run, the narrowest first.
    pub fn all_supported() -> Vec<Level> {
        Level::ALL.into_iter().filter(|level| level.is_supported()).collect()
    }

    /// The kernels of this level, if this CPU can run them.
    pub fn kernels(self) -> Option<&'static Kernels> {
        if !self.is_supported() {
            return None;
        }
        match self {
            Level::Scalar => Some(&SCALAR),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Some(&avx2::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Some(&avx512::KERNELS),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }
}

/// The kernels of one level. Its fields are private and the only way to one is [`Level::kernels`], so whoever holds it
/// has a CPU that can run it.
#[derive(Debug)]
pub struct Kernels {
    level: Level,
    first_not_finite: unsafe fn(&[f32]) -> Option<usize>,
    l2sq: unsafe fn(&[f32], &[f32]) -> f32,
    dot: unsafe fn(&[f32], &[f32]) -> f32,
    dot_and_norm: unsafe fn(&[f32], &[f32]) -> (f32, f32),
    nearest_in_columns: NearestInColumns,
    best_symbols: unsafe fn(&Trellis<'_>, &[f32], &mut Paths, &mut [u8]),
    best_chain: unsafe fn(&Chain<'_>, &[f32], &mut Paths, &mut [u8]),
    add_codewords: unsafe fn(&Codewords<'_>, &[u8], &mut [f32]),
    add_to_codewords: AddToCodewords,
    combine: unsafe fn(&[f32], &[f32], usize, &mut [f32]),
    combine_numbers: unsafe fn(&[f32], &[i8], usize, &mut [f32]),
    scan: unsafe fn(&Scan<'_>, &[u8], u32, u16, &mut Vec<Hit>) -> usize,
    inner_products: InnerProducts,
    values: unsafe fn(&[Numbers], &[u8], &mut [f32]),
}

/// Windows, symbols, a row; sums.
type AddToCodewords = unsafe fn(&[Window], &[u8], &[f32], &mut [f32]);

/// Windows, columns, a query; products.
type InnerProducts = unsafe fn(&[Window], &[Lanes], &[f32], &mut [Lanes]);

/// Columns, codewords; symbols, distances.
type NearestInColumns = unsafe fn(&[f32], &[f32], &mut [u8], &mut [f32]);

static SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    first_not_finite: scalar::first_not_finite,
    l2sq: scalar::l2sq,
    dot: scalar::dot,
    dot_and_norm: scalar::dot_and_norm,
    nearest_in_columns: nearest::nearest_in_columns,
    best_symbols: best_symbols_scalar,
    best_chain: chain::best_chain,
    add_codewords: sums::add_codewords,
    add_to_codewords: sums::add_to_codewords,
    combine: windows::combine,
    combine_numbers: windows::combine_numbers,
    scan: scan_scalar,
    inner_products: scan::inner_products,
    values: numbers::values,
};

fn best_symbols_scalar(trellis: &Trellis<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
    windows::best_symbols(trellis, row, paths, symbols, windows::extended);
}

fn scan_scalar(codes: &Scan<'_>, blocks: &[u8], first_row: u32, limit: u16, hits: &mut Vec<Hit>) -> usize {
    scan::scan(codes, blocks, first_row, limit, hits, |codes, block, _, limit, scores| {
        scan::score(codes, block, limit, scores)
    })
}

/// Compiles the bodies for `$features` into a table named `KERNELS`.
#[cfg(target_arch = "x86_64")]
macro_rules! instantiate {
    ($level:expr, $features:literal) => {
        use super::{
            Chain, Codewords, Hit, Kernels, Lanes, Level, Numbers, Paths, Trellis, Window, chain, nearest, numbers,
            scalar, scan, sums, windows,
        };

        #[target_feature(enable = $features)]
        fn first_not_finite(values: &[f32]) -> Option<usize> {
            scalar::first_not_finite(values)
        }

        #[target_feature(enable = $features)]
        fn l2sq(a: &[f32], b: &[f32]) -> f32 {
            scalar::l2sq(a, b)
        }

        #[target_feature(enable = $features)]
        fn dot(a: &[f32], b: &[f32]) -> f32 {
            scalar::dot(a, b)
        }

        #[target_feature(enable = $features)]
        fn dot_and_norm(query: &[f32], row: &[f32]) -> (f32, f32) {
            scalar::dot_and_norm(query, row)
        }

        #[target_feature(enable = $features)]
        fn nearest_in_columns(columns: &[f32], codewords: &[f32], symbols: &mut [u8], distances: &mut [f32]) {
            nearest::nearest_in_columns(columns, codewords, symbols, distances);
        }

        #[target_feature(enable = $features)]
        fn best_symbols(trellis: &Trellis<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
            windows::best_symbols(trellis, row, paths, symbols, |entered, lists, slack, ways| {
                extended(entered, lists, slack, ways)
            });
        }

        #[target_feature(enable = $features)]
        fn best_chain(code: &Chain<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
            chain::best_chain(code, row, paths, symbols);
        }

        #[target_feature(enable = $features)]
        fn add_codewords(codewords: &Codewords<'_>, symbols: &[u8], rows: &mut [f32]) {
            sums::add_codewords(codewords, symbols, rows);
        }

        #[target_feature(enable = $features)]
        fn add_to_codewords(places: &[Window], symbols: &[u8], row: &[f32], sums: &mut [f32]) {
            sums::add_to_codewords(places, symbols, row, sums);
        }

        #[target_feature(enable = $features)]
        fn combine(factors: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
            windows::combine(factors, matrix, width, out);
        }

        #[target_feature(enable = $features)]
        fn combine_numbers(factors: &[f32], matrix: &[i8], width: usize, out: &mut [f32]) {
            windows::combine_numbers(factors, matrix, width, out);
        }

        #[target_feature(enable = $features)]
        fn scan_blocks(codes: &scan::Scan<'_>, blocks: &[u8], row: u32, limit: u16, hits: &mut Vec<Hit>) -> usize {
            scan::scan(codes, blocks, row, limit, hits, |codes, block, goes_on, limit, scores| {
                score(codes, block, goes_on, limit, scores)
            })
        }

        #[target_feature(enable = $features)]
        fn inner_products(places: &[Window], columns: &[Lanes], query: &[f32], products: &mut [Lanes]) {
            scan::inner_products(places, columns, query, products);
        }

        #[target_feature(enable = $features)]
        fn values(of: &[Numbers], code: &[u8], out: &mut [f32]) {
            numbers::values(of, code, out);
        }

        pub(super) static KERNELS: Kernels = Kernels {
            level: $level,
            first_not_finite,
            l2sq,
            dot,
            dot_and_norm,
            nearest_in_columns,
            best_symbols,
            best_chain,
            add_codewords,
            add_to_codewords,
            combine,
            combine_numbers,
            scan: scan_blocks,
            inner_products,
            values,
        };
    };
}
#[cfg(target_arch = "x86_64")]
use instantiate;

impl Kernels {
    /// The instruction set these are compiled for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The place of the first NaN or infinity in `values: [n]`.
    pub fn first_not_finite(&self, values: &[f32]) -> Option<usize> {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.first_not_finite)(values) }
    }

    /// The squared Euclidean distance of `a: [dim]` and `b: [dim]`.
    pub fn l2sq(&self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.l2sq)(a, b) }
    }

    /// The inner product of `a: [dim]` and `b: [dim]`.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.dot)(a, b) }
    }

    /// The inner product of `query: [dim]` and `row: [dim]`, and of `row` with itself, in one pass.
    fn dot_and_norm(&self, query: &[f32], row: &[f32]) -> (f32, f32) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.dot_and_norm)(query, row) }
    }

    /// See [`distance`].
    pub fn distance(&self, metric: Metric, query: &[f32], query_norm_sq: f32, row: &[f32]) -> f32 {
        match metric {
            // Giants give an infinity here, never a NaN: a sum of squares.
            Metric::L2 => self.l2sq(query, row),
            Metric::InnerProduct => {
                let dot = self.dot(query, row);
                if dot.is_finite() { -dot } else { -scalar::dot_wide(query, row) as f32 }
            }
            Metric::Cosine => {
                let (dot, row_norm_sq) = self.dot_and_norm(query, row);
                if scalar::is_exact_enough(query_norm_sq) && scalar::is_exact_enough(row_norm_sq) {
                    1.0 - dot / (query_norm_sq.sqrt() * row_norm_sq.sqrt())
                } else {
                    scalar::cosine_distance_wide(query, row)
                }
            }
        }
    }

    /// For each point of `columns: [subdim][n]` the nearest of 16 `codewords: [subdim][16]`, ties to the lower: its index
    /// into `symbols: [n]` and its squared distance into `distances: [n]`. Values up to 1e15 cannot overflow.
    pub fn nearest_in_columns(&self, columns: &[f32], codewords: &[f32], symbols: &mut [u8], distances: &mut [f32]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.nearest_in_columns)(columns, codewords, symbols, distances) }
    }

    /// The symbols, `symbols: [symbols]`, whose codewords add up nearest to `row: [dim]`, as far as the search of
    /// `trellis` finds them. Values up to 1e15 cannot overflow.
    pub fn best_symbols(&self, trellis: &Trellis<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.best_symbols)(trellis, row, paths, symbols) }
    }

    /// The symbols, `symbols: [symbols]`, whose codewords add up nearest to `row: [dim]` of all there are, but for
    /// rounding. Values up to 1e15 cannot overflow.
    pub fn best_chain(&self, code: &Chain<'_>, row: &[f32], paths: &mut Paths, symbols: &mut [u8]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.best_chain)(code, row, paths, symbols) }
    }

    /// Adds to each of `rows: [n][dim]` the codewords of its `symbols: [n][symbols]`.
    pub fn add_codewords(&self, codewords: &Codewords<'_>, symbols: &[u8], rows: &mut [f32]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.add_codewords)(codewords, symbols, rows) }
    }

    /// Adds `row: [dim]` to the sum of each of `symbols`, `sums` being laid out as codewords are.
    pub fn add_to_codewords(&self, windows: &[Window], symbols: &[u8], row: &[f32], sums: &mut [f32]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.add_to_codewords)(windows, symbols, row, sums) }
    }

    /// The product of `factors: [n][depth]` and `matrix: [depth][width]` into `out: [n][width]`.
    pub fn combine(&self, factors: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.combine)(factors, matrix, width, out) }
    }

    /// The same for a matrix of small whole numbers.
    pub fn combine_numbers(&self, factors: &[f32], matrix: &[i8], width: usize, out: &mut [f32]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.combine_numbers)(factors, matrix, width, out) }
    }

    /// Scores the codes of `blocks: [n][block_bytes]`, whose rows begin with `first_row`, and appends to `hits` those whose
    /// score is at most `limit`, as long as its capacity has room for all of a block; returns how many blocks were done.
    pub fn scan(&self, codes: &Scan<'_>, blocks: &[u8], first_row: u32, limit: u16, hits: &mut Vec<Hit>) -> usize {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.scan)(codes, blocks, first_row, limit, hits) }
    }

    /// The inner products of `query: [dim]` and the 16 codewords of each of `windows`, into `products: [windows]`; of
    /// codewords laid out as `columns`: for each window `[width][16]`.
    pub fn inner_products(&self, windows: &[Window], columns: &[Lanes], query: &[f32], products: &mut [Lanes]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.inner_products)(windows, columns, query, products) }
    }

    /// The values of `numbers: [dim / 8, rounded up]` in `code`, into `out: [dim]`. Behind `code` there must be
    /// [`NUMBERS_REACH`] bytes more, or numbers near its end are 0.
    pub fn values(&self, numbers: &[Numbers], code: &[u8], out: &mut [f32]) {
        // SAFETY: the CPU has this table's instructions: `Level::kernels` asked it before giving the table out.
        unsafe { (self.values)(numbers, code, out) }
    }
}

/// Asks for the cache lines of `bytes`, which will be read soon.
#[inline(always)]
pub fn bring_near(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: nothing is read, and no address can fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}

/// The widest kernels this CPU can run; asked once per process.
pub fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| Level::ALL.iter().rev().find_map(|level| level.kernels()).unwrap_or(&SCALAR))
}

/// The place of the first NaN or infinity in `values: [n]`.
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    kernels().first_not_finite(values)
}

/// The squared Euclidean distance of `a: [dim]` and `b: [dim]`.
pub fn l2sq(a: &[f32], b: &[f32]) -> f32 {
    kernels().l2sq(a, b)
}

/// The inner product of `a: [dim]` and `b: [dim]`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    kernels().dot(a, b)
}

/// How far `row: [dim]` is from `query: [dim]` by `metric`; smaller is nearer, and never NaN for finite vectors.
///
/// `query_norm_sq` is `dot(query, query)`, computed once per query; only the cosine looks at it.
pub fn distance(metric: Metric, query: &[f32], query_norm_sq: f32, row: &[f32]) -> f32 {
    kernels().distance(metric, query, query_norm_sq, row)
}

/// Little-endian `bytes: [n * 4]` as `out: [n]` floats, at the speed of a copy.
pub fn floats(bytes: &[u8], out: &mut [f32]) {
    debug_assert_eq!(bytes.len(), out.len() * 4);
    let (words, _) = bytes.as_chunks::<4>();
    for (value, word) in out.iter_mut().zip(words) {
        *value = f32::from_le_bytes(*word);
    }
}

/// The floats of little-endian `bytes: [n * 4]` where they lie, if this machine can read them so.
pub fn floats_in_place(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every bit pattern is a float, and `align_to` gives those that are aligned.
    let (before, floats, behind) = unsafe { bytes.align_to::<f32>() };
    (cfg!(target_endian = "little") && before.is_empty() && behind.is_empty()).then_some(floats)
}
