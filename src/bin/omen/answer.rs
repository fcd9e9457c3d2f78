//! The answer of a command: one JSON object for programs, and a text with the same figures for people.

use serde_json::{Value, json};

/// The same figures as text and as JSON.
pub struct Answer {
    pub text: String,
    pub json: Value,
    /// The exit code: 0, or the status of the damage found in a store.
    pub status: i32,
    /// True if stdout is taken by what the command wrote there.
    pub is_on_stderr: bool,
}

impl Answer {
    pub fn new(text: String, json: Value) -> Answer {
        Answer { text, json, status: 0, is_on_stderr: false }
    }

    /// One line for each member of `figures`, an object: its name with spaces, then its value.
    pub fn of_figures(figures: Value) -> Answer {
        let mut text = String::new();
        for (name, value) in figures.as_object().into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("{:22} {value}\n", name.replace('_', " ")));
        }
        Answer::new(text, figures)
    }
}

/// A number with five significant digits, as JSON.
pub fn rounded(value: f64) -> Value {
    let scale = 10f64.powi(4 - value.abs().max(1e-12).log10().floor() as i32);
    let rounded = (value * scale).round() / scale;
    json!(if rounded.is_finite() { rounded } else { value })
}

/// A time in words.
pub fn duration(seconds: f64) -> String {
    match seconds {
        ..99.5 => format!("{} s", seconds.ceil()),
        ..5970.0 => format!("{} min", (seconds / 60.0).ceil()),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
