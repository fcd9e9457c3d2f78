//! Right answers on the data people have: sets of rows with one thing wrong, searched at every ratio by every metric.
//!
//! ```text
//! bases        clean sets, one real and three synthetic
//! generators   what is wrong with the rows, and the queries
//! truth        true distances, and which answers count as found
//! measure      one store: what each way to search finds, the error of each row
//! checks       what must hold of it
//! table        the list of cases, the run, and the failures as a table
//! ```
//! `OMEN_MESSY=long` runs the long list, `OMEN_MESSY_ONLY=TEXT` the cases with TEXT in their name.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bases;
mod checks;
mod generators;
mod measure;
#[path = "../memory/mod.rs"]
mod memory;
#[path = "../random/mod.rs"]
mod random;
mod table;
mod truth;

#[test]
fn messy_sets_are_searched_as_well_as_clean_ones() {
    table::run();
}
