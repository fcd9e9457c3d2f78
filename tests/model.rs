//! Random calls on a store with small limits, so that logs are sealed and files replaced often, and on a model that is
//! a map.
//!
//! 256 lists of calls; PROPTEST_CASES sets another number. A failing list is shrunk to the shortest that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod memory;
mod random;

use memory::MemoryDir;
use omen::error::Error;
use omen::format::NO_ID;
use omen::kernels;
use omen::metric::Metric;
use omen::store::{CompressOptions, Mode, Options, SearchOptions, Store, SyncMode, Tuning};
use omen::work::Work;
use proptest::prelude::*;
use random::Random;
use std::collections::BTreeMap;

type Model = BTreeMap<u64, Vec<f32>>;

#[derive(Clone, Debug)]
enum Call {
    /// Ids that count up, and which vectors.
    Insert(u16, u32),
    /// Ids given, and which vectors.
    InsertIds(Vec<u64>, u32),
    /// Ascending ids with gaps: how many, from where, how far apart.
    InsertSpread(u16, u64, u64),
    Upsert(Vec<u64>, u32),
    Delete(Vec<u64>),
    Commit,
    Get(Vec<u64>),
    Scan(u64, usize),
    Search(u32, usize, Option<Vec<u64>>),
    Reopen,
    Compact,
    Compress(f64),
    /// A read-only handle beside the writer.
    Read,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    dim: usize,
    metric: Metric,
    sync: SyncMode,
    seal_bytes: u64,
}

fn id() -> impl Strategy<Value = u64> {
    prop_oneof![
        30 => 0..40u64,
        10 => 0..2000u64,
        2 => (0..40u64).prop_map(|id| id << 40),
        1 => any::<u64>().prop_map(|id| id.min(NO_ID - 1)),
    ]
}

fn ids(most: usize) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(id(), 0..most)
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => (0..20u16, any::<u32>()).prop_map(|(count, seed)| Call::Insert(count, seed)),
        2 => (0..900u16, any::<u32>()).prop_map(|(count, seed)| Call::Insert(count, seed)),
        6 => (ids(6), any::<u32>()).prop_map(|(ids, seed)| Call::InsertIds(ids, seed)),
        2 => (1..700u16, 3000..1u64 << 33, 1..400u64).prop_map(|(n, first, step)| Call::InsertSpread(n, first, step)),
        8 => (ids(20), any::<u32>()).prop_map(|(ids, seed)| Call::Upsert(ids, seed)),
        6 => ids(30).prop_map(Call::Delete),
        6 => Just(Call::Commit),
        4 => ids(30).prop_map(Call::Get),
        3 => (id(), 1..400usize).prop_map(|(from, capacity)| Call::Scan(from, capacity)),
        4 => (any::<u32>(), 0..50usize, prop::option::of(ids(30))).prop_map(|(q, k, allow)| Call::Search(q, k, allow)),
        1 => (any::<u32>(), Just(5000)).prop_map(|(query, k)| Call::Search(query, k, None)),
        4 => Just(Call::Reopen),
        2 => Just(Call::Compact),
        2 => (1.0..2.5f64).prop_map(Call::Compress),
        3 => Just(Call::Read),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let metric = prop_oneof![Just(Metric::L2), Just(Metric::InnerProduct), Just(Metric::Cosine)];
    let sync = prop_oneof![4 => Just(SyncMode::Commit), 1 => Just(SyncMode::Each), 1 => Just(SyncMode::None)];
    let dim = prop_oneof![Just(1usize), Just(3), Just(8), Just(16)];
    let seal_bytes = prop_oneof![Just(8u64 << 10), Just(64 << 10), Just(1 << 20)];
    (dim, metric, sync, seal_bytes).prop_map(|(dim, metric, sync, seal_bytes)| Shape { dim, metric, sync, seal_bytes })
}

/// Components are few small whole numbers: distances are exact, and ties are many.
fn vectors(seed: u32, count: usize, dim: usize) -> Vec<f32> {
    let mut random = Random::new(seed.into());
    (0..count * dim).map(|_| [-2.0, -1.0, -0.0, 0.0, 1.0, 2.0, 3.0][random.index(7)]).collect()
}

fn bits(model: &Model) -> Vec<(u64, Vec<u32>)> {
    model.iter().map(|(id, row)| (*id, row.iter().map(|value| value.to_bits()).collect())).collect()
}

/// A store and what should be in it.
struct Pair {
    shape: Shape,
    dir: MemoryDir,
    store: Store,
    model: Model,
    /// The next id to be given out.
    next_id: u64,
    /// What a reader in another process may see: the last durable state, or any since.
    visible: Vec<Vec<(u64, Vec<u32>)>>,
}

impl Pair {
    fn new(shape: Shape) -> Pair {
        let dir = MemoryDir::default();
        let store = Pair::open(shape, &dir, Mode::CreateNew);
        Pair { shape, dir, store, model: Model::new(), next_id: 0, visible: vec![Vec::new()] }
    }

    fn open(shape: Shape, dir: &MemoryDir, mode: Mode) -> Store {
        let tuning =
            Tuning { seal_bytes: shape.seal_bytes, buffer_bytes: 4096, close_seal_bytes: 8192, ..Tuning::default() };
        let options = Options { metric: Some(shape.metric), sync: shape.sync, mode, threads: 1 };
        Store::open_tuned(Box::new(dir.clone()), shape.dim as u32, &options, tuning).unwrap()
    }

    fn apply(&mut self, call: &Call) {
        match call {
            Call::Insert(count, seed) => self.insert(None, usize::from(*count), *seed),
            Call::InsertIds(ids, seed) => self.insert(Some(ids), ids.len(), *seed),
            Call::InsertSpread(count, first, step) => {
                let ids: Vec<u64> = (0..u64::from(*count)).map(|index| first + index * step).collect();
                self.insert(Some(&ids), ids.len(), *step as u32);
            }
            Call::Upsert(ids, seed) => self.upsert(ids, *seed),
            Call::Delete(ids) => {
                let expected = ids.iter().filter(|id| self.model.remove(id).is_some()).count();
                assert_eq!(self.store.delete(ids).unwrap(), expected as u64);
                self.called();
            }
            Call::Commit => {
                self.store.commit().unwrap();
                self.durable();
            }
            Call::Get(ids) => self.get(ids),
            Call::Scan(from, capacity) => self.scan(*from, *capacity),
            Call::Search(seed, k, allowed) => self.search(*seed, *k, allowed.as_deref()),
            Call::Reopen => self.reopen(),
            Call::Compact => {
                self.store.compact(&mut Work::default()).unwrap();
                assert_eq!(self.store.stats().unwrap().deleted, 0);
                self.durable();
            }
            Call::Compress(ratio) => self.compress(*ratio),
            Call::Read => self.read(),
        }
        assert_eq!(self.store.count(), self.model.len() as u64);
    }

    /// A call changed the state.
    fn called(&mut self) {
        self.visible.push(bits(&self.model));
    }

    /// What there is now is durable.
    fn durable(&mut self) {
        self.visible = vec![bits(&self.model)];
    }

    fn insert(&mut self, ids: Option<&[u64]>, count: usize, seed: u32) {
        let rows = vectors(seed, count, self.shape.dim);
        let given = self.store.insert(ids, &rows);
        let unique: std::collections::BTreeSet<&u64> = ids.into_iter().flatten().collect();
        let is_new = |ids: &[u64]| unique.len() == count && ids.iter().all(|id| !self.model.contains_key(id));
        match ids {
            None if NO_ID - self.next_id < count as u64 => {
                assert!(matches!(given, Err(Error::TooBig(_))));
                return;
            }
            Some(ids) if !is_new(ids) => {
                assert!(matches!(given, Err(Error::DuplicateId { .. })), "{given:?}");
                return;
            }
            _ => {}
        }
        let counted: Vec<u64> = (self.next_id..self.next_id + count as u64).collect();
        let ids = ids.unwrap_or(&counted);
        assert_eq!(given.unwrap(), ids.first().copied().unwrap_or(self.next_id));
        self.put(ids, &rows);
    }

    fn upsert(&mut self, ids: &[u64], seed: u32) {
        let rows = vectors(seed, ids.len(), self.shape.dim);
        let done = self.store.upsert(ids, &rows);
        let unique: std::collections::BTreeSet<&u64> = ids.iter().collect();
        if unique.len() < ids.len() {
            assert!(matches!(done, Err(Error::DuplicateId { .. })), "{done:?}");
            return;
        }
        done.unwrap();
        self.put(ids, &rows);
    }

    fn put(&mut self, ids: &[u64], rows: &[f32]) {
        for (id, row) in ids.iter().zip(rows.chunks(self.shape.dim)) {
            self.model.insert(*id, row.to_vec());
            self.next_id = self.next_id.max(id + 1);
        }
        self.called();
    }

    fn get(&self, ids: &[u64]) {
        let dim = self.shape.dim;
        let mut out = vec![9.0; ids.len() * dim];
        let (mut found, mut contained) = (vec![7; ids.len()], vec![7; ids.len()]);
        self.store.get(ids, &mut out, Some(&mut found)).unwrap();
        self.store.contains(ids, &mut contained).unwrap();
        for ((id, row), found) in ids.iter().zip(out.chunks(dim)).zip(&found) {
            let expected = self.model.get(id).cloned().unwrap_or(vec![0.0; dim]);
            assert_eq!(*found, u8::from(self.model.contains_key(id)));
            assert!(row.iter().zip(&expected).all(|(left, right)| left.to_bits() == right.to_bits()), "id {id}");
        }
        assert_eq!(found, contained);
        let mut strict = vec![9.0; ids.len() * dim];
        match (self.store.get(ids, &mut strict, None), ids.iter().position(|id| !self.model.contains_key(id))) {
            (Ok(()), None) => assert_eq!(strict, out),
            (Err(Error::NotFound { id, position }), Some(first)) => {
                assert_eq!((id, position), (ids[first], first));
                assert!(strict.iter().all(|value| *value == 9.0));
            }
            other => panic!("{other:?}"),
        }
    }

    fn scan(&self, from: u64, capacity: usize) {
        let expected: Model = self.model.range(from..).map(|(id, row)| (*id, row.clone())).collect();
        assert_eq!(bits(&read(&self.store, from, capacity)), bits(&expected));
    }

    fn search(&self, seed: u32, k: usize, allowed: Option<&[u64]>) {
        let (dim, queries) = (self.shape.dim, 2);
        let query_rows = vectors(seed, queries, dim);
        let (mut ids, mut distances) = (vec![7; queries * k], vec![7.0; queries * k]);
        let options = SearchOptions { allow_ids: allowed, is_exact: true, ..SearchOptions::default() };
        self.store.search(&query_rows, k, &options, &mut ids, &mut distances).unwrap();
        for (number, query) in query_rows.chunks(dim).enumerate() {
            let mut expected: Vec<(f32, u64)> = self
                .model
                .iter()
                .filter(|(id, _)| allowed.is_none_or(|allowed| allowed.contains(id)))
                .map(|(id, row)| (self.distance(query, row), *id))
                .collect();
            expected.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
            expected.resize(k, (f32::NAN, NO_ID));
            let found = distances[number * k..][..k].iter().zip(&ids[number * k..][..k]);
            for ((distance, id), (expected_distance, expected_id)) in found.zip(expected) {
                assert_eq!(*id, expected_id);
                assert!(*distance == expected_distance || distance.is_nan() && expected_distance.is_nan());
            }
        }
    }

    /// The distance as the library orders by it, compared with the definition.
    fn distance(&self, query: &[f32], row: &[f32]) -> f32 {
        let distance = kernels::distance(self.shape.metric, query, kernels::dot(query, query), row);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let norms = (dot(query, query) * dot(row, row)).sqrt();
        let defined = match self.shape.metric {
            Metric::L2 => query.iter().zip(row).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum(),
            Metric::InnerProduct => -dot(query, row),
            Metric::Cosine if norms == 0.0 => 1.0,
            Metric::Cosine => 1.0 - dot(query, row) / norms,
        };
        assert!((f64::from(distance) - defined).abs() <= 1e-5 * (1.0 + defined.abs()), "{distance}, defined {defined}");
        // Minus zero is as far as zero.
        distance + 0.0
    }

    fn reopen(&mut self) {
        self.store.close().unwrap();
        self.durable();
        self.read();
        self.store = Pair::open(self.shape, &self.dir, Mode::ReadWrite);
        self.scan(0, 97);
        self.store.verify(&mut Work::default()).unwrap();
    }

    fn compress(&mut self, ratio: f64) {
        let before: Vec<u64> = self.model.keys().copied().collect();
        let done = self.store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default());
        match done {
            Ok(report) => {
                assert!(report.ratio >= ratio, "asked {ratio}: {report:?}");
                let stats = self.store.stats().unwrap();
                assert_eq!((report.vectors, stats.raw_vectors), (before.len() as u64, 0));
                let after = read(&self.store, 0, 500);
                assert_eq!(after.keys().copied().collect::<Vec<_>>(), before);
                assert!(
                    after.values().flatten().all(|value| value.abs() < 8.0),
                    "no component is far out of its range"
                );
                self.model = after;
            }
            Err(Error::TooFewVectors { found, needed: 16 }) => assert!(found == before.len() as u64 && found < 16),
            Err(Error::InvalidArgument(message)) => {
                assert!(message.contains("at most") || message.contains("too small to compress"), "{message}");
            }
            Err(other) => panic!("{other}"),
        }
        self.durable();
    }

    fn read(&self) {
        let reader = Pair::open(self.shape, &self.dir, Mode::ReadOnly);
        let found = bits(&read(&reader, 0, 333));
        assert!(
            self.visible.contains(&found),
            "a reader saw {} vectors, and no state since the last commit",
            found.len()
        );
        assert_eq!(reader.count(), found.len() as u64);
        assert!(matches!(reader.commit(), Err(Error::IsReadOnly)));
        reader.close().unwrap();
    }
}

fn read(store: &Store, from: u64, capacity: usize) -> Model {
    let (mut position, mut model, dim) = (from, Model::new(), store.dim() as usize);
    let (mut ids, mut rows) = (vec![0; capacity], vec![0.0; capacity * dim]);
    loop {
        let count = store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
        assert!(ids[..count].is_sorted_by(|left, right| left < right));
        let last = model.last_key_value().map(|(id, _)| *id);
        assert!(count == 0 || last.is_none_or(|last| last < ids[0]), "ids ascend over the whole scan");
        if count == 0 {
            return model;
        }
        model.extend(ids[..count].iter().copied().zip(rows.chunks(dim).map(<[f32]>::to_vec)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn calls_do_what_a_map_does(shape in shape(), calls in prop::collection::vec(call(), 1..60)) {
        let mut pair = Pair::new(shape);
        for call in &calls {
            pair.apply(call);
        }
        pair.reopen();
    }
}
