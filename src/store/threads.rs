//! Threads that live for one piece of work.

use std::sync::{Mutex, PoisonError};

/// Does `work` on each of `jobs`, with so many threads at most; the calling one is one of them.
pub(super) fn in_parallel<J: Send>(
    threads: usize,
    jobs: impl ExactSizeIterator<Item = J> + Send,
    work: impl Fn(J) + Sync,
) {
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
            // A thread the system refuses is one pair of hands less; this one does what is left.
            let _ = std::thread::Builder::new().name("omen".into()).spawn_scoped(scope, work);
        }
        work();
    });
}
