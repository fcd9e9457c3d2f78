//! The kernels compiled for AVX-512: the bodies of `scalar` and its neighbours in 16-lane registers, and the scan of AVX2,
//! which shuffles as many bytes a cycle as wider registers do on the CPUs at hand.

use super::avx2::score;
use super::windows::extended;

super::instantiate!(Level::Avx512, "avx512f,avx512bw,avx512dq,avx512vl");
