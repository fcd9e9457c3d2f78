//! Rows of unlike length: the classes of a segment are searched together, and equal rows are told apart by their ids.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;

use omen::metric::Metric;
use omen::store::{CompressOptions, Options, SearchOptions, Store};
use omen::work::Work;
use random::Random;
use tempfile::TempDir;

const DIM: usize = 32;
const K: usize = 10;
const QUERIES: usize = 60;
/// Too few for inverted lists, and enough.
const COUNTS: [usize; 2] = [3000, 20_000];

/// `count` rows in a hundred groups; the longest is some thousand times as long as the shortest.
fn of_unlike_length(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(1);
    let centres: Vec<f32> = (0..100 * DIM).map(|_| random.normal()).collect();
    let mut random = Random::new(seed);
    let mut rows = Vec::with_capacity(count * DIM);
    for _ in 0..count {
        let (centre, factor) = (random.index(100) * DIM, random.normal().exp());
        rows.extend(centres[centre..centre + DIM].iter().map(|x| factor * (x + 0.3 * random.normal())));
    }
    rows
}

fn compressed(home: &TempDir, metric: Metric, rows: &[f32], ratio: f64) -> Store {
    let options = Options { metric: Some(metric), ..Options::default() };
    let store = Store::open(home.path(), DIM as u32, &options).unwrap();
    store.insert(None, rows).unwrap();
    store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store
}

/// `[nq][K]` of ids and distances.
fn found(store: &Store, queries: &[f32], options: &SearchOptions) -> Vec<(u64, u32)> {
    let count = queries.len() / DIM * K;
    let (mut ids, mut distances) = (vec![0; count], vec![0.0; count]);
    store.search(queries, K, options, &mut ids, &mut distances).unwrap();
    ids.into_iter().zip(distances.into_iter().map(f32::to_bits)).collect()
}

#[test]
fn classes_give_one_answer_however_they_are_searched() {
    for (count, metric, ratio) in [
        (COUNTS[0], Metric::L2, 4.0),
        (COUNTS[0], Metric::InnerProduct, 8.0),
        (COUNTS[1], Metric::L2, 8.0),
        (COUNTS[1], Metric::InnerProduct, 4.0),
    ] {
        let (home, rows) = (tempfile::tempdir().unwrap(), of_unlike_length(count, 2));
        let store = compressed(&home, metric, &rows, ratio);
        let queries = of_unlike_length(QUERIES, 3);
        for effort in [0.0, 0.1, 1.0] {
            let with = |threads| SearchOptions { threads, effort, ..SearchOptions::default() };
            let all = found(&store, &queries, &with(1));
            assert_eq!(found(&store, &queries, &with(3)), all, "{count} {metric} {effort}");
            let alone: Vec<_> = queries.chunks(DIM).flat_map(|query| found(&store, query, &with(4))).collect();
            assert_eq!(alone, all, "{count} {metric} {effort}");
        }
    }
}

#[test]
fn classes_left_out_by_the_lengths_of_their_rows_have_no_neighbours() {
    for (count, metric) in COUNTS.into_iter().flat_map(|count| [(count, Metric::L2), (count, Metric::InnerProduct)]) {
        let (home, rows) = (tempfile::tempdir().unwrap(), of_unlike_length(count, 2));
        let store = compressed(&home, metric, &rows, 4.0);
        // Also far longer and far shorter than the rows.
        let queries: Vec<f32> = [1.0, 100.0, 0.001]
            .iter()
            .flat_map(|x| of_unlike_length(QUERIES, 3).into_iter().map(move |y| x * y))
            .collect();
        let exact = found(&store, &queries, &SearchOptions { is_exact: true, ..SearchOptions::default() });
        let default = found(&store, &queries, &SearchOptions::default());
        for (factor, (exact, default)) in exact.chunks(QUERIES * K).zip(default.chunks(QUERIES * K)).enumerate() {
            let pairs = exact.chunks(K).zip(default.chunks(K));
            let hits: usize = pairs
                .map(|(exact, default)| {
                    exact.iter().filter(|(id, _)| default.iter().any(|found| found.0 == *id)).count()
                })
                .sum();
            assert!(hits * 100 >= 97 * QUERIES * K, "{count} {metric} {factor}: {hits}");
        }
    }
}

#[test]
fn equal_rows_are_found_by_ascending_id() {
    for count in COUNTS {
        for (metric, ratio) in [(Metric::L2, 4.0), (Metric::InnerProduct, 8.0), (Metric::Cosine, 8.0)] {
            // Two kinds of rows in turns, so that equal rows are not side by side.
            let (home, kinds) = (tempfile::tempdir().unwrap(), of_unlike_length(2, 5));
            let rows: Vec<f32> = (0..count).flat_map(|row| kinds[row % 2 * DIM..][..DIM].to_vec()).collect();
            let store = compressed(&home, metric, &rows, ratio);
            let ids = |first: u64| -> Vec<u64> {
                let found = found(&store, &kinds[..DIM], &SearchOptions::default());
                let ids: Vec<u64> = found.into_iter().map(|(id, _)| id).collect();
                let kind = ids[0] % 2;
                assert_eq!(
                    ids,
                    (0..K as u64).map(|number| first + kind + 2 * number).collect::<Vec<_>>(),
                    "{count} {metric}"
                );
                ids
            };
            let first = ids(0);
            store.delete(&(0..400).collect::<Vec<_>>()).unwrap();
            assert_eq!(ids(400)[0] % 2, first[0] % 2);
        }
    }
}

#[test]
fn a_query_of_zeros_is_as_far_from_all_rows() {
    for count in COUNTS {
        for (metric, distance) in [(Metric::InnerProduct, 0.0f32), (Metric::Cosine, 1.0)] {
            let (home, mut rows) = (tempfile::tempdir().unwrap(), of_unlike_length(count, 2));
            rows.chunks_exact_mut(DIM).step_by(7).for_each(|row| row.fill(0.0));
            let store = compressed(&home, metric, &rows, 8.0);
            store.delete(&(0..50).collect::<Vec<_>>()).unwrap();
            let first = |ids: &mut dyn Iterator<Item = u64>| -> Vec<(u64, u32)> {
                ids.take(K).map(|id| (id, distance.to_bits())).collect()
            };
            let allowed = [(0..count as u64).step_by(2).collect::<Vec<_>>(), vec![51, 90, 2000, 2999]];
            for threads in [1, 3] {
                let options = SearchOptions { threads, ..SearchOptions::default() };
                assert_eq!(found(&store, &[0.0; DIM], &options), first(&mut (50..)), "{count} {metric}");
                let even = SearchOptions { allow_ids: Some(&allowed[0]), ..options };
                assert_eq!(found(&store, &[-0.0; DIM], &even), first(&mut (50..).step_by(2)), "{count} {metric}");
                let few = SearchOptions { allow_ids: Some(&allowed[1]), ..options };
                let found = found(&store, &[0.0; DIM], &few);
                assert_eq!(found[..4], first(&mut allowed[1].iter().copied()), "{count} {metric}");
                let near = SearchOptions { max_distance: f64::from(distance) - 0.5, ..options };
                let mut ids = [7; K];
                store.search(&[0.0; DIM], K, &near, &mut ids, &mut [0.0; K]).unwrap();
                assert_eq!(ids, [u64::MAX; K], "{count} {metric}");
            }
        }
    }
}

/// Rows of zeros are not coded. A quarter of them looked like drift, and took a quarter of the lists.
#[test]
fn rows_of_zeros_change_neither_drift_nor_lists() {
    let (home, mut rows) = (tempfile::tempdir().unwrap(), of_unlike_length(COUNTS[1], 2));
    rows.chunks_exact_mut(DIM).filter(|row| row[0] > 0.4).for_each(|row| row.fill(0.0));
    let zeros = rows.chunks_exact(DIM).filter(|row| row.iter().all(|value| *value == 0.0)).count();
    assert!((COUNTS[1] / 5..COUNTS[1] / 2).contains(&zeros), "{zeros}");
    let store = compressed(&home, Metric::Cosine, &rows[..COUNTS[0] * DIM], 8.0);
    store.insert(None, &rows[COUNTS[0] * DIM..][..2500 * DIM]).unwrap();
    let again = CompressOptions { ratio: 8.0, ..CompressOptions::default() };
    store.compress(&again, &mut Work::default()).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(stats.segments, 1, "{stats:?}");
    assert!((0.9..1.1).contains(&stats.errors.drift), "{stats:?}");
    // With lists, a search finds what one of all rows finds.
    let home = tempfile::tempdir().unwrap();
    rows.chunks_exact_mut(DIM).enumerate().filter(|(row, _)| row % 10 > 0).for_each(|(_, row)| row.fill(0.0));
    let more = [&rows[..], &of_unlike_length(COUNTS[1], 7)].concat();
    let store = compressed(&home, Metric::Cosine, &more, 4.0);
    let queries = of_unlike_length(QUERIES, 3);
    let exact = found(&store, &queries, &SearchOptions { is_exact: true, ..SearchOptions::default() });
    let default = found(&store, &queries, &SearchOptions::default());
    let pairs = exact.chunks(K).zip(default.chunks(K));
    let hits: usize = pairs
        .map(|(exact, default)| exact.iter().filter(|(id, _)| default.iter().any(|near| near.0 == *id)).count())
        .sum();
    assert!(hits * 100 >= 98 * QUERIES * K, "{hits}");
}
