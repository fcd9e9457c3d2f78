//! Inverted lists: groups of rows that are near each other. A search visits only the lists near its query (the inverted
//! file of Jégou, Douze, Schmid: Product Quantization for Nearest Neighbor Search, PAMI 2011, §IV).
//!
//! Centroids have two levels: k-means divides the rows into cells, and k-means in each cell divides it into a number of
//! lists in proportion to its rows. A row goes to the nearest list of the nearest few cells. All sums run in row order,
//! so the lists are the same for any number of threads.
//!
//! This module works on floats only: no codes, files or ids.

use crate::kernels::kernels;
use crate::metric::Metric;

/// About how many rows a list has. Shorter lists need more bytes for centroids; longer ones make a search scan more
/// rows.
const ROWS_A_LIST: u64 = 96;
/// With fewer rows, scanning all of them is as fast as choosing lists.
const ROWS_MIN: u64 = 1 << 14;
/// The most lists of a file.
const INVERTED_LISTS_MAX: u32 = 1 << 12;

/// Number of sample rows for each list.
pub const SAMPLE_A_LIST: u64 = 32;

/// Lloyd's iterations.
const ROUNDS: usize = 10;
/// Number of nearest cells whose lists are candidates for a row.
const CELLS_VISITED: usize = 8;

/// Number of sample rows that serve as queries when the number of lists to visit is measured.
const QUERIES: usize = 512;
/// Number of neighbours a search is assumed to ask for.
const NEIGHBOURS: u64 = 10;
/// The share of these neighbours that the visited lists must contain.
const RECALL: f64 = 0.997;
/// Rows that are nearer to a row than this, compared with its centroid (squared distances), are its twins. A new query has
/// none, so they do not count as neighbours.
const TWIN: f32 = 1.0 / 16.0;
/// The share of rows that count as usual: a few may be far from all others.
const USUAL: f64 = 0.98;
/// How many standard deviations nearer than its centroid a neighbour may be, compared with rows of the nearest list.
const REACH: f32 = 4.0;

/// Number of lists for `rows` rows: a power of two, or 0 if lists do not pay.
pub fn lists_for(rows: u64) -> u32 {
    if rows < ROWS_MIN {
        return 0;
    }
    let lists = u32::try_from(rows / ROWS_A_LIST).unwrap_or(INVERTED_LISTS_MAX).min(INVERTED_LISTS_MAX);
    1 << lists.ilog2()
}

/// Which lists a search visits. Sample rows, as queries, tell.
///
/// A query unlike the rows is about as far from all lists, and any of them may hold its neighbours. It visits all lists
/// that are not much farther than the nearest. Distances to centroids are squared for L2, else negative products of the
/// query with the centroid, for cosine with the centroid made a unit vector. They are measured in the **unit** of their
/// query: the spread of the distances between a query and the rows of a list grows with it. The unit is the distance (not
/// squared) to the nearest centroid for L2, else the norm of the query.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Visits {
    /// The number of lists that a query like the rows visits.
    pub probes: u32,
    /// The farthest nearest centroid of a query like the rows: squared for L2, else in the query's unit.
    pub usual: f32,
    /// How much farther than the nearest centroid that of a neighbour may be, in the query's unit: a few standard
    /// deviations of the distances between a query and rows, less those between it and their centroids.
    pub reach: f32,
}

impl Visits {
    /// The number of lists for a query of norm `norm` whose `distances` to the centroids are those of `metric`.
    pub fn lists(&self, metric: Metric, norm: f32, distances: impl Iterator<Item = f32> + Clone) -> usize {
        let nearest = nearest_of(distances.clone());
        if likeness(metric, norm, nearest) <= self.usual {
            return self.probes as usize;
        }
        let farthest = nearest + self.reach * unit(metric, norm, nearest);
        let farther = distances.clone().filter(|distance| *distance > farthest).count();
        // All lists, if the unit is not finite.
        (distances.count() - farther).max(self.probes as usize)
    }
}

fn nearest_of(distances: impl Iterator<Item = f32>) -> f32 {
    distances.fold(f32::INFINITY, f32::min)
}

/// See [`Visits`].
fn unit(metric: Metric, norm: f32, nearest: f32) -> f32 {
    if metric == Metric::L2 { nearest.max(0.0).sqrt() } else { norm }
}

/// The less, the more a query is like the rows.
fn likeness(metric: Metric, norm: f32, nearest: f32) -> f32 {
    if metric == Metric::L2 { nearest } else { nearest / norm }
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
    /// Learns the centroids of `lists` lists from `sample: [n][dim]`, n at least 1.
    pub fn train(sample: &[f32], dim: usize, metric: Metric, lists: usize) -> Index {
        let mut rows = sample.to_vec();
        if metric == Metric::Cosine {
            rows.chunks_exact_mut(dim).for_each(normalize);
        }
        let count = (lists as f64).sqrt().ceil() as usize;
        let cells = means(&rows, dim, count);
        let mut members = vec![Vec::new(); count];
        for row in rows.chunks_exact(dim) {
            members[nearest(&cells, dim, row).0].extend_from_slice(row);
        }
        let firsts = divide(&members.iter().map(|rows| rows.len() / dim).collect::<Vec<usize>>(), lists);
        let mut centroids = Vec::with_capacity(lists * dim);
        for (cell, (rows, ends)) in members.iter().zip(firsts.windows(2)).enumerate() {
            // A cell without rows has lists too, all at its own centroid.
            let rows = if rows.is_empty() { &cells[cell * dim..(cell + 1) * dim] } else { rows };
            centroids.extend(means(rows, dim, ends[1] - ends[0]));
        }
        Index { dim, metric, cells, firsts, centroids }
    }

    /// Number of lists.
    pub fn lists(&self) -> usize {
        self.centroids.len() / self.dim
    }

    /// The centroids, `[lists][dim]`, for a codebook of vectors like `sample: [n][dim]`. For cosines they have the mean
    /// length of the sample, because centroids are means of normalized rows.
    pub fn centroids_like(&self, sample: &[f32]) -> Vec<f32> {
        if self.metric != Metric::Cosine {
            return self.centroids.clone();
        }
        let norms = sample.chunks_exact(self.dim).map(|row| f64::from(kernels().dot(row, row).sqrt()));
        let length = (norms.sum::<f64>() / (sample.len() / self.dim) as f64) as f32;
        // Without a usable mean (0 or infinity) the length stays 1.
        let length = if length.is_normal() { length } else { 1.0 };
        self.centroids.iter().map(|value| (value * length).clamp(f32::MIN, f32::MAX)).collect()
    }

    /// Assigns each of `rows: [n][dim]` to a list, into `lists: [n]`.
    pub fn assign(&self, rows: &[f32], lists: &mut [u16]) {
        let mut distances: Vec<(f32, usize)> = Vec::new();
        let mut copied = vec![0.0; self.dim];
        for (row, list) in rows.chunks_exact(self.dim).zip(lists) {
            copied.copy_from_slice(row);
            if self.metric == Metric::Cosine {
                normalize(&mut copied);
            }
            let cells = self.cells.chunks_exact(self.dim).map(|cell| kernels().l2sq(cell, &copied));
            distances.clear();
            distances.extend(cells.zip(0..));
            let visited = CELLS_VISITED.min(distances.len());
            distances.select_nth_unstable_by(visited - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let lists = distances[..visited].iter().flat_map(|(_, cell)| self.firsts[*cell]..self.firsts[cell + 1]);
            let of_list = |list: usize| kernels().l2sq(&self.centroids[list * self.dim..][..self.dim], &copied);
            let best = lists.map(|list| (of_list(list), list)).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            *list = best.map_or(0, |(_, list)| list as u16);
        }
    }

    /// The lists that a search must visit to find the neighbours of a query, measured on `sample: [n][dim]` of `rows`
    /// rows, where searches compare the query with `centroids: [lists][dim]`. A sample is less dense than all rows, so the
    /// number of neighbours is reduced in the same proportion.
    pub fn visits(&self, centroids: &[f32], sample: &[f32], rows: u64) -> Visits {
        let (metric, count) = (self.metric, sample.len() / self.dim);
        let mut lists = vec![0; count];
        self.assign(sample, &mut lists);
        let neighbours = (NEIGHBOURS * count as u64 / rows).max(1) as usize;
        let (mut ranks, mut usual, mut spread) = (Vec::new(), Vec::new(), Spread::default());
        for number in (0..count).step_by(count.div_ceil(QUERIES)) {
            let query = &sample[number * self.dim..(number + 1) * self.dim];
            let norm = kernels().dot(query, query).sqrt();
            let (to_lists, to_rows) = (self.distances(query, centroids), self.distances(query, sample));
            usual.push(likeness(metric, norm, nearest_of(to_lists.iter().copied())));
            let own = |row: usize| to_lists[usize::from(lists[row])];
            for (row, distance) in to_rows.iter().enumerate() {
                spread.add((distance - own(row)) / unit(metric, norm, own(row)));
            }
            let of_list = usize::from(lists[number]);
            let twin = TWIN * kernels().l2sq(query, &centroids[of_list * self.dim..][..self.dim]);
            let is_other = |(_, row): &(f32, usize)| {
                *row != number && kernels().l2sq(query, &sample[*row * self.dim..][..self.dim]) >= twin
            };
            let mut others: Vec<(f32, usize)> = to_rows.into_iter().zip(0..).filter(is_other).collect();
            let wanted = neighbours.min(others.len());
            if wanted > 0 {
                others.select_nth_unstable_by(wanted - 1, |a, b| a.0.total_cmp(&b.0));
            }
            let rank = |(_, row): &(f32, usize)| to_lists.iter().filter(|other| **other < own(*row)).count() as u32 + 1;
            ranks.extend(others[..wanted].iter().map(rank));
        }
        ranks.sort_unstable();
        usual.sort_unstable_by(f32::total_cmp);
        let (probes, usual) = (at_share(&ranks, RECALL).unwrap_or(1), at_share(&usual, USUAL).unwrap_or(0.0));
        Visits { probes, usual, reach: REACH * spread.deviation() }
    }

    /// The distances between `query` and `vectors: [n][dim]`, as those of [`Visits`].
    fn distances(&self, query: &[f32], vectors: &[f32]) -> Vec<f32> {
        let norm_sq = kernels().dot(query, query);
        let norm = norm_sq.sqrt();
        let distance = |vector: &[f32]| match kernels().distance(self.metric, query, norm_sq, vector) {
            cosine if self.metric == Metric::Cosine => norm * (cosine - 1.0),
            other => other,
        };
        vectors.chunks_exact(self.dim).map(distance).collect()
    }
}

/// The element of `sorted` behind a share of them.
fn at_share<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    sorted.get((share * sorted.len() as f64) as usize).or(sorted.last()).copied()
}

/// Mean and standard deviation of finite numbers.
#[derive(Default)]
struct Spread {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, value: f32) {
        if value.is_finite() {
            let value = f64::from(value);
            self.count += 1.0;
            self.sum += value;
            self.squares += value * value;
        }
    }

    fn deviation(&self) -> f32 {
        let mean = self.sum / self.count.max(1.0);
        (self.squares / self.count.max(1.0) - mean * mean).max(0.0).sqrt() as f32
    }
}

/// Scales `row` to length 1; leaves it if its length is 0 or not finite.
fn normalize(row: &mut [f32]) {
    let norm = kernels().dot(row, row).sqrt();
    if norm.is_normal() {
        row.iter_mut().for_each(|value| *value /= norm);
    }
}

/// Divides `lists` among groups in proportion to their number of `members`, at least one for each: `[groups + 1]`, the
/// first list of each group, and the number of lists.
fn divide(members: &[usize], lists: usize) -> Vec<usize> {
    let (total, spare) = (members.iter().sum::<usize>().max(1), lists - members.len());
    // One list for each group, and the others in proportion to the members so far.
    let shares = members.iter().scan(0, |sum, members| {
        *sum += members;
        Some(*sum * spare / total)
    });
    std::iter::once(0).chain((1..).zip(shares).map(|(group, more)| group + more)).collect()
}

/// The nearest of `centroids: [n][dim]` to `row`, ties to the first, and its squared distance.
fn nearest(centroids: &[f32], dim: usize, row: &[f32]) -> (usize, f32) {
    let distances = centroids.chunks_exact(dim).map(|centroid| kernels().l2sq(centroid, row));
    (0..).zip(distances).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
}

/// k-means: `count` means of `rows: [n][dim]`, n at least 1, by Lloyd's iterations that start at evenly spaced rows. A
/// mean without rows stays where it was.
fn means(rows: &[f32], dim: usize, count: usize) -> Vec<f32> {
    let n = rows.len() / dim;
    let mut means: Vec<f32> =
        (0..count).flat_map(|number| rows[number * n / count * dim..][..dim].iter().copied()).collect();
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
