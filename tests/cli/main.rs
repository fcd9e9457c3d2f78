//! The command line, as real processes on real data: every answer and status, malformed files, and what is left after a full
//! disk, Ctrl-C and kill -9.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod answers;
mod choosing;
#[cfg(feature = "parquet")]
mod columns;
mod damage;
mod documented;
mod formats;
mod full;
mod ids;
mod malformed;
mod pipes;
mod program;
mod round_trips;
mod stopped;
mod terminal;
#[path = "../waiting/mod.rs"]
mod waiting;
