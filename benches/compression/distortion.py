"""The error of decoded vectors, and its lower bound by Shannon."""
import numpy as np


def relative_mse(rows, decoded):
    """Sum of |x - decoded x| squared over sum of |x| squared."""
    lost = np.sum((rows - decoded) ** 2, dtype=np.float64)
    return float(lost / np.sum(rows ** 2, dtype=np.float64))


class Shannon:
    """The lowest relative MSE of any code of these rows, if rows were Gaussian with their covariance.

    Reverse water-filling (Cover and Thomas, Elements of Information Theory, section 10.3.3): with water level t a
    component of variance v costs max(0, log2(v / t) / 2) bits and keeps an error of min(v, t). The mean and the directions
    of the components cost nothing. Data that is not Gaussian may lie below this bound.
    """

    def __init__(self, rows):
        self.energy = np.mean(np.sum(rows ** 2, axis=1, dtype=np.float64))
        variances = np.linalg.eigvalsh(np.cov(rows.T.astype(np.float64)))[::-1]
        self.variances = np.maximum(variances, variances[0] * 1e-12)

    def bound(self, bytes_a_vector):
        """The lowest relative MSE of a code of `bytes_a_vector` bytes."""
        wet = np.arange(1, len(self.variances) + 1)
        levels = 2 ** ((np.cumsum(np.log2(self.variances)) - 16 * bytes_a_vector) / wet)
        # The level of the components in use is the one that leaves the last of them above water.
        level = levels[np.flatnonzero(levels <= self.variances)[-1]]
        return float(np.minimum(self.variances, level).sum() / self.energy)
