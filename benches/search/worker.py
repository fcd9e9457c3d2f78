#!/usr/bin/env python3
"""Searches with one engine: opens the index of a method, prints how long that took, and then carries out commands.

run.py starts it, pinned to a core, one thread. A command is a line of JSON on standard input, with `do` and its arguments.
The answer is a line of JSON on standard output. It never loads the base. The memory of Python and the queries is subtracted
from the private memory.
"""
import argparse
import ctypes
import gc
import json
import os
import pathlib
import sys
import time

import filters
import numpy as np
from engines import engine, parsed
from recall import recall
from truth import Truth

WARM_UP = 3


def private_bytes():
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('RssAnon:')) * 1024


def forget_pages(path):
    """Drops the pages of all files below path from the page cache. Only pages that were written back can be dropped."""
    for file in path.rglob('*'):
        if file.is_file():
            with open(file, 'rb') as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Searching:
    """queries: float32 [nq][dim]; a batch is `batch` of them, repeated from the first one if there are fewer."""

    def __init__(self, options):
        self.truth = Truth(options.folder, options.queries)
        self.queries = self.truth.queries
        self.many = np.resize(self.queries, (options.batch, self.truth.dim))
        self.engine = engine(options.method, self.truth, options.path, options.library)
        self.prepared, self.current, self.next = {}, None, 0
        # Memory that Python freed but kept would otherwise be reused by the engine and not be counted.
        ctypes.CDLL(None).malloc_trim(0)
        self.private = private_bytes()

    def opened(self, setting):
        """Milliseconds from opening to the first answer."""
        begin = time.perf_counter()
        self.engine.open()
        self.engine.set(parsed(setting))
        calls, _ = self.engine.ready(self.queries[:1], 1)
        calls[0]()
        return (time.perf_counter() - begin) * 1e3

    def ready(self, setting):
        """Applies the setting. Returns (calls, ids) for one query a call, and the same for the batch, or None if there is no
        batch: neither where each query has its own filter."""
        name, rest = filters.named(setting)
        if setting != self.current:
            self.engine.set(parsed(rest))
            self.current = setting
        if setting not in self.prepared:
            before = private_bytes()
            if name:
                each = self.truth.filters(name)
                self.prepared[setting] = (self.engine.ready_filtered(self.queries[:len(each)], each), None)
            else:
                batch = self.engine.ready(self.many, len(self.many)) if self.engine.has_batch else None
                self.prepared[setting] = (self.engine.ready(self.queries, 1), batch)
            self.private += private_bytes() - before
        return self.prepared[setting]

    def find(self, setting):
        """Searches for every query, one a call and in a batch: the recall of both, and seconds a query and a batch."""
        neighbours = self.truth.neighbours(filters.named(setting)[0] or ('unit' if self.engine.is_unit else 'all'))
        (calls, ids), batch = self.ready(setting)
        calls[0]()
        begin = time.perf_counter()
        results = [call() for call in calls]
        row = dict(one_seconds=(time.perf_counter() - begin) / len(calls), recall=recall(ids(results), neighbours))
        row.update(batch_seconds=None, recall_batch=None)
        if batch:
            begin = time.perf_counter()
            results = [batch[0][0]()]
            row['batch_seconds'] = time.perf_counter() - begin
            row['recall_batch'] = recall(batch[1](results), np.resize(neighbours, (len(self.many), neighbours.shape[1])))
        row['private_bytes'] = private_bytes() - self.private
        return row

    def one(self, setting, count):
        """Queries a second over `count` calls from where the last slice ended; whole passes if `count` is more than one pass."""
        (calls, _), _ = self.ready(setting)
        if count >= len(calls):
            chosen = calls * round(count / len(calls))
        else:
            chosen = [calls[(self.next + i) % len(calls)] for i in range(count)]
            self.next = (self.next + count) % len(calls)
        # Another engine used the caches before.
        for call in chosen[:WARM_UP]:
            call()
        begin = time.perf_counter()
        for call in chosen:
            call()
        return dict(qps=len(chosen) / (time.perf_counter() - begin))

    def batch(self, setting, count):
        """Queries a second over `count` batches."""
        _, ((call,), _) = self.ready(setting)
        begin = time.perf_counter()
        for _ in range(count):
            call()
        return dict(qps=count * len(self.many) / (time.perf_counter() - begin))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('method')
    parser.add_argument('--folder', type=pathlib.Path, required=True, help='the folder of the ground truth')
    parser.add_argument('--path', type=pathlib.Path, required=True, help='the folder of the index')
    parser.add_argument('--setting', default='', help='the setting of the first answer')
    parser.add_argument('--library', type=pathlib.Path)
    parser.add_argument('--queries', type=int, default=0)
    parser.add_argument('--batch', type=int, required=True)
    parser.add_argument('--cold', action='store_true', help='drop the pages of the index before it is opened')
    options = parser.parse_args()
    # Engines print to standard output: answers get their own descriptor.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    if options.cold:
        forget_pages(options.path)
    searching = Searching(options)
    tell = lambda answer: print(json.dumps(answer), file=answers, flush=True)
    tell(dict(open_ms=searching.opened(options.setting)))
    gc.disable()
    for line in sys.stdin:
        command = json.loads(line)
        tell(getattr(searching, command.pop('do'))(**command))
    # Some engines hang in their destructors.
    os._exit(0)


if __name__ == '__main__':
    main()
