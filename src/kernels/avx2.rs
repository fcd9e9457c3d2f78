//! The kernels compiled for AVX2: the bodies of `scalar` and `nearest` in 8-lane registers.

super::instantiate!(Level::Avx2, "avx2");
