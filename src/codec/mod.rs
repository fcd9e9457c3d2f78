//! Codecs: a vector of `dim` floats becomes a code of `row_bytes` bytes, under a codebook that was trained on a sample.
//!
//! ```text
//! windows    4-bit symbols, each of which adds one of 16 codewords to some dims   (`windows`): few bits per dim
//! formula    the same, with codewords that follow from the variances of dims      (`formula`): no training
//! scalar     an integer of 0 to 16 bits for each dim                              (`scalar`): many bits per dim
//!            symbols are the highest bits of the integers
//! code       [symbols / 2, rounded up] u8, two symbols per byte, low nibble first; then `side_bytes` bytes
//! ```
//!
//! Training is deterministic: the same sample and seed give the same bytes on every machine. docs/codecs.md has the
//! mathematics. This module works on slices of floats and bytes: no files, no ids.
//!
//! Every kind of codebook is a folder with the same small interface (`coder`). A new kind adds a folder, and an arm in
//! `Codebook::train`, `stored_bytes` and `parse`. A formula book makes a window code of its own codewords, and is encoded
//! and decoded as such. All kinds share `shape` (parameters of a codebook), `block` (codes
//! interleaved for the scan), `side` (the side byte), `table` (scores for a query), `slack`, `reader` (stored codebooks),
//! `random`, `round`, `exponential`, `water_filling`, and `scale` (what a row is divided by before it is coded).

pub mod block;
mod coder;
mod exponential;
mod formula;
mod random;
mod reader;
mod round;
mod scalar;
mod scale;
mod shape;
mod side;
mod slack;
mod table;
mod water_filling;
mod windows;

use crate::error::{Error, Result};
use crate::kernels::{CodeLayout, kernels};
use crate::metric::Metric;
use crate::work::Work;
use coder::Coder;
pub use exponential::log2;
pub use formula::FORMULA;
use reader::BookReader;
pub use scalar::SCALAR;
use scale::Scale;
pub use scale::{divide, multiply, scaled, scaled_sample};
pub use shape::{DIM_MAX, FormulaBudget, Quality, Shape};
pub use slack::Slack;
use std::sync::{Arc, OnceLock};
pub use table::QueryTable;
pub use windows::WINDOWS;
use xxhash_rust::xxh3::xxh3_64;

/// Chooses between `plain`, which codes the dims as they are, and the shapes that `of_directions` gives for numbers of
/// principal directions: the one with less error on held-out rows of `sample: [n][dim]` after a short training of both.
/// `seed` and `work` as for [`Codebook::train`].
pub fn better_shape(
    sample: &[f32],
    plain: &Shape,
    of_directions: &dyn Fn(usize) -> Option<Shape>,
    seed: u64,
    work: &mut Work,
) -> Result<Shape> {
    check(sample, plain)?;
    if plain.is_scalar() { Ok(*plain) } else { windows::better_shape(sample, plain, of_directions, seed, work) }
}

/// False if codes of `shape` with learned codewords would leave more error than those of `formula`, as far as a short
/// training on some rows of `sample: [n][dim]` tells. Scalar codes need no such trial: they are soon trained.
pub fn may_be_learned(sample: &[f32], shape: &Shape, formula: &Codebook, seed: u64, work: &mut Work) -> Result<bool> {
    if shape.is_scalar() { Ok(true) } else { windows::may_be_learned(sample, shape, &*formula.coder, seed, work) }
}

/// The scales of the rows of `sample: [n][dim]` under a codebook of `shape`, and true if they are lengths. A codebook that
/// keeps whole numbers exactly may scale fewer rows.
pub fn scales_of_sample(sample: &[f32], shape: &Shape) -> (Vec<f32>, bool) {
    let scale = Scale::of_shape(sample, shape);
    (sample.chunks_exact(shape.dim).map(|row| scale.of(row)).collect(), scale.is_directional)
}

fn check(sample: &[f32], shape: &Shape) -> Result<()> {
    shape.check().and_then(|()| windows::check(shape)).map_err(Error::InvalidArgument)?;
    let dim = shape.dim;
    if !sample.len().is_multiple_of(dim) {
        return Err(Error::InvalidArgument(format!(
            "sample: found {} floats, expected a multiple of dim {dim}",
            sample.len()
        )));
    }
    if sample.is_empty() {
        return Err(Error::TooFewVectors { found: 0, needed: 1 });
    }
    match kernels().first_not_finite(sample) {
        Some(index) => Err(Error::NotFinite { row: index / dim, column: index % dim, value: sample[index] }),
        None => Ok(()),
    }
}

impl Shape {
    /// Number of stages of window codes of this shape; each stage codes the residual of those before it.
    pub fn stages(&self) -> usize {
        windows::stages(self)
    }
}

/// Scales that are tried for a row whose values are cut off.
const CUT_STEPS: usize = 8;

/// The id of the codebook stored as `bytes`. 0 and `u64::MAX` are reserved and never returned.
fn id_of(bytes: &[u8]) -> u64 {
    xxh3_64(bytes).clamp(1, u64::MAX - 1)
}

/// A codebook: encodes vectors, decodes codes and scores them. Immutable.
#[derive(Clone)]
pub struct Codebook {
    /// The stored form.
    bytes: Vec<u8>,
    /// See [`Codebook::id`]; hashed when it is first asked for, so that an open need not.
    id: OnceLock<u64>,
    /// See [`Codebook::codec`].
    codec: u32,
    layout: CodeLayout,
    dim: usize,
    coder: Arc<dyn Coder>,
}

impl PartialEq for Codebook {
    fn eq(&self, other: &Codebook) -> bool {
        self.id() == other.id()
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
    /// Learns a codebook of `shape` from `sample: [n][dim]`, n at least 1, all finite. Reports to `work` after each
    /// step. The same sample and seed give the same codebook.
    pub fn train(sample: &[f32], shape: &Shape, seed: u64, work: &mut Work) -> Result<Codebook> {
        check(sample, shape)?;
        let bytes = if shape.is_scalar() {
            scalar::train(sample, shape, work)?
        } else {
            windows::train(sample, shape, seed, work)?
        };
        Codebook::trained("learned", &bytes)
    }

    /// A codebook of formula codes for rows like `sample: [n][dim]`, with codes as long as `budget` allows; the dim, the
    /// metric, the quality and whether rows are scaled are those of `shape`. `None` if there is none.
    pub fn of_formula(
        sample: &[f32],
        shape: &Shape,
        budget: &FormulaBudget<'_>,
        seed: u64,
        work: &mut Work,
    ) -> Result<Option<Codebook>> {
        check(sample, shape)?;
        let Some(bytes) = formula::train(sample, shape, budget, seed, work)? else { return Ok(None) };
        Codebook::trained("formula", &bytes).map(Some)
    }

    /// A lossless codebook for `sample: [n][dim]`, n at least 1; `None` if a value is not a whole number, or if a dim needs
    /// more than four bits.
    pub fn exact(sample: &[f32], dim: usize) -> Result<Option<Codebook>> {
        let Some(bytes) = scalar::exact(sample, dim) else { return Ok(None) };
        Codebook::trained("exact", &bytes).map(Some)
    }

    /// The codebook that a training stored as `bytes`.
    fn trained(kind: &str, bytes: &[u8]) -> Result<Codebook> {
        Codebook::parse(bytes).map_err(|what| Error::Internal(format!("{kind} codebook: {what}")))
    }

    /// Upper bound on the stored bytes of a codebook of this shape. Constant dims can make the runs of window codes
    /// uneven; then it may have more.
    pub fn stored_bytes(shape: &Shape) -> usize {
        if shape.is_scalar() { scalar::stored_bytes(shape) } else { windows::stored_bytes(shape) }
    }

    /// The stored form of the codebook.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The codebook's id: a hash of its stored bytes. Codebooks of equal ids are the same.
    pub fn id(&self) -> u64 {
        *self.id.get_or_init(|| id_of(&self.bytes))
    }

    /// The codebook of `known` that is stored as `bytes`, else one parsed from `bytes`, which come from `file` and are
    /// not trusted.
    pub fn intern(known: &[Arc<Codebook>], file: &str, bytes: &[u8]) -> Result<Arc<Codebook>> {
        if known.is_empty() {
            return Codebook::from_bytes(file, bytes).map(Arc::new);
        }
        let id = id_of(bytes);
        match known.iter().find(|book| book.id() == id) {
            Some(book) if book.bytes == bytes => Ok(Arc::clone(book)),
            Some(_) => Err(Error::corrupt(file, format!("codebook: another one has its id, {id:016x}"))),
            None => Codebook::from_bytes(file, bytes).map(Arc::new),
        }
    }

    /// The codebook in `bytes`, which come from `file` and are not trusted.
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Codebook> {
        Codebook::parse(bytes).map_err(|what| Error::corrupt(file, format!("codebook: {what}")))
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Codebook, String> {
        let codec = BookReader::new(bytes).number()? as u32;
        let coder = match codec {
            WINDOWS => windows::parse(bytes)?,
            SCALAR => scalar::parse(bytes)?,
            FORMULA => formula::parse(bytes)?,
            other => return Err(format!("kind {other}, expected {WINDOWS}, {SCALAR} or {FORMULA}")),
        };
        let (dim, layout) = (coder.dim(), coder.layout());
        Ok(Codebook { bytes: bytes.to_vec(), id: OnceLock::new(), codec, layout, dim, coder })
    }

    /// Which codec: [`WINDOWS`], [`SCALAR`] or [`FORMULA`].
    pub fn codec(&self) -> u32 {
        self.codec
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Symbols of a code.
    pub fn symbols(&self) -> usize {
        self.layout.symbols
    }

    /// Bytes of a code behind its symbols.
    pub fn side_bytes(&self) -> usize {
        self.layout.side_bytes
    }

    /// Bytes of a code.
    pub fn row_bytes(&self) -> usize {
        self.layout.row_bytes()
    }

    /// True if codes are directions: the scale of a row is its length.
    pub fn is_directional(&self) -> bool {
        self.coder.scale().is_directional
    }

    /// What `row: [dim]` must be divided by before it is encoded: its length if codes are directions, else 1 or a power
    /// of two that brings it near the rows of the sample. 0 for a row of zeros among directions: any scale suits it.
    pub fn scale_of(&self, row: &[f32]) -> f32 {
        let first = self.coder.scale().of(row);
        if first == 0.0 || !self.coder.is_cut(row, first) {
            return first;
        }
        // A larger scale cuts less and makes the other errors larger.
        let error = |scale: f32| f64::from(scale).powi(2) * self.coder.error_of(row, scale);
        let scales = std::iter::once(first).chain(self.coder.scale().above(first).take(CUT_STEPS));
        scales.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(first)
    }

    /// Encodes scaled `rows: [n][dim]` into `codes: [n][row_bytes]`, all of which is written. Searches for the code that
    /// decodes nearest to each row; the search for window codes is approximate.
    pub fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        self.coder.encode(rows, codes);
    }

    /// Decodes `codes: [n][row_bytes]` into `rows: [n][dim]`. Every byte is a valid code and decodes to finite floats;
    /// the same bits come out on every machine, however many rows are decoded at once.
    pub fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        debug_assert_eq!(codes.len() / self.row_bytes(), rows.len() / self.dim());
        self.coder.decode(codes, rows);
    }

    /// False if the side byte of `code: [row_bytes]` cannot be that of a vector within `bound` of `decoded: [dim]`.
    pub fn agrees(&self, code: &[u8], decoded: &[f32], bound: f32) -> bool {
        self.coder.agrees(code, decoded, bound)
    }

    /// The distance of `query: [dim]` to the row of `code: [row_bytes]`: its `distance` to `decoded: [dim]`, the vector
    /// the code decodes to, corrected by the side byte.
    pub fn corrected(&self, code: &[u8], decoded: &[f32], query: &[f32], distance: f32) -> f32 {
        self.coder.corrected(code, decoded, query, distance)
    }

    /// The table of `query: [dim]`. `None` if this codebook has no table for `metric`, or if products overflow; then
    /// codes must be decoded.
    pub fn table(&self, metric: Metric, query: &[f32]) -> Option<QueryTable<'_>> {
        self.coder.table(metric, query)
    }

    /// The norm that [`QueryTable::distance_of_symbols`] needs of a code that decodes to `decoded: [dim]`.
    pub fn norm(&self, metric: Metric, decoded: &[f32]) -> f32 {
        match metric {
            Metric::L2 => self.coder.l2_norm(decoded),
            Metric::InnerProduct => 1.0,
            Metric::Cosine => kernels().dot(decoded, decoded).max(f32::MIN_POSITIVE).sqrt().recip(),
        }
    }
}
