//! Rows of a segment or a tail: those a search looks at, the shares of several threads, the blocks that have them.

use crate::kernels::BLOCK_ROWS;
use std::ops::Range;

/// Rows whose scores are compared with each other: the same for any number of threads, or their answers might differ.
const ROWS_TOGETHER: usize = 1 << 17;

/// Rows looked at together where they lie.
const RUN_ROWS: usize = 1024;

/// One of equal shares of the rows, for one of several threads.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Which, from 0.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Share {
    /// The part of `count` things that is this share's.
    fn part(self, count: usize) -> Range<usize> {
        count * self.number / self.of..count * (self.number + 1) / self.of
    }
}

/// Rows of a segment or a tail that are looked at.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// These, ascending.
    Chosen(&'a [u32]),
    /// All from the first on and before the second, both whole blocks or the end.
    Range(u32, u32),
}

impl<'a> Rows<'a> {
    /// The parts of `count` rows, or of those `chosen`, that fall to `share`.
    pub fn of(share: Share, count: u32, chosen: Option<&'a Vec<u32>>) -> impl Iterator<Item = Rows<'a>> {
        let total = chosen.map_or(count as usize, Vec::len);
        share.part(total.div_ceil(ROWS_TOGETHER)).map(move |part| {
            let rows = part * ROWS_TOGETHER..((part + 1) * ROWS_TOGETHER).min(total);
            match chosen {
                Some(chosen) => Rows::Chosen(&chosen[rows]),
                None => Rows::Range(rows.start as u32, rows.end as u32),
            }
        })
    }

    pub fn count(self) -> usize {
        match self {
            Rows::Chosen(rows) => rows.len(),
            Rows::Range(begin, end) => (end - begin) as usize,
        }
    }

    /// The row at `place` of `count`.
    pub fn at(self, place: usize) -> u32 {
        match self {
            Rows::Chosen(rows) => rows[place],
            Rows::Range(begin, _) => begin + place as u32,
        }
    }

    pub fn contains(self, row: u32) -> bool {
        match self {
            Rows::Chosen(rows) => rows.binary_search(&row).is_ok(),
            Rows::Range(begin, end) => (begin..end).contains(&row),
        }
    }

    /// Those that follow one another, so many at a time.
    pub fn runs(self) -> impl Iterator<Item = Range<u32>> {
        let at_once = if matches!(self, Rows::Chosen(_)) { 1 } else { RUN_ROWS };
        (0..self.count()).step_by(at_once).map(move |place| {
            let first = self.at(place);
            first..first + at_once.min(self.count() - place) as u32
        })
    }

    /// The blocks that have any of these rows.
    pub fn blocks(self) -> Vec<Range<u32>> {
        match self {
            Rows::Range(begin, end) => blocks_of(std::iter::once(begin..end)),
            Rows::Chosen(rows) => blocks_of(rows.iter().map(|row| *row..*row + 1)),
        }
    }
}

/// The blocks that have any row of `runs`, which ascend and are not empty.
pub fn blocks_of(runs: impl Iterator<Item = Range<u32>>) -> Vec<Range<u32>> {
    let mut blocks: Vec<Range<u32>> = Vec::new();
    for rows in runs {
        let (start, end) = (rows.start / BLOCK_ROWS as u32, rows.end.div_ceil(BLOCK_ROWS as u32));
        match blocks.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => blocks.push(start..end),
        }
    }
    blocks
}
