//! Waiting for what other threads and processes do, however busy the machine is.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "each test binary uses its part")]

use std::sync::atomic::{AtomicBool, Ordering};
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

/// Tells threads to stop when it goes, also when the test that started them fails: a scope waits for its threads.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
