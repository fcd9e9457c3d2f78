//! A disk that can crash: [`SimDisk`] replaces the kernel behind `omen::os` and records each effect on a tape; the
//! [`Explorer`] cuts that tape at any point and rebuilds the states that could have survived.
//!
//!     disk    the directory in memory: names apart from bytes, effects on a tape, faults on demand
//!     tape    what an effect is, how it is printed
//!     replay  the tape up to a cut: what is durable, which units are not, one image for each choice of their fates
//!     fates   which choices are tried: all if they are few, otherwise the typical ones and random ones
//!     explore recovers each image and checks it against the oracle; crashes inside recovery; counts distinct states
//!     hash    128 bits of bytes or of a store's content
#![allow(dead_code, unused_imports, reason = "each test binary uses its part of the simulator")]

mod disk;
mod explore;
mod fates;
mod hash;
#[path = "../random/mod.rs"]
mod random;
mod replay;
mod tape;

pub(crate) use disk::{Fault, Op, SimDisk};
pub(crate) use explore::{
    Before, Effort, Explorer, Outcome, Session, Step, Subject, Tally, crashed, crashed_at, ignored_sync, panic_text,
};
pub(crate) use fates::Breadth;
pub(crate) use hash::Hash;
pub(crate) use random::Random;
pub(crate) use replay::{Fate, Image, Replay, Unit};
pub(crate) use tape::{Effect, Mark, excerpt};
