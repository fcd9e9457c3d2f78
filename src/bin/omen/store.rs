//! How commands open a store, and what metrics are called.

use crate::failure::{Failure, Outcome};
use crate::files::Source;
use clap::ValueEnum;
use omen::error::Error;
use omen::kernels;
use omen::store::{Mode, Options, Store};
use std::path::Path;

/// Distances, as they are called on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Metric {
    /// Squared Euclidean distance
    L2,
    /// Negated inner product
    Ip,
    /// 1 - cosine of the angle
    Cosine,
}

impl Metric {
    pub fn to_library(self) -> kernels::Metric {
        match self {
            Metric::L2 => kernels::Metric::L2,
            Metric::Ip => kernels::Metric::InnerProduct,
            Metric::Cosine => kernels::Metric::Cosine,
        }
    }

    /// What the library's metric is called here.
    pub fn name(metric: kernels::Metric) -> &'static str {
        match metric {
            kernels::Metric::L2 => "l2",
            kernels::Metric::InnerProduct => "ip",
            kernels::Metric::Cosine => "cosine",
        }
    }
}

/// Opens a store that must be there.
pub fn open(path: &Path, mode: Mode, metric: Option<Metric>, threads: u32) -> Outcome<Store> {
    let metric = metric.map(Metric::to_library);
    Ok(Store::open(path, 0, &Options { metric, mode, threads, ..Options::default() })?)
}

pub fn open_to_read(path: &Path) -> Outcome<Store> {
    open(path, Mode::ReadOnly, None, 0)
}

/// An error with the name of the file if its vectors are of another dim than those of the store.
pub fn check_dim(source: &dyn Source, store: &Store) -> Outcome<()> {
    let (found, expected) = (source.dim() as u32, store.dim());
    if found == expected {
        return Ok(());
    }
    let failure = Failure::from(Error::DimMismatch { found, expected });
    Err(Failure { message: format!("{}: {}", source.name(), failure.message), ..failure })
}
