//! The command line, as the program it is: real processes on real data. Each answer, each status, each file that is not
//! what its name says, and what is left after a full disk, after Ctrl-C and after kill -9.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod answers;
mod damage;
mod full;
mod malformed;
mod program;
mod round_trips;
mod stopped;
mod terminal;
