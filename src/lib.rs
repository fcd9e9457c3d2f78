//! libomen: a vector store that other programs link. One shared library, one C header, a directory of plain files.
//!
//! The C ABI in `ffi` is the product. The other public modules serve the tests, the benchmarks and the command line.
//! `docs/architecture.md` has the layers and the flows, `docs/format.md` every byte on disk.

pub mod codec;
mod compress;
pub mod error;
pub mod ffi;
pub mod format;
mod index;
pub mod kernels;
mod log;
mod manifest;
pub mod metric;
pub mod os;
mod query;
mod sealed;
mod segment;
mod snapshot;
pub mod store;
mod tail;
mod threads;
pub mod work;
