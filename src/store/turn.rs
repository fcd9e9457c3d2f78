//! One compress, compact or close at a time. Who asks for a second turn within its own, from a progress function, would wait
//! for itself.

use crate::error::{Error, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turn {
    lock: Mutex<()>,
    thread: Mutex<Option<ThreadId>>,
}

/// A turn, until it is dropped.
pub(super) struct Taken<'a> {
    turn: &'a Turn,
    _lock: MutexGuard<'a, ()>,
}

impl Turn {
    /// Waits for the turns of other threads.
    pub(super) fn take(&self) -> Result<Taken<'_>> {
        self.check()?;
        // A panic while it was held left the store as it was.
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *self.thread() = Some(thread::current().id());
        Ok(Taken { turn: self, _lock: lock })
    }

    /// An error if this thread has the turn already.
    pub(super) fn check(&self) -> Result<()> {
        if *self.thread() == Some(thread::current().id()) {
            let text = "compress, compact or close, called from the progress function of the same store's compress";
            return Err(Error::InvalidArgument(text.into()));
        }
        Ok(())
    }

    fn thread(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.turn.thread() = None;
    }
}
