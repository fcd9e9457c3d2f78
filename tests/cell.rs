//! `os::Shared`, the RCU cell. Its source is compiled a second time with the atomics of loom, which runs every
//! interleaving of a few threads and every stale value that the C11 memory model lets a load return. A value that is
//! read after its drop, or unordered with it, fails the test. A stress test runs the real cell.
//!
//! `membarrier` is modelled by its guarantee: a sequentially consistent fence on the reader's side too.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../src/os/shared.rs"]
mod shared;

/// Stands in for `src/os/sync.rs`.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
    pub(super) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(super) use loom::thread_local;

    macro_rules! global {
        (static $name:ident: $type:ty = $value:expr;) => {
            loom::lazy_static! { static ref $name: $type = $value; }
        };
    }
    pub(super) use global;

    macro_rules! const_fn {
        ($($function:tt)*) => { $($function)* };
    }
    pub(super) use const_fn;
}

/// Stands in for `src/os/barrier.rs`.
mod barrier {
    use loom::sync::atomic::{Ordering, fence};

    pub(super) fn register() {}

    pub(super) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(super) fn heavy() -> bool {
        fence(Ordering::SeqCst);
        true
    }
}

mod model {
    use super::shared::Shared;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// A value whose drop must happen after every read of it: loom watches the cell.
    struct Watched {
        number: u32,
        lifetime: UnsafeCell<()>,
    }

    impl Watched {
        fn new(number: u32) -> Arc<Watched> {
            Arc::new(Watched { number, lifetime: UnsafeCell::new(()) })
        }

        fn read(&self) -> u32 {
            self.lifetime.with(|_| self.number)
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.lifetime.with_mut(|_| ());
        }
    }

    /// Runs `body` in all interleavings with at most `preemptions` switches away from a thread that could go on.
    fn explore(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.check(body);
    }

    fn replace(cell: &Shared<Watched>, number: u32) {
        cell.store(Some(Watched::new(number)));
        cell.free();
    }

    /// Two readings in a row: the second may begin while the writer looks for readers of the first.
    #[test]
    fn a_reader_beside_a_writer() {
        explore(3, || {
            let cell = Arc::new(Shared::new(Watched::new(0)));
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    let first = cell.load().unwrap().read();
                    assert!(cell.load().unwrap().read() >= first);
                })
            };
            replace(&cell, 1);
            reader.join().unwrap();
        });
    }

    /// A reading begun under an older epoch also keeps what is loaded inside it.
    #[test]
    fn a_nested_reading_beside_two_replacements() {
        explore(2, || {
            let cell = Arc::new(Shared::new(Watched::new(0)));
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    let outer = cell.load().unwrap();
                    let inner = cell.load().unwrap();
                    assert!(inner.read() >= outer.read());
                    drop(outer);
                    inner.read();
                })
            };
            replace(&cell, 1);
            replace(&cell, 2);
            reader.join().unwrap();
        });
    }

    /// A clone outlives the reading, and the cell.
    #[test]
    fn a_clone_beside_a_writer() {
        explore(3, || {
            let cell = Arc::new(Shared::new(Watched::new(0)));
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.load_full())
            };
            replace(&cell, 1);
            cell.store(None);
            cell.free();
            drop(cell);
            if let Some(value) = reader.join().unwrap() {
                value.read();
            }
        });
    }

    /// Two writers free what the other replaced; the reader's thread takes a record over that another thread left.
    #[test]
    fn two_writers_and_a_record_that_changes_hands() {
        explore(2, || {
            let cell = Arc::new(Shared::empty());
            replace(&cell, 0);
            let spawn = |run: fn(&Shared<Watched>)| {
                let cell = Arc::clone(&cell);
                thread::spawn(move || run(&cell))
            };
            spawn(|cell| assert_eq!(cell.load().unwrap().read(), 0)).join().unwrap();
            let reader = spawn(|cell| {
                cell.load().unwrap().read();
            });
            let writer = spawn(|cell| replace(cell, 1));
            replace(&cell, 2);
            reader.join().unwrap();
            writer.join().unwrap();
        });
    }
}

mod stress {
    use omen::os::Shared;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    static ALIVE: AtomicUsize = AtomicUsize::new(0);

    /// Two halves that agree while the value lives.
    struct Checked(AtomicUsize, AtomicUsize);

    impl Checked {
        fn new(number: usize) -> Arc<Checked> {
            ALIVE.fetch_add(1, Ordering::Relaxed);
            Arc::new(Checked(AtomicUsize::new(number), AtomicUsize::new(!number)))
        }
    }

    impl Drop for Checked {
        fn drop(&mut self) {
            self.0.store(0, Ordering::Relaxed);
            self.1.store(0, Ordering::Relaxed);
            ALIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn is_whole(value: &Checked) -> bool {
        value.0.load(Ordering::Relaxed) == !value.1.load(Ordering::Relaxed)
    }

    #[test]
    fn readers_never_see_a_freed_value_and_every_value_is_freed() {
        let cell = Shared::new(Checked::new(0));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut kept = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let (outer, inner) = (cell.load(), cell.load());
                        assert!(outer.is_some_and(|value| is_whole(&value)));
                        assert!(inner.is_some_and(|value| is_whole(&value)));
                        kept.extend(cell.load_full());
                        if kept.len() > 50 {
                            assert!(kept.drain(..).all(|value| is_whole(&value)));
                        }
                    }
                });
            }
            for number in 1..100_000 {
                cell.store(Some(Checked::new(number)));
            }
            stop.store(true, Ordering::Relaxed);
        });
        cell.free();
        assert_eq!(ALIVE.load(Ordering::Relaxed), 1);
        cell.store(None);
        assert!(cell.load().is_none());
        drop(cell);
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
    }
}
