//! libomen: a vector store in a directory. You insert vectors of floats; the library keeps them exactly, compresses
//! them on request, and reads, lists and searches them at any time.
//!
//! This is the interface for C; omen.hpp is the one for C++.
//!
//! CONVENTIONS. They hold for every function. The comment of a function adds only what is special to it.
//!
//!  1. Status. A function that can fail returns an int32_t: OMEN_OK (0), or a status. Its range tells what failed:
//!     1-19 the caller, 20-29 the machine, 30-39 a file, 40-49 the library. omen_status_name returns its name,
//!     omen_last_message a detailed message. The comment of a function lists the statuses special to it. Every
//!     function may also return OMEN_NULL_POINTER, OMEN_INVALID_HANDLE, OMEN_INVALID_ARGUMENT, OMEN_IO,
//!     OMEN_OUT_OF_MEMORY, OMEN_CORRUPT (bytes are checked when they are read) and OMEN_PANIC (a bug in the library,
//!     caught before it reaches the caller).
//!  2. Outputs. A function returns its results through its last pointers, and writes them only on OMEN_OK. A pointer
//!     must not be NULL unless its comment allows it. Single values and structs may lie at any address, aligned or
//!     not.
//!  3. Arrays. An array is a pointer and a count. With a count of 0 the pointer is not used, and may be NULL. Vectors
//!     are row-major `float[n][dim]`, aligned to 4 bytes. Arrays of ids are aligned to 8 bytes. The arrays of one call
//!     must not overlap. They belong to the caller: the library keeps no pointer after it returns, and returns no
//!     memory that you must free.
//!  4. Ids. Any uint64_t but OMEN_NO_ID. They need not be consecutive or in order.
//!  5. Structs. The first member, `struct_size`, is the sizeof that the caller was compiled with, a multiple of 8 from
//!     8 to 1024. The init function sets it for options; you set it for reports (`report.struct_size = sizeof
//!     report;`). Of options the library reads that many bytes: members missing at the end have their defaults, and
//!     members that the library does not know must be zero. Of reports it writes that many bytes. Options given as
//!     NULL are the defaults.
//!  6. Handles. An omen_store pointer is a number, not an address, and is never dereferenced. A closed or invented
//!     handle is OMEN_INVALID_HANDLE, and NULL is OMEN_NULL_POINTER; only omen_store_close accepts NULL. A process may
//!     have 4096 stores open.
//!  7. Threads. Any thread may call any function on a handle at any time. Writers queue. Readers (functions that take
//!     a `const omen_store *`) never wait for a writer, a commit or a compress, and see whole calls only. A running
//!     call on a handle that another thread closes finishes; later calls are OMEN_INVALID_HANDLE. Do not use a handle
//!     in a child process after fork: the lock stays with the parent, and writes of the child fail (OMEN_LOCKED, then
//!     OMEN_POISONED).
//!  8. Processes. One process at a time has a store open for writing; others get OMEN_LOCKED. Any number of processes
//!     may read it with OMEN_READ_ONLY. Each sees what was committed when it opened the store.
//!  9. Disk. A writing call is all or nothing, and the readers of this handle see it when it returns. It survives a
//!     crash of the machine once omen_store_commit has returned; with OMEN_SYNC_EACH at once, with OMEN_SYNC_NONE
//!     later. After an error outside of 40-49 the store is as it was before the call; but if a write or a sync failed
//!     (OMEN_IO), the next open may still find the whole call. Every byte on disk has a checksum: damage is reported
//!     and never returned as data. Files are mapped read-only: if another program truncates one while it is in use,
//!     the system sends SIGBUS, which a library cannot turn into a status.
//!  10. Poison. After a failed write to the disk or a caught panic the store refuses writes (OMEN_POISONED); reads go
//!      on. Close the store and open it again: that recovers everything that was committed.
//!  11. Side effects. The library prints nothing, installs no signal handler, has no global settings, leaves no thread
//!      running when a call returns, and touches no file outside the directory of the store. Paths are UTF-8 and
//!      NUL-terminated.
//
// `tests/abi.rs` puts the lines above at the top of `include/omen.h`. There is one file for each section of the header,
// in the header's order. Every export has the same shape: fence, handle, slices, one call, outputs.
#![allow(
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "C names; the conventions and the parameters of each function say what a pointer must be"
)]

pub mod constants;
pub mod types;

pub mod library;

pub mod store;

pub mod work;

pub mod write;

pub mod read;

pub mod compress;

pub mod search;

pub mod upkeep;

mod arguments;
mod choice;
mod fence;
mod handle;
mod sized;
