//! libomen: a vector store in a directory. Vectors go in as floats, are kept exactly, compressed on request, and read,
//! listed and searched at any time.
//!
//! CONVENTIONS. They hold for every function; a comment below says only what is special.
//!
//!  1. Status. A function that can fail returns an int32_t: OMEN_OK (0) or who must act: 1-19 the caller, 20-29 the
//!     machine, 30-39 the file, 40-49 the library. omen_status_name names it; omen_last_message has the story with its
//!     numbers. Each function names the statuses special to it. Any may also return OMEN_NULL_POINTER,
//!     OMEN_INVALID_HANDLE, OMEN_INVALID_ARGUMENT, OMEN_IO, OMEN_OUT_OF_MEMORY, OMEN_CORRUPT (damage is found where the
//!     bytes are read) and OMEN_PANIC (a bug in the library, stopped at its border).
//!  2. Outputs. What a function gives back goes through its last pointers, and is written only on OMEN_OK. A pointer
//!     must not be NULL unless its comment says it may. Single values and structs may lie at any address.
//!  3. Arrays. Pointer and count; a count of 0 never touches the pointer, which may then be NULL. Vectors are row-major
//!     `float[n][dim]`, aligned to 4 bytes; id arrays are aligned to 8. Arrays of one call must not overlap. Arrays
//!     belong to the caller: the library keeps no pointer after it returns, and hands out no memory to free.
//!  4. Ids. Any uint64_t but OMEN_NO_ID. Order and gaps do not matter.
//!  5. Structs. The first member, `struct_size`, is set by the caller to the sizeof it was compiled with: by the init
//!     function for options, by hand for reports (`report.struct_size = sizeof report;`). Of options only that many
//!     bytes are read: members missing at the end have their defaults, unknown ones must be zero. Of reports only that
//!     many are written. It is a multiple of 8 from 8 to 1024. Options given as NULL are the defaults.
//!  6. Handles. An omen_store is a ticket, not an address: it is never dereferenced. A closed, foreign or invented one
//!     is OMEN_INVALID_HANDLE; NULL is OMEN_NULL_POINTER, except in omen_store_close. A process may have 4096 open.
//!  7. Threads. Any thread may call anything on a handle at any time. Writers queue. Readers (functions that take a
//!     `const omen_store *`) never wait for a writer, a commit or a compress, and see whole calls only. Only
//!     omen_store_close needs care: calls already running finish on the store they began with, later ones are
//!     OMEN_INVALID_HANDLE. A handle must not be used in a child after fork: the lock stays the parent's, and what
//!     the child would write is refused (OMEN_LOCKED, then OMEN_POISONED).
//!  8. Processes. One process at a time has a store open for writing (others: OMEN_LOCKED); any number may read it with
//!     OMEN_READ_ONLY, each on the generation that was committed when it opened.
//!  9. Disk. A writing call is all or nothing, and is seen by this handle's readers when it returns. It survives a
//!     crash of the machine once omen_store_commit has returned (with OMEN_SYNC_EACH at once, with OMEN_SYNC_NONE
//!     later). After any error but those of 40-49 the store is as it was before the call; of a call whose write or
//!     sync failed (OMEN_IO) the next open may still find all. Every byte on disk is checksummed: damage is reported,
//!     never returned as data. Files are mapped read-only: if another program truncates one while it is in use, the
//!     system sends SIGBUS, which no library can turn into a status.
//!  10. Poison. After a failed write to disk or a caught panic the store refuses writes (OMEN_POISONED) and goes on
//!      reading. Close and open it again: that recovers all that was committed.
//!  11. Manners. The library prints nothing, installs no signal handler, has no global setting, leaves no thread
//!      behind, and reads and writes no file outside the directory of the store. Paths are UTF-8, NUL-terminated.
//
// The lines above open `include/omen.h` as well; `tests/abi.rs` puts them there. One file for each noun of the header,
// in the header's order; each export has one shape: fence, handle, slices, one call, write out.
#![allow(
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "C names; what a pointer must be is said once, in the conventions, and in each function's own table"
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
mod fence;
mod handle;
mod sized;
