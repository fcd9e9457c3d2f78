//! Why a command failed: a status of the library, which is the exit code, and a message for people.

use omen::error::Error;
use omen::ffi::{constants, library};
use serde_json::{Value, json};
use std::path::Path;

/// The result of every fallible function of the command line.
pub type Outcome<T> = Result<T, Failure>;

/// A status and a message.
#[derive(Debug)]
pub struct Failure {
    pub status: i32,
    pub message: String,
}

impl Failure {
    /// A wrong argument.
    pub fn argument(message: impl Into<String>) -> Failure {
        Failure { status: constants::OMEN_INVALID_ARGUMENT, message: message.into() }
    }

    /// A failed system call on `path`.
    pub fn io(operation: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Failure {
        let name = path.display().to_string();
        move |error| Error::io(operation, &name, error).into()
    }

    /// Wrong contents of `file`. `what` gives the position, what was found and what was expected.
    pub fn file(file: &str, what: impl std::fmt::Display) -> Failure {
        Failure { status: constants::OMEN_CORRUPT, message: format!("{file}: {what}") }
    }

    /// `file` is whole but of a kind that is not read. `what` gives the position, what was found and what was expected.
    pub fn unsupported(file: &str, what: impl std::fmt::Display) -> Failure {
        Failure { status: constants::OMEN_UNSUPPORTED, message: format!("{file}: {what}") }
    }

    /// A number, `found` at `place`, whose float would be infinite.
    pub fn overflow(file: &str, place: &str, found: &str) -> Failure {
        let (status, largest) = (constants::OMEN_NOT_FINITE, f32::MAX);
        Failure {
            status,
            message: format!("{file}: {place}: found {found}, expected at most {largest:e}, the largest f32"),
        }
    }

    pub fn name(&self) -> String {
        library::name_of_status(self.status).to_string_lossy().into_owned()
    }

    pub fn to_json(&self) -> Value {
        json!({ "status": self.status, "name": self.name(), "message": self.message })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let message = match &error {
            Error::Cancelled { done, total } => format!("stopped by Ctrl-C after {done} of {total}"),
            other => other.to_string(),
        };
        Failure { status: error.status(), message }
    }
}
