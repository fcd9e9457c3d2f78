//! Codes whose score says that they may be among the k nearest, while a scan goes on.

use crate::kernels::{BLOCK_ROWS, Hit};

/// Hits held before the farthest of them are let go.
const HITS_MIN: usize = 256;

/// The hits of one query so far.
///
/// A code is among the k nearest only if its score is at most `slack` above that of k others. A score of 0 says nothing of a
/// code (`kernels::SILENT`): it is kept, and is none of the k. What is kept in the end depends on the scores alone, not on
/// their order.
#[derive(Debug)]
pub struct Reservoir {
    k: usize,
    slack: u16,
    limit: u16,
    /// Its capacity is the room a scan may fill.
    pub hits: Vec<Hit>,
    /// Hits that were looked at.
    seen: usize,
    /// Rows of score 0.
    silent: Vec<u32>,
}

impl Reservoir {
    /// For the `k` nearest, at least 1, of codes with scores up to `limit`.
    pub fn new(k: usize, slack: u16, limit: u16) -> Reservoir {
        Reservoir { k, slack, limit, hits: Vec::with_capacity(HITS_MIN), seen: 0, silent: Vec::new() }
    }

    /// Scores above this are of no use.
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// Lets go of the new hits that are not `wanted`, and of those that are too far by now; makes room for at least a block.
    pub fn tighten(&mut self, wanted: impl Fn(u32) -> bool) {
        let mut kept = self.seen;
        for at in self.seen..self.hits.len() {
            let hit = self.hits[at];
            let is_wanted = wanted(hit.row);
            if is_wanted && hit.score == 0 {
                self.silent.push(hit.row);
            }
            self.hits[kept] = hit;
            kept += usize::from(is_wanted && hit.score > 0);
        }
        self.hits.truncate(kept);
        if kept >= self.k {
            let (_, farthest, _) = self.hits.select_nth_unstable(self.k - 1);
            self.limit = self.limit.min(farthest.score.saturating_add(self.slack));
            self.hits.retain(|hit| hit.score <= self.limit);
        }
        self.seen = self.hits.len();
        // At least as many again as stay, so that this is done seldom.
        self.hits.reserve(self.seen.max(BLOCK_ROWS));
    }

    /// Calls the rows that are kept what `name` says.
    pub fn rename(&mut self, name: impl Fn(u32) -> u32) {
        self.hits.iter_mut().map(|hit| &mut hit.row).chain(&mut self.silent).for_each(|row| *row = name(*row));
    }

    /// The rows that are kept, once all hits were looked at.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.hits.iter().map(|hit| hit.row).chain(self.silent.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::{Hit, Reservoir};

    #[test]
    fn what_is_kept_depends_on_scores_and_not_on_their_order() {
        let hits: Vec<Hit> = (0..5000u32).map(|row| Hit { score: (row * 7919 % 401) as u16, row }).collect();
        let is_wanted = |row: u32| !row.is_multiple_of(3);
        let kept = |hits: &[Hit], chunk: usize| {
            let mut reservoir = Reservoir::new(7, 20, u16::MAX);
            for hits in hits.chunks(chunk) {
                let limit = reservoir.limit();
                reservoir.hits.extend(hits.iter().filter(|hit| hit.score <= limit));
                reservoir.tighten(is_wanted);
            }
            let mut rows: Vec<u32> = reservoir.rows().collect();
            rows.sort_unstable();
            rows
        };
        let mut scores: Vec<u16> = hits.iter().filter(|hit| is_wanted(hit.row)).map(|hit| hit.score).collect();
        scores.sort_unstable();
        let silent = scores.iter().filter(|score| **score == 0).count();
        assert!(silent > 7);
        let within = |hit: &&Hit| is_wanted(hit.row) && hit.score <= scores[silent + 6] + 20;
        let expected: Vec<u32> = hits.iter().filter(within).map(|hit| hit.row).collect();
        let reversed: Vec<Hit> = hits.iter().rev().copied().collect();
        for kept in [kept(&hits, 5000), kept(&hits, 32), kept(&reversed, 100)] {
            assert_eq!(kept, expected);
        }
    }
}
