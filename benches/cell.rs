//! Compares `omen::os::Shared` with `arc-swap`: the time to read the published value, alone and as part of a get.
//!
//! The cells take turns, and the fastest of many short rounds counts: on a busy machine most rounds are interrupted.
//! Run `cargo bench --bench cell`.
#![allow(clippy::expect_used, missing_docs, reason = "a benchmark that cannot start stops")]

use arc_swap::ArcSwap;
use omen::os::Shared;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 301;
/// Reads that are timed at once: a millisecond or two, so that few runs are interrupted by other processes.
const READS: usize = 10_000;
/// 100,000 rows of 128 floats: 51 MB, more than the caches hold.
const ROWS: usize = 100_000;
const DIM: usize = 128;
/// How often the writer replaces the value.
const WRITE_EVERY: Duration = Duration::from_micros(100);

/// The published value: rows, as a snapshot has them.
struct Table {
    rows: Rows,
}

/// A cell that readers load from while a writer replaces its value.
trait Cell: Send + Sync {
    fn new(value: Arc<Table>) -> Self;
    fn read<R>(&self, use_value: impl FnOnce(&Table) -> R) -> R;
    fn replace(&self, value: Arc<Table>);
}

impl Cell for Shared<Table> {
    fn new(value: Arc<Table>) -> Self {
        Shared::new(value)
    }
    fn read<R>(&self, use_value: impl FnOnce(&Table) -> R) -> R {
        use_value(&self.load().expect("a value"))
    }
    fn replace(&self, value: Arc<Table>) {
        self.store(Some(value));
    }
}

impl Cell for ArcSwap<Table> {
    fn new(value: Arc<Table>) -> Self {
        ArcSwap::new(value)
    }
    fn read<R>(&self, use_value: impl FnOnce(&Table) -> R) -> R {
        use_value(&self.load())
    }
    fn replace(&self, value: Arc<Table>) {
        self.store(value);
    }
}

/// No cell: the floor of the measurement.
impl Cell for Arc<Table> {
    fn new(value: Arc<Table>) -> Self {
        value
    }
    fn read<R>(&self, use_value: impl FnOnce(&Table) -> R) -> R {
        use_value(black_box(self))
    }
    fn replace(&self, _: Arc<Table>) {}
}

/// A get reads two cells: the table of handles, and the snapshot of the store it finds there.
struct Cells<C> {
    handle: C,
    snapshot: C,
}

/// What is timed: one read by number.
#[derive(Clone, Copy)]
enum Read {
    /// Loads one cell and looks at the value.
    Load,
    /// Loads two cells and copies a row.
    Get,
}

fn read<C: Cell>(cells: &Cells<C>, read: Read, number: usize) {
    match read {
        Read::Load => cells.snapshot.read(|table| {
            black_box(table.rows.len());
        }),
        Read::Get => {
            // An order of rows that the processor cannot guess and that does not depend on what was read before.
            let row = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % ROWS;
            let mut copy = [0.0; DIM];
            cells.handle.read(|handle| {
                black_box(handle);
                cells.snapshot.read(|table| copy.copy_from_slice(&table.rows[row]));
            });
            black_box(&copy);
        }
    }
}

/// A measurement: which reads, from which number on, on how many threads; with two there is a writer beside them.
#[derive(Clone, Copy)]
struct Run {
    read: Read,
    first: usize,
    readers: usize,
}

type Rows = Arc<Vec<[f32; DIM]>>;
type Timer = fn(&Rows, Run) -> f64;

/// Nanoseconds per read on the slowest thread.
fn time<C: Cell>(rows: &Rows, run: Run) -> f64 {
    let table = || Arc::new(Table { rows: Arc::clone(rows) });
    let cells = Cells { handle: C::new(table()), snapshot: C::new(table()) };
    let timed = || {
        let start = Instant::now();
        (run.first..run.first + READS).for_each(|number| read(&cells, run.read, number));
        start.elapsed().as_nanos() as f64 / READS as f64
    };
    if run.readers == 1 {
        return timed();
    }
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                cells.snapshot.replace(table());
                thread::sleep(WRITE_EVERY);
            }
        });
        let running: Vec<_> = (0..run.readers).map(|_| scope.spawn(timed)).collect();
        let slowest = running.into_iter().map(|reader| reader.join().expect("a reader")).fold(0.0, f64::max);
        is_done.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
        slowest
    })
}

fn main() {
    let rows: Rows = Arc::new((0..ROWS).map(|row| [row as f32; DIM]).collect());
    println!("| read                      | no cell ns | Shared ns | arc-swap ns | arc-swap / Shared |");
    println!("|---------------------------|------------|-----------|-------------|-------------------|");
    let cases = [
        ("load, 1 thread", Read::Load, 1),
        ("get, 1 thread", Read::Get, 1),
        ("load, 2 threads, 1 writer", Read::Load, 2),
        ("get, 2 threads, 1 writer", Read::Get, 2),
    ];
    for (name, read, readers) in cases {
        let timers: [Timer; 3] = [time::<Arc<Table>>, time::<Shared<Table>>, time::<ArcSwap<Table>>];
        let mut rounds = vec![[0.0; 3]; ROUNDS];
        for (round, times) in rounds.iter_mut().enumerate() {
            let run = Run { read, first: round * READS, readers };
            // A different one is first in each round: a busy scheduler would always interrupt the last.
            for turn in 0..3 {
                let column = (round + turn) % 3;
                times[column] = timers[column](&rows, run);
            }
        }
        let fastest = |column: usize| rounds.iter().map(|times| times[column]).fold(f64::INFINITY, f64::min);
        let (none, shared, arc_swap) = (fastest(0), fastest(1), fastest(2));
        let ratio = arc_swap / shared;
        println!("| {name:25} | {none:10.1} | {shared:9.1} | {arc_swap:11.1} | {ratio:16.2}x |");
    }
}
