//! Inverted lists: rows that are near each other, so that a search looks at the rows near its query only.
//!
//! Centroids come in two levels: k-means gives cells, and k-means in each cell its lists, as many as its share of the rows.
//! A row goes to the nearest list of the nearest few cells (the inverted file of Jégou, Douze, Schmid: Product Quantization
//! for Nearest Neighbor Search, TPAMI 2011, §IV). All sums run in row order: the same lists for any number of threads.
//!
//! This module knows floats only, nothing of codes, files or ids.

use crate::kernels::kernels;
use crate::metric::Metric;

/// About how many rows a list has. With fewer, the codes of centroids weigh; with more, too many rows are looked at.
const ROWS_A_LIST: u64 = 96;
/// Fewer rows are scanned before lists would be chosen.
const ROWS_MIN: u64 = 1 << 14;
const LISTS_MAX: u32 = 1 << 12;

/// Sample rows a list is trained on.
pub const SAMPLE_A_LIST: u64 = 32;

/// Lloyd's iterations.
const ROUNDS: usize = 10;
/// Cells whose lists a row may go to.
const CELLS_LOOKED_AT: usize = 8;

/// Sample rows that ask for their neighbours, to see how many lists must be visited to find them.
const ASKED: usize = 512;
/// The neighbours a search asks for, and the share of them to be found.
const NEIGHBOURS: u64 = 10;
const FOUND: f64 = 0.997;

/// How many lists `rows` rows have: a power of two, or 0 where none pay.
pub fn lists_for(rows: u64) -> u32 {
    if rows < ROWS_MIN {
        return 0;
    }
    let lists = u32::try_from(rows / ROWS_A_LIST).unwrap_or(LISTS_MAX).min(LISTS_MAX);
    1 << lists.ilog2()
}

/// The centroids of all lists.
#[derive(Debug)]
pub struct Index {
    dim: usize,
    metric: Metric,
    /// `[cells][dim]`.
    cells: Vec<f32>,
    /// `[cells + 1]`: the lists of cell c are `firsts[c] .. firsts[c + 1]`.
    firsts: Vec<usize>,
    /// `[lists][dim]`.
    centroids: Vec<f32>,
}

impl Index {
    /// Learns `lists` lists from `sample: [n][dim]`, n at least 1.
    pub fn train(sample: &[f32], dim: usize, metric: Metric, lists: usize) -> Index {
        let mut rows = sample.to_vec();
        if metric == Metric::Cosine {
            rows.chunks_exact_mut(dim).for_each(to_length_one);
        }
        let wanted = (lists as f64).sqrt().ceil() as usize;
        let cells = means(&rows, dim, wanted);
        let mut members = vec![Vec::new(); wanted];
        for row in rows.chunks_exact(dim) {
            members[nearest(&cells, dim, row).0].extend_from_slice(row);
        }
        let firsts = shares(&members.iter().map(|rows| rows.len() / dim).collect::<Vec<usize>>(), lists);
        let mut centroids = Vec::with_capacity(lists * dim);
        for (cell, (rows, ends)) in members.iter().zip(firsts.windows(2)).enumerate() {
            // A cell of no row has lists as well, all at its own centroid.
            let rows = if rows.is_empty() { &cells[cell * dim..(cell + 1) * dim] } else { rows };
            centroids.extend(means(rows, dim, ends[1] - ends[0]));
        }
        Index { dim, metric, cells, firsts, centroids }
    }

    /// The centroids, `[lists][dim]`, as long as vectors of `sample: [n][dim]` are: a book for these can code them.
    pub fn centroids_like(&self, sample: &[f32]) -> Vec<f32> {
        if self.metric != Metric::Cosine {
            return self.centroids.clone();
        }
        let norms = sample.chunks_exact(self.dim).map(|row| f64::from(kernels().dot(row, row).sqrt()));
        let length = (norms.sum::<f64>() / (sample.len() / self.dim) as f64) as f32;
        // Lengths beyond all floats tell nothing.
        let length = if length.is_normal() { length } else { 1.0 };
        self.centroids.iter().map(|value| (value * length).clamp(f32::MIN, f32::MAX)).collect()
    }

    /// The list of each of `rows: [n][dim]`.
    pub fn assign(&self, rows: &[f32], lists: &mut [u16]) {
        let mut distances: Vec<(f32, usize)> = Vec::new();
        let mut copied = vec![0.0; self.dim];
        for (row, list) in rows.chunks_exact(self.dim).zip(lists) {
            copied.copy_from_slice(row);
            if self.metric == Metric::Cosine {
                to_length_one(&mut copied);
            }
            let cells = self.cells.chunks_exact(self.dim).map(|cell| kernels().l2sq(cell, &copied));
            distances.clear();
            distances.extend(cells.zip(0..));
            let looked_at = CELLS_LOOKED_AT.min(distances.len());
            distances.select_nth_unstable_by(looked_at - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let lists = distances[..looked_at].iter().flat_map(|(_, cell)| self.firsts[*cell]..self.firsts[cell + 1]);
            let of_list = |list: usize| kernels().l2sq(&self.centroids[list * self.dim..][..self.dim], &copied);
            let best = lists.map(|list| (of_list(list), list)).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            *list = best.map_or(0, |(_, list)| list as u16);
        }
    }

    /// How many lists must be visited to find the neighbours of a query, as `sample: [n][dim]` of `rows` rows tells: the
    /// neighbours in a sample are farther than those in the whole.
    pub fn probes(&self, sample: &[f32], rows: u64) -> u32 {
        let (dim, count) = (self.dim, sample.len() / self.dim);
        let mut lists = vec![0; count];
        self.assign(sample, &mut lists);
        let neighbours = (NEIGHBOURS * count as u64 / rows).max(1) as usize;
        let mut ranks = Vec::new();
        for asked in (0..count).step_by(count.div_ceil(ASKED)) {
            let query = &sample[asked * dim..(asked + 1) * dim];
            let norm_sq = kernels().dot(query, query);
            let distance = |row: &[f32]| kernels().distance(self.metric, query, norm_sq, row);
            let to_lists: Vec<f32> = self.centroids.chunks_exact(dim).map(distance).collect();
            let rows = sample.chunks_exact(dim).map(distance).zip(0..);
            let mut others: Vec<(f32, usize)> = rows.filter(|(_, row)| *row != asked).collect();
            let wanted = neighbours.min(others.len());
            if wanted > 0 {
                others.select_nth_unstable_by(wanted - 1, |a, b| a.0.total_cmp(&b.0));
            }
            for (_, row) in &others[..wanted] {
                let own = to_lists[usize::from(lists[*row])];
                ranks.push(to_lists.iter().filter(|other| **other < own).count() as u32 + 1);
            }
        }
        ranks.sort_unstable();
        let place = (FOUND * ranks.len() as f64) as usize;
        ranks.get(place).or(ranks.last()).copied().unwrap_or(1)
    }
}

fn to_length_one(row: &mut [f32]) {
    let norm = kernels().dot(row, row).sqrt();
    if norm.is_normal() {
        row.iter_mut().for_each(|value| *value /= norm);
    }
}

/// `lists` given to groups of so many `members`, in proportion: the first list of each, and the end.
fn shares(members: &[usize], lists: usize) -> Vec<usize> {
    let (total, spare) = (members.iter().sum::<usize>().max(1), lists - members.len());
    // One for each, and the others by how many members came before.
    let firsts = members.iter().scan(0, |sum, members| {
        *sum += members;
        Some(*sum * spare / total)
    });
    std::iter::once(0).chain((1..).zip(firsts).map(|(group, more)| group + more)).collect()
}

/// The nearest of `centroids: [n][dim]` to `row`, ties to the first, and its squared distance.
fn nearest(centroids: &[f32], dim: usize, row: &[f32]) -> (usize, f32) {
    let distances = centroids.chunks_exact(dim).map(|centroid| kernels().l2sq(centroid, row));
    (0..).zip(distances).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// `count` means of `rows: [n][dim]`, n at least 1, by Lloyd's iterations from rows at equal steps. A mean that no row is
/// nearest to stays where it was.
fn means(rows: &[f32], dim: usize, count: usize) -> Vec<f32> {
    let n = rows.len() / dim;
    let mut means: Vec<f32> = (0..count).flat_map(|at| rows[at * n / count * dim..][..dim].iter().copied()).collect();
    for _ in 0..ROUNDS {
        let (mut sums, mut members) = (vec![0.0f64; means.len()], vec![0u32; count]);
        for row in rows.chunks_exact(dim) {
            let (mean, _) = nearest(&means, dim, row);
            members[mean] += 1;
            sums[mean * dim..(mean + 1) * dim].iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        for ((mean, sums), members) in means.chunks_exact_mut(dim).zip(sums.chunks_exact(dim)).zip(members) {
            if members > 0 {
                mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / f64::from(members)) as f32);
            }
        }
    }
    means
}
