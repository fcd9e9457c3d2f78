"""Compares Python methods with the bare C calls: get, insert and search in batches of 1,000.

The C side calls the same library with pointers made beforehand. The two take turns on the same data; each figure is the
median over the batches. Prints one line for each method: both times, and the throughput of Python as a share of C's.
"""
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import omen
from omen._library import lib
from omen._native import ffi

DIM, BATCH, ROUNDS, VECTORS, K = 128, 1000, 200, 100_000, 10


def seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def beside(what, c_calls, python_calls):
    """Runs the calls of both sides alternately and prints their medians."""
    pairs = [(seconds(c), seconds(python)) for c, python in zip(c_calls, python_calls)]
    c, python = (statistics.median(side) for side in zip(*pairs))
    print(f"{what:<7} C {c * 1e6:9.1f} us   Python {python * 1e6:9.1f} us   throughput {c / python:.3f} of C's")


def main():
    random = np.random.default_rng(1)
    batches = random.random((ROUNDS, BATCH, DIM), dtype=np.float32)
    ids = random.integers(0, VECTORS, (ROUNDS, BATCH), dtype=np.uint64)
    rows, near = np.empty((BATCH, DIM), np.float32), np.empty((BATCH, K), np.uint64)
    distances = np.empty((BATCH, K), np.float32)
    to_rows, to_distances = ffi.from_buffer("float[]", rows), ffi.from_buffer("float[]", distances)
    to_near = ffi.from_buffer("uint64_t[]", near)
    vectors_at = [ffi.from_buffer("float[]", batch) for batch in batches]
    ids_at = [ffi.from_buffer("uint64_t[]", batch) for batch in ids]
    with tempfile.TemporaryDirectory() as room:
        stores = [omen.open(Path(room) / name, DIM) for name in ("c", "python")]
        handle, store = stores[0]._handle, stores[1]
        beside("insert",
               [lambda at=at: lib.omen_store_insert(handle, ffi.NULL, at, BATCH, ffi.NULL) for at in vectors_at],
               [lambda batch=batch: store.insert(batch) for batch in batches])
        beside("get",
               [lambda at=at: lib.omen_store_get(handle, at, BATCH, to_rows, ffi.NULL) for at in ids_at],
               [lambda batch=batch: store.get(batch) for batch in ids])
        beside("get out",
               [lambda at=at: lib.omen_store_get(handle, at, BATCH, to_rows, ffi.NULL) for at in ids_at],
               [lambda batch=batch: store.get(batch, rows) for batch in ids])
        for opened in stores:
            opened.delete(np.arange(10_000, ROUNDS * BATCH))
        beside("search",
               [lambda at=at: lib.omen_store_search(handle, at, BATCH, K, ffi.NULL, to_near, to_distances)
                for at in vectors_at[:9]],
               [lambda batch=batch: store.search(batch, K) for batch in batches[:9]])
        for opened in stores:
            opened.close()


if __name__ == "__main__":
    main()
