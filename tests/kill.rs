//! kill -9: this binary runs itself as a child that writes to a real directory and acknowledges each commit over a
//! pipe. The parent kills it at a random moment, opens the store and compares it with the calls the child must have
//! made.
//!
//!     OMEN_KILLS=10000   number of kills instead of 500
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod random;

use omen::error::Error;
use omen::os::open_or_create_dir;
use omen::store::{CompressOptions, Options, Store, Tuning};
use omen::work::Work;
use random::mix;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const KILLS: u64 = 500;
const DIM: usize = 8;
/// Kills of one directory before the next one begins.
const KILLS_A_STORE: u64 = 25;
const CHILD: &str = "OMEN_KILL_CHILD";
/// More calls than a child makes between two acknowledgements.
const CALLS_UNACKNOWLEDGED: u64 = 64;

/// A random number for two numbers.
fn mixed(seed: u64, number: u64) -> u64 {
    mix(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03))
}

/// The vector that call `number` puts under `id`.
fn vector(id: u64, number: u64) -> Vec<f32> {
    (0..DIM as u64).map(|column| (mixed(id ^ column << 40, number) >> 40) as f32 / 16_777_216.0 - 0.5).collect()
}

/// Call `number` of every child: it follows from the number alone.
enum Call {
    Insert(Vec<u64>),
    Upsert(Vec<u64>),
    Delete(Vec<u64>),
    Commit,
    Compress,
    Compact,
}

impl Call {
    fn number(number: u64) -> Call {
        let some = |salt: u64| {
            let mut ids: Vec<u64> = (0..8).map(|index| mixed(salt + index, number) % 4096).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        match mixed(1, number) % 64 {
            0 => Call::Compress,
            1 => Call::Compact,
            2..18 => Call::Commit,
            18..28 => Call::Upsert(some(10)),
            28..38 => Call::Delete(some(20)),
            // Ids no other call has; large calls are written in several frames.
            kind => Call::Insert(
                (0..if kind == 63 { 200 } else { 5 }).map(|index| 1_000_000 + number * 256 + index).collect(),
            ),
        }
    }

    fn make(&self, number: u64, store: &Store) -> Result<(), Error> {
        let vectors = |ids: &[u64]| ids.iter().flat_map(|id| vector(*id, number)).collect::<Vec<f32>>();
        match self {
            Call::Insert(ids) => store.insert(Some(ids), &vectors(ids)).map(|_| ()),
            Call::Upsert(ids) => store.upsert(ids, &vectors(ids)),
            Call::Delete(ids) => store.delete(ids).map(|_| ()),
            Call::Commit => store.commit(),
            Call::Compact => store.compact(&mut Work::default()),
            // Below this a code of few symbols is all the ratio leaves room for, and nothing decoded is near.
            Call::Compress if store.count() < 2000 => store.commit(),
            Call::Compress => {
                let options = CompressOptions { ratio: 1.3, sample: 256, ..CompressOptions::default() };
                match store.compress(&options, &mut Work::default()) {
                    // A store too small to be compressed stays as it was.
                    Err(Error::TooFewVectors { .. } | Error::InvalidArgument(_)) => store.commit(),
                    other => other.map(|_| println!("\ncompressed")),
                }
            }
        }
    }

    fn is_durable(&self) -> bool {
        matches!(self, Call::Commit | Call::Compress | Call::Compact)
    }
}

fn open(path: &Path) -> Result<Store, Error> {
    let tuning =
        Tuning { seal_bytes: 48 << 10, close_seal_bytes: 16 << 10, buffer_bytes: 2 << 10, ..Tuning::default() };
    let options = Options { threads: 1, ..Options::default() };
    Store::open_tuned(Box::new(open_or_create_dir(path, true)?), DIM as u32, &options, tuning)
}

/// The child's whole life; a test only in name.
#[test]
fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (first, path) = order.split_once(' ').unwrap();
    let store = open(Path::new(path)).unwrap();
    let mut pipe = std::io::stdout().lock();
    writeln!(pipe, "\nopened").unwrap();
    for number in first.parse().unwrap().. {
        let call = Call::number(number);
        call.make(number, &store).unwrap();
        if call.is_durable() {
            writeln!(pipe, "acknowledged {number}").unwrap();
        }
    }
}

/// What is stored under an id.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    bits: Vec<f32>,
    /// Compressed since: the bits are what it was before, and what is stored is near.
    is_coded: bool,
}

type Rows = BTreeMap<u64, Row>;

fn applied(rows: &mut Rows, number: u64) {
    match Call::number(number) {
        Call::Insert(ids) | Call::Upsert(ids) => {
            rows.extend(ids.into_iter().map(|id| (id, Row { bits: vector(id, number), is_coded: false })));
        }
        Call::Delete(ids) => rows.retain(|id, _| !ids.contains(id)),
        Call::Compress => rows.values_mut().for_each(|row| row.is_coded = true),
        Call::Commit | Call::Compact => {}
    }
}

fn holds(found: &BTreeMap<u64, Vec<f32>>, rows: &Rows) -> bool {
    found.keys().eq(rows.keys())
        && found.values().zip(rows.values()).all(|(found, row)| {
            let distance: f32 = found.iter().zip(&row.bits).map(|(a, b)| (a - b) * (a - b)).sum();
            found == &row.bits || row.is_coded && distance < 0.5
        })
}

/// Where what is found departs from what is acknowledged.
fn difference(found: &BTreeMap<u64, Vec<f32>>, rows: &Rows) -> String {
    let missing: Vec<_> = rows.keys().filter(|id| !found.contains_key(id)).collect();
    let extra: Vec<_> = found.keys().filter(|id| !rows.contains_key(id)).collect();
    let other = rows.iter().filter(|(id, row)| found.get(id).is_some_and(|found| *found != row.bits));
    let other: Vec<_> = other.map(|(id, row)| (id, row.is_coded)).collect();
    let counts = (missing.len(), extra.len(), other.len());
    let (missing, extra) = (&missing[..missing.len().min(20)], &extra[..extra.len().min(20)]);
    let other: Vec<_> = other.iter().filter(|(_, is_coded)| !is_coded).take(20).collect();
    format!("(missing, extra, other) {counts:?}: {missing:?} {extra:?} {other:?}")
}

fn read_all(store: &Store) -> BTreeMap<u64, Vec<f32>> {
    let (mut rows, mut position) = (BTreeMap::new(), 0);
    let (mut ids, mut vectors) = (vec![0; 512], vec![0.0; 512 * DIM]);
    loop {
        let found = store.list(&mut position, &mut ids, Some(&mut vectors)).unwrap();
        if found == 0 {
            return rows;
        }
        rows.extend(ids[..found].iter().copied().zip(vectors.chunks_exact(DIM).map(<[f32]>::to_vec)));
    }
}

/// What a child has done when the time to its kill begins to run. The time is random; the tests need none of it.
enum Moment {
    /// It was started: it may not have opened the store yet.
    Started,
    /// It acknowledged so many calls.
    Acknowledged(usize),
    Compressed,
}

impl Moment {
    fn drawn(kill: u64) -> Moment {
        match mixed(kill, 78) % 4 {
            // However slow the machine, the other kills of the directory find codes.
            _ if kill.is_multiple_of(KILLS_A_STORE) => Moment::Compressed,
            0 => Moment::Started,
            _ => Moment::Acknowledged(1 + mixed(kill, 79) as usize % 4),
        }
    }

    /// `lines`: what the child printed so far.
    fn has_come(&self, lines: &[String]) -> bool {
        match self {
            Moment::Started => true,
            Moment::Acknowledged(count) => lines.iter().filter_map(|line| acknowledged(line)).count() >= *count,
            Moment::Compressed => lines.iter().any(|line| line == "compressed"),
        }
    }

    /// The longest time from here to the kill, in microseconds.
    fn span(&self) -> u64 {
        if matches!(self, Moment::Started) { 50_000 } else { 20_000 }
    }
}

/// The call that a line of a child acknowledges.
fn acknowledged(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

/// Runs a child from call `first` on and kills it some time after `moment`; returns its last acknowledgement.
fn run_child(path: &Path, first: u64, moment: &Moment, after: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, format!("{first} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pipe = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || pipe.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    let mut lines = Vec::new();
    while !moment.has_come(&lines) {
        lines.push(receiver.recv().expect("the child goes on until it is killed"));
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.code().is_none(), "the child ended by itself: {status}");
    lines.extend(receiver);
    lines.iter().rev().find_map(|line| acknowledged(line))
}

/// Trap 14: whatever is acknowledged before a kill is there after it, bit for bit, and `verify` finds no damage.
#[test]
fn trap_14_a_killed_writer_loses_nothing_acknowledged() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let kills = std::env::var("OMEN_KILLS").map_or(KILLS, |value| value.parse().expect("OMEN_KILLS"));
    let (mut directory, mut rows) = (tempfile::tempdir().unwrap(), Rows::new());
    let (mut acknowledgements, mut coded, mut first) = (0, 0, 0);
    for kill in 0..kills {
        if kill % KILLS_A_STORE == 0 {
            (directory, rows) = (tempfile::tempdir().unwrap(), Rows::new());
        }
        let path = directory.path().join("store");
        let moment = Moment::drawn(kill);
        let after = Duration::from_micros(mixed(kill, 77) % moment.span());
        let acknowledged = run_child(&path, first, &moment, after);
        acknowledgements += u64::from(acknowledged.is_some());
        let store = open(&path).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        let found = read_all(&store);
        let mut next = first;
        while acknowledged.is_some_and(|acknowledged| next <= acknowledged) {
            applied(&mut rows, next);
            next += 1;
        }
        let (least, mut at_least) = (next, Rows::new());
        while !holds(&found, &rows) {
            if next == least {
                at_least = rows.clone();
            }
            assert!(
                next < least + CALLS_UNACKNOWLEDGED,
                "kill {kill}: not what calls {first}..{least} or more leave: {}",
                difference(&found, &at_least)
            );
            applied(&mut rows, next);
            next += 1;
        }
        store.verify(&mut Work::default()).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        coded += u64::from(store.stats().unwrap().compressed_vectors > 0);
        store.close().unwrap();
        rows = found.into_iter().map(|(id, bits)| (id, Row { bits, is_coded: false })).collect();
        // Numbers are not used twice: a call cut off is never made again.
        first = next + CALLS_UNACKNOWLEDGED;
    }
    assert!(acknowledgements > kills / 4, "only {acknowledgements} of {kills} children acknowledged anything");
    assert!(coded > kills / 8, "only {coded} of {kills} kills met compressed vectors");
}
