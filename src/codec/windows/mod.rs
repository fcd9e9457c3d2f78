//! Window codes: 4-bit symbols, each of which adds one of 16 codewords to some dims.
//!
//! ```text
//! vector     means + unit · turned back( Σ over all symbols of the codeword chosen )
//! stages     one for up to dim symbols; the next ones code what the stages before miss
//! windows    a symbol's codewords reach over its own run of dims and those of the symbols behind it (`stage`)
//! rotation   none, or the directions in which the runs are laid (`rotation`)
//! code       [symbols / 2, rounded up] u8, two symbols a byte, low nibble first; then the side byte if there is one (`side`)
//! ```
//!
//! This is additive quantization (Babenko, Lempitsky: Additive Quantization for Extreme Vector Compression, CVPR 2014) in
//! which a codeword has bounded support, so that symbols are chosen by a search through a trellis as in trellis-coded
//! quantization (Marcellin, Fischer, IEEE Trans. Comm. 1990). Windows of one run are product quantization (Jégou, Douze,
//! Schmid: Product Quantization for Nearest Neighbor Search, PAMI 2011). Decoder, file and scan are the same for all.

mod book;
mod fit;
mod kmeans;
pub(super) mod rotation;
pub(super) mod side;
mod stage;
pub(super) mod train;
pub(super) mod trial;

use crate::codec::{Quality, Shape};
use crate::kernels::Paths;
use crate::metric::Metric;
use rotation::Rotation;
use side::{Correction, Side};
use stage::{CHAIN_WINDOW, Layout, Stage};
use train::even_runs;

/// The most stages: 4 bits a dim each.
pub(super) const STAGES_MAX: usize = 8;

/// Windows of the stages behind the first: what is left for them has little structure.
const LATER_WINDOW_MAX: usize = 8;

/// The least bytes of a code with a side byte.
const SIDE_ROW_BYTES_MIN: usize = 8;

/// Rows scaled, turned and summed together.
const ROWS_AT_ONCE: usize = 64;

/// No scaled value is taken further out than this: codewords, of about 1, must still tell apart.
const FARTHEST: f64 = 1e4;

impl Shape {
    /// The distance that a side byte serves: one of few bytes is not spent on it.
    pub(super) fn side_metric(&self) -> Option<Metric> {
        self.metric.filter(|_| self.row_bytes >= SIDE_ROW_BYTES_MIN)
    }

    /// The symbols of window codes: two a byte.
    fn symbols(&self) -> usize {
        (self.row_bytes - usize::from(self.side_metric().is_some())) * 2
    }

    /// Stages of window codes: each codes what those before it left.
    pub fn stages(&self) -> usize {
        self.stage_symbols().len()
    }

    /// The symbols of each stage, near-equal: no more than dims. Directions vary by very different amounts; a run of two at
    /// least lets each have its part of the bits.
    pub(super) fn stage_symbols(&self) -> Vec<usize> {
        let most = if self.directions > 1 { self.directions / 2 } else { self.coded() };
        let (symbols, stages) = (self.symbols(), self.symbols().div_ceil(most).max(1));
        (0..stages).map(|stage| (stage + 1) * symbols / stages - stage * symbols / stages).collect()
    }

    /// The widest window of stage number `stage`.
    pub(super) fn window_of(&self, stage: usize) -> usize {
        let most = if stage == 0 { usize::MAX } else { LATER_WINDOW_MAX };
        let fast = if self.quality == Quality::Fast { CHAIN_WINDOW } else { usize::MAX };
        self.window.min(most).min(fast)
    }

    /// The same as it is charged for: what the search can carry over even runs.
    pub(super) fn charged_window(&self, stage: usize) -> usize {
        Layout::within(even_runs(self.stage_symbols()[stage], self.coded()), self.window_of(stage)).window
    }

    /// Dims, or directions, that are coded.
    pub(super) fn coded(&self) -> usize {
        if self.directions > 0 { self.directions } else { self.dim }
    }
}

/// Everything needed to encode and decode window codes.
#[derive(Clone)]
pub(super) struct Windows {
    /// `[dim]`: what is subtracted first.
    pub(super) means: Vec<f32>,
    /// A power of two: what values are divided by next.
    pub(super) unit: f32,
    pub(super) rotation: Option<Rotation>,
    pub(super) stages: Vec<Stage>,
    pub(super) side: Option<Side>,
}

impl Windows {
    fn dim(&self) -> usize {
        self.means.len()
    }

    /// Symbols of a code.
    pub(super) fn symbols(&self) -> usize {
        self.stages.iter().map(Stage::symbols).sum()
    }

    /// Bytes of a code behind its symbols.
    pub(super) fn side_bytes(&self) -> usize {
        usize::from(self.side.is_some())
    }

    pub(super) fn row_bytes(&self) -> usize {
        self.symbols().div_ceil(2) + self.side_bytes()
    }

    /// Encodes `rows: [n][dim]` into `codes: [n][row_bytes]`: the symbols whose codewords add up nearest to each row, as
    /// far as the search finds them.
    pub(super) fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        let (rows_at_once, mut paths) = (ROWS_AT_ONCE * self.dim(), Paths::default());
        let mut symbols = vec![0; self.symbols()];
        for (rows, codes) in rows.chunks(rows_at_once).zip(codes.chunks_mut(ROWS_AT_ONCE * self.row_bytes())) {
            let mut turned = scaled(rows, &self.means, self.unit);
            if let Some(rotation) = &self.rotation {
                turned = rotation.turn(&turned);
            }
            let width = turned.len() * self.dim() / rows.len();
            for (row, code) in turned.chunks_exact_mut(width).zip(codes.chunks_exact_mut(self.row_bytes())) {
                self.search(row, &mut paths, &mut symbols);
                for (byte, pair) in code.iter_mut().zip(symbols.chunks(2)) {
                    *byte = pair.iter().rev().fold(0, |byte, symbol| byte << 4 | symbol);
                }
            }
            if let Some(side) = &self.side {
                let mut decoded = vec![0.0; rows.len()];
                self.decode(codes, &mut decoded);
                let pairs = rows.chunks_exact(self.dim()).zip(decoded.chunks_exact(self.dim()));
                for (code, (row, decoded)) in codes.chunks_exact_mut(self.row_bytes()).zip(pairs) {
                    code[self.row_bytes() - 1] = side.byte_of(row, decoded, &self.means);
                }
            }
        }
    }

    /// False if the side byte of `code: [row_bytes]` cannot be that of a vector within `bound` of `decoded: [dim]`.
    pub(super) fn agrees(&self, code: &[u8], decoded: &[f32], bound: f32) -> bool {
        match (&self.side, code.last()) {
            (Some(side), Some(byte)) => side.agrees(*byte, decoded, &self.means, bound),
            _ => true,
        }
    }

    /// What the side byte of `code: [row_bytes]` says of the distance to `decoded: [dim]`.
    pub(super) fn correction(&self, code: &[u8], decoded: &[f32]) -> Correction {
        match (&self.side, code.last()) {
            (Some(side), Some(byte)) => side.correction(*byte, decoded, &self.means),
            _ => Correction::NONE,
        }
    }

    fn search(&self, row: &mut [f32], paths: &mut Paths, symbols: &mut [u8]) {
        let mut rest = symbols;
        for (number, stage) in self.stages.iter().enumerate() {
            let (own, behind) = rest.split_at_mut(stage.symbols());
            stage.search(row, paths, own);
            if number + 1 < self.stages.len() {
                stage.subtract(own, row);
            }
            rest = behind;
        }
    }

    /// Decodes `codes: [n][row_bytes]` into `rows: [n][dim]`, the same however many rows are decoded at once.
    pub(super) fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        let rows_at_once = rows.chunks_mut(ROWS_AT_ONCE * self.dim());
        for (rows, codes) in rows_at_once.zip(codes.chunks(ROWS_AT_ONCE * self.row_bytes())) {
            match &self.rotation {
                Some(rotation) => {
                    let mut turned = vec![0.0; rows.len() / self.dim() * rotation.directions()];
                    self.add_all(codes, &mut turned);
                    rotation.turn_back(&mut turned, rows);
                }
                None => {
                    rows.fill(0.0);
                    self.add_all(codes, rows);
                }
            }
            for row in rows.chunks_exact_mut(self.dim()) {
                for (value, mean) in row.iter_mut().zip(&self.means) {
                    *value = (mean + self.unit * *value).clamp(f32::MIN, f32::MAX);
                }
            }
        }
    }

    /// Adds all codewords of `codes: [n][row_bytes]` to `turned`: `[n][directions]`, or `[n][dim]` without a rotation.
    fn add_all(&self, codes: &[u8], turned: &mut [f32]) {
        let mut before = 0;
        for stage in &self.stages {
            stage.add(&self.symbols_of(codes, before..before + stage.symbols()), turned);
            before += stage.symbols();
        }
    }

    /// These symbols of each of `codes: [n][row_bytes]`.
    fn symbols_of(&self, codes: &[u8], range: std::ops::Range<usize>) -> Vec<u8> {
        let mut symbols = vec![0; codes.len() / self.row_bytes() * range.len()];
        for (code, symbols) in codes.chunks_exact(self.row_bytes()).zip(symbols.chunks_exact_mut(range.len())) {
            for (symbol, number) in symbols.iter_mut().zip(range.clone()) {
                *symbol = code[number / 2] >> (number % 2 * 4) & 15;
            }
        }
        symbols
    }
}

/// `rows: [n][dim]` in units from the means.
pub(super) fn scaled(rows: &[f32], means: &[f32], unit: f32) -> Vec<f32> {
    // In f64: a difference of giants would overflow, and so would a giant in a small unit.
    let mut scaled = rows.to_vec();
    for row in scaled.chunks_exact_mut(means.len()) {
        for (value, mean) in row.iter_mut().zip(means) {
            let units = (f64::from(*value) - f64::from(*mean)) / f64::from(unit);
            *value = units.clamp(-FARTHEST, FARTHEST) as f32;
        }
    }
    scaled
}
