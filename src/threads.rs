//! Scoped threads for one piece of work.

use std::sync::{Mutex, PoisonError};

/// The most threads a call may ask for.
const THREADS_MAX: u32 = 64;

/// The number of threads to use for a request of `asked` threads; 0: one per core.
pub fn count(asked: u32) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if asked == 0 { cores() } else { asked.min(THREADS_MAX) as usize }
}

/// Runs `work` on each of `jobs`, on at most `threads` threads including the calling one.
pub fn in_parallel<J: Send>(threads: usize, jobs: impl ExactSizeIterator<Item = J> + Send, work: impl Fn(J) + Sync) {
    let helpers = threads.min(jobs.len()).saturating_sub(1);
    let jobs = Mutex::new(jobs);
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(job) = next() {
            work(job);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..helpers {
            // If a thread cannot be spawned, the remaining ones do the work.
            let _ = std::thread::Builder::new().name("omen".into()).spawn_scoped(scope, work);
        }
        work();
    });
}
