"""A large seeded data set like real ones: a mixture of many uneven clusters, each with its own shape.

Centres, shapes and noise all have a falling spectrum in one common basis, as descriptors do. Clusters have log-normal sizes
and widths and overlap: a query's neighbours lie in several of them. It was tuned to resemble sift100k. Figures at 100,000
vectors, those of sift100k in brackets: intrinsic dimension by the distances of 100 neighbours 18.8 (18.9); recall@10 of
PQ 64x4 0.72 (0.69); of IVF 1024 with exact rows at 4, 16 and 64 lists 0.56, 0.82, 0.98 (0.62, 0.87, 0.98).
"""
import numpy as np

DIM = 128
QUERIES = 1000
SEED = 1
CLUSTERS = 4096
RANK = 24


def falling(count, power):
    """Standard deviations 1, 2^-power, 3^-power ..., scaled to a sum of squares of one."""
    deviations = np.arange(1, count + 1) ** -power
    return deviations / np.sqrt(np.sum(deviations ** 2))


def mixture(n):
    """float32 [n][DIM], in random order."""
    random = np.random.default_rng(SEED)
    basis = np.linalg.qr(random.standard_normal((DIM, DIM)))[0]
    spectrum = falling(DIM, 0.7)[:, None] * basis
    centres = random.standard_normal((CLUSTERS, DIM)) @ spectrum
    shares = random.lognormal(0, 1, CLUSTERS)
    widths = 0.8 * random.lognormal(0, 0.3, CLUSTERS)
    of = random.choice(CLUSTERS, n, p=shares / shares.sum())
    order = np.argsort(of, kind='stable')
    ends = np.searchsorted(of[order], np.arange(CLUSTERS + 1))
    rows = np.empty((n, DIM), dtype=np.float32)
    for cluster in range(CLUSTERS):
        members = order[ends[cluster]:ends[cluster + 1]]
        shape = random.standard_normal((RANK, DIM)) @ spectrum
        shape *= (falling(RANK, 0.5) / np.linalg.norm(shape, axis=1))[:, None]
        spread = random.standard_normal((len(members), RANK)) @ shape
        noise = 0.3 * random.standard_normal((len(members), DIM)) @ spectrum
        rows[members] = centres[cluster] + widths[cluster] * (spread + noise)
    return rows


def made(folder, n):
    """The folder of the data set, n vectors and QUERIES queries of the same mixture; made where it is missing."""
    if not (folder / 'README').exists():
        folder.mkdir(parents=True, exist_ok=True)
        rows = mixture(n + QUERIES)
        # Half precision is finer than any codec here and halves the file.
        np.save(folder / 'query.npy', rows[n:].astype(np.float16))
        np.save(folder / 'base.npy', rows[:n].astype(np.float16))
        (folder / 'README').write_text(f'{n} synthetic vectors, made by benches/search/synthetic.py. Metric l2.\n')
    return folder
