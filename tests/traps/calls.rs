//! Traps of calls that do something else than they were asked for.

use crate::{assert_found_by_another_process, bits, contents, files, get, home, open, open_to_read, vectors};
use omen::error::Error;
use omen::metric::Metric;
use omen::store::{Mode, Options, Store};

#[test]
fn trap_10_a_failed_insert_leaves_a_ghost() {
    let (_home, path) = home();
    let store = open(&path, 8);
    let rows = vectors(0, 100, 8);
    store.insert(Some(&(0..100).map(|id| id * 10).collect::<Vec<_>>()), &rows).unwrap();
    store.commit().unwrap();
    let (before, bytes) = (contents(&store), files(&path));
    let mut not_finite = vectors(500, 3, 8);
    not_finite[23] = f32::NAN;
    let good = vectors(500, 3, 8);
    assert!(matches!(store.insert(None, &not_finite), Err(Error::NotFinite { row: 2, column: 7, .. })));
    assert!(matches!(store.upsert(&[1, 2, 3], &not_finite), Err(Error::NotFinite { .. })));
    assert!(matches!(store.insert(None, &good[..23]), Err(Error::InvalidArgument(_))));
    assert!(matches!(store.insert(Some(&[1, 2]), &good), Err(Error::InvalidArgument(_))));
    assert!(matches!(store.insert(Some(&[1, 20, 3]), &good), Err(Error::DuplicateId { id: 20, position: 1, .. })));
    assert!(matches!(store.insert(Some(&[1, 2, 1]), &good), Err(Error::DuplicateId { id: 1, position: 2, .. })));
    assert!(matches!(store.upsert(&[1, 2, 2], &good), Err(Error::DuplicateId { id: 2, .. })));
    assert!(matches!(store.insert(Some(&[1, u64::MAX, 2]), &good), Err(Error::InvalidArgument(_))));
    assert_eq!(contents(&store), before);
    store.commit().unwrap();
    assert_eq!(files(&path), bytes);
    assert_eq!(store.insert(None, &good).unwrap(), 991, "no id was used up");
    assert_eq!(store.delete(&[991, 992, 993]).unwrap(), 3);
    store.close().unwrap();
    assert_found_by_another_process(&path, &before);
}

#[test]
fn trap_11_silent_normalisation() {
    let special = [0.0, -0.0, f32::MIN_POSITIVE, 1e-45, -1e-45, f32::MAX, f32::MIN, 0.1, 1e20, -7.25, 3.0, 1e-20];
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
        let (_home, path) = home();
        let options = Options { metric: Some(metric), ..Options::default() };
        let store = Store::open(&path, 12, &options).unwrap();
        store.insert(None, &special).unwrap();
        store.insert(None, &vectors(0, 500, 12)).unwrap();
        assert_eq!(bits(&get(&store, 0)), bits(&special));
        store.close().unwrap();
        let store = open_to_read(&path);
        assert_eq!((store.metric(), bits(&get(&store, 0))), (metric, bits(&special)));
        assert_eq!(bits(&get(&store, 500)), bits(&vectors(499, 1, 12)));
    }
}

#[test]
fn trap_12_an_out_of_range_read_that_gives_zeros() {
    let (_home, path) = home();
    let store = open(&path, 4);
    store.insert(None, &vectors(0, 10, 4)).unwrap();
    for reader in [None, Some(true)] {
        let opened = reader.map(|_| {
            store.close().unwrap();
            open_to_read(&path)
        });
        let store = opened.as_ref().unwrap_or(&store);
        for missing in [10, 11, 1 << 32, u64::MAX - 1, u64::MAX] {
            let mut out = [7.5; 8];
            let error = store.get(&[3, missing], &mut out, None).unwrap_err();
            assert!(matches!(error, Error::NotFound { id, position: 1 } if id == missing), "{error}");
            assert_eq!(out, [7.5; 8], "nothing is written");
            let error = store.get(&[missing], &mut out[..4], None).unwrap_err();
            assert!(matches!(error, Error::NotFound { position: 0, .. }) && out == [7.5; 8], "{error}");
        }
    }
    assert!(store.insert(None, &vectors(0, 1, 4)).is_err() && store.commit().is_err(), "closed");
}

#[test]
fn trap_13_the_callers_dim_or_metric_ignored() {
    let (_home, path) = home();
    let cosine = |mode| Options { metric: Some(Metric::Cosine), mode, ..Options::default() };
    Store::open(&path, 48, &cosine(Mode::CreateNew)).unwrap().close().unwrap();
    let bytes = files(&path);
    for mode in [Mode::ReadWriteCreate, Mode::ReadWrite, Mode::ReadOnly] {
        let error = Store::open(&path, 64, &cosine(mode)).unwrap_err();
        assert!(matches!(error, Error::DimMismatch { asked: 64, stored: 48 }));
        assert!(error.to_string().contains("64") && error.to_string().contains("48"), "{error}");
        let l2 = Options { metric: Some(Metric::L2), mode, ..Options::default() };
        let error = Store::open(&path, 48, &l2).unwrap_err();
        assert!(matches!(error, Error::MetricMismatch { asked: Metric::L2, stored: Metric::Cosine }));
        assert!(error.to_string().contains("l2") && error.to_string().contains("cosine"), "{error}");
        let store = Store::open(&path, 0, &Options { mode, ..Options::default() }).unwrap();
        assert_eq!((store.dim(), store.metric()), (48, Metric::Cosine));
        store.close().unwrap();
    }
    assert_eq!(files(&path), bytes);
}
