//! Numbers as text: components and ids of .csv and .jsonl.

use omen::format::NO_ID;

/// Why a text is not a component.
pub enum NotFloat {
    /// Not a number.
    Text,
    /// A number whose float would be infinite.
    Overflow,
}

/// A component. Texts such as `nan` and `inf` are numbers here, which the store refuses.
pub fn float_of(text: &str) -> Result<f32, NotFloat> {
    let value: f32 = text.parse().map_err(|_| NotFloat::Text)?;
    let has_digits = text.bytes().any(|byte| byte.is_ascii_digit());
    if value.is_infinite() && has_digits { Err(NotFloat::Overflow) } else { Ok(value) }
}

/// The shortest text that is parsed as the same component.
pub fn float_text(value: f32) -> String {
    let is_ordinary = value == 0.0 || (1e-5..1e16).contains(&value.abs());
    if is_ordinary { value.to_string() } else { format!("{value:e}") }
}

/// An id of any sign and width. The error is what was expected.
pub fn id_of(number: i128) -> Result<u64, &'static str> {
    u64::try_from(number).ok().filter(|id| *id != NO_ID).ok_or("expected an id from 0 to 2^64 - 2")
}
