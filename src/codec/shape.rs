//! The shape of a codebook: the parameters that are chosen before its training.

use crate::metric::Metric;

/// The most components a vector may have.
pub const DIM_MAX: usize = crate::format::DIM_MAX as usize;

/// Codes of at least this many 32nds of a byte per dim (5.75 bits) are scalar codes.
///
/// Relative MSE of window codes and of scalar codes at 5, 5.5, 6 and 8 bits a dim (windows of 8, trained on 4,000 rows,
/// measured on others): on SIFT (128 dims) 6.4e-4 and 1.1e-3, 4.1e-4 and 5.9e-4, 2.4e-4 and 2.7e-4, 5.3e-5 and 0; on
/// sentence embeddings (384 dims, the better of rotated and not) 1.8e-3 and 3.5e-3, 1.6e-3 and 2.0e-3, 9.0e-4 and
/// 1.0e-3, 2.6e-4 and 1.0e-4. The errors are equal a little above 6 bits. Just below, the scalar code is preferred
/// because it is far faster.
const SCALAR_FROM: usize = 23;

/// The parameters of a codebook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Components of a vector.
    pub dim: usize,
    /// The most bytes of a code; a shorter code is not padded.
    pub row_bytes: usize,
    /// The most own runs a window may span. Wider windows make a larger codebook.
    pub window: usize,
    /// Number of principal directions that are coded instead of dims; 0: the dims are coded as they are. See
    /// [`better_shape`](super::better_shape).
    pub directions: usize,
    /// The metric that a side byte serves; `None`: no side byte.
    pub metric: Option<Metric>,
    /// How much time encoding may take.
    pub quality: Quality,
    /// True if rows are scaled: what they are divided by is stored beside the codes.
    pub is_scaled: bool,
    /// Vectors that will share the codebook, those of its sample at least.
    pub rows: usize,
}

/// How much time encoding a row may take, for the error it leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// Several times as fast as `Normal`; 2 to 55 % more error (docs/choosing.md).
    Fast,
    /// 50,000 vectors of 128 dims a second on one core of a common machine.
    #[default]
    Normal,
    /// A third as fast as `Normal`; 3 to 5 % less error (docs/choosing.md).
    Best,
}

/// What a codebook of formula codes and its codes may take.
pub struct FormulaBudget<'a> {
    /// About how many bytes a row has for its code and its share of the codebook.
    pub row_bytes: f64,
    /// The most bytes that are stored beside the codebook to restore it; as many as the codebook has, if that is less.
    pub parity_bytes: usize,
    /// The longest code that fits beside a codebook of so many bytes; `None` if none does.
    pub longest: &'a dyn Fn(usize) -> Option<usize>,
}

impl Shape {
    /// The most bytes a code of this dim may have: 16 bits per dim.
    pub fn row_bytes_max(dim: usize) -> usize {
        dim * 2
    }

    /// Codes of this dim are scalar from this many bytes on.
    pub fn row_bytes_scalar(dim: usize) -> usize {
        (dim * SCALAR_FROM).div_ceil(32)
    }

    pub(super) fn is_scalar(&self) -> bool {
        self.row_bytes >= Shape::row_bytes_scalar(self.dim)
    }

    /// Checks the parameters that all kinds of codebooks have; the error says what is wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let Shape { dim, row_bytes, .. } = *self;
        if !(1..=DIM_MAX).contains(&dim) {
            return Err(format!("dim: found {dim}, expected 1..={DIM_MAX}"));
        }
        let most = Shape::row_bytes_max(dim);
        if !(1..=most).contains(&row_bytes) {
            return Err(format!("row_bytes: found {row_bytes}, expected 1..={most}, 2 times the dim"));
        }
        Ok(())
    }
}
