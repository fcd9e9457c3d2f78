"""Which arrays are passed without a copy, copied and refused. A refused call changes nothing."""
import numpy as np
import pytest

import omen
from omen import _arrays


def test_float32_in_c_order_is_not_copied(base):
    assert _arrays.vectors("vectors", base, 128) is base
    assert np.shares_memory(_arrays.vectors("vectors", base[100:200], 128), base)
    readonly = base[:5].view()
    readonly.flags.writeable = False
    assert _arrays.vectors("vectors", readonly, 128) is readonly
    for dtype in (np.uint64, np.int64):
        ids = np.arange(5, dtype=dtype)
        assert np.shares_memory(_arrays.ids("ids", ids), ids)


def unaligned(array):
    """The same values, misaligned by one byte."""
    room = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    room[:] = array
    assert not room.flags.aligned
    return room


@pytest.mark.parametrize("form", [
    np.asfortranarray,
    lambda rows: np.repeat(rows, 2, axis=0)[::2],
    lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    lambda rows: rows[::-1].copy()[::-1],
    lambda rows: rows.astype(">f4"),
    lambda rows: rows.astype(np.float16),
    lambda rows: rows.tolist(),
    lambda rows: list(rows),
    unaligned,
])
def test_other_forms_are_copied_with_their_values(store, base, form):
    rows = base[:50]
    ids = store.insert(form(rows))
    assert (store.get(ids) == rows).all()
    near, _ = store.search(form(rows), 1)
    assert (store.get(near[:, 0]) == rows).all()


@pytest.mark.parametrize("form", [
    np.array([3, 1, 2], np.int32), np.array([3, 1, 2], np.uint8), np.array([3, 9, 1, 9, 2])[::2],
    np.array([3, 1, 2], ">u8"), [3, 1, 2], (3, 1, 2), unaligned(np.array([3, 1, 2], np.uint64)),
])
def test_ids_of_other_forms(filled, base, form):
    assert (filled.get(form) == base[[3, 1, 2]]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint8, np.bool_, np.complex64, object, "U3", np.longdouble])
def test_other_dtypes_are_refused(filled, dtype):
    rows = np.zeros((3, 128)).astype(dtype)
    for call in (filled.insert, lambda rows: filled.upsert(rows, [1, 2, 3]), lambda rows: filled.search(rows, 1)):
        with pytest.raises(omen.InvalidArgument, match="dtype .*, expected float32 or float16"):
            call(rows)
    assert len(filled) == 2000


@pytest.mark.parametrize("shape", [(128,), (3, 127), (3, 129), (0, 0), (1, 3, 128), ()])
def test_other_shapes_are_refused(filled, shape):
    rows = np.zeros(shape, np.float32)
    for call in (filled.insert, lambda rows: filled.upsert(rows, [1, 2, 3]), lambda rows: filled.search(rows, 1)):
        with pytest.raises(omen.InvalidArgument, match=r"shape .*, expected \(n, 128\)"):
            call(rows)
    assert len(filled) == 2000


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


@pytest.mark.parametrize("ids, words", [
    ([-1, 0], "found -1, expected 0 or more"),
    ([0.0, 1.0], "dtype float64, expected whole numbers"),
    ([True, False], "dtype bool, expected whole numbers"),
    (["a", "b"], "dtype <U1, expected whole numbers"),
    (5, r"shape \(\), expected \(n,\)"),
    ([[1], [2]], r"shape \(2, 1\), expected \(n,\)"),
    ([0], "1, expected 2: one for each vector"),
])
def test_bad_ids_are_refused(filled, base, ids, words):
    with pytest.raises(omen.InvalidArgument, match=words):
        filled.upsert(base[:2], ids)
    assert len(filled) == 2000 and (filled.get([0, 1]) == base[:2]).all()


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
    with pytest.raises(OverflowError):
        filled.search(base[:1], 1, threads=-1)
    with pytest.raises(omen.InvalidArgument, match="path: NUL at byte 1"):
        omen.open("a\0b", dim=4)
    with pytest.raises(omen.InvalidArgument):
        omen.open(tmp_path / "other", dim=70000)
    with pytest.raises(OverflowError):
        omen.open(tmp_path / "other", dim=-1)
    assert not (tmp_path / "other").exists()
