//! Queries: how rows are reached, scored and measured, and the k nearest of them.

mod filter;
mod nearest;
mod reservoir;
mod rows;
mod scan;
mod top;

pub use filter::LastFilter;
pub use nearest::{QUERIES_AT_ONCE, Question};
pub use rows::Share;
pub use top::TopK;
