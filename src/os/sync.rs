//! The atomics and locks of `shared.rs`. `tests/cell.rs` compiles the same source with the types of a model checker,
//! which have no `const` constructors; therefore macros declare the statics and the `const` functions.

pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
pub(super) use std::sync::{Arc, Mutex, MutexGuard};
pub(super) use std::thread_local;

/// Declares a static.
macro_rules! global {
    (static $name:ident: $type:ty = $value:expr;) => {
        static $name: $type = $value;
    };
}
pub(super) use global;

/// Declares a `const` function.
macro_rules! const_fn {
    ($(#[$attribute:meta])* pub fn $($rest:tt)*) => {
        $(#[$attribute])* pub const fn $($rest)*
    };
}
pub(super) use const_fn;
