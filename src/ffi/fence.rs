//! The fence around every export: a panic stops here and becomes a status, a failure leaves its message for the thread.

use super::constants::{OMEN_OK, OMEN_PANIC};
use super::handle;
use super::types::omen_store;
use crate::error::{Error, Result};
use crate::store::Store;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    /// The text of this thread's last failure.
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
    /// What the panic hook heard, until the fence picks it up.
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
    /// How many fences this thread is inside of; more than one when a progress function calls back in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `call`; a panic or an error becomes a status, and its story this thread's last message.
#[inline]
pub(super) fn fence(call: impl FnOnce() -> Result<()>) -> i32 {
    let depth = DEPTH.replace(DEPTH.get() + 1);
    let outcome = caught(call);
    DEPTH.set(depth);
    match outcome {
        Ok(()) => OMEN_OK,
        Err(error) => {
            remember(error.to_string());
            error.status()
        }
    }
}

/// Runs `call` on the store behind `handle`, inside the fence; a panic poisons the store.
pub(super) fn on_store(handle: *const omen_store, call: impl FnOnce(&Store) -> Result<()>) -> i32 {
    poisoning(handle, fence(|| handle::with(handle, call)))
}

/// As [`on_store`], for calls that are over soon: on the way of a get nothing is written that other threads read.
#[inline]
pub(super) fn look_at_store(handle: *const omen_store, call: impl FnOnce(&Store) -> Result<()>) -> i32 {
    poisoning(handle, fence(|| handle::look(handle, call)))
}

#[inline]
fn poisoning(handle: *const omen_store, status: i32) -> i32 {
    if status == OMEN_PANIC {
        poison(handle);
    }
    status
}

#[cold]
fn poison(handle: *const omen_store) {
    let why = LAST.with_borrow(|last| last.as_ref().map(|text| text.to_string_lossy().into_owned()));
    // The status is on its way already; a handle that was closed meanwhile needs no poison.
    let _ = caught(|| {
        handle::with(handle, |store| {
            store.poison(why.as_deref().unwrap_or("a panic"));
            Ok(())
        })
    });
}

/// A panic of `call` becomes [`Error::Panic`]. What the call left half-done is behind the store's poison.
#[inline]
fn caught<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| Err(Error::Panic(story(payload.as_ref()))))
}

/// What the hook heard, with its place in the source; else what the panic carried.
fn story(payload: &(dyn Any + Send)) -> String {
    let heard = HEARD.try_with(RefCell::take).ok().flatten();
    let carried = || payload.downcast_ref::<String>().cloned();
    let literal = || payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    heard.or_else(carried).or_else(literal).unwrap_or_else(|| "a panic without a message".to_owned())
}

/// The library prints nothing: a panic inside a fence, or on a worker thread of ours (their names begin with "omen"),
/// is kept for the message instead of going to stderr. Panics of others in the process (a Rust program that links
/// this crate) still reach the hook that was there before.
pub(super) fn hush_panics() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| if is_ours() { hear(panic) } else { earlier(panic) }));
    });
}

fn is_ours() -> bool {
    DEPTH.get() > 0 || std::thread::current().name().is_some_and(|name| name.starts_with("omen"))
}

fn hear(panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("a panic without a message");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    // A panic in the destructors of a dying thread has nowhere to put its story; the status stays.
    let _ = HEARD.try_with(|heard| heard.replace(Some(format!("{what}{place}"))));
}

fn remember(message: String) {
    let bytes = message.into_bytes().into_iter().map(|byte| if byte == 0 { b'?' } else { byte }).collect::<Vec<_>>();
    let text = CString::new(bytes).unwrap_or_default();
    // As in `hear`.
    let _ = LAST.try_with(|last| last.replace(Some(text)));
}

/// This thread's last message, "" before its first failure; valid until the thread's next failure.
pub(super) fn last_message() -> *const c_char {
    let text = |last: &RefCell<Option<CString>>| last.borrow().as_ref().map_or(c"".as_ptr(), |text| text.as_ptr());
    LAST.try_with(text).unwrap_or(c"".as_ptr())
}
