//! The nearest rows of a view for each query of a request: segment by segment, then the tail, one tile of queries at a
//! time. Classes of a segment are searched together.

use super::access::{Part, Region, Share};
use super::class_tile::ClassTile;
use super::filter::Filter;
use super::joined::Joined;
use super::measure::{RawRows, offer_equally_far};
use super::request::{SearchRequest, Tile};
use super::row_set::RowSet;
use super::segment_query::SegmentQuery;
use super::top::TopK;
use crate::error::Result;
use crate::metric::Metric;
use crate::segment::scales::RowClass;
use crate::snapshot::{SegmentView, View};
use std::cell::OnceCell;
use std::ops::Range;

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

/// Offers the rows of `view`, segment number `segment`, that are in `share`.
fn offer_segment(
    tile: &Tile,
    view: &SegmentView,
    set: &RowSet,
    (segment, share): (usize, Share),
    tops: &mut [TopK],
) -> Result<()> {
    if view.segment.is_unscaled() {
        return SegmentQuery::new(tile, Region::whole(view, set), segment)?.offer_nearest(share, tops);
    }
    let (zeros, classes): (Vec<&RowClass>, Vec<&RowClass>) =
        classes_in_order(view, tile.request.metric)?.into_iter().partition(|class| class.scale == 0.0);
    let class_tiles: Vec<ClassTile> = classes.iter().map(|class| ClassTile::new(tile, class)).collect();
    let tiles: Vec<Tile> = class_tiles.iter().map(ClassTile::tile).collect();
    let cells = || tops.iter().map(|_| OnceCell::new()).collect();
    let tables: Vec<Vec<OnceCell<_>>> = classes.iter().map(|_| cells()).collect();
    let mut joined: Vec<Joined> = tops.iter().map(|_| Joined::new()).collect();
    for (number, class) in classes.iter().enumerate() {
        let (class_tile, tile) = (&class_tiles[number], &tiles[number]);
        let search = SegmentQuery::new(tile, Region::of_class(view, set, class), segment)?;
        let mut found = class_tile.tops(tops);
        if search.is_joined(share) {
            let is_near = |query: &usize| class_tile.least_distance(*query) <= joined[*query].bound();
            let near: Vec<usize> = (0..tops.len()).filter(is_near).collect();
            // Only for L2 the queries of classes differ.
            let tables = &tables[if tile.request.metric == Metric::L2 { number } else { 0 }];
            for scanner in search.scanners(&near, share, tables, &mut found)? {
                joined[scanner.query].add(class_tile, tile, scanner);
            }
        } else {
            search.offer_nearest(share, &mut found)?;
        }
        class_tile.offer(found, tops);
    }
    if let Some(book) = view.codebook.as_deref() {
        joined.into_iter().zip(&mut *tops).try_for_each(|(joined, top)| joined.offer_nearest(view, book, top))?;
    }
    let mut zeros = zeros.into_iter().filter(|_| share.owns(segment));
    zeros.try_for_each(|class| offer_zeros(tile, view, set, class.rows.clone(), tops))
}

/// Offers those of `rows`, which are all zeros, that are in `set`. Their codes are not read.
fn offer_zeros(tile: &Tile, view: &SegmentView, set: &RowSet, rows: Range<u32>, tops: &mut [TopK]) -> Result<()> {
    let zeros = vec![0.0; tile.queries[0].len()];
    for (query, top) in tops.iter_mut().enumerate() {
        let distance = tile.distance(query, &zeros);
        for part in Part::divide(rows.clone(), set.listed(), Share { number: 0, of: 1 }) {
            offer_equally_far(view, set, part, distance, top)?;
        }
    }
    Ok(())
}

/// The classes of a segment: first those that probably have most of the nearest rows.
fn classes_in_order(view: &SegmentView, metric: Metric) -> Result<Vec<&RowClass>> {
    let mut classes: Vec<&RowClass> = view.segment.classes()?.iter().collect();
    match metric {
        Metric::InnerProduct => classes.reverse(),
        Metric::L2 | Metric::Cosine => classes.sort_by_key(|class| std::cmp::Reverse(class.rows.len())),
    }
    Ok(classes)
}

fn measure_tail(view: &View, tile: &Tile, part: Part, filter: &Filter, tops: &mut [TopK]) -> Result<()> {
    let Some(tail) = &view.snapshot.tail else { return Ok(()) };
    let rows = RawRows { rows_at: |row, most| Ok(tail.rows_at(row, most)), id_of: |row| Ok(tail.ids.id_of(row)) };
    rows.measure(tile, part, &filter.tail, tops)
}
