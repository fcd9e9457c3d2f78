//! A filter: the rows of the ids that a caller allows, in each segment and in the tail.
//!
//! Callers tend to repeat a filter, so the last one is kept if it is small, with its gathered codes. It is valid for
//! one snapshot and one number of visible rows.

use super::row_set::RowSet;
use crate::error::Result;
use crate::snapshot::{SegmentView, View};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Largest filter that is kept, in bytes: its ids, their rows and their codes.
const KEPT_BYTES: usize = 4 << 20;

/// The rows that a search may return.
#[derive(Debug)]
pub struct Filter {
    /// Serial number of the snapshot it was made for, and the number of tail rows that were visible.
    serial: u64,
    visible: u32,
    /// As the caller gave them; empty if the filter is not kept.
    ids: Vec<u64>,
    /// `[segments]`.
    segments: Vec<RowSet>,
    /// Ascending.
    tail: Vec<u32>,
}

/// The filter of the last search that had a small one.
#[derive(Debug, Default)]
pub struct FilterCache(Mutex<Option<Arc<Filter>>>);

impl FilterCache {
    /// The filter of `ids` in `view`: the kept one if it is the same, else a new one.
    pub fn filter(&self, view: &View, ids: &[u64]) -> Result<Arc<Filter>> {
        if let Some(filter) = self.kept(view.snapshot.serial)
            && filter.visible == view.visible
            && filter.ids == ids
        {
            return Ok(filter);
        }
        let mut filter = Filter::new(view, ids)?;
        if filter.bytes(view, ids) > KEPT_BYTES {
            return Ok(Arc::new(filter));
        }
        filter.segments.iter_mut().for_each(RowSet::keep_blocks);
        filter.ids = ids.to_vec();
        let filter = Arc::new(filter);
        *self.lock() = Some(Arc::clone(&filter));
        Ok(filter)
    }

    /// Drops the kept filter.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    /// The kept filter if it belongs to the snapshot with this serial number; one of another snapshot is dropped.
    fn kept(&self, serial: u64) -> Option<Arc<Filter>> {
        let mut kept = self.lock();
        kept.take_if(|filter| filter.serial != serial);
        kept.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Filter>>> {
        // Each change is one assignment, so a panic elsewhere cannot leave it half made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filter {
    /// The live rows of those of `ids` that are stored. Ids may come in any order and repeat.
    fn new(view: &View, ids: &[u64]) -> Result<Filter> {
        let mut tail = Vec::new();
        let mut missing = ids.to_vec();
        missing.retain(|id| {
            let row = view.locate_in_tail(*id);
            tail.extend(row);
            row.is_none()
        });
        tail.sort_unstable();
        tail.dedup();
        // Newest first, in the order of `locate`.
        let newest_first = view.snapshot.segments.iter().rev();
        let mut segments: Vec<RowSet> =
            newest_first.map(|segment| take_rows(segment, &mut missing)).collect::<Result<_>>()?;
        segments.reverse();
        Ok(Filter { serial: view.snapshot.serial, visible: view.visible, ids: Vec::new(), segments, tail })
    }

    /// The rows allowed in segment number `segment`.
    pub fn segment(&self, segment: usize) -> &RowSet {
        &self.segments[segment]
    }

    /// The rows allowed in the tail, ascending.
    pub fn tail(&self) -> &[u32] {
        &self.tail
    }

    /// Bytes of this filter in memory once all its codes are gathered.
    fn bytes(&self, view: &View, ids: &[u64]) -> usize {
        let row_bytes = |segment: &SegmentView| segment.codebook.as_ref().map_or(0, |_| segment.segment.row_bytes());
        let of_segment = |(segment, set): (&Arc<SegmentView>, &RowSet)| set.bytes(row_bytes(segment));
        let segments: usize = view.snapshot.segments.iter().zip(&self.segments).map(of_segment).sum();
        size_of_val(ids) + size_of_val(&*self.tail) + segments
    }
}

/// The live rows of those of `ids` that are in `segment`; these ids are removed.
fn take_rows(segment: &SegmentView, ids: &mut Vec<u64>) -> Result<RowSet> {
    let mut found = segment.segment.rows_of(ids)?;
    found.retain(|(row, _)| !segment.hidden.hides(*row));
    found.sort_unstable();
    let mut is_found = vec![false; ids.len()];
    found.iter().for_each(|(_, position)| is_found[*position] = true);
    found.dedup_by_key(|(row, _)| *row);
    let set = RowSet::new(found.iter().map(|(row, position)| (*row, ids[*position])));
    let mut is_found = is_found.into_iter();
    ids.retain(|_| !is_found.next().unwrap_or(true));
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::{FilterCache, KEPT_BYTES};
    use crate::snapshot::Snapshot;
    use std::sync::{Arc, atomic::Ordering};

    #[test]
    fn a_filter_is_kept_for_one_snapshot_one_count_and_the_same_ids() {
        let (cache, first) = (FilterCache::default(), Snapshot::sealed(0, 4, Vec::new()));
        let filter = |snapshot: &Snapshot, ids: &[u64]| cache.filter(&snapshot.view(), ids).ok();
        let is_kept = |snapshot: &Snapshot, ids: &[u64], kept: &Arc<_>| {
            filter(snapshot, ids).is_some_and(|found| Arc::ptr_eq(&found, kept))
        };
        let Some(kept) = filter(&first, &[1, 2]) else { panic!("no filter") };
        assert!(is_kept(&first, &[1, 2], &kept));
        assert!(!is_kept(&first, &[2, 1], &kept) && !is_kept(&first, &[1, 2], &kept));
        let Some(kept) = filter(&first, &[1, 2]) else { panic!("no filter") };
        first.visible.store(1, Ordering::Release);
        assert!(!is_kept(&first, &[1, 2], &kept));
        // The copy is another state. The filter of the first is dropped even if no other replaces it.
        let Some(kept) = filter(&first, &[1, 2]) else { panic!("no filter") };
        let large = vec![3; KEPT_BYTES / size_of::<u64>() + 1];
        assert!(filter(&first, &large).is_some() && is_kept(&first, &[1, 2], &kept));
        assert!(filter(&first.copy(), &large).is_some());
        assert_eq!(Arc::strong_count(&kept), 1);
        let Some(kept) = filter(&first, &[1, 2]) else { panic!("no filter") };
        cache.clear();
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
