//! Tests the simulator: a toy log that keeps its promises loses nothing, and each way of breaking them is found. That a
//! simulator finds nothing in a correct store proves something only if it finds every planted fault.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "mod.rs"]
mod sim;
mod toy;

use sim::{
    Before, Breadth, Effort, Explorer, Hash, Image, Mark, Outcome, Random, Replay, Session, SimDisk, Step, Subject,
    Tally,
};
use std::collections::BTreeMap;
use toy::{Flaw, Toy};

struct ToyRuns {
    flaw: Flaw,
}

fn content(words: &[u64]) -> u128 {
    let mut hash = Hash::new();
    words.iter().for_each(|word| hash.word(*word));
    hash.end()
}

/// One random call; `words` becomes what the toy should hold. True if it makes everything durable.
fn call(toy: &mut Toy, words: &mut Vec<u64>, random: &mut Random) -> Result<bool, String> {
    match random.below(8) {
        0..4 => {
            let new: Vec<u64> = (0..=random.below(150)).map(|_| random.next()).collect();
            words.extend(&new);
            toy.append(&new).map(|()| false)
        }
        4..6 => toy.commit().map(|()| true),
        6 => toy.compact().map(|()| true),
        _ => toy.close().map(|()| true),
    }
}

impl ToyRuns {
    /// `calls` random calls after the open; each is a step of the history.
    fn live(&self, disk: &mut SimDisk, creating: bool, seed: u64, calls: usize) -> Option<Vec<Step>> {
        let mut random = Random::new(seed);
        disk.mark(Mark::Issued(0));
        let mut toy = Toy::open(disk, creating, self.flaw).ok()?;
        disk.mark(Mark::Done { step: 0, durable: true });
        let step_of = |call: &str, words: &[u64]| Step { call: call.to_owned(), content: content(words) };
        let mut history = vec![step_of("open", &toy.words)];
        while history.len() <= calls {
            let step = history.len();
            disk.mark(Mark::Issued(step));
            disk.die_after(random.once_in(4).then(|| 1 + random.below(9) as usize));
            let mut words = toy.words.clone();
            let durable = call(&mut toy, &mut words, &mut random);
            history.push(step_of("call", &words));
            if disk.is_dead() {
                // What a killed writer left in the cache is found, and durable when the next one has opened.
                disk.mark(Mark::Issued(step + 1));
                disk.kill();
                toy = Toy::open(disk, false, self.flaw).unwrap();
                history.push(step_of("killed, opened", &toy.words));
                disk.mark(Mark::Done { step: step + 1, durable: true });
                continue;
            }
            disk.die_after(None);
            disk.mark(Mark::Done { step, durable: durable.unwrap() });
            if toy.closed {
                disk.mark(Mark::Closed);
                toy = Toy::open(disk, false, self.flaw).unwrap();
            }
        }
        Some(history)
    }

    fn session(&self, base: &Image, before: Before, seed: u64, ignored: Option<usize>) -> Session {
        let creating = matches!(before, Before::Nothing(_));
        let mut disk = SimDisk::holding(base, true);
        if let Some(nth) = ignored {
            disk.ignore_sync(nth);
        }
        let history = self.live(&mut disk, creating, seed, 14).unwrap();
        Session { base: base.clone(), before, tape: disk.take_tape(), history }
    }
}

impl Subject for ToyRuns {
    fn recover(&self, disk: &SimDisk, creating: bool) -> Outcome {
        match Toy::open(disk, creating, self.flaw) {
            Ok(toy) => Outcome::Content(content(&toy.words)),
            Err(why) if why == "not a store" => Outcome::NotAStore,
            Err(why) => Outcome::Failed(why),
        }
    }

    fn resume(&self, disk: &SimDisk, creating: bool, seed: u64) -> Option<Vec<Step>> {
        self.live(&mut disk.clone(), creating, seed, 3)
    }

    fn doubled(&self) -> &[&'static str] {
        &["MANIFEST.A", "MANIFEST.B"]
    }
}

const EFFORT: Effort = Effort {
    breadth: Breadth { subsets_of: 6, chosen: 12, random: 40, pairs: 20, neighbours: 2 },
    again_once_in: [20, 20],
};

fn explored(flaw: Flaw, seeds: std::ops::Range<u64>) -> (u64, u64, Result<(), String>) {
    let (runs, tally) = (ToyRuns { flaw }, Tally::new(u64::MAX));
    for seed in seeds {
        let session = runs.session(&Image::default(), Before::Nothing(content(&[])), seed, None);
        let mut explorer = Explorer::new(&runs, &tally, EFFORT, seed);
        if let Err(story) = explorer.explore(&session, 0..=session.tape.len()) {
            return (tally.distinct(), tally.deeper(), Err(format!("seed {seed}: {story}")));
        }
    }
    (tally.distinct(), tally.deeper(), Ok(()))
}

#[test]
fn a_correct_toy_loses_nothing() {
    let (distinct, deeper, result) = explored(Flaw::None, 0..24);
    if let Err(story) = result {
        panic!("{story}");
    }
    assert!(
        distinct > 50_000 && deeper > 1_000,
        "{distinct} states, {deeper} of them deeper: too few to mean anything"
    );
}

#[test]
fn every_planted_flaw_is_found() {
    for flaw in [
        Flaw::SharedBlock,
        Flaw::AppendOverTail,
        Flaw::OneManifest,
        Flaw::GoodManifestFirst,
        Flaw::TrustCache,
        Flaw::RemoveFirst,
        Flaw::NoChecksum,
    ] {
        let (distinct, _, result) = explored(flaw, 0..40);
        assert!(result.is_err(), "{flaw:?} not found in {distinct} states");
    }
}

/// A sync is a line of the source. Leaving out one execution of it may be harmless, where an older file says the same;
/// but no line may be left out each time.
#[test]
fn every_removed_sync_is_found() {
    let runs = ToyRuns { flaw: Flaw::None };
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    for seed in 0..6 {
        let empty = Before::Nothing(content(&[]));
        let mut disk = SimDisk::new();
        disk.trace_sites();
        runs.live(&mut disk, true, seed, 14).unwrap();
        for (nth, site) in disk.sites().into_iter().enumerate() {
            let session = runs.session(&Image::default(), empty.clone(), seed, Some(nth));
            let Some(from) = sim::ignored_sync(&session) else { continue };
            let tally = Tally::new(u64::MAX);
            let mut explorer = Explorer::new(&runs, &tally, EFFORT, seed);
            let is_found = explorer.explore(&session, from..=session.tape.len()).is_err();
            let line = site.split(" < ").next().unwrap().to_owned();
            *found.entry(line).or_default() |= is_found;
        }
    }
    assert!(found.len() >= 6, "places that sync: {found:#?}");
    assert!(found.values().all(|is_found| *is_found), "not found: {found:#?}");
}

/// The contract of the door, unit by unit.
#[test]
fn what_is_not_synced_may_be_lost_and_what_is_stays() {
    use omen::os::{Access, Dir};
    let disk = SimDisk::new();
    let file = disk.open("F", Access::Create).unwrap();
    file.write_at(&[&[1; 4096], &[2; 100]], 0).unwrap();
    file.sync().unwrap();
    file.write_at(&[&[3; 4096]], 4196).unwrap();
    file.set_length(20_000).unwrap();
    let tape = disk.take_tape();
    let mut replay = Replay::new(&Image::default());
    tape.iter().for_each(|effect| replay.apply(effect));
    // Create F, two blocks, the growth by the write, the growth by set_length.
    assert_eq!(replay.units().count(), 5);
    let lengths = |fates: &[sim::Fate]| replay.image(fates).get("F").map(<[u8]>::len);
    use sim::Fate::{Junk, Lost, Sectors, Whole, Zeros};
    assert_eq!(lengths(&[Lost; 5]), None, "the name was never synced");
    assert_eq!(lengths(&[Whole, Lost, Lost, Lost, Lost]), Some(4196));
    assert_eq!(lengths(&[Whole, Lost, Lost, Whole, Lost]), Some(8292));
    assert_eq!(lengths(&[Whole, Lost, Lost, Lost, Whole]), Some(20_000));
    let image = replay.image(&[Whole, Zeros, Lost, Lost, Lost]);
    assert_eq!(image.get("F").unwrap()[4096..4196], [0; 100], "synced bytes go with their garbled block");
    assert_eq!(image.get("F").unwrap()[..4096], [1; 4096], "other blocks stay");
    let image = replay.image(&[Whole, Sectors(0b10), Lost, Whole, Lost]);
    assert_eq!(image.get("F").unwrap()[4096..4196], [2; 100]);
    assert_eq!(image.get("F").unwrap()[4196..4608], [0; 412], "a sector that did not arrive");
    assert_eq!(image.get("F").unwrap()[4608..5120], [3; 512], "a sector that did");
    assert_ne!(replay.image(&[Whole, Junk(1), Lost, Lost, Lost]).hash(), image.hash());
}

/// After a failed sync the kernel takes the pages for clean: a later sync succeeds and brings nothing back.
#[test]
fn what_a_failed_sync_lost_stays_lost() {
    use omen::os::{Access, Dir};
    let disk = SimDisk::new();
    let file = disk.open("F", Access::Create).unwrap();
    disk.sync().unwrap();
    file.write_at(&[&[1; 8192]], 0).unwrap();
    disk.set_fault(Some(sim::Fault { op: sim::Op::Sync, nth: 0, forever: false, errno: libc::EIO }));
    assert!(file.sync().is_err());
    file.write_at(&[&[2; 10]], 4096).unwrap();
    file.sync().unwrap();
    let tape = disk.take_tape();
    let mut replay = Replay::new(&Image::default());
    tape.iter().for_each(|effect| replay.apply(effect));
    assert_eq!(
        replay.units().count(),
        1,
        "the first block, whose sync failed; the second was written again and synced"
    );
    let image = replay.image(&[sim::Fate::Lost]);
    let bytes = image.get("F").unwrap();
    assert_eq!((bytes[0], bytes[4096], bytes[4106], bytes.len()), (0, 2, 1, 8192));
}
