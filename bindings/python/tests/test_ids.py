"""Ids as callers have them: every whole number from 0 to 2**64 - 2 in any form, none of them through a float."""
import array

import numpy as np
import pytest

import omen

LARGE = 2**64 - 2


@pytest.fixture
def three(tmp_path):
    """A store of one dim with the ids 3, 9 and 2**64 - 2, and at each its position as the vector."""
    with omen.open(tmp_path / "three", dim=1) as opened:
        opened.insert([[0], [1], [2]], [3, 9, LARGE])
        yield opened


def test_lists_on_both_sides_of_two_to_the_63(tmp_path):
    """numpy makes such a list float64."""
    ids = [2**63 + 5, 9, 0, LARGE, 2**53 + 1]
    with omen.open(tmp_path / "store", dim=4) as store:
        rows = np.arange(20, dtype=np.float32).reshape(5, 4)
        assert store.insert(rows, ids).tolist() == ids
        assert (store.get(ids) == rows).all()
        store.upsert(rows[::-1], ids)
        assert (store.get(ids[::-1]) == rows).all()
        assert store.contains([*ids, 2**53, 2**63, LARGE + 1]).tolist() == [True] * 5 + [False] * 3
        assert all(id in store for id in ids) and 2**63 + 4 not in store
        near, _ = store.search(rows[0], 5, allow_ids=[9, 2**63 + 5])
        assert near.tolist() == [9, 2**63 + 5, omen.NO_ID, omen.NO_ID, omen.NO_ID]
        assert store.delete([2**63 + 5, 9]) == 2 and len(store) == 3


def unaligned(values):
    """The same, misaligned by one byte."""
    room = np.empty(values.nbytes + 1, np.uint8)[1:].view(values.dtype)
    room[:] = values
    return room


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class HasArray:
    """What columns of data frames are to numpy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


FORMS = {
    **{dtype: np.array([9, 3], dtype) for dtype in ("u1", "i1", "u2", "i2", "<u4", ">i4", "<u8", ">u8", "<i8", ">i8")},
    "strided": np.array([9, 7, 3, 7])[::2],
    "backwards": np.array([3, 9])[::-1],
    "unaligned": unaligned(np.array([9, 3], np.uint64)),
    "objects": np.array([9, 3], object),
    "list": [9, 3],
    "tuple": (9, 3),
    "scalars of numpy": [np.uint64(9), np.int8(3)],
    "scalar arrays": [np.array(9), np.array(3, np.uint8)],
    "__index__": [Index(9), 3],
    "range": range(9, 2, -6),
    "dict keys": {9: "a", 3: "b"}.keys(),
    "dict values": {"a": 9, "b": 3}.values(),
    "array.array": array.array("Q", [9, 3]),
    "memoryview": memoryview(np.array([9, 3], np.int16)),
    "__array__": HasArray([9, 3]),
    "nothing is masked": np.ma.masked_array([9, 3], [False, False]),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_has_the_same_values(three, form):
    assert three.get(form).tolist() == [[1], [0]]
    assert three.contains(form).tolist() == [True, True]
    three.upsert([[5], [6]], form)
    assert three.get([3, 9]).tolist() == [[6], [5]]
    near, _ = three.search([9], 3, allow_ids=form)
    assert near.tolist() == [3, 9, omen.NO_ID]
    assert three.delete(form) == 2 and len(three) == 1


def test_generators(three):
    assert three.get(id for id in (9, 3)).tolist() == [[1], [0]]
    assert three.delete(map(int, "939")) == 2


def test_a_read_only_array_is_read(three):
    ids = np.array([9, 3], np.uint64)
    ids.flags.writeable = False
    assert three.get(ids).tolist() == [[1], [0]] and three.delete(ids) == 2


@pytest.mark.parametrize("one", [9, np.uint8(9), np.int64(9), np.array(9), np.array(9, object), Index(9)])
def test_one_id_has_one_answer(three, one):
    row = three.get(one)
    assert row.shape == (1,) and row.dtype == np.float32 and row[0] == 1
    assert three.contains(one) is True and three.contains(8) is False and one in three
    out, found = np.empty(1, np.float32), np.zeros((), np.bool_)
    assert three.get(one, out, found) is out and out[0] == 1 and found
    three.get(8, out, found)
    assert out[0] == 0 and not found
    assert three.search([0], 1, allow_ids=one)[0].tolist() == [9]
    assert three.delete(one) == 1 and three.delete(one) == 0
    with pytest.raises(omen.NotFound, match="id 9 "):
        three.get(one)


@pytest.mark.parametrize("nothing", [[], (), range(0), np.array([]), np.array([], object), iter([]), {}.keys()])
def test_no_ids(three, nothing):
    assert three.get(nothing).shape == (0, 1)
    assert three.contains([]).shape == (0,) and three.delete([]) == 0
    assert three.search([0], 1, allow_ids=[])[0].tolist() == [omen.NO_ID]


def test_sets_where_the_order_does_not_matter(three):
    assert three.search([0], 3, allow_ids={3, LARGE})[0].tolist() == [3, LARGE, omen.NO_ID]
    assert three.search([0], 1, allow_ids=set())[0].tolist() == [omen.NO_ID]
    for call in (three.get, three.contains, lambda ids: three.upsert([[1], [2]], ids)):
        for ids in ({3, 9}, frozenset([3, 9])):
            with pytest.raises(omen.InvalidArgument, match="ids: found a (frozen)?set, which has no order: pass a sorted"):
                call(ids)
    assert three.delete({3, LARGE, 4}) == 2


REFUSED = {
    "negative": ([9, -5], r"ids\[1\] is -5, expected 0 or more"),
    "negative int8": (np.array([9, 3, -2], np.int8), r"ids\[2\] is -2, expected 0 or more"),
    "negative int64": (np.array([-(2**63)]), r"ids\[0\] is -9223372036854775808, expected 0 or more"),
    "one negative": (-1, "ids is -1, expected 0 or more"),
    "one negative of numpy": (np.int64(-3), "ids is -3, expected 0 or more"),
    "a large object": (np.array([2**70, -1], object), r"ids\[0\] is 1180591620717411303424, expected at most 1844674407370955"),
    "too large": ([1, 2**64], r"ids\[1\] is 18446744073709551616, expected at most 18446744073709551614"),
    "one too large": (10**30, "ids is 1000000000000000000000000000000, expected at most 18446744073709551614"),
    "float": (1.0, "ids: found 1.0, expected a whole number, or an array or a list of them"),
    "a float in a list": ([1, 2.0], r"ids\[1\] is 2.0, expected a whole number"),
    "floats": (np.array([1.0, 2.0]), "ids: dtype float64, expected whole numbers$"),
    "one float of numpy": (np.float32(9), "ids: dtype float32, expected whole numbers$"),
    "a missing value": (np.array([1.0, 3.0, np.nan]), "ids: dtype float64, .*; the value at 2 is missing or NaN"),
    "mask": (np.array([True, False]), r"ids: found a mask of bools, expected ids: .*pass ids\[mask\]"),
    "mask in a list": ([True, False], "ids: found a mask of bools"),
    "mask of numpy scalars": ([np.True_, np.False_], "ids: found a mask of bools"),
    "a bool in a list": ([True, 9], r"ids\[0\] is True, expected a whole number"),
    "bool": (True, "ids is True, expected a whole number"),
    "bool of numpy": (np.True_, "ids: found a mask of bools"),
    "text": ("9", r"ids: found '9' \(str\), expected a whole number, or an array"),
    "bytes": (b"9", r"ids: found b'9' \(bytes\), expected"),
    "text in a list": ([9, "3"], r"ids\[1\] is '3' \(str\), expected a whole number"),
    "text in an array": (np.array(["9", "3"]), "ids: dtype <U1, expected whole numbers"),
    "text in a column": (np.array([9, "3"], object), r"ids\[1\] is '3' \(str\), expected a whole number"),
    "None": (None, "ids: found None, expected a whole number"),
    "None in a list": ([9, None], r"ids\[1\] is None, expected a whole number"),
    "a dict": ({9: 3}, r"ids: found {9: 3} \(dict\), expected"),
    "an object": (object(), r"ids: found <object object at .*> \(object\), expected"),
    "lists in a list": ([[9], [3]], r"ids\[0\] is \[9\] \(list\), expected a whole number"),
    "two axes": (np.array([[9], [3]]), r"ids: shape \(2, 1\), expected \(n,\), or one whole number"),
    "masked": (np.ma.masked_array([9, 3], [False, True]), r"ids: the value at \[1\] is masked"),
    "dates": (np.array(["2020-01-01"], "M8[s]"), "ids: dtype datetime64.s., expected whole numbers"),
}


@pytest.mark.parametrize("ids, words", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_is_named(three, ids, words):
    calls = [three.get, three.contains, three.delete, lambda ids: three.upsert([[7], [7]], ids)]
    if ids is not None:  # None means new ids to insert, and no filter to search
        calls += [lambda ids: three.insert([[7], [7]], ids)]
        with pytest.raises(omen.InvalidArgument, match=words.replace("ids", "allow_ids", 1)):
            three.search([1], 1, allow_ids=ids)
    for call in calls:
        with pytest.raises(omen.InvalidArgument, match=words):
            call(ids)
    assert len(three) == 3 and three.get([3, 9, LARGE]).tolist() == [[0], [1], [2]]


def test_in_takes_one_id(three):
    assert 9 in three and np.uint64(9) in three and 4 not in three
    for bad, words in (
        ([9], "id: found 1 of them, expected one"), ("9", r"id: found '9' \(str\)"), (9.0, "id: found 9.0"),
        (-1, "id is -1"), (True, "id is True"),
    ):
        with pytest.raises(omen.InvalidArgument, match=words):
            bad in three


def test_the_id_that_no_vector_has(three):
    assert omen.NO_ID == LARGE + 1 and omen.NO_ID not in three and three.delete(omen.NO_ID) == 0
    with pytest.raises(omen.InvalidArgument, match="18446744073709551615"):
        three.insert([[1]], [omen.NO_ID])


def test_as_many_ids_as_vectors(three):
    for ids in ([1], [1, 2, 4], 1):
        with pytest.raises(omen.InvalidArgument, match=r"ids: \d, expected 2: one for each vector"):
            three.insert([[1], [2]], ids)
    assert len(three) == 3
