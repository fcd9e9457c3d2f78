//! The ids that a search may return, as the caller lists them: those allowed, without those denied.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::sync::OnceLock;

/// Ids of a bucket, if ids are evenly spread.
const IDS_PER_BUCKET: usize = 8;

/// The ids of a bucket are compared one by one if there are at most so many: that has no branches to mispredict.
const FEW: usize = 32;

/// Number of ids compared between two early exits.
const ASCEND_AT_ONCE: usize = 4096;

/// A set of ids: the caller's array if it ascends, else a sorted copy.
#[derive(Debug)]
pub struct IdSet<'a> {
    /// Ascending, each once.
    ids: Cow<'a, [u64]>,
    /// Made when an id is first looked up.
    buckets: OnceLock<Buckets>,
}

/// Where to look for an id: bucket b of a set has the ids that are from b · 2^shift to less than (b + 1) · 2^shift above
/// the first.
#[derive(Debug, Default)]
struct Buckets {
    first: u64,
    shift: u32,
    /// The position of the first id of each bucket, and at the end the number of ids; empty if there was no memory.
    starts: Vec<u32>,
}

impl<'a> IdSet<'a> {
    /// The set of `ids`, fewer than 2^32, which may come in any order and repeat. `name` is the option's.
    fn new(name: &str, ids: &'a [u64]) -> Result<IdSet<'a>> {
        let no_memory = || {
            let count = ids.len();
            Error::TooBig(format!("{name}: no memory to sort {count} ids; give fewer, or in ascending order"))
        };
        let ids = match ascend(ids) {
            true => Cow::Borrowed(ids),
            false => Cow::Owned(sorted(ids).ok_or_else(no_memory)?),
        };
        Ok(IdSet { ids, buckets: OnceLock::new() })
    }

    /// Ascending, each once.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// True if `id` is in the set.
    #[inline]
    pub fn contains(&self, id: u64) -> bool {
        let buckets = self.buckets.get_or_init(|| Buckets::of_ascending(&self.ids).unwrap_or_default());
        let ids = buckets.range_of(id).map_or(&*self.ids, |range| &self.ids[range]);
        if ids.len() > FEW {
            ids.binary_search(&id).is_ok()
        } else {
            ids.iter().fold(false, |any, other| any | (*other == id))
        }
    }
}

impl Buckets {
    /// The buckets of `ids`, which ascend; `None` if there are no ids, or no memory for the buckets.
    fn of_ascending(ids: &[u64]) -> Option<Buckets> {
        let first = ids.first()?;
        let range = ids.last()?.checked_sub(*first)?;
        let most = (ids.len() / IDS_PER_BUCKET).max(1) as u64;
        let shift = (range / most).checked_ilog2().map_or(0, |log| log + 1).min(u64::BITS - 1);
        let count = (range >> shift) as usize + 1;
        let mut starts = Vec::new();
        starts.try_reserve_exact(count + 1).ok()?;
        starts.resize(count + 1, u32::MAX);
        let mut buckets = Buckets { first: *first, shift, starts };
        buckets.fill(ids);
        Some(buckets)
    }

    /// Finds where each bucket starts.
    fn fill(&mut self, ids: &[u64]) {
        let last = self.starts.len() - 1;
        self.starts[last] = ids.len() as u32;
        // Downwards, so that the first id of a bucket is written last. Each id is written, as a test costs more.
        for (position, id) in ids.iter().enumerate().rev() {
            let bucket = (id.wrapping_sub(self.first) >> self.shift) as usize;
            self.starts[bucket.min(last - 1)] = position as u32;
        }
        let mut behind = ids.len() as u32;
        for start in self.starts.iter_mut().rev() {
            // An empty bucket starts where the next one does.
            behind = behind.min(*start);
            *start = behind;
        }
    }

    /// The positions of the ids of the bucket of `id`; `None` if there are no buckets.
    #[inline]
    fn range_of(&self, id: u64) -> Option<std::ops::Range<usize>> {
        let bucket = (id.wrapping_sub(self.first) >> self.shift) as usize;
        match self.starts.get(bucket..).and_then(<[u32]>::first_chunk::<2>) {
            Some([start, end]) => Some(*start as usize..*end as usize),
            None => (!self.starts.is_empty()).then_some(0..0),
        }
    }
}

/// True if each of `ids` is above the one before.
fn ascend(ids: &[u64]) -> bool {
    let parts = (0..ids.len()).step_by(ASCEND_AT_ONCE);
    // No early exit inside a part, so that the comparisons vectorize.
    parts
        .map(|first| &ids[first..ids.len().min(first + ASCEND_AT_ONCE + 1)])
        .all(|part| part.iter().zip(&part[1..]).fold(true, |ascend, (id, next)| ascend & (id < next)))
}

/// A copy of `ids` that ascends, each once; `None` if there is no memory for it.
fn sorted(ids: &[u64]) -> Option<Vec<u64>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(ids.len()).ok()?;
    copy.extend_from_slice(ids);
    copy.sort_unstable();
    copy.dedup();
    Some(copy)
}

/// The ids that a search may return.
#[derive(Debug)]
pub struct IdFilter<'a> {
    /// `None`: every id that is not denied.
    allowed: Option<IdSet<'a>>,
    denied: IdSet<'a>,
}

impl<'a> IdFilter<'a> {
    /// Allows `allowed`, or every id if it is `None`, except for `denied`.
    pub fn new(allowed: Option<&'a [u64]>, denied: &'a [u64]) -> Result<IdFilter<'a>> {
        let allowed = allowed.map(|ids| IdSet::new("allow_ids", ids)).transpose()?;
        Ok(IdFilter { allowed, denied: IdSet::new("deny_ids", denied)? })
    }

    /// True if a search may return `id`.
    pub fn allows(&self, id: u64) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.contains(id)) && !self.denies(id)
    }

    /// True if `id` is denied.
    pub fn denies(&self, id: u64) -> bool {
        !self.denied.ids.is_empty() && self.denied.contains(id)
    }

    /// The allowed ids, some of which may be denied; `None` if only denied ids are given.
    pub fn allowed(&self) -> Option<&[u64]> {
        self.allowed.as_ref().map(IdSet::ids)
    }

    /// The denied ids.
    pub fn denied(&self) -> &[u64] {
        self.denied.ids()
    }
}

#[cfg(test)]
mod tests {
    use super::{ASCEND_AT_ONCE, FEW, IdFilter, ascend};

    #[test]
    fn a_set_has_the_ids_it_was_made_of_whatever_their_order() -> crate::error::Result<()> {
        let evenly = |number: u64| number * 3 + 5;
        let unevenly = |number: u64| evenly(number) + number.pow(4) / 1000;
        let in_a_corner = |number: u64| if number == 0 { 1 } else { (1 << 63) + number };
        for count in [0, 1, 2, 15, 16, FEW as u64 - 1, FEW as u64, 5 * FEW as u64] {
            for spread in [&evenly as &dyn Fn(u64) -> u64, &unevenly, &in_a_corner] {
                let ascending: Vec<u64> = (0..count).map(spread).collect();
                let mut shuffled: Vec<u64> = ascending.iter().rev().copied().collect();
                shuffled.extend_from_within(..shuffled.len() / 2);
                for ids in [&ascending, &shuffled] {
                    let (allow, deny) = (IdFilter::new(Some(ids), &[])?, IdFilter::new(None, ids)?);
                    for id in ascending.iter().flat_map(|id| id - 1..id + 3).chain([0, u64::MAX]) {
                        assert_eq!(
                            (allow.allows(id), deny.allows(id)),
                            (ids.contains(&id), !ids.contains(&id)),
                            "{id}"
                        );
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn ids_that_do_not_ascend_are_noticed_wherever_they_are() {
        let ids: Vec<u64> = (10..300).collect();
        let long: Vec<u64> = (0..2 * ASCEND_AT_ONCE as u64 + 1).collect();
        assert!(ascend(&long));
        for at in [1, ASCEND_AT_ONCE - 1, ASCEND_AT_ONCE, ASCEND_AT_ONCE + 1, 2 * ASCEND_AT_ONCE] {
            let mut wrong = long.clone();
            wrong[at] = wrong[at - 1];
            assert!(!ascend(&wrong), "{at}");
        }
        assert_eq!((ascend(&ids), ascend(&[]), ascend(&[7])), (true, true, true));
        for at in 1..ids.len() {
            for wrong in [ids[at - 1], 0, u64::MAX] {
                let mut ids = ids.clone();
                ids[at] = wrong;
                let is_last = at == ids.len() - 1 && wrong == u64::MAX;
                assert_eq!(ascend(&ids), is_last, "{at} {wrong}");
            }
        }
    }
}
