"""One exception for each status of include/omen.h, also derived from the built-in exception of the same meaning."""
from __future__ import annotations

from typing import Optional

from ._library import lib, text

_BY_STATUS: dict[int, type[Error]] = {}


class Error(Exception):
    """A failed call of libomen. `str` is the name of the status and a detailed message.

    status  the number, such as 7. Its range says who must act: 1-19 the caller, 20-29 the machine, 30-39 the file,
            40-49 the library
    name    its name, such as "OMEN_NOT_FOUND"
    """

    status: int
    name: str

    def __init_subclass__(cls, name: Optional[str] = None) -> None:
        if name is not None:
            cls.name, cls.status = name, getattr(lib, name)
            _BY_STATUS[cls.status] = cls

    def __str__(self) -> str:
        return f"{self.name}: {self.args[0]}"


class NullPointer(Error, ValueError, name="OMEN_NULL_POINTER"):
    """A required pointer is NULL; does not happen from Python."""


class InvalidHandle(Error, ValueError, name="OMEN_INVALID_HANDLE"):
    """The store is closed."""


class InvalidArgument(Error, ValueError, name="OMEN_INVALID_ARGUMENT"):
    """An argument or an option is out of range, or an array has the wrong dtype or shape."""


class DimMismatch(Error, ValueError, name="OMEN_DIM_MISMATCH"):
    """The store has a different dim from the one the call asks for."""


class MetricMismatch(Error, ValueError, name="OMEN_METRIC_MISMATCH"):
    """The store has a different metric from the one the call asks for."""


class NotFinite(Error, ValueError, name="OMEN_NOT_FINITE"):
    """A vector has a NaN or an infinity."""


class NotFound(Error, KeyError, name="OMEN_NOT_FOUND"):
    """An id is not in the store."""


class DuplicateId(Error, ValueError, name="OMEN_DUPLICATE_ID"):
    """An id occurs twice in one call, or is already in the store."""


class TooFewVectors(Error, ValueError, name="OMEN_TOO_FEW_VECTORS"):
    """The store has too few vectors to train a codebook."""


class IsReadOnly(Error, PermissionError, name="OMEN_IS_READ_ONLY"):
    """The store was opened with mode="read_only"."""


class Cancelled(Error, name="OMEN_CANCELLED"):
    """The progress function stopped the call; in Python its exception is raised instead."""


class TooBig(Error, OverflowError, name="OMEN_TOO_BIG"):
    """A number is larger than memory or the file format can hold."""


class Io(Error, OSError, name="OMEN_IO"):
    """A system call failed."""


class NoSpace(Error, OSError, name="OMEN_NO_SPACE"):
    """The disk or the quota is full."""


class Locked(Error, BlockingIOError, name="OMEN_LOCKED"):
    """Another handle or process has the store open for writing, or this process is a fork of the one that has."""


class OutOfMemory(Error, MemoryError, name="OMEN_OUT_OF_MEMORY"):
    """The system does not have enough memory for the call."""


class Corrupt(Error, name="OMEN_CORRUPT"):
    """A file is damaged: its bytes are not those that were written."""


class Version(Error, name="OMEN_VERSION"):
    """A file has a format version that this library does not know."""


class NotAStore(Error, FileNotFoundError, name="OMEN_NOT_A_STORE"):
    """There is no store at the path."""


class Poisoned(Error, RuntimeError, name="OMEN_POISONED"):
    """An earlier failure made the store refuse writes: close it and open it again. Reads go on."""


class Panic(Error, RuntimeError, name="OMEN_PANIC"):
    """A bug in the library was caught. Please report the message."""


class Unsupported(Error, NotImplementedError, name="OMEN_UNSUPPORTED"):
    """This version of the library cannot do this."""


def check(status: int) -> None:
    """Raises the exception of a status other than OMEN_OK, with this thread's last message."""
    if status != lib.OMEN_OK:
        error = _BY_STATUS.get(status, Error)(text(lib.omen_last_message()))
        error.status, error.name = status, text(lib.omen_status_name(status))
        raise error
