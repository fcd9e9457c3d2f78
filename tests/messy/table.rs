//! The run of all groups, and the failures as lines and as a table.

use crate::checks::{Case, lower_ratios};
use crate::generators::{Data, Generator, Kind, Sampling};
use crate::grid::Group;
use crate::measure::{Measured, measure};
use crate::truth::Truth;
use omen::metric::Metric;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Ratios that are tried for codes of a length.
const SHORTER_MAX: usize = 4;

/// What a run found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Stores that were checked: combinations of a generator, a clean set, a number of rows, a metric and a ratio.
    pub stores: usize,
    /// Combinations whose ratio cannot be reached with so few rows.
    pub too_small: usize,
    pub lines: Vec<Line>,
}

/// A check that failed.
#[derive(Debug)]
pub struct Line {
    generator: String,
    base: &'static str,
    metric: Metric,
    n: usize,
    seed: u64,
    ratio: f64,
    check: &'static str,
    values: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { generator, base, metric, n, seed, ratio, check, values } = self;
        write!(f, "{check}: {generator}/{base}/{metric}/{n}, seed {seed}, ratio {ratio}: {values}")
    }
}

/// The failures, line by line; then how many there are of each check, generator, metric and ratio.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<(&str, &str, &str), BTreeMap<u64, usize>> = BTreeMap::new();
        for line in &self.lines {
            writeln!(f, "{line}")?;
            let row = counts.entry((line.check, &line.generator, line.metric.name())).or_default();
            *row.entry((line.ratio * 10.0) as u64).or_default() += 1;
        }
        writeln!(f, "\nfailures by check, generator, metric; ratio x times")?;
        for ((check, generator, metric), row) in counts {
            let cells: Vec<String> =
                row.iter().map(|(tenths, count)| format!("{} x {count}", *tenths as f64 / 10.0)).collect();
            writeln!(f, "{check:30} {generator:26} {metric:14} {}", cells.join(", "))?;
        }
        write!(f, "{} stores, {} ratios not reached, {} failures", self.stores, self.too_small, self.lines.len())
    }
}

/// Runs the sets of `groups` whose name has one of the texts of `only` in it, which commas separate, on all cores.
pub fn run(groups: &[Group], only: &str) -> Outcome {
    let (outcome, next) = (Mutex::new(Outcome::default()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    group.run(only, &outcome);
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().unwrap();
    outcome.lines.sort_by(|a, b| (a.check, &a.generator, a.base).cmp(&(b.check, &b.generator, b.base)));
    outcome
}

/// The clean set of a group and its stores.
struct Clean<'a> {
    data: &'a Data,
    truth: &'a Truth<'a>,
    sampling: Sampling,
    /// By metric and ratio.
    stores: HashMap<(i32, u64), Measured>,
    /// By metric, ratio and bytes of a code: stores whose codes are no longer.
    no_longer: HashMap<(i32, u64, u64), Measured>,
}

fn key(metric: Metric, ratio: f64) -> (i32, u64) {
    (metric as i32, ratio.to_bits())
}

impl Clean<'_> {
    /// Measures a store whose codes are no longer than those of `measured`, if the one with this ratio has longer ones:
    /// scales take bytes that a clean set need not spend.
    fn shorten(&mut self, metric: Metric, ratio: f64, measured: &Measured) {
        let (Some(clean), Some(most)) = (self.stores.get(&key(metric, ratio)), measured.code_bytes()) else { return };
        let (mut found, key) = (clean.code_bytes().unwrap_or(0), (metric as i32, ratio.to_bits(), most));
        if found <= most || self.no_longer.contains_key(&key) {
            return;
        }
        let row_bytes = (self.data.dim * 4) as f64;
        let mut bytes = row_bytes / ratio;
        for _ in 0..SHORTER_MAX {
            bytes = (bytes - (found - most) as f64).max(1.0);
            let Some(shorter) = measure(self.data, self.truth, metric, row_bytes / bytes, self.sampling) else {
                return;
            };
            found = shorter.code_bytes().unwrap_or(0);
            if found <= most {
                self.no_longer.insert(key, shorter);
                return;
            }
        }
    }

    /// The store of this ratio whose codes are no longer than those of `measured`.
    fn no_longer(&self, metric: Metric, ratio: f64, measured: &Measured) -> Option<&Measured> {
        let clean = self.stores.get(&key(metric, ratio))?;
        match (clean.code_bytes(), measured.code_bytes()) {
            (Some(found), Some(most)) if found > most => self.no_longer.get(&(metric as i32, ratio.to_bits(), most)),
            _ => Some(clean),
        }
    }
}

impl Group {
    fn generator(&self, kind: Kind) -> Generator {
        Generator { kind, sampling: self.sampling }
    }

    fn name(&self, kind: Kind, metric: Metric) -> String {
        format!("{}/{}/{metric}/{}", self.generator(kind).name(), self.base.name, self.n)
    }

    fn run(&self, only: &str, outcome: &Mutex<Outcome>) {
        let is_wanted = |kind: Kind, metric: Metric| {
            let name = self.name(kind, metric);
            only.split(',').any(|text| name.contains(text))
        };
        let kinds: Vec<Kind> =
            self.kinds.iter().copied().filter(|kind| self.generator(*kind).suits(self.base)).collect();
        let mut metrics = self.metrics.clone();
        metrics.retain(|metric| kinds.iter().chain(&[Kind::Clean]).any(|kind| is_wanted(*kind, *metric)));
        if metrics.is_empty() {
            return;
        }
        let clean_data = self.data(Kind::Clean);
        let clean_truth = Truth::new(&clean_data);
        let mut clean = Clean {
            data: &clean_data,
            truth: &clean_truth,
            sampling: self.sampling,
            stores: HashMap::new(),
            no_longer: HashMap::new(),
        };
        for metric in &metrics {
            let stores = self.stores(&clean_data, &clean_truth, *metric);
            if is_wanted(Kind::Clean, *metric) {
                self.judge(&self.cases(Kind::Clean, *metric, (&clean_data, &clean_truth), &stores, &clean), outcome);
            }
            clean.stores.extend(stores.into_iter().map(|(ratio, measured)| (key(*metric, ratio), measured)));
        }
        for kind in kinds {
            let metrics: Vec<Metric> = metrics.iter().copied().filter(|metric| is_wanted(kind, *metric)).collect();
            if metrics.is_empty() {
                continue;
            }
            let data = self.data(kind);
            let truth = Truth::new(&data);
            for metric in metrics {
                let stores = self.stores(&data, &truth, metric);
                if self.generator(kind).is_as_hard_as_clean(metric) {
                    stores.iter().for_each(|(ratio, measured)| clean.shorten(metric, *ratio, measured));
                }
                self.judge(&self.cases(kind, metric, (&data, &truth), &stores, &clean), outcome);
            }
        }
    }

    fn data(&self, kind: Kind) -> Data {
        Data::new(self.base, &self.generator(kind), self.n, self.like, self.seed)
    }

    /// The stores of one set by ascending ratio.
    fn stores(&self, data: &Data, truth: &Truth, metric: Metric) -> Vec<(f64, Measured)> {
        let at = |ratio: &f64| Some((*ratio, measure(data, truth, metric, *ratio, self.sampling)?));
        self.ratios.iter().filter_map(at).collect()
    }

    fn cases<'a>(
        &self,
        kind: Kind,
        metric: Metric,
        (data, truth): (&'a Data, &'a Truth<'a>),
        stores: &'a [(f64, Measured)],
        clean: &'a Clean,
    ) -> Vec<Case<'a>> {
        let case = |(ratio, measured): &'a (f64, Measured)| Case {
            generator: self.generator(kind),
            metric,
            ratio: *ratio,
            data,
            truth,
            measured,
            clean: clean.stores.get(&key(metric, *ratio)),
            no_longer: clean.no_longer(metric, *ratio, measured),
        };
        stores.iter().map(case).collect()
    }

    /// Checks the stores of one set at all ratios.
    fn judge(&self, cases: &[Case], outcome: &Mutex<Outcome>) {
        let mut outcome = outcome.lock().unwrap();
        outcome.stores += cases.len();
        outcome.too_small += self.ratios.len() - cases.len();
        let Some(Case { generator, metric, .. }) = cases.first() else { return };
        let of_case = |case: &Case| {
            let ratio = case.ratio;
            case.failures().into_iter().map(move |(check, values)| (ratio, check, values)).collect::<Vec<_>>()
        };
        let lower = lower_ratios(cases).into_iter().map(|(ratio, values)| (ratio, "lower ratio", values));
        for (ratio, check, values) in cases.iter().flat_map(of_case).chain(lower) {
            let (base, n, seed) = (self.base.name, self.n, self.seed);
            let line = Line { generator: generator.name(), base, metric: *metric, n, seed, ratio, check, values };
            // A long run that is stopped has told what it found.
            println!("{line}");
            outcome.lines.push(line);
        }
    }
}
