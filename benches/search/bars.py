"""The promises for search: bars that are measured in turns with peers, and the figures of the other bars."""
from typing import NamedTuple

ONE, BATCH = 'one', 'batch'
MILLION = 'synthetic1m'
MIB = 1 << 20

PRIVATE_BYTES = 16 * MIB  # and one more a vector
OPEN_MS = 5
COMPRESS_SECONDS = 60


class Paired(NamedTuple):
    """A bar: at this recall or more, at least `least` times the queries a second of the fastest peer."""
    data: str
    method: str
    mode: str
    recall: float
    peers: tuple[tuple[str, str], ...]  # (method, setting)
    least: float = 1.0
    of: str | None = None  # a setting of the method: `recall` is a share of the recall of that setting


def beside(data, ratio, mode, recall, *peers, setting=''):
    return Paired(data, f'omen {ratio}', mode, recall, tuple((peer, setting) for peer in peers))


# Batches are compared with every peer of about the same bytes; at ratio 4 there is none.
PAIRED = [
    beside('sift100k', 16, ONE, 0.80, 'fastscan 64x4'),
    beside('sift100k', 8, ONE, 0.92, 'turbovec 4'),
    beside('sift100k', 4, ONE, 0.95, 'hnswlib 16', setting='ef 32'),
    beside('sift100k', 4, ONE, 0.985, 'hnswlib 16', setting='ef 64'),
    beside('sift100k', 16, BATCH, 0.80, 'fastscan 64x4', 'turbovec 2'),
    beside('sift100k', 8, BATCH, 0.92, 'fastscan 128x4', 'turbovec 4'),
    beside('sift100k', 'raw', ONE, 0.999, 'flat'),
    beside('minilm50k', 16, ONE, 0.88, 'fastscan 192x4', 'turbovec 2'),
    beside('minilm50k', 8, ONE, 0.96, 'turbovec 4'),
    beside('minilm50k', 4, ONE, 0.965, 'hnswlib 16', setting='ef 32'),
    beside('minilm50k', 16, BATCH, 0.88, 'fastscan 192x4', 'turbovec 2'),
    beside('minilm50k', 8, BATCH, 0.96, 'fastscan 384x4', 'turbovec 4'),
    beside('minilm50k', 'raw', ONE, 0.999, 'flat'),
    Paired(MILLION, 'omen 16', ONE, 0.99, (('fastscan 64x4', ''),), 3.0, of='effort 1'),
]

# Filters: the most time of a search with one that is new with each query, over that of the search without a filter.
FILTERED_DATA = ('sift100k', 'sift1m', MILLION)
FILTER_BARS = {'allow 0.1': 2, 'allow 0.01': 2, 'allow 0.001': 1.5, 'deny 100': 1.2, 'deny-all-but 100': 1.2,
               'allow-all-but 100': 1.2}
FILTER_RECALL_LOST = 0.01  # less than an exact search with the same filter


class FilterPair(NamedTuple):
    """A bar for each share of the ids: at least as fast as a peer, with at least its recall."""
    peer: str     # a family of engines
    method: str
    instead: str  # the method if `method` reaches the recall of no setting of the peer


# IVF has about the bytes of ratio 16. Graphs have those of raw vectors and more, and about the recall of ratio 4, or all of
# it. sqlite-vec is exact.
FILTER_PAIRED = [
    FilterPair('ivf', 'omen 16', 'omen 4'),
    FilterPair('ivf-pq', 'omen 16', 'omen 4'),
    FilterPair('hnswlib', 'omen 4', 'omen raw'),
    FilterPair('zvec', 'omen 4', 'omen raw'),
    FilterPair('sqlite-vec', 'omen raw', 'omen raw'),
]
FILTERED = ('omen 4', 'omen 16')  # those that have the bars of FILTER_BARS
FILTER_RATIOS = {*FILTERED, *(method for pair in FILTER_PAIRED for method in (pair.method, pair.instead))}
