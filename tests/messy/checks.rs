//! What must hold of each store, and of the stores of one set at several ratios. Each failure is a line with its numbers.

use crate::generators::{Data, Family, Generator, Kind};
use crate::measure::{Measured, Way};
use crate::truth::{K, Truth};
use omen::metric::Metric;

/// What a check found wrong: its name, and a line with numbers.
pub type Failure = (&'static str, String);

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

/// A difference within this many standard errors is chance: one false failure in a thousand comparisons.
const DEVIATIONS: f64 = 3.0;

/// The same where several queries have the same group of rows as neighbours, so that their errors go together.
const DEVIATIONS_OF_GROUPS: f64 = 6.0;

/// What a search found of each query, and how it is called in a failure.
struct Hits<'a>(String, &'a [u32]);

/// The mean of `hits` less that of `others` over the queries of a family, as recall; and its standard error.
fn difference(hits: &[u32], others: &[u32]) -> (f64, f64) {
    let differences: Vec<f64> =
        hits.iter().zip(others).map(|(a, b)| (f64::from(*a) - f64::from(*b)) / K as f64).collect();
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (variance / count).sqrt())
}

fn recall(hits: &[u32]) -> f64 {
    f64::from(hits.iter().sum::<u32>()) / (hits.len() * K) as f64
}

impl Case<'_> {
    /// The checks of this store alone and beside the clean one.
    pub fn failures(&self) -> Vec<Failure> {
        let checks = [
            ("places", self.places()),
            ("search finds what exact finds", self.search_and_exact()),
            ("more rerank", self.more_of(|way| matches!(way, Way::Rerank(_)))),
            ("more effort", self.more_of(|way| matches!(way, Way::Effort(_)))),
            ("stated bound", self.stated_bound()),
            ("error of rows", self.error_of_rows()),
            ("length of odd rows", self.length_of_odd_rows()),
            ("self", self.finds_itself()),
            ("as clean", self.as_clean()),
        ];
        checks.into_iter().flat_map(|(name, lines)| lines.into_iter().map(move |line| (name, line))).collect()
    }

    /// A line for each of `families` of which `more` finds less than `less` finds, by more than `allowed` and chance.
    fn finds_less(&self, families: &[Family], more: &Hits, less: &Hits, allowed: f64) -> Vec<String> {
        let deviations = if matches!(self.generator.kind, Kind::Groups(_)) { DEVIATIONS_OF_GROUPS } else { DEVIATIONS };
        let mut lines = Vec::new();
        for family in families {
            let [found, expected] = [more, less].map(|hits| &hits.1[family.range.clone()]);
            let (mean, error) = difference(found, expected);
            if mean + allowed + deviations * error < 0.0 {
                let [found, expected] = [found, expected].map(recall);
                lines.push(format!("{}: {} {found:.3}, {} {expected:.3} (± {error:.3})", family.name, more.0, less.0));
            }
        }
        lines
    }

    fn hits(&self, way: Way) -> Hits<'_> {
        Hits(format!("{way:?}"), &self.measured.found(way).hits)
    }

    /// Each place has a row of its own, nearest first, at a distance that the metric has.
    fn places(&self) -> Vec<String> {
        let n = self.data.n();
        let is_full = |ids: &[u64]| {
            let mut sorted = ids.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.len() == K && sorted.iter().all(|id| (*id as usize) < n)
        };
        let range = match self.metric {
            Metric::L2 => 0.0..=f32::MAX,
            Metric::InnerProduct => f32::MIN..=f32::MAX,
            Metric::Cosine => 0.0..=2.0,
        };
        let mut lines = Vec::new();
        for found in &self.measured.found {
            let short = found.ids.chunks_exact(K).filter(|ids| !is_full(ids)).count();
            if short > 0 {
                lines.push(format!("{:?}: {short} queries without {K} different rows", found.way));
            }
            let is_wrong = |row: &&[f32]| !row.is_sorted() || row.iter().any(|distance| !range.contains(distance));
            let mut wrong = found.distances.chunks_exact(K).filter(is_wrong).peekable();
            if let Some(first) = wrong.peek().copied() {
                lines.push(format!("{:?}: {} queries with wrong distances: {first:?}", found.way, wrong.count()));
            }
        }
        lines
    }

    /// A raw store finds all. A default search of codes finds what measuring the decoded vectors finds.
    fn search_and_exact(&self) -> Vec<String> {
        let (families, default) = (&self.data.families, self.hits(Way::Default));
        if self.measured.report.is_none() {
            return self.finds_less(families, &default, &Hits("truth".into(), &vec![K as u32; default.1.len()]), 0.0);
        }
        let allowed = if self.generator.kind == Kind::Clean { 0.01 } else { 0.02 };
        self.finds_less(families, &default, &self.hits(Way::Exact), allowed)
    }

    /// Of two ways of one sort, the one that does more finds no fewer.
    fn more_of(&self, is_of_sort: impl Fn(&Way) -> bool) -> Vec<String> {
        let ways: Vec<Way> = self.measured.found.iter().map(|found| found.way).filter(is_of_sort).collect();
        let pair = |pair: &[Way]| self.finds_less(&self.data.families, &self.hits(pair[1]), &self.hits(pair[0]), 0.005);
        ways.windows(2).flat_map(pair).collect()
    }

    /// No row has more error than the report and `stats` say.
    fn stated_bound(&self) -> Vec<String> {
        let Some(report) = self.measured.report else { return vec![] };
        let mut lines = Vec::new();
        let (worst, stated) = (self.measured.worst(), report.worst_relative_error);
        if worst > stated * (1.0 + 1e-6) + 1e-6 {
            lines.push(format!("worst row {worst:.5}, the report says {stated:.5}"));
        }
        let (farthest, bound) = (self.measured.farthest, self.measured.bound);
        if self.metric != Metric::Cosine && farthest > bound * (1.0 + 1e-6) {
            lines.push(format!("farthest row {farthest:.5}, stats say {bound:.5}"));
        }
        lines
    }

    /// At ratios up to 8, no row is coded far worse than those of the clean set, or than one of independent normals at as
    /// many bits a dim: their error is 2^-bits where codes are ideal. A half has an error of 2^-12.
    fn error_of_rows(&self) -> Vec<String> {
        let Some(clean) = self.clean.filter(|_| (2.0..=8.0).contains(&self.ratio)) else { return vec![] };
        let bits = 32.0 / self.measured.ratio_of_codes(self.data.dim);
        let bound = 4.0 * clean.worst().max(2.0 * (-bits).exp2()).max(2f64.powi(-11));
        let errors = &self.measured.errors;
        let above = errors.iter().filter(|row| row.weighed > bound).count();
        if above == 0 {
            return vec![];
        }
        let worst = errors.iter().map(|row| row.weighed).fold(0.0, f64::max);
        let odd = self.data.odd.iter().map(|row| errors[*row].weighed).fold(0.0, f64::max);
        vec![format!("{above} of {} rows above {bound:.5}; worst {worst:.5}, worst odd {odd:.5}", errors.len())]
    }

    /// Rows unlike the others keep their length as the others do, where the metric needs it.
    fn length_of_odd_rows(&self) -> Vec<String> {
        if self.ratio > 16.0 || self.metric == Metric::Cosine || self.data.odd.is_empty() {
            return vec![];
        }
        let (errors, odd) = (&self.measured.errors, &self.data.odd);
        let mut lengths: Vec<f64> = errors.iter().map(|row| row.length).collect();
        lengths.sort_by(f64::total_cmp);
        let usual = lengths[lengths.len() / 2].min(1.0);
        let is_off = |length: &f64| !(0.9 * usual..=1.1).contains(length);
        let off: Vec<f64> = odd.iter().map(|row| errors[*row].length).filter(is_off).collect();
        let line = |first: &f64| format!("{} of {} odd rows: {first:.3}, usual {usual:.3}", off.len(), odd.len());
        off.first().map(line).into_iter().collect()
    }

    /// A search for a stored row finds it, or a row that is as near, or one that cannot be told from it: for all but one
    /// in a hundred rows, and for each of the odd ones.
    fn finds_itself(&self) -> Vec<String> {
        if self.ratio > 8.0 || self.measured.ratio_of_codes(self.data.dim) > 10.0 {
            return vec![];
        }
        let family = self.data.families.iter().find(|family| family.name == "stored").unwrap();
        let found = &self.measured.found(Way::Default).ids;
        let is_lost = |(query, row): &(usize, usize)| {
            let id = found[query * K] as usize;
            id != *row && (id >= self.data.n() || !self.is_as_good(*query, id, *row))
        };
        let lost: Vec<usize> =
            family.range.clone().zip(self.data.stored.iter().copied()).filter(is_lost).map(|pair| pair.1).collect();
        let odd = lost.iter().filter(|row| self.data.odd.contains(row)).count();
        let usual = lost.len() - odd;
        let is_right = odd == 0 && usual <= family.range.len().div_ceil(100);
        if is_right { vec![] } else { vec![format!("{usual} of {} rows lost, {odd} odd rows", family.range.len())] }
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
        let line = |way| {
            let hits = Hits("clean".into(), &clean.found(way).hits);
            // Queries of the other families depend on the rows.
            self.finds_less(&self.data.families[..1], &self.hits(way), &hits, 0.03)
        };
        [Way::Exact, Way::Default].into_iter().flat_map(line).collect()
    }
}

/// A lower ratio finds no fewer than a higher one, for the stores of one set at ascending ratios.
pub fn lower_ratios(cases: &[Case]) -> Vec<(f64, String)> {
    let mut lines = Vec::new();
    for (number, low) in cases.iter().enumerate() {
        for high in &cases[number + 1..] {
            let [more, less] =
                [low, high].map(|case| Hits(format!("ratio {}", case.ratio), &case.measured.found(Way::Default).hits));
            let found = low.finds_less(&low.data.families, &more, &less, 0.01);
            lines.extend(found.into_iter().map(|line| (low.ratio, line)));
        }
    }
    lines
}
