"""Calls libomen through its C ABI (include/omen.h), as any program does."""
import ctypes
import functools
import time
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

import numpy as np

CALL = 1000
READ_ONLY, CREATE_NEW = 2, 3
QUALITY_NORMAL, QUALITY_BEST = 0, 2
PROGRESS = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)


class StoreOptions(ctypes.Structure):
    _fields_ = [('struct_size', c_uint64), ('metric', c_int32), ('sync', c_int32), ('mode', c_int32),
                ('threads', c_uint32)]


class CompressOptions(ctypes.Structure):
    _fields_ = [('struct_size', c_uint64), ('ratio', c_double), ('sample', c_uint64), ('seed', c_uint64),
                ('codec', c_int32), ('threads', c_uint32), ('progress', PROGRESS), ('user', c_void_p),
                ('quality', c_int32), ('reserved', c_int32), ('max_relative_mse', c_double)]


class CompressReport(ctypes.Structure):
    _fields_ = [('struct_size', c_uint64), ('vectors', c_uint64), ('bytes_before', c_uint64),
                ('bytes_after', c_uint64), ('code_bytes', c_uint64), ('codebook_bytes', c_uint64),
                ('relative_mse', c_double), ('worst_relative_error', c_double), ('ratio', c_double),
                ('seconds', c_double), ('codec', c_int32), ('limit', c_int32), ('held_out_relative_mse', c_double)]


class SearchOptions(ctypes.Structure):
    _fields_ = [('struct_size', c_uint64), ('rerank', c_uint64), ('effort', c_double),
                ('allow_ids', POINTER(c_uint64)), ('allow_n', c_uint64), ('threads', c_uint32), ('exact', c_int32),
                ('deny_ids', POINTER(c_uint64)), ('deny_n', c_uint64), ('max_distance', c_double)]


def pointer(array, kind):
    return array.ctypes.data_as(POINTER(kind))


class Clock:
    """Separates the seconds of training from those of encoding by the progress of one compress.

    The first half of its steps is training; the second half has one step for each vector. The rate of encoding is that from
    the first call in the second half to the end, so it includes the write, the sync and the check. The rest is training.
    """

    def __init__(self):
        self.begin = time.perf_counter()
        self.first = None
        self.callback = PROGRESS(self.on_progress)

    def on_progress(self, _user, done, total):
        if self.first is None and 2 * done > total:
            self.first = (time.perf_counter(), done - total // 2)
        return 0

    def split(self, vectors):
        """(seconds of training, vectors encoded a second). Call it when the compress has returned."""
        end = time.perf_counter()
        at, encoded = self.first
        a_second = (vectors - encoded) / (end - at) if vectors > encoded else vectors / (end - self.begin)
        return end - self.begin - vectors / a_second, a_second


class Library:
    def __init__(self, path):
        self.lib = ctypes.CDLL(str(path))
        self.lib.omen_last_message.restype = c_char_p
        self.lib.omen_store_get.argtypes = [c_void_p, c_void_p, c_size_t, c_void_p, c_void_p]

    def call(self, name, *arguments):
        self.check(name, getattr(self.lib, name)(*arguments))

    def check(self, name, status):
        if status != 0:
            raise RuntimeError(f'{name}: {status}: {self.lib.omen_last_message().decode()}')

    def options(self, kind, init, **values):
        options = kind()
        getattr(self.lib, init)(byref(options))
        for name, value in values.items():
            setattr(options, name, value)
        return options


class Store:
    """The store in the directory `path`; by default a new one, whose ids are 0, 1, 2 ... in the order of insertion."""

    def __init__(self, library, path, dim, is_ip, mode=CREATE_NEW, threads=1):
        self.library, self.dim, self.count = library, dim, 0
        options = library.options(StoreOptions, 'omen_store_options_init', metric=int(is_ip), mode=mode,
                                  threads=threads)
        self.handle = c_void_p()
        library.call('omen_store_open', str(path).encode(), c_uint32(dim), byref(options), byref(self.handle))

    def insert(self, rows):
        """rows: float32 [n][dim]; durable when it returns."""
        ids = np.arange(self.count, self.count + len(rows), dtype=np.uint64)
        self.library.call('omen_store_insert', self.handle, pointer(ids, c_uint64), pointer(rows, c_float),
                          c_size_t(len(rows)), None)
        self.library.call('omen_store_commit', self.handle)
        self.count += len(rows)

    def compress(self, ratio, **settings):
        """The report, the seconds of training, and the vectors encoded, written and checked a second.

        settings are members of omen_compress_options.
        """
        clock = Clock()
        options = self.library.options(CompressOptions, 'omen_compress_options_init', ratio=ratio,
                                       progress=clock.callback, **settings)
        report = CompressReport(struct_size=ctypes.sizeof(CompressReport))
        self.library.call('omen_store_compress', self.handle, byref(options), byref(report))
        return report, *clock.split(self.count)

    def get(self, first, n):
        """float32 [n][dim], read in calls of CALL."""
        ids = np.arange(first, first + n, dtype=np.uint64)
        rows = np.empty((n, self.dim), dtype=np.float32)
        found = np.zeros(n, dtype=np.uint8)
        for at in range(0, n, CALL):
            part = slice(at, min(at + CALL, n))
            self.library.call('omen_store_get', self.handle, ids[part].ctypes.data, part.stop - part.start,
                              rows[part].ctypes.data, found[part].ctypes.data)
        assert found.all(), 'a vector that was inserted was not found'
        return rows

    def search(self, queries, k):
        """Ids int64 [nq][k], by the library's own estimate of distances."""
        search = Search(self, queries, k)
        self.library.check('omen_store_search', search.call(0, len(queries))())
        return search.ids.astype(np.int64)

    def close(self):
        self.library.call('omen_store_close', self.handle)


class Search:
    """A prepared search: all arguments are in memory, so that a call costs little more than the search.

    settings are members of omen_search_options, except for allow_ids and deny_ids: `allow` and `deny` are uint64 [any], or
    None for all ids and for none.
    """

    def __init__(self, store, queries, k, allow=None, deny=None, **settings):
        self.store, self.queries, self.k, self.allow, self.deny = store, queries, k, allow, deny
        if allow is not None:
            settings.update(allow_ids=pointer(allow, c_uint64), allow_n=len(allow))
        if deny is not None:
            settings.update(deny_ids=pointer(deny, c_uint64), deny_n=len(deny))
        self.options = byref(store.library.options(SearchOptions, 'omen_search_options_init', **settings))
        self.ids = np.empty((len(queries), k), dtype=np.uint64)
        self.distances = np.empty((len(queries), k), dtype=np.float32)

    def call(self, first, n):
        """A function without arguments that searches for n queries from `first` on and returns the status.

        The arguments are ctypes objects, which makes the cheapest call of ctypes: less than 1 us.
        """
        at = lambda array: c_void_p(array[first:].ctypes.data)
        return functools.partial(self.store.library.lib.omen_store_search, self.store.handle, at(self.queries),
                                 c_size_t(n), c_size_t(self.k), self.options, at(self.ids), at(self.distances))
