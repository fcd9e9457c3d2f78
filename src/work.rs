//! `Work`: threads, progress and cancellation, a parameter of every long operation.

use crate::error::{Error, Result};
use crate::threads;

/// Receives (done, total); `true` cancels.
pub type OnProgress<'a> = dyn FnMut(u64, u64) -> bool + 'a;

/// Threads, progress and cancellation of one operation. Steps have no fixed size.
pub struct Work<'a> {
    threads: u32,
    on_progress: Option<&'a mut OnProgress<'a>>,
    /// Steps of the whole operation; 0 before `begin`.
    total: u64,
    /// First and last step of the current part.
    span: (u64, u64),
    /// The most steps reported so far, because progress must not decrease when a part is repeated.
    reported: u64,
}

impl<'a> Work<'a> {
    /// Work on at most `threads` threads, including the calling one, that reports to `on_progress`. `threads` 0: the
    /// number given to `begin`.
    pub fn new(threads: u32, on_progress: Option<&'a mut OnProgress<'a>>) -> Work<'a> {
        Work { threads, on_progress, total: 0, span: (0, 0), reported: 0 }
    }

    /// Begins an operation of `total` steps. `threads` is used if the work was made with 0 threads.
    pub fn begin(&mut self, total: u64, threads: u32) {
        (self.total, self.span, self.reported) = (total, (0, total), 0);
        self.threads = if self.threads == 0 { threads } else { self.threads };
    }

    /// The most threads to use.
    pub fn threads(&self) -> usize {
        threads::count(self.threads)
    }

    /// Reports that `done` of the `of` equal pieces of this part are done. An error, `Cancelled`, if the receiver
    /// cancels.
    pub fn report(&mut self, done: u64, of: u64) -> Result<()> {
        if self.total == 0 {
            // Without `begin`: the part is the whole operation, as in `inspect` and in tests.
            self.begin(of, self.threads);
        }
        self.reported = self.reported.max(self.step(done, of));
        let (done, total) = (self.reported, self.total);
        let cancels = self.on_progress.as_mut().is_some_and(|on_progress| on_progress(done, total));
        if cancels { Err(Error::Cancelled { done, total }) } else { Ok(()) }
    }

    /// Runs `run`, whose reports cover the pieces `begin..end` of the `of` equal pieces of this part.
    pub fn part<T>(
        &mut self,
        (begin, end): (u64, u64),
        of: u64,
        run: impl FnOnce(&mut Work<'a>) -> Result<T>,
    ) -> Result<T> {
        let whole = self.span;
        self.span = (self.step(begin, of), self.step(end, of));
        let result = run(self);
        self.span = whole;
        result
    }

    /// The step at which `done` of `of` pieces of this part are done.
    fn step(&self, done: u64, of: u64) -> u64 {
        let (begin, end) = self.span;
        let share = u128::from(end - begin) * u128::from(done.min(of)) / u128::from(of.max(1));
        // At most `end - begin`, a u64.
        begin + share as u64
    }
}

impl Default for Work<'_> {
    /// No progress function; cannot be cancelled.
    fn default() -> Self {
        Work::new(0, None)
    }
}

#[cfg(test)]
mod tests {
    use super::Work;
    use crate::error::Error;

    #[test]
    fn parts_report_steps_of_the_whole_and_never_run_backwards() {
        let mut seen = Vec::new();
        let mut on_progress = |done, total| {
            seen.push((done, total));
            false
        };
        let mut work = Work::new(0, Some(&mut on_progress));
        work.begin(200, 3);
        assert_eq!(work.threads(), 3);
        let parts = work.part((0, 1), 2, |work| {
            work.part((50, 100), 100, |work| work.report(1, 2))?;
            work.report(1, 2)
        });
        parts
            .and_then(|()| work.report(3, 4))
            .and_then(|()| work.report(9, 4))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(seen, [(75, 200), (75, 200), (150, 200), (200, 200)]);
    }

    #[test]
    fn a_receiver_that_says_stop_cancels() {
        let mut on_progress = |done, _| done >= 5;
        let mut work = Work::new(2, Some(&mut on_progress));
        work.begin(10, 1);
        assert!(work.report(4, 10).is_ok());
        assert!(matches!(work.report(5, 10), Err(Error::Cancelled { done: 5, total: 10 })));
    }
}
