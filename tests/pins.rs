//! A long call through the C ABI keeps no replaced memory from being freed: neither the buffers of a bulk insert nor
//! the snapshots that other calls publish beside a compress.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "the C ABI is called as C calls it")]

use omen::ffi::compress::{omen_compress_options_init, omen_store_compress};
use omen::ffi::store::{omen_store_close, omen_store_open};
use omen::ffi::types::{omen_compress_options, omen_compress_report, omen_store};
use omen::ffi::write::{omen_store_insert, omen_store_upsert};
use std::ffi::{CString, c_void};
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::{Barrier, Once};

const DIM: usize = 64;
const MIB: u64 = 1 << 20;

/// Bytes of memory that are no file's.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn open(home: &tempfile::TempDir) -> *mut omen_store {
    let path = CString::new(home.path().join("store").to_str().unwrap()).unwrap();
    let mut store = null_mut();
    // SAFETY: a NUL-terminated path and a place for the handle.
    assert_eq!(unsafe { omen_store_open(path.as_ptr(), DIM as u32, null(), &mut store) }, 0);
    store
}

fn insert(store: *mut omen_store, rows: &[f32]) {
    // SAFETY: `rows: [n][DIM]`.
    let status = unsafe { omen_store_insert(store, null(), rows.as_ptr(), rows.len() / DIM, null_mut()) };
    assert_eq!(status, 0);
}

/// What two threads wait for: both are here, then both go on.
struct Meeting {
    once: Once,
    reached: Barrier,
    left: Barrier,
}

unsafe extern "C" fn meet(user: *mut c_void, _done: u64, _total: u64) -> i32 {
    // SAFETY: `compress_slowly` gives a meeting that outlives the call.
    let meeting = unsafe { &*user.cast::<Meeting>() };
    meeting.once.call_once(|| {
        meeting.reached.wait();
        meeting.left.wait();
    });
    0
}

fn compress_slowly(store: usize, meeting: &Meeting) {
    let mut options = MaybeUninit::<omen_compress_options>::uninit();
    // SAFETY: the function fills it in.
    let mut options = unsafe {
        omen_compress_options_init(options.as_mut_ptr());
        options.assume_init()
    };
    options.ratio = 1.5;
    options.progress = Some(meet);
    options.user = std::ptr::from_ref(meeting).cast_mut().cast();
    // SAFETY: numbers only: all zeros are a report.
    let mut report: omen_compress_report = unsafe { MaybeUninit::zeroed().assume_init() };
    report.struct_size = size_of::<omen_compress_report>() as u64;
    // SAFETY: options and report as the header wants them; the handle is a number, whatever thread has it.
    assert_eq!(unsafe { omen_store_compress(store as *mut omen_store, &options, &mut report) }, 0);
}

// One test, so that nobody else allocates meanwhile.
#[test]
fn a_call_that_takes_its_time_holds_back_no_memory() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home);
    let rows: Vec<f32> = (0..(64 * MIB as usize / 4)).map(|index| (index * 7919 % 1009) as f32).collect();
    let before = anonymous_bytes();
    insert(store, &rows);
    let kept = anonymous_bytes().saturating_sub(before);
    assert!(kept < 8 * MIB, "{kept} bytes after a call that inserted 64 MiB");

    let meeting = Meeting { once: Once::new(), reached: Barrier::new(2), left: Barrier::new(2) };
    let address = store as usize;
    std::thread::scope(|scope| {
        scope.spawn(|| compress_slowly(address, &meeting));
        meeting.reached.wait();
        let before = anonymous_bytes();
        let upsert = |index: u64| {
            let id = index * 7919 % 1000;
            // SAFETY: one id and one row.
            unsafe { omen_store_upsert(store, &id, rows.as_ptr(), 1) }
        };
        let failed = (0..20_000).filter(|index| upsert(*index) != 0).count();
        let kept = anonymous_bytes().saturating_sub(before);
        // Before anything is asserted: the compress waits for it.
        meeting.left.wait();
        assert_eq!(failed, 0);
        assert!(kept < 8 * MIB, "{kept} bytes after 20,000 upserts beside a compress");
    });
    assert_eq!(omen_store_close(store), 0);
}
