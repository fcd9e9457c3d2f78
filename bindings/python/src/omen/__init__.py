"""libomen: a vector store in a directory. You insert numpy arrays; the library keeps them exactly, compresses them on
request, and reads, lists and searches them at any time.

    with omen.open("vectors.omen", dim=128) as store:
        ids = store.insert(vectors)
        near, distances = store.search(queries, k=10)
"""
from ._errors import (
    Cancelled,
    Corrupt,
    DimMismatch,
    DuplicateId,
    Error,
    InvalidArgument,
    InvalidHandle,
    Io,
    IsReadOnly,
    Locked,
    MetricMismatch,
    NoSpace,
    NotAStore,
    NotFinite,
    NotFound,
    NullPointer,
    OutOfMemory,
    Panic,
    Poisoned,
    TooBig,
    TooFewVectors,
    Unsupported,
    Version,
)
from ._library import lib as _lib
from ._library import text as _text
from ._reports import CompressReport, Stats, VerifyReport
from ._store import Store, open

__version__ = _text(_lib.omen_version())
NO_ID: int = _lib.OMEN_NO_ID

__all__ = [
    "Cancelled", "CompressReport", "Corrupt", "DimMismatch", "DuplicateId", "Error", "InvalidArgument",
    "InvalidHandle", "Io", "IsReadOnly", "Locked", "MetricMismatch", "NO_ID", "NoSpace", "NotAStore", "NotFinite",
    "NotFound", "NullPointer", "OutOfMemory", "Panic", "Poisoned", "Stats", "Store", "TooBig", "TooFewVectors",
    "Unsupported", "VerifyReport", "Version", "open",
]
