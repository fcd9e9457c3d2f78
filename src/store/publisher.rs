//! The newest state of the store, and the cell through which readers load it.

use crate::os::Shared;
use crate::snapshot::Snapshot;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The newest state. Only the writer replaces it.
#[derive(Debug)]
pub(super) struct Publisher {
    state: Arc<Snapshot>,
    cell: Arc<Shared<Snapshot>>,
    /// False during recovery, so that readers never see a log that is copied only in part.
    is_open: bool,
}

impl Publisher {
    /// Readers see nothing before [`open`](Publisher::open).
    pub(super) fn new(state: Arc<Snapshot>, cell: Arc<Shared<Snapshot>>) -> Publisher {
        Publisher { state, cell, is_open: false }
    }

    pub(super) fn state(&self) -> &Arc<Snapshot> {
        &self.state
    }

    /// True once readers see what is published.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Shows readers the state, and each later one.
    pub(super) fn open(&mut self) {
        self.is_open = true;
        self.cell.store(Some(Arc::clone(&self.state)));
    }

    /// Replaces the state.
    pub(super) fn publish(&mut self, state: Snapshot) {
        self.state = Arc::new(state);
        if self.is_open {
            self.cell.store(Some(Arc::clone(&self.state)));
        }
    }

    /// Makes the first `rows` rows of the tail visible, in `state` where the call needs a new one.
    pub(super) fn publish_rows(&mut self, rows: u32, state: Option<Snapshot>) {
        match state {
            Some(state) => {
                state.visible.store(rows, Ordering::Release);
                self.publish(state);
            }
            None => self.state.visible.store(rows, Ordering::Release),
        }
    }

    /// Frees replaced states that no reader uses any more.
    pub(super) fn free(&self) {
        self.cell.free();
    }
}
