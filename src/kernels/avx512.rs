//! The kernels compiled for AVX-512: 16 floats per register. The parts written by hand are those of AVX2: on the CPUs
//! measured, wider registers shuffle no more bytes a cycle.

use super::avx2::{extend, score};
use super::look_ahead_avx2::{add_growth, extend_all, keep_cheapest};
use super::step_search_avx2::{extend_steps, grow_steps, keep_steps};
use super::{compile_kernels, for_all_kernels};

for_all_kernels!(compile_kernels, {
    Level::Avx512, target_feature(enable = "popcnt,avx512f,avx512bw,avx512dq,avx512vl")
});
