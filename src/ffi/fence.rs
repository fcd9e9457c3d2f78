//! The fence around every exported function: a panic becomes a status, and a failure sets its thread's last message.

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
    /// The message of this thread's last failure.
    static LAST_MESSAGE: RefCell<Option<CString>> = const { RefCell::new(None) };
    /// The message that the panic hook recorded, until the fence reads it.
    static PANIC_MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Number of fences this thread is inside of; more than one if a progress function calls the library.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `call`. A panic or an error becomes a status, and its text this thread's last message.
#[inline]
pub(super) fn fence(call: impl FnOnce() -> Result<()>) -> i32 {
    let depth = DEPTH.replace(DEPTH.get() + 1);
    let outcome = catch_panic(call);
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
    poison_after_panic(handle, fence(|| handle::with(handle, call)))
}

/// Like [`on_store`], for short calls: a get writes no memory that other threads read.
#[inline]
pub(super) fn on_pinned_store(handle: *const omen_store, call: impl FnOnce(&Store) -> Result<()>) -> i32 {
    poison_after_panic(handle, fence(|| handle::with_pinned(handle, call)))
}

#[inline]
fn poison_after_panic(handle: *const omen_store, status: i32) -> i32 {
    if status == OMEN_PANIC {
        poison(handle);
    }
    status
}

#[cold]
fn poison(handle: *const omen_store) {
    let why = LAST_MESSAGE.with_borrow(|last| last.as_ref().map(|text| text.to_string_lossy().into_owned()));
    // An error is ignored: the caller gets the status of the panic, and a handle that was closed meanwhile needs no
    // poison.
    let _ = catch_panic(|| {
        handle::with(handle, |store| {
            store.poison(why.as_deref().unwrap_or("a panic"));
            Ok(())
        })
    });
}

/// Turns a panic of `call` into [`Error::Panic`]. The poisoned store hides what the call left incomplete.
#[inline]
fn catch_panic<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| Err(Error::Panic(panic_message(payload.as_ref()))))
}

/// The message that the hook recorded, with its line of the source; else that of the payload.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let recorded = PANIC_MESSAGE.try_with(RefCell::take).ok().flatten();
    let owned = || payload.downcast_ref::<String>().cloned();
    let literal = || payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    recorded.or_else(owned).or_else(literal).unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Installs a panic hook, because the library prints nothing: it records the message of a panic inside a fence or on
/// one of the library's worker threads, whose names begin with "omen". Other panics, of a Rust program that links this
/// crate, still reach the hook that was there before.
pub(super) fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| if is_ours() { record(panic) } else { earlier(panic) }));
    });
}

fn is_ours() -> bool {
    DEPTH.get() > 0 || std::thread::current().name().is_some_and(|name| name.starts_with("omen"))
}

fn record(panic: &PanicHookInfo<'_>) {
    let what = panic.payload_as_str().unwrap_or("a panic without a message");
    let line = panic.location().map_or_else(String::new, |location| format!(" at {location}"));
    // While a thread ends, its thread-local variables may be gone: then the message is lost, and the status remains.
    let _ = PANIC_MESSAGE.try_with(|message| message.replace(Some(format!("{what}{line}"))));
}

fn remember(message: String) {
    let bytes = message.into_bytes().into_iter().map(|byte| if byte == 0 { b'?' } else { byte }).collect::<Vec<_>>();
    let text = CString::new(bytes).unwrap_or_default();
    // As in `record`.
    let _ = LAST_MESSAGE.try_with(|last| last.replace(Some(text)));
}

/// This thread's last message, "" before its first failure; valid until the thread's next failure.
pub(super) fn last_message() -> *const c_char {
    let text = |last: &RefCell<Option<CString>>| last.borrow().as_ref().map_or(c"".as_ptr(), |text| text.as_ptr());
    LAST_MESSAGE.try_with(text).unwrap_or(c"".as_ptr())
}
