//! What must hold of each store, and of the stores of one set at several ratios. Each failure is a line with its numbers.

use crate::bases::length;
use crate::generators::{Data, Family, Generator, Kind};
use crate::measure::{Found, Measured, Way};
use crate::truth::{K, Truth};
use omen::metric::Metric;
use omen::store::CompressReport;
use std::collections::HashMap;
use std::slice::from_ref;

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
    /// A store of the clean set whose codes are no longer than those of this store, at about the same ratio.
    pub no_longer: Option<&'a Measured>,
}

/// A difference within this many standard errors is chance: one false failure in a thousand comparisons.
const DEVIATIONS: f64 = 3.0;

/// What a search found.
struct Named<'a> {
    /// How it is called in a failure.
    name: String,
    found: &'a Found,
    /// For each row a number that is the same for rows whose errors go together.
    groups: &'a [u32],
}

/// The recall of `more` less that of `less` for the queries of a family, and its standard error: the larger of that of
/// independent queries and that of independent rows. Queries may share their neighbours: one row that is badly coded is
/// then lost by all of them.
fn difference(more: &Named, less: &Named, family: &Family) -> (f64, f64) {
    let (mut of_queries, mut of_rows) = (vec![0.0; family.range.len()], HashMap::<u32, f64>::new());
    for (Named { found, groups, .. }, sign) in [(more, 1.0), (less, -1.0)] {
        let places = family.range.start * K..family.range.end * K;
        for place in places.filter(|place| found.is_hit[*place]) {
            of_queries[place / K - family.range.start] += sign;
            *of_rows.entry(groups[found.ids[place] as usize]).or_default() += sign;
        }
    }
    let count = of_queries.len() as f64;
    let mean = of_queries.iter().sum::<f64>() / count;
    let variance = of_queries.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0) / count;
    let variance_by_rows = of_rows.values().map(|x| x * x).sum::<f64>() / (count * count);
    (mean / K as f64, variance.max(variance_by_rows).sqrt() / K as f64)
}

fn recall(found: &Found, family: &Family) -> f64 {
    let hits = &found.is_hit[family.range.start * K..family.range.end * K];
    hits.iter().filter(|is_hit| **is_hit).count() as f64 / hits.len() as f64
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
    fn finds_less(&self, families: &[Family], more: &Named, less: &Named, allowed: f64) -> Vec<String> {
        let mut lines = Vec::new();
        for family in families {
            let (mean, error) = difference(more, less, family);
            if mean + allowed + DEVIATIONS * error < 0.0 {
                let [found, expected] = [more, less].map(|named| recall(named.found, family));
                lines.push(format!(
                    "{}: {} {found:.3}, {} {expected:.3} (± {error:.3})",
                    family.name, more.name, less.name
                ));
            }
        }
        lines
    }

    fn found(&self, way: Way) -> Named<'_> {
        Named { name: format!("{way:?}"), found: self.measured.found(way), groups: &self.data.groups }
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
        let (families, default) = (&self.data.families, self.found(Way::Default));
        if self.measured.report.is_none() {
            let missed = default.found.is_hit.iter().filter(|is_hit| !**is_hit).count();
            return if missed == 0 { vec![] } else { vec![format!("{missed} neighbours missed by a raw store")] };
        }
        let allowed = if self.generator.kind == Kind::Clean { 0.01 } else { 0.02 };
        let exact = self.found(Way::Exact);
        families
            .iter()
            .flat_map(|family| self.finds_less(from_ref(family), &default, &exact, allowed + self.unlike(family)))
            .collect()
    }

    /// What codes of few bits may find less for queries far from all rows: the number of their side byte is chosen for
    /// queries that are near rows, which find up to a third more by it.
    fn unlike(&self, family: &Family) -> f64 {
        if family.name == "far" && self.ratio >= 16.0 && self.metric == Metric::L2 { 0.1 } else { 0.0 }
    }

    /// Of two ways of one sort, the one that does more finds no fewer.
    fn more_of(&self, is_of_sort: impl Fn(&Way) -> bool) -> Vec<String> {
        let ways: Vec<Way> = self.measured.found.iter().map(|found| found.way).filter(is_of_sort).collect();
        let pair =
            |pair: &[Way]| self.finds_less(&self.data.families, &self.found(pair[1]), &self.found(pair[0]), 0.005);
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
        // A codebook of few rows has not seen what most rows are like.
        let least = if self.generator.is_trained_on_few() { 2f64.powi(-6) } else { 2f64.powi(-11) };
        let bound = 4.0 * clean.worst().max(2.0 * (-bits).exp2()).max(least);
        let errors = &self.measured.errors;
        let is_above =
            |row: &usize| errors[*row].weighed > bound && errors[*row].weighed > bound * self.coarseness(*row);
        let above = (0..errors.len()).filter(is_above).count();
        if above == 0 {
            return vec![];
        }
        let worst = errors.iter().map(|row| row.weighed).fold(0.0, f64::max);
        let odd = self.data.odd.iter().map(|row| errors[*row].weighed).fold(0.0, f64::max);
        let codec = self.measured.report.map_or(0, |report| report.codec);
        let rows = format!("{above} of {} rows above {bound:.5}", errors.len());
        vec![format!("{rows}; worst {worst:.5}, worst odd {odd:.5}; codec {codec}, {bits:.2} bits a dim")]
    }

    /// How much coarser than most rows a row must be coded, relative to its length: a row with a value that no other row
    /// has is divided until that value is within reach, and rounding counts as much more.
    fn coarseness(&self, row: usize) -> f64 {
        if !self.data.odd.contains(&row) || self.metric == Metric::Cosine {
            return 1.0;
        }
        let others = (0..self.data.n()).filter(|other| !self.data.odd.contains(other));
        let mut reach = vec![0.0_f32; self.data.dim];
        let mut lengths = Vec::new();
        for other in others.map(|other| self.data.row(other)) {
            reach.iter_mut().zip(other).for_each(|(most, value)| *most = most.max(value.abs()));
            lengths.push(length(other));
        }
        lengths.sort_by(f64::total_cmp);
        let of_value = |(value, reach): (&f32, &f32)| f64::from(value.abs()) / f64::from(reach.max(f32::MIN_POSITIVE));
        let divided = self.data.row(row).iter().zip(&reach).map(of_value).fold(1.0, f64::max);
        divided * lengths[lengths.len() / 2] / length(self.data.row(row))
    }

    /// Rows unlike the others keep their length as the others do, where the metric needs it. Codes of few bits cannot
    /// say much about a row that no other is like.
    fn length_of_odd_rows(&self) -> Vec<String> {
        if self.ratio > 16.0 || self.metric == Metric::Cosine || self.data.odd.is_empty() {
            return vec![];
        }
        let (errors, odd) = (&self.measured.errors, &self.data.odd);
        let mut lengths: Vec<f64> = errors.iter().map(|row| row.length).collect();
        lengths.sort_by(f64::total_cmp);
        let usual = lengths[lengths.len() / 2].min(1.0);
        let least = if self.measured.ratio_of_codes(self.data.dim) <= 4.0 { 0.85 } else { 0.35 };
        let is_off = |length: &f64| !(least * usual..=2.0 - least).contains(length);
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
        let row_of = |row: usize| &self.data.rows[row * self.data.dim..][..self.data.dim];
        let energy = |row: usize| row_of(row).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        distance(found) <= distance(row) + self.truth.resolution(self.metric, query, row)
            || decoded(found) == decoded(row)
            || self.data.groups[found] == self.data.groups[row]
            // The error of a longer row is in proportion to its length, and may be more than what the others differ by.
            || self.metric == Metric::InnerProduct && energy(found) > energy(row)
    }

    /// As many neighbours are found as among the clean rows in codes that are no longer, where these are the same
    /// neighbours.
    fn as_clean(&self) -> Vec<String> {
        // The fixed parts of a small file of many classes take bytes of its codes.
        let is_small = self.ratio >= 8.0 && self.data.n() < 2000;
        let is_comparable = !is_small && self.generator.is_as_hard_as_clean(self.metric);
        let Some(clean) = self.no_longer.filter(|_| is_comparable) else { return vec![] };
        // A row of a sorted set has its number in the clean set as its group.
        let groups: Vec<u32> = (0..self.data.n() as u32).collect();
        let line = |way| {
            let expected = Named { name: "clean".into(), found: clean.found(way), groups: &groups };
            // Queries of the other families depend on the rows.
            let lines = self.finds_less(&self.data.families[..1], &self.found(way), &expected, 0.03);
            lines.into_iter().map(|line| format!("{line}; {}, clean {}", codes_of(self.measured), codes_of(clean)))
        };
        [Way::Exact, Way::Default].into_iter().flat_map(line).collect()
    }
}

fn codes_of(measured: &Measured) -> String {
    let codes = |report: CompressReport| {
        format!("codec {} of {} bytes, error {:.2e}", report.codec, report.code_bytes, report.relative_mse)
    };
    measured.report.map_or("raw".into(), codes)
}

/// A lower ratio finds no fewer than a higher one, for the stores of one set at ascending ratios. Codes of different kinds
/// are not compared: compress chooses between them by their error, and scalar codes of groups of rows in a few directions
/// find fewer than formula codes of about the same error.
pub fn lower_ratios(cases: &[Case]) -> Vec<(f64, String)> {
    let mut lines = Vec::new();
    for (number, low) in cases.iter().enumerate() {
        for high in &cases[number + 1..] {
            let codec = |case: &Case| case.measured.report.map(|report| report.codec);
            if codec(low) != codec(high) {
                continue;
            }
            let [more, less] =
                [low, high].map(|case| Named { name: format!("ratio {}", case.ratio), ..case.found(Way::Default) });
            let found = low.finds_less(&low.data.families, &more, &less, 0.01);
            lines.extend(found.into_iter().map(|line| (low.ratio, line)));
        }
    }
    lines
}
