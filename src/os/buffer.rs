//! A buffer that one writer appends to while many readers read the published part.
//!
//! [`Appender`] is the only writer and is not `Clone`; [`Published`] reads. While a reader exists, bytes below the
//! published length do not change, and only the appender accesses bytes above it. The safety of this file rests on that
//! split.
#![expect(unsafe_code, reason = "one writer and many readers share a buffer, split at the published length")]

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ALIGNMENT: usize = 4096;

#[derive(Debug)]
struct Allocation {
    start: NonNull<u8>,
    layout: Layout,
    published: AtomicUsize,
}

// SAFETY: this value owns the memory at `start`, which is bound to no thread. Below `published` it is only read; above
// it only the one `Appender` writes.
unsafe impl Send for Allocation {}
// SAFETY: readers and the appender access disjoint ranges, ordered by the release store in `append_bytes`.
unsafe impl Sync for Allocation {}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: allocated in `Appender::new` with this very layout, and no slice outlives the `Arc` it borrows from.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// The writer's end: appends bytes and publishes them.
#[derive(Debug)]
pub struct Appender {
    allocation: Arc<Allocation>,
}

/// A reader's end: sees every byte published before the call.
#[derive(Clone, Debug)]
pub struct Published {
    allocation: Arc<Allocation>,
}

impl Appender {
    /// A buffer for `capacity` bytes (at least one), or `None` if the allocation fails.
    pub fn new(capacity: usize) -> Option<Appender> {
        let layout = Layout::from_size_align(capacity.max(1), ALIGNMENT).ok()?;
        // SAFETY: the layout has a size of at least one.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        let allocation = Allocation { start, layout, published: AtomicUsize::new(0) };
        Some(Appender { allocation: Arc::new(allocation) })
    }

    /// A new reader.
    pub fn reader(&self) -> Published {
        Published { allocation: Arc::clone(&self.allocation) }
    }

    /// Bytes appended so far.
    pub fn length(&self) -> usize {
        self.allocation.published.load(Ordering::Relaxed)
    }

    /// Free bytes.
    pub fn room(&self) -> usize {
        self.allocation.layout.size() - self.length()
    }

    /// Appends the little-endian bytes of `values`; returns false and appends nothing if they do not fit.
    pub fn append(&mut self, values: &[f32]) -> bool {
        // SAFETY: the bytes of a live slice of f32: they are initialized, u8 has alignment 1, and the borrow covers
        // them.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        self.append_bytes(bytes)
    }

    /// Appends `bytes`; returns false and appends nothing if they do not fit.
    pub fn append_bytes(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.room() {
            return false;
        }
        let length = self.length();
        // SAFETY: `length + bytes.len() <= capacity` was checked above. The target lies above `published`, where no
        // reader reads and only this appender writes; no slice of it exists, so it cannot overlap the source.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.allocation.start.as_ptr().add(length), bytes.len());
        }
        self.allocation.published.store(length + bytes.len(), Ordering::Release);
        true
    }

    /// Empties the buffer if no reader is left; returns whether it did.
    pub fn reset_if_unread(&mut self) -> bool {
        match Arc::get_mut(&mut self.allocation) {
            Some(allocation) => {
                *allocation.published.get_mut() = 0;
                true
            }
            None => false,
        }
    }

    /// Every byte appended so far.
    pub fn bytes(&self) -> &[u8] {
        self.allocation.bytes()
    }
}

impl Published {
    /// The bytes published so far.
    pub fn bytes(&self) -> &[u8] {
        self.allocation.bytes()
    }
}

impl Allocation {
    fn bytes(&self) -> &[u8] {
        let published = self.published.load(Ordering::Acquire);
        // SAFETY: `append_bytes` wrote the first `published` bytes before its release store. They change only after
        // `reset_if_unread`, which needs the only reference.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), published) }
    }
}

#[cfg(target_endian = "big")]
compile_error!("libomen's files are little-endian and its buffers are written as they are: little-endian hosts only");
