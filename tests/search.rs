//! Every way to search gives one answer: that of measuring all rows and sorting them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod waiting;

use omen::codec::Quality;
use omen::error::Error;
use omen::format::NO_ID;
use omen::kernels;
use omen::metric::Metric;
use omen::store::{CompressOptions, Mode, Options, SearchOptions, Store};
use omen::work::Work;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use waiting::Beside;

const DIM: usize = 128;
const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];

/// `count` real SIFT vectors from number `first` on.
fn sift(first: usize, count: usize) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sift10k/base.bvecs");
    let bytes = std::fs::read(path).unwrap();
    let rows = bytes.chunks_exact(4 + DIM).skip(first).take(count);
    rows.flat_map(|row| &row[4..]).map(|value| f32::from(*value)).collect()
}

fn opened(home: &TempDir, metric: Metric) -> Store {
    Store::open(home.path(), DIM as u32, &Options { metric: Some(metric), ..Options::default() }).unwrap()
}

/// A store with codes, a sealed log and a tail, with deleted and replaced rows in each, and gaps between ids.
fn filled(home: &TempDir, metric: Metric, ratio: Option<f64>) -> Store {
    let store = opened(home, metric);
    let ids = |range: std::ops::Range<u64>| range.map(|number| number * 3 + number % 2).collect::<Vec<u64>>();
    store.insert(Some(&ids(0..2500)), &sift(0, 2500)).unwrap();
    if let Some(ratio) = ratio {
        store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    }
    store.insert(Some(&ids(2500..2900)), &sift(2500, 400)).unwrap();
    store.close().unwrap();
    let store = opened(home, metric);
    store.insert(Some(&ids(2900..3000)), &sift(2900, 100)).unwrap();
    store.upsert(&ids(2400..2950)[..70], &sift(5000, 70)).unwrap();
    store.delete(&ids(50..3000).into_iter().step_by(9).collect::<Vec<u64>>()).unwrap();
    store
}

/// Pairs of an id and the bits of its distance.
type Answer = Vec<(u64, u32)>;

fn answers(store: &Store, queries: &[f32], k: usize, options: &SearchOptions) -> Vec<Answer> {
    let count = queries.len() / DIM;
    let (mut ids, mut distances) = (vec![7; count * k], vec![7.0; count * k]);
    store.search(queries, k, options, &mut ids, &mut distances).unwrap();
    let pairs: Answer = ids.into_iter().zip(distances.into_iter().map(f32::to_bits)).collect();
    pairs.chunks(k).map(<[_]>::to_vec).collect()
}

/// All live vectors as they read.
fn contents(store: &Store) -> BTreeMap<u64, Vec<f32>> {
    let (mut ids, mut rows) = (vec![0; 4000], vec![0.0; 4000 * DIM]);
    let count = store.list(&mut 0, &mut ids, Some(&mut rows)).unwrap();
    ids[..count].iter().copied().zip(rows.chunks(DIM).map(<[f32]>::to_vec)).collect()
}

/// For each query all live rows, nearest first: each vector is read and measured.
fn oracle(store: &Store, metric: Metric, queries: &[f32]) -> Vec<Answer> {
    let contents = contents(store);
    let of = |query: &[f32]| {
        let norm = kernels::dot(query, query);
        let measured = contents.iter().map(|(id, row)| (kernels::distance(metric, query, norm, row) + 0.0, *id));
        let mut measured: Vec<(f32, u64)> = measured.collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        measured.into_iter().map(|(distance, id)| (id, distance.to_bits())).collect()
    };
    queries.chunks(DIM).map(of).collect()
}

/// The first k of the allowed rows of `all`, padded to k.
fn first(all: &[Answer], k: usize, allowed: Option<&[u64]>) -> Vec<Answer> {
    let of = |all: &Answer| {
        let is_allowed = |id: &u64| allowed.is_none_or(|allowed| allowed.contains(id));
        let mut found: Answer = all.iter().filter(|(id, _)| is_allowed(id)).take(k).copied().collect();
        found.resize(k, (NO_ID, f32::NAN.to_bits()));
        found
    };
    all.iter().map(of).collect()
}

/// Compares searches with `all`: for several k, divisions into calls, numbers of threads, and filters.
fn assert_all_ways_agree(store: &Store, queries: &[f32], all: &[Answer], is_exact: bool) {
    let plain = SearchOptions { is_exact, ..SearchOptions::default() };
    let live = all[0].len();
    for k in [1, 2, 10, 100, live - 1, live, live + 5] {
        assert_eq!(answers(store, queries, k, &plain), first(all, k, None), "k {k}");
    }
    let expected = first(all, 10, None);
    let one_by_one: Vec<Answer> = queries.chunks(DIM).flat_map(|query| answers(store, query, 10, &plain)).collect();
    assert_eq!(one_by_one, expected);
    for threads in [1, 2, 5] {
        let options = SearchOptions { threads, ..plain };
        assert_eq!(answers(store, queries, 10, &options), expected, "{threads} threads");
        let many = queries.repeat(5);
        assert_eq!(answers(store, &many, 10, &options), vec![expected.clone(); 5].concat(), "{threads} threads");
    }
    let ids: Vec<u64> = all[0].iter().map(|(id, _)| *id).collect();
    for step in [1, 2, 19, 97, ids.len()] {
        // Not in order, some twice, some never stored, some deleted.
        let mut allowed: Vec<u64> = ids.iter().copied().step_by(step).chain([1, NO_ID - 1, 2, 150]).collect();
        allowed.extend_from_within(..2);
        for threads in [1, 2] {
            let options = SearchOptions { allow_ids: Some(&allowed), threads, ..plain };
            let found = answers(store, queries, 10, &options);
            assert_eq!(found, first(all, 10, Some(&allowed)), "every {step}th id, {threads} threads");
        }
    }
}

#[test]
fn every_way_to_search_finds_what_measuring_and_sorting_all_finds() {
    let queries = sift(9000, 40);
    for metric in METRICS {
        for ratio in [None, Some(4.0), Some(8.0), Some(16.0), Some(40.0)] {
            let home = tempfile::tempdir().unwrap();
            let store = filled(&home, metric, ratio);
            let exact = oracle(&store, metric, &queries);
            assert_all_ways_agree(&store, &queries, &exact, true);
            // A search for all rows leaves none out. Searches for fewer rows must agree with it.
            let all = answers(&store, &queries, exact[0].len(), &SearchOptions::default());
            assert_all_ways_agree(&store, &queries, &all, false);
            for (all, exact) in all.iter().zip(&exact) {
                assert!(all.windows(2).all(|pair| {
                    let [left, right] = [pair[0], pair[1]].map(|(id, bits)| (f32::from_bits(bits), id));
                    left.0 < right.0 || left.0 == right.0 && left.1 < right.1
                }));
                let sorted = |answer: &Answer| {
                    let mut ids: Vec<u64> = answer.iter().map(|(id, _)| *id).collect();
                    ids.sort_unstable();
                    ids
                };
                assert_eq!(sorted(all), sorted(exact));
                if ratio.is_none() {
                    assert_eq!(all, exact);
                }
            }
            store.close().unwrap();
            let store = opened(&home, metric);
            assert_eq!(answers(&store, &queries, 10, &SearchOptions::default()), first(&all, 10, None), "reopened");
        }
    }
}

#[test]
fn the_more_scalar_codes_are_measured_the_more_neighbours_are_found() {
    let home = TempDir::new().unwrap();
    let store = filled(&home, Metric::L2, Some(4.0));
    let queries = sift(9000, 50);
    let all = oracle(&store, Metric::L2, &queries);
    let found = |rerank: u64| {
        let found = answers(&store, &queries, 10, &SearchOptions { rerank, effort: 1.0, ..SearchOptions::default() });
        if rerank == u64::MAX {
            assert_eq!(found, first(&all, 10, None));
        }
        let is_near = |(answer, all): (&Answer, &Answer)| answer.iter().filter(|hit| all[..10].contains(hit)).count();
        found.iter().zip(&all).map(is_near).sum::<usize>()
    };
    let [least, few, chosen, most] = [1, 12, 0, u64::MAX].map(found);
    assert!(least < few && few < chosen && chosen <= most && most == 500, "{least}, {few}, {chosen}, {most}");
}

#[test]
fn a_query_without_a_direction_is_as_far_from_all_scalar_codes() {
    let home = TempDir::new().unwrap();
    let store = filled(&home, Metric::Cosine, Some(4.0));
    let ids: Vec<u64> = contents(&store).into_keys().take(5).collect();
    let expected: Answer = ids.into_iter().map(|id| (id, 1f32.to_bits())).collect();
    assert_eq!(answers(&store, &[0.0; DIM], 5, &SearchOptions::default()), [expected]);
}

#[test]
fn a_filter_asked_again_and_again_sees_every_write() {
    for ratio in [Some(16.0), Some(4.0), None] {
        let home = TempDir::new().unwrap();
        let store = filled(&home, Metric::L2, ratio);
        let queries = sift(9000, 3);
        // Ids of codes, of the sealed log and of the tail, and 8,888, which is not stored yet.
        let allowed: Vec<u64> = contents(&store).keys().copied().step_by(20).chain([8888]).collect();
        let filtered = SearchOptions { allow_ids: Some(&allowed), threads: 1, ..SearchOptions::default() };
        let agrees = |what: &str| {
            let live = contents(&store).len();
            let all = answers(&store, &queries, live, &SearchOptions::default());
            for round in 0..12 {
                assert_eq!(answers(&store, &queries, 7, &filtered), first(&all, 7, Some(&allowed)), "{what}, {round}");
            }
        };
        agrees("at first");
        let nearest = answers(&store, &queries, 1, &filtered)[0][0].0;
        store.delete(&[nearest]).unwrap();
        agrees("without the nearest");
        store.upsert(&[allowed[3], allowed[40]], &sift(9000, 2)).unwrap();
        agrees("with two moved to where queries are");
        store.insert(Some(&[8888]), &sift(9002, 1)).unwrap();
        agrees("with one that was not there");
        assert_eq!(answers(&store, &queries, 1, &filtered)[2][0], (8888, 0));
        store.compact(&mut Work::default()).unwrap();
        agrees("compacted");
        let fewer = SearchOptions { allow_ids: Some(&allowed[1..]), ..filtered };
        let all = answers(&store, &queries, contents(&store).len(), &SearchOptions::default());
        assert_eq!(answers(&store, &queries, 7, &fewer), first(&all, 7, Some(&allowed[1..])), "another filter");
    }
}

/// Enough rows for several parts of 2^17, which threads divide.
#[test]
fn threads_that_share_the_rows_of_one_query_find_what_one_thread_finds() {
    let base = sift(0, 10_000);
    let rows: Vec<f32> = (0..14)
        .flat_map(|copy| base.iter().enumerate().map(move |(at, value)| value + (at * copy % 7) as f32))
        .collect();
    let home = tempfile::tempdir().unwrap();
    let store = opened(&home, Metric::L2);
    store.insert(None, &rows).unwrap();
    let queries = sift(9000, 3);
    for is_coded in [false, true] {
        if is_coded {
            store
                .compress(
                    &CompressOptions { ratio: 16.0, quality: Quality::Fast, ..CompressOptions::default() },
                    &mut Work::default(),
                )
                .unwrap();
        }
        let all = answers(&store, &queries, rows.len() / DIM, &SearchOptions::default());
        let odd: Vec<u64> = (0..rows.len() as u64 / DIM as u64).filter(|id| id % 2 == 1).collect();
        for threads in [1, 2, 3, 7] {
            let options = SearchOptions { threads, ..SearchOptions::default() };
            assert_eq!(answers(&store, &queries, 10, &options), first(&all, 10, None), "{threads} threads");
            let options = SearchOptions { allow_ids: Some(&odd), ..options };
            assert_eq!(answers(&store, &queries, 10, &options), first(&all, 10, Some(&odd)), "{threads} threads");
        }
    }
}

#[test]
fn searches_go_on_beside_writes_compress_and_compact() {
    let home = tempfile::tempdir().unwrap();
    let store = opened(&home, Metric::L2);
    store.insert(None, &sift(0, 2000)).unwrap();
    store.commit().unwrap();
    let read_only =
        Store::open(home.path(), DIM as u32, &Options { mode: Mode::ReadOnly, ..Options::default() }).unwrap();
    let queries = sift(9000, 3);
    let search = |thread: usize, _| {
        for answer in answers([&store, &store, &read_only][thread], &queries, 10, &SearchOptions::default()) {
            // The store holds at least 1,900 vectors at any time.
            let distances = answer.iter().map(|(_, bits)| f32::from_bits(*bits));
            assert!(distances.is_sorted() && answer.iter().all(|(id, _)| *id < 3000), "{answer:?}");
        }
    };
    Beside::run(3, search, |searches| {
        for round in 0..4u64 {
            store.insert(None, &sift(2000 + round as usize * 100, 100)).unwrap();
            store.delete(&(round * 25..round * 25 + 25).collect::<Vec<u64>>()).unwrap();
            searches.wait("searches beside writes");
            let options = CompressOptions { quality: Quality::Fast, ratio: 6.0, ..CompressOptions::default() };
            searches.during("searches beside a compress", |work| store.compress(&options, work));
            store.upsert(&[500 + round], &sift(8000, 1)).unwrap();
            searches.during("searches beside a compact", |work| store.compact(work));
        }
    });
}

#[test]
fn estimates_are_near_the_vectors_that_were_inserted() {
    let (rows, queries) = (sift(0, 4000), sift(9000, 100));
    for metric in METRICS {
        let home = tempfile::tempdir().unwrap();
        let store = opened(&home, metric);
        store.insert(None, &rows).unwrap();
        let truth = answers(&store, &queries, 10, &SearchOptions::default());
        store.compress(&CompressOptions { ratio: 12.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
        let found = answers(&store, &queries, 10, &SearchOptions::default());
        let hits = truth
            .iter()
            .zip(&found)
            .map(|(truth, found)| truth.iter().filter(|(id, _)| found.iter().any(|(other, _)| other == id)).count());
        let recall = hits.sum::<usize>() as f64 / 1000.0;
        assert!(recall > 0.75, "{metric:?}: recall@10 {recall}");
    }
}

/// Rows far from the means and close to each other, all equal, or zero: their scores hardly differ.
#[test]
fn rows_that_scores_hardly_tell_apart_are_found_all_the_same() {
    let spread = |centre: f32, width: f32| -> Vec<f32> {
        sift(0, 1000).iter().map(|value| centre + width * (value - 30.0)).collect()
    };
    let far: Vec<f32> = [spread(1e6, 1.0), spread(-1e6, 1.0)].concat();
    let kinds = [far, spread(0.0, 0.0), spread(5.0, 1e-20), spread(0.0, 1e15), spread(-3e4, 1e-3)];
    for metric in METRICS {
        for rows in &kinds {
            let home = tempfile::tempdir().unwrap();
            let store = opened(&home, metric);
            store.insert(None, rows).unwrap();
            store
                .compress(&CompressOptions { ratio: 5.0, ..CompressOptions::default() }, &mut Work::default())
                .unwrap();
            let queries = [&rows[..5 * DIM], &[0.0; DIM], &sift(9000, 2)].concat();
            let all = answers(&store, &queries, rows.len() / DIM, &SearchOptions::default());
            assert_all_ways_agree(&store, &queries, &all, false);
        }
    }
}

/// Rows outside the range of the side bytes of a book trained on others: their score is 0, and they are always measured.
#[test]
fn rows_that_scores_say_nothing_of_are_measured() {
    for metric in METRICS {
        let home = tempfile::tempdir().unwrap();
        let store = opened(&home, metric);
        store.insert(None, &sift(0, 3000)).unwrap();
        let options = || CompressOptions { ratio: 12.0, ..CompressOptions::default() };
        store.compress(&options(), &mut Work::default()).unwrap();
        let mut far: Vec<f32> = sift(3000, 50).iter().map(|value| value * 20.0).collect();
        far.extend(sift(3050, 50).iter().map(|value| 30.0 + value * 1e-3));
        store.insert(None, &far).unwrap();
        store.compress(&options(), &mut Work::default()).unwrap();
        let queries = [&sift(9000, 5), &far[..3 * DIM], &far[60 * DIM..62 * DIM]].concat();
        let all = answers(&store, &queries, 3100, &SearchOptions::default());
        assert_all_ways_agree(&store, &queries, &all, false);
    }
}

#[test]
fn a_store_without_vectors_finds_none() {
    let home = tempfile::tempdir().unwrap();
    let store = opened(&home, Metric::L2);
    let none = vec![vec![(NO_ID, f32::NAN.to_bits()); 3]];
    assert_eq!(answers(&store, &[1.0; DIM], 3, &SearchOptions::default()), none);
    store.insert(None, &sift(0, 1000)).unwrap();
    store.compress(&CompressOptions { ratio: 8.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store.delete(&(0..1000).collect::<Vec<u64>>()).unwrap();
    for is_exact in [false, true] {
        assert_eq!(answers(&store, &[1.0; DIM], 3, &SearchOptions { is_exact, ..SearchOptions::default() }), none);
    }
    let options = SearchOptions { allow_ids: Some(&[3, 4]), ..SearchOptions::default() };
    assert_eq!(answers(&store, &[1.0; DIM], 3, &options), none);
}

#[test]
fn trap_17_damage_under_a_scan_is_an_error_and_no_answer() {
    let home = tempfile::tempdir().unwrap();
    let store = opened(&home, Metric::L2);
    store.insert(None, &sift(0, 3000)).unwrap();
    store.compress(&CompressOptions { ratio: 8.0, ..CompressOptions::default() }, &mut Work::default()).unwrap();
    store.close().unwrap();
    let name = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = name.into_iter().find(|path| path.extension().is_some_and(|end| end == "code")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let expected = answers(&opened(&home, Metric::L2), &sift(9000, 3), 10, &SearchOptions::default());
    let mut refused = 0;
    for at in (4096..whole.len() - 4096).step_by(4096 * 3 + 511) {
        let mut bytes = whole.clone();
        bytes[at] ^= 16;
        std::fs::write(&path, &bytes).unwrap();
        let Ok(store) = Store::open(home.path(), DIM as u32, &Options::default()) else { continue };
        let (mut ids, mut distances) = ([7; 30], [7.0; 30]);
        match store.search(&sift(9000, 3), 10, &SearchOptions::default(), &mut ids, &mut distances) {
            Err(Error::Corrupt { .. }) => refused += usize::from((ids, distances) == ([7; 30], [7.0; 30])),
            Err(other) => panic!("{other}"),
            // A part that no search reads: the second codebook, an error bound.
            Ok(()) => assert_eq!(ids.to_vec(), expected.concat().iter().map(|(id, _)| *id).collect::<Vec<_>>()),
        }
    }
    assert!(refused > 5, "{refused}");
}

/// Runs a search that must fail with `status` and leave its outputs unwritten.
fn refuses(store: &Store, queries: &[f32], k: usize, options: &SearchOptions, room: [usize; 2], status: i32) -> String {
    let (mut ids, mut distances) = (vec![7; room[0]], vec![7.0; room[1]]);
    let error = store.search(queries, k, options, &mut ids, &mut distances).unwrap_err();
    assert_eq!(error.status(), status, "{error}");
    assert!(ids.iter().all(|id| *id == 7) && distances.iter().all(|distance| *distance == 7.0));
    error.to_string()
}

const INVALID_ARGUMENT: i32 = 3;
const TOO_BIG: i32 = 12;

#[test]
fn queries_and_outputs_of_other_shapes_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home, Metric::L2, None);
    let (queries, options) = (sift(9000, 3), SearchOptions::default());
    for floats in [1, DIM - 1, 3 * DIM - 1] {
        let told = refuses(&store, &queries[..floats], 5, &options, [15, 15], INVALID_ARGUMENT);
        assert!(told.contains(&floats.to_string()) && told.contains("dim 128"), "{told}");
    }
    for (room, name) in [([14, 15], "ids"), ([16, 15], "ids"), ([15, 14], "distances"), ([15, 30], "distances")] {
        let told = refuses(&store, &queries, 5, &options, room, INVALID_ARGUMENT);
        assert!(told.starts_with(name) && told.contains("3 queries x 5"), "{told}");
    }
    refuses(&store, &[], 5, &options, [1, 0], INVALID_ARGUMENT);
    refuses(&store, &queries, 0, &options, [0, 1], INVALID_ARGUMENT);
    let told = refuses(&store, &queries, usize::MAX / 2, &options, [15, 15], TOO_BIG);
    assert!(told.contains("3 queries"), "{told}");
    store.search(&[], 5, &options, &mut [], &mut []).unwrap();
    store.search(&queries, 0, &options, &mut [], &mut []).unwrap();
}

#[test]
fn effort_is_a_fraction() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home, Metric::L2, None);
    let queries = sift(9000, 3);
    for effort in [-1e-9, 1.0 + 1e-9, 2.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let options = SearchOptions { effort, ..SearchOptions::default() };
        let told = refuses(&store, &queries, 5, &options, [15, 15], INVALID_ARGUMENT);
        assert!(told.contains("effort is"), "{effort}: {told}");
    }
    let expected = answers(&store, &queries, 5, &SearchOptions::default());
    for effort in [0.0, -0.0, f64::MIN_POSITIVE, 0.5, 1.0] {
        assert_eq!(answers(&store, &queries, 5, &SearchOptions { effort, ..SearchOptions::default() }), expected);
    }
}

#[test]
fn a_rerank_below_k_counts_as_k() {
    let home = tempfile::tempdir().unwrap();
    let store = filled(&home, Metric::L2, Some(4.0));
    let queries = sift(9000, 3);
    let with = |rerank: u64| answers(&store, &queries, 10, &SearchOptions { rerank, ..SearchOptions::default() });
    assert_eq!(with(1), with(10));
    assert!(with(1).iter().all(|answer| answer.iter().all(|(id, _)| *id != NO_ID)));
    assert_eq!(with(u64::MAX), with(3000));
}

#[test]
fn candidates_that_are_not_decoded_are_none_of_the_nearest() {
    // Codes of directions, whose distances are those of decoded codes: most candidates are ruled out before.
    for ratio in [8.0, 16.0] {
        let home = tempfile::tempdir().unwrap();
        let store = opened(&home, Metric::Cosine);
        store.insert(None, &sift(0, 4000)).unwrap();
        store.compress(&CompressOptions { ratio, ..CompressOptions::default() }, &mut Work::default()).unwrap();
        let queries = sift(9000, 200);
        let ids = |is_exact| -> Vec<Vec<u64>> {
            let found = answers(&store, &queries, 10, &SearchOptions { is_exact, ..SearchOptions::default() });
            found.iter().map(|answer| answer.iter().map(|(id, _)| *id).collect()).collect()
        };
        assert_eq!(ids(false), ids(true), "ratio {ratio}");
    }
}
