"""Product quantization with any number of subspaces, and our training of OPQ from two initial rotations."""
import faiss
import numpy as np


def runs(dim, count):
    """[(subspaces, dims of each)]: dim divided into count subspaces whose widths differ by at most one, wide ones last."""
    width, wide = divmod(dim, count)
    return [(n, w) for n, w in [(count - wide, width), (wide, width + 1)] if n]


def code_bytes(dim, count, bits):
    """Bytes of one code: FAISS rounds each product quantizer up to whole bytes."""
    return sum(-(-n * bits // 8) for n, _ in runs(dim, count))


def book_bytes(dim, bits):
    """Bytes of the centroids as float32."""
    return (1 << bits) * dim * 4


class Subspaces:
    """One FAISS product quantizer, or two if count does not divide dim: FAISS itself needs equal widths."""

    def __init__(self, dim, count, bits):
        self.parts = []
        start = 0
        for subspaces, width in runs(dim, count):
            quantizer = faiss.ProductQuantizer(subspaces * width, subspaces, bits)
            self.parts.append((slice(start, start + subspaces * width), quantizer))
            start += subspaces * width

    def train(self, rows, iterations=25, goes_on=False):
        """goes_on: starts from the present centroids."""
        for part, quantizer in self.parts:
            quantizer.cp.niter = iterations
            if goes_on:
                quantizer.train_type = faiss.ProductQuantizer.Train_hot_start
            quantizer.train(np.ascontiguousarray(rows[:, part]))

    def encode(self, rows):
        """uint8 [n][code bytes] of rows, float32 [n][dim]."""
        return np.hstack([q.compute_codes(np.ascontiguousarray(rows[:, part])) for part, q in self.parts])

    def decode(self, codes):
        sizes = np.cumsum([q.code_size for _, q in self.parts])[:-1]
        pieces = np.split(codes, sizes, axis=1)
        return np.hstack([q.decode(np.ascontiguousarray(c)) for (_, q), c in zip(self.parts, pieces)])


def allocated_directions(rows, count):
    """float32 [dim][dim]: principal directions of rows (mean zero) as rows, allocated to count subspaces.

    Eigenvalue allocation (Ge, He, Ke, Sun, PAMI 2014): the largest remaining variance goes to the subspace with room that
    has the smallest product of variances.
    """
    variances, directions = np.linalg.eigh(np.cov(rows.T.astype(np.float64)))
    logs = np.log(np.maximum(variances, variances[-1] * 1e-9))
    logs -= logs.min()  # above zero, so that a subspace with more directions has the larger product
    room = [width for n, width in runs(rows.shape[1], count) for _ in range(n)]
    allocated, sums = [[] for _ in room], np.zeros(len(room))
    for direction in range(len(logs) - 1, -1, -1):
        has_room = [len(d) < r for d, r in zip(allocated, room)]
        at = int(np.argmin(np.where(has_room, sums, np.inf)))
        allocated[at].append(direction)
        sums[at] += logs[direction]
    order = [direction for subspace in allocated for direction in subspace]
    return np.ascontiguousarray(directions[:, order].T, dtype=np.float32)


class Rotated:
    """OPQ: subspaces of a rotated space. start is `identity` or `eigenvalues`.

    Training alternates (non-parametric OPQ of the same paper): a few rounds of k-means from the present centroids, then the
    rotation that brings the rows nearest to their decoded rows (orthogonal Procrustes).
    """
    TURNS = 10

    def __init__(self, dim, count, bits, start):
        self.dim, self.count, self.start = dim, count, start
        self.subspaces = Subspaces(dim, count, bits)

    def train(self, rows):
        self.mean = rows.mean(axis=0)
        rows = rows - self.mean
        is_identity = self.start == 'identity'
        self.rotation = np.eye(self.dim, dtype=np.float32) if is_identity else allocated_directions(rows, self.count)
        self.subspaces.train(rows @ self.rotation.T, iterations=8)
        for _ in range(self.TURNS):
            decoded = self.subspaces.decode(self.subspaces.encode(rows @ self.rotation.T))
            left, _, right = np.linalg.svd(decoded.T @ rows)
            self.rotation = np.ascontiguousarray(left @ right, dtype=np.float32)
            self.subspaces.train(rows @ self.rotation.T, iterations=3, goes_on=True)
        self.subspaces.train(rows @ self.rotation.T, iterations=12, goes_on=True)

    def encode(self, rows):
        return self.subspaces.encode((rows - self.mean) @ self.rotation.T)

    def decode(self, codes):
        return self.subspaces.decode(codes) @ self.rotation + self.mean
