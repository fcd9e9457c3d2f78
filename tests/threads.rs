//! docs/threads.md: the tests that it names exist. Also tests calls that wait for each other, which no other test
//! covers.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use omen::store::{CompressOptions, Options, Store};
use omen::work::Work;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DIM: usize = 16;
const INVALID_HANDLE: i32 = 2;

#[test]
fn tests_that_the_page_names_are_there() {
    let page = fs::read_to_string(format!("{ROOT}/docs/threads.md")).unwrap();
    let (mut file, mut found) = (String::new(), 0);
    // Code in backquotes: the path of a file, then the names of its tests.
    for code in page.split('`').skip(1).step_by(2) {
        if code.ends_with(".rs") || code.ends_with(".py") {
            file = fs::read_to_string(format!("{ROOT}/{code}")).unwrap_or_else(|error| panic!("{code}: {error}"));
        } else if code.matches('_').count() > 1 && !code.starts_with("omen_") && !code.starts_with("OMEN_") {
            let has = ["fn ", "def "].iter().any(|word| file.contains(&format!("{word}{code}(")));
            assert!(has, "{code} is not where the page says");
            found += 1;
        }
    }
    assert!(found >= 15, "{found} tests");
}

#[test]
fn compress_and_close_wait_for_a_compress() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("store"), DIM as u32, &Options::default()).unwrap();
    let rows: Vec<f32> = (0..2000 * DIM).map(|index| (index * 7919 % 1009) as f32).collect();
    store.insert(None, &rows).unwrap();
    let others_done = AtomicBool::new(false);
    let compress_again = || {
        let done = store.compress(&ratio(2.0), &mut Work::default());
        others_done.store(true, Ordering::SeqCst);
        // Before the close it compresses, behind it it finds the store closed.
        assert!(done.map_or_else(|error| error.status() == INVALID_HANDLE, |report| report.vectors == 2000));
    };
    let close = || {
        store.close().unwrap();
        others_done.store(true, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        let mut is_first = true;
        let mut told = |_, _| {
            if std::mem::take(&mut is_first) {
                scope.spawn(compress_again);
                scope.spawn(close);
            }
            assert!(!others_done.load(Ordering::SeqCst), "a call did not wait for the compress");
            false
        };
        let report = store.compress(&ratio(3.0), &mut Work::new(0, Some(&mut told))).unwrap();
        assert_eq!(report.vectors, 2000);
    });
    assert!(others_done.load(Ordering::SeqCst));
}

fn ratio(ratio: f64) -> CompressOptions {
    CompressOptions { ratio, ..CompressOptions::default() }
}
