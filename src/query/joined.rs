//! The candidates of one query in several classes of a segment. They are compared with each other before they are
//! measured: most classes have none of the nearest rows. Where the lengths of its rows show that, a class is not scanned.

use super::class_tile::ClassTile;
use super::measure::{CandidateMeter, offer_measured};
use super::request::Tile;
use super::scan::Scanner;
use super::top::TopK;
use crate::codec::Codebook;
use crate::error::Result;
use crate::snapshot::SegmentView;

/// The scan of one class.
struct ClassScan<'a> {
    class: &'a ClassTile<'a>,
    tile: &'a Tile<'a>,
    scanner: Scanner<'a>,
}

/// A candidate of one of several scans.
struct Candidate {
    /// Its distance is probably in this range.
    low: f32,
    high: f32,
    scan: usize,
    row: u32,
}

/// The candidates of one query.
pub struct Joined<'a> {
    scans: Vec<ClassScan<'a>>,
    candidates: Vec<Candidate>,
    /// Rows that are farther away are no candidates.
    bound: f32,
}

impl<'a> Joined<'a> {
    /// No candidates.
    pub fn new() -> Joined<'a> {
        Joined { scans: Vec::new(), candidates: Vec::new(), bound: f32::INFINITY }
    }

    /// Rows that are farther away are not among the nearest.
    pub fn bound(&self) -> f32 {
        self.bound
    }

    /// Adds the candidates of `scanner`, which scanned the rows of `class` for a query of `tile`.
    pub fn add(&mut self, class: &'a ClassTile<'a>, tile: &'a Tile<'a>, scanner: Scanner<'a>) {
        let (scan, wanted) = (self.scans.len(), scanner.table.candidates(tile.request.k, tile.request.rerank));
        self.candidates.extend(scanner.candidates().map(|(row, (low, high))| {
            let [low, high] = [low, high].map(|distance| class.distance(distance));
            Candidate { low, high, scan, row }
        }));
        self.scans.push(ClassScan { class, tile, scanner });
        if self.candidates.len() >= wanted {
            let by_high = |a: &Candidate, b: &Candidate| a.high.total_cmp(&b.high);
            self.bound = self.candidates.select_nth_unstable_by(wanted - 1, by_high).1.high;
            self.candidates.retain(|candidate| candidate.low <= self.bound);
        }
    }

    /// Offers the nearest candidates, whose codes are those of `book`, to `top`.
    pub fn offer_nearest(self, view: &SegmentView, book: &Codebook, top: &mut TopK) -> Result<()> {
        let (mut meter, mut measured) = (CandidateMeter::new(view, book), Vec::new());
        for (number, ClassScan { class, tile, scanner }) in self.scans.iter().enumerate() {
            let own =
                self.candidates.iter().filter(|candidate| candidate.scan == number).map(|candidate| candidate.row);
            let found = meter.measure(tile, scanner, own.chain(scanner.reservoir.silent()))?;
            measured.extend(found.into_iter().map(|(distance, row)| (class.distance(distance), row)));
        }
        offer_measured(view, measured, top)
    }
}
