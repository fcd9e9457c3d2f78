//! Traps of what goes on at the same time: logs and readers while a store grows, is compressed and compacted.

use crate::random::Random;
use crate::waiting::{StopOnDrop, wait_until};
use crate::{assert_used, contents, get, home, of_ids, open_tuned, ratio, vectors};
use omen::store::{Store, Tuning};
use omen::work::Work;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

#[test]
fn trap_20_the_log_grows_for_ever() {
    let (_home, path) = home();
    let tuning = Tuning { seal_bytes: 64 << 10, buffer_bytes: 4096, ..Tuning::default() };
    let store = open_tuned(&path, 16, tuning);
    let ids: Vec<u64> = (0..100).collect();
    let (live, call) = (100 * 64, 100 * 64 + 3 * 4096);
    std::thread::scope(|scope| {
        let (store, (finished, compacts)) = (&store, mpsc::channel());
        // Ends when nobody receives any more.
        scope.spawn(move || {
            while finished.send(()).is_ok() {
                store.compact(&mut Work::default()).unwrap();
            }
        });
        for round in 0..300 {
            store.upsert(&ids, &vectors(round, 100, 16)).unwrap();
            store.commit().unwrap();
            let logs = std::fs::read_dir(&path).unwrap().filter_map(|entry| entry.ok()?.metadata().ok());
            let longest = logs.map(|file| file.len()).max().unwrap();
            assert!(longest <= (64 << 10) + 4 * call, "round {round}: a file of {longest} bytes");
            if round % 50 == 49 {
                let _earlier = compacts.try_iter().count();
                compacts.recv().unwrap();
            }
        }
    });
    store.compact(&mut Work::default()).unwrap();
    assert_eq!(contents(&store), of_ids(0..100, &vectors(299, 100, 16), 16));
    store.close().unwrap();
    assert_used(&path, live + 8 * 4096, "300 times put again");
}

/// Sixteen different vectors, so that their codes are all but exact.
fn one_of_sixteen(id: u64) -> Vec<f32> {
    (0..32).map(|component| ((id % 16) * 37 % 16 * 16 + component) as f32).collect()
}

/// Readers of one store that go on until they are told to stop.
struct Readers<'a> {
    store: &'a Store,
    /// The store holds the ids below this one.
    known: &'a AtomicU64,
    stop: &'a AtomicBool,
    /// Rows read so far, by each of them.
    reads: [AtomicU64; 2],
}

impl Readers<'_> {
    fn read(&self, reader: usize) {
        // A reader that fails ends the other and the waiting.
        let _stop = StopOnDrop(self.stop);
        let mut random = Random::new(reader as u64);
        while !self.stop.load(Ordering::Acquire) {
            let count = self.known.load(Ordering::Acquire);
            if count == 0 {
                std::thread::yield_now();
                continue;
            }
            let id = random.below(count);
            assert_close(id, &get(self.store, id));
            let (mut position, mut ids, mut rows) = (id, [0; 64], [0.0; 64 * 32]);
            let found = self.store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
            assert_eq!(ids[..found], (id..id + found as u64).collect::<Vec<_>>());
            ids[..found].iter().zip(rows.chunks(32)).for_each(|(id, row)| assert_close(*id, row));
            self.reads[reader].fetch_add(1 + found as u64, Ordering::Relaxed);
        }
    }

    /// Returns once each reader read rows since the call.
    fn wait(&self, what: &str) {
        for reads in &self.reads {
            let before = reads.load(Ordering::Relaxed);
            wait_until(what, || self.stop.load(Ordering::Acquire) || reads.load(Ordering::Relaxed) > before + 100);
        }
        assert!(!self.stop.load(Ordering::Acquire), "{what}: a reader failed");
    }

    /// Makes a call whose first reports of progress wait for the readers.
    fn run_with_them(&self, what: &str, call: impl FnOnce(&mut Work)) {
        let mut steps = 0;
        let mut progress = |_, _| {
            steps += 1;
            if steps <= 3 {
                self.wait(what);
            }
            false
        };
        call(&mut Work::new(0, Some(&mut progress)));
        assert!(steps > 0, "{what}: no progress");
    }
}

#[test]
fn trap_21_readers_run_during_growth_compress_and_compact() {
    let (_home, path) = home();
    let tuning = Tuning { seal_bytes: 256 << 10, buffer_bytes: 16 << 10, ..Tuning::default() };
    let store = open_tuned(&path, 32, tuning);
    let (stop, known) = (AtomicBool::new(false), AtomicU64::new(0));
    let readers = Readers { store: &store, known: &known, stop: &stop, reads: Default::default() };
    let insert = |count: u64| {
        for call in 0..count / 50 {
            let first = known.load(Ordering::Acquire);
            let rows: Vec<f32> = (first..first + 50).flat_map(one_of_sixteen).collect();
            assert_eq!(store.insert(None, &rows).unwrap(), first);
            known.store(first + 50, Ordering::Release);
            if call % 10 == 0 {
                readers.wait("reads beside inserts");
            }
        }
    };
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for reader in 0..2 {
            let readers = &readers;
            scope.spawn(move || readers.read(reader));
        }
        insert(6000);
        for _ in 0..3 {
            readers.run_with_them("reads beside a compress", |work| {
                store.compress(&ratio(4.0), work).unwrap();
            });
            insert(2000);
            readers.run_with_them("reads beside a compact", |work| store.compact(work).unwrap());
            insert(1000);
        }
    });
    let all = contents(&store);
    assert_eq!(all.len(), 15_000);
    all.iter().for_each(|(id, row)| assert_close(*id, row));
    store.close().unwrap();
}

fn assert_close(id: u64, row: &[f32]) {
    let expected = one_of_sixteen(id);
    let close = row.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 0.1);
    assert!(close, "id {id}: {row:?}, expected {expected:?}");
}
