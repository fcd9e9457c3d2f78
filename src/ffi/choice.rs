//! Options that are numbers with names in the header: a number becomes its value, or an error that lists the names.

use crate::error::{Error, Result};

/// Lists the values of an option as `(number, name in the header, value in Rust)`.
macro_rules! choices {
    ($($constant:ident => $value:expr),+ $(,)?) => { [$(($constant, stringify!($constant), $value)),+] };
}
pub(super) use choices;

/// The value in Rust of the option `name` that was given as `number`.
pub(super) fn choose<T: Copy>(name: &str, number: i32, choices: &[(i32, &'static str, T)]) -> Result<T> {
    match choices.iter().find(|(known, ..)| *known == number) {
        Some((.., value)) => Ok(*value),
        None => Err(refuse(name, number, choices)),
    }
}

fn refuse<T>(name: &str, number: i32, choices: &[(i32, &'static str, T)]) -> Error {
    let names: Vec<&str> = choices.iter().map(|(_, name, _)| *name).collect();
    let expected = match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    Error::InvalidArgument(format!("options: {name} is {number}; expected {expected}"))
}
