//! Waiting for what other threads and processes do, however busy the machine is.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "each test binary uses its part")]

use omen::work::Work;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A test that waits longer fails, so that it does not hang.
pub const GUARD: Duration = Duration::from_secs(15 * 60);

/// Waits until `holds` returns true.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < GUARD, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Threads that repeat a step beside what a test does.
pub struct Beside {
    /// How often each thread did its step.
    counts: Vec<AtomicU64>,
    is_over: AtomicBool,
}

/// Ends the threads, also when a test or one of them fails: a scope waits for its threads.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Beside {
    /// Runs `test` beside `threads` threads that repeat `step`, which is given the thread's number and how often that
    /// thread did it before.
    pub fn run(threads: usize, step: impl Fn(usize, u64) + Sync, test: impl FnOnce(&Beside)) {
        let beside =
            Beside { counts: (0..threads).map(|_| AtomicU64::new(0)).collect(), is_over: AtomicBool::new(false) };
        std::thread::scope(|scope| {
            let _end = EndOnDrop(&beside.is_over);
            for thread in 0..threads {
                let (beside, step) = (&beside, &step);
                scope.spawn(move || {
                    let _end = EndOnDrop(&beside.is_over);
                    while !beside.is_over() {
                        step(thread, beside.counts[thread].fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
            test(&beside);
        });
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Returns once each thread began a step and ended it since the call.
    pub fn wait(&self, what: &str) {
        for count in &self.counts {
            let before = count.load(Ordering::Relaxed);
            // A step is counted when it begins.
            wait_until(what, || self.is_over() || count.load(Ordering::Relaxed) >= before + 2);
        }
        assert!(!self.is_over(), "{what}: a thread failed");
    }

    /// Makes a call whose first three reports of progress wait for the threads.
    pub fn during<T>(&self, what: &str, call: impl FnOnce(&mut Work) -> omen::error::Result<T>) {
        let mut reports = 0;
        let mut progress = |_, _| {
            reports += 1;
            if reports <= 3 {
                self.wait(what);
            }
            false
        };
        call(&mut Work::new(0, Some(&mut progress))).unwrap();
        assert!(reports > 0, "{what}: no progress was reported");
    }
}
