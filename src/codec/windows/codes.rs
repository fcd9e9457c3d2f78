//! Encoding and decoding of window codes.

use super::rotation::Rotation;
use super::stage::{ROWS_PER_JOB, SearchBuffers, Stage};
use crate::codec::scale::{Scale, divide};
use crate::codec::side::Side;
use crate::kernels::CodeLayout;
use crate::threads::in_parallel;

/// Rows that are scaled, rotated and decoded together.
const ROWS_AT_ONCE: usize = 64;

/// A long row whose code lacks more than this share of its energy is divided, if that leaves less error.
const LOST: f64 = 0.5;

/// Scaled values are clamped to this size: codewords are about 1, and f32 must be precise enough to distinguish them.
const FARTHEST: f64 = 1e4;

/// Everything needed to encode and decode window codes.
#[derive(Clone)]
pub(in crate::codec) struct Windows {
    pub(in crate::codec) scale: Scale,
    /// The largest difference of a value to its mean in nearly all rows of the sample.
    pub(in crate::codec) reach: f32,
    /// `[dim]`: subtracted from a vector before it is scaled.
    pub(in crate::codec) means: Vec<f32>,
    /// A power of two that divides the difference.
    pub(in crate::codec) unit: f32,
    pub(in crate::codec) rotation: Option<Rotation>,
    pub(in crate::codec) stages: Vec<Stage>,
    pub(in crate::codec) side: Option<Side>,
}

impl Windows {
    /// Components of a vector.
    pub(in crate::codec) fn dim(&self) -> usize {
        self.means.len()
    }

    /// Symbols of all stages and side bytes of a code.
    pub(in crate::codec) fn layout(&self) -> CodeLayout {
        let symbols = self.stages.iter().map(Stage::symbols).sum();
        CodeLayout { symbols, side_bytes: usize::from(self.side.is_some()) }
    }

    fn row_bytes(&self) -> usize {
        self.layout().row_bytes()
    }

    /// Encodes `rows: [n][dim]` into `codes: [n][row_bytes]`. An approximate search chooses the symbols whose codewords
    /// add up nearest to each row.
    pub(in crate::codec) fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        let (rows_at_once, mut buffers) = (ROWS_AT_ONCE * self.dim(), SearchBuffers::default());
        let mut symbols = vec![0; self.layout().symbols];
        for (rows, codes) in rows.chunks(rows_at_once).zip(codes.chunks_mut(ROWS_AT_ONCE * self.row_bytes())) {
            let mut rotated = scale(rows, &self.means, self.unit);
            if let Some(rotation) = &self.rotation {
                rotated = rotation.rotate(&rotated);
            }
            let width = rotated.len() * self.dim() / rows.len();
            for (row, code) in rotated.chunks_exact_mut(width).zip(codes.chunks_exact_mut(self.row_bytes())) {
                self.search(row, &mut buffers, &mut symbols);
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

    /// What the codes of `rows: [n][dim]` decode to, the same for any number of threads.
    pub(in crate::codec) fn coded(&self, rows: &[f32], threads: usize) -> Vec<f32> {
        let (job, mut decoded) = (ROWS_PER_JOB * self.dim(), vec![0.0; rows.len()]);
        in_parallel(threads, rows.chunks(job).zip(decoded.chunks_mut(job)), |(rows, decoded)| {
            let mut codes = vec![0; rows.len() / self.dim() * self.row_bytes()];
            self.encode(rows, &mut codes);
            self.decode(&codes, decoded);
        });
        decoded
    }

    /// See `Coder::is_cut`.
    pub(super) fn is_cut(&self, row: &[f32], scale: f32) -> bool {
        let scaled = row.iter().map(|value| value / scale);
        let is_beyond = scaled.clone().zip(&self.means).any(|(value, mean)| (value - mean).abs() > self.reach);
        // The sum of few codewords may not reach a row that is only long.
        is_beyond
            || self.scale.is_long(row, scale) && {
                let energy: f64 = scaled.map(|value| f64::from(value) * f64::from(value)).sum();
                self.error_of(row, scale) > LOST * energy
            }
    }

    /// See `Coder::error_of`.
    pub(super) fn error_of(&self, row: &[f32], scale: f32) -> f64 {
        let mut scaled = row.to_vec();
        divide(&mut scaled, scale);
        let (mut code, mut decoded) = (vec![0; self.row_bytes()], vec![0.0; self.dim()]);
        self.encode(&scaled, &mut code);
        self.decode(&code, &mut decoded);
        scaled.iter().zip(&decoded).map(|(value, decoded)| (f64::from(*value) - f64::from(*decoded)).powi(2)).sum()
    }

    /// Finds the symbols of all stages for `row`, a scaled and rotated vector. Leaves in `row` the residual that the
    /// last stage codes.
    fn search(&self, row: &mut [f32], buffers: &mut SearchBuffers, symbols: &mut [u8]) {
        let mut rest = symbols;
        for (number, stage) in self.stages.iter().enumerate() {
            let (own, behind) = rest.split_at_mut(stage.symbols());
            stage.search(row, buffers, own);
            if number + 1 < self.stages.len() {
                stage.subtract(own, row);
            }
            rest = behind;
        }
    }

    /// Decodes `codes: [n][row_bytes]` into `rows: [n][dim]`, the same however many rows are decoded at once.
    pub(in crate::codec) fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        let rows_at_once = rows.chunks_mut(ROWS_AT_ONCE * self.dim());
        for (rows, codes) in rows_at_once.zip(codes.chunks(ROWS_AT_ONCE * self.row_bytes())) {
            match &self.rotation {
                Some(rotation) => {
                    let mut rotated = vec![0.0; rows.len() / self.dim() * rotation.directions()];
                    self.add_all(codes, &mut rotated);
                    rotation.rotate_back(&mut rotated, rows);
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

    /// Adds all codewords of `codes: [n][row_bytes]` to `rotated`: `[n][directions]`, or `[n][dim]` without a rotation.
    fn add_all(&self, codes: &[u8], rotated: &mut [f32]) {
        let mut before = 0;
        for stage in &self.stages {
            stage.add(&self.unpack_symbols(codes, before..before + stage.symbols()), rotated);
            before += stage.symbols();
        }
    }

    /// The symbols with numbers `range` of each of `codes: [n][row_bytes]`.
    fn unpack_symbols(&self, codes: &[u8], range: std::ops::Range<usize>) -> Vec<u8> {
        let mut symbols = vec![0; codes.len() / self.row_bytes() * range.len()];
        for (code, symbols) in codes.chunks_exact(self.row_bytes()).zip(symbols.chunks_exact_mut(range.len())) {
            for (symbol, number) in symbols.iter_mut().zip(range.clone()) {
                *symbol = code[number / 2] >> (number % 2 * 4) & 15;
            }
        }
        symbols
    }
}

/// Scales `rows: [n][dim]`: their differences to `means`, in units of `unit`.
pub(super) fn scale(rows: &[f32], means: &[f32], unit: f32) -> Vec<f32> {
    // f64: the difference of two large f32 values can overflow, and so can a large value in a small unit.
    let mut scaled = rows.to_vec();
    for row in scaled.chunks_exact_mut(means.len()) {
        for (value, mean) in row.iter_mut().zip(means) {
            let units = (f64::from(*value) - f64::from(*mean)) / f64::from(unit);
            *value = units.clamp(-FARTHEST, FARTHEST) as f32;
        }
    }
    scaled
}
