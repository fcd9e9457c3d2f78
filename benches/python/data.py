"""A data set, and its exact neighbours.

A data set is a directory with base and query as .npy or .bvecs, and a README. If the README contains `metric ip`, neighbours
are those of the largest inner product, otherwise those of the smallest squared distance.
"""
import functools
import pathlib

import faiss
import numpy as np
from recall import K

QUERIES_MAX = 1000
# Of the draw of rows.
SEED = 5


def vectors(folder, name):
    """float32 [n][dim], from name.npy or name.bvecs."""
    packed = folder / f'{name}.npy'
    if packed.exists():
        return np.ascontiguousarray(np.load(packed), dtype=np.float32)
    flat = np.fromfile(folder / f'{name}.bvecs', dtype=np.uint8)
    dim = int.from_bytes(flat[:4].tobytes(), 'little')
    return np.ascontiguousarray(flat.reshape(-1, 4 + dim)[:, 4:], dtype=np.float32)


def unit_length(rows):
    """The rows scaled to length one, for engines that know inner products only and data of L2."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


class Data:
    """base: float32 [n][dim]; queries: float32 [nq][dim]; neighbours: int64 [nq][K], the exact ones.

    `limit` draws that many rows at random (0: all), `train` as many for peers to train on; another seed draws others.
    """

    def __init__(self, folder, limit=0, train=0, seed=SEED):
        folder = pathlib.Path(folder)
        readme = folder / 'README'
        self.name = folder.resolve().name + (f' seed {seed}' if seed != SEED else '')
        self.is_ip = readme.exists() and 'metric ip' in readme.read_text()
        self.base = vectors(folder, 'base')
        self.queries = vectors(folder, 'query')[:QUERIES_MAX]
        mixed = np.random.default_rng(seed).permutation(len(self.base))
        if limit and limit < len(self.base):
            self.base = np.ascontiguousarray(self.base[np.sort(mixed[:limit])])
            mixed = np.random.default_rng(seed).permutation(limit)
        self.n, self.dim = self.base.shape
        # Files are often sorted in some way: the rows that peers are trained on are drawn at random.
        self.train = np.ascontiguousarray(self.base[mixed[:train or self.n]])

    def scan(self, rows, queries=None, is_ip=None, k=K):
        """Ids int64 [nq][k] of an exact scan over rows, float32 [n][dim], by the metric of the data."""
        by_ip = self.is_ip if is_ip is None else is_ip
        metric = faiss.METRIC_INNER_PRODUCT if by_ip else faiss.METRIC_L2
        queries = self.queries if queries is None else queries
        return faiss.knn(queries, np.ascontiguousarray(rows, dtype=np.float32), k, metric=metric)[1]

    @functools.cached_property
    def neighbours(self):
        return self.scan(self.base)
