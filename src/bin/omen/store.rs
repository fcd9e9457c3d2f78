//! How commands open a store and parse a metric.

use crate::failure::{Failure, Outcome};
use crate::files::Source;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use omen::error::Error;
use omen::metric::Metric;
use omen::store::{Mode, Options, Store};
use std::path::Path;

/// Parses the value of `--metric`.
pub fn metric() -> impl TypedValueParser<Value = Metric> {
    let values = [
        PossibleValue::new(Metric::L2.name()).help("Squared Euclidean distance"),
        PossibleValue::new(Metric::InnerProduct.name()).alias("ip").help("Negated inner product"),
        PossibleValue::new(Metric::Cosine.name()).help("1 - cosine of the angle"),
    ];
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Metric>())
}

/// Opens a store that exists.
pub fn open(path: &Path, mode: Mode, metric: Option<Metric>, threads: u32) -> Outcome<Store> {
    Ok(Store::open(path, 0, &Options { metric, mode, threads, ..Options::default() })?)
}

/// Opens a store that exists, read-only.
pub fn open_to_read(path: &Path) -> Outcome<Store> {
    open(path, Mode::ReadOnly, None, 0)
}

/// Checks that the vectors of `source` have the dim of `store`. The error names the file.
pub fn check_dim(source: &dyn Source, store: &Store) -> Outcome<()> {
    let (asked, stored) = (source.dim() as u32, store.dim());
    if asked == stored {
        return Ok(());
    }
    let status = Error::DimMismatch { asked, stored }.status();
    Err(Failure { status, message: format!("{}: dim: the store has {stored}, the file has {asked}", source.name()) })
}
