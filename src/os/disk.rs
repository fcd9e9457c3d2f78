//! `Dir` and `File` on a real file system: files are opened relative to an open directory, symbolic links are refused,
//! and writes use `pwritev`.
#![expect(unsafe_code, reason = "system calls that std does not offer, each on checked arguments")]

use super::{Access, Dir, File, Lock, Map};
use crate::error::{Error, Result};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process;

/// Maximum number of parts in one `pwritev`; Linux takes up to 1,024.
const PARTS_MAX: usize = 64;
/// Writes of at least this many bytes start their writeback at once.
const WRITEBACK_BYTES_MIN: u64 = 256 << 10;

/// A directory on a real file system.
#[derive(Debug)]
pub struct DiskDir {
    handle: fs::File,
    path: String,
}

/// Opens the directory at `path`. With `create`, a missing directory is created (one level) and its name made durable.
pub fn open_or_create_dir(path: &Path, create: bool) -> Result<DiskDir> {
    let shown = path.display().to_string();
    if create {
        match fs::DirBuilder::new().create(path) {
            Ok(()) => sync_parent(path)?,
            // The process that created it may have been killed before it synced the parent. An error is ignored: the
            // parent may be unreadable for this process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read_dir(path).is_ok_and(|mut names| names.next().is_none()) {
                    let _ = sync_parent(path);
                }
            }
            Err(error) => return Err(Error::io("mkdir", &shown, error)),
        }
    }
    let opened = fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path);
    match opened {
        Ok(handle) => Ok(DiskDir { handle, path: shown }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::NotAStore(format!("{shown}: no such directory")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::NotAStore(format!("{shown}: found a file, expected a directory")))
        }
        Err(error) => Err(Error::io("open", &shown, error)),
    }
}

/// Makes the name of `path` durable: syncs its parent directory.
pub fn sync_parent(path: &Path) -> Result<()> {
    let parent = parent_of(path);
    fs::File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| Error::io("sync directory", &parent.display().to_string(), error))
}

/// The parent directory of `path`.
pub fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl DiskDir {
    fn open_at(&self, name: &str, flags: i32) -> Result<fs::File> {
        let c_name = c_name(name)?;
        let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        // SAFETY: the directory handle is open for the life of `self`; the name is NUL-terminated by `CString`.
        let fd = unsafe { libc::openat(self.handle.as_raw_fd(), c_name.as_ptr(), flags, 0o666) };
        if fd < 0 {
            return Err(Error::io("open", name, io::Error::last_os_error()));
        }
        // SAFETY: openat has just returned `fd`, and nothing else owns it.
        let file = unsafe { fs::File::from_raw_fd(fd) };
        let kind = file.metadata().map_err(|error| Error::io("stat", name, error))?;
        if !kind.is_file() {
            return Err(Error::NotAStore(format!("{name}: found {:?}, expected a regular file", kind.file_type())));
        }
        Ok(file)
    }
}

fn c_name(name: &str) -> Result<CString> {
    CString::new(name).map_err(|_| Error::InvalidArgument(format!("the file name {name:?} contains a NUL byte")))
}

impl Dir for DiskDir {
    fn names(&self) -> Result<Vec<String>> {
        let failed = |error| Error::io("list", &self.path, error);
        // /proc/self/fd follows the open handle, also if the directory was renamed. Without /proc, list the path by
        // which it was opened.
        let own = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let entries = fs::read_dir(&own).or_else(|_| fs::read_dir(&self.path)).map_err(failed)?;
        entries.map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>> {
        let flags = match access {
            Access::Read => libc::O_RDONLY,
            Access::Write => libc::O_RDWR,
            Access::Create => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
        };
        Ok(Box::new(DiskFile { file: self.open_at(name, flags)?, name: name.to_owned() }))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let c_name = c_name(name)?;
        // SAFETY: the directory handle is open for the life of `self`; the name is NUL-terminated by `CString`.
        let done = unsafe { libc::unlinkat(self.handle.as_raw_fd(), c_name.as_ptr(), 0) };
        if done < 0 { Err(Error::io("unlink", name, io::Error::last_os_error())) } else { Ok(()) }
    }

    fn sync(&self) -> Result<()> {
        self.handle.sync_all().map_err(|error| Error::io("sync directory", &self.path, error))
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Lock>> {
        let file = self.open_at(name, libc::O_RDWR | libc::O_CREAT)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(DiskLock { file, process: process::id(), path: self.path.clone() })),
            Err(fs::TryLockError::WouldBlock) => Err(Error::Locked(format!(
                "{} is locked: another handle or process has the store open for writing; close it there, or open the \
                 store read-only here",
                self.path
            ))),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", name, error)),
        }
    }

    fn free_bytes(&self) -> Result<u64> {
        let mut space = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: the handle is open; the kernel fills `space` if it returns 0, and only then it is read.
        let space = unsafe {
            if libc::fstatvfs(self.handle.as_raw_fd(), space.as_mut_ptr()) != 0 {
                return Err(Error::io("statvfs", &self.path, io::Error::last_os_error()));
            }
            space.assume_init()
        };
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

#[derive(Debug)]
struct DiskLock {
    file: fs::File,
    process: u32,
    path: String,
}

impl Lock for DiskLock {
    fn check(&self) -> Result<()> {
        let (found, expected) = (process::id(), self.process);
        if found == expected {
            return Ok(());
        }
        Err(Error::Locked(format!(
            "{} is locked: process {expected} opened the store for writing, and this process ({found}) is a fork of \
             it; write in process {expected}, or open the store anew here once it is closed there",
            self.path
        )))
    }
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        // A forked child has a copy of the descriptor, so closing ours would not release the lock: unlock it. A child
        // does not unlock, because that would release its parent's lock.
        if self.check().is_ok() {
            let _ = self.file.unlock();
        }
    }
}

#[derive(Debug)]
struct DiskFile {
    file: fs::File,
    name: String,
}

impl DiskFile {
    fn failed(&self, operation: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |error| Error::io(operation, &self.name, error)
    }

    /// Refuses to write past RLIMIT_FSIZE: by default, SIGXFSZ would kill the process.
    fn check_size_limit(&self, end: u64) -> Result<()> {
        let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: `limit` is a local variable of the type that the call writes.
        let done = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
        if done == 0 && limit.rlim_cur != libc::RLIM_INFINITY && end > limit.rlim_cur {
            let most = limit.rlim_cur;
            return Err(Error::NoSpace(format!("{}: {end} bytes needed, the file size limit is {most}", self.name)));
        }
        Ok(())
    }

    /// Asks the kernel to start writing the range to disk, so that the later sync has less to do. It is a hint: nothing
    /// becomes durable.
    fn start_writeback(&self, offset: u64, length: u64) {
        if length < WRITEBACK_BYTES_MIN {
            return;
        }
        // SAFETY: plain integers and an open descriptor; the call changes no bytes. Its result is ignored, because it
        // is only a hint.
        unsafe {
            let fd = self.file.as_raw_fd();
            libc::sync_file_range(fd, offset as libc::off64_t, length as libc::off64_t, libc::SYNC_FILE_RANGE_WRITE);
        }
    }

    fn write_some(&self, parts: &[libc::iovec], offset: u64) -> io::Result<usize> {
        let fd = self.file.as_raw_fd();
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: `write_at` makes each iovec from a slice that outlives this call, and the kernel only reads it.
        let written = unsafe { libc::pwritev(fd, parts.as_ptr(), parts.len() as libc::c_int, offset) };
        if written < 0 { Err(io::Error::last_os_error()) } else { Ok(written as usize) }
    }
}

impl File for DiskFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(self.failed("stat"))?.len())
    }

    fn occupied(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(self.failed("stat"))?;
        Ok(metadata.len().max(metadata.blocks() * 512))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(self.failed("read"))
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> Result<()> {
        let total: u64 = parts.iter().map(|part| part.len() as u64).sum();
        self.check_size_limit(offset + total)?;
        let mut written = 0;
        while written < total {
            let vectors = remaining(parts, written);
            match self.write_some(&vectors, offset + written) {
                Ok(0) => return Err(self.failed("write")(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("write")(error)),
            }
        }
        self.start_writeback(offset, total);
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.check_size_limit(length)?;
        self.file.set_len(length).map_err(self.failed("truncate"))
    }

    fn reserve(&self, offset: u64, length: u64) -> Result<()> {
        self.check_size_limit(offset + length)?;
        let too_far = |error| self.failed("reserve")(io::Error::other(error));
        let (start, bytes) = (libc::off_t::try_from(offset), libc::off_t::try_from(length));
        let (start, bytes) = (start.map_err(too_far)?, bytes.map_err(too_far)?);
        loop {
            // SAFETY: plain integers and an open descriptor.
            let done = unsafe { libc::fallocate(self.file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, start, bytes) };
            if done == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // The file system cannot preallocate: a lack of space shows when the bytes are written.
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(()),
                _ => return Err(self.failed("reserve")(error)),
            }
        }
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(self.failed("sync"))
    }

    fn map(&self, offset: u64, length: usize) -> Result<Map> {
        Map::of_file(&self.file, offset, length).map_err(self.failed("map"))
    }
}

/// Iovecs for the bytes of `parts` after the first `written`, at most `PARTS_MAX` of them.
fn remaining(parts: &[&[u8]], mut written: u64) -> Vec<libc::iovec> {
    let mut vectors = Vec::with_capacity(parts.len().min(PARTS_MAX));
    for part in parts {
        let skipped = written.min(part.len() as u64);
        written -= skipped;
        let rest = &part[skipped as usize..];
        if !rest.is_empty() && vectors.len() < PARTS_MAX {
            vectors.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
        }
    }
    vectors
}
