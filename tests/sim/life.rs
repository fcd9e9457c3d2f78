//! A store's life on the simulated disk: random calls, the model of what they must leave, and the marks on the tape.
#![allow(dead_code, reason = "each test binary uses its part of a life")]

use crate::sim::{Before, Hash, Image, Mark, Outcome, Random, Session, SimDisk, Step, Subject};
use omen::error::{Error, Result};
use omen::metric::Metric;
use omen::store::{CompressOptions, Mode, Options, Store, SyncMode, Tuning};
use omen::work::Work;
use std::collections::BTreeMap;

/// Rows of one read of the whole store.
const SCAN_ROWS: usize = 64;

/// What kind of life it is; all of it follows from the seed.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) seed: u64,
    pub(crate) dim: u32,
    pub(crate) metric: Metric,
    pub(crate) sync: SyncMode,
    pub(crate) tuning: Tuning,
    /// Ids drawn from a few, from many, or counting up.
    ids_below: Option<u64>,
    /// Rows inserted by the first call; where the life compresses, so many that codes take less than they do.
    first_rows: usize,
    weights: [u64; 6],
}

impl Profile {
    pub(crate) fn drawn(seed: u64) -> Profile {
        let mut random = Random::new(seed ^ 0x5EED);
        let compresses = seed % 8 == 5;
        let mut store = [7; 16];
        store[..8].copy_from_slice(&seed.to_le_bytes());
        // Most lives commit, a few commit by themselves or hardly ever.
        let sync = match seed % 8 {
            1 => SyncMode::Each,
            3 | 7 => SyncMode::None,
            _ => SyncMode::Commit,
        };
        let seal_bytes = if random.once_in(2) { 8192 << random.below(3) } else { 1 << 20 };
        let tuning = Tuning {
            seal_bytes,
            close_seal_bytes: if random.once_in(3) { 4096 << random.below(3) } else { 1 << 20 },
            buffer_bytes: 48 << random.below(6),
            store: Some(store),
        };
        Profile {
            seed,
            dim: if compresses { 48 } else { 2 + random.below(7) as u32 },
            metric: [Metric::L2, Metric::InnerProduct, Metric::Cosine][random.below(3) as usize],
            sync,
            tuning,
            ids_below: [None, Some(1 << 40), Some(40)][random.below(if compresses { 2 } else { 3 }) as usize],
            first_rows: if compresses { 300 + random.below(200) as usize } else { 1 },
            weights: [6, 3, 3, 4, if compresses { 2 } else { 0 }, 1],
        }
    }

    pub(crate) fn open(&self, disk: &SimDisk, creating: bool) -> Result<Store> {
        let mode = if creating { Mode::ReadWriteCreate } else { Mode::ReadWrite };
        let (dim, metric) = if creating { (self.dim, Some(self.metric)) } else { (0, None) };
        let options = Options { metric, sync: self.sync, mode, threads: 1 };
        let store = Store::open_tuned(Box::new(disk.clone()), dim, &options, self.tuning)?;
        assert_eq!((store.dim(), store.metric()), (self.dim, self.metric), "the store is another one");
        Ok(store)
    }
}

/// What the store should hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) rows: BTreeMap<u64, Vec<f32>>,
    /// The id that counting up goes on with; unknown after a crash.
    pub(crate) next_id: Option<u64>,
}

impl Model {
    pub(crate) fn empty() -> Model {
        Model { rows: BTreeMap::new(), next_id: Some(0) }
    }

    pub(crate) fn hash(&self) -> u128 {
        let mut hash = Hash::new();
        self.rows.iter().for_each(|(id, vector)| hash.vector(*id, vector));
        hash.end()
    }

    fn put(&mut self, id: u64, vector: Vec<f32>) {
        self.rows.insert(id, vector);
        self.next_id = self.next_id.map(|next| next.max(id + 1));
    }
}

/// Reads the whole store; panics where what it says about itself does not fit together.
pub(crate) fn read_all(store: &Store) -> Result<Model> {
    let mut model = Model::default();
    let (dim, mut position) = (store.dim() as usize, 0);
    let (mut ids, mut vectors) = ([0; SCAN_ROWS], vec![0.0; SCAN_ROWS * dim]);
    loop {
        let found = store.list(&mut position, &mut ids, Some(&mut vectors))?;
        if found == 0 {
            break;
        }
        for (id, vector) in ids[..found].iter().zip(vectors.chunks_exact(dim)) {
            let is_last = model.rows.last_key_value().is_none_or(|(last, _)| last < id);
            assert!(is_last, "scan gave id {id} out of order");
            model.rows.insert(*id, vector.to_vec());
        }
    }
    assert_eq!(store.count(), model.rows.len() as u64, "count and scan");
    Ok(model)
}

/// One call on the store.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Insert {
        ids: Option<Vec<u64>>,
        vectors: Vec<Vec<f32>>,
    },
    Upsert {
        ids: Vec<u64>,
        vectors: Vec<Vec<f32>>,
    },
    Delete {
        ids: Vec<u64>,
    },
    Commit,
    Compress {
        ratio: f64,
    },
    Compact,
    /// Close and open again.
    Reopen,
}

impl Call {
    pub(crate) fn drawn(profile: &Profile, model: &Model, random: &mut Random) -> Call {
        let mut left = random.below(profile.weights.iter().sum::<u64>() + 2);
        let kind = profile.weights.iter().position(|weight| {
            let here = left < *weight;
            left = left.wrapping_sub(*weight);
            here
        });
        let many = random.once_in(8);
        let rows = if many { 10 + random.below(40) } else { 1 + random.below(6) };
        match kind {
            Some(0) => Call::inserting(profile, model, rows as usize, random),
            Some(1) => {
                let ids = some_ids(profile, model, rows as usize, random);
                let vectors = ids.iter().map(|_| random.vector(profile.dim as usize)).collect();
                Call::Upsert { ids, vectors }
            }
            Some(2) => Call::Delete { ids: some_ids(profile, model, rows as usize, random) },
            Some(3) => Call::Commit,
            Some(4) => Call::Compress { ratio: [1.1, 1.5, 2.0][random.below(3) as usize] },
            Some(_) => Call::Compact,
            None => Call::Reopen,
        }
    }

    pub(crate) fn inserting(profile: &Profile, model: &Model, rows: usize, random: &mut Random) -> Call {
        let new = |ids: Vec<u64>| ids.into_iter().filter(|id| !model.rows.contains_key(id)).collect::<Vec<_>>();
        let ids = profile.ids_below.map(|_| new(some_ids(profile, model, rows, random)));
        let rows = ids.as_ref().map_or(rows, Vec::len);
        Call::Insert { ids, vectors: (0..rows).map(|_| random.vector(profile.dim as usize)).collect() }
    }

    /// In a few words, for a failure.
    fn told(&self) -> String {
        match self {
            Call::Insert { ids, vectors } => format!("insert {} {ids:?}", vectors.len()),
            Call::Upsert { ids, .. } => format!("upsert {ids:?}"),
            Call::Delete { ids } => format!("delete {ids:?}"),
            other => format!("{other:?}"),
        }
    }

    /// True if the call makes itself and all before it durable when it succeeds.
    pub(crate) fn is_durable(&self, sync: SyncMode) -> bool {
        match self {
            Call::Compress { .. } | Call::Compact | Call::Reopen => true,
            Call::Commit => sync != SyncMode::None,
            _ => sync == SyncMode::Each,
        }
    }

    /// What `model` becomes; `first` is the id an insert without ids gave, or is to give. Compressing changes the vectors
    /// in a way that only the store knows.
    pub(crate) fn applied(&self, model: &Model, first: Option<u64>) -> Model {
        let mut after = model.clone();
        match self {
            Call::Insert { ids: None, vectors } => {
                let first = first.or(model.next_id).expect("no insert without ids while nobody knows the next");
                after.next_id = Some(first);
                (first..).zip(vectors).for_each(|(id, vector)| after.put(id, vector.clone()));
            }
            Call::Insert { ids: Some(ids), vectors } | Call::Upsert { ids, vectors } => {
                ids.iter().zip(vectors).for_each(|(id, vector)| after.put(*id, vector.clone()));
            }
            Call::Delete { ids } => after.rows.retain(|id, _| !ids.contains(id)),
            _ => {}
        }
        after
    }

    /// Makes the call and checks what it returns; `model` is what the store holds before. An insert gives its first id.
    pub(crate) fn make(&self, store: &Store, model: &Model) -> Result<Option<u64>> {
        match self {
            Call::Insert { ids, vectors } => {
                let first = store.insert(ids.as_deref(), &vectors.concat())?;
                let expected = ids.as_ref().map_or(model.next_id, |ids| ids.first().copied());
                assert!(vectors.is_empty() || expected.is_none_or(|id| id == first), "first id {first}: {expected:?}");
                Ok(Some(first))
            }
            Call::Upsert { ids, vectors } => store.upsert(ids, &vectors.concat()).map(|()| None),
            Call::Delete { ids } => {
                let stored = ids.iter().filter(|id| model.rows.contains_key(id)).count() as u64;
                assert_eq!(store.delete(ids)?, stored, "deleted");
                Ok(None)
            }
            Call::Commit => store.commit().map(|()| None),
            Call::Compress { ratio } => {
                let options = CompressOptions { ratio: *ratio, ..CompressOptions::default() };
                store.compress(&options, &mut Work::default()).map(|_| None)
            }
            Call::Compact => store.compact(&mut Work::default()).map(|()| None),
            Call::Reopen => store.close().map(|()| None),
        }
    }
}

/// Distinct ids, about half of them stored.
fn some_ids(profile: &Profile, model: &Model, count: usize, random: &mut Random) -> Vec<u64> {
    let below = profile.ids_below.unwrap_or(model.next_id.unwrap_or(50) + 5);
    let stored: Vec<u64> = model.rows.keys().copied().collect();
    let mut ids: Vec<u64> = Vec::new();
    for _ in 0..count {
        let stored_too = !stored.is_empty() && random.once_in(2);
        let id = if stored_too { stored[random.below(stored.len() as u64) as usize] } else { random.below(below) };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// A refusal that leaves everything as it was and is no fault of the store.
pub(crate) fn is_refusal(call: &Call, error: &Error) -> bool {
    let refused = matches!(error, Error::TooFewVectors { .. } | Error::InvalidArgument(_));
    refused && matches!(call, Call::Compress { .. })
}

/// A store and what is known of it, from its first open to the end of the tape.
struct Life<'a> {
    profile: &'a Profile,
    disk: &'a mut SimDisk,
    store: Store,
    model: Model,
    steps: Vec<Step>,
    /// The next id after each step, where it is known.
    next_ids: Vec<Option<u64>>,
    /// The last step that must survive.
    durable: usize,
}

impl<'a> Life<'a> {
    fn begin(profile: &'a Profile, disk: &'a mut SimDisk, creating: bool) -> Option<Life<'a>> {
        disk.mark(Mark::Issued(0));
        let store = match profile.open(disk, creating) {
            Err(Error::NotAStore(_)) if creating => return None,
            opened => opened.unwrap(),
        };
        let mut model = read_all(&store).unwrap();
        model.next_id = creating.then_some(0);
        disk.mark(Mark::Done { step: 0, durable: true });
        let steps = vec![Step { call: "open".to_owned(), content: model.hash() }];
        let next_ids = vec![model.next_id];
        Some(Life { profile, disk, store, model, steps, next_ids, durable: 0 })
    }

    /// One call; with `die_after`, the process is killed after so many effects, if the call has as many.
    fn step(&mut self, call: &Call, die_after: Option<usize>) {
        let step = self.steps.len();
        self.disk.mark(Mark::Issued(step));
        self.disk.die_after(die_after);
        let made = call.make(&self.store, &self.model);
        if self.disk.is_dead() {
            return self.rise(call);
        }
        self.disk.die_after(None);
        let (after, is_refused) = match made {
            Ok(first) => (call.applied(&self.model, first), false),
            Err(error) if is_refusal(call, &error) => (self.model.clone(), true),
            Err(error) => panic!("{call:?} failed: {error}"),
        };
        let is_durable = call.is_durable(self.profile.sync) && !is_refused;
        if !matches!(call, Call::Reopen) {
            return self.end_step(call, after, is_durable);
        }
        self.returned(call, &after, true);
        self.disk.mark(Mark::Closed);
        self.store = self.profile.open(self.disk, false).unwrap();
        assert!(read_all(&self.store).unwrap().rows == after.rows, "reopening changed the content");
    }

    fn end_step(&mut self, call: &Call, after: Model, is_durable: bool) {
        let seen = read_all(&self.store).unwrap();
        let same_ids = seen.rows.keys().eq(after.rows.keys());
        assert!(same_ids, "{call:?} left ids {:?}, expected {:?}", seen.rows.keys(), after.rows.keys());
        let may_change = matches!(call, Call::Compress { .. });
        assert!(may_change || seen.rows == after.rows, "{call:?} left other vectors than expected");
        self.model = Model { rows: seen.rows, next_id: after.next_id };
        self.returned(call, &self.model.clone(), is_durable);
    }

    fn returned(&mut self, call: &Call, after: &Model, is_durable: bool) {
        let step = self.steps.len();
        self.push(call.told(), after.hash(), after.next_id);
        if is_durable {
            self.durable = step;
        }
        self.disk.mark(Mark::Done { step, durable: is_durable });
    }

    /// The process died in `call`; the next one opens what it left in the cache. Once that is open, it is durable.
    fn rise(&mut self, call: &Call) {
        let step = self.steps.len();
        let after = call.applied(&self.model, None);
        self.disk.mark(Mark::Issued(step + 1));
        self.disk.kill();
        self.store = self.profile.open(self.disk, false).unwrap();
        let mut found = read_all(&self.store).unwrap();
        self.push(format!("killed in {}", call.told()), after.hash(), after.next_id);
        let hash = found.hash();
        if matches!(call, Call::Compress { .. }) && self.steps.iter().all(|step| step.content != hash) {
            assert!(found.rows.keys().eq(after.rows.keys()), "a killed compress changed the ids");
            self.steps[step].content = hash;
        }
        let fitting = (self.durable..=step).filter(|step| self.steps[*step].content == hash);
        let mut next_ids: Vec<Option<u64>> = fitting.map(|step| self.next_ids[step]).collect();
        next_ids.dedup();
        assert!(!next_ids.is_empty(), "after a kill in {call:?} the store holds no prefix of the calls");
        found.next_id = if next_ids.len() == 1 { next_ids[0] } else { None };
        self.model = found;
        self.push("open".to_owned(), hash, self.model.next_id);
        self.durable = step + 1;
        self.disk.mark(Mark::Done { step: step + 1, durable: true });
    }

    /// Ends the tape here: what dropping the handle does is no part of it.
    fn end(self) -> Vec<Step> {
        self.disk.kill();
        drop(self.store);
        self.steps
    }

    fn push(&mut self, call: String, content: u128, next_id: Option<u64>) {
        self.steps.push(Step { call, content });
        self.next_ids.push(next_id);
    }
}

/// Lives `calls` calls after the open and gives the steps; the tape of `disk` has the marks. Now and
/// then, with `kills`, the process dies in the middle of a call and the next one opens what is left.
pub(crate) fn live(
    profile: &Profile,
    disk: &mut SimDisk,
    creating: bool,
    seed: u64,
    calls: usize,
    kills: bool,
) -> Option<Vec<Step>> {
    let mut random = Random::new(seed);
    let mut life = Life::begin(profile, disk, creating)?;
    for number in 0..calls {
        let call = match number {
            0 if creating => Call::inserting(profile, &life.model, profile.first_rows, &mut random),
            _ => Call::drawn(profile, &life.model, &mut random),
        };
        let dies = kills && random.once_in(8) && life.model.next_id.is_some();
        life.step(&call, dies.then(|| 1 + random.below(14) as usize));
    }
    Some(life.end())
}

impl Profile {
    /// A whole life from an empty directory; `ignored` leaves one sync out.
    pub(crate) fn session(&self, calls: usize, kills: bool, ignored: Option<usize>) -> Session {
        self.session_on(&Image::default(), Before::Nothing(Model::empty().hash()), calls, kills, ignored)
    }

    /// A life that begins with what `base` holds.
    pub(crate) fn session_on(
        &self,
        base: &Image,
        before: Before,
        calls: usize,
        kills: bool,
        ignored: Option<usize>,
    ) -> Session {
        let mut disk = SimDisk::holding(base, true);
        if let Some(nth) = ignored {
            disk.ignore_sync(nth);
        }
        let creating = matches!(before, Before::Nothing(_));
        let history = live(self, &mut disk, creating, self.seed, calls, kills).unwrap();
        Session { base: base.clone(), before, tape: disk.take_tape(), history }
    }
}

impl Subject for Profile {
    fn recover(&self, disk: &SimDisk, creating: bool) -> Outcome {
        let read = self.open(disk, creating).and_then(|store| read_all(&store));
        match read {
            Ok(model) => Outcome::Content(model.hash()),
            Err(Error::NotAStore(_)) => Outcome::NotAStore,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn resume(&self, disk: &SimDisk, creating: bool, seed: u64) -> Option<Vec<Step>> {
        live(self, &mut disk.clone(), creating, seed, 3, false)
    }

    fn doubled(&self) -> &[&'static str] {
        &["MANIFEST.A", "MANIFEST.B"]
    }
}
