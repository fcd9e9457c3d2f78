//! Inverted lists: rows stored list by list are found by id and by query like any others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use std::collections::BTreeSet;
use tempfile::TempDir;

const DIM: usize = 64;
/// Enough for lists.
const ROWS: usize = 20_000;
const CLUSTERS: usize = 150;
const K: usize = 10;

/// `count` vectors in clusters away from the origin; the seed changes the vectors and not the clusters.
fn clustered(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(1);
    let centres: Vec<f32> = (0..CLUSTERS * DIM).map(|_| random.normal() + 2.0).collect();
    let mut random = Random::new(seed);
    let cluster = |row: usize| &centres[row * 7919 % CLUSTERS * DIM..][..DIM];
    (0..count).flat_map(|row| cluster(row).to_vec()).map(|centre| centre + random.normal()).collect()
}

fn id_of(row: usize) -> u64 {
    row as u64 * 3 + row as u64 % 2
}

fn opened(home: &TempDir, metric: Metric) -> Store {
    Store::open(home.path(), DIM as u32, &Options { metric: Some(metric), ..Options::default() }).unwrap()
}

fn filled(home: &TempDir, metric: Metric, rows: &[f32], ratio: f64) -> Store {
    let store = opened(home, metric);
    let ids: Vec<u64> = (0..rows.len() / DIM).map(id_of).collect();
    store.insert(Some(&ids), rows).unwrap();
    let report =
        store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    assert!(report.ratio >= ratio, "{report:?}");
    store
}

/// `[nq]` of K ids.
fn found(store: &Store, queries: &[f32], options: &SearchOptions) -> Vec<Vec<u64>> {
    let count = queries.len() / DIM;
    let (mut ids, mut distances) = (vec![0; count * K], vec![0.0; count * K]);
    store.search(queries, K, options, &mut ids, &mut distances).unwrap();
    assert!(distances.chunks(K).all(|row| row.is_sorted()));
    ids.chunks(K).map(<[u64]>::to_vec).collect()
}

fn with_effort(effort: f64) -> SearchOptions<'static> {
    SearchOptions { effort, ..SearchOptions::default() }
}

/// The fraction of `expected` that is in `found`.
fn recall(found: &[Vec<u64>], expected: &[Vec<u64>]) -> f64 {
    let both =
        found.iter().zip(expected).map(|(found, expected)| found.iter().filter(|id| expected.contains(id)).count());
    both.sum::<usize>() as f64 / (expected.len() * K) as f64
}

/// Checks that a store has lists: a search that visits few of them misses neighbours, one that visits the default number
/// misses hardly any.
fn assert_has_lists(store: &Store, queries: &[f32]) {
    let all = found(store, queries, &with_effort(1.0));
    let (few, chosen) = (
        recall(&found(store, queries, &with_effort(1e-6)), &all),
        recall(&found(store, queries, &with_effort(0.0)), &all),
    );
    assert!(few < chosen && few < 0.98, "recall {few} with few lists, {chosen} with the default");
    assert!(chosen >= 0.98, "{chosen}");
    let mut before = 0.0;
    for effort in [0.01, 0.05, 0.2, 1.0] {
        let now = recall(&found(store, queries, &with_effort(effort)), &all);
        assert!(now >= before, "{now} with effort {effort}, {before} with less");
        before = now;
    }
    assert_eq!(before, 1.0);
}

#[test]
fn searches_by_lists_find_what_searches_of_all_codes_find() {
    let (rows, queries) = (clustered(ROWS, 2), clustered(200, 3));
    for (metric, ratio) in [(Metric::L2, 3.0), (Metric::L2, 6.0), (Metric::InnerProduct, 3.0), (Metric::Cosine, 6.0)] {
        let home = tempfile::tempdir().unwrap();
        let store = filled(&home, metric, &rows, ratio);
        assert_has_lists(&store, &queries);
        for effort in [0.0, 0.03, 1.0] {
            let expected = found(&store, &queries, &with_effort(effort));
            for threads in [1, 2, 5] {
                let options = SearchOptions { threads, ..with_effort(effort) };
                assert_eq!(found(&store, &queries, &options), expected, "{threads} threads");
                let one_by_one: Vec<Vec<u64>> =
                    queries.chunks(DIM).flat_map(|query| found(&store, query, &options)).collect();
                assert_eq!(one_by_one, expected, "{threads} threads, one by one");
            }
        }
        let expected = found(&store, &queries, &with_effort(0.0));
        let exact = found(&store, &queries, &SearchOptions { is_exact: true, ..SearchOptions::default() });
        assert!(recall(&expected, &exact) > 0.6, "{}", recall(&expected, &exact));
        store.close().unwrap();
        let store = opened(&home, metric);
        assert_eq!(found(&store, &queries, &with_effort(0.0)), expected, "reopened");
    }
}

/// Their nearest lists tell little of where their neighbours are, so they visit more.
#[test]
fn queries_unlike_the_rows_find_their_neighbours_too() {
    let rows = clustered(ROWS, 2);
    let like = clustered(100, 3);
    let negated: Vec<f32> = like.iter().map(|value| -value).collect();
    let shuffled: Vec<f32> =
        like.chunks(DIM).flat_map(|query| (0..DIM).map(|dim| 2.0 * query[dim * 37 % DIM])).collect();
    let far: Vec<f32> = like.iter().map(|value| value * 30.0 - 500.0).collect();
    for metric in Metric::ALL {
        let home = tempfile::tempdir().unwrap();
        let store = filled(&home, metric, &rows, 3.0);
        for (name, queries) in [("negated", &negated), ("shuffled", &shuffled), ("far", &far)] {
            let all = found(&store, queries, &with_effort(1.0));
            let recall = recall(&found(&store, queries, &with_effort(0.0)), &all);
            assert!(recall >= 0.85, "{metric:?}, {name}: {recall}");
        }
        // It is not that every query visits all lists.
        assert!(recall(&found(&store, &like, &with_effort(0.0)), &found(&store, &like, &with_effort(1.0))) < 1.0);
    }
}

#[test]
fn every_id_leads_to_its_vector_and_ids_come_in_order() {
    let rows = clustered(ROWS, 4);
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home, Metric::L2, &rows, 3.0);
    let ids: Vec<u64> = (0..ROWS).map(id_of).collect();
    let mut vectors = vec![0.0; rows.len()];
    store.get(&ids, &mut vectors, None).unwrap();
    let off = vectors.iter().zip(&rows).fold(0.0, |most: f32, (x, y)| most.max((x - y).abs()));
    assert!(off < 0.5, "{off}, and a step of the grid is a few hundredths");
    let (mut scanned, mut floats) = (vec![0; ROWS], vec![0.0; rows.len()]);
    assert_eq!(store.list(&mut 0, &mut scanned, Some(&mut floats)).unwrap(), ROWS);
    assert_eq!((scanned, floats), (ids, vectors));
    let mut flags = [9; 4];
    store.contains(&[0, 1, 2, id_of(ROWS - 1)], &mut flags).unwrap();
    assert_eq!(flags, [1, 0, 0, 1]);
    store.verify(&mut Work::default()).unwrap();
}

#[test]
fn deleted_and_replaced_rows_never_appear_and_filters_are_exact() {
    let (rows, queries) = (clustered(ROWS, 5), clustered(100, 6));
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home, Metric::L2, &rows, 4.0);
    let nearest: BTreeSet<u64> = found(&store, &queries, &with_effort(0.0)).concat().into_iter().collect();
    let gone: Vec<u64> = nearest.iter().copied().step_by(2).collect();
    store.delete(&gone).unwrap();
    let moved: Vec<u64> = nearest.iter().copied().skip(1).step_by(2).collect();
    store.upsert(&moved, &vec![1e3; moved.len() * DIM]).unwrap();
    let check = |store: &Store| {
        for effort in [0.0, 1.0] {
            let now: Vec<u64> = found(store, &queries, &with_effort(effort)).concat();
            assert!(now.iter().all(|id| !nearest.contains(id)));
        }
        // So few allowed rows are all scanned.
        let allowed: Vec<u64> = (0..ROWS).step_by(90).map(id_of).filter(|id| !nearest.contains(id)).collect();
        let options = SearchOptions { allow_ids: Some(&allowed), ..SearchOptions::default() };
        let by_codes = found(store, &queries, &options);
        assert!(by_codes.iter().flatten().all(|id| allowed.contains(id)));
        assert_eq!(by_codes, found(store, &queries, &SearchOptions { effort: 1.0, ..options }));
        let exact = found(store, &queries, &SearchOptions { is_exact: true, ..options });
        assert!(recall(&by_codes, &exact) > 0.8, "{}", recall(&by_codes, &exact));
        assert_has_lists(store, &queries);
    };
    check(&store);
    store.compact(&mut Work::default()).unwrap();
    check(&store);
    store.verify(&mut Work::default()).unwrap();
}

#[test]
fn a_second_compress_takes_new_rows_into_lists() {
    let (rows, queries) = (clustered(ROWS, 7), clustered(100, 8));
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home, Metric::L2, &rows, 4.0);
    let (more, first) = (clustered(3000, 9), ROWS);
    let ids: Vec<u64> = (first..first + 3000).map(id_of).collect();
    store.insert(Some(&ids), &more).unwrap();
    let before = found(&store, &queries, &SearchOptions { is_exact: true, ..SearchOptions::default() });
    store.compress(&CompressOptions { ratio: 4.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    assert_has_lists(&store, &queries);
    let after = found(&store, &queries, &with_effort(0.0));
    assert!(recall(&after, &before) > 0.8, "{}", recall(&after, &before));
    assert!(after.concat().iter().any(|id| ids.contains(id)), "new rows are as near as old ones");
    store.close().unwrap();
}

#[test]
fn a_compress_cancelled_while_lists_are_made_changes_nothing() {
    let rows = clustered(ROWS, 10);
    let home = tempfile::tempdir().unwrap();
    let store = opened(&home, Metric::L2);
    store.insert(None, &rows).unwrap();
    store.commit().unwrap();
    // Training reports the first half of the steps; rows are assigned to lists after it.
    let mut cancel = |done: u64, total: u64| done >= total / 2;
    let options = CompressOptions { ratio: 4.0, ..CompressOptions::default() };
    let error = store.compress(&options, &mut Work::new(0, Some(&mut cancel))).unwrap_err();
    assert!(error.to_string().contains("cancel"), "{error}");
    let mut vector = [0.0; DIM];
    store.get(&[77], &mut vector, None).unwrap();
    assert_eq!(vector, rows[77 * DIM..78 * DIM]);
    store.verify(&mut Work::default()).unwrap();
}
