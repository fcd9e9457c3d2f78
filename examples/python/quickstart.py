"""libomen in one page: open, insert, compress, get, search, delete.

pip install ./bindings/python && python examples/python/quickstart.py /tmp/quickstart.omen
"""
import sys

import numpy as np

import omen

DIM, N, K = 64, 20000, 3

i, j = np.arange(N)[:, None], np.arange(DIM)
vectors = ((i % 97) * (j + 1) % 31 + (i * 7 + j * 13) % 5).astype(np.float32)

with omen.open(sys.argv[1] if len(sys.argv) > 1 else "quickstart.omen", dim=DIM) as store:
    ids = store.insert(vectors)  # 0, 1, 2, ...; or store.insert(vectors, ids)
    store.commit()  # survives a crash from here on

    report = store.compress(ratio=8)  # an eighth of the bytes, all files counted
    print(f"{report.ratio:.1f} times smaller, relative error {report.relative_mse:.4f}")

    vector = store.get(ids[7:8])
    print(f"inserted {vectors[7, 0]:g}, reads {vector[0, 0]:g}")
    near, distances = store.search(vector, K)
    print(f"nearest: {'itself' if near[0, 0] == ids[7] else 'another'}")

    store.delete(ids[7:8])
    try:
        store.get(ids[7:8])
    except omen.NotFound as error:  # as expected; also a KeyError
        print(error.name)
