//! An asymmetric memory barrier. `light`, on the fast path, is only a compiler fence, because `heavy` makes the kernel
//! run a full barrier on all threads of the process (`membarrier`). If the kernel lacks that call, both are fences.
//!
//! Together they act as a sequentially consistent fence on each side: if two threads each write, pass their barrier and
//! read the variable that the other wrote, at least one sees the other's write.
#![expect(unsafe_code, reason = "the system call membarrier, which std does not offer")]

use std::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};

const UNKNOWN: u8 = 0;
const PRESENT: u8 = 1;
const ABSENT: u8 = 2;

/// Whether the kernel has `membarrier`.
static MEMBARRIER: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Registers the process for `heavy`. Every thread calls it before its first `light`; returns whether the kernel has
/// the call.
pub(super) fn register() -> bool {
    if MEMBARRIER.load(Ordering::Acquire) == UNKNOWN {
        let is_present = membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
        MEMBARRIER.store(if is_present { PRESENT } else { ABSENT }, Ordering::Release);
    }
    MEMBARRIER.load(Ordering::Acquire) == PRESENT
}

/// The barrier of the frequent side: readers.
#[inline]
pub(super) fn light() {
    if MEMBARRIER.load(Ordering::Relaxed) == PRESENT {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The barrier of the rare side: the thread that frees. False if the kernel refused: then readers are not ordered with
/// it, and it must not free.
pub(super) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    !register() || membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

fn membarrier(command: libc::membarrier_cmd) -> bool {
    // SAFETY: a system call on plain integers that touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command as libc::c_long, 0, 0) == 0 }
}
