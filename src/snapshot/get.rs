//! Reading vectors: copied from raw rows, decoded from codes.

use super::locate::Place;
use super::state::{SegmentView, View};
use crate::codec::{self, Codebook, block};
use crate::error::{Error, Result};
use crate::format::{bound_above, bound_of};
use crate::kernels::{self, BLOCK_ROWS};

/// About this many rows of a segment are decoded when it is verified.
const CHECKED_ROWS: usize = 256;

/// Buffers for row numbers and codes, reused for all rows of a call.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Rows to decode together.
    pub rows: Vec<u32>,
    /// Their codes.
    pub codes: Vec<u8>,
}

impl SegmentView {
    /// Decodes or copies `row` into `out: [dim]`.
    #[inline]
    pub fn read(&self, row: u32, scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        if self.codebook.is_none() {
            kernels::floats(self.segment.row(row)?, out);
            return Ok(());
        }
        self.read_rows(&[row], &mut scratch.codes, out)
    }

    /// Decodes or copies `rows` into `out: [rows][dim]`. Decoding many codes in one call is faster than one by one.
    pub fn read_rows(&self, rows: &[u32], codes: &mut Vec<u8>, out: &mut [f32]) -> Result<()> {
        let dim = out.len() / rows.len().max(1);
        if self.codebook.is_none() {
            let mut pairs = rows.iter().zip(out.chunks_exact_mut(dim.max(1)));
            return pairs.try_for_each(|(row, out)| self.segment.row(*row).map(|bytes| kernels::floats(bytes, out)));
        }
        self.decode_rows(rows, codes, out)?;
        if !self.segment.is_unscaled() {
            for (row, out) in rows.iter().zip(out.chunks_exact_mut(dim.max(1))) {
                codec::multiply(out, self.segment.scale_of(*row)?);
            }
        }
        Ok(())
    }

    /// Decodes the codes of `rows` into `out: [rows][dim]`, and does not multiply them by their scales.
    pub fn decode_rows(&self, rows: &[u32], codes: &mut Vec<u8>, out: &mut [f32]) -> Result<()> {
        let Some(codebook) = &self.codebook else {
            return Err(Error::Internal(format!("{} is not a file of codes", self.segment.name())));
        };
        codes.resize(rows.len() * codebook.row_bytes(), 0);
        for (row, code) in rows.iter().zip(codes.chunks_exact_mut(codebook.row_bytes())) {
            self.code(codebook, *row, code)?;
        }
        codebook.decode(codes, out);
        Ok(())
    }

    /// Unpacks the code of `row` from its block into `code: [row_bytes]`.
    pub fn code(&self, codebook: &Codebook, row: u32, code: &mut [u8]) -> Result<()> {
        let bytes = self.segment.block(row / BLOCK_ROWS as u32)?;
        block::unpack(bytes, row as usize % BLOCK_ROWS, codebook.symbols(), codebook.side_bytes(), code);
        Ok(())
    }

    /// Decodes a sample of the codes and checks them against their side bytes and error bounds.
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
            self.decode_rows(&[row], &mut scratch.codes, &mut vector)?;
            let scale = self.segment.scale_of(row)?;
            // A row of zeros has no direction, so its code is arbitrary.
            let bound = if scale > 0.0 { bound / scale } else { f32::INFINITY };
            if !codebook.agrees(&scratch.codes, &vector, bound) {
                return Err(Error::corrupt(name, format!("row {row}: the side byte is beyond the bound {bound}")));
            }
        }
        Ok(())
    }
}

impl<'a> View<'a> {
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

    /// Compares the bytes at `place` with their checksums, so that `read` cannot fail.
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

    /// Reads the vectors of `ids` into `out: [ids][dim]`. With `found: [ids]`, the row of a missing id is zeroed and
    /// its flag is 0; without, a missing id is an error. Nothing is written on an error.
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

    /// Reads the vectors at `places` into `out: [places][dim]`; zeros for `None`.
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
}
