//! The order of rows in a new file: by id; or class by class, if rows have different scales, and in each class list by
//! list, where inverted lists pay.

use super::encode::{batch_rows, blocks, encode};
use super::sample::{SAMPLE_BYTES, sample_rows};
use super::scale::RowScales;
use crate::codec::{Codebook, divide, scaled_sample};
use crate::error::{Error, Result};
use crate::index::{self, Index};
use crate::kernels::kernels;
use crate::metric::Metric;
use crate::segment::lists::{self, LISTS_MAX, NewLists};
use crate::segment::scales::NewScales;
use crate::snapshot::{Place, Scratch, Snapshot, View};
use crate::threads::in_parallel;
use crate::work::Work;
use std::collections::VecDeque;

/// From this many rows on, a full scan is too slow for a query: lists may take 1/`SHARE_OF_MANY` of the code bytes.
const MANY_ROWS: u64 = 1 << 18;
const SHARE_OF_MANY: u64 = 8;
/// With fewer rows, lists may take 1/`SHARE_OF_FEW` of the code bytes: the same bytes in longer codes lower the error.
const SHARE_OF_FEW: u64 = 46;
/// Lists become up to 2^`HALVINGS` times as long, so that they take no more than their share.
const HALVINGS: u32 = 2;

/// Number of lists of a class in a file of `rows` codes of `row_bytes` bytes: the most that take no more than their share of
/// the bytes; 0 if even a few take more.
pub fn lists_of(rows: u64, row_bytes: u64) -> u32 {
    let most = index::lists_for(rows);
    let share = if rows >= MANY_ROWS { SHARE_OF_MANY } else { SHARE_OF_FEW };
    let bytes = |lists| u32::try_from(rows).map_or(u64::MAX, |rows| lists::section_bytes(rows, lists, 1, row_bytes));
    let fits = |lists: &u32| bytes(*lists) <= rows * row_bytes / share;
    (0..=HALVINGS).map(|halvings| most >> halvings).find(fits).unwrap_or(0)
}

/// Yields the live rows of a state in the order in which they are written: by id, or list by list.
pub struct Order<'a> {
    view: View<'a>,
    /// Ascending ids: of all rows if there are lists, else of the rows returned so far.
    ids: Vec<u64>,
    by_list: Option<ByList>,
    /// The scales of all rows.
    scales: Option<&'a RowScales>,
    /// How they are stored; with the lengths of rows, once they are assigned to lists.
    stored: NewScales,
}

/// A row to be written.
pub struct NextRow {
    pub place: Place,
    /// What it is divided by before it is coded.
    pub scale: f32,
}

struct ByList {
    lists: NewLists,
    /// Positions in `ids` of the rows that are still to be written.
    ranks: VecDeque<u32>,
}

impl<'a> Order<'a> {
    pub fn by_id(source: &'a Snapshot) -> Order<'a> {
        Order { view: source.view(), ids: Vec::new(), by_list: None, scales: None, stored: NewScales::One }
    }

    /// The order for codes of `book` of rows with these `scales`. Reports to `work` while it assigns rows to lists, so
    /// that the caller can cancel.
    pub fn of_codes(
        source: &'a Snapshot,
        book: &Codebook,
        scales: &'a RowScales,
        metric: Metric,
        work: &mut Work,
    ) -> Result<Order<'a>> {
        let (rows, dim) = (source.view().count(), source.dim);
        let mut order = Order { scales: Some(scales), stored: scales.stored.clone(), ..Order::by_id(source) };
        let classes = scales.sizes(rows).classes;
        let most = LISTS_MAX / classes.max(1);
        let count = lists_of(rows, book.row_bytes() as u64).min(most).max(u32::from(classes > 0));
        if count == 0 {
            return Ok(order);
        }
        let most = (SAMPLE_BYTES / (dim as u64 * 4)).max(u64::from(count));
        let sample = sample_rows(source, rows, rows.min(index::SAMPLE_A_LIST * u64::from(count)).min(most), 0)?;
        let of_sample: Vec<f32> =
            sample.chunks_exact(dim).map(|row| scales.stored.stored(book.scale_of(row))).collect();
        let sample = scaled_sample(&sample, &of_sample);
        let index = Index::train(&sample, dim, metric, count as usize);
        let list_of = order.assign(&index, dim, work)?;
        let centroids = index.centroids_like(&sample);
        let (codes, _) = encode(book, &centroids, &vec![1.0; count as usize], work.threads());
        let mut decoded = vec![0.0; count as usize * dim];
        book.decode(&codes, &mut decoded);
        let norms = decoded.chunks_exact(dim).map(|centroid| book.norm(metric, centroid)).collect();
        let (centroids, visits) = (blocks(&codes, book), index.visits(&decoded, &sample, rows));
        let lists = NewLists { list_of, visits, centroids, norms, count: count * classes.max(1) };
        order.by_list = Some(ByList { ranks: lists.ranks().into(), lists });
        Ok(order)
    }

    /// The number of the list of each row, in order of id: class by class. Fills `ids` with all ids.
    fn assign(&mut self, index: &Index, dim: usize, work: &mut Work) -> Result<Vec<u16>> {
        let (mut list_of, mut scratch, threads): (Vec<u16>, _, _) = (Vec::new(), Scratch::default(), work.threads());
        loop {
            let batch = self.next(batch_rows(dim))?;
            if batch.is_empty() {
                return Ok(list_of);
            }
            let mut floats = vec![0.0; batch.len() * dim];
            let mut classes = Vec::with_capacity(batch.len());
            for (row, out) in batch.iter().zip(floats.chunks_exact_mut(dim)) {
                self.view.read(row.place, &mut scratch, out)?;
                let class = self.stored.class_of(row.scale);
                self.stored.add_to_class(class, kernels().dot(out, out).sqrt());
                classes.push(class);
                divide(out, row.scale);
            }
            let (assigned, share) = (list_of.len(), batch.len().div_ceil(threads));
            list_of.resize(assigned + batch.len(), 0);
            let parts = floats.chunks(share * dim).zip(list_of[assigned..].chunks_mut(share));
            in_parallel(threads, parts, |(rows, lists)| index.assign(rows, lists));
            list_of[assigned..]
                .iter_mut()
                .zip(classes)
                .for_each(|(list, class)| *list += (class * index.lists()) as u16);
            work.report(0, 1)?;
        }
    }

    /// The next rows, at most `most`; an empty batch at the end.
    pub fn next(&mut self, most: usize) -> Result<Vec<NextRow>> {
        let scale_of = |rank: usize| self.scales.map_or(1.0, |scales| scales.of_rank(rank));
        let Some(ByList { ranks, .. }) = &mut self.by_list else {
            let batch = self.view.in_order(self.ids.last().map_or(0, |last| last + 1), most)?;
            let first = self.ids.len();
            self.ids.extend(batch.iter().map(|(id, _)| *id));
            let next = |(rank, (_, place))| NextRow { place, scale: scale_of(rank) };
            return Ok((first..).zip(batch).map(next).collect());
        };
        let batch = ranks.drain(..most.min(ranks.len())).map(|rank| {
            let id = self.ids[rank as usize];
            let place = self.view.locate(id)?;
            let place = place.ok_or_else(|| Error::Internal(format!("id {id} is missing from a frozen state")))?;
            Ok(NextRow { place, scale: scale_of(rank as usize) })
        });
        batch.collect()
    }

    /// `[rows]`: the scale of each row, in the order in which the rows are written; empty if no length is stored.
    fn scales_of_rows(&self) -> Vec<f32> {
        let Some(scales) = self.scales.filter(|_| matches!(self.stored, NewScales::Lengths { .. })) else {
            return Vec::new();
        };
        let ranks = self.by_list.as_ref().map(|by_list| by_list.lists.ranks());
        let rank_of = |row: usize| ranks.as_ref().map_or(row, |ranks| ranks[row] as usize);
        (0..self.ids.len()).map(|row| scales.of_rank(rank_of(row))).collect()
    }

    /// The ids, ascending, the lists if there are any, and the scales as `SegmentWriter::finish` takes them.
    pub fn finish(self) -> (Vec<u64>, Option<NewLists>, (NewScales, Vec<f32>)) {
        let of_rows = self.scales_of_rows();
        (self.ids, self.by_list.map(|by_list| by_list.lists), (self.stored, of_rows))
    }
}
