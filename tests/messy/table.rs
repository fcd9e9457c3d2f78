//! The list of cases, the run, and the failures as a table.

use crate::bases::{self, Base};
use crate::checks::{Case, lower_ratios};
use crate::generators::{Data, Generator, Kind, Sampling};
use crate::measure::{Measured, measure};
use crate::truth::Truth;
use omen::metric::Metric;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

const RATIOS: [f64; 7] = [1.0, 2.0, 3.5, 4.0, 8.0, 16.0, 32.0];

/// Sets with the same clean one.
struct Group {
    base: &'static Base,
    n: usize,
    /// Queries like the rows.
    like: usize,
    sampling: Sampling,
    kinds: Vec<Kind>,
    metrics: Vec<Metric>,
    ratios: Vec<f64>,
}

#[derive(Default)]
struct Outcome {
    stores: usize,
    too_small: usize,
    lines: Vec<Line>,
}

struct Line {
    kind: String,
    base: &'static str,
    metric: &'static str,
    n: usize,
    ratio: f64,
    check: &'static str,
    values: String,
}

fn seed(base: &Base, n: usize) -> u64 {
    n as u64 * 8 + bases::ALL.iter().position(|other| other.name == base.name).unwrap() as u64
}

impl Group {
    fn run(&self, only: &str, outcome: &Mutex<Outcome>) {
        let mut clean: HashMap<(i32, u64), Measured> = HashMap::new();
        for kind in std::iter::once(Kind::Clean).chain(self.kinds.iter().copied()) {
            let generator = Generator { kind, sampling: self.sampling };
            let name = |metric: Metric| format!("{}/{}/{}/{}", generator.name(), self.base.name, metric.name(), self.n);
            let wanted: Vec<Metric> = self
                .metrics
                .iter()
                .copied()
                .filter(|metric| kind == Kind::Clean || name(*metric).contains(only))
                .collect();
            if !generator.suits(self.base) || wanted.is_empty() {
                continue;
            }
            let data = Data::new(self.base, &generator, self.n, self.like, seed(self.base, self.n));
            let truth = Truth::new(&data);
            for metric in wanted {
                let stores: Vec<(f64, Option<Measured>)> = self
                    .ratios
                    .iter()
                    .map(|ratio| (*ratio, measure(&data, &truth, metric, *ratio, self.sampling)))
                    .collect();
                let key = |ratio: f64| (metric as i32, ratio.to_bits());
                let cases: Vec<Case> = stores
                    .iter()
                    .filter_map(|(ratio, measured)| {
                        let (measured, clean) = (measured.as_ref()?, clean.get(&key(*ratio)));
                        Some(Case { generator, metric, ratio: *ratio, data: &data, truth: &truth, measured, clean })
                    })
                    .collect();
                if name(metric).contains(only) {
                    self.judge(&cases, self.ratios.len(), outcome);
                }
                if kind == Kind::Clean {
                    drop(cases);
                    clean.extend(stores.into_iter().filter_map(|(ratio, measured)| Some((key(ratio), measured?))));
                }
            }
        }
    }

    fn judge(&self, cases: &[Case], wanted: usize, outcome: &Mutex<Outcome>) {
        let mut lines: Vec<(f64, &'static str, String)> = Vec::new();
        for case in cases {
            lines.extend(case.failures().into_iter().map(|(check, values)| (case.ratio, check, values)));
        }
        lines.extend(lower_ratios(cases).into_iter().map(|(ratio, values)| (ratio, "lower ratio", values)));
        let mut outcome = outcome.lock().unwrap();
        outcome.stores += cases.len();
        outcome.too_small += wanted - cases.len();
        let Some(case) = cases.first() else { return };
        let (kind, base, metric, n) = (case.generator.name(), self.base.name, case.metric.name(), self.n);
        outcome.lines.extend(lines.into_iter().map(|(ratio, check, values)| Line {
            kind: kind.clone(),
            base,
            metric,
            n,
            ratio,
            check,
            values,
        }));
    }
}

fn short() -> Vec<Group> {
    let kinds = [Kind::FarComponent(10.0)];
    bases::ALL
        .iter()
        .map(|base| Group {
            base,
            n: 1000,
            like: 100,
            sampling: Sampling::All,
            kinds: kinds.to_vec(),
            metrics: Metric::ALL.to_vec(),
            ratios: RATIOS.to_vec(),
        })
        .collect()
}

pub fn run() {
    let only = std::env::var("OMEN_MESSY_ONLY").unwrap_or_default();
    let outcome = Mutex::new(Outcome::default());
    for group in short() {
        group.run(&only, &outcome);
    }
    let outcome = outcome.into_inner().unwrap();
    println!("{} stores, {} ratios that do not fit", outcome.stores, outcome.too_small);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in &outcome.lines {
        println!(
            "{} {} {} ratio {} n {} seed {}: {}: {}",
            line.kind, line.base, line.metric, line.ratio, line.n, 0, line.check, line.values
        );
        *counts.entry((&line.kind, line.check)).or_default() += 1;
    }
    println!("{counts:#?}");
    assert!(outcome.lines.is_empty(), "{} failures", outcome.lines.len());
}
