"""libomen in one page: open, insert, commit, get, search, compress, reopen, verify, delete. It prints examples/expected.txt.

pip install ./bindings/python && python examples/python/quickstart.py /tmp/quickstart.omen
"""
import sys

import numpy as np

import omen

DIM, N, K = 8, 10000, 3

path = sys.argv[1] if len(sys.argv) > 1 else "quickstart.omen"
i, j = np.arange(N)[:, None], np.arange(DIM)
vectors = ((i + 1) * (i + j * j * 997) % 10007 % 100).astype(np.float32)


def print_nearest(store: omen.Store, query: np.ndarray) -> None:
    ids, distances = store.search(query, K)
    print("nearest:", *(f"{id} at {distance:.0f}" for id, distance in zip(ids, distances)))


with omen.open(path, dim=DIM) as store:
    ids = store.insert(vectors)  # 0, 1, 2, ...; or store.insert(vectors, ids)
    store.commit()  # survives a crash from here on
    print(f"{N} vectors of {DIM} floats, ids {ids[0]} to {ids[-1]}")

    id = ids[42]
    vector = store.get(id)
    print(f"vector {id}:", *(f"{component:g}" for component in vector))
    print_nearest(store, vector)

    report = store.compress(ratio=4)  # a quarter of the bytes, all files counted
    print(f"{vectors.nbytes} bytes as floats, {report.bytes_after} compressed, relative error {report.relative_mse:.6f}")

with omen.open(path) as store:
    print(f"reopened and verified: {store.verify().vectors} vectors")
    print_nearest(store, vector)  # searches the codes

    deleted = store.delete(id)
    try:
        store.get(id)
    except omen.NotFound as error:  # as expected; also a KeyError
        print(f"deleted {deleted}, and get says {error.name}")
