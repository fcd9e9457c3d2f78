"""What a call costs from Mojo beside C: omen_store_get of one vector of 128 floats, in one process, on one store.

The two take turns over blocks of random ids; a figure is the median of the blocks, and the last line Mojo's over C's.
Built with bench.c; argv[1] is an empty directory.
"""
from std.ffi import external_call
from std.random import random_ui64, seed
from std.sys import argv
from std.time import perf_counter_ns

import omen

comptime DIM = 128
comptime N = 50_000
comptime BLOCK = 20_000
comptime ROUNDS = 101


def nanoseconds(var blocks: List[Int]) -> Float64:
    """The median block, for one call."""
    sort(blocks)
    return Float64(blocks[ROUNDS // 2]) / BLOCK


def main() raises:
    seed(1)
    var store = omen.open(String(argv()[1]) + "/bench", DIM)
    var vectors = List[Float32](length=N * DIM, fill=0)
    for i in range(len(vectors)):
        vectors[i] = Float32(i % 1009)
    _ = store.insert(vectors)
    var ids = List[UInt64](length=BLOCK, fill=0)
    for i in range(BLOCK):
        ids[i] = random_ui64(0, N - 1)
    var out = List[Float32](length=DIM, fill=0)
    var c = List[Int]()
    var mojo = List[Int]()
    for _ in range(ROUNDS):
        var begin = perf_counter_ns()
        var failed = external_call["bench_gets", UInt64](store._handle, ids.unsafe_ptr(), BLOCK, out.unsafe_ptr())
        var middle = perf_counter_ns()
        for i in range(BLOCK):
            store.get(Span(ids)[i : i + 1], out)
        var end = perf_counter_ns()
        if failed > 0:
            raise Error(failed, " gets failed")
        c.append(middle - begin)
        mojo.append(end - middle)
    var ratio = nanoseconds(mojo.copy()) / nanoseconds(c.copy())
    print("C", nanoseconds(c^), "ns, Mojo", nanoseconds(mojo^), "ns: Mojo / C", ratio)
