//! The sets that are tried: generators, clean sets, numbers of rows, metrics and ratios.

use crate::bases::{self, Base};
use crate::generators::{FAR, Kind, STRANGE, Sampling};
use omen::metric::Metric;

const RATIOS: [f64; 7] = [1.0, 2.0, 3.5, 4.0, 8.0, 16.0, 32.0];

/// Messy sets of one clean set, which is measured first.
#[derive(Clone, Debug)]
pub struct Group {
    pub base: &'static Base,
    /// Rows.
    pub n: usize,
    /// Queries that are like the rows.
    pub like: usize,
    pub sampling: Sampling,
    pub kinds: Vec<Kind>,
    pub metrics: Vec<Metric>,
    pub ratios: Vec<f64>,
    /// Another seed gives other rows.
    pub seed: u64,
}

impl Group {
    fn new(base: &'static Base, n: usize, kinds: Vec<Kind>) -> Group {
        let (metrics, ratios) = (Metric::ALL.to_vec(), RATIOS.to_vec());
        Group { base, n, like: 56, sampling: Sampling::All, kinds, metrics, ratios, seed: 1 }
    }

    fn sampled(self, sampling: Sampling) -> Group {
        Group { sampling, ..self }
    }

    fn at(self, ratios: &[f64]) -> Group {
        Group { ratios: ratios.to_vec(), ..self }
    }
}

/// Every fourth of `kinds`, from number `first` on.
fn fourth(kinds: &[Kind], first: usize) -> Vec<Kind> {
    kinds.iter().copied().skip(first % 4).step_by(4).collect()
}

/// What every run of the tests tries: each generator with one clean set.
pub fn short() -> Vec<Group> {
    let mut groups = Vec::new();
    for (number, base) in bases::ALL.into_iter().enumerate() {
        let kinds = [fourth(&FAR, number), fourth(&STRANGE, number)].concat();
        groups.push(Group::new(base, 700, kinds));
        for (sampling, more) in [(Sampling::Quarter, 1), (Sampling::Later, 2)] {
            // Metrics take turns.
            let metrics = [Metric::ALL[(number + more) % 3], Metric::ALL[(number + more + 1) % 3]].to_vec();
            let group = Group::new(base, 700, fourth(&FAR, number + more)).sampled(sampling).at(&[2.0, 4.0, 8.0]);
            groups.push(Group { metrics, ..group });
        }
    }
    // As few as there may be, and as many as have inverted lists.
    groups.push(Group::new(&bases::SIFT, 20, vec![Kind::FarRow(10.0), Kind::Lengths(1.0)]));
    groups.push(Group::new(&bases::CLUSTERS, 150, vec![Kind::PlusFive, Kind::Duplicates]));
    groups.push(Group::new(&bases::SIFT, 2000, vec![Kind::FarComponent(30.0)]).at(&[4.0, 16.0]));
    for (kinds, ratio) in [(vec![Kind::FarRows(0.01), Kind::FarComponent(30.0)], 4.0), (vec![Kind::Sorted], 16.0)] {
        let many = Group::new(&bases::NORMALS, 17_000, kinds).at(&[ratio]);
        groups.insert(0, Group { metrics: vec![Metric::L2], ..many });
    }
    groups
}

/// What `OMEN_MESSY=long` tries.
pub fn long() -> Vec<Group> {
    let all = [FAR.as_slice(), &STRANGE].concat();
    let mut groups = Vec::new();
    for base in bases::ALL {
        for (n, seed) in [(20, 1), (200, 2), (600, 1), (2000, 2)] {
            groups.push(Group { seed, ..Group::new(base, n, all.clone()) });
        }
        for sampling in [Sampling::Quarter, Sampling::Later] {
            groups.push(Group::new(base, 2000, FAR.to_vec()).sampled(sampling));
        }
        groups.push(Group::new(base, 9000, all.clone()).at(&[2.0, 4.0, 16.0]));
    }
    let many = [
        Kind::FarComponent(10.0),
        Kind::FarRows(0.01),
        Kind::Lengths(1.0),
        Kind::Duplicates,
        Kind::Groups(0.03),
        Kind::Sorted,
    ];
    for base in [&bases::NORMALS, &bases::CLUSTERS] {
        groups.push(Group::new(base, 30_000, many.to_vec()).at(&[4.0, 16.0]));
    }
    let most = Group::new(&bases::CLUSTERS, 100_000, many.to_vec()).at(&[4.0, 16.0]);
    groups.push(Group { metrics: vec![Metric::L2], ..most });
    groups
}
