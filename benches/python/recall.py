"""The definition of recall. It is not in data.py, so that a process that only searches does not load FAISS."""
import numpy as np

K = 10


def recall(found, wanted):
    """The share of the ids `wanted`, [nq][K], that is in `found`."""
    return float(np.mean([len(np.intersect1d(a, b)) / wanted.shape[1] for a, b in zip(found, wanted)]))
