//! The parts of a snapshot, and how it is copied and viewed.

use crate::codec::Codebook;
use crate::error::{Error, Result};
use crate::format::SegmentEntry;
use crate::os::Dir;
use crate::segment::Segment;
use crate::segment::tombstones::Tombstones;
use crate::tail::Tail;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A sealed segment with its tombstones.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// The file.
    pub segment: Arc<Segment>,
    /// The codebook of its codes; `None` if its rows are raw.
    pub codebook: Option<Arc<Codebook>>,
    /// Rows deleted or replaced since the file was written.
    pub hidden: Tombstones,
}

/// One state of the store.
#[derive(Debug)]
pub struct Snapshot {
    /// The manifest's generation.
    pub generation: u64,
    /// Floats per row.
    pub dim: usize,
    /// Sealed segments, oldest first.
    pub segments: Vec<Arc<SegmentView>>,
    /// The active log's rows, if it has any.
    pub tail: Option<Tail>,
    /// Rows of the tail deleted or replaced.
    pub tail_hidden: Tombstones,
    /// Number of tail rows that readers may read.
    pub visible: AtomicU32,
}

/// A snapshot with the number of tail rows its reader sees: fixed for the whole of one call.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The state.
    pub snapshot: &'a Snapshot,
    /// Number of tail rows that the reader sees.
    pub visible: u32,
}

impl Snapshot {
    /// A state without a tail.
    pub fn sealed(generation: u64, dim: usize, segments: Vec<Arc<SegmentView>>) -> Snapshot {
        let (tail, tail_hidden, visible) = (None, Tombstones::default(), AtomicU32::new(0));
        Snapshot { generation, dim, segments, tail, tail_hidden, visible }
    }

    /// A copy, to be changed and published.
    pub fn copy(&self) -> Snapshot {
        Snapshot {
            generation: self.generation,
            dim: self.dim,
            segments: self.segments.clone(),
            tail: self.tail.clone(),
            tail_hidden: self.tail_hidden.clone(),
            visible: AtomicU32::new(self.visible.load(Ordering::Acquire)),
        }
    }

    /// The view of a reader that starts now.
    pub fn view(&self) -> View<'_> {
        View { snapshot: self, visible: self.visible.load(Ordering::Acquire) }
    }

    /// The writer's view: the first `visible` rows of the tail, published or not.
    pub fn view_to(&self, visible: u32) -> View<'_> {
        View { snapshot: self, visible }
    }

    /// Number of hidden rows in all segments and the tail.
    pub fn hidden(&self) -> u64 {
        self.segments.iter().map(|segment| segment.hidden.count()).sum::<u64>() + self.tail_hidden.count()
    }
}

impl SegmentView {
    /// Opens one sealed segment with its codebook; uses the equal one of `known` if there is one.
    pub fn open(
        dir: &dyn Dir,
        entry: &SegmentEntry,
        dim: u32,
        hidden: Tombstones,
        known: &[Arc<Codebook>],
    ) -> Result<SegmentView> {
        let segment = Segment::open(dir, entry, dim)?;
        let mut codebook = None;
        if segment.is_coded() {
            let book = Codebook::intern(known, segment.name(), &segment.codebook()?)?;
            let found = (book.dim(), book.symbols(), book.side_bytes());
            let expected = (dim as usize, segment.footer().symbols as usize, segment.footer().side_bytes as usize);
            if found != expected {
                let what = format!("codebook of (dim, symbols, side bytes) {found:?}, expected {expected:?}");
                return Err(Error::corrupt(segment.name(), what));
            }
            codebook = Some(book);
        }
        Ok(SegmentView { segment: Arc::new(segment), codebook, hidden })
    }

    /// The number of its file.
    pub fn id(&self) -> u64 {
        self.segment.entry().id
    }

    /// True if its rows are codes of `book`.
    pub fn is_coded_with(&self, book: &Codebook) -> bool {
        self.codebook.as_ref().is_some_and(|own| own.id() == book.id())
    }

    /// Live rows.
    pub fn count(&self) -> u64 {
        u64::from(self.segment.rows()) - self.hidden.count()
    }
}

impl View<'_> {
    /// Live vectors.
    pub fn count(&self) -> u64 {
        let sealed: u64 = self.snapshot.segments.iter().map(|segment| segment.count()).sum();
        sealed + u64::from(self.visible) - self.snapshot.tail_hidden.count()
    }
}
