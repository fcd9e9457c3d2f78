//! The ids that a search may return, as the caller lists them: those allowed, without those denied.

use crate::error::{Error, Result};
use std::borrow::Cow;

/// Ids between two entries of the directory of an [`IdSet`].
const STRIDE: usize = 64;

/// Ids to compare before each branch of the check that they ascend.
const CHECKED_TOGETHER: usize = 256;

/// A set of ids: the caller's array if it ascends, else a sorted copy.
#[derive(Debug)]
pub struct IdSet<'a> {
    /// Ascending, each once.
    ids: Cow<'a, [u64]>,
    /// Every 64th id, so that a look-up reads few cache lines.
    directory: Vec<u64>,
}

impl<'a> IdSet<'a> {
    /// The set of `ids`, which may come in any order and repeat. `name` is the option's.
    fn new(name: &str, ids: &'a [u64]) -> Result<IdSet<'a>> {
        let ids = if ascends(ids) { Cow::Borrowed(ids) } else { Cow::Owned(sorted(name, ids)?) };
        let directory = ids.iter().step_by(STRIDE).copied().collect();
        Ok(IdSet { ids, directory })
    }

    /// Ascending, each once.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// True if `id` is in the set.
    pub fn contains(&self, id: u64) -> bool {
        let end = self.directory.partition_point(|first| *first <= id) * STRIDE;
        let ids = &self.ids[end.saturating_sub(STRIDE)..end.min(self.ids.len())];
        ids.binary_search(&id).is_ok()
    }
}

/// True if each of `ids` is above the one before it.
fn ascends(ids: &[u64]) -> bool {
    let all = |pairs: &[u64]| pairs.iter().zip(&pairs[1..]).fold(true, |all, (id, next)| all & (id < next));
    (0..ids.len()).step_by(CHECKED_TOGETHER).all(|at| all(&ids[at..ids.len().min(at + CHECKED_TOGETHER + 1)]))
}

fn sorted(name: &str, ids: &[u64]) -> Result<Vec<u64>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(ids.len()).map_err(|_| {
        let count = ids.len();
        Error::TooBig(format!("{name}: no memory to sort a copy of {count} ids; give them in ascending order"))
    })?;
    copy.extend_from_slice(ids);
    copy.sort_unstable();
    copy.dedup();
    Ok(copy)
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
    use super::{CHECKED_TOGETHER, IdFilter, STRIDE, ascends};

    #[test]
    fn a_set_has_the_ids_it_was_made_of_whatever_their_order() -> crate::error::Result<()> {
        for count in [0, 1, 2, STRIDE - 1, STRIDE, STRIDE + 1, 5 * STRIDE] {
            let ascending: Vec<u64> = (0..count as u64).map(|number| number * 3 + 5).collect();
            let mut shuffled: Vec<u64> = ascending.iter().rev().copied().collect();
            shuffled.extend_from_within(..count / 2);
            for ids in [&ascending, &shuffled] {
                let (allow, deny) = (IdFilter::new(Some(ids), &[])?, IdFilter::new(None, ids)?);
                for id in (0..count as u64 * 3 + 10).chain([u64::MAX]) {
                    assert_eq!((allow.allows(id), deny.allows(id)), (ids.contains(&id), !ids.contains(&id)), "{id}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn equal_ids_do_not_ascend_wherever_they_are() {
        let ids: Vec<u64> = (0..3 * CHECKED_TOGETHER as u64).collect();
        assert!(ascends(&ids) && ascends(&[]) && ascends(&[7]));
        for at in 1..ids.len() {
            let mut ids = ids.clone();
            ids[at] = ids[at - 1];
            assert!(!ascends(&ids), "{at}");
        }
    }
}
