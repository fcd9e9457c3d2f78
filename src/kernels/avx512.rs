//! The kernels compiled for AVX-512: the bodies of `scalar` and `nearest` in 16-lane registers.

super::instantiate!(Level::Avx512, "avx512f,avx512bw,avx512dq,avx512vl");
