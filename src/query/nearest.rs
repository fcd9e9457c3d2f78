//! The nearest rows of a view for each query of a request: segment by segment, then the tail, one tile of queries at a
//! time.
//!
//! Queries with a table (`codec::QueryTable`) scan codes and rerank the candidates. Without a table (raw rows, few rows,
//! exact searches, codebooks or queries that have none) every row of the access path is measured.

use super::access::{AccessPath, Part, Region, Share};
use super::class_tile::ClassTile;
use super::filter::Filter;
use super::measure::{RawRows, measure_candidates, measure_decoded, offer_measured};
use super::request::{SearchRequest, Tile};
use super::row_set::RowSet;
use super::scan::{CodeScan, Scanner};
use super::top::TopK;
use crate::codec::{Codebook, QueryTable};
use crate::error::Result;
use crate::snapshot::{SegmentView, View};

/// So few rows are measured: a table for the scan would take longer.
const FEW: usize = 64;

/// Approximate number of bytes that one query of `request` reads.
pub fn bytes_per_query(view: &View, request: &SearchRequest, filter: &Filter) -> Result<u64> {
    let mut bytes = u64::from(view.visible) * view.snapshot.dim as u64 * 4;
    for (view, set) in view.snapshot.segments.iter().zip(&filter.segments) {
        bytes += Region::whole(view, set).bytes_per_query(request)?;
    }
    Ok(bytes)
}

/// Offers to `tops: [nq]` the vectors of `share` that may be nearest to each query of `request`, of those that `filter`
/// allows.
pub fn offer_nearest(
    view: &View,
    request: &SearchRequest,
    filter: &Filter,
    share: Share,
    tops: &mut [TopK],
) -> Result<()> {
    let mut rest = tops;
    for tile in Tile::all(request, view.snapshot.dim) {
        let (tops, later) = rest.split_at_mut(tile.queries.len());
        rest = later;
        for (number, (segment, set)) in view.snapshot.segments.iter().zip(&filter.segments).enumerate() {
            offer_segment(&tile, segment, set, (number, share), tops)?;
        }
        for part in Part::divide(0..view.visible, filter.tail.listed(), share) {
            measure_tail(view, &tile, part, filter, tops)?;
        }
    }
    Ok(())
}

/// Offers the rows of segment `number` that are in `share`, class by class if they have different scales.
fn offer_segment(
    tile: &Tile,
    view: &SegmentView,
    set: &RowSet,
    (number, share): (usize, Share),
    tops: &mut [TopK],
) -> Result<()> {
    if view.segment.is_unscaled() {
        return SegmentQuery::new(tile, Region::whole(view, set), number)?.offer_nearest(share, tops);
    }
    for class in view.segment.classes()? {
        let query = |tile: &Tile, tops: &mut [TopK]| {
            SegmentQuery::new(tile, Region::of_class(view, set, class), number)?.offer_nearest(share, tops)
        };
        if class.scale == 1.0 {
            query(tile, tops)?;
        } else {
            ClassTile::new(tile, class.scale).offer_nearest(tops, query)?;
        }
    }
    Ok(())
}

fn measure_tail(view: &View, tile: &Tile, part: Part, filter: &Filter, tops: &mut [TopK]) -> Result<()> {
    let Some(tail) = &view.snapshot.tail else { return Ok(()) };
    let rows = RawRows { rows_at: |row, most| Ok(tail.rows_at(row, most)), id_of: |row| Ok(tail.ids.id_of(row)) };
    rows.measure(tile, part, &filter.tail, tops)
}

/// One tile of queries at one region of a segment.
struct SegmentQuery<'a> {
    tile: &'a Tile<'a>,
    region: Region<'a>,
    /// The thread that visits the lists: the one that owns this number.
    number: usize,
    access: AccessPath,
}

impl<'a> SegmentQuery<'a> {
    fn new(tile: &'a Tile<'a>, region: Region<'a>, number: usize) -> Result<SegmentQuery<'a>> {
        let access = region.path(&tile.request)?;
        Ok(SegmentQuery { tile, region, number, access })
    }

    /// Offers the rows of the region that are in `share` to `tops`.
    fn offer_nearest(&self, share: Share, tops: &mut [TopK]) -> Result<()> {
        let parts: Vec<Part> = self.region.parts(share).collect();
        if parts.is_empty() && !self.visits_lists(share) {
            // Do not compute tables: this share has no rows.
            return Ok(());
        }
        let is_scanned = !self.tile.request.is_exact && self.region.rows.len() > FEW;
        let book = self.region.view.codebook.as_deref().filter(|_| is_scanned);
        let table = |query: &&[f32]| book.and_then(|book| book.table(self.tile.request.metric, query));
        let tables: Vec<Option<QueryTable>> = self.tile.queries.iter().map(table).collect();
        let without: Vec<usize> = (0..tables.len()).filter(|query| tables[*query].is_none()).collect();
        if !without.is_empty() {
            parts.iter().try_for_each(|part| self.measure(&without, *part, tops))?;
        }
        let Some(book) = book.filter(|_| without.len() < tables.len()) else { return Ok(()) };
        match self.access {
            AccessPath::Lists { probes } if self.visits_lists(share) => self.visit_lists(book, &tables, probes, tops),
            AccessPath::Lists { .. } => Ok(()),
            AccessPath::All => parts.iter().try_for_each(|part| {
                let queries = tables.iter().enumerate();
                let scanners = queries.filter_map(|(query, table)| Some(self.scanner(query, table.as_ref()?, tops)));
                self.scan(book, scanners.collect(), *part, tops)
            }),
        }
    }

    /// True if `share` visits the inverted lists. One thread visits all of them: the candidates of all lists are
    /// compared with each other.
    fn visits_lists(&self, share: Share) -> bool {
        matches!(self.access, AccessPath::Lists { .. }) && share.owns(self.number)
    }

    /// Measures every row of `part` for the tile's `queries`.
    fn measure(&self, queries: &[usize], part: Part, tops: &mut [TopK]) -> Result<()> {
        let Region { view, set, .. } = self.region;
        if view.codebook.is_some() {
            return measure_decoded(view, set, self.tile, queries, part, tops);
        }
        // No query has a table for raw rows, so `queries` are all of them.
        let segment = &view.segment;
        let rows = RawRows { rows_at: |row, most| segment.rows_at(row, most), id_of: |row| segment.id_of(row) };
        rows.measure(self.tile, part, set, tops)
    }

    /// A scanner for one query, which skips rows that are too far.
    fn scanner<'t>(&self, query: usize, table: &'t QueryTable<'t>, tops: &[TopK]) -> Scanner<'t> {
        let request = &self.tile.request;
        // If there is a largest distance, the rows found within it decide whether more lists are visited. So they may not
        // depend on what other segments have, which other threads may search.
        let bound = if request.is_bounded() { request.max_distance } else { tops[query].bound() };
        Scanner::new(query, table, self.region.set, request, bound)
    }

    /// Scans the codes of `part` and offers the nearest candidates to `tops`.
    fn scan(&self, book: &Codebook, mut scanners: Vec<Scanner>, part: Part, tops: &mut [TopK]) -> Result<()> {
        let Region { view, set, .. } = self.region;
        CodeScan { view, book, set }.scan_part(&mut scanners, part)?;
        scanners.iter().try_for_each(|scanner| {
            let measured = measure_candidates(view, book, self.tile, scanner)?;
            offer_measured(view, measured, &mut tops[scanner.query])
        })
    }

    /// Scans the codes of the lists near each query that has a table, and offers the nearest candidates to `tops`.
    fn visit_lists(
        &self,
        book: &Codebook,
        tables: &[Option<QueryTable>],
        probes: usize,
        tops: &mut [TopK],
    ) -> Result<()> {
        let (Region { view, set, .. }, request) = (&self.region, &self.tile.request);
        let all = Part::Range(self.region.rows.start, self.region.rows.end);
        for (query, table) in tables.iter().enumerate() {
            let Some(table) = table else { continue };
            let mut scanner = self.scanner(query, table, tops);
            let runs = self.region.runs_of_lists(request, (self.tile.queries[query], table), probes)?;
            let codes = CodeScan { view, book, set };
            codes.scan_runs(std::slice::from_mut(&mut scanner), all, &runs)?;
            let measured = measure_candidates(view, book, self.tile, &scanner)?;
            let within = measured.iter().filter(|(distance, _)| *distance <= request.max_distance).count();
            if request.is_bounded() && request.effort == 0.0 && within < request.k {
                // The lists that are farther away may hold rows within the distance.
                let rows = self.region.rows.clone();
                for part in Part::divide(rows, None, Share { number: 0, of: 1 }) {
                    self.scan(book, vec![self.scanner(query, table, tops)], part, tops)?;
                }
            } else {
                offer_measured(view, measured, &mut tops[query])?;
            }
        }
        Ok(())
    }
}
