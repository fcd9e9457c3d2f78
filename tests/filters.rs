//! Searches for some of the rows: those of allowed ids, without denied ids, within a distance, and live.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use omen::codec::Quality;
use omen::format::NO_ID;
use omen::kernels;
use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

const DIM: usize = 32;
/// Enough for inverted lists.
const ROWS: usize = 17_000;
const CLUSTERS: usize = 100;

/// `count` vectors in clusters; the seed changes the vectors and not the clusters.
fn clustered(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(1);
    let centres: Vec<f32> = (0..CLUSTERS * DIM).map(|_| 2.0 * random.normal() + 1.0).collect();
    let mut random = Random::new(seed);
    let cluster = |row: usize| &centres[row % CLUSTERS * DIM..][..DIM];
    (0..count).flat_map(|row| cluster(row).to_vec()).map(|centre| centre + random.normal()).collect()
}

fn opened(home: &TempDir, metric: Metric, dim: usize) -> Store {
    Store::open(home.path(), dim as u32, &Options { metric: Some(metric), ..Options::default() }).unwrap()
}

fn compress(store: &Store, ratio: f64) {
    let options = CompressOptions { ratio, quality: Quality::Fast, ..CompressOptions::default() };
    store.compress(&options, &mut Work::default()).unwrap();
}

/// Codes or raw rows with inverted lists where there are codes, a sealed log, and a tail; some rows of each are deleted
/// or replaced. Ids have gaps unless `counts_up`.
fn filled(home: &TempDir, metric: Metric, ratio: Option<f64>, counts_up: bool) -> Store {
    let store = opened(home, metric, DIM);
    let id_of = |row: usize| if counts_up { row as u64 } else { row as u64 * 3 + row as u64 % 2 };
    let ids: Vec<u64> = (0..ROWS + 900).map(id_of).collect();
    let rows = clustered(ROWS + 900, 2);
    let insert = |store: &Store, from: usize, to: usize| {
        store.insert(Some(&ids[from..to]), &rows[from * DIM..to * DIM]).unwrap();
    };
    insert(&store, 0, ROWS);
    if let Some(ratio) = ratio {
        compress(&store, ratio);
    }
    insert(&store, ROWS, ROWS + 600);
    store.close().unwrap();
    let store = opened(home, metric, DIM);
    insert(&store, ROWS + 600, ROWS + 900);
    let mut random = Random::new(3);
    let some = |random: &mut Random, count: usize| -> Vec<u64> {
        (0..count).map(|_| ids[random.index(ids.len())]).collect::<BTreeSet<u64>>().into_iter().collect()
    };
    let gone = some(&mut random, 3000);
    store.delete(&gone).unwrap();
    let moved = some(&mut random, 500);
    store.upsert(&moved, &clustered(moved.len(), 4)).unwrap();
    store
}

type Answer = Vec<(u64, f32)>;

fn answers(store: &Store, queries: &[f32], k: usize, options: &SearchOptions) -> Vec<Answer> {
    let count = queries.len() / store.dim() as usize;
    let (mut ids, mut distances) = (vec![7; count * k], vec![7.0; count * k]);
    store.search(queries, k, options, &mut ids, &mut distances).unwrap();
    let of = |(ids, distances): (&[u64], &[f32])| {
        let found = ids.iter().take_while(|id| **id != NO_ID).count();
        assert!(ids[found..].iter().all(|id| *id == NO_ID) && distances[found..].iter().all(|far| far.is_nan()));
        ids[..found].iter().copied().zip(distances[..found].iter().copied()).collect()
    };
    ids.chunks(k).zip(distances.chunks(k)).map(of).collect()
}

fn contents(store: &Store) -> BTreeMap<u64, Vec<f32>> {
    let (room, dim) = (ROWS + 1000, store.dim() as usize);
    let (mut ids, mut rows) = (vec![0; room], vec![0.0; room * dim]);
    let count = store.list(&mut 0, &mut ids, Some(&mut rows)).unwrap();
    ids[..count].iter().copied().zip(rows.chunks(dim).map(<[f32]>::to_vec)).collect()
}

/// What a search with `options` of all vectors, one by one, finds.
fn brute_force(
    contents: &BTreeMap<u64, Vec<f32>>,
    metric: Metric,
    query: &[f32],
    k: usize,
    options: &SearchOptions,
) -> Answer {
    let sets = [options.allow_ids, options.deny_ids].map(|ids| ids.map(|ids| ids.iter().collect::<BTreeSet<_>>()));
    let is_wanted = |id: &u64| {
        sets[0].as_ref().is_none_or(|allowed| allowed.contains(id)) && !sets[1].as_ref().is_some_and(|d| d.contains(id))
    };
    let norm = kernels::dot(query, query);
    let rows = contents.iter().filter(|(id, _)| is_wanted(id));
    let mut all: Answer = rows.map(|(id, row)| (*id, kernels::distance(metric, query, norm, row))).collect();
    all.retain(|(_, distance)| f64::from(*distance) <= options.max_distance);
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all.truncate(k);
    all
}

/// The share of `expected` that is in `found`.
fn recall(found: &[Answer], expected: &[Answer]) -> f64 {
    let (mut both, mut all) = (0, 0);
    for (found, expected) in found.iter().zip(expected) {
        all += expected.len();
        both += expected.iter().filter(|(id, _)| found.iter().any(|(other, _)| other == id)).count();
    }
    if all == 0 { 1.0 } else { both as f64 / all as f64 }
}

/// Lists of ids of many sizes: random ones, ranges, unknown ones, twice the same, in order and not.
fn id_lists(ids: &[u64], random: &mut Random) -> Vec<Vec<u64>> {
    let one_in =
        |step: u64, random: &mut Random| -> Vec<u64> { ids.iter().copied().filter(|_| random.once_in(step)).collect() };
    let mut lists: Vec<Vec<u64>> = [1, 2, 11, 40, 300, 6000].map(|step| one_in(step, random)).to_vec();
    lists.push(ids[..ids.len() - 100].to_vec());
    lists.push(ids[3000..3100].to_vec());
    let mut shuffled = one_in(5, random);
    (1..shuffled.len()).for_each(|at| shuffled.swap(at, random.index(at + 1)));
    shuffled.extend_from_within(..50);
    shuffled.extend([NO_ID, NO_ID - 1, 1 << 40]);
    lists.push(shuffled);
    lists.push((1 << 40..(1 << 40) + 500).collect());
    lists.push(ids.iter().copied().chain(1 << 40..(1 << 40) + 40_000).collect());
    lists
}

/// The same answers from every number of threads and from one query at a time.
fn assert_one_answer(store: &Store, queries: &[f32], k: usize, options: &SearchOptions, found: &[Answer]) {
    for threads in [1, 3] {
        let options = SearchOptions { threads, ..*options };
        assert_eq!(answers(store, queries, k, &options), found, "{threads} threads");
    }
    let one_by_one = queries.chunks(DIM).flat_map(|query| answers(store, query, k, options));
    assert_eq!(one_by_one.collect::<Vec<_>>(), found);
}

#[test]
fn searches_of_some_rows_find_what_measuring_these_rows_finds() {
    let queries = clustered(12, 5);
    let kinds =
        [(None, Metric::L2), (Some(4.0), Metric::Cosine), (Some(8.0), Metric::InnerProduct), (Some(16.0), Metric::L2)];
    for (number, (ratio, metric)) in kinds.into_iter().enumerate() {
        let home = tempfile::tempdir().unwrap();
        let store = filled(&home, metric, ratio, number % 2 == 0);
        let contents = contents(&store);
        let ids: Vec<u64> = contents.keys().copied().collect();
        let mut random = Random::new(6);
        let (allows, denies) = (id_lists(&ids, &mut random), id_lists(&ids, &mut random));
        for round in 0..3 * allows.len() {
            let allow_ids = (round % 3 != 1).then(|| &*allows[round / 3]);
            let deny_ids = (round % 3 != 0).then(|| &*denies[random.index(denies.len())]);
            let k = [1, 10, 50][random.index(3)];
            let mut options = SearchOptions { allow_ids, deny_ids, is_exact: true, ..SearchOptions::default() };
            if random.once_in(3) {
                let near = brute_force(&contents, metric, &queries[..DIM], 20, &options);
                options.max_distance = near.last().map_or(0.0, |(_, distance)| f64::from(*distance));
            }
            let what = format!("ratio {ratio:?}, round {round}, k {k}, max_distance {}", options.max_distance);
            let of = |query| brute_force(&contents, metric, query, k, &options);
            let expected: Vec<Answer> = queries.chunks(DIM).map(of).collect();
            assert_eq!(answers(&store, &queries, k, &options), expected, "{what}");
            options.is_exact = false;
            let found = answers(&store, &queries, k, &options);
            assert_one_answer(&store, &queries, k, &options, &found);
            if ratio.is_none() {
                assert_eq!(found, expected, "{what}");
                continue;
            }
            let all = answers(&store, &queries, k, &SearchOptions { effort: 1.0, ..options });
            assert!(recall(&found, &all) > 0.95, "{what}: recall {}", recall(&found, &all));
            for ((found, all), expected) in found.iter().zip(&all).zip(&expected) {
                assert_eq!(found.len(), all.len(), "{what}");
                assert!(options.max_distance.is_finite() || found.len() == expected.len(), "{what}");
                assert!(found.iter().all(|(_, distance)| f64::from(*distance) <= options.max_distance), "{what}");
                let is_allowed = |id: &u64| options.allow_ids.is_none_or(|ids| ids.contains(id));
                let is_denied = |id: &u64| options.deny_ids.is_some_and(|ids| ids.contains(id));
                assert!(found.iter().all(|(id, _)| is_allowed(id) && !is_denied(id)), "{what}");
            }
        }
    }
}

#[test]
fn as_many_are_found_as_are_live_however_many_were_deleted() {
    let home = tempfile::tempdir().unwrap();
    let store = opened(&home, Metric::L2, DIM);
    let rows = clustered(ROWS, 7);
    store.insert(None, &rows).unwrap();
    compress(&store, 6.0);
    let mut order: Vec<u64> = (0..ROWS as u64).collect();
    let mut random = Random::new(8);
    (1..ROWS).for_each(|at| order.swap(at, random.index(at + 1)));
    let mut live = ROWS;
    for left in [1024, 512, 100, 20, 1, 0] {
        store.delete(&order[left..live]).unwrap();
        live = left;
        for k in [left / 2, left, left + 5].into_iter().filter(|k| *k > 0) {
            for effort in [0.0, 1e-6, 1.0] {
                let options = SearchOptions { effort, ..SearchOptions::default() };
                for answer in answers(&store, &rows[..20 * DIM], k, &options) {
                    let ids: BTreeSet<u64> = answer.iter().map(|(id, _)| *id).collect();
                    assert_eq!(ids.len(), k.min(left), "{left} live, k {k}, effort {effort}");
                    assert!(ids.iter().all(|id| order[..left].contains(id)));
                }
            }
        }
    }
}

#[test]
fn allowing_all_others_is_denying_the_rest() {
    let (home, queries) = (tempfile::tempdir().unwrap(), clustered(20, 9));
    let store = opened(&home, Metric::L2, DIM);
    store.insert(None, &clustered(ROWS, 10)).unwrap();
    compress(&store, 8.0);
    let all = answers(&store, &queries, 10, &SearchOptions::default());
    let denied: BTreeSet<u64> = all.iter().flat_map(|answer| answer.iter().step_by(2).map(|(id, _)| *id)).collect();
    let others: Vec<u64> = (0..ROWS as u64).filter(|id| !denied.contains(id)).collect();
    let denied: Vec<u64> = denied.into_iter().collect();
    let allowing = SearchOptions { allow_ids: Some(&others), ..SearchOptions::default() };
    let denying = SearchOptions { deny_ids: Some(&denied), ..SearchOptions::default() };
    let both = SearchOptions { deny_ids: Some(&denied), ..allowing };
    let found = answers(&store, &queries, 10, &denying);
    assert_eq!(answers(&store, &queries, 10, &allowing), found);
    assert_eq!(answers(&store, &queries, 10, &both), found);
    let scanned = answers(&store, &queries, 10, &SearchOptions { effort: 1.0, ..denying });
    assert!(recall(&found, &scanned) > 0.98, "{}", recall(&found, &scanned));
    assert!(found.iter().flatten().all(|(id, _)| !denied.contains(id)));
    // An id on both lists is denied.
    let twice = SearchOptions { allow_ids: Some(&denied), ..denying };
    assert!(answers(&store, &queries, 10, &twice).iter().all(Vec::is_empty));
    // All but a few are denied.
    let few = SearchOptions { deny_ids: Some(&others), ..SearchOptions::default() };
    let expected =
        answers(&store, &queries, 10, &SearchOptions { allow_ids: Some(&denied), ..SearchOptions::default() });
    assert_eq!(answers(&store, &queries, 10, &few), expected);
}

/// The lists near a query hold none of the rows of another cluster.
#[test]
fn rows_of_a_cluster_far_from_the_query_are_found() {
    let (home, queries) = (tempfile::tempdir().unwrap(), clustered(20, 11));
    let store = opened(&home, Metric::L2, DIM);
    store.insert(None, &clustered(ROWS, 12)).unwrap();
    compress(&store, 8.0);
    for clusters in [50..51, 50..53, 50..60] {
        let allowed: Vec<u64> = (0..ROWS as u64).filter(|id| clusters.contains(&(id % CLUSTERS as u64))).collect();
        let options = SearchOptions { allow_ids: Some(&allowed), ..SearchOptions::default() };
        let found = answers(&store, &queries, 10, &options);
        let scanned = answers(&store, &queries, 10, &SearchOptions { effort: 1.0, ..options });
        assert!(found.iter().all(|answer| answer.len() == 10));
        assert!(recall(&found, &scanned) > 0.95, "{clusters:?}: {}", recall(&found, &scanned));
    }
}

#[test]
fn distances_are_in_the_range_of_the_metric() {
    let rows = clustered(3000, 13);
    let opposite: Vec<f32> = rows.iter().map(|value| -value).collect();
    for metric in [Metric::Cosine, Metric::L2] {
        for ratio in [None, Some(4.0), Some(8.0)] {
            let home = tempfile::tempdir().unwrap();
            let store = opened(&home, metric, DIM);
            store.insert(None, &rows).unwrap();
            ratio.into_iter().for_each(|ratio| compress(&store, ratio));
            for is_exact in [false, true] {
                for queries in [&rows[..500 * DIM], &opposite[..50 * DIM]] {
                    let options = SearchOptions { is_exact, ..SearchOptions::default() };
                    for answer in answers(&store, queries, 3000, &options) {
                        let most = if metric == Metric::Cosine { 2.0 } else { f32::INFINITY };
                        let is_right = |far: f32| (0.0..=most).contains(&far) && far.is_sign_positive();
                        assert!(answer.iter().all(|(_, far)| is_right(*far)), "{metric}, ratio {ratio:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn max_distance_bounds_what_is_found() {
    for metric in Metric::ALL {
        let home = tempfile::tempdir().unwrap();
        let store = opened(&home, metric, 2);
        store.insert(None, &[1.0, 0.0, 0.0, 1.0, 2.0, 0.0, -1.0, 0.0]).unwrap();
        let within = |max_distance: f64| {
            let options = SearchOptions { max_distance, ..SearchOptions::default() };
            answers(&store, &[1.0, 0.0], 4, &options).concat()
        };
        let all = within(f64::INFINITY);
        assert_eq!(all.len(), 4);
        assert_eq!(within(f64::MAX), all);
        for (count, (_, distance)) in all.iter().enumerate() {
            let as_far = all.iter().filter(|(_, other)| other <= distance).count();
            assert_eq!(within(f64::from(*distance)), all[..as_far], "{metric}");
            let just_below = f64::from(*distance).next_down();
            if metric == Metric::InnerProduct || just_below >= 0.0 {
                let nearer = all.iter().filter(|(_, other)| other < distance).count();
                assert_eq!(within(just_below), all[..nearer], "{metric}, {count}");
            }
        }
        let refused = |max_distance: f64| {
            let (mut ids, mut distances) = ([7; 4], [7.0; 4]);
            let options = SearchOptions { max_distance, ..SearchOptions::default() };
            let error = store.search(&[1.0, 0.0], 4, &options, &mut ids, &mut distances).unwrap_err();
            assert_eq!((error.status(), ids, distances), (3, [7; 4], [7.0; 4]));
            assert!(error.to_string().starts_with("options: max_distance is "), "{error}");
        };
        [f64::NAN, f64::NEG_INFINITY].into_iter().for_each(refused);
        if metric == Metric::InnerProduct {
            assert_eq!(within(-1.5), [(2, -2.0)]);
        } else {
            [-1e-300, -1.0, -1e300].into_iter().for_each(refused);
            assert_eq!(within(-0.0), within(0.0));
        }
    }
}
