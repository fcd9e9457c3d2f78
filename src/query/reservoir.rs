//! The reservoir: candidates for the k nearest, kept by score while a scan goes on.

use crate::codec::Slack;
use crate::error::Result;
use crate::kernels::{BLOCK_ROWS, Hit};

/// Capacity in hits at first: when it is full, the worst hits are dropped.
const HITS_MIN: usize = 256;

/// The candidates of one query so far.
///
/// A code is among the k nearest only if its score is at most `slack` above the k-th best. A score of 0 carries no
/// information (`kernels::SILENT`): its row is always kept and does not count as one of the k. The rows that are left
/// at the end depend on the scores alone, not on their order.
#[derive(Debug)]
pub struct Reservoir {
    k: usize,
    slack: Slack,
    limit: u16,
    /// True: new hits are sorted first, because a test of a row takes longer; hits that end above the limit are not
    /// tested. The hits that `tighten` has seen stay sorted.
    is_sorting: bool,
    /// A scan fills it up to its capacity.
    pub hits: Vec<Hit>,
    /// Number of hits that `tighten` has seen.
    seen: usize,
    /// Rows of score 0.
    silent: Vec<u32>,
    /// Room for the scores of all hits.
    scores: Vec<u16>,
}

impl Reservoir {
    /// A reservoir for the `k` nearest (k at least 1) of codes with scores up to `limit`. `is_costly`: to tell whether a
    /// row is accepted takes longer than to sort it.
    pub fn new(k: usize, slack: Slack, limit: u16, is_costly: bool) -> Reservoir {
        Reservoir {
            k,
            slack,
            limit,
            is_sorting: is_costly,
            hits: Vec::with_capacity(HITS_MIN),
            seen: 0,
            silent: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Codes with higher scores cannot be among the k nearest.
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// Drops the new hits whose rows are not accepted, and all hits above the new limit; reserves room for at least a
    /// block.
    pub fn tighten(&mut self, accepts: impl Fn(u32) -> Result<bool>) -> Result<()> {
        let mut kept = self.seen;
        if self.is_sorting {
            self.hits[self.seen..].sort_unstable();
        }
        for at in self.seen..self.hits.len() {
            let hit = self.hits[at];
            if hit.score > self.limit {
                // Only a sort leaves hits above the limit, and those that follow are no lower.
                break;
            }
            let is_accepted = accepts(hit.row)?;
            if is_accepted && hit.score == 0 {
                self.silent.push(hit.row);
            }
            self.hits[kept] = hit;
            kept += usize::from(is_accepted && hit.score > 0);
            if self.is_sorting {
                let as_low = self.hits[..self.seen].partition_point(|seen| seen.score <= hit.score);
                if as_low + kept - self.seen >= self.k {
                    self.limit = self.limit.min(hit.score.saturating_add(self.slack.at(hit.score)));
                }
            }
        }
        self.hits.truncate(kept);
        if self.is_sorting {
            // A stable sort merges the two parts, which ascend.
            self.hits.sort();
        }
        if kept >= self.k {
            let farthest = self.kth_score();
            self.limit = self.limit.min(farthest.saturating_add(self.slack.at(farthest)));
            self.hits.retain(|hit| hit.score <= self.limit);
        }
        self.seen = self.hits.len();
        // Room for at least as many new hits as are kept, so that this runs seldom.
        self.hits.reserve(self.seen.max(BLOCK_ROWS));
        Ok(())
    }

    /// The k-th best score. Hits keep their order, so that those of later rows stay behind.
    fn kth_score(&mut self) -> u16 {
        if self.is_sorting {
            return self.hits[self.k - 1].score;
        }
        self.scores.clear();
        self.scores.extend(self.hits.iter().map(|hit| hit.score));
        *self.scores.select_nth_unstable(self.k - 1).1
    }

    /// Replaces each kept row by `map(row)`.
    pub fn map_rows(&mut self, map: impl Fn(u32) -> u32) {
        self.hits.iter_mut().map(|hit| &mut hit.row).chain(&mut self.silent).for_each(|row| *row = map(*row));
    }

    /// The rows kept, once `tighten` has seen all hits.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.hits.iter().map(|hit| hit.row).chain(self.silent())
    }

    /// Those of score 0.
    pub fn silent(&self) -> impl Iterator<Item = u32> + '_ {
        self.silent.iter().copied()
    }

    /// How far a row may be above the k-th best score, if that is `score`.
    pub fn slack(&self, score: u16) -> u16 {
        self.slack.at(score)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hit, Reservoir, Slack};

    #[test]
    fn rows_kept_depend_on_scores_and_not_on_their_order() {
        let hits: Vec<Hit> = (0..5000u32).map(|row| Hit { score: (row * 7919 % 401) as u16, row }).collect();
        let is_wanted = |row: u32| !row.is_multiple_of(3);
        let kept = |hits: &[Hit], chunk: usize, is_costly: bool| {
            let mut reservoir = Reservoir::new(7, Slack::fixed(20), u16::MAX, is_costly);
            for hits in hits.chunks(chunk) {
                let limit = reservoir.limit();
                reservoir.hits.extend(hits.iter().filter(|hit| hit.score <= limit));
                let tightened = reservoir.tighten(|row| Ok(is_wanted(row)));
                assert!(tightened.is_ok());
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
        for is_costly in [false, true] {
            for kept in [kept(&hits, 5000, is_costly), kept(&hits, 32, is_costly), kept(&reversed, 100, is_costly)] {
                assert_eq!(kept, expected);
            }
        }
    }
}
