//! Traps of what goes on at the same time: logs and readers while a store grows, is compressed and compacted.

use crate::random::Random;
use crate::waiting::Beside;
use crate::{assert_used, contents, get, home, of_ids, open_tuned, ratio, vectors};
use omen::store::Tuning;
use omen::work::Work;
use std::sync::atomic::{AtomicU64, Ordering};
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

#[test]
fn trap_21_readers_run_during_growth_compress_and_compact() {
    let (_home, path) = home();
    let tuning = Tuning { seal_bytes: 256 << 10, buffer_bytes: 16 << 10, ..Tuning::default() };
    let store = open_tuned(&path, 32, tuning);
    // The store holds the ids below this one.
    let known = AtomicU64::new(0);
    let insert = || {
        let first = known.load(Ordering::Acquire);
        let rows: Vec<f32> = (first..first + 50).flat_map(one_of_sixteen).collect();
        assert_eq!(store.insert(None, &rows).unwrap(), first);
        known.store(first + 50, Ordering::Release);
    };
    let read = |reader: usize, round: u64| {
        let id = Random::new((reader as u64) << 32 | round).below(known.load(Ordering::Acquire));
        assert_close(id, &get(&store, id));
        let (mut position, mut ids, mut rows) = (id, [0; 64], [0.0; 64 * 32]);
        let found = store.list(&mut position, &mut ids, Some(&mut rows)).unwrap();
        assert_eq!(ids[..found], (id..id + found as u64).collect::<Vec<_>>());
        ids[..found].iter().zip(rows.chunks(32)).for_each(|(id, row)| assert_close(*id, row));
    };
    insert();
    Beside::run(2, read, |readers| {
        let insert_beside = |calls: u64| {
            for call in 0..calls {
                insert();
                if call % 10 == 0 {
                    readers.wait("readers beside inserts");
                }
            }
        };
        insert_beside(119);
        for _ in 0..3 {
            readers.during("readers beside a compress", |work| store.compress(&ratio(4.0), work));
            insert_beside(40);
            // A hidden row for the compact to leave out.
            store.upsert(&[7], &one_of_sixteen(7)).unwrap();
            readers.during("readers beside a compact", |work| store.compact(work));
            insert_beside(20);
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
