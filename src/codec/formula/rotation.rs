//! Rotations in few bits: principal directions with 1 to 8 bits for each component.
//!
//! The components of a direction are about normally distributed, so each is stored as the number of a level of a
//! quantizer of the normal distribution, without a scale. Directions rounded so coarsely are not orthogonal; the
//! decoder makes them orthonormal in order, and adds the unit vectors of the dims that they cover least (`basis`).
//!
//! ```text
//! widest   u8             bits of the first direction, 0 to 8; 0: there are no directions
//! counts   [widest] u16   number of directions with 1, 2, ... bits for a component
//! numbers  the directions with the most bits, then those with fewer; each [dim * bits / 8, rounded up] u8: the numbers
//!          of the levels, lowest bit first
//! ```

use super::basis::orthonormal_basis;
use super::levels::{LEVEL_BITS_MAX, borders, levels, nearest_level};
use crate::codec::reader::BookReader;
use crate::kernels::kernels;

/// The most dims that are rotated: the time of a rotation grows with their square, that of the basis with their cube.
pub(super) const COARSE_DIM_MAX: usize = 768;

/// Directions as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CoarseDirections {
    dim: usize,
    /// Number of directions with 1, 2, ... bits for a component; the last is not 0.
    counts: Vec<u16>,
    /// The numbers of the levels, packed.
    numbers: Vec<u8>,
}

impl CoarseDirections {
    /// Rounds the first of `directions: [n][dim]` to `bits: [directions]`, at least one, each 1 to 8 and none more than
    /// the one before it. dim is at most [`COARSE_DIM_MAX`].
    pub(super) fn of(directions: &[f32], dim: usize, bits: &[u8]) -> CoarseDirections {
        debug_assert!(bits.is_sorted_by(|a, b| a >= b) && bits.len() * dim <= directions.len());
        let mut counts = vec![0; widest(bits)];
        let mut numbers = Vec::with_capacity(CoarseDirections::stored_bytes(dim, bits));
        for (direction, bits) in directions.chunks_exact(dim).zip(bits) {
            counts[usize::from(*bits) - 1] += 1;
            pack(direction, *bits, &mut numbers);
        }
        CoarseDirections { dim, counts, numbers }
    }

    /// Bytes of the stored form of directions of `dim` components with these falling `bits: [directions]`.
    pub(super) fn stored_bytes(dim: usize, bits: &[u8]) -> usize {
        1 + 2 * widest(bits) + bits.iter().map(|bits| direction_bytes(dim, *bits)).sum::<usize>()
    }

    /// Appends the stored form of `directions`, or of none.
    pub(super) fn write(directions: Option<&CoarseDirections>, bytes: &mut Vec<u8>) {
        let Some(CoarseDirections { counts, numbers, .. }) = directions else {
            bytes.push(0);
            return;
        };
        bytes.push(counts.len() as u8);
        bytes.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
        bytes.extend(numbers);
    }

    /// Reads the stored form of directions of `dim` components, which is not trusted. `None` if there are none.
    pub(super) fn parse(reader: &mut BookReader<'_>, dim: usize) -> Result<Option<CoarseDirections>, String> {
        let widest = usize::from(reader.bytes(1)?[0]);
        if widest == 0 {
            return Ok(None);
        }
        if widest > usize::from(LEVEL_BITS_MAX) || dim > COARSE_DIM_MAX {
            return Err(format!(
                "directions of {widest} bits and {dim} dims, expected at most {LEVEL_BITS_MAX} and {COARSE_DIM_MAX}"
            ));
        }
        let words = reader.bytes(2 * widest)?.as_chunks::<2>().0;
        let counts: Vec<u16> = words.iter().map(|word| u16::from_le_bytes(*word)).collect();
        let directions: usize = counts.iter().copied().map(usize::from).sum();
        if directions > dim || counts[widest - 1] == 0 {
            return Err(format!("{directions} directions of {dim} dims, {} with {widest} bits", counts[widest - 1]));
        }
        let sizes = counts.iter().zip(1..).map(|(count, bits)| usize::from(*count) * direction_bytes(dim, bits));
        let numbers = reader.bytes(sizes.sum())?.to_vec();
        Ok(Some(CoarseDirections { dim, counts, numbers }))
    }

    /// The orthonormal basis, `[dim][dim]`, that begins with the directions. The error says which of them depends on
    /// those before it.
    pub(super) fn basis(&self) -> Result<Vec<f32>, String> {
        let (mut vectors, mut rest) = (Vec::new(), self.numbers.as_slice());
        for (bits, count) in (1..=self.counts.len() as u8).rev().zip(self.counts.iter().rev()) {
            let levels = levels(bits);
            for _ in 0..*count {
                let (packed, behind) = rest.split_at(direction_bytes(self.dim, bits));
                unpack(packed, &levels, self.dim, &mut vectors);
                rest = behind;
            }
        }
        orthonormal_basis(vectors, self.dim)
    }
}

/// The most of falling `bits`.
fn widest(bits: &[u8]) -> usize {
    bits.first().map_or(0, |bits| usize::from(*bits))
}

fn direction_bytes(dim: usize, bits: u8) -> usize {
    (dim * usize::from(bits)).div_ceil(8)
}

/// Appends the numbers of the levels of `direction: [dim]`.
fn pack(direction: &[f32], bits: u8, numbers: &mut Vec<u8>) {
    let borders = borders(&levels(bits));
    let square = kernels().dot(direction, direction) / direction.len() as f32;
    let factor = 1.0 / square.max(f32::MIN_POSITIVE).sqrt();
    let (mut pending, mut count) = (0, 0);
    for value in direction {
        pending |= nearest_level(&borders, value * factor) << count;
        count += bits;
        if count >= 8 {
            numbers.push(pending as u8);
            (pending, count) = (pending >> 8, count - 8);
        }
    }
    if count > 0 {
        numbers.push(pending as u8);
    }
}

/// Appends the `dim` levels whose numbers are in `packed`.
fn unpack(packed: &[u8], levels: &[f32], dim: usize, vectors: &mut Vec<f32>) {
    let (bits, mut bytes) = (levels.len().trailing_zeros(), packed.iter());
    let (mut pending, mut count) = (0, 0);
    for _ in 0..dim {
        if count < bits {
            pending |= bytes.next().map_or(0, |byte| usize::from(*byte)) << count;
            count += 8;
        }
        vectors.push(levels[pending % levels.len()]);
        (pending, count) = (pending >> bits, count - bits);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::{BookReader, COARSE_DIM_MAX, CoarseDirections};
    use crate::codec::random::Random;
    use xxhash_rust::xxh3::xxh3_64;

    fn normals(count: usize) -> Vec<f32> {
        let mut random = Random::new(5, 6);
        (0..count).map(|_| random.normal()).collect()
    }

    fn stored(directions: &CoarseDirections) -> Vec<u8> {
        let mut bytes = Vec::new();
        CoarseDirections::write(Some(directions), &mut bytes);
        bytes
    }

    #[test]
    fn directions_are_stored_and_read() {
        for dim in [1, 7, 40, 129] {
            let bits: Vec<u8> = [8, 7, 6, 5, 4, 3, 3, 2, 1, 1].into_iter().take(dim).collect();
            let directions = CoarseDirections::of(&normals(10 * dim), dim, &bits);
            let bytes = stored(&directions);
            assert_eq!(bytes.len(), CoarseDirections::stored_bytes(dim, &bits));
            let mut reader = BookReader::new(&bytes);
            assert_eq!(CoarseDirections::parse(&mut reader, dim).unwrap().unwrap(), directions);
            assert_eq!(reader.left(), 0);
            for length in 0..bytes.len() {
                assert!(CoarseDirections::parse(&mut BookReader::new(&bytes[..length]), dim).is_err());
            }
        }
        let mut none = Vec::new();
        CoarseDirections::write(None, &mut none);
        assert_eq!(none.len(), CoarseDirections::stored_bytes(4096, &[]));
        assert!(CoarseDirections::parse(&mut BookReader::new(&none), 4096).unwrap().is_none());
    }

    #[test]
    fn forged_directions_are_refused() {
        let parse = |head: &[u8], dim: usize| {
            let bytes = [head, &[0; 100_000]].concat();
            CoarseDirections::parse(&mut BookReader::new(&bytes), dim)
        };
        // Nine directions of one bit that are all the same.
        let directions = parse(&[1, 9, 0], 9).unwrap().unwrap();
        assert_eq!(directions.basis().unwrap_err(), "direction 1 depends on those before it");
        let forged: [(&[u8], usize); 5] = [
            (&[1, 9, 0], 8),
            (&[1, 9, 0], COARSE_DIM_MAX + 1),
            (&[9, 1, 0], 8),
            (&[2, 1, 0, 0, 0], 8),
            (&[255; 17], 768),
        ];
        assert!(forged.iter().all(|(head, dim)| parse(head, *dim).is_err()));
    }

    #[test]
    fn a_direction_of_more_bits_is_nearer() {
        let (dim, given) = (200, normals(200));
        let length = given.iter().map(|value| value * value).sum::<f32>().sqrt();
        let mut last = 0.5;
        for bits in 1..=8 {
            let basis = CoarseDirections::of(&given, dim, &[bits]).basis().unwrap();
            let cosine = basis.iter().zip(&given).take(dim).map(|(a, b)| a * b).sum::<f32>() / length;
            assert!(cosine > last, "{bits}: {cosine}");
            last = cosine;
        }
        assert!(last > 0.9999, "{last}");
    }

    #[test]
    fn a_basis_is_the_same_bits_on_every_machine() {
        let bits: Vec<u8> = (0..70).map(|rank| 8 - rank / 10).collect();
        let basis = CoarseDirections::of(&normals(70 * 100), 100, &bits).basis().unwrap();
        let bytes: Vec<u8> = basis.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(xxh3_64(&bytes), 14_306_598_178_522_185_885);
    }
}
