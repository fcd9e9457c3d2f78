//! Where the bytes of a file come from: a file, a pipe, or stdin, whose name is `-`.

use super::format::Format;
use super::standard::{is_standard, name_of};
use crate::failure::{Failure, Outcome};
use crate::progress;
use omen::ffi::constants::OMEN_CANCELLED;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// How often a wait for a pipe looks whether Ctrl-C was pressed.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Bytes that are read in order.
pub trait Stream: Read {
    /// Skips `count` bytes.
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

impl Stream for File {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = i64::try_from(count).map_err(io::Error::other)?;
        self.seek(SeekFrom::Current(count)).map(drop)
    }
}

/// Reads until `bytes` are full or the stream ends. Returns how many bytes were read.
pub fn fill(stream: &mut dyn Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A reader that cannot seek: bytes are skipped by reading them.
pub struct Forward<R>(pub R);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl<R: Read> Stream for Forward<R> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        io::copy(&mut Read::by_ref(&mut self.0).take(count), &mut io::sink()).map(drop)
    }
}

/// An open file or pipe.
pub struct Input {
    /// The path, or `stdin`, for messages.
    pub name: String,
    pub bytes: Bytes,
}

/// The bytes of an [`Input`].
pub enum Bytes {
    /// A regular file and its length.
    File(File, u64),
    Pipe(Pipe),
}

impl Input {
    fn open(path: &Path) -> Outcome<Input> {
        let name = name_of(path);
        if is_standard(path) {
            let file = io::stdin().as_fd().try_clone_to_owned().map_err(Failure::io("open", Path::new(&name)))?;
            return Ok(Input { name, bytes: Bytes::Pipe(Pipe(File::from(file))) });
        }
        let file = File::open(path).map_err(Failure::io("open", path))?;
        let metadata = file.metadata().map_err(Failure::io("stat", path))?;
        if metadata.is_dir() {
            return Err(Failure::argument(format!("{name}: found a directory, expected a file")));
        }
        let bytes = if metadata.is_file() { Bytes::File(file, metadata.len()) } else { Bytes::Pipe(Pipe(file)) };
        Ok(Input { name, bytes })
    }

    /// The bytes in order.
    pub fn into_stream(self) -> Box<dyn Stream> {
        match self.bytes {
            Bytes::File(file, _) => Box::new(file),
            Bytes::Pipe(pipe) => Box::new(Forward(pipe)),
        }
    }

    /// The regular file and its length. A pipe is refused, because `what` is not read in order.
    pub fn into_file(self, what: &str) -> Outcome<(File, u64)> {
        match self.bytes {
            Bytes::File(file, length) => Ok((file, length)),
            Bytes::Pipe(_) => Err(no_pipe(&self.name, what)),
        }
    }
}

/// The failure for a pipe of `what`, which is not read in order.
fn no_pipe(name: &str, what: &str) -> Failure {
    Failure::argument(format!("{name}: {what} cannot be read from a pipe; write it to a file first"))
}

/// A pipe. A wait for bytes ends with Ctrl-C.
pub struct Pipe(File);

impl Read for Pipe {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            // An interrupted wait is repeated, after a look whether Ctrl-C interrupted it.
            let ready = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&WAIT));
            if progress::is_pressed() {
                return Err(io::Error::other("stopped by Ctrl-C"));
            }
            match ready {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.0.read(bytes),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The failure of a read of `name`. A read that Ctrl-C ended is cancelled; wrong or missing bytes are damage.
pub fn read_failed(name: &str) -> impl Fn(io::Error) -> Failure {
    let name = name.to_owned();
    move |error| {
        if progress::is_pressed() {
            return Failure { status: OMEN_CANCELLED, message: format!("stopped by Ctrl-C while {name} was read") };
        }
        match error.kind() {
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => Failure::file(&name, error),
            _ => Failure::io("read", Path::new(&name))(error),
        }
    }
}

/// A file that may be opened several times.
pub struct Origin {
    path: PathBuf,
    /// What was read from a pipe.
    copy: Option<File>,
}

impl Origin {
    pub fn new(path: &Path) -> Origin {
        Origin { path: path.to_owned(), copy: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies a pipe into an unnamed file in `dir`, so that it can be read more than once. A `format` that is not read
    /// in order is refused.
    pub fn keep(&mut self, dir: &Path, format: Format) -> Outcome<()> {
        let Input { name, bytes } = Input::open(&self.path)?;
        let Bytes::Pipe(mut pipe) = bytes else { return Ok(()) };
        if !format.is_in_order() {
            return Err(no_pipe(&name, &format!(".{}", format.ending())));
        }
        let mut copy = tempfile::tempfile_in(dir).map_err(Failure::io("create a file in", dir))?;
        io::copy(&mut pipe, &mut copy).map_err(read_failed(&name))?;
        self.copy = Some(copy);
        Ok(())
    }

    /// Opens the file at its start. An [`Input`] opened before must not be read afterwards.
    pub fn open(&self) -> Outcome<Input> {
        let Some(copy) = &self.copy else { return Input::open(&self.path) };
        let name = name_of(&self.path);
        let failed = Failure::io("open the copy of", &self.path);
        let mut file = copy.try_clone().map_err(&failed)?;
        file.rewind().map_err(&failed)?;
        let length = file.metadata().map_err(&failed)?.len();
        Ok(Input { name, bytes: Bytes::File(file, length) })
    }
}
