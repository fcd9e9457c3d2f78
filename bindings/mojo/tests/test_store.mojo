"""Every function of libomen from Mojo, once linked and once loaded from the file that argv names.

    mojo run -I bindings/mojo -Xlinker -L... -Xlinker -lomen test_store.mojo ROOM LIBOMEN.SO
"""
from std.memory import OpaquePointer, Pointer
from std.sys import argv
from std.testing import assert_almost_equal, assert_equal, assert_false, assert_raises, assert_true

import omen
from omen import Library, Linked, Loaded, Store

comptime DIM = 8
comptime N = 4000


def rows() -> List[Float32]:
    """N different vectors."""
    var made = List[Float32](length=N * DIM, fill=0)
    for i in range(len(made)):
        made[i] = Float32((i * 7919) % 1009)
    return made^


def count_calls(user: OpaquePointer[MutUntrackedOrigin], done: UInt64, total: UInt64) abi("C") -> Int32:
    user.unsafe_bitcast[Int64]()[] += 1
    return 0


def stop_at_third(user: OpaquePointer[MutUntrackedOrigin], done: UInt64, total: UInt64) abi("C") -> Int32:
    var calls = user.unsafe_bitcast[Int64]()
    calls[] += 1
    return 1 if calls[] == 3 else 0


def writes_and_reads[L: Library](store: Store[L]) raises:
    var given = rows()
    assert_equal(store.insert(given), 0)
    assert_equal(len(store), N)
    var ids: List[UInt64] = [3, 0, 3]
    var back = List[Float32](length=3 * DIM, fill=-1)
    store.get(ids, back)
    for j in range(DIM):
        assert_equal(back[j], given[3 * DIM + j])
        assert_equal(back[DIM + j], given[j])
        assert_equal(back[2 * DIM + j], given[3 * DIM + j])
    store.insert([UInt64(9000)], Span(given)[0:DIM])
    store.upsert([UInt64(9000)], Span(given)[DIM : 2 * DIM])
    var found = List[UInt8](length=3, fill=7)
    store.get([UInt64(9000), 9001, 0], back, found)
    assert_equal(found[0], 1)
    assert_equal(found[1], 0)
    assert_equal(back[0], given[DIM])
    assert_equal(back[DIM], 0)
    store.contains([UInt64(1), 9001, 9000], found)
    assert_equal(found[0] + 2 * found[1] + 4 * found[2], 5)
    assert_equal(store.delete([UInt64(9000), 9001]), 1)
    store.commit()


def takes_simd_and_slices[L: Library](store: Store[L]) raises:
    var vector = SIMD[DType.float32, DIM](1, 2, 3, 4, 5, 6, 7, 8)
    var floats = Span(unsafe_ptr=Pointer(to=vector).unsafe_bitcast[Float32](), length=DIM)
    store.insert([UInt64(7777)], floats)
    var back = Array[Float32, DIM](fill=0)
    store.get([UInt64(7777)], back)
    assert_equal(back[7], 8)
    var near = List[UInt64](length=2, fill=0)
    var distances = List[Float32](length=2, fill=0)
    store.search(floats, 2, near, distances)
    assert_equal(near[0], 7777)
    assert_equal(distances[0], 0)
    var options = store.search_options()
    var allowed: List[UInt64] = [5]
    options.exact = 1
    store.search(floats, 2, near, distances, options.copy(), allowed)
    assert_equal(near[0], 5)
    assert_equal(near[1], omen.OMEN_NO_ID)
    store.search(floats, 2, near, distances, options.copy(), List[UInt64]())
    assert_equal(near[0], omen.OMEN_NO_ID)
    store.search(floats, 2, near, distances, options.copy(), deny_ids=[UInt64(7777)])
    assert_true(near[0] != 7777)
    options.max_distance = 0
    store.search(floats, 2, near, distances, options^)
    assert_equal(near[0], 7777)
    assert_equal(near[1], omen.OMEN_NO_ID)
    assert_equal(store.delete([UInt64(7777)]), 1)


def scans[L: Library](store: Store[L]) raises:
    var given = rows()
    var ids = List[UInt64](length=999, fill=0)
    var vectors = List[Float32](length=999 * DIM, fill=0)
    var position = UInt64(0)
    var seen = 0
    while True:
        var n = store.scan(position, ids, vectors)
        if n == 0:
            break
        for i in range(n):
            assert_equal(ids[i], UInt64(seen + i))
            assert_equal(vectors[i * DIM], given[(seen + i) * DIM])
        seen += n
    assert_equal(seen, N)
    position = 10
    assert_equal(store.scan(position, ids), 999)
    assert_equal(ids[0], 10)


def compresses[L: Library](store: Store[L]) raises:
    var options = store.compress_options()
    assert_equal(options.ratio, 0)
    options.ratio = 4
    var calls = Int64(0)
    with assert_raises(contains="OMEN_CANCELLED: "):
        _ = store.compress(options.copy(), stop_at_third, calls)
    assert_equal(calls, 3)
    assert_equal(store.stats().raw_vectors, N)
    calls = 0
    var report = store.compress(options.copy(), count_calls, calls)
    assert_true(calls > 3 and report.ratio >= 4 and report.vectors == N)
    var stats = store.stats()
    assert_equal(stats.compressed_vectors, N)
    assert_equal(stats.dim, DIM)
    assert_equal(stats.relative_mse, report.relative_mse)
    assert_equal(store.compress(options).vectors, N)
    assert_equal(store.verify().vectors, N)
    assert_equal(store.delete([UInt64(0)]), 1)


def verifies_and_compacts[L: Library](store: Store[L]) raises:
    var options = store.work_options()
    options.threads = 1
    var calls = Int64(0)
    assert_equal(store.verify(options.copy(), count_calls, calls).vectors, N - 1)
    assert_true(calls > 0)
    calls = 2
    with assert_raises(contains="OMEN_CANCELLED: "):
        _ = store.verify(options.copy(), stop_at_third, calls)
    calls = 2
    with assert_raises(contains="OMEN_CANCELLED: "):
        store.compact(options.copy(), stop_at_third, calls)
    assert_equal(calls, 3)
    assert_equal(store.stats().deleted, 1)
    calls = 0
    store.compact(options.copy(), count_calls, calls)
    assert_true(calls > 0)
    assert_equal(store.stats().deleted, 0)
    assert_equal(store.verify(options).vectors, N - 1)
    store.compact()


def refuses[L: Library](store: Store[L]) raises:
    var one = List[Float32](length=DIM, fill=0)
    with assert_raises(contains="OMEN_NOT_FOUND: id 12345 "):
        store.get([UInt64(12345)], one)
    with assert_raises(contains="OMEN_INVALID_ARGUMENT: vectors: length 7, expected a multiple of 8 (dim)"):
        _ = store.insert(Span(one)[0:7])
    with assert_raises(contains="OMEN_INVALID_ARGUMENT: vectors: length 8, expected 16 (2 x dim 8)"):
        store.get([UInt64(1), 2], one)
    var near = List[UInt64](length=1, fill=0)
    var distances = List[Float32](length=2, fill=0)
    with assert_raises(contains="OMEN_INVALID_ARGUMENT: ids: length 1, expected 2"):
        store.search(one, 2, near, distances)
    with assert_raises(contains="OMEN_INVALID_ARGUMENT: queries: length 7, expected a multiple of 8 (dim)"):
        store.search(Span(one)[0:7], 2, near, distances)
    one[3] = Float32(0) / Float32(0)
    with assert_raises(contains="OMEN_NOT_FINITE: "):
        _ = store.insert(one)
    one[3] = 0
    with assert_raises(contains="OMEN_DUPLICATE_ID: "):
        store.insert([UInt64(1)], one)
    with assert_raises(contains="OMEN_UNSUPPORTED: "):
        store.backup("elsewhere")
    with assert_raises(contains="OMEN_UNSUPPORTED: "):
        store.refresh()
    _ = store.insert(List[Float32]())


def closed_is_closed[L: Library](store: Store[L]) raises:
    store.close()
    var one = List[Float32](length=DIM, fill=0)
    with assert_raises(contains="OMEN_INVALID_HANDLE: the store is closed"):
        store.get([UInt64(1)], one)
    with assert_raises(contains="OMEN_INVALID_HANDLE: the store is closed"):
        _ = store.insert(one)
    with assert_raises(contains="OMEN_INVALID_HANDLE: the store is closed"):
        store.close()


def whole_life[L: Library](var store: Store[L]) raises:
    writes_and_reads(store)
    takes_simd_and_slices(store)
    scans(store)
    compresses(store)
    verifies_and_compacts(store)
    refuses(store)
    closed_is_closed(store)


def opens_as_the_options_say(path: String) raises:
    with assert_raises(contains="OMEN_DIM_MISMATCH: dim: the store has 8, the call asks for 9"):
        _ = omen.open(path, DIM + 1)
    with assert_raises(contains="there is no store to open, and no dim is given"):
        _ = omen.open(path + "-new")
    var options = omen.store_options()
    options.mode = omen.OMEN_READ_ONLY
    var reader = omen.open(path, 0, options.copy())
    assert_equal(reader.dim, DIM)
    assert_equal(len(reader), N - 1)
    with assert_raises(contains="OMEN_IS_READ_ONLY: "):
        reader.commit()
    options.metric = omen.OMEN_COSINE
    with assert_raises(contains="OMEN_METRIC_MISMATCH: metric: the store has l2, the call asks for cosine"):
        _ = omen.open(path, 0, options.copy())
    var writer = omen.open(path)
    with assert_raises(contains="OMEN_LOCKED: "):
        _ = omen.open(path)
    assert_equal(len(writer), N - 1)


def the_end_of_its_life_closes_a_store(path: String) raises:
    var vector: List[Float32] = [1, 2]
    _ = omen.open(path, 2).insert(vector)
    assert_equal(len(omen.open(path)), 1)


def main() raises:
    var room = String(argv()[1])
    whole_life(omen.open(room + "/linked", DIM))
    whole_life(Store(Loaded(String(argv()[2])), room + "/loaded", DIM))
    opens_as_the_options_say(room + "/linked")
    the_end_of_its_life_closes_a_store(room + "/small")
    with assert_raises(contains="it has no omen_version"):
        _ = Loaded("libc.so.6")
    print("every function, linked and loaded:", omen.version())
