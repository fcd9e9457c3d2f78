//! The progress of a command: a bar, if stderr is a terminal, and a flag that Ctrl-C sets.

use crate::failure::{Failure, Outcome};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use omen::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by Ctrl-C, never cleared.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C sets the flag instead of ending the process. SIGTERM still ends it.
pub fn listen() -> Outcome<()> {
    ctrlc::set_handler(press).map_err(|error| Failure::from(Error::Internal(format!("no handler for Ctrl-C: {error}"))))
}

/// Sets the flag, like Ctrl-C.
pub fn press() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// True once Ctrl-C was pressed.
pub fn is_pressed() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// The bar of one operation. Dropping it clears it.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar named `what`, of `total` steps; 0 if the operation reports the total later.
    pub fn new(what: &'static str, total: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        Progress { bar }
    }

    /// Shows that `done` steps are done. `Cancelled` if Ctrl-C was pressed.
    pub fn at(&self, done: u64) -> Outcome<()> {
        let total = self.bar.length().unwrap_or(0);
        if self.is_stopped(done, total) { Err(Error::Cancelled { done, total }.into()) } else { Ok(()) }
    }

    /// Shows that `done` of `total` steps are done. True, which cancels an operation of the library, if Ctrl-C was
    /// pressed.
    pub fn is_stopped(&self, done: u64, total: u64) -> bool {
        self.bar.set_length(total);
        self.bar.set_position(done);
        is_pressed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
