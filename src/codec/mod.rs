//! Codecs: a vector of `dim` floats becomes a code of `row_bytes` bytes, under a codebook that was trained on a sample.
//!
//! ```text
//! windows    4-bit symbols, each of which adds one of 16 codewords to some dims   (`windows`): few bits a dim
//! scalar     a whole number of 0 to 16 bits for each dim by itself                (`scalar`): many bits a dim
//!            symbols are the highest bits of the numbers
//! code       [symbols / 2, rounded up] u8, two symbols a byte, low nibble first; then `side` bytes
//! ```
//!
//! A block keeps side bytes row by row. Training is deterministic: same sample, same seed, same bytes, on every machine. The
//! mathematics is in docs/codecs.md.
//!
//! This module knows nothing of files, ids or threads.

pub mod block;
mod random;
mod reader;
mod scalar;
mod table;
mod windows;

use crate::error::{Error, Result};
pub use crate::kernels::CODEWORDS;
use crate::kernels::kernels;
use crate::metric::Metric;
use crate::work::Work;
use reader::Reader;
use scalar::Scalar;
use std::sync::Arc;
pub use table::Table;
use windows::Windows;
pub use windows::side::Correction;
use xxhash_rust::xxh3::xxh3_64;

/// The most components a vector may have.
pub const DIM_MAX: usize = 65_536;

/// The number of window codes, in the file and in reports.
pub const WINDOWS: u32 = 2;

/// The number of scalar codes, in the file and in reports.
pub const SCALAR: u32 = 3;

/// From 5.75 bits a dim on codes are scalar; in 32nds of a byte. Relative MSE of window codes and of scalar codes at 5, 5.5,
/// 6 and 8 bits a dim (windows of 8, 4,000 rows trained on, others coded): on SIFT (128 dims) 6.4e-4 and 1.1e-3, 4.1e-4 and
/// 5.9e-4, 2.4e-4 and 2.7e-4, 5.3e-5 and 0; on sentence embeddings (384 dims, the better of rotated and not) 1.8e-3 and
/// 3.5e-3, 1.6e-3 and 2.0e-3, 9.0e-4 and 1.0e-3, 2.6e-4 and 1.0e-4. They cross a little above 6 bits; near the crossing the
/// scalar code is preferred, which is far faster.
const SCALAR_FROM: usize = 23;

/// What a codebook is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Components of a vector.
    pub dim: usize,
    /// Bytes of a code; one that takes fewer is not made longer.
    pub row_bytes: usize,
    /// Own runs a window may span: what it may cost in bytes of the book.
    pub window: usize,
    /// Principal directions that are coded instead of dims; 0: dims as they are. See [`better_shape`].
    pub directions: usize,
    /// The distance that a side byte serves; `None`: no side byte.
    pub metric: Option<Metric>,
    /// What may be spent on encoding.
    pub quality: Quality,
}

/// What encoding a row may cost, for the error it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Many times as fast as `Normal`; about a third more error.
    Fast,
    /// 50,000 vectors of 128 dims a second, on one core of a common machine.
    Normal,
    /// A third as fast as `Normal`; a few percent less error.
    Best,
}

/// Either `plain`, which codes the dims as they are, or one of the shapes `of_directions` gives for a number of principal
/// directions: what leaves less error of the rows of `sample: [n][dim]` that are held out, after a short training of both.
/// Arguments otherwise as for [`Codebook::train`].
pub fn better_shape(
    sample: &[f32],
    plain: &Shape,
    of_directions: &dyn Fn(usize) -> Option<Shape>,
    seed: u64,
    work: &mut Work,
) -> Result<Shape> {
    check(sample, plain)?;
    if plain.is_scalar() { Ok(*plain) } else { windows::trial::better_shape(sample, plain, of_directions, seed, work) }
}

fn check(sample: &[f32], shape: &Shape) -> Result<()> {
    shape.check().map_err(Error::InvalidArgument)?;
    let dim = shape.dim;
    if !sample.len().is_multiple_of(dim) {
        return Err(Error::InvalidArgument(format!("a sample of {} floats is no [n][{dim}]", sample.len())));
    }
    if sample.is_empty() {
        return Err(Error::TooFewVectors { found: 0, needed: 1 });
    }
    match kernels().first_not_finite(sample) {
        Some(place) => Err(Error::NotFinite { row: place / dim, column: place % dim, value: sample[place] }),
        None => Ok(()),
    }
}

impl Shape {
    /// The most bytes a code of this dim may have: 16 bits a dim, a half or a number.
    pub fn row_bytes_max(dim: usize) -> usize {
        dim * 2
    }

    /// The least bytes with which codes of this dim are scalar.
    pub fn row_bytes_scalar(dim: usize) -> usize {
        (dim * SCALAR_FROM).div_ceil(32)
    }

    fn is_scalar(&self) -> bool {
        self.row_bytes >= Shape::row_bytes_scalar(self.dim)
    }

    /// The shape as a codebook may have it, or what is wrong.
    fn check(&self) -> std::result::Result<(), String> {
        let Shape { dim, row_bytes, directions, .. } = *self;
        if !(1..=DIM_MAX).contains(&dim) {
            return Err(format!("dim: found {dim}, expected 1..={DIM_MAX}"));
        }
        let most = Shape::row_bytes_max(dim);
        if !(1..=most).contains(&row_bytes) {
            return Err(format!("row_bytes: found {row_bytes}, expected 1..={most}, 2 times the dim"));
        }
        if directions > dim.min(windows::rotation::DIM_MAX) {
            return Err(format!(
                "directions: found {directions}, expected at most {}",
                dim.min(windows::rotation::DIM_MAX)
            ));
        }
        if !self.is_scalar() && self.stage_symbols().len() > windows::STAGES_MAX {
            return Err(format!("{row_bytes} bytes of symbols for {directions} directions: too many stages"));
        }
        Ok(())
    }
}

/// The id of the codebook stored as `bytes`: never 0 or `u64::MAX`, which reports use for none and for several.
fn id_of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes).clamp(1, u64::MAX - 1)
}

/// Everything needed to encode and decode the vectors of one generation. Never changes.
#[derive(Clone)]
pub struct Codebook {
    /// As it is stored.
    bytes: Vec<u8>,
    /// See [`Codebook::id`].
    id: u64,
    dim: usize,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Windows(Windows),
    Scalar(Scalar),
}

impl PartialEq for Codebook {
    fn eq(&self, other: &Codebook) -> bool {
        self.id == other.id
    }
}

impl std::fmt::Debug for Codebook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codebook")
            .field("codec", &self.codec())
            .field("dim", &self.dim())
            .field("row_bytes", &self.row_bytes())
            .finish_non_exhaustive()
    }
}

impl Codebook {
    /// Learns a codebook of `shape` from `sample: [n][dim]`, n at least 1, all finite.
    ///
    /// `work` is told after each step.
    /// Same sample and seed, same codebook.
    pub fn train(sample: &[f32], shape: &Shape, seed: u64, work: &mut Work) -> Result<Codebook> {
        check(sample, shape)?;
        if shape.is_scalar() {
            return scalar::grids::train(sample, shape, work);
        }
        windows::train::train(sample, shape, seed, work)
    }

    /// The most bytes [`Codebook::as_bytes`] gives for a codebook of this shape, if dims that never vary do not make its runs
    /// uneven: then it may be more.
    pub fn stored_bytes(shape: &Shape) -> usize {
        if shape.is_scalar() { Scalar::stored_bytes(shape.dim) } else { Windows::stored_bytes(shape) }
    }

    /// The codebook as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The codebook's id: a hash of its stored bytes. Codebooks of equal ids are the same.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The one of `known` that is stored as `bytes`, else the codebook parsed from them. `bytes` come from `file` and are not
    /// trusted.
    pub fn intern(known: &[Arc<Codebook>], file: &str, bytes: &[u8]) -> Result<Arc<Codebook>> {
        let id = id_of(bytes);
        match known.iter().find(|book| book.id == id) {
            Some(book) if book.bytes == bytes => Ok(Arc::clone(book)),
            Some(_) => Err(Error::corrupt(file, format!("codebook: another one has its id, {id:016x}"))),
            None => Codebook::from_bytes(file, bytes).map(Arc::new),
        }
    }

    /// The codebook in `bytes`, which come from `file` and are not trusted.
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Codebook> {
        Codebook::take(bytes).map_err(|what| Error::corrupt(file, format!("codebook: {what}")))
    }

    fn take(bytes: &[u8]) -> std::result::Result<Codebook, String> {
        let (dim, kind) = match Reader::new(bytes).number()? as u32 {
            WINDOWS => Windows::take(bytes).map(|windows| (windows.means.len(), Kind::Windows(windows)))?,
            SCALAR => Scalar::take(bytes).map(|scalar| (scalar.dim(), Kind::Scalar(scalar)))?,
            other => return Err(format!("kind {other}, expected {WINDOWS} or {SCALAR}")),
        };
        Ok(Codebook { bytes: bytes.to_vec(), id: id_of(bytes), dim, kind })
    }

    /// Which codec: [`WINDOWS`] or [`SCALAR`].
    pub fn codec(&self) -> u32 {
        match self.kind {
            Kind::Windows(_) => WINDOWS,
            Kind::Scalar(_) => SCALAR,
        }
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Symbols of a code.
    pub fn symbols(&self) -> usize {
        match &self.kind {
            Kind::Windows(windows) => windows.symbols(),
            Kind::Scalar(scalar) => scalar.symbols(),
        }
    }

    /// Bytes of a code behind its symbols.
    pub fn side_bytes(&self) -> usize {
        match &self.kind {
            Kind::Windows(windows) => windows.side_bytes(),
            Kind::Scalar(scalar) => scalar.row_bytes() - scalar.symbols() / 2,
        }
    }

    /// Bytes of a code.
    pub fn row_bytes(&self) -> usize {
        self.symbols().div_ceil(2) + self.side_bytes()
    }

    /// Encodes `rows: [n][dim]` into `codes: [n][row_bytes]`, all of which is written: the codes that decode nearest to
    /// each row, as far as the codec finds them.
    pub fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        match &self.kind {
            Kind::Windows(windows) => windows.encode(rows, codes),
            Kind::Scalar(scalar) => scalar.encode(rows, codes),
        }
    }

    /// Decodes `codes: [n][row_bytes]` into `rows: [n][dim]`. Every byte is a valid code and decodes to finite floats; the
    /// same bits come out on every machine, however many rows are decoded at once.
    pub fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        debug_assert_eq!(codes.len() / self.row_bytes(), rows.len() / self.dim());
        match &self.kind {
            Kind::Windows(windows) => windows.decode(codes, rows),
            Kind::Scalar(scalar) => scalar.decode(codes, rows),
        }
    }

    /// False if the side byte of `code: [row_bytes]` cannot be that of a vector within `bound` of `decoded: [dim]`.
    pub fn agrees(&self, code: &[u8], decoded: &[f32], bound: f32) -> bool {
        match &self.kind {
            Kind::Windows(windows) => windows.agrees(code, decoded, bound),
            Kind::Scalar(_) => true,
        }
    }

    /// What the side byte of `code: [row_bytes]` says of the distance to `decoded: [dim]`, which it decodes to.
    pub fn correction(&self, code: &[u8], decoded: &[f32]) -> Correction {
        match &self.kind {
            Kind::Windows(windows) => windows.correction(code, decoded),
            Kind::Scalar(_) => Correction::NONE,
        }
    }
}
