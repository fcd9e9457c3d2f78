//! Chooses the fates to try at a cut: every subset if there are few units, otherwise the typical ones and random ones.
//! Also damages each block, with neighbours that survived, were lost, or partly survived.

use super::Random;
use super::replay::{Fate, Unit};
use std::ops::ControlFlow;

/// How much is tried at one cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breadth {
    /// Up to so many units, every subset.
    pub(crate) subsets_of: usize,
    /// Of more units than this, so many are chosen to be lost or damaged one at a time.
    pub(crate) chosen: u64,
    /// Random choices besides.
    pub(crate) random: usize,
    /// Pairs of lost or damaged units.
    pub(crate) pairs: usize,
    /// Random neighbourhoods for each damaged block.
    pub(crate) neighbours: usize,
}

/// Calls `each` with choices for `units`, until it breaks.
pub(crate) fn choices(
    units: &[&Unit],
    breadth: Breadth,
    random: &mut Random,
    each: &mut dyn FnMut(&[Fate]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let count = units.len();
    if count <= breadth.subsets_of {
        for mask in 0..1_u64 << count {
            each(&subset(count, |unit| mask >> unit & 1 == 1))?;
        }
    } else {
        telling_subsets(count, breadth, random, each)?;
    }
    let data: Vec<usize> = (0..count).filter(|unit| units[*unit].is_data()).collect();
    damaged(count, &data, breadth, random, each)?;
    pairs(count, &data, breadth, random, each)?;
    for _ in 0..breadth.random {
        // Runs differ in how much survives, so that nearly-all and nearly-none are seen as well.
        let (survival, damage) = (random.below(11), random.below(6));
        let fates: Vec<Fate> = units.iter().map(|unit| drawn(unit, survival, damage, random)).collect();
        each(&fates)?;
    }
    ControlFlow::Continue(())
}

fn subset(count: usize, survives: impl Fn(usize) -> bool) -> Vec<Fate> {
    (0..count).map(|unit| if survives(unit) { Fate::Whole } else { Fate::Lost }).collect()
}

/// None, all, each prefix, each suffix, all but one, only one; of very many units, some of each, the last ones always.
fn telling_subsets(
    count: usize,
    breadth: Breadth,
    random: &mut Random,
    each: &mut dyn FnMut(&[Fate]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for chosen in (0..=count).rev().filter(|chosen| chosen + 4 > count || random.below(count as u64) < breadth.chosen) {
        each(&subset(count, |unit| unit < chosen))?;
        each(&subset(count, |unit| unit >= chosen))?;
        each(&subset(count, |unit| unit != chosen))?;
        each(&subset(count, |unit| unit == chosen))?;
    }
    ControlFlow::Continue(())
}

/// Each block damaged in each way: among survivors, alone, with all before it, and in random company.
fn damaged(
    count: usize,
    data: &[usize],
    breadth: Breadth,
    random: &mut Random,
    each: &mut dyn FnMut(&[Fate]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let often = data.len() as u64;
    for &victim in data {
        if random.below(often) >= breadth.chosen {
            continue;
        }
        for kind in 0..4 {
            let fate = damage(kind, random);
            let mut with = |mut fates: Vec<Fate>| {
                fates[victim] = fate;
                each(&fates)
            };
            with(subset(count, |_| true))?;
            with(subset(count, |_| false))?;
            with(subset(count, |unit| unit < victim))?;
            for _ in 0..breadth.neighbours {
                let mask = random.next();
                with(subset(count, |unit| mask >> (unit % 64) & 1 == 1))?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// Two units lost or damaged among survivors.
fn pairs(
    count: usize,
    data: &[usize],
    breadth: Breadth,
    random: &mut Random,
    each: &mut dyn FnMut(&[Fate]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if count < 2 {
        return ControlFlow::Continue(());
    }
    for _ in 0..breadth.pairs {
        let (a, b) = (random.below(count as u64) as usize, random.below(count as u64) as usize);
        each(&subset(count, |unit| unit != a && unit != b))?;
        if data.len() >= 2 {
            let mut fates = subset(count, |_| true);
            for _ in 0..2 {
                fates[data[random.below(data.len() as u64) as usize]] = damage(random.below(4), random);
            }
            each(&fates)?;
        }
    }
    ControlFlow::Continue(())
}

fn damage(kind: u64, random: &mut Random) -> Fate {
    match kind {
        0 => Fate::Zeros,
        1 => Fate::Junk(random.next()),
        // The first sectors arrived, the rest did not.
        2 => Fate::Sectors(((1_u16 << (1 + random.below(7))) - 1) as u8),
        _ => Fate::Sectors((1 + random.below(254)) as u8),
    }
}

/// A fate for one unit: `survival` and `damaged` are chances in ten.
pub(super) fn drawn(unit: &Unit, survival: u64, damaged: u64, random: &mut Random) -> Fate {
    if unit.is_data() && random.below(10) < damaged {
        return damage(random.below(4), random);
    }
    if random.below(10) < survival { Fate::Whole } else { Fate::Lost }
}
