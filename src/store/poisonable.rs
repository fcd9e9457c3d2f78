//! Poisoning by construction: only a step can change the state, and after a failed step there are no more steps.
//!
//! An error poisons unless the code that returns it says that nothing has changed. If a case is forgotten, the cost is
//! that writes are refused until the store is opened again; no acknowledged call is lost.

use crate::error::{Error, Result};
use std::ops::Deref;

/// Why a step failed. `?` makes an [`Error`] a `Broken` one.
#[derive(Debug)]
pub(super) enum StepError {
    /// Nothing has changed: the next call may succeed.
    Refused(Error),
    /// The state in memory or on the disk is no longer known: the value is poisoned.
    Broken(Error),
}

impl StepError {
    /// The same error as `Broken`, for callers that have already changed something.
    pub(super) fn into_broken(self) -> StepError {
        match self {
            StepError::Refused(error) | StepError::Broken(error) => StepError::Broken(error),
        }
    }
}

impl From<Error> for StepError {
    fn from(error: Error) -> StepError {
        StepError::Broken(error)
    }
}

/// The result of a step, or of a part of one.
pub(super) type StepResult<T> = std::result::Result<T, StepError>;

/// A value that is read freely and changed only in a [`step`](Poisonable::step).
#[derive(Debug)]
pub(super) struct Poisonable<T> {
    value: T,
    failure: Option<String>,
}

impl<T> Poisonable<T> {
    pub(super) fn new(value: T) -> Poisonable<T> {
        Poisonable { value, failure: None }
    }

    /// Changes the value. A `Broken` error poisons it; a poisoned value is not changed again.
    pub(super) fn step<R>(&mut self, change: impl FnOnce(&mut T) -> StepResult<R>) -> Result<R> {
        self.check()?;
        change(&mut self.value).map_err(|error| match error {
            StepError::Refused(error) => error,
            StepError::Broken(error) => {
                self.poison(&error.to_string());
                error
            }
        })
    }

    /// Refuses steps from now on. The first reason is kept.
    pub(super) fn poison(&mut self, why: &str) {
        self.failure.get_or_insert_with(|| why.to_owned());
    }

    /// An error if the value is poisoned.
    pub(super) fn check(&self) -> Result<()> {
        match &self.failure {
            Some(why) => Err(Error::Poisoned(why.clone())),
            None => Ok(()),
        }
    }
}

impl<T> Deref for Poisonable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::{Poisonable, StepError};
    use crate::error::Error;

    fn error() -> Error {
        Error::NoSpace("test".into())
    }

    #[test]
    fn a_refused_step_leaves_the_value_usable_and_a_broken_one_does_not() {
        let mut value = Poisonable::new(1);
        assert!(value.step(|_| Err::<(), _>(StepError::Refused(error()))).is_err());
        let doubled = value.step(|value| {
            *value *= 2;
            Ok(*value)
        });
        assert!(matches!(doubled, Ok(2)));
        assert!(matches!(value.step(|_| Ok(Err::<(), _>(error())?)), Err(Error::NoSpace(_))));
        let after = value.step(|value| {
            *value += 1;
            Ok(())
        });
        assert!(matches!(after, Err(Error::Poisoned(_))));
        assert_eq!(*value, 2);
    }
}
