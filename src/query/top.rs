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

/// Keeps the k nearest neighbours offered to it.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    /// A max-heap: the farthest kept neighbour is on top.
    kept: BinaryHeap<Neighbour>,
}

impl TopK {
    /// Keeps at most `k`, at least 1.
    pub fn new(k: usize) -> TopK {
        TopK { k, kept: BinaryHeap::new() }
    }

    /// The largest number kept.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Offers one neighbour.
    pub fn offer(&mut self, distance: f32, id: u64) {
        // Normalize -0.0 so that equal distances tie under total_cmp.
        let offered = Neighbour { distance: distance + 0.0, id };
        if self.kept.len() < self.k {
            self.kept.push(offered);
        } else if let Some(mut farthest) = self.kept.peek_mut()
            && offered < *farthest
        {
            *farthest = offered;
        }
    }

    /// Offers all neighbours that another kept.
    pub fn merge(&mut self, other: TopK) {
        other.kept.into_iter().for_each(|neighbour| self.offer(neighbour.distance, neighbour.id));
    }

    /// Distance of the farthest kept neighbour, infinite while fewer than k are kept. Farther neighbours are not kept.
    pub fn bound(&self) -> f32 {
        match self.kept.peek() {
            Some(farthest) if self.kept.len() == self.k => farthest.distance,
            _ => f32::INFINITY,
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
        let mut top = TopK::new(2);
        for (distance, id) in [(0.0, 9), (0.0, 3), (-0.0, 5), (2.0, 1)] {
            top.offer(distance, id);
        }
        assert_eq!(top.into_sorted().iter().map(|n| n.id).collect::<Vec<_>>(), [3, 5]);
    }
}
