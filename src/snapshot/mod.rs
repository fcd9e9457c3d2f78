//! What a reader sees: the sealed segments of one generation, the tail up to a count, and what is hidden in both.
//!
//! A snapshot is published whole and never changes, but for `visible`: inserts of new ids only add rows behind the count,
//! so they raise it in place (and `last_filter`, which only remembers what was found). Anything that hides a row, or moves the tail, publishes a new snapshot and leaves the old
//! one's count where it was. So a reader that loads a snapshot and then its count sees whole calls only.

use crate::codec::{Codebook, block};
use crate::error::{Error, Result};
use crate::format::{SegmentEntry, bound_above, bound_of};
use crate::kernels::{self, BLOCK_ROWS};
use crate::os::Dir;
use crate::segment::Segment;
use crate::segment::ids::RowIds;
use crate::segment::tombstones::Tombstones;
use crate::tail::{Tail, TailIds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A sealed segment with what is hidden in it.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// The file.
    pub segment: Arc<Segment>,
    /// What its codes mean; `None` where rows are raw.
    pub codebook: Option<Arc<Codebook>>,
    /// Rows deleted or put again since.
    pub hidden: Tombstones,
}

/// One state of the store.
#[derive(Debug)]
pub struct Snapshot {
    /// The manifest's generation.
    pub generation: u64,
    /// Floats a row.
    pub dim: usize,
    /// Sealed segments, oldest first.
    pub segments: Vec<Arc<SegmentView>>,
    /// The active log's rows, if it has any.
    pub tail: Option<Tail>,
    /// Rows of the tail deleted or put again since.
    pub tail_hidden: Tombstones,
    /// Rows of the tail that readers may look at.
    pub visible: AtomicU32,
    /// The rows that a search was last allowed.
    pub last_filter: crate::query::LastFilter,
}

/// Where a live row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the tail.
    Tail(u32),
    /// In a sealed segment: its number in the list, and the row.
    Sealed(usize, u32),
}

/// A snapshot with the count of tail rows its reader sees: the same for the whole of one call.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub snapshot: &'a Snapshot,
    pub visible: u32,
}

/// Room for codes while they are decoded, kept across the rows of a call.
#[derive(Debug, Default)]
pub struct Scratch {
    pub rows: Vec<u32>,
    pub codes: Vec<u8>,
}

/// Rows of a segment that are decoded when it is verified.
const CHECKED_ROWS: usize = 256;

impl Snapshot {
    /// A state without a tail.
    pub fn sealed(generation: u64, dim: usize, segments: Vec<Arc<SegmentView>>) -> Snapshot {
        let (tail, tail_hidden, visible) = (None, Tombstones::default(), AtomicU32::new(0));
        Snapshot {
            generation,
            dim,
            segments,
            tail,
            tail_hidden,
            visible,
            last_filter: crate::query::LastFilter::default(),
        }
    }

    /// A copy that can be changed and published.
    pub fn copy(&self) -> Snapshot {
        Snapshot {
            generation: self.generation,
            dim: self.dim,
            segments: self.segments.clone(),
            tail: self.tail.clone(),
            tail_hidden: self.tail_hidden.clone(),
            visible: AtomicU32::new(self.visible.load(Ordering::Acquire)),
            last_filter: crate::query::LastFilter::default(),
        }
    }

    /// What a reader sees from now on.
    pub fn view(&self) -> View<'_> {
        View { snapshot: self, visible: self.visible.load(Ordering::Acquire) }
    }

    /// The writer's view: rows it appended and has not published count too.
    pub fn view_to(&self, visible: u32) -> View<'_> {
        View { snapshot: self, visible }
    }

    /// Hides the row at `place`; true if it was visible.
    pub fn hide(&mut self, place: Place) -> bool {
        match place {
            Place::Tail(row) => self.tail_hidden.hide(row),
            Place::Sealed(index, row) => Arc::make_mut(&mut self.segments[index]).hidden.hide(row),
        }
    }

    /// Gives tail rows from `first_row` on their ids, one by one, hiding what had them. Ids from `known_new_from` on are
    /// stored nowhere (`None`: none of `ids` is, and none stands there twice).
    pub fn name_rows(&mut self, first_row: u32, rows: u32, ids: RowIds, mut known_new_from: Option<u64>) -> Result<()> {
        let Some(tail) = &mut self.tail else { return Err(Error::Internal("rows without a tail".into())) };
        if first_row == 0 && rows > 0 {
            // The first row of a tail decides where its run begins.
            tail.ids = Arc::new(TailIds::new(ids.get(0)));
        }
        let counts_up = matches!(ids, RowIds::From(first) if tail.ids.continues_run(first_row, first));
        if !counts_up && !tail.ids.has_room(rows as usize) {
            tail.ids = Arc::new(tail.ids.grow(rows as usize));
        }
        let tail_ids = Arc::clone(&tail.ids);
        for index in 0..rows {
            let (row, id) = (first_row + index, ids.get(index as usize));
            let replaced = match known_new_from {
                Some(bound) if id < bound => self.view_to(row).locate(id)?,
                _ => None,
            };
            known_new_from = known_new_from.map(|bound| bound.max(id.saturating_add(1)));
            if let Some(place) = replaced {
                self.hide(place);
            }
            if !tail_ids.continues_run(row, id) {
                tail_ids.list(row, id, tail_ids.find(id, row));
            }
        }
        Ok(())
    }

    /// Hides the vectors of `ids` among the first `rows` rows of the tail and in all segments.
    pub fn delete(&mut self, rows: u32, ids: impl Iterator<Item = u64>) -> Result<()> {
        for id in ids {
            if let Some(place) = self.view_to(rows).locate(id)? {
                self.hide(place);
            }
        }
        Ok(())
    }

    /// Rows hidden in all segments and the tail.
    pub fn hidden(&self) -> u64 {
        self.segments.iter().map(|live| live.hidden.count()).sum::<u64>() + self.tail_hidden.count()
    }
}

impl SegmentView {
    /// Opens one sealed segment with its codebook, which is one of `known` where that is stored there.
    pub fn open(
        dir: &dyn Dir,
        entry: &SegmentEntry,
        dim: u32,
        hidden: Tombstones,
        known: &[Arc<Codebook>],
    ) -> Result<SegmentView> {
        let segment = Segment::open(dir, entry, dim)?;
        let mut codebook = None;
        if segment.is_coded() {
            let book = Codebook::intern(known, segment.name(), segment.codebook()?)?;
            let found = (book.dim(), book.symbols(), book.side_bytes());
            let expected = (dim as usize, segment.footer().symbols as usize, segment.footer().side_bytes as usize);
            if found != expected {
                let what = format!("codebook of (dim, symbols, side bytes) {found:?}, expected {expected:?}");
                return Err(Error::corrupt(segment.name(), what));
            }
            codebook = Some(book);
        }
        Ok(SegmentView { segment: Arc::new(segment), codebook, hidden })
    }

    /// Decodes or copies `row` into `out: [dim]`.
    #[inline]
    pub fn read(&self, row: u32, scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        if self.codebook.is_none() {
            kernels::floats(self.segment.row(row)?, out);
            return Ok(());
        }
        self.read_rows(&[row], &mut scratch.codes, out)
    }

    /// Decodes or copies `rows` into `out: [rows][dim]`: many codes are decoded faster together.
    pub fn read_rows(&self, rows: &[u32], codes: &mut Vec<u8>, out: &mut [f32]) -> Result<()> {
        let Some(codebook) = &self.codebook else {
            let dim = out.len() / rows.len().max(1);
            let mut pairs = rows.iter().zip(out.chunks_exact_mut(dim.max(1)));
            return pairs.try_for_each(|(row, out)| self.segment.row(*row).map(|bytes| kernels::floats(bytes, out)));
        };
        codes.resize(rows.len() * codebook.row_bytes(), 0);
        for (row, code) in rows.iter().zip(codes.chunks_exact_mut(codebook.row_bytes())) {
            self.code(codebook, *row, code)?;
        }
        codebook.decode(codes, out);
        Ok(())
    }

    /// Takes the code of `row` out of its block, into `code: [row_bytes]`.
    pub fn code(&self, codebook: &Codebook, row: u32, code: &mut [u8]) -> Result<()> {
        let bytes = self.segment.block(row / BLOCK_ROWS as u32)?;
        block::unpack(bytes, row as usize % BLOCK_ROWS, codebook.symbols(), codebook.side_bytes(), code);
        Ok(())
    }

    /// Decodes a sample of the codes and checks that they, their side bytes and their error bounds go together.
    pub fn check_bounds(&self) -> Result<()> {
        let Some(codebook) = &self.codebook else { return Ok(()) };
        let (rows, name) = (self.segment.rows(), self.segment.name());
        let farthest = self.segment.footer().measured.farthest;
        let most = bound_of(bound_above(farthest)).unwrap_or(f32::INFINITY);
        let mut scratch = Scratch::default();
        let mut vector = vec![0.0; codebook.dim()];
        for row in (0..rows).step_by((rows as usize).div_ceil(CHECKED_ROWS)) {
            let block = row / BLOCK_ROWS as u32;
            let bound = self.segment.bound(block)?;
            if bound > most {
                return Err(Error::corrupt(
                    name,
                    format!("block {block}: bound {bound}, at most {farthest} in the footer"),
                ));
            }
            self.read(row, &mut scratch, &mut vector)?;
            if !codebook.agrees(&scratch.codes, &vector, bound) {
                return Err(Error::corrupt(name, format!("row {row}: the side byte is beyond the bound {bound}")));
            }
        }
        Ok(())
    }

    /// The number of its file.
    pub fn id(&self) -> u64 {
        self.segment.entry().id
    }

    /// True if its rows are codes of `book`.
    pub fn is_coded_with(&self, book: &Codebook) -> bool {
        self.codebook.as_ref().is_some_and(|own| own.id() == book.id())
    }

    /// Live rows.
    pub fn count(&self) -> u64 {
        u64::from(self.segment.rows()) - self.hidden.count()
    }
}

impl<'a> View<'a> {
    /// Live vectors.
    pub fn count(&self) -> u64 {
        let sealed: u64 = self.snapshot.segments.iter().map(|live| live.count()).sum();
        sealed + u64::from(self.visible) - self.snapshot.tail_hidden.count()
    }

    /// Where the vector with `id` is, if it is live.
    #[inline]
    pub fn locate(&self, id: u64) -> Result<Option<Place>> {
        if let Some(row) = self.locate_in_tail(id) {
            return Ok(Some(Place::Tail(row)));
        }
        for (index, live) in self.snapshot.segments.iter().enumerate().rev() {
            if let Some(row) = live.segment.row_of(id)?
                && !live.hidden.hides(row)
            {
                return Ok(Some(Place::Sealed(index, row)));
            }
        }
        Ok(None)
    }

    #[inline]
    pub fn locate_in_tail(&self, id: u64) -> Option<u32> {
        let tail = self.snapshot.tail.as_ref()?;
        tail.ids.find(id, self.visible).filter(|row| !self.snapshot.tail_hidden.hides(*row))
    }

    /// Reads the vector at `place` into `out: [dim]`.
    #[inline]
    pub fn read(&self, place: Place, scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        if let Place::Sealed(index, row) = place {
            return self.snapshot.segments[index].read(row, scratch, out);
        }
        kernels::floats(self.raw_bytes(place)?, out);
        Ok(())
    }

    /// The bytes of the raw row at `place`.
    pub fn raw_bytes(&self, place: Place) -> Result<&'a [u8]> {
        match (place, &self.snapshot.tail) {
            (Place::Sealed(index, row), _) => self.snapshot.segments[index].segment.row(row),
            (Place::Tail(row), Some(tail)) => Ok(tail.row(row)),
            (Place::Tail(row), None) => Err(Error::Internal(format!("row {row} of a tail that is not there"))),
        }
    }

    /// Proves the bytes at `place`, so that `read` cannot fail.
    pub fn prove(&self, place: Place) -> Result<()> {
        if let Place::Sealed(index, row) = place {
            let segment = &self.snapshot.segments[index].segment;
            if segment.is_coded() {
                segment.block(row / BLOCK_ROWS as u32)?
            } else {
                segment.row(row)?
            };
        }
        Ok(())
    }

    /// Reads the vectors of `ids` into `out: [ids][dim]`. With `found`, a missing row is zeroed and told there; without,
    /// it is an error. Nothing is written unless all is well.
    pub fn get(&self, ids: &[u64], out: &mut [f32], found: Option<&mut [u8]>) -> Result<()> {
        let mut scratch = Scratch::default();
        if let ([id], None) = (ids, &found) {
            let Some(place) = self.locate(*id)? else { return Err(Error::NotFound { id: *id, position: 0 }) };
            return self.read(place, &mut scratch, out);
        }
        self.get_many(ids, out, found)
    }

    fn get_many(&self, ids: &[u64], out: &mut [f32], found: Option<&mut [u8]>) -> Result<()> {
        let mut places = Vec::with_capacity(ids.len());
        for (position, id) in ids.iter().enumerate() {
            let place = self.locate(*id)?;
            match place {
                Some(place) => self.prove(place)?,
                None if found.is_none() => return Err(Error::NotFound { id: *id, position }),
                None => {}
            }
            places.push(place);
        }
        self.read_all(&places, out)?;
        if let Some(found) = found {
            for (flag, place) in found.iter_mut().zip(&places) {
                *flag = u8::from(place.is_some());
            }
        }
        Ok(())
    }

    /// Reads the vectors at `places` into `out: [places][dim]`, zeros where there is none.
    pub fn read_all(&self, places: &[Option<Place>], out: &mut [f32]) -> Result<()> {
        let segment_of = |place: &Option<Place>| match place {
            Some(Place::Sealed(segment, _)) => Some(*segment),
            _ => None,
        };
        let (mut scratch, mut rest) = (Scratch::default(), out);
        for group in places.chunk_by(|left, right| segment_of(left) == segment_of(right)) {
            let (out, behind) = rest.split_at_mut(group.len() * self.snapshot.dim);
            rest = behind;
            match segment_of(&group[0]) {
                Some(segment) => {
                    scratch.rows.clear();
                    scratch.rows.extend(group.iter().filter_map(|place| match place {
                        Some(Place::Sealed(_, row)) => Some(*row),
                        _ => None,
                    }));
                    self.snapshot.segments[segment].read_rows(&scratch.rows, &mut scratch.codes, out)?;
                }
                None => {
                    for (place, row) in group.iter().zip(out.chunks_exact_mut(self.snapshot.dim)) {
                        match place {
                            Some(place) => self.read(*place, &mut scratch, row)?,
                            None => row.fill(0.0),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The live ids from `from` on in ascending order, at most `capacity`, with their places.
    pub fn in_order(&self, from: u64, capacity: usize) -> Result<Vec<(u64, Place)>> {
        let mut found = self.tail_in_order(from, capacity);
        for (index, live) in self.snapshot.segments.iter().enumerate() {
            let mut rank = live.segment.rank_from(from)?;
            let mut taken = 0;
            while taken < capacity && rank < live.segment.ids() {
                let (id, row) = live.segment.at_rank(rank)?;
                if !live.hidden.hides(row) {
                    found.push((id, Place::Sealed(index, row)));
                    taken += 1;
                }
                rank += 1;
            }
        }
        // Every source gave its first `capacity`; the first `capacity` of all are among them.
        found.sort_unstable_by_key(|(id, _)| *id);
        found.truncate(capacity);
        // The writer sees to it; only forged files can have it otherwise.
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::corrupt("store", format!("id {} is live twice", pair[0].0)));
        }
        Ok(found)
    }

    fn tail_in_order(&self, from: u64, capacity: usize) -> Vec<(u64, Place)> {
        let Some(tail) = &self.snapshot.tail else { return Vec::new() };
        let is_live = |row: &u32| !self.snapshot.tail_hidden.hides(*row);
        let first = if tail.ids.is_run() { from.saturating_sub(tail.ids.run_first()) } else { 0 };
        let first = u32::try_from(first).unwrap_or(u32::MAX).min(self.visible);
        let rows = (first..self.visible).filter(is_live).map(|row| (tail.ids.id_of(row), Place::Tail(row)));
        if tail.ids.is_run() {
            return rows.take(capacity).collect();
        }
        let mut rows: Vec<(u64, Place)> = rows.filter(|(id, _)| *id >= from).collect();
        if rows.len() > capacity && capacity > 0 {
            rows.select_nth_unstable_by_key(capacity - 1, |(id, _)| *id);
            rows.truncate(capacity);
        }
        rows
    }
}
