"""A class for every status of include/omen.h, also a child of the built-in exception that means the same."""
from __future__ import annotations

from typing import Optional

from ._library import lib, text

_BY_STATUS: dict[int, type[Error]] = {}


class Error(Exception):
    """What a call of libomen failed with; `str` has the name and the story with its numbers.

    status  the number, as lib.OMEN_NOT_FOUND: 1-19 the caller, 20-29 the machine, 30-39 the file, 40-49 the library
    name    its name, as "OMEN_NOT_FOUND"
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
    """A pointer that is needed is NULL; does not happen from Python."""


class InvalidHandle(Error, ValueError, name="OMEN_INVALID_HANDLE"):
    """The store is closed."""


class InvalidArgument(Error, ValueError, name="OMEN_INVALID_ARGUMENT"):
    """An argument or an option is out of its range, or an array has the wrong dtype or shape."""


class DimMismatch(Error, ValueError, name="OMEN_DIM_MISMATCH"):
    """The store has another dim than the caller asked for."""


class MetricMismatch(Error, ValueError, name="OMEN_METRIC_MISMATCH"):
    """The store has another metric than the caller asked for."""


class NotFinite(Error, ValueError, name="OMEN_NOT_FINITE"):
    """A vector holds a NaN or an infinity."""


class NotFound(Error, KeyError, name="OMEN_NOT_FOUND"):
    """An id is not in the store."""


class DuplicateId(Error, ValueError, name="OMEN_DUPLICATE_ID"):
    """An id occurs twice in one call, or is stored already."""


class TooFewVectors(Error, ValueError, name="OMEN_TOO_FEW_VECTORS"):
    """There are not enough vectors to train on."""


class IsReadOnly(Error, PermissionError, name="OMEN_IS_READ_ONLY"):
    """The store was opened with mode="read_only"."""


class Cancelled(Error, name="OMEN_CANCELLED"):
    """The progress function asked to stop; from Python its exception is raised instead."""


class TooBig(Error, OverflowError, name="OMEN_TOO_BIG"):
    """A number is above what memory or the format can hold."""


class Io(Error, OSError, name="OMEN_IO"):
    """A system call failed."""


class NoSpace(Error, OSError, name="OMEN_NO_SPACE"):
    """The disk, or the quota, is full."""


class Locked(Error, BlockingIOError, name="OMEN_LOCKED"):
    """Another handle or process has the store open for writing, or this process is a fork of the one that has."""


class OutOfMemory(Error, MemoryError, name="OMEN_OUT_OF_MEMORY"):
    """The machine has no memory for the request."""


class Corrupt(Error, name="OMEN_CORRUPT"):
    """The bytes of a file are not those that were written."""


class Version(Error, name="OMEN_VERSION"):
    """A file is of a format version this library does not know."""


class NotAStore(Error, FileNotFoundError, name="OMEN_NOT_A_STORE"):
    """The path does not hold a store."""


class Poisoned(Error, RuntimeError, name="OMEN_POISONED"):
    """Writes are refused since an earlier failure; close and open the store again. Reads go on."""


class Panic(Error, RuntimeError, name="OMEN_PANIC"):
    """A bug in the library was stopped at its border. Please report the message."""


class Unsupported(Error, NotImplementedError, name="OMEN_UNSUPPORTED"):
    """This version of the library cannot do that."""


def check(status: int) -> None:
    """Raises what a status other than OMEN_OK stands for, with this thread's last message."""
    if status != lib.OMEN_OK:
        error = _BY_STATUS.get(status, Error)(text(lib.omen_last_message()))
        error.status, error.name = status, text(lib.omen_status_name(status))
        raise error
