"""Arrays that are passed without a copy, outputs, and values that are refused. A refused call changes nothing."""
import numpy as np
import pytest

import omen
from omen import _ids, _vectors


def test_float32_in_c_order_is_not_copied(base):
    assert _vectors.vectors("vectors", base, 128) is base
    assert np.shares_memory(_vectors.vectors("vectors", base[100:200], 128), base)
    readonly = base[:5].view()
    readonly.flags.writeable = False
    assert _vectors.vectors("vectors", readonly, 128) is readonly
    for dtype in (np.uint64, np.int64):
        ids = np.arange(5, dtype=dtype)
        assert np.shares_memory(_ids.ids("ids", ids), ids)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_is_not_finite_is_refused_by_its_place(filled, base, bad, dtype):
    rows = base[:10].astype(dtype)
    rows[7, 31] = bad
    before = filled.stats()
    for call in (filled.insert, lambda rows: filled.upsert(rows, np.arange(10)), lambda rows: filled.search(rows, 1)):
        with pytest.raises(omen.NotFinite, match=r"7.*31"):
            call(rows)
    assert filled.stats() == before and (filled.get(np.arange(10)) == base[:10]).all()


def test_ids_twice_taken_and_reserved_are_refused(filled, base):
    with pytest.raises(omen.DuplicateId):
        filled.insert(base[:2], [5000, 5000])
    with pytest.raises(omen.DuplicateId):
        filled.insert(base[:2], [5000, 5])
    with pytest.raises(omen.InvalidArgument):
        filled.insert(base[:1], [omen.NO_ID])
    assert len(filled) == 2000


@pytest.mark.parametrize("out", [
    np.empty((2, 128)), np.empty((3, 128), np.float32), np.empty((128, 2), np.float32).T,
    np.empty((4, 128), np.float32)[::2], np.broadcast_to(np.float32(0), (2, 128)), [[0.0] * 128] * 2,
    np.empty((2, 128), ">f4"),
])
def test_outputs_that_would_need_a_copy_are_refused(filled, out):
    with pytest.raises(omen.InvalidArgument, match="^OMEN_INVALID_ARGUMENT: out: "):
        filled.get([0, 1], out)


def test_found_must_be_flags(filled):
    with pytest.raises(omen.InvalidArgument, match=r"found: float32 of shape \(2,\), expected an array of bool"):
        filled.get([0, 1], found=np.empty(2, np.float32))


def test_numbers_out_of_range(filled, base, tmp_path):
    with pytest.raises(omen.InvalidArgument, match="k: found -1"):
        filled.search(base[:1], -1)
    with pytest.raises(omen.InvalidArgument, match="chunk: found 0"):
        filled.scan(chunk=0)
    with pytest.raises(omen.InvalidArgument):
        filled.search(base[:1], 1, effort=2)
    with pytest.raises(omen.InvalidArgument):
        filled.compress(0.5)
    with pytest.raises(omen.InvalidArgument, match="quality: found 'worst', expected one of normal, fast, best"):
        filled.compress(quality="worst")
    with pytest.raises(omen.InvalidArgument, match="threads: found -1: "):
        filled.search(base[:1], 1, threads=-1)
    with pytest.raises(omen.InvalidArgument, match="path: NUL at byte 1"):
        omen.open("a\0b", dim=4)
    with pytest.raises(omen.InvalidArgument):
        omen.open(tmp_path / "other", dim=70000)
    for dim, words in ((-1, "-1, expected 0 or"), (0.5, "0.5, expected a whole"), ("4", r"'4' \(str\), expected a whole")):
        with pytest.raises(omen.InvalidArgument, match=f"dim: found {words}"):
            omen.open(tmp_path / "other", dim=dim)
    with pytest.raises(omen.InvalidArgument, match="65536"):
        omen.open(tmp_path / "other", dim=2**40)
    assert not (tmp_path / "other").exists()


OPTIONS = {
    "search": [
        {"effort": "all"}, {"effort": None}, {"rerank": -1}, {"rerank": 1.5}, {"threads": 2**32}, {"max_distance": "1"},
        {"k": -1}, {"k": 3.0}, {"k": "3"}, {"k": None},
    ],
    "compress": [
        {"ratio": "8"}, {"max_relative_mse": "low"}, {"sample": -1}, {"sample": 0.5}, {"seed": 2**64}, {"threads": "all"},
        {"quality": 2}, {"quality": "worst"}, {"codec": ["auto"]},
    ],
    "compact": [{"threads": -1}],
    "verify": [{"threads": 0.5}],
    "scan": [{"chunk": -1}, {"chunk": 0.5}, {"start": -1}, {"start": "0"}, {"chunk": 0}],
    "open": [{"threads": -1}, {"mode": "r"}, {"mode": None}, {"sync": ["each"]}, {"metric": "L2"}, {"metric": 0}],
}


@pytest.mark.parametrize("call, options", [(call, options) for call, each in OPTIONS.items() for options in each])
def test_an_option_that_cannot_be_is_named(filled, base, call, options, tmp_path):
    calls = {
        "search": lambda k=1, **others: filled.search(base[0], k, **others),
        "open": lambda **others: omen.open(tmp_path / "other", 4, **others),
    }
    with pytest.raises(omen.InvalidArgument, match=f"{next(iter(options))}: found "):
        calls.get(call, getattr(filled, call, None))(**options)
    assert not (tmp_path / "other").exists() and filled.stats().compressed_vectors == 0


def test_options_may_be_numbers_of_numpy(filled, base):
    wanted = filled.search(base[0], 3)[0].tolist()
    near, _ = filled.search(
        base[0], np.int64(3), effort=np.float32(1), rerank=np.uint8(50), threads=np.int32(1), exact=np.True_,
        max_distance=np.float32(1e9),
    )
    assert near.tolist() == wanted
    assert [len(ids) for ids, _ in filled.scan(np.int16(10**4), np.uint64(1990))] == [10]
    assert [len(ids) for ids, _ in filled.scan(10**12)] == [2000]
