"""The life of a store from Python, on real vectors."""
import dataclasses

import numpy as np
import pytest

import omen


def test_ten_thousand_vectors_come_back_bit_for_bit(tmp_path, base, queries, truth):
    with omen.open(tmp_path / "store", dim=128) as store:
        ids = np.concatenate([store.insert(base[at : at + 1000]) for at in range(0, 10000, 1000)])
        assert ids.dtype == np.uint64 and (ids == np.arange(10000)).all()
    with omen.open(tmp_path / "store", mode="read_only") as store:
        assert len(store) == 10000 and store.dim == 128
        backwards = ids[::-1]
        assert store.get(backwards).tobytes() == base[::-1].tobytes()
        chunks = list(store.scan(chunk=3000))
        assert [len(part) for part, _ in chunks] == [3000, 3000, 3000, 1000]
        assert (np.concatenate([part for part, _ in chunks]) == ids).all()
        assert np.concatenate([rows for _, rows in chunks]).tobytes() == base.tobytes()
        near, distances = store.search(queries, 10, exact=True)
        assert near.shape == distances.shape == (200, 10)
        measured = ((queries[:, None] - base[truth[:, :10]]) ** 2).sum(2)
        np.testing.assert_allclose(distances, measured, rtol=1e-5)


def test_compressed_is_a_sixteenth_and_finds_what_it_should(tmp_path, base, queries, truth):
    with omen.open(tmp_path / "store", dim=128) as store:
        store.insert(base)
        report = store.compress(16, quality="fast", sample=4000)
        assert report.vectors == 10000 and report.ratio >= 16 and report.codec == "windows"
        assert report.bytes_after >= sum(file.stat().st_size for file in (tmp_path / "store").iterdir())
        stats = store.stats()
        assert stats.compressed_vectors == 10000 and stats.metric == "l2"
        assert stats.relative_mse == report.relative_mse
        decoded = store.get(np.arange(10000))
        assert ((decoded - base) ** 2).sum() / (base**2).sum() == pytest.approx(report.relative_mse, rel=1e-3)
        near, _ = store.search(queries, 10)
        recall = np.mean([len(set(found) & set(wanted)) / 10 for found, wanted in zip(near, truth[:, :10])])
        assert recall > 0.7
        assert store.verify().vectors == 10000
        assert store.delete(np.arange(0, 10000, 2)) == 5000
        store.compact()
        assert len(store) == 5000 and store.stats().deleted == 0


def test_ids_of_the_caller(store, base):
    ids = np.array([7, 2**64 - 2, 0], np.uint64)
    assert store.insert(base[:3], ids) is ids
    assert store.contains(np.array([0, 1, 7, 2**63], np.uint64)).tolist() == [True, False, True, False]
    assert 7 in store and 1 not in store
    store.upsert(base[3:5], [7, 8])
    assert (store.get([7, 8, 0]) == base[[3, 4, 2]]).all()
    assert store.delete([7, 7, 99]) == 1
    assert len(store) == 3
    assert [ids.tolist() for ids, _ in store.scan(start=1)] == [[8, 2**64 - 2]]


def test_out_and_found_are_filled(filled, base):
    out, found = np.full((3, 128), -1, np.float32), np.zeros(3, np.bool_)
    assert filled.get([5, 5000, 6], out, found) is out
    assert found.tolist() == [True, False, True]
    assert (out == [base[5], np.zeros(128), base[6]]).all()
    out[:] = -1
    with pytest.raises(omen.NotFound, match="5000"):
        filled.get([5, 5000, 6], out)
    assert (out == -1).all()


def test_nothing_at_all_is_no_error(store):
    nothing = np.empty((0, 128), np.float32)
    assert store.insert(nothing).shape == (0,)
    assert store.insert(nothing, []).shape == (0,)
    store.upsert(nothing, [])
    assert store.delete([]) == 0 and len(store) == 0
    assert store.get([]).shape == (0, 128) and store.contains([]).shape == (0,)
    assert store.search(nothing, 3)[0].shape == (0, 3)
    assert list(store.scan()) == []


def test_metric_mode_and_sync(tmp_path, base):
    path = tmp_path / "store"
    with pytest.raises(omen.NotAStore):
        omen.open(path, mode="read_write")
    with omen.open(path, 128, metric="cosine", mode="create_new", sync="each", threads=1) as store:
        store.insert(base[:10])
        _, distances = store.search(2 * base[:1], 1)
        assert distances[0, 0] == pytest.approx(0, abs=1e-6)
    with omen.open(str(path), mode="read_only") as store:
        assert store.stats().metric == "cosine"
        with pytest.raises(PermissionError):
            store.insert(base[:1])
    with pytest.raises(omen.MetricMismatch, match="metric: the store has cosine, the call asks for l2"):
        omen.open(path, metric="l2")
    with pytest.raises(omen.DimMismatch, match="dim: the store has 128, the call asks for 64"):
        omen.open(path, dim=64)
    with omen.open(bytes(path)) as store, pytest.raises(omen.Locked):
        omen.open(path)
    with pytest.raises(omen.InvalidArgument, match="expected one of l2, inner_product, cosine"):
        omen.open(path, metric="euclid")


def test_ip_is_another_name_of_inner_product(tmp_path, base):
    with omen.open(tmp_path / "store", 128, metric="ip") as store:
        store.insert(base[:10])
        assert store.stats().metric == "inner_product"
    with omen.open(tmp_path / "store", metric="inner_product") as store:
        assert len(store) == 10


def test_a_store_tells_what_it_is(tmp_path, base, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with omen.open("store", 128, metric="ip") as store:
        assert (store.path, store.metric, store.mode) == (tmp_path / "store", "inner_product", "read_write_create")
        store.insert(base[:10])
        about = "dim=128 metric=inner_product"
        assert repr(store) == f"<omen.Store '{tmp_path}/store' vectors=10 {about} mode=read_write_create>"
        assert not store.closed
    monkeypatch.chdir("/")
    assert store.closed and store.path == tmp_path / "store" and store.metric == "inner_product"
    assert repr(store) == f"<omen.Store '{tmp_path}/store' closed {about} mode=read_write_create>"
    with omen.open(bytes(tmp_path / "store"), mode="read_only") as store:
        assert (store.path, store.metric, store.mode) == (tmp_path / "store", "inner_product", "read_only")
        with pytest.raises(AttributeError):
            store.path = "other"


def test_a_path_without_a_store_says_so(tmp_path):
    with pytest.raises(omen.InvalidArgument, match="there is no store to open, and no dim is given"):
        omen.open(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_closed_is_closed(tmp_path, base):
    store = omen.open(tmp_path / "store", dim=128)
    store.insert(base[:10])
    chunks = store.scan()
    store.close()
    store.close()
    calls = [
        lambda: len(store), lambda: store.insert(base[:1]), lambda: store.upsert(base[:1], [1]),
        lambda: store.delete([1]), store.commit, lambda: store.get([1]), lambda: store.contains([1]),
        lambda: next(chunks), lambda: store.search(base[:1], 1), store.compress, store.compact, store.stats,
        store.verify,
    ]
    for call in calls:
        with pytest.raises(omen.InvalidHandle, match="the store is closed") as caught:
            call()
        assert isinstance(caught.value, ValueError)


def test_a_forgotten_store_is_closed(tmp_path, base):
    store = omen.open(tmp_path / "store", dim=128)
    store.insert(base[:10])
    del store
    with omen.open(tmp_path / "store") as store:
        assert len(store) == 10


def test_an_exception_inside_with_closes(tmp_path, base):
    with pytest.raises(ZeroDivisionError), omen.open(tmp_path / "store", dim=128) as store:
        store.insert(base[:10])
        1 / 0
    with omen.open(tmp_path / "store") as store:
        assert len(store) == 10


def test_damage_names_the_file(tmp_path, base):
    path = tmp_path / "store"
    with omen.open(path, dim=128) as store:
        store.insert(base[:2000])
        store.compact()
    largest = max(path.iterdir(), key=lambda file: file.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    with pytest.raises(omen.Corrupt, match=largest.name), omen.open(path) as store:
        store.verify()


def test_reports_are_dataclasses(filled):
    stats = filled.stats()
    assert dataclasses.asdict(stats)["raw_bytes"] == 2000 * 128 * 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.vectors = 1
