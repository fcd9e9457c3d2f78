//! Formula codes as window codes, whose codewords are computed when they are first needed: an open of a store need not
//! wait for them.

use super::book::FormulaBook;
use super::rotation::CoarseDirections;
use crate::codec::coder::Coder;
use crate::codec::scale::Scale;
use crate::codec::table::QueryTable;
use crate::codec::windows::Windows;
use crate::kernels::CodeLayout;
use crate::metric::Metric;
use std::sync::OnceLock;

/// A parsed formula book.
pub(super) struct FormulaCoder {
    book: FormulaBook,
    /// `[dim][dim]`: what the directions decode to.
    basis: Option<Vec<f32>>,
    windows: OnceLock<Windows>,
}

impl FormulaCoder {
    /// Parses the codebook in `bytes`, which are not trusted.
    pub(super) fn parse(bytes: &[u8]) -> Result<FormulaCoder, String> {
        let book = FormulaBook::parse(bytes)?;
        let basis = book.directions.as_ref().map(CoarseDirections::basis).transpose()?;
        Ok(FormulaCoder { book, basis, windows: OnceLock::new() })
    }

    fn windows(&self) -> &Windows {
        self.windows.get_or_init(|| self.book.windows_along(self.basis.as_deref()))
    }
}

impl Coder for FormulaCoder {
    fn dim(&self) -> usize {
        self.book.dim()
    }

    fn layout(&self) -> CodeLayout {
        CodeLayout { symbols: self.book.symbols, side_bytes: usize::from(self.book.side.is_some()) }
    }

    fn scale(&self) -> &Scale {
        &self.book.scale
    }

    fn is_cut(&self, row: &[f32], scale: f32) -> bool {
        self.windows().is_cut(row, scale)
    }

    fn error_of(&self, row: &[f32], scale: f32) -> f64 {
        self.windows().error_of(row, scale)
    }

    fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        self.windows().encode(rows, codes);
    }

    fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        self.windows().decode(codes, rows);
    }

    fn table<'a>(&'a self, metric: Metric, query: &[f32]) -> Option<QueryTable<'a>> {
        self.windows().table(metric, query)
    }

    fn l2_norm(&self, decoded: &[f32]) -> f32 {
        self.windows().l2_norm(decoded)
    }

    fn agrees(&self, code: &[u8], decoded: &[f32], bound: f32) -> bool {
        self.windows().agrees(code, decoded, bound)
    }

    fn corrected(&self, code: &[u8], decoded: &[f32], query: &[f32], distance: f32) -> f32 {
        self.windows().corrected(code, decoded, query, distance)
    }
}
