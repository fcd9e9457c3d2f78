//! The k nearest neighbours, in one total order for every access path: by distance, then by id.

use std::collections::BinaryHeap;

/// One vector and its distance to the query.
#[derive(Clone, Copy, Debug)]
pub struct Neighbour {
    /// Smaller is nearer, whatever the metric.
    pub distance: f32,
    /// The vector's id.
    pub id: u64,
}

impl PartialEq for Neighbour {
    fn eq(&self, other: &Neighbour) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Neighbour {}

impl PartialOrd for Neighbour {
    fn partial_cmp(&self, other: &Neighbour) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Neighbour {
    fn cmp(&self, other: &Neighbour) -> std::cmp::Ordering {
        self.distance.total_cmp(&other.distance).then(self.id.cmp(&other.id))
    }
}

/// Keeps the k nearest neighbours offered to it that are within a distance.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    /// Farther neighbours are not kept.
    most: f32,
    /// A max-heap: the farthest kept neighbour is on top.
    kept: BinaryHeap<Neighbour>,
}

impl TopK {
    /// Keeps at most `k`, at least 1, of distances up to `most`.
    pub fn new(k: usize, most: f32) -> TopK {
        TopK { k, most, kept: BinaryHeap::new() }
    }

    /// The largest number kept.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Offers one neighbour; true if it is kept. Its distance is one that `Metric::in_range` returned, so that equal
    /// distances tie.
    pub fn offer(&mut self, distance: f32, id: u64) -> bool {
        let offered = Neighbour { distance, id };
        if self.kept.len() < self.k {
            let is_within = distance <= self.most;
            if is_within {
                self.kept.push(offered);
            }
            return is_within;
        }
        let Some(mut farthest) = self.kept.peek_mut() else { return false };
        let is_nearer = offered < *farthest;
        if is_nearer {
            *farthest = offered;
        }
        is_nearer
    }

    /// Offers all neighbours that another kept.
    pub fn merge(&mut self, other: TopK) {
        for neighbour in other.kept {
            self.offer(neighbour.distance, neighbour.id);
        }
    }

    /// Farther neighbours are not kept: the distance of the farthest kept one, or the largest allowed while fewer than k
    /// are kept.
    pub fn bound(&self) -> f32 {
        match self.kept.peek() {
            Some(farthest) if self.kept.len() == self.k => farthest.distance,
            _ => self.most,
        }
    }

    /// The neighbours kept, nearest first.
    pub fn into_sorted(self) -> Vec<Neighbour> {
        self.kept.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::TopK;

    #[test]
    fn ties_go_to_the_smaller_id_whatever_the_order_of_arrival() {
        let mut top = TopK::new(2, f32::INFINITY);
        for (distance, id, is_kept) in [(0.0, 9, true), (0.0, 3, true), (0.0, 5, true), (2.0, 1, false)] {
            assert_eq!(top.offer(distance, id), is_kept, "{id}");
        }
        assert_eq!(top.into_sorted().iter().map(|n| n.id).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn neighbours_beyond_the_largest_distance_are_not_kept() {
        let mut top = TopK::new(3, 1.5);
        for (distance, id) in [(1.5, 9), (1.6, 3), (f32::INFINITY, 4), (-2.0, 1)] {
            assert_eq!(top.bound(), 1.5);
            assert_eq!(top.offer(distance, id), distance <= 1.5);
        }
        assert_eq!(top.into_sorted().iter().map(|n| n.id).collect::<Vec<_>>(), [1, 9]);
    }
}
