//! The nearest rows of a view for each query of a request: segment by segment, then the tail, one tile of queries at a
//! time.
//!
//! Queries with a table (`codec::QueryTable`) scan codes and rerank the candidates. Without a table (raw rows, exact
//! searches, codebooks or queries that have none) every row of the access path is measured.

use super::access::{AccessPath, Part, Share, runs_of_lists};
use super::filter::Filter;
use super::measure::{RawRows, measure_candidates, measure_decoded};
use super::request::{SearchRequest, Tile};
use super::row_set::RowSet;
use super::scan::{CodeScan, Scanner};
use super::top::TopK;
use crate::codec::{Codebook, QueryTable};
use crate::error::Result;
use crate::snapshot::{SegmentView, View};

/// Approximate number of bytes that one query of `request` reads.
pub fn bytes_per_query(view: &View, request: &SearchRequest, filter: Option<&Filter>) -> Result<u64> {
    let mut bytes = u64::from(view.visible) * view.snapshot.dim as u64 * 4;
    for (number, view) in view.snapshot.segments.iter().enumerate() {
        let access = AccessPath::choose(&view.segment, request, filter.map(|filter| filter.segment(number)))?;
        bytes += (view.segment.entry().length as f64 * access.fraction()) as u64;
    }
    Ok(bytes)
}

/// Offers to `tops: [nq]` the live vectors of `share` that may be nearest to each query of `request`, of those that
/// `filter` allows.
pub fn offer_nearest(
    view: &View,
    request: &SearchRequest,
    filter: Option<&Filter>,
    share: Share,
    tops: &mut [TopK],
) -> Result<()> {
    let mut rest = tops;
    for tile in Tile::all(request, view.snapshot.dim) {
        let (tops, later) = rest.split_at_mut(tile.queries.len());
        rest = later;
        for (number, segment) in view.snapshot.segments.iter().enumerate() {
            let allowed = filter.map(|filter| filter.segment(number));
            SegmentQuery::new(&tile, segment, number, allowed)?.offer_nearest(share, tops)?;
        }
        for part in Part::divide(view.visible, filter.map(Filter::tail), share) {
            measure_tail(view, &tile, part, tops)?;
        }
    }
    Ok(())
}

fn measure_tail(view: &View, tile: &Tile, part: Part, tops: &mut [TopK]) -> Result<()> {
    let Some(tail) = &view.snapshot.tail else { return Ok(()) };
    let rows = RawRows { rows_at: |row, most| Ok(tail.rows_at(row, most)), id_of: |row| Ok(tail.ids.id_of(row)) };
    rows.measure(tile, part, &view.snapshot.tail_hidden, tops)
}

/// One tile of queries at one segment.
struct SegmentQuery<'a> {
    tile: &'a Tile<'a>,
    view: &'a SegmentView,
    /// The segment's index in the snapshot.
    number: usize,
    access: AccessPath<'a>,
}

impl<'a> SegmentQuery<'a> {
    fn new(
        tile: &'a Tile<'a>,
        view: &'a SegmentView,
        number: usize,
        allowed: Option<&'a RowSet>,
    ) -> Result<SegmentQuery<'a>> {
        let access = AccessPath::choose(&view.segment, &tile.request, allowed)?;
        Ok(SegmentQuery { tile, view, number, access })
    }

    /// Offers the rows of the segment that are in `share` to `tops`.
    fn offer_nearest(&self, share: Share, tops: &mut [TopK]) -> Result<()> {
        let parts: Vec<Part> = self.access.parts(&self.view.segment, share).collect();
        if parts.is_empty() && !self.visits_lists(share) {
            // Do not compute tables: this share has no rows.
            return Ok(());
        }
        let book = self.view.codebook.as_deref().filter(|_| !self.tile.request.is_exact);
        let table = |query: &&[f32]| book.and_then(|book| book.table(self.tile.request.metric, query));
        let tables: Vec<Option<QueryTable>> = self.tile.queries.iter().map(table).collect();
        let without: Vec<usize> = (0..tables.len()).filter(|query| tables[*query].is_none()).collect();
        if !without.is_empty() {
            parts.iter().try_for_each(|part| self.measure(&without, *part, tops))?;
        }
        match book {
            Some(book) if without.len() < tables.len() => self.scan(book, &tables, share, &parts, tops),
            _ => Ok(()),
        }
    }

    /// True if `share` visits the inverted lists. One thread visits all of them: the candidates of all lists are
    /// compared with each other.
    fn visits_lists(&self, share: Share) -> bool {
        matches!(self.access, AccessPath::Lists { .. }) && share.owns(self.number)
    }

    /// Measures every row of `part` for the tile's `queries`.
    fn measure(&self, queries: &[usize], part: Part, tops: &mut [TopK]) -> Result<()> {
        if self.view.codebook.is_some() {
            return measure_decoded(self.view, self.tile, queries, part, tops);
        }
        // No query has a table for raw rows, so `queries` are all of them.
        let segment = &self.view.segment;
        let rows = RawRows { rows_at: |row, most| segment.rows_at(row, most), id_of: |row| segment.id_of(row) };
        rows.measure(self.tile, part, &self.view.hidden, tops)
    }

    /// Scans the codes that the access path leads to, for the queries that have `tables`, and measures the candidates.
    fn scan(
        &self,
        book: &Codebook,
        tables: &[Option<QueryTable>],
        share: Share,
        parts: &[Part],
        tops: &mut [TopK],
    ) -> Result<()> {
        let codes = CodeScan { segment: self.view, book };
        if let AccessPath::Lists { count, probes } = self.access {
            if !self.visits_lists(share) {
                return Ok(());
            }
            let mut scanners = Scanner::all(self.tile, tables, tops);
            for scanner in &mut scanners {
                let runs = runs_of_lists(&self.view.segment, scanner.table, count, probes, scanner.k)?;
                let all = Part::Range(0, self.view.segment.rows());
                codes.scan_runs(std::slice::from_mut(scanner), all, &runs)?;
            }
            return measure_candidates(self.view, book, self.tile, &scanners, None, tops);
        }
        for part in parts {
            let mut scanners = Scanner::all(self.tile, tables, tops);
            let gathered = match (self.access, part) {
                (AccessPath::Rows(set), Part::Rows(rows)) => codes.scan_set(&mut scanners, set, rows)?,
                _ => codes.scan_runs(&mut scanners, *part, &part.block_runs()).map(|()| None)?,
            };
            measure_candidates(self.view, book, self.tile, &scanners, gathered, tops)?;
        }
        Ok(())
    }
}
