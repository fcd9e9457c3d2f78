"""A data set, and what is measured against it: relative MSE, recall, and the Shannon bound.

A data set is a directory with base and query as .npy or .bvecs, and a README that says `metric ip` where neighbours are
those of the largest inner product; else they are those of the smallest squared distance.
"""
import functools
import pathlib

import faiss
import numpy as np

K = 10
QUERIES_MAX = 1000


def vectors(folder, name):
    """float32 [n][dim], from name.npy or name.bvecs."""
    packed = folder / f'{name}.npy'
    if packed.exists():
        return np.ascontiguousarray(np.load(packed), dtype=np.float32)
    flat = np.fromfile(folder / f'{name}.bvecs', dtype=np.uint8)
    dim = int.from_bytes(flat[:4].tobytes(), 'little')
    return np.ascontiguousarray(flat.reshape(-1, 4 + dim)[:, 4:], dtype=np.float32)


class Data:
    """base: float32 [n][dim]; queries: float32 [nq][dim]; neighbours: int64 [nq][K], the exact ones."""

    def __init__(self, folder, limit=0, train=0):
        folder = pathlib.Path(folder)
        readme = folder / 'README'
        self.name = folder.resolve().name
        self.is_ip = readme.exists() and 'metric ip' in readme.read_text()
        self.base = vectors(folder, 'base')
        self.queries = vectors(folder, 'query')[:QUERIES_MAX]
        mixed = np.random.default_rng(5).permutation(len(self.base))
        if limit and limit < len(self.base):
            self.base = np.ascontiguousarray(self.base[np.sort(mixed[:limit])])
            mixed = np.random.default_rng(5).permutation(limit)
        self.n, self.dim = self.base.shape
        # Files are often in an order that means something: what peers are trained on is drawn at random.
        self.train = np.ascontiguousarray(self.base[mixed[:train or self.n]])

    def scan(self, rows, queries=None, is_ip=None):
        """Ids int64 [nq][K] of an exact scan over rows, float32 [n][dim], by the metric of the data."""
        by_ip = self.is_ip if is_ip is None else is_ip
        metric = faiss.METRIC_INNER_PRODUCT if by_ip else faiss.METRIC_L2
        queries = self.queries if queries is None else queries
        return faiss.knn(queries, np.ascontiguousarray(rows, dtype=np.float32), K, metric=metric)[1]

    @functools.cached_property
    def neighbours(self):
        return self.scan(self.base)


def recall(found, wanted):
    """The part of wanted, [nq][K] ids, that is in found."""
    return float(np.mean([len(np.intersect1d(a, b)) / wanted.shape[1] for a, b in zip(found, wanted)]))


def relative_mse(rows, decoded):
    """Sum of |x - decoded x| squared over sum of |x| squared."""
    lost = np.sum((rows - decoded) ** 2, dtype=np.float64)
    return float(lost / np.sum(rows ** 2, dtype=np.float64))


def shannon(rows, bytes_a_vector):
    """The least relative MSE that 8 x bytes bits a vector can have if rows were Gaussian with their covariance.

    Reverse water-filling (Cover and Thomas, Elements of Information Theory, section 10.3.3): with water level t a
    component of variance v costs max(0, log2(v / t) / 2) bits and keeps an error of min(v, t). The mean is free. Data
    that is not Gaussian may lie below.
    """
    energy = np.mean(np.sum(rows ** 2, axis=1, dtype=np.float64))
    variances = np.linalg.eigvalsh(np.cov(rows.T.astype(np.float64)))[::-1]
    variances = np.maximum(variances, variances[0] * 1e-12)
    wet = np.arange(1, len(variances) + 1)
    levels = 2 ** ((np.cumsum(np.log2(variances)) - 16 * bytes_a_vector) / wet)
    # The level of the components in use is the one that leaves the last of them above water.
    level = levels[np.flatnonzero(levels <= variances)[-1]]
    return float(np.minimum(variances, level).sum() / energy)
