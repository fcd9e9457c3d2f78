"""Libomen in one page: open, insert, commit, get, search, compress, reopen, verify, delete. It prints examples/expected.txt.

mojo run -I bindings/mojo -Xlinker -L$PWD/target/release -Xlinker -lomen examples/mojo/quickstart.mojo /tmp/quickstart.omen
"""
from std.sys import argv

import omen

comptime DIM = 8
comptime N = 10000
comptime K = 3


def main() raises:
    var path = String(argv()[1]) if len(argv()) > 1 else "quickstart.omen"
    var vectors = List[Float32](capacity=N * DIM)
    for i in range(N):
        for j in range(DIM):
            vectors.append(Float32((i + 1) * (i + j * j * 997) % 10007 % 100))

    var store = omen.open(path, DIM)
    var first = store.insert(vectors)  # ids first, first + 1, ...
    store.commit()  # survives a crash from here on
    print(N, "vectors of", DIM, "floats, ids", first, "to", first + N - 1)

    var ids: List[UInt64] = [first + 42]
    var vector = List[Float32](length=DIM, fill=0)
    store.get(ids, vector)
    var text = String("vector ", ids[0], ":")
    for component in vector:
        text += String(" ", Int(component))
    print(text)
    var near = List[UInt64](length=K, fill=0)
    var distances = List[Float32](length=K, fill=0)
    store.search(vector, K, near, distances)
    print("nearest:", nearest(near, distances))

    var options = store.compress_options()
    options.ratio = 4  # a quarter of the bytes, all files counted
    var report = store.compress(options)
    print(
        N * DIM * 4, " bytes as floats, ", report.bytes_after, " compressed, relative error ",
        fixed(report.relative_mse), sep="",
    )
    store.close()  # commits too

    var again = omen.open(path)
    print("reopened and verified:", again.verify().vectors, "vectors")
    again.search(vector, K, near, distances)  # searches the codes
    print("nearest:", nearest(near, distances))

    var deleted = again.delete(ids)
    try:
        again.get(ids, vector)
    except error:  # as expected: nothing is written to vector
        print("deleted ", deleted, ", and get says ", String(error).split(":")[0], sep="")
    again.close()


def nearest(ids: List[UInt64], distances: List[Float32]) -> String:
    var text = String()
    for i in range(K):
        text += String(" " if i > 0 else "", ids[i], " at ", Int(round(distances[i])))
    return text


def fixed(value: Float64) -> String:
    """Six digits after the point, of a value below 1."""
    return "0." + String(Int(round(value * 1e6)) + 1_000_000)[byte=1:]
