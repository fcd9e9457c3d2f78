"""The store: one method for each omen_store_* function of include/omen.h.

Any thread may make any call, and a call releases the GIL. The conventions at the top of the header hold: a call is all
or nothing, readers do not wait, and writes are durable after `commit`.
"""
from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, NoReturn, Optional, Union, overload

import numpy as np

from . import _arrays, _ids, _vectors
from ._arrays import Flags, Ids, Vectors
from ._errors import InvalidArgument, check
from ._ids import AnyIds, ManyIds, WholeNumber
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
    MetricName,
    Mode,
    Quality,
    Stats,
    Sync,
    VerifyReport,
    empty,
    fill,
    filled,
)
from ._vectors import AnyVectors

AnyPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
Progress = Callable[[int, int], object]

# The largest that fits the type of C; the library refuses it.
_DIM_MAX = 2**32 - 1


def open(
    path: AnyPath,
    dim: int = 0,
    *,
    metric: Optional[MetricName] = None,
    mode: Mode = "read_write_create",
    sync: Sync = "commit",
    threads: int = 0,
) -> Store:
    """Opens the store in the directory `path`. Creates it if `mode` allows that.

    dim      floats in a vector. An existing store must have the same. 0: that of the existing store; creates none
    metric   "l2", "inner_product" (or "ip") or "cosine". None: that of an existing store, "l2" for a new one
    mode     "read_write_create"; "read_write": the store must exist; "create_new": it must not exist;
             "read_only": takes no lock and writes nothing
    sync     when writes survive a crash: after "commit", after "each" call, or ("none") when a file is sealed
    threads  the most threads that one call uses; 0: as many as the machine has cores

    Raises DimMismatch, MetricMismatch, Locked, NotAStore, Version, Corrupt and others.
    """
    name = os.fsencode(path)
    if b"\0" in name:
        raise InvalidArgument(f"path: NUL at byte {name.index(0)}")
    options = ffi.new("omen_store_options *")
    lib.omen_store_options_init(options)
    fill(options, mode=MODE.number(mode), sync=SYNC.number(sync), threads=threads)
    floats = min(_arrays.whole("dim", dim), _DIM_MAX)
    absolute = Path(os.fsdecode(name)).absolute()
    handle = ffi.new("omen_store **")
    # The options of C cannot say "any metric", so each is tried. A refused open leaves nothing behind.
    for number in METRIC.words if metric is None else [METRIC.number(metric)]:
        options.metric = number
        status = lib.omen_store_open(name, floats, options, handle)
        if status != lib.OMEN_METRIC_MISMATCH:
            break
    check(status)
    return Store(handle[0], absolute, METRIC.words[options.metric], mode)


class Store:
    """An open store, from `omen.open`. It closes at the end of a `with`, or when it is garbage-collected.

    vectors  float32[n, dim] in C order is not copied. Copied to it: floats and whole numbers of any other dtype and
             order, lists of rows, columns of pandas, polars and pyarrow. Or one vector, [dim]
    ids      uint64[n] and int64[n] are not copied. Other whole numbers from 0 to 2**64 - 2 are: lists of int, ranges,
             columns. Or one int

    One vector or id instead of many has an answer without the axis n. README.md has a table of what is refused.

    Do not use it in a forked child: writing there raises Locked, then Poisoned. Open the path in the child instead.
    """

    def __init__(self, handle: Any, path: Path, metric: Metric, mode: Mode) -> None:
        self._handle = handle
        self._dim: int = lib.omen_store_dim(handle)
        self._path, self._metric, self._mode = path, metric, mode
        self._close_when_collected()

    def _close_when_collected(self) -> None:
        self._left_open = weakref.finalize(self, lib.omen_store_close, self._handle)

    def close(self) -> None:
        """Commits and closes. A second close does nothing; every other call then raises InvalidHandle.

        In the progress function of a compress or compact it raises InvalidArgument, and the store stays open.
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

    @property
    def path(self) -> Path:
        """The directory of the store, absolute."""
        return self._path

    @property
    def metric(self) -> Metric:
        """ "l2", "inner_product" or "cosine"."""
        return self._metric

    @property
    def mode(self) -> Mode:
        """How it was opened."""
        return self._mode

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return not self._left_open.alive

    def __repr__(self) -> str:
        count = ffi.new("uint64_t *")
        is_open = lib.omen_store_count(self._handle, count) == lib.OMEN_OK
        vectors = f"vectors={count[0]}" if is_open else "closed"
        return f"<omen.Store {str(self._path)!r} {vectors} dim={self._dim} metric={self._metric} mode={self._mode}>"

    def __len__(self) -> int:
        count = ffi.new("uint64_t *")
        check(lib.omen_store_count(self._handle, count))
        return int(count[0])

    # Writing: each call is all or nothing.

    def insert(self, vectors: AnyVectors, ids: Optional[AnyIds] = None) -> Ids:
        """Inserts vectors that are not in the store, bit for bit, and returns their ids.

        vectors  [n, dim], every component finite; or [dim]: one vector, whose id is returned without an array
        ids      [n], all different; None: consecutive ids after the largest that was ever in the store

        Raises NotFinite, DuplicateId, InvalidArgument.
        """
        rows = _vectors.vectors("vectors", vectors, self._dim)
        n, first = rows.size // self._dim, ffi.new("uint64_t *")
        if ids is not None:
            named = _one_each(ids, n)
            check(lib.omen_store_insert(self._handle, _u64(named), _f32(rows), n, first))
        else:
            check(lib.omen_store_insert(self._handle, ffi.NULL, _f32(rows), n, first))
            named = np.arange(first[0], first[0] + n, dtype=np.uint64)
        return named if rows.ndim == 2 else named[0]

    def upsert(self, vectors: AnyVectors, ids: AnyIds) -> None:
        """Inserts vectors, and replaces those whose id is in the store. Shapes and errors are those of insert."""
        rows = _vectors.vectors("vectors", vectors, self._dim)
        n = rows.size // self._dim
        check(lib.omen_store_upsert(self._handle, _u64(_one_each(ids, n)), _f32(rows), n))

    def delete(self, ids: AnyIds) -> int:
        """Deletes the vectors of ids[n], or of one id. Returns how many it deleted: ids without a vector are ignored."""
        named = _ids.id_set("ids", ids)
        deleted = ffi.new("uint64_t *")
        check(lib.omen_store_delete(self._handle, _u64(named), named.size, deleted))
        return int(deleted[0])

    def commit(self) -> None:
        """Makes all writes so far survive a crash of the machine."""
        check(lib.omen_store_commit(self._handle))

    # Reading: readers do not wait.

    def get(self, ids: AnyIds, out: Optional[Vectors] = None, found: Optional[Flags] = None) -> Vectors:
        """Returns the vectors of ids[n] as float32[n, dim], that of one id as float32[dim]; after `compress`, what their
        codes decode to.

        out    float32 of that shape in C order, which is filled and returned; None: a new array
        found  bool[n], which is filled: False where the id is not in the store; its vector is then zeros.
               None: if an id is not in the store, NotFound is raised and nothing is written
        """
        named = _ids.ids("ids", ids)
        rows: Vectors = _arrays.output("out", out, (*named.shape, self._dim), np.float32)
        flags = ffi.NULL if found is None else _u8(_arrays.output("found", found, named.shape, np.bool_))
        check(lib.omen_store_get(self._handle, _u64(named), named.size, _f32(rows), flags))
        return rows

    @overload
    def contains(self, ids: WholeNumber) -> bool: ...

    @overload
    def contains(self, ids: ManyIds) -> Flags: ...

    def contains(self, ids: AnyIds) -> Union[bool, Flags]:
        """Returns bool[n]: which of ids[n] are in the store; for one id a bool."""
        named = _ids.ids("ids", ids)
        found: Flags = np.empty(named.shape, np.bool_)
        check(lib.omen_store_contains(self._handle, _u64(named), named.size, _u8(found)))
        return found if named.ndim else bool(found)

    def __contains__(self, id: WholeNumber) -> bool:
        one = _ids.ids("id", id)
        if one.ndim:
            raise InvalidArgument(f"id: found {one.size} of them, expected one: contains(ids) takes many")
        return self.contains(int(one))

    def scan(self, chunk: int = 1000, start: int = 0) -> Iterator[tuple[Ids, Vectors]]:
        """Reads the store by ascending id, from `start` on: yields (ids[m], vectors[m, dim]) with m up to `chunk`.

        Each chunk has new arrays, and shows the store as it is when the chunk is read.
        """
        if _arrays.whole("chunk", chunk) == 0:
            raise InvalidArgument("chunk: found 0, expected 1 or more")
        return self._chunks(chunk, int(_ids.ids("start", _arrays.whole("start", start))))

    def _chunks(self, chunk: int, start: int) -> Iterator[tuple[Ids, Vectors]]:
        position, n = ffi.new("uint64_t *", start), ffi.new("size_t *")
        while True:
            # A chunk of more than the store has, as for all of it at once, takes no more memory than the store's vectors.
            capacity = min(chunk, max(len(self), 1))
            ids: Ids = np.empty(capacity, np.uint64)
            rows: Vectors = np.empty((capacity, self._dim), np.float32)
            check(lib.omen_store_scan(self._handle, position, capacity, _u64(ids), _f32(rows), n))
            if n[0] == 0:
                return
            yield ids[: n[0]], rows[: n[0]]

    def search(
        self,
        queries: AnyVectors,
        k: WholeNumber,
        *,
        allow_ids: Optional[AnyIds] = None,
        deny_ids: Optional[AnyIds] = None,
        max_distance: Optional[float] = None,
        exact: bool = False,
        effort: float = 0.0,
        rerank: int = 0,
        threads: int = 0,
    ) -> tuple[Ids, Vectors]:
        """Finds the k nearest vectors of each query: (ids[nq, k], distances[nq, k]), nearest first.

        queries       [nq, dim], in the forms that insert takes; or [dim]: one query, with (ids[k], distances[k])
        allow_ids     [n], in any order or a set: only these may be found; an empty one allows none; None: all
        deny_ids      [n], in any order or a set: these are not found, not even if allow_ids has them; None: none
        max_distance  only vectors at most this far away are found, by the metric as `distances` has it; None: all
        exact         compare with every vector as `get` returns it: slow, meant as a reference
        effort, rerank, threads  as in omen_search_options of include/omen.h; 0: the library chooses

        Smaller distances are nearer for every metric. omen.NO_ID and NaN fill the remaining places when fewer than k
        are found.
        """
        rows = _vectors.vectors("queries", queries, self._dim)
        k = _arrays.whole("k", k)
        options = ffi.new("omen_search_options *")
        lib.omen_search_options_init(options)
        fill(options, exact=bool(exact), effort=effort, rerank=rerank, threads=threads)
        if allow_ids is not None:
            allowed = _ids.id_set("allow_ids", allow_ids)
            # To the library an empty array means no filter. OMEN_NO_ID is the id of no vector, so it allows nothing.
            allowed = allowed if allowed.size else np.array([lib.OMEN_NO_ID], np.uint64)
            options.allow_ids, options.allow_n = _u64(allowed), allowed.size
        if deny_ids is not None:
            denied = _ids.id_set("deny_ids", deny_ids)
            options.deny_ids, options.deny_n = _u64(denied), denied.size
        if max_distance is not None:
            fill(options, max_distance=max_distance)
        shape = (*rows.shape[:-1], k)
        near: Ids = np.empty(shape, np.uint64)
        distances: Vectors = np.empty(shape, np.float32)
        nq = rows.size // self._dim
        check(lib.omen_store_search(self._handle, _f32(rows), nq, k, options, _u64(near), _f32(distances)))
        return near, distances

    # Compressing and upkeep: long calls, during which readers and writers of other threads go on.

    def compress(
        self,
        ratio: Optional[float] = None,
        *,
        max_relative_mse: Optional[float] = None,
        progress: Optional[Progress] = None,
        quality: Quality = "normal",
        codec: Codec = "auto",
        sample: int = 0,
        seed: int = 0,
        threads: int = 0,
    ) -> CompressReport:
        """Makes the whole directory smaller than the vectors as floats. The report has the ratio and the errors.

        ratio             how many times smaller, whatever the error. None or 0: as small as max_relative_mse allows, 16
                          times at most
        max_relative_mse  the largest error of vectors that were not trained on, without a ratio. None or 0: 0.1. The
                          report's `limit` says whether the "error" or the "ratio" decided
        progress          called with (done, total) from time to time; its result is ignored
        others            as in omen_compress_options of include/omen.h; 0: the library chooses. `codec` must be "auto"
                          today

        An exception that `progress` raises stops the call and is raised here. Ctrl-C stops the call too. In both cases
        the store is as it was before.
        """
        options = ffi.new("omen_compress_options *")
        lib.omen_compress_options_init(options)
        for name, value in (("ratio", ratio), ("max_relative_mse", max_relative_mse)):
            if value is not None:
                fill(options, **{name: value})
        fill(options, sample=sample, seed=seed, threads=threads)
        fill(options, quality=QUALITY.number(quality), codec=CODEC.number(codec))
        report = empty("omen_compress_report")
        _run(lambda: lib.omen_store_compress(self._handle, options, report), options, progress)
        return filled(CompressReport, report)

    def compact(self, *, progress: Optional[Progress] = None, threads: int = 0) -> None:
        """Frees the bytes of deleted and replaced vectors on disk.

        progress, threads  as for compress; a stopped call leaves the store as it was
        """
        options = _work_options(threads)
        _run(lambda: lib.omen_store_compact(self._handle, options), options, progress)

    def stats(self) -> Stats:
        """Returns what the store holds and how many bytes it takes on disk."""
        report = empty("omen_store_stats")
        check(lib.omen_store_stats(self._handle, report))
        return filled(Stats, report)

    def verify(self, *, progress: Optional[Progress] = None, threads: int = 0) -> VerifyReport:
        """Reads every byte from the disk and compares all checksums. Raises Corrupt with the file and the block.

        progress, threads  as for compress
        """
        options, report = _work_options(threads), empty("omen_verify_report")
        _run(lambda: lib.omen_store_verify(self._handle, options, report), options, progress)
        return filled(VerifyReport, report)


def _one_each(ids: AnyIds, n: int) -> Ids:
    named = np.atleast_1d(_ids.ids("ids", ids))
    if named.size != n:
        raise InvalidArgument(f"ids: {named.size}, expected {n}: one for each vector")
    return named


def _work_options(threads: int) -> Any:
    options = ffi.new("omen_work_options *")
    lib.omen_work_options_init(options)
    fill(options, threads=threads)
    return options


def _run(call: Callable[[], int], options: Any, progress: Optional[Progress]) -> None:
    """Makes `call`, which passes `options`, with `progress` set in them. Raises what `progress` raised."""
    raised: list[BaseException] = []

    def step(_user: Any, done: int, total: int) -> int:
        if progress is not None:
            progress(done, total)
        return 0

    def keep(_kind: Any, error: BaseException, trace: Any) -> None:
        raised.append(error.with_traceback(trace))

    # Set even without a `progress`: Python handles Ctrl-C in this callback, and the library can stop nowhere else.
    callback = ffi.callback("omen_progress_fn", step, error=1, onerror=keep)
    options.progress = callback
    status = call()
    if raised:
        raise raised[0]
    check(status)


def _u64(array: Ids) -> Any:
    return ffi.from_buffer("uint64_t[]", array)


def _f32(array: Vectors) -> Any:
    return ffi.from_buffer("float[]", array)


def _u8(array: Flags) -> Any:
    return ffi.from_buffer("uint8_t[]", array)
