//! A failing disk: each call of each kind in a store's life fails, once or from then on, with no space or with an I/O
//! error; and a file system that is really full.
//!
//! Whatever fails, nothing panics, the store holds what it held before the failing call or after it, reads go on, and
//! the next open without the fault finds every acknowledged commit.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "sim/life.rs"]
mod life;
mod sim;

use life::{Call, Model, Profile, read_all};
use omen::error::Error;
use omen::store::{CompressOptions, Options, Store, Tuning};
use omen::work::Work;
use sim::{Fault, Image, Mark, Op, Random, Replay, SimDisk};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const CALLS: usize = 20;
const OPS: [Op; 14] = [
    Op::Names,
    Op::Open,
    Op::Create,
    Op::Remove,
    Op::SyncDir,
    Op::Lock,
    Op::Free,
    Op::Length,
    Op::Read,
    Op::Write,
    Op::SetLength,
    Op::Reserve,
    Op::Sync,
    Op::Map,
];

/// A life under a fault, and what may be found afterwards.
struct Trial<'a> {
    profile: &'a Profile,
    disk: SimDisk,
    model: Model,
    /// Contents that a later open may show, oldest first.
    contents: Vec<u128>,
}

impl<'a> Trial<'a> {
    fn new(profile: &'a Profile, fault: Option<Fault>) -> Trial<'a> {
        let disk = SimDisk::new();
        disk.set_fault(fault);
        let model = Model::empty();
        let contents = vec![model.hash()];
        Trial { profile, disk, model, contents }
    }

    /// Opens, calls until something leaves the handle unfit, and ends the process.
    fn run(&mut self) {
        let opened = self.profile.open(&self.disk, true);
        let store = match opened {
            Ok(store) => store,
            Err(error) => return check_status(&error, "open"),
        };
        let mut random = Random::new(self.profile.seed);
        for number in 0..CALLS {
            let call = match number {
                0 => Call::inserting(self.profile, &self.model, 40, &mut random),
                _ => Call::drawn(self.profile, &self.model, &mut random),
            };
            if !self.call(&store, &call) || matches!(call, Call::Reopen) {
                break;
            }
        }
        self.disk.kill();
    }

    /// One call under the fault; false where the handle takes no more writes.
    fn call(&mut self, store: &Store, call: &Call) -> bool {
        let fired = self.disk.fired();
        let made = call.make(store, &self.model);
        let sync_failed = self.disk.fired() > fired && self.disk.fault_is_sync();
        let paused = self.disk.pause_fault();
        // A closed handle answers nothing, whether its last commit failed or not.
        let is_closed = matches!(call, Call::Reopen);
        let seen = if is_closed { self.model.clone() } else { read_all(store).expect("reads go on") };
        let goes_on = match made {
            Ok(first) => {
                let mut after = call.applied(&self.model, first);
                if matches!(call, Call::Compress { .. }) {
                    assert!(seen.rows.keys().eq(after.rows.keys()), "compress changed the ids");
                    after.rows = seen.rows.clone();
                }
                assert!(seen.rows == after.rows, "{call:?} did not leave what it should");
                self.model = after;
                if call.is_durable(self.profile.sync) {
                    self.contents.clear();
                }
                self.contents.push(self.model.hash());
                true
            }
            Err(error) => self.failed(store, call, &error, seen, sync_failed),
        };
        self.disk.resume_fault(paused);
        goes_on
    }

    fn failed(&mut self, store: &Store, call: &Call, error: &Error, seen: Model, sync_failed: bool) -> bool {
        if !life::is_refusal(call, error) {
            check_status(error, &format!("{call:?}"));
        }
        let after = call.applied(&self.model, None);
        let is_compress = matches!(call, Call::Compress { .. });
        let is_one = seen.rows == self.model.rows
            || seen.rows == after.rows
            || is_compress && seen.rows.keys().eq(after.rows.keys());
        assert!(is_one, "failed {call:?} left neither the state before nor the one after");
        self.contents.extend([after.hash(), seen.hash()]);
        if seen.rows != self.model.rows {
            self.model = Model { rows: seen.rows, next_id: after.next_id };
        }
        if matches!(call, Call::Reopen) {
            return false;
        }
        // A write that a poisoned handle refuses.
        let probe = store.upsert(&[1], &vec![0.0; self.profile.dim as usize]);
        let is_poisoned = matches!(probe, Err(Error::Poisoned(_)));
        assert!(
            is_poisoned || !sync_failed,
            "a failed sync in {call:?} ({error}) did not poison the handle: {probe:?}"
        );
        if probe.is_ok() {
            self.model = read_all(store).expect("reads go on");
            self.model.next_id = after.next_id.map(|next| next.max(2));
            self.contents.push(self.model.hash());
        }
        probe.is_ok()
    }

    /// Opens again without the fault, in the same boot and after crashes; all must show one of `contents`, and what one
    /// open acknowledged stays.
    fn reopen(mut self, fault: Fault) {
        self.disk.set_fault(None);
        self.disk.kill();
        let creating = self.contents[0] == Model::empty().hash();
        self.disk.mark(Mark::Issued(0));
        let store = self.profile.open(&self.disk, creating).unwrap_or_else(|error| panic!("after {fault:?}: {error}"));
        let found = read_all(&store).unwrap().hash();
        self.disk.mark(Mark::Done { step: 0, durable: true });
        assert!(self.contents.contains(&found), "after {fault:?} the store holds no legal content");
        self.disk.kill();
        let tape = self.disk.take_tape();
        let mut random = Random::new(fault.nth as u64);
        let mut replay = Replay::new(&Image::default());
        let mut opening = false;
        for effect in &tape {
            replay.apply(effect);
            opening |= matches!(effect, sim::Effect::Mark(Mark::Issued(0)));
            let ended = matches!(effect, sim::Effect::Mark(Mark::Done { .. }));
            if opening {
                let legal = if ended { vec![found] } else { self.contents.clone() };
                self.crash(&replay, &mut random, &legal, creating && !ended, fault);
            }
        }
    }

    fn crash(&self, replay: &Replay, random: &mut Random, legal: &[u128], creating: bool, fault: Fault) {
        let units = replay.units().count();
        let mut choices = vec![vec![sim::Fate::Lost; units], vec![sim::Fate::Whole; units]];
        choices.extend((0..8).map(|_| replay.random_fates(random)));
        for fates in choices {
            let disk = SimDisk::holding(&replay.image(&fates), false);
            match self.profile.open(&disk, creating).and_then(|store| read_all(&store)) {
                Err(Error::NotAStore(_)) if creating => {}
                Err(error) => panic!("a crash after {fault:?}: {error}"),
                Ok(model) => {
                    assert!(legal.contains(&model.hash()), "a crash after {fault:?} lost what was acknowledged")
                }
            }
        }
    }
}

/// An I/O error is the machine's, never damage and never a bug.
fn check_status(error: &Error, what: &str) {
    assert!(matches!(error.status(), 20 | 21 | 40), "{what} answered {error:?}");
}

/// Traps 12 and 22: every call of the disk fails once and for ever, with each of two errors.
#[test]
fn trap_22_whatever_call_fails_nothing_acknowledged_is_lost() {
    let (mut faults, mut stories) = (0, Vec::new());
    let mut reached: BTreeMap<Op, usize> = BTreeMap::new();
    for seed in 0..8 {
        let profile = Profile::drawn(seed);
        let mut trial = Trial::new(&profile, None);
        trial.run();
        let calls = trial.disk.calls();
        for op in OPS {
            let count = calls.get(&op).copied().unwrap_or(0);
            *reached.entry(op).or_default() += count;
            // A life has thousands of reads; the later ones are much alike.
            for nth in (0..count).filter(|nth| *nth < 100 || nth % (count / 100 + 1) == 0) {
                for (forever, errno) in
                    [(false, libc::EIO), (false, libc::ENOSPC), (true, libc::EIO), (true, libc::ENOSPC)]
                {
                    let fault = Fault { op, nth, forever, errno };
                    let mut trial = Trial::new(&profile, Some(fault));
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        trial.run();
                        trial.reopen(fault);
                    }));
                    if let Err(panic) = result {
                        stories.push(format!("seed {seed}, {fault:?}: {}", sim::panic_text(&panic)));
                    }
                    faults += 1;
                }
            }
        }
    }
    assert!(stories.is_empty(), "{} of {faults} faults:\n{}", stories.len(), stories.join("\n"));
    assert!(faults > 2_000, "only {faults} faults");
    let missing: Vec<&Op> = OPS.iter().filter(|op| reached[*op] == 0).collect();
    assert!(missing.is_empty(), "no life ever does {missing:?}");
}

/// A file system of its own, unmounted at the end.
struct Tmpfs {
    at: PathBuf,
    _parent: tempfile::TempDir,
}

impl Tmpfs {
    /// `None` where mounting is refused.
    fn mount(bytes: u64) -> Option<Tmpfs> {
        let parent = tempfile::tempdir().unwrap();
        let at = parent.path().join("full");
        std::fs::create_dir(&at).unwrap();
        let options = format!("size={bytes}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        let is_mounted = done.is_ok_and(|output| output.status.success());
        is_mounted.then_some(Tmpfs { at, _parent: parent })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

const DIM: usize = 32;

fn row(id: u64) -> Vec<f32> {
    (0..DIM as u64).map(|column| (id * 31 + column) as f32).collect()
}

fn open(path: &Path) -> Store {
    Store::open(path, DIM as u32, &Options::default()).unwrap()
}

/// Inserts in calls of 100 and commits each, until there is no space; gives how many were committed.
fn fill(store: &Store) -> u64 {
    let mut committed = 0;
    loop {
        let vectors: Vec<f32> = (committed..committed + 100).flat_map(row).collect();
        match store.insert(None, &vectors).and_then(|_| store.commit()) {
            Ok(()) => committed += 100,
            Err(Error::NoSpace(_)) => return committed,
            Err(error) => panic!("on a full disk: {error}"),
        }
        assert!(committed < 1 << 20, "the disk never got full");
    }
}

fn check_rows(store: &Store, ids: std::ops::Range<u64>) {
    let ids: Vec<u64> = ids.collect();
    let mut vectors = vec![0.0; ids.len() * DIM];
    store.get(&ids, &mut vectors, None).unwrap();
    let expected: Vec<f32> = ids.iter().flat_map(|id| row(*id)).collect();
    assert!(vectors == expected, "committed vectors changed");
}

/// Trap 22, on a file system that is really full.
#[test]
fn trap_22_on_a_full_disk_everything_committed_stays_and_deletes_work() {
    let Some(disk) = Tmpfs::mount(6 << 20) else {
        assert!(std::env::var_os("OMEN_REQUIRE_ALL").is_none(), "mounting a tmpfs was refused");
        eprintln!("SKIP: mounting a tmpfs was refused");
        return;
    };
    let path = disk.at.join("store");
    let store = open(&path);
    let committed = fill(&store);
    assert!(committed >= 10_000, "only {committed} vectors fitted into 6 MiB");
    check_rows(&store, 0..committed);
    let options = CompressOptions { ratio: 1.01, ..CompressOptions::default() };
    if let Err(error) = store.compress(&options, &mut Work::default()) {
        check_rows(&store, 0..committed);
        assert!(!matches!(error, Error::Poisoned(_)), "{error}");
    }
    assert_eq!(store.delete(&(0..50).collect::<Vec<u64>>()).unwrap(), 50, "deletes work on a full disk");
    store.commit().unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(&path);
    let extra = store.count() + 50 - committed;
    assert!(extra <= 100, "{extra} vectors more than were committed and the one call that failed");
    check_rows(&store, 50..committed);
    store.verify(&mut Work::default()).unwrap();
}

fn open_simulated(disk: &SimDisk, dim: u32, tuning: Tuning) -> Store {
    Store::open_tuned(Box::new(disk.clone()), dim, &Options::default(), tuning).unwrap()
}

fn rows(ids: std::ops::Range<u64>) -> Vec<f32> {
    ids.flat_map(row).collect()
}

fn fail(disk: &SimDisk, op: Op, forever: bool, errno: i32) {
    disk.set_fault(Some(Fault { op, nth: 0, forever, errno }));
}

#[test]
fn no_space_for_the_name_of_a_log_is_no_space_and_no_harm() {
    let disk = SimDisk::new();
    let store = open_simulated(&disk, DIM as u32, Tuning::default());
    fail(&disk, Op::Create, false, libc::ENOSPC);
    let error = store.insert(None, &row(0)).unwrap_err();
    assert!(matches!(error, Error::NoSpace(_)), "{error:?}");
    assert_eq!(store.insert(None, &row(0)).unwrap(), 0);
}

#[test]
fn a_delete_works_where_a_full_log_cannot_be_sealed() {
    let disk = SimDisk::new();
    let store = open_simulated(&disk, DIM as u32, Tuning { seal_bytes: 8 << 10, ..Tuning::default() });
    store.insert(None, &rows(0..100)).unwrap();
    store.commit().unwrap();
    disk.set_free(0);
    assert!(matches!(store.insert(None, &row(100)), Err(Error::NoSpace(_))));
    assert_eq!(store.delete(&[5, 6]).unwrap(), 2);
    store.commit().unwrap();
    store.close().unwrap();
}

/// A quota or a limit of file sizes, which the free bytes of the file system do not show.
#[test]
fn a_close_that_has_no_room_for_the_ids_makes_the_log_durable_as_it_is() {
    let disk = SimDisk::new();
    let tuning = Tuning { close_seal_bytes: 0, buffer_bytes: 64 << 10, ..Tuning::default() };
    let store = open_simulated(&disk, 4, tuning);
    let ids: Vec<u64> = (0..40_000).map(|index| index * 0x9e37_79b9 % 0xffff_fffb).collect();
    store.insert(Some(&ids), &vec![1.5; ids.len() * 4]).unwrap();
    let fired = disk.fired();
    fail(&disk, Op::Reserve, true, libc::EDQUOT);
    store.close().unwrap();
    assert!(disk.fired() > fired, "nothing was reserved");
    disk.set_fault(None);
    let store = open_simulated(&disk, 4, Tuning::default());
    let mut row = [0.0; 4];
    store.get(&ids[7..8], &mut row, None).unwrap();
    assert_eq!((store.count(), row), (40_000, [1.5; 4]));
}

#[test]
fn a_compress_that_cannot_be_swapped_in_leaves_no_file() {
    let disk = SimDisk::new();
    let store = open_simulated(&disk, DIM as u32, Tuning::default());
    store.insert(None, &rows(0..2000)).unwrap();
    let mut progress = |done, total| {
        // The codes have their file; the next one is that of the tombstones.
        if done > total / 2 && store.delete(&[7]).unwrap() == 1 {
            store.commit().unwrap();
            fail(&disk, Op::Create, false, libc::ENOSPC);
        }
        false
    };
    let options = CompressOptions { ratio: 2.0, ..CompressOptions::default() };
    assert!(matches!(store.compress(&options, &mut Work::new(0, Some(&mut progress))), Err(Error::NoSpace(_))));
    assert_eq!(disk.fired(), 1);
    let left: Vec<_> = disk.files().into_iter().filter(|(name, _)| name.ends_with(".code")).collect();
    assert!(left.is_empty(), "{} files of codes", left.len());
    store.insert(None, &row(2000)).unwrap();
    store.compact(&mut Work::default()).unwrap();
    store.close().unwrap();
}
