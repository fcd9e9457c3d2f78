//! The run of all groups, and the failures as lines and as a table.

use crate::checks::{Case, lower_ratios};
use crate::generators::{Data, Generator, Kind};
use crate::grid::Group;
use crate::measure::{Measured, measure};
use crate::truth::Truth;
use omen::metric::Metric;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Runs the sets of `groups` whose name has `only` in it, on all cores.
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

/// The clean stores of a group, by metric and ratio.
type Clean = HashMap<(i32, u64), Measured>;

fn key(metric: Metric, ratio: f64) -> (i32, u64) {
    (metric as i32, ratio.to_bits())
}

impl Group {
    fn generator(&self, kind: Kind) -> Generator {
        Generator { kind, sampling: self.sampling }
    }

    fn name(&self, kind: Kind, metric: Metric) -> String {
        format!("{}/{}/{metric}/{}", self.generator(kind).name(), self.base.name, self.n)
    }

    fn run(&self, only: &str, outcome: &Mutex<Outcome>) {
        let is_wanted = |kind: Kind, metric: Metric| self.name(kind, metric).contains(only);
        let kinds: Vec<Kind> =
            self.kinds.iter().copied().filter(|kind| self.generator(*kind).suits(self.base)).collect();
        let kinds = [&[Kind::Clean], kinds.as_slice()].concat();
        let mut metrics = self.metrics.clone();
        metrics.retain(|metric| kinds.iter().any(|kind| is_wanted(*kind, *metric)));
        let mut clean = Clean::new();
        for kind in kinds {
            let metrics: Vec<Metric> = match kind {
                Kind::Clean => metrics.clone(),
                _ => metrics.iter().copied().filter(|metric| is_wanted(kind, *metric)).collect(),
            };
            if metrics.is_empty() {
                continue;
            }
            let generator = self.generator(kind);
            let data = Data::new(self.base, &generator, self.n, self.like, self.seed);
            let truth = Truth::new(&data);
            for metric in metrics {
                let at = |ratio: &f64| Some((*ratio, measure(&data, &truth, metric, *ratio, self.sampling)?));
                let stores: Vec<(f64, Measured)> = self.ratios.iter().filter_map(at).collect();
                if is_wanted(kind, metric) {
                    let cases = stores.iter().map(|(ratio, measured)| Case {
                        generator,
                        metric,
                        ratio: *ratio,
                        data: &data,
                        truth: &truth,
                        measured,
                        clean: clean.get(&key(metric, *ratio)),
                    });
                    self.judge(&cases.collect::<Vec<_>>(), &mut outcome.lock().unwrap());
                }
                if kind == Kind::Clean {
                    clean.extend(stores.into_iter().map(|(ratio, measured)| (key(metric, ratio), measured)));
                }
            }
        }
    }

    /// Checks the stores of one set at all ratios.
    fn judge(&self, cases: &[Case], outcome: &mut Outcome) {
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
