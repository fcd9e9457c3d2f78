"""Compares the cost of a call from Mojo and from C: omen_store_get of one vector of 128 floats, in one process.

C and Mojo with the library linked take turns over blocks of random ids on one store, so that neither has colder caches than
the other. Mojo with the library loaded runs by itself afterwards. A figure is the median over the blocks. Build with bench.c;
argv has an empty directory and libomen.so.
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
    """The time of one call in the median block."""
    sort(blocks)
    return Float64(blocks[ROUNDS // 2]) / BLOCK


def filled[L: omen.Library](var library: L, path: String) raises -> omen.Store[L]:
    """A store of N vectors with the ids 0 to N - 1."""
    var store = omen.Store(library^, path, DIM)
    var vectors = List[Float32](length=N * DIM, fill=0)
    for i in range(len(vectors)):
        vectors[i] = Float32(i % 1009)
    _ = store.insert(vectors)
    return store^


def gets[L: omen.Library](store: omen.Store[L], ids: Span[UInt64, _], back: Span[mut=True, Float32, _]) raises -> Int:
    """Nanoseconds of one get for each of the ids."""
    var begin = perf_counter_ns()
    for i in range(len(ids)):
        store.get(ids[i : i + 1], back)
    return Int(perf_counter_ns() - begin)


def main() raises:
    seed(1)
    var room = String(argv()[1])
    var linked = filled(omen.Linked(), room + "/linked")
    var loaded = filled(omen.Loaded(String(argv()[2])), room + "/loaded")
    var ids = List[UInt64](length=BLOCK, fill=0)
    for i in range(BLOCK):
        ids[i] = random_ui64(0, N - 1)
    var back = List[Float32](length=DIM, fill=0)
    var blocks_c = List[Int]()
    var blocks_linked = List[Int]()
    var blocks_loaded = List[Int]()
    for _ in range(ROUNDS):
        var begin = perf_counter_ns()
        var failed = external_call["bench_gets", UInt64](linked._handle, ids.unsafe_ptr(), BLOCK, back.unsafe_ptr())
        blocks_c.append(Int(perf_counter_ns() - begin))
        if failed > 0:
            raise Error(failed, " gets failed")
        blocks_linked.append(gets(linked, ids, back))
    for _ in range(ROUNDS):
        blocks_loaded.append(gets(loaded, ids, back))
    var c = nanoseconds(blocks_c^)
    var mojo = nanoseconds(blocks_linked^)
    print("C", c, "ns, Mojo linked", mojo, "ns, Mojo loaded", nanoseconds(blocks_loaded^), "ns")
    print("Mojo / C", mojo / c)
