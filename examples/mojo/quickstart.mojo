"""Libomen in one page: open, insert, compress, get, search, delete.

mojo run -I bindings/mojo -Xlinker -L$PWD/target/release -Xlinker -lomen examples/mojo/quickstart.mojo /tmp/quickstart.omen
"""
from std.sys import argv

import omen

comptime DIM = 64
comptime N = 20000
comptime K = 3


def main() raises:
    var vectors = List[Float32](capacity=N * DIM)
    for i in range(N):
        for j in range(DIM):
            vectors.append(Float32((i % 97) * (j + 1) % 31 + (i * 7 + j * 13) % 5))

    var store = omen.open(String(argv()[1]) if len(argv()) > 1 else "quickstart.omen", DIM)
    var first = store.insert(vectors)  # ids first, first + 1, ...
    store.commit()  # survives a crash from here on

    var options = store.compress_options()
    options.ratio = 8  # an eighth of the bytes, all files counted
    var report = store.compress(options)
    print(round(report.ratio, 1), "times smaller, relative error", round(report.relative_mse, 4))

    var ids: List[UInt64] = [first + 7]
    var vector = List[Float32](length=DIM, fill=0)
    store.get(ids, vector)
    print("inserted ", Int(vectors[7 * DIM]), ", reads ", round(Float64(vector[0]), 4), sep="")
    var near = List[UInt64](length=K, fill=0)
    var distances = List[Float32](length=K, fill=0)
    store.search(vector, K, near, distances)
    print("nearest:", "itself" if near[0] == ids[0] else "another")

    _ = store.delete(ids)
    try:
        store.get(ids, vector)
    except error:  # as expected: nothing is written to vector
        print(String(error).split(":")[0])
    store.close()  # commits what was not
