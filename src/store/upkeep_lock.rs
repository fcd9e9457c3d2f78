//! The lock that lets one compress, compact or close run at a time.
//!
//! Compress and compact call a progress function while they hold it. Acquiring the lock again inside that function
//! would be a deadlock, so it is an error instead.

use crate::error::{Error, Result};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// A mutex that knows which thread holds it.
#[derive(Debug, Default)]
pub(super) struct UpkeepLock {
    lock: Mutex<()>,
    holder: Mutex<Option<ThreadId>>,
}

/// The lock is held until this is dropped.
pub(super) struct UpkeepGuard<'a> {
    owner: &'a UpkeepLock,
    _lock: MutexGuard<'a, ()>,
}

impl UpkeepLock {
    /// Waits for other threads to release the lock, then holds it.
    pub(super) fn acquire(&self) -> Result<UpkeepGuard<'_>> {
        self.check_not_held()?;
        // The lock protects no data, so a panic of its holder left nothing inconsistent.
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *self.holder() = Some(thread::current().id());
        Ok(UpkeepGuard { owner: self, _lock: lock })
    }

    /// An error if this thread holds the lock already.
    pub(super) fn check_not_held(&self) -> Result<()> {
        if *self.holder() == Some(thread::current().id()) {
            let text = "compress, compact or close was called from the progress function of a compress or compact of the \
                        same store: call it after that one has returned";
            return Err(Error::InvalidArgument(text.into()));
        }
        Ok(())
    }

    fn holder(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UpkeepGuard<'_> {
    fn drop(&mut self) {
        *self.owner.holder() = None;
    }
}
