//! Cuts a session's tape at every point, recovers the states that could have survived, and checks each against the
//! oracle.
//!
//! The oracle is a history: the content after each step of the session. Recovery must show the whole content after one
//! step, between the last durable one and the last one issued. Recovery itself is a session too: for a sample of the
//! states it is recorded, goes on with a few calls and is cut in turn, three levels deep.

use super::fates::{Breadth, choices};
use super::replay::{Fate, Image, Replay, Unit};
use super::tape::{Effect, Mark, excerpt};
use super::{Random, SimDisk};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What opening a crashed disk gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A store with this content.
    Content(u128),
    /// Said not to be a store.
    NotAStore,
    /// An error or a panic.
    Failed(String),
}

/// What may be found while the first open of a session has not returned.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    /// No store yet, or an empty one, whose content has this hash.
    Nothing(u128),
    /// One of these contents.
    OneOf(Vec<u128>),
}

/// What was called, and the content when it had returned.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) call: String,
    pub(crate) content: u128,
}

impl Step {
    pub(crate) fn is_compress(&self) -> bool {
        self.call.starts_with("Compress")
    }
}

/// One life of the machine between two crashes: its disk at boot, what was done to it and what the caller knew.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) base: Image,
    pub(crate) before: Before,
    pub(crate) tape: Vec<Effect>,
    /// Step 0 is the first open.
    pub(crate) history: Vec<Step>,
}

/// The place behind the sync that was left out, if it would have had anything to do.
pub(crate) fn ignored_sync(session: &Session) -> Option<usize> {
    let mut replay = Replay::new(&session.base);
    for (place, effect) in session.tape.iter().enumerate() {
        if let Effect::SyncIgnored { inode } = effect {
            return replay.has_unsynced(*inode).then_some(place + 1);
        }
        replay.apply(effect);
    }
    None
}

/// What a crash somewhere in `session` may leave, and what may be found in it.
pub(crate) fn crashed(session: &Session, random: &mut Random) -> (Image, Before) {
    let (replay, legal) = at_cut(session, random.below(session.tape.len() as u64 + 1) as usize);
    (replay.image(&replay.random_fates(random)), legal)
}

/// What a crash at `cut` leaves, and what may be found in it, if units meet the fate that `fate` says.
pub(crate) fn crashed_at(session: &Session, cut: usize, fate: impl Fn(&Unit) -> Fate) -> (Image, Before) {
    let (replay, legal) = at_cut(session, cut);
    let fates: Vec<Fate> = replay.units().map(fate).collect();
    (replay.image(&fates), legal)
}

fn at_cut(session: &Session, cut: usize) -> (Replay, Before) {
    let (mut replay, mut knowledge) = (Replay::new(&session.base), Knowledge::default());
    for effect in &session.tape[..cut] {
        replay.apply(effect);
        knowledge.learn(effect);
    }
    (replay, knowledge.legal(session))
}

/// What is crashed: how it is opened and read, and how it goes on after a recovery.
pub(crate) trait Subject: Sync {
    /// Opens what a crash left on `disk` and reads all of it. With `creating`, the creation was not acknowledged.
    fn recover(&self, disk: &SimDisk, creating: bool) -> Outcome;
    /// Opens what a crash left and makes a few more calls, on the tape of `disk`; gives the steps.
    /// `None` where there is no store to go on with.
    fn resume(&self, disk: &SimDisk, creating: bool, seed: u64) -> Option<Vec<Step>>;
    /// Files of which any one may be lost after an acknowledged close.
    fn doubled(&self) -> &[&'static str];
}

/// What is tried at a cut of a recovery.
const DEEPER: Breadth = Breadth { subsets_of: 3, chosen: 2, random: 4, pairs: 1, neighbours: 0 };

/// How thoroughly a session is explored, and what follows at the next depth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) breadth: Breadth,
    /// At each depth, one in so many new states is recovered on tape and crashed again; 0 never.
    pub(crate) again_once_in: [u64; 2],
}

/// Distinct states seen by all threads, and the word to stop.
#[derive(Debug)]
pub(crate) struct Tally {
    shards: Vec<Mutex<HashSet<u128, BuildHasherDefault<Already>>>>,
    distinct: AtomicU64,
    /// States with crashes inside recovery, among the distinct ones.
    deeper: AtomicU64,
    target: u64,
}

/// The keys are hashes already.
#[derive(Debug, Default)]
pub(crate) struct Already(u64);

impl Hasher for Already {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u128 keys")
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

impl Tally {
    pub(crate) fn new(target: u64) -> Tally {
        let shards = (0..64).map(|_| Mutex::default()).collect();
        Tally { shards, distinct: AtomicU64::new(0), deeper: AtomicU64::new(0), target }
    }

    pub(crate) fn distinct(&self) -> u64 {
        self.distinct.load(Ordering::Relaxed)
    }

    pub(crate) fn deeper(&self) -> u64 {
        self.deeper.load(Ordering::Relaxed)
    }

    pub(crate) fn reached(&self) -> bool {
        self.distinct() >= self.target
    }

    fn saw(&self, state: u128, depth: usize) {
        if self.shards[(state >> 122) as usize].lock().unwrap().insert(state) {
            self.distinct.fetch_add(1, Ordering::Relaxed);
            self.deeper.fetch_add(u64::from(matches!(depth, 1 | 2)), Ordering::Relaxed);
        }
    }
}

/// Explores sessions of one subject; stops at the first state that may not be.
pub(crate) struct Explorer<'a, S> {
    subject: &'a S,
    tally: &'a Tally,
    effort: Effort,
    random: Random,
    known: HashMap<u128, Outcome, BuildHasherDefault<Already>>,
}

impl<'a, S: Subject> Explorer<'a, S> {
    pub(crate) fn new(subject: &'a S, tally: &'a Tally, effort: Effort, seed: u64) -> Explorer<'a, S> {
        Explorer { subject, tally, effort, random: Random::new(seed), known: HashMap::default() }
    }

    /// Cuts `session` at every place in `cuts` (0 = before the first effect); says what was wrong at the first bad state.
    pub(crate) fn explore(&mut self, session: &Session, cuts: std::ops::RangeInclusive<usize>) -> Result<(), String> {
        self.explore_at(session, cuts, 0)
    }

    fn explore_at(
        &mut self,
        session: &Session,
        cuts: std::ops::RangeInclusive<usize>,
        depth: usize,
    ) -> Result<(), String> {
        let mut replay = Replay::new(&session.base);
        let mut knowledge = Knowledge::default();
        for cut in 0..=session.tape.len().min(*cuts.end()) {
            if cut > 0 {
                replay.apply(&session.tape[cut - 1]);
                knowledge.learn(&session.tape[cut - 1]);
            }
            // Crashes of a recovery are many already: a dozen cuts of each.
            let is_chosen = depth == 0 || self.random.below(session.tape.len() as u64) < 12;
            if cuts.contains(&cut) && is_chosen && !self.tally.reached() {
                self.cut(session, &replay, &knowledge, cut, depth)?;
            }
        }
        Ok(())
    }

    fn cut(
        &mut self,
        session: &Session,
        replay: &Replay,
        knowledge: &Knowledge,
        cut: usize,
        depth: usize,
    ) -> Result<(), String> {
        let units: Vec<&Unit> = replay.units().collect();
        let legal = knowledge.legal(session);
        let breadth = match depth {
            0 => self.effort.breadth,
            _ => DEEPER,
        };
        let mut random = Random::new(self.random.next());
        let mut violation = None;
        let flow =
            choices(&units, breadth, &mut random, &mut |fates| match self.state(&replay.image(fates), &legal, depth) {
                Ok(()) => ControlFlow::Continue(()),
                Err(what) => {
                    violation = Some(told(session, &units, fates, cut, &what));
                    ControlFlow::Break(())
                }
            });
        match (flow, violation) {
            (ControlFlow::Break(()), Some(violation)) => Err(violation),
            _ if knowledge.closed => self.rot(session, replay, &units, &legal, cut),
            _ => Ok(()),
        }
    }

    /// Recovers one state, or remembers what recovering it gave, and asks whether that may be.
    fn state(&mut self, image: &Image, legal: &Before, depth: usize) -> Result<(), String> {
        let (state, creating) = (image.hash(), matches!(legal, Before::Nothing(_)));
        let key = state ^ u128::from(creating);
        if let Some(outcome) = self.known.get(&key) {
            return allowed(outcome, legal);
        }
        let outcome = guarded(|| self.subject.recover(&SimDisk::holding(image, false), creating));
        allowed(&outcome, legal)?;
        self.known.insert(key, outcome);
        self.tally.saw(state, depth);
        match self.effort.again_once_in.get(depth) {
            Some(&often) if often > 0 && self.random.once_in(often) => self.crash_again(image, legal, depth),
            _ => Ok(()),
        }
    }

    fn crash_again(&mut self, image: &Image, legal: &Before, depth: usize) -> Result<(), String> {
        let creating = matches!(legal, Before::Nothing(_));
        let (disk, seed) = (SimDisk::holding(image, true), self.random.next());
        let resumed = catch_unwind(AssertUnwindSafe(|| self.subject.resume(&disk, creating, seed)));
        let tape = disk.take_tape();
        let history = match resumed {
            Ok(Some(history)) => history,
            Ok(None) => return Ok(()),
            Err(panic) => {
                let what = panic_text(&panic);
                return Err(format!("panic after recovery, seed {seed}: {what}\n{}", excerpt(&tape, tape.len(), 30)));
            }
        };
        let session = Session { base: image.clone(), before: legal.clone(), tape, history };
        let end = session.tape.len();
        self.explore_at(&session, 0..=end, depth + 1)
    }

    /// After a close, one of the doubled files may rot.
    fn rot(
        &mut self,
        session: &Session,
        replay: &Replay,
        units: &[&Unit],
        legal: &Before,
        cut: usize,
    ) -> Result<(), String> {
        for fate in [Fate::Lost, Fate::Whole] {
            let fates = vec![fate; units.len()];
            let image = replay.image(&fates);
            for name in self.subject.doubled() {
                let Some(bytes) = image.get(name) else { return Err(format!("{name} is missing after close")) };
                let mut junk = bytes.to_vec();
                junk.iter_mut().for_each(|byte| *byte ^= self.random.next() as u8);
                for (how, rotten) in [("zeros", vec![0; bytes.len()]), ("junk", junk), ("nothing", Vec::new())] {
                    self.state(&image.with(name, rotten), legal, usize::MAX)
                        .map_err(|what| told(session, units, &fates, cut, &format!("{name} became {how}: {what}")))?;
                }
            }
        }
        Ok(())
    }
}

/// What the caller knows at a cut.
#[derive(Debug, Default)]
struct Knowledge {
    issued: usize,
    durable: Option<usize>,
    closed: bool,
}

impl Knowledge {
    fn learn(&mut self, effect: &Effect) {
        self.closed = false;
        match effect {
            Effect::Mark(Mark::Issued(step)) => self.issued = *step,
            Effect::Mark(Mark::Done { step, durable: true }) => self.durable = Some(*step),
            Effect::Mark(Mark::Done { .. }) => {}
            Effect::Mark(Mark::Closed) => self.closed = true,
            _ => {}
        }
    }

    fn legal(&self, session: &Session) -> Before {
        match self.durable {
            None => session.before.clone(),
            Some(durable) => {
                let last = self.issued.min(session.history.len() - 1);
                let mut contents: Vec<u128> = session.history[durable..=last].iter().map(|step| step.content).collect();
                contents.sort_unstable();
                contents.dedup();
                Before::OneOf(contents)
            }
        }
    }
}

fn allowed(outcome: &Outcome, legal: &Before) -> Result<(), String> {
    match (outcome, legal) {
        (Outcome::NotAStore, Before::Nothing(_)) => Ok(()),
        (Outcome::Content(content), Before::Nothing(empty)) if content == empty => Ok(()),
        (Outcome::Content(content), Before::OneOf(contents)) if contents.contains(content) => Ok(()),
        (Outcome::Content(content), _) => Err(format!("content {content:032x} is none of {}", shown(legal))),
        (Outcome::NotAStore, _) => Err("said not to be a store".to_owned()),
        (Outcome::Failed(why), _) => Err(why.clone()),
    }
}

fn shown(legal: &Before) -> String {
    match legal {
        Before::Nothing(_) => "nothing or an empty store".to_owned(),
        Before::OneOf(contents) => {
            contents.iter().map(|content| format!("{content:032x}")).collect::<Vec<_>>().join(" ")
        }
    }
}

fn guarded(recover: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(recover))
        .unwrap_or_else(|panic| Outcome::Failed(format!("panic while recovering: {}", panic_text(&panic))))
}

/// What a caught panic said.
pub(crate) fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// A failure in words that allow to follow it: what was wrong, which units met which fate, and the tape around the cut.
fn told(session: &Session, units: &[&Unit], fates: &[Fate], cut: usize, what: &str) -> String {
    let mut story = format!("cut at {cut} of {}: {what}\n  units:\n", session.tape.len());
    for (unit, fate) in units.iter().zip(fates) {
        story.push_str(&format!("    {fate:?} {}\n", unit.told()));
    }
    story.push_str("  history:\n");
    for (number, step) in session.history.iter().enumerate() {
        story.push_str(&format!("    {number:5} {:032x} {}\n", step.content, step.call));
    }
    story.push_str("  tape:\n");
    story.push_str(&excerpt(&session.tape, cut, 30));
    story
}
