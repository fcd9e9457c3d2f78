//! The clean sets that generators spoil: one real, three synthetic.

use crate::random::Random;

/// A clean set.
#[derive(Debug)]
pub struct Base {
    pub name: &'static str,
    pub dim: usize,
    /// True if every row has length 1.
    pub is_unit: bool,
    rows: fn(usize, &mut Random) -> Vec<f32>,
}

pub const SIFT: Base = Base { name: "sift", dim: 128, is_unit: false, rows: sift };
pub const NORMALS: Base = Base { name: "normals", dim: 48, is_unit: false, rows: normals };
pub const CLUSTERS: Base = Base { name: "clusters", dim: 64, is_unit: true, rows: clusters };
pub const LOW_RANK: Base = Base { name: "low_rank", dim: 64, is_unit: true, rows: low_rank };

pub const ALL: [&Base; 4] = [&SIFT, &NORMALS, &CLUSTERS, &LOW_RANK];

impl Base {
    /// `[count][dim]`; of the real set there are 10,000 rows.
    pub fn rows(&self, count: usize, random: &mut Random) -> Vec<f32> {
        (self.rows)(count, random)
    }
}

/// Rows of the committed SIFT set in random order.
fn sift(count: usize, random: &mut Random) -> Vec<f32> {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sift10k/base.bvecs")).unwrap();
    let rows: Vec<&[u8]> = bytes.chunks_exact(4 + SIFT.dim).map(|row| &row[4..]).collect();
    let order = random.permutation(rows.len());
    order[..count].iter().flat_map(|row| rows[*row]).map(|value| f32::from(*value)).collect()
}

/// Independent normals: the hardest set, no dim tells anything about another.
fn normals(count: usize, random: &mut Random) -> Vec<f32> {
    (0..count * NORMALS.dim).map(|_| random.normal()).collect()
}

/// Rows of unit length around 40 centres, as sentence embeddings of some topics.
fn clusters(count: usize, random: &mut Random) -> Vec<f32> {
    let dim = CLUSTERS.dim;
    let centres: Vec<f32> = (0..40 * dim).map(|_| random.normal()).collect();
    let mut rows = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let centre = random.index(40) * dim;
        rows.extend((centre..centre + dim).map(|at| centres[at] + 0.7 * random.normal()));
    }
    to_unit_length(&mut rows, dim);
    rows
}

/// Rows of unit length in 12 directions, and a little noise in all others.
fn low_rank(count: usize, random: &mut Random) -> Vec<f32> {
    let (dim, rank) = (LOW_RANK.dim, 12);
    let directions: Vec<f32> = (0..rank * dim).map(|_| random.normal()).collect();
    let mut rows = Vec::with_capacity(count * dim);
    for _ in 0..count {
        let weights: Vec<f32> = (0..rank).map(|_| random.normal()).collect();
        rows.extend((0..dim).map(|column| {
            let sum: f32 =
                weights.iter().zip(directions.chunks_exact(dim)).map(|(weight, row)| weight * row[column]).sum();
            sum + 0.1 * random.normal()
        }));
    }
    to_unit_length(&mut rows, dim);
    rows
}

pub fn length(row: &[f32]) -> f64 {
    row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

pub fn to_unit_length(rows: &mut [f32], dim: usize) {
    for row in rows.chunks_exact_mut(dim) {
        let length = length(row) as f32;
        row.iter_mut().for_each(|x| *x /= length);
    }
}
