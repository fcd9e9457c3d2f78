//! Right answers on the data people have: sets of rows with one thing wrong, searched at every ratio by every metric.
//!
//! ```text
//! bases        clean sets, one real and three synthetic
//! generators   what is wrong with the rows, and the queries
//! truth        true distances, and which answers count as found
//! measure      one store: what each way to search finds, the error of each row
//! checks       what must hold of it
//! grid         the sets that are tried
//! table        the run, and the failures as a table
//! cases        sets that were coded, searched or told wrongly once
//! ```
//! `OMEN_MESSY=long` tries many more sets; `OMEN_MESSY_ONLY=TEXT,TEXT` only those with one of the texts in their
//! name, which is generator/base/metric/rows.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bases;
mod cases;
mod checks;
mod generators;
mod grid;
mod measure;
#[path = "../memory/mod.rs"]
mod memory;
#[path = "../random/mod.rs"]
mod random;
mod table;
mod truth;

#[test]
fn messy_sets_are_searched_as_well_as_clean_ones() {
    let only = std::env::var("OMEN_MESSY_ONLY").unwrap_or_default();
    let is_long = std::env::var("OMEN_MESSY").is_ok_and(|form| form == "long");
    let outcome = table::run(&if is_long { grid::long() } else { grid::short() }, &only);
    println!("{} stores, {} ratios not reached", outcome.stores, outcome.too_small);
    assert!(outcome.lines.is_empty(), "{outcome}");
    let expected = if is_long { 5000 } else { 400 };
    assert!(!only.is_empty() || outcome.stores >= expected, "only {} stores", outcome.stores);
}
