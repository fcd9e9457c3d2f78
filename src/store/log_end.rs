//! The end of the active log: its length, and which calls are durable.

use super::pending::Pending;
use crate::error::Result;
use crate::format::{BLOCK_BYTES, Kind, flags};
use crate::log::{Frame, Log};
use crate::os::Dir;

/// The active log, if it has begun, and the numbers of the calls in it.
#[derive(Debug)]
pub(super) struct LogEnd {
    log: Option<Log>,
    /// The length that the stored manifest calls clean.
    clean: u64,
    /// Number of the last call.
    seq: u64,
    /// Number of the last call that is durable.
    durable_seq: u64,
    /// True if the last frame ended a commit.
    is_committed: bool,
}

impl LogEnd {
    /// Without a log: all calls up to `seq` are in sealed files.
    pub(super) fn new(seq: u64) -> LogEnd {
        LogEnd { log: None, clean: 0, seq, durable_seq: seq, is_committed: true }
    }

    /// The log, if it has begun.
    pub(super) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Bytes up to the end of the last frame; 0 where no log has begun.
    pub(super) fn length(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::length)
    }

    /// Number of the last call.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Begins a log without calls.
    pub(super) fn start(&mut self, log: Log) {
        self.log = Some(log);
    }

    /// Continues a log that was closed cleanly at `clean` bytes, after call `seq`.
    pub(super) fn resume(&mut self, log: Log, seq: u64, clean: u64) {
        (self.log, self.seq, self.durable_seq, self.clean) = (Some(log), seq, seq, clean);
    }

    /// Numbers one more call.
    pub(super) fn count_call(&mut self) {
        self.seq += 1;
    }

    /// Continues the numbering behind the calls of another log.
    pub(super) fn count_to(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }

    /// Allocates blocks for `bytes` more bytes, and for `ahead` more if there is room.
    pub(super) fn reserve(&mut self, bytes: u64, ahead: u64) -> Result<()> {
        match &mut self.log {
            Some(log) => log.reserve(log.length() + bytes, ahead),
            None => Ok(()),
        }
    }

    /// Writes `pending`, whose rows are `rows`, as one frame. If nothing is pending, writes an empty frame only if the
    /// log does not yet end with the `PADDED` or `COMMIT` of `flag`.
    pub(super) fn append(&mut self, flag: u32, pending: &Pending, rows: &[u8]) -> Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let is_padded = log.length().is_multiple_of(BLOCK_BYTES as u64);
        let is_ended = (flag & flags::PADDED == 0 || is_padded) && (flag & flags::COMMIT == 0 || self.is_committed);
        if pending.is_empty() && is_ended {
            return Ok(());
        }
        log.append(&Frame {
            flags: flag,
            seq: self.seq + u64::from(flag & flags::CONTINUES != 0),
            durable_seq: self.durable_seq,
            rows,
            ids: pending.ids(),
            deletes: pending.deletes(),
            operations: pending.operations(),
        })?;
        self.is_committed = flag & flags::COMMIT != 0;
        Ok(())
    }

    /// Makes every frame durable. The caller has appended all pending calls.
    pub(super) fn sync(&mut self, dir: &dyn Dir) -> Result<()> {
        if let Some(log) = &mut self.log
            && log.is_unsynced()
        {
            log.sync(dir)?;
        }
        self.durable_seq = self.seq;
        Ok(())
    }

    /// Removes the log, for sealing.
    pub(super) fn take(&mut self) -> Option<Log> {
        self.log.take()
    }

    /// Ends the log: sealed files hold its calls.
    pub(super) fn end(&mut self) {
        *self = LogEnd::new(self.seq);
    }

    /// Frees the blocks behind the log's end and makes the log durable.
    pub(super) fn close(&mut self, dir: &dyn Dir) -> Result<Closed> {
        let Some(log) = &mut self.log else { return Ok(Closed::AsListed) };
        log.trim()?;
        if log.length() == self.clean {
            return Ok(Closed::AsListed);
        }
        if log.length() == Kind::Log.header_bytes() as u64 {
            return Ok(Closed::Empty);
        }
        if log.is_unsynced() {
            log.sync(dir)?;
        }
        Ok(Closed::Clean(log.length()))
    }
}

/// How a log was closed.
#[derive(Debug)]
pub(super) enum Closed {
    /// The stored manifest already has its length.
    AsListed,
    /// It has no frame: its file can be removed.
    Empty,
    /// It is durable up to this length.
    Clean(u64),
}
