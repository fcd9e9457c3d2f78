//! What a compress is to make: which segments become what, how long a code the byte budget allows, and the book for them.

use super::arrange::lists_of;
use super::encode::encode;
use super::sample::{SAMPLE_BYTES, sample_rows};
use super::upkeep::{Progress, TRAINING_ROWS_MIN, subset};
use crate::codec::{self, Codebook, Quality, Shape};
use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, Kind, Manifest, SegmentEntry, align};
use crate::ids;
use crate::kernels::Metric;
use crate::segment::coded_file_bytes;
use crate::snapshot::{Live, Snapshot};
use crate::tombstones;
use std::sync::Arc;

/// Rows trained on when the caller does not say.
const SAMPLE_ROWS: u64 = 20_000;

/// What becomes of a frozen state: the segments that stay, and what the others turn into.
pub(super) struct Plan {
    pub(super) source: Snapshot,
    pub(super) book: Arc<Codebook>,
    /// Ids of the segments the new file replaces.
    pub(super) replaces: Vec<u64>,
}

/// What a compress is asked for.
pub(super) struct Wish {
    pub(super) ratio: f64,
    /// Rows trained on; 0: chosen.
    pub(super) sample: u64,
    pub(super) seed: u64,
    pub(super) quality: Quality,
    /// Rows that are to share the book, if there are more than are here.
    pub(super) sample_of: u64,
    pub(super) metric: Metric,
}

/// Chooses between going on with the book the store has and training a new one.
///
/// With more coded rows than raw ones, the raw ones join the codes of the newest book, if it fits them and the ratio is met;
/// segments of other books stay: no vector is coded twice. Else all coded segments stay if the ratio can be met so, and the
/// raw rows get a book of their own. Otherwise everything is coded anew, the codes from their decoded vectors.
pub(super) fn plan(frozen: &Snapshot, manifest: &Manifest, wish: &Wish, progress: &mut Progress) -> Result<Plan> {
    let (raw, coded): (Vec<_>, Vec<_>) = frozen.segments.iter().cloned().partition(|live| live.codebook.is_none());
    let rows = |group: &[Arc<Live>]| group.iter().map(|live| live.count()).sum::<u64>();
    let (raw_rows, coded_rows) = (rows(&raw), rows(&coded));
    let row_raw = frozen.dim as u64 * 4;
    let budget = (((raw_rows + coded_rows).max(wish.sample_of) * row_raw) as f64 / wish.ratio) as u64;
    let manifests = 2 * manifest_bytes(manifest);
    let raw_source = subset(frozen, raw.clone());
    let mut going_on = None;
    if let Some(newest) = coded.iter().max_by_key(|live| live.segment.entry().id).filter(|_| coded_rows >= raw_rows)
        && let Some(book) = newest.codebook.clone()
    {
        let (same, others): (Vec<_>, Vec<_>) =
            coded.iter().cloned().partition(|live| live.codebook.as_ref() == Some(&book));
        let segments: Vec<Arc<Live>> = raw.iter().cloned().chain(same).collect();
        let joined = subset(frozen, segments.clone());
        let (row, book_bytes) = (book.row_bytes() as u64, book.to_bytes().len() as u64);
        let file = file_bytes(joined.view().count(), row, book_bytes, ids_bytes(&joined)?);
        let fits = file + kept_bytes(&others) + manifests <= budget;
        if fits && drift(&raw_source, raw_rows, &book, newest)? <= DRIFT_MAX {
            return Ok(whole_plan(frozen, segments, book));
        }
        going_on = fits.then_some((segments, book));
    }
    if raw_rows >= TRAINING_ROWS_MIN && coded_rows > 0 {
        let room = budget.saturating_sub(kept_bytes(&coded) + manifests);
        if let Ok(book) = book_within(&raw_source, ids_bytes(&raw_source)?, room, wish, progress)? {
            return Ok(whole_plan(frozen, raw, book));
        }
    }
    if let Some((segments, book)) = going_on {
        return Ok(whole_plan(frozen, segments, book));
    }
    match book_within(frozen, ids_bytes(frozen)?, budget.saturating_sub(manifests), wish, progress)? {
        Ok(book) => Ok(whole_plan(frozen, frozen.segments.clone(), book)),
        Err(least) => {
            let count = (raw_rows + coded_rows).max(wish.sample_of);
            let reachable = (count * row_raw) as f64 / (least + manifests) as f64;
            let what = format!("{count} vectors of dim {} reach {reachable:.3} at most", frozen.dim);
            Err(Error::InvalidArgument(format!("ratio {}: {what}", wish.ratio)))
        }
    }
}

/// Bytes of coded segments that stay as they are, and of what is hidden in them.
fn kept_bytes(coded: &[Arc<Live>]) -> u64 {
    let files: u64 = coded.iter().map(|live| align(live.segment.entry().length, BLOCK_BYTES as u64)).sum();
    files + tombstones::stored_bytes(coded.iter().map(|live| &live.hidden))
}

/// Rows looked at to see if a book fits them. Fewer new ones neither tell nor train a better book.
const DRIFT_ROWS: u64 = 2048;

/// A book fits as long as it leaves at most so many times the error of the rows it was trained for.
const DRIFT_MAX: f64 = 1.3;

/// The error that `book`, which `live` is coded with, leaves of the rows of `raw`, in terms of the rows it was made for.
fn drift(raw: &Snapshot, rows: u64, book: &Codebook, live: &Live) -> Result<f64> {
    if rows < DRIFT_ROWS {
        return Ok(1.0);
    }
    let vectors = sample_rows(raw, rows, DRIFT_ROWS, 0)?;
    let (_, errors) = encode(book, &vectors, 1);
    let error = errors.iter().map(|row| row.error).sum::<f64>() / errors.len() as f64;
    Ok(if error > 0.0 { error / live.segment.footer().measured.trained } else { 1.0 })
}

fn whole_plan(frozen: &Snapshot, segments: Vec<Arc<Live>>, book: Arc<Codebook>) -> Plan {
    let replaces = segments.iter().map(|live| live.segment.entry().id).collect();
    // Segments of an equal book hold the one `Arc`, so their codes are copied.
    let shared = |live: &Arc<Live>| match &live.codebook {
        Some(own) if *own == book => Arc::new(Live { codebook: Some(Arc::clone(&book)), ..Live::clone(live) }),
        _ => Arc::clone(live),
    };
    let source = subset(frozen, segments.iter().map(shared).collect());
    Plan { source, book, replaces }
}

/// Bytes of one manifest once the new segment is listed.
fn manifest_bytes(manifest: &Manifest) -> u64 {
    let mut next = manifest.clone();
    next.files.push(SegmentEntry { kind: Kind::Code, id: 0, length: 0, rows: 0, root: 0 });
    next.encode().len() as u64
}

/// Exact bytes of the id section for the live rows of a state.
fn ids_bytes(state: &Snapshot) -> Result<u64> {
    let view = state.view();
    let mut all: Vec<u64> = Vec::new();
    loop {
        let batch = view.in_order(all.last().map_or(0, |last| last + 1), 1 << 16)?;
        if batch.is_empty() {
            return Ok(ids::encode(&all, &[]).len() as u64);
        }
        all.extend(batch.into_iter().map(|(id, _)| id));
    }
}

/// Windows, and the logarithm of what they divide the error of windows of one run by, as measured on SIFT at 62 symbols.
const WINDOW_GAINS: [(usize, f64); 8] =
    [(1, 0.0), (2, 0.42), (4, 0.49), (8, 0.60), (12, 0.62), (16, 0.64), (20, 0.73), (24, 0.75)];

/// The same where directions are coded, which have nothing to do with each other: on sentence embeddings at 172 symbols.
const TURNED_GAINS: [(usize, f64); 5] = [(1, 0.0), (2, 0.42), (4, 0.49), (8, 0.522), (20, 0.533)];

/// The same of a byte of code for each dim: a bit makes the error a quarter.
const BYTE_GAIN: f64 = 16.0 * std::f64::consts::LN_2;

/// The same of a stage less, on sentence embeddings at 98 bytes: what two stages choose is not chosen together.
const STAGE_GAIN: f64 = 0.1;

/// A book of the longest codes with which a file of the rows of `source` takes at most `room` bytes, trained on an even
/// sample of them, decoded where they are codes; the least possible bytes where even the shortest codes do not fit.
fn book_within(
    source: &Snapshot,
    ids_bytes: u64,
    room: u64,
    wish: &Wish,
    progress: &mut Progress,
) -> Result<std::result::Result<Arc<Codebook>, u64>> {
    let rows = source.view().count();
    let shared_by = rows.max(wish.sample_of);
    // A thousandth is left, so that the book still fits when more rows come and the last block is not full.
    let files = Files { rows: shared_by, ids_bytes, room: room - room / 1000 };
    let plain = Shape {
        dim: source.dim,
        row_bytes: 1,
        window: 1,
        directions: 0,
        metric: Some(wish.metric),
        quality: wish.quality,
    };
    let shape = match files.shape(&plain) {
        Ok(shape) => shape,
        Err(least) => return Ok(Err(least + least / 999 + 1)),
    };
    let in_memory = (SAMPLE_BYTES / (source.dim as u64 * 4)).clamp(TRAINING_ROWS_MIN, SAMPLE_ROWS);
    let wanted = if wish.sample == 0 { in_memory } else { wish.sample.max(TRAINING_ROWS_MIN) };
    let vectors = sample_rows(source, rows, wanted.min(rows), wish.seed)?;
    let all = progress.rows;
    let mut part = |begin: u64, end: u64, done: u64, total: u64| {
        progress.tell(all * (begin * (total - done) + end * done) / (100 * total.max(1))).is_err()
    };
    let mut train = || {
        let of_directions = |directions| files.shape(&Shape { directions, ..plain }).ok();
        let told = &mut |done, total| part(0, 15, done, total);
        let mut shape = codec::better_shape(&vectors, &shape, &of_directions, wish.seed, told)?;
        loop {
            let told = &mut |done, total| part(15, 100, done, total);
            let book = Codebook::train(&vectors, &shape, wish.seed, told)?;
            let bytes = file_bytes(shared_by, book.row_bytes() as u64, book.to_bytes().len() as u64, ids_bytes);
            if bytes <= room || shape.window == 1 {
                return Ok(book);
            }
            // Uneven runs make a book larger than it was charged for.
            shape.window = shape.window * 3 / 4;
        }
    };
    let trained = train().map(Arc::new);
    trained.map(Ok).map_err(|error| match error {
        Error::Cancelled { done, total } => Error::Cancelled { done: all * done / total.max(1), total: all * 2 },
        other => other,
    })
}

/// Bytes of a file of codes, its lists among them.
pub(super) fn file_bytes(rows: u64, row_bytes: u64, codebook_bytes: u64, ids_bytes: u64) -> u64 {
    coded_file_bytes(rows, row_bytes, codebook_bytes, ids_bytes, lists_of(rows, row_bytes))
}

/// What the codes of one file may take.
struct Files {
    rows: u64,
    ids_bytes: u64,
    room: u64,
}

impl Files {
    /// `plain` with the code and windows that leave the least error of those that fit; or the least possible bytes.
    fn shape(&self, plain: &Shape) -> std::result::Result<Shape, u64> {
        // Books of scalar codes may be smaller than those of shorter codes: the two kinds are searched one after the other.
        let scalar = Shape::row_bytes_scalar(plain.dim);
        let of = |row_bytes: usize, window: usize| Shape { row_bytes, window, ..*plain };
        let fits = |row_bytes: usize, window: usize| self.bytes(&of(row_bytes, window)) <= self.room;
        if let Some(row_bytes) = longest(scalar, Shape::row_bytes_max(plain.dim), |row_bytes| fits(row_bytes, 1)) {
            return Ok(of(row_bytes, 1));
        }
        let mut best = None;
        let gains = if plain.directions > 0 { TURNED_GAINS.as_slice() } else { &WINDOW_GAINS };
        for &(window, gain) in gains {
            let Some(row_bytes) = longest(1, scalar - 1, |row_bytes| fits(row_bytes, window)) else { continue };
            let shape = of(row_bytes, window);
            // A few bytes more are not worth another stage.
            let one_stage_less = longest(1, row_bytes, |row_bytes| of(row_bytes, window).stages() < shape.stages());
            let shorter = one_stage_less.filter(|row_bytes| fits(*row_bytes, window));
            for shape in shorter.map(|row_bytes| of(row_bytes, window)).into_iter().chain([shape]) {
                let bytes = shape.row_bytes as f64 / plain.dim as f64;
                let gain = gain + BYTE_GAIN * bytes - STAGE_GAIN * shape.stages() as f64;
                if best.is_none_or(|(most, _)| gain > most) {
                    best = Some((gain, shape));
                }
            }
        }
        best.map(|(_, shape)| shape).ok_or_else(|| self.bytes(&of(1, 1)))
    }

    fn bytes(&self, shape: &Shape) -> u64 {
        file_bytes(self.rows, shape.row_bytes as u64, Codebook::stored_bytes(shape) as u64, self.ids_bytes)
    }
}

/// The largest of the numbers `from..=to` that fits; all below one that fits do.
fn longest(from: usize, to: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut too_many, mut least) = (to + 1, from);
    while least < too_many {
        let middle = least.midpoint(too_many);
        if fits(middle) { least = middle + 1 } else { too_many = middle }
    }
    (least > from).then(|| least - 1)
}
