//! What must hold of each store, and of stores of one set at several ratios. Each failure is a line with its numbers.

use crate::generators::{Data, Generator, Kind};
use crate::measure::{Measured, Way};
use crate::truth::{K, Truth};
use omen::metric::Metric;
use std::ops::Range;

/// Failures of one check, by its name.
pub type Failures = Vec<(&'static str, String)>;

/// One store that was measured.
pub struct Case<'a> {
    pub generator: Generator,
    pub metric: Metric,
    pub ratio: f64,
    pub data: &'a Data,
    pub truth: &'a Truth<'a>,
    pub measured: &'a Measured,
    /// The store of the clean set with the same base, metric, ratio, number of rows and sampling.
    pub clean: Option<&'a Measured>,
}

/// Standard errors that chance may explain: one false failure in a thousand comparisons.
const DEVIATIONS: f64 = 3.0;

/// The mean of `hits` less that of `others` over the queries of a range, as recall; and its standard error.
fn difference(hits: &[u32], others: &[u32], range: &Range<usize>) -> (f64, f64) {
    let pairs = hits[range.clone()].iter().zip(&others[range.clone()]);
    let differences: Vec<f64> = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)) / K as f64).collect();
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (variance / count).sqrt())
}

fn recall(hits: &[u32], range: &Range<usize>) -> f64 {
    hits[range.clone()].iter().sum::<u32>() as f64 / (range.len() * K) as f64
}

/// A line for each family of queries of which `more` finds less than `less` finds, by more than `allowed` and chance.
fn finds_less(case: &Case, names: [&str; 2], more: &[u32], less: &[u32], allowed: f64) -> Vec<String> {
    let mut lines = Vec::new();
    for (family, range) in &case.data.families {
        let (mean, error) = difference(more, less, range);
        if mean + allowed + DEVIATIONS * error < 0.0 {
            let (found, expected) = (recall(more, range), recall(less, range));
            lines.push(format!("{family}: {} {found:.3}, {} {expected:.3} (± {error:.3})", names[0], names[1]));
        }
    }
    lines
}

impl Case<'_> {
    /// Checks of this store alone and beside the clean one.
    pub fn failures(&self) -> Failures {
        let mut failures = Failures::new();
        let mut add = |name, lines: Vec<String>| failures.extend(lines.into_iter().map(|line| (name, line)));
        add("places", self.places());
        add("search finds what exact finds", self.search_and_exact());
        add("more rerank", self.more_rerank());
        add("more effort", self.more_effort());
        add("stated bound", self.stated_bound());
        add("error of rows", self.error_of_rows());
        add("length of odd rows", self.length_of_odd_rows());
        add("self", self.finds_itself());
        add("as clean", self.as_clean());
        failures
    }

    fn allowed(&self) -> f64 {
        if self.generator.kind == Kind::Clean { 0.01 } else { 0.02 }
    }

    fn hits(&self, way: Way) -> &[u32] {
        &self.measured.found(way).hits
    }

    /// Each place has a row of its own.
    fn places(&self) -> Vec<String> {
        let n = self.data.n();
        let mut lines = Vec::new();
        for found in &self.measured.found {
            let is_full = |ids: &&[u64]| {
                let mut sorted = ids.to_vec();
                sorted.sort_unstable();
                sorted.dedup();
                sorted.len() == K && sorted.iter().all(|id| (*id as usize) < n)
            };
            let short = found.ids.chunks_exact(K).filter(|ids| !is_full(ids)).count();
            if short > 0 {
                lines.push(format!("{:?}: {short} queries without {K} different rows", found.way));
            }
        }
        lines
    }

    /// A raw store finds all; a default search finds what measuring the decoded vectors finds.
    fn search_and_exact(&self) -> Vec<String> {
        let default = self.hits(Way::Default);
        if self.ratio == 1.0 {
            return finds_less(self, ["raw", "truth"], default, &vec![K as u32; default.len()], 0.0);
        }
        finds_less(self, ["default", "exact"], default, self.hits(Way::Exact), self.allowed())
    }

    fn more_rerank(&self) -> Vec<String> {
        let ways: Vec<Way> =
            self.measured.found.iter().map(|found| found.way).filter(|way| matches!(way, Way::Rerank(_))).collect();
        let lines = ways.windows(2).flat_map(|ways| {
            let [less, more] = [ways[0], ways[1]];
            finds_less(self, [&format!("{more:?}"), &format!("{less:?}")], self.hits(more), self.hits(less), 0.005)
        });
        lines.collect()
    }

    fn more_effort(&self) -> Vec<String> {
        let ways: Vec<Way> =
            self.measured.found.iter().map(|found| found.way).filter(|way| matches!(way, Way::Effort(_))).collect();
        let lines = ways.windows(2).flat_map(|ways| {
            let [less, more] = [ways[0], ways[1]];
            finds_less(self, [&format!("{more:?}"), &format!("{less:?}")], self.hits(more), self.hits(less), 0.005)
        });
        lines.collect()
    }

    /// No row has more error than the report and `stats` say.
    fn stated_bound(&self) -> Vec<String> {
        let Some(report) = self.measured.report else { return vec![] };
        let mut lines = Vec::new();
        let worst = self.worst();
        if worst > report.worst_relative_error * (1.0 + 1e-6) + 1e-6 {
            lines.push(format!("worst row {worst:.5}, the report says {:.5}", report.worst_relative_error));
        }
        if self.metric != Metric::Cosine && self.measured.farthest > self.measured.bound * (1.0 + 1e-6) {
            lines.push(format!("farthest row {:.5}, the bound is {:.5}", self.measured.farthest, self.measured.bound));
        }
        lines
    }

    fn worst(&self) -> f64 {
        worst(self.measured)
    }

    /// At ratios up to 8, no row is coded far worse than the rows of a clean set are.
    fn error_of_rows(&self) -> Vec<String> {
        if self.ratio > 8.0 || self.measured.report.is_none() {
            return vec![];
        }
        let bits = 32.0 / self.measured.ratio_of_codes(self.data.dim);
        let bound = 4.0 * self.clean.map_or(0.0, worst).max(2.0 * (-bits).exp2()).max(5e-4);
        let is_bad = |error: f64| error > bound;
        let errors = &self.measured.errors;
        let bad = errors.iter().filter(|row| is_bad(row.relative) || is_bad(row.of_zero)).count();
        if bad == 0 {
            return vec![];
        }
        let of_zero = errors.iter().map(|row| row.of_zero).fold(0.0, f64::max);
        let odd = self.data.odd.iter().map(|row| errors[*row].relative).fold(0.0, f64::max);
        vec![format!(
            "{bad} of {} rows above {bound:.5} (4 x clean); worst {:.5}, worst odd row {odd:.5}, worst zero row {of_zero:.5}",
            errors.len(),
            self.worst(),
        )]
    }

    /// Rows unlike the others keep their length as the others do, where the metric needs it.
    fn length_of_odd_rows(&self) -> Vec<String> {
        if self.ratio > 16.0 || self.metric == Metric::Cosine || self.data.odd.is_empty() {
            return vec![];
        }
        let errors = &self.measured.errors;
        let mut lengths: Vec<f64> = errors.iter().map(|row| row.length).collect();
        lengths.sort_by(f64::total_cmp);
        let usual = lengths[lengths.len() / 2].min(1.0);
        let is_off = |length: f64| !(0.9 * usual..=1.1).contains(&length);
        let off: Vec<f64> =
            self.data.odd.iter().map(|row| errors[*row].length).filter(|length| is_off(*length)).collect();
        if off.is_empty() {
            return vec![];
        }
        vec![format!(
            "{} of {} odd rows, one has {:.3} of its length (usual {usual:.3})",
            off.len(),
            self.data.odd.len(),
            off[0]
        )]
    }

    /// A search for a stored row finds it, or a row that is as near, or one that cannot be told from it.
    fn finds_itself(&self) -> Vec<String> {
        if self.ratio > 8.0 || self.measured.ratio_of_codes(self.data.dim) > 10.0 {
            return vec![];
        }
        let (_, range) = self.data.families.iter().find(|(name, _)| *name == "stored").unwrap();
        let found = self.measured.found(Way::Default);
        let is_itself = |(query, row): (usize, &usize)| {
            let id = found.ids[query * K] as usize;
            id == *row || (id < self.data.n() && self.is_as_good(query, id, *row))
        };
        let right = range.clone().zip(&self.data.stored).filter(|pair| is_itself(*pair)).count();
        if right as f64 >= 0.99 * range.len() as f64 {
            vec![]
        } else {
            vec![format!("{right} of {} rows", range.len())]
        }
    }

    fn is_as_good(&self, query: usize, found: usize, row: usize) -> bool {
        let distance = |row| self.truth.distance(self.metric, query, row);
        let decoded = |row: usize| &self.measured.decoded[row * self.data.dim..][..self.data.dim];
        distance(found) <= distance(row) + self.truth.resolution(self.metric, query, row)
            || decoded(found) == decoded(row)
            || self.data.groups[found] == self.data.groups[row]
    }

    /// As many neighbours are found as among the clean rows, where these are the same neighbours.
    fn as_clean(&self) -> Vec<String> {
        let Some(clean) = self.clean.filter(|_| self.generator.is_as_hard_as_clean(self.metric)) else { return vec![] };
        let mut lines = Vec::new();
        for (name, way) in [("exact", Way::Exact), ("default", Way::Default)] {
            let (found, expected) =
                (recall(self.hits(way), &self.like()), recall(&clean.found(way).hits, &self.like()));
            if found < expected - 0.04 {
                lines.push(format!("{name} {found:.3}, clean {expected:.3}"));
            }
        }
        lines
    }

    fn like(&self) -> Range<usize> {
        self.data.families[0].1.clone()
    }
}

fn worst(measured: &Measured) -> f64 {
    measured.errors.iter().map(|row| row.relative).fold(0.0, f64::max)
}

/// A lower ratio finds no fewer than a higher one, for the stores of one set at ascending ratios.
pub fn lower_ratios(cases: &[Case]) -> Vec<(f64, String)> {
    let mut lines = Vec::new();
    for (number, low) in cases.iter().enumerate() {
        for high in &cases[number + 1..] {
            let names = [format!("ratio {}", low.ratio), format!("ratio {}", high.ratio)];
            let names = [names[0].as_str(), names[1].as_str()];
            let found = finds_less(low, names, low.hits(Way::Default), high.hits(Way::Default), 0.01);
            lines.extend(found.into_iter().map(|line| (low.ratio, line)));
        }
    }
    lines
}
