"""What counts as found. Apart from data.py, so that a process that only searches need not load what that loads."""
import numpy as np

K = 10


def recall(found, wanted):
    """The part of wanted, [nq][K] ids, that is in found."""
    return float(np.mean([len(np.intersect1d(a, b)) / wanted.shape[1] for a, b in zip(found, wanted)]))
