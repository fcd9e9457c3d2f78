//! What a store did to its directory, in order, and what its caller was told at each point.

use std::fmt;
use std::sync::Arc;

/// One line of the tape. An inode is the file itself, whatever its name, for as long as the tape runs.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Create {
        name: Arc<str>,
        inode: usize,
    },
    Remove {
        name: Arc<str>,
        inode: usize,
    },
    Write {
        inode: usize,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    Length {
        inode: usize,
        length: u64,
    },
    SyncFile {
        inode: usize,
    },
    SyncDir,
    /// A sync that the mutation check left out; `None` is the directory.
    SyncIgnored {
        inode: Option<usize>,
    },
    /// A sync that failed: what it was to make durable may be lost whatever later syncs say.
    SyncFailed {
        inode: Option<usize>,
    },
    Mark(Mark),
}

/// What the caller knows at this point of the tape. Step 0 of a session is its first open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Step `step` was called.
    Issued(usize),
    /// It returned; with `durable`, it and every step before it must survive from here on.
    Done { step: usize, durable: bool },
    /// A close returned: nothing may depend on anything unsynced, nor on any one of the two manifests.
    Closed,
}

impl Effect {
    /// True if this makes earlier effects durable, or was to.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Effect::SyncFile { .. } | Effect::SyncDir | Effect::SyncIgnored { .. })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Effect::Create { name, inode } => write!(f, "create {name} = #{inode}"),
            Effect::Remove { name, inode } => write!(f, "remove {name} (#{inode})"),
            Effect::Write { inode, offset, bytes } => write!(f, "write #{inode} {} bytes at {offset}", bytes.len()),
            Effect::Length { inode, length } => write!(f, "length #{inode} = {length}"),
            Effect::SyncFile { inode } => write!(f, "sync #{inode}"),
            Effect::SyncDir => write!(f, "sync directory"),
            Effect::SyncIgnored { inode: Some(inode) } => write!(f, "IGNORED sync #{inode}"),
            Effect::SyncIgnored { inode: None } => write!(f, "IGNORED sync directory"),
            Effect::SyncFailed { inode: Some(inode) } => write!(f, "FAILED sync #{inode}"),
            Effect::SyncFailed { inode: None } => write!(f, "FAILED sync directory"),
            Effect::Mark(mark) => write!(f, "---- {mark:?}"),
        }
    }
}

/// The lines around `cut`, each with its number.
pub(crate) fn excerpt(tape: &[Effect], cut: usize, lines: usize) -> String {
    let (from, to) = (cut.saturating_sub(lines), (cut + lines / 3).min(tape.len()));
    let mut shown = String::new();
    for (number, effect) in tape.iter().enumerate().take(to).skip(from) {
        if number == cut {
            shown.push_str("    ======== cut ========\n");
        }
        shown.push_str(&format!("    {number:5} {effect}\n"));
    }
    shown
}
