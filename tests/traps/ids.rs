//! Traps of ids: not stored, or stored again and again.

use crate::random::Random;
use crate::{assert_found_by_another_process, contents, home, of_ids, open, open_to_read, vectors};
use omen::work::Work;

#[test]
fn trap_08_ids_not_stored() {
    let (_home, path) = home();
    let mut random = Random::new(8);
    let mut ids: Vec<u64> = (0..3000).map(|_| random.next()).collect();
    ids.extend([0, u64::MAX - 1, 1, 1 << 63]);
    ids.sort_unstable_by_key(|id| id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let rows = vectors(0, ids.len() as u64, 24);
    let model = of_ids(ids.iter().copied(), &rows, 24);
    let store = open(&path, 24);
    store.insert(Some(&ids), &rows).unwrap();
    assert_eq!(contents(&store), model);
    store.close().unwrap();
    assert_found_by_another_process(&path, &model);
    let store = open(&path, 24);
    store.compact(&mut Work::default()).unwrap();
    store.close().unwrap();
    assert_found_by_another_process(&path, &model);
}

/// Ids that ascend with gaps: in row order, yet not counting up.
#[test]
fn trap_08_ascending_ids_with_gaps_in_a_sealed_log() {
    let (_home, path) = home();
    let ids: Vec<u64> = (0..8000).map(|i| i * 3).collect();
    let rows = vectors(0, ids.len() as u64, 16);
    let store = open(&path, 16);
    store.insert(Some(&ids), &rows).unwrap();
    store.close().unwrap();
    assert_eq!(contents(&open_to_read(&path)), of_ids(ids.iter().copied(), &rows, 16));
}

/// An id given and put again in the same frame of the log: the later row is the one that counts, after a clean close and
/// after a crash.
#[test]
fn trap_08_an_id_put_again_before_the_first_flush() {
    for closes in [true, false] {
        let (_home, path) = home();
        let store = open(&path, 4);
        store.insert(None, &vectors(0, 3, 4)).unwrap();
        store.upsert(&[1, 7], &vectors(10, 2, 4)).unwrap();
        store.upsert(&[7], &vectors(20, 1, 4)).unwrap();
        let expected = contents(&store);
        assert_eq!(expected.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 7]);
        if closes {
            store.close().unwrap()
        } else {
            store.commit().unwrap()
        }
        drop(store);
        assert_eq!(contents(&open_to_read(&path)), expected, "read-only, closed {closes}");
        let store = open(&path, 4);
        assert_eq!(contents(&store), expected, "closed {closes}");
        assert_eq!(store.delete(&[1, 7]).unwrap(), 2);
        store.close().unwrap();
        assert_eq!(open_to_read(&path).count(), 2, "closed {closes}: a deleted vector came back");
    }
}

/// Bytes that this thread handed to the kernel.
fn written_by_this_thread() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

#[test]
fn trap_09_an_id_table_rewritten_at_every_insert() {
    let dim = 32;
    for listed in [false, true] {
        let (_home, path) = home();
        let store = open(&path, dim);
        let mut random = Random::new(9);
        let mut costs = Vec::new();
        for target in [1000, 100_000] {
            let missing = target - store.count();
            let ids: Vec<u64> = (0..missing).map(|_| random.next() >> 1).collect();
            store.insert(listed.then_some(&ids), &vectors(0, missing, dim as u64)).unwrap();
            store.commit().unwrap();
            let before = written_by_this_thread();
            for call in 0..1000 {
                let id = [random.next() >> 1];
                store.insert(listed.then_some(&id), &vectors(call, 1, dim as u64)).unwrap();
            }
            store.commit().unwrap();
            costs.push(written_by_this_thread() - before);
        }
        let payload = 1000 * (dim as u64 * 4 + if listed { 8 } else { 0 });
        let bound = payload + payload / 50 + 3 * 4096;
        assert!(costs.iter().all(|cost| *cost <= bound), "listed {listed}: {costs:?} bytes for 1,000, at most {bound}");
        assert!(costs[1] <= costs[0] * 2, "listed {listed}: {costs:?}");
    }
}
