"""The store: one method for each omen_store_* function of include/omen.h.

Every call lets other threads run (the GIL is released), any thread may make it, and all of it is as the conventions at
the top of the header say: whole calls or nothing, readers wait for nobody, durable after `commit`.
"""
from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Callable, NoReturn, Optional, Union

import numpy as np
import numpy.typing as npt

from . import _arrays
from ._arrays import Flags, Ids, Vectors
from ._errors import InvalidArgument, check
from ._library import lib
from ._native import ffi
from ._reports import (
    CODEC,
    METRIC,
    MODE,
    QUALITY,
    SYNC,
    Codec,
    CompressReport,
    Metric,
    Mode,
    Quality,
    Stats,
    Sync,
    VerifyReport,
    empty,
    filled,
)

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
Progress = Callable[[int, int], object]


def open(
    path: Path,
    dim: int = 0,
    *,
    metric: Optional[Metric] = None,
    mode: Mode = "read_write_create",
    sync: Sync = "commit",
    threads: int = 0,
) -> Store:
    """Opens the store in the directory `path`, or creates it, as `mode` says.

    dim      floats in a vector; must be that of an existing store; 0 = whatever it has
    metric   that of a new store (None: "l2"); must be the store's own if it exists (None: whatever it has)
    mode     "read_write_create", "read_write" (must exist), "read_only" (no lock, no write), "create_new" (must not)
    sync     when writes survive a crash: after "commit", after "each" call, or "none" = when a file is sealed
    threads  that one call may use; 0 = as many as the machine has

    Raises DimMismatch, MetricMismatch, Locked, NotAStore, Version, Corrupt and others.
    """
    name = os.fsencode(path)
    if b"\0" in name:
        raise InvalidArgument(f"path: NUL at byte {name.index(0)}")
    options = ffi.new("omen_store_options *")
    lib.omen_store_options_init(options)
    options.mode, options.sync, options.threads = MODE.number(mode), SYNC.number(sync), threads
    handle = ffi.new("omen_store **")
    # The options have no word for any metric, so each is tried; a refused open leaves nothing behind.
    for number in METRIC.words if metric is None else [METRIC.number(metric)]:
        options.metric = number
        status = lib.omen_store_open(name, dim, options, handle)
        if status != lib.OMEN_METRIC_MISMATCH:
            break
    check(status)
    return Store(handle[0])


class Store:
    """An open store, from `omen.open`. Closes at the end of a `with`, or when it is collected.

    vectors  float32[n, dim] in C order is taken without a copy; other orders and float16 are copied; float64 is refused
    ids      uint64[n] or int64[n] is taken without a copy; any other whole numbers are copied

    Not to be used after a fork: writing raises Locked, then Poisoned. Open the path in the child instead.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._dim: int = lib.omen_store_dim(handle)
        self._close_when_collected()

    def _close_when_collected(self) -> None:
        self._left_open = weakref.finalize(self, lib.omen_store_close, self._handle)

    def close(self) -> None:
        """Commits and closes. Again: nothing. Any other call from then on raises InvalidHandle.

        From inside of a progress function of this store it raises InvalidArgument, and the store stays open.
        """
        if self._left_open.detach():
            status = lib.omen_store_close(self._handle)
            if status == lib.OMEN_INVALID_ARGUMENT:
                self._close_when_collected()
            check(status)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Store cannot be pickled or copied: open its path where it is needed")

    @property
    def dim(self) -> int:
        """Floats in a vector."""
        return self._dim

    def __len__(self) -> int:
        count = ffi.new("uint64_t *")
        check(lib.omen_store_count(self._handle, count))
        return int(count[0])

    # Writing: each call is all or nothing.

    def insert(self, vectors: npt.ArrayLike, ids: Optional[npt.ArrayLike] = None) -> Ids:
        """Inserts vectors that are not in the store, bit for bit, and returns their ids.

        vectors  [n, dim], every component finite
        ids      [n], each once; None: consecutive ids after the largest ever given

        Raises NotFinite, DuplicateId, InvalidArgument.
        """
        rows = _arrays.vectors("vectors", vectors, self._dim)
        first = ffi.new("uint64_t *")
        if ids is not None:
            named = self._one_each(ids, rows)
            check(lib.omen_store_insert(self._handle, _u64(named), _f32(rows), len(rows), first))
            return named
        check(lib.omen_store_insert(self._handle, ffi.NULL, _f32(rows), len(rows), first))
        return np.arange(first[0], first[0] + len(rows), dtype=np.uint64)

    def upsert(self, vectors: npt.ArrayLike, ids: npt.ArrayLike) -> None:
        """Inserts vectors; those whose id is in the store replace what it has. Shapes and errors as for insert."""
        rows = _arrays.vectors("vectors", vectors, self._dim)
        named = self._one_each(ids, rows)
        check(lib.omen_store_upsert(self._handle, _u64(named), _f32(rows), len(rows)))

    def _one_each(self, ids: npt.ArrayLike, rows: Vectors) -> Ids:
        named = _arrays.ids("ids", ids)
        if len(named) != len(rows):
            raise InvalidArgument(f"ids: {len(named)}, expected {len(rows)}: one for each vector")
        return named

    def delete(self, ids: npt.ArrayLike) -> int:
        """Deletes the vectors of ids[n], passes over ids that are not in the store, and returns how many it deleted."""
        named = _arrays.ids("ids", ids)
        deleted = ffi.new("uint64_t *")
        check(lib.omen_store_delete(self._handle, _u64(named), len(named), deleted))
        return int(deleted[0])

    def commit(self) -> None:
        """Makes all writes so far survive a crash of the machine."""
        check(lib.omen_store_commit(self._handle))

    # Reading: readers wait for nobody.

    def get(self, ids: npt.ArrayLike, out: Optional[Vectors] = None, found: Optional[Flags] = None) -> Vectors:
        """Returns the vectors of ids[n] as float32[n, dim]; after `compress`, what their codes decode to.

        out    float32[n, dim] to be filled and returned, in C order; None: a new array
        found  bool[n] to be filled: False where the id is not in the store, and its vector is zeros.
               None: every id must be there, else NotFound is raised and nothing is written
        """
        named = _arrays.ids("ids", ids)
        rows: Vectors = _arrays.output("out", out, (len(named), self._dim), np.float32)
        flags = ffi.NULL if found is None else _u8(_arrays.output("found", found, named.shape, np.bool_))
        check(lib.omen_store_get(self._handle, _u64(named), len(named), _f32(rows), flags))
        return rows

    def contains(self, ids: npt.ArrayLike) -> Flags:
        """Returns bool[n]: which of ids[n] are in the store."""
        named = _arrays.ids("ids", ids)
        found: Flags = np.empty(named.shape, np.bool_)
        check(lib.omen_store_contains(self._handle, _u64(named), len(named), _u8(found)))
        return found

    def __contains__(self, id: int) -> bool:
        return bool(self.contains([id])[0])

    def scan(self, chunk: int = 1000, start: int = 0) -> Iterator[tuple[Ids, Vectors]]:
        """Goes through the store by ascending id, from `start` on: (ids[m], vectors[m, dim]), m up to `chunk`.

        Each chunk is new arrays, and the store as it is when the chunk is asked for.
        """
        if chunk < 1:
            raise InvalidArgument(f"chunk: found {chunk}, expected 1 or more")
        return self._chunks(chunk, start)

    def _chunks(self, chunk: int, start: int) -> Iterator[tuple[Ids, Vectors]]:
        position, n = ffi.new("uint64_t *", start), ffi.new("size_t *")
        while True:
            ids: Ids = np.empty(chunk, np.uint64)
            rows: Vectors = np.empty((chunk, self._dim), np.float32)
            check(lib.omen_store_scan(self._handle, position, chunk, _u64(ids), _f32(rows), n))
            if n[0] == 0:
                return
            yield ids[: n[0]], rows[: n[0]]

    def search(
        self,
        queries: npt.ArrayLike,
        k: int,
        *,
        allow_ids: Optional[npt.ArrayLike] = None,
        exact: bool = False,
        effort: float = 0.0,
        rerank: int = 0,
        threads: int = 0,
    ) -> tuple[Ids, Vectors]:
        """Finds the k nearest vectors of each query: (ids[nq, k], distances[nq, k]), nearest first.

        queries    [nq, dim], as vectors of insert
        allow_ids  [n]: only these may be found; an empty array allows none; None: all
        exact      compare with every vector as `get` returns it: slow, and there to compare with
        effort, rerank, threads  as in omen_search_options of include/omen.h; 0 = chosen

        Smaller distances are nearer for every metric. Where there are fewer than k: omen.NO_ID and NaN.
        """
        rows = _arrays.vectors("queries", queries, self._dim)
        if k < 0:
            raise InvalidArgument(f"k: found {k}, expected 0 or more")
        options = ffi.new("omen_search_options *")
        lib.omen_search_options_init(options)
        options.exact, options.effort, options.rerank, options.threads = exact, effort, rerank, threads
        if allow_ids is not None:
            # For the library no ids at all means no filter; the id that cannot be stored allows nothing.
            allowed = _arrays.ids("allow_ids", allow_ids if np.size(allow_ids) else np.array([lib.OMEN_NO_ID], np.uint64))
            options.allow_ids, options.allow_n = _u64(allowed), len(allowed)
        near: Ids = np.empty((len(rows), k), np.uint64)
        distances: Vectors = np.empty((len(rows), k), np.float32)
        check(lib.omen_store_search(self._handle, _f32(rows), len(rows), k, options, _u64(near), _f32(distances)))
        return near, distances

    # Compressing and upkeep: these take their time; readers and writers of other threads go on.

    def compress(
        self,
        ratio: float = 16.0,
        *,
        progress: Optional[Progress] = None,
        quality: Quality = "normal",
        codec: Codec = "auto",
        sample: int = 0,
        seed: int = 0,
        threads: int = 0,
    ) -> CompressReport:
        """Makes the whole directory `ratio` times smaller than the vectors as floats; errors are in the report.

        progress  called with (done, total) now and then; what it returns does not matter, what it raises is raised here
        others    as in omen_compress_options of include/omen.h; 0 = chosen

        An exception of `progress`, and Ctrl-C, stop the call; the store is then as it was before.
        """
        raised: list[BaseException] = []

        def step(_user: Any, done: int, total: int) -> int:
            if progress is not None:
                progress(done, total)
            return 0

        def keep(_kind: Any, error: BaseException, trace: Any) -> None:
            raised.append(error.with_traceback(trace))

        # The library can be stopped between two steps only by a function of ours: Python looks at Ctrl-C in there.
        callback = ffi.callback("omen_progress_fn", step, error=1, onerror=keep)
        options = ffi.new("omen_compress_options *")
        lib.omen_compress_options_init(options)
        options.ratio, options.sample, options.seed, options.threads = ratio, sample, seed, threads
        options.quality, options.codec, options.progress = QUALITY.number(quality), CODEC.number(codec), callback
        report = empty("omen_compress_report")
        status = lib.omen_store_compress(self._handle, options, report)
        if raised:
            raise raised[0]
        check(status)
        return filled(CompressReport, report)

    def compact(self) -> None:
        """Gives the bytes of deleted and replaced vectors back to the file system."""
        check(lib.omen_store_compact(self._handle))

    def stats(self) -> Stats:
        """Tells what the store holds and what it takes on disk."""
        report = empty("omen_store_stats")
        check(lib.omen_store_stats(self._handle, report))
        return filled(Stats, report)

    def verify(self) -> VerifyReport:
        """Reads every byte from the disk and compares all checksums; raises Corrupt with the file and the block."""
        report = empty("omen_verify_report")
        check(lib.omen_store_verify(self._handle, report))
        return filled(VerifyReport, report)


def _u64(array: Ids) -> Any:
    return ffi.from_buffer("uint64_t[]", array)


def _f32(array: Vectors) -> Any:
    return ffi.from_buffer("float[]", array)


def _u8(array: Flags) -> Any:
    return ffi.from_buffer("uint8_t[]", array)
