//! Ids as arguments, in a file or on stdin.

use crate::failure::{Failure, Outcome};
use crate::files::{Integers, Origin};
use clap::Args;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Ids of vectors.
#[derive(Args)]
pub struct IdArguments {
    /// Ids; `-` reads them from stdin, one on each line
    #[arg(required_unless_present = "ids", conflicts_with = "ids", value_name = "IDS")]
    given: Vec<IdOrStdin>,
    /// File of ids: .npy, .npz, .csv (one on each line), .ivecs, .ibin; or `-` for stdin
    #[arg(long)]
    ids: Option<PathBuf>,
}

/// One argument.
#[derive(Clone)]
enum IdOrStdin {
    Id(u64),
    Stdin,
}

impl FromStr for IdOrStdin {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<IdOrStdin, Self::Err> {
        if text == "-" { Ok(IdOrStdin::Stdin) } else { text.parse().map(IdOrStdin::Id) }
    }
}

impl IdArguments {
    /// All ids, in the order in which they were given.
    pub fn read(&self) -> Outcome<Vec<u64>> {
        if let Some(path) = &self.ids {
            return read_ids(path);
        }
        if let [IdOrStdin::Stdin] = self.given.as_slice() {
            return read_ids(Path::new("-"));
        }
        let id = |argument: &IdOrStdin| match argument {
            IdOrStdin::Id(id) => Ok(*id),
            IdOrStdin::Stdin => Err(Failure::argument("-: expected no other ids beside those of stdin")),
        };
        self.given.iter().map(id).collect()
    }
}

/// All ids of a file.
pub fn read_ids(path: &Path) -> Outcome<Vec<u64>> {
    Integers::open(&Origin::new(path))?.read_all()
}
