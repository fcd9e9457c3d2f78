"""Filters that are new with each query, in the forms that engines take: lists of ids, and ranges of a column.

Each row has a value, its position in a random order of all rows. A filter is a window of values, drawn at random. A setting
names it in its first two words:

    allow 0.01          the ids in the window, one in a hundred, are allowed
    deny 100            the 100 ids in the window are denied
    deny-all-but 100    all other ids are denied
    allow-all-but 100   all other ids are allowed
"""
from typing import NamedTuple

import numpy as np
from recall import K

QUERIES = 100  # the first ones; each has a filter of its own
SHARES = ('allow 0.1', 'allow 0.01', 'allow 0.001')
FILTERS = (*SHARES, 'deny 100', 'deny-all-but 100', 'allow-all-but 100')
KINDS = {name.split()[0] for name in FILTERS}
# Long lists are repeated after so many ids, 80 MB: more than the caches hold.
IDS_MOST = 10_000_000
LISTS_LEAST = 10


class Filter(NamedTuple):
    low: int         # the window: values from low to high - 1
    high: int
    ids: np.ndarray  # uint64, ascending: what an engine is given that takes ids
    denies: bool     # ids are those that may not be found


def named(setting):
    """The filter of a setting and the words after it; None and the whole setting if it has no filter."""
    words = setting.split()
    if words and words[0] in KINDS:
        return ' '.join(words[:2]), ' '.join(words[2:])
    return None, setting


def order(n):
    """int64 [n]: row order[v] has the value v."""
    return np.random.default_rng(7).permutation(n)


def values(n):
    """int64 [n]: the value of each row."""
    return np.argsort(order(n))


def made(name, n):
    """The filters of this name for n rows; query number i has filter number i modulo their count."""
    kind, number = name.split()
    size = max(round(float(number) * n), K) if kind == 'allow' else int(number)
    is_window = kind in ('allow', 'deny')
    count = max(min(QUERIES, IDS_MOST // (size if is_window else n - size)), LISTS_LEAST)
    rows, is_listed = order(n), np.full(n, not is_window)
    for low in np.random.default_rng(9).integers(0, n - size + 1, count).tolist():
        is_listed[rows[low:low + size]] = is_window
        yield Filter(low, low + size, np.flatnonzero(is_listed).astype(np.uint64), kind.startswith('deny'))
        is_listed[:] = not is_window


def neighbours(name, data, near):
    """int64 [nq][K]: the nearest rows that the filters let through, of the first queries. near: int64 [nq][any], the nearest
    of all rows, more than K and a window of few rows."""
    rows, filters = order(data.n), list(made(name, data.n))
    queries = data.queries[:QUERIES]
    answers = np.empty((len(queries), K), dtype=np.int64)
    for number, (low, high, *_) in enumerate(filters[:len(queries)]):
        inside, of = rows[low:high], slice(number, None, len(filters))
        if name.split()[0] in ('allow', 'deny-all-but'):
            answers[of] = inside[data.scan(data.base[inside], queries[of])]
        else:
            answers[of] = [row[~np.isin(row, inside)][:K] for row in near[:len(queries)][of]]
    return answers
