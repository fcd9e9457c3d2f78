//! What is wrong with the rows of a messy set, and the queries that are asked of it.

use crate::bases::{Base, length};
use crate::random::Random;
use omen::metric::Metric;
use std::ops::Range;

/// What is wrong with some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Clean,
    /// One row, this many times as long.
    FarRow(f32),
    /// One component of one row: this many times the root mean square of all components.
    FarComponent(f32),
    /// One component of one row of unit length is 5.
    PlusFive,
    /// This share of the rows, ten times as long.
    FarRows(f32),
    /// Lengths are multiplied by exp(this · normal).
    Lengths(f32),
    /// Dims are multiplied by numbers from 1e-4 to 1e4.
    DimScales,
    /// Every third dim is a constant, some of them large.
    ConstantDims,
    /// Whole numbers.
    Integers,
    /// Zeros and ones.
    ZeroOne,
    /// The largest tenth of the components, without their sign; zeros elsewhere.
    Sparse,
    /// Nine of ten rows are copies of the others, half of them of one row.
    Duplicates,
    /// All rows are one row.
    AllEqual,
    /// Groups of 50 rows, this far apart in each dim (in root mean squares of the components).
    Groups(f32),
    /// One row in twenty is zero.
    ZeroRows,
    /// Rows are inserted cluster by cluster.
    Sorted,
}

/// Some rows are unlike the others, in the sample or out of it.
pub const FAR: [Kind; 9] = [
    Kind::FarRow(3.0),
    Kind::FarRow(10.0),
    Kind::FarRow(30.0),
    Kind::FarComponent(3.0),
    Kind::FarComponent(10.0),
    Kind::FarComponent(30.0),
    Kind::PlusFive,
    Kind::FarRows(0.001),
    Kind::FarRows(0.01),
];

/// All rows are unlike those of a clean set.
pub const STRANGE: [Kind; 15] = [
    Kind::Lengths(0.25),
    Kind::Lengths(0.5),
    Kind::Lengths(1.0),
    Kind::Lengths(2.0),
    Kind::DimScales,
    Kind::ConstantDims,
    Kind::Integers,
    Kind::ZeroOne,
    Kind::Sparse,
    Kind::Duplicates,
    Kind::AllEqual,
    Kind::Groups(0.03),
    Kind::Groups(0.003),
    Kind::ZeroRows,
    Kind::Sorted,
];

/// Which rows the codebook is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// All: the odd rows are in the sample.
    All,
    /// A quarter of them: most odd rows are not in the sample.
    Quarter,
    /// The first nine tenths, none of them odd. The others are inserted after a first compress, and compressed then.
    Later,
}

/// A kind of messy set.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    pub kind: Kind,
    pub sampling: Sampling,
}

impl Generator {
    pub fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Clean => "clean".into(),
            Kind::FarRow(factor) => format!("far_row_x{factor}"),
            Kind::FarComponent(factor) => format!("far_component_x{factor}"),
            Kind::PlusFive => "far_component_5".into(),
            Kind::FarRows(share) => format!("far_rows_{}%", share * 100.0),
            Kind::Lengths(sigma) => format!("lengths_{sigma}"),
            Kind::DimScales => "dim_scales".into(),
            Kind::ConstantDims => "constant_dims".into(),
            Kind::Integers => "integers".into(),
            Kind::ZeroOne => "zero_one".into(),
            Kind::Sparse => "sparse".into(),
            Kind::Duplicates => "duplicates".into(),
            Kind::AllEqual => "all_equal".into(),
            Kind::Groups(width) => format!("groups_{width}"),
            Kind::ZeroRows => "zero_rows".into(),
            Kind::Sorted => "sorted".into(),
        };
        match self.sampling {
            Sampling::All => kind,
            Sampling::Quarter => kind + "_quarter",
            Sampling::Later => kind + "_later",
        }
    }

    /// True if the codebook has seen only a part of the rows.
    pub fn is_trained_on_few(&self) -> bool {
        !matches!(self.sampling, Sampling::All)
    }

    /// True if the set can be made of `base`.
    pub fn suits(&self, base: &Base) -> bool {
        self.kind != Kind::PlusFive || base.is_unit
    }

    /// True if the neighbours and the difficulty are those of the clean set, so that as many should be found.
    pub fn is_as_hard_as_clean(&self, metric: Metric) -> bool {
        match self.kind {
            Kind::FarRow(_) | Kind::FarComponent(_) | Kind::PlusFive | Kind::FarRows(_) | Kind::Sorted => true,
            Kind::Lengths(_) => metric == Metric::Cosine,
            _ => false,
        }
    }
}

/// Queries of one kind.
#[derive(Clone, Debug)]
pub struct Family {
    pub name: &'static str,
    /// Their numbers.
    pub range: Range<usize>,
}

/// A set of rows and queries.
#[derive(Debug)]
pub struct Data {
    pub dim: usize,
    /// `[n][dim]`.
    pub rows: Vec<f32>,
    /// The rows that are unlike the others.
    pub odd: Vec<usize>,
    /// A number for each row: rows of one group may be taken for each other.
    pub groups: Vec<u32>,
    /// `[nq][dim]`.
    pub queries: Vec<f32>,
    pub families: Vec<Family>,
    /// The rows that the family "stored" is equal to.
    pub stored: Vec<usize>,
}

impl Data {
    /// `n` rows of `base` as the generator spoils them, and queries: `like` that are like the rows, and fewer of the
    /// other families.
    pub fn new(base: &Base, generator: &Generator, n: usize, like: usize, seed: u64) -> Data {
        let mut random = Random::new(seed);
        let dim = base.dim;
        let mut all = base.rows(n + like, &mut random);
        spoil_all(&mut all, dim, generator.kind, &mut random);
        let like_rows = all.split_off(n * dim);
        let mut data = Data {
            dim,
            rows: all,
            odd: vec![],
            groups: (0..n as u32).collect(),
            queries: vec![],
            families: vec![],
            stored: vec![],
        };
        data.spoil_some(generator, &mut random);
        data.ask(&like_rows, &mut random);
        data
    }

    pub fn n(&self) -> usize {
        self.rows.len() / self.dim
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.dim..][..self.dim]
    }

    /// A row that is odd: with `Later` one of the last tenth.
    fn choose(&self, sampling: Sampling, random: &mut Random) -> usize {
        let n = self.n();
        let first = if sampling == Sampling::Later { rows_before(n) } else { 0 };
        first + random.index(n - first)
    }

    fn spoil_some(&mut self, generator: &Generator, random: &mut Random) {
        let (dim, n) = (self.dim, self.n());
        match generator.kind {
            Kind::FarRow(factor) => {
                let row = self.choose(generator.sampling, random);
                self.stretch(row, factor);
            }
            Kind::FarRows(share) => {
                for _ in 0..(n as f32 * share).ceil() as usize {
                    let row = self.choose(generator.sampling, random);
                    if !self.odd.contains(&row) {
                        self.stretch(row, 10.0);
                    }
                }
            }
            Kind::FarComponent(_) | Kind::PlusFive => {
                let value = match generator.kind {
                    Kind::FarComponent(factor) => factor * root_mean_square(&self.rows),
                    _ => 5.0,
                };
                let row = self.choose(generator.sampling, random);
                self.rows[row * dim + random.index(dim)] = value;
                self.odd.push(row);
            }
            Kind::Duplicates => {
                let originals = n.div_ceil(10);
                for row in originals..n {
                    let from = if random.once_in(2) { 0 } else { random.index(originals) };
                    self.rows.copy_within(from * dim..(from + 1) * dim, row * dim);
                }
            }
            Kind::AllEqual => self.rows = self.row(0).repeat(n),
            Kind::Groups(width) => {
                let step = width * root_mean_square(&self.rows);
                for row in 0..n {
                    let first = row / 50 * 50;
                    self.groups[row] = (row / 50) as u32;
                    let centre = self.row(first).to_vec();
                    let row = &mut self.rows[row * dim..][..dim];
                    row.iter_mut().zip(centre).for_each(|(x, centre)| *x = centre + step * random.normal());
                }
                let order = random.permutation(n);
                self.reorder(&order);
            }
            Kind::ZeroRows => {
                for row in 0..n {
                    if random.once_in(20) {
                        self.rows[row * dim..][..dim].fill(0.0);
                    }
                }
            }
            Kind::Lengths(_) => self.odd = self.rare_long_rows(),
            Kind::Sorted => {
                let pivots: Vec<Vec<f32>> = (0..16).map(|_| self.row(random.index(n)).to_vec()).collect();
                let cluster = |row: &usize| nearest(&pivots, self.row(*row));
                let mut order: Vec<usize> = (0..n).collect();
                order.sort_by_key(cluster);
                self.reorder(&order);
            }
            _ => {}
        }
    }

    /// Rows more than four times as long as half of the rows; none if these are more than one in twenty.
    fn rare_long_rows(&self) -> Vec<usize> {
        let lengths: Vec<f64> = self.rows.chunks_exact(self.dim).map(length).collect();
        let mut sorted = lengths.clone();
        sorted.sort_by(f64::total_cmp);
        let long: Vec<usize> =
            (0..lengths.len()).filter(|row| lengths[*row] > 4.0 * sorted[sorted.len() / 2]).collect();
        if long.len() * 20 <= lengths.len() { long } else { vec![] }
    }

    fn stretch(&mut self, row: usize, factor: f32) {
        self.rows[row * self.dim..][..self.dim].iter_mut().for_each(|x| *x *= factor);
        self.odd.push(row);
    }

    fn reorder(&mut self, order: &[usize]) {
        self.rows = order.iter().flat_map(|row| self.row(*row).to_vec()).collect();
        self.groups = order.iter().map(|row| self.groups[*row]).collect();
    }

    /// Makes the queries of `like: [nq][dim]`, which are like the rows.
    fn ask(&mut self, like: &[f32], random: &mut Random) {
        let (dim, n) = (self.dim, self.n());
        let few = &like[..(like.len() / dim).div_ceil(4) * dim];
        let away = 10.0 * root_mean_square(&self.rows);
        let order = random.permutation(dim);
        self.stored = (0..like.len() / dim).map(|_| random.index(n)).chain(self.odd.iter().copied().take(20)).collect();
        let stored: Vec<f32> = self.stored.iter().flat_map(|row| self.row(*row).to_vec()).collect();
        let shuffled = few.chunks_exact(dim).flat_map(|row| order.iter().map(|column| row[*column]));
        let far: Vec<f32> = few.iter().map(|x| x + away * random.normal()).collect();
        for (name, queries) in [
            ("like", like.to_vec()),
            ("scaled", few.iter().map(|x| x * 7.0).collect()),
            ("negated", few.iter().map(|x| -x).collect()),
            ("shuffled", shuffled.collect()),
            ("far", far),
            ("stored", stored),
        ] {
            let first = self.queries.len() / dim;
            self.queries.extend::<Vec<f32>>(queries);
            self.families.push(Family { name, range: first..self.queries.len() / dim });
        }
    }
}

/// Rows that a store has before the last ones are inserted (`Sampling::Later`).
pub fn rows_before(n: usize) -> usize {
    n - n.div_ceil(10)
}

/// What changes rows and queries alike.
fn spoil_all(rows: &mut [f32], dim: usize, kind: Kind, random: &mut Random) {
    match kind {
        Kind::Lengths(sigma) => {
            for row in rows.chunks_exact_mut(dim) {
                let factor = (sigma * random.normal()).exp();
                row.iter_mut().for_each(|x| *x *= factor);
            }
        }
        Kind::DimScales => {
            let scales: Vec<f32> = (0..dim).map(|_| 10f32.powf(4.0 * random.signed())).collect();
            each(rows, dim, |column, x| x * scales[column]);
        }
        Kind::ConstantDims => {
            let scale = root_mean_square(rows);
            each(rows, dim, |column, x| if column % 3 == 0 { (column % 4) as f32 * scale } else { x });
        }
        Kind::Integers => {
            let scale = root_mean_square(rows);
            each(rows, dim, |_, x| (x / scale * 20.0).round());
        }
        Kind::ZeroOne => {
            let middles: Vec<f32> =
                (0..dim).map(|column| share_of(rows.iter().skip(column).step_by(dim), 0.5)).collect();
            each(rows, dim, |column, x| f32::from(u8::from(x > middles[column])));
        }
        Kind::Sparse => {
            let least = share_of(rows.iter(), 0.9);
            each(rows, dim, |_, x| if x >= least { x } else { 0.0 });
        }
        _ => {}
    }
}

fn each(rows: &mut [f32], dim: usize, change: impl Fn(usize, f32) -> f32) {
    for row in rows.chunks_exact_mut(dim) {
        row.iter_mut().enumerate().for_each(|(column, x)| *x = change(column, *x));
    }
}

/// The value that this share of `values` is below.
fn share_of<'a>(values: impl Iterator<Item = &'a f32>, share: f32) -> f32 {
    let mut sorted: Vec<f32> = values.copied().collect();
    sorted.sort_by(f32::total_cmp);
    sorted[((sorted.len() - 1) as f32 * share) as usize]
}

fn root_mean_square(values: &[f32]) -> f32 {
    (length(values) / (values.len() as f64).sqrt()) as f32
}

fn nearest(pivots: &[Vec<f32>], row: &[f32]) -> usize {
    let distance = |pivot: &[f32]| pivot.iter().zip(row).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    (0..pivots.len()).min_by(|a, b| distance(&pivots[*a]).total_cmp(&distance(&pivots[*b]))).unwrap()
}
