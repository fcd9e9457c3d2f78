//! Codes whose score says that they may be among the k nearest, while a scan goes on.

use crate::kernels::{BLOCK_ROWS, Hit};

/// Hits held before the farthest of them are let go.
const HITS_MIN: usize = 256;

/// The hits of one query so far.
///
/// A code is among the k nearest only if its score is at most `slack` above that of k others. What is kept in the end
/// depends on the scores alone, not on their order.
#[derive(Debug)]
pub struct Reservoir {
    k: usize,
    slack: u16,
    limit: u16,
    /// Its capacity is the room a scan may fill.
    pub hits: Vec<Hit>,
    /// Hits that were looked at.
    seen: usize,
}

impl Reservoir {
    /// For the `k` nearest, at least 1, of codes with scores up to `limit`.
    pub fn new(k: usize, slack: u16, limit: u16) -> Reservoir {
        Reservoir { k, slack, limit, hits: Vec::with_capacity(HITS_MIN), seen: 0 }
    }

    /// Scores above this are of no use.
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// Lets go of the new hits that are not `wanted`, and of those that are too far by now; makes room for at least a block.
    pub fn tighten(&mut self, wanted: impl Fn(u32) -> bool) {
        let mut kept = self.seen;
        for at in self.seen..self.hits.len() {
            self.hits[kept] = self.hits[at];
            kept += usize::from(wanted(self.hits[at].row));
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
}

#[cfg(test)]
mod tests {
    use super::{Hit, Reservoir};

    #[test]
    fn what_is_kept_does_not_depend_on_the_order() {
        let hits: Vec<Hit> = (0..5000u32).map(|row| Hit { score: (row * 7919 % 4001) as u16, row }).collect();
        let kept = |hits: &[Hit], chunk: usize| {
            let mut reservoir = Reservoir::new(7, 20, u16::MAX);
            for hits in hits.chunks(chunk) {
                let limit = reservoir.limit();
                reservoir.hits.extend(hits.iter().filter(|hit| hit.score <= limit));
                reservoir.tighten(|row| row % 3 != 0);
            }
            reservoir.hits.sort_unstable();
            reservoir.hits
        };
        let expected = kept(&hits, 5000);
        assert!(
            expected.len() >= 7 && expected.iter().all(|hit| hit.row % 3 != 0 && hit.score <= expected[6].score + 20)
        );
        let reversed: Vec<Hit> = hits.iter().rev().copied().collect();
        assert_eq!((kept(&hits, 32), kept(&reversed, 100)), (expected.clone(), expected));
    }
}
