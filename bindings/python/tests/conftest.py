"""Shared by the tests: real vectors, and a store of some of them."""
from pathlib import Path

import numpy as np
import pytest

import omen

SIFT = Path(__file__).resolve().parents[3] / "tests" / "data" / "sift10k"


def vecs(name, dtype):
    """[n, dim] from a .bvecs or .ivecs file, whose rows are an int32 dim and dim values."""
    data = (SIFT / name).read_bytes()
    row = 4 + int.from_bytes(data[:4], "little") * np.dtype(dtype).itemsize
    return np.frombuffer(data, np.uint8).reshape(-1, row)[:, 4:].copy().view(dtype)


@pytest.fixture(scope="session")
def base():
    """float32[10000, 128]"""
    return vecs("base.bvecs", np.uint8).astype(np.float32)


@pytest.fixture(scope="session")
def queries():
    """float32[200, 128]"""
    return vecs("query.bvecs", np.uint8).astype(np.float32)


@pytest.fixture(scope="session")
def truth():
    """int32[200, 100]: the nearest of `base`, by squared distance"""
    return vecs("gt.ivecs", np.int32)


@pytest.fixture
def store(tmp_path):
    """An empty store of 128 dims."""
    with omen.open(tmp_path / "store", dim=128) as opened:
        yield opened


@pytest.fixture
def filled(store, base):
    """A store of 2,000 vectors with the ids 0 to 1,999."""
    store.insert(base[:2000])
    return store
