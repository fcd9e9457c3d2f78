//! What goes on while a command works: a bar, where stderr is a terminal, and Ctrl-C as a flag that work looks at.

use crate::failure::{Failure, Outcome};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use omen::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

static STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C raises the flag instead of ending the process. (SIGTERM ends it, as kill -9 does.)
pub fn listen() -> Outcome<()> {
    let installed = ctrlc::set_handler(|| STOPPED.store(true, Ordering::Relaxed));
    installed.map_err(|error| Failure::from(Error::Internal(format!("no handler for Ctrl-C: {error}"))))
}

pub fn is_pressed() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// The bar of one piece of work; it goes when the work ends.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `what` goes on until `total` is reached; a total of 0 is told later.
    pub fn new(what: &'static str, total: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        Progress { bar }
    }

    /// Shows how far the work is; an error if Ctrl-C was pressed.
    pub fn at(&self, done: u64) -> Outcome<()> {
        let total = self.bar.length().unwrap_or(0);
        if self.is_stopped(done, total) { Err(Error::Cancelled { done, total }.into()) } else { Ok(()) }
    }

    /// The same in the form the library asks for: true stops the work.
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
