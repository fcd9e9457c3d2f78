//! One tile of queries at one region of a segment.
//!
//! Queries with a table (`codec::QueryTable`) scan codes and rerank the candidates. Without a table (raw rows, few rows,
//! exact searches, codebooks or queries that have none) every row of the access path is measured.

use super::access::{AccessPath, Part, Region, Share};
use super::measure::{CandidateMeter, RawRows, measure_decoded, offer_equally_far, offer_measured};
use super::request::Tile;
use super::scan::{CodeScan, Scanner};
use super::top::TopK;
use crate::codec::{Codebook, QueryTable};
use crate::error::Result;
use std::cell::OnceCell;

/// So few rows are measured: a table for the scan would take longer.
const FEW: usize = 16;

/// One tile of queries at one region of a segment.
pub struct SegmentQuery<'a> {
    tile: &'a Tile<'a>,
    region: Region<'a>,
    /// The thread that visits the lists: the one that owns this number.
    number: usize,
    access: AccessPath,
}

impl<'a> SegmentQuery<'a> {
    /// The queries of `tile` at `region`, which is in segment `number`.
    pub fn new(tile: &'a Tile<'a>, region: Region<'a>, number: usize) -> Result<SegmentQuery<'a>> {
        let access = region.path(&tile.request)?;
        Ok(SegmentQuery { tile, region, number, access })
    }

    /// Offers the rows of the region that are in `share` to `tops`.
    pub fn offer_nearest(&self, share: Share, tops: &mut [TopK]) -> Result<()> {
        let parts: Vec<Part> = self.region.parts(share).collect();
        if parts.is_empty() && !self.visits_lists(share) {
            // Do not compute tables: this share has no rows.
            return Ok(());
        }
        let tables: Vec<Option<QueryTable>> = (0..tops.len()).map(|query| self.table(query)).collect();
        let without: Vec<usize> = (0..tables.len()).filter(|query| tables[*query].is_none()).collect();
        self.measure_all(&without, &parts, tops)?;
        let Some(book) = self.book() else { return Ok(()) };
        match self.access {
            AccessPath::Lists { probes } if self.visits_lists(share) => self.visit_lists(book, &tables, probes, tops),
            AccessPath::Lists { .. } => Ok(()),
            AccessPath::All => parts.iter().try_for_each(|part| {
                for scanner in self.scan(book, self.new_scanners(&tables, tops), *part)? {
                    self.offer_candidates(book, &scanner, &mut tops[scanner.query])?;
                }
                Ok(())
            }),
        }
    }

    /// True if the candidates of all rows of the region are compared with each other, in the thread of `share`. They are
    /// then also compared with those of other classes.
    pub fn is_joined(&self, share: Share) -> bool {
        let is_one_part = || self.region.parts(Share { number: 0, of: 1 }).count() == 1;
        let is_here = match self.access {
            AccessPath::Lists { .. } => self.visits_lists(share),
            AccessPath::All => is_one_part() && self.region.parts(share).count() == 1,
        };
        is_here && self.book().is_some() && !self.tile.request.is_bounded()
    }

    /// The scanners of those of `queries` that have a table, with all candidates of a region that is joined in `share`.
    /// Offers the rows to `tops` of the others. Writes `tables: [queries of the tile]`.
    pub fn scanners<'t>(
        &self,
        queries: &[usize],
        share: Share,
        tables: &'t [OnceCell<Option<QueryTable<'a>>>],
        tops: &mut [TopK],
    ) -> Result<Vec<Scanner<'t>>> {
        let (Some(book), false) = (self.book(), queries.is_empty()) else { return Ok(Vec::new()) };
        let (mut scanners, mut without) = (Vec::new(), Vec::new());
        for query in queries {
            match tables[*query].get_or_init(|| self.table(*query)) {
                Some(table) => scanners.push(self.new_scanner(*query, table, tops)),
                None => without.push(*query),
            }
        }
        let parts: Vec<Part> = self.region.parts(share).collect();
        self.measure_all(&without, &parts, tops)?;
        let AccessPath::Lists { probes } = self.access else { return self.scan(book, scanners, parts[0]) };
        scanners.iter_mut().try_for_each(|scanner| self.scan_lists(book, scanner, probes))?;
        Ok(scanners)
    }

    fn table(&self, query: usize) -> Option<QueryTable<'a>> {
        if self.tile.distance_of_all(query).is_some() {
            return None;
        }
        self.book()?.table(self.tile.request.metric, self.tile.queries[query])
    }

    /// The codebook, unless rows are measured without it.
    fn book(&self) -> Option<&'a Codebook> {
        let is_scanned = !self.tile.request.is_exact && self.region.rows.len() > FEW;
        self.region.view.codebook.as_deref().filter(|_| is_scanned)
    }

    /// True if `share` visits the inverted lists. One thread visits all of them: the candidates of all lists are
    /// compared with each other.
    fn visits_lists(&self, share: Share) -> bool {
        matches!(self.access, AccessPath::Lists { .. }) && share.owns(self.number)
    }

    /// Measures every row of `parts` for `queries`.
    fn measure_all(&self, queries: &[usize], parts: &[Part], tops: &mut [TopK]) -> Result<()> {
        if queries.is_empty() {
            return Ok(());
        }
        parts.iter().try_for_each(|part| self.measure(queries, *part, tops))
    }

    /// Measures every row of `part` for the tile's `queries`.
    fn measure(&self, queries: &[usize], part: Part, tops: &mut [TopK]) -> Result<()> {
        let Region { view, set, .. } = self.region;
        if view.codebook.is_some() {
            let mut others = Vec::new();
            for query in queries {
                match self.tile.distance_of_all(*query) {
                    Some(distance) => offer_equally_far(view, set, part, distance, &mut tops[*query])?,
                    None => others.push(*query),
                }
            }
            return if others.is_empty() { Ok(()) } else { measure_decoded(view, set, self.tile, &others, part, tops) };
        }
        // No query has a table for raw rows, so `queries` are all of them.
        let segment = &view.segment;
        let rows = RawRows { rows_at: |row, most| segment.rows_at(row, most), id_of: |row| segment.id_of(row) };
        rows.measure(self.tile, part, set, tops)
    }

    /// A scanner for each query that has a table.
    fn new_scanners<'t>(&self, tables: &'t [Option<QueryTable<'t>>], tops: &[TopK]) -> Vec<Scanner<'t>> {
        let queries = tables.iter().enumerate();
        queries.filter_map(|(query, table)| Some(self.new_scanner(query, table.as_ref()?, tops))).collect()
    }

    /// A scanner for one query, which skips rows that are too far.
    fn new_scanner<'t>(&self, query: usize, table: &'t QueryTable<'t>, tops: &[TopK]) -> Scanner<'t> {
        let request = &self.tile.request;
        // If there is a largest distance, the rows found within it decide whether more lists are visited. So they may not
        // depend on what other segments have, which other threads may search.
        let bound = if request.is_bounded() { request.max_distance } else { tops[query].bound() };
        Scanner::new(query, table, self.region.set, request, bound)
    }

    /// Scans the codes of `part`.
    fn scan<'t>(&self, book: &Codebook, mut scanners: Vec<Scanner<'t>>, part: Part) -> Result<Vec<Scanner<'t>>> {
        let Region { view, set, .. } = self.region;
        CodeScan { view, book, set }.scan_part(&mut scanners, part)?;
        Ok(scanners)
    }

    /// Scans the codes of the `probes` lists near the query of `scanner`.
    fn scan_lists(&self, book: &Codebook, scanner: &mut Scanner, probes: usize) -> Result<()> {
        let (Region { view, set, .. }, query) = (&self.region, (self.tile.queries[scanner.query], scanner.table));
        let all = Part::Range(self.region.rows.start, self.region.rows.end);
        let runs = self.region.runs_of_lists(&self.tile.request, query, probes)?;
        CodeScan { view, book, set }.scan_runs(std::slice::from_mut(scanner), all, &runs)
    }

    /// Offers the nearest candidates of `scanner` to `top`.
    fn offer_candidates(&self, book: &Codebook, scanner: &Scanner, top: &mut TopK) -> Result<()> {
        let rows = scanner.reservoir.rows();
        offer_measured(
            self.region.view,
            CandidateMeter::new(self.region.view, book).measure(self.tile, scanner, rows)?,
            top,
        )
    }

    /// Scans the codes of the lists near each query that has a table, and offers the nearest candidates to `tops`.
    fn visit_lists(
        &self,
        book: &Codebook,
        tables: &[Option<QueryTable>],
        probes: usize,
        tops: &mut [TopK],
    ) -> Result<()> {
        let (view, request) = (self.region.view, &self.tile.request);
        for mut scanner in self.new_scanners(tables, tops) {
            self.scan_lists(book, &mut scanner, probes)?;
            let rows = scanner.reservoir.rows();
            let measured = CandidateMeter::new(view, book).measure(self.tile, &scanner, rows)?;
            let within = measured.iter().filter(|(distance, _)| *distance <= request.max_distance).count();
            if !(request.is_bounded() && request.effort == 0.0 && within < request.k) {
                offer_measured(view, measured, &mut tops[scanner.query])?;
                continue;
            }
            // The lists that are farther away may hold rows within the distance.
            let rows = self.region.rows.clone();
            for part in Part::divide(rows, None, Share { number: 0, of: 1 }) {
                let again = vec![self.new_scanner(scanner.query, scanner.table, tops)];
                for scanner in self.scan(book, again, part)? {
                    self.offer_candidates(book, &scanner, &mut tops[scanner.query])?;
                }
            }
        }
        Ok(())
    }
}
