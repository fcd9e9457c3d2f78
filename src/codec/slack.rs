//! Slack: by how much scores may be off when they choose candidates.

/// How far the score of a near row may exceed the k-th best score: the root of a number and of one in proportion to that
/// score, and the errors of the norms of both rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slack {
    pub(super) square: f64,
    pub(super) square_a_step: f64,
    pub(super) norms: NormError,
}

impl Slack {
    /// The same for all scores.
    pub fn fixed(steps: u16) -> Slack {
        Slack { square: f64::from(steps).powi(2), ..Slack::default() }
    }

    /// Of the k-th best score `score`.
    pub fn at(&self, score: u16) -> u16 {
        let score = f64::from(score);
        let steps =
            (self.square + self.square_a_step * score).sqrt().floor() + (2.0 * self.norms.steps_at(score)).ceil();
        steps.min(f64::from(u16::MAX)) as u16
    }
}

/// The error of squared norms that are rounded relative to themselves. The norm of a row within a distance d of the query is
/// at most √d more than that of the query.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NormError {
    /// The error of a number relative to it.
    pub(super) relative: f64,
    /// The norm of the query.
    pub(super) root: f64,
    /// A distance is `zero + unit * score`.
    pub(super) zero: f64,
    /// See `zero`.
    pub(super) unit: f64,
}

impl NormError {
    /// In steps of the score, of rows up to `distance` from the query.
    pub(super) fn steps_within(&self, distance: f64) -> f64 {
        if self.relative == 0.0 {
            0.0
        } else {
            self.relative * (self.root + distance.max(0.0).sqrt()).powi(2) / self.unit
        }
    }

    /// The same of rows whose score is at most `score`, which is itself off by as much.
    fn steps_at(&self, score: f64) -> f64 {
        let distance = |score: f64| self.zero + self.unit * score;
        self.steps_within(distance(score + self.steps_within(distance(score))))
    }
}
