//! Arithmetic on slices with SIMD: distances, matrix products, nearest codewords, trellis search, scan of codes. The
//! instruction set is chosen once per process.
//!
//! The body of each kernel is plain Rust over arrays of a fixed number of lanes, with a fixed order of additions and
//! without fused multiply-add. Each level compiles the same bodies for its registers, so all levels agree to the bit,
//! and files do not depend on the machine that wrote them. A few inner functions are written by hand for each instruction
//! set (`look_ahead_avx2` has those of `look_ahead`, `step_search_avx2` those of `step_search`); those of `portable` are
//! the definition.
//!
//! Bodies: `distance`, `matrix`, `nearest` (codewords), `trellis`, `chain`, `look_ahead` and `step_search` (search for
//! symbols), `sums` (of codewords), `scan` (scores of codes), `dequantize` (scalar codes); over `lanes`. Levels: `portable`, `avx2`,
//! `avx512`. `code` has the sizes of codes and blocks.
//!
//! `dispatch` declares the kernels, and the table below the levels. Another instruction set takes one file beside
//! `avx2`, one `mod` line and one row of that table.
#![expect(unsafe_code, reason = "calls of functions compiled for CPU features, and SIMD loads and stores")]

use crate::metric::Metric;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod chain;
mod code;
mod dequantize;
mod dispatch;
mod distance;
mod lanes;
mod look_ahead;
#[cfg(target_arch = "x86_64")]
mod look_ahead_avx2;
mod matrix;
mod nearest;
mod portable;
mod scan;
mod step_search;
#[cfg(target_arch = "x86_64")]
mod step_search_avx2;
mod sums;
mod trellis;

pub use chain::Chain;
pub use code::{CodeLayout, block_bytes, blocks_for};
pub use dequantize::{BitFields, CODE_PADDING, Dequantizer, GROUP_DIMS};
pub use dispatch::Kernels;
use dispatch::{compile_kernels, for_all_kernels};
pub use lanes::{CODEWORDS, Lanes};
pub use look_ahead::{Beam, LOOK_AHEAD_PATHS_MAX, LookAhead, Overlapping};
pub use scan::{BLOCK_ROWS, Hit, PiecewiseLinear, SILENT, SLOPE_MAX, Scan, Sides, sums_fit};
pub use step_search::{StepBeam, StepSearch};
pub use sums::{Codewords, Strip, Window};
pub use trellis::{Paths, SIXTEENS_MAX, SURVIVORS_MAX, Stretch, Trellis};

/// Defines `Level` from a table of `name: architecture, CPU test => kernels`, the narrowest first.
macro_rules! define_levels {
    ($($(#[$doc:meta])* $level:ident: $architecture:meta, $cpu_has_it:expr => $kernels:path;)*) => {
        /// An instruction set the kernels are compiled for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Level {
            $($(#[$doc])* $level,)*
        }

        impl Level {
            /// Every level, the narrowest first.
            pub const ALL: &'static [Level] = &[$(Level::$level),*];

            /// The kernels of this level, or `None` if this CPU lacks the instructions.
            pub fn kernels(self) -> Option<&'static Kernels> {
                match self {
                    $(
                        #[cfg($architecture)]
                        Level::$level => $cpu_has_it.then_some(&$kernels),
                        #[cfg(not($architecture))]
                        Level::$level => None,
                    )*
                }
            }
        }
    };
}

define_levels! {
    /// The baseline of the architecture.
    Portable: all(), true => portable::KERNELS;
    /// x86-64 with AVX2 and POPCNT.
    Avx2: target_arch = "x86_64", has_avx2() => avx2::KERNELS;
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512: target_arch = "x86_64", has_avx512() => avx512::KERNELS;
}

/// CPUs with AVX2 have POPCNT as well, but that is another bit.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

impl Level {
    /// True if this CPU has the instructions.
    pub fn is_supported(self) -> bool {
        self.kernels().is_some()
    }

    /// The levels this CPU can run, the narrowest first.
    pub fn all_supported() -> Vec<Level> {
        Level::ALL.iter().copied().filter(|level| level.is_supported()).collect()
    }
}

/// The widest kernels this CPU can run. The CPU is tested once per process.
pub fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| Level::ALL.iter().rev().find_map(|level| level.kernels()).unwrap_or(&portable::KERNELS))
}

/// Prefetches the cache lines of `bytes`.
#[inline(always)]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.chunks(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64. A prefetch reads nothing the program sees and faults at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}

/// Position of the first NaN or infinity in `values: [n]`.
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    kernels().first_not_finite(values)
}

/// Squared Euclidean distance of `a: [dim]` and `b: [dim]`.
pub fn l2sq(a: &[f32], b: &[f32]) -> f32 {
    kernels().l2sq(a, b)
}

/// Inner product of `a: [dim]` and `b: [dim]`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    kernels().dot(a, b)
}

/// Distance by `metric` of `row: [dim]` from `query: [dim]`; smaller is nearer, and never NaN for finite vectors.
///
/// `query_norm_sq` is `dot(query, query)`, computed once per query; only the cosine distance uses it.
pub fn distance(metric: Metric, query: &[f32], query_norm_sq: f32, row: &[f32]) -> f32 {
    kernels().distance(metric, query, query_norm_sq, row)
}

/// Converts little-endian `bytes: [n * 4]` to `out: [n]` floats, at the speed of a copy.
pub fn floats(bytes: &[u8], out: &mut [f32]) {
    debug_assert_eq!(bytes.len(), out.len() * 4);
    let (words, _) = bytes.as_chunks::<4>();
    for (value, word) in out.iter_mut().zip(words) {
        *value = f32::from_le_bytes(*word);
    }
}

/// Little-endian `bytes: [n * 4]` as floats without a copy; `None` if they are not aligned to 4 bytes, if their number
/// is not a multiple of 4, or on a big-endian machine.
pub fn floats_in_place(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every bit pattern is a valid f32, and `align_to` returns only the aligned middle part.
    let (before, floats, behind) = unsafe { bytes.align_to::<f32>() };
    (cfg!(target_endian = "little") && before.is_empty() && behind.is_empty()).then_some(floats)
}
